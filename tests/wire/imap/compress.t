# COMPRESS DEFLATE under TLS: commands, literals, IDLE and a rest in between; what is no DEFLATE ends the connection (RFC 4978)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 COMPRESS LZW
S: a1 NO {/.*/}
C: a2 COMPRESS
S: a2 BAD {/.*/}
C: a3 CREATE z-{unique}
S: a3 OK {/.*/}
C: a4 COMPRESS DEFLATE
S: a4 OK {/.*/}
{DEFLATE}
C: a5 COMPRESS DEFLATE
S: a5 NO [COMPRESSIONACTIVE] {/.*/}
C: a6 APPEND z-{unique} {{103+}}\r\nFrom: 1@x.example\r\n\r\n{*5 to be compressed}\r\n
S* a6 OK {/.*/}
C: a7 SELECT z-{unique}
S* a7 OK {/.*/}
C: a8 IDLE
S: + {/.*/}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: b0 AUTHENTICATE PLAIN {head.plain}
B S* b0 OK {/.*/}
# long enough for the streams to rest
{SLEEP 4}
B C: b1 APPEND z-{unique} {{21+}}\r\nFrom: 2@x.example\r\n\r\n
B S: b1 OK {/.*/}
S* * 2 EXISTS
S: * 2 RECENT
C: DONE
S* a8 OK {/.*/}
C: a9 FETCH 1 BODY.PEEK[TEXT]
S: * 1 FETCH (BODY[TEXT] {{{/\d+/}}}
S* {/.*/})
S: a9 OK {/.*/}
B C: b2 COMPRESS DEFLATE
B S: b2 OK {/.*/}
# plain text where DEFLATE is spoken
B C: b3 NOOP xxxxxxxxxxxxxxxxxxxxxxxxxxxx
B {EOF}
C: c1 UNSELECT
S: c1 OK {/.*/}
C: c2 DELETE z-{unique}
S: c2 OK {/.*/}
C: c3 LOGOUT
S* c3 OK {/.*/}
{EOF}
