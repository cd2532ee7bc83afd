/* rule.c: asks the rules of rules.def in order and words the refusal. Pure; runs in milter. The first rule that rejects or defers
 * decides; notes add up and go to the record and the header. A refusal explains itself: rule, Vietnamese (folded, since SMTP
 * replies are ASCII), English, ticket. */
#include "config.h"

#include "milter/rule.h"

#include "lib/crypto.h"
#include "lib/fold.h"

#include <string.h>

#define DETAIL_MAX 300
#define REPLY_MAX 450

const struct rule rule_table[] = {
#define RULE(id, fn, action, vi, en) {id, fn, action, vi, en},
#include "milter/rules.def"
#undef RULE
};
const size_t rule_table_len = sizeof rule_table / sizeof *rule_table;

void
rule_judge(const struct rule_facts *f, struct verdict *v)
{
	const struct rule *r;
	struct buf detail;
	size_t i;

	memset(v, 0, sizeof *v);
	buf_init(&v->detail, DETAIL_MAX);
	for (i = 0; i < rule_table_len; i++) {
		r = &rule_table[i];
		if (v->decision != NULL && r->action != RULE_NOTE)
			continue;
		buf_init(&detail, DETAIL_MAX);
		if (!r->hit(f, &detail)) {
			buf_done(&detail);
			continue;
		}
		detail.err = 0; /* what did not fit is cut */
		if (r->action != RULE_NOTE) {
			v->decision = r;
			v->detail = detail;
		} else if (v->n_notes < sizeof v->notes / sizeof *v->notes) {
			v->notes[v->n_notes].rule = r;
			v->notes[v->n_notes++].detail = detail;
		} else {
			buf_done(&detail);
		}
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
	buf_append_str(out, r->id);
	buf_append_byte(out, ' ');
	append_ascii(out, slice_str(r->vi), 120);
	buf_append_str(out, " / ");
	append_ascii(out, slice_str(r->en), 100);
	if (detail.len > 0) {
		buf_append_str(out, " (");
		append_ascii(out, detail, 140);
		buf_append_byte(out, ')');
	}
	buf_append_str(out, " [ticket ");
	append_ascii(out, qid, 64);
	buf_append_byte(out, ']');
	if (out->err == 0 && out->len > REPLY_MAX)
		buf_truncate(out, REPLY_MAX);
}

void
rule_table_hash(char hex_out[65])
{
	struct sha256 *sha = sha256_new();
	unsigned char digest[32];
	size_t i;

	for (i = 0; i < rule_table_len; i++) {
		const struct rule *r = &rule_table[i];
		const char *const parts[] = {r->id, r->vi, r->en};
		unsigned char action = (unsigned char)r->action;
		size_t k;

		for (k = 0; k < sizeof parts / sizeof *parts; k++)
			sha256_update(sha, parts[k], strlen(parts[k]) + 1);
		sha256_update(sha, &action, 1);
	}
	sha256_final(sha, digest);
	sha256_free(sha);
	hex_encode(digest, 32, hex_out);
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
