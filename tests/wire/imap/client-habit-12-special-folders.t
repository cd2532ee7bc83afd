# Client habit 12: the special folders are there beforehand, flagged in plain LIST and in LSUB, and what is put in Sent twice is there once
{CONNECT imaps}
S: * OK {/.*/}
C: a0 AUTHENTICATE PLAIN {head.plain}
S* a0 OK {/.*/}
C: a1 LIST "" INBOX
S: * LIST ({/.*/}) "/" "INBOX"
S: a1 OK {/.+/}
C: a1 LIST "" Archive
S: * LIST ({/.*\\Archive/}) "/" "Archive"
S: a1 OK {/.+/}
C: a1 LIST "" Drafts
S: * LIST ({/.*\\Drafts/}) "/" "Drafts"
S: a1 OK {/.+/}
C: a1 LIST "" Junk
S: * LIST ({/.*\\Junk/}) "/" "Junk"
S: a1 OK {/.+/}
C: a1 LIST "" Sent
S: * LIST ({/.*\\Sent/}) "/" "Sent"
S: a1 OK {/.+/}
C: a1 LIST "" Trash
S: * LIST ({/.*\\Trash/}) "/" "Trash"
S: a1 OK {/.+/}
C: a2 LSUB "" "Sent"
S: * LSUB ({/.*\\Sent/}) "/" "Sent"
S: a2 OK {/.+/}
C: a3 LSUB "" "Drafts"
S: * LSUB ({/.*\\Drafts/}) "/" "Drafts"
S: a3 OK {/.+/}
C: a4 CREATE Sent
S: a4 NO [ALREADYEXISTS] {/.+/}
C: a5 DELETE INBOX
S: a5 NO [CANNOT] {/.+/}
# the answer was lost, the client sends it again: same octets, same Message-ID
C: b1 APPEND Sent (\\Seen) {{81+}}\r\nFrom: a@x.example\r\nMessage-ID: <{unique}@x.example>\r\nSubject: sent\r\n\r\nx\r\n
S: b1 OK [APPENDUID {v=/\d+/} {first=/\d+/}] {/.+/}
C: b2 APPEND Sent (\\Seen) {{81+}}\r\nFrom: a@x.example\r\nMessage-ID: <{unique}@x.example>\r\nSubject: sent\r\n\r\nx\r\n
S: b2 OK [APPENDUID {v} {first}] {/.+/}
C: b3 SELECT Sent
S* b3 OK {/.+/}
C: b4 UID SEARCH RETURN (COUNT ALL) HEADER Message-ID <{unique}@x.example>
S: * ESEARCH (TAG "b4") UID COUNT 1 ALL {first}
S: b4 OK {/.+/}
# other content under the same Message-ID is another message, and one that was deleted comes back
C: b5 APPEND Sent (\\Seen) {{81+}}\r\nFrom: a@x.example\r\nMessage-ID: <{unique}@x.example>\r\nSubject: sent\r\n\r\ny\r\n
S* b5 OK [APPENDUID {v} {second=/\d+/}] {/.+/}
C: b6 UID STORE {first},{second} +FLAGS.SILENT (\\Deleted)
S: b6 OK {/.+/}
C: b7 UID EXPUNGE {first},{second}
S* b7 OK {/.+/}
C: b8 APPEND Sent (\\Seen) {{81+}}\r\nFrom: a@x.example\r\nMessage-ID: <{unique}@x.example>\r\nSubject: sent\r\n\r\nx\r\n
S* b8 OK [APPENDUID {v} {third=/\d+/}] {/.+/}
C: b9 UID SEARCH RETURN (ALL) HEADER Message-ID <{unique}@x.example>
S: * ESEARCH (TAG "b9") UID ALL {third}
S: b9 OK {/.+/}
