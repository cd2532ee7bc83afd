/* facts.c: reads a header block for the rules. Pure; runs in milter. Official mail (DOMAIN.md C3): from a functional mailbox, or marked
 * by a header field, or its subject is headed by a document symbol; only when authenticated as or From our own domains; never
 * replies, delivery reports, read receipts, auto-replies (RFC 3464, RFC 8098, RFC 3834). */
#include "config.h"

#include "milter/facts.h"

#include "milter/doc_facts.h"
#include "milter/symbol.h"

#include "lib/addr.h"
#include "lib/date.h"
#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/uni.h"
#include "lib/utf7.h"

#include <string.h>

#define FROM_ENTRIES_MAX 64
#define DISPLAY_MAX 2048
#define SUBJECTS_MAX 8

/* "@" outside quoted strings, comments and domain literals: more of them than mailboxes means that readers may disagree. */
static size_t
count_ats(struct slice s)
{
	size_t i, n = 0;
	int comment = 0;
	bool quoted = false;

	for (i = 0; i < s.len; i++) {
		unsigned char c = s.ptr[i];

		if (c == '\\' && (quoted || comment > 0))
			i++;
		else if (c == '"' && comment == 0)
			quoted = !quoted;
		else if (!quoted && c == '(')
			comment++;
		else if (!quoted && c == ')' && comment > 0)
			comment--;
		else if (!quoted && comment == 0 && c == '@')
			n++;
	}
	return n;
}

/* "a@b." is a@b to mail clients and resolvers; so are the other full stops that IDNA takes for one. */
static struct slice
without_root_dot(struct slice domain)
{
	static const char *const dots[] = {".", "\xe3\x80\x82", "\xef\xbc\x8e", "\xef\xbd\xa1"};
	size_t i = 0, n;

	while (i < sizeof dots / sizeof *dots) {
		n = strlen(dots[i]);
		if (domain.len > n && memcmp(domain.ptr + domain.len - n, dots[i], n) == 0) {
			domain.len -= n;
			i = 0;
		} else {
			i++;
		}
	}
	return domain;
}

/* Without controls and white space: one reader drops them, another shows them, and to the first it is somebody else's address. */
static void
append_visible(struct buf *out, struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.ptr[i] > 0x20 && s.ptr[i] != 0x7f)
			buf_append_byte(out, s.ptr[i]);
	}
}

/* In NFKD, so that a wide "@" is one. */
static struct slice
display_of(struct arena *a, struct slice text)
{
	struct slice s = text;
	struct buf plain;

	buf_init(&plain, 4 * DISPLAY_MAX);
	if (uni_normalize(UNI_NFKD, text, &plain) == 0)
		s = buf_slice(&plain);
	s = arena_slice(a, s);
	buf_done(&plain);
	return s;
}

static int
add_author(const struct addr *ad, struct arena *a, struct rule_facts *f)
{
	struct slice domain = without_root_dot(ad->domain);
	struct rule_author *au = &f->authors[f->n_authors];
	struct buf raw, norm, display;
	ptrdiff_t at = -1;
	size_t i;

	if (ad->local.len == 0 || domain.len == 0 || f->n_authors == RULE_FROM_MAX) {
		f->more_authors = true;
		return 0;
	}
	buf_init(&raw, 2048);
	buf_init(&norm, 2048);
	buf_init(&display, DISPLAY_MAX);
	append_visible(&raw, ad->local);
	/* several words: "Name a@b" is a@b to some */
	f->more_authors |= raw.len != ad->local.len;
	buf_append_byte(&raw, '@');
	append_visible(&raw, domain);
	if (raw.err != 0 || addr_normalize(buf_slice(&raw), &norm) != 0) {
		f->more_authors = true;
		goto out;
	}
	for (i = 0; i < norm.len; i++) {
		if (norm.data[i] == '@')
			at = (ptrdiff_t)i;
	}
	if (at < 0) {
		f->more_authors = true;
		goto out;
	}
	au->local = arena_slice(a, ad->local);
	au->address = arena_slice(a, buf_slice(&norm));
	au->domain = slice_from(au->address, (size_t)at + 1);
	if (ad->display.len > 0 && hdr_decode(slice_sub(ad->display, 0, 1024), &display) == 0)
		au->display = display_of(a, buf_slice(&display));
	if (au->address.ptr == NULL)
		return ERR_NOMEM;
	f->n_authors++;
out:
	buf_done(&raw);
	buf_done(&norm);
	buf_done(&display);
	return 0;
}

