# predicates.awk: rows of milter/policy_predicates.def as items of congvu-policy(5).
/^PREDICATE\(/ {
	line = $0
	sub(/^PREDICATE\(/, "", line)
	name = line; sub(/,.*/, "", name)
	sub(/^[^,]*, */, "", line)
	arg = line; sub(/,.*/, "", arg)
	n = split(line, q, "\"")
	text = q[n - 1]
	takes["NONE"] = ""; takes["WORDS"] = "words"; takes["ADDRESSES"] = "addresses"; takes["DOMAINS"] = "domains"
	takes["GROUP"] = "groups"; takes["SCOPE"] = "InOrganization | NotInOrganization"; takes["NETWORKS"] = "networks"
	takes["NUMBER"] = "number"; takes["SIZE"] = "size"; takes["HEADER_WORDS"] = "(field, words)"; takes["TYPES"] = "Signed | Encrypted"
	takes["NAMES"] = "names"; takes["RULES"] = "rules"; takes["AGENCIES"] = "codes"
	if (takes[arg] == "")
		printf ".It Cm %s\n%s.\n", name, text
	else
		printf ".It Cm %s Ar %s\n%s.\n", name, takes[arg], text
}
