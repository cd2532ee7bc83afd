-- P02, P07, P10, P03: each signature that must not pass.
dofile(here .. "/lib.lua")
refused(send { mail = "altered.eml", auth = "binh", qid = "S1" }, "altered", "550", "5.7.1",
	"P02 Chu ky so khong hop le; hay ky lai. / Invalid signature; sign again. (verification failure) [ticket S1]")
refused(send { mail = "other_signer.eml", auth = "binh", qid = "S2" }, "other signer", "550", "5.7.1",
	"P07 Dia chi gui khac chung thu. / Sender differs from certificate. (From manager@x.example, certificate eve@x.example) [ticket S2]")
refused_with(send { mail = "weak.eml", auth = "binh" }, "RSA-1024", "550", "5.7.1")
refused_with(send { mail = "stranger.eml", auth = "binh" }, "other CA", "550", "5.7.1")
refused_with(send { headers = { { "From", "manager@x.example" }, { "From", "eve@x.example" } } }, "two From", "550", "5.7.1")
refused_with(send { headers = { { "Subject", "x" } }, auth = "binh" }, "no From", "550", "5.7.1")
refused_with(send { headers = { { "From", "eve@x.example" } }, auth = "binh" }, "P28", "550", "5.7.1")
