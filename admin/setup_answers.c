/* setup_answers.c: the answers of `congvu setup`: the file, the checks of each kind, the defaults that follow from others. Pure, but for
 * nothing: no file is opened here. Runs in congvu. */
#include "config.h"

#include "admin/setup_answers.h"

#include <libintl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/log.h"

enum { LINE_MAX_BYTES = 4096, DOMAINS_MAX = 100 };

const struct setup_question setup_questions[SETUP_QUESTIONS] = {
#define SETUP(key, kind, def, when, choices, question) {#key, kind, def, when, choices, question},
#include "admin/setup.def"
#undef SETUP
};

const char *
setup_get(const struct setup_answers *a, unsigned q)
{
	return a->v[q] != NULL ? a->v[q] : "";
}

void
setup_answers_done(struct setup_answers *a)
{
	for (unsigned q = 0; q < SETUP_QUESTIONS; q++) {
		free(a->v[q]);
		a->v[q] = NULL;
	}
}

bool
setup_may_be_empty(unsigned q)
{
	switch (q) {
	case SETUP_Q_ldap_ca_file:
	case SETUP_Q_ldap_bind_dn:
	case SETUP_Q_ldap_bind_password_file:
	case SETUP_Q_admin_bind_dn:
	case SETUP_Q_admin_password_file:
	case SETUP_Q_agency_name:
	case SETUP_Q_trust_file:
	case SETUP_Q_smarthost:
		return true;
	default:
		return false;
	}
}

/* ---- the checks ---- */

/* The next item of a comma-separated list, trimmed; false at the end. */
static bool
next_item(struct slice *rest, struct slice *item)
{
	size_t n = 0;

	if (rest->ptr == NULL)
		return false;
	while (n < rest->len && rest->ptr[n] != ',')
		n++;
	*item = slice_trim(slice_sub(*rest, 0, n));
	*rest = n < rest->len ? slice_sub(*rest, n + 1, rest->len - n - 1) : slice_of(NULL, 0);
	return true;
}

static bool
is_domain(struct slice s)
{
	bool dot = false;

	for (size_t i = 0; i < s.len; i++)
		dot = dot || s.ptr[i] == '.';
	return dot && s.ptr[0] != '[' && addr_domain_ok(s, false);
}

static const char *
check_domains(const char *value)
{
	struct slice rest = slice_str(value), item;
	unsigned n = 0;

	while (next_item(&rest, &item))
		if (!is_domain(item) || ++n > DOMAINS_MAX)
			return "a domain is letters, digits, hyphens and dots, such as "
			       "province.gov.vn";
	return NULL;
}

static const char *
check_address(const struct setup_answers *a, const char *value)
{
	struct slice rest = slice_str(setup_get(a, SETUP_Q_domains)), item, local, domain;

	if (addr_split(slice_str(value), &local, &domain) != 0 || local.len == 0)
		return "an address is name@domain";
	for (size_t i = 0; i < local.len; i++)
		if (local.ptr[i] <= ' ' || local.ptr[i] >= 127 ||
		    strchr("\"\\<>(),;:@[]", local.ptr[i]) != NULL)
			return "the name in an address is letters, digits and . _ -";
	while (next_item(&rest, &item))
		if (slice_caseeq(item, domain))
			return NULL;
	return "it must be in one of the site's domains";
}

static const char *
check_dn(const char *value)
{
	const char *eq = strchr(value, '=');

	if (eq == NULL || eq == value || eq[1] == '\0' || eq[1] == ',')
		return "a DN is like o=province,c=VN";
	return NULL;
}

static const char *
check_uris(const char *value)
{
	struct slice rest = slice_str(value), item;

	while (next_item(&rest, &item))
		if (!slice_starts(item, "ldap://") && !slice_starts(item, "ldaps://") &&
		    !slice_starts(item, "ldapi://"))
			return "a server is ldap://host:port or ldaps://host:port";
	return NULL;
}

