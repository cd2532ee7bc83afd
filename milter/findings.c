/* findings.c: the scanner's answer as a structure, on the wire and as JSON for the audit record. Pure. Made in milter-scan,
 * read in milter. Bounded: what does not fit is dropped and said to be (truncated), never silently. */
#include "config.h"

#include "milter/findings.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/ipc.h"
#include "lib/mime.h"

#include <stdio.h>
#include <string.h>

#define WIRE_VERSION 6
#define ADDRESSES_MAX 32

void
findings_init(struct findings *f, struct arena *a)
{
	memset(f, 0, sizeof *f);
	f->arena = a;
}

static struct find_sig *
append_sig(struct findings *f, struct find_sig **p)
{
	struct find_sig *s = arena_alloc(f->arena, sizeof *s);

	if (s == NULL)
		return NULL;
	s->status = SIG_BAD;
	s->coverage = SIG_PARTIAL;
	s->rev = REV_UNCHECKED;
	s->rev_age_s = -1;
	s->label = -1;
	while (*p != NULL)
		p = &(*p)->next;
	*p = s;
	return s;
}

struct find_sig *
findings_add_sig(struct findings *f)
{
	struct find_sig *s = f->n_sigs < FINDINGS_SIGS_MAX ? append_sig(f, &f->sigs) : NULL;

	if (s == NULL)
		f->truncated = true;
	else
		f->n_sigs++;
	return s;
}

struct find_sig *
findings_add_other(struct findings *f)
{
	struct find_sig *s = f->n_others < FINDINGS_OTHERS_MAX ? append_sig(f, &f->others) : NULL;

	f->n_others += s != NULL;
	return s;
}

struct find_part *
findings_add_part(struct findings *f)
{
	struct find_part **p = &f->parts, *n;

	n = f->n_parts < FINDINGS_PARTS_MAX ? arena_alloc(f->arena, sizeof *n) : NULL;
	if (n == NULL) {
		f->truncated = true;
		return NULL;
	}
	while (*p != NULL)
		p = &(*p)->next;
	*p = n;
	f->n_parts++;
	return n;
}

struct find_doc *
findings_add_doc(struct findings *f)
{
	struct find_doc **p = &f->docs, *n;

	n = f->n_docs < FINDINGS_DOCS_MAX ? arena_alloc(f->arena, sizeof *n) : NULL;
	if (n == NULL) {
		f->truncated = true;
		return NULL;
	}
	while (*p != NULL)
		p = &(*p)->next;
	*p = n;
	f->n_docs++;
	return n;
}

static struct find_note *
add_note(struct findings *f)
{
	struct find_note **p = &f->notes, *n;

	n = f->n_notes < FINDINGS_NOTES_MAX ? arena_alloc(f->arena, sizeof *n) : NULL;
	if (n == NULL) {
		f->truncated = true;
		return NULL;
	}
	while (*p != NULL)
		p = &(*p)->next;
	*p = n;
	f->n_notes++;
	return n;
}

struct slice
findings_text(struct findings *f, struct slice s)
{
	return arena_slice(f->arena, slice_sub(s, 0, FINDINGS_TEXT_MAX));
}

struct slice
findings_str(struct findings *f, const char *s)
{
	return findings_text(f, slice_str(s));
}

