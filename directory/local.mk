# directory/: the only door to LDAP and SASL (the lookup role), its client, and tickets.

# --- tickets: for lookup, stored and ingest ---
noinst_LIBRARIES += directory/libcvtoken.a
directory_libcvtoken_a_SOURCES = directory/token.h directory/token.c

# --- the client of lookup: for sessions, ingest and the milter; no libldap, no libsasl2 ---
noinst_LIBRARIES += directory/libcvlookup.a
directory_libcvlookup_a_SOURCES = directory/lookup_client.h directory/lookup_client_priv.h directory/lookup_proto.def \
	directory/lookup_proto.c directory/lookup_client.c directory/lookup_client_route.c directory/lookup_client_judge.c directory/lookup_client_watch.c directory/lookup_client_acl.c \
	directory/lookup_dns_client.h directory/lookup_dns_client.c

# --- names and keys: pure ---
noinst_LIBRARIES += directory/libcvnames.a
directory_libcvnames_a_SOURCES = directory/escape.h directory/escape.c directory/saslprep.h directory/saslprep.c \
	directory/scram.h directory/scram.c directory/scram_server.h directory/scram_server.c directory/dir_entry.c directory/sync_value.h directory/sync_value.c directory/ppolicy.h directory/ppolicy.c \
	directory/assignment.h directory/assignment.c
directory_libcvnames_a_CFLAGS = $(AM_CFLAGS) $(IDN_CFLAGS)

# --- libcvldap.a: the wrapper of libldap; its twin for tests is libcvdirfake.a ---
noinst_LIBRARIES += directory/libcvldap.a
directory_libcvldap_a_SOURCES = directory/dir.h directory/dir_ldap_priv.h directory/dir_ldap.c directory/dir_ldap_link.c directory/dir_ldap_write.c \
	directory/dir_watch.h directory/dir_ldap_watch.c
directory_libcvldap_a_CFLAGS = $(AM_CFLAGS) $(LDAP_CFLAGS)

# --- libcvpeople.a: who is who ---
noinst_LIBRARIES += directory/libcvpeople.a
directory_libcvpeople_a_SOURCES = directory/people.h directory/people_priv.h directory/people.c directory/people_func.c \
	directory/people_rcpt.c directory/people_rules.c directory/people_route.c directory/people_address.c directory/people_agency.c directory/people_watch.c directory/people_acl.c directory/people_policy.c directory/people_app.c directory/people_known.c

# --- libcvauth.a: the wrapper of Cyrus SASL ---
noinst_LIBRARIES += directory/libcvauth.a
directory_libcvauth_a_SOURCES = directory/auth.h directory/auth_priv.h directory/auth_sasl.c directory/auth_scram.c directory/auth_external.c directory/auth_plain.h directory/auth_plain.c directory/auth_mechs.c
directory_libcvauth_a_CFLAGS = $(AM_CFLAGS) $(SASL_CFLAGS)

# --- libcvdns.a: the wrapper of libunbound ---
noinst_LIBRARIES += directory/libcvdns.a
directory_libcvdns_a_SOURCES = directory/dns.h directory/dns.c
directory_libcvdns_a_CFLAGS = $(AM_CFLAGS) $(UNBOUND_CFLAGS)

# --- the lookup role ---
pkglibexec_PROGRAMS += congvu-lookup
congvu_lookup_SOURCES = directory/lookup.c directory/pace.h directory/pace.c directory/live.h directory/live.c directory/lookup_dns.h directory/lookup_dns.c directory/lookup_login.h directory/lookup_login.c \
	directory/dns_rdata.h directory/dns_rdata.c directory/work.h directory/work_priv.h directory/work.c directory/work_judge.c directory/login_cache.h directory/login_cache.c directory/login_memory.h directory/login_memory.c \
	directory/throttle.h directory/throttle.c directory/cert_person.h directory/cert_person.c directory/gssapi_env.h directory/gssapi_env.c
