# A bad command gets BAD with its tag, an empty line or garbage does not end the session
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 FROB
S: a1 BAD {/.+/}
C: a2 FETCH
S: a2 BAD {/.+/}
C: a3 SELECT
S: a3 BAD {/.+/}
C: )(
S: {/\*|\)\(/} BAD {/.+/}
C: a4 NOOP x
S: a4 BAD {/.+/}
C: a5 noop
S: a5 OK {/.+/}
C: a6 LOGOUT
S* a6 OK {/.*/}
