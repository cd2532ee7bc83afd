# Removals that the store has forgotten: every UID that is not there is told, and a session that slept compares (RFC 7162 3.2.6)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}

C: a1 CREATE Forgets-{unique}
S: a1 OK {/.*/}
C: a2 ENABLE CONDSTORE QRESYNC
S: * ENABLED CONDSTORE QRESYNC
S: a2 OK {/.*/}
C: a3 APPEND Forgets-{unique} {{21+}}\r\nFrom: 1@x.example\r\n\r\n
S: a3 OK [APPENDUID {v=/\d+/} 1] {/.*/}
C: a4 APPEND Forgets-{unique} {{21+}}\r\nFrom: 2@x.example\r\n\r\n
S: a4 OK {/.*/}
C: a5 APPEND Forgets-{unique} {{21+}}\r\nFrom: 3@x.example\r\n\r\n
S: a5 OK {/.*/}
C: a6 APPEND Forgets-{unique} {{21+}}\r\nFrom: 4@x.example\r\n\r\n
S: a6 OK {/.*/}
C: a7 APPEND Forgets-{unique} {{21+}}\r\nFrom: 5@x.example\r\n\r\n
S: a7 OK {/.*/}
C: a8 APPEND Forgets-{unique} {{21+}}\r\nFrom: 6@x.example\r\n\r\n
S: a8 OK {/.*/}
C: a9 APPEND Forgets-{unique} {{21+}}\r\nFrom: 7@x.example\r\n\r\n
S: a9 OK {/.*/}
C: a10 APPEND Forgets-{unique} {{21+}}\r\nFrom: 8@x.example\r\n\r\n
S: a10 OK {/.*/}

C: b1 SELECT Forgets-{unique}
S* * OK [HIGHESTMODSEQ {h=/\d+/}] {/.*/}
S* b1 OK {/.*/}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: a0 AUTHENTICATE PLAIN {head.plain}
B S* a0 OK {/.*/}
B C: a1 SELECT Forgets-{unique}
B S* a1 OK {/.*/}
B C: a2 STORE 2:3,6:8 +FLAGS.SILENT (\\Deleted)
B S: a2 OK {/.*/}
B C: a3 EXPUNGE
B S* a3 OK {/.*/}
C: b2 NOOP
S: * VANISHED 2:3,6:8
S: b2 OK {/.*/}
C: b3 SELECT Forgets-{unique} (QRESYNC ({v} {h} 1:4,7))
S* * VANISHED (EARLIER) 2:3,7
S: b3 OK {/.*/}
C: b4 SELECT Forgets-{unique} (QRESYNC ({v} {h} 1:8 (1,2 1,2)))
S* * VANISHED (EARLIER) 2:3,6:8
S: b4 OK {/.*/}
C: b5 UID FETCH 3:* (UID) (CHANGEDSINCE {h} VANISHED)
S: * VANISHED (EARLIER) 3,6:8
S: b5 OK {/.*/}
C: b6 DELETE Forgets-{unique}
S: b6 OK {/.*/}
