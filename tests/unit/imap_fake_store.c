/* imap_fake_store.c: stands for stored and ingest behind an imapd-session under test (link-time fake of store_client.h and ingest_client.h): one
 * process, everything in memory, every completion from the loop as with the real ones. Runs in tests only. */
#include "config.h"

#include "tests/unit/imap_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/date.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"
#include "lib/msgid.h"
#include "store/sig_message.h"

struct fmsg {
	uint32_t uid, flags;
	char *keywords;
	uint64_t modseq;
	int64_t date, saved;
	int zone;
	unsigned char email_id[16];
	const char *trace;
	unsigned char *data; /* shared by copies, never freed */
	size_t len;
};
struct fbox {
	uint64_t id;
	char *account, *name;
	uint32_t special, uidvalidity, uidnext, recent;
	uint64_t highest;
	struct fmsg *msg;
	size_t n;
	struct {
		uint32_t uid;
		uint64_t modseq;
	} * log;
	size_t n_log;
	uint64_t forgotten;
	bool gone;
	bool late; /* "Late…": the watchers are yet to hear; see run_flags */
};
struct fsub {
	char *account, *name;
};
struct watch {
	uint64_t mailbox;
	struct watch *next;
};
struct store_session {
	struct store_client *c;
	struct store_session *next;
	char account[64], share_account[64], share[64], rights[32];
	void (*on_event)(void *, uint64_t, uint64_t, bool);
	void (*on_lost)(void *);
	void *arg;
	struct watch *watches;
	bool dead;
};
struct job {
	struct job *next;
	void (*run)(struct job *j);
	struct store_session *s;
	struct ingest_append *a;
	uint64_t box, off, n64;
	uint32_t from, to, flags, len;
	int op;
	bool b1, b2;
	char *text, *text2;
	uint32_t *uids;
	size_t n;
	struct store_needle needles[STORE_NEEDLES_MAX];
	void (*fn)(void);
	void *arg;
};
struct store_client {
	struct loop *loop;
	struct loop_defer *defer;
	struct job *head, **tail;
	struct store_session *sessions;
};
static struct fbox *boxes[1000];
static size_t n_boxes;
static struct fsub subs[1000];
static size_t n_subs;
static struct store_client *the_client;
static uint64_t next_id = 1;

/* What stays until the end of the test: reachable, so that the leak checker looks at the session alone. */
static void *
keep(void *p)
{
	static void **kept;
	static size_t n_kept;
	kept = xrealloc(kept, (n_kept + 1) * sizeof(*kept));
	return kept[n_kept++] = p;
}

static char *
keep_str(const char *s)
{
	return keep(xstrdup(s));
}

/* ---- jobs ---- */

static void
run_jobs(void *arg)
{
	struct store_client *c = arg;
	struct job *j = c->head;
	if (j == NULL)
		return;
	c->head = j->next;
	if (c->head == NULL)
		c->tail = &c->head;
	else
		loop_defer_set(c->defer);
	if (j->s == NULL || !j->s->dead)
		j->run(j);
	free(j->text);
	free(j->text2);
	free(j->uids);
	free(j);
}

static struct job *
job(struct store_session *s, void (*run)(struct job *), void (*fn)(void), void *arg)
{
	struct store_client *c = the_client;
	struct job *j = xcalloc(1, sizeof(*j));
	j->run = run;
	j->s = s;
	j->fn = fn;
	j->arg = arg;
	*c->tail = j;
	c->tail = &j->next;
	loop_defer_set(c->defer);
	return j;
}
#define FN(f) ((void (*)(void))(f))

static char *
dup_slice(struct slice s)
{
	char *p = xmalloc(s.len + 1);
	if (s.len)
		memcpy(p, s.ptr, s.len);
	p[s.len] = '\0';
	return p;
}

/* ---- data ---- */

static uint64_t names = 1; /* store_names() */

uint64_t
store_names(const struct store_session *s)
{
	(void)s;
	return names;
}

static struct fbox *
box_new(const char *account, const char *name, uint32_t special)
{
	struct fbox *b = keep(xcalloc(1, sizeof(*b)));
	b->id = next_id++;
	b->account = keep_str(account);
	b->name = keep_str(name);
	b->special = special;
	b->uidvalidity = 1000 + (uint32_t)b->id;
	b->uidnext = b->recent = 1;
	b->highest = 1;
	if (n_boxes == 1000)
		fatal("too many mailboxes for the fake");
	boxes[n_boxes++] = b;
	return b;
}

static struct fbox *
box_named(const char *account, const char *name)
{
	for (size_t i = 0; i < n_boxes; i++)
		if (!boxes[i]->gone && strcmp(boxes[i]->account, account) == 0 &&
		    strcmp(boxes[i]->name, name) == 0)
			return boxes[i];
	return NULL;
}

static void
account_new(const char *account)
{
	static const struct {
		const char *name;
		uint32_t use;
	} folders[] = {{"INBOX", 0}, {"Drafts", MBOX_DRAFTS}, {"Sent", MBOX_SENT},
	    {"Junk", MBOX_JUNK}, {"Trash", MBOX_TRASH}, {"Archive", MBOX_ARCHIVE}};
	if (box_named(account, "INBOX") != NULL)
		return;
	for (size_t i = 0; i < 6; i++) {
		box_new(account, folders[i].name, folders[i].use);
		subs[n_subs++] = (struct fsub){keep_str(account), keep_str(folders[i].name)};
	}
}

static const char *
rights_of(const struct store_session *s, const struct fbox *b)
{
	if (strcmp(b->account, s->account) == 0)
		return "lrswipkxtea";
	return strcmp(b->account, s->share_account) == 0 ? s->rights : "";
}

