# STORE .SILENT keeps quiet about what the client asked for, and about that alone: what another session changed on the same message just before, so that word of it
# comes after the command was on its way, is told (RFC 9051 6.4.6)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE Late-{unique}
S: a1 OK {/.*/}
C: a2 APPEND Late-{unique} {{21+}}\r\nFrom: 1@x.example\r\n\r\n
S: a2 OK {/.*/}
C: a3 APPEND Late-{unique} {{21+}}\r\nFrom: 2@x.example\r\n\r\n
S: a3 OK {/.*/}
C: a4 SELECT Late-{unique}
S* a4 OK {/.*/}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: b0 AUTHENTICATE PLAIN {head.plain}
B S* b0 OK {/.*/}
B C: b1 SELECT Late-{unique}
B S* b1 OK {/.*/}

# alone, nothing is told, not later either
C: a5 STORE 1:2 +FLAGS.SILENT (\\Seen $Mine)
S: a5 OK {/.*/}
C: a6 NOOP
S: a6 OK {/.*/}
B C: b2 NOOP
B S: * FLAGS ({/.*\$Mine.*/})
B S: * 1 FETCH (FLAGS (\\Seen $Mine))
B S: * 2 FETCH (FLAGS (\\Seen $Mine))
B S: b2 OK {/.*/}
C: a7 STORE 2 +FLAGS.SILENT (\\Draft)
S: a7 OK {/.*/}
B C: b3 NOOP
B S: * 2 FETCH (FLAGS (\\Seen \\Draft $Mine))
B S: b3 OK {/.*/}

# a keyword of another session, below a silent flag
B C: b4 STORE 1 +FLAGS.SILENT ($Theirs)
B S: b4 OK {/.*/}
C: a8 STORE 1:2 +FLAGS.SILENT (\\Answered)
S: * FLAGS ({/.*\$Theirs.*/})
S: * 1 FETCH (FLAGS (\\Answered \\Seen \\Recent $Mine $Theirs))
S: a8 OK {/.*/}
C: a9 NOOP
S: a9 OK {/.*/}

# a silent STORE that changes nothing on top of it
B C: b5 NOOP
B S: * FLAGS ({/.*\$Theirs.*/})
B S: * 1 FETCH (FLAGS (\\Answered \\Seen $Mine $Theirs))
B S: * 2 FETCH (FLAGS (\\Answered \\Seen \\Draft $Mine))
B S: b5 OK {/.*/}
B C: b6 STORE 2 +FLAGS.SILENT ($Other)
B S: b6 OK {/.*/}
C: c0 STORE 2 +FLAGS.SILENT (\\Seen)
S: * FLAGS ({/.*\$Other.*/})
S: * 2 FETCH (FLAGS (\\Answered \\Seen \\Draft \\Recent $Mine $Other))
S: c0 OK {/.*/}

C: c1 CLOSE
S: c1 OK {/.*/}
C: c2 DELETE Late-{unique}
S: c2 OK {/.*/}
