/* ctl_setup.c: `congvu setup`: makes a site: asks, or takes the answers from a file; writes keys and congvu.conf; makes the directory or
 * joins one; checks; starts. Runs as root. What is there is kept, so it can be given again; --dry-run changes nothing. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl_directory.h"
#include "admin/setup.h"
#include "lib/err.h"
#include "lib/log.h"

enum { ANSWERS_MAX = 65536, TRIES_MAX = 5 };

/* ---- the report ---- */

void
setup_say(struct setup *s, enum setup_result r, const char *what, const char *fmt, ...)
{
	static const char *const names[] = {"done", "unchanged", "would", "note", "failed"};
	const char *const shown[] = {_("done"), _("there"), _("would"), _("note"), _("FAILED")};
	struct json *j = json_obj_new();
	struct buf b;
	va_list ap;

	buf_init(&b, 65536);
	va_start(ap, fmt);
	buf_vappendf(&b, fmt, ap);
	va_end(ap);
	json_set_str(j, "step", what);
	json_set_str(j, "result", names[r]);
	json_set_str(j, "text", buf_cstr(&b));
	json_push_take(s->steps, j);
	s->failed = s->failed || r == SETUP_FAILED;
	if (!s->c->json) {
		ctl_label(shown[r], 9);
		printf("%s: %s\n", what, buf_cstr(&b));
		fflush(stdout);
	}
	buf_done(&b);
}

void
setup_left(struct setup *s, const char *fmt, ...)
{
	struct buf b;
	va_list ap;

	buf_init(&b, 8192);
	va_start(ap, fmt);
	buf_vappendf(&b, fmt, ap);
	va_end(ap);
	json_push_take(s->left, json_str_new(buf_slice(&b)));
	buf_done(&b);
}

const char *
setup_answer(const struct setup *s, unsigned q)
{
	return setup_get(&s->a, q);
}

bool
setup_is(const struct setup *s, unsigned q, const char *value)
{
	return strcmp(setup_get(&s->a, q), value) == 0;
}

/* ---- the answers ---- */

/* One question on the terminal. 0, or EX_NOINPUT when the answers end. */
static int
ask(struct setup *s, unsigned q, const char *def)
{
	const struct setup_question *sq = &setup_questions[q];
	char *line = NULL;
	size_t room = 0;
	int code = EX_NOINPUT;

	for (int tries = 0; tries < TRIES_MAX; tries++) {
		const char *why, *value;

		printf("%s", _(sq->question));
		if (sq->choices != NULL)
			printf(" (%s)", sq->choices);
		printf(" [%s]: ", def);
		fflush(stdout);
		if (getline(&line, &room, stdin) < 0)
			break;
		line[strcspn(line, "\r\n")] = '\0';
		value = line + strspn(line, " \t");
		why = setup_answer_set(&s->a, q, *value != '\0' ? value : def);
		code = 0;
		if (why == NULL)
			break;
		printf("  %s\n", _(why));
		code = EX_NOINPUT;
	}
	free(line);
	return code == 0
		   ? 0
		   : ctl_fail(s->c, EX_NOINPUT,
			 _("no answer to \"%s\"; --answers FILE takes them from a file"), sq->key);
}

/* Answers from the file stand; others are asked for, or take their default. */
static int
complete(struct setup *s, bool asking)
{
	char hostname[HOST_NAME_MAX + 1] = "";
	int code = 0;

	(void)gethostname(hostname, sizeof(hostname) - 1);
	for (unsigned q = 0; q < SETUP_QUESTIONS && code == 0; q++) {
		const char *why;
		char *def;

		if (!setup_is_asked(&s->a, q) || (s->a.v[q] != NULL && !asking))
			continue;
		def = s->a.v[q] != NULL ? xstrdup(s->a.v[q]) : setup_default(&s->a, q, hostname);
		if (asking) {
			code = ask(s, q, def);
		} else {
			why = setup_answer_set(&s->a, q, def);
			if (why != NULL)
				code = ctl_fail(s->c, EX_DATAERR,
				    _("an answer to \"%s\" is missing (%s): %s"),
				    setup_questions[q].key, _(setup_questions[q].question), _(why));
		}
		free(def);
	}
	return code;
}

