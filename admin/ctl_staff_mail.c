/* ctl_staff_mail.c: `congvu staff forward` and `congvu staff away`: where a person's mail goes on to, and the automatic reply. Runs in congvu. */
#include "config.h"

#include "admin/ctl.h"
#include "admin/ctl_change.h"
#include "admin/ctl_staff.h"

#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>

enum { ADDRESSES_MAX = 20, TEXT_FILE_MAX = 65536 };

static int
told(struct ctl *c, const char *who, enum change change)
{
	struct json *j;

	if (!c->json) {
		printf("%s: %s\n", who, _(change_name(change)));
		return 0;
	}
	j = json_obj_new();
	json_set_str(j, "who", who);
	json_set_str(j, "result", change_name(change));
	return ctl_json_take(j, 0);
}

/* Whether the option forward_to lets mail go there. */
static bool
is_let_out(const struct ctl *c, const char *address)
{
	const char *policy = conf_str(c->conf, "forward_to"), *domain = strrchr(address, '@');

	if (strcmp(policy, "own") != 0 || domain == NULL)
		return strcmp(policy, "any") == 0;
	for (size_t i = 0; i < conf_list_len(c->conf, "domains"); i++)
		if (strcasecmp(domain + 1, conf_list_item(c->conf, "domains", i)) == 0)
			return true;
	return false;
}

/* ---- what is set ---- */

static const struct dir_attr *
attr_of(const struct ctl *c, const struct dir_entry *e, const char *option)
{
	const char *name = conf_str(c->conf, option);

	return name[0] == '\0' ? NULL : dir_entry_attr(e, name);
}

static const char *
value_of(const struct ctl *c, const struct dir_entry *e, const char *option)
{
	const struct dir_attr *at = attr_of(c, e, option);

	return at == NULL || at->n_values == 0 ? "" : (const char *)at->values[0].ptr;
}

/* GeneralizedTime as a day and a time here. */
static const char *
when(const char *text, char out[40])
{
	struct tm tm = {0};
	time_t t;

	if (strptime(text, "%Y%m%d%H%M%SZ", &tm) == NULL)
		return text;
	t = timegm(&tm);
	if (localtime_r(&t, &tm) == NULL || strftime(out, 40, "%Y-%m-%d %H:%M", &tm) == 0)
		return text;
	return out;
}

static void
show_lines(const struct ctl *c, const struct dir_entry *e, bool keep)
{
	const struct dir_attr *to = attr_of(c, e, "dir_attr_forward");
	const char *text = value_of(c, e, "dir_attr_reply_text"),
		   *from = value_of(c, e, "dir_attr_reply_from"),
		   *until = value_of(c, e, "dir_attr_reply_until");
	char day_from[40];

	for (size_t i = 0; to != NULL && i < to->n_values; i++) {
		const char *address = (const char *)to->values[i].ptr;

		printf("  ");
		ctl_label(_("forward"), 15);
		printf("%s (%s)\n", address,
		    !is_let_out(c, address) ? _("stays in the mailbox: forward_to forbids it")
		    : keep                  ? _("a copy stays")
					    : _("no copy stays"));
	}
	if (text[0] == '\0')
		return;
	printf("  ");
	ctl_label(_("away"), 15);
	if (from[0] != '\0')
		printf("%s %s ", _("from"), when(from, day_from));
	if (until[0] != '\0')
		printf("%s %s ", _("until"), ctl_until(until));
	printf("\"%.*s\"\n", (int)strcspn(text, "\r\n"), text);
}

