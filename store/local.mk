# store/: see HACKING.md, "Adding a file"

# --- libcvkv.a: ordered key-value store; kv_bdb.o alone needs libdb ---
noinst_LIBRARIES += store/libcvkv.a
store_libcvkv_a_SOURCES = store/kv.h store/kv.c store/kv_bdb.c store/kv_mem.c
CV_KV_LIBS = store/libcvkv.a lib/libcv.a $(DB_LIBS) -lpthread

check_PROGRAMS += tests/unit/kv_test
TESTS += tests/unit/kv_test
tests_unit_kv_test_SOURCES = tests/unit/kv_test.c
tests_unit_kv_test_LDADD = $(CV_KV_LIBS) $(CMOCKA_LIBS)
