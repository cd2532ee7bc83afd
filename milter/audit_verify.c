/* audit_verify.c: finds what was done to an audit log: edit, delete, reorder, truncate, splice, and a log that was written anew, which
 * only the state file, a signed checkpoint, milter-sign's list of them or another host's copy of one tells. Runs in congvu. A line that is wrong is named, and the
 * search goes on behind it, so that one wrong line is one finding. */
#include "config.h"

#include "milter/audit_verify.h"
#include "milter/sign_text.h"

#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* So many records back a checkpoint is compared with its record: it is written a moment after it was asked for. */
#define WINDOW (1u << 16)
enum { GAPS_MAX = 64, KEYS_MAX = 16, KNOWN_MAX = 1000000 };

struct gap {
	uint64_t from, to; /* records that are missing so far */
	const char *file;
	uint64_t line, order;
};
struct known {
	uint64_t seq, after_seq;
	char h[65];
	bool seen;
};

struct audit_verifier {
	struct audit_report r;
	struct audit_state state;
	bool state_bad, partial, begun;
	struct sign_key *keys[KEYS_MAX];
	size_t n_keys;
	struct known *known;
	size_t n_known, next_known;
	struct audit_chain c; /* the record before, as far as it can be believed */
	bool doubt;           /* the line before was wrong: what follows it may not fit it */
	uint64_t order;
	const char *file;
	uint64_t line;
	struct gap gaps[GAPS_MAX];
	size_t n_gaps;
	struct {
		uint64_t seq;
		char h[65];
	} * window;
	struct known checkpoint; /* what the last checkpoint in the log is about */
	/* milter-sign's list: read as far as the log is */
	struct {
		int fd;
		off_t at, end;
		bool ready; /* next is a row that was not passed yet */
		struct sign_signed next;
		uint64_t last, from; /* passed without a gap: the rows above from, up to last */
		uint64_t since;      /* rows passed since the last checkpoint in the log */
	} rows;
};

const char *
audit_finding_name(enum audit_finding_kind kind)
{
	static const char *const names[] = {
	    "edit", "delete", "reorder", "splice", "truncate", "rewrite", "signature", "state"};

	return names[kind];
}

struct audit_verifier *
audit_verifier_new(void)
{
	struct audit_verifier *v = xcalloc(1, sizeof *v);

	v->window = xcalloc(WINDOW, sizeof *v->window);
	audit_chain_init(&v->c);
	audit_chain_init(&v->r.last);
	v->file = "";
	v->rows.fd = -1;
	return v;
}

void
audit_verifier_free(struct audit_verifier *v)
{
	size_t i;

	if (v == NULL)
		return;
	for (i = 0; i < v->n_keys; i++)
		sign_key_free(v->keys[i]);
	free(v->known);
	free(v->window);
	free(v);
}

void
audit_verifier_partial(struct audit_verifier *v)
{
	v->partial = true;
}

void
audit_verifier_key_take(struct audit_verifier *v, struct sign_key *key)
{
	if (v->n_keys < KEYS_MAX)
		v->keys[v->n_keys++] = key;
	else
		sign_key_free(key);
}

/* Findings stay sorted by their place. */
static void __attribute__((format(printf, 7, 8)))
find(struct audit_verifier *v, enum audit_finding_kind kind, const char *file, uint64_t order,
    uint64_t line, uint64_t seq, const char *fmt, ...)
{
	struct audit_finding *f = v->r.findings;
	size_t at = v->r.n_findings;
	va_list ap;

	if (at == AUDIT_FINDINGS_MAX) {
		v->r.more_findings++;
		return;
	}
	for (; at > 0 && f[at - 1].order > order; at--)
		f[at] = f[at - 1];
	f[at].kind = kind;
	f[at].file = file;
	f[at].order = order;
	f[at].line = line;
	f[at].seq = seq;
	va_start(ap, fmt);
	vsnprintf(f[at].text, sizeof f[at].text, fmt, ap);
	va_end(ap);
	v->r.n_findings++;
}

