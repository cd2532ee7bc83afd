# admin/: congvu, the command line: one file a subcommand, commands.def is their table.
bin_PROGRAMS += congvu
congvu_SOURCES = admin/congvu.c admin/ctl.h admin/commands.def admin/ctl_run.c admin/ctl_status.c admin/ctl_check.c \
	admin/ctl_audit.c admin/ctl_audit.h admin/check_sign.c admin/ctl_audit_verify.c admin/ctl_audit_prove.c admin/ctl_audit_proof.h admin/ctl_audit_proof.c admin/ctl_audit_export.c admin/ctl_queue.h admin/ctl_queue.c admin/ctl_queue_change.c admin/ctl_store.h admin/store_commands.def \
	admin/ctl_store.c admin/ctl_store_follow.c admin/ctl_store_check.c admin/ctl_store_upgrade.c admin/ctl_store_text.c admin/ctl_store_rotate.c admin/ctl_agency.c admin/ctl_staff.h admin/ctl_staff.c admin/ctl_staff_mail.c admin/ctl_directory.h admin/ctl_directory.c \
	admin/ctl_directory_rows.c admin/ctl_setup.c admin/setup.h admin/setup.def admin/setup_answers.h admin/setup_answers.c \
	admin/setup_files.c admin/setup_directory.c admin/check.h admin/check_store_key.c admin/ctl_doctor.c admin/doctor_directory.c admin/doctor_host.c \
	admin/doctor_dns.c
congvu_SOURCES += admin/ctl_store_rebuild.c admin/ctl_store_purge_queue.c
congvu_SOURCES += admin/ctl_register.c
congvu_SOURCES += admin/ctl_cert.h admin/ctl_cert.c admin/ctl_cert_decide.c admin/cert_check.c admin/cert_scope.h admin/cert_scope.c admin/judge_run.h admin/judge_run.c milter/cert_table.h milter/cert_table.c
congvu_SOURCES += admin/shown.h admin/shown.c admin/ctl_trace.h admin/ctl_trace.c admin/trace_line.c admin/trace_show.c admin/trace_span.c \
	admin/ctl_quarantine.h admin/ctl_quarantine.c admin/ctl_quarantine_release.c \
	admin/report_tally.h admin/report_tally.c admin/ctl_report.h admin/ctl_report.c admin/report_state.c
congvu_SOURCES += admin/ctl_password.c admin/ctl_password.h admin/ctl_password_ask.c admin/ctl_password_slip.c admin/ctl_password_app.c
congvu_SOURCES += admin/ctl_store_space.c
congvu_SOURCES += admin/ctl_mailbox.h admin/mailbox_commands.def admin/ctl_mailbox.c admin/ctl_mailbox_deleted.c admin/ctl_mailbox_hold.c \
	admin/ctl_audit_note.c
congvu_SOURCES += admin/backup_manifest.h admin/backup_manifest.c admin/backup_dir.h admin/backup_dir.c admin/backup_pull.h admin/backup_pull.c \
	admin/ctl_store_backup.c admin/ctl_store_restore.h admin/ctl_store_restore.c admin/ctl_store_restore_mailbox.c
congvu_SOURCES += admin/ctl_mailbox_import.h admin/ctl_mailbox_import.c admin/ctl_mailbox_import_run.c admin/import_send.h admin/import_send.c \
	admin/import_source.h admin/import_files.c admin/import_mbox.c admin/import_list.h admin/import_list.c admin/mboxfile.h admin/mboxfile.c \
	admin/maildir.h admin/maildir.c
congvu_SOURCES += admin/ctl_store_purge.c
congvu_SOURCES += admin/directory_commands.def admin/ctl_directory_verbs.c
congvu_SOURCES += admin/ctl_directory_tree.h admin/ctl_directory_tree.c admin/ctl_directory_check.c admin/ctl_directory_check_links.c \
	admin/ctl_directory_check_names.c admin/ctl_directory_check_dates.c admin/ctl_directory_check_today.c admin/ctl_directory_files.h admin/ctl_directory_files.c \
	admin/ctl_directory_init.c admin/ctl_directory_upgrade.c
congvu_SOURCES += admin/ctl_change.h admin/ctl_change.c admin/ctl_table.h admin/ctl_table.c admin/dir_journal.h admin/dir_journal.c \
	admin/ctl_staff_change.c admin/ctl_post.c admin/ctl_group.c admin/ctl_alias.c admin/ctl_delegate.c admin/ctl_officer.c \
	admin/ctl_directory_journal.c admin/ctl_directory_export.c
congvu_SOURCES += admin/ctl_policy.h admin/policy_commands.def admin/ctl_policy.c admin/ctl_policy_check.c admin/ctl_policy_diff.c \
	admin/ctl_policy_rewind.c admin/ctl_policy_back.c admin/ctl_policy_sign.c admin/ctl_explain.c admin/check_policy.c
