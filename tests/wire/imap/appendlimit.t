# APPENDLIMIT: the capability says it, STATUS says it, APPEND keeps to it (RFC 7889)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK [CAPABILITY {/.*/}APPENDLIMIT={max=/[1-9]\d+/}{/.*/}
C: a1 STATUS INBOX (APPENDLIMIT)
S: * STATUS "INBOX" (APPENDLIMIT {max})
S: a1 OK {/.*/}
C: a2 LIST "" INBOX RETURN (STATUS (APPENDLIMIT))
S: * LIST {/.*/}
S: * STATUS "INBOX" (APPENDLIMIT {max})
S: a2 OK {/.*/}
C: a3 APPEND INBOX {{{max}9}}
S: a3 NO [TOOBIG] {/.*/}
