# imapd/: see HACKING.md, "Adding a file"

# --- the parent: sockets and roles ---
sbin_PROGRAMS += congvu-imapd
congvu_imapd_SOURCES = imapd/parent.c
congvu_imapd_LDADD = $(CV_PARENT_LIBS)

# --- libcvimap.a: the pure parts: parsers, the view, search, sections ---
noinst_LIBRARIES += imapd/libcvimap.a
imapd_libcvimap_a_SOURCES = imapd/imap_parse.h imapd/imap_parse.c imapd/imap_cur.h imapd/imap_cur.c \
	imapd/seqset.h imapd/seqset.c imapd/view.h imapd/view.c imapd/list_match.h imapd/list_match.c \
	imapd/mbox_name.h imapd/mbox_name.c imapd/fetch_item.h imapd/fetch_item.c imapd/fetch_section.h \
	imapd/fetch_section.c imapd/search_key.h imapd/search_key.c imapd/search_ask.c imapd/search_scan.h \
	imapd/search_scan.c imapd/esearch.h imapd/esearch.c imapd/envelope_read.h imapd/envelope_read.c \
	imapd/base_subject.h imapd/base_subject.c imapd/sort_key.h imapd/sort_key.c imapd/thread_tree.h \
	imapd/thread_tree.c imapd/preview.h imapd/preview.c

# --- libcvimapd.a: the session and its commands ---
noinst_LIBRARIES += imapd/libcvimapd.a
imapd_libcvimapd_a_SOURCES = imapd/session.h imapd/session.c imapd/sync.c imapd/qresync.h imapd/qresync.c imapd/mbox_find.c imapd/auth.h imapd/auth.c \
	imapd/commands.h imapd/commands.c imapd/status_item.h imapd/fetch_priv.h imapd/fetch_bytes.c imapd/fetch_binary.c \
	imapd/fetch_structure.c imapd/search_run.h imapd/search_run.c imapd/row_walk.h imapd/row_walk.c imapd/fetch_preview.c imapd/cmd_sort.c imapd/cmd_thread.c imapd/cmd_append.c imapd/cmd_authenticate.c imapd/cmd_capability.c imapd/cmd_close.c imapd/cmd_compress.c imapd/cmd_quota.c \
	imapd/cmd_copy.c imapd/cmd_create.c imapd/cmd_enable.c imapd/cmd_expunge.c imapd/cmd_fetch.c imapd/cmd_id.c \
	imapd/cmd_idle.c imapd/directory.c imapd/cmd_acl.c imapd/cmd_list.c imapd/cmd_login.c imapd/cmd_namespace.c imapd/cmd_search.c imapd/cmd_select.c \
	imapd/cmd_starttls.c imapd/cmd_status.c imapd/cmd_store.c
# messages read many at a time
imapd_libcvimapd_a_SOURCES += imapd/ahead.h imapd/ahead.c
CV_IMAPD_LIBS = imapd/libcvimapd.a imapd/libcvimap.a

# --- the imapd-session role ---
pkglibexec_PROGRAMS += congvu-imapd-session
congvu_imapd_session_SOURCES = imapd/imapd_session.c
congvu_imapd_session_LDADD = $(CV_IMAPD_LIBS) store/libcvstore.a directory/libcvlookup.a lib/libcvtls.a \
	lib/libcvdeflate.a lib/libcvmail.a lib/libcvcrypto.a $(CV_ROLE_LIBS) $(CV_MAIL_LIBS) $(SSL_LIBS) $(CRYPTO_LIBS) $(ZLIB_LIBS)

# --- tests ---
CV_IMAP_TESTS = tests/unit/imap_parse_test tests/unit/imap_view_test tests/unit/imap_search_test tests/unit/imap_names_test tests/unit/imap_sort_test \
	tests/unit/search_sig_test
CV_IMAP_TEST_LIBS = imapd/libcvimap.a lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += $(CV_IMAP_TESTS)
TESTS += $(CV_IMAP_TESTS)
tests_unit_imap_parse_test_SOURCES = tests/unit/imap_parse_test.c
tests_unit_imap_parse_test_LDADD = $(CV_IMAP_TEST_LIBS)
tests_unit_imap_view_test_SOURCES = tests/unit/imap_view_test.c
tests_unit_imap_view_test_LDADD = $(CV_IMAP_TEST_LIBS)
tests_unit_imap_search_test_SOURCES = tests/unit/imap_search_test.c
tests_unit_imap_search_test_LDADD = $(CV_IMAP_TEST_LIBS)
tests_unit_imap_names_test_SOURCES = tests/unit/imap_names_test.c
tests_unit_imap_names_test_LDADD = $(CV_IMAP_TEST_LIBS)
tests_unit_imap_sort_test_SOURCES = tests/unit/imap_sort_test.c
tests_unit_imap_sort_test_LDADD = $(CV_IMAP_TEST_LIBS)
tests_unit_search_sig_test_SOURCES = tests/unit/search_sig_test.c
tests_unit_search_sig_test_LDADD = store/libcvstored.a store/libcvingest.a store/libcvstore.a $(CV_IMAP_TEST_LIBS)
check_PROGRAMS += tests/unit/imap_fake_server
tests_unit_imap_fake_server_SOURCES = tests/unit/imap_fake.h tests/unit/imap_fake_server.c tests/unit/imap_fake_store.c
tests_unit_imap_fake_server_LDADD = $(CV_IMAPD_LIBS) store/libcvingest.a store/libcvstore.a lib/libcvmail.a lib/libcvtls.a lib/libcvdeflate.a lib/libcvloop.a lib/libcvcrypto.a \
	lib/libcv.a $(CV_MAIL_LIBS) $(EVENT_LIBS) $(SSL_LIBS) $(CRYPTO_LIBS) $(ZLIB_LIBS)
TESTS += tests/unit/imap_wire_test.py tests/unit/imap_race_test.py tests/unit/imap_resync_test.py
EXTRA_DIST += tests/unit/imap_fake.py tests/unit/imap_wire_test.py tests/unit/imap_race_test.py tests/unit/imap_resync_test.py \
	tests/unit/imap
CV_FUZZ += tests/fuzz/imap_fuzz
tests_fuzz_imap_fuzz_SOURCES = tests/fuzz/imap_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_imap_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
CV_FUZZ += tests/fuzz/thread_fuzz
tests_fuzz_thread_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/thread_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_thread_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_thread_fuzz_LDADD = imapd/libcvimap.a lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS)
tests_fuzz_imap_fuzz_LDADD = imapd/libcvimap.a lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS)
