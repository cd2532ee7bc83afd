# Nothing that was sent before STARTTLS survives it
{CONNECT imap}
S: * OK {/.*/}
C- a1 STARTTLS\r\na2 NOOP\r\n
S: a1 OK {/.*/}
{TLS}
{QUIET 0.3}
C: a3 NOOP
S: a3 OK {/.*/}
C: a4 LOGOUT
S* a4 OK {/.*/}
