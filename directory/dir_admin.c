/* dir_admin.c: what changes of agencies and staff have in common: collecting attributes with their folded twins, finding agencies,
 * comparing what is there with what is wanted. Runs in congvu. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/escape.h"
#include "lib/err.h"
#include "lib/fold.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/utf7.h"

#include <libintl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct dir_admin *
dir_admin_new(const struct conf *c, struct dir *d)
{
	struct dir_admin *a = xcalloc(1, sizeof(*a));

	a->d = d;
	a->conf = c;
	a->hash = conf_str(c, "admin_password_hash");
	a->domain =
	    xstrdup(conf_list_len(c, "domains") == 0 ? "" : conf_list_item(c, "domains", 0));
	return a;
}

void
dir_admin_free(struct dir_admin *a)
{
	if (a == NULL)
		return;
	admin_agency_forget(a);
	free(a->domain);
	free(a->who);
	free(a->as);
	free(a->op);
	free(a->target);
	free(a->decision);
	json_free(a->changes);
	json_free(a->effects);
	free(a);
}

const char *
change_name(enum change c)
{
	static const char *const names[] = {"unchanged", "added", "changed"};

	return names[c];
}

int
admin_fail(char **why_out, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	/* the program's language (admin/po); in others than congvu this is the text itself */
	if (vasprintf(why_out, gettext(fmt), ap) < 0)
		*why_out = NULL;
	va_end(ap);
	return err;
}

/* C1 controls, and what turns the direction of writing or breaks lines (UAX #9): a name that shows as another. */
static bool
is_hidden(const char *p)
{
	unsigned char b[3] = {0};

	memcpy(b, p, strnlen(p, sizeof(b)));
	if (b[0] == 0xc2)
		return b[1] >= 0x80 && b[1] <= 0x9f;
	return b[0] == 0xe2 && ((b[1] == 0x80 && ((b[2] >= 0x8e && b[2] <= 0x8f) ||
						     (b[2] >= 0xa8 && b[2] <= 0xae))) ||
				   (b[1] == 0x81 && b[2] >= 0xa6 && b[2] <= 0xa9));
}

int
admin_check_text(const char *what, const char *value, size_t max, char **why_out)
{
	struct buf b;
	int err;

	what = gettext(what);
	if (value == NULL || value[strspn(value, " ")] == '\0')
		return admin_fail(why_out, ERR_SYNTAX, "%s is missing", what);
	buf_init(&b, 8192);
	err = utf8_nfc(slice_str(value), &b);
	buf_done(&b);
	if (err != 0)
		return admin_fail(
		    why_out, ERR_SYNTAX, "%s is not Unicode (UTF-8); is it TCVN3 or VNI?", what);
	if (strlen(value) > max)
		return admin_fail(why_out, ERR_SYNTAX, "%s is longer than %zu bytes", what, max);
	for (const char *p = value; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f || is_hidden(p))
			return admin_fail(
			    why_out, ERR_SYNTAX, "%s holds a control character", what);
	}
	return 0;
}

int
admin_check_domain(const struct dir_admin *a, const char *mail, char **why_out)
{
	size_t n = conf_list_len(a->conf, "domains");
	const char *at = strrchr(mail, '@');

	for (size_t i = 0; at != NULL && i < n; i++)
		if (slice_caseeq_str(slice_str(at + 1), conf_list_item(a->conf, "domains", i)))
			return 0;
	if (n == 0)
		return 0;
	return admin_fail(why_out, ERR_SYNTAX,
	    "%s is in none of our domains (domains in congvu.conf): no mail would reach it", mail);
}

/* ---- collecting attributes ---- */

void
mods_init(struct mods *m)
{
	memset(m, 0, sizeof(*m));
	m->arena = arena_new(4 << 20);
	if (m->arena == NULL)
		fatal("out of memory");
}

void
mods_done(struct mods *m)
{
	arena_free(m->arena);
}

