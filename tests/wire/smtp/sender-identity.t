# One's own address and the functional mailbox that one holds may be the sender; somebody else's may not
{CONNECT submissions}
S: 220 {/.*/}
C: EHLO client.example
S* 250 {/.*/}
C: AUTH PLAIN {f1.plain}
S: 235 {/.*/}
C: MAIL FROM:<{f1.address}>
S: 250 {/.*/}
C: RSET
S: 250 {/.*/}
C: MAIL FROM:<{f2.address}>
S: {/55\d 5\.7\.\d .*/}
C: MAIL FROM:<{u11.address}>
S: {/55\d 5\.7\.\d .*/}
C: QUIT
S: 221 {/.*/}
