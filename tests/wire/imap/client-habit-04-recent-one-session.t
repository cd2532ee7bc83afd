# Client habit 4: K-9, Thunderbird and aerc need \\Recent and RECENT: exactly one session gets \\Recent, and EXAMINE takes it from nobody
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE rec-{unique}
S: a1 OK {/.+/}
C: a2 APPEND rec-{unique} {{38+}}\r\nFrom: a@x.example\r\nSubject: one\r\n\r\nx\r\n
S: a2 OK {/.+/}
C: a3 EXAMINE rec-{unique}
S: * FLAGS {/.+/}
S: * 1 EXISTS
S: * 1 RECENT
S* a3 OK {/.+/}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: b0 AUTHENTICATE PLAIN {head.plain}
B S* b0 OK {/.*/}
B C: b1 SELECT rec-{unique}
B S: * FLAGS {/.+/}
B S: * 1 EXISTS
B S: * 1 RECENT
B S* b1 OK {/.+/}
B C: b2 FETCH 1 FLAGS
B S: * 1 FETCH (FLAGS (\\Recent))
B S: b2 OK {/.+/}
C: a4 SELECT rec-{unique}
S: * FLAGS {/.+/}
S: * 1 EXISTS
S: * 0 RECENT
S* a4 OK {/.+/}
C: a5 FETCH 1 FLAGS
S: * 1 FETCH (FLAGS ())
S: a5 OK {/.+/}
# a new message is recent to the one that hears of it first
C: a6 APPEND rec-{unique} {{38+}}\r\nFrom: a@x.example\r\nSubject: one\r\n\r\nx\r\n
S: * 2 EXISTS
S: * 1 RECENT
S: a6 OK {/.+/}
B C: b3 NOOP
B S: * 2 EXISTS
B S: * 1 RECENT
B S: b3 OK {/.+/}
B C: b4 SEARCH RECENT
B S: * SEARCH 1
B S: b4 OK {/.+/}
C: a7 SEARCH RECENT
S: * SEARCH 2
S: a7 OK {/.+/}
C: a8 STATUS rec-{unique} (RECENT)
S: * STATUS {/.+/} (RECENT 0)
S: a8 OK {/.+/}
