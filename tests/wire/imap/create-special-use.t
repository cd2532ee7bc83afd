# CREATE with a special use; one mailbox for each use (RFC 6154 3)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}

C: a1 CREATE su-{unique} (USE (\\Flagged))
S: a1 NO [USEATTR] {/.*/}
C: a2 CREATE su-{unique} (USE (\\Sent))
S: a2 NO [USEATTR] {/.*/}
C: a3 CREATE su-{unique} (USE \\Sent)
S: a3 BAD {/.*/}
C: a4 CREATE su-{unique} (USE ())
S: a4 OK {/.*/}
C: a5 DELETE su-{unique}
S: a5 OK {/.*/}
C: a6 DELETE Archive
S: a6 OK {/.*/}
C: a7 CREATE su-{unique} (USE (\\Archive))
S: a7 OK [MAILBOXID {/.*/}
C: a8 LIST "" su-{unique}
S: * LIST ({/.*\\Archive.*/}) "/" "su-{unique}"
S: a8 OK {/.*/}
C: a9 DELETE su-{unique}
S: a9 OK {/.*/}
C: b1 CREATE Archive (USE (\\Archive))
S: b1 OK {/.*/}
C: b2 SUBSCRIBE Archive
S: b2 OK {/.*/}
