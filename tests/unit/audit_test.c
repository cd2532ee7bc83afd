/* audit_test.c: the audit log's chain finds every manipulation: edit, delete, reorder, truncate, splice. */
#include "config.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "milter/audit_verify.h"
#include "milter/sign_text.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N 6

struct log {
	char *lines[N];
	struct audit_state state;
};

static int
setup(void **state)
{
	struct log *l = calloc(1, sizeof *l);
	struct audit_chain c;
	struct json *rec;
	struct buf b;
	char qid[16];
	int i;

	audit_chain_init(&c);
	for (i = 0; i < N; i++) {
		rec = json_obj_new();
		snprintf(qid, sizeof qid, "Q%d", i);
		json_set_str(rec, "event", "verdict");
		json_set_str(rec, "qid", qid);
		buf_init(&b, AUDIT_LINE_MAX);
		assert_int_equal(
		    audit_seal(&c, rec, "2026-11-21T01:00:00.000000Z", "mail.example", &b), 0);
		l->lines[i] = strdup(buf_cstr(&b));
		l->state.size += b.len;
		buf_done(&b);
		json_free(rec);
	}
	l->state.last = c;
	*state = l;
	return 0;
}

static int
teardown(void **state)
{
	struct log *l = *state;
	int i;

	for (i = 0; i < N; i++)
		free(l->lines[i]);
	free(l);
	return 0;
}

