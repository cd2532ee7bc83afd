# directory/: the only door to LDAP and SASL (the lookup role), its client, and tickets.

# --- tickets: for lookup, stored and ingest ---
noinst_LIBRARIES += directory/libcvtoken.a
directory_libcvtoken_a_SOURCES = directory/token.h directory/token.c

# --- unit tests ---
check_PROGRAMS += tests/unit/token_test
TESTS += tests/unit/token_test
tests_unit_token_test_SOURCES = tests/unit/token_test.c
tests_unit_token_test_LDADD = directory/libcvtoken.a lib/libcvcrypto.a $(CV_TEST_LIBS) $(CRYPTO_LIBS)
