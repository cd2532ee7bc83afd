/* dir_admin_world.c: dir_admin_world.h. */
#include "config.h"

#include "tests/unit/dir_admin_world.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct conf *world_conf;

struct conf *
world_conf_load(void)
{
	char path[] = "/tmp/dir_admin_testXXXXXX", *why = NULL;
	int fd = mkstemp(path);
	struct conf *c = NULL;
	FILE *f = fdopen(fd, "w");

	assert_non_null(f);
	fprintf(f, "domains = {\"tinhmau.example\"}\nldap_base = \"o=x\"\n");
	fclose(f);
	if (conf_load(path, &c, &why) != 0)
		fail_msg("%s", why);
	unlink(path);
	return c;
}

static int
journal_begin(void *arg, char **why_out)
{
	struct world *w = arg;

	if (!w->journal_fails)
		return 0;
	*why_out = xstrdup("no journal");
	return ERR_IO;
}

static int
journal_write(void *arg, struct json *rec, char **why_out)
{
	struct world *w = arg;

	(void)why_out;
	json_push_take(w->journal, rec);
	return 0;
}

static void
journal_end(void *arg)
{
	(void)arg;
}

static struct dir_admin_journal hooks = {
    .begin = journal_begin, .write = journal_write, .end = journal_end};

static void
person(struct world *w, const char *id, const char *name, const char *uid, const char *agency)
{
	char dn[200], mail[200], display[200];

	snprintf(dn, sizeof(dn), "vnStaffId=%s,ou=people,o=x", id);
	snprintf(mail, sizeof(mail), "%s@tinhmau.example", uid);
	snprintf(
	    display, sizeof(display), "%s (%s)", name, strcmp(agency, "H9.1") == 0 ? "MOT" : "HAI");
	ENTRY(w, dn, "objectClass", "vnCivilServant", "vnStaffId", id, "cn", name, "uid", uid,
	    "mail", mail, "displayName", display, "vnAgencyRef", agency, "vnRole", "staff",
	    "vnStatus", "active", "vnEpoch", "1", "vnValidFrom", "20200101000000Z", "vnAssignment",
	    strcmp(agency, "H9.1") == 0 ? "primary;H9.1;;20200101;;1/QĐ"
					: "primary;H9.2;;20200101;;1/QĐ");
}

static void
agency(struct world *w, const char *code, const char *name, const char *abbrev)
{
	char dn[200], post[300], id[64], holder[400], mail[100];

	snprintf(dn, sizeof(dn), "vnAgencyCode=%s,ou=agencies,o=x", code);
	snprintf(id, sizeof(id), "%s-vanthu", code);
	snprintf(post, sizeof(post), "vnPositionCode=%s,%s", id, dn);
	snprintf(holder, sizeof(holder), "vnMailboxId=%s,ou=mailboxes,o=x", abbrev);
	snprintf(mail, sizeof(mail), "vt.%s@tinhmau.example", abbrev);
	ENTRY(w, dn, "objectClass", "vnAgency", "vnAgencyCode", code, "ou", name, "displayName",
	    name, "vnAgencyAbbrev", abbrev, "vnAgencyKind", "dept", "vnStatus", "active");
	ENTRY(w, post, "objectClass", "vnPosition", "vnPositionCode", id, "cn", "Văn thư",
	    "vnAgencyRef", code);
	ENTRY(w, holder, "objectClass", "vnFunctionalMailbox", "vnMailboxId", abbrev, "mail", mail,
	    "cn", name, "displayName", name, "vnAgencyRef", code, "vnHolder", post, "vnStatus",
	    "active");
}

void
world_admin(struct world *w)
{
	dir_admin_free(w->a);
	w->a = dir_admin_new(world_conf, w->dir);
	hooks.arg = w;
	dir_admin_set_journal(w->a, &hooks, "tester", "cn=hr,o=x");
}

struct world *
world_new(void)
{
	struct world *w = xcalloc(1, sizeof(*w));

	w->dir = dir_fake_new(BASE);
	w->journal = json_arr_new();
	world_admin(w);
	ENTRY(w, "ou=agencies,o=x", "ou", "agencies");
	ENTRY(w, "ou=people,o=x", "ou", "people", "vnNextId", "100");
	ENTRY(w, "ou=mailboxes,o=x", "ou", "mailboxes");
	ENTRY(w, "ou=groups,o=x", "ou", "groups");
	ENTRY(w, "ou=delegations,o=x", "ou", "delegations");
	agency(w, "H9.1", "Sở Một", "MOT");
	agency(w, "H9.2", "Sở Hai", "HAI");
	person(w, "1", "Trần Văn Bình", "binhtv", "H9.1");
	person(w, "2", "Lê Thị Hoa", "hoalt", "H9.1");
	person(w, "3", "Vũ Hải Đăng", "dangvh", "H9.2");
	ENTRY(w, "cn=ban,ou=groups,o=x", "objectClass", "vnMailGroup", "cn", "ban", "mail",
	    "ban@tinhmau.example", "displayName", "Ban", "vnStatus", "active", "vnAgencyRef",
	    "H9.1", "member", "vnStaffId=1,ou=people,o=x");
	return w;
}

void
world_free(struct world *w)
{
	dir_admin_free(w->a);
	dir_close(w->dir);
	json_free(w->journal);
	free(w);
}

/* ---- looking ---- */

static int
by_text(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

/* Times of this run are not compared. */
static void
mask(char *s)
{
	for (char *p = s; (p = strstr(p, "20")) != NULL; p += 2)
		if (strspn(p, "0123456789") == 14 && strncmp(p, "2020", 4) != 0)
			memset(p, '0', 14);
}

/* All that is there, in order, as one text. */
char *
world_dump(struct world *w)
{
	struct dir_result *r = NULL;
	char **lines = NULL, *text;
	size_t n = 0, len = 1;

	assert_int_equal(dir_search(w->dir, NULL, "(!(x=y))", NULL, 0, &r), 0);
	for (size_t i = 0; i < r->n_entries; i++) {
		for (size_t k = 0; k < r->entries[i].n_attrs; k++) {
			const struct dir_attr *at = &r->entries[i].attrs[k];

			for (size_t v = 0; v < at->n_values; v++) {
				lines = xrealloc(lines, (n + 1) * sizeof(*lines));
				assert_true(asprintf(&lines[n], "%s %s %s\n", r->entries[i].dn,
						at->name, (const char *)at->values[v].ptr) > 0);
				mask(lines[n]);
				len += strlen(lines[n++]);
			}
		}
	}
	dir_result_free(r);
	qsort(lines, n, sizeof(*lines), by_text);
	text = xcalloc(1, len);
	for (size_t i = 0; i < n; i++) {
		memcpy(text + strlen(text), lines[i], strlen(lines[i]) + 1);
		free(lines[i]);
	}
	free(lines);
	return text;
}

bool
world_has(struct world *w, const char *dn, const char *attr, const char *value)
{
	const char *const attrs[] = {attr, NULL};
	struct dir_result *r = NULL;
	bool found = dir_read(w->dir, dn, attrs, &r) == 0 &&
		     (value == NULL ? dir_entry_attr(&r->entries[0], attr) != NULL
				    : dir_entry_has_value(&r->entries[0], attr, slice_str(value)));

	dir_result_free(r);
	return found;
}
