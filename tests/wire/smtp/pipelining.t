# A whole transaction in one packet, DATA included, and the next command behind it (RFC 2920)
{CONNECT mx}
S: 220 {/.*/}
C: EHLO client.example
S* 250 {/.*/}
C: MAIL FROM:<dan@hopthu.example>\r\nRCPT TO:<khong.co.ai@{domain}>\r\nRCPT TO:<{staff.address}>\r\nDATA
S: 250 {/.*/}
S: 550 {/.*/}
S: 250 {/.*/}
S: 354 {/.*/}
C: From: dan@hopthu.example\r\nSubject: pipelined {unique}\r\n\r\nx\r\n.\r\nNOOP\r\nQUIT
S: 250 {/.*/}
S: 250 {/.*/}
S: 221 {/.*/}
{EOF}
