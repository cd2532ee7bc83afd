# lib/: shared code. libcv.a knows no third-party library but libc; the others are one wrapper each,
# so that a program links only what it names. Link order: cvtls, cvipc, cvloop, cvcrypto, cv.

# --- libcv.a: libc only ---
noinst_LIBRARIES += lib/libcv.a
lib_libcv_a_SOURCES = lib/err.h lib/err.c lib/buf.h lib/buf.c lib/octets.h lib/arena.h lib/arena.c lib/log.h lib/log.c lib/spool.h lib/spool.c lib/rw.h lib/rw.c lib/resolver.h lib/resolver.c

# --- libcvcrypto.a: libcrypto, never libssl ---
noinst_LIBRARIES += lib/libcvcrypto.a
lib_libcvcrypto_a_SOURCES = lib/crypto.h lib/crypto.c lib/sha256_lanes.h lib/sha256_lanes.c lib/client_cert.h lib/client_cert.c
lib_libcvcrypto_a_CFLAGS = $(AM_CFLAGS) $(CRYPTO_CFLAGS)

# --- libcvloop.a: libevent_core ---
noinst_LIBRARIES += lib/libcvloop.a
lib_libcvloop_a_SOURCES = lib/loop.h lib/loop.c lib/io.h lib/io_priv.h lib/io.c lib/io_addr.c lib/io_listener.c
lib_libcvloop_a_CFLAGS = $(AM_CFLAGS) $(EVENT_CFLAGS)

# --- libcvtls.a: libssl; only programs with TLS peers link it ---
noinst_LIBRARIES += lib/libcvtls.a
lib_libcvtls_a_SOURCES = lib/tls.h lib/tls.c lib/io_tls.c
lib_libcvtls_a_CFLAGS = $(AM_CFLAGS) $(SSL_CFLAGS) $(CRYPTO_CFLAGS)

# --- libcvdeflate.a: zlib, under an io stream ---
noinst_LIBRARIES += lib/libcvdeflate.a
lib_libcvdeflate_a_SOURCES = lib/deflate.h lib/deflate.c lib/io_deflate.c
lib_libcvdeflate_a_CFLAGS = $(AM_CFLAGS) $(ZLIB_CFLAGS)
check_PROGRAMS += tests/unit/io_deflate_test
TESTS += tests/unit/io_deflate_test
tests_unit_io_deflate_test_SOURCES = tests/unit/io_deflate_test.c
tests_unit_io_deflate_test_LDADD = lib/libcvdeflate.a lib/libcvloop.a lib/libcv.a $(EVENT_LIBS) $(ZLIB_LIBS) $(CMOCKA_LIBS)
CV_FUZZ += tests/fuzz/deflate_fuzz
tests_fuzz_deflate_fuzz_SOURCES = tests/fuzz/deflate_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_deflate_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_deflate_fuzz_LDADD = lib/libcvdeflate.a lib/libcvloop.a lib/libcv.a $(EVENT_LIBS) $(ZLIB_LIBS)

# --- libcvzst.a: libzstd ---
noinst_LIBRARIES += lib/libcvzst.a
lib_libcvzst_a_SOURCES = lib/zst.h lib/zst.c
lib_libcvzst_a_CFLAGS = $(AM_CFLAGS) $(ZSTD_CFLAGS)
check_PROGRAMS += tests/unit/zst_test
TESTS += tests/unit/zst_test
tests_unit_zst_test_SOURCES = tests/unit/zst_test.c
tests_unit_zst_test_LDADD = lib/libcvzst.a lib/libcv.a $(ZSTD_LIBS) $(CMOCKA_LIBS)

# --- libcvjson.a: jansson ---
noinst_LIBRARIES += lib/libcvjson.a
lib_libcvjson_a_SOURCES = lib/json.h lib/json.c
lib_libcvjson_a_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS)
# --- libcvipc.a: messages between our processes (on libcvloop) ---
noinst_LIBRARIES += lib/libcvipc.a
lib_libcvipc_a_SOURCES = lib/ipc.h lib/ipc_priv.h lib/ipc.c lib/ipc_payload.c lib/ipc_server.c lib/ipc_client.c lib/ipc_sync.c

# --- libcvconf.a: libconfuse ---
noinst_LIBRARIES += lib/libcvconf.a
lib_libcvconf_a_SOURCES = lib/conf.h lib/conf.c lib/options.def
lib_libcvconf_a_CFLAGS = $(AM_CFLAGS) $(CONFUSE_CFLAGS)

# --- libcvrole.a: the start of a role; libseccomp ---
noinst_LIBRARIES += lib/libcvrole.a
lib_libcvrole_a_SOURCES = lib/role.h lib/role.c lib/role_stats.c lib/sandbox.h lib/sandbox.c lib/proc.h lib/proc.c
lib_libcvrole_a_CFLAGS = $(AM_CFLAGS) $(SECCOMP_CFLAGS)

# --- libcvparent.a: the supervisor ---
noinst_LIBRARIES += lib/libcvparent.a
lib_libcvparent_a_SOURCES = lib/parent.h lib/parent_priv.h lib/parent.c lib/parent_setup.c lib/parent_status.c \
	lib/parent_reload.c lib/notify.h lib/notify.c \
	lib/role_stats.c lib/proc.h lib/proc.c

