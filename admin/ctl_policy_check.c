/* ctl_policy_check.c: `congvu policy check FILE` and `congvu policy test FILE`: compiles a policy, says what officers should know of it, and runs the
 * tests in it: each message through the real scanner, the rules and the policy, offline, in congvu-milter-judge (its own process, user and sandbox). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/ctl_policy.h"
#include "admin/judge_run.h"
#include "lib/err.h"
#include "lib/log.h"

enum { RESULT_MAX = 1 << 20, SOON_DAYS = 30, DAY = 86400 };

/* ---- the judge ---- */

struct json *
policy_judge(
    struct ctl *c, struct slice text, int message_fd, const struct json *params, const char **why)
{
	int policy_fd = judge_memory_file(text), params_fd = -1;
	struct json *rec = NULL;
	struct buf b;

	buf_init(&b, RESULT_MAX + 131072);
	if (json_canonical(params, &b) == 0)
		params_fd = judge_memory_file(buf_slice(&b));
	buf_reset(&b);
	*why = _("congvu-milter-judge cannot be started");
	if (policy_fd >= 0 && params_fd >= 0) {
		const struct judge_input in[] = {
		    {"message", message_fd}, {"policy", policy_fd}, {"params", params_fd}};

		if (judge_run(c, in, 3, &b, why) == 0 && json_parse(buf_slice(&b), &rec) != 0)
			rec = NULL;
	}
	if (policy_fd >= 0)
		close(policy_fd);
	if (params_fd >= 0)
		close(params_fd);
	buf_done(&b);
	return rec;
}

/* ---- tests ---- */

static struct json *
params_of(const struct policy_test *t)
{
	struct json *o = json_obj_new(), *to = json_arr_new();

	json_set_slice(o, "as", t->as);
	json_set_slice(o, "agency", t->agency);
	json_set_bool(o, "office", t->office);
	json_set_bool(o, "outside", t->outside);
	for (size_t i = 0; i < t->to.n; i++)
		json_push_take(to, json_str_new(t->to.v[i]));
	json_set_take(o, "to", to);
	return o;
}

/* "note R": R is among the findings, in whatever mode; else action and, when named, the rule that decided. */
static bool
as_expected(const struct policy_test *t, const struct json *rec)
{
	const struct json *decision = json_get(rec, "decision"), *list = json_get(rec, "findings");
	bool noted = false;

	for (size_t i = 0; i < json_len(list); i++)
		noted =
		    noted || slice_eq(json_str(json_get(json_at(list, i), "id")), t->expect_rule);
	if (t->expect == POLICY_NOTE)
		return noted;
	if (!slice_eq_str(json_str(json_get(decision, "action")), policy_action_name(t->expect)))
		return false;
	/* accepted for a rule of the policy's: it is among the findings */
	if (t->expect == POLICY_ACCEPT)
		return t->expect_rule.len == 0 || noted;
	return t->expect_rule.len == 0 ||
	       slice_caseeq(json_str(json_get(decision, "rule")), t->expect_rule);
}

/* Relative to the policy's own folder. */
static int
open_message(const char *file, struct slice name)
{
	const char *slash = strrchr(file, '/');
	char *path = NULL;
	struct stat st;
	int fd;

	if (asprintf(&path, "%.*s%.*s",
		name.ptr[0] == '/' || slash == NULL ? 0 : (int)(slash - file + 1), file,
		(int)name.len, (const char *)name.ptr) < 0)
		fatal("out of memory");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		fd = -1;
		errno = EINVAL;
	}
	free(path);
	return fd;
}

