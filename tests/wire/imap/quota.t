# GETQUOTA and GETQUOTAROOT; deleted messages and their octets by STATUS (RFC 9208)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*QUOTA QUOTA=RES-STORAGE QUOTA=RES-MESSAGE.*/}
C: a1 CREATE qu-{unique}
S: a1 OK {/.*/}
C: a2 APPEND qu-{unique} (\\Deleted) {{3000+}}\r\nFrom: 1@x.example\r\n\r\n{*2979 x}
S: a2 OK {/.*/}
C: a3 GETQUOTAROOT qu-{unique}
S: * QUOTAROOT "qu-{unique}" "INBOX"
S: * QUOTA "INBOX" (STORAGE {/[1-9]\d*/} {max=/\d+/} MESSAGE {/[1-9]\d*/} {mmax=/\d+/})
S: a3 OK {/.*/}
C: a4 GETQUOTA INBOX
S: * QUOTA "INBOX" (STORAGE {/[1-9]\d*/} {max} MESSAGE {/[1-9]\d*/} {mmax})
S: a4 OK {/.*/}
C: a5 GETQUOTA qu-{unique}
S: a5 NO [NONEXISTENT] {/.*/}
C: a6 GETQUOTAROOT none-{unique}
S: a6 NO [NONEXISTENT] {/.*/}
C: a7 GETQUOTA
S: a7 BAD {/.*/}
C: a8 STATUS qu-{unique} (DELETED DELETED-STORAGE)
S: * STATUS "qu-{unique}" (DELETED 1 DELETED-STORAGE 3000)
S: a8 OK {/.*/}
C: a9 DELETE qu-{unique}
S: a9 OK {/.*/}
