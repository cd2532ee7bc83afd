# NAMESPACE, and the special folders in a plain LIST with their use (RFC 2342, RFC 6154)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 NAMESPACE
S: * NAMESPACE (("" "/")) (("Other Users/" "/")) NIL
S: a1 OK {/.*/}
C: a2 LIST "" %
S~ * LIST ({/.*/}) "/" {/"?INBOX"?/} | * LIST ({/.*\\Drafts.*/}) "/" {/"?Drafts"?/} | * LIST ({/.*\\Sent.*/}) "/" {/"?Sent"?/} | * LIST ({/.*\\Junk.*/}) "/" {/"?Junk"?/} | * LIST ({/.*\\Trash.*/}) "/" {/"?Trash"?/} | * LIST ({/.*\\Archive.*/}) "/" {/"?Archive"?/}
S: a2 OK {/.*/}
C: a3 LIST "" ""
S: * LIST (\\Noselect) "/" ""
S: a3 OK {/.*/}
C: a4 LOGOUT
S* a4 OK {/.*/}