/* The mailbox if the session may do it, else *err. */
static struct fbox *
box_of(const struct store_session *s, uint64_t id, char right, int *err)
{
	for (size_t i = 0; i < n_boxes; i++) {
		if (boxes[i]->id != id)
			continue;
		*err = boxes[i]->gone                                  ? ERR_GONE
		       : strchr(rights_of(s, boxes[i]), right) == NULL ? ERR_DENIED
								       : 0;
		return *err ? NULL : boxes[i];
	}
	*err = ERR_NOTFOUND;
	return NULL;
}

static void
changed(struct fbox *b)
{
	if (strncmp(b->name, "Late", 4) == 0 && !b->late) {
		b->late = true;
		return;
	}
	b->late = false;
	for (struct store_session *s = the_client->sessions; s != NULL; s = s->next)
		for (struct watch *w = s->watches; w != NULL; w = w->next)
			if (w->mailbox == b->id && !s->dead && s->on_event != NULL)
				s->on_event(s->arg, b->id, b->highest, b->gone);
}

static struct fmsg *
msg_add(struct fbox *b)
{
	b->msg = xrealloc(b->msg, (b->n + 1) * sizeof(*b->msg));
	struct fmsg *m = &b->msg[b->n++];
	memset(m, 0, sizeof(*m));
	m->uid = b->uidnext++;
	m->modseq = ++b->highest;
	m->saved = time(NULL);
	m->trace = strncmp(b->name, "Traced", 6) == 0
		       ? "Received: from fake by fake;\r\n\tSat, 21 Nov 2026 08:00:00 +0700\r\n"
		       : "";
	return m;
}

static struct fmsg *
msg_find(struct fbox *b, uint32_t uid)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->msg[i].uid == uid)
			return &b->msg[i];
	return NULL;
}

static bool
in(const struct job *j, uint32_t uid)
{
	for (size_t i = 0; i < j->n; i++)
		if (j->uids[i] == uid)
			return true;
	return false;
}

/* ---- client and sessions ---- */

struct store_client *
store_client_new(struct loop *l, const char *socket)
{
	struct store_client *c = xcalloc(1, sizeof(*c));
	(void)socket;
	c->loop = l;
	c->tail = &c->head;
	c->defer = loop_defer_new(l, run_jobs, c);
	the_client = c;
	return c;
}

void
store_client_free(struct store_client *c)
{
	if (c == NULL)
		return;
	loop_defer_free(c->defer);
	free(c);
}

static void
run_ready(struct job *j)
{
	((store_done_fn)j->fn)(j->arg, 0);
}

struct store_session *
store_session_new(struct store_client *c, struct slice ticket, store_done_fn fn,
    void (*on_event)(void *arg, uint64_t mailbox, uint64_t modseq, bool gone),
    void (*on_lost)(void *arg), void *arg)
{
	struct store_session *s = keep(xcalloc(1, sizeof(*s)));
	char *t = dup_slice(ticket);
	s->c = c;
	s->on_event = on_event;
	s->on_lost = on_lost;
	s->arg = arg;
	sscanf(t, "%63s +%63s %63s %31s", s->account, s->share_account, s->share, s->rights);
	free(t);
	account_new(s->account);
	if (s->share_account[0])
		account_new(s->share_account);
	s->next = c->sessions;
	c->sessions = s;
	job(s, run_ready, FN(fn), arg);
	return s;
}

void
store_session_renew(struct store_session *s, struct slice ticket)
{
	(void)s;
	(void)ticket;
}

void
store_session_free(struct store_session *s)
{
	if (s == NULL)
		return;
	/* kept for the jobs that name it */
	s->dead = true;
	while (s->watches != NULL) {
		struct watch *w = s->watches;
		s->watches = w->next;
		free(w);
	}
}

void
fake_store_restart(struct store_client *c)
{
	for (struct store_session *s = c->sessions; s != NULL; s = s->next)
		if (!s->dead && s->on_lost != NULL)
			s->on_lost(s->arg);
}

static bool is_away;

void
fake_store_away(void)
{
	is_away = !is_away;
}

/* ---- mailboxes ---- */

static void
run_list(struct job *j)
{
	struct mbox_info *info = xcalloc(n_boxes + 1, sizeof(*info));
	size_t n = 0;
	for (size_t i = 0; i < n_boxes; i++) {
		struct fbox *b = boxes[i];
		const char *rights = rights_of(j->s, b);
		if (b->gone || strchr(rights, 'l') == NULL)
			continue;
		bool own = strcmp(b->account, j->s->account) == 0;
		info[n] = (struct mbox_info){.id = b->id,
		    .account = slice_str(b->account),
		    .share = slice_str(own ? "" : j->s->share),
		    .name = slice_str(b->name),
		    .attrs = b->special,
		    .rights = slice_str(rights),
		    .uidvalidity = b->uidvalidity,
		    .uidnext = b->uidnext,
		    .messages = (uint32_t)b->n,
		    .highest_modseq = b->highest};
		for (size_t k = 0; k < b->n; k++) {
			info[n].unseen += !(b->msg[k].flags & MSG_SEEN);
			info[n].recent += b->msg[k].uid >= b->recent;
			info[n].size += b->msg[k].len + strlen(b->msg[k].trace);
			info[n].deleted += (b->msg[k].flags & MSG_DELETED) != 0;
			if (b->msg[k].flags & MSG_DELETED)
				info[n].deleted_size += b->msg[k].len + strlen(b->msg[k].trace);
		}
		n++;
	}
	((store_list_fn)j->fn)(j->arg, 0, info, n);
	free(info);
}

int
store_list(struct store_session *s, store_list_fn fn, void *arg)
{
	job(s, run_list, FN(fn), arg);
	return 0;
}

static void
make_parents(const char *account, char *name)
{
	for (char *p = name; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (box_named(account, name) == NULL)
			box_new(account, name, 0);
		*p = '/';
	}
}