static const char *
check_listen(const char *value)
{
	const char *colon = strrchr(value, ':');
	uint64_t port;

	if (strcmp(value, "none") == 0)
		return NULL;
	if (colon == NULL || colon == value ||
	    slice_to_u64(slice_str(colon + 1), 65535, &port) != 0 || port == 0)
		return "it must be ADDRESS:PORT, or none";
	return NULL;
}

static const char *
check_route(const char *value)
{
	static const char *const ways[] = {"smtp:", "smtps:", "inet:"};

	if (strcmp(value, "mx") == 0)
		return NULL;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strncmp(value, ways[i], strlen(ways[i])) == 0 &&
		    strcmp(value + strlen(ways[i]), "none") != 0 &&
		    check_listen(value + strlen(ways[i])) == NULL)
			return NULL;
	return "it must be smtp:HOST:PORT, smtps:HOST:PORT, or mx";
}

static bool
is_choice(const char *choices, const char *value)
{
	size_t n = strlen(value);

	for (const char *p = choices; *p != '\0'; p += strspn(p, " ")) {
		size_t len = strcspn(p, " ");

		if (len == n && strncmp(p, value, n) == 0)
			return true;
		p += len;
	}
	return false;
}

static const char *
check(const struct setup_answers *a, unsigned q, const char *value)
{
	const struct setup_question *sq = &setup_questions[q];
	uint64_t n;

	/* values go into congvu.conf between quotes, and into LDIF */
	for (const char *p = value; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 127 || *p == '"' || *p == '\\')
			return "control characters, quotes and backslashes cannot stand there";
	if (value[0] == '\0')
		return setup_may_be_empty(q) ? NULL : "an answer is needed";
	switch (sq->kind) {
	case SETUP_DOMAINS:
		return check_domains(value);
	case SETUP_HOST:
		return is_domain(slice_str(value))
			   ? NULL
			   : "a whole name is needed, such as mail.province.gov.vn";
	case SETUP_ADDRESS:
		return check_address(a, value);
	case SETUP_DN:
		if (q == SETUP_Q_ldap_base && strcmp(setup_get(a, SETUP_Q_ldap), "existing") != 0 &&
		    strncmp(value, "o=", 2) != 0)
			return "the base of a new directory begins with o=";
		return check_dn(value);
	case SETUP_URIS:
		return check_uris(value);
	case SETUP_FILE:
	case SETUP_PATH:
		return value[0] == '/' ? NULL : "a whole path is needed, from /";
	case SETUP_LISTEN:
		return check_listen(value);
	case SETUP_ROUTE:
		return check_route(value);
	case SETUP_CHOICE:
		return is_choice(sq->choices, value) ? NULL : "that is none of the choices";
	case SETUP_YESNO:
		return is_choice("yes no", value) ? NULL : "yes or no";
	case SETUP_NUMBER:
		return slice_to_u64(slice_str(value), 1048576, &n) == 0 && n > 0
			   ? NULL
			   : "a number is needed";
	default:
		return NULL;
	}
}

const char *
setup_answer_set(struct setup_answers *a, unsigned q, const char *value)
{
	const char *why = check(a, q, value);

	if (why != NULL)
		return why;
	free(a->v[q]);
	a->v[q] = xstrdup(value);
	return NULL;
}

/* ---- what follows from the answers before ---- */

bool
setup_is_asked(const struct setup_answers *a, unsigned q)
{
	const char *when = setup_questions[q].when;
	const char *eq = when != NULL ? strchr(when, '=') : NULL;
	size_t n = eq != NULL ? (size_t)(eq - when) : when != NULL ? strlen(when) : 0;

	for (unsigned i = 0; when != NULL && i < q; i++)
		if (strlen(setup_questions[i].key) == n &&
		    strncmp(setup_questions[i].key, when, n) == 0)
			return eq != NULL ? strcmp(setup_get(a, i), eq + 1) == 0
					  : setup_get(a, i)[0] != '\0';
	return true;
}

