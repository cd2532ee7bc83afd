/* clearance.c: the table of what each recipient domain is cleared for. Pure; runs in milter: read once at the start. */
#include "config.h"

#include "milter/clearance.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

#define LEVEL_MAX 256

struct row {
	char *text;          /* as configured */
	struct slice domain; /* in text; "" for all others */
	bool below;
	int level;
};
struct clearances {
	struct row *v;
	size_t n;
};

static const char *const names[] = {
    "unmarked", "unclassified", "restricted", "confidential", "secret", "top-secret"};
#define N_NAMES (sizeof names / sizeof *names)

struct clearances *
clearances_new(void)
{
	return xcalloc(1, sizeof(struct clearances));
}

void
clearances_free(struct clearances *c)
{
	size_t i;

	if (c == NULL)
		return;
	for (i = 0; i < c->n; i++)
		free(c->v[i].text);
	free(c->v);
	free(c);
}

static bool
parse_level(struct slice s, int *out)
{
	uint64_t v;
	size_t i;

	for (i = 0; i < N_NAMES; i++) {
		if (slice_caseeq_str(s, names[i])) {
			*out = (int)i;
			return true;
		}
	}
	if (slice_to_u64(s, LEVEL_MAX, &v) != 0)
		return false;
	*out = (int)v;
	return true;
}

int
clearances_add(struct clearances *c, const char *text, const char **why)
{
	struct slice s = slice_trim(slice_str(text)), domain;
	ptrdiff_t eq = slice_index(s, '=');
	struct row *r;
	int level;

	if (c->n >= CLEARANCES_MAX) {
		*why = "too many rows";
		return ERR_LIMIT;
	}
	domain = eq > 0 ? slice_trim(slice_sub(s, 0, (size_t)eq)) : slice_str("");
	if (domain.len == 0 || slice_eq_str(domain, ".")) {
		*why = "not DOMAIN=LEVEL";
		return ERR_SYNTAX;
	}
	if (!parse_level(slice_trim(slice_from(s, (size_t)eq + 1)), &level)) {
		*why = "no such level: unmarked, unclassified, restricted, confidential, secret, "
		       "top-secret, 0 to 256";
		return ERR_SYNTAX;
	}
	c->v = xrealloc(c->v, (c->n + 1) * sizeof *c->v);
	r = &c->v[c->n++];
	r->text = xstrdup(text);
	r->below = domain.ptr[0] == '.';
	domain = r->below ? slice_from(domain, 1) : domain;
	r->domain = slice_of(r->text + (domain.ptr - (const unsigned char *)text), domain.len);
	if (slice_eq_str(r->domain, "*"))
		r->domain.len = 0;
	r->level = level;
	return 0;
}

/* How near a row is: 0 not at all, 1 for all others, beyond that the length of the domain that it names. */
static size_t
nearness(const struct row *r, struct slice domain)
{
	struct slice tail;

	if (r->domain.len == 0)
		return 1;
	if (!r->below)
		return slice_caseeq(r->domain, domain) ? 3 + 2 * domain.len : 0;
	if (domain.len <= r->domain.len + 1)
		return 0;
	tail = slice_from(domain, domain.len - r->domain.len);
	return slice_caseeq(tail, r->domain) && tail.ptr[-1] == '.' ? 2 + 2 * tail.len : 0;
}

int
clearances_of(const struct clearances *c, struct slice domain)
{
	size_t i, near, best = 0;
	int level = 0;

	if (c == NULL || c->n == 0)
		return LEVEL_MAX;
	for (i = 0; i < c->n; i++) {
		near = nearness(&c->v[i], domain);
		if (near > 0 && near >= best) {
			best = near;
			level = c->v[i].level;
		}
	}
	return level;
}

void
clearance_name(int level, struct buf *out)
{
	if (level >= 0 && (size_t)level < N_NAMES)
		buf_append_str(out, names[level]);
	else
		buf_appendf(out, "%d", level);
}

void
clearances_text(const struct clearances *c, struct buf *out)
{
	size_t i;

	for (i = 0; c != NULL && i < c->n; i++)
		buf_appendf(out, "policy_clearances %s\n", c->v[i].text);
}
