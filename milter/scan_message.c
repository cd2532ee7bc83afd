/* scan_message.c: walks a message: signed layers, then leaves. Runs in milter-scan. Coverage: a signature counts for the mail only when
 * the signed entity is its whole body (the root is multipart/signed or pkcs7-mime); elsewhere it is partial, inside a signed
 * entity inner. The signed bytes are those between the boundaries, exactly (RFC 1847 2.1, RFC 8551 3.5). */
#include "config.h"

#include "milter/scan_message.h"

#include "milter/scan_priv.h"

#include "lib/crypto.h"
#include "lib/err.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SIGS_PER_MESSAGE 8
#define TREE_CAP (16u << 20)

static uint32_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint32_t)((uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000);
}

static uint64_t
cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

bool
scan_late(struct scan_ctx *c)
{
	if (!c->late && c->cpu_until != 0 && cpu_us() > c->cpu_until) {
		c->late = true;
		findings_note(c->f, "scan_time", NOTE_WARN, slice_str(""),
		    "looking into the attachments takes too long");
	}
	return c->late;
}

static struct slice
param(const struct hdr_param *p, const char *name)
{
	for (; p != NULL; p = p->next) {
		if (slice_eq_str(p->name, name))
			return p->value;
	}
	return (struct slice){NULL, 0};
}

static bool
is_type(const struct mime_part *p, const char *type, const char *sub)
{
	return slice_eq_str(p->type, type) && slice_eq_str(p->subtype, sub);
}

static bool
is_signature_part(const struct mime_part *p)
{
	return is_type(p, "application", "pkcs7-signature") ||
	       is_type(p, "application", "x-pkcs7-signature");
}

/* RFC 8551 3.9: a file name ending in .p7m makes it S/MIME too, to many readers. */
static bool
is_p7m(struct slice name)
{
	return name.len > 4 && slice_caseeq_str(slice_from(name, name.len - 4), ".p7m");
}

static bool
is_opaque(const struct mime_part *p)
{
	if (is_type(p, "application", "pkcs7-mime") || is_type(p, "application", "x-pkcs7-mime"))
		return true;
	return is_type(p, "application", "octet-stream") &&
	       (is_p7m(param(p->params, "name")) || is_p7m(param(p->disp_params, "filename")));
}

/* multipart/signed of S/MIME; other protocols (PGP) are no signature to us. */
static bool
is_clear_signed(const struct mime_part *p)
{
	struct slice protocol = param(p->params, "protocol");

	if (!is_type(p, "multipart", "signed"))
		return false;
	if (slice_caseeq_str(protocol, "application/pkcs7-signature") ||
	    slice_caseeq_str(protocol, "application/x-pkcs7-signature"))
		return true;
	return p->child != NULL && p->child->next != NULL && is_signature_part(p->child->next);
}

static enum sig_coverage
coverage(enum scan_cover cover)
{
	return cover == COVER_ROOT ? SIG_WHOLE : cover == COVER_SIGNED ? SIG_INNER : SIG_PARTIAL;
}

static void
add_bad(struct scan_ctx *c, struct slice path, enum scan_cover cover, const char *why)
{
	struct find_sig *s = findings_add_sig(c->f);

	if (s == NULL)
		return;
	s->part = findings_text(c->f, path);
	s->coverage = coverage(cover);
	s->status = SIG_BAD;
	s->why = findings_str(c->f, why);
}

static struct slice
body_of(struct slice whole, const struct mime_part *p)
{
	return slice_sub(whole, (size_t)p->body_off, (size_t)(p->end_off - p->body_off));
}

/* The CMS object of a part: base64 or quoted-printable by the letter, or binary. */
static int
cms_bytes(struct slice whole, const struct mime_part *p, size_t max, struct buf *out)
{
	struct slice body = body_of(whole, p);
	bool clean = true;
	int err;

	buf_init(out, max);
	if (p->cte == CTE_QP) {
		err = mime_decode_body(p->cte, body, out, &clean);
		return err != 0 ? err : clean ? 0 : ERR_SYNTAX;
	}
	if (p->cte == CTE_BASE64)
		return b64_decode(body, true, out);
	if (p->cte == CTE_BINARY || p->cte == CTE_8BIT)
		return buf_append_slice(out, body);
	return ERR_SYNTAX;
}