/* The comments of a From field: "(manager@x.example) Eve <eve@x.example>" is shown whole by some readers. */
static void
read_comments(struct slice s, struct arena *a, struct rule_facts *f)
{
	struct buf text, decoded;
	int depth = 0;
	bool quoted = false;
	size_t i;

	buf_init(&text, DISPLAY_MAX);
	buf_init(&decoded, 4 * DISPLAY_MAX);
	for (i = 0; i < s.len; i++) {
		unsigned char c = s.ptr[i];
		bool inside = depth > 0;

		if (c == '\\' && (quoted || inside) && i + 1 < s.len)
			c = s.ptr[++i];
		else if (c == '"' && !inside)
			quoted = !quoted;
		else if (c == '(' && !quoted)
			depth++;
		else if (c == ')' && inside)
			depth--;
		if (inside)
			buf_append_byte(&text, depth > 0 ? c : ' ');
	}
	if (text.len > 0 && hdr_decode(slice_sub(buf_slice(&text), 0, 1024), &decoded) == 0)
		f->comments = display_of(a, buf_slice(&decoded));
	buf_done(&text);
	buf_done(&decoded);
}

int
facts_read(struct slice header, struct arena *a, struct rule_facts *f)
{
	struct hdr_field field;
	struct addr *list = NULL, *ad;
	int err, zone;

	f->official_why = "";
	f->from_fields = hdr_count(header, "From");
	if (hdr_find(header, "Date", 0, &field) &&
	    date_rfc5322_parse(field.body, &f->date, &zone) != 0)
		f->date = 0;
	if (!hdr_find(header, "From", 0, &field))
		return 0;
	err = addr_list_parse(field.body, FROM_ENTRIES_MAX, a, &list, NULL);
	if (err == ERR_NOMEM)
		return err;
	if (err != 0)
		f->more_authors = true;
	for (ad = err == 0 ? list : NULL; ad != NULL; ad = ad->next) {
		if (ad->kind != ADDR_MAILBOX)
			continue;
		err = add_author(ad, a, f);
		if (err != 0)
			return err;
	}
	if (count_ats(field.body) > f->n_authors)
		f->more_authors = true;
	read_comments(field.body, a, f);
	return 0;
}

static bool
not_blank(struct slice header, const char *name)
{
	struct hdr_field field;

	return hdr_find(header, name, 0, &field) && slice_trim(field.body).len > 0;
}

/* The nth subject, decoded, in NFC. */
static bool
read_subject(struct slice header, size_t nth, struct buf *out)
{
	struct hdr_field field;
	struct buf text;

	buf_reset(out);
	if (!hdr_find(header, "Subject", nth, &field))
		return false;
	buf_init(&text, 8192);
	if (hdr_decode(slice_sub(field.body, 0, 4000), &text) == 0 &&
	    utf8_nfc(buf_slice(&text), out) != 0) {
		buf_reset(out);
		buf_append_slice(out, buf_slice(&text));
	}
	buf_done(&text);
	return true;
}

