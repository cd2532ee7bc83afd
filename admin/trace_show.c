/* trace_show.c: a mail's way as people read it. Runs in congvu. Whatever a sender chose goes through shown.h: nothing here can steer the terminal, or make
 * a program look like a document. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "admin/ctl_trace.h"
#include "admin/shown.h"
#include "lib/mime.h"

enum { LABEL = 14, SHOWN_LIST = 200, NAME_MAX_SHOWN = 16384, RAW_MAX = 8192 };

static void
label(const char *text)
{
	printf("  ");
	ctl_label(text, LABEL);
}

static const struct json *
first(const struct trace_mail *m, const char *event)
{
	for (size_t i = 0; i < json_len(m->records); i++)
		if (strcmp(json_cstr(json_get(json_at(m->records, i), "event")), event) == 0)
			return json_at(m->records, i);
	return NULL;
}

const char *
trace_id(const struct trace_mail *m)
{
	for (size_t i = 0; i < json_len(m->records); i++) {
		const char *qid = json_cstr(json_get(json_at(m->records, i), "qid"));

		if (*qid != '\0')
			return qid;
	}
	return m->group;
}

/* " word value", when there is one. */
static void
put(const char *word, const struct json *v, enum shown_as as)
{
	if (json_kind(v) == JSON_T_INT)
		printf(" %s %lld", word, (long long)json_int(v, 0));
	if (json_str(v).len == 0)
		return;
	printf(" %s%s", word, *word != '\0' ? " " : "");
	shown_print(json_str(v), as);
}

void
trace_print_word(struct slice s)
{
	static const char *const words[] = {N_("valid"), N_("bad"), N_("weak"), N_("untrusted"),
	    N_("expired"), N_("whole"), N_("partial"), N_("unchecked"), N_("good"), N_("revoked"),
	    N_("unknown"), N_("delivered"), N_("filed"), N_("copy in Sent"), N_("unread"),
	    N_("read"), N_("deferred"), N_("refused"), N_("forwarded"), N_("ok")};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (slice_eq_str(s, words[i])) {
			fputs(_(words[i]), stdout);
			return;
		}
	shown_print(s, SHOWN_TEXT);
}

static void
put_word(const char *what, const struct json *v)
{
	if (json_str(v).len == 0)
		return;
	printf(" %s%s", what, *what != '\0' ? " " : "");
	trace_print_word(json_str(v));
}

static void
print_list(const char *what, const struct json *list, const char *key)
{
	size_t n = json_len(list);

	if (n == 0)
		return;
	label(what);
	for (size_t i = 0; i < n && i < SHOWN_LIST; i++) {
		const struct json *item = json_at(list, i);

		printf("%s", i > 0 ? ", " : "");
		shown_print(json_str(key != NULL ? json_get(item, key) : item), SHOWN_LATIN);
	}
	if (n > SHOWN_LIST)
		printf(_(" and %zu more"), n - SHOWN_LIST);
	printf("\n");
}

/* ---- one line ---- */

static void
print_short(const struct trace_mail *m)
{
	const struct json *v = first(m, "verdict"), *o = first(m, "outcome"), *env, *rcpts;
	const struct json *any = v != NULL ? v : o != NULL ? o : json_at(m->records, 0);

	env = json_get(any, "env");
	rcpts = json_get(env, "rcpts");
	printf("%s  %.19sZ", trace_id(m), json_cstr(json_get(any, "ts")));
	put("", json_get(json_get(v, "decision"), "action"), SHOWN_LATIN);
	put("", json_get(json_get(v, "decision"), "rule"), SHOWN_LATIN);
	put("", json_get(o, "code"), SHOWN_LATIN);
	put(_("from"), json_get(env, "from"), SHOWN_LATIN);
	if (rcpts == NULL)
		rcpts = json_get(o, "rcpts");
	if (json_len(rcpts) > 0) {
		const struct json *r = json_at(rcpts, 0);

		put(_("to"), json_kind(r) == JSON_T_OBJ ? json_get(r, "address") : r, SHOWN_LATIN);
	}
	if (json_len(rcpts) > 1)
		printf(_(" and %zu more"), json_len(rcpts) - 1);
	put("-", json_get(json_get(v, "facts"), "subject"), SHOWN_TEXT);
	printf("\n");
}

