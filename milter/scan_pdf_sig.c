/* scan_pdf_sig.c: signatures inside a PDF. Runs in milter-scan. ISO 32000-1 12.8, PAdES (ETSI EN 319 142-1): the signed bytes are those of
 * ByteRange, all of a revision but the signature itself; the CMS is verified by the same code as mail's. What was added behind it may only
 * sign again: pages, fields and actions are compared between the signed revision and the file as it is now. */
#include "config.h"

#include "milter/scan_pdf.h"

#include "lib/err.h"

#include <qpdf/qpdf-c.h>
#include <stdlib.h>
#include <string.h>

#define CMS_HEX_MAX (2u * SMIME_CMS_MAX)
#define DOC_SIGS_MAX 8 /* of one message */
#define COMPARE_NODES_MAX 200000

/* ---- two revisions of one file ---- */

struct diff {
	struct pdf *a, *b; /* signed, now */
	/* of each object of a, the one of b that it is equal to, as far as known; negative: with all names */
	int *partner;
	size_t nodes;
	char what[80]; /* where the first difference is */
};

static bool same(struct diff *d, qpdf_oh a, qpdf_oh b, unsigned depth);
static bool same_value(struct diff *d, qpdf_oh a, qpdf_oh b, unsigned depth, bool names);

static bool
differs(struct diff *d, const char *what)
{
	if (d->what[0] == '\0')
		strncat(d->what, what, sizeof d->what - 1);
	return false;
}

static bool
is_among(const char *key, const char *const *list, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (strcmp(key, list[i]) == 0)
			return true;
	}
	return false;
}

#define AMONG(key, list) is_among(key, list, sizeof(list) / sizeof *(list))

/* Keys that point upwards, and those that signing changes. What is drawn is a stream, wherever it hangs. */
static bool
is_skipped(struct pdf *p, qpdf_oh dict, const char *key)
{
	static const char *const always[] = {"/Parent", "/P", "/Length", "/StructParent"};
	static const char *const of_catalog[] = {
	    "/AcroForm", "/DSS", "/Extensions", "/Perms", "/Version", "/Metadata", "/Pages"};
	static const char *const of_page[] = {"/Annots", "/Tabs", "/LastModified"};

	if (AMONG(key, always))
		return !qpdf_oh_is_stream(p->q, qpdf_oh_get_key(p->q, dict, key));
	if (AMONG(key, of_catalog))
		return qpdf_oh_get_object_id(p->q, dict) ==
		       qpdf_oh_get_object_id(p->q, qpdf_get_root(p->q));
	return AMONG(key, of_page) && qpdf_oh_is_dictionary_of_type(p->q, dict, "/Page", NULL);
}

/* Dictionaries whose keys are names that the author of the file made up (ISO 32000-1 7.8.3): there "/P" is no way upwards. */
static bool
holds_names(const char *key)
{
	static const char *const of[] = {"/Resources", "/Font", "/XObject", "/ExtGState",
	    "/ColorSpace", "/Pattern", "/Shading", "/Properties", "/CharProcs", "/AP", "/N"};

	return AMONG(key, of);
}

static void
keys_of(struct pdf *p, qpdf_oh dict, struct buf *out)
{
	unsigned n = 0;

	qpdf_oh_begin_dict_key_iter(p->q, dict);
	while (qpdf_oh_dict_more_keys(p->q) && n++ < 4096) {
		const char *key = qpdf_oh_dict_next_key(p->q);

		if (key != NULL)
			buf_append(out, key, strlen(key) + 1);
	}
}