congvu_lookup_LDADD = store/libcvstore.a directory/libcvdns.a directory/libcvlookup.a directory/libcvtoken.a directory/libcvauth.a directory/libcvpeople.a \
	directory/libcvldap.a directory/libcvnames.a lib/libcvmail.a lib/libcvcrypto.a $(CV_ROLE_LIBS) $(CV_MAIL_LIBS) \
	$(CRYPTO_LIBS) $(LDAP_LIBS) -llber $(SASL_LIBS) $(IDN_LIBS) $(UNBOUND_LIBS) -lpthread

# --- the fetch role: HTTP and LDAP URLs, libcurl; and its client ---
noinst_LIBRARIES += directory/libcvfetch.a directory/libcvfetchurl.a
directory_libcvfetch_a_SOURCES = directory/fetch_client.h directory/fetch_proto.def directory/fetch_client.c
directory_libcvfetchurl_a_SOURCES = directory/fetch_url.h directory/fetch_url.c directory/fetch_cache.h directory/fetch_cache.c \
	directory/fetch_ldif.h directory/fetch_ldif.c
pkglibexec_PROGRAMS += congvu-fetch
congvu_fetch_SOURCES = directory/fetch.c directory/fetch_work.h directory/fetch_work.c directory/fetch_curl.h directory/fetch_curl.c
congvu_fetch_CFLAGS = $(AM_CFLAGS) $(CURL_CFLAGS)
congvu_fetch_LDADD = directory/libcvfetchurl.a directory/libcvfetch.a lib/libcvmail.a lib/libcvcrypto.a $(CV_ROLE_LIBS) $(CRYPTO_LIBS) \
	$(CURL_LIBS) -lpthread

# --- the twin of libcvldap.a, for unit tests ---
check_LIBRARIES += directory/libcvdirfake.a
directory_libcvdirfake_a_SOURCES = directory/dir_fake.h directory/dir_fake.c

# --- unit tests ---
CV_DIR_TESTS = tests/unit/ppolicy_test tests/unit/token_test tests/unit/escape_test tests/unit/scram_test tests/unit/people_test tests/unit/auth_test \
	tests/unit/ctl_rows_test tests/unit/login_cache_test tests/unit/login_memory_test tests/unit/live_test tests/unit/work_test tests/unit/throttle_test tests/unit/cert_person_test tests/unit/sync_value_test tests/unit/assignment_test