void
findings_note(struct findings *f, const char *id, enum note_severity sev, struct slice part,
    const char *fmt, ...)
{
	struct find_note *n;
	char text[FINDINGS_TEXT_MAX];
	va_list ap;

	/* room is kept for what decides: many small oddities must not crowd it out */
	if (sev != NOTE_REJECT && f->n_notes >= FINDINGS_NOTES_MAX - 16) {
		f->truncated = true;
		return;
	}
	n = add_note(f);
	if (n == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	n->id = findings_str(f, id);
	n->severity = sev;
	n->part = findings_text(f, part);
	n->detail = findings_str(f, text);
}

void
findings_add_address(struct findings *f, struct find_sig *s, bool utf8, struct slice value)
{
	struct sig_address **p = &s->addresses, *a;
	size_t n = 0;

	while (*p != NULL) {
		p = &(*p)->next;
		n++;
	}
	a = n < ADDRESSES_MAX && value.len <= FINDINGS_TEXT_MAX ? arena_alloc(f->arena, sizeof *a)
								: NULL;
	if (a == NULL) {
		f->truncated = true;
		return;
	}
	a->utf8 = utf8;
	a->value = arena_slice(f->arena, value);
	*p = a;
}

void
findings_set_certs(struct findings *f, struct find_sig *s, struct slice der)
{
	if (der.len <= FINDINGS_CERTS_MAX)
		s->certs = arena_slice(f->arena, der);
}

void
findings_add_want(struct findings *f, enum want_kind kind, struct slice url, struct slice request)
{
	struct find_want **p, *w;

	for (p = &f->wants; *p != NULL; p = &(*p)->next) {
		if ((*p)->kind == kind && slice_eq((*p)->url, url) &&
		    slice_eq((*p)->request, request))
			return;
	}
	if (f->n_wants >= FINDINGS_WANTS_MAX || url.len > FINDINGS_TEXT_MAX ||
	    request.len > FINDINGS_TEXT_MAX || (w = arena_alloc(f->arena, sizeof *w)) == NULL)
		return;
	w->kind = kind;
	w->url = arena_slice(f->arena, url);
	w->request = arena_slice(f->arena, request);
	*p = w;
	f->n_wants++;
}

const struct find_note *
findings_note_find(const struct findings *f, const char *id)
{
	const struct find_note *n = f->notes;

	while (n != NULL && !slice_eq_str(n->id, id))
		n = n->next;
	return n;
}

bool
findings_has_note(const struct findings *f, const char *id)
{
	return findings_note_find(f, id) != NULL;
}

/* ---- the wire ---- */

static void
put_sig(struct buf *b, const struct find_sig *s)
{
	const struct sig_address *a;
	uint32_t n = 0;

	ipc_put_slice(b, s->part);
	ipc_put_u8(b, s->opaque);
	ipc_put_u8(b, (uint8_t)s->status);
	ipc_put_u8(b, (uint8_t)s->coverage);
	ipc_put_u8(b, (uint8_t)s->rev);
	ipc_put_slice(b, s->why);
	ipc_put_slice(b, s->signer);
	ipc_put_slice(b, s->issuer);
	ipc_put_slice(b, s->serial);
	ipc_put_slice(b, s->spki_sha256);
	ipc_put_slice(b, slice_of(s->cert_sha256, 32));
	ipc_put_i64(b, s->not_before);
	ipc_put_i64(b, s->not_after);
	ipc_put_slice(b, s->certs);
	ipc_put_slice(b, s->digest);
	ipc_put_slice(b, s->sigalg);
	ipc_put_slice(b, s->key);
	ipc_put_slice(b, s->chain);
	ipc_put_slice(b, s->chain_subjects);
	ipc_put_slice(b, s->rev_source);
	ipc_put_i64(b, s->signing_time);
	ipc_put_i64(b, s->rev_age_s);
	ipc_put_u32(b, (uint32_t)(s->label + 1));
	ipc_put_slice(b, s->label_policy);
	ipc_put_u8(b, s->receipt_request);
	ipc_put_u8(b, s->ml_expansion);
	for (a = s->addresses; a != NULL; a = a->next)
		n++;
	ipc_put_u32(b, n);
	for (a = s->addresses; a != NULL; a = a->next) {
		ipc_put_u8(b, a->utf8);
		ipc_put_slice(b, a->value);
	}
}

static void
put_doc(struct buf *b, const struct find_doc *d)
{
	ipc_put_slice(b, d->part);
	ipc_put_slice(b, d->symbol);
	ipc_put_slice(b, d->type);
	ipc_put_slice(b, d->agency);
	ipc_put_slice(b, d->place);
	ipc_put_slice(b, d->date);
	ipc_put_slice(b, d->summary);
	ipc_put_slice(b, d->urgency);
}

int
findings_encode(const struct findings *f, struct buf *b)
{
	const struct find_sig *s;
	const struct find_part *p;
	const struct find_note *n;
	const struct find_want *w;
	const struct find_doc *d;

	ipc_put_u8(b, WIRE_VERSION);
	ipc_put_u8(b, f->truncated);
	ipc_put_u8(b, f->encrypted);
	ipc_put_u64(b, f->size);
	ipc_put_u64(b, f->body_size);
	ipc_put_u64(b, f->attach_size);
	ipc_put_slice(b, slice_of(f->body_sha256, 32));
	ipc_put_u32(b, f->us_mime);
	ipc_put_u32(b, f->us_cms);
	ipc_put_u32(b, f->us_scan);
	ipc_put_u32(b, (uint32_t)f->n_sigs);
	for (s = f->sigs; s != NULL; s = s->next)
		put_sig(b, s);
	ipc_put_u32(b, (uint32_t)f->n_others);
	for (s = f->others; s != NULL; s = s->next)
		put_sig(b, s);
	ipc_put_u32(b, (uint32_t)f->n_parts);
	for (p = f->parts; p != NULL; p = p->next) {
		ipc_put_slice(b, p->path);
		ipc_put_slice(b, p->decl);
		ipc_put_slice(b, p->true_type);
		ipc_put_slice(b, p->magic);
		ipc_put_slice(b, p->name_raw);
		ipc_put_slice(b, p->name_norm);
		ipc_put_slice(b, slice_of(p->sha256, 32));
		ipc_put_u64(b, p->size);
		ipc_put_u32(b, p->flags);
	}
	ipc_put_u32(b, (uint32_t)f->n_notes);
	for (n = f->notes; n != NULL; n = n->next) {
		ipc_put_slice(b, n->id);
		ipc_put_slice(b, n->part);
		ipc_put_slice(b, n->detail);
		ipc_put_u8(b, (uint8_t)n->severity);
	}
	ipc_put_u32(b, (uint32_t)f->n_wants);
	for (w = f->wants; w != NULL; w = w->next) {
		ipc_put_u8(b, (uint8_t)w->kind);
		ipc_put_slice(b, w->url);
		ipc_put_slice(b, w->request);
	}
	ipc_put_u32(b, (uint32_t)f->n_docs);
	for (d = f->docs; d != NULL; d = d->next)
		put_doc(b, d);
	return b->err;
}

static struct slice
get_text(struct ipc_reader *r, struct findings *f)
{
	struct slice s = ipc_get_slice(r);

	if (s.len > FINDINGS_TEXT_MAX)
		r->err = ERR_PROTO;
	return findings_text(f, s);
}

static void
get_hash(struct ipc_reader *r, unsigned char out[32])
{
	struct slice s = ipc_get_slice(r);

	if (s.len == 32)
		memcpy(out, s.ptr, 32);
	else
		r->err = ERR_PROTO;
}

static unsigned
get_enum(struct ipc_reader *r, unsigned last)
{
	unsigned v = ipc_get_u8(r);

	if (v < 1 || v > last) {
		r->err = ERR_PROTO;
		return 1;
	}
	return v;
}

/* Seconds that a certificate or a date can name (until the year 9999), so that differences of two do not overflow. */
static int64_t
get_time(struct ipc_reader *r)
{
	int64_t t = ipc_get_i64(r);

	if (t < -62135596800 || t > 253402300799) {
		r->err = ERR_PROTO;
		t = 0;
	}
	return t;
}

static void
get_certs(struct ipc_reader *r, struct findings *f, struct find_sig *s)
{
	struct slice der = ipc_get_slice(r);

	if (der.len > FINDINGS_CERTS_MAX)
		r->err = ERR_PROTO;
	else if (der.len > 0)
		findings_set_certs(f, s, der);
}

static void
get_sig(struct ipc_reader *r, struct findings *f, struct find_sig *s)
{
	uint32_t i, n, label;
	bool utf8;

	if (s == NULL) {
		r->err = ERR_PROTO;
		return;
	}
	s->part = get_text(r, f);
	s->opaque = ipc_get_u8(r) != 0;
	s->status = (enum sig_status)get_enum(r, SIG_PURPOSE);
	s->coverage = (enum sig_coverage)get_enum(r, SIG_DOCUMENT);
	s->rev = (enum rev_state)get_enum(r, REV_UNKNOWN);
	s->why = get_text(r, f);
	s->signer = get_text(r, f);
	s->issuer = get_text(r, f);
	s->serial = get_text(r, f);
	s->spki_sha256 = get_text(r, f);
	get_hash(r, s->cert_sha256);
	s->not_before = get_time(r);
	s->not_after = get_time(r);
	get_certs(r, f, s);
	s->digest = get_text(r, f);
	s->sigalg = get_text(r, f);
	s->key = get_text(r, f);
	s->chain = get_text(r, f);
	s->chain_subjects = get_text(r, f);
	s->rev_source = get_text(r, f);
	s->signing_time = get_time(r);
	s->rev_age_s = get_time(r);
	label = ipc_get_u32(r);
	if (label > FIND_LABEL_MAX + 1)
		r->err = ERR_PROTO;
	s->label = r->err == 0 ? (int)label - 1 : -1;
	s->label_policy = get_text(r, f);
	s->receipt_request = ipc_get_u8(r) != 0;
	s->ml_expansion = ipc_get_u8(r) != 0;
	n = ipc_get_count(r, ADDRESSES_MAX, 5);
	for (i = 0; i < n && r->err == 0; i++) {
		utf8 = ipc_get_u8(r) != 0;
		findings_add_address(f, s, utf8, get_text(r, f));
	}
}

static void
get_part(struct ipc_reader *r, struct findings *f)
{
	struct find_part *p = findings_add_part(f);

	if (p == NULL) {
		r->err = ERR_PROTO;
		return;
	}
	p->path = get_text(r, f);
	p->decl = get_text(r, f);
	p->true_type = get_text(r, f);
	p->magic = get_text(r, f);
	p->name_raw = get_text(r, f);
	p->name_norm = get_text(r, f);
	get_hash(r, p->sha256);
	p->size = ipc_get_u64(r);
	p->flags = ipc_get_u32(r);
}

static void
get_note(struct ipc_reader *r, struct findings *f)
{
	struct find_note *n = add_note(f);

	if (n == NULL) {
		r->err = ERR_PROTO;
		return;
	}
	n->id = get_text(r, f);
	n->part = get_text(r, f);
	n->detail = get_text(r, f);
	n->severity = (enum note_severity)get_enum(r, NOTE_REJECT);
}

static void
get_doc(struct ipc_reader *r, struct findings *f)
{
	struct find_doc *d = findings_add_doc(f);

	if (d == NULL) {
		r->err = ERR_PROTO;
		return;
	}
	d->part = get_text(r, f);
	d->symbol = get_text(r, f);
	d->type = get_text(r, f);
	d->agency = get_text(r, f);
	d->place = get_text(r, f);
	d->date = get_text(r, f);
	d->summary = get_text(r, f);
	d->urgency = get_text(r, f);
}

static void
get_want(struct ipc_reader *r, struct findings *f)
{
	enum want_kind kind = (enum want_kind)get_enum(r, WANT_OCSP);
	struct slice url = get_text(r, f), request = get_text(r, f);

	if (r->err == 0)
		findings_add_want(f, kind, url, request);
}

int
findings_decode(struct slice wire, struct arena *a, struct findings *f)
{
	struct ipc_reader r;
	uint32_t i, n;

	findings_init(f, a);
	ipc_reader_init(&r, wire);
	if (ipc_get_u8(&r) != WIRE_VERSION)
		return ERR_PROTO;
	f->truncated = ipc_get_u8(&r) != 0;
	f->encrypted = ipc_get_u8(&r) != 0;
	f->size = ipc_get_u64(&r);
	f->body_size = ipc_get_u64(&r);
	f->attach_size = ipc_get_u64(&r);
	get_hash(&r, f->body_sha256);
	f->us_mime = ipc_get_u32(&r);
	f->us_cms = ipc_get_u32(&r);
	f->us_scan = ipc_get_u32(&r);
	n = ipc_get_count(&r, FINDINGS_SIGS_MAX, 64);
	for (i = 0; i < n && r.err == 0; i++)
		get_sig(&r, f, findings_add_sig(f));
	n = ipc_get_count(&r, FINDINGS_OTHERS_MAX, 64);
	for (i = 0; i < n && r.err == 0; i++)
		get_sig(&r, f, findings_add_other(f));
	n = ipc_get_count(&r, FINDINGS_PARTS_MAX, 72);
	for (i = 0; i < n && r.err == 0; i++)
		get_part(&r, f);
	n = ipc_get_count(&r, FINDINGS_NOTES_MAX, 13);
	for (i = 0; i < n && r.err == 0; i++)
		get_note(&r, f);
	n = ipc_get_count(&r, FINDINGS_WANTS_MAX, 9);
	for (i = 0; i < n && r.err == 0; i++)
		get_want(&r, f);
	n = ipc_get_count(&r, FINDINGS_DOCS_MAX, 32);
	for (i = 0; i < n && r.err == 0; i++)
		get_doc(&r, f);
	return ipc_reader_end(&r);
}

/* ---- JSON ---- */

const char *
sig_status_name(enum sig_status s)
{
	static const char *const names[] = {
	    "?", "valid", "bad", "weak", "untrusted", "expired", "purpose"};

	return s >= SIG_VALID && s <= SIG_PURPOSE ? names[s] : names[0];
}

const char *
sig_coverage_name(enum sig_coverage c)
{
	static const char *const names[] = {"?", "whole", "partial", "inner", "document"};

	return c >= SIG_WHOLE && c <= SIG_DOCUMENT ? names[c] : names[0];
}

const char *
rev_state_name(enum rev_state r)
{
	static const char *const names[] = {"?", "unchecked", "good", "revoked", "unknown"};

	return r >= REV_UNCHECKED && r <= REV_UNKNOWN ? names[r] : names[0];
}

/* null without one, so that the shape is the same for every signature */
static struct json *
label_json(const struct find_sig *s)
{
	struct json *o;

	if (s->label < 0)
		return NULL;
	o = json_obj_new();
	json_set_int(o, "classification", s->label);
	json_set_slice(o, "policy", s->label_policy);
	return o;
}

struct json *
findings_sig_json(const struct findings *f, int64_t date)
{
	struct json *arr = json_arr_new(), *o, *sub, *rev;
	const struct find_sig *s;
	const struct sig_address *a;
	int64_t layer = 0;
	char hex[65];

	for (s = f->sigs; s != NULL; s = s->next) {
		o = json_obj_new();
		hex_encode(s->cert_sha256, 32, hex);
		json_set_str(o, "cert_sha256", s->serial.len > 0 ? hex : "");
		json_set_int(o, "layer", ++layer);
		json_set_slice(o, "part", s->part);
		json_set_str(o, "form", s->opaque ? "opaque" : "clear");
		json_set_str(o, "status", sig_status_name(s->status));
		json_set_str(o, "coverage", sig_coverage_name(s->coverage));
		json_set_slice(o, "why", s->why);
		json_set_slice(o, "signer", s->signer);
		json_set_slice(o, "issuer", s->issuer);
		json_set_slice(o, "serial", s->serial);
		json_set_slice(o, "spki_sha256", s->spki_sha256);
		json_set_slice(o, "digest", s->digest);
		json_set_slice(o, "sigalg", s->sigalg);
		json_set_slice(o, "key", s->key);
		json_set_slice(o, "chain", s->chain);
		json_set_slice(o, "chain_subjects", s->chain_subjects);
		/* the shape is the same for every signature: null where there is nothing to say */
		json_set_take(
		    o, "signing_time", s->signing_time != 0 ? json_int_new(s->signing_time) : NULL);
		json_set_take(o, "skew_s",
		    s->signing_time != 0 && date != 0 ? json_int_new(s->signing_time - date)
						      : NULL);
		rev = json_obj_new();
		json_set_str(rev, "state", rev_state_name(s->rev));
		json_set_slice(rev, "source", s->rev_source);
		json_set_int(rev, "age_s", s->rev_age_s);
		json_set_take(o, "rev", rev);
		json_set_take(o, "label", label_json(s));
		json_set_bool(o, "receipt_request", s->receipt_request);
		json_set_bool(o, "ml_expansion", s->ml_expansion);
		sub = json_arr_new();
		for (a = s->addresses; a != NULL; a = a->next)
			json_push_take(sub, json_str_new(a->value));
		json_set_take(o, "addresses", sub);
		json_push_take(arr, o);
	}
	return arr;
}

static const char *const flag_names[] = {"executable", "banned_name", "deceptive_name", "mismatch",
    "archive", "encrypted", "limit", "in_archive", "lenient_encoding", "fragment", "broken",
    "double_extension", "macro", "has_pdf", "attached", "inline", "malware", "hidden_malware",
    "active", "remote"};
#define N_FLAGS (sizeof flag_names / sizeof *flag_names)

static struct json *
flags_json(uint32_t flags)
{
	struct json *arr = json_arr_new();
	size_t i;

	for (i = 0; i < N_FLAGS; i++) {
		if (flags & (1u << i))
			json_push_take(arr, json_str_new(slice_str(flag_names[i])));
	}
	return arr;
}

uint32_t
findings_flag_of(struct slice name)
{
	size_t i;

	for (i = 0; i < N_FLAGS; i++) {
		if (slice_eq_str(name, flag_names[i]))
			return 1u << i;
	}
	return 0;
}

struct json *
findings_parts_json(const struct findings *f)
{
	struct json *arr = json_arr_new(), *o;
	const struct find_part *p;
	struct buf b64;
	char hex[65];

	for (p = f->parts; p != NULL; p = p->next) {
		o = json_obj_new();
		json_set_slice(o, "path", p->path);
		json_set_slice(o, "decl", p->decl);
		json_set_slice(o, "true", p->true_type);
		json_set_slice(o, "magic", p->magic);
		/* raw as base64, so that bidi controls cannot alter a reviewer's screen */
		buf_init(&b64, 2 * FINDINGS_TEXT_MAX);
		b64_encode(p->name_raw, false, &b64);
		json_set_slice(o, "name_raw", buf_slice(&b64));
		buf_done(&b64);
		json_set_slice(o, "name_norm", p->name_norm);
		hex_encode(p->sha256, 32, hex);
		json_set_str(o, "sha256", hex);
		json_set_int(o, "size", (int64_t)p->size);
		json_set_take(o, "flags", flags_json(p->flags));
		json_push_take(arr, o);
	}
	return arr;
}

struct json *
findings_notes_json(const struct findings *f)
{
	static const char *const sev[] = {"?", "info", "warn", "reject"};
	struct json *arr = json_arr_new(), *o;
	const struct find_note *n;

	for (n = f->notes; n != NULL; n = n->next) {
		o = json_obj_new();
		json_set_slice(o, "id", n->id);
		json_set_slice(o, "part", n->part);
		json_set_str(o, "severity", sev[n->severity <= NOTE_REJECT ? n->severity : 0]);
		json_set_slice(o, "detail", n->detail);
		json_push_take(arr, o);
	}
	return arr;
}

struct json *
findings_docs_json(const struct findings *f)
{
	struct json *arr = json_arr_new(), *o;
	const struct find_doc *d;

	for (d = f->docs; d != NULL; d = d->next) {
		o = json_obj_new();
		json_set_slice(o, "part", d->part);
		json_set_slice(o, "symbol", d->symbol);
		json_set_slice(o, "type", d->type);
		json_set_slice(o, "agency", d->agency);
		json_set_slice(o, "place", d->place);
		json_set_slice(o, "date", d->date);
		json_set_slice(o, "urgency", d->urgency);
		json_push_take(arr, o);
	}
	return arr;
}
