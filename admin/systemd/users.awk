# users.awk: sysusers.d(5) lines for the users of the roles, from the table of options (lib/options.def): one table for all.
BEGIN {
	print "# The users of Congvu's roles, made from lib/options.def: sysusers.d(5)."
}
/^CV_OPT\(user_/ {
	split($0, part, "\"")
	printf "u %s - \"Congvu %s\" - -\n", part[2], part[4]
}
