# store/: see HACKING.md, "Adding a file"

# --- the parent: sockets and roles ---
sbin_PROGRAMS += congvu-stored
congvu_stored_SOURCES = store/parent.c
congvu_stored_LDADD = $(CV_PARENT_LIBS)

# --- libcvkv.a: ordered key-value store; kv_bdb.o alone needs libdb ---
noinst_LIBRARIES += store/libcvkv.a
store_libcvkv_a_SOURCES = store/kv.h store/kv.c store/kv_bdb.c store/kv_page.h store/kv_page.c store/kv_mem.c store/backup_client.h store/backup_rec.h store/backup_rec.c
CV_KV_LIBS = store/libcvkv.a lib/libcvcrypto.a lib/libcv.a $(DB_LIBS) $(CRYPTO_LIBS) -lpthread

check_PROGRAMS += tests/unit/kv_test tests/unit/kv_page_test
TESTS += tests/unit/kv_test tests/unit/kv_page_test
tests_unit_kv_page_test_SOURCES = tests/unit/kv_page_test.c
tests_unit_kv_page_test_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=pread
tests_unit_kv_page_test_LDADD = $(CV_KV_LIBS) $(CMOCKA_LIBS)
tests_unit_kv_test_SOURCES = tests/unit/kv_test.c
tests_unit_kv_test_LDADD = $(CV_KV_LIBS) $(CMOCKA_LIBS)

# --- libcvstore.a: rows, the protocol of stored and its clients; links neither libdb nor libldap ---
noinst_LIBRARIES += store/libcvstore.a
store_libcvstore_a_SOURCES = store/row.h store/row.c store/sig.h store/sig.c store/index_block.h store/index_block.c store/store_proto.def store/store_proto.h store/store_proto.c \
	store/deliver_client.h store/deliver_client.c store/epoch_client.h store/epoch_client.c store/store_client.h store/store_client_priv.h \
	store/store_client.c store/store_client_calls.c store/ingest_client.h \
	store/ingest_client.c store/ingest_proto.def store/ingest_proto.h store/ingest_proto.c store/kept.h store/kept.c store/text_row.h store/text_row.c

check_PROGRAMS += tests/unit/row_test
TESTS += tests/unit/row_test
tests_unit_row_test_SOURCES = tests/unit/row_test.c
tests_unit_row_test_LDADD = store/libcvstore.a lib/libcv.a $(CMOCKA_LIBS)

# --- libcvseghead.a: headers of segment files and their keys; for stored, and for congvu check ---
noinst_LIBRARIES += store/libcvseghead.a
store_libcvseghead_a_SOURCES = store/seg_head.h store/seg_head.c

# --- libcvbackend.a: the backends of the store; for stored alone ---
noinst_LIBRARIES += store/libcvbackend.a
store_libcvbackend_a_SOURCES = store/backend.h store/backend_priv.h store/backend_rows.c store/backend_format.c store/backend_hints.c store/backend_mem.c \
	store/backend_kv_priv.h store/backend_kv.c store/backend_kv_body.c store/backend_kv_write.c store/segment.h store/segment_priv.h \
	store/segment.c store/segment_codec.c store/segment_read.c store/segment_write.c store/segment_mend.c store/segment_space.c store/segment_v1.c \
	store/backend_kv_space.h store/backend_kv_space.c store/backend_kv_sweep.c store/backend_kv_compact.c store/backend_kv_summary.c store/body_set.h store/body_set.c \
	store/row_bodies.h store/row_bodies.c store/segment_backup.c store/journal.h store/journal.c store/backend_kv_backup.c
store_libcvbackend_a_SOURCES += store/composite.h store/composite.c store/backend_kv_parts.c
CV_BACKEND_LIBS = store/libcvbackend.a store/libcvseghead.a store/libcvkv.a store/libcvstore.a lib/libcvipc.a lib/libcvloop.a lib/libcvmail.a lib/libcvcrypto.a lib/libcvzst.a lib/libcv.a \
	$(CV_MAIL_LIBS) $(ZSTD_LIBS) $(DB_LIBS) $(EVENT_LIBS) $(CRYPTO_LIBS) -lpthread

