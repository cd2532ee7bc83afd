# APPEND goes by the name as it is now, whatever another session did to it since the last one; on the same connection, and on two
{CONNECT imaps AS A}
A S: * OK {/.*/}
A C: a0 AUTHENTICATE PLAIN {staff.plain}
A S* a0 OK {/.*/}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: b0 AUTHENTICATE PLAIN {staff.plain}
B S* b0 OK {/.*/}
A C: a1 CREATE aar-{unique}
A S* a1 OK {/.*/}
A C: a2 APPEND aar-{unique} {{7+}}\r\nX: 1\r\n
A S* a2 OK [APPENDUID {/\d+ 1\] .*/}
A C: a3 APPEND aar-{unique} {{7+}}\r\nX: 2\r\n
A S* a3 OK [APPENDUID {/\d+ 2\] .*/}
B C: b1 RENAME aar-{unique} aar2-{unique}
B S* b1 OK {/.*/}
A C: a4 APPEND aar-{unique} {{7+}}\r\nX: 3\r\n
A S* a4 NO [TRYCREATE] {/.*/}
A C: a5 APPEND aar2-{unique} {{7+}}\r\nX: 4\r\n
A S* a5 OK [APPENDUID {/\d+ 3\] .*/}
B C: b2 CREATE aar-{unique}
B S* b2 OK {/.*/}
A C: a6 APPEND aar-{unique} {{7+}}\r\nX: 5\r\n
A S* a6 OK [APPENDUID {/\d+ 1\] .*/}
A C: a7 APPEND aar-{unique} {{7+}}\r\nX: 6\r\n
A S* a7 OK [APPENDUID {/\d+ 2\] .*/}
B C: b3 DELETE aar-{unique}
B S* b3 OK {/.*/}
A C: a8 APPEND aar-{unique} {{7+}}\r\nX: 7\r\n
A S* a8 NO [TRYCREATE] {/.*/}
A C: a9 RENAME aar2-{unique} aar-{unique}
A S* a9 OK {/.*/}
A C: a10 APPEND aar-{unique} {{7+}}\r\nX: 8\r\n
A S* a10 OK [APPENDUID {/\d+ 4\] .*/}
A C: a11 DELETE aar-{unique}
A S* a11 OK {/.*/}
A C: a12 APPEND aar-{unique} {{7+}}\r\nX: 9\r\n
A S* a12 NO [TRYCREATE] {/.*/}
