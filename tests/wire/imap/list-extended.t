# LIST with selection and return options as in the examples of RFC 5258 5 and RFC 5819 3: CHILDINFO only where it tells something, names that are
# subscribed and not there, no STATUS for a parent that does not fit itself
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a CREATE x{unique}/foo2/bar1
S: a OK {/.+/}
C: a CREATE x{unique}/foo2/bar2
S: a OK {/.+/}
C: a CREATE x{unique}/baz2/bar2
S: a OK {/.+/}
C: a CREATE x{unique}/baz2/bar22
S: a OK {/.+/}
C: a CREATE x{unique}/eps2/mamba
S: a OK {/.+/}
C: a CREATE x{unique}/qux2/bar2
S: a OK {/.+/}
C: a SUBSCRIBE x{unique}/foo2/bar1
S: a OK {/.+/}
C: a SUBSCRIBE x{unique}/foo2/bar2
S: a OK {/.+/}
C: a SUBSCRIBE x{unique}/baz2/bar2
S: a OK {/.+/}
C: a SUBSCRIBE x{unique}/baz2/bar22
S: a OK {/.+/}
C: a SUBSCRIBE x{unique}/eps2
S: a OK {/.+/}
C: a SUBSCRIBE x{unique}/eps2/mamba
S: a OK {/.+/}
C: a SUBSCRIBE x{unique}/qux2/bar2
S: a OK {/.+/}
C: a SUBSCRIBE x{unique}/gone
S: a OK {/.+/}
C: a DELETE x{unique}/qux2/bar2
S: a OK {/.+/}
C: a DELETE x{unique}/qux2
S: a OK {/.+/}
# RFC 5258 example 10: parents whose children are not shown themselves
C: b1 LIST (RECURSIVEMATCH SUBSCRIBED) "" x{unique}/%
S: * LIST (\\HasChildren) "/" "x{unique}/baz2" ("CHILDINFO" ("SUBSCRIBED"))
S: * LIST (\\Subscribed \\HasChildren) "/" "x{unique}/eps2" ("CHILDINFO" ("SUBSCRIBED"))
S: * LIST (\\HasChildren) "/" "x{unique}/foo2" ("CHILDINFO" ("SUBSCRIBED"))
S: * LIST (\\NonExistent \\Subscribed \\HasNoChildren) "/" "x{unique}/gone"
S: * LIST (\\NonExistent \\HasNoChildren) "/" "x{unique}/qux2" ("CHILDINFO" ("SUBSCRIBED"))
S: b1 OK {/.+/}
# with the children shown, only who fits itself says so
C: b2 LIST (RECURSIVEMATCH SUBSCRIBED) "" x{unique}/e*
S: * LIST (\\Subscribed \\HasChildren) "/" "x{unique}/eps2" ("CHILDINFO" ("SUBSCRIBED"))
S: * LIST (\\Subscribed \\HasNoChildren) "/" "x{unique}/eps2/mamba"
S: b2 OK {/.+/}
C: b3 LIST (RECURSIVEMATCH SUBSCRIBED) "" x{unique}/foo2*
S: * LIST (\\Subscribed \\HasNoChildren) "/" "x{unique}/foo2/bar1"
S: * LIST (\\Subscribed \\HasNoChildren) "/" "x{unique}/foo2/bar2"
S: b3 OK {/.+/}
C: b4 LIST (SUBSCRIBED) "" x{unique}/%
S: * LIST (\\Subscribed \\HasChildren) "/" "x{unique}/eps2"
S: * LIST (\\NonExistent \\Subscribed \\HasNoChildren) "/" "x{unique}/gone"
S: b4 OK {/.+/}
# RFC 5819 3: STATUS of what fits, not of its parents; not of what is not there
C: c1 LIST (SUBSCRIBED RECURSIVEMATCH) "" (x{unique}/e% x{unique}/f% x{unique}/g%) RETURN (STATUS (MESSAGES UNSEEN) CHILDREN)
S: * LIST (\\Subscribed \\HasChildren) "/" "x{unique}/eps2" ("CHILDINFO" ("SUBSCRIBED"))
S: * STATUS "x{unique}/eps2" (MESSAGES 0 UNSEEN 0)
S: * LIST (\\HasChildren) "/" "x{unique}/foo2" ("CHILDINFO" ("SUBSCRIBED"))
S: * LIST (\\NonExistent \\Subscribed \\HasNoChildren) "/" "x{unique}/gone"
S: c1 OK {/.+/}
C: c2 LIST "" % RETURN (STATUS ())
S: c2 BAD {/.+/}
C: c3 LIST (SUBSCRIBED WHAT) "" %
S: c3 BAD {/.+/}
C: c4 LIST "" % RETURN (WHAT)
S: c4 BAD {/.+/}
C: c5 LIST (REMOTE RECURSIVEMATCH) "" %
S: c5 BAD {/.+/}
C: c6 LIST () "" (x{unique}/foo2 x{unique}/foo%)
S: * LIST (\\HasChildren) "/" "x{unique}/foo2"
S: c6 OK {/.+/}
# the criteria that were met are named
C: d1 LIST (SPECIAL-USE RECURSIVEMATCH) "" Sen%
S: * LIST ({/.*\\Sent.*/}) "/" "Sent"
S: d1 OK {/.+/}
C: z UNSUBSCRIBE x{unique}/foo2/bar1
S: z OK {/.+/}
C: z UNSUBSCRIBE x{unique}/foo2/bar2
S: z OK {/.+/}
C: z UNSUBSCRIBE x{unique}/baz2/bar2
S: z OK {/.+/}
C: z UNSUBSCRIBE x{unique}/baz2/bar22
S: z OK {/.+/}
C: z UNSUBSCRIBE x{unique}/eps2
S: z OK {/.+/}
C: z UNSUBSCRIBE x{unique}/eps2/mamba
S: z OK {/.+/}
C: z UNSUBSCRIBE x{unique}/qux2/bar2
S: z OK {/.+/}
C: z UNSUBSCRIBE x{unique}/gone
S: z OK {/.+/}