# What every role links, and what every parent links: a program's LDADD ends in one of them.
CV_ROLE_LIBS = lib/libcvrole.a lib/libcvconf.a lib/libcvipc.a lib/libcvloop.a lib/libcv.a $(SECCOMP_LIBS) \
	$(CONFUSE_LIBS) $(EVENT_LIBS)
CV_PARENT_LIBS = lib/libcvparent.a lib/libcvconf.a lib/libcv.a $(CONFUSE_LIBS)

# --- unit tests of the above ---
CV_TEST_LIBS = lib/libcv.a $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/buf_test tests/unit/arena_test tests/unit/log_test tests/unit/crypto_test \
	tests/unit/loop_test tests/unit/io_test tests/unit/io_tls_test tests/unit/spool_test
TESTS += tests/unit/buf_test tests/unit/arena_test tests/unit/log_test tests/unit/crypto_test \
	tests/unit/loop_test tests/unit/io_test tests/unit/io_tls_test tests/unit/spool_test
tests_unit_buf_test_SOURCES = tests/unit/unit.h tests/unit/buf_test.c
tests_unit_buf_test_LDADD = $(CV_TEST_LIBS)
tests_unit_arena_test_SOURCES = tests/unit/arena_test.c
tests_unit_arena_test_LDADD = $(CV_TEST_LIBS)
tests_unit_log_test_SOURCES = tests/unit/log_test.c
tests_unit_log_test_LDADD = $(CV_TEST_LIBS)
tests_unit_crypto_test_SOURCES = tests/unit/crypto_test.c
tests_unit_crypto_test_LDADD = lib/libcvcrypto.a $(CV_TEST_LIBS) $(CRYPTO_LIBS)
tests_unit_loop_test_SOURCES = tests/unit/loop_test.c
tests_unit_loop_test_LDADD = lib/libcvloop.a $(CV_TEST_LIBS) $(EVENT_LIBS)
tests_unit_io_test_SOURCES = tests/unit/io_test.c
tests_unit_io_test_LDADD = lib/libcvloop.a $(CV_TEST_LIBS) $(EVENT_LIBS)
tests_unit_io_tls_test_SOURCES = tests/unit/io_tls_test.c
tests_unit_io_tls_test_LDADD = lib/libcvtls.a lib/libcvloop.a lib/libcvcrypto.a $(CV_TEST_LIBS) $(EVENT_LIBS) $(SSL_LIBS) $(CRYPTO_LIBS)
tests_unit_spool_test_SOURCES = tests/unit/spool_test.c
tests_unit_spool_test_LDADD = $(CV_TEST_LIBS)

# --- unit tests of messages, configuration, role start, sandbox, parents ---
check_PROGRAMS += tests/unit/ipc_test
TESTS += tests/unit/ipc_test
tests_unit_ipc_test_SOURCES = tests/unit/ipc_test.c
tests_unit_ipc_test_LDADD = lib/libcvipc.a lib/libcvloop.a $(CV_TEST_LIBS) $(EVENT_LIBS) -lpthread
check_PROGRAMS += tests/unit/conf_test tests/unit/sandbox_test
TESTS += tests/unit/conf_test tests/unit/sandbox_test
tests_unit_conf_test_SOURCES = tests/unit/conf_test.c
tests_unit_conf_test_LDADD = lib/libcvconf.a $(CV_TEST_LIBS) $(CONFUSE_LIBS)
tests_unit_sandbox_test_SOURCES = tests/unit/sandbox_test.c
tests_unit_sandbox_test_LDADD = lib/libcvrole.a lib/libcvconf.a $(CV_TEST_LIBS) $(SECCOMP_LIBS) $(CONFUSE_LIBS) -lpthread
check_PROGRAMS += tests/unit/parent_test tests/unit/test_role
TESTS += tests/unit/parent_test
tests_unit_test_role_SOURCES = tests/unit/test_role.c
tests_unit_test_role_LDADD = $(CV_ROLE_LIBS)
tests_unit_parent_test_SOURCES = tests/unit/parent_test.c
tests_unit_parent_test_LDADD = $(CV_PARENT_LIBS) $(CMOCKA_LIBS)
CV_FUZZ += tests/fuzz/client_cert_fuzz
tests_fuzz_client_cert_fuzz_SOURCES = tests/fuzz/client_cert_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_client_cert_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_client_cert_fuzz_LDADD = lib/libcvcrypto.a lib/libcv.a $(CRYPTO_LIBS)
CV_FUZZ += tests/fuzz/ipc_fuzz
tests_fuzz_ipc_fuzz_SOURCES = tests/fuzz/ipc_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_ipc_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_ipc_fuzz_LDADD = lib/libcvipc.a lib/libcvloop.a lib/libcv.a $(EVENT_LIBS)

