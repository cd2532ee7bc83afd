/* stored_check_rows.c: what the rows of a mailbox say, each by itself and all together, for the tasks "check" and "repair". Runs in stored.
 * Every message has one row ("m/<uid>") and one change row ("c/<modseq>", with the same UID, flags and size); the header has their sums. */
#include "store/stored_check.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/kept.h"

static struct json *
found(struct check *k, enum check_level level, const char *code, const char *name, uint64_t n)
{
	struct json *f = check_finding_new(k, level, code);

	if (name != NULL)
		json_set_int(f, name, (int64_t)n);
	check_found_take(k, f);
	return f;
}

static void
bad_row(struct check *k, const char *code, struct slice key)
{
	struct json *f = check_finding_new(k, CHECK_FAULT, code);

	json_set_slice(f, "key", key);
	check_found_take(k, f);
}

static struct check_msg *
msg_add(struct check_msg **list, size_t *n, size_t *alloc)
{
	if (*n == *alloc) {
		*alloc = *alloc == 0 ? 256 : 2 * *alloc;
		*list = xrealloc(*list, *alloc * sizeof **list);
	}
	return &(*list)[(*n)++];
}

/* The last string of an ENVELOPE is the Message-ID (RFC 3501 7.4.2). Without its quotes; NULL when there is none. */
static char *
message_id_of(struct slice envelope)
{
	size_t end = envelope.len, at;

	if (end < 4 || envelope.ptr[end - 1] != ')' || envelope.ptr[end - 2] != '"')
		return NULL;
	for (at = end - 2; at > 0 && envelope.ptr[at - 1] != '"'; at--)
		if (end - at > 1000)
			return NULL;
	return slice_dup(slice_sub(envelope, at, end - 2 - at));
}

static void
ref_add(struct check_mbox_run *m, const struct msg_row *row)
{
	m->refs[m->n_refs++] = (struct check_ref){.uid = row->uid,
	    .body = row->body,
	    .size = row->size - row->trace.len,
	    .message_id = message_id_of(row->envelope)};
}

static void
count(struct check_mbox_run *m, uint32_t uid, uint32_t flags, uint64_t size)
{
	m->seen.messages++;
	m->seen.bytes += size;
	if ((flags & MSG_SEEN) == 0)
		m->seen.unseen++;
	if ((flags & MSG_DELETED) != 0)
		deleted_more(&m->seen, size);
	m->max_uid = uid > m->max_uid ? uid : m->max_uid;
	m->max_given = uid > m->max_given ? uid : m->max_given;
}

/* For a header that is made anew. */
static void
keywords_add(struct check_mbox_run *m, struct slice keywords)
{
	struct slice atom;

	while (kw_next(&keywords, &atom)) {
		if (kw_has(buf_slice(&m->keywords), atom) ||
		    m->keywords.len + atom.len + 1 > KEYWORDS_IN_USE_MAX)
			continue;
		if (m->keywords.len > 0)
			buf_append_byte(&m->keywords, ' ');
		buf_append_slice(&m->keywords, atom);
	}
}

/* A row that says nothing any more: a repair drops it. */
static void
bad_drop(struct check_mbox_run *m, struct slice key)
{
	if (m->bad_keys.len + key.len + 1 > m->bad_keys.cap)
		return; /* the next repair's */
	buf_append_slice(&m->bad_keys, key);
	buf_append_byte(&m->bad_keys, 0);
	m->mendable = true;
}

static void
message_row(struct check *k, const struct kv_pair *p)
{
	struct check_mbox_run *m = k->run;
	struct check_msg *msg;
	struct msg_row row;
	uint64_t uid = 0;
	uint32_t uid32;

	if (key_number(p->key, 8, &uid) != 0 || msg_row_decode(p->value, &row) != 0 ||
	    row.uid != uid) {
		found(k, CHECK_FAULT, "message_row_corrupt", "uid", uid);
		uid32 = (uint32_t)uid;
		buf_append(&m->unread, &uid32, sizeof uid32);
		return;
	}
	count(m, row.uid, row.flags, row.size);
	if (m->head_bad)
		keywords_add(m, row.keywords);
	m->max_modseq = row.modseq > m->max_modseq ? row.modseq : m->max_modseq;
	msg = msg_add(&m->msgs, &m->n_msgs, &m->msgs_alloc);
	*msg = (struct check_msg){
	    .uid = row.uid, .flags = row.flags, .modseq = row.modseq, .size = row.size};
	if (row.size < row.trace.len)
		found(k, CHECK_FAULT, "size_wrong", "uid", uid);
	ref_add(m, &row);
}

