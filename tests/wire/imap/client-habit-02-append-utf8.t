# Client habit 2: Thunderbird after ENABLE UTF8=ACCEPT sends APPEND … UTF8 (~{n}, synchronising and not, and a raw "&" and UTF-8 in names (RFC 6855)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 ENABLE UTF8=ACCEPT
S: * ENABLED UTF8=ACCEPT
S: a1 OK {/.+/}
C: a2 ENABLE UTF8=ACCEPT X-NONE
S: * ENABLED
S: a2 OK {/.+/}
C: a3 CREATE "Công văn & giấy mời {unique}"
S: a3 OK {/.+/}
C: a4 LIST "" "Công văn & *{unique}"
S: * LIST (\\HasNoChildren) "/" "Công văn & giấy mời {unique}"
S: a4 OK {/.+/}
# synchronising
C: b1 APPEND "Công văn & giấy mời {unique}" (\\Seen) "07-Feb-1994 21:52:25 +0700" UTF8 (~{{79}}
S: + {/.+/}
C: From: =?utf-8?Q?=C4=90=E1=BA=B7ng?= <a@x.example>\r\nSubject: Giấy mời\r\n\r\nx\r\n)
S: b1 OK [APPENDUID {/\d+/} 1] {/.+/}
# and not
C: b2 APPEND "Công văn & giấy mời {unique}" utf8 (~{{66+}}\r\nFrom: Đặng <đặng@tỉnh.example>\r\nSubject: Công văn\r\n\r\nx\r\n)
S: b2 OK [APPENDUID {/\d+/} 2] {/.+/}
# a plain literal is as good
C: b3 APPEND "Công văn & giấy mời {unique}" {{79+}}\r\nFrom: =?utf-8?Q?=C4=90=E1=BA=B7ng?= <a@x.example>\r\nSubject: Giấy mời\r\n\r\nx\r\n
S: b3 OK [APPENDUID {/\d+/} 3] {/.+/}
# what is not closed, or no literal8, is wrong; the stream stays in step
C: b4 APPEND "Công văn & giấy mời {unique}" UTF8 (~{{79+}}\r\nFrom: =?utf-8?Q?=C4=90=E1=BA=B7ng?= <a@x.example>\r\nSubject: Giấy mời\r\n\r\nx\r\n
S: b4 BAD {/.+/}
C: b5 APPEND "Công văn & giấy mời {unique}" UTF8 ({{79+}}\r\nFrom: =?utf-8?Q?=C4=90=E1=BA=B7ng?= <a@x.example>\r\nSubject: Giấy mời\r\n\r\nx\r\n)
S: b5 BAD {/.+/}
C: c1 STATUS "Công văn & giấy mời {unique}" (MESSAGES)
S: * STATUS "Công văn & giấy mời {unique}" (MESSAGES 3)
S: c1 OK {/.+/}
C: c2 EXAMINE "Công văn & giấy mời {unique}"
S* c2 OK {/.+/}
# Addresses that have no ASCII form are seen whole
C: d1 FETCH 2 ENVELOPE
S: * 2 FETCH (ENVELOPE (NIL "Công văn" (("Đặng" NIL "đặng" "tỉnh.example")) {/.*/}))
S: d1 OK {/.+/}
C: d2 SEARCH SUBJECT "giấy mời"
S: * SEARCH 1 3
S: d2 OK {/.+/}
# RFC 6855 3: no charset any more, and what is not UTF-8 is BAD
C: d3 SEARCH CHARSET UTF-8 ALL
S: d3 BAD {/.+/}
C: d4 SEARCH SUBJECT "\xe1\xba"
S: d4 BAD {/.+/}
C: d5 STATUS "a\xff" (MESSAGES)
S: d5 BAD {/.+/}
C: d6 STATUS "a\xc2\x85b" (MESSAGES)
S: d6 NO {/.+/}
# Another session, without it, sees modified UTF-7 of the same mailbox, and ASCII only
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: a0 AUTHENTICATE PLAIN {head.plain}
B S* a0 OK {/.*/}
B C: a1 LIST "" "*{unique}"
B S: * LIST (\\HasNoChildren) "/" "C&APQ-ng v&AQM-n &- gi&HqU-y m&Ht0-i {unique}"
B S: a1 OK {/.+/}
B C: a2 EXAMINE "C&APQ-ng v&AQM-n &- gi&HqU-y m&Ht0-i {unique}"
B S* a2 OK {/.+/}
B C: a3 FETCH 1:2 ENVELOPE
B S: * 1 FETCH (ENVELOPE (NIL "=?{/[\x20-\x7e]*/}"{/[\x20-\x7e]*/}))
B S: * 2 FETCH (ENVELOPE (NIL "=?{/[\x20-\x7e]*/}"{/[\x20-\x7e]*/}))
B S: a3 OK {/.+/}