static int
file_of(const char *text, size_t n)
{
	FILE *f = tmpfile();
	int fd;

	assert_non_null(f);
	fwrite(text, 1, n, f);
	fflush(f);
	fd = dup(fileno(f));
	fclose(f);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* Verifies the lines of l in the order of idx (-1 ends). */
static struct audit_report
verify(struct log *l, const int *idx, bool with_state)
{
	struct audit_report r;
	char st[AUDIT_STATE_LEN + 1];
	struct buf b;
	int fd, sfd = -1;

	buf_init(&b, 1 << 20);
	for (; *idx >= 0; idx++)
		buf_append_str(&b, l->lines[*idx]);
	fd = file_of(buf_cstr(&b), b.len);
	if (with_state) {
		audit_state_format(&l->state, st);
		sfd = file_of(st, strlen(st));
	}
	assert_int_equal(audit_verify(fd, sfd, &r), 0);
	close(fd);
	if (sfd >= 0)
		close(sfd);
	buf_done(&b);
	return r;
}

static const int whole[] = {0, 1, 2, 3, 4, 5, -1};

static void
whole_log_is_good(void **state)
{
	struct audit_report r = verify(*state, whole, true);

	assert_true(r.ok);
	assert_true(r.has_state);
	assert_int_equal(r.records, N);
	assert_int_equal(r.last.seq, N);
	assert_int_equal(r.torn, 0);
}

static void
edit_is_found(void **state)
{
	struct log *l = *state;
	struct audit_report r;
	size_t i, n = strlen(l->lines[2]) - 1;

	/* any bit of any byte of the line */
	for (i = 0; i < n; i++) {
		l->lines[2][i] ^= 1;
		r = verify(l, whole, false);
		l->lines[2][i] ^= 1;
		assert_false(r.ok);
		assert_int_equal(r.line, 3);
		assert_int_equal(r.n_findings, 1);
		assert_int_equal(r.findings[0].kind, AUDIT_EDIT);
		assert_int_equal(r.findings[0].seq, 3);
	}
}

static void
delete_is_found(void **state)
{
	static const int middle[] = {0, 1, 3, 4, 5, -1}, head[] = {1, 2, 3, 4, 5, -1};
	struct audit_report r = verify(*state, middle, true);

	assert_false(r.ok);
	assert_int_equal(r.line, 3);
	assert_non_null(strstr(r.why, "missing"));
	assert_int_equal(r.n_findings, 1);
	assert_int_equal(r.findings[0].kind, AUDIT_DELETE);
	assert_int_equal(r.findings[0].seq, 3);
	r = verify(*state, head, true);
	assert_false(r.ok);
	assert_int_equal(r.line, 1);
	assert_int_equal(r.n_findings, 1);
}

static void
reorder_is_found(void **state)
{
	static const int swapped[] = {0, 2, 1, 3, 4, 5, -1}, doubled[] = {0, 1, 1, 2, 3, 4, 5, -1};
	struct audit_report r = verify(*state, swapped, true);

	assert_false(r.ok);
	assert_int_equal(r.line, 3);
	assert_int_equal(r.n_findings, 1);
	assert_int_equal(r.findings[0].kind, AUDIT_REORDER);
	assert_int_equal(r.findings[0].seq, 2);
	r = verify(*state, doubled, true);
	assert_false(r.ok);
	assert_int_equal(r.line, 3);
	assert_non_null(strstr(r.why, "order"));
}

static void
truncation_is_found(void **state)
{
	static const int cut[] = {0, 1, 2, 3, -1}, none[] = {-1};
	struct audit_report r = verify(*state, cut, true);

	assert_false(r.ok);
	assert_int_equal(r.line, 5);
	assert_non_null(strstr(r.why, "truncated"));
	r = verify(*state, none, true);
	assert_false(r.ok);
	assert_int_equal(r.line, 1);
	/* without the ledger's state nobody can know */
	r = verify(*state, cut, false);
	assert_true(r.ok);
	assert_false(r.has_state);
}

static void
splice_is_found(void **state)
{
	struct log *l = *state;
	struct audit_chain c, other;
	struct audit_report r;
	struct json *rec = json_obj_new();
	const char *why;
	struct buf b;
	char *kept = l->lines[3];
	int i;

	/* a record made for another chain, with the right number */
	audit_chain_init(&c);
	for (i = 0; i < 3; i++)
		assert_int_equal(audit_check_line(&c,
				     slice_of(l->lines[i], strlen(l->lines[i]) - 1), NULL, &why),
		    0);
	other = c;
	other.h[0] = other.h[0] == 'a' ? 'b' : 'a';
	json_set_str(rec, "event", "verdict");
	buf_init(&b, AUDIT_LINE_MAX);
	assert_int_equal(audit_seal(&other, rec, "t", "h", &b), 0);
	l->lines[3] = strdup(buf_cstr(&b));
	r = verify(l, whole, true);
	assert_false(r.ok);
	assert_int_equal(r.line, 4);
	assert_non_null(strstr(r.why, "foreign"));
	assert_int_equal(r.n_findings, 1);
	assert_int_equal(r.findings[0].kind, AUDIT_SPLICE);
	free(l->lines[3]);
	l->lines[3] = kept;
	buf_done(&b);
	json_free(rec);
}

/* The whole log written anew with a good chain: only the ledger's state tells. */
static void
replacement_is_found(void **state)
{
	struct log *l = *state;
	struct audit_report r;

	l->state.last.h[5] = l->state.last.h[5] == '0' ? '1' : '0';
	r = verify(l, whole, true);
	assert_false(r.ok);
	assert_int_equal(r.line, N);
	assert_non_null(strstr(r.why, "replaced"));
	assert_int_equal(r.findings[0].kind, AUDIT_REWRITE);
}

static void
torn_tail_is_reported(void **state)
{
	struct log *l = *state;
	struct audit_report r;
	struct buf b;
	int i, fd;

	buf_init(&b, 1 << 20);
	for (i = 0; i < N; i++)
		buf_append_str(&b, l->lines[i]);
	buf_append_str(&b, "{\"event\":");
	fd = file_of(buf_cstr(&b), b.len);
	assert_int_equal(audit_verify(fd, -1, &r), 0);
	assert_true(r.ok);
	assert_int_equal(r.torn, 9);
	close(fd);
	buf_done(&b);
}

static void
state_file_round_trip(void **state)
{
	struct log *l = *state;
	struct audit_state back;
	char text[AUDIT_STATE_LEN + 1];

	audit_state_format(&l->state, text);
	assert_int_equal(strlen(text), AUDIT_STATE_LEN);
	assert_int_equal(audit_state_parse(slice_str(text), &back), 0);
	assert_int_equal(back.last.seq, l->state.last.seq);
	assert_int_equal(back.size, l->state.size);
	assert_string_equal(back.last.h, l->state.last.h);
	text[30] = 'x';
	assert_int_equal(audit_state_parse(slice_str(text), &back), ERR_SYNTAX);
	assert_int_equal(audit_state_parse(slice_str(""), &back), ERR_SYNTAX);
	/* version 1 is read */
	memcpy(
	    text, "congvu-audit-state 1 seq=00000000000000000007 size=00000000000000004242 h=", 74);
	memcpy(text + 74, l->state.last.h, 64);
	memcpy(text + 138, "\n", 2);
	assert_int_equal(audit_state_parse(slice_str(text), &back), 0);
	assert_int_equal(back.last.seq, 7);
	assert_int_equal(back.size, 4242);
	assert_string_equal(back.last.h, l->state.last.h);
}

/* Written over the one before and cut off anywhere, it is one of the two or none. */
static void
half_a_state_is_none(void **state)
{
	struct log *l = *state;
	struct audit_state next = l->state, back;
	char old[AUDIT_STATE_LEN + 1], text[AUDIT_STATE_LEN + 1], torn[AUDIT_STATE_LEN + 1];

	next.last.seq += 3;
	next.size += 999;
	memset(next.last.h, 'c', 64);
	audit_state_format(&l->state, old);
	audit_state_format(&next, text);
	for (size_t n = 0; n <= AUDIT_STATE_LEN; n++) {
		memcpy(torn, old, sizeof torn);
		memcpy(torn, text, n);
		if (strcmp(torn, old) == 0 || strcmp(torn, text) == 0)
			assert_int_equal(audit_state_parse(slice_str(torn), &back), 0);
		else
			assert_int_equal(audit_state_parse(slice_str(torn), &back), ERR_SYNTAX);
	}
}

static void
reserved_keys_and_reals_are_refused(void **state)
{
	struct audit_chain c;
	struct json *rec = NULL;
	struct buf b;

	(void)state;
	audit_chain_init(&c);
	buf_init(&b, 1000);
	assert_int_equal(json_parse(slice_str("{\"seq\":1}"), &rec), 0);
	assert_int_equal(audit_seal(&c, rec, "t", "h", &b), ERR_EXISTS);
	json_free(rec);
	assert_int_equal(json_parse(slice_str("{\"a\":1.0}"), &rec), 0);
	assert_int_equal(audit_seal(&c, rec, "t", "h", &b), ERR_SYNTAX);
	json_free(rec);
	rec = json_arr_new();
	assert_int_equal(audit_seal(&c, rec, "t", "h", &b), ERR_SYNTAX);
	json_free(rec);
	assert_int_equal(c.seq, 0);
	assert_int_equal(b.len, 0);
	buf_done(&b);
}

/* h stands where the order of the keys wants it, whatever is around it: the reader compares with the canonical form. */
static void
the_hash_stands_in_its_place(void **state)
{
	static const char *const texts[] = {"{}", "{\"a\":1}", "{\"g\":{\"h\":1}}",
	    "{\"H\":1,\"g\":[\"},{\",\"\\\"h\\\":1,\"]}", "{\"h1\":2,\"g~\":{\"x\":[[],{}]}}",
	    "{\"ha\":true,\"gz\":null}", "{\"i\":\"\\\\\"}", "{\"g\":\"\\\\\"}", "{\"\":1}",
	    "{\"\\u00e9\":1,\"b\":-2}", "{\"a\\\"b\":1}", "{\"h\\u0001\":1}",
	    "{\"zz\":\"Tr\\u1ea7n\"}"};
	struct audit_chain c, read;
	struct json *rec, *back;
	struct buf b, canon;
	const char *why = "";

	(void)state;
	audit_chain_init(&c);
	audit_chain_init(&read);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		buf_init(&b, 10000);
		buf_init(&canon, 10000);
		assert_int_equal(json_parse(slice_str(texts[i]), &rec), 0);
		assert_int_equal(audit_seal(&c, rec, "t", "mail.example", &b), 0);
		if (audit_check_line(&read, slice_sub(buf_slice(&b), 0, b.len - 1), &back, &why) !=
		    0)
			fail_msg("%s: %s: %s", texts[i], why, buf_cstr(&b));
		assert_string_equal(json_cstr(json_get(back, "h")), c.h);
		assert_int_equal(json_canonical(back, &canon), 0);
		assert_true(slice_eq(buf_slice(&canon), slice_sub(buf_slice(&b), 0, b.len - 1)));
		json_free(rec);
		json_free(back);
		buf_done(&b);
		buf_done(&canon);
	}
}

