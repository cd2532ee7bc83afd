# IDLE tells at once what another session does: EXISTS, FETCH, EXPUNGE
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE d-{unique}
S: a1 OK {/.*/}
C: a2 SELECT d-{unique}
S* a2 OK {/.*/}
C: a3 IDLE
S: + {/.*/}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: b0 AUTHENTICATE PLAIN {head.plain}
B S* b0 OK {/.*/}
B C: b1 APPEND d-{unique} {{21+}}\r\nFrom: 1@x.example\r\n\r\n
B S: b1 OK {/.*/}
S: * 1 EXISTS
S: * 1 RECENT
B C: b2 SELECT d-{unique}
B S* * 0 RECENT
B S* b2 OK {/.*/}
B C: b3 STORE 1 +FLAGS.SILENT (\\Deleted)
B S: b3 OK {/.*/}
S: * 1 FETCH (FLAGS (\\Deleted \\Recent))
B C: b4 EXPUNGE
B S: * 1 EXPUNGE
B S: b4 OK {/.*/}
S: * 1 EXPUNGE
{QUIET 0.3}
C: DONE
S: a3 OK {/.*/}
C: a4 IDLE
S: + {/.*/}
C: NOOP
S: a4 BAD {/.*/}
C: a5 NOOP
S: a5 OK {/.*/}
B C: b5 CLOSE
B S: b5 OK {/.*/}
C: a7 DELETE d-{unique}
S* a7 OK {/.*/}
C: a8 FETCH 1 FLAGS
S: a8 BAD {/.*/}
C: a9 NOOP
S: a9 OK {/.*/}
