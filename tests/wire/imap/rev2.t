# IMAP4rev2 enabled (RFC 9051): no RECENT, ESEARCH, LIST and CLOSED at SELECT, OLDNAME, UTF-8 names, UID in FETCH that was not asked for
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S: a0 OK [CAPABILITY {/IMAP4rev1 IMAP4rev2 .*/}] {/.*/}
C: a1 ENABLE IMAP4rev2
S: * ENABLED IMAP4rev2
S: a1 OK {/.+/}
C: a2 CREATE "Việt & {unique}"
S: a2 OK {/.+/}
C: b1 APPEND "Việt & {unique}" {{38+}}\r\nFrom: a@x.example\r\nSubject: one\r\n\r\nx\r\n
S: b1 OK [APPENDUID {/\d+/} 1] {/.+/}
C: b2 SELECT "Việt & {unique}"
S: * FLAGS {/[^R]+/}
S: * 1 EXISTS
S: * LIST () "/" "Việt & {unique}"
S: * OK [PERMANENTFLAGS {/.+/}] {/.+/}
S: * OK [UIDVALIDITY {/\d+/}] {/.+/}
S: * OK [UIDNEXT 2] {/.+/}
S: * OK [HIGHESTMODSEQ {/\d+/}] {/.+/}
S: * OK [MAILBOXID {/.+/}] {/.+/}
S: b2 OK [READ-WRITE] {/.+/}
C: b3 FETCH 1 FLAGS
S: * 1 FETCH (FLAGS ())
S: b3 OK {/.+/}
# RFC 9051 6.4.4: ESEARCH, with or without a match
C: c1 SEARCH ALL
S: * ESEARCH (TAG "c1") ALL 1
S: c1 OK {/.+/}
C: c2 UID SEARCH CHARSET UTF-8 SUBJECT "không"
S: * ESEARCH (TAG "c2") UID
S: c2 OK {/.+/}
C: c3 SEARCH RETURN (SAVE) ALL
S: c3 OK {/.+/}
C: c4 STATUS "Việt & {unique}" (MESSAGES DELETED SIZE)
S: * STATUS "Việt & {unique}" (MESSAGES 1 DELETED 0 SIZE 38)
S: c4 OK {/.+/}
# Another session changes a flag and adds a message: UID, no RECENT
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: a0 AUTHENTICATE PLAIN {head.plain}
B S* a0 OK {/.*/}
B C: a1 SELECT "Vi&Hsc-t &- {unique}"
B S* a1 OK {/.+/}
B C: a2 STORE 1 +FLAGS.SILENT (\\Deleted)
B S: a2 OK {/.+/}
B C: a3 APPEND "Vi&Hsc-t &- {unique}" {{38+}}\r\nFrom: a@x.example\r\nSubject: one\r\n\r\nx\r\n
B S* a3 OK {/.+/}
C: d1 NOOP
S: * 2 EXISTS
S: * 1 FETCH (FLAGS (\\Deleted) UID 1)
S: d1 OK {/.+/}
C: d2 STATUS "Việt & {unique}" (DELETED)
S: * STATUS "Việt & {unique}" (DELETED 1)
S: d2 OK {/.+/}
# Names given in another form: LIST tells how they are kept
C: e1 SELECT inbox
S: * OK [CLOSED] {/.+/}
S* * LIST () "/" "INBOX" ("OLDNAME" ("inbox"))
S* e1 OK {/.+/}
C: e2 CREATE "Việt con {unique}"
S: * LIST () "/" "Việt con {unique}" ("OLDNAME" ("Việt con {unique}"))
S: e2 OK {/.+/}
C: e3 RENAME "Việt con {unique}" "Việt cháu {unique}"
S: * LIST () "/" "Việt cháu {unique}" ("OLDNAME" ("Việt con {unique}"))
S: e3 OK {/.+/}
C: e4 DELETE "Việt cháu {unique}"
S: * LIST (\\NonExistent) "/" "Việt cháu {unique}" ("OLDNAME" ("Việt cháu {unique}"))
S: e4 OK {/.+/}
C: e5 DELETE "Việt & {unique}"
S: e5 OK {/.+/}
C: f1 SUBSCRIBE "n{unique}"
S: f1 OK {/.+/}
C: f2 LIST (SUBSCRIBED) "" "n{unique}"
S: * LIST (\\NonExistent \\Subscribed \\HasNoChildren) "/" "n{unique}"
S: f2 OK {/.+/}
C: f3 UNSUBSCRIBE "n{unique}"
S: f3 OK {/.+/}
C: f4 SELECT Sent
S: * OK [CLOSED] {/.+/}
S* * LIST (\\Sent) "/" "Sent"
S* f4 OK {/.+/}
C: f5 SELECT "nothing {unique}"
S: * OK [CLOSED] {/.+/}
S: f5 NO [NONEXISTENT] {/.+/}
