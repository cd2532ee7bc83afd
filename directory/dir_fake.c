/* dir_fake.c: dir.h over entries in memory, with a small evaluator of filters (RFC 4515: and, or, not, equality, substrings, presence).
 * Only in unit tests. The password of an entry is its attribute userPassword. Values are strings here: one with a NUL is cut there. Of a server's
 * rules writes know: what is there, that a parent is needed, values that are not there. */
#include "config.h"

#include "directory/dir_fake.h"

#include "directory/dir_watch.h"
#include "directory/escape.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <strings.h>

struct fake_entry {
	char *dn, *norm;
	char **attrs; /* name, value, … */
	size_t n_attrs;
};
struct dir {
	char *base;
	struct fake_entry *v;
	size_t n;
	int fail;
	int writes_left; /* -1: as many as one likes */
	bool has_transactions;
};

struct dir *
dir_fake_new(const char *base)
{
	struct dir *d = xcalloc(1, sizeof(*d));

	d->base = xstrdup(base);
	d->writes_left = -1;
	return d;
}

void
dir_fake_add(struct dir *d, const char *dn, const char *const *attrs)
{
	struct fake_entry *e;

	d->v = xrealloc(d->v, (d->n + 1) * sizeof(*d->v));
	e = &d->v[d->n++];
	memset(e, 0, sizeof(*e));
	e->dn = xstrdup(dn);
	e->norm = dir_dn_norm(dn);
	while (attrs[e->n_attrs] != NULL) {
		e->attrs = xrealloc(e->attrs, (e->n_attrs + 2) * sizeof(*e->attrs));
		e->attrs[e->n_attrs] = xstrdup(attrs[e->n_attrs]);
		e->attrs[e->n_attrs + 1] = xstrdup(attrs[e->n_attrs + 1]);
		e->n_attrs += 2;
	}
}

void
dir_fake_fail(struct dir *d, int err)
{
	d->fail = err;
}

void
dir_fake_writes(struct dir *d, int n)
{
	d->writes_left = n;
}

static void
entry_done(struct fake_entry *e)
{
	free(e->dn);
	free(e->norm);
	for (size_t k = 0; k < e->n_attrs; k++)
		free(e->attrs[k]);
	free(e->attrs);
}

void
dir_close(struct dir *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->n; i++)
		entry_done(&d->v[i]);
	free(d->v);
	free(d->base);
	free(d);
}

uint64_t
dir_elsewhere(const struct dir *d)
{
	(void)d;
	return 0;
}

const char *
dir_base(const struct dir *d)
{
	return d->base;
}

/* ---- filters ---- */

static unsigned char
unescape(const char **p)
{
	unsigned char c = (unsigned char)**p;

	if (c == '\\' && hex_decode(slice_of(*p + 1, strnlen(*p + 1, 2)), &c, 1) == 0)
		*p += 2;
	(*p)++;
	return c;
}

/* Whether value matches the assertion up to its closing parenthesis: '*' stands for anything. */
static bool
value_matches(const char *assertion, const char *value)
{
	while (*assertion != ')' && *assertion != '\0') {
		if (*assertion == '*') {
			assertion++;
			for (;; value++) {
				if (value_matches(assertion, value))
					return true;
				if (*value == '\0')
					return false;
			}
		}
		unsigned char c = unescape(&assertion);

		if (*value == '\0' || strncasecmp((char *)&c, value, 1) != 0)
			return false;
		value++;
	}
	return *value == '\0';
}

/* A DN in a filter is compared in its normal form. */
static bool
dn_matches(const char *assertion, const char *value)
{
	char *have = strchr(value, '=') == NULL ? NULL : dir_dn_norm(value), *want;
	struct buf b;
	bool same;

	buf_init(&b, 65536);
	while (*assertion != ')' && *assertion != '\0' && *assertion != '*')
		buf_append_byte(&b, unescape(&assertion));
	want = dir_dn_norm(buf_cstr(&b));
	same = have != NULL && want != NULL && strcmp(have, want) == 0;
	free(have);
	free(want);
	buf_done(&b);
	return same;
}