/* micalg is a hint for one-pass readers: a wrong one is told, not judged. */
static void
note_micalg(struct scan_ctx *c, const struct mime_part *part, struct slice path)
{
	struct slice micalg = param(part->params, "micalg");
	const struct find_sig *s, *last = NULL;
	char given[32];
	size_t i, n = 0;

	for (s = c->f->sigs; s != NULL; s = s->next)
		last = s;
	if (last == NULL || last->digest.len == 0 || micalg.len == 0)
		return;
	for (i = 0; i < micalg.len && n < sizeof given; i++) {
		if (micalg.ptr[i] != '-')
			given[n++] = (char)micalg.ptr[i];
	}
	if (!slice_caseeq(slice_of(given, n), last->digest))
		findings_note(c->f, "micalg_mismatch", NOTE_INFO, path,
		    "micalg is not the digest that was used");
}

/* True when the second part is a signature and nothing else. */
static bool
verify_clear(struct scan_ctx *c, struct slice whole, const struct mime_part *part,
    struct slice path, enum scan_cover cover)
{
	const struct mime_part *content = part->child,
			       *sig = content != NULL ? content->next : NULL;
	struct smime_input in;
	const char *why = NULL;
	uint32_t t0 = now_us();
	struct buf der, inside;
	bool is_sig = false;
	int err;

	if (sig == NULL || sig->next != NULL)
		why = "multipart/signed does not have exactly two parts";
	else if (!is_signature_part(sig))
		why = "the second part is no signature";
	else if (part->flags & (MIME_F_UNTERMINATED | MIME_F_DUP_HEADER))
		why = "multipart/signed is not well-formed";
	if (why != NULL) {
		add_bad(c, path, cover, why);
		return false;
	}
	buf_init(&inside, SMIME_CMS_MAX);
	err = cms_bytes(whole, sig, SMIME_CMS_MAX, &der);
	if (err != 0) {
		add_bad(c, path, cover,
		    err == ERR_LIMIT ? "the signature part is too large"
				     : "the signature part is not strict base64");
	} else {
		memset(&in, 0, sizeof in);
		in.cms = buf_slice(&der);
		in.detached = true;
		in.content = slice_sub(
		    whole, (size_t)content->hdr_off, (size_t)(content->end_off - content->hdr_off));
		in.domain = c->p->domain;
		in.prefer = c->p->terms.prefer;
		in.now = c->p->now;
		in.part = path;
		in.coverage = coverage(cover);
		switch (smime_verify(c->p->trust, &in, c->f, &inside)) {
		case SMIME_SIGNED:
			is_sig = true;
			note_micalg(c, part, path);
			if (cover == COVER_ROOT)
				scan_protected(c, slice_sub(whole, 0, hdr_body_offset(whole)),
				    in.content, path);
			break;
		case SMIME_MALFORMED:
			break;
		default:
			add_bad(c, path, cover, "the signature part holds no SignedData");
		}
	}
	c->f->us_cms += now_us() - t0;
	/* what some reader may show in the place of the part before it */
	if (inside.len > 0)
		scan_entity(c, buf_slice(&inside), path, COVER_OTHER);
	buf_done(&der);
	buf_done(&inside);
	return is_sig;
}

/* Opaque S/MIME: signed content is looked into like the rest of the mail. True when the part was an S/MIME object. */
static bool
verify_opaque(struct scan_ctx *c, struct slice whole, const struct mime_part *part,
    struct slice path, enum scan_cover cover)
{
	struct smime_input in;
	struct buf der, content, inner;
	uint32_t t0 = now_us();
	enum smime_kind kind;

