/* harvest.c: harvest.h. Runs in milter's threads. Invariants: what the ledger knows of a certificate is asked once in REMEMBER_S and costs no sync; a certificate goes
 * to the ledger inside the verdict that is written anyway, and only while the ledger does not have it. Bounded: a table of fixed size, an entry gives way to another. */
#include "config.h"

#include "milter/harvest.h"

#include "milter/cert_table.h"
#include "milter/ledger_client.h"

#include "lib/addr.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/mime.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#define REMEMBERED 1024
#define REMEMBER_S 10
#define ENTRIES_MAX 4 /* CERTS_AT_ONCE */

static struct {
	unsigned char sha256[32];
	unsigned char state;
	int64_t until; /* CLOCK_MONOTONIC, seconds; 0: empty */
} memory[REMEMBERED];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int64_t
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec;
}

static size_t
place_of(const unsigned char sha256[32])
{
	return ((size_t)sha256[0] << 8 | sha256[1]) % REMEMBERED;
}

static bool
recall(const unsigned char sha256[32], unsigned char *state_out)
{
	size_t at = place_of(sha256);
	bool known;

	pthread_mutex_lock(&lock);
	known = memory[at].until > now_s() && memcmp(memory[at].sha256, sha256, 32) == 0;
	if (known)
		*state_out = memory[at].state;
	pthread_mutex_unlock(&lock);
	return known;
}

static void
remember(const unsigned char sha256[32], unsigned char state)
{
	size_t at = place_of(sha256);

	pthread_mutex_lock(&lock);
	memcpy(memory[at].sha256, sha256, 32);
	memory[at].state = state;
	memory[at].until = now_s() + REMEMBER_S;
	pthread_mutex_unlock(&lock);
}

/* Adds what is not remembered to the n that are asked about; at most FINDINGS_SIGS_MAX in all. */
static size_t
to_ask(const struct find_sig *s, unsigned char *state, size_t max, unsigned char (*asked)[32],
    unsigned char **to, size_t n)
{
	for (; s != NULL && max > 0 && n < FINDINGS_SIGS_MAX; s = s->next, state++, max--) {
		if (s->status != SIG_VALID || recall(s->cert_sha256, state))
			continue;
		memcpy(asked[n], s->cert_sha256, 32);
		to[n++] = state;
	}
	return n;
}

int
harvest_ask(
    struct harvest *h, struct ipc_sync *ledger, const struct findings *f, unsigned timeout_ms)
{
	unsigned char asked[FINDINGS_SIGS_MAX][32], states[FINDINGS_SIGS_MAX];
	unsigned char *to[FINDINGS_SIGS_MAX];
	size_t n = 0, i;
	int err;

	memset(h, 0, sizeof *h);
	n = to_ask(f->sigs, h->states, FINDINGS_SIGS_MAX, asked, to, n);
	n = to_ask(f->others, h->others, FINDINGS_OTHERS_MAX, asked, to, n);
	if (n == 0)
		return 0;
	err =
	    ledger_cert_ask_sync(ledger, (const unsigned char(*)[32])asked, n, timeout_ms, states);
	for (i = 0; err == 0 && i < n; i++) {
		*to[i] = states[i];
		/* who is unknown now may be known with the next mail */
		if (states[i] != CERT_UNKNOWN)
			remember(asked[i], states[i]);
	}
	return err;
}

struct slice
harvest_banned(const struct harvest *h, struct findings *f)
{
	const struct find_sig *s;
	struct slice out = {NULL, 0};
	struct buf b;
	size_t i = 0;

	for (s = f->sigs; s != NULL && out.len == 0; s = s->next, i++) {
		if (h->states[i] != CERT_BANNED)
			continue;
		buf_init(&b, 1024);
		buf_append_str(&b, "serial ");
		buf_append_slice(&b, slice_sub(s->serial, 0, 60));
		buf_append_str(&b, ", ");
		buf_append_slice(&b, slice_sub(s->signer, 0, 120));
		out = findings_text(f, buf_slice(&b));
		buf_done(&b);
	}
	return out;
}

static bool
in_directory(const struct rule_author *a, const struct find_sig *s)
{
	size_t i;

	for (i = 0; i < a->n_keys; i++)
		if (memcmp(a->keys[i], s->cert_sha256, 32) == 0)
			return true;
	return false;
}

static struct json *
entry_of(const struct find_sig *s, const struct rule_author *a, bool with_der)
{
	bool has_entry = a->is_ours && (a->owner == OWNER_PERSON || a->owner == OWNER_FUNCTIONAL);
	struct json *e = json_obj_new();
	struct buf text;
	char hex[65];

	hex_encode(s->cert_sha256, 32, hex);
	json_set_str(e, "sha256", hex);
	json_set_slice(e, "address", a->address);
	if (!with_der)
		return e;
	json_set_slice(e, "account", has_entry ? a->account : slice_str(""));
	json_set_slice(e, "subject", s->signer);
	json_set_slice(e, "issuer", s->issuer);
	json_set_slice(e, "serial", s->serial);
	json_set_int(e, "not_before", s->not_before);
	json_set_int(e, "not_after", s->not_after);
	buf_init(&text, CERT_DER_MAX * 2);
	b64_encode(s->certs, false, &text);
	json_set_slice(e, "der", buf_slice(&text));
	buf_done(&text);
	return e;
}

/* Adds those of a list that an author is bound to. */
static struct json *
add_entries(struct json *list, const struct find_sig *s, const unsigned char *states, size_t max,
    const struct rule_facts *f)
{
	size_t i, k;

	for (i = 0; s != NULL && i < max && json_len(list) < ENTRIES_MAX; s = s->next, i++) {
		if (s->coverage != SIG_WHOLE || s->status != SIG_VALID ||
		    rule_rev_of(f, s) != REV_GOOD || s->certs.len == 0 ||
		    (states[i] != CERT_UNKNOWN && states[i] != CERT_PENDING))
			continue;
		for (k = 0; k < f->n_authors; k++) {
			const struct rule_author *a = &f->authors[k];

			if (a->address.len > CERT_ADDRESS_MAX || rule_bind(s, a) == BIND_NONE ||
			    in_directory(a, s))
				continue;
			if (list == NULL)
				list = json_arr_new();
			json_push_take(list, entry_of(s, a, states[i] == CERT_UNKNOWN));
			break; /* each once */
		}
	}
	return list;
}

struct json *
harvest_entries(const struct harvest *h, const struct rule_facts *f)
{
	struct json *list;

	if (f->scan == NULL || !rule_signature_good(f))
		return NULL;
	list = add_entries(NULL, f->scan->sigs, h->states, FINDINGS_SIGS_MAX, f);
	return add_entries(list, f->scan->others, h->others, FINDINGS_OTHERS_MAX, f);
}

void
harvest_told(const struct json *entries)
{
	unsigned char sha[32];
	size_t i;

	for (i = 0; i < json_len(entries); i++)
		if (hex_decode(json_str(json_get(json_at(entries, i), "sha256")), sha, 32) == 0)
			remember(sha, CERT_PENDING);
}