int
audit_verifier_state(struct audit_verifier *v, int fd)
{
	char text[AUDIT_STATE_LEN + 1];
	ssize_t n = pread(fd, text, sizeof text, 0);

	if (n < 0)
		return ERR_IO;
	v->r.has_state = true;
	v->state_bad = audit_state_parse(slice_of(text, (size_t)n), &v->state) != 0;
	return 0;
}

/* ---- checkpoints that another host kept ---- */

/* The value of name="..." in s, without escapes: ours have none. */
static struct slice
param(struct slice s, const char *name)
{
	struct slice none = {NULL, 0}, v;
	char head[16];
	ptrdiff_t at;

	snprintf(head, sizeof head, " %s=\"", name);
	at = slice_find(s, slice_str(head));
	if (at < 0)
		return none;
	v = slice_from(s, (size_t)at + strlen(head));
	at = slice_index(v, '"');
	return at < 0 ? none : slice_sub(v, 0, (size_t)at);
}

static const struct sign_key *
key_named(const struct audit_verifier *v, const char *id)
{
	for (size_t i = 0; i < v->n_keys; i++)
		if (strcmp(sign_key_id(v->keys[i]), id) == 0)
			return v->keys[i];
	return NULL;
}

static bool
signature_good(const struct audit_verifier *v, const struct sign_text *t, struct slice text,
    struct slice signature)
{
	const struct sign_key *k = key_named(v, t->key_id);
	struct buf raw;
	bool good;

	buf_init(&raw, 8192);
	good = k != NULL && b64_decode(signature, true, &raw) == 0 &&
	       sign_key_verify(k, text, buf_slice(&raw));
	buf_done(&raw);
	return good;
}

/* The text is made again from what the line says, so that its signature can be checked. */
static bool
read_known(struct audit_verifier *v, struct slice line, struct known *out)
{
	ptrdiff_t at = slice_find(line, slice_str("[congvuCheckpoint@32473 "));
	struct slice h, key, after;
	struct sign_text t;
	struct buf text;
	bool good;

	if (at < 0)
		return false;
	line = slice_from(line, (size_t)at);
	h = param(line, "h");
	key = param(line, "key");
	t.host = param(line, "host");
	t.time = param(line, "time");
	after = param(line, "after_h");
	t.version = after.ptr != NULL ? 2 : 1;
	t.after_seq = 0;
	if (!sign_is_hash(h) || !sign_is_hash(key) || t.host.ptr == NULL || t.time.ptr == NULL ||
	    slice_to_u64(param(line, "seq"), INT64_MAX, &t.seq) != 0 ||
	    (t.version == 2 && (!sign_is_hash(after) || slice_to_u64(param(line, "after_seq"),
							    INT64_MAX, &t.after_seq) != 0)))
		return false;
	memcpy(t.after_h, t.version == 2 ? (const char *)after.ptr : SIGN_NO_HASH, 64);
	t.after_h[64] = '\0';
	memcpy(t.h, h.ptr, 64);
	memcpy(t.key_id, key.ptr, 64);
	t.h[64] = t.key_id[64] = '\0';
	buf_init(&text, 4096);
	good =
	    sign_text_format(&t, &text) == 0 &&
	    (v->n_keys == 0 || signature_good(v, &t, buf_slice(&text), param(line, "signature")));
	buf_done(&text);
	if (!good)
		return false;
	out->seq = t.seq;
	out->after_seq = t.version == 2 ? t.after_seq : 0;
	out->seen = false;
	memcpy(out->h, t.h, sizeof out->h);
	return true;
}

static int
by_seq(const void *a, const void *b)
{
	uint64_t x = ((const struct known *)a)->seq, y = ((const struct known *)b)->seq;

	return x < y ? -1 : x > y;
}

