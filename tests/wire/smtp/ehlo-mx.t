# The MX port offers what works, and no AUTH (RFC 5321 4.1.1.1)
{CONNECT mx}
S: 220 localhost {/.*/}
C: EHLO client.example
S~ 250-localhost{/.*/} | 250-PIPELINING | 250-SIZE {/\d+/} | 250-8BITMIME | 250-SMTPUTF8 | 250-ENHANCEDSTATUSCODES | 250-STARTTLS | 250-CHUNKING | 250-LIMITS RCPTMAX=1000 | 250 DSN
C: QUIT
S: 221 {/.*/}
{EOF}
