# man/: see HACKING.md, "Adding a file". congvu.conf(5) is made from the table of options.
dist_man_MANS += man/congvu.8 man/congvu-setup.8 man/congvu-smtpd.8 man/congvu-imapd.8 man/congvu-stored.8 man/congvu-milter.8 man/congvu-directory.8
man_MANS = man/congvu.conf.5
CLEANFILES += man/congvu.conf.5
EXTRA_DIST += man/congvu.conf.5.in man/options.awk
man/congvu.conf.5: $(srcdir)/man/congvu.conf.5.in $(srcdir)/man/options.awk $(srcdir)/lib/options.def
	@$(MKDIR_P) man
	$(AM_V_GEN)$(AWK) -f $(srcdir)/man/options.awk $(srcdir)/lib/options.def >$@.list && \
	  $(SED) -e '/^@OPTIONS@$$/r $@.list' -e '/^@OPTIONS@$$/d' $(srcdir)/man/congvu.conf.5.in >$@.new && \
	  rm -f $@.list && mv $@.new $@
man_MANS += man/congvu-policy.5
CLEANFILES += man/congvu-policy.5
EXTRA_DIST += man/congvu-policy.5.in man/predicates.awk
man/congvu-policy.5: $(srcdir)/man/congvu-policy.5.in $(srcdir)/man/predicates.awk $(srcdir)/milter/policy_predicates.def
	@$(MKDIR_P) man
	$(AM_V_GEN)$(AWK) -f $(srcdir)/man/predicates.awk $(srcdir)/milter/policy_predicates.def >$@.list && \
	  $(SED) -e '/^@PREDICATES@$$/r $@.list' -e '/^@PREDICATES@$$/d' $(srcdir)/man/congvu-policy.5.in >$@.new && \
	  rm -f $@.list && mv $@.new $@
