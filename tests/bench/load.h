/* load.h: what the load generators share: options, samples of time, messages, the result as one line of JSON. Tools of the bench
 * alone; one thread, one loop. */
#ifndef CV_LOAD_H
#define CV_LOAD_H

#include "lib/buf.h"
#include "lib/loop.h"
#include "lib/tls.h"

enum { LOAD_MESSAGE_MAX = 64 * 1024 * 1024 };

/* The options, by name; each program takes those it needs. */
struct load_opts {
	const char *mode;     /* first argument */
	const char *to;       /* --to HOST:PORT or a UNIX socket's path */
	const char *user;     /* --user: pattern with one %u, the account's number */
	const char *password; /* --password: likewise */
	const char *from;     /* --from: reverse-path; a pattern likewise */
	const char *rcpt;     /* --rcpt: recipient; a pattern likewise */
	const char *mailbox;  /* --mailbox */
	const char *needle;   /* --needle: a word put into some messages, or searched for */
	const char *host;     /* --host: our name for EHLO */
	unsigned sessions, count, accounts, base, rcpts, per_conn, needle_every, gap_ms;
	size_t size;
	bool tls, starttls, auth, pipeline, lmtp;
	char **rest; /* what follows -- */
	int n_rest;
};
/* Reads argv; exits with 64 when it does not understand. */
void load_options(int argc, char **argv, struct load_opts *o);

uint64_t load_now_us(void);

/* Samples of one load. */
struct load {
	struct loop *loop;
	struct tls_ctx *tls; /* client context, nobody is verified */
	const char *unit;    /* what one sample is */
	uint32_t *us;
	unsigned n, room, failed;
	uint64_t began_us, ended_us; /* CLOCK_MONOTONIC */
	uint64_t bytes;
};
void load_init(struct load *l, unsigned samples);
void load_done(struct load *l);
void load_begin(struct load *l);
void load_sample(struct load *l, uint64_t since_us);
/* Counts a failure, and tells the first few of them on standard error. */
void load_fail(struct load *l, const char *what, struct slice got);
/* {"n":..,"failed":..,"seconds":..,"began_us":..,"ended_us":..,"p50_ms":..,"p99_ms":..,"max_ms":..,"bytes":..,"cpu_s":..<extra>} and a
 * line end. extra: further members beginning with a comma, or "". */
void load_print(struct load *l, const char *extra);

/* out (reset first): "text" with %u in the pattern replaced by number. No other % is looked at. */
void load_pattern(struct buf *out, const char *pattern, unsigned number);

/* A message of about size octets, CRLF line ends, unlike every other; no line begins with a dot. Below 1 MiB Vietnamese text as 8bit;
 * above a part in base64. number is in its Message-ID; run makes the numbers of two runs differ. */
void load_message(struct buf *out, unsigned number, uint32_t run, size_t size, const char *from,
    const char *to, const char *needle);

/* One line of in up to CRLF: 0 with the line (without CRLF) and the octets to consume, or ERR_AGAIN. */
int load_line(struct slice in, struct slice *line_out, size_t *consume_out);

#endif
