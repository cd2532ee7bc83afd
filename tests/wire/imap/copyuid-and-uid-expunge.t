# COPY gives COPYUID and keeps flags and date; UID EXPUNGE takes only its own (RFC 4315)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE c-{unique}
S: a1 OK {/.*/}
C: a2 CREATE d-{unique}
S: a2 OK {/.*/}
C: a3 APPEND c-{unique} (\\Flagged) "01-Jan-2020 00:00:00 +0000" {{21+}}\r\nFrom: 1@x.example\r\n\r\n
S: a3 OK {/.*/}
C: a4 APPEND c-{unique} (\\Deleted) {{21+}}\r\nFrom: 2@x.example\r\n\r\n
S: a4 OK {/.*/}
C: a5 SELECT c-{unique}
S* a5 OK {/.*/}
C: a6 UID COPY 1:2 d-{unique}
S* a6 OK [COPYUID {v=/\d+/} 1:2 1:2] {/.*/}
C: a7 UID STORE 1 +FLAGS.SILENT (\\Deleted)
S: a7 OK {/.*/}
C: a8 UID EXPUNGE 2:9
S: * 2 EXPUNGE
S: a8 OK {/.*/}
C: a9 COPY 1 no-such-{unique}
S: a9 NO [TRYCREATE] {/.*/}
C: b1 SELECT d-{unique}
S* b1 OK {/.*/}
C: b2 FETCH 1 (FLAGS INTERNALDATE)
S: * 1 FETCH (FLAGS ({/(\\Recent )?\\Flagged( \\Recent)?/}) INTERNALDATE "{/.*/}")
S: b2 OK {/.*/}
C: b3 UNSELECT
S: b3 OK {/.*/}
C: b4 DELETE c-{unique}
S: b4 OK {/.*/}
C: b5 DELETE d-{unique}
S: b5 OK {/.*/}
C: b6 LOGOUT
S* b6 OK {/.*/}