int
audit_verifier_known(struct audit_verifier *v, int fd)
{
	struct audit_reader *r = audit_reader_new(fd);
	size_t room = 0, before = v->n_known;
	struct slice line;
	struct known k;
	int err;

	while ((err = audit_reader_next(r, &line)) == 0) {
		if (!read_known(v, line, &k) || v->n_known >= KNOWN_MAX)
			continue;
		if (v->n_known >= room) {
			room = v->n_known * 2 + 64;
			v->known = xrealloc(v->known, room * sizeof *v->known);
		}
		v->known[v->n_known++] = k;
	}
	audit_reader_free(r);
	if (v->n_known > 1)
		qsort(v->known, v->n_known, sizeof *v->known, by_seq);
	return err == ERR_EOF ? (int)(v->n_known - before) : ERR_IO;
}

/* ---- milter-sign's list ---- */

static int
row_next(struct audit_verifier *v)
{
	char text[SIGN_ROW_LEN];

	v->rows.ready = false;
	if (v->rows.at >= v->rows.end)
		return 0;
	if (pread(v->rows.fd, text, SIGN_ROW_LEN, v->rows.at) != SIGN_ROW_LEN)
		return ERR_IO;
	if (sign_signed_parse(slice_of(text, SIGN_ROW_LEN), &v->rows.next) != 0)
		return ERR_CORRUPT;
	v->rows.at += SIGN_ROW_LEN;
	v->rows.ready = true;
	return 0;
}

int
audit_verifier_rows(struct audit_verifier *v, int fd)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return ERR_IO;
	v->rows.fd = fd;
	v->rows.end = st.st_size - st.st_size % SIGN_ROW_LEN; /* one may just be written */
	v->rows.last = UINT64_MAX;
	v->r.has_rows = true;
	return row_next(v);
}

static void
row_pass(struct audit_verifier *v)
{
	const struct sign_signed *r = &v->rows.next;

	if (r->after_seq != v->rows.last)
		v->rows.from = r->after_seq;
	v->rows.last = r->seq;
	v->rows.since++;
	if (row_next(v) != 0)
		find(v, AUDIT_STATE, v->file, v->order, v->line, r->seq,
		    "milter-sign's list of checkpoints is damaged behind the one over record "
		    "%" PRIu64,
		    r->seq);
}

static void
compare_rows(struct audit_verifier *v, const struct audit_chain *got)
{
	while (v->rows.ready && v->rows.next.seq < got->seq)
		row_pass(v);
	while (v->rows.ready && v->rows.next.seq == got->seq) {
		if (strcmp(v->rows.next.h, got->h) != 0)
			find(v, AUDIT_REWRITE, v->file, v->order, v->line, got->seq,
			    "replaced: record %" PRIu64 " is not the one that milter-sign signed",
			    got->seq);
		else
			v->r.rows++;
		row_pass(v);
	}
}

static const struct known *
known_at(const struct audit_verifier *v, uint64_t seq)
{
	struct known key = {.seq = seq};

	return v->n_known == 0 ? NULL
			       : bsearch(&key, v->known, v->n_known, sizeof *v->known, by_seq);
}

/* Whether all that was signed above the number from, up to the checkpoint over seq, is known from elsewhere than the log: then each of it was
 * compared with the log's records, and nothing was hidden by keeping one back. */
static bool
is_decided(const struct audit_verifier *v, uint64_t from, uint64_t seq)
{
	const struct known *k;

	if (v->r.has_rows && v->rows.last != UINT64_MAX && v->rows.from <= from &&
	    v->rows.last >= seq)
		return true;
	for (; seq > from; seq = k->after_seq)
		if ((k = known_at(v, seq)) == NULL || k->after_seq >= seq)
			return false;
	return true;
}

/* ---- one record ---- */

