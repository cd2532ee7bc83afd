# NAMESPACE, and the special folders in a plain LIST with their use (RFC 2342, RFC 6154)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 NAMESPACE
S: * NAMESPACE (("" "/")) (("Other Users/" "/")) NIL
S: a1 OK {/.*/}
C: a2 LIST "" INBOX
S: * LIST ({/.*/}) "/" {/"?INBOX"?/}
S: a2 OK {/.*/}
C: b0 LIST "" Drafts
S: * LIST ({/.*\\Drafts.*/}) "/" {/"?Drafts"?/}
S: b0 OK {/.*/}
C: b1 LIST "" Sent
S: * LIST ({/.*\\Sent.*/}) "/" {/"?Sent"?/}
S: b1 OK {/.*/}
C: b2 LIST "" Junk
S: * LIST ({/.*\\Junk.*/}) "/" {/"?Junk"?/}
S: b2 OK {/.*/}
C: b3 LIST "" Trash
S: * LIST ({/.*\\Trash.*/}) "/" {/"?Trash"?/}
S: b3 OK {/.*/}
C: b4 LIST "" Archive
S: * LIST ({/.*\\Archive.*/}) "/" {/"?Archive"?/}
S: b4 OK {/.*/}
C: a3 LIST "" ""
S: * LIST (\\Noselect) "/" ""
S: a3 OK {/.*/}
C: a4 LOGOUT
S* a4 OK {/.*/}