/* Seals a record of n octets of text: the line's length, 0 when it is too long. */
static size_t
sealed_len(const char *text, size_t n)
{
	struct audit_chain c, read;
	const char *why = "";
	struct json *rec = json_obj_new();
	struct buf b;
	size_t len = 0;

	audit_chain_init(&c);
	audit_chain_init(&read);
	buf_init(&b, 2 * AUDIT_LINE_MAX);
	json_set_slice(rec, "a", slice_of(text, n));
	if (audit_seal(&c, rec, "t", "h", &b) == 0) {
		len = b.len - 1;
		assert_int_equal(
		    audit_check_line(&read, slice_sub(buf_slice(&b), 0, len), NULL, &why), 0);
	} else {
		assert_int_equal(b.len, 0);
		assert_int_equal(c.seq, 0);
	}
	json_free(rec);
	buf_done(&b);
	return len;
}

/* A line is as long as a reader takes, to the last octet, and never longer. */
static void
the_longest_line(void **state)
{
	size_t good = AUDIT_LINE_MAX - 1000, bad = AUDIT_LINE_MAX;
	char *text = malloc(bad);

	(void)state;
	assert_non_null(text);
	memset(text, 'x', bad);
	assert_true(sealed_len(text, good) > 0);
	assert_int_equal(sealed_len(text, bad), 0);
	while (bad - good > 1) {
		size_t n = (good + bad) / 2;

		if (sealed_len(text, n) > 0)
			good = n;
		else
			bad = n;
	}
	assert_int_equal(sealed_len(text, good), AUDIT_LINE_MAX);
	free(text);
}

