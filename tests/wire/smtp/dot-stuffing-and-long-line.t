# Dots are unstuffed, and a line of 5,000 octets goes through unbroken (RFC 5321 4.5.2)
{CONNECT mx}
S: 220 {/.*/}
C: EHLO client.example
S* 250 {/.*/}
C: MAIL FROM:<dan@hopthu.example>
S: 250 {/.*/}
C: RCPT TO:<{staff.address}>
S: 250 {/.*/}
C: DATA
S: 354 {/.*/}
C: Message-ID: <dots-{unique}@hopthu.example>\r\nFrom: dan@hopthu.example\r\nSubject: dots\r\n\r\n..\r\n..x\r\n{*5000 y}\r\n.
S: 250 {/.*/}
C: QUIT
S: 221 {/.*/}
{CONNECT imaps AS I}
I S: * OK {/.*/}
I C: a AUTHENTICATE PLAIN {staff.plain}
I S* a OK {/.*/}
I C: b SELECT INBOX
I S* b OK {/.*/}
I C: c UID SEARCH HEADER Message-ID dots-{unique}
I S: * SEARCH {uid=/\d+/}
I S: c OK {/.*/}
I C: d UID FETCH {uid} BODY.PEEK[TEXT]
I S: * {/\d+/} FETCH (UID {uid} BODY[TEXT] {{{n=/\d+/}}}
I S: .
I S: .x
I S: {*5000 y}
I S: )
I S: d OK {/.*/}
I C: e LOGOUT
I S* e OK {/.*/}
