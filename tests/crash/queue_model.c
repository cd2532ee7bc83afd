/* queue_model.c: what the clients of smtpd-queue know (the texts of queue_load.c), and whether a queue agrees. Runs in tests, under
 * crash_check.c: see crash_judge.h. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "smtpd/queue_db.h"
#include "tests/crash/crash_judge.h"

enum { BODY_MAX = 400000 };
struct crash_model {
	struct message {
		bool opened, hold, held, commit, committed, result, gone, aborted;
		unsigned rcpts;
		struct delivery_id id;
	} m[CRASH_MESSAGES];
	uint32_t n;
};
static struct {
	struct crash_model *m;
	struct qdb *db;
	const char *dir;
	struct arena *mem;
	uint8_t state[CRASH_MESSAGES]; /* what is there */
	uint32_t n_bad;
} V;

struct crash_model *
model_new(void)
{
	return xcalloc(1, sizeof(struct crash_model));
}

void
model_free(struct crash_model *m)
{
	free(m);
}

size_t
model_messages(const struct crash_model *m)
{
	return m->n;
}

static void
set_id(struct delivery_id *id, uint64_t a, uint64_t b)
{
	for (int i = 0; i < 8; i++) {
		id->b[i] = (unsigned char)(a >> (56 - 8 * i));
		id->b[8 + i] = (unsigned char)(b >> (56 - 8 * i));
	}
}

void
model_text(struct crash_model *m, struct slice text)
{
	char line[128], *at;
	uint64_t v[4] = {0};
	struct message *x;
	size_t n = 0;

	if (text.len < 3 || text.len >= sizeof line)
		fatal("queue_model: a text of %zu octets", text.len);
	memcpy(line, text.ptr, text.len);
	line[text.len] = '\0';
	for (at = line + 1; *at != '\0' && n < 4;)
		v[n++] = strtoull(at, &at, 10);
	if (v[0] >= CRASH_MESSAGES)
		fatal("queue_model: a message that cannot be");
	if (v[0] >= m->n)
		m->n = (uint32_t)v[0] + 1;
	x = &m->m[v[0]];
	switch (line[0]) {
	case 'O':
		x->opened = true;
		set_id(&x->id, v[1], v[2]);
		x->rcpts = (unsigned)v[3];
		break;
	case 'H':
		x->hold = true;
		break;
	case 'h':
		x->held = true;
		break;
	case 'C':
		x->commit = true;
		break;
	case 'c':
		x->committed = true;
		break;
	case 'A':
		x->aborted = true;
		break;
	case 'G':
		x->result = true;
		break;
	case 'g':
		x->gone = true;
		break;
	default:
		fatal("queue_model: a text %c", line[0]);
	}
}

__attribute__((format(printf, 2, 3))) static void
bad(uint32_t n, const char *fmt, ...)
{
	va_list ap;

	if (V.n_bad++ >= 10)
		return;
	fprintf(stderr, "message %u: ", (unsigned)n);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void
read_file(const struct delivery_id *id, struct buf *out)
{
	char hex[2 * DELIVERY_ID_LEN + 1], path[256];
	unsigned char *p = buf_reserve(out, BODY_MAX);
	ssize_t n = -1;
	int fd;

	delivery_id_hex(id, hex);
	snprintf(path, sizeof path, "%s/spool/%s", V.dir, hex);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && p != NULL)
		n = read(fd, p, BODY_MAX);
	if (n > 0)
		buf_commit(out, (size_t)n);
	if (fd >= 0)
		close(fd);
}

static void
check_content(uint32_t n, const struct qrow *row)
{
	static unsigned char want[BODY_MAX];
	const struct message *x = &V.m->m[n];
	size_t size = crash_body_size(n);
	char header[64];
	struct buf b;
	int err;

	snprintf(header, sizeof header, "X-Number: %u\r\n\r\n", (unsigned)n);
	buf_init(&b, KV_VALUE_MAX);
	err = qdb_header(V.db, &x->id, &b);
	if (err != 0 || !slice_eq_str(buf_slice(&b), header))
		bad(n, "its header: %s", err_name(err));
	buf_reset(&b);
	if (row->has_inline)
		err = qdb_inline(V.db, &x->id, &b);
	else
		read_file(&x->id, &b);
	crash_body(n, want);
	if (err != 0 || b.len != size || memcmp(b.data, want, size) != 0)
		bad(n, "%zu octets of %zu, or others: %s", b.len, size, err_name(err));
	if (row->env.n_rcpts != x->rcpts || row->size != size)
		bad(n, "%u recipients of %u", (unsigned)row->env.n_rcpts, x->rcpts);
	buf_done(&b);
}

static bool
on_entry(void *arg, struct qent *e)
{
	struct qrow row;
	uint32_t n;
	int err;

	(void)arg;
	for (n = 0; n < V.m->n; n++)
		if (V.m->m[n].opened && memcmp(V.m->m[n].id.b, e->id.b, sizeof e->id.b) == 0)
			break;
	if (n == V.m->n) {
		bad(n, "nobody sent it");
		return true;
	}
	V.state[n] = e->state;
	arena_reset(V.mem);
	if (e->state == QUEUE_ST_DONE)
		return true;
	err = qdb_get(V.db, &e->id, V.mem, &row);
	if (err != 0)
		bad(n, "its row: %s", err_name(err));
	else
		check_content(n, &row);
	return true;
}

static void
check_state(uint32_t n)
{
	const struct message *x = &V.m->m[n];
	unsigned st = V.state[n];

	if (x->gone && (st == QUEUE_ST_HELD || st == QUEUE_ST_QUEUED))
		bad(n, "it was delivered, and would go again");
	else if (x->committed && !x->result && st != QUEUE_ST_QUEUED)
		bad(n, "it was accepted, and has state %u", st);
	else if (x->committed && x->result && st == QUEUE_ST_HELD)
		bad(n, "it was accepted, and is held");
	else if (x->held && !x->commit && !x->aborted && st != QUEUE_ST_HELD)
		bad(n, "it was held, and has state %u", st);
	else if (!x->hold && !x->commit && st != 0)
		bad(n, "it was never given, and has state %u", st);
	else if (!x->commit && st == QUEUE_ST_QUEUED)
		bad(n, "it is delivered though nobody committed it");
}

int
model_verify(struct crash_model *m, const char *dir, bool close)
{
	struct kv_options o = {.reserve_bytes = 1 << 20};
	char path[256];
	struct kv *kv;
	int err;

	V.m = m;
	V.dir = dir;
	V.n_bad = 0;
	memset(V.state, 0, sizeof V.state);
	V.mem = arena_new(64 << 20);
	snprintf(path, sizeof path, "%s/db", dir);
	o.dir = path;
	if (mkdir(path, 0700) != 0 && access(path, F_OK) != 0)
		return -1;
	err = kv_bdb_open(&o, &kv);
	if (err == 0)
		err = qdb_open(kv, &V.db);
	if (err != 0) {
		fprintf(stderr, "the queue cannot be opened: %s\n", err_name(err));
		return -1;
	}
	qdb_each(V.db, NULL, on_entry, NULL);
	for (uint32_t n = 0; n < m->n; n++)
		check_state(n);
	if (close)
		qdb_close(V.db);
	arena_free(V.mem);
	return V.n_bad == 0 ? 0 : -1;
}