check_PROGRAMS += tests/unit/segment_test tests/unit/backend_test tests/unit/body_set_test tests/unit/row_bodies_test tests/unit/space_test \
	tests/unit/group_test
TESTS += tests/unit/segment_test tests/unit/backend_test tests/unit/body_set_test tests/unit/row_bodies_test tests/unit/space_test \
	tests/unit/group_test
tests_unit_body_set_test_SOURCES = tests/unit/body_set_test.c
tests_unit_body_set_test_LDADD = store/libcvbackend.a lib/libcv.a $(CMOCKA_LIBS)
tests_unit_row_bodies_test_SOURCES = tests/unit/row_bodies_test.c
tests_unit_row_bodies_test_LDADD = $(CV_BACKEND_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/space_model_test
TESTS += tests/unit/space_model_test
tests_unit_space_model_test_SOURCES = tests/unit/space_model_test.c
tests_unit_space_model_test_LDADD = $(CV_BACKEND_LIBS) $(CMOCKA_LIBS)
tests_unit_space_test_SOURCES = tests/unit/space_test.c
tests_unit_space_test_LDADD = $(CV_BACKEND_LIBS) $(CMOCKA_LIBS)
tests_unit_space_test_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=bkv_space_hand,--wrap=kv_scan,--wrap=rows_apply,--wrap=bkv_drop,--wrap=seg_read,--wrap=seg_sync_copies
tests_unit_segment_test_SOURCES = tests/unit/segment_test.c
tests_unit_segment_test_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=fdatasync,--wrap=fsync
tests_unit_segment_test_LDADD = $(CV_BACKEND_LIBS) $(CMOCKA_LIBS)
tests_unit_group_test_SOURCES = tests/unit/group_test.c
tests_unit_group_test_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=fdatasync
tests_unit_group_test_LDADD = $(CV_BACKEND_LIBS) $(CMOCKA_LIBS)
tests_unit_backend_test_SOURCES = tests/unit/backend_test.c
tests_unit_backend_test_LDADD = $(CV_BACKEND_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/journal_test
TESTS += tests/unit/journal_test
tests_unit_journal_test_SOURCES = tests/unit/journal_test.c
tests_unit_journal_test_LDADD = $(CV_BACKEND_LIBS) $(CMOCKA_LIBS)

# --- the stored role: congvu-stored-db ---
noinst_LIBRARIES += store/libcvstored.a
store_libcvstored_a_SOURCES = store/stored_priv.h store/stored_account.c store/stored_backup.c store/stored_codec.c store/stored_copy.c \
	store/stored_contents.c store/stored_cycle.c store/stored_deliver_priv.h store/stored_deliver.c store/stored_deliver_append.c store/stored_deliver_group.c store/stored_sent.c store/stored_read_state.c store/stored_import.c store/stored_expunge.c store/stored_fetch.c store/stored_flags.c \
	store/stored_insert.c store/stored_keywords.c store/stored_list.c store/stored_mailbox.c store/stored_names.c \
	store/stored_read.c store/row_cache.h store/row_cache.c store/stored_move.c store/stored_quota.c store/stored_session.c store/stored_task.h store/stored_tasks.def store/stored_task.c \
	store/stored_check.h store/stored_task_check.c store/stored_check_mbox.c store/stored_check_rows.c store/stored_repair.c store/stored_task_upgrade.c store/stored_trim.c store/stored_view.c store/stored_watch.c
store_libcvstored_a_SOURCES += store/stored_task_rekey.c
store_libcvstored_a_SOURCES += store/stored_rebuild.h store/stored_walk.h store/stored_walk.c store/stored_check_names.c store/stored_sweep.c store/stored_rebuild.c store/stored_redo.c store/stored_task_rebuild.c
store_libcvstored_a_SOURCES += store/stored_handout.h store/stored_handout.c store/stored_text.h store/stored_text.c store/stored_text_old.c store/stored_text_read.c store/stored_text_sweep.c store/stored_task_text.c
# space
store_libcvstored_a_SOURCES += store/stored_space.h store/stored_space.c store/stored_task_space.c
# the index for SEARCH
CV_FUZZ += tests/fuzz/sig_fuzz
tests_fuzz_sig_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/sig_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_sig_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_sig_fuzz_LDADD = store/libcvstored.a store/libcvingest.a store/libcvstore.a lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS)
store_libcvstored_a_SOURCES += store/stored_index.h store/stored_index.c store/stored_index_stale.c store/stored_seal.c \
	store/stored_candidates.c

pkglibexec_PROGRAMS += congvu-stored-db
congvu_stored_db_SOURCES = store/stored.c
congvu_stored_db_LDADD = store/libcvstored.a store/libcvstore.a store/libcvbackend.a store/libcvseghead.a store/libcvkv.a \
	directory/libcvtoken.a lib/libcvmail.a lib/libcvjson.a lib/libcvcrypto.a lib/libcvzst.a $(CV_ROLE_LIBS) $(CV_MAIL_LIBS) $(ZSTD_LIBS) \
	$(DB_LIBS) $(JANSSON_LIBS) $(CRYPTO_LIBS) -lpthread

# --- congvu-stored-restore: a store out of a backup ---
pkglibexec_PROGRAMS += congvu-stored-restore
congvu_stored_restore_SOURCES = store/restore.h store/restore.c store/restore_load.c store/restore_check.c store/restore_take.c store/restore_client.h
congvu_stored_restore_LDADD = store/libcvstored.a store/libcvbackend.a $(congvu_stored_db_LDADD)

# --- the ingest role: LMTP, APPEND ---
noinst_LIBRARIES += store/libcvingest.a
store_libcvingest_a_SOURCES = store/ingest.h store/ingest_message.c store/sig_message.h store/sig_message.c store/lmtp_parse.h store/lmtp_parse.c store/lmtp_priv.h \
	store/rcpt_cache.h store/rcpt_cache.c \
	store/lmtp_server.c store/lmtp_rcpt.c store/lmtp_deliver.c store/append.c store/ingest_pull.h store/ingest_pull.c store/ingest_rebuild.c store/ingest_text.c store/ingest_text_old.c
check_PROGRAMS += tests/unit/rcpt_cache_test
TESTS += tests/unit/rcpt_cache_test
tests_unit_rcpt_cache_test_SOURCES = tests/unit/rcpt_cache_test.c
tests_unit_rcpt_cache_test_LDADD = store/libcvingest.a lib/libcv.a $(CMOCKA_LIBS)
CV_INGEST_LIBS = store/libcvingest.a store/libcvstore.a milter/libcvscanproto.a directory/libcvlookup.a lib/libcvmail.a lib/libcvcrypto.a

pkglibexec_PROGRAMS += congvu-ingest
congvu_ingest_SOURCES = store/ingest.c
congvu_ingest_LDADD = $(CV_INGEST_LIBS) $(CV_ROLE_LIBS) $(CV_MAIL_LIBS) $(CRYPTO_LIBS)

check_PROGRAMS += tests/unit/lmtp_parse_test tests/unit/ingest_message_test tests/unit/ingest_test
TESTS += tests/unit/lmtp_parse_test tests/unit/ingest_message_test tests/unit/ingest_test
tests_unit_lmtp_parse_test_SOURCES = tests/unit/lmtp_parse_test.c
tests_unit_lmtp_parse_test_LDADD = store/libcvingest.a lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS) $(CMOCKA_LIBS)
tests_unit_ingest_message_test_SOURCES = tests/unit/ingest_message_test.c
tests_unit_ingest_message_test_LDADD = store/libcvingest.a store/libcvstore.a lib/libcvmail.a lib/libcvcrypto.a lib/libcv.a $(CV_MAIL_LIBS) \
	$(CRYPTO_LIBS) $(CMOCKA_LIBS)
