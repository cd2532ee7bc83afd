/* ctl_quarantine.c: `congvu quarantine list|show`: what smtpd-queue holds because a milter said so, with the verdict that the audit log has of it. Runs in
 * congvu. Changes are ctl_quarantine_release.c. */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/ctl_mailbox.h"
#include "admin/ctl_policy.h"
#include "admin/ctl_quarantine.h"
#include "admin/shown.h"
#include "lib/err.h"
#include "lib/log.h"

enum { ASK_MS = 30000, HELD_MAX = 20000 };

/* ---- what is held ---- */

static void
add(void *arg, const struct queue_row *r)
{
	struct held_list *l = arg;
	struct held *h;

	if (l->n == HELD_MAX)
		return;
	if (l->n == l->alloc) {
		l->alloc = l->alloc == 0 ? 64 : 2 * l->alloc;
		l->v = xrealloc(l->v, l->alloc * sizeof *l->v);
	}
	h = &l->v[l->n++];
	*h = (struct held){.id = r->id, .arrived = r->arrived, .size = r->size};
	memcpy(h->qid, r->qid, sizeof h->qid);
	h->n_rcpts = r->env.n_rcpts;
	h->reason = xstrdup(r->env.quarantine);
	h->from = xstrdup(r->env.from);
	h->row = queue_row_json(r);
}

int
held_ask(struct ipc_sync *s, const struct delivery_id *id, enum queue_release what, bool only_look,
    const char *reason, const char *decision, const char *rules, struct json **asked_out)
{
	static const char *const texts[] = {"by", "reason", "decision", "rules"};
	struct buf ask, reply;
	struct ipc_reader in;
	struct json *j = json_obj_new();
	uint16_t type;
	int rc;

	buf_init(&ask, 8192);
	buf_init(&reply, IPC_FRAME_MAX);
	ipc_put_u8(&ask, (uint8_t)what);
	ipc_put_u8(&ask, only_look);
	delivery_id_put(&ask, id);
	ipc_put_str(&ask, ctl_actor());
	ipc_put_str(&ask, reason != NULL ? reason : "");
	ipc_put_str(&ask, decision != NULL ? decision : "");
	ipc_put_str(&ask, rules != NULL ? rules : "");
	rc = ask.err != 0 ? ERR_LIMIT
			  : ipc_sync_call(s, QUEUE_RELEASE, &ask, -1, ASK_MS, &type, &reply, NULL);
	ipc_reader_init(&in, buf_slice(&reply));
	for (size_t i = 0; rc == 0 && i < sizeof texts / sizeof texts[0]; i++)
		json_set_slice(j, texts[i], ipc_get_slice(&in));
	if (rc == 0) {
		json_set_int(j, "at", ipc_get_i64(&in) / 1000);
		json_set_slice(j, "confirmed_by", ipc_get_slice(&in));
		json_set_slice(j, "refused", ipc_get_slice(&in));
		rc = ipc_reader_end(&in);
	}
	buf_done(&ask);
	buf_done(&reply);
	if (rc == 0 && asked_out != NULL && json_str(json_get(j, "by")).len > 0)
		*asked_out = json_share(j);
	json_free(j);
	return rc;
}

int
held_read(struct ctl *c, struct ipc_sync *s, const char *qid, struct held_list *out)
{
	char *qids[2] = {qid != NULL ? xstrdup(qid) : NULL, NULL};
	const struct queue_filter f = {.qids = qids, .state = "quarantine"};
	int rc;

	*out = (struct held_list){.n = 0};
	rc = queue_each(s, &f, add, out);
	free(qids[0]);
	for (size_t i = 0; rc == 0 && i < out->n; i++) {
		rc = held_ask(
		    s, &out->v[i].id, QUEUE_RELEASE_SHOW, true, NULL, NULL, NULL, &out->v[i].asked);
		if (rc == ERR_NOTFOUND) /* it went meanwhile */
			rc = 0;
	}
	if (rc != 0)
		return queue_fail(c, rc);
	if (qid != NULL && out->n == 0)
		return ctl_fail(c, EX_NOUSER, _("the quarantine has no %s"), qid);
	return 0;
}

void
held_done(struct held_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].reason);
		free(l->v[i].from);
		json_free(l->v[i].row);
		json_free(l->v[i].asked);
	}
	free(l->v);
}

