# smtpd/: SMTP server (MX and submission), queue, relay, milter client. See HACKING.md, "Adding a file".

# --- the parent: sockets and roles ---
sbin_PROGRAMS += congvu-smtpd
congvu_smtpd_SOURCES = smtpd/parent.c
congvu_smtpd_LDADD = $(CV_PARENT_LIBS)

# --- libcvsmtp.a: what the roles share: pure parsers and codecs, and the clients of queue, milters, LMTP ---
noinst_LIBRARIES += smtpd/libcvsmtp.a
smtpd_libcvsmtp_a_SOURCES = smtpd/smtp_parse.h smtpd/smtp_parse.c smtpd/envelope.h smtpd/envelope.c \
	smtpd/msg.h smtpd/msg.c smtpd/dsn.h smtpd/dsn.c smtpd/dsn_rules.def smtpd/dsn_rules.c \
	smtpd/limits.h smtpd/limits.c smtpd/autoreply.h smtpd/autoreply.c smtpd/milter_proto.h smtpd/milter_proto.c \
	smtpd/milter_options.h smtpd/milter_options.c smtpd/milter_client.h smtpd/milter_client_priv.h smtpd/milter_client.c \
	smtpd/milter_send.c smtpd/milter_changes.c smtpd/milters.h smtpd/milters.c \
	smtpd/smtp_reply.h smtpd/smtp_reply.c smtpd/lmtp_talk.h smtpd/lmtp_talk_priv.h smtpd/lmtp_talk.c smtpd/lmtp_txn.c \
	smtpd/lmtp_client.h smtpd/lmtp_client.c smtpd/mx.h smtpd/mx.c smtpd/relay_route.h smtpd/relay_route.c \
	smtpd/route_memory.h smtpd/route_memory.c \
	smtpd/queue_proto.def smtpd/queue_client.h smtpd/queue_client.c

pkglibexec_PROGRAMS += congvu-smtpd-session congvu-smtpd-queue congvu-relay
congvu_smtpd_session_SOURCES = smtpd/session_priv.h smtpd/session.c smtpd/session_main.c smtpd/pace.c smtpd/forward.c smtpd/reply.c smtpd/refused.c smtpd/judge.c \
	smtpd/cmd_ehlo.c smtpd/cmd_starttls.c \
	smtpd/directory.c smtpd/sender.c smtpd/sent_copy.c smtpd/urgent.c smtpd/cmd_auth.c smtpd/cmd_mail.c smtpd/cmd_rcpt.c smtpd/cmd_data.c smtpd/cmd_misc.c smtpd/data.c \
	smtpd/deliver.c
congvu_smtpd_session_LDADD = smtpd/libcvsmtp.a directory/libcvlookup.a milter/libcvledger.a lib/libcvmail.a lib/libcvtls.a \
	lib/libcvcrypto.a $(CV_ROLE_LIBS) $(CV_MAIL_LIBS) $(SSL_LIBS) $(CRYPTO_LIBS)
congvu_smtpd_queue_SOURCES = smtpd/queue_priv.h smtpd/queue.c smtpd/queue_bounce.c smtpd/queue_reply.c smtpd/queue_relay.c smtpd/queue_list.c \
	smtpd/queue_admin.c smtpd/queue_release.c smtpd/queue_alert.c smtpd/queue_watch.c smtpd/queue_notice.c smtpd/urgent_rate.h smtpd/urgent_rate.c \
	smtpd/queue_db.h smtpd/queue_db.c smtpd/queue_park.c smtpd/queue_spool.h \
	smtpd/queue_spool.c
congvu_smtpd_queue_LDADD = smtpd/libcvsmtp.a store/libcvkv.a lib/libcvmail.a lib/libcvcrypto.a $(CV_ROLE_LIBS) \
	$(CV_MAIL_LIBS) $(CRYPTO_LIBS) $(DB_LIBS) -lpthread
congvu_relay_SOURCES = smtpd/relay_priv.h smtpd/relay.c smtpd/relay_work.c smtpd/relay_result.c smtpd/relay_dest.c smtpd/relay_pool.c smtpd/relay_line.c smtpd/relay_try.c smtpd/relay_conn.c smtpd/relay_self.c
congvu_relay_LDADD = smtpd/libcvsmtp.a directory/libcvlookup.a milter/libcvledger.a lib/libcvmail.a lib/libcvtls.a lib/libcvcrypto.a $(CV_ROLE_LIBS) $(CV_MAIL_LIBS) $(SSL_LIBS) \
	$(CRYPTO_LIBS)

# --- unit tests and fuzz targets (tests/system/test_smtpd.py drives the binaries between fakes) ---
CV_SMTP_TEST_LIBS = smtpd/libcvsmtp.a lib/libcvmail.a lib/libcvipc.a lib/libcvloop.a lib/libcv.a $(CV_MAIL_LIBS) $(EVENT_LIBS)
CV_SMTP_TESTS = tests/unit/smtp_parse_test tests/unit/smtp_msg_test tests/unit/limits_test tests/unit/autoreply_test \
	tests/unit/smtp_reply_test tests/unit/mx_test tests/unit/dsn_test tests/unit/route_memory_test tests/unit/queue_order_test \
	tests/unit/relay_line_test tests/unit/relay_pool_test tests/unit/relay_work_test tests/unit/urgent_rate_test
