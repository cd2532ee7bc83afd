# tests/fuzz/: one target a parser: <name>_fuzz.c with LLVMFuzzerTestOneInput, seeds in corpus/<name>/. `make check` replays the
# corpora (replay.c); with CC=clang --enable-fuzz the targets are fuzzers: `make fuzz FUZZ_TIME=60`.
# A folder adds its target in its own local.mk:
#   CV_FUZZ += tests/fuzz/foo_fuzz
#   tests_fuzz_foo_fuzz_SOURCES = tests/fuzz/foo_fuzz.c $(CV_FUZZ_MAIN)
#   tests_fuzz_foo_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
#   tests_fuzz_foo_fuzz_LDADD = lib/libcv.a
EXTRA_DIST += tests/fuzz/corpus tests/fuzz/campaign tests/fuzz/policy.dict
if FUZZ
CV_FUZZ_MAIN =
CV_FUZZLINK = -fsanitize=fuzzer
else
CV_FUZZ_MAIN = tests/fuzz/replay.c
CV_FUZZLINK =
endif
CV_FUZZ =
check_PROGRAMS += $(CV_FUZZ)
TESTS += $(CV_FUZZ)

# Whole roles behind their IPC borders (border.h): the role's own sources but for its main() and loop, and a faked role.h and ipc_server.
CV_BORDER = tests/fuzz/border.h tests/fuzz/border.c tests/fuzz/fuzz.h
CV_BORDER_CPPFLAGS = $(AM_CPPFLAGS) -Dmain=border_main -Dloop_run=border_loop_run -include config.h -include $(top_srcdir)/tests/fuzz/border.h
CV_BORDER_LIBS = lib/libcvconf.a lib/libcvipc.a lib/libcvloop.a lib/libcv.a $(CONFUSE_LIBS) $(EVENT_LIBS) -lpthread
noinst_LIBRARIES += $(CV_BORDER_ROLES)
CV_BORDER_ROLES = tests/fuzz/libstored.a tests/fuzz/libqueue.a tests/fuzz/libledger.a tests/fuzz/libscan.a tests/fuzz/liblookup.a tests/fuzz/libsign.a
tests_fuzz_libstored_a_SOURCES = store/stored.c
tests_fuzz_libstored_a_CPPFLAGS = $(CV_BORDER_CPPFLAGS)
tests_fuzz_libqueue_a_SOURCES = $(congvu_smtpd_queue_SOURCES)
tests_fuzz_libqueue_a_CPPFLAGS = $(CV_BORDER_CPPFLAGS)
tests_fuzz_libledger_a_SOURCES = $(congvu_milter_ledger_SOURCES)
tests_fuzz_libledger_a_CPPFLAGS = $(CV_BORDER_CPPFLAGS)
tests_fuzz_libsign_a_SOURCES = $(congvu_milter_sign_SOURCES)
tests_fuzz_libsign_a_CPPFLAGS = $(CV_BORDER_CPPFLAGS)
tests_fuzz_libscan_a_SOURCES = $(congvu_milter_scan_SOURCES)
tests_fuzz_libscan_a_CPPFLAGS = $(CV_BORDER_CPPFLAGS)
tests_fuzz_liblookup_a_SOURCES = $(congvu_lookup_SOURCES)
tests_fuzz_liblookup_a_CPPFLAGS = $(CV_BORDER_CPPFLAGS) -Ddir_open_conf=border_dir_open
CV_FUZZ += tests/fuzz/stored_ipc_fuzz tests/fuzz/queue_ipc_fuzz tests/fuzz/ledger_ipc_fuzz tests/fuzz/scan_ipc_fuzz tests/fuzz/lookup_ipc_fuzz \
	tests/fuzz/sign_ipc_fuzz
tests_fuzz_stored_ipc_fuzz_SOURCES = tests/fuzz/stored_ipc_fuzz.c $(CV_BORDER) $(CV_FUZZ_MAIN)
tests_fuzz_stored_ipc_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_stored_ipc_fuzz_LDADD = tests/fuzz/libstored.a store/libcvstored.a store/libcvstore.a store/libcvbackend.a store/libcvseghead.a store/libcvkv.a \
	directory/libcvtoken.a lib/libcvmail.a lib/libcvjson.a lib/libcvcrypto.a lib/libcvzst.a $(CV_BORDER_LIBS) $(CV_MAIL_LIBS) $(JANSSON_LIBS) $(ZSTD_LIBS) $(DB_LIBS) $(CRYPTO_LIBS)