static void
run_create(struct job *j)
{
	const char *account = j->text[0] ? j->text : j->s->account;
	int err = box_named(account, j->text2) != NULL ? ERR_EXISTS : 0;
	for (size_t i = 0; err == 0 && i < n_boxes; i++)
		if (!boxes[i]->gone && strcmp(boxes[i]->account, account) == 0 &&
		    (boxes[i]->special & j->flags))
			err = ERR_CONFLICT;
	if (err == 0)
		make_parents(account, j->text2);
	if (err == 0)
		box_new(account, j->text2, j->flags);
	((store_done_fn)j->fn)(j->arg, err);
}

int
store_create(struct store_session *s, struct slice account, struct slice name, uint32_t special_use,
    store_done_fn fn, void *arg)
{
	struct job *j = job(s, run_create, FN(fn), arg);
	j->text = dup_slice(account);
	j->text2 = dup_slice(name);
	j->flags = special_use;
	return 0;
}

static void
run_delete(struct job *j)
{
	int err;
	struct fbox *b = box_of(j->s, j->box, 'x', &err);
	if (b != NULL) {
		names++;
		b->gone = true;
		b->highest++;
		changed(b);
	}
	((store_done_fn)j->fn)(j->arg, err);
}

int
store_delete(struct store_session *s, uint64_t mailbox, store_done_fn fn, void *arg)
{
	job(s, run_delete, FN(fn), arg)->box = mailbox;
	return 0;
}

static void
run_rename(struct job *j)
{
	int err;
	names++;
	struct fbox *b = box_of(j->s, j->box, 'x', &err);
	size_t own = b != NULL ? strlen(b->name) : 0;
	if (b != NULL && box_named(b->account, j->text) != NULL)
		err = ERR_EXISTS;
	else if (b != NULL && strncmp(j->text, b->name, own) == 0 && j->text[own] == '/' &&
		 strcmp(b->name, "INBOX") != 0)
		err = ERR_SYNTAX; /* below itself, as stored has it */
	if (err == 0 && strcmp(b->name, "INBOX") == 0) {
		struct fbox *to = box_new(b->account, j->text, 0);
		for (size_t i = 0; i < b->n; i++) {
			struct fmsg *m = msg_add(to);
			uint32_t uid = m->uid;
			uint64_t modseq = m->modseq;
			*m = b->msg[i];
			m->uid = uid;
			m->modseq = modseq;
		}
		b->n = 0;
	} else if (err == 0) {
		make_parents(b->account, j->text);
		size_t len = strlen(b->name);
		char *old = b->name;
		for (size_t i = 0; i < n_boxes; i++) {
			struct fbox *o = boxes[i];
			if (o->gone || strcmp(o->account, b->account) != 0 ||
			    strncmp(o->name, old, len) != 0 ||
			    (o->name[len] && o->name[len] != '/'))
				continue;
			char full[2100];
			snprintf(full, sizeof(full), "%s%s", j->text, o->name + len);
			o->name = keep_str(full);
		}
	}
	((store_done_fn)j->fn)(j->arg, err);
}

int
store_rename(
    struct store_session *s, uint64_t mailbox, struct slice new_name, store_done_fn fn, void *arg)
{
	struct job *j = job(s, run_rename, FN(fn), arg);
	j->box = mailbox;
	j->text = dup_slice(new_name);
	return 0;
}

static void
run_subscribe(struct job *j)
{
	const char *account = j->text[0] ? j->text : j->s->account;
	size_t i = 0;
	while (i < n_subs &&
	       (strcmp(subs[i].account, account) != 0 || strcmp(subs[i].name, j->text2) != 0))
		i++;
	if (j->b1 && i == n_subs && n_subs < 1000)
		subs[n_subs++] = (struct fsub){keep_str(account), keep_str(j->text2)};
	else if (!j->b1 && i < n_subs)
		subs[i] = subs[--n_subs];
	((store_done_fn)j->fn)(j->arg, 0);
}

int
store_subscribe(struct store_session *s, struct slice account, struct slice name, bool on,
    store_done_fn fn, void *arg)
{
	struct job *j = job(s, run_subscribe, FN(fn), arg);
	j->text = dup_slice(account);
	j->text2 = dup_slice(name);
	j->b1 = on;
	return 0;
}

static void
run_subs(struct job *j)
{
	struct store_sub out[1000];
	size_t n = 0;
	for (size_t i = 0; i < n_subs; i++) {
		bool own = strcmp(subs[i].account, j->s->account) == 0;
		if (own || strcmp(subs[i].account, j->s->share_account) == 0)
			out[n++] = (struct store_sub){slice_str(subs[i].account),
			    slice_str(own ? "" : j->s->share), slice_str(subs[i].name)};
	}
	((store_subs_fn)j->fn)(j->arg, 0, out, n);
}

int
store_subscriptions(struct store_session *s, store_subs_fn fn, void *arg)
{
	job(s, run_subs, FN(fn), arg);
	return 0;
}

/* ---- a selected mailbox ---- */

static void
run_open(struct job *j)
{
	int err;
	struct fbox *b = box_of(j->s, j->box, 'r', &err);
	if (is_away) {
		b = NULL;
		err = ERR_CLOSED;
	}
	struct store_opened o = {0};
	struct buf kw;
	buf_init(&kw, 65536);
	if (b != NULL) {
		o = (struct store_opened){.uidvalidity = b->uidvalidity,
		    .uidnext = b->uidnext,
		    .messages = (uint32_t)b->n,
		    .highest_modseq = b->highest,
		    .recent_from = b->recent,
		    .rights = slice_str(rights_of(j->s, b))};
		for (size_t i = 0; i < b->n; i++)
			if (b->msg[i].keywords != NULL)
				buf_appendf(&kw, "%s%s", kw.len ? " " : "", b->msg[i].keywords);
		o.keywords = buf_slice(&kw);
		if (j->b1)
			b->recent = b->uidnext;
		if (j->b2) {
			bool have = false;
			for (struct watch *w = j->s->watches; w != NULL; w = w->next)
				have = have || w->mailbox == b->id;
			struct watch *w = have ? NULL : xcalloc(1, sizeof(*w));
			if (w != NULL) {
				*w = (struct watch){b->id, j->s->watches};
				j->s->watches = w;
			}
		}
	}
	((store_opened_fn)j->fn)(j->arg, err, b != NULL ? &o : NULL);
	buf_done(&kw);
}

