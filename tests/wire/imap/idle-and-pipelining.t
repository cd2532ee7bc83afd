# IDLE, and commands pipelined right behind DONE (as iOS does)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 SELECT INBOX
S* a1 OK {/.*/}
C: a2 IDLE
S: + {/.*/}
C- DONE\r\na3 NAMESPACE\r\na4 LIST "" INBOX\r\n
S* a2 OK {/.*/}
S: * NAMESPACE {/.*/}
S: a3 OK {/.*/}
S: * LIST ({/.*/}) "/" {/"?INBOX"?/}
S: a4 OK {/.*/}
C: a5 LOGOUT
S* a5 OK {/.*/}
