# Client habit 10: MOVE; a repeated MOVE, or one whose source is gone, is OK and makes no second copy; COPY always adds one with the same
# EMAILID (RFC 6851)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE mv-{unique}
S: a1 OK {/.*/}
C: a2 CREATE mw-{unique}
S: a2 OK {/.*/}
C: a3 APPEND mv-{unique} (\\Flagged) {{21+}}\r\nFrom: 1@x.example\r\n\r\n
S: a3 OK {/.*/}
C: a4 APPEND mv-{unique} {{21+}}\r\nFrom: 2@x.example\r\n\r\n
S: a4 OK {/.*/}
C: a5 APPEND mv-{unique} {{21+}}\r\nFrom: 3@x.example\r\n\r\n
S: a5 OK {/.*/}
C: a6 SELECT mv-{unique}
S* a6 OK {/.*/}
C: a7 FETCH 1 (EMAILID)
S: * 1 FETCH (EMAILID ({e=/M[0-9a-f]+/}))
S: a7 OK {/.*/}
C: a8 MOVE 1:2 mw-{unique}
S: * OK [COPYUID {v=/\d+/} 1:2 1:2] {/.*/}
S: * 1 EXPUNGE
S: * 1 EXPUNGE
S: a8 OK {/.*/}
C: a9 UID MOVE 1:2 mw-{unique}
S: a9 OK {/.*/}
C: b1 MOVE 2 mw-{unique}
S: b1 BAD {/.*/}
C: b2 UID MOVE 3 no-such-{unique}
S: b2 NO [TRYCREATE] {/.*/}
C: b3 EXAMINE mw-{unique}
S: * FLAGS {/.*/}
S: * 2 EXISTS
S* b3 OK {/.*/}
C: b4 UID MOVE 1 mv-{unique}
S: b4 NO [READ-ONLY] {/.*/}
C: b5 SELECT mw-{unique}
S* b5 OK {/.*/}
C: b6 FETCH 1 (EMAILID FLAGS)
S: * 1 FETCH (EMAILID ({e}) FLAGS ({/.*\\Flagged.*/}))
S: b6 OK {/.*/}
C: b7 COPY 1 mv-{unique}
S* b7 OK [COPYUID {/\d+/} 1 4] {/.*/}
C: b8 COPY 1 mv-{unique}
S* b8 OK [COPYUID {/\d+/} 1 5] {/.*/}
C: b9 ENABLE QRESYNC
S: * ENABLED QRESYNC
S: * OK [HIGHESTMODSEQ {/\d+/}] {/.*/}
S: b9 OK {/.*/}
C: c1 UID MOVE 1:* mv-{unique}
S: * OK [COPYUID {/\d+/} 1:2 6:7] {/.*/}
S: * VANISHED 1:2
S: c1 OK [HIGHESTMODSEQ {/\d+/}] {/.*/}
C: c2 SELECT mv-{unique}
S* c2 OK {/.*/}
C: c3 SEARCH EMAILID {e}
S: * SEARCH 2 3 4
S: c3 OK {/.*/}
C: c4 UNSELECT
S: c4 OK {/.*/}
C: c5 DELETE mv-{unique}
S: c5 OK {/.*/}
C: c6 DELETE mw-{unique}
S: c6 OK {/.*/}