/* A message that was expunged and can be restored: its body must be there too. */
static void
kept_row(struct check *k, const struct kv_pair *p)
{
	struct check_mbox_run *m = k->run;
	struct kept_row kept;
	struct msg_row row;
	uint64_t modseq;
	uint32_t uid;

	m->seen.kept++;
	if (kept_key_read(p->key, &modseq, &uid) != 0 || kept_row_decode(p->value, &kept) != 0 ||
	    msg_row_decode(kept.row, &row) != 0) {
		bad_row(k, "kept_row_corrupt", p->key);
		m->kept_unread = true;
		return;
	}
	m->seen.kept_bytes += row.size;
	ref_add(m, &row);
}

static void
change_row(struct check *k, const struct kv_pair *p)
{
	struct check_mbox_run *m = k->run;
	struct change_row c;
	struct check_msg *msg;

	if (change_row_decode(p->key, p->value, &c) != 0) {
		bad_row(k, "change_row_corrupt", p->key);
		bad_drop(m, p->key);
		return;
	}
	msg = msg_add(&m->changes, &m->n_changes, &m->changes_alloc);
	*msg =
	    (struct check_msg){.uid = c.uid, .flags = c.flags, .modseq = c.modseq, .size = c.size};
	m->max_modseq = c.modseq > m->max_modseq ? c.modseq : m->max_modseq;
}

static void
expunged_row(struct check *k, const struct kv_pair *p)
{
	struct check_mbox_run *m = k->run;
	uint64_t modseq = 0;

	m->seen.history++;
	if (key_number(p->key, 16, &modseq) != 0 ||
	    expunged_row_decode(p->value, &m->expunged) != 0) {
		bad_row(k, "expunged_row_corrupt", p->key);
		bad_drop(m, p->key);
		m->bad_expunged++;
		m->bad_modseq = modseq > m->bad_modseq ? modseq : m->bad_modseq;
	}
	m->max_modseq = modseq > m->max_modseq ? modseq : m->max_modseq;
}

static void
delivery_row(struct check *k, const struct kv_pair *p)
{
	unsigned char id[16];
	uint32_t uid;
	int64_t at;

	if (id_of_key(p->key, id, sizeof id) == 0 &&
	    seen_row_decode(p->value, &at, &uid, NULL) == 0) {
		k->run->max_given = uid > k->run->max_given ? uid : k->run->max_given;
		return;
	}
	bad_row(k, "delivery_row_corrupt", p->key);
	bad_drop(k->run, p->key);
}

void
check_row(struct check *k, const struct kv_pair *p)
{
	struct check_mbox_run *m = k->run;

	m->rows++;
	if (p->key.len < 2 || p->key.ptr[1] != '/') /* the header is read by itself */
		return;
	switch (p->key.ptr[0]) {
	case 'm':
		message_row(k, p);
		return;
	case 'c':
		change_row(k, p);
		return;
	case 'x':
		expunged_row(k, p);
		return;
	case 'd':
		delivery_row(k, p);
		return;
	case 'k':
		kept_row(k, p);
		return;
	case 'i':
		m->seen.moves++;
		break;
	default: /* kinds of rows that are looked at by those who know them: at least they are whole */
		break;
	}
	if (p->value.ptr == NULL)
		bad_row(k, "row_corrupt", p->key);
}

/* ---- together ---- */

static int
by_modseq(const void *a, const void *b)
{
	uint64_t x = ((const struct check_msg *)a)->modseq,
		 y = ((const struct check_msg *)b)->modseq;

	return x < y ? -1 : x > y;
}

static bool
is_there(const struct check_mbox_run *m, uint32_t uid)
{
	size_t lo = 0, hi = m->n_msgs;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->msgs[mid].uid < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < m->n_msgs && m->msgs[lo].uid == uid;
}

static void
compare_expunged(struct check *k)
{
	struct check_mbox_run *m = k->run;

	for (size_t at = 0; at + 4 <= m->expunged.len; at += 4) {
		uint32_t uid;

		memcpy(&uid, m->expunged.data + at, 4);
		m->max_given = uid > m->max_given ? uid : m->max_given;
		if (m->head_bad)
			continue;
		if (is_there(m, uid))
			found(k, CHECK_FAULT, "expunged_is_there", "uid", uid);
		if (uid >= m->h.uidnext)
			found(k, CHECK_FAULT, "expunged_above_uidnext", "uid", uid);
	}
}