/* Two hashes for one number: what is signed, or was written down elsewhere, is the truth. */
static void
compare(struct audit_verifier *v, const struct audit_chain *got)
{
	struct known *k;

	while (v->next_known < v->n_known && v->known[v->next_known].seq < got->seq)
		v->next_known++;
	for (size_t i = v->next_known; i < v->n_known && v->known[i].seq == got->seq; i++) {
		k = &v->known[i];
		k->seen = true;
		if (strcmp(k->h, got->h) != 0)
			find(v, AUDIT_REWRITE, v->file, v->order, v->line, got->seq,
			    "replaced: record %" PRIu64
			    " is not the one that a checkpoint on another host is about",
			    got->seq);
		else
			v->r.known++;
	}
	if (v->r.has_state && !v->state_bad && got->seq == v->state.last.seq &&
	    strcmp(got->h, v->state.last.h) != 0)
		find(v, AUDIT_REWRITE, v->file, v->order, v->line, got->seq,
		    "replaced: the ledger's state file has another hash for this record");
}

/* A checkpoint that is not in the log was lost when the ledger died, or is kept back because it would tell on the log. What it said is in milter-sign's
 * list, or on another host; where neither is at hand, nobody can say which. */
static void
check_absent(struct audit_verifier *v, const struct sign_text *t)
{
	bool decided = is_decided(v, v->checkpoint.seq, t->after_seq);

	v->r.not_there += decided && v->rows.since > 2 ? v->rows.since - 1 : 1;
	v->r.not_there_seq = t->after_seq;
	if (decided)
		return;
	v->r.undecided++;
	v->r.undecided_seq = t->after_seq;
}

/* What was signed before: in a log that was written anew another record has that number. */
static void
check_after(struct audit_verifier *v, const struct audit_chain *got, const struct sign_text *t)
{
	const struct known *before = &v->checkpoint;
	size_t at = t->after_seq % WINDOW;
	const char *h = v->window[at].seq == t->after_seq ? v->window[at].h
			: before->seq == t->after_seq     ? before->h
							  : NULL;

	/* what was taken away has its own finding */
	if (t->version == 1 || t->after_seq < v->r.first_seq)
		return;
	if (h != NULL && strcmp(h, t->after_h) != 0)
		find(v, AUDIT_REWRITE, v->file, v->order, v->line, t->after_seq,
		    "replaced: when the checkpoint %" PRIu64 " was made, record %" PRIu64
		    " had been signed with another hash",
		    got->seq, t->after_seq);
	else if (before->seq != t->after_seq && !(v->partial && before->seq == 0))
		check_absent(v, t);
}

/* A record "checkpoint": it speaks of one before it, and is signed. */
static void
check_checkpoint(struct audit_verifier *v, const struct audit_chain *got, const struct json *rec)
{
	struct slice text = json_str(json_get(rec, "signed")),
		     signature = json_str(json_get(rec, "signature"));
	struct sign_text t;
	size_t at;

	v->r.checkpoints++;
	if (sign_text_parse(text, &t) != 0 || t.seq >= got->seq) {
		find(v, AUDIT_SIGNATURE, v->file, v->order, v->line, got->seq,
		    "the checkpoint %" PRIu64 " has no text that milter-sign would sign", got->seq);
		return;
	}
	at = t.seq % WINDOW;
	if (v->window[at].seq == t.seq && strcmp(v->window[at].h, t.h) != 0)
		find(v, AUDIT_REWRITE, v->file, v->order, v->line, t.seq,
		    "replaced: the checkpoint %" PRIu64 " is about another record %" PRIu64
		    " than the one in the log",
		    got->seq, t.seq);
	check_after(v, got, &t);
	v->rows.since = 0;
	v->checkpoint.seq = t.seq;
	memcpy(v->checkpoint.h, t.h, sizeof v->checkpoint.h);
	if (v->n_keys == 0)
		return;
	if (key_named(v, t.key_id) == NULL) {
		find(v, AUDIT_SIGNATURE, v->file, v->order, v->line, got->seq,
		    "the checkpoint %" PRIu64 " is signed with another key: %.16s…", got->seq,
		    t.key_id);
	} else if (!signature_good(v, &t, text, signature)) {
		find(v, AUDIT_SIGNATURE, v->file, v->order, v->line, got->seq,
		    "the signature of the checkpoint %" PRIu64 " is not good", got->seq);
	} else {
		v->r.checked_signatures++;
		if (t.seq > v->r.signed_seq)
			v->r.signed_seq = t.seq;
	}
}

