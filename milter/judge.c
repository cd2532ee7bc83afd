/* judge.c: congvu-milter-judge: what the filter would decide of one message under a policy that is not in force yet: the same scanner code, rules and
 * policy program, without directory, ledger or mail. Started by `congvu policy test`, as user_scan, in milter-scan's sandbox, for one message
 * each: the message may be anything. Gets descriptors message, policy and params (JSON), and writes the record as the audit log would have it
 * to result. Given certs instead of message and policy it judges a certificate (judge_cert.h), for `congvu cert`. Invariant: ends itself at the deadline. What the directory would say comes from params: who writes, for which agency. */
#include "config.h"

#include "milter/policy_load.h"
#include "milter/settings.h"
#include "milter/facts.h"
#include "milter/judge_cert.h"
#include "milter/judgement.h"
#include "milter/record.h"
#include "milter/scan_message.h"
#include "milter/scan_priv.h"
#include "milter/smime_rev.h"

#include "lib/addr.h"
#include "lib/charset.h"
#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/log.h"
#include "lib/role.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define MEMORY (64u << 20)
#define DEADLINE_S 30
#define PARAMS_MAX 262144
#define RCPTS_MAX 1000

struct milter_settings milter_settings; /* record.c's */

static void
read_fd(const char *name, size_t max, struct buf *out)
{
	int fd = role_fd(name);
	unsigned char *p;
	ssize_t n = 1;

	buf_init(out, max + 65536);
	while (fd >= 0 && n > 0 && out->len <= max) {
		p = buf_reserve(out, 65536);
		n = p != NULL ? read(fd, p, 65536) : -1;
		if (n > 0)
			buf_commit(out, (size_t)n);
	}
	if (fd < 0 || n < 0 || out->err != 0)
		fatal("judge: %s cannot be read", name);
	if (out->len > max) {
		log_msg(LOG_LVL_ERROR, "judge", "%s is larger than %zu octets", name, max);
		exit(EX_DATAERR);
	}
}

/* What the directory would say of the authors: of ours are the domains of the organization and of the configuration. */
static void
fill_authors(
    struct rule_facts *f, const struct policy *p, const struct json *params, struct arena *a)
{
	struct slice as = json_str(json_get(params, "as"));
	bool office = json_bool(json_get(params, "office"));
	size_t i;

	if (as.len > 0) {
		f->n_authors = 1;
		f->authors[0].address = arena_slice(a, as);
		f->authors[0].domain = rule_domain_of(f->authors[0].address);
		f->authors[0].local = slice_sub(f->authors[0].address, 0,
		    f->authors[0].address.len - f->authors[0].domain.len - 1);
	}
	for (i = 0; i < f->n_authors; i++) {
		struct rule_author *au = &f->authors[i];
		const char *address = arena_slicedup(a, au->address);

		au->is_ours = policy_domain_is_ours(p, au->domain) ||
			      (address != NULL && conf_is_our_address(role_conf(), address));
		au->owner = !au->is_ours ? OWNER_NONE : office ? OWNER_FUNCTIONAL : OWNER_PERSON;
		au->may_send_as = au->is_ours;
		au->agency = arena_slice(a, json_str(json_get(params, "agency")));
		au->known = &au->address;
		au->n_known = au->n_current = 1;
	}
	f->authenticated =
	    !json_bool(json_get(params, "outside")) && f->n_authors > 0 && f->authors[0].is_ours;
}

/* As stated; else those of To and Cc. */
static void
fill_rcpts(struct msg *m, struct rule_facts *f, const struct json *params, struct slice header,
    struct arena *a)
{
	static const char *const fields[] = {"To", "Cc"};
	const struct json *to = json_get(params, "to");
	struct slice *v = arena_calloc(a, RCPTS_MAX, sizeof *v);
	struct addr *list, *ad;
	struct hdr_field field;
	size_t i, n = 0;