/* names: nothing is passed over. */
static bool
same_dict(struct diff *d, qpdf_oh a, qpdf_oh b, unsigned depth, bool names)
{
	struct buf ka, kb;
	bool yes = true;
	size_t at;

	buf_init(&ka, 1 << 20);
	buf_init(&kb, 1 << 20);
	keys_of(d->a, a, &ka);
	keys_of(d->b, b, &kb);
	for (at = 0; yes && at < kb.len; at += strlen((const char *)kb.data + at) + 1) {
		const char *key = (const char *)kb.data + at;

		if ((names || !is_skipped(d->b, b, key)) && !qpdf_oh_has_key(d->a->q, a, key))
			yes = differs(d, key);
	}
	for (at = 0; yes && at < ka.len; at += strlen((const char *)ka.data + at) + 1) {
		const char *key = (const char *)ka.data + at;

		if ((names || !is_skipped(d->a, a, key)) &&
		    !same_value(d, qpdf_oh_get_key(d->a->q, a, key),
			qpdf_oh_get_key(d->b->q, b, key), depth + 1, holds_names(key)))
			yes = differs(d, key);
	}
	yes = yes && ka.err == 0 && kb.err == 0;
	buf_done(&ka);
	buf_done(&kb);
	return yes;
}

static bool
same_stream(struct diff *d, qpdf_oh a, qpdf_oh b, unsigned depth)
{
	unsigned char *da = NULL, *db = NULL;
	size_t na = 0, nb = 0;
	bool yes =
	    (qpdf_oh_get_stream_data(d->a->q, a, qpdf_dl_none, NULL, &da, &na) & QPDF_ERRORS) == 0;

	yes = (qpdf_oh_get_stream_data(d->b->q, b, qpdf_dl_none, NULL, &db, &nb) & QPDF_ERRORS) ==
		  0 &&
	      yes && na == nb && (na == 0 || memcmp(da, db, na) == 0);
	free(da);
	free(db);
	return yes && same_dict(d, qpdf_oh_get_dict(d->a->q, a), qpdf_oh_get_dict(d->b->q, b),
			  depth, false);
}

static bool
same_array(struct diff *d, qpdf_oh a, qpdf_oh b, unsigned depth)
{
	int i, n = qpdf_oh_get_array_n_items(d->a->q, a);

	if (n != qpdf_oh_get_array_n_items(d->b->q, b))
		return false;
	for (i = 0; i < n; i++) {
		if (!same(d, qpdf_oh_get_array_item(d->a->q, a, i),
			qpdf_oh_get_array_item(d->b->q, b, i), depth + 1))
			return false;
	}
	return true;
}

/* The same content, whatever the numbers of its objects. Handles are given back at the end of the file. */
static bool
same_value(struct diff *d, qpdf_oh a, qpdf_oh b, unsigned depth, bool names)
{
	int id = qpdf_oh_get_object_id(d->a->q, a), other = qpdf_oh_get_object_id(d->b->q, b);

	if (depth > PDF_DEPTH_MAX || ++d->nodes > COMPARE_NODES_MAX)
		return differs(d, "too deep or too many objects");
	if (qpdf_oh_get_type_code(d->a->q, a) != qpdf_oh_get_type_code(d->b->q, b))
		return false;
	if (id > 0 && id < PDF_OBJECTS_MAX && other > 0) {
		if (d->partner[id] == -other || (!names && d->partner[id] == other))
			return true;
		d->partner[id] = names ? -other : other;
	}
	if (qpdf_oh_is_stream(d->a->q, a))
		return same_stream(d, a, b, depth);
	if (qpdf_oh_is_dictionary(d->a->q, a))
		return same_dict(d, a, b, depth, names);
	if (qpdf_oh_is_array(d->a->q, a))
		return same_array(d, a, b, depth);
	return strcmp(qpdf_oh_unparse_resolved(d->a->q, a), qpdf_oh_unparse_resolved(d->b->q, b)) ==
	       0;
}

static bool
same(struct diff *d, qpdf_oh a, qpdf_oh b, unsigned depth)
{
	return same_value(d, a, b, depth, false);
}

