# options.awk: the list of options in congvu.conf(5), from lib/options.def. Each "/* --- part --- */" begins a section.
function troff(s)
{
	gsub(/\\"/, "\"", s)
	gsub(/\\\\/, "\\", s)
	gsub(/\\/, "\\e", s)
	gsub(/^\./, "\\\\\\&.", s)
	gsub(/-/, "\\-", s)
	while (match(s, /\. [A-Z]/)) # new sentence, new line
		s = substr(s, 1, RSTART) "\n" substr(s, RSTART + 2)
	return s
}
BEGIN {
	type["CONF_STR"] = "string"
	type["CONF_INT"] = "number"
	type["CONF_BOOL"] = "true or false"
	type["CONF_LIST"] = "list"
	type["CONF_PATH"] = "path"
}
/^\/\* --- .* --- \*\// {
	title = $0
	sub(/^\/\* --- /, "", title)
	sub(/ --- \*\/.*/, "", title)
	if (open)
		print ".El"
	print ".Ss " toupper(substr(title, 1, 1)) substr(title, 2)
	print ".Bl -tag -width Ds"
	open = 1
	next
}
/^CV_OPT\(/ {
	rest = $0
	sub(/^CV_OPT\(/, "", rest)
	name = rest
	sub(/,.*/, "", name)
	sub(/^[^,]*, */, "", rest)
	kind = rest
	sub(/,.*/, "", kind)
	sub(/^[^,]*, *"/, "", rest)
	match(rest, /^([^"\\]|\\.)*"/)
	def = substr(rest, 1, RLENGTH - 1)
	rest = substr(rest, RLENGTH + 1)
	sub(/^, */, "", rest)
	split(rest, range, /, */)
	help = rest
	sub(/^[^,]*,[^,]*, *"/, "", help)
	sub(/"\).*$/, "", help)
	print ".It Cm " name " No = Ar " (kind in type ? type[kind] : kind)
	print troff(help) "."
	if (kind == "CONF_INT")
		print "From " range[1] " to " range[2] "; default " def "."
	else if (def == "")
		print "Default: empty."
	else
		print "Default:\n.Ql " troff(def) "\n."
}
END {
	if (open)
		print ".El"
}