/* ---- the verdict ---- */

static void
raw_name(const struct json *part, struct buf *out)
{
	if (b64_decode(json_str(json_get(part, "name_raw")), false, out) != 0)
		buf_reset(out);
	if (out->len == 0)
		buf_append_slice(out, json_str(json_get(part, "name_norm")));
}

static void
print_part(const struct json *part)
{
	const struct json *flags = json_get(part, "flags");
	struct buf name, ext;

	buf_init(&name, RAW_MAX);
	buf_init(&ext, NAME_MAX_SHOWN);
	raw_name(part, &name);
	if (name.len > 0) {
		shown_extension(buf_slice(&name), &ext);
		label(_("attachment"));
		shown_print(buf_slice(&name), SHOWN_TEXT);
		printf("  [%s]", ext.len > 0 ? buf_cstr(&ext) : _("no extension"));
		put("", json_get(part, "true"), SHOWN_LATIN);
		printf(_(", %lld octets"), (long long)json_int(json_get(part, "size"), 0));
		for (size_t i = 0; i < json_len(flags); i++)
			put("", json_at(flags, i), SHOWN_LATIN);
		printf("\n");
		label("");
		put("SHA-256", json_get(part, "sha256"), SHOWN_LATIN);
		printf("\n");
	}
	buf_done(&name);
	buf_done(&ext);
}

static void
print_signature(const struct json *s)
{
	const struct json *rev = json_get(s, "rev"), *a = json_get(s, "addresses");

	label(_("signature"));
	trace_print_word(json_str(json_get(s, "status")));
	put_word("", json_get(s, "coverage"));
	for (size_t i = 0; i < json_len(a) && i < 8; i++)
		put("", json_at(a, i), SHOWN_LATIN);
	put("-", json_get(s, "signer"), SHOWN_TEXT);
	printf("\n");
	label("");
	put(_("issuer"), json_get(s, "issuer"), SHOWN_TEXT);
	put(_("serial"), json_get(s, "serial"), SHOWN_LATIN);
	put_word(_("revocation"), json_get(rev, "state"));
	put("", json_get(rev, "source"), SHOWN_LATIN);
	if (json_int(json_get(rev, "age_s"), 0) > 0)
		printf(_(", %lld s old"), (long long)json_int(json_get(rev, "age_s"), 0));
	put("-", json_get(s, "why"), SHOWN_TEXT);
	printf("\n");
}

static void
print_finding(const struct json *f)
{
	label(_("found"));
	shown_print(json_str(json_get(f, "id")), SHOWN_LATIN);
	put("", json_get(f, "mode"), SHOWN_LATIN);
	put(_("part"), json_get(f, "part"), SHOWN_TEXT);
	put("-", json_get(f, "detail"), SHOWN_TEXT);
	printf("\n");
}

