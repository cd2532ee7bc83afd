/* log.h: one line per event, key=value, to standard error or syslog. Values are quoted and escaped to
 * printable ASCII/UTF-8, so that a peer cannot forge a line. Never log a secret. */
#ifndef CV_LOG_H
#define CV_LOG_H

#include "lib/buf.h"

enum log_level { LOG_LVL_ERROR, LOG_LVL_WARN, LOG_LVL_INFO, LOG_LVL_DEBUG };

/* program: "congvu-smtpd/session"; borrowed for the life of the process. fd: where lines go (2). */
void log_init(const char *program, int fd);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* A line under way. log_line starts it, log_kv_* add pairs, log_end writes it with one write(2):
 *   struct log_line l;
 *   log_begin(&l, LOG_LVL_INFO, "login");
 *   log_str(&l, "user", user); log_u64(&l, "ms", ms); log_end(&l); */
struct log_line {
	char buf[2048];
	size_t len;
	enum log_level level;
	bool on;
};
void log_begin(struct log_line *l, enum log_level level, const char *event);
void log_str(struct log_line *l, const char *key, const char *value); /* NULL is written as - */
void log_slice(struct log_line *l, const char *key, struct slice value);
void log_u64(struct log_line *l, const char *key, uint64_t value);
void log_i64(struct log_line *l, const char *key, int64_t value);
void log_err(struct log_line *l, const char *key, int err); /* enum err by name */
void log_errno(struct log_line *l, int en);                 /* errno="No space left on device" */
void log_end(struct log_line *l);

/* The short form for one free text: event=… msg="…". */
void log_msg(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Logs and ends the process with status 70 (EX_SOFTWARE): only for no memory and broken invariants. */
void fatal(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* malloc family that ends the process when memory is out: for small fixed-size objects of ours, never
 * for a size that a peer chose. */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);

#endif