int
store_open(struct store_session *s, uint64_t mailbox, bool claim_recent, bool watch,
    store_opened_fn fn, void *arg)
{
	struct job *j = job(s, run_open, FN(fn), arg);
	j->box = mailbox;
	j->b1 = claim_recent;
	j->b2 = watch;
	return 0;
}

int
store_unwatch(struct store_session *s, uint64_t mailbox)
{
	for (struct watch **p = &s->watches; *p != NULL; p = &(*p)->next) {
		if ((*p)->mailbox == mailbox) {
			struct watch *w = *p;
			*p = w->next;
			free(w);
			break;
		}
	}
	return 0;
}

static void
run_uids(struct job *j)
{
	int err;
	struct fbox *b = box_of(j->s, j->box, 'r', &err);
	struct store_uid out[3] = {{0}}; /* few, so that paging is tested */
	size_t n = 0;
	uint32_t next = 0;
	for (size_t i = 0; b != NULL && i < b->n && next == 0; i++) {
		if (b->msg[i].uid < j->from)
			continue;
		if (n == 3)
			next = b->msg[i].uid;
		else
			out[n++] =
			    (struct store_uid){b->msg[i].uid, b->msg[i].flags, b->msg[i].modseq};
	}
	((store_uids_fn)j->fn)(j->arg, err, out, n, next);
}

int
store_uids(struct store_session *s, uint64_t mailbox, uint32_t from, store_uids_fn fn, void *arg)
{
	struct job *j = job(s, run_uids, FN(fn), arg);
	j->box = mailbox;
	j->from = from;
	return 0;
}

static int64_t
sent_date_of(const struct fmsg *m)
{
	struct hdr_field f;
	int64_t t;
	int zone;
	if (!hdr_find(slice_of(m->data, m->len), "Date", 0, &f) ||
	    date_rfc5322_parse(f.body, &t, &zone) != 0)
		return INT64_MIN;
	return t;
}

static void
run_rows(struct job *j)
{
	int err;
	struct fbox *b = box_of(j->s, j->box, 'r', &err);
	struct msg_row out[5] = {{0}}; /* few, so that paging is tested */
	struct buf env[5], refs[5];
	size_t n = 0;
	uint32_t next = 0;
	for (size_t i = 0; b != NULL && i < b->n && next == 0; i++) {
		struct fmsg *m = &b->msg[i];
		if (j->uids != NULL ? !in(j, m->uid) : m->uid < j->from || m->uid > j->to)
			continue;
		if (n == 5) {
			next = m->uid;
			continue;
		}
		buf_init(&env[n], 16384);
		mime_envelope(
		    slice_of(m->data, hdr_body_offset(slice_of(m->data, m->len))), false, &env[n]);
		buf_init(&refs[n], 1024);
		if (m->uid % 4 != 0) /* now and then a row of old, without them */
			msgid_refs(slice_of(m->data, hdr_body_offset(slice_of(m->data, m->len))),
			    &refs[n]);
		out[n] = (struct msg_row){.uid = m->uid,
		    .modseq = m->modseq,
		    .flags = m->flags,
		    .keywords = slice_str(m->keywords),
		    .internal_date = m->date,
		    .internal_zone = (int16_t)m->zone,
		    .size = strlen(m->trace) + m->len,
		    .trace = slice_str(m->trace),
		    .envelope = env[n].err ? slice_of("", 0) : buf_slice(&env[n]),
		    .save_date = m->saved,
		    .refs = buf_slice(&refs[n]),
		    .sent_date = sent_date_of(m)};
		memcpy(out[n].email_id, m->email_id, sizeof(m->email_id));
		n++;
	}
	((store_rows_fn)j->fn)(j->arg, err, out, n, next);
	while (n > 0) {
		buf_done(&refs[--n]);
		buf_done(&env[n]);
	}
}

int
store_rows(struct store_session *s, uint64_t mailbox, uint32_t from, uint32_t to, store_rows_fn fn,
    void *arg)
{
	struct job *j = job(s, run_rows, FN(fn), arg);
	j->box = mailbox;
	j->from = from;
	j->to = to;
	return 0;
}

int
store_rows_of(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    store_rows_fn fn, void *arg)
{
	struct job *j = job(s, run_rows, FN(fn), arg);
	j->box = mailbox;
	j->uids = xcalloc(n + 1, sizeof(*j->uids));
	memcpy(j->uids, uids, n * sizeof(*uids));
	j->n = n;
	return 0;
}

