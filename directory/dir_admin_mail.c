/* dir_admin_mail.c: where a person's mail goes on to, and what it is answered while the person is away. Runs in congvu. Each call sets all of it anew:
 * given again with the same it changes nothing. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

enum { FORWARDS_MAX = 10, TEXT_MAX = 8192, SUBJECT_MAX = 200, VALUES_MAX = 16 };

/* The values that attributes of a person shall have: none deletes the attribute. */
struct wanted {
	const char *attr;
	struct slice v[VALUES_MAX];
	size_t n;
};

static int
set_all(struct dir_admin *a, const char *op, const char *who, const struct wanted *w, size_t n,
    enum change *change_out, char **why_out)
{
	struct dir_result *found = NULL;
	struct mods m;
	int err = dir_admin_staff_show(a, who, &found, why_out);

	if (err == 0) /* what people set themselves needs no decision */
		err = admin_begin(a, op, who, admin_no_decision, why_out);
	if (err != 0) {
		dir_result_free(found);
		return err;
	}
	mods_init(&m);
	for (size_t i = 0; i < n; i++)
		m.m[m.n++] = (struct dir_mod){DIR_MOD_REPLACE, w[i].attr, w[i].v, w[i].n};
	err = admin_modify(a, found->entries[0].dn, &m, why_out);
	mods_done(&m);
	dir_result_free(found);
	return admin_end(a, err, false, change_out, why_out);
}

int
dir_admin_forward(struct dir_admin *a, const char *who, const char *const *to, size_t n, bool keep,
    enum change *change_out, char **why_out)
{
	struct wanted w[] = {{.attr = conf_str(a->conf, "dir_attr_forward")},
	    {.attr = conf_str(a->conf, "dir_attr_forward_keep")}};

	if (n > FORWARDS_MAX)
		return admin_fail(
		    why_out, ERR_SYNTAX, "at most %d addresses to forward to", FORWARDS_MAX);
	for (size_t i = 0; i < n; i++) {
		struct slice local, domain;
		if (strlen(to[i]) > 254 || addr_split(slice_str(to[i]), &local, &domain) != 0 ||
		    !addr_domain_ok(domain, false) || local.len == 0)
			return admin_fail(
			    why_out, ERR_SYNTAX, "%s is no address to forward to", to[i]);
		w[0].v[w[0].n++] = slice_str(to[i]);
	}
	if (n > 0)
		w[1].v[w[1].n++] = slice_str(keep ? "TRUE" : "FALSE");
	return set_all(a, "staff forward", who, w, 2, change_out, why_out);
}

int
dir_admin_away(struct dir_admin *a, const char *who, const struct staff_away *p,
    enum change *change_out, char **why_out)
{
	const char *values[] = {p->text, p->subject, p->from, p->until, p->days};
	static const char *const options[] = {"dir_attr_reply_text", "dir_attr_reply_subject",
	    "dir_attr_reply_from", "dir_attr_reply_until", "dir_attr_reply_days"};
	struct wanted w[5] = {{.attr = NULL}};
	uint64_t days;

	if (p->text != NULL && (p->text[0] == '\0' || strlen(p->text) > TEXT_MAX))
		return admin_fail(
		    why_out, ERR_SYNTAX, "the text is empty or longer than %d octets", TEXT_MAX);
	if (p->subject != NULL &&
	    admin_check_text("the subject", p->subject, SUBJECT_MAX, why_out) != 0)
		return ERR_SYNTAX;
	if (p->days != NULL && (slice_to_u64(slice_str(p->days), 30, &days) != 0 || days == 0))
		return admin_fail(why_out, ERR_SYNTAX, "the days between two replies are 1 to 30");
	if (p->from != NULL && p->until != NULL && strcmp(p->from, p->until) >= 0)
		return admin_fail(why_out, ERR_SYNTAX, "it ends before it begins");
	for (size_t i = 0; i < 5; i++) {
		w[i].attr = conf_str(a->conf, options[i]);
		if (p->text != NULL && values[i] != NULL)
			w[i].v[w[i].n++] = slice_str(values[i]);
	}
	return set_all(a, "staff away", who, w, 5, change_out, why_out);
}

int
dir_admin_mail_read(struct dir_admin *a, const char *dn, struct dir_result **out)
{
	static const char *const options[] = {"dir_attr_forward", "dir_attr_forward_keep",
	    "dir_attr_reply_text", "dir_attr_reply_subject", "dir_attr_reply_from",
	    "dir_attr_reply_until", "dir_attr_reply_days"};
	const char *attrs[8] = {NULL};
	size_t n = 0;

	for (size_t i = 0; i < 7; i++) {
		const char *name = conf_str(a->conf, options[i]);

		if (name[0] != '\0')
			attrs[n++] = name;
	}
	if (n == 0) /* a tree without them; an empty list would ask for all */
		attrs[0] = "1.1";
	return dir_read(a->d, dn, attrs, out);
}
