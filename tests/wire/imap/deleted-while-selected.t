# A mailbox deleted by another session: the one that has it open is told BYE, and may connect again
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE g-{unique}
S: a1 OK {/.*/}
C: a2 SELECT g-{unique}
S* a2 OK {/.*/}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: b0 AUTHENTICATE PLAIN {head.plain}
B S* b0 OK {/.*/}
B C: b1 DELETE g-{unique}
B S: b1 OK {/.*/}
C: a3 NOOP
S: * BYE {/.*/}
{EOF}
