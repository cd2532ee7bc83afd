/* edits.c: header fields that the filter removes and adds. Pure; runs in milter's threads. RFC 8601 5: an Authentication-Results field
 * that claims to be ours came from outside and goes; so do X-Congvu-* but X-Congvu-Forward. RFC 7281: smime= of our own. */
#include "config.h"

#include "milter/milter_priv.h"

#include "milter/authres.h"
#include "milter/gateway.h"
#include "milter/rule.h"

#include "lib/err.h"
#include "lib/hdr.h"

#include <stdlib.h>
#include <string.h>

void
outcome_done(struct outcome *o)
{
	size_t i;

	for (i = 0; i < o->n_drop; i++)
		free(o->drop[i].owned);
	if (o->gateway != NULL)
		gateway_done(o->gateway);
	free(o->gateway);
	o->gateway = NULL;
	buf_done(&o->text);
	buf_done(&o->authres);
	buf_done(&o->verdict);
	o->n_drop = 0;
}

/* What names nobody names us, to some reader. What the MTA vouches for (policy_trusted_authserv) stays: it was made here. */
static bool
claims_ours(struct slice body, const char *id)
{
	struct buf b;
	bool ours;
	size_t i;

	buf_init(&b, body.len + 1);
	authres_id(body, &b);
	ours = b.len == 0 || slice_caseeq_str(buf_slice(&b), id);
	for (i = 0; i < milter_settings.n_authserv; i++)
		ours = ours && !slice_caseeq_str(buf_slice(&b), milter_settings.authserv[i]);
	buf_done(&b);
	return ours;
}

static void
add_drop(struct outcome *o, struct slice name, int index)
{
	if (o->n_drop == EDITS_MAX) {
		o->too_many = true;
		return;
	}
	o->drop[o->n_drop].owned = slice_dup(name);
	o->drop[o->n_drop].name = o->drop[o->n_drop].owned;
	o->drop[o->n_drop].index = index;
	if (o->drop[o->n_drop].name != NULL)
		o->n_drop++;
}

/* How many fields of that name stand before this one, plus one: smfi_chgheader's index. */
static int
index_of(struct slice header, struct hdr_field *field)
{
	struct slice rest = header;
	struct hdr_field f;
	int n = 0, err;

	while ((err = hdr_next(&rest, &f)) != ERR_EOF) {
		if (err != 0 || !slice_caseeq(f.name, field->name))
			continue;
		n++;
		if (f.name.ptr == field->name.ptr)
			break;
	}
	return n;
}

void
edits_drop(struct slice header, const char *id, struct outcome *o)
{
	struct slice rest = header;
	struct hdr_field f;
	size_t i;
	int err;

	while (!o->too_many && (err = hdr_next(&rest, &f)) != ERR_EOF) {
		if (err != 0)
			continue;
		/* smtpd's mark against circles of forwards is no claim of ours: without it they turn on */
		if ((slice_casestarts(f.name, "X-Congvu-") &&
			!slice_caseeq_str(f.name, "X-Congvu-Forward")) ||
		    (slice_caseeq_str(f.name, "Authentication-Results") && claims_ours(f.body, id)))
			add_drop(o, f.name, index_of(header, &f));
	}
	/* from the last to the first: removing one must not move the index of another */
	for (i = 0; i < o->n_drop / 2; i++) {
		size_t j = o->n_drop - 1 - i;
		const char *name = o->drop[i].name;
		char *owned = o->drop[i].owned;
		int index = o->drop[i].index;

		o->drop[i] = o->drop[j];
		o->drop[j].name = name;
		o->drop[j].owned = owned;
		o->drop[j].index = index;
	}
}

/* A value of RFC 8601: quoted, since names hold commas and spaces; what is not printable ASCII becomes "?". */
static void
append_value(struct buf *out, struct slice s)
{
	size_t i;

	buf_append_byte(out, '"');
	for (i = 0; i < s.len && i < 200; i++) {
		unsigned char c = s.ptr[i];

		if (c == '"' || c == '\\')
			buf_append_byte(out, '\\');
		buf_append_byte(out, c >= 0x20 && c < 0x7f ? c : '?');
	}
	buf_append_byte(out, '"');
}

static const char *
result_of(const struct rule_facts *f, const struct find_sig *s)
{
	if (s->status == SIG_BAD)
		return "fail";
	if (s->status != SIG_VALID || s->rev == REV_REVOKED)
		return "policy";
	if (s->rev == REV_UNKNOWN)
		return "temperror";
	return rule_signature_good(f) ? "pass" : "policy";
}

void
edits_authres(const struct rule_facts *f, const char *id, struct buf *out)
{
	const struct find_sig *s;
	bool any = false;

	buf_append_str(out, id);
	for (s = f->scan->sigs; s != NULL; s = s->next) {
		if (s->coverage != SIG_WHOLE)
			continue;
		any = true;
		buf_appendf(out, ";\n\tsmime=%s", result_of(f, s));
		if (s->why.len > 0) {
			buf_append_str(out, " reason=");
			append_value(out, s->why);
		}
		if (s->addresses != NULL) {
			buf_append_str(out, "\n\tbody.smime-identifier=");
			append_value(out, s->addresses->value);
		}
		if (s->serial.len > 0) {
			buf_append_str(out, "\n\tbody.smime-serial=");
			append_value(out, s->serial);
			buf_append_str(out, "\n\tbody.smime-issuer=");
			append_value(out, s->issuer);
		}
	}
	if (!any)
		buf_append_str(out, "; smime=none");
}

/* What congvu-smtpd goes by (P32): "; urgency=hoa-toc". */
static void
append_urgency(const struct rule_facts *f, struct buf *out)
{
	struct buf word;
	size_t i;

	buf_init(&word, 100);
	(void)rule_urgent(f, &word);
	buf_append_str(out, "; urgency=");
	for (i = 0; i < word.len; i++)
		buf_append_byte(
		    out, word.data[i] >= 'a' && word.data[i] <= 'z' ? word.data[i] : '-');
	buf_done(&word);
}

void
edits_verdict(const struct rule_facts *f, const struct verdict *v, struct buf *out)
{
	size_t i, told = 0;

	if (v->decision != NULL)
		buf_appendf(out, "held (%s)", v->decision->id);
	else
		buf_append_str(out, "accept");
	if (f->released.len > 0)
		buf_appendf(
		    out, "; released=%.*s", (int)f->released.len, (const char *)f->released.ptr);
	buf_appendf(out, "; official=%s", f->official ? "yes" : "no");
	if (f->official_why[0] != '\0')
		buf_appendf(out, " (%s)", f->official_why);
	if (v->decision == NULL && v->hits[RULE_ROW_rule_urgent] &&
	    rule_mode_of(f, &rule_table[RULE_ROW_rule_urgent]) == MODE_ENFORCE)
		append_urgency(f, out);
	buf_appendf(out, "; signature=%s",
	    !rule_mail_signature(f)  ? "none"
	    : rule_signature_good(f) ? "good"
				     : "not-confirmed");
	for (i = 0; i < v->n_notes; i++) {
		/* what is only to be learnt from is nobody's business yet */
		if (v->notes[i].mode == MODE_LOG)
			continue;
		buf_appendf(out, "%s%s", told++ == 0 ? "; notes=" : ",", v->notes[i].rule->id);
	}
}

bool
edits_urgent(const struct rule_facts *f, const struct verdict *v, struct slice header)
{
	return v->hits[RULE_ROW_rule_urgent] &&
	       rule_mode_of(f, &rule_table[RULE_ROW_rule_urgent]) >= MODE_WARN &&
	       hdr_count(header, "Importance") == 0;
}
