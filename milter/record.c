/* record.c: what the audit log says of a message. Pure; runs in milter's threads. The ledger adds v, seq, ts, host, prev and h. No
 * body text; names raw (base64) and normalized. A record that would be too large loses list entries, marked by "cut", never its verdict. */
#include "config.h"

#include "milter/gateway.h"
#include "milter/record.h"

#include "milter/policy_record.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/hdr.h"

#include <stdlib.h>
#include <string.h>

#define RECORD_MAX (262144 - 1024)

static struct json *
session_json(const struct session *s, const struct msg *m)
{
	struct json *o = json_obj_new();

	json_set_str(o, "ip", s->client_ip != NULL ? s->client_ip : "");
	json_set_str(o, "tls", s->tls != NULL ? s->tls : "");
	json_set_str(o, "auth", m->login != NULL ? m->login : "");
	return o;
}

static struct json *
env_json(const struct msg *m, size_t most)
{
	struct json *o = json_obj_new(), *arr = json_arr_new();
	size_t i;

	json_set_str(o, "from", m->from);
	for (i = 0; i < m->n_rcpts && i < most; i++)
		json_push_take(arr, json_str_new(slice_sub(slice_str(m->rcpts[i]), 0, 400)));
	json_set_take(o, "rcpts", arr);
	json_set_int(o, "n_rcpts", (int64_t)m->n_rcpts);
	return o;
}

static void
set_hash(struct json *o, const char *key, const unsigned char digest[32])
{
	char hex[65];

	hex_encode(digest, 32, hex);
	json_set_str(o, key, hex);
}

static void
set_message(struct json *rec, const struct record_input *in)
{
	struct slice header = buf_slice(&in->msg->header);
	unsigned char digest[32];
	struct hdr_field field;
	struct json *arr = json_arr_new();
	size_t i;

	if (hdr_find(header, "Message-ID", 0, &field)) {
		sha256_of(slice_trim(field.body), digest);
		set_hash(rec, "msgid_sha256", digest);
	} else {
		json_set_str(rec, "msgid_sha256", "");
	}
	for (i = 0; in->facts != NULL && i < in->facts->n_authors; i++)
		json_push_take(arr, json_str_new(slice_sub(in->facts->authors[i].address, 0, 400)));
	json_set_take(rec, "hdr_from", arr);
	json_set_int(rec, "size", (int64_t)in->msg->file.size);
	if (in->facts != NULL && in->facts->scan != NULL)
		set_hash(rec, "body_sha256", in->facts->scan->body_sha256);
	else
		json_set_str(rec, "body_sha256", "");
	json_set_take(rec, "label", NULL);
}

static struct json *
decision_json(const struct record_input *in)
{
	struct json *o = json_obj_new();

	json_set_str(o, "action", in->action);
	json_set_str(o, "code", in->code);
	json_set_str(o, "rule", in->rule);
	/* "enforce" also where nothing had to be done: other findings carry their own */
	json_set_str(o, "mode", "enforce");
	json_set_slice(o, "detail", in->detail);
	return o;
}

static struct json *
policy_json(void)
{
	struct json *o = json_obj_new();
	const struct policy *p = milter_settings.policy;

	json_set_slice(o, "id", p != NULL ? p->id : slice_str("builtin"));
	json_set_int(o, "version", p != NULL ? (int64_t)p->version : 1);
	json_set_str(o, "sha256", p != NULL ? p->sha256 : milter_settings.policy_sha256);
	return o;
}

static struct json *
findings_json(const struct record_input *in)
{
	struct json *arr = in->facts != NULL && in->facts->scan != NULL
			       ? findings_notes_json(in->facts->scan)
			       : json_arr_new();
	struct json *o;
	size_t i;

	if (strcmp(in->rule, "T02") == 0) {
		o = json_obj_new();
		json_set_str(o, "id", "scan_failed");
		json_set_str(o, "part", "");
		json_set_str(o, "severity", "warn");
		json_set_slice(o, "detail", in->detail);
		json_push_take(arr, o);
	}
	for (i = 0; in->verdict != NULL && i < in->verdict->n_notes; i++) {
		o = json_obj_new();
		json_set_str(o, "id", in->verdict->notes[i].rule->id);
		json_set_str(o, "part", "");
		json_set_str(o, "severity", "warn");
		json_set_str(o, "mode", rule_mode_name(in->verdict->notes[i].mode));
		json_set_slice(o, "detail", buf_slice(&in->verdict->notes[i].detail));
		json_push_take(arr, o);
	}
	return arr;
}