/* By real signatures, eight UIDs an answer; of every fifth message nothing is known. */
static void
run_candidates(struct job *j)
{
	enum { PAGE = 8 };
	int err;
	struct fbox *b = box_of(j->s, j->box, 'r', &err);
	unsigned char known = 0, maybe[STORE_NEEDLES_MAX] = {0};
	struct slice out[STORE_NEEDLES_MAX];
	struct arena *a = arena_new((size_t)64 << 20);
	struct buf sig;
	buf_init(&sig, SIG_SIZE_MAX);
	for (uint32_t uid = j->from; b != NULL && uid - j->from < PAGE; uid++) {
		struct fmsg *m = msg_find(b, uid);
		struct mime_part *root;
		if (m == NULL || uid % 5 == 0)
			continue;
		struct slice whole = slice_of(m->data, m->len);
		buf_reset(&sig);
		if (mime_parse(whole, &mime_limits_default, a, &root) != 0 ||
		    sig_message(whole, root, a, &sig) != 0)
			fatal("no signature");
		struct sig g = sig_decode(buf_slice(&sig));
		known |= (unsigned char)(1u << (uid - j->from));
		for (size_t i = 0; i < j->n; i++) {
			struct sig_needle n;
			sig_needle_init(&n, j->needles[i].text);
			bool yes =
			    ((j->needles[i].where & STORE_IN_HEADER) &&
				(m->trace[0] != '\0' || sig_maybe(&g.header, &n))) ||
			    ((j->needles[i].where & STORE_IN_BODY) && sig_maybe(&g.body, &n));
			maybe[i] |= (unsigned char)(yes << (uid - j->from));
		}
	}
	for (size_t i = 0; i < j->n; i++)
		out[i] = slice_of(&maybe[i], 1);
	((store_candidates_fn)j->fn)(j->arg, err, j->from,
	    j->from + PAGE <= j->to ? j->from + PAGE : 0, slice_of(&known, 1), out, j->n);
	buf_done(&sig);
	arena_free(a);
}

int
store_candidates(struct store_session *s, uint64_t mailbox, uint32_t from, uint32_t to,
    const struct store_needle *needles, size_t n, store_candidates_fn fn, void *arg)
{
	struct job *j = job(s, run_candidates, FN(fn), arg);
	j->box = mailbox;
	j->from = from;
	j->to = to;
	j->n = n;
	for (size_t i = 0; i < n; i++)
		j->needles[i] = (struct store_needle){needles[i].where,
		    slice_of(keep(dup_slice(needles[i].text)), needles[i].text.len)};
	return 0;
}

/* What stands behind "Documents: " in a header of the message is the text of its documents. */
static struct slice
documents_of(const struct fmsg *m)
{
	struct hdr_field f;

	if (m == NULL || !hdr_find(slice_of(m->data, m->len), "Documents", 0, &f))
		return slice_of(NULL, 0);
	return f.body;
}

static void
run_texts(struct job *j)
{
	struct store_text_bits v[STORE_TEXTS_MAX];
	size_t n = 0;
	int err;
	struct fbox *b = box_of(j->s, j->box, 'r', &err);

	for (size_t i = 0; b != NULL && i < j->n; i++) {
		struct slice text = documents_of(msg_find(b, j->uids[i]));
		/* the signature is generous: all texts may be there */
		if (text.len > 0)
			v[n++] = (struct store_text_bits){j->uids[i], STORE_TEXT_THERE | 0xffff};
	}
	((store_texts_fn)j->fn)(j->arg, err, v, n);
}

int
store_texts_maybe(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n_uids,
    const struct slice *needles, size_t n, store_texts_fn fn, void *arg)
{
	struct job *j = job(s, run_texts, FN(fn), arg);

	(void)needles;
	(void)n;
	j->box = mailbox;
	j->n = n_uids;
	j->uids = keep(xcalloc(n_uids, sizeof *uids));
	memcpy(j->uids, uids, n_uids * sizeof *uids);
	return 0;
}

static void
run_text(struct job *j)
{
	int err;
	struct fbox *b = box_of(j->s, j->box, 'r', &err);
	struct slice text = documents_of(b == NULL ? NULL : msg_find(b, j->from));

	if (err == 0 && text.len == 0)
		err = ERR_NOTFOUND;
	((store_bytes_fn)j->fn)(
	    j->arg, err, err == 0 ? slice_sub(text, (size_t)j->off, j->len) : slice_of(NULL, 0));
}

int
store_text(struct store_session *s, uint64_t mailbox, uint32_t uid, uint64_t off, uint32_t len,
    store_bytes_fn fn, void *arg)
{
	struct job *j = job(s, run_text, FN(fn), arg);

	j->box = mailbox;
	j->from = uid;
	j->off = off;
	j->len = len;
	return 0;
}

/* In pages of three, in the order of the changes. */
static void
run_changes(struct job *j)
{
	int err;
	struct fbox *b = box_of(j->s, j->box, 'r', &err);
	if (is_away) {
		b = NULL;
		err = ERR_CLOSED;
	}
	struct store_uid out[3] = {{0}};
	uint32_t gone[3];
	size_t n = 0, n_gone = 0;
	uint64_t at = j->n64;
	while (b != NULL && at < b->highest && n + n_gone < 3) {
		at++;
		for (size_t i = 0; i < b->n; i++)
			if (b->msg[i].modseq == at)
				out[n++] = (struct store_uid){
				    b->msg[i].uid, b->msg[i].flags, b->msg[i].modseq};
		for (size_t i = 0; i < b->n_log; i++)
			if (b->log[i].modseq == at)
				gone[n_gone++] = b->log[i].uid;
	}
	((store_changes_fn)j->fn)(j->arg, err, at, b != NULL && at < b->highest,
	    b != NULL ? b->forgotten : 0, out, n, gone, n_gone);
}

int
store_changes(
    struct store_session *s, uint64_t mailbox, uint64_t modseq, store_changes_fn fn, void *arg)
{
	struct job *j = job(s, run_changes, FN(fn), arg);
	j->box = mailbox;
	j->n64 = modseq;
	return 0;
}

