# SEARCH RETURN (SAVE) and "$" (RFC 5182): in FETCH, STORE, COPY, SEARCH and UID EXPUNGE; MIN and MAX; EXPUNGE takes messages out; failures empty it
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S: a0 OK [CAPABILITY {/.*\bSEARCHRES\b.*/}] {/.*/}
C: a1 CREATE sr-{unique}
S: a1 OK {/.*/}
C: b1 APPEND sr-{unique} (\\Seen) "07-Feb-1994 21:52:25 +0700" {{38+}}\r\nFrom: a@x.example\r\nSubject: one\r\n\r\nx\r\n
S: b1 OK {/.*/}
C: b2 APPEND sr-{unique} "07-Feb-1994 21:52:25 +0700" {{38+}}\r\nFrom: a@x.example\r\nSubject: two\r\n\r\nx\r\n
S: b2 OK {/.*/}
C: b3 APPEND sr-{unique} "07-Feb-1994 21:52:25 +0700" {{40+}}\r\nFrom: a@x.example\r\nSubject: three\r\n\r\nx\r\n
S: b3 OK {/.*/}
C: b4 APPEND sr-{unique} (\\Seen) "07-Feb-1994 21:52:25 +0700" {{39+}}\r\nFrom: a@x.example\r\nSubject: four\r\n\r\nx\r\n
S: b4 OK {/.*/}
C: a2 SELECT sr-{unique}
S* a2 OK {/.*/}
# Empty at first: a valid set of nothing
C: s0 FETCH $ UID
S: s0 OK {/.*/}
# SAVE alone answers nothing; pipelined with its use
C: s1 SEARCH RETURN (SAVE) UNSEEN\r\ns2 FETCH $ UID\r\ns3 UID FETCH $ UID
S: s1 OK {/.*/}
S: * 2 FETCH (UID 2)
S: * 3 FETCH (UID 3)
S: s2 OK {/.*/}
S: * 2 FETCH (UID 2)
S: * 3 FETCH (UID 3)
S: s3 OK {/.*/}
C: s4 SEARCH $ SUBJECT two
S: * SEARCH 2
S: s4 OK {/.*/}
C: s5 UID SEARCH OR UID $ 1
S: * SEARCH 1 2 3
S: s5 OK {/.*/}
C: s6 SEARCH NOT $
S: * SEARCH 1 4
S: s6 OK {/.*/}
# A search without SAVE, and one that is BAD, change nothing
C: s7 SEARCH RETURN (SAVE WHAT) ALL
S: s7 BAD {/.*/}
C: s8 SEARCH RETURN (COUNT) $
S: * ESEARCH (TAG "s8") COUNT 2
S: s8 OK {/.*/}
# Expunged messages leave it; numbers move
C: t1 UID STORE 1,3 +FLAGS.SILENT (\\Deleted)
S: t1 OK {/.*/}
C: t2 EXPUNGE
S: * 1 EXPUNGE
S: * 2 EXPUNGE
S: t2 OK {/.*/}
C: t3 FETCH $ UID
S: * 1 FETCH (UID 2)
S: t3 OK {/.*/}
# RFC 5182 2.4: with MIN or MAX only those
C: u1 UID SEARCH RETURN (SAVE MAX) ALL
S: * ESEARCH (TAG "u1") UID MAX 4
S: u1 OK {/.*/}
C: u2 UID SEARCH $
S: * SEARCH 4
S: u2 OK {/.*/}
C: u3 UID SEARCH RETURN (MIN SAVE MAX) ALL
S: * ESEARCH (TAG "u3") UID MIN 2 MAX 4
S: u3 OK {/.*/}
C: u4 UID SEARCH RETURN (SAVE MIN COUNT) SEEN
S: * ESEARCH (TAG "u4") UID MIN 4 COUNT 1
S: u4 OK {/.*/}
C: u5 COPY $ sr-{unique}
S* u5 OK [COPYUID {/\d+/} 4 5] {/.*/}
# It may be used in the search that replaces it
C: u6 SEARCH RETURN (SAVE) $ UNSEEN
S: u6 OK {/.*/}
C: u7 COPY $ sr-{unique}
S: u7 OK {/.*/}
# A search with SAVE that ends with NO empties it
C: v1 SEARCH RETURN (SAVE) ALL
S: v1 OK {/.*/}
C: v2 SEARCH RETURN (SAVE) CHARSET KOI8-R ALL
S: v2 NO [BADCHARSET {/.*/}] {/.*/}
C: v3 SEARCH RETURN (COUNT) $
S: * ESEARCH (TAG "v3") COUNT 0
S: v3 OK {/.*/}
# Another SELECT begins anew
C: v4 SEARCH RETURN (SAVE) ALL
S: v4 OK {/.*/}
C: v5 SELECT sr-{unique}
S* v5 OK {/.*/}
C: v6 SEARCH $
S: * SEARCH
S: v6 OK {/.*/}
C: w1 SEARCH RETURN (SAVE) UID 4
S: w1 OK {/.*/}
C: w2 STORE $ +FLAGS (\\Deleted)
S: * 2 FETCH (FLAGS ({/.*\\Deleted.*/}))
S: w2 OK {/.*/}
C: w3 UID EXPUNGE $
S: * 2 EXPUNGE
S: w3 OK {/.*/}
C: w4 FETCH $,1 UID
S: w4 BAD {/.*/}
