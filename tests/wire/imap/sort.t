# SORT and UID SORT (RFC 5256), SORT=DISPLAY (RFC 5957), ESORT (RFC 5267 3): criteria, REVERSE, charset, RETURN, an ENVELOPE too long for its row
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S: a0 OK [CAPABILITY {/.*\bSORT\b.*SORT=DISPLAY.*\bESORT\b.*/}] {/.*/}
C: a1 CREATE so-{unique}
S: a1 OK {/.*/}
C: b1 APPEND so-{unique} "07-Feb-2003 10:00:00 +0700" {{130+}}\r\nDate: Mon, 7 Feb 2000 10:00:00 +0700\r\nFrom: =?utf-8?Q?=C4=90=E1=BA=B7ng?= <b@x.example>\r\nSubject: Re: beta\r\nTo: z@x.example\r\n\r\nx\r\n
S: b1 OK {/.*/}
C: b2 APPEND so-{unique} "07-Feb-2002 10:00:00 +0700" {{125+}}\r\nDate: Mon, 7 Feb 2000 03:30:00 +0000\r\nFrom: Em <c@x.example>\r\nSubject: alpha\r\nX-Filler: 123456789012345678901234567890\r\n\r\nx\r\n
S: b2 OK {/.*/}
C: b3 APPEND so-{unique} "07-Feb-1999 10:00:00 +0700" {{69+}}\r\nFrom: a@x.example\r\nSubject: [list] BETA (fwd)\r\nTo: y@x.example\r\n\r\nx\r\n
S: b3 OK {/.*/}
C: b4 APPEND so-{unique} "07-Feb-2001 10:00:00 +0700" {{29495+}}\r\nDate: Sun, 6 Feb 2000 10:00:00 +0700\r\nFrom: "Zed" <d@x.example>\r\nSubject: gamma\r\nTo: {*600 a2345678901234567890@long-domain-name.example,\r\n }z@z\r\n\r\nx\r\n
S: b4 OK {/.*/}
C: a2 SELECT so-{unique}
S* a2 OK {/.*/}
C: s1 SORT (ARRIVAL) UTF-8 ALL
S: * SORT 3 4 2 1
S: s1 OK {/.*/}
# without a Date the internal date stands; 10:00 +0700 is before 03:30 UTC
C: s2 SORT (DATE) UTF-8 ALL
S: * SORT 3 4 1 2
S: s2 OK {/.*/}
C: s3 SORT (REVERSE DATE) US-ASCII ALL
S: * SORT 2 1 4 3
S: s3 OK {/.*/}
C: s4 SORT (SUBJECT) UTF-8 ALL
S: * SORT 2 1 3 4
S: s4 OK {/.*/}
C: s5 SORT (REVERSE SUBJECT) UTF-8 ALL
S: * SORT 4 1 3 2
S: s5 OK {/.*/}
C: s6 sort (subject reverse arrival) utf-8 all
S: * SORT 2 1 3 4
S: s6 OK {/.*/}
C: s7 SORT (SUBJECT ARRIVAL) UTF-8 ALL
S: * SORT 2 3 1 4
S: s7 OK {/.*/}
C: s8 SORT (FROM) UTF-8 ALL
S: * SORT 3 1 2 4
S: s8 OK {/.*/}
C: s9 SORT (TO) UTF-8 1:3
S: * SORT 2 3 1
S: s9 OK {/.*/}
C: s10 SORT (REVERSE SIZE) UTF-8 ALL
S: * SORT 4 1 2 3
S: s10 OK {/.*/}
# a Đ has no decomposition: behind all Latin letters (RFC 5957 with i;unicode-casemap)
C: s11 SORT (DISPLAYFROM) UTF-8 ALL
S: * SORT 3 2 4 1
S: s11 OK {/.*/}
C: s12 SORT (CC DISPLAYTO) UTF-8 1:3
S: * SORT 2 3 1
S: s12 OK {/.*/}
C: s13 UID SORT (ARRIVAL) UTF-8 SUBJECT beta
S: * SORT 3 1
S: s13 OK {/.*/}
C: s14 SORT (ARRIVAL) UTF-8 SUBJECT nothing
S: * SORT
S: s14 OK {/.*/}
C: s15 SORT RETURN (MIN MAX COUNT ALL) (ARRIVAL) UTF-8 ALL
S: * ESEARCH (TAG "s15") MIN 3 MAX 1 COUNT 4 ALL 3:4,2,1
S: s15 OK {/.*/}
C: s16 UID SORT RETURN () (REVERSE ARRIVAL) UTF-8 ALL
S: * ESEARCH (TAG "s16") UID ALL 1:2,4,3
S: s16 OK {/.*/}
C: s17 SORT RETURN (SAVE MIN) (ARRIVAL) UTF-8 ALL
S: * ESEARCH (TAG "s17") MIN 3
S: s17 OK {/.*/}
C: s18 SEARCH $
S: * SEARCH 3
S: s18 OK {/.*/}
C: s19 SORT RETURN (SAVE) (ARRIVAL) UTF-8 NOT 1
S: s19 OK {/.*/}
C: s20 SORT (DATE) UTF-8 $
S: * SORT 3 4 2
S: s20 OK {/.*/}
C: s21 SORT (DATE) KOI8-R ALL
S: s21 NO [BADCHARSET (US-ASCII UTF-8)] {/.*/}
C: s22 SORT (DATE) ALL
S: s22 BAD {/.*/}
C: s23 SORT () UTF-8 ALL
S: s23 BAD {/.*/}
C: s24 SORT DATE UTF-8 ALL
S: s24 BAD {/.*/}
C: s25 SORT (NAME) UTF-8 ALL
S: s25 BAD {/.*/}
C: s26 SORT (DATE REVERSE) UTF-8 ALL
S: s26 BAD {/.*/}
C: s27 SORT (DATE) UTF-8
S: s27 BAD {/.*/}
# RFC 7162 3.1.9, 3.1.10: with a MODSEQ key the highest mod-sequence stands behind
C: t1 SORT (ARRIVAL) UTF-8 MODSEQ 1
S: * SORT 3 4 2 1 (MODSEQ {top=/\d+/})
S: t1 OK {/.*/}
C: t2 UID SORT RETURN (ALL MAX) (ARRIVAL) UTF-8 MODSEQ 1
S: * ESEARCH (TAG "t2") UID MAX 1 ALL 3:4,2,1 MODSEQ {top}
S: t2 OK {/.*/}
C: t3 SORT (ARRIVAL) UTF-8 MODSEQ 1 SUBJECT nothing
S: * SORT
S: t3 OK {/.*/}
C: t4 THREAD REFERENCES UTF-8 MODSEQ 1 SUBJECT alpha
S: * THREAD (2)
S: t4 OK {/.*/}
