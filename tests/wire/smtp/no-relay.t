# Nobody relays through the MX port; an unknown local part is refused for good
{CONNECT mx}
S: 220 {/.*/}
C: EHLO client.example
S* 250 {/.*/}
C: MAIL FROM:<dan@hopthu.example>
S: 250 {/.*/}
C: RCPT TO:<other@hopthu.example>
S: {/55\d 5\.7\.\d .*/}
C: RCPT TO:<khong.co.ai@{domain}>
S: 550 5.1.1 {/.*/}
C: RCPT TO:<{staff.address}>
S: 250 {/.*/}
C: QUIT
S: 221 {/.*/}