tests_unit_ingest_test_SOURCES = tests/unit/ingest_test.c
tests_unit_ingest_test_LDADD = $(CV_INGEST_LIBS) lib/libcvipc.a lib/libcvloop.a lib/libcv.a $(EVENT_LIBS) $(CV_MAIL_LIBS) \
	$(CRYPTO_LIBS) $(CMOCKA_LIBS)

# The same against the real process, in its sandbox.
check_PROGRAMS += tests/unit/ingest_role_test
TESTS += tests/unit/ingest_role_test
tests_unit_ingest_role_test_SOURCES = tests/unit/ingest_test.c
tests_unit_ingest_role_test_CPPFLAGS = $(AM_CPPFLAGS) -DINGEST_BINARY='"congvu-ingest"'
tests_unit_ingest_role_test_LDADD = $(tests_unit_ingest_test_LDADD)
EXTRA_tests_unit_ingest_role_test_DEPENDENCIES = congvu-ingest

CV_FUZZ += tests/fuzz/lmtp_fuzz
tests_fuzz_lmtp_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/lmtp_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_lmtp_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_lmtp_fuzz_LDADD = store/libcvingest.a lib/libcvmail.a lib/libcv.a $(CV_MAIL_LIBS)

# --- the stored role as a process ---
CV_STORED_CLIENT_LIBS = store/libcvstore.a directory/libcvtoken.a lib/libcvipc.a lib/libcvloop.a lib/libcvcrypto.a lib/libcv.a \
	$(EVENT_LIBS) $(CRYPTO_LIBS)
