# "*" resolves at execution: UID FETCH n:* always gives the last message; a UID that is not there gives nothing
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE s-{unique}
S: a1 OK {/.*/}
C: a2 APPEND s-{unique} {{21+}}\r\nFrom: 1@x.example\r\n\r\n
S: a2 OK {/.*/}
C: a3 SELECT s-{unique}
S* a3 OK {/.*/}
C: a4 UID FETCH 100:* (FLAGS)
S: * 1 FETCH ({/.*/}UID 1{/.*/})
S: a4 OK {/.*/}
C: a5 UID FETCH 100 (FLAGS)
S: a5 OK {/.*/}
C: a6 FETCH 2 (FLAGS)
S: a6 BAD {/.*/}
C: a7 FETCH *:1 (UID)
S: * 1 FETCH (UID 1)
S: a7 OK {/.*/}
C: a8 UID SEARCH UID 100:*
S: * SEARCH 1
S: a8 OK {/.*/}
C: a9 CLOSE
S: a9 OK {/.*/}
C: b1 DELETE s-{unique}
S: b1 OK {/.*/}
C: b2 LOGOUT
S* b2 OK {/.*/}