char *
setup_default(const struct setup_answers *a, unsigned q, const char *hostname)
{
	const char *def = setup_questions[q].def;
	struct slice rest = slice_str(setup_get(a, SETUP_Q_domains)), first = {NULL, 0};
	size_t label = 0;
	char *out = NULL;

	(void)next_item(&rest, &first);
	while (label < first.len && first.ptr[label] != '.')
		label++;
	if (strcmp(def, "@hostname") == 0)
		return is_domain(slice_str(hostname)) ? xstrdup(hostname) : xstrdup("");
	if (strcmp(def, "@base") == 0 &&
	    asprintf(&out, "o=%.*s,c=VN", (int)label, (const char *)first.ptr) < 0)
		fatal("out of memory");
	if (strcmp(def, "@mailbox") == 0 &&
	    asprintf(&out, "vanthu@%.*s", (int)first.len, (const char *)first.ptr) < 0)
		fatal("out of memory");
	if (strcmp(def, "@postmaster") == 0)
		return xstrdup(setup_get(a, SETUP_Q_agency_mailbox));
	return out != NULL ? out : xstrdup(def);
}

/* ---- the file ---- */

static int
complain(char **why_out, unsigned line, const char *what, const char *about)
{
	if (asprintf(why_out, gettext("line %u: %s: %.80s"), line, gettext(what), about) < 0)
		fatal("out of memory");
	return ERR_SYNTAX;
}

/* A line of the file, by question: an answer is checked when all are there, for some depend on others. */
struct given {
	char *value[SETUP_QUESTIONS]; /* the last one counts */
	unsigned line[SETUP_QUESTIONS];
};

static int
parse_line(struct slice line, unsigned number, struct given *g, char **why_out)
{
	struct slice key, value;
	size_t eq = 0;
	char *text;

	if (line.len > LINE_MAX_BYTES || memchr(line.ptr, '\0', line.len) != NULL)
		return complain(why_out, number, "too long, or no text", "");
	while (eq < line.len && line.ptr[eq] != '=')
		eq++;
	key = slice_trim(slice_sub(line, 0, eq));
	for (unsigned q = 0; q < SETUP_QUESTIONS && eq < line.len; q++) {
		if (!slice_eq_str(key, setup_questions[q].key))
			continue;
		value = slice_trim(slice_sub(line, eq + 1, line.len - eq - 1));
		if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
			value = slice_sub(value, 1, value.len - 2);
		free(g->value[q]);
		g->value[q] = slice_dup(value);
		g->line[q] = number;
		return 0;
	}
	text = slice_dup(key);
	(void)complain(why_out, number,
	    eq == line.len ? "no \"key = value\"" : "there is no such question", text);
	free(text);
	return ERR_SYNTAX;
}

static int
take(const struct given *g, struct setup_answers *a, char **why_out)
{
	int rc = 0;

	for (unsigned q = 0; q < SETUP_QUESTIONS && rc == 0; q++) {
		const char *why = g->value[q] != NULL ? setup_answer_set(a, q, g->value[q]) : NULL;
		char *line = NULL;

		if (why == NULL)
			continue;
		if (asprintf(&line, "%s = %s", setup_questions[q].key, g->value[q]) < 0)
			fatal("out of memory");
		rc = complain(why_out, g->line[q], why, line);
		free(line);
	}
	return rc;
}

int
setup_answers_parse(struct slice text, struct setup_answers *a, char **why_out)
{
	struct given g = {{NULL}, {0}};
	unsigned number = 0;
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && at < text.len) {
		size_t n = 0;
		struct slice line;

		while (at + n < text.len && text.ptr[at + n] != '\n')
			n++;
		line = slice_trim(slice_sub(text, at, n));
		at += n + 1;
		number++;
		if (line.len > 0 && line.ptr[0] != '#')
			rc = parse_line(line, number, &g, why_out);
	}
	if (rc == 0)
		rc = take(&g, a, why_out);
	for (unsigned q = 0; q < SETUP_QUESTIONS; q++)
		free(g.value[q]);
	return rc;
}

void
setup_answers_print(const struct setup_answers *a, struct buf *out)
{
	for (unsigned q = 0; q < SETUP_QUESTIONS; q++)
		if (a->v[q] != NULL && setup_is_asked(a, q))
			buf_appendf(out, "# %s\n%s = %s\n", setup_questions[q].question,
			    setup_questions[q].key, a->v[q]);
}
