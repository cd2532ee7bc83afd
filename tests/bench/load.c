/* load.c: what the load generators share (load.h). Runs in load_smtp, load_imap and load_sink, which tests/bench/bench.py starts. */
#include "config.h"

#include "tests/bench/load.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

enum { POOL = 1 << 18, LINE = 72, BASE64_LINE = 76, BIG = 1 << 20 };

uint64_t
load_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static unsigned
number_of(const char *s, unsigned long max)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);

	if (*s == '\0' || *end != '\0' || v > max) {
		fprintf(stderr, "not a number up to %lu: %s\n", max, s);
		exit(64);
	}
	return (unsigned)v;
}

void
load_options(int argc, char **argv, struct load_opts *o)
{
	static const struct option longs[] = {{"to", 1, NULL, 't'}, {"user", 1, NULL, 'u'},
	    {"password", 1, NULL, 'p'}, {"from", 1, NULL, 'f'}, {"rcpt", 1, NULL, 'r'},
	    {"mailbox", 1, NULL, 'm'}, {"needle", 1, NULL, 'n'}, {"sessions", 1, NULL, 's'},
	    {"count", 1, NULL, 'c'}, {"accounts", 1, NULL, 'a'}, {"base", 1, NULL, 'b'},
	    {"rcpts", 1, NULL, 'R'}, {"per-conn", 1, NULL, 'P'}, {"needle-every", 1, NULL, 'N'},
	    {"gap-ms", 1, NULL, 'g'}, {"size", 1, NULL, 'z'}, {"tls", 0, NULL, 'T'},
	    {"starttls", 0, NULL, 'S'}, {"auth", 0, NULL, 'A'}, {"pipeline", 0, NULL, 'L'},
	    {"lmtp", 0, NULL, 'M'}, {NULL, 0, NULL, 0}};
	const unsigned many = 10000000;
	int c;

	*o = (struct load_opts){.mode = argc > 1 ? argv[1] : "",
	    .mailbox = "INBOX",
	    .host = "client.example",
	    .sessions = 1,
	    .count = 1,
	    .accounts = 1,
	    .base = 1,
	    .rcpts = 1,
	    .size = 4096};
	if (argc < 2)
		exit(64);
	optind = 2;
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (c) {
		case 't':
			o->to = optarg;
			break;
		case 'u':
			o->user = optarg;
			break;
		case 'p':
			o->password = optarg;
			break;
		case 'f':
			o->from = optarg;
			break;
		case 'r':
			o->rcpt = optarg;
			break;
		case 'm':
			o->mailbox = optarg;
			break;
		case 'n':
			o->needle = optarg;
			break;
		case 's':
			o->sessions = number_of(optarg, 20000);
			break;
		case 'c':
			o->count = number_of(optarg, many);
			break;
		case 'a':
			o->accounts = number_of(optarg, many);
			break;
		case 'b':
			o->base = number_of(optarg, many);
			break;
		case 'R':
			o->rcpts = number_of(optarg, 10000);
			break;
		case 'P':
			o->per_conn = number_of(optarg, many);
			break;
		case 'N':
			o->needle_every = number_of(optarg, many);
			break;
		case 'g':
			o->gap_ms = number_of(optarg, 60000);
			break;
		case 'z':
			o->size = number_of(optarg, LOAD_MESSAGE_MAX / 2);
			break;
		case 'T':
			o->tls = true;
			break;
		case 'S':
			o->starttls = true;
			break;
		case 'A':
			o->auth = true;
			break;
		case 'L':
			o->pipeline = true;
			break;
		case 'M':
			o->lmtp = true;
			break;
		default:
			exit(64);
		}
	o->rest = argv + optind;
	o->n_rest = argc - optind;
	if (o->sessions == 0 || o->count == 0 || o->accounts == 0 || o->rcpts == 0)
		exit(64);
	if (o->sessions > o->count)
		o->sessions = o->count;
}

void
load_init(struct load *l, unsigned samples)
{
	const char *why = NULL;

	log_init("load", 2);
	log_set_level(LOG_LVL_ERROR);
	*l = (struct load){.loop = loop_new(), .room = samples};
	l->us = xcalloc(samples + 1, sizeof *l->us);
	if (tls_client_new(NULL, &l->tls, &why) != 0)
		fatal("TLS: %s", why);
}

void
load_done(struct load *l)
{
	tls_ctx_free(l->tls);
	loop_free(l->loop);
	free(l->us);
}

void
load_begin(struct load *l)
{
	l->began_us = l->ended_us = load_now_us();
}

void
load_sample(struct load *l, uint64_t since_us)
{
	uint64_t now = load_now_us();

	if (l->n < l->room)
		l->us[l->n++] = (uint32_t)(now - since_us);
	l->ended_us = now;
}

void
load_fail(struct load *l, const char *what, struct slice got)
{
	if (l->failed++ < 5)
		fprintf(stderr, "%s: %.*s\n", what, (int)(got.len > 200 ? 200 : got.len),
		    got.len > 0 ? (const char *)got.ptr : "");
	l->ended_us = load_now_us();
}

