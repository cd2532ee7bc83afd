-- Forged results of ours are removed, others' stay (RFC 8601 5).
local conn = send { headers = { { "From", "dan@citizen.example" }, { "Authentication-Results", "mail.x.example; smime=pass" },
	{ "X-Congvu-Verdict", "accept; forged" }, { "Authentication-Results", "other.example; spf=pass" } } }
assert(mt.eom_check(conn, MT_HDRDELETE, "Authentication-Results"), "forged Authentication-Results stays")
assert(mt.eom_check(conn, MT_HDRDELETE, "X-Congvu-Verdict"), "forged verdict stays")
local ar = mt.getheader(conn, "Authentication-Results", 0)
assert(ar and ar:find("smime=none", 1, true), "no smime=none: " .. tostring(ar))
mt.disconnect(conn)
conn = send { headers = { { "From", "dan@citizen.example" }, { "Authentication-Results", "other.example; spf=pass" } } }
assert(not mt.eom_check(conn, MT_HDRDELETE, "Authentication-Results"), "another host's result was removed")
mt.disconnect(conn)
-- smtpd's mark against circles of forwards stays, or they turn on
conn = send { headers = { { "From", "dan@citizen.example" }, { "X-Congvu-Forward", "5c64bcd0a934ef63657a003f" } } }
assert(not mt.eom_check(conn, MT_HDRDELETE, "X-Congvu-Forward"), "the mark of a forward was removed")
mt.disconnect(conn)
-- more of them than are worth removing
local many = { { "From", "dan@citizen.example" } }
for i = 1, 70 do many[#many + 1] = { "X-Congvu-Verdict", "forged " .. i } end
refused(send { headers = many, qid = "F1" }, "70 forged fields", "550", "5.7.1",
	"M08 Qua nhieu truong ket qua kiem tra gia. / Too many forged result fields. [ticket F1]")
