# SIZE is checked at MAIL (RFC 1870 6.1)
{CONNECT mx}
S: 220 {/.*/}
C: EHLO client.example
S* 250{/[- ]/}SIZE {limit=/\d+/}
S* 250 {/.*/}
C: MAIL FROM:<dan@hopthu.example> SIZE={limit}
S: 250 {/.*/}
C: RSET
S: 250 {/.*/}
C: MAIL FROM:<dan@hopthu.example> SIZE={limit}0
S: 552 5.3.4 {/.*/}
C: QUIT
S: 221 {/.*/}
