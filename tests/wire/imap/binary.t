# BINARY: parts with the transfer encoding undone, their sizes, pieces; unknown encodings; literal8 of APPEND (RFC 3516)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE bi-{unique}
S: a1 OK {/.*/}
C: a2 APPEND bi-{unique} ~{{406+}}\r\nFrom: 1@x.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nC=C3=B4ng=20=\r\nv=C4=83n\r\n--b\r\nContent-Type: image/gif\r\nContent-Transfer-Encoding: base64\r\n\r\nR0lGODlhAA\r\nECIGJpbmFyeQ==\r\n--b\r\nContent-Type: text/plain\r\n\r\nas it is\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\nbegin\r\n--b--\r\n
S: a2 OK {/.*/}
C: a3 APPEND bi-{unique} ~{{24+}}\r\nFrom: 1@x.example\r\n\r\na\0b
S: a3 NO [UNKNOWN-CTE] {/.*/}
C: a4 SELECT bi-{unique}
S* a4 OK {/.*/}
C: a5 FETCH 1 (BINARY.SIZE[1] BINARY.SIZE[2] BINARY.SIZE[3] BINARY.SIZE[])
S: * 1 FETCH (BINARY.SIZE[1] 10 BINARY.SIZE[2] 16 BINARY.SIZE[3] 8 BINARY.SIZE[] 406)
S: a5 OK {/.*/}
C: a6 FETCH 1 BINARY.PEEK[1]
S: * 1 FETCH (BINARY[1] {{10}}
S: Công văn)
S: a6 OK {/.*/}
C: a7 FETCH 1 (BINARY.PEEK[2] FLAGS)
S: * 1 FETCH (BINARY[2] ~{{16}}
S: GIF89a\0\x01\x02 binary FLAGS ({/.*/}))
S: a7 OK {/.*/}
C: a8 FETCH 1 BINARY.PEEK[2]<9.4>
S: * 1 FETCH (BINARY[2]<9> {{4}}
S:  bin)
S: a8 OK {/.*/}
C: a9 FETCH 1 BINARY.PEEK[3]
S: * 1 FETCH (BINARY[3] {{8}}
S: as it is)
S: a9 OK {/.*/}
C: b1 FETCH 1 (BINARY.PEEK[4] UID)
S: * 1 FETCH (BINARY[4] NIL UID 1)
S: b1 NO [UNKNOWN-CTE] {/.*/}
C: b2 FETCH 1 BINARY.PEEK[9]
S: * 1 FETCH (BINARY[9] NIL)
S: b2 OK {/.*/}
C: b3 FETCH 1 BINARY.PEEK[1.MIME]
S: b3 BAD {/.*/}
C: b4 FETCH 1 BINARY.SIZE[1]<0.5>
S: b4 BAD {/.*/}
# without PEEK it is \Seen
C: b5 FETCH 1 BINARY[3]<0.2>
S: * 1 FETCH (BINARY[3]<0> {{2}}
S: as FLAGS ({/.*\\Seen.*/}))
S: b5 OK {/.*/}
C: b6 UNSELECT
S: b6 OK {/.*/}
C: b7 DELETE bi-{unique}
S: b7 OK {/.*/}
