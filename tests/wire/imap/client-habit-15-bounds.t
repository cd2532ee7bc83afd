# Client habit 15: oversized literals, deep nesting and deep MIME are bounded, before and after login; the stream stays in step or ends with BYE

{CONNECT imaps}
S: * OK {/.*/}
C: a1 LOGIN {{5000}}
S: a1 BAD {/.*/}
C: a2 LOGIN {{4}}
S: + {/.*/}
C: head {{3000000000}}
S: a2 BAD {/.*/}
C: a3 NOOP
S: a3 OK {/.*/}
C: a4 LOGIN {{5000+}}
S: * BYE {/.*/}
{EOF}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: {*9000 x}
B S: * BYE {/.*/}
B {EOF}
{CONNECT imaps AS C}
C S: * OK {/.*/}
C C: a0 AUTHENTICATE PLAIN {head.plain}
C S* a0 OK {/.*/}
C C: a1 SELECT INBOX
C S* a1 OK {/.*/}
C C: a2 SEARCH {*500 (}ALL{*500 )}
C S: a2 {/(NO|BAD) .*/}
C C: a3 SEARCH {*200 NOT }ALL
C S: a3 {/(NO|BAD) .*/}
C C: a4 FETCH 1 (BODY[1{*60 .1}])
C S: a4 BAD {/.*/}
C C: a5 CREATE {{100000}}
C S: a5 BAD {/.*/}
C C: a6 STORE 1 +FLAGS ({*3000 k }\\Seen)
C S: a6 BAD {/.*/}
C C: a7 UID FETCH {*10000 1,}2 (UID)
C S* a7 {/(OK|BAD) .*/}
C C: a8 LIST "" ({*3000 x })
C S* a8 {/(OK|NO|BAD) .*/}
C C: b1 CREATE db-{unique}
C S: b1 OK {/.*/}
# a message whose parts are nested a thousand deep is kept as it is, and its structure is bounded
C C: b2 APPEND db-{unique} {{32035+}}\r\n{*1001 Content-Type: message/rfc822\r\n\r\n}abc
C S* b2 {/(OK|NO|BAD) .*/}
C C: b3 SELECT db-{unique}
C S* b3 OK {/.*/}
C C: b4 FETCH 1 (BODYSTRUCTURE RFC822.SIZE)
C S* b4 {/(OK|NO|BAD) .*/}
C C: b5 UNSELECT
C S: b5 OK {/.*/}
C C: b6 DELETE db-{unique}
C S: b6 OK {/.*/}
