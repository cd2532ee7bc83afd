/* ctl_policy.c: `congvu policy`: the site's policy (congvu-policy(5)) for its officers: checked, tried and compared before it is in force. The
 * subcommands are policy_commands.def; here are status, help and what they share. Reads files; changes nothing but by sign. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/ctl_policy.h"
#include "lib/err.h"
#include "lib/log.h"

enum { WHY_MAX = 65536, STATE_MAX = 65536 };

static const struct {
	const char *name;
	int (*fn)(struct ctl *c, int argc, char **argv);
} subs[] = {
#define POLICY_COMMAND(name, fn, usage) {name, fn},
#include "admin/policy_commands.def"
#undef POLICY_COMMAND
};

static bool
vietnamese(const struct ctl *c)
{
	return strcmp(c->lang, "vi") == 0;
}

void
policy_print_clean(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char ch = text.ptr[i];
		bool c1 = ch == 0xc2 && i + 1 < text.len && text.ptr[i + 1] >= 0x80 &&
			  text.ptr[i + 1] <= 0x9f;

		i += c1;
		putchar(c1 || ch < 0x20 || ch == 0x7f ? '?' : ch);
	}
}

const char *
policy_day_text(int64_t day)
{
	static char texts[10][32];
	static unsigned at;
	struct buf b;

	buf_init(&b, 32);
	policy_print_day(day, &b);
	at = (at + 1) % 10;
	snprintf(texts[at], sizeof texts[at], "%s", buf_cstr(&b));
	buf_done(&b);
	return texts[at];
}

struct policy *
policy_open(struct ctl *c, const char *file, int *code_out)
{
	struct policy *p = NULL;
	struct buf why;
	int err;

	buf_init(&why, WHY_MAX);
	err = policy_load_file(file, file, vietnamese(c), &p, &why);
	if (err != 0)
		fprintf(stderr, "%s\n", buf_cstr(&why));
	*code_out = err == 0                                                    ? EX_OK
		    : err == ERR_NOTFOUND || err == ERR_DENIED || err == ERR_IO ? EX_NOINPUT
										: EX_DATAERR;
	buf_done(&why);
	return p;
}

struct json *
policy_state(struct ctl *c)
{
	char *dir = conf_path(c->conf, "policy_archive"), *path = NULL;
	struct json *j = NULL;
	struct buf b;

	if (asprintf(&path, "%s/current.json", dir) < 0)
		fatal("out of memory");
	buf_init(&b, POLICY_FILE_MAX + 131072);
	if (policy_read_file(path, &b) != 0 || json_parse(buf_slice(&b), &j) != 0)
		j = NULL;
	buf_done(&b);
	free(path);
	free(dir);
	return j;
}

struct policy *
policy_open_or_current(struct ctl *c, const char *file, int *code_out)
{
	struct json *state = file == NULL ? policy_state(c) : NULL;
	struct policy *p = NULL;
	struct buf why;
	char *path;

	*code_out = EX_DATAERR;
	if (file != NULL)
		return policy_open(c, file, code_out);
	if (conf_str(c->conf, "policy_file")[0] == '\0') {
		json_free(state);
		ctl_fail(c, EX_CONFIG, "%s",
		    _("no policy_file is configured: the built-in rules are in force, in the modes "
		      "of policy_modes"));
		return NULL;
	}
	buf_init(&why, WHY_MAX);
	if (state != NULL &&
	    policy_archived(c->conf, json_str(json_get(state, "sha256")), &p, &why) != 0)
		fprintf(stderr, "%s\n", buf_cstr(&why));
	if (state == NULL) {
		path = conf_path(c->conf, "policy_file");
		p = policy_open(c, path, code_out);
		free(path);
	}
	buf_done(&why);
	json_free(state);
	return p;
}

/* What is in force, and whether it is what the file says. */
int
policy_status(struct ctl *c, int argc, char **argv)
{
	struct json *state = policy_state(c);
	const struct json *refused = json_get(state, "refused");
	bool old = json_kind(refused) == JSON_T_OBJ;
	char when[64] = "";
	time_t since = (time_t)json_int(json_get(state, "since"), 0);
	struct tm tm;

	(void)argv;
	if (argc > 1) {
		json_free(state);
		return ctl_usage(c, _("policy status takes no argument"));
	}
	if (state == NULL || conf_str(c->conf, "policy_file")[0] == '\0') {
		json_free(state);
		if (c->json)
			return ctl_json_take(json_obj_new(), EX_OK);
		printf("%s\n", _("no policy file was in force yet: the built-in rules are"));
		return EX_OK;
	}
	if (c->json)
		return ctl_json_take(state, old ? EX_DATAERR : EX_OK);
	if (localtime_r(&since, &tm) != NULL)
		strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
	printf(_("in force: %s, version %lld, since %s, SHA-256 %s\n"),
	    json_cstr(json_get(state, "id")), (long long)json_int(json_get(state, "version"), 0),
	    when, json_cstr(json_get(state, "sha256")));
	if (old) {
		printf(
		    "%s\n", _("the file on disk cannot be used; the policy above stays in force:"));
		printf("%s\n", json_cstr(json_get(refused, "why")));
	}
	json_free(state);
	return old ? EX_DATAERR : EX_OK;
}

/* The table of predicates, as the grammar asks it. */
int
policy_help(struct ctl *c, int argc, char **argv)
{
	struct json *list = json_arr_new(), *o;
	size_t shown = 0;

	for (size_t i = 0; i < policy_predicates_len; i++) {
		const struct policy_predicate *p = &policy_predicates[i];

		if (argc > 1 && !slice_caseeq_str(slice_str(argv[1]), p->name))
			continue;
		shown++;
		if (c->json) {
			o = json_obj_new();
			json_set_str(o, "name", p->name);
			json_set_str(o, "takes", policy_arg_text(p->arg, false));
			json_set_str(o, "vi", p->vi);
			json_set_str(o, "en", p->en);
			json_push_take(list, o);
			continue;
		}
		printf("%s\n    %s: %s\n    %s\n", p->name, _("takes"),
		    policy_arg_text(p->arg, vietnamese(c)), vietnamese(c) ? p->vi : p->en);
	}
	if (c->json)
		return ctl_json_take(list, shown > 0 ? EX_OK : EX_DATAERR);
	json_free(list);
	return shown > 0 ? EX_OK : ctl_fail(c, EX_DATAERR, _("there is no predicate %s"), argv[1]);
}

int
ctl_policy(struct ctl *c, int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof subs / sizeof subs[0]; i++)
		if (strcmp(argv[1], subs[i].name) == 0)
			return subs[i].fn(c, argc - 1, argv + 1);
	return ctl_usage(c, "%s", _("which of its commands?"));
}
