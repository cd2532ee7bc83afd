-- P02, P07, P10, P03: each signature that must not pass.
refused(send { mail = "altered.eml", auth = "binh", qid = "S1" }, "altered", "550", "5.7.1",
	"P02 Chu ky so khong hop le; hay ky lai. / Invalid signature; sign again. (the content was changed after signing) [ticket S1]")
refused(send { mail = "other_signer.eml", auth = "binh", qid = "S2" }, "other signer", "550", "5.7.1",
	"P07 Dia chi gui khac chung thu. Hay gui tu dia chi trong chung thu. / Sender differs from certificate. Send from the address in it. (From manager@x.example, certificate eve@x.example) [ticket S2]")
refused_somehow(send { mail = "weak.eml", auth = "binh", qid = "weak" }, "RSA-1024")
refused_somehow(send { mail = "stranger.eml", auth = "binh", qid = "stranger" }, "other CA")
refused_somehow(send { headers = { { "From", "manager@x.example" }, { "From", "eve@x.example" } }, qid = "twofrom" }, "two From")
refused_somehow(send { headers = { { "Subject", "x" } }, auth = "binh", qid = "nofrom" }, "no From")
refused_somehow(send { headers = { { "From", "eve@x.example" } }, auth = "binh", qid = "sendas" }, "send as")
