/* sent_copy.c: what was submitted as a functional mailbox, or for somebody who delegated, is also in that one's Sent, where all who hold it see it. Runs in
 * smtpd-session. Order: the message is safe in store or queue, then its copy (the octets that went out: Sender, the gateway's signature) is committed in Sent by LMTP with
 * XCVSENT, or, when the store cannot take it now (away, over quota), in the queue, which tries as long as it tries mail and then tells who sent it; then the
 * client gets its 250. The copy's delivery id comes of who sent what from where to whom, as the client said it: a client that heard no 250 and sends that again makes
 * no second copy; who sends another's octets, or the same to others, makes one. What neither takes is a line sent_copy_lost (level error), and the answer to the
 * client says so: mail that is delivered is not sent twice for a copy's sake. What relay brought to be judged it brings again, which doubles nothing. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/addr.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"

#include <stdlib.h>
#include <string.h>

enum { COPIES_MAX = 10, SEEN_MAX = 2000, UNSEEN_MAX = 65536 };

struct sent_copies {
	struct client *c;
	const struct sent_message *m;
	struct delivery_id id;
	const char *actor; /* who signed in: hears when a copy cannot be kept */
	struct buf header; /* of the copy */
	struct lmtp_rcpt rcpts[COPIES_MAX];
	size_t n;
	struct lmtp_job *job;
	struct queue_call *call;
	void (*fn)(void *arg);
	void *arg;
};

void
sent_copies_free(struct sent_copies *s)
{
	if (s == NULL)
		return;
	lmtp_cancel(s->job);
	queue_call_cancel(s->call);
	buf_done(&s->header);
	free(s);
}

static void
over(struct sent_copies *s)
{
	void (*fn)(void *arg) = s->fn;
	void *arg = s->arg;

	sent_copies_free(s);
	fn(arg);
}

/* For the outcome record, which has the login: who acted for whom. */
static void
note(struct sent_copies *s, size_t i, const char *result)
{
	struct txn *t = s->c->t;

	if (t->copies == NULL)
		t->copies = arena_calloc(t->arena, COPIES_MAX, sizeof(*t->copies));
	if (t->copies == NULL || t->n_copies == COPIES_MAX)
		return;
	t->copies[t->n_copies++] =
	    (struct ledger_rcpt){s->rcpts[i].address, result, "copy in Sent"};
}

static void
log_copies(const struct sent_copies *s, const char *event, enum log_level level, const char *why)
{
	for (size_t i = 0; i < s->n; i++) {
		struct log_line l;

		log_begin(&l, level, event);
		log_str(&l, "qid", s->c->t->qid);
		log_str(&l, "login", s->c->login->login);
		log_str(&l, "mailbox", s->rcpts[i].address);
		if (s->rcpts[i].text[0] != '\0')
			log_str(&l, "text", s->rcpts[i].text);
		if (why != NULL)
			log_str(&l, "why", why);
		log_end(&l);
	}
}

static void
on_queued(void *arg, int err)
{
	struct sent_copies *s = arg;

	s->call = NULL;
	if (err != 0)
		log_copies(s, "sent_copy_lost", LOG_LVL_ERROR, err_name(err));
	else
		log_copies(s, "sent_copy_queued", LOG_LVL_INFO, NULL);
	for (size_t i = 0; i < s->n; i++)
		note(s, i, err != 0 ? "lost" : "queued");
	over(s);
}

/* Those that are in Sent, and those of a store that knows no such copies (another's), are not asked about any more. */
static void
forget_settled(struct sent_copies *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		if (s->rcpts[i].result == LMTP_DELIVERED)
			note(s, i, "filed");
		else if (slice_eq_str(slice_str(s->rcpts[i].text), LMTP_NO_SENT))
			log_msg(LOG_LVL_INFO, "sent_copy_none", "%s: the store keeps none",
			    s->c->t->qid);
		else
			s->rcpts[n++] = s->rcpts[i];
	}
	s->n = n;
}

static void
to_queue(struct sent_copies *s)
{
	struct arena *a = s->c->t->arena;
	struct envelope_rcpt *r = arena_calloc(a, s->n, sizeof(*r));
	struct envelope e = {.from = s->actor,
	    .ret = "HDRS",
	    .envid = "",
	    .login = s->c->login->login,
	    .client_ip = s->c->ip,
	    /* what the mail is besides (urgent, to be judged) is no matter of its copy */
	    .flags = (s->m->env_flags & (ENV_8BIT | ENV_SMTPUTF8)) | ENV_SENT,
	    .quarantine = "",
	    .rcpts = r};

	for (size_t i = 0; i < s->n && r != NULL; i++) {
		bool refused = s->rcpts[i].result == LMTP_REFUSED;
		const char *why = refused && s->rcpts[i].code != 0
				      ? arena_printf(a, "%u %s", s->rcpts[i].code, s->rcpts[i].text)
				      : arena_strdup(a, s->rcpts[i].text);
		r[e.n_rcpts++] = (struct envelope_rcpt){.address = s->rcpts[i].address,
		    .state = refused ? RCPT_FAILED : RCPT_LOCAL,
		    .orcpt = "",
		    .why = why == NULL ? "" : why};
	}
	struct queue_message qm = s->m->queue;
	qm.header = buf_slice(&s->header);
	if (r != NULL)
		s->call = queue_commit(smtpd.queue, &s->id, &e, &qm, on_queued, s);
	if (s->call == NULL)
		on_queued(s, ERR_TEMP);
}

