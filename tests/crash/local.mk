# tests/crash/: what a power cut may leave of the store. crash_test runs a short form; `make crash CRASH_STATES=100000` a long one.
noinst_PROGRAMS += tests/crash/shim.so tests/crash/crash_load tests/crash/crash_check tests/crash/crash_bare \
	tests/crash/crash_small tests/crash/crash_unsettled tests/crash/crash_late
EXTRA_DIST += tests/crash/crash_test.sh tests/crash/sync_sites.sh tests/crash/syncs.tsv tests/crash/fault_test.sh tests/crash/faults.tsv \
	tests/crash/kill_test.sh
TESTS += tests/crash/crash_test.sh tests/crash/fault_test.sh tests/crash/kill_test.sh

tests_crash_shim_so_SOURCES = tests/crash/crash.h tests/crash/shim.c
tests_crash_shim_so_CPPFLAGS = -I$(top_srcdir) -D_GNU_SOURCE -U_FORTIFY_SOURCE
tests_crash_shim_so_CFLAGS = -Wall -Wextra -O2 -fPIC
tests_crash_shim_so_LDFLAGS = -shared
tests_crash_shim_so_LDADD = -lpthread

tests_crash_crash_load_SOURCES = tests/crash/crash.h tests/crash/crash_record.h tests/crash/crash_record.c tests/crash/crash_text.h tests/crash/crash_text.c \
	tests/crash/crash_load.c tests/unit/stored_run.h tests/unit/stored_run.c
tests_crash_crash_load_LDADD = lib/libcvmail.a $(CV_STORED_CLIENT_LIBS) $(CV_MAIL_LIBS)

tests_crash_crash_check_SOURCES = tests/crash/crash.h tests/crash/crash_disk.h tests/crash/crash_disk.c tests/crash/crash_judge.h tests/crash/crash_model.h \
	tests/crash/crash_model.c tests/crash/crash_verify.c tests/crash/crash_check.c
tests_crash_crash_check_LDADD = store/libcvstored.a store/libcvstore.a $(CV_BACKEND_LIBS) store/libcvstore.a directory/libcvtoken.a \
	lib/libcvmail.a lib/libcvipc.a $(CV_BACKEND_LIBS) $(CV_MAIL_LIBS)

# without -N it is what stored calls
tests_crash_crash_check_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=kv_notes

# stored that lets the log with bodies go without having synced their segments: the checker must see it
tests_crash_crash_unsettled_SOURCES = store/stored.c tests/crash/kv_unsettled.c
tests_crash_crash_unsettled_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=kv_settle_by
tests_crash_crash_unsettled_LDADD = $(congvu_stored_db_LDADD)

# stored that notes behind the mail that the text of its documents is wanted: the checker must see it
tests_crash_crash_late_SOURCES = store/stored.c tests/crash/text_late.c
tests_crash_crash_late_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=text_want
tests_crash_crash_late_LDADD = $(congvu_stored_db_LDADD)

# stored without the protection of pages: the checker must see it
tests_crash_crash_bare_SOURCES = store/stored.c tests/crash/kv_bare.c
tests_crash_crash_bare_LDADD = $(congvu_stored_db_LDADD)

# stored that gathers few pages before it writes them, and has small files of bodies, so that they are compacted
tests_crash_crash_small_SOURCES = store/stored.c store/kv_page.c
tests_crash_crash_small_CPPFLAGS = $(AM_CPPFLAGS) -DKV_PAGE_BATCH_MAX=16 -DSTORED_SEGMENT_MAX=400000
tests_crash_crash_small_LDADD = $(congvu_stored_db_LDADD)

# The queue, the same way
noinst_PROGRAMS += tests/crash/queue_load tests/crash/queue_check
EXTRA_DIST += tests/crash/queue_test.sh
TESTS += tests/crash/queue_test.sh
tests_crash_queue_load_SOURCES = tests/crash/crash.h tests/crash/crash_record.h tests/crash/crash_record.c tests/crash/queue_load.c
tests_crash_queue_load_LDADD = smtpd/libcvsmtp.a lib/libcvmail.a lib/libcvipc.a lib/libcvloop.a lib/libcvcrypto.a lib/libcv.a $(CV_MAIL_LIBS) \
	$(EVENT_LIBS) $(CRYPTO_LIBS)
