# SEARCH: keys, charset, Vietnamese with and without marks, header, body, dates, sizes, NOT and OR
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE q-{unique}
S: a1 OK {/.*/}
C: a2 APPEND q-{unique} (\\Seen) "07-Feb-1994 21:52:25 +0700" {{266+}}\r\nFrom: =?utf-8?Q?Tr=E1=BA=A7n?= <tran@x.example>\r\nTo: b@y.example\r\nSubject: one\r\nDate: Mon, 7 Feb 1994 21:52:25 -0800\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nK=C3=ADnh g=E1=BB=ADi =E1=BB=A6y b=\r\nan\r\n
S: a2 OK {/.*/}
C: a3 APPEND q-{unique} "08-Feb-1994 01:00:00 +0700" {{214+}}\r\nFrom: b@y.example\r\nSubject: two\r\nX-Doc: 15/CV\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\nbmVlZGxlIGlu\r\nIGEgaGF5c3RhY2s=\r\n--b\r\nContent-Type: image/png\r\n\r\nneedle2\r\n--b--\r\n
S: a3 OK {/.*/}
C: a4 EXAMINE q-{unique}
S* a4 OK {/.*/}
C: s0 SEARCH ALL
S: * SEARCH 1 2
S: s0 OK {/.*/}
C: s1 SEARCH UNSEEN
S: * SEARCH 2
S: s1 OK {/.*/}
C: s2 SEARCH SEEN
S: * SEARCH 1
S: s2 OK {/.*/}
C: s3 SEARCH FROM tran
S: * SEARCH 1
S: s3 OK {/.*/}
C: s4 SEARCH FROM "Trần"
S: * SEARCH 1
S: s4 OK {/.*/}
C: s5 SEARCH CHARSET UTF-8 FROM "TRẦN"
S: * SEARCH 1
S: s5 OK {/.*/}
C: s6 SEARCH TO y.example
S: * SEARCH 1
S: s6 OK {/.*/}
C: s7 SEARCH SUBJECT TWO
S: * SEARCH 2
S: s7 OK {/.*/}
C: s8 SEARCH HEADER X-Doc cv
S: * SEARCH 2
S: s8 OK {/.*/}
C: s9 SEARCH HEADER X-Doc ""
S: * SEARCH 2
S: s9 OK {/.*/}
C: s10 SEARCH BODY needle
S: * SEARCH 2
S: s10 OK {/.*/}
C: s11 SEARCH BODY needle2
S: * SEARCH
S: s11 OK {/.*/}
C: s12 SEARCH BODY "uy ban"
S: * SEARCH 1
S: s12 OK {/.*/}
C: s13 SEARCH CHARSET utf-8 BODY "Ủy ban"
S: * SEARCH 1
S: s13 OK {/.*/}
C: s14 SEARCH TEXT "15/cv"
S: * SEARCH 2
S: s14 OK {/.*/}
C: s15 SEARCH NOT TEXT needle
S: * SEARCH 1
S: s15 OK {/.*/}
C: s16 SEARCH OR SUBJECT one BODY haystack
S: * SEARCH 1 2
S: s16 OK {/.*/}
C: s17 SEARCH ON 7-Feb-1994
S: * SEARCH 1
S: s17 OK {/.*/}
C: s18 SEARCH SINCE 8-Feb-1994
S: * SEARCH 2
S: s18 OK {/.*/}
C: s19 SEARCH BEFORE 8-Feb-1994
S: * SEARCH 1
S: s19 OK {/.*/}
C: s20 SEARCH SENTON 7-Feb-1994
S: * SEARCH 1
S: s20 OK {/.*/}
C: s21 SEARCH SENTSINCE 1-Jan-1990
S: * SEARCH 1
S: s21 OK {/.*/}
C: s22 SEARCH LARGER 10 SMALLER 100000
S: * SEARCH 1 2
S: s22 OK {/.*/}
C: s23 SEARCH 2:*
S: * SEARCH 2
S: s23 OK {/.*/}
C: s24 SEARCH UID 1
S: * SEARCH 1
S: s24 OK {/.*/}
C: s25 SEARCH (OR (SEEN) (2)) NOT (DELETED)
S: * SEARCH 1 2
S: s25 OK {/.*/}
C: s26 SEARCH SUBJECT {{3+}}\r\ntwo
S: * SEARCH 2
S: s26 OK {/.*/}
C: b1 UID SEARCH 2
S: * SEARCH 2
S: b1 OK {/.*/}
C: b2 SEARCH CHARSET KOI8-R ALL
S: b2 NO [BADCHARSET (US-ASCII UTF-8)] {/.*/}
C: b3 SEARCH
S: b3 BAD {/.*/}
C: b4 SEARCH NONSENSE
S: b4 BAD {/.*/}
C: b5 CLOSE
S: b5 OK {/.*/}
C: b6 DELETE q-{unique}
S: b6 OK {/.*/}