static void
on_lmtp(void *arg)
{
	struct sent_copies *s = arg;

	s->job = NULL;
	forget_settled(s);
	if (s->n == 0)
		over(s);
	else
		to_queue(s);
}

static void
hash_str(struct sha256 *h, struct slice s)
{
	uint64_t len = s.len;

	sha256_update(h, &len, sizeof(len));
	sha256_update(h, s.ptr, s.len);
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The same octets from the same person, from and to the same addresses, are the same copy, whatever transaction brings them. What relay brings back to be
 * judged may come for some of the recipients at a time: there the queue's id says which message it is. */
static void
make_id(struct sent_copies *s)
{
	const struct sent_message *m = s->m;
	struct arena *a = s->c->t->arena;
	const char **to = arena_calloc(a, m->n_rcpts + 1, sizeof(*to));
	struct sha256 *h;
	unsigned char sum[32];
	bool judged = s->c->port == PORT_JUDGE;

	if (to == NULL)
		fatal("no memory");
	for (size_t i = 0; i < m->n_rcpts; i++)
		to[i] = m->rcpts[i].address;
	qsort(to, m->n_rcpts, sizeof(*to), by_text);
	h = sha256_new();
	hash_str(h, slice_str(judged ? "sent copy, judged" : "sent copy, submitted"));
	hash_str(h, slice_str(s->c->login->login));
	hash_str(h, slice_str(m->from));
	if (judged)
		hash_str(h, s->c->t->mail.judge_id);
	for (size_t i = 0; i < m->n_rcpts && !judged; i++)
		hash_str(h, slice_str(to[i]));
	hash_str(h, slice_str("")); /* no address is empty: the list ends */
	hash_str(h, m->sent);
	sha256_final(h, sum);
	sha256_free(h);
	memcpy(s->id.b, sum, sizeof(s->id.b));
}

static bool
is_in(const struct addr *a, const char *address)
{
	struct slice local, domain;

	if (addr_split(slice_str(address), &local, &domain) != 0)
		return false;
	for (; a != NULL; a = a->next)
		if (a->kind == ADDR_MAILBOX && slice_caseeq(a->local, local) &&
		    slice_caseeq(a->domain, domain))
			return true;
	return false;
}

static bool
is_named(const struct addr *const *lists, size_t n, const char *address)
{
	for (size_t i = 0; i < n; i++)
		if (is_in(lists[i], address))
			return true;
	return false;
}

/* The header of the copy: that of what went out, under Bcc with whom it went to unseen (RFC 5322 3.6.3): the mailbox's own record has all whom it wrote to,
 * whether its client says so or not, and so a client's copy with Bcc tells nothing more (ingest_same). */
static void
make_header(struct sent_copies *s)
{
	static const char *const fields[] = {"To", "Cc", "Resent-To", "Resent-Cc"};
	const struct addr *lists[sizeof(fields) / sizeof(fields[0])] = {NULL};
	const struct msg_field *f;
	const char *sep = "Bcc: ";
	struct addr *list;
	struct buf unseen;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if ((f = msg_find(s->m->msg, fields[i], 0)) != NULL &&
		    addr_list_parse(f->value, SEEN_MAX, s->c->t->arena, &list, NULL) == 0)
			lists[i] = list;
	buf_init(&unseen, UNSEEN_MAX);
	for (size_t i = 0; i < s->m->n_rcpts; i++) {
		if (is_named(lists, sizeof(fields) / sizeof(fields[0]), s->m->rcpts[i].address))
			continue;
		buf_appendf(&unseen, "%s<%s>", sep, s->m->rcpts[i].address);
		sep = ",\r\n\t";
	}
	if (unseen.len > 0)
		buf_append_str(&unseen, "\r\n");
	buf_init(&s->header, s->m->queue.header.len + UNSEEN_MAX);
	if (unseen.err == 0)
		buf_append_slice(&s->header, buf_slice(&unseen));
	else
		log_msg(LOG_LVL_WARN, "sent_copy_without_bcc", "%s: too many", s->c->t->qid);
	buf_append_slice(&s->header, s->m->queue.header);
	buf_done(&unseen);
}

void
sent_copies_start(struct client *c, const struct sent_message *m, struct sent_copies **out,
    void (*fn)(void *arg), void *arg)
{
	const char *as[COPIES_MAX], *actor = NULL;
	size_t n = sender_as(c, m->msg, c->t->arena, as, COPIES_MAX, &actor);
	struct sent_copies *s;
	char hex[2 * DELIVERY_ID_LEN + 1];

	if (n == 0) {
		fn(arg);
		return;
	}
	s = xcalloc(1, sizeof(*s));
	*s = (struct sent_copies){.c = c, .m = m, .actor = actor, .n = n, .fn = fn, .arg = arg};
	for (size_t i = 0; i < n; i++)
		s->rcpts[i].address = as[i];
	make_id(s);
	make_header(s);
	delivery_id_hex(&s->id, hex);
	*out = s;
	if (lmtp_seems_down(smtpd.lmtp)) {
		to_queue(s);
		return;
	}
	struct lmtp_message lm = {.from = actor,
	    .id_hex = arena_strdup(c->t->arena, hex),
	    .sent = true,
	    .eight_bit = m->env_flags & ENV_8BIT,
	    .smtputf8 = m->env_flags & ENV_SMTPUTF8,
	    .header = buf_slice(&s->header),
	    .body = m->body,
	    .rcpts = s->rcpts,
	    .n_rcpts = n};
	s->job = lmtp_deliver(smtpd.lmtp, &lm, on_lmtp, s);
}
