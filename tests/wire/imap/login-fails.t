# A wrong password: NO [AUTHENTICATIONFAILED] (RFC 5530), and another try may follow
{CONNECT imaps}
S: * OK {/.*/}
C: a1 LOGIN {head.login} "sai mat khau"
S: a1 NO [AUTHENTICATIONFAILED] {/.*/}
C: a2 AUTHENTICATE NOSUCH
S: a2 {/NO|BAD/} {/.*/}
C: a3 AUTHENTICATE PLAIN
S: + {/.*/}
C: *
S: a3 BAD {/.*/}
C: a4 AUTHENTICATE PLAIN
S: + {/.*/}
C: {head.plain}
S* a4 OK {/.*/}
C: a5 LOGIN x y
S: a5 BAD {/.*/}
C: a6 LOGOUT
S* a6 OK {/.*/}
