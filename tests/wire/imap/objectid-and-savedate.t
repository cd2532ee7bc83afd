# EMAILID is the same for copies, MAILBOXID stays with a mailbox that is renamed; SAVEDATE and its searches (RFC 8474, RFC 8514)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}

C: a1 CREATE oi-{unique}
S: a1 OK [MAILBOXID (F{one=/[0-9a-f]{16}/})] {/.*/}
C: a2 CREATE oj-{unique}
S: a2 OK [MAILBOXID (F{two=/[0-9a-f]{16}/})] {/.*/}
C: a3 APPEND oi-{unique} "01-Jan-2020 00:00:00 +0000" {{21+}}\r\nFrom: 1@x.example\r\n\r\n
S: a3 OK {/.*/}
C: a4 APPEND oi-{unique} {{21+}}\r\nFrom: 2@x.example\r\n\r\n
S: a4 OK {/.*/}
C: a5 SELECT oi-{unique}
S* * OK [MAILBOXID (F{one})] {/.*/}
S: a5 OK {/.*/}
C: a6 COPY 1 oj-{unique}
S: a6 OK {/.*/}
C: a7 FETCH 1:2 (EMAILID THREADID)
S: * 1 FETCH (EMAILID ({e1=/M[0-9a-f]{32}/}) THREADID NIL)
S: * 2 FETCH (EMAILID ({e2=/M[0-9a-f]{32}/}) THREADID NIL)
S: a7 OK {/.*/}
C: a8 SEARCH EMAILID {e2}
S: * SEARCH 2
S: a8 OK {/.*/}
C: a9 SEARCH THREADID T1
S: * SEARCH
S: a9 OK {/.*/}
C: b1 FETCH 1 (SAVEDATE)
S: * 1 FETCH (SAVEDATE "{/\d\d-...-20[2-9]\d \d\d:\d\d:\d\d [+-]\d{4}/}")
S: b1 OK {/.*/}
C: b2 SEARCH SAVEDBEFORE 1-Feb-2020
S: * SEARCH
S: b2 OK {/.*/}
C: b3 SEARCH BEFORE 1-Feb-2020 SAVEDSINCE 1-Feb-2020
S: * SEARCH 1
S: b3 OK {/.*/}
C: b4 SEARCH SAVEDATESUPPORTED NOT SAVEDON 1-Feb-2020
S: * SEARCH 1 2
S: b4 OK {/.*/}
C: b5 RENAME oj-{unique} ok-{unique}
S: b5 OK {/.*/}
C: b6 STATUS ok-{unique} (MAILBOXID)
S: * STATUS "ok-{unique}" (MAILBOXID (F{two}))
S: b6 OK {/.*/}
C: b7 SELECT ok-{unique}
S* b7 OK {/.*/}
C: b8 FETCH 1 (EMAILID)
S: * 1 FETCH (EMAILID ({e1}))
S: b8 OK {/.*/}
C: b9 DELETE ok-{unique}
S: b9 OK {/.*/}
C: c1 DELETE oi-{unique}
S: c1 OK {/.*/}