static void
accept(struct audit_verifier *v, const struct audit_chain *got, const struct json *rec)
{
	size_t at = got->seq % WINDOW;

	v->c = *got;
	v->r.records++;
	if (got->seq > v->r.last.seq)
		v->r.last = *got;
	v->window[at].seq = got->seq;
	memcpy(v->window[at].h, got->h, sizeof got->h);
	compare(v, got);
	compare_rows(v, got);
	if (slice_eq_str(json_str(json_get(rec, "event")), "checkpoint"))
		check_checkpoint(v, got, rec);
}

/* A number that was passed already: a hole may be filled by it. */
static void
came_late(struct audit_verifier *v, uint64_t seq)
{
	struct gap *g;
	size_t i;

	for (i = 0; i < v->n_gaps; i++) {
		g = &v->gaps[i];
		if (seq < g->from || seq > g->to)
			continue;
		find(v, AUDIT_REORDER, v->file, v->order, v->line, seq,
		    "out of order: record %" PRIu64 " stands behind record %" PRIu64, seq,
		    v->c.seq);
		if (seq == g->from) {
			g->from++;
		} else if (seq == g->to) {
			g->to--;
		} else if (v->n_gaps < GAPS_MAX) {
			v->gaps[v->n_gaps] = *g;
			v->gaps[v->n_gaps++].from = seq + 1;
			g->to = seq - 1;
		}
		if (g->from > g->to)
			*g = v->gaps[--v->n_gaps];
		return;
	}
	find(v, AUDIT_REORDER, v->file, v->order, v->line, seq,
	    "out of order: the number %" PRIu64 " was used before", seq);
}

static void
jumped(struct audit_verifier *v, uint64_t from, uint64_t to)
{
	if (v->n_gaps == GAPS_MAX) {
		find(v, AUDIT_DELETE, v->file, v->order, v->line, from,
		    "missing records: %" PRIu64 " to %" PRIu64, from, to);
		return;
	}
	v->gaps[v->n_gaps++] = (struct gap){from, to, v->file, v->line, v->order};
}

static void
one_line(struct audit_verifier *v, struct slice line)
{
	struct audit_chain got;
	struct json *rec = NULL;
	const char *why = "";
	bool first = !v->begun;

	v->begun = true;
	if (audit_line_parse(line, &got, &rec, &why) != 0) {
		find(v, AUDIT_EDIT, v->file, v->order, v->line, v->c.seq + 1,
		    "%s (record %" PRIu64 ")", why, v->c.seq + 1);
		v->c.seq++;
		v->doubt = true;
		return;
	}
	if (first)
		v->r.first_seq = got.seq;
	if (first && v->partial) {
		accept(v, &got, rec);
	} else if (v->doubt && got.seq == v->c.seq) {
		/* the wrong line was put in between */
		accept(v, &got, rec);
	} else if (got.seq <= v->c.seq) {
		came_late(v, got.seq);
		json_free(rec);
		return;
	} else if (got.seq > v->c.seq + 1) {
		jumped(v, v->c.seq + 1, got.seq - 1);
		accept(v, &got, rec);
	} else {
		bool follows = strcmp(json_cstr(json_get(rec, "prev")), v->c.h) == 0;

		if (!follows && !v->doubt)
			find(v, AUDIT_SPLICE, v->file, v->order, v->line, got.seq,
			    "foreign record: %" PRIu64 " does not follow the record before it",
			    got.seq);
		accept(v, &got, rec);
		v->doubt = !follows && !v->doubt;
		json_free(rec);
		return;
	}
	v->doubt = false;
	json_free(rec);
}

