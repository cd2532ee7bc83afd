/* rule.c: asks the rules of rules.def in order and words the refusal. Pure; runs in milter. The first rule of the
 * heaviest action decides (reject before defer before hold); all findings add up and go to the record, and to the header when their mode
 * is not "log". A refusal explains itself: rule, Vietnamese (folded, since SMTP replies are ASCII), English, evidence, ticket. */
#include "config.h"

#include "milter/rule.h"

#include "lib/crypto.h"
#include "lib/fold.h"

#include <string.h>

#define DETAIL_MAX 300
#define REPLY_MAX 490 /* RFC 5321 4.5.3.1.5: 512 with codes and CRLF */
#define TICKET_MAX 64

const struct rule rule_table[] = {
#define RULE(id, fn, action, mode, vi, en) {id, fn, action, mode, vi, en},
#include "milter/rules.def"
#undef RULE
};
const size_t rule_table_len = sizeof rule_table / sizeof *rule_table;

ptrdiff_t
rule_index(struct slice id)
{
	size_t i;

	for (i = 0; i < rule_table_len; i++) {
		if (slice_caseeq_str(id, rule_table[i].id))
			return (ptrdiff_t)i;
	}
	return -1;
}

enum rule_mode
rule_mode_of(const struct rule_facts *f, const struct rule *r)
{
	return f->modes != NULL ? (enum rule_mode)f->modes[r - rule_table] : r->mode;
}

const char *
rule_mode_name(enum rule_mode m)
{
	static const char *const names[] = {"off", "log", "warn", "enforce"};

	return names[m <= MODE_ENFORCE ? m : MODE_ENFORCE];
}

/* What cannot be taken back weighs most: a mail that some rule refuses is not held for another. */
static int
weight(const struct rule *r)
{
	return r == NULL ? 0 : r->action == RULE_REJECT ? 3 : r->action == RULE_DEFER ? 2 : 1;
}

static void
add_note(struct verdict *v, const struct rule *r, enum rule_mode mode, struct buf *detail)
{
	if (v->n_notes == RULE_NOTES_MAX) {
		buf_done(detail);
		return;
	}
	v->notes[v->n_notes].rule = r;
	v->notes[v->n_notes].mode = mode;
	v->notes[v->n_notes++].detail = *detail;
}

static bool
is_released(const struct verdict *v, const struct rule *r)
{
	struct slice rest = v->released;

	while (r->action == RULE_HOLD && rest.len > 0) {
		ptrdiff_t comma = slice_index(rest, ',');
		size_t n = comma < 0 ? rest.len : (size_t)comma;

		if (slice_eq_str(slice_sub(rest, 0, n), r->id))
			return true;
		rest = slice_from(rest, comma < 0 ? n : n + 1);
	}
	return false;
}

void
rule_verdict_add(
    struct verdict *v, const struct rule *r, enum rule_mode mode, bool decides, struct buf *detail)
{
	detail->err = 0; /* what did not fit is cut */
	if (mode != MODE_ENFORCE || r->action == RULE_NOTE || !decides || is_released(v, r) ||
	    weight(r) <= weight(v->decision)) {
		add_note(v, r, mode, detail);
		return;
	}
	if (v->decision != NULL)
		add_note(v, v->decision, MODE_ENFORCE, &v->detail);
	v->decision = r;
	v->detail = *detail;
}

_Static_assert(RULE_COUNT <= sizeof(((struct verdict *)0)->hits),
    "a verdict has room for the hits of all rules");

/* Of a mail that no scanner got through with, parts and signatures are unknown: what stands behind M06 in the table would speak of things that
 * nobody saw. */
static size_t
rules_that_know(const struct rule_facts *f)
{
	return f->scan != NULL && findings_has_note(f->scan, "scan_failed")
		   ? (size_t)rule_index(slice_str("M06")) + 1
		   : rule_table_len;
}

