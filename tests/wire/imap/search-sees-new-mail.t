# Mail that came since the last command is found by SEARCH and by UID FETCH n:*; EXISTS tells of it first
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE w-{unique}
S: a1 OK {/.*/}
C: a2 SELECT w-{unique}
S* a2 OK {/.*/}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: b0 AUTHENTICATE PLAIN {head.plain}
B S* b0 OK {/.*/}
B C: b1 APPEND w-{unique} {{21+}}\r\nFrom: 1@x.example\r\n\r\n
B S: b1 OK {/.*/}
{SLEEP 0.2}
C: a3 UID SEARCH UNSEEN
S: * 1 EXISTS
S: * 1 RECENT
S: * SEARCH 1
S: a3 OK {/.*/}
B C: b2 APPEND w-{unique} {{21+}}\r\nFrom: 2@x.example\r\n\r\n
B S: b2 OK {/.*/}
B C: b3 APPEND w-{unique} {{21+}}\r\nFrom: 3@x.example\r\n\r\n
B S: b3 OK {/.*/}
{SLEEP 0.2}
C: a4 UID FETCH 2:* (FLAGS)
S: * 3 EXISTS
S: * 3 RECENT
S: * 2 FETCH (UID 2 FLAGS (\\Recent))
S: * 3 FETCH (UID 3 FLAGS (\\Recent))
S: a4 OK {/.*/}
C: a5 DELETE w-{unique}
S: a5 OK {/.*/}
