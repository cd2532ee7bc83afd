# STORE: FLAGS, +FLAGS, -FLAGS, .SILENT, keywords; the other session hears of it, the own one is not told twice
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE s-{unique}
S: a1 OK {/.*/}
C: a2 APPEND s-{unique} (\\Flagged) {{21+}}\r\nFrom: 1@x.example\r\n\r\n
S: a2 OK {/.*/}
C: a3 APPEND s-{unique} {{21+}}\r\nFrom: 2@x.example\r\n\r\n
S: a3 OK {/.*/}
C: a4 SELECT s-{unique}
S* a4 OK [READ-WRITE] {/.*/}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: b0 AUTHENTICATE PLAIN {head.plain}
B S* b0 OK {/.*/}
B C: b1 SELECT s-{unique}
B S* * OK [PERMANENTFLAGS ({/.*/}\\*)] {/.*/}
B S* b1 OK {/.*/}
C: a5 STORE 1 FLAGS (\\Seen $Label)
S~ * FLAGS ({/.*/}$Label) | * 1 FETCH (FLAGS ({/\\Seen( \\Recent)?/} $Label))
S: a5 OK {/.*/}
C: a6 STORE 2 +FLAGS.SILENT \\Answered
S: a6 OK {/.*/}
C: a7 UID STORE 1:* -FLAGS (\\Seen)
S: * 1 FETCH (FLAGS ({/(\\Recent )?/}$Label) UID 1)
S: * 2 FETCH (FLAGS (\\Answered{/( \\Recent)?/}) UID 2)
S: a7 OK {/.*/}
C: a8 NOOP
S: a8 OK {/.*/}
B C: b2 NOOP
B S: * FLAGS ({/.*/}$Label)
B S: * 1 FETCH (FLAGS ($Label))
B S: * 2 FETCH (FLAGS (\\Answered))
B S: b2 OK {/.*/}
C: a9 STORE 3 FLAGS ()
S: a9 BAD {/.*/}
C: c1 STORE 1 FLAGS (\\Nonsense)
S: c1 BAD {/.*/}
C: c2 UID STORE 999 FLAGS ()
S: c2 OK {/.*/}
C: c3 SEARCH KEYWORD $label ANSWERED
S: * SEARCH
S: c3 OK {/.*/}
C: c4 SEARCH KEYWORD $label
S: * SEARCH 1
S: c4 OK {/.*/}
B C: b3 EXAMINE s-{unique}
B S* * OK [PERMANENTFLAGS ()] {/.*/}
B S* b3 OK [READ-ONLY] {/.*/}
B C: b4 STORE 1 +FLAGS (\\Seen)
B S: b4 NO [READ-ONLY] {/.*/}
B C: b5 EXPUNGE
B S: b5 NO [READ-ONLY] {/.*/}
B C: b6 FETCH 1 (BODY[])
B S: * 1 FETCH (BODY[] {{21}}
B S: From: 1@x.example
B S:
B S: )
B S: b6 OK {/.*/}
B C: b7 FETCH 1 (FLAGS)
B S: * 1 FETCH (FLAGS ({/(\\Recent )?/}$Label))
B S: b7 OK {/.*/}
B C: b8 LOGOUT
B S* b8 OK {/.*/}
C: c5 FETCH 1 (BODY[HEADER])
S: * 1 FETCH (BODY[HEADER] {{21}}
S: From: 1@x.example
S:
S:  FLAGS (\\Seen {/(\\Recent )?/}$Label))
S: c5 OK {/.*/}
C: c6 CLOSE
S: c6 OK {/.*/}
C: c7 DELETE s-{unique}
S: c7 OK {/.*/}