check_PROGRAMS += $(CV_SMTP_TESTS)
TESTS += $(CV_SMTP_TESTS)
tests_unit_smtp_parse_test_SOURCES = tests/unit/smtp_parse_test.c
tests_unit_smtp_parse_test_LDADD = $(CV_SMTP_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_autoreply_test_SOURCES = tests/unit/autoreply_test.c
tests_unit_autoreply_test_LDADD = $(CV_SMTP_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_queue_order_test_SOURCES = tests/unit/queue_order_test.c smtpd/queue_db.c smtpd/queue_park.c
tests_unit_queue_order_test_LDADD = smtpd/libcvsmtp.a $(CV_KV_LIBS) $(CV_SMTP_TEST_LIBS) $(DB_LIBS) $(CRYPTO_LIBS) $(CMOCKA_LIBS) -lpthread
tests_unit_relay_line_test_SOURCES = tests/unit/relay_line_test.c smtpd/relay_line.c
tests_unit_relay_line_test_LDADD = $(CV_SMTP_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_relay_pool_test_SOURCES = tests/unit/relay_pool_test.c smtpd/relay_pool.c
tests_unit_relay_pool_test_LDADD = $(CV_SMTP_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_relay_work_test_SOURCES = tests/unit/relay_work_test.c smtpd/relay_work.c smtpd/relay_result.c smtpd/relay_dest.c smtpd/relay_pool.c smtpd/relay_line.c
tests_unit_relay_work_test_LDADD = lib/libcvmail.a lib/libcvcrypto.a lib/libcv.a $(CV_MAIL_LIBS) $(CRYPTO_LIBS) $(CMOCKA_LIBS)
tests_unit_urgent_rate_test_SOURCES = tests/unit/urgent_rate_test.c smtpd/urgent_rate.c
tests_unit_urgent_rate_test_LDADD = $(CV_SMTP_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_route_memory_test_SOURCES = tests/unit/route_memory_test.c
tests_unit_route_memory_test_LDADD = $(CV_SMTP_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_limits_test_SOURCES = tests/unit/limits_test.c
tests_unit_limits_test_LDADD = $(CV_SMTP_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_smtp_msg_test_SOURCES = tests/unit/smtp_msg_test.c
tests_unit_smtp_msg_test_LDADD = $(CV_SMTP_TEST_LIBS) $(CMOCKA_LIBS)

CV_FUZZ += tests/fuzz/smtp_fuzz tests/fuzz/smtp_data_fuzz tests/fuzz/milter_fuzz tests/fuzz/autoreply_fuzz
tests_fuzz_autoreply_fuzz_SOURCES = tests/fuzz/autoreply_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_autoreply_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_autoreply_fuzz_LDADD = $(CV_SMTP_TEST_LIBS)
tests_fuzz_smtp_fuzz_SOURCES = tests/fuzz/smtp_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_smtp_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_smtp_fuzz_LDADD = $(CV_SMTP_TEST_LIBS)
tests_fuzz_smtp_data_fuzz_SOURCES = tests/fuzz/smtp_data_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_smtp_data_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_smtp_data_fuzz_LDADD = $(CV_SMTP_TEST_LIBS)
tests_fuzz_milter_fuzz_SOURCES = tests/fuzz/milter_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_milter_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_milter_fuzz_LDADD = $(CV_SMTP_TEST_LIBS)

tests_unit_smtp_reply_test_SOURCES = tests/unit/smtp_reply_test.c
tests_unit_smtp_reply_test_LDADD = $(CV_SMTP_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_mx_test_SOURCES = tests/unit/mx_test.c
tests_unit_mx_test_LDADD = smtpd/libcvsmtp.a lib/libcvconf.a $(CV_SMTP_TEST_LIBS) $(CONFUSE_LIBS) $(CMOCKA_LIBS)
tests_unit_dsn_test_SOURCES = tests/unit/dsn_test.c
tests_unit_dsn_test_LDADD = $(CV_SMTP_TEST_LIBS) $(CMOCKA_LIBS)
CV_FUZZ += tests/fuzz/smtp_reply_fuzz tests/fuzz/dsn_fuzz
tests_fuzz_smtp_reply_fuzz_SOURCES = tests/fuzz/smtp_reply_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_smtp_reply_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_smtp_reply_fuzz_LDADD = $(CV_SMTP_TEST_LIBS)
tests_fuzz_dsn_fuzz_SOURCES = tests/fuzz/dsn_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_dsn_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_dsn_fuzz_LDADD = $(CV_SMTP_TEST_LIBS)
