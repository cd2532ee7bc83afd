/* ctl_staff_mail.c: `congvu staff forward` and `congvu staff away`: where a person's mail goes on to, and the automatic reply. Runs in congvu. */
#include "config.h"

#include "admin/ctl.h"
#include "admin/ctl_staff.h"

#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { ADDRESSES_MAX = 20, TEXT_FILE_MAX = 65536 };

static int
told(struct ctl *c, const char *who, enum change change)
{
	struct json *j;

	if (!c->json) {
		printf("%s: %s\n", who, change_name(change));
		return 0;
	}
	j = json_obj_new();
	json_set_str(j, "who", who);
	json_set_str(j, "result", change_name(change));
	return ctl_json_take(j, 0);
}

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
