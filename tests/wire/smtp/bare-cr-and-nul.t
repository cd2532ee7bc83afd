# A bare CR and a NUL in a message are refused, each alone
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
C: Subject: x\r\n\r\none\rtwo\r\n.
S: {/5\d\d .*/}
C: MAIL FROM:<dan@hopthu.example>
S: 250 {/.*/}
C: RCPT TO:<{staff.address}>
S: 250 {/.*/}
C: DATA
S: 354 {/.*/}
C: Subject: x\r\n\r\none\0two\r\n.
S: {/5\d\d .*/}
C: QUIT
S: 221 {/.*/}
