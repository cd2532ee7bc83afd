# milter/: document policy: the filter, its scanner, the audit log. See HACKING.md, "Adding a file".

# --- libcvaudit.a: the audit log's format; for milter-ledger and congvu ---
noinst_LIBRARIES += milter/libcvaudit.a
milter_libcvaudit_a_SOURCES = milter/audit.h milter/audit.c milter/audit_files.h milter/audit_files.c milter/audit_verify.h milter/audit_verify.c
CV_AUDIT_LIBS = milter/libcvaudit.a milter/libcvsign.a lib/libcvjson.a lib/libcvmail.a lib/libcvcrypto.a lib/libcv.a $(CV_MAIL_LIBS) $(JANSSON_LIBS) \
	$(CRYPTO_LIBS)

# --- libcvledger.a: the ledger's protocol, client side; for milter and smtpd-session ---
noinst_LIBRARIES += milter/libcvledger.a
milter_libcvledger_a_SOURCES = milter/ledger_client.h milter/ledger_proto.def milter/ledger_client.c milter/ledger_register.h milter/ledger_register_client.c

# --- libcvsign.a: the checkpoint's text, keys; libcrypto. libcvsignclient.a: milter-sign's protocol, client side ---
noinst_LIBRARIES += milter/libcvsign.a milter/libcvsignclient.a
milter_libcvsign_a_SOURCES = milter/sign_text.h milter/sign_text.c milter/sign_key.h milter/sign_key.c milter/sign_row.h milter/sign_row.c \
	milter/sign_mail.h milter/sign_mail.c milter/sign_token.h milter/sign_token.c
milter_libcvsign_a_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS)
milter_libcvsignclient_a_SOURCES = milter/sign_client.h milter/sign_proto.def milter/sign_client.c

# --- libcvfindings.a: what the scanner tells the filter ---
noinst_LIBRARIES += milter/libcvfindings.a
milter_libcvfindings_a_SOURCES = milter/symbol.h milter/symbol.c milter/doc_facts.h milter/doc_facts.c milter/findings.h milter/findings.c milter/scan_client.h \
	milter/scan_client.c

# --- libcvscanproto.a: the scanners' protocol; for both ends ---
noinst_LIBRARIES += milter/libcvscanproto.a
milter_libcvscanproto_a_SOURCES = milter/scan_proto.h milter/scan_terms.h milter/scan_proto.def milter/scan_proto.c

# --- libcvrule.a: the pure part of the policy ---
noinst_LIBRARIES += milter/libcvrule.a
milter_libcvrule_a_SOURCES = milter/rule.h milter/rules.def milter/rule.c milter/rule_form.c milter/rule_attach.c \
	milter/rule_sign.c milter/rule_trust.c milter/rule_doc.c milter/rule_send.c milter/sio_label.h milter/sio_label.c milter/register.h milter/register.c milter/facts.h milter/facts.c milter/modes.h milter/modes.c \
	milter/authres.h milter/authres.c milter/clearance.h milter/clearance.c
CV_RULE_LIBS = milter/libcvrule.a milter/libcvfindings.a milter/libcvscanproto.a lib/libcvmail.a lib/libcvjson.a lib/libcvipc.a lib/libcvcrypto.a lib/libcv.a \
	$(CV_MAIL_LIBS) $(CRYPTO_LIBS) $(JANSSON_LIBS)

# --- libcvpolicy.a: the policy language; bison and flex make its reader in the build folder. Their output is not held to all our warnings. ---
noinst_LIBRARIES += milter/libcvpolicy.a milter/libcvpolicyread.a
milter_libcvpolicy_a_SOURCES = milter/policy.h milter/policy_priv.h milter/policy_predicates.def milter/policy_build.c milter/policy_expr.c milter/policy_match.c \
	milter/policy_predicates.c milter/policy_trust.c milter/policy_limits.c milter/policy_eval.c milter/policy_print.c milter/policy_load.h milter/policy_load.c milter/policy_sign.h milter/policy_sign.c milter/policy_record.h \
	milter/policy_record.c milter/judgement.h milter/judgement.c milter/settings.h milter/settings.c
nodist_milter_libcvpolicyread_a_SOURCES = milter/policy_grammar.c milter/policy_lexer.c
milter_libcvpolicyread_a_CFLAGS = $(AM_CFLAGS) -Wno-shadow -Wno-cast-qual -Wno-missing-prototypes -Wno-undef -Wno-sign-compare -Wno-unused-function \
	-Wno-unused-but-set-variable -Wno-unused-parameter