static void
run_quota(struct job *j)
{
	const char *account = j->text[0] ? j->text : j->s->account;
	struct store_quota q = {.octets_max = 1 << 20, .messages_max = 500};
	for (size_t i = 0; i < n_boxes; i++) {
		if (boxes[i]->gone || strcmp(boxes[i]->account, account) != 0)
			continue;
		q.messages += boxes[i]->n;
		for (size_t k = 0; k < boxes[i]->n; k++)
			q.octets += boxes[i]->msg[k].len;
	}
	((store_quota_fn)j->fn)(j->arg, 0, &q);
}

int
store_quota(struct store_session *s, struct slice account, store_quota_fn fn, void *arg)
{
	job(s, run_quota, FN(fn), arg)->text = dup_slice(account);
	return 0;
}

static uint32_t *
dup_uids(const uint32_t *uids, size_t n)
{
	uint32_t *p = xcalloc(n + 1, sizeof(*p));
	if (n)
		memcpy(p, uids, n * sizeof(*p));
	return p;
}

/* Words of b added to or taken from those of a; a malloc'd text. */
static char *
words(const char *a, const char *b, int op)
{
	char *out = keep(xcalloc(1, 20000)), word[300];
	const char *lists[2] = {op == STORE_SET ? "" : a, op == STORE_REMOVE ? "" : b};
	for (int k = 0; k < 2; k++) {
		const char *p = lists[k] ? lists[k] : "";
		int used;
		while (sscanf(p, "%299s%n", word, &used) == 1) {
			p += used;
			char padded[20002], key[304];
			snprintf(padded, sizeof(padded), " %s ", out);
			snprintf(key, sizeof(key), " %s ", word);
			char minus[20002];
			snprintf(minus, sizeof(minus), " %s ", op == STORE_REMOVE ? b : "");
			if (strcasestr(padded, key) == NULL && strcasestr(minus, key) == NULL)
				snprintf(out + strlen(out), 20000 - strlen(out), "%s%s",
				    out[0] ? " " : "", word);
		}
	}
	return out;
}

static void
run_flags(struct job *j)
{
	int err;
	struct fbox *b = box_of(j->s, j->box, 'w', &err);
	struct store_flagged *out = xcalloc(j->n + 1, sizeof(*out));
	uint32_t *conflicts = xcalloc(j->n + 1, sizeof(*conflicts));
	size_t n = 0, n_conflicts = 0;
	bool news = false, late = b != NULL && b->late;
	for (size_t i = 0; b != NULL && i < b->n; i++) {
		struct fmsg *m = &b->msg[i];
		if (!in(j, m->uid))
			continue;
		if (m->modseq > j->n64) {
			conflicts[n_conflicts++] = m->uid;
			continue;
		}
		uint32_t was = m->flags;
		uint64_t before = m->modseq;
		char *kw = m->keywords;
		m->flags = j->op == STORE_SET   ? j->flags
			   : j->op == STORE_ADD ? was | j->flags
						: was & ~j->flags;
		m->keywords = words(kw, j->text, j->op);
		if (m->flags != was || strcmp(m->keywords, kw ? kw : "") != 0) {
			m->modseq = ++b->highest;
			news = true;
		}
		out[n++] = (struct store_flagged){m->uid, m->flags, m->modseq, before};
	}
	/* of a change in "Late…" the others hear with the next one: when that was done already */
	if (news && !late)
		changed(b);
	if (late)
		changed(b);
	((store_flags_fn)j->fn)(
	    j->arg, err, b != NULL ? b->highest : 0, out, n, conflicts, n_conflicts);
	free(out);
	free(conflicts);
}

int
store_flags(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    enum store_op op, uint32_t flags, struct slice keywords, uint64_t unchanged_since,
    store_flags_fn fn, void *arg)
{
	struct job *j = job(s, run_flags, FN(fn), arg);
	j->n64 = unchanged_since;
	j->box = mailbox;
	j->uids = dup_uids(uids, n);
	j->n = n;
	j->op = (int)op;
	j->flags = flags;
	j->text = dup_slice(keywords);
	return 0;
}

static void
run_expunge(struct job *j)
{
	int err;
	struct fbox *b = box_of(j->s, j->box, 'e', &err);
	uint32_t *gone = xcalloc(b != NULL ? b->n + 1 : 1, sizeof(*gone));
	size_t n = 0, w = 0;
	for (size_t i = 0; b != NULL && i < b->n; i++) {
		struct fmsg *m = &b->msg[i];
		bool take = (j->n == 0 || in(j, m->uid)) && (!j->b1 || (m->flags & MSG_DELETED));
		if (!take) {
			b->msg[w++] = *m;
			continue;
		}
		gone[n++] = m->uid;
		b->log = xrealloc(b->log, (b->n_log + 1) * sizeof(*b->log));
		b->log[b->n_log].uid = m->uid;
		b->log[b->n_log++].modseq = ++b->highest;
		/* what "Forgets" removed is forgotten at once */
		if (strncmp(b->name, "Forgets", 7) == 0) {
			b->n_log--;
			b->forgotten = b->highest;
		}
	}
	if (b != NULL) {
		b->n = w;
		if (n > 0)
			changed(b);
	}
	((store_expunge_fn)j->fn)(j->arg, err, b != NULL ? b->highest : 0, gone, n);
	free(gone);
}

int
store_expunge(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    bool only_deleted, store_expunge_fn fn, void *arg)
{
	struct job *j = job(s, run_expunge, FN(fn), arg);
	j->box = mailbox;
	j->uids = dup_uids(uids, n);
	j->n = n;
	j->b1 = only_deleted;
	return 0;
}