/* The place of an attribute and what is done to it; NULL when there is no room. */
static struct dir_mod *
mods_at(struct mods *m, enum dir_mod_op op, const char *name)
{
	for (size_t i = 0; i < m->n; i++) {
		if (m->m[i].op == op && strcmp(m->m[i].name, name) == 0)
			return &m->m[i];
	}
	if (m->n == MODS_MAX) {
		m->err = ERR_LIMIT;
		return NULL;
	}
	m->m[m->n] = (struct dir_mod){.op = op, .name = name};
	return &m->m[m->n++];
}

static void
mods_put(struct mods *m, enum dir_mod_op op, const char *name, struct slice value)
{
	struct dir_mod *found;
	struct slice *values;

	if ((value.len == 0 && op != DIR_MOD_REPLACE) || m->err != 0)
		return;
	found = mods_at(m, op, name);
	if (found == NULL || value.len == 0)
		return;
	values = arena_calloc(m->arena, found->n_values + 1, sizeof(*values));
	if (values == NULL) {
		m->err = ERR_NOMEM;
		return;
	}
	if (found->n_values > 0)
		memcpy(values, found->values, found->n_values * sizeof(*values));
	values[found->n_values] = arena_slice(m->arena, value);
	if (values[found->n_values].ptr == NULL)
		m->err = ERR_NOMEM;
	found->values = values;
	found->n_values++;
}

void
mods_add(struct mods *m, const char *name, struct slice value)
{
	mods_put(m, DIR_MOD_ADD, name, value);
}

void
mods_delete(struct mods *m, const char *name, struct slice value)
{
	mods_put(m, DIR_MOD_DELETE, name, value);
}

void
mods_replace(struct mods *m, const char *name, const char *value)
{
	mods_put(m, DIR_MOD_REPLACE, name, value == NULL ? slice_of(NULL, 0) : slice_str(value));
}

void
mods_str(struct mods *m, const char *name, const char *value)
{
	if (value != NULL)
		mods_add(m, name, slice_str(value));
}

static void
mods_put_text(struct mods *m, enum dir_mod_op op, const char *name, const char *value)
{
	char *twin = arena_printf(m->arena, "%s;x-fold", name);
	struct buf nfc, folded;

	if (value == NULL || twin == NULL)
		return;
	if (op == DIR_MOD_REPLACE) /* the old twin goes, whatever comes */
		mods_put(m, op, twin, slice_of(NULL, 0));
	buf_init(&nfc, 8192);
	buf_init(&folded, 8192);
	if (utf8_nfc(slice_str(value), &nfc) != 0) {
		m->err = ERR_SYNTAX;
	} else {
		mods_put(m, op, name, buf_slice(&nfc));
		if (vn_ascii(buf_slice(&nfc), &folded) == 0 &&
		    !slice_eq(buf_slice(&folded), buf_slice(&nfc)))
			mods_put(m, op, twin, buf_slice(&folded));
	}
	buf_done(&nfc);
	buf_done(&folded);
}

void
mods_text(struct mods *m, const char *name, const char *value)
{
	mods_put_text(m, DIR_MOD_ADD, name, value);
}

void
mods_replace_text(struct mods *m, const char *name, const char *value)
{
	mods_put_text(m, DIR_MOD_REPLACE, name, value);
}

void
mods_fmt(struct mods *m, const char *name, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text == NULL)
		m->err = ERR_NOMEM;
	else if (strcmp(name, "cn") == 0 || strcmp(name, "displayName") == 0)
		mods_text(m, name, text);
	else
		mods_str(m, name, text);
	free(text);
}

void
admin_now(char out[20])
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(out, 20, "%Y%m%d%H%M%SZ", &tm);
}

void
mods_now(struct mods *m, const char *name)
{
	char text[20];

	admin_now(text);
	mods_str(m, name, text);
}

/* ---- finding and comparing ---- */

int
admin_find(struct dir_admin *a, const char *filter, const char *value, const char *const *attrs,
    unsigned max, struct dir_result **out, char **why_out)
{
	struct buf f;
	int err;

	buf_init(&f, 16384);
	err = escape_template(filter, slice_str(value), slice_str(value), &f);
	if (err == 0)
		err = dir_search(a->d, NULL, buf_cstr(&f), attrs, max, out);
	buf_done(&f);
	if (err != 0)
		return admin_fail(
		    why_out, err, "the directory does not answer (%s)", err_name(err));
	return 0;
}