static const char *
filter_end(const char *f)
{
	int depth = 0;

	do {
		depth += (*f == '(') - (*f == ')');
		f++;
	} while (depth > 0 && *f != '\0');
	return f;
}

static bool
filter_matches(const char *f, const struct fake_entry *e)
{
	const char *eq = strchr(f, '=');

	if (f[1] == '!')
		return !filter_matches(f + 2, e);
	if (f[1] == '&' || f[1] == '|') {
		bool all = f[1] == '&';

		for (f += 2; *f == '('; f = filter_end(f)) {
			if (filter_matches(f, e) != all)
				return !all;
		}
		return all;
	}
	for (size_t i = 0; i < e->n_attrs; i += 2) {
		size_t n = (size_t)(eq - f - 1);

		if (strncasecmp(e->attrs[i], f + 1, n) == 0 && e->attrs[i][n] == '\0' &&
		    (value_matches(eq + 1, e->attrs[i + 1]) || dn_matches(eq + 1, e->attrs[i + 1])))
			return true;
	}
	return false;
}

/* ---- reading ---- */

static bool
wanted(const char *const *attrs, const char *name)
{
	if (attrs == NULL || *attrs == NULL)
		return true;
	for (; *attrs != NULL; attrs++) {
		if (strcasecmp(*attrs, name) == 0 || strcmp(*attrs, "*") == 0)
			return true;
	}
	return false;
}

static void
entry_copy(const struct fake_entry *e, const char *const *attrs, struct dir_entry *out)
{
	out->dn = xstrdup(e->dn);
	out->dn_norm = xstrdup(e->norm);
	for (size_t i = 0; i < e->n_attrs; i += 2) {
		struct dir_attr *a = NULL;

		if (!wanted(attrs, e->attrs[i]))
			continue;
		for (size_t k = 0; k < out->n_attrs; k++) {
			if (strcasecmp(out->attrs[k].name, e->attrs[i]) == 0)
				a = &out->attrs[k];
		}
		if (a == NULL) {
			out->attrs = xrealloc(out->attrs, (out->n_attrs + 1) * sizeof(*a));
			a = &out->attrs[out->n_attrs++];
			*a = (struct dir_attr){.name = xstrdup(e->attrs[i])};
		}
		a->values = xrealloc(a->values, (a->n_values + 1) * sizeof(*a->values));
		a->values[a->n_values++] =
		    slice_of(xstrdup(e->attrs[i + 1]), strlen(e->attrs[i + 1]));
	}
}

static void
result_add(struct dir_result *r, const struct fake_entry *e, const char *const *attrs)
{
	r->entries = xrealloc(r->entries, (r->n_entries + 1) * sizeof(*r->entries));
	memset(&r->entries[r->n_entries], 0, sizeof(*r->entries));
	entry_copy(e, attrs, &r->entries[r->n_entries++]);
}

static bool
is_below(const struct fake_entry *e, const char *base)
{
	char *norm = base == NULL ? NULL : dir_dn_norm(base);
	size_t n = norm == NULL ? 0 : strlen(norm), len = strlen(e->norm);
	bool below = norm == NULL || (len >= n && strcmp(e->norm + len - n, norm) == 0);

	free(norm);
	return below;
}

int
dir_search(struct dir *d, const char *base, const char *filter, const char *const *attrs,
    unsigned max, struct dir_result **out)
{
	struct dir_result *r;

	if (d->fail != 0)
		return d->fail;
	r = xcalloc(1, sizeof(*r));
	for (size_t i = 0; i < d->n; i++) {
		if (is_below(&d->v[i], base) && filter_matches(filter, &d->v[i]))
			result_add(r, &d->v[i], attrs);
	}
	if (max > 0 && r->n_entries > max) {
		dir_result_free(r);
		return ERR_LIMIT;
	}
	*out = r;
	return 0;
}