/* What a rule finds is kept even where it is off: so that the audit record tells what another policy would have said. */
void
rule_judge(const struct rule_facts *f, struct verdict *v)
{
	size_t i, known = rules_that_know(f);
	enum rule_mode mode;
	struct buf detail;

	memset(v, 0, sizeof *v);
	v->released = f->released;
	buf_init(&v->detail, DETAIL_MAX);
	for (i = 0; i < known; i++) {
		mode = rule_mode_of(f, &rule_table[i]);
		buf_init(&detail, DETAIL_MAX);
		v->hits[i] = rule_table[i].hit(f, &detail);
		if (v->hits[i] && mode != MODE_OFF)
			rule_verdict_add(v, &rule_table[i], mode, true, &detail);
		else
			buf_done(&detail);
	}
}

void
rule_judge_hits(const struct rule_facts *f, const unsigned char *hits, const struct slice *details,
    struct verdict *v)
{
	enum rule_mode mode;
	struct buf detail;
	size_t i;

	memset(v, 0, sizeof *v);
	v->released = f->released;
	buf_init(&v->detail, DETAIL_MAX);
	for (i = 0; i < rule_table_len; i++) {
		mode = rule_mode_of(f, &rule_table[i]);
		v->hits[i] = hits[i];
		if (!hits[i] || mode == MODE_OFF)
			continue;
		buf_init(&detail, DETAIL_MAX);
		if (details != NULL)
			buf_append_slice(&detail, details[i]);
		rule_verdict_add(v, &rule_table[i], mode, true, &detail);
	}
}

void
verdict_done(struct verdict *v)
{
	size_t i;

	buf_done(&v->detail);
	for (i = 0; i < v->n_notes; i++)
		buf_done(&v->notes[i].detail);
	v->n_notes = 0;
}

static void
append_ascii(struct buf *out, struct slice utf8, size_t max)
{
	struct buf a;
	size_t i;

	buf_init(&a, 4 * utf8.len + 16);
	vn_ascii(utf8, &a);
	for (i = 0; i < a.len && i < max; i++) {
		unsigned char c = a.data[i];

		buf_append_byte(out, c >= 0x20 && c < 0x7f ? c : '?');
	}
	buf_done(&a);
}

void
rule_reply(const struct rule *r, struct slice detail, struct slice qid, struct buf *out)
{
	struct buf ticket;

	buf_init(&ticket, TICKET_MAX + 16);
	buf_append_str(&ticket, " [ticket ");
	append_ascii(&ticket, qid, TICKET_MAX);
	buf_append_byte(&ticket, ']');
	buf_append_str(out, r->id);
	buf_append_byte(out, ' ');
	append_ascii(out, slice_str(r->vi), 160);
	buf_append_str(out, " / ");
	append_ascii(out, slice_str(r->en), 120);
	if (detail.len > 0 && out->len + ticket.len + 8 < REPLY_MAX) {
		buf_append_str(out, " (");
		append_ascii(out, detail, REPLY_MAX - out->len - ticket.len - 1);
		buf_append_byte(out, ')');
	}
	buf_append_slice(out, buf_slice(&ticket));
	buf_done(&ticket);
}

void
rule_table_hash(struct slice settings, char hex_out[65])
{
	struct sha256 *sha = sha256_new();
	unsigned char digest[32];
	size_t i;

	for (i = 0; i < rule_table_len; i++) {
		const struct rule *r = &rule_table[i];
		const char *const parts[] = {r->id, r->vi, r->en};
		unsigned char how[2] = {(unsigned char)r->action, (unsigned char)r->mode};
		size_t k;

		for (k = 0; k < sizeof parts / sizeof *parts; k++)
			sha256_update(sha, parts[k], strlen(parts[k]) + 1);
		sha256_update(sha, how, sizeof how);
	}
	sha256_update(sha, settings.ptr, settings.len);
	sha256_final(sha, digest);
	sha256_free(sha);
	hex_encode(digest, 32, hex_out);
}

struct slice
rule_domain_of(struct slice address)
{
	size_t i;

	for (i = address.len; i > 0; i--) {
		if (address.ptr[i - 1] == '@')
			return slice_from(address, i);
	}
	return slice_from(address, address.len);
}

bool
rule_enforced(const struct rule_facts *f)
{
	size_t i;

	for (i = 0; i < f->n_authors; i++) {
		if (f->authors[i].is_ours)
			return true;
	}
	return f->authenticated;
}
