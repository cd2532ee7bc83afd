# tests/bench/: make bench [LOADS=...] [ROUNDS=n]: Congvu beside Postfix + Dovecot (tests/bench/README.md)
noinst_PROGRAMS += tests/bench/load_smtp tests/bench/load_imap tests/bench/load_sink
CV_LOAD_SOURCES = tests/bench/load.h tests/bench/load.c
CV_LOAD_LIBS = lib/libcvmail.a lib/libcvtls.a lib/libcvloop.a lib/libcvcrypto.a lib/libcv.a $(CV_MAIL_LIBS) $(EVENT_LIBS) $(SSL_LIBS) $(CRYPTO_LIBS)
tests_bench_load_smtp_SOURCES = tests/bench/load_smtp.c $(CV_LOAD_SOURCES)
tests_bench_load_smtp_LDADD = $(CV_LOAD_LIBS)
tests_bench_load_imap_SOURCES = tests/bench/load_imap.c $(CV_LOAD_SOURCES)
tests_bench_load_imap_LDADD = $(CV_LOAD_LIBS)
tests_bench_load_sink_SOURCES = tests/bench/load_sink.c $(CV_LOAD_SOURCES)
tests_bench_load_sink_LDADD = $(CV_LOAD_LIBS)

# the login part (auth_bench.py): congvu-lookup and Dovecot's auth, asked in their own protocols
noinst_PROGRAMS += tests/bench/load_auth
tests_bench_load_auth_SOURCES = tests/bench/load_auth.c $(CV_LOAD_SOURCES)
tests_bench_load_auth_LDADD = directory/libcvlookup.a $(CV_LOAD_LIBS) lib/libcvipc.a lib/libcvloop.a lib/libcv.a $(EVENT_LIBS)

# the milter part (milter_bench.py): an MTA that only asks a milter, and libcrypto alone
noinst_PROGRAMS += tests/bench/load_milter tests/bench/cms_bench
tests_bench_load_milter_SOURCES = tests/bench/load_milter.c
tests_bench_load_milter_LDADD = lib/libcv.a -lpthread
tests_bench_cms_bench_SOURCES = tests/bench/cms_bench.c
tests_bench_cms_bench_LDADD = lib/libcv.a $(CRYPTO_LIBS)
# findings and cost of single messages; by hand
noinst_PROGRAMS += tests/bench/scan_bench
tests_bench_scan_bench_SOURCES = tests/bench/scan_bench.c
tests_bench_scan_bench_LDADD = $(CV_SCAN_LIBS)

LOADS =
ROUNDS = 3
BENCH_FLAGS =
PEOPLE = 60000
.PHONY: bench bench-directory
bench: all tests/milter/fake_lookup
	CONGVU_BUILD=$(abs_builddir) /usr/bin/python3 $(top_srcdir)/tests/bench/bench.py --rounds $(ROUNDS) --loads "$(LOADS)" $(BENCH_FLAGS)
	$(if $(LOADS),,$(MAKE) bench-directory)
# the directory of a merged province: load, look-ups, the searches of mail clients (PEOPLE=300: in seconds)
bench-directory: all
	CONGVU_BUILD=$(abs_builddir) /usr/bin/python3 $(top_srcdir)/tests/bench/directory.py $(PEOPLE)
