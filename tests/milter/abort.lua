-- Abort at any stage, several messages on one connection, a connection that ends in the middle.
local conn = connect()
mt.macro(conn, SMFIC_MAIL, "i", "A1")
mt.mailfrom(conn, "<a@x.example>")
mt.abort(conn)
mt.macro(conn, SMFIC_MAIL, "i", "A2")
mt.mailfrom(conn, "<a@x.example>")
mt.rcptto(conn, "<b@x.example>")
mt.header(conn, "From", "manager@x.example")
mt.abort(conn)
send { conn = conn, auth = "binh", headers = { { "From", "manager@x.example" } } }
assert(mt.getreply(conn) == SMFIR_CONTINUE, "first message after aborts")
send { conn = conn, auth = "binh", headers = { { "From", "vanthu@x.example" } }, qid = "A3" }
assert(mt.getreply(conn) == SMFIR_REPLYCODE, "second message: what the first was must be forgotten")
send { conn = conn, auth = "binh", headers = { { "From", "manager@x.example" } }, body = "" }
assert(mt.getreply(conn) == SMFIR_CONTINUE, "message without a body")
mt.disconnect(conn)
conn = connect()
mt.mailfrom(conn, "<a@x.example>")
mt.header(conn, "From", "manager@x.example")
mt.disconnect(conn, false)