static const struct fake_entry *
entry_find(const struct dir *d, const char *dn)
{
	const struct fake_entry *found = NULL;
	char *norm = dir_dn_norm(dn);

	for (size_t i = 0; i < d->n; i++) {
		if (strcmp(d->v[i].norm, norm) == 0)
			found = &d->v[i];
	}
	free(norm);
	return found;
}

int
dir_read(struct dir *d, const char *dn, const char *const *attrs, struct dir_result **out)
{
	const struct fake_entry *e;

	if (d->fail != 0)
		return d->fail;
	e = entry_find(d, dn);
	if (e == NULL)
		return ERR_NOTFOUND;
	*out = xcalloc(1, sizeof(**out));
	result_add(*out, e, attrs);
	return 0;
}

int
dir_sign_in(struct dir *d)
{
	return d->fail;
}

int
dir_verify(struct dir *d, const char *dn, struct slice password, struct dir_says *says_out)
{
	const struct fake_entry *e = entry_find(d, dn);

	if (says_out != NULL)
		*says_out = (struct dir_says){-1, -1};

	if (d->fail != 0)
		return d->fail;
	for (size_t i = 0; e != NULL && password.len > 0 && i < e->n_attrs; i += 2) {
		if (strcasecmp(e->attrs[i], "userPassword") == 0 &&
		    slice_eq_str(password, e->attrs[i + 1]))
			return 0;
	}
	return ERR_AUTH;
}

/* ---- writing ---- */

static int
write_err(struct dir *d, int err, char **why_out)
{
	if (d->writes_left == 0)
		err = ERR_TEMP;
	if (d->writes_left > 0)
		d->writes_left--;
	if (err != 0 && why_out != NULL)
		*why_out = xstrdup(err_name(err));
	return err;
}

static void
value_add(struct fake_entry *e, const char *name, struct slice v)
{
	e->attrs = xrealloc(e->attrs, (e->n_attrs + 2) * sizeof(*e->attrs));
	e->attrs[e->n_attrs] = xstrdup(name);
	e->attrs[e->n_attrs + 1] = slice_dup(v);
	e->n_attrs += 2;
}

/* value NULL: all of them. Whether there was one. */
static bool
value_delete(struct fake_entry *e, const char *name, const struct slice *value)
{
	bool found = false;

	for (size_t i = 0; i < e->n_attrs;) {
		if (strcasecmp(e->attrs[i], name) != 0 ||
		    (value != NULL && !slice_caseeq_str(*value, e->attrs[i + 1]))) {
			i += 2;
			continue;
		}
		free(e->attrs[i]);
		free(e->attrs[i + 1]);
		memmove(e->attrs + i, e->attrs + i + 2, (e->n_attrs - i - 2) * sizeof(*e->attrs));
		e->n_attrs -= 2;
		found = true;
	}
	return found;
}

/* Its octets; a comma with a backslash before it is part of it. */
static size_t
rdn_len(const char *dn)
{
	size_t n = 0;

	while (dn[n] != '\0' && dn[n] != ',')
		n += dn[n] == '\\' && dn[n + 1] != '\0' ? 2 : 1;
	return n;
}

static const char *
parent_of(const char *dn)
{
	size_t n = rdn_len(dn);

	return dn[n] == '\0' ? "" : dn + n + 1;
}

int
dir_add(struct dir *d, const char *dn, const struct dir_mod *mods, size_t n_mods, char **why_out)
{
	static const char *const none[] = {NULL};
	bool rooted = strcasecmp(dn, d->base) == 0 || strcasecmp(parent_of(dn), d->base) == 0 ||
		      entry_find(d, parent_of(dn)) != NULL;
	int err = entry_find(d, dn) != NULL ? ERR_EXISTS : rooted ? 0 : ERR_NOTFOUND;

	err = write_err(d, err, why_out);
	if (err != 0)
		return err;
	dir_fake_add(d, dn, none);
	for (size_t i = 0; i < n_mods; i++)
		for (size_t k = 0; k < mods[i].n_values; k++)
			value_add(&d->v[d->n - 1], mods[i].name, mods[i].values[k]);
	return 0;
}

