/* autoreply.c: RFC 3834: who is answered by a machine, and what it says. Pure. Runs in smtpd-session. What decides stands in the mail, which may
 * be anybody's: whatever looks like a machine, a list or a report gets no answer. */
#include "config.h"

#include "smtpd/autoreply.h"

#include "lib/addr.h"
#include "lib/date.h"
#include "lib/hdr.h"
#include "lib/mime.h"

#include <string.h>

enum { ADDRESSES_MAX = 1000, MESSAGE_ID_MAX = 500, REFERENCES_MAX = 2000, SUBJECT_MAX = 500 };

static bool
ends_with(struct slice s, const char *tail)
{
	size_t n = strlen(tail);

	return s.len >= n && slice_caseeq_str(slice_from(s, s.len - n), tail);
}

/* Local parts that only machines have: RFC 3834 2, RFC 2142, RFC 5230 4.6. */
static bool
is_machine(const char *from)
{
	static const char *const starts[] = {"owner-", "noreply", "no-reply", "no_reply",
	    "donotreply", "do-not-reply", "mailer-daemon", "bounce", "khongtraloi",
	    "khong-tra-loi"};
	static const char *const whole[] = {"listserv", "majordomo", "mailman", "postmaster",
	    "root", "daemon", "nobody", "news", "uucp"};
	static const char *const ends[] = {"-request", "-owner", "-bounces", "-noreply", "-relay"};
	struct slice local, domain;

	if (addr_split(slice_str(from), &local, &domain) != 0)
		return true;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
		if (slice_casestarts(local, starts[i]))
			return true;
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		if (slice_caseeq_str(local, whole[i]))
			return true;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (ends_with(local, ends[i]))
			return true;
	return false;
}

/* The first word of a field, comments and parameters left out. */
static struct slice
word_of(const struct msg_field *f)
{
	struct slice s = slice_trim(f->value);
	size_t n = 0;

	while (n < s.len && strchr(" \t\r\n;(", s.ptr[n]) == NULL)
		n++;
	return slice_sub(s, 0, n);
}

static bool
has(struct slice s, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= s.len; i++)
		if (slice_caseeq_str(slice_sub(s, i, n), word))
			return true;
	return false;
}

static const char *
refused_by_header(const struct msg *m)
{
	static const char *const bulk[] = {"bulk", "list", "junk", "auto_reply"};

	for (size_t i = 0; i < m->n; i++) {
		const struct msg_field *f = &m->fields[i];
		struct slice word = word_of(f);

		if (slice_caseeq_str(f->name, "Auto-Submitted") && !slice_caseeq_str(word, "no"))
			return "Auto-Submitted";
		if (slice_casestarts(f->name, "List-") || slice_caseeq_str(f->name, "Mailing-List"))
			return "a list";
		if (slice_caseeq_str(f->name, "X-Spam") || slice_caseeq_str(f->name, "X-Spam-Flag"))
			if (slice_caseeq_str(word, "yes"))
				return "spam";
		if (slice_caseeq_str(f->name, "X-Auto-Response-Suppress") &&
		    (has(f->value, "all") || has(f->value, "oof") || has(f->value, "autoreply")))
			return "X-Auto-Response-Suppress";
		if (slice_caseeq_str(f->name, "Content-Type") &&
		    slice_caseeq_str(word, "multipart/report"))
			return "a report";
		if (!slice_caseeq_str(f->name, "Precedence"))
			continue;
		for (size_t k = 0; k < sizeof(bulk) / sizeof(bulk[0]); k++)
			if (slice_caseeq_str(word, bulk[k]))
				return "Precedence";
	}
	return NULL;
}

static bool
is_own(const struct autoreply_rule *rule, struct slice address)
{
	for (size_t i = 0; i < rule->n_addresses; i++)
		if (addr_same(address, slice_str(rule->addresses[i])))
			return true;
	return false;
}

static bool
names_owner(const struct autoreply_rule *rule, const struct msg_field *f, struct arena *a)
{
	struct addr *list;

	if (addr_list_parse(f->value, ADDRESSES_MAX, a, &list, NULL) != 0)
		return false;
	for (; list != NULL; list = list->next) {
		if (list->kind != ADDR_MAILBOX)
			continue;
		const char *s = arena_printf(a, "%.*s@%.*s", (int)list->local.len,
		    (const char *)list->local.ptr, (int)list->domain.len,
		    (const char *)list->domain.ptr);
		if (s != NULL && is_own(rule, slice_str(s)))
			return true;
	}
	return false;
}

const char *
autoreply_refusal(
    const struct autoreply_rule *rule, const struct msg *m, const char *from, struct arena *a)
{
	static const char *const names[] = {"To", "Cc", "Resent-To", "Resent-Cc"};
	const struct msg_field *f;
	const char *why;

	if (from[0] == '\0')
		return "the null sender";
	if (is_machine(from))
		return "a machine's address";
	if (is_own(rule, slice_str(from)))
		return "the owner's own mail";
	if ((why = refused_by_header(m)) != NULL)
		return why;
	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
		for (size_t i = 0; (f = msg_find(m, names[n], i)) != NULL; i++)
			if (names_owner(rule, f, a))
				return NULL;
	return "not addressed to the owner";
}

/* ---- the reply ---- */

/* Whether a value can stand in a field of ours: printable ASCII and folding. */
static bool
is_plain(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((s.ptr[i] < ' ' && strchr("\t\r\n", s.ptr[i]) == NULL) || s.ptr[i] >= 0x7F)
			return false;
	return s.len > 0;
}

