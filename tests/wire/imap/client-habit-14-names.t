# Client habit 14: names are NFC UTF-8 inside; modified UTF-7 and UTF-8 come back as sent, macOS's NFD meets the same mailbox; raw UTF-8 from a client that
# did not enable it makes no second folder (RFC 3501 5.1, 5.1.3)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE "Vi&Hsc-t {unique}"
S: a1 OK {/.+/}
# NFD: e, dot below, circumflex
C: a2 CREATE "Vie&AyMDAg-t {unique}"
S: a2 NO [ALREADYEXISTS] {/.+/}
C: a3 STATUS "Vie&AyMDAg-t {unique}" (MESSAGES)
S: * STATUS "Vi&Hsc-t {unique}" (MESSAGES 0)
S: a3 OK {/.+/}
C: a4 CREATE "Việt {unique} thô"
S: a4 BAD {/.*modified UTF-7.*/}
C: a5 SELECT "Việt {unique}"
S: a5 BAD {/.*modified UTF-7.*/}
C: a6 LIST "" "Việt*"
S: a6 BAD {/.+/}
C: a7 LIST "" "Vi*{unique}*"
S: * LIST ({/.*/}) "/" "Vi&Hsc-t {unique}"
S: a7 OK {/.+/}
C: b1 ENABLE UTF8=ACCEPT
S: * ENABLED UTF8=ACCEPT
S: b1 OK {/.+/}
C: b2 STATUS "Việt {unique}" (MESSAGES)
S: * STATUS "Việt {unique}" (MESSAGES 0)
S: b2 OK {/.+/}
C: b3 LIST "" {{25+}}\r\nViệt {unique}
S: * LIST ({/.*/}) "/" "Việt {unique}"
S: b3 OK {/.+/}
C: b4 RENAME "Việt {unique}" "H&M {unique}"
S: b4 OK {/.+/}
C: b5 LIST "" "H&M {unique}"
S: * LIST ({/.*/}) "/" "H&M {unique}"
S: b5 OK {/.+/}
C: b6 DELETE "H&M {unique}"
S: b6 OK {/.+/}