static int
mod_try(struct fake_entry *e, const struct dir_mod *m, bool doing)
{
	for (size_t k = 0; m->op != DIR_MOD_REPLACE && k < m->n_values; k++) {
		bool there = false;

		for (size_t i = 0; i < e->n_attrs; i += 2)
			there = there || (strcasecmp(e->attrs[i], m->name) == 0 &&
					     slice_caseeq_str(m->values[k], e->attrs[i + 1]));
		if (!doing && there == (m->op == DIR_MOD_ADD))
			return there ? ERR_EXISTS : ERR_NOTFOUND;
		if (doing && m->op == DIR_MOD_DELETE)
			value_delete(e, m->name, &m->values[k]);
	}
	if (doing && m->op != DIR_MOD_ADD && (m->op == DIR_MOD_REPLACE || m->n_values == 0))
		value_delete(e, m->name, NULL);
	for (size_t k = 0; doing && m->op != DIR_MOD_DELETE && k < m->n_values; k++)
		value_add(e, m->name, m->values[k]);
	return 0;
}

/* Whether mods[at] adds what one before it adds. */
static bool
adds_twice(const struct dir_mod *mods, size_t at)
{
	const struct dir_mod *m = &mods[at];

	for (size_t i = 0; i < at; i++)
		for (size_t k = 0; k < mods[i].n_values && k < m->n_values; k++)
			if (m->op == DIR_MOD_ADD && mods[i].op == DIR_MOD_ADD &&
			    strcasecmp(m->name, mods[i].name) == 0 &&
			    slice_eq(m->values[k], mods[i].values[k]))
				return true;
	return false;
}

int
dir_modify(struct dir *d, const char *dn, const struct dir_mod *mods, size_t n_mods, char **why_out)
{
	const struct fake_entry *found = entry_find(d, dn);
	struct fake_entry *e = found == NULL ? NULL : &d->v[found - d->v];
	int err = e == NULL ? ERR_NOTFOUND : 0;

	for (size_t i = 0; err == 0 && i < n_mods; i++)
		err = adds_twice(mods, i) ? ERR_EXISTS : mod_try(e, &mods[i], false);
	err = write_err(d, err, why_out);
	for (size_t i = 0; err == 0 && i < n_mods; i++)
		mod_try(e, &mods[i], true);
	return err;
}

int
dir_delete(struct dir *d, const char *dn, char **why_out)
{
	const struct fake_entry *e = entry_find(d, dn);
	int err = write_err(d, e == NULL ? ERR_NOTFOUND : 0, why_out);
	size_t at = e == NULL ? 0 : (size_t)(e - d->v);

	if (err != 0)
		return err;
	entry_done(&d->v[at]);
	memmove(d->v + at, d->v + at + 1, (d->n - at - 1) * sizeof(*d->v));
	d->n--;
	return 0;
}

/* With refint's work: values that name what was moved follow it. */
int
dir_move(struct dir *d, const char *dn, const char *new_parent, char **why_out)
{
	const struct fake_entry *found = entry_find(d, dn);
	int err = found == NULL || entry_find(d, new_parent) == NULL ? ERR_NOTFOUND : 0;
	size_t n = strlen(dn), keep = n - strlen(parent_of(dn));

	err = write_err(d, err, why_out);
	for (size_t i = 0; err == 0 && i < d->n; i++) {
		struct fake_entry *e = &d->v[i];
		char **at[1 + 256] = {&e->dn};
		size_t n_at = 1;

		for (size_t k = 1; k < e->n_attrs && n_at < 257; k += 2)
			at[n_at++] = &e->attrs[k];
		for (size_t k = 0; k < n_at; k++) {
			size_t len = strlen(*at[k]), head = len - n + keep;
			char *moved = NULL;

			if (len < n || strcasecmp(*at[k] + len - n, dn) != 0)
				continue;
			if (asprintf(&moved, "%.*s%s", (int)head, *at[k], new_parent) < 0)
				fatal("out of memory");
			free(*at[k]);
			*at[k] = moved;
		}
		free(e->norm);
		e->norm = dir_dn_norm(e->dn);
	}
	return err;
}