	buf_init(&content, SCAN_PART_MAX);
	if (cms_bytes(whole, part, SCAN_PART_MAX, &der) != 0) {
		/* not good enough for a signature, but a careless reader would show what is in it */
		add_bad(c, path, cover, "the S/MIME part is not strict base64");
		buf_reset(&der);
		mime_decode_body(part->cte, body_of(whole, part), &der, NULL);
	}
	memset(&in, 0, sizeof in);
	in.cms = buf_slice(&der);
	in.domain = c->p->domain;
	in.prefer = c->p->terms.prefer;
	in.now = c->p->now;
	in.part = path;
	in.coverage = coverage(cover);
	kind = smime_verify(c->p->trust, &in, c->f, &content);
	c->f->us_cms += now_us() - t0;
	if (kind == SMIME_ENCRYPTED) {
		if (cover == COVER_ROOT)
			c->f->encrypted = true;
		findings_note(c->f, "smime_encrypted", NOTE_INFO, path,
		    "encrypted: the content cannot be looked into");
	}
	if (kind == SMIME_OTHER)
		findings_note(
		    c->f, "smime_other", NOTE_INFO, path, "an S/MIME object that signs nothing");
	if (content.err != 0)
		findings_note(c->f, "smime_too_large", NOTE_WARN, path,
		    "the signed content is too large to look into");
	else if (content.len > 0) {
		if (kind == SMIME_SIGNED && cover == COVER_ROOT)
			scan_protected(c, slice_sub(whole, 0, hdr_body_offset(whole)),
			    buf_slice(&content), path);
		buf_init(&inner, 200);
		buf_append_slice(&inner, slice_sub(path, 0, 150));
		buf_append_byte(&inner, '~');
		scan_entity(c, buf_slice(&content), buf_slice(&inner), COVER_SIGNED);
		buf_done(&inner);
	}
	buf_done(&der);
	buf_done(&content);
	return kind == SMIME_SIGNED || kind == SMIME_ENCRYPTED || kind == SMIME_OTHER;
}

static void
note_flags(struct scan_ctx *c, const struct mime_part *p, struct slice path)
{
	static const struct {
		uint32_t flag;
		const char *id, *text;
		enum note_severity severity;
	} notes[] = {
	    {MIME_F_DUP_HEADER, "mime_dup_header", "a Content-* field stands twice", NOTE_REJECT},
	    {MIME_F_DUP_PARAM, "mime_dup_param", "a parameter stands twice", NOTE_WARN},
	    {MIME_F_BAD_CTYPE, "mime_bad_type", "Content-Type cannot be read", NOTE_WARN},
	    {MIME_F_NO_BOUNDARY, "mime_no_boundary", "multipart without boundary", NOTE_WARN},
	    {MIME_F_UNTERMINATED, "mime_unterminated", "the closing boundary is missing",
		NOTE_INFO},
	    {MIME_F_TOO_DEEP, "mime_too_deep", "nested too deep", NOTE_REJECT},
	    {MIME_F_TOO_MANY, "mime_too_many", "too many parts", NOTE_REJECT},
	    {MIME_F_BAD_CTE, "mime_bad_encoding", "unknown or forbidden transfer encoding",
		NOTE_WARN},
	    {MIME_F_BARE_LF, "mime_bare_lf", "CR or LF alone", NOTE_WARN},
	    {MIME_F_NUL, "mime_nul", "NUL inside", NOTE_WARN},
	};
	size_t i;

	for (i = 0; i < sizeof notes / sizeof *notes; i++) {
		if (!(p->flags & notes[i].flag))
			continue;
		if (notes[i].flag == MIME_F_DUP_PARAM && slice_eq_str(p->type, "multipart"))
			findings_note(c->f, "mime_dup_boundary", NOTE_REJECT, path,
			    "a parameter of a multipart stands twice");
		else
			findings_note(
			    c->f, notes[i].id, notes[i].severity, path, "%s", notes[i].text);
	}
}

static void walk(struct scan_ctx *c, struct slice whole, const struct mime_part *part,
    struct slice path, enum scan_cover cover);

static void
walk_children(struct scan_ctx *c, struct slice whole, const struct mime_part *part,
    struct slice path, enum scan_cover cover, const struct mime_part *skip)
{
	const struct mime_part *p;
	unsigned n = 0;
	struct buf b;

	for (p = part->child; p != NULL; p = p->next) {
		n++;
		if (p == skip)
			continue;
		buf_init(&b, FINDINGS_TEXT_MAX);
		buf_append_slice(&b, slice_sub(path, 0, FINDINGS_TEXT_MAX - 16));
		buf_appendf(
		    &b, "%s%u", path.len > 0 && path.ptr[path.len - 1] != '~' ? "." : "", n);
		walk(c, whole, p, buf_slice(&b), cover);
		buf_done(&b);
	}
}

static void
walk(struct scan_ctx *c, struct slice whole, const struct mime_part *part, struct slice path,
    enum scan_cover cover)
{
	enum scan_cover below = cover == COVER_SIGNED ? COVER_SIGNED : COVER_OTHER;
	const struct mime_part *sig = NULL;

