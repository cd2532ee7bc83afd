# AUTH LOGIN asks exactly "Username:" and "Password:"; a wrong password is 535, and the client may try again
{CONNECT submissions}
S: 220 {/.*/}
C: EHLO client.example
S* 250 {/.*/}
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
C: bm9ib2R5
S: 334 UGFzc3dvcmQ6
C: bm9ib2R5
S: 535 5.7.8 {/.*/}
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
C: *
S: 501 {/.*/}
C: AUTH NTLM
S: 504 {/.*/}
C: AUTH PLAIN
S: 334 {/ ?/}
C: {staff.plain}
S: 235 {/.*/}
C: AUTH PLAIN {staff.plain}
S: 503 {/.*/}
C: QUIT
S: 221 {/.*/}
