# STATUS SIZE (RFC 8438) is the sum of the RFC822.SIZE of the messages
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK [CAPABILITY {/.* STATUS=SIZE.*/}] {/.*/}
C: a1 CREATE z-{unique}
S: a1 OK {/.*/}
C: a2 STATUS z-{unique} (SIZE MESSAGES)
S: * STATUS {/"?/}z-{unique}{/"?/} (SIZE 0 MESSAGES 0)
S: a2 OK {/.*/}
C: a3 APPEND z-{unique} {{21+}}\r\nFrom: 1@x.example\r\n\r\n
S: a3 OK {/.*/}
C: a4 APPEND z-{unique} (\\Deleted) {{23+}}\r\nFrom: 123@x.example\r\n\r\n
S: a4 OK {/.*/}
C: a5 STATUS z-{unique} (SIZE)
S: * STATUS {/"?/}z-{unique}{/"?/} (SIZE 44)
S: a5 OK {/.*/}
C: a6 SELECT z-{unique}
S* a6 OK {/.*/}
C: a7 EXPUNGE
S: * 2 EXPUNGE
S: a7 OK {/.*/}
C: a8 LIST "" z-{unique} RETURN (STATUS (SIZE UNSEEN))
S: * LIST ({/.*/}) "/" {/"?/}z-{unique}{/"?/}
S: * STATUS {/"?/}z-{unique}{/"?/} (SIZE 21 UNSEEN 1)
S: a8 OK {/.*/}
C: a9 DELETE z-{unique}
S: a9 OK {/.*/}
