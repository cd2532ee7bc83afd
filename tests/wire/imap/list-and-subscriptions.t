# LIST with patterns and options (RFC 5258, RFC 5819, RFC 6154), LSUB, subscriptions
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 CREATE l-{unique}/x/y
S: a1 OK {/.*/}
C: a2 LIST "" l-{unique}/%
S: * LIST (\\HasChildren) "/" {/"?/}l-{unique}/x{/"?/}
S: a2 OK {/.*/}
C: a3 LIST l-{unique}/ *y
S: * LIST (\\HasNoChildren) "/" {/"?/}l-{unique}/x/y{/"?/}
S: a3 OK {/.*/}
C: a4 SUBSCRIBE l-{unique}/x/y
S: a4 OK {/.*/}
C: a5 LSUB "" l-{unique}*
S: * LSUB (\\HasNoChildren) "/" {/"?/}l-{unique}/x/y{/"?/}
S: a5 OK {/.*/}
C: a6 LSUB "" l-{unique}/%
S: * LSUB (\\Noselect \\HasChildren) "/" {/"?/}l-{unique}/x{/"?/}
S: a6 OK {/.*/}
C: a7 LIST (SUBSCRIBED) "" (l-{unique}/* nothing) RETURN (CHILDREN STATUS (MESSAGES))
S: * LIST (\\Subscribed \\HasNoChildren) "/" {/"?/}l-{unique}/x/y{/"?/}
S: * STATUS {/"?/}l-{unique}/x/y{/"?/} (MESSAGES 0)
S: a7 OK {/.*/}
C: a8 LIST (SUBSCRIBED RECURSIVEMATCH) "" l-{unique}/%
S: * LIST ({/.*/}\\HasChildren) "/" {/"?/}l-{unique}/x{/"?/} ("CHILDINFO" ("SUBSCRIBED"))
S: a8 OK {/.*/}
C: a9 LIST "" l-{unique}* RETURN (SUBSCRIBED)
S: * LIST (\\HasChildren) "/" {/"?/}l-{unique}{/"?/}
S: * LIST (\\HasChildren) "/" {/"?/}l-{unique}/x{/"?/}
S: * LIST (\\Subscribed \\HasNoChildren) "/" {/"?/}l-{unique}/x/y{/"?/}
S: a9 OK {/.*/}
C: b1 LIST (SPECIAL-USE) "" *
S~ * LIST ({/.*\\Drafts/}) "/" {/"?Drafts"?/} | * LIST ({/.*\\Sent/}) "/" {/"?Sent"?/} | * LIST ({/.*\\Junk/}) "/" {/"?Junk"?/} | * LIST ({/.*\\Trash/}) "/" {/"?Trash"?/} | * LIST ({/.*\\Archive/}) "/" {/"?Archive"?/}
S: b1 OK {/.*/}
C: b2 LIST (RECURSIVEMATCH) "" *
S: b2 BAD {/.*/}
C: b3 UNSUBSCRIBE l-{unique}/x/y
S: b3 OK {/.*/}
C: b4 LSUB "" l-{unique}*
S: b4 OK {/.*/}
C: b5 SUBSCRIBE l-{unique}/gone
S: b5 {/(OK|NO) .*/}
C: b6 UNSUBSCRIBE l-{unique}/gone
S: b6 {/(OK|NO) .*/}
C: b7 DELETE l-{unique}/x/y
S: b7 OK {/.*/}
C: b8 DELETE l-{unique}/x
S: b8 OK {/.*/}
C: b9 DELETE l-{unique}
S: b9 OK {/.*/}
C: c1 LIST "" l-{unique}*
S: c1 OK {/.*/}