int
ctl_staff_mail_show(struct ctl *c, struct ctl_dir *d, const char *dn, struct json *j)
{
	struct dir_result *r = NULL;
	const struct dir_entry *e;
	const struct dir_attr *to;
	struct json *list, *away;
	int err = dir_admin_mail_read(d->admin, dn, &r);
	bool keep;

	if (err != 0)
		return err;
	e = &r->entries[0];
	keep = strcasecmp(value_of(c, e, "dir_attr_forward_keep"), "FALSE") != 0;
	if (j == NULL) {
		show_lines(c, e, keep);
	} else {
		list = json_arr_new();
		away = json_obj_new();
		to = attr_of(c, e, "dir_attr_forward");
		for (size_t i = 0; to != NULL && i < to->n_values; i++)
			json_push_take(list, json_str_new(to->values[i]));
		json_set_take(j, "forward", list);
		json_set_bool(j, "forward_copy", keep);
		json_set_str(away, "text", value_of(c, e, "dir_attr_reply_text"));
		json_set_str(away, "subject", value_of(c, e, "dir_attr_reply_subject"));
		json_set_str(away, "from", value_of(c, e, "dir_attr_reply_from"));
		json_set_str(away, "until", value_of(c, e, "dir_attr_reply_until"));
		json_set_str(away, "days", value_of(c, e, "dir_attr_reply_days"));
		json_set_take(j, "away", away);
	}
	dir_result_free(r);
	return 0;
}

/* ---- setting it ---- */

int
ctl_staff_forward(struct ctl *c, struct ctl_dir *d, const struct staff_mail_args *a)
{
	const char *to[ADDRESSES_MAX];
	char *list = strdup(a->to == NULL ? "" : a->to), *rest = list, *word, *why = NULL;
	enum change change = CHANGE_NONE;
	size_t n = 0;
	int err;

	if (list == NULL || a->off == (a->to != NULL)) {
		free(list);
		return ctl_usage(c, "%s", _("forward: --to ADDRESS,... or --off"));
	}
	while ((word = strsep(&rest, ",")) != NULL && n < ADDRESSES_MAX)
		if (*word != '\0')
			to[n++] = word;
	err = dir_admin_forward(d->admin, a->who, to, n, !a->no_copy, &change, &why);
	for (size_t i = 0; err == 0 && i < n; i++)
		if (!is_let_out(c, to[i]))
			fprintf(stderr,
			    _("congvu staff: %s: forward_to = %s in congvu.conf lets no mail go "
			      "there: it stays in the mailbox\n"),
			    to[i], conf_str(c->conf, "forward_to"));
	free(list);
	return err != 0 ? ctl_dir_fail(c, a->who, err, why) : told(c, a->who, change);
}

/* A day here, "2026-11-30", as GeneralizedTime; its end with more = 1. */
static int
day(const char *text, int more, char out[20])
{
	struct tm tm = {.tm_isdst = -1};
	const char *end = strptime(text, "%Y-%m-%d", &tm);

	if (end == NULL || *end != '\0')
		return ERR_SYNTAX;
	tm.tm_mday += more;
	time_t t = mktime(&tm);
	if (t == (time_t)-1 || gmtime_r(&t, &tm) == NULL ||
	    strftime(out, 20, "%Y%m%d%H%M%SZ", &tm) == 0)
		return ERR_SYNTAX;
	return 0;
}

int
ctl_staff_away(struct ctl *c, struct ctl_dir *d, const struct staff_mail_args *a)
{
	char from[20], until[20], *why = NULL;
	struct staff_away p = {.subject = a->subject, .days = a->days};
	enum change change = CHANGE_NONE;
	struct buf text;
	int rc = 0, err;

	if (a->off == (a->text_file != NULL))
		return ctl_usage(c, "%s", _("away: --text-file FILE or --off"));
	if ((a->from != NULL && day(a->from, 0, from) != 0) ||
	    (a->until != NULL && day(a->until, 1, until) != 0))
		return ctl_usage(c, "%s", _("away: --from and --until are days: 2026-11-30"));
	p.from = a->from == NULL ? NULL : from;
	p.until = a->until == NULL ? NULL : until;
	buf_init(&text, TEXT_FILE_MAX);
	if (!a->off)
		rc = ctl_read_file(c, a->text_file, TEXT_FILE_MAX, &text);
	if (rc == 0) {
		while (text.len > 0 && text.data[text.len - 1] == '\n')
			text.len--;
		p.text = a->off ? NULL : buf_cstr(&text);
		err = dir_admin_away(d->admin, a->who, &p, &change, &why);
		rc = err != 0 ? ctl_dir_fail(c, a->who, err, why) : told(c, a->who, change);
	}
	buf_done(&text);
	return rc;
}
