/* cert_check.c: a certificate looked at anew, now: by congvu-milter-judge in its sandbox; CRLs and OCSP answers are got by the fetch role, whose rules on hosts and
 * networks hold here as well. Runs in congvu, which reads neither certificates nor what was fetched. */
#include "config.h"

#include "admin/ctl_cert.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/judge_run.h"
#include "directory/fetch_client.h"
#include "lib/err.h"
#include "lib/mime.h"

enum {
	REV_BYTES_MAX = 48 << 20,
	CRL_BYTES_MAX = 16 << 20,
	OCSP_BYTES_MAX = 65536,
	DEADLINE_MS = 15000,
	WHOLE_S = 45,
	RESULT_BYTES = 1 << 20,
	WANTS_MAX = 16
};
/* As in milter/judge_cert.h. */
enum { REV_CRL = 1, REV_OCSP = 2 };

static struct json *
judge(struct ctl *c, struct slice certs, struct slice rev, const struct cert_scope *scope,
    const char **why)
{
	struct json *params = cert_scope_json(scope), *out = NULL;
	int certs_fd = judge_memory_file(certs), rev_fd = judge_memory_file(rev), params_fd = -1;
	struct buf b;

	buf_init(&b, RESULT_BYTES + 131072);
	if (json_canonical(params, &b) == 0)
		params_fd = judge_memory_file(buf_slice(&b));
	json_free(params);
	buf_reset(&b);
	*why = _("congvu-milter-judge cannot be started");
	if (certs_fd >= 0 && rev_fd >= 0 && params_fd >= 0) {
		const struct judge_input in[] = {
		    {"certs", certs_fd}, {"rev", rev_fd}, {"params", params_fd}};

		if (judge_run(c, in, 3, &b, why) == 0 && json_parse(buf_slice(&b), &out) != 0)
			out = NULL;
	}
	if (certs_fd >= 0)
		close(certs_fd);
	if (rev_fd >= 0)
		close(rev_fd);
	if (params_fd >= 0)
		close(params_fd);
	buf_done(&b);
	return out;
}

/* One CRL or OCSP answer behind the others (judge_cert.h); what does not come is left out. */
static void
fetch_one(struct ipc_sync *s, const struct json *want, struct buf *rev)
{
	bool ocsp = json_int(json_get(want, "kind"), 0) == REV_OCSP;
	struct fetch_answer *a = NULL;
	struct buf request, key;

	buf_init(&request, 4096);
	buf_init(&key, 8192);
	if (b64_decode(json_str(json_get(want, "request")), true, &request) == 0) {
		const struct fetch_request r = {.url = json_cstr(json_get(want, "url")),
		    .is_post = ocsp,
		    .content_type = ocsp ? "application/ocsp-request" : "",
		    .body = buf_slice(&request),
		    .max_bytes = ocsp ? OCSP_BYTES_MAX : CRL_BYTES_MAX,
		    .deadline_ms = DEADLINE_MS,
		    .max_redirects = ocsp ? 0 : 3};

		buf_appendf(&key, "%zu ", rev->len);
		if (fetch_sync(s, &r, &a) == 0 && a->status == 200 && a->body.len > 0 &&
		    rev->len + a->body.len + 64 <= REV_BYTES_MAX) {
			ipc_put_u8(rev, ocsp ? REV_OCSP : REV_CRL);
			ipc_put_slice(rev, buf_slice(&key));
			ipc_put_slice(rev, a->body);
		}
	}
	fetch_answer_free(a);
	buf_done(&request);
	buf_done(&key);
}

static void
fetch_all(const struct json *wants, struct buf *rev)
{
	struct ipc_sync *s = ipc_sync_new("fetch.admin.sock", &fetch_proto, IPC_ADMIN);
	time_t end = time(NULL) + WHOLE_S;

	for (size_t i = 0; i < json_len(wants) && i < WANTS_MAX && time(NULL) < end; i++)
		fetch_one(s, json_at(wants, i), rev);
	ipc_sync_free(s);
}

struct json *
cert_check(struct ctl *c, struct slice certs, const struct cert_scope *scope, const char **why)
{
	struct json *first = judge(c, certs, slice_of(NULL, 0), scope, why), *again;
	const struct json *rev = json_get(first, "rev");
	struct buf fetched;

	/* a revocation is told by whatever says so first; "good" by the trust folder's CRLs alone may be older than what is to be had */
	if (first == NULL || json_len(json_get(first, "wants")) == 0 ||
	    strcmp(json_cstr(json_get(rev, "state")), "revoked") == 0)
		return first;
	buf_init(&fetched, REV_BYTES_MAX);
	fetch_all(json_get(first, "wants"), &fetched);
	if (fetched.len > 0) {
		again = judge(c, certs, buf_slice(&fetched), scope, why);
		if (again != NULL) {
			json_free(first);
			first = again;
		}
	}
	buf_done(&fetched);
	return first;
}

/* Without what the policy has to do with it. NULL: it may be published. */
static const char *
refused_by(const char *status, const char *below, const char *rev, bool too_old, bool own_store)
{
	if (strcmp(status, "expired") == 0)
		return _("it is outside its validity, or its CA's is");
	if (strcmp(status, "untrusted") == 0 && own_store)
		return _("no CA of the store that the policy names answers for it");
	if (strcmp(status, "untrusted") == 0)
		return _("no CA of the trust folder answers for it");
	if (strcmp(status, "valid") != 0)
		return _("it may not sign mail: its key, algorithm or purpose");
	if (*below != '\0')
		return _("mail signed with it would be refused (P10)");
	if (strcmp(rev, "revoked") == 0)
		return _("it is revoked");
	if (too_old)
		return _("what is known of its revocation is older than the policy allows");
	if (strcmp(rev, "good") == 0)
		return NULL;
	return _("whether it is revoked cannot be learnt now");
}

bool
cert_refused(
    const struct json *judged, const struct cert_scope *scope, struct buf *why, int *code_out)
{
	const struct json *r = json_get(judged, "rev");
	const char *status = json_cstr(json_get(judged, "status")),
		   *below = json_cstr(json_get(judged, "below")),
		   *rev = json_cstr(json_get(r, "state")), *text;
	bool too_old = json_bool(json_get(r, "too_old")),
	     own_store = scope->from != NULL && strcmp(status, "untrusted") == 0;

	text = refused_by(status, below, rev, too_old, own_store);
	*code_out = EX_DATAERR;
	if (text == NULL)
		return false;
	if (strcmp(status, "valid") == 0 && *below == '\0' && strcmp(rev, "revoked") != 0)
		*code_out = EX_TEMPFAIL;
	buf_append_str(why, text);
	if (strcmp(status, "valid") == 0 && *below != '\0')
		buf_appendf(why, ": %s", below);
	if (own_store || (strcmp(status, "valid") == 0 && (*below != '\0' || too_old))) {
		buf_append_str(why, "; ");
		cert_scope_print(scope, why);
	}
	return true;
}
