# Names in modified UTF-7 (RFC 3501 5.1.3): they come back as sent, and ones that are not canonical are refused
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE "C&APQ-ng v&AQM-n &AREA4w- {unique}"
S: a1 OK {/.*/}
C: a2 LIST "" "C&APQ-ng v&AQM-n &AREA4w- {unique}"
S: * LIST ({/.*/}) "/" "C&APQ-ng v&AQM-n &AREA4w- {unique}"
S: a2 OK {/.*/}
C: a3 CREATE "bad &AGE- {unique}"
S: a3 {/NO|BAD/} {/.*/}
C: a4 CREATE "T&- {unique}"
S: a4 OK {/.*/}
C: a5 LIST "" "T&- {unique}"
S: * LIST ({/.*/}) "/" "T&- {unique}"
S: a5 OK {/.*/}
C: a6 DELETE "T&- {unique}"
S: a6 OK {/.*/}
C: a7 DELETE "C&APQ-ng v&AQM-n &AREA4w- {unique}"
S: a7 OK {/.*/}
C: a8 LOGOUT
S* a8 OK {/.*/}
