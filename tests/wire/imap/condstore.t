# CONDSTORE: mod-sequences in FETCH, STORE, SEARCH, STATUS; CHANGEDSINCE; UNCHANGEDSINCE with MODIFIED (RFC 7162 3.1)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}

C: a1 CREATE cs-{unique}
S: a1 OK [MAILBOXID (F{box=/[0-9a-f]+/})] {/.*/}
C: a2 APPEND cs-{unique} {{21+}}\r\nFrom: 1@x.example\r\n\r\n
S: a2 OK {/.*/}
C: a3 APPEND cs-{unique} (\\Flagged) {{21+}}\r\nFrom: 2@x.example\r\n\r\n
S: a3 OK {/.*/}
C: a4 SELECT cs-{unique}
S* * OK [HIGHESTMODSEQ {h=/\d+/}] {/.*/}
S: * OK [MAILBOXID (F{box})] {/.*/}
S: a4 OK {/.*/}
C: a5 STORE 1 +FLAGS (\\Seen)
S: * 1 FETCH (FLAGS ({/.*/}))
S: a5 OK {/.*/}
# the first command that speaks of mod-sequences switches them on, and the present one is told
C: a6 FETCH 1:2 (MODSEQ)
S: * OK [HIGHESTMODSEQ {/\d+/}] {/.*/}
S: * 1 FETCH (MODSEQ ({m1=/\d+/}))
S: * 2 FETCH (MODSEQ ({m2=/\d+/}))
S: a6 OK {/.*/}
C: a7 STORE 2 +FLAGS (\\Answered)
S: * 2 FETCH (FLAGS ({/.*/}) UID 2 MODSEQ ({m3=/\d+/}))
S: a7 OK {/.*/}
C: a8 STORE 2 +FLAGS.SILENT (\\Draft)
S: * 2 FETCH (UID 2 MODSEQ ({m4=/\d+/}))
S: a8 OK {/.*/}
# only what changed since
C: a9 FETCH 1:* (FLAGS) (CHANGEDSINCE {m1})
S: * 2 FETCH (FLAGS ({/.*/}) MODSEQ ({m4}))
S: a9 OK {/.*/}
C: b1 FETCH 1:* FAST (CHANGEDSINCE {m4})
S: b1 OK {/.*/}
# client habit 11: CHANGEDSINCE 0 is accepted
C: b2 UID FETCH 1:* (UID) (CHANGEDSINCE 0)
S: * 1 FETCH (UID 1 MODSEQ ({m1}))
S: * 2 FETCH (UID 2 MODSEQ ({m4}))
S: b2 OK {/.*/}
C: b3 STORE 1:2 (UNCHANGEDSINCE {m1}) +FLAGS (\\Deleted)
S: * 1 FETCH (FLAGS ({/.*\\Deleted.*/}) UID 1 MODSEQ ({m5=/\d+/}))
S: * 2 FETCH (FLAGS ({/((?!Deleted).)*/}) UID 2 MODSEQ ({m4}))
S: b3 OK [MODIFIED 2] {/.*/}
C: b4 UID STORE 2 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\\Deleted)
S: b4 OK [MODIFIED 2] {/.*/}
C: b5 UID STORE 2 (UNCHANGEDSINCE {m4}) -FLAGS.SILENT (\\Draft)
S: * 2 FETCH (UID 2 MODSEQ ({m6=/\d+/}))
S: b5 OK {/.*/}
C: b6 SEARCH MODSEQ {m6}
S: * SEARCH 2 (MODSEQ {m6})
S: b6 OK {/.*/}
C: b7 SEARCH NOT DELETED MODSEQ "/flags/\\\\draft" all 99999999
S: * SEARCH
S: b7 OK {/.*/}
C: b8 SEARCH RETURN (MIN) MODSEQ 1
S: * ESEARCH (TAG "b8") MIN 1 MODSEQ {m5}
S: b8 OK {/.*/}
C: b9 STATUS cs-{unique} (HIGHESTMODSEQ DELETED DELETED-STORAGE MAILBOXID)
S: * STATUS "cs-{unique}" (HIGHESTMODSEQ {m6} DELETED 1 DELETED-STORAGE 21 MAILBOXID (F{box}))
S: b9 OK {/.*/}
C: c1 UID FETCH 1:* (UID) (CHANGEDSINCE 1 VANISHED)
S: c1 BAD {/.*/}
C: c2 FETCH 1:* (UID) (CHANGEDSINCE)
S: c2 BAD {/.*/}
C: c3 STORE 1 (UNCHANGEDSINCE x) FLAGS (\\Seen)
S: c3 BAD {/.*/}
C: c4 SELECT cs-{unique} (QRESYNC (1 1))
S: c4 BAD {/.*/}
C: c5 SELECT cs-{unique} (CONDSTORE)
S* * OK [HIGHESTMODSEQ {m6}] {/.*/}
S* c5 OK {/.*/}
C: c6 FETCH 2 BODY[]
S: * 2 FETCH (BODY[] {{21}}
S: From: 2@x.example
S:
S:  FLAGS ({/.*\\Seen.*/}) UID 2 MODSEQ ({/\d+/}))
S: c6 OK {/.*/}
C: c7 DELETE cs-{unique}
S: c7 OK {/.*/}