	m->rcpts = arena_calloc(a, RCPTS_MAX, sizeof *m->rcpts);
	if (v == NULL || m->rcpts == NULL)
		fatal("judge: no memory");
	for (i = 0; i < json_len(to) && n < RCPTS_MAX; i++)
		m->rcpts[n++] = arena_slicedup(a, json_str(json_at(to, i)));
	for (i = 0; json_len(to) == 0 && i < 2; i++) {
		if (!hdr_find(header, fields[i], 0, &field) ||
		    addr_list_parse(field.body, RCPTS_MAX, a, &list, NULL) != 0)
			continue;
		for (ad = list; ad != NULL && n < RCPTS_MAX; ad = ad->next) {
			if (ad->kind == ADDR_MAILBOX && ad->domain.len > 0)
				m->rcpts[n++] = arena_printf(a, "%.*s@%.*s", (int)ad->local.len,
				    (const char *)ad->local.ptr, (int)ad->domain.len,
				    (const char *)ad->domain.ptr);
		}
	}
	for (i = 0; i < n; i++) {
		if (m->rcpts[i] == NULL)
			fatal("judge: no memory");
		v[i] = slice_str(m->rcpts[i]);
	}
	m->n_rcpts = n;
	f->rcpts = v;
	f->n_rcpts = n;
}

struct world {
	struct smime_trust *trust;
	const char **banned, **official;
	size_t n_banned, n_official;
	struct modes *limits;
	struct rule_settings rules;
};

/* Without what only a running site knows. Revocations that cannot be learnt here are no reason to defer. */
static void
judge(const struct world *w, struct slice whole, const struct policy *p, const struct json *params,
    struct buf *out)
{
	static const char *const actions[] = {"", "reject", "tempfail", "accept", "quarantine"};
	struct arena *a = arena_new(MEMORY);
	struct session session = {.no_hold = false};
	struct msg m = {.file = {.fd = -1, .size = whole.len}};
	struct rule_facts f;
	struct findings scan;
	struct judgement j = {
	    .policy = p, .modes = w->limits, .now = (int64_t)time(NULL), .in_force = {0}};
	struct verdict v;
	int err;
	struct scan_params sp = {.trust = w->trust,
	    .domain = slice_str(""),
	    .now = j.now,
	    .banned = w->banned,
	    .n_banned = w->n_banned};
	struct slice header = slice_sub(whole, 0, hdr_body_offset(whole));
	struct record_input in = {
	    .session = &session, .msg = &m, .qid = "-", .facts = &f, .verdict = &v};

	memset(&f, 0, sizeof f);
	if (a == NULL || facts_read(header, a, &f) != 0)
		fatal("judge: no memory");
	buf_init(&m.header, whole.len + 1);
	buf_append_slice(&m.header, header);
	fill_authors(&f, p, params, a);
	fill_rcpts(&m, &f, params, header, a);
	m.from = arena_slicedup(a, f.n_authors > 0 ? f.authors[0].address : slice_str(""));
	m.login = f.authenticated ? m.from : NULL;
	findings_init(&scan, a);
	judgement_trust(&j, &f);
	sp.domain = judgement_store(&f, a);
	sp.terms = f.terms;
	sp.cpu_ms = f.terms.time_s * 600; /* as milter-scan's of its deadline */
	scan_message(whole, &sp, &scan);
	f.scan = &scan;
	f.rev_grace_over = true;
	f.clearances = milter_settings.clearances;
	f.settings = &w->rules;
	if (m.from == NULL || judgement_read(header, w->official, w->n_official, a, &f) != 0 ||
	    (err = judgement_live(&j, &f, header, "", whole.len, a, &v)) == ERR_NOMEM)
		fatal("judge: no memory");
	in.action = v.decision == NULL ? "accept" : actions[v.decision->action];
	in.code = v.decision == NULL                  ? "250"
		  : v.decision->action == RULE_REJECT ? "550"
		  : v.decision->action == RULE_DEFER  ? "451"
						      : "250";
	in.rule = v.decision != NULL ? v.decision->id : "";
	in.detail = buf_slice(&v.detail);
	if (err != 0) {
		in.action = "tempfail";
		in.code = "451";
		in.rule = "T05";
	}
	if (record_verdict(&in, out) != 0)
		fatal("judge: the record cannot be written");
	verdict_done(&v);
	buf_done(&m.header);
	arena_free(a);
}

