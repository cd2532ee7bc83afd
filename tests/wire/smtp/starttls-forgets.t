# Nothing that a peer sent before STARTTLS survives it (RFC 3207 4.2): neither buffered commands nor the EHLO
{CONNECT mx}
S: 220 {/.*/}
C: EHLO client.example
S* 250 {/.*/}
C- STARTTLS\r\nMAIL FROM:<injected@client.example>\r\n
S: 220 {/.*/}
{TLS}
{QUIET 0.3}
C: RCPT TO:<{staff.address}>
S: 503 {/.*/}
C: QUIT
S: 221 {/.*/}
