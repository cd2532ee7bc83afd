# admin/systemd/: units, users and folders for hosts with systemd. One template makes the four services.
dist_systemdsystemunit_DATA = admin/systemd/congvu.target
systemdsystemunit_DATA = admin/systemd/congvu-slapd.service admin/systemd/congvu-stored.service \
	admin/systemd/congvu-milter.service admin/systemd/congvu-smtpd.service admin/systemd/congvu-imapd.service
sysusersdir = $(prefix)/lib/sysusers.d
tmpfilesdir = $(prefix)/lib/tmpfiles.d
sysusers_DATA = admin/systemd/sysusers.d/congvu.conf
tmpfiles_DATA = admin/systemd/tmpfiles.d/congvu.conf
EXTRA_DIST += admin/systemd/parent.service.in admin/systemd/congvu-slapd.service.in \
	admin/systemd/users.awk admin/systemd/congvu.tmpfiles
CLEANFILES += admin/systemd/congvu-*.service admin/systemd/sysusers.d/congvu.conf admin/systemd/tmpfiles.d/congvu.conf

# Which program, what it is, what starts before it, what its parent needs beside the rest: DAC_READ_SEARCH passes into the
# folders of its roles, which are 0700; the filter's socket is made in its user's folder.
CV_UNIT = $(AM_V_GEN)$(MKDIR_P) admin/systemd && $(SED) -e '/^\# One of/d' -e '/^\# ports, makes/d' -e 's|@SBINDIR@|$(sbindir)|g' \
	-e 's|@CONF@|$(sysconfdir)/congvu/congvu.conf|g' -e 's|@ETC@|$(sysconfdir)/congvu|g'
CV_PARENT_UNIT = $(srcdir)/admin/systemd/parent.service.in >$@.new && mv $@.new $@
CV_UNIT_DEPS = $(srcdir)/admin/systemd/parent.service.in $(srcdir)/admin/systemd/local.mk Makefile
admin/systemd/congvu-stored.service: $(CV_UNIT_DEPS)
	$(CV_UNIT) -e 's|@PROGRAM@|congvu-stored|g' -e 's|@WHAT@|mail store|' -e 's| @AFTER@||' \
	  -e 's|@CAPS@|CAP_DAC_READ_SEARCH CAP_NET_BIND_SERVICE|' $(CV_PARENT_UNIT)
admin/systemd/congvu-milter.service: $(CV_UNIT_DEPS)
	$(CV_UNIT) -e 's|@PROGRAM@|congvu-milter|g' -e 's|@WHAT@|policy filter and audit log|' -e 's| @AFTER@||' \
	  -e 's|@CAPS@|CAP_DAC_OVERRIDE|' $(CV_PARENT_UNIT)
admin/systemd/congvu-smtpd.service: $(CV_UNIT_DEPS)
	$(CV_UNIT) -e 's|@PROGRAM@|congvu-smtpd|g' -e 's|@WHAT@|SMTP server|' -e 's|@AFTER@|congvu-stored.service congvu-milter.service|' \
	  -e 's|@CAPS@|CAP_DAC_READ_SEARCH CAP_NET_BIND_SERVICE|' $(CV_PARENT_UNIT)
admin/systemd/congvu-imapd.service: $(CV_UNIT_DEPS)
	$(CV_UNIT) -e 's|@PROGRAM@|congvu-imapd|g' -e 's|@WHAT@|IMAP server|' -e 's|@AFTER@|congvu-stored.service|' \
	  -e 's|@CAPS@|CAP_NET_BIND_SERVICE|' $(CV_PARENT_UNIT)
admin/systemd/congvu-slapd.service: $(srcdir)/admin/systemd/congvu-slapd.service.in $(srcdir)/admin/systemd/local.mk Makefile
	$(CV_UNIT) $(srcdir)/admin/systemd/congvu-slapd.service.in >$@.new && mv $@.new $@
admin/systemd/sysusers.d/congvu.conf: $(srcdir)/lib/options.def $(srcdir)/admin/systemd/users.awk
	$(AM_V_GEN)$(MKDIR_P) admin/systemd/sysusers.d && $(AWK) -f $(srcdir)/admin/systemd/users.awk $(srcdir)/lib/options.def >$@.new && mv $@.new $@
admin/systemd/tmpfiles.d/congvu.conf: $(srcdir)/admin/systemd/congvu.tmpfiles
	$(AM_V_GEN)$(MKDIR_P) admin/systemd/tmpfiles.d && cp $(srcdir)/admin/systemd/congvu.tmpfiles $@

# --- tests ---
EXTRA_DIST += tests/unit/systemd_test.sh
TESTS += tests/unit/systemd_test.sh
