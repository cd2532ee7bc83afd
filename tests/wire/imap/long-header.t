# A header of 20 KB: fields, the whole of it and a partial are the same as from a short one
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE h-{unique}
S: a1 OK {/.*/}
C- a2 APPEND h-{unique} {{20118+}}\r\n
C: {*300 X-N: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n}Subject: s\r\n\r\nbody
S: a2 OK {/.*/}
C: a3 SELECT h-{unique}
S* a3 OK {/.*/}
C: a4 FETCH 1 (BODY.PEEK[HEADER.FIELDS (Subject)] BODY.PEEK[HEADER]<20100.100> BODY.PEEK[TEXT] RFC822.SIZE)
S: * 1 FETCH (BODY[HEADER.FIELDS (Subject)] {{14}}
S: Subject: s
S:
S:  BODY[HEADER]<20100> {{14}}
S: Subject: s
S:
S:  BODY[TEXT] {{4}}
S: body RFC822.SIZE 20118)
S: a4 OK {/.*/}
C: a5 FETCH 1 (BODY.PEEK[HEADER.FIELDS.NOT (X-N)] BODY.PEEK[HEADER.FIELDS (None)])
S: * 1 FETCH (BODY[HEADER.FIELDS.NOT (X-N)] {{14}}
S: Subject: s
S:
S:  BODY[HEADER.FIELDS (None)] {{2}}
S:
S: )
S: a5 OK {/.*/}
C: a6 DELETE h-{unique}
S: a6 OK {/.*/}
