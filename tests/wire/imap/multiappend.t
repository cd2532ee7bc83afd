# MULTIAPPEND: several messages go in together or not at all, with their own flags and dates (RFC 3502)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE ma-{unique}
S: a1 OK {/.*/}
C: a2 APPEND ma-{unique} (\\Flagged) {{21+}}\r\nFrom: 1@x.example\r\n\r\n (\\Seen $A) "01-Jan-2020 00:00:00 +0000" {{21+}}\r\nFrom: 2@x.example\r\n\r\n {{21}}
S: + {/.*/}
C: From: 3@x.example\r\n\r\n
S: a2 OK [APPENDUID {v=/\d+/} 1:3] {/.*/}
# the second is refused: nothing of it is there; what comes unasked is read to its end
C: a3 APPEND ma-{unique} {{21+}}\r\nFrom: 4@x.example\r\n\r\n {{0+}}\r\n {{21+}}\r\nFrom: 5@x.example\r\n\r\n
S: a3 NO {/.*/}
C: a4 APPEND ma-{unique} {{21+}}\r\nFrom: 4@x.example\r\n\r\n {{4000000000}}
S: a4 NO [TOOBIG] {/.*/}
C: a5 APPEND ma-{unique} {{21+}}\r\nFrom: 4@x.example\r\n\r\n (\\Nonsense) {{21+}}\r\nFrom: 5@x.example\r\n\r\n
S: a5 BAD {/.*/}
C: a6 APPEND ma-{unique} {{21+}}\r\nFrom: 4@x.example\r\n\r\n ~{{24+}}\r\nFrom: 1@x.example\r\n\r\na\0b
S: a6 NO [UNKNOWN-CTE] {/.*/}
C: a7 APPEND ma-{unique} {{21+}}\r\nFrom: 4@x.example\r\n\r\n junk
S: a7 BAD {/.*/}
C: a8 APPEND none-{unique} {{5+}}\r\nhello {{5+}}\r\nhello
S: a8 NO [TRYCREATE] {/.*/}
C: a9 SELECT ma-{unique}
S* * 3 EXISTS
S* a9 OK {/.*/}
C: b1 FETCH 1:3 (FLAGS INTERNALDATE)
S: * 1 FETCH (FLAGS ({/.*\\Flagged.*/}) INTERNALDATE "{/.*/}")
S: * 2 FETCH (FLAGS ({/.*\\Seen.*\$A.*/}) INTERNALDATE "01-Jan-2020 00:00:00 +0000")
S: * 3 FETCH (FLAGS ({/(\\Recent)?/}) INTERNALDATE "{/.*/}")
S: b1 OK {/.*/}
C: b2 UNSELECT
S: b2 OK {/.*/}
C: b3 DELETE ma-{unique}
S: b3 OK {/.*/}