static void
run_copy(struct job *j)
{
	int err;
	struct fbox *b = box_of(j->s, j->box, 'r', &err), *to = NULL;
	if (b != NULL)
		to = box_of(j->s, j->off, 'i', &err);
	uint32_t *src = xcalloc(j->n + 1, 4), *dst = xcalloc(j->n + 1, 4);
	size_t n = 0;
	for (size_t i = 0; to != NULL && i < j->n; i++) {
		if (msg_find(b, j->uids[i]) == NULL)
			continue;
		struct fmsg *m = msg_add(to), *from = msg_find(b, j->uids[i]);
		m->flags = from->flags;
		m->keywords = from->keywords != NULL ? keep_str(from->keywords) : NULL;
		m->date = from->date;
		m->zone = from->zone;
		memcpy(m->email_id, from->email_id, sizeof(m->email_id));
		m->trace = from->trace;
		m->data = from->data;
		m->len = from->len;
		src[n] = from->uid;
		dst[n++] = m->uid;
	}
	if (to != NULL)
		changed(to);
	((store_copy_fn)j->fn)(j->arg, err, to != NULL ? to->uidvalidity : 0, src, dst, n);
	free(src);
	free(dst);
}

int
store_copy(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    uint64_t to_mailbox, store_copy_fn fn, void *arg)
{
	struct job *j = job(s, run_copy, FN(fn), arg);
	j->box = mailbox;
	j->uids = dup_uids(uids, n);
	j->n = n;
	j->off = to_mailbox;
	return 0;
}

static void
run_move(struct job *j)
{
	int err;
	struct fbox *b = box_of(j->s, j->box, 'e', &err), *to = NULL;
	if (b != NULL)
		to = box_of(j->s, j->off, 'i', &err);
	uint32_t *src = xcalloc(j->n + 1, 4), *dst = xcalloc(j->n + 1, 4);
	size_t n = 0;
	for (size_t i = 0; to != NULL && i < j->n; i++) {
		if (msg_find(b, j->uids[i]) == NULL)
			continue;
		struct fmsg *m = msg_add(to), *from = msg_find(b, j->uids[i]);
		struct fmsg was = *from;
		src[n] = was.uid;
		was.uid = m->uid;
		was.modseq = m->modseq;
		*m = was;
		dst[n++] = m->uid;
		b->log = xrealloc(b->log, (b->n_log + 1) * sizeof(*b->log));
		b->log[b->n_log].uid = src[n - 1];
		b->log[b->n_log++].modseq = ++b->highest;
		from = msg_find(b, src[n - 1]);
		memmove(from, from + 1, (size_t)(b->msg + b->n - from - 1) * sizeof(*from));
		b->n--;
	}
	if (to != NULL) {
		changed(to);
		changed(b);
	}
	((store_copy_fn)j->fn)(j->arg, err, to != NULL ? to->uidvalidity : 0, src, dst, n);
	free(src);
	free(dst);
}

int
store_move(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    uint64_t to_mailbox, const unsigned char id[16], store_copy_fn fn, void *arg)
{
	struct job *j = job(s, run_move, FN(fn), arg);
	(void)id;
	j->box = mailbox;
	j->uids = dup_uids(uids, n);
	j->n = n;
	j->off = to_mailbox;
	return 0;
}

static void
run_body(struct job *j)
{
	int err;
	struct fbox *b = box_of(j->s, j->box, 'r', &err);
	struct fmsg *m = b != NULL ? msg_find(b, j->from) : NULL;
	if (err == 0 && m == NULL)
		err = ERR_NOTFOUND;
	struct buf whole;
	buf_init(&whole, (size_t)1 << 30);
	if (m != NULL) {
		buf_append_str(&whole, m->trace);
		buf_append(&whole, m->data, m->len);
	}
	((store_bytes_fn)j->fn)(j->arg, err, slice_sub(buf_slice(&whole), j->off, j->len));
	buf_done(&whole);
}

int
store_body(struct store_session *s, uint64_t mailbox, uint32_t uid, uint64_t off, uint32_t len,
    store_bytes_fn fn, void *arg)
{
	struct job *j = job(s, run_body, FN(fn), arg);
	j->box = mailbox;
	j->from = uid;
	j->off = off;
	j->len = len;
	return 0;
}

static void
run_summary(struct job *j)
{
	int err;
	struct fbox *b = box_of(j->s, j->box, 'r', &err);
	struct fmsg *m = b != NULL ? msg_find(b, j->from) : NULL;
	struct buf out;
	buf_init(&out, 1u << 20);
	if (err == 0 && m == NULL)
		err = ERR_NOTFOUND;
	if (m != NULL) {
		struct arena *a = arena_new((size_t)64 << 20);
		struct mime_part *root;
		err = mime_parse(slice_of(m->data, m->len), &mime_limits_default, a, &root);
		if (err == 0)
			err = mime_tree_encode(root, &out);
		arena_free(a);
	}
	((store_bytes_fn)j->fn)(j->arg, err, buf_slice(&out));
	buf_done(&out);
}

int
store_summary(struct store_session *s, uint64_t mailbox, uint32_t uid, store_bytes_fn fn, void *arg)
{
	struct job *j = job(s, run_summary, FN(fn), arg);
	j->box = mailbox;
	j->from = uid;
	return 0;
}

/* ---- ingest ---- */

struct ingest_client {
	int unused;
};
struct ingest_append {
	struct ingest_append_params p;
	char *account, *keywords;
	struct buf data;
	ingest_done_fn done;
	void (*drained)(void *);
	void *arg;
	unsigned writes;
	bool ended, dead, part, last;
	unsigned char group[16];
};
static struct ingest_append *parts[1000]; /* of MULTIAPPEND under way, of all sessions */
static size_t n_parts;

struct ingest_client *
ingest_client_new(struct loop *l, const char *socket)
{
	(void)l;
	(void)socket;
	return xcalloc(1, sizeof(struct ingest_client));
}

void
ingest_client_free(struct ingest_client *c)
{
	free(c);
}