/* Two officers let it go: under which queue id it was held, and what it is exempt from. */
static struct json *
released_json(const char *release)
{
	struct json *o = json_obj_new();
	struct slice s = slice_str(release);
	ptrdiff_t sp = slice_index(s, ' ');

	json_set_slice(o, "qid", slice_sub(s, 0, sp < 0 ? s.len : (size_t)sp));
	json_set_slice(o, "rules", sp < 0 ? slice_str("") : slice_from(s, (size_t)sp + 1));
	return o;
}

/* The mail was signed here, or why not. */
static struct json *
gateway_json(const struct gateway *g)
{
	struct json *o = json_obj_new();

	json_set_bool(o, "signed", g->done);
	json_set_str(o, "entity_sha256", g->done ? g->entity_sha256 : "");
	json_set_str(o, "refused", g->refused != NULL ? g->refused : "");
	return o;
}

static struct json *
timing_json(const struct record_input *in)
{
	const struct findings *f = in->facts != NULL ? in->facts->scan : NULL;
	struct json *o = json_obj_new();

	json_set_int(o, "mime", f != NULL ? f->us_mime / 1000 : 0);
	json_set_int(o, "cms", f != NULL ? f->us_cms / 1000 : 0);
	json_set_int(o, "rev", 0); /* CRLs are in memory: part of cms */
	json_set_int(o, "scan", f != NULL ? f->us_scan / 1000 : 0);
	json_set_int(o, "total", in->us_total / 1000);
	return o;
}

/* cut 0: everything; 1: no parts; 2: few recipients too. */
static struct json *
build(const struct record_input *in, int cut)
{
	const struct findings *f = in->facts != NULL ? in->facts->scan : NULL;
	struct json *rec = json_obj_new(), *o;

	json_set_str(rec, "event", "verdict");
	json_set_str(rec, "qid", in->qid);
	json_set_take(rec, "session", session_json(in->session, in->msg));
	json_set_take(rec, "env", env_json(in->msg, cut < 2 ? SIZE_MAX : 100));
	set_message(rec, in);
	json_set_take(rec, "policy", policy_json());
	json_set_take(rec, "decision", decision_json(in));
	o = json_obj_new();
	json_set_bool(o, "is", in->facts != NULL && in->facts->official);
	json_set_str(o, "why", in->facts != NULL ? in->facts->official_why : "");
	json_set_take(rec, "official", o);
	/* when it came to no judgement there is nothing that another policy could be asked */
	if (in->verdict != NULL)
		json_set_take(rec, "facts",
		    policy_facts_json(in->facts, in->verdict->hits,
			milter_settings.record_subject ? buf_slice(&in->msg->header)
						       : (struct slice){NULL, 0}));
	json_set_take(rec, "findings", cut < 2 ? findings_json(in) : json_arr_new());
	json_set_take(
	    rec, "sig", f != NULL ? findings_sig_json(f, in->facts->date) : json_arr_new());
	json_set_take(
	    rec, "documents", f != NULL && cut < 2 ? findings_docs_json(f) : json_arr_new());
	json_set_take(rec, "parts", f != NULL && cut < 1 ? findings_parts_json(f) : json_arr_new());
	if (in->msg->release != NULL)
		json_set_take(rec, "released", released_json(in->msg->release));
	if (in->gateway != NULL)
		json_set_take(rec, "gateway", gateway_json(in->gateway));
	if (in->harvest != NULL && cut == 0) /* they come again with the next mail */
		json_set_take(rec, "harvest", json_share(in->harvest));
	json_set_take(rec, "timing_ms", timing_json(in));
	json_set_bool(rec, "cut", cut > 0 || (f != NULL && f->truncated));
	return rec;
}

int
record_verdict(const struct record_input *in, struct buf *out)
{
	struct buf b;
	struct json *rec;
	int err = ERR_LIMIT, cut;

	for (cut = 0; cut <= 2 && err == ERR_LIMIT; cut++) {
		buf_init(&b, RECORD_MAX);
		rec = build(in, cut);
		err = json_canonical(rec, &b);
		json_free(rec);
		if (err == 0)
			err = buf_append_slice(out, buf_slice(&b));
		buf_done(&b);
	}
	return err;
}