static int
by_number(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof x);
	memcpy(&y, b, sizeof y);
	return x < y ? -1 : x > y;
}

/* Whether its row is there and cannot be read. */
bool
check_is_unread(const struct check_mbox_run *m, uint32_t uid)
{
	return m->unread.len > 0 && bsearch(&uid, m->unread.data, m->unread.len / sizeof uid,
					sizeof uid, by_number) != NULL;
}

/* Messages and changes, both by mod-sequence. A message whose row cannot be read has its change row alone. */
static void
compare_changes(struct check *k)
{
	struct check_mbox_run *m = k->run;
	size_t i = 0, j = 0;

	if (m->n_msgs > 1) /* qsort(3) takes no NULL */
		qsort(m->msgs, m->n_msgs, sizeof *m->msgs, by_modseq);
	while (i < m->n_msgs || j < m->n_changes) {
		const struct check_msg *a = i < m->n_msgs ? &m->msgs[i] : NULL;
		const struct check_msg *b = j < m->n_changes ? &m->changes[j] : NULL;

		if (b == NULL || (a != NULL && a->modseq < b->modseq)) {
			found(k, CHECK_FAULT, "change_row_missing", "uid", a->uid);
			m->mendable = true;
			i++;
		} else if ((a == NULL || b->modseq < a->modseq) && check_is_unread(m, b->uid)) {
			count(m, b->uid, b->flags, b->size); /* all that is known of it */
			j++;
		} else if (a == NULL || b->modseq < a->modseq) {
			found(k, CHECK_FAULT, "change_row_stale", "uid", b->uid);
			m->mendable = true;
			j++;
		} else {
			if (a->uid != b->uid || a->flags != b->flags || a->size != b->size) {
				found(k, CHECK_FAULT, "change_row_wrong", "uid", a->uid);
				m->mendable = true;
			}
			i++;
			j++;
		}
	}
}

static void
compare(struct check *k, enum check_level level, const char *what, uint64_t header, uint64_t rows)
{
	struct json *f;

	if (header == rows)
		return;
	f = check_finding_new(k, level, "header_count");
	json_set_str(f, "field", what);
	json_set_int(f, "header", (int64_t)header);
	json_set_int(f, "rows", (int64_t)rows);
	check_found_take(k, f);
	k->run->mendable = true;
}

static void
compare_low(struct check *k, const char *code, uint64_t header, uint64_t rows)
{
	struct json *f = check_finding_new(k, CHECK_FAULT, code);

	json_set_int(f, "header", (int64_t)header);
	json_set_int(f, "rows", (int64_t)rows);
	check_found_take(k, f);
	k->run->mendable = true;
}

void
check_rows_compare(struct check *k)
{
	struct check_mbox_run *m = k->run;
	const struct mbox_head *h = &m->h, *s = &m->seen;

	compare_expunged(k);
	compare_changes(k);
	if (m->head_bad) {
		m->mendable = true;
		return;
	}
	compare(k, CHECK_FAULT, "messages", h->messages, s->messages);
	compare(k, CHECK_FAULT, "octets", h->bytes, s->bytes);
	compare(k, CHECK_FAULT, "unseen", h->unseen, s->unseen);
	compare(k, CHECK_FAULT, "deleted", h->deleted, s->deleted);
	if (!m->head_v1) { /* version 1 did not count these, and the first ones after it are not exact */
		compare(k, CHECK_WARNING, "history", h->history, s->history);
		compare(k, CHECK_WARNING, "moves", h->moves, s->moves);
		compare(k, CHECK_WARNING, "deleted_octets", h->deleted_bytes, s->deleted_bytes);
	}
	compare(k, CHECK_FAULT, "kept", h->kept, s->kept);
	if (!m->kept_unread)
		compare(k, CHECK_FAULT, "kept_octets", h->kept_bytes, s->kept_bytes);
	if (m->max_uid >= h->uidnext)
		compare_low(k, "uidnext_low", h->uidnext, m->max_uid);
	if (m->max_modseq > h->modseq)
		compare_low(k, "modseq_low", h->modseq, m->max_modseq);
}