static void
tell_test(struct ctl *c, const struct policy *p, const struct policy_test *t,
    const struct json *rec, const char *why, bool ok, struct json *list)
{
	const struct json *decision = json_get(rec, "decision");
	struct json *o;

	if (list != NULL) {
		o = json_obj_new();
		json_set_slice(o, "file", t->file);
		json_set_int(o, "line", t->pos.line);
		json_set_bool(o, "ok", ok);
		json_set_str(o, "expected", policy_action_name(t->expect));
		json_set_slice(o, "expected_rule", t->expect_rule);
		json_set_str(o, "action", json_cstr(json_get(decision, "action")));
		json_set_str(o, "rule", json_cstr(json_get(decision, "rule")));
		json_set_str(o, "detail", json_cstr(json_get(decision, "detail")));
		json_set_str(o, "why", rec == NULL ? why : NULL);
		json_push_take(list, o);
	}
	if (c->json)
		return;
	ctl_label(ok ? _("ok") : _("FAILED"), 6);
	printf(" %.*s:%u ", (int)p->file.len, (const char *)p->file.ptr, t->pos.line);
	policy_print_clean(t->file);
	if (rec == NULL)
		printf(": %s", why);
	else if (ok)
		printf(": %s %s", json_cstr(json_get(decision, "action")),
		    json_cstr(json_get(decision, "rule")));
	else
		printf(_(": expected %s %.*s, found %s %s (%s)"), policy_action_name(t->expect),
		    (int)t->expect_rule.len, (const char *)t->expect_rule.ptr,
		    json_cstr(json_get(decision, "action")), json_cstr(json_get(decision, "rule")),
		    json_cstr(json_get(decision, "detail")));
	putchar('\n');
}

int
policy_run_tests(struct ctl *c, const struct policy *p, const char *file, struct json *list)
{
	const struct policy_test *t;
	struct buf text;
	int failed = 0;

	buf_init(&text, POLICY_FILE_MAX + 131072);
	if (policy_read_file(file, &text) != 0) {
		buf_done(&text);
		return -1;
	}
	for (t = p->tests; t != NULL; t = t->next) {
		struct json *params = params_of(t), *rec = NULL;
		const char *why = _("the message cannot be read");
		int fd = open_message(file, t->file);
		bool ok;

		if (fd >= 0) {
			rec = policy_judge(c, buf_slice(&text), fd, params, &why);
			close(fd);
		}
		ok = rec != NULL && as_expected(t, rec);
		failed += !ok;
		tell_test(c, p, t, rec, why, ok, list);
		json_free(rec);
		json_free(params);
	}
	buf_done(&text);
	return failed;
}

/* ---- check ---- */

struct warnings {
	struct ctl *c;
	const struct policy *p;
	struct json *list;
	bool not_taken; /* the milter would keep the one before */
};