/* Several things at once: each is named, none twice. */
static void
each_finding_is_named(void **state)
{
	static const int wrong[] = {0, 4, 3, 1, 1, 5, -1};
	struct log *l = *state;
	struct audit_report r;

	l->lines[5][strlen(l->lines[5]) - 20] ^= 1;
	r = verify(l, wrong, true);
	assert_int_equal(r.n_findings, 6);
	assert_int_equal(r.findings[0].kind, AUDIT_DELETE);
	assert_int_equal(r.findings[0].line, 2);
	assert_int_equal(r.findings[0].seq, 3);
	assert_string_equal(r.findings[0].text, "missing records: 3 to 3");
	assert_int_equal(r.findings[1].kind, AUDIT_REORDER);
	assert_int_equal(r.findings[1].line, 3);
	assert_int_equal(r.findings[1].seq, 4);
	assert_int_equal(r.findings[2].kind, AUDIT_REORDER);
	assert_int_equal(r.findings[2].line, 4);
	assert_int_equal(r.findings[2].seq, 2);
	assert_int_equal(r.findings[3].kind, AUDIT_REORDER);
	assert_int_equal(r.findings[3].line, 5);
	assert_non_null(strstr(r.findings[3].text, "used before"));
	assert_int_equal(r.findings[4].kind, AUDIT_EDIT);
	assert_int_equal(r.findings[4].line, 6);
	assert_int_equal(r.findings[5].kind, AUDIT_TRUNCATE);
	assert_int_equal(r.findings[5].line, 7);
}