const struct agency_cache *
admin_agency_keep(struct dir_admin *a, const char *code, const char *dn, const char *name,
    const char *abbrev, bool closed)
{
	struct agency_cache *g = xcalloc(1, sizeof(*g));

	g->code = xstrdup(code);
	g->dn = xstrdup(dn);
	g->name = xstrdup(name);
	g->abbrev = xstrdup(abbrev);
	g->closed = closed;
	g->next = a->agencies;
	a->agencies = g;
	return g;
}

void
admin_agency_forget(struct dir_admin *a)
{
	while (a->agencies != NULL) {
		struct agency_cache *g = a->agencies;

		a->agencies = g->next;
		free(g->code);
		free(g->dn);
		free(g->name);
		free(g->abbrev);
		free(g);
	}
}

int
admin_agency(struct dir_admin *a, const char *code, const struct agency_cache **out, char **why_out)
{
	static const char *const attrs[] = {
	    "vnAgencyCode", "ou", "vnAgencyAbbrev", "vnStatus", NULL};
	const struct dir_entry *e;
	struct dir_result *r = NULL;
	struct agency_cache *g;
	int err;

	for (g = a->agencies; g != NULL; g = g->next) {
		if (strcasecmp(g->code, code) == 0) {
			*out = g;
			return 0;
		}
	}
	err = admin_find(
	    a, "(&(objectClass=vnAgency)(vnAgencyCode=%s))", code, attrs, 2, &r, why_out);
	if (err != 0)
		return err;
	if (r->n_entries != 1) {
		dir_result_free(r);
		return admin_fail(why_out, ERR_NOTFOUND,
		    "there is no agency with the code %s: add it first (congvu agency add)", code);
	}
	e = &r->entries[0];
	*out = admin_agency_keep(a, admin_value(e, "vnAgencyCode"), e->dn, admin_value(e, "ou"),
	    admin_value(e, "vnAgencyAbbrev"), admin_is_over(e));
	dir_result_free(r);
	return 0;
}

int
admin_agency_open(
    struct dir_admin *a, const char *code, const struct agency_cache **out, char **why_out)
{
	const struct agency_cache *g = NULL;
	int err = admin_agency(a, code, &g, why_out);

	if (err == 0 && g->closed)
		err = admin_fail(why_out, ERR_GONE, "the agency %s is closed", g->code);
	if (err == 0)
		*out = g;
	return err;
}

int
admin_same(const struct dir_entry *e, const char *attr, const char *wanted, const char *who,
    char **why_out)
{
	const struct dir_attr *have = dir_entry_attr(e, attr);
	bool same = wanted == NULL;
	struct buf nfc;

	buf_init(&nfc, 8192);
	if (!same && utf8_nfc(slice_str(wanted), &nfc) == 0) {
		for (size_t i = 0; have != NULL && i < have->n_values; i++)
			same = same || slice_eq(have->values[i], buf_slice(&nfc));
	}
	buf_done(&nfc);
	if (same)
		return 0;
	return admin_fail(why_out, ERR_EXISTS, "%s is there already, with %s \"%s\", not \"%s\"",
	    who, attr, have == NULL || have->n_values == 0 ? "" : (const char *)have->values[0].ptr,
	    wanted);
}

int
admin_ensure_value(struct dir_admin *a, const struct dir_entry *e, const char *attr,
    struct slice value, bool replace, char **why_out)
{
	struct mods m;
	int err;

	mods_init(&m);
	if (replace) {
		m.m[0] = (struct dir_mod){DIR_MOD_REPLACE, attr, &value, 1};
		m.n = 1;
	} else {
		mods_add(&m, attr, value);
	}
	err = admin_modify(a, e->dn, &m, why_out);
	mods_done(&m);
	return err;
}

char *
admin_clerk_post(const struct agency_cache *g)
{
	struct buf b;
	char *dn;

	buf_init(&b, 4096);
	buf_append_str(&b, "vnPositionCode=");
	escape_rdn(slice_str(g->code), &b);
	buf_appendf(&b, "-vanthu,%s", g->dn);
	dn = b.err == 0 ? xstrdup(buf_cstr(&b)) : NULL;
	buf_done(&b);
	return dn;
}
