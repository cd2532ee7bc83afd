# EXPUNGE is told only when RFC 3501 7.4.1 allows it: never in FETCH, STORE or SEARCH; numbers stay until then
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE e-{unique}
S: a1 OK {/.*/}
C: a2 APPEND e-{unique} {{21+}}\r\nFrom: 1@x.example\r\n\r\n
S: a2 OK {/.*/}
C: a3 APPEND e-{unique} {{21+}}\r\nFrom: 2@x.example\r\n\r\n
S: a3 OK {/.*/}
C: a4 APPEND e-{unique} {{21+}}\r\nFrom: 3@x.example\r\n\r\n
S: a4 OK {/.*/}
C: a5 SELECT e-{unique}
S* a5 OK {/.*/}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: b0 AUTHENTICATE PLAIN {head.plain}
B S* b0 OK {/.*/}
B C: b1 SELECT e-{unique}
B S* b1 OK {/.*/}
B C: b2 STORE 1 +FLAGS.SILENT (\\Deleted)
B S: b2 OK {/.*/}
B C: b3 EXPUNGE
B S: * 1 EXPUNGE
B S* b3 OK {/.*/}
{SLEEP 0.3}
C: a6 FETCH 3 (UID)
S* * 3 FETCH (UID 3)
S: a6 OK {/.*/}
C: a7 SEARCH ALL
S* * SEARCH {/(1 )?2 3/}
S: a7 OK {/.*/}
C: a8 NOOP
S* * 1 EXPUNGE
S* a8 OK {/.*/}
C: a9 FETCH 1:* (UID)
S: * 1 FETCH (UID 2)
S: * 2 FETCH (UID 3)
S: a9 OK {/.*/}
C: c1 STORE 1:2 +FLAGS (\\Deleted)\r\nc2 EXPUNGE\r\nc3 NOOP
S* c1 OK {/.*/}
S* c2 OK {/.*/}
S: c3 OK {/.*/}
C: c4 CLOSE
S: c4 OK {/.*/}
C: c5 DELETE e-{unique}
S: c5 OK {/.*/}
C: c6 LOGOUT
S* c6 OK {/.*/}
