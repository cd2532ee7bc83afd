# Client habit 6: Outlook mishandles some extensions: a site takes capabilities from single accounts, and only from those (option
# imap_capability_mask; here "four:IDLE,status=size")
{CONNECT imaps}
S: * OK {/.*/}
C: a1 LOGIN four pw-four
S: a1 OK [CAPABILITY {/(?=.*\bNAMESPACE\b)(?=.*\bID\b)(?=.*LIST-STATUS)(?!.*\bIDLE\b)(?!.*STATUS=SIZE).*/}] {/.+/}
C: a2 CAPABILITY
S: * CAPABILITY {/(?=.*NAMESPACE)(?!.*\bIDLE\b)(?!.*STATUS=SIZE).*/}
S: a2 OK {/.+/}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: a1 LOGIN staff pw-staff
B S: a1 OK [CAPABILITY {/(?=.*\bIDLE\b)(?=.*STATUS=SIZE).*/}] {/.+/}
# Nothing hangs on ID
B C: a2 ID ("name" "Microsoft Outlook")
B S* a2 OK {/.+/}
B C: a3 CAPABILITY
B S: * CAPABILITY {/(?=.*\bIDLE\b)(?=.*STATUS=SIZE).*/}
B S: a3 OK {/.+/}
