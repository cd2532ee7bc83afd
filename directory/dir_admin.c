/* dir_admin.c: what changes of agencies and staff have in common: collecting attributes with their folded twins, finding agencies,
 * comparing what is there with what is wanted. Runs in congvu. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/escape.h"
#include "lib/err.h"
#include "lib/fold.h"
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
	while (a->agencies != NULL) {
		struct agency_cache *g = a->agencies;

		a->agencies = g->next;
		free(g->code);
		free(g->dn);
		free(g->name);
		free(g->abbrev);
		free(g);
	}
	free(a->domain);
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

void
mods_add(struct mods *m, const char *name, struct slice value)
{
	struct dir_mod *found = NULL;
	struct slice *values;

	if (value.len == 0 || m->err != 0)
		return;
	for (size_t i = 0; i < m->n; i++) {
		if (strcmp(m->m[i].name, name) == 0)
			found = &m->m[i];
	}
	if (found == NULL) {
		if (m->n == MODS_MAX) {
			m->err = ERR_LIMIT;
			return;
		}
		found = &m->m[m->n++];
		*found = (struct dir_mod){.op = DIR_MOD_ADD, .name = name};
	}
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
mods_str(struct mods *m, const char *name, const char *value)
{
	if (value != NULL)
		mods_add(m, name, slice_str(value));
}

void
mods_text(struct mods *m, const char *name, const char *value)
{
	char *twin = arena_printf(m->arena, "%s;x-fold", name);
	struct buf nfc, folded;

	if (value == NULL || twin == NULL)
		return;
	buf_init(&nfc, 8192);
	buf_init(&folded, 8192);
	if (utf8_nfc(slice_str(value), &nfc) != 0) {
		m->err = ERR_SYNTAX;
	} else {
		mods_add(m, name, buf_slice(&nfc));
		if (vn_ascii(buf_slice(&nfc), &folded) == 0 &&
		    !slice_eq(buf_slice(&folded), buf_slice(&nfc)))
			mods_add(m, twin, buf_slice(&folded));
	}
	buf_done(&nfc);
	buf_done(&folded);
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
	else if (strchr(name, ';') == NULL && strcmp(name, "cn") == 0)
		mods_text(m, name, text);
	else
		mods_str(m, name, text);
	free(text);
}

void
mods_now(struct mods *m, const char *name)
{
	time_t now = time(NULL);
	struct tm tm;
	char text[32];

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm);
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

int
admin_agency(struct dir_admin *a, const char *code, const struct agency_cache **out, char **why_out)
{
	static const char *const attrs[] = {"vnAgencyCode", "ou", "vnAgencyAbbrev", NULL};
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
	g = xcalloc(1, sizeof(*g));
	g->code = xstrdup((const char *)dir_entry_value(&r->entries[0], "vnAgencyCode").ptr);
	g->dn = xstrdup(r->entries[0].dn);
	g->name = slice_dup(dir_entry_value(&r->entries[0], "ou"));
	g->abbrev = slice_dup(dir_entry_value(&r->entries[0], "vnAgencyAbbrev"));
	g->next = a->agencies;
	a->agencies = g;
	dir_result_free(r);
	*out = g;
	return 0;
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
    struct slice value, const char *decision, bool replace, bool *changed, char **why_out)
{
	const struct dir_attr *have = dir_entry_attr(e, attr);
	struct slice cite = slice_str(decision);
	struct dir_mod m[2] = {
	    {replace ? DIR_MOD_REPLACE : DIR_MOD_ADD, attr, &value, 1},
	    {DIR_MOD_ADD, "vnDecisionRef", &cite, 1},
	};
	size_t n = 1;
	int err;

	for (size_t i = 0; have != NULL && i < have->n_values; i++) {
		if (slice_eq(have->values[i], value) && (!replace || have->n_values == 1))
			return 0;
	}
	if (!dir_entry_has_value(e, "vnDecisionRef", cite))
		n = 2;
	err = dir_modify(a->d, e->dn, m, n, why_out);
	if (err == 0)
		*changed = true;
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