# --- libcvmail.a: the pure parsers of mail: no I/O, no loop. One wrapper for each third-party library:
# uni.c (libunistring), idna.c (libidn2), charset.c (libc's iconv). Link: lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS).
CV_MAIL_LIBS = $(UNISTRING_LIBS) $(IDN2_LIBS)
noinst_LIBRARIES += lib/libcvmail.a
lib_libcvmail_a_SOURCES = lib/uni.h lib/uni.c lib/idna.h lib/idna.c lib/charset.h lib/charset.c \
	lib/date.h lib/date.c lib/utf7.h lib/utf7.c lib/fold.h lib/fold.c \
	lib/hdr.h lib/hdr.c lib/hdr_word.c lib/hdr_param.c lib/addr.h lib/addr.c lib/addr_path.c \
	lib/mime.h lib/mime_priv.h lib/mime_parse.c lib/mime_tree.c lib/mime_envelope.c \
	lib/mime_structure.c lib/mime_text.h lib/mime_text.c lib/codec.c lib/b64_lines.h lib/b64_lines.c lib/msgid.h lib/msgid.c lib/envelope.h lib/envelope.c
lib_libcvmail_a_CFLAGS = $(AM_CFLAGS) $(IDN2_CFLAGS)

CV_MAIL_TEST_LIBS = lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS) $(CMOCKA_LIBS)
CV_MAIL_TESTS = tests/unit/date_test tests/unit/utf7_test tests/unit/hdr_test tests/unit/addr_test \
	tests/unit/codec_test tests/unit/fold_test tests/unit/mime_test tests/unit/mime_imap_test tests/unit/msgid_test tests/unit/envelope_test
check_PROGRAMS += $(CV_MAIL_TESTS)
TESTS += $(CV_MAIL_TESTS)
tests_unit_date_test_SOURCES = tests/unit/date_test.c
tests_unit_date_test_LDADD = $(CV_MAIL_TEST_LIBS)
tests_unit_utf7_test_SOURCES = tests/unit/utf7_test.c
tests_unit_utf7_test_LDADD = $(CV_MAIL_TEST_LIBS)
tests_unit_hdr_test_SOURCES = tests/unit/hdr_test.c
tests_unit_hdr_test_LDADD = $(CV_MAIL_TEST_LIBS)
tests_unit_addr_test_SOURCES = tests/unit/addr_test.c
tests_unit_addr_test_LDADD = $(CV_MAIL_TEST_LIBS)
tests_unit_codec_test_SOURCES = tests/unit/codec_test.c
tests_unit_codec_test_LDADD = $(CV_MAIL_TEST_LIBS)
check_PROGRAMS += tests/unit/uni_test
TESTS += tests/unit/uni_test
tests_unit_uni_test_SOURCES = tests/unit/uni_test.c
tests_unit_uni_test_LDADD = $(CV_MAIL_TEST_LIBS)
tests_unit_fold_test_SOURCES = tests/unit/fold_test.c
tests_unit_fold_test_LDADD = $(CV_MAIL_TEST_LIBS)
tests_unit_mime_test_SOURCES = tests/unit/mime_test.c
tests_unit_mime_test_LDADD = $(CV_MAIL_TEST_LIBS)
tests_unit_mime_imap_test_SOURCES = tests/unit/mime_imap_test.c
tests_unit_mime_imap_test_LDADD = $(CV_MAIL_TEST_LIBS)
tests_unit_msgid_test_SOURCES = tests/unit/msgid_test.c
tests_unit_msgid_test_LDADD = $(CV_MAIL_TEST_LIBS)
tests_unit_envelope_test_SOURCES = tests/unit/envelope_test.c
tests_unit_envelope_test_LDADD = $(CV_MAIL_TEST_LIBS)

CV_FUZZ += tests/fuzz/date_fuzz tests/fuzz/utf7_fuzz tests/fuzz/fold_fuzz tests/fuzz/hdr_fuzz tests/fuzz/addr_fuzz \
	tests/fuzz/mime_fuzz tests/fuzz/mime_tree_fuzz tests/fuzz/codec_fuzz tests/fuzz/envelope_fuzz
tests_fuzz_envelope_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/envelope_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_envelope_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_envelope_fuzz_LDADD = lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS)
tests_fuzz_date_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/date_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_date_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_date_fuzz_LDADD = lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS)
tests_fuzz_utf7_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/utf7_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_utf7_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_utf7_fuzz_LDADD = lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS)
tests_fuzz_fold_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/fold_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_fold_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_fold_fuzz_LDADD = lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS)
tests_fuzz_hdr_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/hdr_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_hdr_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_hdr_fuzz_LDADD = lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS)
tests_fuzz_addr_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/addr_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_addr_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_addr_fuzz_LDADD = lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS)
tests_fuzz_mime_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/mime_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_mime_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_mime_fuzz_LDADD = lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS)
tests_fuzz_mime_tree_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/mime_tree_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_mime_tree_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_mime_tree_fuzz_LDADD = lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS)
tests_fuzz_codec_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/codec_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_codec_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_codec_fuzz_LDADD = lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS)

CV_FUZZ += tests/fuzz/b64_lines_fuzz
tests_fuzz_b64_lines_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/b64_lines_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_b64_lines_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_b64_lines_fuzz_LDADD = lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS)