/* Logs of releases before salt and d: read, and gone on with. */
static void
version_1_is_read(void **state)
{
	struct audit_chain c, end;
	unsigned char raw[32], digest[32];
	struct sha256 *sha = sha256_new();
	struct json *rec = NULL;
	struct buf b;
	const char *why = "";
	char line[400], h[65], full[600];

	(void)state;
	audit_chain_init(&c);
	snprintf(line, sizeof line,
	    "{\"event\":\"load\",\"host\":\"h\",\"prev\":\"%s\",\"seq\":1,\"ts\":\"t\",\"v\":1}",
	    c.h);
	memset(raw, 0, sizeof raw);
	sha256_update(sha, raw, sizeof raw);
	sha256_update(sha, line, strlen(line));
	sha256_final(sha, digest);
	sha256_free(sha);
	hex_encode(digest, 32, h);
	snprintf(
	    full, sizeof full, "{\"event\":\"load\",\"h\":\"%s\",%s", h, strstr(line, "\"host\""));
	end = c;
	assert_int_equal(audit_check_line(&end, slice_str(full), NULL, &why), 0);
	assert_string_equal(end.h, h);
	/* a record of today follows */
	rec = json_obj_new();
	json_set_str(rec, "event", "load");
	buf_init(&b, AUDIT_LINE_MAX);
	assert_int_equal(audit_seal(&end, rec, "t", "h", &b), 0);
	assert_non_null(strstr(buf_cstr(&b), "\"v\":2}"));
	assert_int_equal(audit_check_line(&c, slice_str(full), NULL, &why), 0);
	assert_int_equal(audit_check_line(&c, slice_of(b.data, b.len - 1), NULL, &why), 0);
	/* the number of the version is under the hash as well */
	*strstr(full, "\"v\":1}") = ' ';
	audit_chain_init(&c);
	assert_int_equal(audit_check_line(&c, slice_str(full), NULL, &why), ERR_CORRUPT);
	buf_done(&b);
	json_free(rec);
}

/* What a court does with sha256sum: the hash of a record from prev and d alone. */
static void
links_need_no_content(void **state)
{
	struct log *l = *state;
	char d[65], h[65], prev[65];
	struct json *rec = NULL;
	struct buf canon;

	memset(prev, '0', 64);
	prev[64] = '\0';
	for (int i = 0; i < N; i++) {
		assert_int_equal(json_parse(slice_str(l->lines[i]), &rec), 0);
		assert_string_equal(json_cstr(json_get(rec, "prev")), prev);
		assert_int_equal(json_str(json_get(rec, "salt")).len, 32);
		memcpy(prev, json_cstr(json_get(rec, "h")), 64);
		json_del(rec, "h");
		buf_init(&canon, AUDIT_LINE_MAX);
		assert_int_equal(json_canonical(rec, &canon), 0);
		audit_digest(buf_slice(&canon), d);
		audit_link(json_cstr(json_get(rec, "prev")), d, h);
		assert_string_equal(h, prev);
		buf_done(&canon);
		json_free(rec);
	}
}

/* A log of verdicts and checkpoints: each is about the record before it. after: the checkpoint that each says was signed before it. */
struct signed_log {
	struct buf text;
	struct audit_chain c;
};

static void
add_record(struct signed_log *l, const char *qid, const struct sign_text *cp)
{
	struct json *rec = json_obj_new();
	struct buf b;

	buf_init(&b, 4096);
	json_set_str(rec, "event", cp != NULL ? "checkpoint" : "verdict");
	if (cp != NULL) {
		assert_int_equal(sign_text_format(cp, &b), 0);
		json_set_slice(rec, "signed", buf_slice(&b));
	} else {
		json_set_str(rec, "qid", qid);
	}
	assert_int_equal(
	    audit_seal(&l->c, rec, "2026-11-21T01:00:00.000000Z", "mail.example", &l->text), 0);
	json_free(rec);
	buf_done(&b);
}

