# New messages of which some were changed already before the other session looks: all are there, in the order of UIDs
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE n-{unique}
S: a1 OK {/.*/}
C: a2 SELECT n-{unique}
S* a2 OK {/.*/}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: b0 AUTHENTICATE PLAIN {head.plain}
B S* b0 OK {/.*/}
B C: b1 APPEND n-{unique} {{21+}}\r\nFrom: 1@x.example\r\n\r\n
B S: b1 OK {/.*/}
B C: b2 APPEND n-{unique} {{21+}}\r\nFrom: 2@x.example\r\n\r\n
B S: b2 OK {/.*/}
B C: b3 APPEND n-{unique} {{21+}}\r\nFrom: 3@x.example\r\n\r\n
B S: b3 OK {/.*/}
B C: b4 APPEND n-{unique} {{21+}}\r\nFrom: 4@x.example\r\n\r\n
B S: b4 OK {/.*/}
B C: b5 EXAMINE n-{unique}
B S* b5 OK {/.*/}
B C: b6 SELECT n-{unique}
B S* b6 OK {/.*/}
B C: b7 STORE 1 +FLAGS.SILENT (\\Flagged)
B S: b7 OK {/.*/}
C: a3 NOOP
S: * 4 EXISTS
S: * 0 RECENT
S: a3 OK {/.*/}
C: a4 FETCH 1:* (UID FLAGS)
S: * 1 FETCH (UID 1 FLAGS (\\Flagged))
S: * 2 FETCH (UID 2 FLAGS ())
S: * 3 FETCH (UID 3 FLAGS ())
S: * 4 FETCH (UID 4 FLAGS ())
S: a4 OK {/.*/}
C: a5 CLOSE
S: a5 OK {/.*/}
B C: b8 DELETE n-{unique}
B S: b8 OK {/.*/}
