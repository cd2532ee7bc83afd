/* scan_protected.c: header fields that stand inside the signed content (header protection), beside those outside, which anybody on the way can
 * change. Runs in milter-scan. Three forms: RFC 9788 (hp= of the payload's Content-Type), its forerunner (protected-headers="v1", Thunderbird and
 * others), and a signed message/rfc822 with forwarded=no (RFC 8551 3.1). Facts only: notes hp_from_differs, hp_subject_differs, hp_to_differs, hp_cc_differs,
 * hp_date_differs. */
#include "config.h"

#include "milter/scan_priv.h"

#include "lib/addr.h"
#include "lib/arena.h"
#include "lib/date.h"

enum { ADDRESSES_MAX = 100, ARENA_CAP = 1 << 20, TEXT_MAX = 4096 };

/* The protected header of what is signed; false when none is declared. */
static bool
find_protected(struct slice payload, struct arena *a, struct slice *header_out)
{
	struct slice header = slice_sub(payload, 0, hdr_body_offset(payload));
	struct hdr_ctype type;
	struct hdr_field f;

	if (!hdr_find(header, "Content-Type", 0, &f) ||
	    hdr_ctype_parse(f.body, false, a, &type) != 0)
		return false;
	if (hdr_ctype_param(&type, "hp").ptr != NULL ||
	    hdr_ctype_param(&type, "protected-headers").ptr != NULL) {
		*header_out = header;
		return true;
	}
	if (slice_eq_str(type.type, "message") && slice_eq_str(type.subtype, "rfc822") &&
	    slice_caseeq_str(hdr_ctype_param(&type, "forwarded"), "no")) {
		payload = slice_from(payload, header.len);
		*header_out = slice_sub(payload, 0, hdr_body_offset(payload));
		return true;
	}
	return false;
}

static const struct addr *
mailboxes(struct slice header, const char *name, struct arena *a, bool *readable)
{
	struct addr *list = NULL;
	struct hdr_field f;

	*readable = hdr_find(header, name, 0, &f) && hdr_count(header, name) == 1 &&
		    addr_list_parse(f.body, ADDRESSES_MAX, a, &list, NULL) == 0;
	return list;
}

static struct slice
spec_of(const struct addr *x, struct arena *a)
{
	const char *s = arena_printf(a, "%.*s@%.*s", (int)x->local.len, (const char *)x->local.ptr,
	    (int)x->domain.len, (const char *)x->domain.ptr);

	return slice_str(s == NULL ? "" : s);
}

/* A mailbox of list that stands not in other. NULL: none. */
static const struct addr *
lacking(const struct addr *list, const struct addr *other, struct arena *a)
{
	for (; list != NULL; list = list->next) {
		const struct addr *o = other;

		if (list->kind != ADDR_MAILBOX)
			continue;
		while (o != NULL &&
		       (o->kind != ADDR_MAILBOX || !addr_same(spec_of(list, a), spec_of(o, a))))
			o = o->next;
		if (o == NULL)
			return list;
	}
	return NULL;
}

static void
compare_from(
    struct scan_ctx *c, struct slice outer, struct slice inner, struct slice path, struct arena *a)
{
	bool outer_ok, inner_ok;
	const struct addr *shown = mailboxes(outer, "From", a, &outer_ok);
	const struct addr *meant = mailboxes(inner, "From", a, &inner_ok);
	const struct addr *x;

	/* a From that cannot be read, or stands twice, is no protection; that it is missing inside is allowed by older forms */
	if (hdr_count(inner, "From") == 0)
		return;
	if (!inner_ok || !outer_ok) {
		findings_note(c->f, "hp_from_differs", NOTE_REJECT, path,
		    "the signed From cannot be compared with the one outside");
		return;
	}
	x = lacking(shown, meant, a);
	if (x == NULL)
		x = lacking(meant, shown, a);
	if (x != NULL) {
		struct slice s = spec_of(x, a);
		findings_note(c->f, "hp_from_differs", NOTE_REJECT, path, "%.*s", (int)s.len,
		    (const char *)s.ptr);
	}
}

