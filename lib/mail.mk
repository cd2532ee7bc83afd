# lib/mail.mk: the pure parsers of mail, in libcvmail.a: no I/O, no loop. One wrapper for each third-party library:
# uni.c (libunistring), idna.c (libidn2), charset.c (libc's iconv). Link: lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS).
CV_MAIL_LIBS = $(UNISTRING_LIBS) $(IDN2_LIBS)
noinst_LIBRARIES += lib/libcvmail.a
lib_libcvmail_a_SOURCES = lib/uni.h lib/uni.c lib/idna.h lib/idna.c lib/charset.h lib/charset.c \
	lib/date.h lib/date.c lib/utf7.h lib/utf7.c lib/fold.h lib/fold.c \
	lib/hdr.h lib/hdr.c lib/hdr_word.c lib/hdr_param.c lib/addr.h lib/addr.c lib/addr_path.c \
	lib/mime.h lib/mime_priv.h lib/mime_parse.c lib/mime_tree.c lib/mime_envelope.c \
	lib/mime_structure.c lib/codec.c
lib_libcvmail_a_CFLAGS = $(AM_CFLAGS) $(IDN2_CFLAGS)

CV_MAIL_TEST_LIBS = lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS) $(CMOCKA_LIBS)
CV_MAIL_TESTS = tests/unit/date_test tests/unit/utf7_test tests/unit/hdr_test tests/unit/addr_test \
	tests/unit/codec_test tests/unit/fold_test tests/unit/mime_test tests/unit/mime_imap_test
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
tests_unit_fold_test_SOURCES = tests/unit/fold_test.c
tests_unit_fold_test_LDADD = $(CV_MAIL_TEST_LIBS)
tests_unit_mime_test_SOURCES = tests/unit/mime_test.c
tests_unit_mime_test_LDADD = $(CV_MAIL_TEST_LIBS)
tests_unit_mime_imap_test_SOURCES = tests/unit/mime_imap_test.c
tests_unit_mime_imap_test_LDADD = $(CV_MAIL_TEST_LIBS)