/* Compatibility forms of digits, letters and strokes as the plain ones: "１５／QĐ–UBND" is 15/QĐ-UBND to who reads it. */
static void
plain_form(struct slice s, struct buf *out)
{
	struct buf kd;
	struct slice rest;
	uint32_t c;

	buf_reset(out);
	buf_init(&kd, 32768);
	if (uni_normalize(UNI_NFKD, s, &kd) != 0) {
		buf_reset(&kd);
		buf_append_slice(&kd, s);
	}
	for (rest = buf_slice(&kd); rest.len > 0;) {
		const unsigned char *at = rest.ptr;
		size_t n = uni_next(&rest, &c);

		if (n == 0)
			buf_append_byte(out, '?');
		else if ((c >= 0x2010 && c <= 0x2015) || c == 0x2212 || c == 0xfe63)
			buf_append_byte(out, '-');
		else if (c == 0x2044 || c == 0x2215 || c == 0x29f8)
			buf_append_byte(out, '/');
		else if (c != 0xad) /* soft hyphens are not seen */
			buf_append(out, at, n);
	}
	buf_done(&kd);
}

static bool
is_reply_subject(struct slice s)
{
	static const char *const prefixes[] = {
	    "re:", "re :", "aw:", "tl:", "trả lời:", "Trả lời:", "TRẢ LỜI:", "tra loi:", "rép:"};
	size_t i;

	s = slice_trim(s);
	for (i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
		if (slice_casestarts(s, prefixes[i]))
			return true;
	}
	return false;
}

/* Delivery reports and read receipts: multipart/report of those two types. */
static bool
is_report(struct slice header)
{
	struct hdr_field field;
	struct hdr_ctype ct;
	struct arena *a;
	struct slice type;
	bool yes = false;

	if (!hdr_find(header, "Content-Type", 0, &field))
		return false;
	a = arena_new(65536);
	if (a != NULL && hdr_ctype_parse(field.body, false, a, &ct) == 0 &&
	    slice_eq_str(ct.type, "multipart") && slice_eq_str(ct.subtype, "report")) {
		type = hdr_ctype_param(&ct, "report-type");
		yes = slice_caseeq_str(type, "delivery-status") ||
		      slice_caseeq_str(type, "disposition-notification");
	}
	arena_free(a);
	return yes;
}

static bool
is_auto_reply(struct slice header)
{
	struct hdr_field field;

	return hdr_find(header, "Auto-Submitted", 0, &field) &&
	       slice_casestarts(slice_trim(field.body), "auto-replied");
}

/* A mail with several subjects is a reply when each says so, and has a symbol when one has: which of them is shown, nobody knows. */
static bool
read_subjects(struct slice header, bool *symbol_out)
{
	bool reply = true;
	struct symbol sym;
	struct buf text, plain;
	size_t n;

	*symbol_out = false;
	buf_init(&text, 16384);
	buf_init(&plain, 32768);
	for (n = 0; n < SUBJECTS_MAX && read_subject(header, n, &text); n++) {
		plain_form(buf_slice(&text), &plain);
		reply = reply && is_reply_subject(buf_slice(&text));
		*symbol_out = *symbol_out || symbol_parse(buf_slice(&text), &sym) ||
			      symbol_parse(buf_slice(&plain), &sym);
	}
	buf_done(&text);
	buf_done(&plain);
	return n > 0 && n < SUBJECTS_MAX && reply;
}

static bool
from_office(const struct rule_facts *f)
{
	size_t i;

	for (i = 0; i < f->n_authors; i++) {
		if (f->authors[i].is_ours && f->authors[i].owner == OWNER_FUNCTIONAL)
			return true;
	}
	return false;
}

static bool
marked(struct slice header, const char *const *names, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (hdr_count(header, names[i]) > 0)
			return true;
	}
	return false;
}

