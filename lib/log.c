/* log.c: one line per event, key=value. Runs in every process. Invariant: what a peer sent can neither end a
 * line nor begin a pair: values with anything but plain printable characters are quoted and escaped. A line is
 * one write(2) of at most 2 KiB, so lines of several processes do not mix. Also the malloc family of ours. */
#include "config.h"

#include "lib/log.h"

#include "lib/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *log_program = "congvu";
static int log_fd = 2;
static enum log_level log_max = LOG_LVL_INFO;
static const char *const level_names[] = {"error", "warn", "info", "debug"};

void
log_init(const char *program, int fd)
{
	log_program = program;
	log_fd = fd;
}

void
log_set_level(enum log_level level)
{
	log_max = level;
}

bool
log_enabled(enum log_level level)
{
	return level <= log_max;
}

/* The last byte is kept for the line end. */
static bool
put(struct log_line *l, const char *p, size_t n)
{
	if (n > sizeof(l->buf) - 1 - l->len)
		return false;
	memcpy(l->buf + l->len, p, n);
	l->len += n;
	return true;
}

static void
put_str(struct log_line *l, const char *s)
{
	put(l, s, strlen(s));
}

void
log_begin(struct log_line *l, enum log_level level, const char *event)
{
	/* of the last line of this thread: most are of the same second */
	static _Thread_local char second[32];
	static _Thread_local time_t second_of = -1;
	char ms[8];
	struct timespec now;
	struct tm tm;

	l->len = 0;
	l->level = level;
	l->on = log_enabled(level);
	if (!l->on)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec != second_of) {
		gmtime_r(&now.tv_sec, &tm);
		strftime(second, sizeof(second), "%Y-%m-%dT%H:%M:%S", &tm);
		second_of = now.tv_sec;
	}
	put_str(l, second);
	snprintf(ms, sizeof(ms), ".%03uZ ", (unsigned)(now.tv_nsec / 1000000) % 1000);
	put_str(l, ms);
	put_str(l, log_program);
	put_str(l, " level=");
	put_str(l, level_names[level]);
	log_str(l, "event", event);
}

/* Length of the UTF-8 sequence at p if it is whole, valid and no control (C1 included), else 0. */
static size_t
utf8_len(const unsigned char *p, size_t n)
{
	size_t want;
	uint32_t cp;

	if (p[0] >= 0xC2 && p[0] <= 0xDF) {
		want = 2;
		cp = p[0] & 0x1Fu;
	} else if (p[0] >= 0xE0 && p[0] <= 0xEF) {
		want = 3;
		cp = p[0] & 0x0Fu;
	} else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
		want = 4;
		cp = p[0] & 0x07u;
	} else {
		return 0;
	}
	if (n < want)
		return 0;
	for (size_t i = 1; i < want; i++) {
		if ((p[i] & 0xC0) != 0x80)
			return 0;
		cp = cp << 6 | (p[i] & 0x3Fu);
	}
	if ((want == 3 && cp < 0x800) || (want == 4 && (cp < 0x10000 || cp > 0x10FFFF)) ||
	    (cp >= 0xD800 && cp <= 0xDFFF) || cp < 0xA0 ||
	    /* line and paragraph separators, directional marks: they would forge what a reader sees */
	    (cp >= 0x2028 && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0x200E ||
	    cp == 0x200F || cp == 0x061C || cp == 0xFEFF)
		return 0;
	return want;
}

static bool
is_plain(struct slice v)
{
	if (v.len == 0)
		return false;
	for (size_t i = 0; i < v.len; i++)
		if (v.ptr[i] <= ' ' || v.ptr[i] >= 0x7F || v.ptr[i] == '"' || v.ptr[i] == '\\' ||
		    v.ptr[i] == '=')
			return false;
	return true;
}

