# Too large a literal is refused before it is sent; a synchronising one gets no continuation
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 APPEND INBOX {{99999999999}}
S: a1 {/NO|BAD/} {/.*/}
C: a2 NOOP
S: a2 OK {/.*/}
C: a3 LIST "" {{999999999}}
S: {/(a3|\*)/} {/(NO|BAD|BYE)/} {/.*/}
