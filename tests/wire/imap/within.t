# SEARCH OLDER and YOUNGER (RFC 5032): by INTERNALDATE and the server's clock
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S: a0 OK [CAPABILITY {/.*\bWITHIN\b.*/}] {/.*/}
C: a1 CREATE wi-{unique}
S: a1 OK {/.*/}
C: b1 APPEND wi-{unique} "07-Feb-1994 21:52:25 +0700" {{38+}}\r\nFrom: a@x.example\r\nSubject: old\r\n\r\nx\r\n
S: b1 OK {/.*/}
C: b2 APPEND wi-{unique} {{38+}}\r\nFrom: a@x.example\r\nSubject: now\r\n\r\nx\r\n
S: b2 OK {/.*/}
C: a2 EXAMINE wi-{unique}
S* a2 OK {/.*/}
C: s1 SEARCH YOUNGER 3600
S: * SEARCH 2
S: s1 OK {/.*/}
C: s2 SEARCH OLDER 3600
S: * SEARCH 1
S: s2 OK {/.*/}
C: s3 SEARCH NOT OLDER 4294967295
S: * SEARCH 1 2
S: s3 OK {/.*/}
C: s4 SEARCH YOUNGER 0
S: s4 BAD {/.*/}
C: s5 SEARCH OLDER 4294967296
S: s5 BAD {/.*/}
C: s6 SEARCH OLDER -1
S: s6 BAD {/.*/}