/* Room is kept for a closing quote and a line end, and a value cut short ends in "...". */
static void
put_quoted(struct log_line *l, struct slice v)
{
	static const char hex[] = "0123456789abcdef";
	size_t i = 0;

	put(l, "\"", 1);
	while (i < v.len) {
		unsigned char c = v.ptr[i];
		char esc[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
		size_t u = utf8_len(v.ptr + i, v.len - i);
		const char *from = esc;
		size_t n = 4;
		size_t step = 1;
		if (u > 0) {
			from = (const char *)v.ptr + i;
			n = step = u;
		} else if (c == '"' || c == '\\') {
			esc[1] = (char)c;
			n = 2;
		} else if (c >= ' ' && c < 0x7F) {
			esc[0] = (char)c;
			n = 1;
		}
		if (l->len + n + 5 > sizeof(l->buf) - 1) {
			put(l, "...", 3);
			break;
		}
		put(l, from, n);
		i += step;
	}
	put(l, "\"", 1);
}

void
log_slice(struct log_line *l, const char *key, struct slice value)
{
	/* a pair without room for its key and an empty value is left out */
	if (!l->on || l->len + strlen(key) + 10 > sizeof(l->buf))
		return;
	put(l, " ", 1);
	put_str(l, key);
	put(l, "=", 1);
	if (is_plain(value) && l->len + value.len < sizeof(l->buf) - 8)
		put(l, (const char *)value.ptr, value.len);
	else
		put_quoted(l, value);
}

void
log_str(struct log_line *l, const char *key, const char *value)
{
	log_slice(l, key, slice_str(value == NULL ? "-" : value));
}

void
log_u64(struct log_line *l, const char *key, uint64_t value)
{
	char tmp[32];

	snprintf(tmp, sizeof(tmp), "%llu", (unsigned long long)value);
	log_str(l, key, tmp);
}

void
log_i64(struct log_line *l, const char *key, int64_t value)
{
	char tmp[32];

	snprintf(tmp, sizeof(tmp), "%lld", (long long)value);
	log_str(l, key, tmp);
}

void
log_err(struct log_line *l, const char *key, int err)
{
	log_str(l, key, err_name(err));
}

void
log_errno(struct log_line *l, int en)
{
	char tmp[128];

	log_str(l, "errno", strerror_r(en, tmp, sizeof(tmp)));
}

void
log_end(struct log_line *l)
{
	int saved = errno;

	if (!l->on)
		return;
	l->buf[l->len++] = '\n';
	/* a log that cannot be written must not stop mail */
	if (write(log_fd, l->buf, l->len) < 0)
		l->on = false;
	l->on = false;
	errno = saved;
}

static void log_vmsg(enum log_level level, const char *event, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

static void
log_vmsg(enum log_level level, const char *event, const char *fmt, va_list ap)
{
	struct log_line l;
	char text[1600];

	log_begin(&l, level, event);
	if (!l.on)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	log_str(&l, "msg", text);
	log_end(&l);
}

void
log_msg(enum log_level level, const char *event, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vmsg(level, event, fmt, ap);
	va_end(ap);
}

void
fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_vmsg(LOG_LVL_ERROR, "fatal", fmt, ap);
	va_end(ap);
	/* no atexit handlers: they would run in a state that is not trusted any more */
	_exit(70);
}

void *
xmalloc(size_t n)
{
	void *p = malloc(n == 0 ? 1 : n);

	if (p == NULL)
		fatal("no memory for %zu bytes", n);
	return p;
}

void *
xcalloc(size_t n, size_t size)
{
	void *p = calloc(n == 0 ? 1 : n, size == 0 ? 1 : size);

	if (p == NULL)
		fatal("no memory for %zu times %zu bytes", n, size);
	return p;
}

void *
xrealloc(void *p, size_t n)
{
	void *q = realloc(p, n == 0 ? 1 : n);

	if (q == NULL)
		fatal("no memory for %zu bytes", n);
	return q;
}

char *
xstrdup(const char *s)
{
	char *p = strdup(s);

	if (p == NULL)
		fatal("no memory for a string");
	return p;
}
