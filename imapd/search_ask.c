/* search_ask.c: judges one message by a search program. Runs in imapd-session; pure. RFC 3501 6.4.4.
 * From, To, Cc, Bcc, Subject and the fields of the ENVELOPE are answered from the row; other fields need the header. */
#include "config.h"

#include "imapd/search_key.h"

#include <string.h>

#include "imapd/view.h"
#include "lib/date.h"
#include "lib/err.h"
#include "lib/fold.h"
#include "lib/mime_text.h"
#include "store/store_client.h"

/* Order of ENVELOPE, RFC 3501 7.4.2. */
static const char *const envelope_fields[] = {"Date", "Subject", "From", "Sender", "Reply-To", "To",
    "Cc", "Bcc", "In-Reply-To", "Message-ID"};
enum { ENV_FIRST_ADDR = 2, ENV_LAST_ADDR = 7, ENV_N = 10 };

static bool
found(const struct buf *text, struct slice needle)
{
	struct buf folded;
	buf_init(&folded, 4 * (size_t)MIME_TEXT_HEADER_MAX);
	vn_fold(buf_slice(text), &folded);
	bool yes = slice_find(buf_slice(&folded), needle) >= 0;
	buf_done(&folded);
	return yes;
}

/* "Name <box@host>" of one address of an ENVELOPE, decoded. */
static bool
read_address(struct imap_cur *c, struct arena *a, struct buf *out)
{
	struct slice part[4];
	if (!imap_cur_char(c, '('))
		return false;
	for (int i = 0; i < 4; i++)
		if ((i > 0 && !imap_cur_sp(c)) || !imap_cur_nstring(c, a, &part[i]))
			return false;
	if (!imap_cur_char(c, ')'))
		return false;
	if (part[0].ptr != NULL && hdr_decode(part[0], out) == 0)
		buf_append_byte(out, ' ');
	buf_append_byte(out, '<');
	buf_append_slice(out, part[2]);
	if (part[3].ptr != NULL) {
		buf_append_byte(out, '@');
		buf_append_slice(out, part[3]);
	}
	return buf_append_str(out, ">\n") == 0;
}

/* The text of the n-th element of an ENVELOPE; *present_out: it is not NIL. false: it cannot be read. */
static bool
envelope_text(struct slice env, int n, struct buf *out, bool *present_out)
{
	struct imap_cur c = imap_cur_of(env);
	struct arena *a = arena_new(65536);
	bool good = a != NULL && imap_cur_char(&c, '(');
	for (int i = 0; good && i <= n; i++) {
		buf_reset(out);
		*present_out = true;
		good = i == 0 || imap_cur_sp(&c);
		if (good && i >= ENV_FIRST_ADDR && i <= ENV_LAST_ADDR && imap_cur_char(&c, '(')) {
			while (good && imap_cur_peek(&c, '('))
				good = read_address(&c, a, out);
			good = good && imap_cur_char(&c, ')');
		} else if (good) {
			struct slice s;
			good = imap_cur_nstring(&c, a, &s);
			*present_out = good && s.ptr != NULL;
			if (*present_out)
				hdr_decode(s, out);
		}
	}
	arena_free(a);
	return good;
}

static int
envelope_index(struct slice field)
{
	for (int i = 0; i < ENV_N; i++)
		if (slice_caseeq_str(field, envelope_fields[i]))
			return i;
	return -1;
}

static bool
in_header(struct slice header, struct slice field, struct slice needle)
{
	struct slice rest = header;
	struct buf text;
	buf_init(&text, MIME_TEXT_HEADER_MAX);
	bool yes = false;
	while (!yes && mime_header_text(&rest, field, &text))
		yes = needle.len == 0 || found(&text, needle);
	buf_done(&text);
	return yes;
}

/* The ENVELOPE has it. Sender and Reply-To default to From there: only the header tells. */
static bool
is_in_envelope(struct slice field)
{
	int i = envelope_index(field);
	return i >= 0 && i != 3 && i != 4;
}

static void
find_probes(struct search_prog *p, struct search_key *k)
{
	for (; k != NULL; k = k->next) {
		bool text = k->kind == SEARCH_BODY || k->kind == SEARCH_TEXT;
		bool header = k->kind == SEARCH_HEADER && !is_in_envelope(k->word);
		if ((text || header) && k->needle.len >= 3 && p->n_probes < SEARCH_PROBES_MAX) {
			p->probes[p->n_probes++] = k;
			k->probe = p->n_probes;
		}
		find_probes(p, k->child);
	}
}