static void
print_verdict(const struct json *r)
{
	const struct json *session = json_get(r, "session"), *d = json_get(r, "decision"),
			  *policy = json_get(r, "policy"), *released = json_get(r, "released");

	label(_("received"));
	printf("%s", json_cstr(json_get(r, "ts")));
	put(_("from"), json_get(session, "ip"), SHOWN_LATIN);
	put(_("login"), json_get(session, "auth"), SHOWN_LATIN);
	put("", json_get(session, "tls"), SHOWN_LATIN);
	printf(_(", %lld octets"), (long long)json_int(json_get(r, "size"), 0));
	put(_("queue id"), json_get(r, "qid"), SHOWN_LATIN);
	printf("\n");
	if (json_kind(released) == JSON_T_OBJ) {
		label(_("released"));
		put(_("was"), json_get(released, "qid"), SHOWN_LATIN);
		put(_("exempt from"), json_get(released, "rules"), SHOWN_LATIN);
		printf("\n");
	}
	label(_("envelope"));
	printf("<");
	shown_print(json_str(json_get(json_get(r, "env"), "from")), SHOWN_LATIN);
	printf(">\n");
	print_list("From", json_get(r, "hdr_from"), NULL);
	print_list(_("to"), json_get(json_get(r, "env"), "rcpts"), NULL);
	if (json_str(json_get(json_get(r, "facts"), "subject")).len > 0) {
		label(_("subject"));
		shown_print(json_str(json_get(json_get(r, "facts"), "subject")), SHOWN_TEXT);
		printf("\n");
	}
	for (size_t i = 0; i < json_len(json_get(r, "sig")); i++)
		print_signature(json_at(json_get(r, "sig"), i));
	for (size_t i = 0; i < json_len(json_get(r, "parts")); i++)
		print_part(json_at(json_get(r, "parts"), i));
	for (size_t i = 0; i < json_len(json_get(r, "findings")); i++)
		print_finding(json_at(json_get(r, "findings"), i));
	label(_("verdict"));
	shown_print(json_str(json_get(d, "action")), SHOWN_LATIN);
	put("", json_get(d, "code"), SHOWN_LATIN);
	put("", json_get(d, "rule"), SHOWN_LATIN);
	put("", json_get(d, "mode"), SHOWN_LATIN);
	put("-", json_get(d, "detail"), SHOWN_TEXT);
	printf("\n");
	label("");
	put(_("policy"), json_get(policy, "id"), SHOWN_LATIN);
	put(_("version"), json_get(policy, "version"), SHOWN_LATIN);
	put("SHA-256", json_get(policy, "sha256"), SHOWN_LATIN);
	printf("\n");
}

/* ---- what came after ---- */

/* What was refused before there was anything to judge (P28 at MAIL). */
static void
print_unjudged(const struct json *r)
{
	const struct json *session = json_get(r, "session");

	label(_("received"));
	printf("%s", json_cstr(json_get(r, "ts")));
	put(_("from"), json_get(session, "ip"), SHOWN_LATIN);
	put(_("login"), json_get(session, "auth"), SHOWN_LATIN);
	printf("\n");
	label(_("envelope"));
	printf("<");
	shown_print(json_str(json_get(json_get(r, "env"), "from")), SHOWN_LATIN);
	printf(">\n");
}

/* Outcomes, deliveries: an answer for each recipient. */
static void
print_outcome(const struct json *r, const char *what)
{
	const struct json *rcpts = json_get(r, "rcpts");

	label(what);
	printf("%s", json_cstr(json_get(r, "ts")));
	put("", json_get(r, "code"), SHOWN_LATIN);
	put("", json_get(r, "text"), SHOWN_TEXT);
	printf("\n");
	for (size_t i = 0; i < json_len(rcpts) && i < SHOWN_LIST; i++) {
		const struct json *x = json_at(rcpts, i);

		label("");
		printf("  ");
		shown_print(json_str(json_get(x, "address")), SHOWN_LATIN);
		put_word("", json_get(x, "result"));
		put_word("-", json_get(x, "detail"));
		printf("\n");
	}
	if (json_len(rcpts) > SHOWN_LIST)
		printf(_(" and %zu more"), json_len(rcpts) - SHOWN_LIST);
}

/* What an officer did. */
static void
print_deed(const struct json *r)
{
	static const struct {
		const char *key, *label;
	} fields[] = {{"by", N_("done by")}, {"requested_by", N_("requested_by")},
	    {"rules", N_("rules")}, {"kind", N_("kind")}, {"value", N_("value")},
	    {"request", N_("request")}, {"decision", N_("decision")}, {"state", N_("state")},
	    {"reason", N_("reason")}};

	label(_("by hand"));
	printf("%s ", json_cstr(json_get(r, "ts")));
	shown_print(json_str(json_get(r, "event")), SHOWN_LATIN);
	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		put(_(fields[i].label), json_get(r, fields[i].key), SHOWN_TEXT);
	printf("\n");
}