EXTRA_DIST += milter/policy_grammar.y milter/policy_lexer.l
BUILT_SOURCES += milter/policy_grammar.h milter/policy_lexer.h
CLEANFILES += milter/policy_grammar.c milter/policy_grammar.h milter/policy_lexer.c milter/policy_lexer.h
milter/policy_grammar.c: $(srcdir)/milter/policy_grammar.y
	@$(MKDIR_P) milter
	$(AM_V_GEN)$(BISON) -Wall -o $@ --header=milter/policy_grammar.h $(srcdir)/milter/policy_grammar.y
milter/policy_grammar.h: milter/policy_grammar.c
milter/policy_lexer.c: $(srcdir)/milter/policy_lexer.l
	@$(MKDIR_P) milter
	$(AM_V_GEN)$(FLEX) -o $@ $(srcdir)/milter/policy_lexer.l
milter/policy_lexer.h: milter/policy_lexer.c
# for targets that are made alone, without BUILT_SOURCES
milter/libcvpolicyread_a-policy_lexer.$(OBJEXT): milter/policy_grammar.h
CV_POLICY_LIBS = milter/libcvpolicy.a milter/libcvpolicyread.a milter/libcvpolicy.a milter/libcvrule.a

# --- libcvscan.a: looks at messages; libcrypto (CMS), libarchive, libmagic ---
noinst_LIBRARIES += milter/libcvscan.a
milter_libcvscan_a_SOURCES = milter/scan_cursor.h milter/scan_cursor.c milter/scan_message.h milter/scan_priv.h milter/scan_message.c milter/scan_protected.c milter/scan_fd.h milter/scan_fd.c milter/scan_part.c \
	milter/scan_type.c milter/scan_name.c milter/scan_archive.c milter/scan_magic.c milter/scan_family.c milter/scan_ole.c \
	milter/scan_ole.h milter/scan_gsf.c milter/scan_ole_tree.c milter/scan_ole_package.c milter/scan_ole_word.c milter/scan_ole_sheet.c milter/scan_ole_slides.c milter/scan_rtf.c milter/scan_encoded.c \
	milter/scan_zip.c milter/scan_text.c milter/scan_uu.c milter/scan_volume.c milter/scan_xml.c milter/scan_office.c milter/scan_tnef.c milter/scan_inside.c \
	milter/scan_pdf.h milter/scan_pdf.c milter/scan_pdf_sig.c milter/scan_pdf_text.c milter/pdf_content.c milter/secrecy.h milter/secrecy.c \
	milter/smime.h milter/smime_priv.h milter/smime_trust.c milter/smime_cert.c milter/smime_chain.c milter/smime_cms.c \
	milter/smime_check.c milter/smime_rev.h milter/smime_rev.c milter/smime_ocsp.c milter/smime_ess.c milter/smime_archive.c milter/smime_kept.c \
	milter/cms_split.h milter/cms_split.c
milter_libcvscan_a_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS) $(ARCHIVE_CFLAGS) $(MAGIC_CFLAGS) $(GSF_CFLAGS) $(XML_CFLAGS) $(QPDF_CFLAGS)
CV_SCAN_LIBS = milter/libcvscan.a milter/libcvfindings.a milter/libcvscanproto.a lib/libcvdeflate.a lib/libcvmail.a lib/libcvjson.a lib/libcvipc.a lib/libcvcrypto.a \
	lib/libcv.a $(CV_MAIL_LIBS) $(CRYPTO_LIBS) $(ARCHIVE_LIBS) $(MAGIC_LIBS) $(GSF_LIBS) $(XML_LIBS) $(QPDF_LIBS) $(ZLIB_LIBS) -lm $(JANSSON_LIBS)

# --- the parent: sockets and roles ---
sbin_PROGRAMS += congvu-milter
congvu_milter_SOURCES = milter/parent.c
congvu_milter_LDADD = $(CV_PARENT_LIBS)

# --- the roles ---
pkglibexec_PROGRAMS += congvu-milter-ledger congvu-milter-sign congvu-milter-scan congvu-milter-filter
congvu_milter_ledger_SOURCES = milter/ledger.c milter/ledger_register.c milter/ledger_file.h milter/ledger_file.c milter/ledger_checkpoint.h \
	milter/ledger_checkpoint.c milter/ledger_syslog.h milter/ledger_syslog.c milter/ledger_certs.h milter/ledger_certs.c milter/cert_table.h milter/cert_table.c
congvu_milter_ledger_LDADD = milter/libcvledger.a milter/libcvsignclient.a milter/libcvaudit.a lib/libcvjson.a lib/libcvmail.a \
	lib/libcvcrypto.a $(CV_ROLE_LIBS) $(CV_MAIL_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS) -lpthread
