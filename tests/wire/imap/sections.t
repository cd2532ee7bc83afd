# Sections and partials of a nested message (RFC 3501 6.4.5)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE f-{unique}
S: a1 OK {/.*/}
C- a2 APPEND f-{unique} {{287+}}\r\n
C: From: out@x.example\r\nSubject: outer\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nfirst\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: in@x.example\r\nSubject: inner\r\n\r\ninner text\r\n\r\n--b--\r\n{*28 z}\r\n
S: a2 OK {/.*/}
C: a3 SELECT f-{unique}
S* a3 OK {/.*/}
C: a4 FETCH 1 (BODY.PEEK[1])
S: * 1 FETCH (BODY[1] {{5}}
S: first)
S: a4 OK {/.*/}
C: a5 FETCH 1 (BODY.PEEK[1]<1.3>)
S: * 1 FETCH (BODY[1]<1> {{3}}
S: irs)
S: a5 OK {/.*/}
C: a6 FETCH 1 (BODY.PEEK[2.HEADER.FIELDS (SUBJECT)])
S: * 1 FETCH (BODY[2.HEADER.FIELDS (SUBJECT)] {{18}}
S: Subject: inner
S: 
S: )
S: a6 OK {/.*/}
C: a7 FETCH 1 (BODY.PEEK[2.TEXT])
S: * 1 FETCH (BODY[2.TEXT] {{12}}
S: inner text
S: )
S: a7 OK {/.*/}
C: a8 FETCH 1 (BODY.PEEK[1.MIME])
S: * 1 FETCH (BODY[1.MIME] {{43}}
S: Content-Type: text/plain; charset=utf-8
S: 
S: )
S: a8 OK {/.*/}
C: a9 FETCH 1 (BODY.PEEK[9] BODY.PEEK[1]<500.10>)
S: * 1 FETCH (BODY[9] {/NIL|""/} BODY[1]<500> {/NIL|""/})
S: a9 OK {/.*/}
C: b1 FETCH 1 (ENVELOPE)
S: * 1 FETCH (ENVELOPE (NIL "outer" ((NIL NIL "out" "x.example")) ((NIL NIL "out" "x.example")) ((NIL NIL "out" "x.example")) NIL NIL NIL NIL NIL))
S: b1 OK {/.*/}
C: b2 FETCH 1 (BODY)
S: * 1 FETCH (BODY (("TEXT" "PLAIN" ("CHARSET" "utf-8") NIL NIL "7BIT" 5 {/\d+/})("MESSAGE" "RFC822" NIL NIL NIL "7BIT" {/\d+/} (NIL "inner" ((NIL NIL "in" "x.example")) ((NIL NIL "in" "x.example")) ((NIL NIL "in" "x.example")) NIL NIL NIL NIL NIL) ("TEXT" "PLAIN" ("CHARSET" "{/[Uu][Ss]-[Aa][Ss][Cc][Ii][Ii]/}") NIL NIL "7BIT" {/\d+/} {/\d+/}) {/\d+/}) "MIXED"))
S: b2 OK {/.*/}
C: b3 CLOSE
S: b3 OK {/.*/}
C: b4 DELETE f-{unique}
S: b4 OK {/.*/}
C: b5 LOGOUT
S* b5 OK {/.*/}