check_PROGRAMS += tests/unit/stored_test
TESTS += tests/unit/stored_test
tests_unit_stored_test_SOURCES = tests/unit/stored_test.c tests/unit/stored_run.h tests/unit/stored_run.c
tests_unit_stored_test_LDADD = $(CV_STORED_CLIENT_LIBS) $(CMOCKA_LIBS)

# --- a bench, run by hand ---
noinst_PROGRAMS += tests/bench/store_bench
tests_bench_store_bench_SOURCES = tests/bench/store_bench.c tests/unit/stored_run.h tests/unit/stored_run.c
tests_bench_store_bench_LDADD = $(CV_STORED_CLIENT_LIBS)

CV_FUZZ += tests/fuzz/store_row_fuzz
tests_fuzz_store_row_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/store_row_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_store_row_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_store_row_fuzz_LDADD = store/libcvstored.a store/libcvstore.a store/libcvbackend.a store/libcvseghead.a store/libcvkv.a directory/libcvtoken.a \
	lib/libcvmail.a lib/libcvipc.a lib/libcvloop.a lib/libcvcrypto.a lib/libcvzst.a lib/libcv.a $(CV_MAIL_LIBS) $(ZSTD_LIBS) $(DB_LIBS) $(EVENT_LIBS) $(CRYPTO_LIBS) -lpthread