tests_fuzz_queue_ipc_fuzz_SOURCES = tests/fuzz/queue_ipc_fuzz.c $(CV_BORDER) $(CV_FUZZ_MAIN)
tests_fuzz_queue_ipc_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_queue_ipc_fuzz_LDADD = tests/fuzz/libqueue.a smtpd/libcvsmtp.a store/libcvkv.a lib/libcvmail.a lib/libcvcrypto.a $(CV_BORDER_LIBS) \
	$(CV_MAIL_LIBS) $(CRYPTO_LIBS) $(DB_LIBS)
tests_fuzz_ledger_ipc_fuzz_SOURCES = tests/fuzz/ledger_ipc_fuzz.c $(CV_BORDER) $(CV_FUZZ_MAIN)
tests_fuzz_ledger_ipc_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_ledger_ipc_fuzz_LDADD = tests/fuzz/libledger.a milter/libcvledger.a milter/libcvsignclient.a milter/libcvaudit.a lib/libcvjson.a lib/libcvmail.a \
	lib/libcvcrypto.a $(CV_BORDER_LIBS) $(CV_MAIL_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS)
tests_fuzz_sign_ipc_fuzz_SOURCES = tests/fuzz/sign_ipc_fuzz.c $(CV_BORDER) $(CV_FUZZ_MAIN)
tests_fuzz_sign_ipc_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_sign_ipc_fuzz_LDADD = tests/fuzz/libsign.a milter/libcvsign.a milter/libcvsignclient.a lib/libcvmail.a lib/libcvcrypto.a $(CV_BORDER_LIBS) \
	$(CV_MAIL_LIBS) $(CRYPTO_LIBS)
tests_fuzz_scan_ipc_fuzz_SOURCES = tests/fuzz/scan_ipc_fuzz.c $(CV_BORDER) $(CV_FUZZ_MAIN)
tests_fuzz_scan_ipc_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_scan_ipc_fuzz_LDADD = tests/fuzz/libscan.a $(CV_SCAN_LIBS) $(CV_BORDER_LIBS)
tests_fuzz_lookup_ipc_fuzz_SOURCES = tests/fuzz/lookup_ipc_fuzz.c $(CV_BORDER) $(CV_FUZZ_MAIN)
tests_fuzz_lookup_ipc_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_lookup_ipc_fuzz_LDADD = tests/fuzz/liblookup.a store/libcvstore.a directory/libcvlookup.a directory/libcvtoken.a directory/libcvauth.a \
	directory/libcvpeople.a directory/libcvdirfake.a directory/libcvnames.a lib/libcvmail.a lib/libcvcrypto.a $(CV_BORDER_LIBS) $(CV_MAIL_LIBS) \
	$(CRYPTO_LIBS) $(SASL_LIBS) $(IDN_LIBS)
CV_FUZZ += tests/fuzz/clients_fuzz
tests_fuzz_clients_fuzz_SOURCES = tests/fuzz/clients_fuzz.c tests/fuzz/fuzz.h $(CV_FUZZ_MAIN)
tests_fuzz_clients_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_clients_fuzz_LDADD = smtpd/libcvsmtp.a store/libcvstore.a store/libcvingest.a milter/libcvledger.a milter/libcvfindings.a milter/libcvscanproto.a \
	directory/libcvlookup.a lib/libcvmail.a lib/libcvjson.a lib/libcvipc.a lib/libcvloop.a lib/libcvcrypto.a lib/libcv.a $(CV_MAIL_LIBS) \
	$(EVENT_LIBS) $(CRYPTO_LIBS) $(JANSSON_LIBS)

FUZZ_TIME = 60
FUZZ_JOBS = 2
.PHONY: fuzz
fuzz: $(CV_FUZZ)
	@$(srcdir)/tests/fuzz/campaign $(FUZZ_TIME) $(FUZZ_JOBS) $(srcdir) $(CV_FUZZ)
