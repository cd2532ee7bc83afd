# A functional mailbox stands below Other Users: its INBOX is the name itself
{CONNECT imaps}
S: * OK {/.*/}
C: a1 AUTHENTICATE PLAIN {clerk.plain}
S: a1 OK {/.*/}
C: a2 NAMESPACE
S: * NAMESPACE (("" "/")) (("Other Users/" "/")) NIL
S: a2 OK {/.*/}
C: a3 LIST "" "Other Users/%"
S: * LIST (\\HasChildren) "/" "Other Users/vanthu"
S: a3 OK {/.*/}
C: a4 LIST "" %
S* * LIST (\\Noselect \\HasChildren) "/" "Other Users"
S* a4 OK {/.*/}
C: a5 SELECT "Other Users/vanthu"
S* a5 OK [READ-WRITE] {/.*/}
C: a6 CREATE "Other Users/vanthu/Den"
S: a6 OK {/.*/}
C: a7 STATUS "Other Users/vanthu/Den" (MESSAGES)
S: * STATUS "Other Users/vanthu/Den" (MESSAGES 0)
S: a7 OK {/.*/}
C: a71 LIST "" "Other Users/vanthu/Sent"
S: * LIST (\\HasNoChildren) "/" "Other Users/vanthu/Sent"
S: a71 OK {/.*/}
C: a72 LIST "" Sent
S: * LIST (\\HasNoChildren \\Sent) "/" "Sent"
S: a72 OK {/.*/}
C: a8 SELECT "Other Users"
S: a8 NO [NONEXISTENT] {/.*/}
C: a9 CREATE "Other Users/fremd"
S: a9 NO {/.*/}
C: a10 RENAME "Other Users/vanthu/Den" Elsewhere
S: a10 NO [NOPERM] {/.*/}