congvu_milter_sign_SOURCES = milter/sign.c milter/sign_box.h milter/sign_box.c
congvu_milter_sign_LDADD = milter/libcvsign.a milter/libcvsignclient.a lib/libcvmail.a lib/libcvcrypto.a $(CV_ROLE_LIBS) $(CV_MAIL_LIBS) $(CRYPTO_LIBS)
congvu_milter_scan_SOURCES = milter/scan.c
congvu_milter_scan_LDADD = milter/libcvscan.a milter/libcvfindings.a milter/libcvscanproto.a lib/libcvdeflate.a lib/libcvmail.a lib/libcvjson.a lib/libcvcrypto.a \
	$(CV_ROLE_LIBS) $(CV_MAIL_LIBS) $(CRYPTO_LIBS) $(ARCHIVE_LIBS) $(MAGIC_LIBS) $(GSF_LIBS) $(XML_LIBS) $(QPDF_LIBS) $(ZLIB_LIBS) -lm $(JANSSON_LIBS)

# --- under congvu-stored: the same code gives the store the text of documents ---
pkglibexec_PROGRAMS += congvu-store-text
congvu_store_text_SOURCES = milter/store_text.c
congvu_store_text_LDADD = $(congvu_milter_scan_LDADD)

pkglibexec_PROGRAMS += congvu-milter-judge
congvu_milter_judge_SOURCES = milter/judge.c milter/judge_cert.h milter/judge_cert.c milter/record.h milter/record.c
congvu_milter_judge_LDADD = $(CV_POLICY_LIBS) milter/libcvscan.a milter/libcvfindings.a milter/libcvscanproto.a lib/libcvdeflate.a lib/libcvmail.a lib/libcvjson.a lib/libcvcrypto.a \
	$(CV_ROLE_LIBS) $(CV_MAIL_LIBS) $(CRYPTO_LIBS) $(ARCHIVE_LIBS) $(MAGIC_LIBS) $(GSF_LIBS) $(XML_LIBS) $(QPDF_LIBS) $(ZLIB_LIBS) -lm $(JANSSON_LIBS)

congvu_milter_filter_SOURCES = milter/milter.c milter/milter_priv.h milter/backend.c milter/revcache.c milter/cb_connect.c milter/cb_envelope.c \
	milter/cb_header.c milter/cb_body.c milter/cb_eom.c milter/eom_priv.h milter/eom_ask.c milter/eom_scan.c \
	milter/clamd.h milter/clamd.c milter/msg_file.h milter/msg_file.c milter/gateway.h milter/gateway.c milter/gateway_mime.h milter/gateway_mime.c milter/edits.c milter/record.h milter/record.c \
	milter/groups.h milter/groups.c milter/harvest.h milter/harvest.c milter/cert_table.h
congvu_milter_filter_LDADD = milter/libcvsign.a milter/libcvsignclient.a $(CV_POLICY_LIBS) milter/libcvfindings.a milter/libcvscanproto.a milter/libcvledger.a directory/libcvlookup.a \
	directory/libcvfetch.a lib/libcvmail.a lib/libcvjson.a lib/libcvcrypto.a $(CV_ROLE_LIBS) $(MILTER_LIBS) $(CV_MAIL_LIBS) $(CRYPTO_LIBS) \
	$(JANSSON_LIBS) -lpthread

# --- unit tests ---
check_PROGRAMS += tests/unit/audit_test tests/unit/json_test tests/unit/symbol_test tests/unit/smime_test tests/unit/pkits_test \
	tests/unit/ledger_test tests/unit/sign_test tests/unit/gateway_test tests/unit/scan_test tests/unit/rule_test tests/unit/office_test
TESTS += tests/unit/audit_test tests/unit/json_test tests/unit/symbol_test tests/unit/smime_test tests/unit/pkits_test \
	tests/unit/ledger_test tests/unit/sign_test tests/unit/gateway_test tests/unit/scan_test tests/unit/rule_test tests/unit/office_test
