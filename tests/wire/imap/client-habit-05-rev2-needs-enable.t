# Client habit 5: that IMAP4rev2 is advertised changes nothing until ENABLE (RFC 9051 6.3.1, appendix A)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S: a0 OK [CAPABILITY {/IMAP4rev1 IMAP4rev2 .*/}] {/.*/}
C: a1 CREATE "r2 &HqU- {unique}"
S: a1 OK {/.+/}
C: a2 APPEND "r2 &HqU- {unique}" {{38+}}\r\nFrom: a@x.example\r\nSubject: one\r\n\r\nx\r\n
S: a2 OK {/.+/}
C: a3 SELECT "r2 &HqU- {unique}"
S: * FLAGS {/.+/}
S: * 1 EXISTS
S: * 1 RECENT
S: * OK [UNSEEN 1] {/.+/}
S* a3 OK {/.+/}
C: a4 SEARCH ALL
S: * SEARCH 1
S: a4 OK {/.+/}
C: a5 FETCH 1 FLAGS
S: * 1 FETCH (FLAGS (\\Recent))
S: a5 OK {/.+/}
C: a6 SELECT "r2 &HqU- {unique}"
S: * FLAGS {/.+/}
S* a6 OK {/.+/}
C: a7 STATUS "r2 &HqU- {unique}" (RECENT MESSAGES)
S: * STATUS "r2 &HqU- {unique}" (RECENT 0 MESSAGES 1)
S: a7 OK {/.+/}
C: a8 LIST "" "r2*{unique}"
S: * LIST (\\HasNoChildren) "/" "r2 &HqU- {unique}"
S: a8 OK {/.+/}
C: a9 LSUB "" "nothing {unique}"
S: a9 OK {/.+/}