/* The message ids of a References field, a line each. Its own folding stays behind: a line of nothing but blanks would end our header. */
static void
put_references(struct slice value, struct buf *h)
{
	struct buf flat;

	buf_init(&flat, REFERENCES_MAX + 10);
	(void)hdr_unfold(value, &flat);
	for (struct slice rest = buf_slice(&flat); rest.len > 0;) {
		size_t n = 0;

		while (n < rest.len && rest.ptr[n] != ' ' && rest.ptr[n] != '\t')
			n++;
		if (n > 2 && n <= MESSAGE_ID_MAX && rest.ptr[0] == '<' && rest.ptr[n - 1] == '>') {
			buf_append_byte(h, ' ');
			buf_append(h, rest.ptr, n);
			buf_append_str(h, "\r\n");
		}
		rest = slice_from(rest, n < rest.len ? n + 1 : n);
	}
	buf_done(&flat);
}

static void
put_ids(const struct msg *m, struct buf *h)
{
	const struct msg_field *id = msg_find(m, "Message-ID", 0),
			       *refs = msg_find(m, "References", 0);
	struct buf one;

	if (id == NULL || id->value.len > MESSAGE_ID_MAX || !is_plain(id->value))
		return;
	buf_init(&one, MESSAGE_ID_MAX + 10);
	(void)hdr_unfold(id->value, &one);
	if (one.len > 0 && one.data[0] == '<') {
		buf_append_str(h, "In-Reply-To: ");
		buf_append_slice(h, buf_slice(&one));
		buf_append_str(h, "\r\nReferences:");
		/* without them when they are too long: RFC 5322 3.6.4 */
		if (refs != NULL && refs->value.len <= REFERENCES_MAX && is_plain(refs->value))
			put_references(refs->value, h);
		buf_append_byte(h, ' ');
		buf_append_slice(h, buf_slice(&one));
		buf_append_str(h, "\r\n");
	}
	buf_done(&one);
}

static void
put_encoded(const char *prefix, struct slice text, struct buf *h)
{
	struct buf b;

	buf_init(&b, 4 * SUBJECT_MAX);
	buf_append_str(&b, prefix);
	for (size_t i = 0; i < text.len && i < SUBJECT_MAX; i++)
		buf_append_byte(&b, text.ptr[i] < ' ' || text.ptr[i] == 0x7F ? ' ' : text.ptr[i]);
	/* not in the middle of a character */
	while (text.len > SUBJECT_MAX && b.len > 0 && (b.data[b.len - 1] & 0x80))
		b.len--;
	(void)hdr_encode(buf_slice(&b), h);
	buf_done(&b);
}

static void
put_subject(const struct autoreply_rule *rule, const struct msg *m, struct buf *h)
{
	const struct msg_field *f = msg_find(m, "Subject", 0);
	struct buf was;

	buf_append_str(h, "Subject: ");
	buf_init(&was, 262144);
	if (rule->subject[0] != '\0') {
		put_encoded("", slice_str(rule->subject), h);
	} else {
		if (f != NULL)
			(void)hdr_decode(f->value, &was);
		put_encoded("Auto: ", buf_slice(&was), h);
	}
	buf_done(&was);
	buf_append_str(h, "\r\n");
}

int
autoreply_build(const struct autoreply_rule *rule, const struct msg *m,
    const struct autoreply_env *e, struct buf *header, struct buf *body)
{
	struct buf text;
	int r;

	buf_append_str(header, "From: ");
	if (rule->name[0] != '\0') {
		/* as an encoded-word or a quoted string it cannot be taken for more than a name */
		struct buf name;
		buf_init(&name, 8192);
		for (const char *s = rule->name; *s != '\0' && name.len < 200; s++)
			if (strchr("\"\\\r\n", *s) == NULL)
				buf_append_byte(&name, (unsigned char)*s);
		while (name.len > 0 && name.len >= 200 && (name.data[name.len - 1] & 0x80))
			name.len--;
		bool ascii = is_plain(buf_slice(&name));
		buf_append_str(header, ascii ? "\"" : "");
		(void)hdr_encode(buf_slice(&name), header);
		buf_append_str(header, ascii ? "\" " : " ");
		buf_done(&name);
	}
	buf_appendf(header, "<%s>\r\nTo: <%s>\r\n", rule->address, e->to);
	put_subject(rule, m, header);
	buf_append_str(header, "Date: ");
	date_rfc5322_format(e->now, e->zone_min, header);
	buf_appendf(
	    header, "\r\nMessage-ID: <%s.%s.auto@%s>\r\n", e->qid, rule->account, e->hostname);
	put_ids(m, header);
	buf_append_str(header,
	    "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	buf_init(&text, 65536);
	for (const char *s = rule->text; *s != '\0'; s++) {
		if (*s == '\n')
			buf_append_byte(&text, '\r');
		if (*s != '\r')
			buf_append_byte(&text, (unsigned char)*s);
	}
	if (text.len > 0 && text.data[text.len - 1] != '\n')
		buf_append_str(&text, "\r\n");
	r = text.err != 0 ? text.err : b64_encode(buf_slice(&text), true, body);
	if (r == 0 && (body->len < 2 || body->data[body->len - 1] != '\n'))
		r = buf_append_str(body, "\r\n");
	buf_done(&text);
	return r != 0 ? r : header->err != 0 ? header->err : body->err;
}
