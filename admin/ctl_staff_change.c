/* ctl_staff_change.c: `congvu staff transfer|second|return|freeze|unfreeze|leave`. Runs in congvu. */
#include "config.h"

#include "admin/ctl.h"
#include "admin/ctl_staff.h"
#include "admin/ctl_table.h"

#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Certificates name the agency and the address: who changes either has to have them amended (NĐ 68/2024, article 15). */
static void
tell_certificates(struct ctl *c, struct ctl_dir *d, const char *who, struct json *j)
{
	const struct dir_attr *certs;
	struct dir_result *r = NULL;
	char *why = NULL;
	size_t n = 0;

	if (dir_admin_staff_show(d->admin, who, &r, &why) == 0) {
		certs = dir_entry_attr(&r->entries[0], "userCertificate;binary");
		n = certs == NULL ? 0 : certs->n_values;
	}
	if (n > 0 && !c->json)
		fprintf(stderr,
		    _("congvu staff: %s has %zu certificates: where they name the agency or the "
		      "address, they must be amended\n"),
		    who, n);
	json_set_int(j, "certificates_to_amend", (int64_t)n);
	dir_result_free(r);
	free(why);
}

/* ---- what ends and what stays ---- */

static const struct {
	const char *what, *label;
} effect_labels[] = {{"post", N_("post")}, {"mailbox", N_("mailbox")}, {"group", N_("group")},
    {"delegation-given", N_("delegation to")}, {"delegation-taken", N_("delegation from")},
    {"officer", N_("officer's account")}, {"reading", N_("reading the own mail")}};

static struct buf *
comma(struct buf *b)
{
	if (b->len > 0)
		buf_append_str(b, ", ");
	return b;
}

/* Rights, days, what a mailbox is held through, and a post that is left without anybody. */
static void
effect_detail(const struct json *e, const char *verb, struct buf *b)
{
	const char *until = json_cstr(json_get(e, "until")),
		   *through = json_cstr(json_get(e, "through"));
	bool ends = strcmp(json_cstr(json_get(e, "fate")), "ends") == 0;

	buf_append_str(b, json_cstr(json_get(e, "rights")));
	if (*until != '\0')
		buf_appendf(comma(b), _("until %s"), ctl_until(until));
	if (*through != '\0')
		buf_appendf(comma(b), _("through the post %s"), through);
	/* a post stays with who is frozen, and nobody acts in it */
	if (json_bool(json_get(e, "alone")) && (ends || strcmp(verb, "freeze") == 0))
		buf_append_str(comma(b), _("nobody else holds it: congvu post assign"));
}

/* Each thing on a line, what ends first. */
static void
print_effects(const struct json *effects, const char *verb)
{
	static const struct {
		const char *fate, *label;
	} fates[] = {{"ends", N_("  ends")}, {"stays", N_("  stays")}, {"begins", N_("  begins")}};
	struct ctl_table *t = ctl_table_new(4);

	for (size_t f = 0; f < 3; f++)
		for (size_t i = 0; i < json_len(effects); i++) {
			const struct json *e = json_at(effects, i);
			const char *what = json_cstr(json_get(e, "what")), *label = what;
			struct buf b;

			if (strcmp(json_cstr(json_get(e, "fate")), fates[f].fate) != 0)
				continue;
			for (size_t k = 0; k < sizeof(effect_labels) / sizeof(effect_labels[0]);
			     k++)
				if (strcmp(what, effect_labels[k].what) == 0)
					label = _(effect_labels[k].label);
			buf_init(&b, 4096);
			effect_detail(e, verb, &b);
			ctl_table_cell(t, _(fates[f].label));
			ctl_table_cell(t, label);
			ctl_table_cell(t, json_cstr(json_get(e, "name")));
			ctl_table_cell(t, buf_cstr(&b));
			buf_done(&b);
		}
	ctl_table_print_take(t);
}

/* Until when who has left still reads the own mail; "": not at all. */
static const char *
reads_until(const struct json *effects)
{
	for (size_t i = 0; i < json_len(effects); i++)
		if (strcmp(json_cstr(json_get(json_at(effects, i), "what")), "reading") == 0)
			return json_cstr(json_get(json_at(effects, i), "until"));
	return "";
}

static struct json *
effects_json(const struct json *effects)
{
	struct json *list = json_arr_new();

	for (size_t i = 0; i < json_len(effects); i++)
		json_push_take(list, json_share(json_at(effects, i)));
	return list;
}

static int
change(struct ctl_dir *d, const struct staff_change_args *a, const char *decision,
    enum change *change_out, char **why)
{
	const struct staff_transfer t = {a->agency, a->title, a->role, a->mail, decision};
	const struct staff_second s = {a->agency, a->from, a->until, decision, a->concurrent};

	if (strcmp(a->verb, "transfer") == 0)
		return dir_admin_transfer(d->admin, a->who, &t, change_out, why);
	if (strcmp(a->verb, "second") == 0)
		return dir_admin_second(d->admin, a->who, &s, change_out, why);
	if (strcmp(a->verb, "return") == 0)
		return dir_admin_return(d->admin, a->who, a->agency, decision, change_out, why);
	if (strcmp(a->verb, "leave") == 0)
		return dir_admin_leave(d->admin, a->who, a->read_until, decision, change_out, why);
	return dir_admin_freeze(
	    d->admin, a->who, strcmp(a->verb, "freeze") == 0, decision, change_out, why);
}

int
ctl_staff_change(struct ctl *c, struct ctl_dir *d, const struct staff_change_args *a)
{
	const char *decision = a->change->decision == NULL ? "" : a->change->decision;
	bool transfer = strcmp(a->verb, "transfer") == 0, leave = strcmp(a->verb, "leave") == 0;
	enum change result = CHANGE_NONE;
	struct json *j;
	char *why = NULL;
	int err, rc;

	if (transfer && a->agency == NULL && a->title == NULL && a->role == NULL && a->mail == NULL)
		return ctl_usage(c, "%s", _("transfer: --agency, --title, --role or --mail"));
	err = change(d, a, decision, &result, &why);
	j = json_obj_new();
	if (err == 0 && transfer && result != CHANGE_NONE)
		tell_certificates(c, d, a->who, j);
	if (err == 0)
		json_set_take(j, "effects", effects_json(dir_admin_effects(d->admin)));
	if (err == 0 && leave)
		json_set_str(j, "read_until", reads_until(dir_admin_effects(d->admin)));
	rc = ctl_change_told(c, a->change, d, a->who, err, result, why, j);
	if (rc == 0 && !c->json)
		print_effects(dir_admin_effects(d->admin), a->verb);
	if (rc == 0 && !c->json && leave && *reads_until(dir_admin_effects(d->admin)) == '\0')
		printf("%s\n", _("  the own mail is not read any more"));
	return rc;
}
