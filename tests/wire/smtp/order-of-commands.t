# Commands out of order, unknown ones and bad arguments (RFC 5321 4.1.4, 4.2.4); the session goes on
{CONNECT mx}
S: 220 {/.*/}
C: EHLO client.example
S* 250 {/.*/}
C: RCPT TO:<{staff.address}>
S: 503 {/.*/}
C: DATA
S: 503 {/.*/}
C: FROBNICATE
S: 500 {/.*/}
C: MAIL FROM:dan@hopthu.example x
S: 501 {/.*/}
C: MAIL FROM:<dan@hopthu.example> NOSUCH=1
S: 555 {/.*/}
C: MAIL FROM:<dan@hopthu.example>
S: 250 {/.*/}
C: MAIL FROM:<dan@hopthu.example>
S: 503 {/.*/}
C: RSET
S: 250 {/.*/}
C: RCPT TO:<{staff.address}>
S: 503 {/.*/}
C: VRFY {staff.address}
S: {/25[02] .*|502 .*/}
C: QUIT
S: 221 {/.*/}
{EOF}
