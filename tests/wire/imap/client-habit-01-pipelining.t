# Client habit 1: iOS sends commands right behind DONE, and NAMESPACE and LIST in one packet: what is buffered is taken, answers come in order
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 SELECT INBOX
S* a1 OK {/.+/}
C: a2 IDLE
S: + {/.+/}
C: DONE\r\na3 NAMESPACE\r\na4 LIST "" "Sent"\r\na5 UID SEARCH RETURN (COUNT) NOT ALL
S: a2 OK {/.+/}
S: * NAMESPACE {/.+/}
S: a3 OK {/.+/}
S: * LIST ({/.*\\Sent.*/}) "/" "Sent"
S: a4 OK {/.+/}
S: * ESEARCH (TAG "a5") UID COUNT 0
S: a5 OK {/.+/}
# IDLE, DONE and what follows in one packet; a literal among them
C: b1 IDLE\r\nDONE\r\nb2 NAMESPACE\r\nb3 LIST "" {{4+}}\r\nSent\r\nb4 IDLE\r\nDONE\r\nb5 NOOP
S: + {/.+/}
S: b1 OK {/.+/}
S: * NAMESPACE {/.+/}
S: b2 OK {/.+/}
S: * LIST ({/.+/}) "/" "Sent"
S: b3 OK {/.+/}
S: + {/.+/}
S: b4 OK {/.+/}
S: b5 OK {/.+/}
# before login as well
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: c1 CAPABILITY\r\nc2 AUTHENTICATE PLAIN {head.plain}\r\nc3 NAMESPACE\r\nc4 LIST "" "Sent"
B S: * CAPABILITY {/.+/}
B S: c1 OK {/.+/}
B S* c2 OK {/.+/}
B S: * NAMESPACE {/.+/}
B S: c3 OK {/.+/}
B S: * LIST ({/.+/}) "/" "Sent"
B S: c4 OK {/.+/}