congvu_CPPFLAGS = $(AM_CPPFLAGS) -DSBINDIR='"$(sbindir)"' -DLOCALEDIR='"$(localedir)"'
congvu_LDADD = store/libcvstore.a store/libcvseghead.a smtpd/libcvsmtp.a directory/libcvdiradmin.a directory/libcvpeople.a milter/libcvledger.a directory/libcvfetch.a $(CV_POLICY_LIBS) milter/libcvfindings.a milter/libcvscanproto.a milter/libcvaudit.a milter/libcvsign.a directory/libcvldap.a directory/libcvnames.a lib/libcvtls.a lib/libcvjson.a \
	lib/libcvcrypto.a lib/libcvmail.a lib/libcvparent.a lib/libcvconf.a lib/libcvipc.a lib/libcvloop.a lib/libcv.a \
	$(CONFUSE_LIBS) $(JANSSON_LIBS) $(EVENT_LIBS) $(SSL_LIBS) $(CRYPTO_LIBS) $(LDAP_LIBS) -llber $(IDN_LIBS) -lresolv \
	$(CV_MAIL_LIBS) -lpthread

# --- bash completion ---
bashcompletiondir = $(datadir)/bash-completion/completions
EXTRA_DIST += admin/congvu.bash
install-data-local: install-congvu-bash
uninstall-local: uninstall-congvu-bash
.PHONY: install-congvu-bash uninstall-congvu-bash
install-congvu-bash:
	$(MKDIR_P) $(DESTDIR)$(bashcompletiondir)
	$(INSTALL_DATA) $(srcdir)/admin/congvu.bash $(DESTDIR)$(bashcompletiondir)/congvu
uninstall-congvu-bash:
	rm -f $(DESTDIR)$(bashcompletiondir)/congvu

# --- Vietnamese ---
EXTRA_DIST += admin/po/vi.po
if GETTEXT
vilocaledir = $(localedir)/vi/LC_MESSAGES
vilocale_DATA = admin/po/congvu.mo
CLEANFILES += admin/po/congvu.mo
admin/po/congvu.mo: $(srcdir)/admin/po/vi.po
	@$(MKDIR_P) admin/po
	$(AM_V_GEN)$(MSGFMT) --check-format -o $@ $(srcdir)/admin/po/vi.po
endif

# --- tests ---
EXTRA_DIST += tests/unit/congvu_test.sh
TESTS += tests/unit/congvu_test.sh

check_PROGRAMS += tests/unit/setup_test
TESTS += tests/unit/setup_test
tests_unit_setup_test_SOURCES = tests/unit/setup_test.c admin/setup_answers.c
tests_unit_setup_test_LDADD = lib/libcvmail.a lib/libcv.a $(CMOCKA_LIBS) $(IDN_LIBS) $(CV_MAIL_LIBS)
CV_FUZZ += tests/fuzz/setup_fuzz
tests_fuzz_setup_fuzz_SOURCES = tests/fuzz/setup_fuzz.c admin/setup_answers.c $(CV_FUZZ_MAIN)
tests_fuzz_setup_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_setup_fuzz_LDADD = lib/libcvmail.a lib/libcv.a $(IDN_LIBS) $(CV_MAIL_LIBS)

CV_FUZZ += tests/fuzz/backup_fuzz
tests_fuzz_backup_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/backup_fuzz.c admin/backup_manifest.c $(CV_FUZZ_MAIN)
tests_fuzz_backup_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_backup_fuzz_LDADD = store/libcvkv.a lib/libcvjson.a lib/libcvcrypto.a lib/libcv.a $(JANSSON_LIBS) $(DB_LIBS) $(CRYPTO_LIBS) -lpthread

check_PROGRAMS += tests/unit/backup_dir_test
TESTS += tests/unit/backup_dir_test
tests_unit_backup_dir_test_SOURCES = tests/unit/unit.h tests/unit/backup_dir_test.c admin/backup_dir.c admin/backup_manifest.c
tests_unit_backup_dir_test_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=pwrite,--wrap=fdatasync,--wrap=fsync,--wrap=renameat,--wrap=ftruncate
tests_unit_backup_dir_test_LDADD = lib/libcvjson.a lib/libcvcrypto.a lib/libcv.a $(JANSSON_LIBS) $(CRYPTO_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/import_test
TESTS += tests/unit/import_test
tests_unit_import_test_SOURCES = tests/unit/unit.h tests/unit/import_test.c admin/mboxfile.c admin/maildir.c admin/import_list.c
tests_unit_import_test_LDADD = lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS) $(CMOCKA_LIBS)
CV_FUZZ += tests/fuzz/import_fuzz
tests_fuzz_import_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/import_fuzz.c admin/mboxfile.c admin/maildir.c $(CV_FUZZ_MAIN)
tests_fuzz_import_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_import_fuzz_LDADD = lib/libcvmail.a lib/libcvcrypto.a lib/libcv.a $(CV_MAIL_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += tests/unit/shown_test
TESTS += tests/unit/shown_test
tests_unit_shown_test_SOURCES = tests/unit/shown_test.c admin/shown.c
tests_unit_shown_test_LDADD = $(CV_MAIL_TEST_LIBS)
CV_FUZZ += tests/fuzz/shown_fuzz
tests_fuzz_shown_fuzz_SOURCES = tests/fuzz/shown_fuzz.c admin/shown.c admin/trace_line.c $(CV_FUZZ_MAIN)
tests_fuzz_shown_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_shown_fuzz_LDADD = lib/libcvjson.a lib/libcvmail.a lib/libcvcrypto.a lib/libcv.a $(JANSSON_LIBS) $(CRYPTO_LIBS) $(IDN_LIBS) $(CV_MAIL_LIBS)