	note_flags(c, part, path);
	if (is_clear_signed(part) && c->p->text == NULL) {
		below = COVER_SIGNED;
		if (c->layers++ >= SIGS_PER_MESSAGE && cover != COVER_ROOT)
			findings_note(c->f, "sig_too_many", NOTE_WARN, path,
			    "more signed layers than are looked at");
		else if (verify_clear(c, whole, part, path, cover))
			sig = part->child->next; /* a signature in its place is no attachment */
	} else if (is_opaque(part) && part->child == NULL) {
		if (c->layers++ >= SIGS_PER_MESSAGE)
			findings_note(c->f, "mime_too_many", NOTE_REJECT, path,
			    "more signed layers than are looked at");
		else if (verify_opaque(c, whole, part, path, cover))
			return;
	}
	if (part->child != NULL)
		walk_children(c, whole, part, path, below, sig);
	else
		scan_leaf(c, whole, part, path);
}

/* Deeper than the policy lets the scanner go: not inspected. */
static void
past_depth(struct scan_ctx *c, struct slice path)
{
	struct find_part *p = findings_add_part(c->f);

	if (p == NULL)
		return;
	p->path = findings_text(c->f, path);
	p->decl = findings_str(c->f, "message/rfc822");
	p->flags = PART_LIMIT;
}

void
scan_entity(struct scan_ctx *c, struct slice whole, struct slice path, enum scan_cover cover)
{
	struct mime_part *root = NULL;
	struct arena *a;
	uint32_t t0 = now_us();

	if (c->depth >= SCAN_DEPTH_MAX) {
		findings_note(c->f, "mime_too_deep", NOTE_REJECT, path, "messages inside messages");
		return;
	}
	if (c->depth >= c->max.depth) {
		past_depth(c, path);
		return;
	}
	a = arena_new(TREE_CAP);
	if (a == NULL || mime_parse(whole, &mime_limits_default, a, &root) != 0) {
		findings_note(c->f, "mime_too_many", NOTE_REJECT, path,
		    "the structure does not fit in memory");
		arena_free(a);
		return;
	}
	c->f->us_mime += now_us() - t0;
	scan_subject(c, slice_sub(whole, 0, hdr_body_offset(whole)), path);
	c->depth++;
	walk(c, whole, root, path, cover);
	c->depth--;
	arena_free(a);
}

void
scan_sha256(struct scan_ctx *c, struct slice bytes, unsigned char out[32])
{
	struct slice both[2] = {c->body, bytes};
	unsigned char digests[2][32];

	if (c->body.ptr == NULL || bytes.len < c->body.len / 2) {
		sha256_of(bytes, out);
		return;
	}
	/* a mail without parts: the same octets */
	if (bytes.ptr == c->body.ptr && bytes.len == c->body.len) {
		sha256_of(bytes, digests[0]);
		memcpy(digests[1], digests[0], 32);
	} else {
		sha256_of_many(both, 2, digests);
	}
	memcpy(c->f->body_sha256, digests[0], 32);
	memcpy(out, digests[1], 32);
	c->body = (struct slice){NULL, 0};
}

static uint32_t
bound(uint32_t asked, uint32_t built_in)
{
	return asked != 0 && asked < built_in ? asked : built_in;
}

static void
set_bounds(struct scan_ctx *c, const struct scan_terms *t)
{
	c->max.depth = bound(t->depth, SCAN_DEPTH_MAX);
	c->max.entries = bound(t->entries, SCAN_ENTRIES_MAX);
	c->max.bytes = bound(t->bytes, SCAN_BYTES_MAX);
	c->max.ratio = bound(t->ratio, SCAN_RATIO_MAX);
}

void
scan_message(struct slice whole, const struct scan_params *p, struct findings *f)
{
	struct scan_ctx c = {.p = p, .f = f};
	uint32_t t0 = now_us();
	struct slice body = slice_from(whole, hdr_body_offset(whole));

	set_bounds(&c, &p->terms);
	c.late = p->shallow;
	c.cpu_until = p->cpu_ms > 0 ? cpu_us() + 1000 * (uint64_t)p->cpu_ms : 0;
	f->size = whole.len;
	f->body_size = body.len;
	c.body = body;
	scan_entity(&c, whole, slice_str(""), COVER_ROOT);
	if (c.body.ptr != NULL || body.ptr == NULL)
		sha256_of(body, f->body_sha256);
	f->us_scan = now_us() - t0 - f->us_cms - f->us_mime;
}
