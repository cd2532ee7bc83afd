# A bare LF in a message is refused, and "LF . LF" is no end of data (RFC 5321 2.3.8)
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
C- Subject: x\r\n\r\ntext\n.\nMAIL FROM:<smuggled@hopthu.example>\r\n
{QUIET 0.3}
C: .
S: {/5\d\d .*/}
C: NOOP
S: 250 {/.*/}
C: QUIT
S: 221 {/.*/}
