-- The directory does not answer: deferred with words, neither refused nor let through.
refused(send { headers = { { "From", "down@x.example" } }, auth = "binh", qid = "D1" }, "directory down", "451", "4.7.1",
	"T01 Chua tra duoc danh ba; hay gui lai sau. / The directory cannot be asked now; try again later. [ticket D1]")