/* What a page has from the nodes above it. Handles that are not there are null, and equal. */
static bool
same_inherited(struct diff *d, qpdf_oh a, qpdf_oh b)
{
	static const char *const keys[] = {"/Resources", "/MediaBox", "/CropBox", "/Rotate"};
	unsigned depth;
	size_t i;

	for (depth = 0; depth < PDF_DEPTH_MAX; depth++) {
		a = qpdf_oh_get_key_if_dict(d->a->q, a, "/Parent");
		b = qpdf_oh_get_key_if_dict(d->b->q, b, "/Parent");
		if (!qpdf_oh_is_dictionary(d->a->q, a) && !qpdf_oh_is_dictionary(d->b->q, b))
			return true;
		for (i = 0; i < sizeof keys / sizeof *keys; i++) {
			if (!same_value(d, qpdf_oh_get_key_if_dict(d->a->q, a, keys[i]),
				qpdf_oh_get_key_if_dict(d->b->q, b, keys[i]), 1, i == 0))
				return differs(d, keys[i]);
		}
	}
	return differs(d, "too deep or too many objects");
}

/* A signature field, or its widget; its kind may stand in the field above. */
static bool
is_sig_field(struct pdf *p, qpdf_oh f)
{
	qpdf_oh up = qpdf_oh_get_key_if_dict(p->q, f, "/Parent");

	return qpdf_oh_is_name_and_equals(p->q, qpdf_oh_get_key_if_dict(p->q, f, "/FT"), "/Sig") ||
	       qpdf_oh_is_name_and_equals(p->q, qpdf_oh_get_key_if_dict(p->q, up, "/FT"), "/Sig");
}

/* The signed octets: two pieces, the signature between them. */
static bool
read_range(struct pdf *p, qpdf_oh sig, uint64_t r[4])
{
	qpdf_oh v = qpdf_oh_get_key(p->q, sig, "/ByteRange");
	int i;

	if (qpdf_oh_get_array_n_items(p->q, v) != 4)
		return false;
	for (i = 0; i < 4; i++) {
		qpdf_oh n = qpdf_oh_get_array_item(p->q, v, i);
		long long x = qpdf_oh_is_integer(p->q, n) ? qpdf_oh_get_int_value(p->q, n) : -1;

		if (x < 0 || (uint64_t)x > p->bytes.len)
			return false;
		r[i] = (uint64_t)x;
	}
	return r[0] == 0 && r[1] <= r[2] && r[2] + r[3] <= p->bytes.len;
}

/* A signature field that is new, or was empty: what it shows is its signer's, whose signature is judged by itself; without one it shows nothing. */
static bool
may_be_added(struct pdf *p, qpdf_oh f)
{
	qpdf_oh v = qpdf_oh_get_key_if_dict(p->q, f, "/V"),
		kind = qpdf_oh_get_key_if_dict(p->q, f, "/Subtype");
	uint64_t r[4];

	if (!qpdf_oh_is_dictionary(p->q, v))
		v = qpdf_oh_get_key_if_dict(
		    p->q, qpdf_oh_get_key_if_dict(p->q, f, "/Parent"), "/V");
	if (!is_sig_field(p, f) ||
	    (!qpdf_oh_is_null(p->q, kind) && !qpdf_oh_is_name_and_equals(p->q, kind, "/Widget")))
		return false;
	return qpdf_oh_is_null(p->q, qpdf_oh_get_key_if_dict(p->q, f, "/AP")) ||
	       (qpdf_oh_is_dictionary(p->q, v) &&
		   qpdf_oh_is_string(p->q, qpdf_oh_get_key(p->q, v, "/Contents")) &&
		   read_range(p, v, r));
}

/* Lists of fields or annotations: what was there is as it was, but for signature fields that are signed now; what is new signs. */
static bool
same_list(struct diff *d, qpdf_oh a, qpdf_oh b)
{
	int i, na = qpdf_oh_is_array(d->a->q, a) ? qpdf_oh_get_array_n_items(d->a->q, a) : 0;
	int nb = qpdf_oh_is_array(d->b->q, b) ? qpdf_oh_get_array_n_items(d->b->q, b) : 0;

	if (nb < na || nb > 4096)
		return false;
	for (i = 0; i < nb; i++) {
		qpdf_oh y = qpdf_oh_get_array_item(d->b->q, b, i);
		qpdf_oh x;

		if (i >= na) {
			if (!may_be_added(d->b, y))
				return false;
			continue;
		}
		x = qpdf_oh_get_array_item(d->a->q, a, i);
		if (is_sig_field(d->a, x) && !qpdf_oh_has_key(d->a->q, x, "/V") &&
		    may_be_added(d->b, y))
			continue;
		if (!same(d, x, y, 0))
			return false;
	}
	return true;
}

