# lib/: shared code. libcv.a knows no third-party library but libc; the others are one wrapper each,
# so that a program links only what it names.
noinst_LIBRARIES += lib/libcv.a
lib_libcv_a_SOURCES = lib/err.h lib/err.c lib/buf.h lib/buf.c lib/arena.h lib/arena.c lib/log.h lib/log.c
