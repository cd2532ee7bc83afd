# Every FETCH item of a simple message, macros and partials
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE i-{unique}
S: a1 OK {/.*/}
C: a2 APPEND i-{unique} " 7-Jul-1996 02:44:25 -0700" {{150+}}\r\nDate: Wed, 17 Jul 1996 02:23:25 -0700\r\nFrom: Ann Example <a@x.example>\r\nSubject: s\r\nTo: b@x.example\r\nMessage-ID: <1@x.example>\r\n\r\nline one\r\nline two\r\n
S: a2 OK {/.*/}
C: a3 SELECT i-{unique}
S* a3 OK {/.*/}
C: a4 FETCH 1 FAST
S: * 1 FETCH (FLAGS ({/(\\Recent)?/}) INTERNALDATE "07-Jul-1996 02:44:25 -0700" RFC822.SIZE 150)
S: a4 OK {/.*/}
C: a5 FETCH 1 all
S: * 1 FETCH (FLAGS ({/(\\Recent)?/}) INTERNALDATE "07-Jul-1996 02:44:25 -0700" RFC822.SIZE 150 ENVELOPE ("Wed, 17 Jul 1996 02:23:25 -0700" "s" (("Ann Example" NIL "a" "x.example")) (("Ann Example" NIL "a" "x.example")) (("Ann Example" NIL "a" "x.example")) ((NIL NIL "b" "x.example")) NIL NIL NIL "<1@x.example>"))
S: a5 OK {/.*/}
C: a6 FETCH 1 FULL
S: * 1 FETCH (FLAGS ({/(\\Recent)?/}) INTERNALDATE "07-Jul-1996 02:44:25 -0700" RFC822.SIZE 150 ENVELOPE ("Wed, 17 Jul 1996 02:23:25 -0700" "s" (("Ann Example" NIL "a" "x.example")) (("Ann Example" NIL "a" "x.example")) (("Ann Example" NIL "a" "x.example")) ((NIL NIL "b" "x.example")) NIL NIL NIL "<1@x.example>") BODY ("TEXT" "PLAIN" ("CHARSET" "{/[Uu][Ss]-[Aa][Ss][Cc][Ii][Ii]/}") NIL NIL "7BIT" 20 2))
S: a6 OK {/.*/}
C: a7 UID FETCH 1 BODYSTRUCTURE
S: * 1 FETCH (UID 1 BODYSTRUCTURE ("TEXT" "PLAIN" ("CHARSET" "{/[Uu][Ss]-[Aa][Ss][Cc][Ii][Ii]/}") NIL NIL "7BIT" 20 2 NIL NIL NIL NIL))
S: a7 OK {/.*/}
C: a8 FETCH 1 (BODY.PEEK[TEXT]<5.7> BODY.PEEK[1]<0.4> BODY.PEEK[]<150.100> UID)
S: * 1 FETCH (BODY[TEXT]<5> {{7}}
S: one
S: li BODY[1]<0> {{4}}
S: line BODY[]<150> "" UID 1)
S: a8 OK {/.*/}
C: a9 FETCH 1 RFC822.HEADER
S: * 1 FETCH (RFC822.HEADER {{130}}
S: Date: Wed, 17 Jul 1996 02:23:25 -0700
S: From: Ann Example <a@x.example>
S: Subject: s
S: To: b@x.example
S: Message-ID: <1@x.example>
S:
S: )
S: a9 OK {/.*/}
C: b1 FETCH 1 (BODY.PEEK[HEADER.FIELDS (to SUBJECT)] BODY.PEEK[HEADER.FIELDS.NOT (Date From To Subject)]<0.10>)
S: * 1 FETCH (BODY[HEADER.FIELDS (to SUBJECT)] {{31}}
S: Subject: s
S: To: b@x.example
S:
S:  BODY[HEADER.FIELDS.NOT (Date From To Subject)]<0> {{10}}
S: Message-ID)
S: b1 OK {/.*/}
C: b2 FETCH 1 FLAGS
S: * 1 FETCH (FLAGS ({/(\\Recent)?/}))
S: b2 OK {/.*/}
C: b3 FETCH 1 RFC822.TEXT
S: * 1 FETCH (RFC822.TEXT {{20}}
S: line one
S: line two
S:  FLAGS (\\Seen{/( \\Recent)?/}))
S: b3 OK {/.*/}
C: b4 FETCH 2 FLAGS
S: b4 BAD {/.*/}
C: b5 UID FETCH 77 FLAGS
S: b5 OK {/.*/}
C: b6 FETCH 1 (FLAGS
S: b6 BAD {/.*/}
C: b7 CLOSE
S: b7 OK {/.*/}
C: b8 DELETE i-{unique}
S: b8 OK {/.*/}
