# Client habit 3: K-9 chokes on raw 8-bit octets in BODYSTRUCTURE: they are encoded to ASCII unless UTF-8 was enabled
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE k9-{unique}
S: a1 OK {/.+/}
C: a2 APPEND k9-{unique} {{191+}}\r\nFrom: a@x.example\r\nMIME-Version: 1.0\r\nContent-Type: application/pdf; name="Công văn.pdf"\r\nContent-Description: Bản gốc\r\nContent-Disposition: attachment; filename="Công văn.pdf"\r\n\r\nx\r\n
S: a2 OK {/.+/}
C: a3 EXAMINE k9-{unique}
S* a3 OK {/.+/}
C: a4 FETCH 1 BODYSTRUCTURE
S: * 1 FETCH (BODYSTRUCTURE ("APPLICATION" "PDF" ({/[\x20-\x7e]+/}) NIL "=?{/[\x20-\x7e]+/}" "7BIT" 3 NIL ("ATTACHMENT" ({/[\x20-\x7e]+/})){/[\x20-\x7e]*/}))
S: a4 OK {/.+/}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: a0 AUTHENTICATE PLAIN {head.plain}
B S* a0 OK {/.*/}
B C: a1 ENABLE UTF8=ACCEPT
B S: * ENABLED UTF8=ACCEPT
B S: a1 OK {/.+/}
B C: a3 EXAMINE k9-{unique}
B S* a3 OK {/.+/}
B C: a4 FETCH 1 BODYSTRUCTURE
B S: * 1 FETCH (BODYSTRUCTURE ("APPLICATION" "PDF" ("NAME" "Công văn.pdf") NIL "Bản gốc" "7BIT" 3 NIL ("ATTACHMENT" ("FILENAME" "Công văn.pdf")){/.*/}))
B S: a4 OK {/.+/}
