# BDAT in two chunks, the last with LAST (RFC 3030); no data follows a BDAT that was refused
{CONNECT mx}
S: 220 {/.*/}
C: EHLO client.example
S* 250 {/.*/}
C: BDAT 3
C- abc
S: 503 {/.*/}
C: MAIL FROM:<dan@hopthu.example>
S: 250 {/.*/}
C: RCPT TO:<{staff.address}>
S: 250 {/.*/}
C: BDAT 26
C- From: dan@hopthu.example\r\n
S: 250 {/.*/}
C: BDAT 17 LAST
C- Subject: x\r\n\r\n.\r\n
S: 250 {/.*/}
C: QUIT
S: 221 {/.*/}