/* What was answered the last time stands in setup.answers beside congvu.conf; there is no secret in it. */
static int
read_answers(struct setup *s, const char *file)
{
	char *last = setup_path(s, "setup.answers"), *why = NULL;
	struct buf b;
	int code = 0;

	buf_init(&b, ANSWERS_MAX);
	if (file == NULL && access(last, R_OK) == 0)
		file = last;
	if (file != NULL)
		code = ctl_read_file(s->c, file, ANSWERS_MAX, &b);
	if (code == 0 && file != NULL && setup_answers_parse(buf_slice(&b), &s->a, &why) != 0)
		code = ctl_fail(s->c, EX_DATAERR, "%s: %s", file, why);
	free(why);
	free(last);
	buf_done(&b);
	return code;
}

static int
save_answers(struct setup *s)
{
	char *path = setup_path(s, "setup.answers");
	struct buf b;
	int rc;

	buf_init(&b, ANSWERS_MAX);
	buf_append_str(
	    &b, "# Answers of congvu setup. congvu setup --answers FILE takes such a file.\n");
	setup_answers_print(&s->a, &b);
	rc = setup_write(s, path, buf_slice(&b), 0600);
	buf_done(&b);
	free(path);
	return rc;
}

/* ---- check and start ---- */

static int
load_conf(struct setup *s)
{
	struct conf *conf = NULL;
	char *why = NULL;

	if (s->c->conf != NULL)
		return 0;
	if (conf_load(s->c->conf_file, &conf, &why) != 0) {
		setup_say(s, SETUP_FAILED, s->c->conf_file, "%s", why);
		free(why);
		return -1;
	}
	s->c->conf = s->conf = conf;
	return 0;
}

/* `congvu check` by another process: its lines are the operator's to read. */
static int
run_check(struct setup *s)
{
	const char *const argv[] = {
	    "/proc/self/exe", "-c", s->c->conf_file, "--lang", s->c->lang, "check", NULL};
	struct buf out;
	int code;

	if (s->dry_run) {
		setup_say(s, SETUP_WOULD, "congvu check", "%s", _("would be run"));
		return 0;
	}
	buf_init(&out, 65536);
	code = setup_run(argv, &out);
	if (code == 0)
		setup_say(s, SETUP_DONE, "congvu check", "%s", _("finds nothing wrong"));
	else
		setup_say(s, SETUP_FAILED, "congvu check",
		    _("finds what must be mended first:\n%s"), buf_cstr(&out));
	buf_done(&out);
	return code == 0 ? 0 : -1;
}

static bool
runs_already(const struct setup *s)
{
	struct json *j = ctl_status_read(s->c, "congvu-smtpd");
	bool alive = j != NULL && ctl_pid_alive(json_int(json_get(j, "pid"), 0));

	json_free(j);
	return alive;
}

static int
start(struct setup *s)
{
	const char *const by_systemd[] = {"systemctl", "enable", "--now", "congvu.target", NULL};
	const char *const by_hand[] = {
	    "/proc/self/exe", "-c", s->c->conf_file, "run", "--daemon", NULL};
	const char *command =
	    setup_has_systemd() ? "systemctl enable --now congvu.target" : "congvu run --daemon";
	struct buf out;
	int code;

	if (!setup_is(s, SETUP_Q_start, "yes")) {
		setup_left(s, _("start it: %s"), command);
		return 0;
	}
	if (s->dry_run) {
		setup_say(s, SETUP_WOULD, _("start"), _("would be done by %s"), command);
		return 0;
	}
	if (runs_already(s)) {
		setup_say(s, SETUP_THERE, _("start"),
		    _("it runs; congvu reload takes over what changed, but changed ports and "
		      "folders (it names them) take %s"),
		    setup_has_systemd() ? "systemctl restart congvu.target"
					: "congvu stop; congvu run --daemon");
		return 0;
	}
	buf_init(&out, 65536);
	code = setup_run(setup_has_systemd() ? by_systemd : by_hand, &out);
	if (code == 0)
		setup_say(s, SETUP_DONE, _("start"), "%s", command);
	else
		setup_say(s, SETUP_FAILED, _("start"), "%s: %s", command, buf_cstr(&out));
	buf_done(&out);
	return code == 0 ? 0 : -1;
}

