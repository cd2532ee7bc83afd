-- Everyday mail between staff, and a citizen's mail, go through unsigned.
accepted(send { auth = "binh", headers = { { "From", "manager@x.example" }, { "Subject", "an trua" } } }, "staff")
accepted(send { from = "<dan@citizen.example>", headers = { { "From", "dan@citizen.example" },
	{ "Subject", "=?utf-8?Q?15/Q=C4=90-UBND?=" } } }, "citizen")
-- a bounce of an old mailer
accepted(send { from = "<>", headers = { { "From", "MAILER-DAEMON" }, { "Subject", "failure" } } }, "bounce")
