# SEARCH RETURN: MIN, MAX, ALL, COUNT (RFC 4731): one ESEARCH response, also without a match; wrong options change nothing
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S: a0 OK [CAPABILITY {/.*\bESEARCH\b.*/}] {/.*/}
C: a1 CREATE es-{unique}
S: a1 OK {/.*/}
C: b1 APPEND es-{unique} (\\Seen) "07-Feb-1994 21:52:25 +0700" {{38+}}\r\nFrom: a@x.example\r\nSubject: one\r\n\r\nx\r\n
S: b1 OK {/.*/}
C: b2 APPEND es-{unique} "07-Feb-1994 21:52:25 +0700" {{38+}}\r\nFrom: a@x.example\r\nSubject: two\r\n\r\nx\r\n
S: b2 OK {/.*/}
C: b3 APPEND es-{unique} "07-Feb-1994 21:52:25 +0700" {{40+}}\r\nFrom: a@x.example\r\nSubject: three\r\n\r\nx\r\n
S: b3 OK {/.*/}
C: b4 APPEND es-{unique} (\\Seen) "07-Feb-1994 21:52:25 +0700" {{39+}}\r\nFrom: a@x.example\r\nSubject: four\r\n\r\nx\r\n
S: b4 OK {/.*/}
C: a2 SELECT es-{unique}
S* a2 OK {/.*/}
C: a3 STORE 1 +FLAGS.SILENT (\\Deleted)
S: a3 OK {/.*/}
C: a4 EXPUNGE
S: * 1 EXPUNGE
S: a4 OK {/.*/}
C: s1 SEARCH RETURN (MIN MAX COUNT ALL) ALL
S: * ESEARCH (TAG "s1") MIN 1 MAX 3 COUNT 3 ALL 1:3
S: s1 OK {/.*/}
C: s2 UID SEARCH RETURN (MIN) ALL
S: * ESEARCH (TAG "s2") UID MIN 2
S: s2 OK {/.*/}
C: s3 UID SEARCH RETURN () UNSEEN
S: * ESEARCH (TAG "s3") UID ALL 2:3
S: s3 OK {/.*/}
C: s4 SEARCH RETURN (COUNT MIN MAX ALL) SUBJECT nothing
S: * ESEARCH (TAG "s4") COUNT 0
S: s4 OK {/.*/}
C: s5 SEARCH RETURN (MIN) SUBJECT nothing
S: * ESEARCH (TAG "s5")
S: s5 OK {/.*/}
C: s6 uid search return (max) charset utf-8 or subject two subject four
S: * ESEARCH (TAG "s6") UID MAX 4
S: s6 OK {/.*/}
C: s7 SEARCH RETURN (MEDIAN) ALL
S: s7 BAD {/.*/}
C: s8 SEARCH RETURN MIN ALL
S: s8 BAD {/.*/}
C: s9 SEARCH RETURN (MIN)
S: s9 BAD {/.*/}
C: t1 SEARCH RETURN (ALL) OR 1 3
S: * ESEARCH (TAG "t1") ALL 1,3
S: t1 OK {/.*/}
# Without RETURN nothing has changed
C: t2 SEARCH ALL
S: * SEARCH 1 2 3
S: t2 OK {/.*/}