static void
tell_the_rest(struct setup *s)
{
	const char *domain = setup_answer(s, SETUP_Q_domains);
	int n = (int)strcspn(domain, ", ");

	setup_left(s,
	    _("in the DNS of each domain: MX to %s, a TXT record \"v=spf1 mx -all\" (%.*s ...); "
	      "congvu doctor looks for them"),
	    setup_answer(s, SETUP_Q_hostname), n, domain);
	if (setup_answer(s, SETUP_Q_smarthost)[0] == '\0')
		setup_left(s, "%s",
		    _("mail to other domains is refused so far: set smarthost, or relay_direct = "
		      "true, in congvu.conf, then congvu reload"));
	setup_left(s, _("back up %s (keys) and %s (mail, audit log, people); then: congvu doctor"),
	    s->etc, setup_answer(s, SETUP_Q_data_dir));
	if (s->c->json)
		return;
	printf("\n%s\n", _("Left for you:"));
	for (size_t i = 0; i < json_len(s->left); i++)
		printf("  %zu. %s\n", i + 1, json_cstr(json_at(s->left, i)));
}

static int
work(struct setup *s)
{
	char *trust = setup_path(s, "trust");
	int rc = setup_folder(s, s->etc, 0755);

	if (rc == 0)
		rc = save_answers(s); /* first: when a step fails, nobody answers twice */
	if (rc == 0)
		rc = setup_folder(s, trust, 0755);
	free(trust);
	if (rc == 0)
		rc = setup_users(s);
	if (rc == 0)
		rc = setup_keys(s);
	if (rc == 0)
		rc = setup_audit_key(s);
	if (rc == 0)
		rc = setup_certificate(s);
	if (rc == 0)
		rc = setup_trust(s);
	if (rc == 0)
		rc = setup_directory(s);
	if (rc == 0)
		rc = setup_conf(s);
	if (rc == 0 && !s->dry_run)
		rc = load_conf(s);
	if (rc == 0)
		rc = setup_agency(s);
	if (rc == 0)
		rc = run_check(s);
	if (rc == 0)
		rc = start(s);
	if (rc == 0)
		tell_the_rest(s);
	return rc;
}

/* The folder of congvu.conf, absolute. */
static char *
etc_of(struct ctl *c)
{
	char here[PATH_MAX] = "", *path = NULL, *slash;

	if (c->conf_file[0] != '/') {
		if (getcwd(here, sizeof(here)) == NULL ||
		    asprintf(&path, "%s/%s", here, c->conf_file) < 0)
			fatal("no working folder");
		c->conf_file = path; /* lives to the end of the process */
	}
	path = xstrdup(c->conf_file);
	slash = strrchr(path, '/');
	*(slash == path ? slash + 1 : slash) = '\0';
	return path;
}

int
ctl_setup(struct ctl *c, int argc, char **argv)
{
	const char *answers = NULL;
	bool dry_run = false;
	const struct ctl_option options[] = {
	    {"answers", &answers, NULL}, {"dry-run", NULL, &dry_run}, {NULL, NULL, NULL}};
	struct setup s = {.c = c};
	struct json *all;
	int code;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc > 1)
		return ctl_usage(c, _("setup takes no argument"));
	if (geteuid() != 0 && !dry_run)
		return ctl_fail(c, EX_NOPERM, "%s",
		    _("it makes users and binds ports: run it as root (or --dry-run)"));
	log_set_level(LOG_LVL_ERROR); /* a server that is still starting is no news */
	s.dry_run = dry_run;
	s.etc = etc_of(c);
	s.steps = json_arr_new();
	s.left = json_arr_new();
	code = read_answers(&s, answers);
	if (code == 0)
		code = complete(&s, answers == NULL && !c->json);
	if (code == 0)
		code = work(&s) == 0 ? EX_OK : EX_CONFIG;
	all = json_obj_new();
	json_set_bool(all, "ok", code == EX_OK);
	json_set_bool(all, "dry_run", dry_run);
	json_set_take(all, "steps", s.steps);
	json_set_take(all, "left", s.left);
	setup_answers_done(&s.a);
	free(s.etc);
	if (s.conf != NULL) {
		c->conf = NULL;
		conf_free(s.conf);
	}
	if (c->json && (code == EX_OK || code == EX_CONFIG))
		return ctl_json_take(all, code);
	json_free(all);
	return code;
}
