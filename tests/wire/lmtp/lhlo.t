# LMTP: LHLO, one answer for each recipient after the data (RFC 2033 4.2)
{CONNECT lmtp}
S: 220 {/.*/}
C: EHLO x
S: 500 {/.*/}
C: LHLO client.example
S* 250 {/.*/}
C: MAIL FROM:<dan@hopthu.example>
S: 250 {/.*/}
C: RCPT TO:<{u1.address}>
S: 250 {/.*/}
C: RCPT TO:<khong.co.ai@{domain}>
S: 550 {/.*/}
C: RCPT TO:<{u2.address}>
S: 250 {/.*/}
C: DATA
S: 354 {/.*/}
C: From: dan@hopthu.example\r\nMessage-ID: <lmtp-{unique}@hopthu.example>\r\nSubject: lmtp\r\n\r\nx\r\n.
S: 250 {/.*/}
S: 250 {/.*/}
C: QUIT
S: 221 {/.*/}
{EOF}
