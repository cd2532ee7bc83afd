# ldap-schema/: schema, OID registry, slapd's configuration and the script that runs a slapd of one's own.
dist_pkgdata_DATA += ldap-schema/congvu.schema ldap-schema/congvu.ldif ldap-schema/slapd.conf.in \
	ldap-schema/base.ldif.in
congvuexampledir = $(pkgdatadir)/examples
dist_congvuexample_DATA = ldap-schema/examples/inetorgperson.conf ldap-schema/examples/active-directory.conf
dist_pkgdata_SCRIPTS = ldap-schema/slapd-instance
EXTRA_DIST += ldap-schema/README.md ldap-schema/oids.tsv ldap-schema/schema2ldif.awk

# congvu.ldif is kept in the repository, so that a cn=config server needs no tools: `make schema-ldif` after a change.
.PHONY: schema-ldif
schema-ldif:
	$(AWK) -v name=congvu -f $(srcdir)/ldap-schema/schema2ldif.awk $(srcdir)/ldap-schema/congvu.schema \
		>$(srcdir)/ldap-schema/congvu.ldif
