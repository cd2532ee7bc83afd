# Outlook puts a space after "MAIL FROM:" and "RCPT TO:": tolerated on submission, refused on the MX port
{CONNECT submissions}
S: 220 {/.*/}
C: EHLO client.example
S* 250 {/.*/}
C: AUTH PLAIN {staff.plain}
S: 235 {/.*/}
C: MAIL FROM: <{staff.address}>
S: 250 {/.*/}
C: RCPT TO: <{staff.address}>
S: 250 {/.*/}
C: QUIT
S: 221 {/.*/}
{CONNECT mx AS B}
B S: 220 {/.*/}
B C: EHLO client.example
B S* 250 {/.*/}
B C: MAIL FROM: <dan@hopthu.example>
B S: 501 {/.*/}
B C: QUIT
B S: 221 {/.*/}
