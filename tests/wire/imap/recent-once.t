# \\Recent is shown in exactly one session, and EXAMINE does not take it
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE n-{unique}
S: a1 OK {/.*/}
C: a2 APPEND n-{unique} {{21+}}\r\nFrom: 1@x.example\r\n\r\n
S: a2 OK {/.*/}
C: a3 EXAMINE n-{unique}
S* * 1 RECENT
S* a3 OK [READ-ONLY] {/.*/}
C: a4 STORE 1 +FLAGS (\\Seen)
S: a4 NO {/.*/}
C: a5 SELECT n-{unique}
S* * 1 RECENT
S* a5 OK {/.*/}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: b0 AUTHENTICATE PLAIN {head.plain}
B S* b0 OK {/.*/}
B C: b1 SELECT n-{unique}
B S* * 0 RECENT
B S* b1 OK {/.*/}
C: a6 FETCH 1 FLAGS
S: * 1 FETCH (FLAGS (\\Recent))
S: a6 OK {/.*/}
C: a7 CLOSE
S: a7 OK {/.*/}
C: a8 DELETE n-{unique}
S: a8 OK {/.*/}
C: a9 LOGOUT
S* a9 OK {/.*/}
