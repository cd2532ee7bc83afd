# MILTER.md, case 32: a bare LF inside a signed part is refused at SMTP, never repaired: who repairs it breaks the signature
{CONNECT mx}
S: 220 {/.*/}
C: EHLO client.example
S* 250 {/.*/}
C: MAIL FROM:<dan@hopthu.example>
S: 250 {/.*/}
C: RCPT TO:<{staff.address}>
S: 250 {/.*/}
C: DATA
S: 354 {/.*/}
C: From: dan@hopthu.example\r\nContent-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\none\ntwo\r\n--b\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\nMAA=\r\n--b--\r\n.
S: {/5\d\d .*/}
C: QUIT
S: 221 {/.*/}
