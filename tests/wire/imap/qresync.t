# QRESYNC: VANISHED in place of EXPUNGE, SELECT and UID FETCH tell what was missed, with UIDs known and sequence match data (RFC 7162 3.2)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}

C: a1 CREATE qr-{unique}
S: a1 OK {/.*/}
C: a2 ENABLE QRESYNC
S: * ENABLED QRESYNC
S: a2 OK {/.*/}
C: a3 APPEND qr-{unique} {{21+}}\r\nFrom: 1@x.example\r\n\r\n
S: a3 OK [APPENDUID {v=/\d+/} 1] {/.*/}
C: a4 APPEND qr-{unique} {{21+}}\r\nFrom: 2@x.example\r\n\r\n
S: a4 OK {/.*/}
C: a5 APPEND qr-{unique} {{21+}}\r\nFrom: 3@x.example\r\n\r\n
S: a5 OK {/.*/}
C: a6 APPEND qr-{unique} {{21+}}\r\nFrom: 4@x.example\r\n\r\n
S: a6 OK {/.*/}
C: a7 APPEND qr-{unique} {{21+}}\r\nFrom: 5@x.example\r\n\r\n
S: a7 OK {/.*/}
C: a8 APPEND qr-{unique} {{21+}}\r\nFrom: 6@x.example\r\n\r\n
S: a8 OK {/.*/}

C: b1 SELECT qr-{unique}
S* * OK [HIGHESTMODSEQ {h=/\d+/}] {/.*/}
S* b1 OK {/.*/}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: a0 AUTHENTICATE PLAIN {head.plain}
B S* a0 OK {/.*/}
B C: a1 SELECT qr-{unique}
B S* a1 OK {/.*/}
B C: a2 STORE 2,4 +FLAGS.SILENT (\\Deleted)
B S: a2 OK {/.*/}
B C: a3 EXPUNGE
B S: * 2 EXPUNGE
B S: * 3 EXPUNGE
B S: a3 OK {/.*/}
C: b2 NOOP
S: * VANISHED 2,4
S: b2 OK {/.*/}
C: b3 STORE 1 +FLAGS.SILENT (\\Deleted)
S: * 1 FETCH (UID 1 MODSEQ ({/\d+/}))
S: b3 OK {/.*/}
C: b4 UID EXPUNGE 1
S: * VANISHED 1
S: b4 OK [HIGHESTMODSEQ {x=/\d+/}] {/.*/}
C: b5 UNSELECT
S: b5 OK {/.*/}
B C: a4 STORE 4 +FLAGS (\\Flagged)
B S* a4 OK {/.*/}
# what was missed since before all of it: first the usual answers, then what vanished, then what changed
C: c1 SELECT qr-{unique} (QRESYNC ({v} {h}))
S* * OK [HIGHESTMODSEQ {now=/\d+/}] {/.*/}
S: * OK [MAILBOXID {/.*/}
S: * VANISHED (EARLIER) 1:2,4
S: * 3 FETCH (FLAGS ({/(\\Recent )?\\Flagged( \\Recent)?/}) UID 6 MODSEQ ({now}))
S: c1 OK {/.*/}
# only among the UIDs known; the mailbox that was selected is closed
C: c2 SELECT qr-{unique} (QRESYNC ({v} {h} 2:3,5))
S: * OK [CLOSED] {/.*/}
S* * OK [MAILBOXID {/.*/}
S: * VANISHED (EARLIER) 2
S: c2 OK {/.*/}
# numbers that agree: nothing vanished at or below UID 3
C: c3 EXAMINE qr-{unique} (QRESYNC ({v} {h} 1:6 (1,2 3,4)))
S* * OK [MAILBOXID {/.*/}
S: * VANISHED (EARLIER) 4
S: * 3 FETCH (FLAGS ({/.*/}) UID 6 MODSEQ ({now}))
S: c3 OK [READ-ONLY] {/.*/}
# another UIDVALIDITY, or nothing missed: as if nothing was asked
C: c4 SELECT qr-{unique} (QRESYNC (1 {h}))
S* * OK [MAILBOXID {/.*/}
S: c4 OK {/.*/}
C: c5 SELECT qr-{unique} (QRESYNC ({v} {now}) CONDSTORE)
S* * OK [MAILBOXID {/.*/}
S: c5 OK {/.*/}
C: c6 UID FETCH 2:* (FLAGS) (CHANGEDSINCE {h} VANISHED)
S: * VANISHED (EARLIER) 2,4
S: * 3 FETCH (UID 6 FLAGS ({/.*/}) MODSEQ ({now}))
S: c6 OK {/.*/}
# 0: everything that is not there
C: c7 UID FETCH 1:4 (UID) (VANISHED CHANGEDSINCE 0)
S: * VANISHED (EARLIER) 1:2,4
S: * 1 FETCH (UID 3 MODSEQ ({/\d+/}))
S: c7 OK {/.*/}
C: c8 FETCH 1:3 (UID) (CHANGEDSINCE 1 VANISHED)
S: c8 BAD {/.*/}
C: c9 UID FETCH 1:3 (UID) (VANISHED)
S: c9 BAD {/.*/}
C: d1 SELECT qr-{unique} (QRESYNC ({v} {h} 1:* (1 1)))
S: d1 BAD {/.*/}
C: d2 SELECT qr-{unique} (QRESYNC ({v} {h} 1:6 (1:2 1)))
S: d2 BAD {/.*/}
C: d3 SELECT qr-{unique} (QRESYNC (0 {h}))
S: d3 BAD {/.*/}
# an EXPUNGE that is held back: the mod-sequence of what comes behind it is not taken for the mailbox's
B C: a5 UID STORE 3 +FLAGS.SILENT (\\Deleted)
B S* a5 OK {/.*/}
B C: a6 EXPUNGE
B S* a6 OK {/.*/}
C: d4 STORE 2 +FLAGS.SILENT (\\Seen)
S: * 2 FETCH (UID 5 MODSEQ ({m=/\d+/}))
S: * OK [HIGHESTMODSEQ {/\d+/}] {/.*/}
S: d4 OK {/.*/}
C: d5 NOOP
S: * VANISHED 3
S: d5 OK {/.*/}
C: d6 UNSELECT
S: d6 OK {/.*/}
C: d7 DELETE qr-{unique}
S: d7 OK {/.*/}
