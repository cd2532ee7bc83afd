-- Every order of callbacks an MTA may come with: macros missing, late or in other words; no HELO, no RCPT, no From, no body; two messages
-- on one connection with a reset between; the connection used again by another client (SMFIC_QUIT_NC is what an MTA's reuse looks like).
local function one(o)
	local conn = o.conn or connect()
	if o.macros then o.macros(conn) end
	if not o.no_mail then
		assert(mt.mailfrom(conn, o.from or "<dan@citizen.example>") == nil)
		assert(mt.getreply(conn) == SMFIR_CONTINUE, o.what .. ": MAIL")
	end
	for _ = 1, o.rcpts or 1 do assert(mt.rcptto(conn, "<b@x.example>") == nil) end
	if o.data then assert(mt.data(conn) == nil) end
	for _, h in ipairs(o.headers or { { "From", "dan@citizen.example" } }) do assert(mt.header(conn, h[1], h[2]) == nil) end
	assert(mt.eoh(conn) == nil)
	if o.body then assert(mt.bodystring(conn, o.body) == nil) end
	assert(mt.eom(conn) == nil, o.what .. ": end of message")
	assert(mt.getreply(conn) == (o.want or SMFIR_CONTINUE), o.what .. ": reply " .. tostring(mt.getreply(conn)))
	return conn
end

-- no macro at all: judged as mail from outside, under no queue id
mt.disconnect(one { what = "no macros" })
-- the queue id after MAIL only (that Postfix gives it at the end alone, test_foreign_mta.py has)
mt.disconnect(one { what = "late queue id", macros = function(c) mt.macro(c, SMFIC_RCPT, "i", "LATE1") end })
-- macros of MAIL given with RCPT or DATA: the login counts where it stands with MAIL, as all MTAs send it
mt.disconnect(one { what = "login with MAIL", macros = function(c) mt.macro(c, SMFIC_MAIL, "{auth_authen}", "binh", "i", "M1") end,
	headers = { { "From", "vanthu@x.example" } }, want = SMFIR_REPLYCODE })
-- braces, other names around, empty values
mt.disconnect(one { what = "other macros", macros = function(c)
	mt.macro(c, SMFIC_MAIL, "{mail_mailer}", "local", "{mail_addr}", "x", "i", "M2", "{unknown}", string.rep("x", 200))
end })
-- no recipients (a milter that is asked so must not fall), many of them
mt.disconnect(one { what = "no recipient", rcpts = 0 })
mt.disconnect(one { what = "200 recipients", rcpts = 200 })
-- no usable header fields: nobody to bind
mt.disconnect(one { what = "no From", headers = { { "Subject", "x" } }, want = SMFIR_REPLYCODE })

local conn = connect()
one { conn = conn, what = "first on the connection" }
-- the second message is its own: headers of the first are gone (two From fields would refuse it)
one { conn = conn, what = "second on the connection" }
assert(mt.mailfrom(conn, "<dan@citizen.example>") == nil)
mt.header(conn, "From", "somebody@else.example")
mt.abort(conn)
mt.abort(conn)
one { conn = conn, what = "after two aborts" }
mt.disconnect(conn)

-- an end of message without a beginning is a temporary failure, not a fall
conn = connect()
pcall(function() mt.eom(conn) end)
pcall(function() mt.disconnect(conn, false) end)
mt.disconnect(one { what = "the filter lives on" })
