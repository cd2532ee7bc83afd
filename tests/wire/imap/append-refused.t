# APPEND refused: what comes with a LITERAL+ is read to its end and the stream stays in step
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 APPEND none-{unique} {{5+}}\r\nhello
S: a1 NO [TRYCREATE] {/.*/}
C: a2 APPEND none-{unique} {{5}}
S: a2 NO [TRYCREATE] {/.*/}
C: a3 APPEND INBOX (\\Nonsense) {{9+}}\r\nb NOOP\r\n\r\n
S: a3 BAD {/.*/}
C: a4 APPEND INBOX {{4000000000}}
S: a4 NO [TOOBIG] {/.*/}
C: a5 APPEND INBOX {{0+}}\r\n
S: a5 NO {/.*/}
C: a6 APPEND INBOX
S: a6 BAD {/.*/}
C: a7 APPEND none-{unique} (\\Seen) "17-Jul-1996 02:44:25 -0700" {{5+}}\r\nhello {{5+}}\r\nhello
S* a7 {/(BAD|NO) .*/}
