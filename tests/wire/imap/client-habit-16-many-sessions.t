# Client habit 16 (mobile clients): twenty sessions of one user at once, all in IDLE, and a burst of new ones locks nobody out
{CONNECT imaps AS A}
A S: * OK {/.*/}
A C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
A S* + {/.*/}
{CONNECT imaps AS B}
B S: * OK {/.*/}
B C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
B S* + {/.*/}
{CONNECT imaps AS C}
C S: * OK {/.*/}
C C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
C S* + {/.*/}
{CONNECT imaps AS D}
D S: * OK {/.*/}
D C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
D S* + {/.*/}
{CONNECT imaps AS E}
E S: * OK {/.*/}
E C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
E S* + {/.*/}
{CONNECT imaps AS F}
F S: * OK {/.*/}
F C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
F S* + {/.*/}
{CONNECT imaps AS G}
G S: * OK {/.*/}
G C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
G S* + {/.*/}
{CONNECT imaps AS H}
H S: * OK {/.*/}
H C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
H S* + {/.*/}
{CONNECT imaps AS I}
I S: * OK {/.*/}
I C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
I S* + {/.*/}
{CONNECT imaps AS J}
J S: * OK {/.*/}
J C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
J S* + {/.*/}
{CONNECT imaps AS K}
K S: * OK {/.*/}
K C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
K S* + {/.*/}
{CONNECT imaps AS L}
L S: * OK {/.*/}
L C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
L S* + {/.*/}
{CONNECT imaps AS M}
M S: * OK {/.*/}
M C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
M S* + {/.*/}
{CONNECT imaps AS N}
N S: * OK {/.*/}
N C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
N S* + {/.*/}
{CONNECT imaps AS O}
O S: * OK {/.*/}
O C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
O S* + {/.*/}
{CONNECT imaps AS P}
P S: * OK {/.*/}
P C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
P S* + {/.*/}
{CONNECT imaps AS Q}
Q S: * OK {/.*/}
Q C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
Q S* + {/.*/}
{CONNECT imaps AS R}
R S: * OK {/.*/}
R C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
R S* + {/.*/}
{CONNECT imaps AS S}
S S: * OK {/.*/}
S C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
S S* + {/.*/}
{CONNECT imaps AS T}
T S: * OK {/.*/}
T C: a0 AUTHENTICATE PLAIN {head.plain}\r\na1 SELECT INBOX\r\na2 IDLE
T S* + {/.*/}
A C: DONE\r\na3 LOGOUT
A S* a2 OK {/.*/}
A S* a3 OK {/.*/}
B C: DONE\r\na3 LOGOUT
B S* a2 OK {/.*/}
B S* a3 OK {/.*/}
C C: DONE\r\na3 LOGOUT
C S* a2 OK {/.*/}
C S* a3 OK {/.*/}
D C: DONE\r\na3 LOGOUT
D S* a2 OK {/.*/}
D S* a3 OK {/.*/}
E C: DONE\r\na3 LOGOUT
E S* a2 OK {/.*/}
E S* a3 OK {/.*/}
F C: DONE\r\na3 LOGOUT
F S* a2 OK {/.*/}
F S* a3 OK {/.*/}
G C: DONE\r\na3 LOGOUT
G S* a2 OK {/.*/}
G S* a3 OK {/.*/}
H C: DONE\r\na3 LOGOUT
H S* a2 OK {/.*/}
H S* a3 OK {/.*/}
I C: DONE\r\na3 LOGOUT
I S* a2 OK {/.*/}
I S* a3 OK {/.*/}
J C: DONE\r\na3 LOGOUT
J S* a2 OK {/.*/}
J S* a3 OK {/.*/}
K C: DONE\r\na3 LOGOUT
K S* a2 OK {/.*/}
K S* a3 OK {/.*/}
L C: DONE\r\na3 LOGOUT
L S* a2 OK {/.*/}
L S* a3 OK {/.*/}
M C: DONE\r\na3 LOGOUT
M S* a2 OK {/.*/}
M S* a3 OK {/.*/}
N C: DONE\r\na3 LOGOUT
N S* a2 OK {/.*/}
N S* a3 OK {/.*/}
O C: DONE\r\na3 LOGOUT
O S* a2 OK {/.*/}
O S* a3 OK {/.*/}
P C: DONE\r\na3 LOGOUT
P S* a2 OK {/.*/}
P S* a3 OK {/.*/}
Q C: DONE\r\na3 LOGOUT
Q S* a2 OK {/.*/}
Q S* a3 OK {/.*/}
R C: DONE\r\na3 LOGOUT
R S* a2 OK {/.*/}
R S* a3 OK {/.*/}
S C: DONE\r\na3 LOGOUT
S S* a2 OK {/.*/}
S S* a3 OK {/.*/}
T C: DONE\r\na3 LOGOUT
T S* a2 OK {/.*/}
T S* a3 OK {/.*/}
