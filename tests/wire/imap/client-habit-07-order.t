# Client habit 7 (Apple Mail): tagged answers come in the order of the commands; a pipelined STORE is done before the EXPUNGE behind it
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}

C: a1 CREATE or-{unique}\r\na2 APPEND or-{unique} {{21+}}\r\nFrom: 1@x.example\r\n\r\n\r\na3 APPEND or-{unique} {{21+}}\r\nFrom: 1@x.example\r\n\r\n\r\na4 SELECT or-{unique}
S: a1 OK {/.*/}
S: a2 OK {/.*/}
S: a3 OK {/.*/}
S* a4 OK {/.*/}
C: b1 STORE 1 +FLAGS.SILENT (\\Deleted)\r\nb2 EXPUNGE\r\nb3 FETCH 1 BODY.PEEK[]\r\nb4 UID SEARCH ALL\r\nb5 STATUS INBOX (MESSAGES)\r\nb6 NOOP
S: b1 OK {/.*/}
S: * 1 EXPUNGE
S: b2 OK {/.*/}
S: * 1 FETCH (BODY[] {{21}}
S: From: 1@x.example
S:
S: )
S: b3 OK {/.*/}
S: * SEARCH 2
S: b4 OK {/.*/}
S: * STATUS "INBOX" (MESSAGES {/\d+/})
S: b5 OK {/.*/}
S: b6 OK {/.*/}
C: c1 CLOSE\r\nc2 DELETE or-{unique}
S: c1 OK {/.*/}
S: c2 OK {/.*/}
