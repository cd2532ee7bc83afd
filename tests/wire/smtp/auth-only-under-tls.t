# Submission offers no AUTH before TLS and refuses it (RFC 4954 4); after TLS it is offered
{CONNECT submission}
S: 220 {/.*/}
C: EHLO client.example
S* 250 {/.*/}
C: AUTH PLAIN {staff.plain}
S: {/5\d\d .*/}
C: MAIL FROM:<{staff.address}>
S: 530 {/.*/}
C: STARTTLS
S: 220 {/.*/}
{TLS}
C: EHLO client.example
S* 250{/[- ]/}AUTH {/.*PLAIN.*/}
C: NOOP
S* 250 {/2\.0\.0 .*|.*/}
C: QUIT
S* 221 {/.*/}