static bool
same_form(struct diff *d)
{
	qpdf_oh a = qpdf_oh_get_key(d->a->q, qpdf_get_root(d->a->q), "/AcroForm");
	qpdf_oh b = qpdf_oh_get_key(d->b->q, qpdf_get_root(d->b->q), "/AcroForm");

	if (!same_list(d, qpdf_oh_get_key_if_dict(d->a->q, a, "/Fields"),
		qpdf_oh_get_key_if_dict(d->b->q, b, "/Fields")))
		return differs(d, "form fields");
	if (!same(d, qpdf_oh_get_key_if_dict(d->a->q, a, "/XFA"),
		qpdf_oh_get_key_if_dict(d->b->q, b, "/XFA"), 0))
		return differs(d, "/XFA");
	return true;
}

/* Whether the file as it is now shows what was signed. */
static bool
only_signed_again(struct pdf *now, struct slice revision, char what[80])
{
	struct diff d = {.b = now};
	struct pdf p;
	int i, n = 0;
	bool yes = true;

	d.a = &p;
	d.partner = calloc(PDF_OBJECTS_MAX, sizeof *d.partner);
	if (d.partner == NULL)
		return false;
	/* a revision is a whole file: one that has to be mended ends somewhere in the middle */
	if (!pdf_open(&p, now->c, revision) || p.damaged)
		yes = differs(&d, "the signed revision cannot be read");
	if (yes)
		n = qpdf_get_num_pages(p.q);
	if (yes && n != qpdf_get_num_pages(now->q))
		yes = differs(&d, "number of pages");
	for (i = 0; yes && i < n; i++) {
		qpdf_oh x = qpdf_get_page_n(p.q, (size_t)i);
		qpdf_oh y = qpdf_get_page_n(now->q, (size_t)i);

		if (!same(&d, x, y, 0) || !same_inherited(&d, x, y) ||
		    !same_list(&d, qpdf_oh_get_key(p.q, x, "/Annots"),
			qpdf_oh_get_key(now->q, y, "/Annots")))
			yes = differs(&d, "page content");
	}
	yes = yes && same_form(&d);
	if (yes && !same(&d, qpdf_get_root(p.q), qpdf_get_root(now->q), 0))
		yes = differs(&d, "catalog");
	memcpy(what, d.what, sizeof d.what);
	pdf_close(&p);
	free(d.partner);
	return yes;
}

/* ---- one signature ---- */