static struct buf rows; /* milter-sign's list */

static void
row_add(const struct sign_state *s, uint64_t after_seq)
{
	struct sign_signed r = {.seq = s->seq, .after_seq = after_seq}, again;
	char text[SIGN_ROW_LEN + 1];

	memcpy(r.h, s->h, sizeof r.h);
	sign_signed_format(&r, text);
	assert_int_equal(sign_signed_parse(slice_of(text, SIGN_ROW_LEN), &again), 0);
	assert_true(again.seq == r.seq && again.after_seq == r.after_seq);
	assert_string_equal(again.h, r.h);
	buf_append(&rows, text, SIGN_ROW_LEN);
}

/* What milter-sign would sign now, and remember. */
static struct sign_text
sign_now(const struct signed_log *l, struct sign_state *last)
{
	struct sign_text t = {.seq = l->c.seq,
	    .after_seq = last->seq,
	    .host = slice_str("mail.example"),
	    .time = slice_str("t"),
	    .key_id = SIGN_NO_HASH};

	memcpy(t.h, l->c.h, sizeof t.h);
	memcpy(t.after_h, last->h, sizeof t.after_h);
	assert_true(sign_may_follow(last, l->c.seq, l->c.h));
	last->seq = l->c.seq;
	memcpy(last->h, l->c.h, sizeof last->h);
	row_add(last, t.after_seq);
	return t;
}

/* With milter-sign's list from the row numbered from on; -1: without. */
static struct audit_report
verdict_with(const struct signed_log *l, int from)
{
	struct audit_verifier *v = audit_verifier_new();
	int fd = file_of((const char *)l->text.data, l->text.len), rfd = -1;
	struct audit_report r;

	if (from >= 0) {
		struct slice s = slice_from(buf_slice(&rows), (size_t)from * SIGN_ROW_LEN);

		rfd = file_of((const char *)s.ptr, s.len);
		assert_int_equal(audit_verifier_rows(v, rfd), 0);
	}
	assert_int_equal(audit_verifier_file(v, "log", fd), 0);
	r = *audit_verifier_end(v);
	close(fd);
	if (rfd >= 0)
		close(rfd);
	audit_verifier_free(v);
	return r;
}

static struct audit_report
verdict_of(const struct signed_log *l)
{
	return verdict_with(l, -1);
}

static void
log_init(struct signed_log *l)
{
	buf_init(&l->text, 1 << 20);
	audit_chain_init(&l->c);
}