struct slice
held_rule(const struct held *h)
{
	size_t n = strcspn(h->reason, " ");

	/* "P23 ...", "A-021 ...": our filter's words begin with the rule, those of others do not */
	if (n == 0 || n > 32 || strstr(h->reason, "[ticket ") == NULL ||
	    !isupper((unsigned char)h->reason[0]))
		return slice_str("");
	return slice_of(h->reason, n);
}

/* The log's word on each. records of mails[i] belong to held i. */
static int
gather(struct ctl *c, const struct held_list *l, struct trace_mail **out)
{
	struct trace_mail *mails = xcalloc(l->n + 1, sizeof *mails);
	int64_t oldest = 0;
	char since[TRACE_TIME_LEN + 1] = "";
	struct tm tm;
	time_t at;
	int rc = 0;

	for (size_t i = 0; i < l->n; i++) {
		(void)trace_group(slice_str(l->v[i].qid), mails[i].group);
		if (oldest == 0 || l->v[i].arrived < oldest)
			oldest = l->v[i].arrived;
	}
	at = (time_t)(oldest / 1000);
	gmtime_r(&at, &tm);
	strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%S", &tm);
	if (l->n > 0)
		rc = trace_gather(c, mails, l->n, since);
	*out = mails;
	return rc;
}

static void
mails_free(struct trace_mail *mails, size_t n)
{
	for (size_t i = 0; i < n; i++)
		json_free(mails[i].records);
	free(mails);
}

/* ---- list ---- */

static struct slice
agency_of(const struct json *verdict)
{
	return json_str(json_at(json_get(json_get(verdict, "facts"), "agencies"), 0));
}

static const char *
age(int64_t arrived_ms)
{
	static char text[32];
	long long s = (long long)time(NULL) - (long long)(arrived_ms / 1000);

	if (s < 0)
		s = 0;
	if (s >= 86400)
		snprintf(text, sizeof text, "%lldd %lldh", s / 86400, s % 86400 / 3600);
	else
		snprintf(text, sizeof text, "%lldh %02lldm", s / 3600, s % 3600 / 60);
	return text;
}

static struct json *
held_json(const struct held *h, const struct json *verdict)
{
	struct json *j = json_share(h->row);

	json_set_slice(j, "rule", held_rule(h));
	json_set_slice(j, "agency", agency_of(verdict));
	json_set_str(j, "ticket", h->qid);
	json_set_int(j, "age_s", (int64_t)time(NULL) - h->arrived / 1000);
	json_set_take(j, "release", h->asked != NULL ? json_share(h->asked) : NULL);
	return j;
}

static void
print_asked(const struct json *a)
{
	const char *refused = json_cstr(json_get(a, "refused"));
	bool confirmed = json_str(json_get(a, "confirmed_by")).len > 0;

	if (!confirmed) {
		printf("    %s ", _("release requested by"));
		shown_print(json_str(json_get(a, "by")), SHOWN_TEXT);
		printf(", %s: ", mailbox_when(json_int(json_get(a, "at"), 0)));
		shown_print(json_str(json_get(a, "reason")), SHOWN_TEXT);
		printf("\n");
	}
	if (*refused != '\0') {
		printf("    %s ", _("the policy refused an earlier release:"));
		shown_print(slice_str(refused), SHOWN_TEXT);
		printf("\n");
	}
}

static void
print_held(const struct held *h, const struct json *verdict)
{
	struct slice rule = held_rule(h), agency = agency_of(verdict);

	printf("%s  ", h->qid);
	shown_print(rule.len > 0 ? rule : slice_str("-"), SHOWN_LATIN);
	printf("  ");
	shown_print(agency.len > 0 ? agency : slice_str("-"), SHOWN_LATIN);
	printf(_("  held for %s, from "), age(h->arrived));
	shown_print(slice_str(h->from[0] != '\0' ? h->from : "<>"), SHOWN_LATIN);
	printf(_(" to %u recipients, %llu octets\n    "), h->n_rcpts, (unsigned long long)h->size);
	shown_print(slice_str(h->reason), SHOWN_TEXT);
	printf("\n");
	if (h->asked != NULL)
		print_asked(h->asked);
}