tests_unit_gateway_test_SOURCES = tests/unit/gateway_test.c milter/gateway_mime.c
tests_unit_gateway_test_LDADD = milter/libcvsign.a lib/libcvmail.a $(CV_TEST_LIBS) $(CV_MAIL_LIBS)
CV_FUZZ += tests/fuzz/gateway_fuzz
tests_fuzz_gateway_fuzz_SOURCES = tests/fuzz/gateway_fuzz.c milter/gateway_mime.c $(CV_FUZZ_MAIN)
tests_fuzz_gateway_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_gateway_fuzz_LDADD = lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS)
tests_unit_sign_test_SOURCES = tests/unit/sign_test.c
tests_unit_sign_test_LDADD = milter/libcvsign.a lib/libcvcrypto.a $(CV_TEST_LIBS) $(CRYPTO_LIBS)
tests_unit_audit_test_SOURCES = tests/unit/audit_test.c
tests_unit_audit_test_LDADD = $(CV_AUDIT_LIBS) $(CMOCKA_LIBS)
tests_unit_json_test_SOURCES = tests/unit/json_test.c
tests_unit_json_test_LDADD = lib/libcvjson.a $(CV_TEST_LIBS) $(JANSSON_LIBS)
tests_unit_symbol_test_SOURCES = tests/unit/symbol_test.c
tests_unit_symbol_test_LDADD = milter/libcvfindings.a milter/libcvscanproto.a lib/libcvmail.a $(CV_TEST_LIBS) $(CV_MAIL_LIBS)
tests_unit_smime_test_SOURCES = tests/unit/smime_test.c
tests_unit_smime_test_LDADD = milter/libcvrule.a $(CV_SCAN_LIBS) $(CMOCKA_LIBS)
EXTRA_DIST += tests/unit/smime_certs.sh
check_PROGRAMS += tests/unit/kept_test
TESTS += tests/unit/kept_test
tests_unit_kept_test_SOURCES = tests/unit/kept_test.c
tests_unit_kept_test_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=X509_verify_cert
tests_unit_kept_test_LDADD = $(CV_SCAN_LIBS) $(CMOCKA_LIBS)
tests_unit_scan_test_SOURCES = tests/unit/scan_test.c
tests_unit_scan_test_LDADD = $(CV_SCAN_LIBS) $(CMOCKA_LIBS)
tests_unit_rule_test_SOURCES = tests/unit/rule_test.c
tests_unit_rule_test_LDADD = milter/libcvrule.a $(CV_SCAN_LIBS) $(CMOCKA_LIBS)
tests_unit_office_test_SOURCES = tests/unit/office_test.c
tests_unit_office_test_LDADD = milter/libcvrule.a $(CV_SCAN_LIBS) $(CMOCKA_LIBS)
EXTRA_DIST += tests/unit/office_make.py tests/data/office
tests_unit_pkits_test_SOURCES = tests/unit/pkits_test.c
tests_unit_pkits_test_LDADD = $(CV_SCAN_LIBS) $(CMOCKA_LIBS)
tests_unit_ledger_test_SOURCES = tests/unit/ledger_test.c milter/ledger_file.c
tests_unit_ledger_test_LDADD = $(CV_AUDIT_LIBS) lib/libcvloop.a lib/libcv.a $(EVENT_LIBS) $(CMOCKA_LIBS) -lpthread