/* Who owns the ledger writes the log anew, longer than it was: milter-sign cannot know, but what it signs tells. */
static void
anew_and_longer_is_found(void **state)
{
	struct sign_state last = {.h = SIGN_NO_HASH};
	struct signed_log good, bad, hidden;
	struct audit_report r;
	struct sign_text t;
	int i;

	(void)state;
	buf_init(&rows, 1 << 20);
	log_init(&good);
	for (i = 0; i < 3; i++) {
		add_record(&good, "A", NULL);
		t = sign_now(&good, &last);
		add_record(&good, NULL, &t);
	}
	r = verdict_of(&good);
	assert_true(r.ok);
	assert_int_equal(r.checkpoints, 3);
	assert_int_equal(r.not_there, 0);
	assert_true(verdict_with(&good, 0).ok);
	assert_int_equal(verdict_with(&good, 0).rows, 3);

	log_init(&bad);
	for (i = 0; i < 6; i++)
		add_record(&bad, "B", NULL);
	t = sign_now(&bad, &last);
	add_record(&bad, NULL, &t);
	r = verdict_of(&bad);
	assert_false(r.ok);
	assert_int_equal(r.findings[0].kind, AUDIT_REWRITE);
	assert_int_equal(r.findings[0].seq, 5);
	assert_non_null(strstr(r.findings[0].text, "signed with another hash"));

	/* that checkpoint kept back, and another one asked for: the log alone looks as if the ledger had died */
	rows.len -= SIGN_ROW_LEN;
	log_init(&hidden);
	for (i = 0; i < 6; i++)
		add_record(&hidden, "B", NULL);
	add_record(&hidden, "B", NULL);
	last.seq = hidden.c.seq;
	memcpy(last.h, hidden.c.h, sizeof last.h);
	row_add(&last, 5);
	add_record(&hidden, "B", NULL);
	t = sign_now(&hidden, &last);
	add_record(&hidden, NULL, &t);
	r = verdict_of(&hidden);
	assert_true(r.ok);
	assert_int_equal(r.not_there, 1);
	assert_int_equal(r.not_there_seq, 7);
	assert_int_equal(r.undecided, 1);
	/* milter-sign's list has it */
	r = verdict_with(&hidden, 0);
	assert_false(r.ok);
	assert_int_equal(r.findings[0].kind, AUDIT_REWRITE);
	assert_int_equal(r.findings[0].seq, 1);
	assert_non_null(strstr(r.findings[0].text, "milter-sign"));
	/* not from its last rows alone: they agree, and say nothing of what was before them */
	r = verdict_with(&hidden, 3);
	assert_true(r.ok);
	assert_int_equal(r.undecided, 1);
	buf_done(&good.text);
	buf_done(&bad.text);
	buf_done(&hidden.text);
	buf_done(&rows);
}

/* The ledger died with signatures in its hands: the log is as it was signed, which milter-sign's list says. */
static void
lost_is_told_from_kept_back(void **state)
{
	struct sign_state last = {.h = SIGN_NO_HASH};
	struct signed_log l;
	struct audit_report r;
	struct sign_text t;

	(void)state;
	buf_init(&rows, 1 << 20);
	log_init(&l);
	add_record(&l, "A", NULL);
	t = sign_now(&l, &last);
	add_record(&l, NULL, &t);
	for (int i = 0; i < 2; i++) {
		add_record(&l, "A", NULL);
		(void)sign_now(&l, &last);
	}
	r = verdict_with(&l, 0);
	assert_true(r.ok);
	assert_int_equal(r.not_there, 1); /* the last one may be on its way */
	add_record(&l, "A", NULL);
	t = sign_now(&l, &last);
	add_record(&l, NULL, &t);
	r = verdict_with(&l, 0);
	assert_true(r.ok);
	assert_int_equal(r.not_there, 2);
	assert_int_equal(r.undecided, 0);
	assert_int_equal(r.rows, 4);
	r = verdict_of(&l);
	assert_true(r.ok);
	assert_int_equal(r.undecided, 1);
	/* a row more than the log has records: the end was taken away */
	last.seq = l.c.seq + 1;
	row_add(&last, t.seq);
	r = verdict_with(&l, 0);
	assert_false(r.ok);
	assert_int_equal(r.findings[0].kind, AUDIT_TRUNCATE);
	/* half a row is one that is being written; another one that is none is damage */
	rows.len -= SIGN_ROW_LEN / 2;
	assert_true(verdict_with(&l, 0).ok);
	rows.data[SIGN_ROW_LEN + 30] = 'x';
	r = verdict_with(&l, 0);
	assert_false(r.ok);
	assert_int_equal(r.findings[0].kind, AUDIT_STATE);
	buf_done(&l.text);
	buf_done(&rows);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(whole_log_is_good), T(edit_is_found),
	    T(delete_is_found), T(reorder_is_found), T(truncation_is_found), T(splice_is_found),
	    T(replacement_is_found), T(torn_tail_is_reported), T(state_file_round_trip),
	    T(half_a_state_is_none), T(the_hash_stands_in_its_place), T(the_longest_line),
	    T(reserved_keys_and_reals_are_refused), T(version_1_is_read), T(links_need_no_content),
	    T(each_finding_is_named), T(anew_and_longer_is_found), T(lost_is_told_from_kept_back)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