void
search_prog_probes(struct search_prog *p)
{
	find_probes(p, p->root);
}

static bool
is_ruled_out(const struct search_key *k, const struct search_msg *m)
{
	return k->probe > 0 && (m->not_there >> (k->probe - 1) & 1) != 0;
}

static enum search_answer
ask_header(const struct search_key *k, struct search_msg *m)
{
	if (is_ruled_out(k, m))
		return SEARCH_NO;
	if (m->has_header)
		return in_header(m->header, k->word, k->needle) ? SEARCH_YES : SEARCH_NO;
	if (m->row == NULL) {
		m->need |= SEARCH_NEED_ROW;
		return SEARCH_UNKNOWN;
	}
	int i = envelope_index(k->word);
	if (is_in_envelope(k->word) && m->row->envelope.len > 0) {
		struct buf text;
		bool present = false;
		buf_init(&text, MIME_TEXT_HEADER_MAX);
		bool good = envelope_text(m->row->envelope, i, &text, &present);
		bool yes = good && present && (k->needle.len == 0 || found(&text, k->needle));
		buf_done(&text);
		if (good)
			return yes ? SEARCH_YES : SEARCH_NO;
	}
	m->need |= SEARCH_NEED_HEADER;
	return SEARCH_UNKNOWN;
}

static enum search_answer
compare_day(const struct search_key *k, int64_t t, int zone)
{
	int64_t local = t + (int64_t)zone * 60;
	int64_t day = local / 86400 - (local % 86400 < 0);
	bool yes = k->op == SEARCH_BEFORE ? day < k->day
		   : k->op == SEARCH_ON   ? day == k->day
					  : day >= k->day;
	return yes ? SEARCH_YES : SEARCH_NO;
}

/* RFC 3501: the date of the Date field, time and zone disregarded: the day as the sender wrote it. */
static enum search_answer
ask_sent(const struct search_key *k, struct search_msg *m)
{
	struct buf text;
	bool present = false;
	int64_t t;
	int zone;
	enum search_answer ans = SEARCH_UNKNOWN;
	buf_init(&text, 4096);
	if (m->has_header) {
		struct hdr_field f;
		bool got = hdr_find(m->header, "Date", 0, &f) &&
			   date_rfc5322_parse(f.body, &t, &zone) == 0;
		ans = got ? compare_day(k, t, zone) : SEARCH_NO;
	} else if (m->row == NULL) {
		m->need |= SEARCH_NEED_ROW;
	} else if (m->row->sent_date == INT64_MIN) {
		ans = SEARCH_NO;
	} else if (m->row->envelope.len > 0 &&
		   envelope_text(m->row->envelope, 0, &text, &present) && present &&
		   date_rfc5322_parse(buf_slice(&text), &t, &zone) == 0) {
		ans = compare_day(k, t, zone);
	} else {
		m->need |= SEARCH_NEED_HEADER;
	}
	buf_done(&text);
	return ans;
}

static bool
has_keyword(struct slice keywords, struct slice word)
{
	while (keywords.len > 0) {
		ptrdiff_t sp = slice_index(keywords, ' ');
		struct slice one = sp < 0 ? keywords : slice_sub(keywords, 0, (size_t)sp);
		if (slice_caseeq(one, word))
			return true;
		keywords = slice_from(keywords, one.len + 1);
	}
	return false;
}

/* As FETCH EMAILID writes it. */
static bool
is_email_id(const struct msg_row *r, struct slice word)
{
	char id[EMAIL_ID_TEXT];
	email_id_text(r->email_id, id);
	return slice_eq_str(word, id);
}

static enum search_answer
ask_row(const struct search_key *k, struct search_msg *m)
{
	const struct msg_row *r = m->row;
	bool yes;
	if (r == NULL) {
		m->need |= SEARCH_NEED_ROW;
		return SEARCH_UNKNOWN;
	}
	switch (k->kind) {
	case SEARCH_MODSEQ:
		yes = r->modseq >= k->size;
		break;
	case SEARCH_EMAILID:
		yes = is_email_id(r, k->word);
		break;
	case SEARCH_SAVED:
		return compare_day(k, r->save_date, date_local_zone(r->save_date));
	case SEARCH_KEYWORD:
		yes = has_keyword(r->keywords, k->word);
		break;
	case SEARCH_SIZE:
		yes = k->op == SEARCH_BEFORE ? r->size < k->size : r->size > k->size;
		break;
	default:
		return compare_day(k, r->internal_date, r->internal_zone);
	}
	return yes ? SEARCH_YES : SEARCH_NO;
}

