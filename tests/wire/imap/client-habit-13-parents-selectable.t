# Client habit 13: Outlook loses mail below a parent that is \\NoSelect: parents are made with what is below them, and stay while it is there
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE pa-{unique}/b/c
S: a1 OK {/.+/}
C: a2 LIST "" pa-{unique}*
S: * LIST (\\HasChildren) "/" "pa-{unique}"
S: * LIST (\\HasChildren) "/" "pa-{unique}/b"
S: * LIST (\\HasNoChildren) "/" "pa-{unique}/b/c"
S: a2 OK {/.+/}
C: a3 SELECT pa-{unique}/b
S* a3 OK {/.+/}
C: a4 DELETE pa-{unique}/b
S: a4 NO [HASCHILDREN] {/.+/}
C: a5 EXAMINE pa-{unique}/b
S* a5 OK {/.+/}
C: a6 CREATE mo-{unique}
S: a6 OK {/.+/}
C: a7 RENAME mo-{unique} pa-{unique}/n/e/w
S: a7 OK {/.+/}
C: a8 LIST "" pa-{unique}/n*
S: * LIST (\\HasChildren) "/" "pa-{unique}/n"
S: * LIST (\\HasChildren) "/" "pa-{unique}/n/e"
S: * LIST (\\HasNoChildren) "/" "pa-{unique}/n/e/w"
S: a8 OK {/.+/}
C: a9 DELETE pa-{unique}/b/c
S: a9 OK {/.+/}
C: b1 DELETE pa-{unique}/b
S* b1 OK {/.+/}
