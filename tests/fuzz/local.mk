# tests/fuzz/: one target a parser: <name>_fuzz.c with LLVMFuzzerTestOneInput, seeds in corpus/<name>/. `make check` replays the
# corpora (replay.c); with CC=clang --enable-fuzz the targets are fuzzers: `make fuzz FUZZ_TIME=60`.
# A folder adds its target in its own local.mk:
#   CV_FUZZ += tests/fuzz/foo_fuzz
#   tests_fuzz_foo_fuzz_SOURCES = tests/fuzz/foo_fuzz.c $(CV_FUZZ_MAIN)
#   tests_fuzz_foo_fuzz_LDFLAGS = $(AM_LDFLAGS) $(CV_FUZZLINK)
#   tests_fuzz_foo_fuzz_LDADD = lib/libcv.a
EXTRA_DIST += tests/fuzz/corpus tests/fuzz/campaign
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

FUZZ_TIME = 60
FUZZ_JOBS = 2
.PHONY: fuzz
fuzz: $(CV_FUZZ)
	@$(srcdir)/tests/fuzz/campaign $(FUZZ_TIME) $(FUZZ_JOBS) $(srcdir) $(CV_FUZZ)
