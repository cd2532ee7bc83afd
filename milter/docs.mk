# milter/docs.mk: what milter-scan reads of documents, and its tests. Included behind milter/local.mk.

check_PROGRAMS += tests/unit/cases_test
TESTS += tests/unit/cases_test
tests_unit_cases_test_SOURCES = tests/unit/cases_test.c
tests_unit_cases_test_LDADD = milter/libcvrule.a $(CV_SCAN_LIBS) $(CMOCKA_LIBS)
EXTRA_DIST += tests/unit/cases_make.py

check_PROGRAMS += tests/unit/secrecy_test
TESTS += tests/unit/secrecy_test
tests_unit_secrecy_test_SOURCES = tests/unit/secrecy_test.c
tests_unit_secrecy_test_LDADD = $(CV_SCAN_LIBS) $(CMOCKA_LIBS)
EXTRA_DIST += tests/unit/secrecy_make.py

check_PROGRAMS += tests/unit/doc_facts_test
TESTS += tests/unit/doc_facts_test
tests_unit_doc_facts_test_SOURCES = tests/unit/doc_facts_test.c
tests_unit_doc_facts_test_LDADD = milter/libcvfindings.a lib/libcvmail.a $(CV_TEST_LIBS) $(CV_MAIL_LIBS)

check_PROGRAMS += tests/unit/register_test
TESTS += tests/unit/register_test
tests_unit_register_test_SOURCES = tests/unit/register_test.c milter/ledger_register.c
tests_unit_register_test_LDADD = lib/libcvjson.a lib/libcvmail.a lib/libcvcrypto.a $(CV_TEST_LIBS) $(CV_MAIL_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS)

CV_FUZZ += tests/fuzz/ole_fuzz tests/fuzz/rtf_fuzz tests/fuzz/tnef_fuzz tests/fuzz/office_fuzz tests/fuzz/pdf_fuzz tests/fuzz/pdf_content_fuzz
tests_fuzz_tnef_fuzz_SOURCES = tests/fuzz/tnef_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_tnef_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_tnef_fuzz_LDADD = $(CV_SCAN_LIBS)
tests_fuzz_office_fuzz_SOURCES = tests/fuzz/office_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_office_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_office_fuzz_LDADD = $(CV_SCAN_LIBS)
tests_fuzz_pdf_fuzz_SOURCES = tests/fuzz/pdf_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_pdf_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_pdf_fuzz_LDADD = $(CV_SCAN_LIBS)
tests_fuzz_pdf_content_fuzz_SOURCES = tests/fuzz/pdf_content_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_pdf_content_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_pdf_content_fuzz_LDADD = $(CV_SCAN_LIBS)

check_PROGRAMS += tests/unit/inside_test
TESTS += tests/unit/inside_test
tests_unit_inside_test_SOURCES = tests/unit/inside_test.c
tests_unit_inside_test_LDADD = milter/libcvrule.a $(CV_SCAN_LIBS) $(CMOCKA_LIBS)
EXTRA_DIST += tests/unit/inside_make.py
tests_fuzz_ole_fuzz_SOURCES = tests/fuzz/ole_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_ole_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_ole_fuzz_LDADD = $(CV_SCAN_LIBS)
tests_fuzz_rtf_fuzz_SOURCES = tests/fuzz/rtf_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_rtf_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_rtf_fuzz_LDADD = $(CV_SCAN_LIBS)
