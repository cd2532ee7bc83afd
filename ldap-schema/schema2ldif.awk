# schema2ldif.awk: makes the cn=config form of an OpenLDAP .schema file. Usage: awk -v name=congvu -f schema2ldif.awk FILE
BEGIN {
	print "# Made from " name ".schema by schema2ldif.awk: edit that file."
	print "dn: cn=" name ",cn=schema,cn=config"
	print "objectClass: olcSchemaConfig"
	print "cn: " name
}
function flush() {
	if (item != "") {
		# RFC 2849: lines are folded with one leading space
		while (length(item) > 76) {
			print substr(item, 1, 76)
			item = " " substr(item, 77)
		}
		print item
	}
	item = ""
}
/^[ \t]*#/ || /^[ \t]*$/ { next }
/^objectidentifier/ { flush(); $1 = ""; sub(/^ /, ""); item = "olcObjectIdentifier: " $0; next }
/^attributetype/ { flush(); sub(/^attributetype[ \t]+/, ""); item = "olcAttributeTypes: " $0; next }
/^objectclass/ { flush(); sub(/^objectclass[ \t]+/, ""); item = "olcObjectClasses: " $0; next }
/^[ \t]/ { sub(/^[ \t]+/, ""); item = item " " $0; next }
END { flush() }