struct ingest_append *
ingest_append_start(struct ingest_client *c, const struct ingest_append_params *p,
    void (*drained)(void *arg), ingest_done_fn done, void *arg)
{
	struct ingest_append *a = keep(xcalloc(1, sizeof(*a)));
	(void)c;
	a->p = *p;
	a->keywords = keep(dup_slice(p->keywords));
	buf_init(&a->data, (size_t)1 << 30);
	a->drained = drained;
	a->done = done;
	a->arg = arg;
	return a;
}

static void
run_drained(struct job *j)
{
	if (!j->a->dead)
		j->a->drained(j->a->arg);
}

int
ingest_append_write(struct ingest_append *a, const void *p, size_t n)
{
	/* every other time the window is full, so that waiting is tested */
	if (a->writes++ % 2 == 1) {
		job(NULL, run_drained, NULL, NULL)->a = a;
		return ERR_AGAIN;
	}
	return buf_append(&a->data, p, n);
}

static uint32_t add_appended(struct fbox *b, struct ingest_append *a);

static void
run_append(struct job *j)
{
	struct ingest_append *a = j->a;
	if (a->dead)
		return;
	struct fbox *b = NULL;
	for (size_t i = 0; i < n_boxes; i++)
		if (boxes[i]->id == a->p.mailbox && !boxes[i]->gone)
			b = boxes[i];
	int err = b == NULL                                                          ? ERR_NOTFOUND
		  : a->data.len != a->p.size || memchr(a->data.data, 0, a->data.len) ? ERR_SYNTAX
										     : 0;
	if (err) {
		a->done(a->arg, err, 0, 0);
		return;
	}
	/* as stored has it of Sent */
	for (size_t i = 0; i < b->n && (b->special & MBOX_SENT); i++) {
		struct fmsg *o = &b->msg[i];
		struct hdr_field f;
		if (!(o->flags & MSG_DELETED) && o->len == a->data.len &&
		    memcmp(o->data, a->data.data, o->len) == 0 &&
		    hdr_find(buf_slice(&a->data), "Message-ID", 0, &f)) {
			a->done(a->arg, 0, b->uidvalidity, o->uid);
			return;
		}
	}
	if (a->part && !a->last) {
		parts[n_parts++] = a;
		a->done(a->arg, 0, b->uidvalidity, 0);
		return;
	}
	uint32_t first = 0;
	for (size_t i = 0; a->part && i < n_parts; i++) {
		if (memcmp(parts[i]->group, a->group, 16) != 0)
			continue;
		uint32_t u = add_appended(b, parts[i]);
		first = first == 0 ? u : first;
		n_parts--;
		memmove(&parts[i], &parts[i + 1], (n_parts - i) * sizeof(struct ingest_append *));
		i--;
	}
	uint32_t uid = add_appended(b, a);
	changed(b);
	a->done(a->arg, 0, b->uidvalidity, first != 0 ? first : uid);
}

int
ingest_append_end_part(
    struct ingest_append *a, const unsigned char group[16], uint32_t index, bool last)
{
	(void)index;
	a->part = true;
	a->last = last;
	memcpy(a->group, group, 16);
	return ingest_append_end(a);
}

static uint32_t
add_appended(struct fbox *b, struct ingest_append *a)
{
	struct fmsg *m = msg_add(b);
	m->flags = a->p.flags;
	m->keywords = a->keywords;
	m->date = a->p.internal_date;
	m->zone = a->p.internal_zone;
	m->data = keep(buf_take(&a->data, &m->len));
	snprintf(
	    (char *)m->email_id, sizeof(m->email_id), "%u.%llu", m->uid, (unsigned long long)b->id);
	return m->uid;
}

int
ingest_append_end(struct ingest_append *a)
{
	a->ended = true;
	job(NULL, run_append, NULL, NULL)->a = a;
	return 0;
}

void
ingest_append_abort(struct ingest_append *a)
{
	/* kept for the jobs that name it */
	if (a != NULL)
		a->dead = true;
}

/* ---- many at once ---- */

static void
run_contents(struct job *j)
{
	int err;
	struct fbox *b = box_of(j->s, j->box, 'r', &err);
	struct store_content v[STORE_CONTENTS_MAX] = {{0}};
	struct buf sums[STORE_CONTENTS_MAX], whole[STORE_CONTENTS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < j->n && err == 0; i++) {
		struct fmsg *m = msg_find(b, j->uids[i]);
		struct mime_part *root;
		struct arena *a;

		if (m == NULL || m->len > STORE_CONTENT_MAX)
			continue;
		a = arena_new((size_t)64 << 20);
		buf_init(&sums[n], 1u << 20);
		if (mime_parse(slice_of(m->data, m->len), &mime_limits_default, a, &root) == 0)
			mime_tree_encode(root, &sums[n]);
		arena_free(a);
		buf_init(&whole[n], 1u << 20);
		buf_append_str(&whole[n], m->trace);
		buf_append(&whole[n], m->data, m->len);
		v[n] = (struct store_content){m->uid, buf_slice(&sums[n]), buf_slice(&whole[n])};
		n++;
	}
	/* never all of them: the rest must be asked for again */
	size_t n_done = j->n > 3 ? 3 : j->n, given = 0;
	while (given < n && n_done > 0 && v[given].uid <= j->uids[n_done - 1])
		given++;
	((store_contents_fn)j->fn)(j->arg, err, v, err == 0 ? given : 0, n_done);
	for (size_t i = 0; i < n; i++) {
		buf_done(&sums[i]);
		buf_done(&whole[i]);
	}
}

int
store_contents(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    bool summaries, store_contents_fn fn, void *arg)
{
	struct job *j = job(s, run_contents, FN(fn), arg);

	(void)summaries;
	j->box = mailbox;
	j->uids = xcalloc(n, sizeof(*uids));
	memcpy(j->uids, uids, n * sizeof(*uids));
	j->n = n;
	return 0;
}
