-- P01: official mail without a signature, by functional mailbox, by header field, by the symbol in its subject.
local p01 = "P01 Cong van phai duoc ky so. Hay ky so roi gui lai. / Official mail must be digitally signed. Sign it and send it again. [ticket P01A]"
refused(send { auth = "binh", qid = "P01A", headers = { { "From", "vanthu@x.example" }, { "Subject", "thu moi" } } },
	"functional mailbox", "550", "5.7.1", p01)
refused(send { auth = "binh", qid = "P01A", headers = { { "From", "manager@x.example" }, { "X-VN-Doc", "1" } } },
	"X-VN-Doc", "550", "5.7.1", p01)
refused(send { auth = "binh", qid = "P01A", headers = { { "From", "manager@x.example" },
	{ "Subject", "=?utf-8?Q?15/Q=C4=90-UBND_v=E1=BB=81_vi=E1=BB=87c?=" } } }, "symbol", "550", "5.7.1", p01)
-- a reply is ordinary mail
accepted(send { auth = "binh", headers = { { "From", "vanthu@x.example" }, { "Subject", "Re: 15/QD-UBND" },
	{ "In-Reply-To", "<a@b>" } } }, "reply")
