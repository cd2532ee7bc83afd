# Mail to postmaster and abuse is always taken, with and without a domain and in any case
{CONNECT mx}
S: 220 {/.*/}
C: EHLO client.example
S* 250 {/.*/}
C: MAIL FROM:<dan@hopthu.example>
S: 250 {/.*/}
C: RCPT TO:<Postmaster>
S: 250 {/.*/}
C: RCPT TO:<POSTMASTER@{domain}>
S: 250 {/.*/}
C: RCPT TO:<abuse@{domain}>
S: 250 {/.*/}
C: RCPT TO:<postmaster2@{domain}>
S: 550 5.1.1 {/.*/}
C: QUIT
S: 221 {/.*/}
