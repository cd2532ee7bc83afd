# Before TLS: no login and no AUTH=; after it the mechanisms; after login the rest
{CONNECT imap}
S: * OK [CAPABILITY {/IMAP4rev1 .*/}] {/.*/}
C: a1 CAPABILITY
S: * CAPABILITY IMAP4rev1 LITERAL+ ID ENABLE SASL-IR STARTTLS LOGINDISABLED
S: a1 OK {/.*/}
C: a2 LOGIN {staff.login} x
S: a2 NO [PRIVACYREQUIRED] {/.*/}
C: a3 SELECT INBOX
S: a3 BAD {/.*/}
C: a4 STARTTLS
S: a4 OK {/.*/}
{TLS}
C: a5 CAPABILITY
S: * CAPABILITY {/IMAP4rev1 .*AUTH=PLAIN.*/}
S: a5 OK {/.*/}
C: a6 AUTHENTICATE PLAIN {staff.plain}
S: a6 OK [CAPABILITY {/IMAP4rev1 .*IDLE.*/}] {/.*/}
C: a7 STARTTLS
S: a7 BAD {/.*/}
C: a8 LOGIN x y
S: a8 BAD {/.*/}
C: a9 NOOP
S: a9 OK {/.*/}
C: a10 LOGOUT
S: * BYE {/.*/}
S: a10 OK {/.*/}
{EOF}
