/* modes.c: modes of rules and limits by domain and agency. Pure; runs in milter: read once at the start. An item that cannot be read
 * is an error of the configuration, never ignored: a rule that is off by a slip of the pen would let mail through. */
#include "config.h"

#include "milter/modes.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

#define ALL_P (-1)

struct item {
	char *text;         /* as configured; scope points into it */
	struct slice scope; /* "@domain", "H37.02", empty: all */
	ptrdiff_t rule;     /* index in rule_table, ALL_P */
	enum rule_mode mode;
	uint64_t limit;
};
struct items {
	struct item *v;
	size_t n;
};
struct modes {
	struct items modes, limits;
};

struct modes *
modes_new(void)
{
	return xcalloc(1, sizeof(struct modes));
}

static void
items_free(struct items *l)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		free(l->v[i].text);
	free(l->v);
}

void
modes_free(struct modes *m)
{
	if (m == NULL)
		return;
	items_free(&m->modes);
	items_free(&m->limits);
	free(m);
}

static bool
scope_ok(struct slice s)
{
	size_t i = s.len > 0 && s.ptr[0] == '@';

	if (i == s.len)
		return s.len == 0;
	for (; i < s.len; i++) {
		unsigned char c = s.ptr[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			c == '.' || c == '-' || c == '_'))
			return false;
	}
	return true;
}

/* Takes "scope:" off; the item is appended, its value is *rest_out. */
static int
add(struct items *l, const char *text, struct slice *rest_out, struct item **out, const char **why)
{
	struct slice s;
	ptrdiff_t colon;
	struct item *it;

	if (l->n >= MODES_MAX) {
		*why = "too many items";
		return ERR_LIMIT;
	}
	l->v = xrealloc(l->v, (l->n + 1) * sizeof *l->v);
	it = &l->v[l->n];
	memset(it, 0, sizeof *it);
	it->text = xstrdup(text);
	s = slice_trim(slice_str(it->text));
	colon = slice_index(s, ':');
	if (colon >= 0) {
		it->scope = slice_trim(slice_sub(s, 0, (size_t)colon));
		s = slice_trim(slice_from(s, (size_t)colon + 1));
	}
	if ((colon >= 0 && it->scope.len == 0) || !scope_ok(it->scope)) {
		free(it->text);
		*why = "before the colon stands neither @domain nor an agency code";
		return ERR_SYNTAX;
	}
	*rest_out = s;
	*out = it;
	return 0;
}

static bool
parse_mode(struct slice s, enum rule_mode *out)
{
	static const enum rule_mode all[] = {MODE_OFF, MODE_LOG, MODE_WARN, MODE_ENFORCE};
	size_t i;

	for (i = 0; i < sizeof all / sizeof *all; i++) {
		if (slice_caseeq_str(s, rule_mode_name(all[i]))) {
			*out = all[i];
			return true;
		}
	}
	return false;
}

int
modes_add(struct modes *m, const char *text, const char **why)
{
	struct item *it;
	struct slice s, name;
	ptrdiff_t eq;
	int err = add(&m->modes, text, &s, &it, why);

	if (err != 0)
		return err;
	eq = slice_index(s, '=');
	name = eq > 0 ? slice_trim(slice_sub(s, 0, (size_t)eq)) : slice_str("");
	it->rule = slice_eq_str(name, "*") ? ALL_P : rule_index(name);
	*why = NULL;
	if (eq <= 0 || !parse_mode(slice_trim(slice_from(s, (size_t)eq + 1)), &it->mode))
		*why = "not RULE=off, log, warn or enforce";
	else if (it->rule < 0 && !slice_eq_str(name, "*"))
		*why = "no such rule";
	if (*why != NULL) {
		free(it->text);
		return ERR_SYNTAX;
	}
	m->modes.n++;
	return 0;
}

int
modes_add_limit(struct modes *m, const char *text, const char **why)
{
	struct item *it;
	struct slice s;
	uint64_t mb;
	int err = add(&m->limits, text, &s, &it, why);

	if (err != 0)
		return err;
	if (slice_to_u64(s, 1048576, &mb) != 0) {
		free(it->text);
		*why = "not a number of megabytes";
		return ERR_SYNTAX;
	}
	it->limit = mb << 20;
	m->limits.n++;
	return 0;
}

/* How near an item's scope is to the author: 0 not at all, 1 for all, 2 the domain, beyond that the agency by the length of its code. */
static size_t
nearness(const struct item *it, struct slice domain, struct slice agency)
{
	struct slice s = it->scope;

	if (s.len == 0)
		return 1;
	if (s.ptr[0] == '@')
		return slice_caseeq(slice_from(s, 1), domain) ? 2 : 0;
	if (s.len > agency.len || !slice_caseeq(s, slice_sub(agency, 0, s.len)) ||
	    (s.len < agency.len && agency.ptr[s.len] != '.'))
		return 0;
	return 2 + s.len;
}

void
modes_of(const struct modes *m, struct slice domain, struct slice agency, unsigned char *out)
{
	size_t i, k, near, best;
	const struct item *it;

	for (i = 0; i < rule_table_len; i++) {
		out[i] = (unsigned char)rule_table[i].mode;
		best = 0;
		for (k = 0; m != NULL && k < m->modes.n; k++) {
			it = &m->modes.v[k];
			if (it->rule != (ptrdiff_t)i &&
			    !(it->rule == ALL_P && rule_table[i].id[0] == 'P'))
				continue;
			/* of two as near, the one that names the rule */
			near = 2 * nearness(it, domain, agency);
			if (near == 0)
				continue;
			near += it->rule != ALL_P;
			if (near >= best) {
				best = near;
				out[i] = (unsigned char)it->mode;
			}
		}
	}
}

void
modes_stricter(unsigned char *out, const unsigned char *other)
{
	size_t i;

	for (i = 0; i < rule_table_len; i++) {
		if (other[i] > out[i])
			out[i] = other[i];
	}
}

uint64_t
modes_limit(const struct modes *m, struct slice domain, struct slice agency)
{
	uint64_t limit = 0;
	size_t k, near, best = 0;

	for (k = 0; m != NULL && k < m->limits.n; k++) {
		near = nearness(&m->limits.v[k], domain, agency);
		if (near > 0 && near >= best) {
			best = near;
			limit = m->limits.v[k].limit;
		}
	}
	return limit;
}

static void
items_text(const struct items *l, const char *name, struct buf *out)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		buf_appendf(out, "%s %s\n", name, l->v[i].text);
}

void
modes_text(const struct modes *m, struct buf *out)
{
	items_text(&m->modes, "policy_modes", out);
	items_text(&m->limits, "policy_attachment_mb", out);
}