static void warn(struct warnings *w, struct policy_pos pos, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
warn(struct warnings *w, struct policy_pos pos, const char *fmt, ...)
{
	struct json *o = json_obj_new();
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (!w->c->json)
		printf("%.*s:%u:%u: %s: %s\n", (int)w->p->file.len, (const char *)w->p->file.ptr,
		    pos.line, pos.column, _("warning"), text);
	json_set_int(o, "line", pos.line);
	json_set_int(o, "column", pos.column);
	json_set_str(o, "text", text);
	json_push_take(w->list, o);
}

static void
look_at_rule(struct warnings *w, const struct policy_rule *r, int64_t today)
{
	const struct policy_except *x;

	if (r->expires < today)
		warn(w, r->pos, _("rule %s expired on %s: it is not asked"), r->as_rule.id,
		    policy_day_text(r->expires));
	else if (r->expires < today + SOON_DAYS)
		warn(w, r->pos, _("rule %s expires on %s"), r->as_rule.id,
		    policy_day_text(r->expires));
	for (x = r->excepts; x != NULL; x = x->next)
		if (x->until < today)
			warn(w, x->pos, _("an exception of rule %s ended on %s"), r->as_rule.id,
			    policy_day_text(x->until));
}

static void
look(struct warnings *w)
{
	int64_t today = (int64_t)time(NULL) / DAY;
	const struct policy_rule *r;
	const struct policy_setting *s;
	struct policy_errors meant;
	struct buf why;

	for (r = w->p->rules; r != NULL; r = r->next)
		look_at_rule(w, r, today);
	for (s = w->p->settings; s != NULL; s = s->next)
		if (s->until < today)
			warn(w, s->pos, _("this setting ended on %s"), policy_day_text(s->until));
	policy_warnings(w->p, &meant);
	for (size_t i = 0; i < meant.n; i++)
		warn(w, meant.v[i].pos, "%s",
		    strcmp(w->c->lang, "vi") == 0 ? meant.v[i].vi : meant.v[i].en);
	buf_init(&why, 4096);
	if (policy_version_check(w->c->conf, w->p, &why) == ERR_DENIED) {
		w->not_taken = true;
		warn(w, (struct policy_pos){1, 1}, _("the milter would not take it: %s"),
		    buf_cstr(&why));
	}
	buf_done(&why);
	buf_init(&why, 4096);
	if (policy_stores_check(w->c->conf, w->p, strcmp(w->c->lang, "vi") == 0, &why) != 0) {
		w->not_taken = true;
		warn(w, w->p->trusts->pos, _("the milter would not take it: %s"), buf_cstr(&why));
	}
	buf_done(&why);
	if (w->p->n_tests == 0)
		warn(w, (struct policy_pos){1, 1}, "%s",
		    _("no test \"FILE\" expect ...: nothing shows that the rules do what they "
		      "should"));
}

static int
check(struct ctl *c, const char *file, bool tests)
{
	struct json *j = json_obj_new(), *list = json_arr_new();
	int failed = 0, code = EX_OK;
	struct policy *p = policy_open(c, file, &code);
	struct warnings w = {c, p, json_arr_new(), false};

	if (p != NULL && !tests)
		look(&w);
	else if (p != NULL) {
		look(&w);
		failed = policy_run_tests(c, p, file, list);
	}
	json_set_bool(j, "ok", p != NULL && failed == 0 && !w.not_taken);
	if (p != NULL) {
		json_set_slice(j, "id", p->id);
		json_set_int(j, "version", (int64_t)p->version);
		json_set_str(j, "sha256", p->sha256);
		json_set_int(j, "rules", (int64_t)p->n_rules);
	}
	json_set_take(j, "warnings", w.list);
	json_set_take(j, "tests", list);
	if (c->json)
		ctl_json_take(j, 0);
	else
		json_free(j);
	if (p != NULL && !c->json)
		printf(_("%s: policy %.*s, version %llu: %zu rules, %zu settings, %zu tests, %d "
			 "failed\n"),
		    file, (int)p->id.len, (const char *)p->id.ptr, (unsigned long long)p->version,
		    p->n_rules, p->n_settings, p->n_tests, failed);
	policy_free(p);
	return p == NULL ? code : failed == 0 && !w.not_taken ? EX_OK : EX_DATAERR;
}

int
policy_check(struct ctl *c, int argc, char **argv)
{
	bool no_tests = false;
	const struct ctl_option options[] = {{"no-tests", NULL, &no_tests}, {NULL, NULL, NULL}};

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2)
		return ctl_usage(c, "%s", _("a FILE is needed"));
	return check(c, argv[1], !no_tests);
}

int
policy_test(struct ctl *c, int argc, char **argv)
{
	struct json *list;
	struct policy *p;
	int failed;

	if (argc != 2)
		return ctl_usage(c, "%s", _("a FILE is needed"));
	p = policy_open(c, argv[1], &failed);
	if (p == NULL)
		return failed;
	list = json_arr_new();
	failed = policy_run_tests(c, p, argv[1], list);
	policy_free(p);
	if (c->json)
		return ctl_json_take(list, failed == 0 ? EX_OK : EX_DATAERR);
	json_free(list);
	return failed == 0 ? EX_OK : EX_DATAERR;
}