/* Of the first texts the store tells whether they may be in the documents, of others whether there is text. */
static bool
may_documents(const struct search_key *k, const struct search_msg *m)
{
	uint32_t bit = k->text < STORE_NEEDLES_MAX ? 1u << k->text : STORE_TEXT_THERE;

	return (m->documents_may & bit) != 0;
}

static enum search_answer
ask_documents(const struct search_key *k, struct search_msg *m)
{
	if (!may_documents(k, m))
		return SEARCH_NO;
	if (m->has_documents)
		return (m->documents_found >> k->text & 1) != 0 ? SEARCH_YES : SEARCH_NO;
	m->need |= SEARCH_NEED_DOCUMENTS;
	return SEARCH_UNKNOWN;
}

static enum search_answer
ask_message(const struct search_key *k, struct search_msg *m)
{
	if (is_ruled_out(k, m))
		return SEARCH_NO;
	if (m->has_text && (m->text_found >> k->text & 1))
		return SEARCH_YES;
	if (k->kind == SEARCH_TEXT && !m->has_header) {
		m->need |= SEARCH_NEED_HEADER;
		return SEARCH_UNKNOWN;
	}
	if (k->kind == SEARCH_TEXT && in_header(m->header, slice_of("", 0), k->needle))
		return SEARCH_YES;
	if (k->needle.len == 0)
		return SEARCH_YES;
	if (m->has_text)
		return SEARCH_NO;
	m->need |= SEARCH_NEED_TEXT;
	return SEARCH_UNKNOWN;
}

/* In the message itself, or where that is wanted in the documents that came with it. */
static enum search_answer
ask_text(const struct search_key *k, struct search_msg *m)
{
	enum search_answer own = ask_message(k, m);

	return own == SEARCH_NO ? ask_documents(k, m) : own;
}

/* RFC 5032 2: compared to the second, both ends included. */
static enum search_answer
ask_within(const struct search_key *k, struct search_msg *m, int64_t now)
{
	if (m->row == NULL) {
		m->need |= SEARCH_NEED_ROW;
		return SEARCH_UNKNOWN;
	}
	int64_t target = now - (int64_t)k->size;
	bool yes = k->op == SEARCH_BEFORE ? m->row->internal_date <= target
					  : m->row->internal_date >= target;
	return yes ? SEARCH_YES : SEARCH_NO;
}

static enum search_answer
ask(const struct search_key *k, struct search_msg *m, int64_t now)
{
	enum search_answer one, all = SEARCH_YES;
	switch (k->kind) {
	case SEARCH_AND:
		for (const struct search_key *c = k->child; c != NULL; c = c->next) {
			one = ask(c, m, now);
			if (one == SEARCH_NO)
				return SEARCH_NO;
			if (one == SEARCH_UNKNOWN)
				all = SEARCH_UNKNOWN;
		}
		return all;
	case SEARCH_OR:
		all = ask(k->child, m, now);
		if (all == SEARCH_YES)
			return all;
		one = ask(k->child->next, m, now);
		return one == SEARCH_YES ? one : (one == SEARCH_NO ? all : SEARCH_UNKNOWN);
	case SEARCH_NOT:
		one = ask(k->child, m, now);
		return one == SEARCH_UNKNOWN ? one : (one == SEARCH_YES ? SEARCH_NO : SEARCH_YES);
	case SEARCH_SEQ:
		return seqset_has(&k->set, m->seq) ? SEARCH_YES : SEARCH_NO;
	case SEARCH_UID:
		return seqset_has(&k->set, m->uid) ? SEARCH_YES : SEARCH_NO;
	case SEARCH_FLAG:
		return (m->flags & k->flag) ? SEARCH_YES : SEARCH_NO;
	case SEARCH_HEADER:
		return ask_header(k, m);
	case SEARCH_SENT:
		return ask_sent(k, m);
	case SEARCH_BODY:
	case SEARCH_TEXT:
		return ask_text(k, m);
	case SEARCH_KEYWORD:
	case SEARCH_SIZE:
	case SEARCH_INTERNAL:
	case SEARCH_MODSEQ:
	case SEARCH_EMAILID:
	case SEARCH_SAVED:
		return ask_row(k, m);
	case SEARCH_WITHIN:
		return ask_within(k, m, now);
	}
	return SEARCH_NO;
}

enum search_answer
search_ask(const struct search_prog *p, struct search_msg *m)
{
	m->need = 0;
	return ask(p->root, m, p->now);
}