void
dir_fake_transactions(struct dir *d, bool on)
{
	d->has_transactions = on;
}

bool
dir_has_transactions(struct dir *d)
{
	return d->has_transactions;
}

static int
write_one(struct dir *d, const struct dir_write *w, char **why_out)
{
	switch (w->op) {
	case DIR_WRITE_ADD:
		return dir_add(d, w->dn, w->mods, w->n_mods, why_out);
	case DIR_WRITE_MODIFY:
		return dir_modify(d, w->dn, w->mods, w->n_mods, why_out);
	case DIR_WRITE_DELETE:
		return dir_delete(d, w->dn, why_out);
	default:
		return dir_move(d, w->dn, w->new_parent, why_out);
	}
}

int
dir_write_all(struct dir *d, const struct dir_write *w, size_t n, char **why_out)
{
	struct dir *before = dir_fake_new(d->base);
	int left = d->writes_left, err = 0;

	for (size_t i = 0; i < d->n; i++) {
		const char **attrs = xcalloc(d->v[i].n_attrs + 1, sizeof(*attrs));

		for (size_t k = 0; k < d->v[i].n_attrs; k++)
			attrs[k] = d->v[i].attrs[k];
		dir_fake_add(before, d->v[i].dn, attrs);
		free(attrs);
	}
	d->writes_left = -1;
	for (size_t i = 0; err == 0 && i < n; i++)
		err = write_one(d, &w[i], why_out);
	d->writes_left = left;
	if (err == 0)
		err = write_err(d, 0, why_out);
	if (err != 0) {
		struct fake_entry *v = d->v;
		size_t n_now = d->n;

		d->v = before->v;
		d->n = before->n;
		before->v = v;
		before->n = n_now;
	}
	dir_close(before);
	return err;
}

/* ---- names: no escapes but those that stand in the tests ---- */

char *
dir_dn_norm(const char *dn)
{
	char *norm, *to;

	if (dn == NULL)
		return NULL;
	norm = to = xstrdup(dn);
	for (const char *p = dn; *p != '\0'; p++) {
		if (*p == ' ' && p > dn && p[-1] == ',')
			continue;
		*to++ = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
	}
	*to = '\0';
	return norm;
}

char *
dir_dn_rdn(const char *dn)
{
	return *dn == '\0' ? NULL : slice_dup(slice_of(dn, rdn_len(dn)));
}

int
dir_dn_rdn_value(const char *dn, struct buf *out)
{
	size_t n = strcspn(dn, ","), eq = strcspn(dn, "=");

	return eq >= n ? ERR_SYNTAX : buf_append(out, dn + eq + 1, n - eq - 1);
}

/* Values are C strings here. */
int
dir_text_only(struct dir *d, const char *const *bytes_attrs, size_t n)
{
	(void)d;
	(void)bytes_attrs;
	return n > DIR_BYTES_ATTRS_MAX ? ERR_LIMIT : 0;
}

int
dir_dn_rdn_filter(const char *dn, struct buf *out)
{
	size_t n = strcspn(dn, ","), eq = strcspn(dn, "=");

	if (eq >= n)
		return ERR_SYNTAX;
	buf_append_byte(out, '(');
	buf_append(out, dn, eq + 1);
	escape_filter(slice_of(dn + eq + 1, n - eq - 1), out);
	return buf_append_byte(out, ')');
}

/* Nothing changes here that is not changed by the test itself. */
void
dir_watch(struct dir *d, const struct dir_watch_params *p)
{
	(void)d;
	(void)p;
	for (;;)
		pause();
}