void
facts_official(struct slice header, const char *const *names, size_t n, struct rule_facts *f)
{
	bool symbol, reply = read_subjects(header, &symbol), office = from_office(f),
		     mark = marked(header, names, n);

	f->official = f->issued = f->reply_from_office = false;
	if (!rule_enforced(f))
		f->official_why = "not_ours";
	else if (not_blank(header, "In-Reply-To") || not_blank(header, "References") || reply) {
		f->official_why = "reply";
		f->reply_from_office = office;
	} else if (is_report(header))
		f->official_why = "report";
	else if (is_auto_reply(header))
		f->official_why = "auto_reply";
	else {
		f->official_why = office   ? "functional_mailbox"
				  : mark   ? "header"
				  : symbol ? "symbol"
					   : "";
		f->official = office || mark || symbol;
		f->issued = mark || symbol;
	}
}

static void
take_symbol(struct rule_doc *d, const struct symbol *sym, struct arena *a)
{
	d->symbol = arena_slice(a, sym->text);
	d->type = arena_slice(a, sym->type);
	d->number = sym->number;
	d->letter = sym->letter;
	d->year = sym->year;
	d->flags = sym->flags;
}

/* The field names the document by its symbol; "1" and the like only mark the mail. */
static void
read_mark(struct slice header, const char *name, struct arena *a, struct rule_doc *d)
{
	struct hdr_field field;
	struct symbol sym;
	struct buf text;

	if (d->mark.len > 0 || !hdr_find(header, name, 0, &field))
		return;
	buf_init(&text, 8192);
	if (hdr_decode(slice_sub(field.body, 0, 1000), &text) == 0 && text.len > 0) {
		d->mark = arena_slice(a, slice_trim(buf_slice(&text)));
		if (symbol_parse(d->mark, &sym))
			take_symbol(d, &sym, a);
		else
			d->mark_bad = slice_index(d->mark, '/') >= 0;
	}
	buf_done(&text);
}

int
facts_document(
    struct slice header, const char *const *names, size_t n, struct arena *a, struct rule_facts *f)
{
	struct rule_doc *d = &f->doc;
	struct doc_facts said;
	struct symbol sym;
	struct buf text;
	size_t i;

	for (i = 0; i < n; i++)
		read_mark(header, names[i], a, d);
	buf_init(&text, 16384);
	doc_facts_init(&said);
	if (read_subject(header, 0, &text) && doc_facts_subject(buf_slice(&text), &said)) {
		d->summary = arena_slice(a, buf_slice(&said.summary));
		d->urgency = arena_slice(a, buf_slice(&said.urgency));
		if (d->number == 0 && symbol_parse(buf_slice(&said.symbol), &sym))
			take_symbol(d, &sym, a);
	}
	doc_facts_done(&said);
	buf_done(&text);
	return said.summary.err == ERR_NOMEM ? ERR_NOMEM : 0;
}

int
facts_auto_forward(struct slice header, struct arena *a, struct rule_facts *f)
{
	/* value: the field's body begins so (NULL: any) */
	static const struct {
		const char *name, *value;
	} marks[] = {{"Auto-Submitted", "auto-forwarded"},
	    {"X-MS-Exchange-Organization-AutoForwarded", "true"},
	    {"X-MS-Exchange-Inbox-Rules-Loop", NULL}, {"X-Sieve-Redirected-From", NULL},
	    {"X-Forwarded-For", NULL}, {"X-Forwarded-To", NULL}, {"X-Autoforward", NULL},
	    {"X-Auto-Forward", NULL}, {"X-Zimbra-Forwarded", NULL}};
	struct hdr_field field;
	size_t i, n;

	for (i = 0; i < sizeof marks / sizeof *marks && f->auto_forward.len == 0; i++) {
		for (n = 0; n < 8 && hdr_find(header, marks[i].name, n, &field); n++) {
			struct slice body = slice_trim(field.body);

			if (body.len == 0 ||
			    (marks[i].value != NULL && !slice_casestarts(body, marks[i].value)))
				continue;
			f->auto_forward = arena_slice(a, slice_str(marks[i].name));
			if (f->auto_forward.ptr == NULL)
				return ERR_NOMEM;
			break;
		}
	}
	return 0;
}
