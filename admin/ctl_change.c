/* ctl_change.c: ctl_change.h. Runs in congvu. */
#include "config.h"

#include "admin/ctl_change.h"

#include "admin/ctl_mailbox.h"
#include "admin/ctl_table.h"
#include "admin/dir_journal.h"
#include "directory/assignment.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void
ctl_change_journal(struct ctl *c, struct ctl_dir *d)
{
	char *path = conf_path(c->conf, "directory_journal");

	d->journal = dir_journal_new(path);
	free(path);
	dir_admin_set_journal(d->admin, dir_journal_hooks(d->journal), ctl_actor(), d->as);
}

int
ctl_change_open(struct ctl *c, const struct change_args *a, struct ctl_dir *out)
{
	int rc = ctl_dir_open(c, a->bind_dn, a->bind_password_file, out);

	if (rc != 0)
		return rc;
	dir_admin_set_dry_run(out->admin, a->dry_run);
	ctl_change_journal(c, out);
	return 0;
}

void
ctl_change_json(
    const struct change_args *a, const struct ctl_dir *d, enum change change, struct json *j)
{
	const struct json *list = dir_admin_changes(d->admin);
	struct json *copy = json_arr_new();

	for (size_t i = 0; i < json_len(list); i++)
		json_push_take(copy, json_share(json_at(list, i)));
	json_set_str(j, "result", change_name(change));
	json_set_bool(j, "dry_run", a->dry_run);
	json_set_take(j, "changes", copy);
}

static void
print_values(const char *sign, const char *attr, const struct json *values)
{
	struct buf b;

	for (size_t i = 0; i < json_len(values); i++) {
		const struct json *v = json_at(values, i);

		buf_init(&b, 1 << 20);
		ctl_shown(
		    json_kind(v) == JSON_T_STR ? json_str(v) : json_str(json_get(v, "base64")), &b);
		if (b.len > 200) {
			buf_truncate(&b, 200);
			while (b.len > 0 && (b.data[b.len - 1] & 0xc0) == 0x80)
				buf_truncate(&b, b.len - 1);
			buf_append_str(&b, "…");
		}
		printf("    %s %s: %s\n", sign, attr,
		    strcmp(buf_cstr(&b), DIR_SECRET) == 0 ? _("(secret)") : buf_cstr(&b));
		buf_done(&b);
	}
}

void
ctl_change_print(const struct change_args *a, const struct ctl_dir *d)
{
	const struct json *list = dir_admin_changes(d->admin);

	for (size_t i = 0; a->dry_run && i < json_len(list); i++) {
		const struct json *w = json_at(list, i), *attrs = json_get(w, "attributes");
		const char *to = json_cstr(json_get(w, "new_parent"));

		printf("  %s %s%s%s\n", _(json_cstr(json_get(w, "write"))),
		    json_cstr(json_get(w, "dn")), *to == '\0' ? "" : " -> ", to);
		for (size_t k = 0; k < json_len(attrs); k++) {
			const struct json *one = json_at(attrs, k);
			const char *attr = json_cstr(json_get(one, "attr"));

			print_values("-", attr, json_get(one, "removed"));
			print_values("+", attr, json_get(one, "added"));
		}
	}
}

const char *
ctl_change_dry(const struct change_args *a, enum change change)
{
	return a->dry_run && change != CHANGE_NONE ? _(" (dry run: nothing was written)") : "";
}

int
ctl_change_told(struct ctl *c, const struct change_args *a, struct ctl_dir *d, const char *target,
    int err, enum change change, char *why, struct json *extra)
{
	if (err != 0) {
		json_free(extra);
		return ctl_dir_fail(c, target, err, why);
	}
	if (c->json) {
		if (extra == NULL)
			extra = json_obj_new();
		json_set_str(extra, "target", target);
		ctl_change_json(a, d, change, extra);
		return ctl_json_take(extra, 0);
	}
	json_free(extra);
	printf("%s: %s%s\n", target, _(change_name(change)), ctl_change_dry(a, change));
	ctl_change_print(a, d);
	return 0;
}

int
ctl_listed(
    struct ctl *c, struct json *list, struct ctl_table *t, const char *what, int err, char *why)
{
	if (err == 0 && c->json) {
		ctl_table_free(t);
		return ctl_json_take(list, 0);
	}
	json_free(list);
	if (err == 0 && ctl_table_is_empty(t))
		printf("%s\n", _("none"));
	if (err == 0)
		ctl_table_print_take(t);
	else
		ctl_table_free(t);
	return err == 0 ? 0 : ctl_dir_fail(c, what, err, why);
}

size_t
ctl_split(const char *list, const char **v, size_t max, char **text_out)
{
	char *rest = xstrdup(list == NULL ? "" : list), *word;
	size_t n = 0;

	*text_out = rest;
	while ((word = strsep(&rest, ",")) != NULL && n < max)
		if (*word != '\0')
			v[n++] = word;
	return n;
}

struct json *
ctl_values_json(const struct dir_entry *e, const char *attr)
{
	const struct dir_attr *at = dir_entry_attr(e, attr);
	struct json *list = json_arr_new();

	for (size_t i = 0; at != NULL && i < at->n_values; i++)
		json_push_take(list, json_str_new(at->values[i]));
	return list;
}

const char *
ctl_status_word(const struct dir_entry *e)
{
	static const char *const words[] = {
	    N_("active"), N_("closed"), N_("suspended"), N_("retired")};
	const char *status = ctl_value(e, "vnStatus");

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(status, words[i]) == 0)
			return _(words[i]);
	return status;
}

/* A GeneralizedTime in UTC. */
static bool
time_of(const char *text, time_t *out)
{
	struct tm tm = {.tm_isdst = -1};
	const char *end = strptime(text, "%Y%m%d%H%M%S", &tm);

	if (end == NULL || strcmp(end, "Z") != 0)
		return false;
	*out = timegm(&tm);
	return true;
}

const char *
ctl_until(const char *text)
{
	static char out[40];
	struct tm tm;
	time_t t;

	/* 20270101: what other tools write, the first day of no more */
	if (strlen(text) == 8)
		t = (time_t)assignment_time(slice_str(text));
	else if (!time_of(text, &t))
		t = 0;
	if (t == 0 || localtime_r(&t, &tm) == NULL || tm.tm_hour + tm.tm_min + tm.tm_sec != 0)
		return ctl_when(text);
	t--;
	if (localtime_r(&t, &tm) == NULL || strftime(out, sizeof(out), "%Y-%m-%d", &tm) == 0)
		return ctl_when(text);
	return out;
}

const char *
ctl_when(const char *text)
{
	static char out[40];
	struct tm tm;
	time_t t;

	if (time_of(text, &t)) {
		if (localtime_r(&t, &tm) != NULL &&
		    strftime(out, sizeof(out), "%Y-%m-%d %H:%M", &tm) > 0)
			return out;
	}
	if (strlen(text) == 8 && strspn(text, "0123456789") == 8) {
		snprintf(out, sizeof(out), "%.4s-%.2s-%.2s", text, text + 4, text + 6);
		return out;
	}
	snprintf(out, sizeof(out), "%.39s", text);
	return out;
}