static void
load_limits(struct world *w)
{
	const char *option, *why, *item;
	size_t i;

	w->limits = modes_new();
	if (settings_rules(role_conf(), &w->rules, &option, &item, &why) != 0) {
		log_msg(LOG_LVL_ERROR, "judge", "%s: \"%s\": %s", option, item, why);
		exit(EX_CONFIG);
	}
	for (i = 0; i < conf_list_len(role_conf(), "policy_attachment_mb"); i++)
		modes_add_limit(
		    w->limits, conf_list_item(role_conf(), "policy_attachment_mb", i), &why);
	milter_settings.clearances = clearances_new();
	for (i = 0; i < conf_list_len(role_conf(), "policy_clearances"); i++) {
		item = conf_list_item(role_conf(), "policy_clearances", i);
		if (clearances_add(milter_settings.clearances, item, &why) != 0)
			exit(EX_CONFIG);
	}
}

static void
write_all(int fd, struct slice s)
{
	while (s.len > 0) {
		ssize_t n = write(fd, s.ptr, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			fatal("judge: nobody listens");
		s = slice_from(s, (size_t)n);
	}
}

/* For a certificate that is to be published what is not known counts, as in milter-scan. */
static void
judge_need(struct world *w)
{
	const char *how = conf_str(role_conf(), "revocation_check");

	smime_trust_need(w->trust, strcmp(how, "off") == 0       ? SMIME_REV_OFF
				   : strcmp(how, "require") == 0 ? SMIME_REV_REQUIRE
								 : SMIME_REV_AUTO);
}

int
main(int argc, char **argv)
{
	struct buf message, text, params_text, out;
	struct json *params = NULL;
	struct world w = {.trust = NULL};
	struct itimerval deadline = {{0, 0}, {DEADLINE_S, 0}};
	struct policy_errors errors;
	struct policy *p = NULL;
	char *dir;

	role_init(argc, argv, "milter-judge");
	log_set_level(LOG_LVL_ERROR);
	setlocale(LC_CTYPE, "C.UTF-8");
	json_init();
	smime_init();
	charset_preload();
	scan_magic_init();
	scan_xml_init();
	scan_ole_init();
	dir = conf_path(role_conf(), "trust_dir");
	if (smime_trust_load(dir, &w.trust) != 0)
		fatal("judge: no memory");
	free(dir);
	smime_trust_need(w.trust, SMIME_REV_OFF);
	w.banned = settings_list(role_conf(), "policy_banned_extensions", &w.n_banned);
	w.official = settings_list(role_conf(), "policy_official_headers", &w.n_official);
	load_limits(&w);
	milter_settings.record_subject = true;
	role_enter();
	setitimer(ITIMER_REAL, &deadline, NULL); /* SIGALRM ends it */
	read_fd("params", PARAMS_MAX, &params_text);
	if (role_fd("certs") >= 0) {
		judge_need(&w);
		read_fd("certs", JUDGE_CERTS_MAX, &message);
		read_fd("rev", JUDGE_REV_MAX, &text);
		buf_init(&out, 1 << 20);
		if (json_parse(buf_slice(&params_text), &params) != 0 ||
		    judge_cert(w.trust, buf_slice(&message), buf_slice(&text), params, &out) != 0)
			return EX_DATAERR;
		write_all(role_fd("result"), buf_slice(&out));
		_exit(0);
	}
	read_fd("policy", POLICY_FILE_MAX, &text);
	read_fd("message", (size_t)conf_int(role_conf(), "message_size_max"), &message);
	if (json_parse(buf_slice(&params_text), &params) != 0 ||
	    policy_compile(buf_slice(&text), "policy", &p, &errors) != 0)
		return EX_DATAERR;
	milter_settings.policy = p;
	buf_init(&out, 1 << 20);
	judge(&w, buf_slice(&message), p, params, &out);
	write_all(role_fd("result"), buf_slice(&out));
	_exit(0); /* one verdict a process: the system frees what it took */
}