check_PROGRAMS += tests/unit/cert_table_test
TESTS += tests/unit/cert_table_test
tests_unit_cert_table_test_SOURCES = tests/unit/cert_table_test.c milter/cert_table.c milter/ledger_certs.c
tests_unit_cert_table_test_LDADD = $(CV_AUDIT_LIBS) $(CMOCKA_LIBS)
CV_FUZZ += tests/fuzz/cert_table_fuzz
tests_fuzz_cert_table_fuzz_SOURCES = tests/fuzz/cert_table_fuzz.c milter/cert_table.c $(CV_FUZZ_MAIN)
tests_fuzz_cert_table_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_cert_table_fuzz_LDADD = lib/libcvjson.a lib/libcvmail.a lib/libcvcrypto.a lib/libcv.a $(CV_MAIL_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += tests/unit/policy_test
TESTS += tests/unit/policy_test
tests_unit_policy_test_SOURCES = tests/unit/policy_test.c
tests_unit_policy_test_LDADD = $(CV_POLICY_LIBS) $(CV_RULE_LIBS) $(CMOCKA_LIBS)

# --- the real filter, scanner and ledger under miltertest, with a directory of their own ---
check_PROGRAMS += tests/milter/fake_lookup
tests_milter_fake_lookup_SOURCES = tests/milter/fake_lookup.c
tests_milter_fake_lookup_LDADD = directory/libcvlookup.a lib/libcvmail.a $(CV_ROLE_LIBS) $(CV_MAIL_LIBS)
# the scanner with faults made on purpose; MUTATIONS=10000 of messages and documents through the real filter: make mutate
check_PROGRAMS += tests/milter/scan_faults
tests_milter_scan_faults_SOURCES = milter/scan.c tests/milter/scan_faults.c
tests_milter_scan_faults_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=scan_message
tests_milter_scan_faults_LDADD = $(congvu_milter_scan_LDADD)
EXTRA_DIST += tests/milter/robust.py
TESTS += tests/milter/robust.py
MUTATIONS = 10000
MUTATE_SEED = 1
.PHONY: mutate
mutate: all tests/milter/fake_lookup
	srcdir=$(srcdir) CV_BUILDDIR=$(abs_builddir) MUTATIONS=$(MUTATIONS) MUTATE_SEED=$(MUTATE_SEED) /usr/bin/python3 $(top_srcdir)/tests/milter/robust.py
EXTRA_DIST += tests/milter/run.py tests/milter/lib.lua tests/milter/main.lua tests/milter/abort.lua tests/milter/attachments.lua \
	tests/milter/bad_signatures.lua tests/milter/directory_down.lua tests/milter/everyday.lua tests/milter/headers.lua \
	tests/milter/signed_official.lua tests/milter/unsigned_official.lua
EXTRA_DIST += tests/milter/scanning.py tests/milter/clamd.py tests/milter/revocation.py tests/milter/checkpoints.py tests/milter/gateway.py tests/milter/policy.py tests/milter/policy_cli.py tests/milter/order.lua tests/milter/held.lua
TESTS += tests/milter/run.py tests/milter/scanning.py tests/milter/clamd.py tests/milter/revocation.py tests/milter/checkpoints.py tests/milter/gateway.py tests/milter/policy.py tests/milter/policy_cli.py

# --- fuzz targets ---
CV_FUZZ += tests/fuzz/smime_fuzz tests/fuzz/symbol_fuzz tests/fuzz/audit_fuzz tests/fuzz/findings_fuzz tests/fuzz/rev_fuzz tests/fuzz/judge_cert_fuzz \
	tests/fuzz/authres_fuzz tests/fuzz/attach_fuzz
tests_fuzz_smime_fuzz_SOURCES = tests/fuzz/smime_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_smime_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_smime_fuzz_LDADD = $(CV_SCAN_LIBS)
CV_FUZZ += tests/fuzz/cms_split_fuzz
tests_fuzz_cms_split_fuzz_SOURCES = tests/fuzz/cms_split_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_cms_split_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_cms_split_fuzz_LDADD = $(CV_SCAN_LIBS)
tests_fuzz_symbol_fuzz_SOURCES = tests/fuzz/symbol_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_symbol_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_symbol_fuzz_LDADD = $(CV_RULE_LIBS)
tests_fuzz_audit_fuzz_SOURCES = tests/fuzz/audit_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_audit_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_audit_fuzz_LDADD = $(CV_AUDIT_LIBS)
tests_fuzz_findings_fuzz_SOURCES = tests/fuzz/findings_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_findings_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_findings_fuzz_LDADD = $(CV_RULE_LIBS)
tests_fuzz_judge_cert_fuzz_SOURCES = tests/fuzz/judge_cert_fuzz.c milter/judge_cert.c $(CV_FUZZ_MAIN)
tests_fuzz_judge_cert_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_judge_cert_fuzz_LDADD = $(CV_POLICY_LIBS) $(CV_SCAN_LIBS) $(CV_RULE_LIBS)
tests_fuzz_rev_fuzz_SOURCES = tests/fuzz/rev_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_rev_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_rev_fuzz_LDADD = $(CV_SCAN_LIBS)
tests_fuzz_authres_fuzz_SOURCES = tests/fuzz/authres_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_authres_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_authres_fuzz_LDADD = $(CV_RULE_LIBS)
tests_fuzz_attach_fuzz_SOURCES = tests/fuzz/attach_fuzz.c milter/clamd.c $(CV_FUZZ_MAIN)
tests_fuzz_attach_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_attach_fuzz_LDADD = milter/libcvrule.a $(CV_SCAN_LIBS)

CV_FUZZ += tests/fuzz/policy_fuzz
tests_fuzz_policy_fuzz_SOURCES = tests/fuzz/policy_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_policy_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_policy_fuzz_LDADD = $(CV_POLICY_LIBS) $(CV_RULE_LIBS)

CV_FUZZ += tests/fuzz/policy_record_fuzz
tests_fuzz_policy_record_fuzz_SOURCES = tests/fuzz/policy_record_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_policy_record_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_policy_record_fuzz_LDADD = $(CV_POLICY_LIBS) milter/libcvfindings.a milter/libcvscanproto.a lib/libcvjson.a lib/libcvconf.a $(CV_RULE_LIBS) $(CONFUSE_LIBS)

CV_FUZZ += tests/fuzz/sio_label_fuzz
tests_fuzz_sio_label_fuzz_SOURCES = tests/fuzz/sio_label_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_sio_label_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_sio_label_fuzz_LDADD = $(CV_RULE_LIBS)