/* White space apart, which folding changes. */
static void
field_text(struct slice header, const char *name, struct buf *out)
{
	struct hdr_field f;
	struct buf text;

	buf_init(&text, 65536);
	if (hdr_find(header, name, 0, &f))
		hdr_decode(f.body, &text);
	for (size_t i = 0; i < text.len && out->len < TEXT_MAX; i++)
		if (text.data[i] > ' ')
			buf_append_byte(out, text.data[i]);
	buf_done(&text);
}

static void
compare_subject(struct scan_ctx *c, struct slice outer, struct slice inner, struct slice path)
{
	struct buf shown, meant;

	if (hdr_count(inner, "Subject") == 0)
		return;
	buf_init(&shown, TEXT_MAX + 1);
	buf_init(&meant, TEXT_MAX + 1);
	field_text(outer, "Subject", &shown);
	field_text(inner, "Subject", &meant);
	if (hdr_count(inner, "Subject") > 1 || !slice_eq(buf_slice(&shown), buf_slice(&meant)))
		findings_note(c->f, "hp_subject_differs", NOTE_WARN, path,
		    "the signed Subject is not the one outside");
	buf_done(&shown);
	buf_done(&meant);
}

static bool
same_text(struct slice outer, struct slice inner, const char *name)
{
	struct buf shown, meant;
	bool same;

	buf_init(&shown, TEXT_MAX + 1);
	buf_init(&meant, TEXT_MAX + 1);
	field_text(outer, name, &shown);
	field_text(inner, name, &meant);
	same = slice_eq(buf_slice(&shown), buf_slice(&meant));
	buf_done(&shown);
	buf_done(&meant);
	return same;
}

/* Whom it is to: the same mailboxes, in whatever order and with whatever names. More than are compared so, or none that can be read, as text. */
static void
compare_rcpts(struct scan_ctx *c, struct slice outer, struct slice inner, const char *name,
    const char *note, struct slice path, struct arena *a)
{
	const struct addr *shown, *meant;
	bool outer_ok, inner_ok, same;

	if (hdr_count(inner, name) == 0)
		return;
	shown = mailboxes(outer, name, a, &outer_ok);
	meant = mailboxes(inner, name, a, &inner_ok);
	same =
	    outer_ok && inner_ok
		? lacking(shown, meant, a) == NULL && lacking(meant, shown, a) == NULL
		: hdr_count(inner, name) == hdr_count(outer, name) && same_text(outer, inner, name);
	if (!same)
		findings_note(
		    c->f, note, NOTE_WARN, path, "the signed %s is not the one outside", name);
}

static void
compare_date(struct scan_ctx *c, struct slice outer, struct slice inner, struct slice path)
{
	int64_t shown = 0, meant = 0;
	struct hdr_field f;
	bool readable;
	int zone;

	if (!hdr_find(inner, "Date", 0, &f))
		return;
	readable = date_rfc5322_parse(f.body, &meant, &zone) == 0 &&
		   hdr_find(outer, "Date", 0, &f) && date_rfc5322_parse(f.body, &shown, &zone) == 0;
	if (readable ? shown != meant : !same_text(outer, inner, "Date"))
		findings_note(c->f, "hp_date_differs", NOTE_WARN, path,
		    "the signed Date is not the one outside");
}

void
scan_protected(struct scan_ctx *c, struct slice outer, struct slice payload, struct slice path)
{
	struct arena *a = arena_new(ARENA_CAP);
	struct slice inner;

	if (a == NULL) {
		findings_note(c->f, "hp_from_differs", NOTE_REJECT, path, "no memory");
		return;
	}
	if (find_protected(payload, a, &inner)) {
		compare_from(c, outer, inner, path, a);
		compare_subject(c, outer, inner, path);
		compare_rcpts(c, outer, inner, "To", "hp_to_differs", path, a);
		compare_rcpts(c, outer, inner, "Cc", "hp_cc_differs", path, a);
		compare_date(c, outer, inner, path);
	}
	arena_free(a);
}
