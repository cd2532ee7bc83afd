# milter/: document policy: the filter, its scanner, the audit log. See HACKING.md, "Adding a file".

# --- libcvaudit.a: the audit log's format; for milter-ledger and congvu ---
noinst_LIBRARIES += milter/libcvaudit.a
milter_libcvaudit_a_SOURCES = milter/audit.h milter/audit.c
CV_AUDIT_LIBS = milter/libcvaudit.a lib/libcvjson.a lib/libcvcrypto.a lib/libcv.a $(JANSSON_LIBS) $(CRYPTO_LIBS)

# --- unit tests ---
check_PROGRAMS += tests/unit/audit_test tests/unit/json_test
TESTS += tests/unit/audit_test tests/unit/json_test
tests_unit_audit_test_SOURCES = tests/unit/audit_test.c
tests_unit_audit_test_LDADD = $(CV_AUDIT_LIBS) $(CMOCKA_LIBS)
tests_unit_json_test_SOURCES = tests/unit/json_test.c
tests_unit_json_test_LDADD = lib/libcvjson.a $(CV_TEST_LIBS) $(JANSSON_LIBS)

# --- the parent: sockets and roles ---
sbin_PROGRAMS += congvu-milter
congvu_milter_SOURCES = milter/parent.c
congvu_milter_LDADD = $(CV_PARENT_LIBS)
