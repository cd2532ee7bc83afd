# FETCH PREVIEW and PREVIEW (LAZY) (RFC 8970): plain text before HTML, encodings undone, nothing for what has no text; \\Seen stays
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S: a0 OK [CAPABILITY {/.*\bPREVIEW\b.*/}] {/.*/}
C: a1 CREATE pv-{unique}
S: a1 OK {/.+/}
C: b0 APPEND pv-{unique} {{155+}}\r\nSubject: one\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nK=C3=ADnh g=E1=BB=ADi,\r\n\r\n> c=C5=A9\r\n=E1=BB=A6y ban\r\n
S: b0 OK {/.+/}
C: b1 APPEND pv-{unique} {{262+}}\r\nSubject: two\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPHN0eWxlPnB7fTwvc3R5bGU+PHA+U+G7kSAxNTwvcD4mYW1wOw==\r\n--b--\r\n
S: b1 OK {/.+/}
C: b2 APPEND pv-{unique} {{198+}}\r\nSubject: three\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nattached\r\n--b\r\nContent-Type: image/png\r\n\r\nx\r\n--b--\r\n
S: b2 OK {/.+/}
C: a2 SELECT pv-{unique}
S* a2 OK {/.+/}
C: c1 FETCH 1 (UID PREVIEW)
S: * 1 FETCH (UID 1 PREVIEW {{21}}
S: Kính gửi, Ủy ban)
S: c1 OK {/.+/}
C: c2 FETCH 1:3 (PREVIEW (LAZY) RFC822.SIZE)
S: * 1 FETCH (PREVIEW {{21}}
S: Kính gửi, Ủy ban RFC822.SIZE 155)
S: * 2 FETCH (PREVIEW {{9}}
S: Số 15 & RFC822.SIZE 262)
S: * 3 FETCH (PREVIEW "" RFC822.SIZE 198)
S: c2 OK {/.+/}
C: c3 FETCH 2 PREVIEW (LAZY)
S: * 2 FETCH (PREVIEW {{9}}
S: Số 15 &)
S: c3 OK {/.+/}
C: c4 SEARCH SEEN
S: * SEARCH
S: c4 OK {/.+/}
C: c5 FETCH 1 PREVIEW (EAGER)
S: c5 BAD {/.+/}
C: c6 FETCH 1 (PREVIEW ())
S: c6 BAD {/.+/}