int
audit_verifier_file(struct audit_verifier *v, const char *name, int fd)
{
	struct audit_reader *r = audit_reader_new(fd);
	struct slice line;
	int err;

	v->file = name;
	v->line = 0;
	while ((err = audit_reader_next(r, &line)) == 0) {
		v->line++;
		v->order++;
		one_line(v, line);
	}
	if (err == ERR_LIMIT)
		find(v, AUDIT_EDIT, name, ++v->order, v->line + 1, v->c.seq + 1,
		    "no record: the line is too long");
	v->r.torn = err == ERR_EOF ? audit_reader_torn(r) : 0;
	audit_reader_free(r);
	return err == ERR_IO ? ERR_IO : 0;
}

/* ---- the end ---- */

static void
check_end(struct audit_verifier *v)
{
	uint64_t at = v->line + 1, last = v->r.last.seq;
	const struct known *k = v->n_known > 0 ? &v->known[v->n_known - 1] : NULL;

	if (v->r.has_state && v->state_bad)
		find(v, AUDIT_STATE, v->file, v->order + 1, at, 0,
		    "the ledger's state file is damaged: the end of the log cannot be checked");
	else if (v->r.has_state && last < v->state.last.seq)
		find(v, AUDIT_TRUNCATE, v->file, v->order + 1, at, last + 1,
		    "truncated: the log ends with record %" PRIu64
		    ", but the ledger wrote up to %" PRIu64,
		    last, v->state.last.seq);
	if (k != NULL && k->seq > last)
		find(v, AUDIT_TRUNCATE, v->file, v->order + 1, at, last + 1,
		    "truncated: the log ends with record %" PRIu64
		    ", but a checkpoint on another host is about %" PRIu64,
		    last, k->seq);
	/* one may be on its way */
	if (v->rows.since > 1)
		v->r.not_there += v->rows.since - 1;
	while (v->rows.ready)
		row_pass(v);
	if (v->r.has_rows && v->rows.last != UINT64_MAX && v->rows.last > last)
		find(v, AUDIT_TRUNCATE, v->file, v->order + 1, at, last + 1,
		    "truncated: the log ends with record %" PRIu64
		    ", but milter-sign signed record %" PRIu64,
		    last, v->rows.last);
	if (v->n_keys > 0 && v->r.records > 0 && v->r.checked_signatures == 0)
		find(v, AUDIT_SIGNATURE, v->file, v->order + 1, at, 0,
		    "no checkpoint in the log has a good signature of the key");
}

const struct audit_report *
audit_verifier_end(struct audit_verifier *v)
{
	struct audit_report *r = &v->r;

	for (size_t i = 0; i < v->n_gaps; i++) {
		const struct gap *g = &v->gaps[i];

		find(v, AUDIT_DELETE, g->file, g->order, g->line, g->from,
		    "missing records: %" PRIu64 " to %" PRIu64, g->from, g->to);
	}
	v->n_gaps = 0;
	check_end(v);
	r->ok = r->n_findings == 0;
	if (!r->ok) {
		r->line = r->findings[0].line;
		memcpy(r->why, r->findings[0].text, sizeof r->why);
	}
	return r;
}

int
audit_verify(int log_fd, int state_fd, struct audit_report *report)
{
	struct audit_verifier *v = audit_verifier_new();
	int err = 0;

	/* the state first: a ledger that is writing meanwhile only makes the log longer than it says */
	if (state_fd >= 0)
		err = audit_verifier_state(v, state_fd);
	if (err == 0)
		err = audit_verifier_file(v, "", log_fd);
	if (err == 0)
		*report = *audit_verifier_end(v);
	audit_verifier_free(v);
	return err;
}
