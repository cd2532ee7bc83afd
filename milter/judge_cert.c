/* judge_cert.c: judge_cert.h. Runs in congvu-milter-judge, as user_scan in milter-scan's sandbox: the certificate came with somebody's mail, CRLs and OCSP answers
 * over the network. */
#include "config.h"

#include "milter/judge_cert.h"

#include "milter/rule.h"
#include "milter/smime_rev.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/ipc.h"
#include "lib/mime.h"

#include <string.h>
#include <time.h>

#define MEMORY (8u << 20)

/* What cannot be used is passed over: without it revocation stays unknown. */
static int
take_rev(struct smime_trust *t, struct slice rev, int64_t now)
{
	struct ipc_reader r;
	int64_t from, to;

	ipc_reader_init(&r, rev);
	while (r.err == 0 && r.rest.len > 0) {
		unsigned kind = ipc_get_u8(&r);
		struct slice key = ipc_get_slice(&r), bytes = ipc_get_slice(&r);

		if (r.err == 0 && (kind == WANT_CRL || kind == WANT_OCSP))
			(void)smime_rev_put(t, (enum want_kind)kind, key, bytes, now, &from, &to);
	}
	return r.err;
}

static struct json *
wants_json(const struct findings *f)
{
	struct json *list = json_arr_new();
	const struct find_want *w;

	for (w = f->wants; w != NULL; w = w->next) {
		struct json *o = json_obj_new();
		struct buf b;

		buf_init(&b, 2 * FINDINGS_TEXT_MAX);
		b64_encode(w->request, false, &b);
		json_set_int(o, "kind", w->kind);
		json_set_slice(o, "url", w->url);
		json_set_slice(o, "request", buf_slice(&b));
		buf_done(&b);
		json_push_take(list, o);
	}
	return list;
}

static unsigned
bits(const struct json *params, const char *key)
{
	int64_t n = json_int(json_get(params, key), 0);

	return n > 0 && n <= 65536 ? (unsigned)n : 0;
}

/* What the policy's trust says of this certificate, as rule_trust.c says it of a signature made with it. Whose digest it would be is not known here. */
static void
ask_trust(const struct json *params, const struct find_sig *s, struct json *rev, struct json *o)
{
	struct rule_facts f;
	struct buf why;

	memset(&f, 0, sizeof f);
	f.trust.name = json_str(json_get(params, "trust"));
	f.trust.rsa = bits(params, "rsa");
	f.trust.ec = bits(params, "ec");
	f.trust.rev_age_s = json_int(json_get(params, "rev_age_s"), 0);
	buf_init(&why, 300);
	(void)rule_below_floor(&f, s, &why);
	json_set_slice(o, "below", buf_slice(&why));
	buf_done(&why);
	json_set_bool(rev, "too_old", rule_rev_of(&f, s) != s->rev);
	json_set_str(rev, "state", rev_state_name(rule_rev_of(&f, s)));
}

static struct json *
facts_json(const struct findings *f, const struct find_sig *s, const struct smime_use *use,
    const struct json *params)
{
	struct json *o = json_obj_new(), *rev = json_obj_new(), *list = json_arr_new();
	const struct sig_address *a;
	char hex[65];

	hex_encode(s->cert_sha256, 32, hex);
	json_set_str(o, "sha256", hex);
	json_set_slice(o, "subject", s->signer);
	json_set_slice(o, "issuer", s->issuer);
	json_set_slice(o, "serial", s->serial);
	json_set_slice(o, "key", s->key);
	json_set_int(o, "not_before", s->not_before);
	json_set_int(o, "not_after", s->not_after);
	for (a = s->addresses; a != NULL; a = a->next)
		json_push_take(list, json_str_new(a->value));
	json_set_take(o, "addresses", list);
	json_set_bool(o, "encrypts", use->encrypts);
	json_set_bool(o, "signs", use->signs);
	json_set_str(o, "status", sig_status_name(s->status));
	json_set_slice(o, "why", s->why);
	json_set_slice(o, "chain", s->chain);
	ask_trust(params, s, rev, o);
	json_set_slice(rev, "source", s->rev_source);
	json_set_int(rev, "age_s", s->rev_age_s);
	json_set_take(o, "rev", rev);
	json_set_take(o, "wants", wants_json(f));
	return o;
}

int
judge_cert(struct smime_trust *t, struct slice certs, struct slice rev, const struct json *params,
    struct buf *out)
{
	struct slice domain = json_str(json_get(params, "domain")),
		     store = json_str(json_get(params, "store"));
	struct arena *a = arena_new(MEMORY);
	int64_t now = (int64_t)time(NULL);
	struct findings f;
	struct smime_use use = {.signs = false};
	struct json *o;
	int err;

	if (a == NULL)
		return ERR_NOMEM;
	findings_init(&f, a);
	/* as judgement_store: of an address that came with mail, and no choice of a store */
	if (slice_index(domain, '=') >= 0)
		domain = slice_str("");
	if (store.len > 0) {
		const char *both = arena_printf(a, "%.*s=%.*s", (int)domain.len,
		    domain.len > 0 ? (const char *)domain.ptr : "", (int)store.len,
		    (const char *)store.ptr);

		domain = slice_str(both != NULL ? both : "=");
	}
	err = take_rev(t, rev, now);
	if (err == 0)
		err = smime_cert_check(t, certs, domain, now, &f, &use);
	if (err == 0) {
		o = facts_json(&f, f.sigs, &use, params);
		err = json_canonical(o, out);
		json_free(o);
	}
	arena_free(a);
	return err;
}