static int
by_time(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

void
load_print(struct load *l, const char *extra)
{
	struct rusage u;
	double cpu;

	getrusage(RUSAGE_SELF, &u);
	cpu = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	      (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
	qsort(l->us, l->n, sizeof *l->us, by_time);
	printf("{\"n\":%u,\"failed\":%u,\"seconds\":%.6f,\"began_us\":%llu,\"ended_us\":%llu,\"p50_"
	       "ms\":%.3f,"
	       "\"p99_ms\":%.3f,\"max_ms\":%.3f,\"bytes\":%llu,\"cpu_s\":%.4f%s}\n",
	    l->n, l->failed, (double)(l->ended_us - l->began_us) / 1e6,
	    (unsigned long long)l->began_us, (unsigned long long)l->ended_us,
	    l->n == 0 ? 0 : l->us[l->n / 2] / 1e3,
	    l->n == 0 ? 0 : l->us[(size_t)l->n * 99 / 100] / 1e3,
	    l->n == 0 ? 0 : l->us[l->n - 1] / 1e3, (unsigned long long)l->bytes, cpu, extra);
	fflush(stdout);
}

void
load_pattern(struct buf *out, const char *pattern, unsigned number)
{
	const char *at = strstr(pattern, "%u");

	buf_reset(out);
	if (at == NULL) {
		buf_append_str(out, pattern);
		return;
	}
	buf_append(out, pattern, (size_t)(at - pattern));
	buf_appendf(out, "%u", number);
	buf_append_str(out, at + 2);
}

/* Lines of words, made once. Repeatable: the same in every run. */
static const char *
word_of(uint32_t *seed)
{
	static const char *const words[] = {"công", "văn", "kính", "gửi", "phòng", "hành", "chính",
	    "tổng", "hợp", "theo", "quyết", "định", "số", "ngày", "tháng", "năm", "về", "việc",
	    "triển", "khai", "kế", "hoạch", "báo", "cáo", "đề", "nghị", "các", "đơn", "vị", "thực",
	    "hiện", "đúng", "thời", "hạn", "ủy", "ban", "nhân", "dân", "tỉnh", "sở", "ngành", "the",
	    "agency", "report", "please", "find", "attached", "minutes", "of", "meeting"};

	*seed = *seed * 1664525 + 1013904223;
	return words[(*seed >> 12) % (sizeof words / sizeof *words)];
}

static void
text_pool(struct buf *p)
{
	uint32_t seed = 7;
	size_t start = 0;

	buf_init(p, POOL + 256);
	while (p->len < POOL) {
		buf_append_str(p, word_of(&seed));
		if (p->len - start >= LINE) {
			buf_append_str(p, "\r\n");
			start = p->len;
		} else
			buf_append_byte(p, ' ');
	}
}

/* At least size octets of whole lines of text, from a place that number chooses. */
static void
text(struct buf *out, unsigned number, size_t size)
{
	static struct buf pool;
	static const unsigned char eol[] = "\r\n";
	size_t at, end = out->len + size;

	if (pool.data == NULL)
		text_pool(&pool);
	at = (size_t)(number * 2654435761u) % (POOL / 2);
	at += (size_t)slice_index(slice_from(buf_slice(&pool), at), '\n') + 1;
	while (out->len < end) {
		struct slice rest = slice_from(buf_slice(&pool), at);
		ptrdiff_t n = slice_find(rest, slice_of(eol, 2));

		if (n < 0) {
			at = 0;
			continue;
		}
		buf_append(out, rest.ptr, (size_t)n + 2);
		at += (size_t)n + 2;
	}
}

static void
base64_lines(struct buf *out, uint32_t seed, size_t size)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t end = out->len + size;

	while (out->len < end) {
		unsigned char *p = buf_reserve(out, BASE64_LINE + 2);

		if (p == NULL)
			return;
		for (int i = 0; i < BASE64_LINE; i++) {
			seed = seed * 1664525 + 1013904223;
			p[i] = (unsigned char)digits[seed >> 26];
		}
		p[BASE64_LINE] = '\r';
		p[BASE64_LINE + 1] = '\n';
		buf_commit(out, BASE64_LINE + 2);
	}
}

void
load_message(struct buf *out, unsigned number, uint32_t run, size_t size, const char *from,
    const char *to, const char *needle)
{
	bool big = size >= BIG;
	size_t head;

	buf_reset(out);
	buf_appendf(out,
	    "From: Load Generator <%s>\r\nTo: <%s>\r\n"
	    "Subject: =?utf-8?B?QsOhbyBjw6FvIHPhu5E=?= %u\r\n"
	    "Date: Fri, 20 Nov 2026 08:%02u:%02u +0700\r\n"
	    "Message-ID: <%08x.%u@client.example>\r\nMIME-Version: 1.0\r\n",
	    from, to, number, number / 60 % 60, number % 60, (unsigned)run, number);
	if (big)
		buf_append_str(
		    out, "Content-Type: multipart/mixed; boundary=\"=-load\"\r\n\r\n--=-load\r\n");
	buf_append_str(out,
	    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
	if (needle != NULL)
		buf_appendf(out, "Word %s here.\r\n", needle);
	head = out->len;
	if (!big) {
		text(out, number, size > head ? size - head : 1);
		return;
	}
	text(out, number, 2000);
	buf_append_str(out,
	    "--=-load\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment;"
	    " filename=\"load.bin\"\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	base64_lines(out, number + run, size - 2500);
	buf_append_str(out, "--=-load--\r\n");
}

int
load_line(struct slice in, struct slice *line_out, size_t *consume_out)
{
	ptrdiff_t n = slice_index(in, '\n');

	if (n < 0)
		return ERR_AGAIN;
	*consume_out = (size_t)n + 1;
	*line_out = slice_sub(in, 0, n > 0 && in.ptr[n - 1] == '\r' ? (size_t)n - 1 : (size_t)n);
	return 0;
}
