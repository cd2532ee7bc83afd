# The greeting; what is offered before TLS, after it, and after sign-in (RFC 3501 6.1.1, 7.2.1)
{CONNECT imap}
S: * OK {/.*/}
C: a1 CAPABILITY
S: * CAPABILITY {caps=/.*/}
S: a1 OK {/.*/}
C: a2 LOGIN x y
S: a2 NO {/.*/}
C: a3 NOOP
S: a3 OK {/.*/}
C: a4 SELECT INBOX
S: a4 BAD {/.*/}
C: a5 STARTTLS
S: a5 OK {/.*/}
{TLS}
C: a6 CAPABILITY
S: * CAPABILITY {/(?=.*IMAP4rev1)(?=.*SASL-IR)(?=.*AUTH=PLAIN)(?=.*AUTH=SCRAM-SHA-256)(?!.*STARTTLS)(?!.*LOGINDISABLED).*/}
S: a6 OK {/.*/}
C: a7 AUTHENTICATE PLAIN {head.plain}
S* a7 OK {/.*/}
C: a8 CAPABILITY
S: * CAPABILITY {/(?=.*IMAP4rev1)(?=.*LITERAL[+-])(?=.*UIDPLUS)(?=.*IDLE)(?=.*NAMESPACE)(?=.*\bID\b)(?=.*SPECIAL-USE)(?=.*UNSELECT)(?=.*ENABLE).*/}
S: a8 OK {/.*/}
C: a9 LOGOUT
S: * BYE {/.*/}
S: a9 OK {/.*/}
{EOF}