tests_crash_queue_check_SOURCES = tests/crash/crash.h tests/crash/crash_judge.h tests/crash/crash_disk.h tests/crash/crash_disk.c \
	tests/crash/crash_check.c tests/crash/queue_model.c smtpd/queue_db.c smtpd/queue_park.c
tests_crash_queue_check_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=kv_notes
tests_crash_queue_check_LDADD = smtpd/libcvsmtp.a $(CV_KV_LIBS) lib/libcvmail.a lib/libcvipc.a lib/libcvloop.a lib/libcvcrypto.a lib/libcv.a \
	$(CV_MAIL_LIBS) $(EVENT_LIBS) $(DB_LIBS) $(CRYPTO_LIBS) -lpthread

CRASH_STATES = 20000
CRASH_SEED = 1
.PHONY: crash
crash: all
	CRASH_STATES=$(CRASH_STATES) CRASH_SEED=$(CRASH_SEED) $(srcdir)/tests/crash/crash_test.sh
	CRASH_STATES=$(CRASH_STATES) CRASH_SEED=$(CRASH_SEED) $(srcdir)/tests/crash/queue_test.sh
	CRASH_STATES=$(CRASH_STATES) CRASH_SEED=$(CRASH_SEED) $(srcdir)/tests/crash/ledger_test.sh

FAULT_STEPS = 50
KILLS = 1000
.PHONY: faults kills
kills: all
	KILLS=$(KILLS) $(srcdir)/tests/crash/kill_test.sh
faults: all
	FAULT_STEPS=$(FAULT_STEPS) CRASH_SEED=$(CRASH_SEED) $(srcdir)/tests/crash/fault_test.sh
	FAULT_STEPS=$(FAULT_STEPS) CRASH_SEED=$(CRASH_SEED) $(srcdir)/tests/crash/ledger_test.sh

# Random operations against stored and the model, seed after seed.
MODEL_SEEDS = 20
MODEL_STEPS = 5000
.PHONY: model
model: all tests/unit/stored_model_test tests/unit/stored_mem
	for s in $$(seq $(MODEL_SEEDS)); do MODEL_SEED=$$s MODEL_STEPS=$(MODEL_STEPS) tests/unit/stored_model_test || exit 1; done

# The audit log, the same way
noinst_PROGRAMS += tests/crash/ledger_load tests/crash/ledger_check
EXTRA_DIST += tests/crash/ledger_test.sh

# milter-ledger with small files, so that they are closed
noinst_PROGRAMS += tests/crash/crash_rotate
tests_crash_crash_rotate_SOURCES = $(congvu_milter_ledger_SOURCES)
tests_crash_crash_rotate_CPPFLAGS = $(AM_CPPFLAGS) -DLEDGER_ROTATE_OCTETS=60000
tests_crash_crash_rotate_LDADD = $(congvu_milter_ledger_LDADD)
TESTS += tests/crash/ledger_test.sh
tests_crash_ledger_load_SOURCES = tests/crash/crash.h tests/crash/crash_record.h tests/crash/crash_record.c tests/crash/ledger_record.h \
	tests/crash/ledger_load.c
tests_crash_ledger_load_LDADD = milter/libcvledger.a lib/libcvipc.a lib/libcvloop.a lib/libcv.a $(EVENT_LIBS)
tests_crash_ledger_check_SOURCES = tests/crash/crash.h tests/crash/crash_judge.h tests/crash/crash_disk.h tests/crash/crash_disk.c \
	tests/crash/ledger_record.h tests/crash/crash_check.c tests/crash/ledger_model.c milter/ledger_file.c
tests_crash_ledger_check_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=kv_notes
tests_crash_ledger_check_LDADD = $(CV_KV_LIBS) milter/libcvaudit.a lib/libcvjson.a lib/libcvloop.a $(CV_KV_LIBS) $(JANSSON_LIBS) \
	$(EVENT_LIBS) $(CRYPTO_LIBS) -lpthread