check_PROGRAMS += $(CV_DIR_TESTS)
TESTS += $(CV_DIR_TESTS)
CV_DIR_TEST_LIBS = directory/libcvnames.a lib/libcvmail.a lib/libcvcrypto.a lib/libcv.a $(IDN_LIBS) $(CV_MAIL_LIBS) $(CRYPTO_LIBS)
tests_unit_ppolicy_test_SOURCES = tests/unit/ppolicy_test.c
tests_unit_ppolicy_test_LDADD = $(CV_DIR_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_token_test_SOURCES = tests/unit/token_test.c
tests_unit_token_test_LDADD = directory/libcvtoken.a lib/libcvcrypto.a $(CV_TEST_LIBS) $(CRYPTO_LIBS)
tests_unit_sync_value_test_SOURCES = tests/unit/sync_value_test.c
tests_unit_sync_value_test_LDADD = $(CV_DIR_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_assignment_test_SOURCES = tests/unit/assignment_test.c
tests_unit_assignment_test_LDADD = $(CV_DIR_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_escape_test_SOURCES = tests/unit/escape_test.c
tests_unit_escape_test_LDADD = $(CV_DIR_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_scram_test_SOURCES = tests/unit/scram_test.c
tests_unit_scram_test_LDADD = $(CV_DIR_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_people_test_SOURCES = tests/unit/people_test.c
tests_unit_people_test_LDADD = directory/libcvpeople.a directory/libcvdirfake.a lib/libcvconf.a $(CV_DIR_TEST_LIBS) \
	$(CONFUSE_LIBS) $(CMOCKA_LIBS)
tests_unit_auth_test_SOURCES = tests/unit/auth_test.c
tests_unit_auth_test_LDADD = directory/libcvauth.a directory/libcvpeople.a directory/libcvdirfake.a lib/libcvconf.a \
	$(CV_DIR_TEST_LIBS) $(CONFUSE_LIBS) $(SASL_LIBS) $(CMOCKA_LIBS) -lpthread
tests_unit_ctl_rows_test_SOURCES = tests/unit/ctl_rows_test.c admin/ctl_directory_rows.c
tests_unit_ctl_rows_test_LDADD = lib/libcvjson.a $(CV_DIR_TEST_LIBS) $(JANSSON_LIBS) $(CMOCKA_LIBS)

tests_unit_cert_person_test_SOURCES = tests/unit/cert_person_test.c directory/cert_person.c
tests_unit_cert_person_test_LDADD = directory/libcvpeople.a directory/libcvdirfake.a lib/libcvconf.a $(CV_DIR_TEST_LIBS) \
	$(CONFUSE_LIBS) $(CMOCKA_LIBS)
tests_unit_throttle_test_SOURCES = tests/unit/throttle_test.c directory/throttle.c
tests_unit_throttle_test_LDADD = $(CV_DIR_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_login_cache_test_SOURCES = tests/unit/login_cache_test.c directory/login_cache.c
tests_unit_login_cache_test_LDADD = $(CV_DIR_TEST_LIBS) $(CMOCKA_LIBS) -lpthread
tests_unit_login_memory_test_SOURCES = tests/unit/login_memory_test.c directory/login_memory.c
tests_unit_login_memory_test_LDADD = directory/libcvpeople.a directory/libcvdirfake.a lib/libcvipc.a lib/libcvloop.a lib/libcvconf.a $(CV_DIR_TEST_LIBS) \
	$(EVENT_LIBS) $(CONFUSE_LIBS) $(CMOCKA_LIBS)
tests_unit_work_test_SOURCES = tests/unit/work_test.c directory/work.c directory/work_judge.c directory/login_memory.c
tests_unit_work_test_CPPFLAGS = $(AM_CPPFLAGS) -Dpeople_acl=work_test_acl -Dauth_count_wrong=work_test_count_wrong
tests_unit_work_test_LDADD = directory/libcvauth.a directory/libcvpeople.a directory/libcvdirfake.a directory/libcvtoken.a lib/libcvipc.a lib/libcvloop.a \
	lib/libcvconf.a $(CV_DIR_TEST_LIBS) $(EVENT_LIBS) $(CONFUSE_LIBS) $(SASL_LIBS) $(CMOCKA_LIBS) -lpthread
tests_unit_live_test_SOURCES = tests/unit/live_test.c directory/live.c directory/login_memory.c
tests_unit_live_test_CPPFLAGS = $(AM_CPPFLAGS) -Ddir_watch=live_test_watch
tests_unit_live_test_LDADD = directory/libcvpeople.a directory/libcvdirfake.a directory/libcvtoken.a lib/libcvipc.a lib/libcvloop.a lib/libcvconf.a \
	$(CV_DIR_TEST_LIBS) $(EVENT_LIBS) $(CONFUSE_LIBS) $(CMOCKA_LIBS) -lpthread

check_PROGRAMS += tests/unit/fetch_test tests/unit/fetch_probe
TESTS += tests/unit/fetch_test tests/unit/fetch_wire_test.py
EXTRA_DIST += tests/unit/fetch_wire_test.py
CV_FETCH_TEST_LIBS = directory/libcvfetchurl.a directory/libcvfetch.a lib/libcvipc.a lib/libcvloop.a lib/libcvconf.a lib/libcvmail.a \
	lib/libcvcrypto.a lib/libcv.a $(CV_MAIL_LIBS) $(CONFUSE_LIBS) $(EVENT_LIBS) $(CRYPTO_LIBS)
tests_unit_fetch_test_SOURCES = tests/unit/fetch_test.c
tests_unit_fetch_test_LDADD = $(CV_FETCH_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_fetch_probe_SOURCES = tests/unit/fetch_probe.c
tests_unit_fetch_probe_LDADD = $(CV_FETCH_TEST_LIBS)

# --- fuzz targets ---
CV_FUZZ += tests/fuzz/fetch_fuzz
tests_fuzz_fetch_fuzz_SOURCES = tests/fuzz/fetch_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_fetch_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_fetch_fuzz_LDADD = $(CV_FETCH_TEST_LIBS)
CV_FUZZ += tests/fuzz/signin_fuzz tests/fuzz/assignment_fuzz
tests_fuzz_assignment_fuzz_SOURCES = tests/fuzz/assignment_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_assignment_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_assignment_fuzz_LDADD = directory/libcvpeople.a directory/libcvdirfake.a lib/libcvconf.a $(CV_DIR_TEST_LIBS) $(CONFUSE_LIBS)
tests_fuzz_signin_fuzz_SOURCES = tests/fuzz/signin_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_signin_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_signin_fuzz_LDADD = directory/libcvauth.a directory/libcvpeople.a directory/libcvdirfake.a lib/libcvconf.a $(CV_DIR_TEST_LIBS) $(CONFUSE_LIBS)
CV_FUZZ += tests/fuzz/token_fuzz tests/fuzz/escape_fuzz tests/fuzz/rows_fuzz tests/fuzz/auth_fuzz
tests_fuzz_token_fuzz_SOURCES = tests/fuzz/token_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_token_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_token_fuzz_LDADD = directory/libcvtoken.a lib/libcvcrypto.a lib/libcv.a $(CRYPTO_LIBS)
tests_fuzz_escape_fuzz_SOURCES = tests/fuzz/escape_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_escape_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_escape_fuzz_LDADD = $(CV_DIR_TEST_LIBS)
tests_fuzz_rows_fuzz_SOURCES = tests/fuzz/rows_fuzz.c admin/ctl_directory_rows.c $(CV_FUZZ_MAIN)
tests_fuzz_rows_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_rows_fuzz_LDADD = lib/libcvjson.a $(CV_DIR_TEST_LIBS) $(JANSSON_LIBS)
tests_fuzz_auth_fuzz_SOURCES = tests/fuzz/auth_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_auth_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_auth_fuzz_LDADD = directory/libcvauth.a directory/libcvpeople.a directory/libcvdirfake.a lib/libcvconf.a \
	$(CV_DIR_TEST_LIBS) $(CONFUSE_LIBS) $(SASL_LIBS) -lpthread

CV_FUZZ += tests/fuzz/sync_value_fuzz
tests_fuzz_sync_value_fuzz_SOURCES = tests/fuzz/sync_value_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_sync_value_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_sync_value_fuzz_LDADD = $(CV_DIR_TEST_LIBS)

# --- for tests/system/test_directory.py ---
noinst_PROGRAMS += tests/system/lookup_probe
tests_system_lookup_probe_SOURCES = tests/system/lookup_probe.c
tests_system_lookup_probe_LDADD = directory/libcvlookup.a directory/libcvtoken.a lib/libcvjson.a lib/libcvcrypto.a lib/libcvipc.a \
	lib/libcvloop.a lib/libcv.a $(EVENT_LIBS) $(CRYPTO_LIBS) $(JANSSON_LIBS)

# --- agencies and staff as congvu writes them ---
noinst_LIBRARIES += directory/libcvdiradmin.a
directory_libcvdiradmin_a_SOURCES = directory/dir_admin.h directory/dir_admin_priv.h directory/dir_admin.c \
	directory/dir_admin_agency.c directory/dir_admin_names.c directory/dir_admin_staff.c directory/dir_admin_mail.c directory/dir_admin_password.c directory/dir_admin_app.c \
	directory/dir_admin_write.c directory/dir_admin_queue.c directory/dir_admin_cert.c directory/dir_admin_who.c directory/dir_admin_agency_change.c directory/dir_admin_career.c \
	directory/dir_admin_assignment.c directory/dir_admin_rights.c directory/dir_admin_officer.c \
	directory/dir_admin_post.c directory/dir_admin_authority.c directory/dir_admin_group.c directory/dir_admin_alias.c directory/dir_admin_delegate.c \
	directory/dir_admin_import.c directory/dir_dump.h directory/dir_dump_priv.h directory/dir_dump.c directory/dir_dump_json.c
# What congvu links for agency and staff, besides lib's.
CV_CTL_DIR_LIBS = directory/libcvdiradmin.a directory/libcvldap.a directory/libcvnames.a lib/libcvmail.a lib/libcvcrypto.a
CV_CTL_DIR_SYSLIBS = $(LDAP_LIBS) -llber $(IDN_LIBS) $(CV_MAIL_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += tests/unit/dir_admin_test tests/unit/dir_admin_career_test tests/unit/dir_admin_officer_test
TESTS += tests/unit/dir_admin_test tests/unit/dir_admin_career_test tests/unit/dir_admin_officer_test
CV_DIR_ADMIN_WORLD = tests/unit/dir_admin_world.h tests/unit/dir_admin_world.c
tests_unit_dir_admin_test_SOURCES = tests/unit/dir_admin_test.c $(CV_DIR_ADMIN_WORLD)
tests_unit_dir_admin_career_test_SOURCES = tests/unit/dir_admin_career_test.c $(CV_DIR_ADMIN_WORLD)
tests_unit_dir_admin_career_test_LDADD = $(tests_unit_dir_admin_test_LDADD)
tests_unit_dir_admin_officer_test_SOURCES = tests/unit/dir_admin_officer_test.c $(CV_DIR_ADMIN_WORLD)
tests_unit_dir_admin_officer_test_LDADD = $(tests_unit_dir_admin_test_LDADD)
tests_unit_dir_admin_test_LDADD = directory/libcvdiradmin.a directory/libcvdirfake.a lib/libcvjson.a lib/libcvconf.a $(CV_DIR_TEST_LIBS) \
	$(CONFUSE_LIBS) $(JANSSON_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/dir_admin_queue_test
TESTS += tests/unit/dir_admin_queue_test
tests_unit_dir_admin_queue_test_SOURCES = tests/unit/dir_admin_queue_test.c $(CV_DIR_ADMIN_WORLD)
tests_unit_dir_admin_queue_test_LDADD = $(tests_unit_dir_admin_test_LDADD)

check_PROGRAMS += tests/unit/dir_dump_test
TESTS += tests/unit/dir_dump_test
tests_unit_dir_dump_test_SOURCES = tests/unit/dir_dump_test.c
tests_unit_dir_dump_test_LDADD = $(tests_unit_dir_admin_test_LDADD)
CV_FUZZ += tests/fuzz/dir_dump_fuzz
tests_fuzz_dir_dump_fuzz_SOURCES = tests/fuzz/dir_dump_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_dir_dump_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_dir_dump_fuzz_LDADD = directory/libcvdiradmin.a directory/libcvdirfake.a lib/libcvjson.a $(CV_DIR_TEST_LIBS) $(JANSSON_LIBS)

# --- the DNS ---
check_PROGRAMS += tests/unit/dns_rdata_test
TESTS += tests/unit/dns_rdata_test
tests_unit_dns_rdata_test_SOURCES = tests/unit/dns_rdata_test.c directory/dns_rdata.c
tests_unit_dns_rdata_test_LDADD = $(CV_TEST_LIBS)
CV_FUZZ += tests/fuzz/dns_rdata_fuzz
tests_fuzz_dns_rdata_fuzz_SOURCES = tests/fuzz/dns_rdata_fuzz.c directory/dns_rdata.c $(CV_FUZZ_MAIN)
tests_fuzz_dns_rdata_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_dns_rdata_fuzz_LDADD = lib/libcv.a