/* What officers were told at once. */
static void
print_alert(const struct json *r)
{
	label(_("alert"));
	printf("%s", json_cstr(json_get(r, "ts")));
	put("", json_get(r, "rule"), SHOWN_LATIN);
	put("", json_get(r, "address"), SHOWN_LATIN);
	printf("\n");
}

static void
print_whole(const struct trace_mail *m)
{
	const struct json *o = first(m, "outcome");

	printf("%s\n", trace_id(m));
	if (o != NULL && first(m, "verdict") == NULL)
		print_unjudged(o);
	for (size_t i = 0; i < json_len(m->records); i++) {
		const struct json *r = json_at(m->records, i);
		const char *event = json_cstr(json_get(r, "event"));

		if (strcmp(event, "verdict") == 0)
			print_verdict(r);
		else if (strcmp(event, "outcome") == 0)
			print_outcome(r, _("outcome"));
		else if (strcmp(event, "delivery") == 0)
			print_outcome(r, _("delivery"));
		else if (strcmp(event, "alert") == 0)
			print_alert(r);
		else
			print_deed(r);
	}
	if (m->more > 0)
		printf(_("  %llu more records are not shown\n"), (unsigned long long)m->more);
	if (m->bad > 0)
		printf(_("  %llu records of it are NOT as they were written: congvu audit "
			 "verify\n"),
		    (unsigned long long)m->bad);
}

void
trace_print(const struct trace_mail *m, bool whole)
{
	if (whole)
		print_whole(m);
	else
		print_short(m);
}

/* ---- JSON ---- */

static void
set_shown(struct json *o, const char *key, struct slice s, enum shown_as as)
{
	struct buf b;

	buf_init(&b, 4 * NAME_MAX_SHOWN);
	shown_append(s, as, &b);
	json_set_slice(o, key, buf_slice(&b));
	buf_done(&b);
}

/* Beside the record: JSON escapes nothing that deceives an eye once it was parsed. */
static struct json *
shown_json(const struct json *r)
{
	struct json *o = json_obj_new(), *arr = json_arr_new(), *one;
	const struct json *parts = json_get(r, "parts");
	struct buf name, ext;

	set_shown(o, "subject", json_str(json_get(json_get(r, "facts"), "subject")), SHOWN_TEXT);
	set_shown(o, "from", json_str(json_get(json_get(r, "env"), "from")), SHOWN_LATIN);
	for (size_t i = 0; i < json_len(parts); i++) {
		buf_init(&name, RAW_MAX);
		buf_init(&ext, NAME_MAX_SHOWN);
		raw_name(json_at(parts, i), &name);
		if (name.len > 0) {
			one = json_obj_new();
			json_set_slice(one, "path", json_str(json_get(json_at(parts, i), "path")));
			set_shown(one, "name", buf_slice(&name), SHOWN_TEXT);
			shown_extension(buf_slice(&name), &ext);
			json_set_slice(one, "extension", buf_slice(&ext));
			json_push_take(arr, one);
		}
		buf_done(&name);
		buf_done(&ext);
	}
	json_set_take(o, "attachments", arr);
	return o;
}

struct json *
trace_json(const struct trace_mail *m)
{
	struct json *o = json_obj_new();
	const struct json *v = first(m, "verdict");

	json_set_str(o, "id", trace_id(m));
	json_set_take(o, "records", json_share(m->records));
	json_set_take(o, "shown", v != NULL ? shown_json(v) : NULL);
	json_set_int(o, "more", (int64_t)m->more);
	json_set_int(o, "altered", (int64_t)m->bad);
	return o;
}
