# THREAD=ORDEREDSUBJECT and THREAD=REFERENCES (RFC 5256), over rows with and without references
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S: a0 OK [CAPABILITY {/.*THREAD=ORDEREDSUBJECT.*THREAD=REFERENCES.*/}] {/.*/}
C: a1 CREATE th-{unique}
S: a1 OK {/.*/}
C: b1 APPEND th-{unique} {{75+}}\r\nDate: 1 Feb 2000 10:00:00 +0700\r\nMessage-ID: <1@x>\r\nSubject: bao cao\r\n\r\nx\r\n
S: b1 OK {/.*/}
C: b2 APPEND th-{unique} {{112+}}\r\nDate: 2 Feb 2000 10:00:00 +0700\r\nMessage-ID: <2@x>\r\nSubject: Re: bao cao\r\nIn-Reply-To: Your message <1@x>\r\n\r\nx\r\n
S: b2 OK {/.*/}
C: b3 APPEND th-{unique} {{106+}}\r\nDate: 3 Feb 2000 10:00:00 +0700\r\nMessage-ID: <3@x>\r\nSubject: Re: bao cao\r\nReferences: <1@x>\r\n <2@x>\r\n\r\nx\r\n
S: b3 OK {/.*/}
C: b4 APPEND th-{unique} {{93+}}\r\nDate: 5 Feb 2000 10:00:00 +0700\r\nMessage-ID: <4@x>\r\nSubject: khac\r\nReferences: <"1"@x>\r\n\r\nx\r\n
S: b4 OK {/.*/}
C: b5 APPEND th-{unique} {{94+}}\r\nDate: 4 Feb 2000 10:00:00 +0700\r\nMessage-ID: <5@x>\r\nSubject: cuoi\r\nReferences: <gone@x>\r\n\r\nx\r\n
S: b5 OK {/.*/}
C: b6 APPEND th-{unique} {{94+}}\r\nDate: 6 Feb 2000 10:00:00 +0700\r\nMessage-ID: <6@x>\r\nSubject: cuoi\r\nReferences: <gone@x>\r\n\r\nx\r\n
S: b6 OK {/.*/}
C: b7 APPEND th-{unique} {{78+}}\r\nDate: 7 Feb 2000 10:00:00 +0700\r\nSubject: =?utf-8?Q?B=C3=A1o_c=C3=A1o?=\r\n\r\nx\r\n
S: b7 OK {/.*/}
C: a2 SELECT th-{unique}
S* a2 OK {/.*/}
C: s1 THREAD REFERENCES UTF-8 ALL
S: * THREAD (1 (2 3)(4))((5)(6))(7)
S: s1 OK {/.*/}
C: s2 THREAD ORDEREDSUBJECT UTF-8 ALL
S: * THREAD (1 (2)(3))(5 6)(4)(7)
S: s2 OK {/.*/}
C: s3 UID THREAD references us-ascii 2:7
S: * THREAD ((2 3)(4))((5)(6))(7)
S: s3 OK {/.*/}
C: s4 THREAD REFERENCES UTF-8 SUBJECT nothing
S: * THREAD
S: s4 OK {/.*/}
C: s5 THREAD REFERENCES KOI8-R ALL
S: s5 NO [BADCHARSET (US-ASCII UTF-8)] {/.*/}
C: s6 THREAD REFS UTF-8 ALL
S: s6 BAD {/.*/}
C: s7 THREAD REFERENCES UTF-8
S: s7 BAD {/.*/}
C: c1 STORE 2 +FLAGS.SILENT (\\Deleted)
S: c1 OK {/.*/}
C: c2 EXPUNGE
S: * 2 EXPUNGE
S: c2 OK {/.*/}
C: s8 THREAD REFERENCES UTF-8 ALL
S: * THREAD (1 (2)(3))((4)(5))(6)
S: s8 OK {/.*/}
C: s9 UID THREAD REFERENCES UTF-8 ALL
S: * THREAD (1 (3)(4))((5)(6))(7)
S: s9 OK {/.*/}
