# The life of a mailbox: CREATE with parents, APPEND by both kinds of literal, STATUS, SELECT, RENAME, DELETE
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE t-{unique}/con/
S: a1 OK {/.*/}
C: a2 CREATE t-{unique}/con
S: a2 NO {/.*/}
C- a3 APPEND t-{unique}/con (\\Seen) "17-Jul-1996 02:44:25 -0700" {{21}}\r\n
S: + {/.*/}
C: From: a@x.example\r\n\r\n
S: a3 OK [APPENDUID {v=/\d+/} 1] {/.*/}
C: a4 APPEND t-{unique}/con {{21+}}\r\nFrom: a@x.example\r\n\r\n
S: a4 OK [APPENDUID {v} 2] {/.*/}
C: a5 STATUS t-{unique}/con (MESSAGES UNSEEN UIDNEXT UIDVALIDITY)
S: * STATUS {/"?/}t-{unique}/con{/"?/} (MESSAGES 2 UNSEEN 1 UIDNEXT 3 UIDVALIDITY {v})
S: a5 OK {/.*/}
C: a6 SELECT t-{unique}/con
S* a6 OK [READ-WRITE] {/.*/}
C: a7 FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)
S: * 1 FETCH (UID 1 FLAGS ({/(\\Recent )?\\Seen( \\Recent)?/}) INTERNALDATE "17-Jul-1996 {/\d\d:44:25 [+-]\d{4}/}" RFC822.SIZE 21)
S: * 2 FETCH (UID 2 FLAGS ({/(\\Recent)?/}) INTERNALDATE "{/.{26}/}" RFC822.SIZE 21)
S: a7 OK {/.*/}
C: a8 UNSELECT
S: a8 OK {/.*/}
C: a9 FETCH 1 FLAGS
S: a9 BAD {/.*/}
C: b1 APPEND no-such-{unique} {{21+}}\r\nFrom: a@x.example\r\n\r\n
S: b1 NO [TRYCREATE] {/.*/}
C: b2 RENAME t-{unique} r-{unique}
S: b2 OK {/.*/}
C: b3 LIST "" r-{unique}*
S~ * LIST ({/.*/}) "/" {/"?/}r-{unique}{/"?/} | * LIST ({/.*/}) "/" {/"?/}r-{unique}/con{/"?/}
S: b3 OK {/.*/}
C: b4 DELETE r-{unique}/con
S: b4 OK {/.*/}
C: b5 DELETE r-{unique}
S: b5 OK {/.*/}
C: b6 SELECT r-{unique}
S: b6 NO {/.*/}
C: b61 CREATE r-{unique}
S: b61 OK {/.*/}
C: b62 RENAME r-{unique} r-{unique}/below
S: b62 NO [CANNOT] {/.*/}
C: b63 CREATE "a%b"
S: b63 NO [CANNOT] {/.*/}
C: b64 DELETE r-{unique}
S: b64 OK {/.*/}
C: b7 DELETE INBOX
S: b7 NO {/.*/}
C: b8 LOGOUT
S* b8 OK {/.*/}
