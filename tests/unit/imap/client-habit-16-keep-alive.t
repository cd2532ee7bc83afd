# Client habit 16 (NAT): an untagged keep-alive in IDLE (imap_idle_keepalive_s: two minutes by default, one second here)
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}

C: a1 SELECT INBOX
S* a1 OK {/.*/}
C: a2 IDLE
S: + {/.*/}
{TIMEOUT 3}
S: * OK {/\S.*/}
S: * OK {/\S.*/}
C: DONE
S* a2 OK {/.*/}
# without a mailbox as well
C: a3 UNSELECT
S: a3 OK {/.*/}
C: a4 IDLE
S: + {/.*/}
S: * OK {/\S.*/}
C: DONE
S* a4 OK {/.*/}
