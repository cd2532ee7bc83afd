# Client habit 11: CHANGEDSINCE 0 is accepted; QRESYNC implies CONDSTORE; response text is never empty
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}

C: a1 CREATE cb-{unique}
S: a1 OK {/\S.*/}
C: a2 APPEND cb-{unique} {{21+}}\r\nFrom: 1@x.example\r\n\r\n
S: a2 OK [{/.*/}] {/\S.*/}
C: a3 ENABLE QRESYNC
S: * ENABLED QRESYNC
S: a3 OK {/\S.*/}
# told already: what QRESYNC brought is on
C: a4 ENABLE CONDSTORE
S: * ENABLED
S: a4 OK {/\S.*/}
C: a5 SELECT cb-{unique}
S* * OK [HIGHESTMODSEQ {/\d+/}] {/\S.*/}
S* a5 OK [READ-WRITE] {/\S.*/}
C: a6 FETCH 1 (FLAGS) (CHANGEDSINCE 0)
S: * 1 FETCH (FLAGS ({/.*/}) MODSEQ ({/\d+/}))
S: a6 OK {/\S.*/}
C: a7 STORE 1 FLAGS (\\Seen)
S: * 1 FETCH (FLAGS ({/.*/}) UID 1 MODSEQ ({/\d+/}))
S: a7 OK {/\S.*/}
C: a8 NOOP
S: a8 OK {/\S.*/}
C: a9 NONSENSE
S: a9 BAD {/\S.*/}
C: b1 UNSELECT
S: b1 OK {/\S.*/}
C: b2 DELETE cb-{unique}
S: b2 OK {/\S.*/}
