-- lib.lua: what the scripts share. Globals given by run.py: sock (of the filter), mails (folder of made messages).

local function read_mail(name)
	local f = assert(io.open(mails .. "/" .. name, "rb"))
	local text = f:read("*a")
	f:close()
	return text
end

-- Header fields of a message as { name, value } with LF folding, and its body, as an MTA would send them.
local function split(text)
	local at = text:find("\r\n\r\n", 1, true)
	local head, body = text:sub(1, at + 1), text:sub(at + 4)
	local fields = {}
	for line in head:gmatch("(.-)\r\n") do
		if line:match("^[ \t]") then
			fields[#fields][2] = fields[#fields][2] .. "\n" .. line
		else
			local name, value = line:match("^([^:]+):[ ]?(.*)$")
			fields[#fields + 1] = { name, value }
		end
	end
	return fields, body
end

function connect()
	local conn = mt.connect(sock, 40, 0.1)
	assert(conn, "no connection to the filter")
	mt.set_timeout(40)
	assert(mt.conninfo(conn, "client.example", "192.0.2.7") == nil)
	assert(mt.getreply(conn) == SMFIR_CONTINUE, "connect refused")
	return conn
end

-- o.mail: file; or o.headers and o.body. o.auth: login. o.from: envelope. o.qid. o.conn: to go on with a connection.
function send(o)
	local conn = o.conn or connect()
	local fields, body
	if o.mail then
		fields, body = split(read_mail(o.mail))
	else
		fields, body = o.headers, o.body or "Xin chào\r\n"
	end
	if o.auth then
		mt.macro(conn, SMFIC_MAIL, "i", o.qid or "Q1", "{auth_authen}", o.auth, "{auth_type}", "PLAIN")
	else
		mt.macro(conn, SMFIC_MAIL, "i", o.qid or "Q1")
	end
	assert(mt.mailfrom(conn, o.from or "<envelope@x.example>") == nil)
	assert(mt.getreply(conn) == SMFIR_CONTINUE, "MAIL refused")
	assert(mt.rcptto(conn, "<rcpt@x.example>") == nil)
	for _, f in ipairs(fields) do
		assert(mt.header(conn, f[1], f[2]) == nil)
		assert(mt.getreply(conn) == SMFIR_CONTINUE, "header refused")
	end
	assert(mt.eoh(conn) == nil)
	if #body > 0 then
		local at = 1
		while at <= #body do
			assert(mt.bodystring(conn, body:sub(at, at + 60000)) == nil)
			at = at + 60001
		end
	end
	assert(mt.eom(conn) == nil, "end of message failed")
	return conn
end

function accepted(conn, what)
	local r = mt.getreply(conn)
	assert(r == SMFIR_CONTINUE or r == SMFIR_ACCEPT, what .. ": not accepted, reply " .. tostring(r))
	assert(mt.eom_check(conn, MT_HDRINSERT, "Authentication-Results"), what .. ": no Authentication-Results")
	assert(not mt.eom_check(conn, MT_BODYCHANGE), what .. ": the body was changed")
	assert(not mt.eom_check(conn, MT_HDRCHANGE), what .. ": a field was changed")
	mt.disconnect(conn)
end

-- The whole text of the reply, as it must be.
function refused(conn, what, code, enhanced, text)
	assert(mt.getreply(conn) == SMFIR_REPLYCODE, what .. ": no reply code")
	assert(mt.eom_check(conn, MT_SMTPREPLY, code, enhanced, text), what .. ": not " .. code .. " " .. enhanced .. " " .. text)
	mt.disconnect(conn)
end

-- Refused with some words (miltertest compares whole texts only); run.py looks the rule up in the audit log by the queue id.
function refused_somehow(conn, what)
	assert(mt.getreply(conn) == SMFIR_REPLYCODE, what .. ": no reply code, got " .. tostring(mt.getreply(conn)))
	mt.disconnect(conn)
end
