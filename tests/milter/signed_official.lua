-- A signed official mail from the clerk's functional mailbox goes through and says so in its header.
local conn = send { mail = "official.eml", auth = "binh", qid = "OFF1" }
local ar = mt.getheader(conn, "Authentication-Results", 0)
assert(ar and ar:find("mail.x.example", 1, true) and ar:find("smime=pass", 1, true), "Authentication-Results: " .. tostring(ar))
local v = mt.getheader(conn, "X-Congvu-Verdict", 0)
assert(v and v:find("official=yes", 1, true) and v:find("signature=good", 1, true), "X-Congvu-Verdict: " .. tostring(v))
assert(not mt.eom_check(conn, MT_HDRINSERT, "Importance", "high"), "an ordinary document is marked")
accepted(conn, "signed official mail")

-- P32: an urgent document is marked, unless its sender marked it.
conn = send { mail = "urgent.eml", auth = "binh", qid = "URG1" }
assert(mt.getheader(conn, "Importance", 0) == "high", "Importance: " .. tostring(mt.getheader(conn, "Importance", 0)))
accepted(conn, "urgent document")
conn = send { mail = "urgent_marked.eml", auth = "binh", qid = "URG2" }
assert(not mt.eom_check(conn, MT_HDRINSERT, "Importance", "high"), "marked twice")
accepted(conn, "urgent document that is marked")