static int
list(struct ctl *c, struct ipc_sync *s)
{
	struct json *out = c->json ? json_arr_new() : NULL;
	struct trace_mail *mails = NULL;
	struct held_list l;
	int rc = held_read(c, s, NULL, &l);

	if (rc == 0) /* without the log there is still the queue's word */
		(void)gather(c, &l, &mails);
	for (size_t i = 0; rc == 0 && i < l.n; i++) {
		const struct json *v = trace_verdict(&mails[i], l.v[i].qid);

		if (out != NULL)
			json_push_take(out, held_json(&l.v[i], v));
		else
			print_held(&l.v[i], v);
	}
	if (rc == 0 && out == NULL && l.n == 0)
		printf("%s\n", _("Nothing is in the quarantine."));
	if (mails != NULL)
		mails_free(mails, l.n);
	held_done(&l);
	if (rc != 0 || out == NULL) {
		json_free(out);
		return rc;
	}
	return ctl_json_take(out, EX_OK);
}

/* ---- show ---- */

static void
explain(struct slice rule, struct json *out)
{
	ptrdiff_t i = rule_index(rule);
	struct json *o;

	if (i < 0)
		return;
	o = json_obj_new();
	json_set_str(o, "rule", rule_table[i].id);
	json_set_str(o, "vi", rule_table[i].vi);
	json_set_str(o, "en", rule_table[i].en);
	json_push_take(out, o);
}

static struct json *
explanations(const struct held *h, const struct json *verdict)
{
	struct json *out = json_arr_new();
	const struct json *f = json_get(verdict, "findings");

	explain(held_rule(h), out);
	for (size_t i = 0; i < json_len(f); i++)
		if (json_get(json_at(f, i), "mode") != NULL)
			explain(json_str(json_get(json_at(f, i), "id")), out);
	return out;
}

static int
show(struct ctl *c, struct ipc_sync *s, const char *qid)
{
	struct trace_mail *mails = NULL;
	struct held_list l;
	struct json *j, *e;
	const struct json *v;
	int rc = held_read(c, s, qid, &l);

	if (rc == 0) {
		int log_rc = gather(c, &l, &mails);

		v = trace_verdict(&mails[0], qid);
		e = explanations(&l.v[0], v);
		if (c->json) {
			j = held_json(&l.v[0], v);
			json_set_take(j, "explanations", e);
			json_set_take(j, "way", trace_json(&mails[0]));
			rc = ctl_json_take(j, EX_OK);
		} else {
			print_held(&l.v[0], v);
			for (size_t i = 0; i < json_len(e); i++)
				printf("    %s  %s\n         %s\n",
				    json_cstr(json_get(json_at(e, i), "rule")),
				    json_cstr(json_get(json_at(e, i), "vi")),
				    json_cstr(json_get(json_at(e, i), "en")));
			json_free(e);
			trace_print(&mails[0], true);
		}
		if (log_rc != 0)
			rc = ctl_fail(c, log_rc, "%s",
			    _("the audit log cannot be read: this is the queue's word alone"));
	}
	if (mails != NULL)
		mails_free(mails, l.n);
	held_done(&l);
	return rc;
}

int
ctl_quarantine(struct ctl *c, int argc, char **argv)
{
	const char *verb = argc >= 2 ? argv[1] : "";
	struct ipc_sync *s;
	char *dir = conf_path(c->conf, "run_dir");
	int code;

	/* the name of a socket has 107 bytes at most, wherever the instance lies; the log's path is the configuration's own */
	if (chdir(dir) != 0) {
		code = ctl_fail(
		    c, EX_UNAVAILABLE, _("%s is not there: the suite was never started"), dir);
		free(dir);
		return code;
	}
	free(dir);
	s = ipc_sync_new("queue.admin.sock", &queue_proto, IPC_ADMIN);
	if (argc == 2 && strcmp(verb, "list") == 0)
		code = list(c, s);
	else if (argc == 3 && strcmp(verb, "show") == 0)
		code = show(c, s, argv[2]);
	else if (strcmp(verb, "release") == 0)
		code = quarantine_release(c, s, argc - 1, argv + 1);
	else if (strcmp(verb, "delete") == 0)
		code = quarantine_delete(c, s, argc - 1, argv + 1);
	else
		code = ctl_usage(c, "%s", _("one of list, show QID, release QID, delete QID"));
	ipc_sync_free(s);
	return code;
}