/* The CMS object between the signed bytes: "<hex>" and nothing else, zeros behind the object. */
static bool
cms_of(struct slice gap, struct buf *out)
{
	const unsigned char *p;
	size_t i, len, n;

	if (gap.len < 6 || gap.len > CMS_HEX_MAX || gap.ptr[0] != '<' ||
	    gap.ptr[gap.len - 1] != '>' || gap.len % 2 != 0)
		return false;
	for (i = 1; i + 2 < gap.len; i += 2) {
		int hi = hex_value(gap.ptr[i]), lo = hex_value(gap.ptr[i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		buf_append_byte(out, (unsigned char)(hi << 4 | lo));
	}
	/* X.690 8.1.3: how long the object says that it is */
	p = out->data;
	if (out->err != 0 || out->len < 4 || p[0] != 0x30)
		return false;
	if (p[1] == 0x80)
		return true; /* BER: its end is its own */
	n = p[1] & 0x80 ? p[1] & 0x7f : 0;
	if (n > 4 || out->len < 2 + n)
		return false;
	for (i = 0, len = n == 0 ? p[1] : 0; i < n; i++)
		len = len << 8 | p[2 + i];
	len += 2 + n;
	if (len > out->len)
		return false;
	for (i = len; i < out->len; i++) {
		if (p[i] != 0)
			return false;
	}
	buf_truncate(out, len);
	return true;
}

static void
add_bad(struct scan_ctx *c, struct slice path, enum sig_status status, const char *why)
{
	struct find_sig *s = findings_add_sig(c->f);

	if (s == NULL)
		return;
	s->part = findings_text(c->f, path);
	s->coverage = SIG_DOCUMENT;
	s->status = status;
	s->why = findings_str(c->f, why);
}

static void
check_coverage(struct scan_ctx *c, struct pdf *p, const uint64_t r[4], struct slice path)
{
	struct slice rest = slice_from(p->bytes, (size_t)(r[2] + r[3]));
	char what[80] = "";
	size_t i;

	for (i = 0; i < rest.len && (rest.ptr[i] <= ' '); i++)
		;
	if (i == rest.len)
		return;
	if (only_signed_again(p, slice_sub(p->bytes, 0, (size_t)(r[2] + r[3])), what))
		findings_note(c->f, "pdf_sig_later_update", NOTE_INFO, path,
		    "%zu octets behind a signature sign again, and change nothing", rest.len);
	else
		findings_note(c->f, "pdf_sig_not_covering", NOTE_REJECT, path,
		    "%zu octets behind the signed ones change the document: %s", rest.len, what);
}

static void
check_one(struct scan_ctx *c, struct pdf *p, qpdf_oh sig, struct slice path)
{
	qpdf_oh filter = qpdf_oh_get_key(p->q, sig, "/SubFilter");
	const char *kind = qpdf_oh_is_name(p->q, filter) ? qpdf_oh_get_name(p->q, filter) : "";
	struct smime_input in = {.detached = true,
	    .domain = c->p->domain,
	    .prefer = c->p->terms.prefer,
	    .now = c->p->now,
	    .part = path,
	    .coverage = SIG_DOCUMENT};
	struct buf cms, content;
	enum smime_kind kind_of;
	uint64_t r[4];

	if (strcmp(kind, "/ETSI.RFC3161") == 0) {
		findings_note(c->f, "pdf_timestamp", NOTE_INFO, path, "a document time stamp");
		return;
	}
	if (strcmp(kind, "/adbe.pkcs7.detached") != 0 &&
	    strcmp(kind, "/ETSI.CAdES.detached") != 0) {
		add_bad(c, path, SIG_WEAK, "the kind of signature is too old, or not known");
		return;
	}
	if (!read_range(p, sig, r)) {
		add_bad(c, path, SIG_BAD, "the signed range is malformed");
		return;
	}
	buf_init(&cms, SMIME_CMS_MAX);
	buf_init(&content, p->bytes.len + 1);
	if (!cms_of(slice_sub(p->bytes, (size_t)r[1], (size_t)(r[2] - r[1])), &cms)) {
		add_bad(c, path, SIG_BAD, "the signed range leaves out more than the signature");
		findings_note(c->f, "pdf_sig_not_covering", NOTE_REJECT, path,
		    "octets %llu to %llu are not signed", (unsigned long long)r[1],
		    (unsigned long long)r[2]);
	} else {
		buf_append_slice(&content, slice_sub(p->bytes, 0, (size_t)r[1]));
		buf_append_slice(&content, slice_sub(p->bytes, (size_t)r[2], (size_t)r[3]));
		in.cms = buf_slice(&cms);
		in.content = buf_slice(&content);
		kind_of = smime_verify(c->p->trust, &in, c->f, NULL);
		if (kind_of == SMIME_ENCRYPTED || kind_of == SMIME_OTHER)
			add_bad(c, path, SIG_BAD, "no SignedData");
		check_coverage(c, p, r, path);
	}
	buf_done(&cms);
	buf_done(&content);
}

void
pdf_signatures(struct scan_ctx *c, struct pdf *p, struct slice path)
{
	size_t i;

	for (i = 0; i < p->n_sigs; i++) {
		if (c->doc_sigs++ >= DOC_SIGS_MAX) {
			add_bad(c, path, SIG_BAD, "more signatures than are looked at");
			return;
		}
		check_one(c, p, p->sigs[i].oh, path);
	}
	if (p->more_sigs > 0)
		add_bad(c, path, SIG_BAD, "more signatures than are looked at");
}
