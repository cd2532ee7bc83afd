# The empty reverse-path is taken; the domain is compared without case
{CONNECT mx}
S: 220 {/.*/}
C: HELO client.example
S: 250 {/.*/}
C: MAIL FROM:<>
S: 250 {/.*/}
C: RCPT TO:<khong.co.ai@TINHMAU.EXAMPLE>
S: 550 5.1.1 {/.*/}
C: QUIT
S: 221 {/.*/}