check_PROGRAMS += tests/unit/stored_move_test
TESTS += tests/unit/stored_move_test
tests_unit_stored_move_test_SOURCES = tests/unit/stored_move_test.c tests/unit/stored_run.h tests/unit/stored_run.c
tests_unit_stored_move_test_LDADD = $(CV_BACKEND_LIBS) $(CV_STORED_CLIENT_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/stored_model_test tests/unit/stored_mem
TESTS += tests/unit/stored_model_test
tests_unit_stored_model_test_SOURCES = tests/unit/stored_model_test.c tests/unit/model.h tests/unit/stored_run.h tests/unit/stored_run.c
tests_unit_stored_model_test_LDADD = $(CV_STORED_CLIENT_LIBS) $(CMOCKA_LIBS)
# the same stored over the backend in memory
tests_unit_stored_mem_SOURCES = store/stored.c tests/unit/stored_mem.c
tests_unit_stored_mem_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=backend_kv_open,--wrap=backend_kv_stat
tests_unit_stored_mem_LDADD = $(congvu_stored_db_LDADD)
check_PROGRAMS += tests/unit/stored_mix_test
TESTS += tests/unit/stored_mix_test
tests_unit_stored_mix_test_SOURCES = tests/unit/stored_mix_test.c tests/unit/stored_run.h tests/unit/stored_run.c
tests_unit_stored_mix_test_LDADD = $(CV_STORED_CLIENT_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/stored_task_test
TESTS += tests/unit/stored_task_test
tests_unit_stored_task_test_SOURCES = tests/unit/stored_task_test.c tests/unit/stored_tasks_test.def store/stored_task.h store/stored_task.c
tests_unit_stored_task_test_CPPFLAGS = $(AM_CPPFLAGS) -DSTORED_TASKS_DEF='"tests/unit/stored_tasks_test.def"' -DTASK_READER_MS=500
tests_unit_stored_task_test_LDADD = lib/libcvipc.a lib/libcvloop.a lib/libcvjson.a lib/libcv.a $(EVENT_LIBS) $(JANSSON_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/rows_test
TESTS += tests/unit/rows_test
tests_unit_rows_test_SOURCES = tests/unit/rows_test.c
tests_unit_rows_test_LDADD = $(CV_BACKEND_LIBS) $(CMOCKA_LIBS)
# --- retained mail ---
store_libcvstored_a_SOURCES += store/stored_purge.h store/stored_purge_walk.c store/stored_task_purge.c store/stored_bury.c store/stored_hold.c store/stored_kept.c store/stored_restore.c
CV_KEPT_FIX = tests/unit/kept_fix.h tests/unit/kept_fix.c tests/unit/stored_run.h tests/unit/stored_run.c
check_PROGRAMS += tests/unit/stored_kept_test tests/unit/clock.so
TESTS += tests/unit/stored_kept_test
tests_unit_stored_kept_test_SOURCES = tests/unit/stored_kept_test.c $(CV_KEPT_FIX)
tests_unit_stored_kept_test_LDADD = $(CV_STORED_CLIENT_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/stored_doubt_test tests/unit/stored_doubt
TESTS += tests/unit/stored_doubt_test
tests_unit_stored_doubt_test_SOURCES = tests/unit/stored_doubt_test.c $(CV_KEPT_FIX)
tests_unit_stored_doubt_test_LDADD = $(CV_STORED_CLIENT_LIBS) $(CMOCKA_LIBS)
tests_unit_stored_doubt_SOURCES = store/stored.c tests/unit/stored_doubt.c
tests_unit_stored_doubt_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=backend_kv_open
tests_unit_stored_doubt_LDADD = $(congvu_stored_db_LDADD)

check_PROGRAMS += tests/unit/stored_refused_test
TESTS += tests/unit/stored_refused_test
tests_unit_stored_refused_test_SOURCES = tests/unit/stored_refused_test.c tests/crash/crash.h $(CV_KEPT_FIX)
tests_unit_stored_refused_test_LDADD = $(CV_STORED_CLIENT_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/stored_clock_test
TESTS += tests/unit/stored_clock_test
tests_unit_stored_clock_test_SOURCES = tests/unit/stored_clock_test.c $(CV_KEPT_FIX)
tests_unit_stored_clock_test_LDADD = $(CV_STORED_CLIENT_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/stored_rebuild_test
TESTS += tests/unit/stored_rebuild_test
tests_unit_stored_rebuild_test_SOURCES = tests/unit/stored_rebuild_test.c $(CV_KEPT_FIX)
tests_unit_stored_rebuild_test_LDADD = $(CV_INGEST_LIBS) $(CV_STORED_CLIENT_LIBS) $(CV_MAIL_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/stored_hold_test
TESTS += tests/unit/stored_hold_test
tests_unit_stored_hold_test_SOURCES = tests/unit/stored_hold_test.c $(CV_KEPT_FIX)
tests_unit_stored_hold_test_LDADD = $(CV_STORED_CLIENT_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/stored_purge_test
TESTS += tests/unit/stored_purge_test
tests_unit_stored_purge_test_SOURCES = tests/unit/stored_purge_test.c $(CV_KEPT_FIX)
tests_unit_stored_purge_test_LDADD = $(CV_STORED_CLIENT_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/stored_quota_test
TESTS += tests/unit/stored_quota_test
tests_unit_stored_quota_test_SOURCES = tests/unit/stored_quota_test.c $(CV_KEPT_FIX)
tests_unit_stored_quota_test_LDADD = $(CV_STORED_CLIENT_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/stored_import_test
TESTS += tests/unit/stored_import_test
tests_unit_stored_import_test_SOURCES = tests/unit/stored_import_test.c $(CV_KEPT_FIX)
tests_unit_stored_import_test_LDADD = $(CV_STORED_CLIENT_LIBS) $(CMOCKA_LIBS)
noinst_PROGRAMS += tests/bench/expunge_bench
tests_bench_expunge_bench_SOURCES = tests/bench/expunge_bench.c $(CV_KEPT_FIX)
tests_bench_expunge_bench_LDADD = $(CV_STORED_CLIENT_LIBS) $(CMOCKA_LIBS)
tests_unit_clock_so_SOURCES = tests/unit/clock.c
tests_unit_clock_so_CPPFLAGS = -D_GNU_SOURCE -U_FORTIFY_SOURCE
tests_unit_clock_so_CFLAGS = -Wall -Wextra -O2 -fPIC
tests_unit_clock_so_LDFLAGS = -shared

noinst_PROGRAMS += tests/system/store_damage
tests_system_store_damage_SOURCES = tests/system/store_damage.c
tests_system_store_damage_LDADD = $(CV_KV_LIBS)

CV_FUZZ += tests/fuzz/composite_fuzz
tests_fuzz_composite_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/composite_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_composite_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_composite_fuzz_LDADD = $(CV_BACKEND_LIBS)
check_PROGRAMS += tests/unit/parts_test
TESTS += tests/unit/parts_test
tests_unit_parts_test_SOURCES = tests/unit/parts_test.c
tests_unit_parts_test_LDADD = $(CV_BACKEND_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/row_cache_test
TESTS += tests/unit/row_cache_test
tests_unit_row_cache_test_SOURCES = tests/unit/row_cache_test.c store/row_cache.h store/row_cache.c
tests_unit_row_cache_test_LDADD = lib/libcv.a $(CMOCKA_LIBS)
CV_FUZZ += tests/fuzz/segment_fuzz
tests_fuzz_segment_fuzz_SOURCES = tests/fuzz/fuzz.h tests/fuzz/segment_fuzz.c $(CV_FUZZ_MAIN)
tests_fuzz_segment_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
tests_fuzz_segment_fuzz_LDADD = $(CV_BACKEND_LIBS)
noinst_PROGRAMS += tests/bench/seg_bench
tests_bench_seg_bench_SOURCES = tests/bench/seg_bench.c
tests_bench_seg_bench_LDADD = $(CV_BACKEND_LIBS)
check_PROGRAMS += tests/unit/stored_text_test
TESTS += tests/unit/stored_text_test
tests_unit_stored_text_test_SOURCES = tests/unit/stored_text_test.c $(CV_KEPT_FIX)
tests_unit_stored_text_test_LDADD = $(CV_INGEST_LIBS) $(CV_STORED_CLIENT_LIBS) $(CV_MAIL_LIBS) $(CMOCKA_LIBS)
EXTRA_tests_unit_stored_text_test_DEPENDENCIES = tests/unit/stored_mem
