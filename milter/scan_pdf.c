/* scan_pdf.c: what a PDF holds that acts, by libqpdf: it sees inside object streams, where a search for names does not. Runs in milter-scan.
 * ISO 32000-1. Every object is looked at: what can be reached from the trailer, what the table of objects names, and names in the raw bytes, since
 * readers of damaged files differ. Invariants: bounded objects, depth and octets; libqpdf's own memory is bounded by the process's. */
#include "config.h"

#include "milter/scan_pdf.h"

#include "lib/err.h"
#include "lib/uni.h"

#include <qpdf/qpdf-c.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MAX 4096
#define LOOK_BY_ID 100000
#define FILES_MAX 64

struct crawl {
	struct scan_ctx *c;
	struct pdf *p;
	struct slice path;
	unsigned char *seen; /* a bit for each object number */
	unsigned *todo;      /* handles of indirect objects */
	size_t n_todo, alloc_todo;
	size_t nodes;
	unsigned files;
	uint32_t flags;
	bool js, launch, media, xfa, aa, open_action, remote, embedded, too_much;
};

/* ---- the file ---- */

static unsigned
version_of(const char *s)
{
	if (s == NULL || s[0] < '0' || s[0] > '9' || s[1] != '.' || s[2] < '0' || s[2] > '9')
		return 0;
	return (unsigned)(s[0] - '0') * 10 + (unsigned)(s[2] - '0');
}

static void
read_version(struct pdf *p)
{
	qpdf_oh root = qpdf_get_root(p->q), v = qpdf_oh_get_key_if_dict(p->q, root, "/Version");
	unsigned later;

	p->version = version_of(qpdf_get_pdf_version(p->q));
	if (qpdf_oh_is_name(p->q, v)) {
		later = version_of(qpdf_oh_get_name(p->q, v) + 1);
		p->version = later > p->version ? later : p->version;
	}
}

bool
pdf_may(struct pdf *p, size_t work)
{
	p->work += work;
	p->too_much = p->too_much || p->work > PDF_WORK_MAX || scan_late(p->c);
	return !p->too_much;
}

bool
pdf_open(struct pdf *p, struct scan_ctx *c, struct slice bytes)
{
	memset(p, 0, sizeof *p);
	p->c = c;
	p->bytes = bytes;
	p->q = qpdf_init();
	if (p->q == NULL)
		return false;
	qpdf_silence_errors(p->q);
	qpdf_set_suppress_warnings(p->q, QPDF_TRUE);
	if ((qpdf_read_memory(p->q, "mail", (const char *)bytes.ptr, bytes.len, NULL) &
		QPDF_ERRORS) != 0) {
		qpdf_error e = qpdf_get_error(p->q);

		p->locked = qpdf_get_error_code(p->q, e) == qpdf_e_password;
		p->damaged = !p->locked;
		return false;
	}
	read_version(p);
	p->damaged = qpdf_more_warnings(p->q) || !qpdf_oh_is_dictionary(p->q, qpdf_get_root(p->q));
	p->damaged = qpdf_get_num_pages(p->q) < 1 || p->damaged;
	return true;
}

void
pdf_close(struct pdf *p)
{
	if (p->q != NULL)
		qpdf_cleanup(&p->q);
}

static bool
is_plain_flate(struct pdf *p, qpdf_oh dict)
{
	qpdf_oh f = qpdf_oh_get_key(p->q, dict, "/Filter");
	qpdf_oh parms = qpdf_oh_get_key(p->q, dict, "/DecodeParms");

	if (qpdf_oh_is_array(p->q, f) && qpdf_oh_get_array_n_items(p->q, f) == 1)
		f = qpdf_oh_get_array_item(p->q, f, 0);
	return qpdf_oh_is_null(p->q, parms) && qpdf_oh_is_name(p->q, f) &&
	       strcmp(qpdf_oh_get_name(p->q, f), "/FlateDecode") == 0;
}

/* Warnings are no error: what could be read is there. */
static bool
raw_stream(struct pdf *p, qpdf_oh oh, enum qpdf_stream_decode_level_e level, unsigned char **data,
    size_t *len)
{
	QPDF_ERROR_CODE rc;

	*data = NULL;
	*len = 0;
	rc = qpdf_oh_get_stream_data(p->q, oh, level, NULL, data, len);
	if ((rc & QPDF_ERRORS) == 0 && *data != NULL)
		return true;
	free(*data);
	*data = NULL;
	return false;
}

bool
pdf_stream(struct pdf *p, unsigned oh, size_t max, struct buf *out)
{
	unsigned char *data = NULL;
	bool plain;
	size_t len = 0;

	if (!qpdf_oh_is_stream(p->q, oh))
		return false;
	plain = is_plain_flate(p, qpdf_oh_get_dict(p->q, oh));
	if (!raw_stream(p, oh, qpdf_dl_none, &data, &len))
		return false;
	/* other filters are few and old: what they may unpack to is bounded by what they are given */
	if (!plain) {
		free(data);
		if (len > PDF_STREAM_MAX / 8 ||
		    !raw_stream(p, oh, qpdf_dl_generalized, &data, &len))
			return false;
	}
	if (plain)
		scan_inflate(slice_of(data, len), max, out);
	else
		buf_append(out, data, len < max ? len : max);
	free(data);
	return out->err == 0;
}

bool
pdf_text_key(struct pdf *p, unsigned dict, const char *key, struct buf *out)
{
	qpdf_oh v = qpdf_oh_get_key_if_dict(p->q, dict, key);
	const char *s = NULL;
	size_t n = 0;

	buf_reset(out);
	if (qpdf_oh_is_string(p->q, v))
		s = qpdf_oh_get_binary_utf8_value(p->q, v, &n);
	else if (qpdf_oh_is_name(p->q, v) && (s = qpdf_oh_get_name(p->q, v)) != NULL)
		n = strlen(s);
	if (s != NULL)
		buf_append(out, s, n < 4000 ? n : 4000);
	return s != NULL;
}

/* ---- the crawl ---- */

static bool
name_is(struct pdf *p, qpdf_oh v, const char *name)
{
	const char *s = qpdf_oh_is_name(p->q, v) ? qpdf_oh_get_name(p->q, v) : NULL;

	return s != NULL && strcmp(s, name) == 0;
}

static void
push(struct crawl *w, qpdf_oh oh)
{
	int id = qpdf_oh_get_object_id(w->p->q, oh);

	if (id <= 0 || id >= PDF_OBJECTS_MAX || (w->seen[id / 8] & 1 << id % 8) != 0)
		return;
	w->seen[id / 8] |= (unsigned char)(1 << id % 8);
	if (w->n_todo == w->alloc_todo) {
		size_t more = w->alloc_todo * 2 + 64;
		unsigned *at = realloc(w->todo, more * sizeof *at);

		if (at == NULL) {
			w->too_much = true;
			return;
		}
		w->todo = at;
		w->alloc_todo = more;
	}
	w->todo[w->n_todo++] = qpdf_oh_new_object(w->p->q, oh);
}

/* A file inside: {/EF {/F stream}} with its name beside it. */
static void
embedded_file(struct crawl *w, qpdf_oh spec)
{
	static const char *const keys[] = {"/UF", "/F", "/Unix", "/DOS", "/Mac"};
	struct pdf *p = w->p;
	qpdf_oh ef = qpdf_oh_get_key(p->q, spec, "/EF");
	struct buf name, data;
	size_t i;

	w->embedded = true;
	if (!qpdf_oh_is_dictionary(p->q, ef) || ++w->files > FILES_MAX)
		return;
	buf_init(&name, 4096);
	buf_init(&data, PDF_STREAM_MAX + 65536);
	for (i = 0; i < sizeof keys / sizeof *keys && name.len == 0; i++)
		pdf_text_key(p, spec, keys[i], &name);
	for (i = 0; i < sizeof keys / sizeof *keys; i++) {
		qpdf_oh stream = qpdf_oh_get_key(p->q, ef, keys[i]);

		buf_reset(&data);
		if (!qpdf_oh_is_stream(p->q, stream))
			continue;
		if (!pdf_stream(p, stream, PDF_STREAM_MAX, &data))
			w->flags |= PART_LIMIT;
		w->c->unpacked += data.len;
		w->flags |=
		    scan_inside(w->c, buf_slice(&name), buf_slice(&data), w->path) & PART_LIMIT;
		break;
	}
	buf_done(&name);
	buf_done(&data);
}

static void
note_signature(struct crawl *w, qpdf_oh dict)
{
	struct pdf *p = w->p;

	if (!qpdf_oh_is_array(p->q, qpdf_oh_get_key(p->q, dict, "/ByteRange")) ||
	    !qpdf_oh_is_string(p->q, qpdf_oh_get_key(p->q, dict, "/Contents")))
		return;
	if (p->n_sigs < PDF_SIGS_MAX)
		p->sigs[p->n_sigs++].oh = qpdf_oh_new_object(p->q, dict);
	else
		p->more_sigs++;
}

static void
look_at_key(struct crawl *w, qpdf_oh dict, const char *key, qpdf_oh v)
{
	struct pdf *p = w->p;

	if (strcmp(key, "/JS") == 0 || strcmp(key, "/JavaScript") == 0)
		w->js = w->js || !qpdf_oh_is_null(p->q, v);
	else if (strcmp(key, "/S") == 0) {
		w->js = w->js || name_is(p, v, "/JavaScript") || name_is(p, v, "/Rendition");
		w->launch = w->launch || name_is(p, v, "/Launch");
		w->remote =
		    w->remote || name_is(p, v, "/SubmitForm") || name_is(p, v, "/ImportData");
	} else if (strcmp(key, "/Subtype") == 0)
		w->media = w->media || name_is(p, v, "/RichMedia") || name_is(p, v, "/3D");
	else if (strcmp(key, "/XFA") == 0)
		w->xfa = w->xfa || !qpdf_oh_is_null(p->q, v);
	else if (strcmp(key, "/AA") == 0)
		w->aa = true;
	else if (strcmp(key, "/OpenAction") == 0)
		w->open_action = true;
	else if (strcmp(key, "/EF") == 0)
		embedded_file(w, dict);
	else if (strcmp(key, "/ByteRange") == 0)
		note_signature(w, dict);
}

static void visit(struct crawl *w, qpdf_oh oh, unsigned depth);

static void
visit_dict(struct crawl *w, qpdf_oh dict, unsigned depth)
{
	struct pdf *p = w->p;
	struct buf keys;
	size_t at = 0;
	unsigned n = 0;

	/* libqpdf has one iterator for all: the keys are taken off it first */
	buf_init(&keys, 1 << 20);
	qpdf_oh_begin_dict_key_iter(p->q, dict);
	while (qpdf_oh_dict_more_keys(p->q) && n++ < KEYS_MAX) {
		const char *key = qpdf_oh_dict_next_key(p->q);

		if (key != NULL)
			buf_append(&keys, key, strlen(key) + 1);
	}
	w->too_much |= n >= KEYS_MAX || keys.err != 0;
	while (at < keys.len) {
		const char *key = (const char *)keys.data + at;
		qpdf_oh v = qpdf_oh_get_key(p->q, dict, key);

		at += strlen(key) + 1;
		look_at_key(w, dict, key, v);
		if (qpdf_oh_is_indirect(p->q, v))
			push(w, v);
		else
			visit(w, v, depth + 1);
		qpdf_oh_release(p->q, v);
	}
	buf_done(&keys);
}

static void
visit(struct crawl *w, qpdf_oh oh, unsigned depth)
{
	struct pdf *p = w->p;
	int i, n;

	if (++w->nodes > PDF_NODES_MAX || depth > PDF_DEPTH_MAX ||
	    (w->nodes % 256 == 0 && scan_late(w->c))) {
		w->nodes = w->c->late ? PDF_NODES_MAX + 1 : w->nodes;
		w->too_much = true;
		return;
	}
	if (qpdf_oh_is_stream(p->q, oh)) {
		qpdf_oh dict = qpdf_oh_get_dict(p->q, oh);

		visit_dict(w, dict, depth + 1);
		qpdf_oh_release(p->q, dict);
	} else if (qpdf_oh_is_dictionary(p->q, oh)) {
		visit_dict(w, oh, depth + 1);
	} else if (qpdf_oh_is_array(p->q, oh)) {
		n = qpdf_oh_get_array_n_items(p->q, oh);
		for (i = 0; i < n && w->nodes <= PDF_NODES_MAX; i++) {
			qpdf_oh v = qpdf_oh_get_array_item(p->q, oh, i);

			if (qpdf_oh_is_indirect(p->q, v))
				push(w, v);
			else
				visit(w, v, depth + 1);
			qpdf_oh_release(p->q, v);
		}
	}
}

static void
work_off(struct crawl *w)
{
	while (w->n_todo > 0 && w->nodes <= PDF_NODES_MAX) {
		qpdf_oh oh = w->todo[--w->n_todo];

		visit(w, oh, 0);
		qpdf_oh_release(w->p->q, oh);
	}
}

static void
crawl_all(struct crawl *w)
{
	struct pdf *p = w->p;
	qpdf_oh trailer = qpdf_get_trailer(p->q);
	qpdf_oh size = qpdf_oh_get_key_if_dict(p->q, trailer, "/Size");
	long long most = 0;
	int id;

	visit(w, trailer, 0);
	work_off(w);
	if (qpdf_oh_is_integer(p->q, size))
		most = qpdf_oh_get_int_value(p->q, size);
	for (id = 1; id < most && id < LOOK_BY_ID && w->nodes <= PDF_NODES_MAX; id++) {
		qpdf_oh oh;

		if (w->seen[id / 8] & 1 << id % 8)
			continue;
		oh = qpdf_get_object_by_id(p->q, id, 0);
		w->seen[id / 8] |= (unsigned char)(1 << id % 8);
		visit(w, oh, 0);
		qpdf_oh_release(p->q, oh);
		work_off(w);
	}
	w->too_much |= w->nodes > PDF_NODES_MAX;
}

/* ---- the raw bytes ---- */

/* The name at s (behind "/") with #xx as octets, at most 31 of them. */
static size_t
raw_name(struct slice s, char out[32])
{
	size_t i = 0, n = 0;

	while (i < s.len && n < 31 && s.ptr[i] > ' ' && s.ptr[i] < 0x7f &&
	       strchr("()<>[]{}/%", s.ptr[i]) == NULL) {
		int hi = s.ptr[i] == '#' && i + 2 < s.len ? hex_value(s.ptr[i + 1]) : -1;
		int lo = hi >= 0 ? hex_value(s.ptr[i + 2]) : -1;

		out[n++] = (char)(lo >= 0 ? hi << 4 | lo : s.ptr[i]);
		i += lo >= 0 ? 3 : 1;
	}
	out[n] = '\0';
	return i;
}

/* "/S /JavaScript", "/JS (" and "/S /Launch", wherever they stand: damaged files are put together in different ways. */
static void
look_at_raw(struct crawl *w, struct slice s)
{
	bool after_s = false;
	char name[32];

	while (s.len > 0) {
		ptrdiff_t at = slice_index(s, '/');
		size_t i = 0;

		if (at < 0)
			break;
		s = slice_from(s, (size_t)at + 1);
		s = slice_from(s, raw_name(s, name));
		while (i < s.len && i < 8 && (s.ptr[i] <= ' '))
			i++;
		if (after_s && strcmp(name, "JavaScript") == 0)
			w->js = true;
		if (after_s && strcmp(name, "Launch") == 0)
			w->launch = true;
		if (strcmp(name, "JS") == 0 && i < s.len && (s.ptr[i] == '(' || s.ptr[i] == '<'))
			w->js = true;
		after_s = strcmp(name, "S") == 0 && i < s.len && s.ptr[i] == '/';
	}
}

/* Ends of the file, and what stands behind the last. */
static void
look_at_end(struct crawl *w, struct slice s)
{
	struct slice rest = s;
	unsigned n = 0;
	ptrdiff_t at;
	size_t i;

	while ((at = slice_find(rest, slice_str("%%EOF"))) >= 0) {
		rest = slice_from(rest, (size_t)at + 5);
		n++;
	}
	for (i = 0; i < rest.len && (rest.ptr[i] <= ' '); i++)
		;
	if (n > 1)
		findings_note(w->c->f, "pdf_revisions", NOTE_INFO, w->path, "%u ends of file", n);
	if (n > 0 && i < rest.len)
		findings_note(w->c->f, "pdf_trailing_data", NOTE_WARN, w->path,
		    "%zu octets behind the end", rest.len - i);
}

/* ---- all of it ---- */

static void
tell(struct crawl *w)
{
	struct findings *f = w->c->f;

	if (w->js)
		findings_note(f, "pdf_javascript", NOTE_REJECT, w->path, "%s",
		    w->open_action ? "runs when it is opened" : "");
	if (w->launch)
		findings_note(f, "pdf_launch", NOTE_REJECT, w->path, "starts a program");
	if (w->media)
		findings_note(f, "pdf_rich_media", NOTE_REJECT, w->path, "holds a player");
	if (w->xfa)
		findings_note(f, "pdf_xfa", NOTE_WARN, w->path, "an XFA form");
	if (w->aa)
		findings_note(f, "pdf_additional_actions", NOTE_INFO, w->path, "/AA");
	if (w->remote)
		findings_note(f, "pdf_sends_data", NOTE_WARN, w->path, "a form that is sent");
	if (w->embedded)
		findings_note(f, "pdf_embedded_files", NOTE_INFO, w->path, "%u", w->files);
	if (w->js || w->launch || w->media)
		w->flags |= PART_ACTIVE;
	if (w->too_much)
		w->flags |= PART_LIMIT;
}

static void
read_info(struct pdf *p, struct buf *out)
{
	static const char *const keys[] = {"/Title", "/Subject", "/Keywords"};
	qpdf_oh info = qpdf_oh_get_key_if_dict(p->q, qpdf_get_trailer(p->q), "/Info");
	struct buf b;
	size_t i;

	buf_init(&b, 8192);
	for (i = 0; i < sizeof keys / sizeof *keys; i++) {
		if (pdf_text_key(p, info, keys[i], &b)) {
			buf_append_byte(out, '\n');
			uni_scrub(buf_slice(&b), "?", out, NULL);
		}
	}
	buf_done(&b);
}

uint32_t
scan_pdf(struct scan_ctx *c, struct slice bytes, struct slice path)
{
	struct crawl w = {.c = c, .path = path};
	struct pdf p;
	struct buf text;
	bool open;

	w.p = &p;
	w.seen = calloc(1, PDF_OBJECTS_MAX / 8 + 1);
	open = w.seen != NULL && pdf_open(&p, c, bytes);
	look_at_end(&w, bytes);
	look_at_raw(&w, bytes);
	if (open) {
		crawl_all(&w);
		/* what is found later is damage all the same */
		p.damaged = p.damaged || qpdf_more_warnings(p.q);
		if (qpdf_is_encrypted(p.q))
			findings_note(c->f, "pdf_encrypted", NOTE_INFO, path,
			    "encrypted, opens without a password");
		if (c->p->text == NULL)
			pdf_signatures(c, &p, path);
		buf_init(&text, DOC_TEXT_MAX);
		pdf_text(&p, &text);
		read_info(&p, &text);
		scan_doc_text(c, buf_slice(&text), path);
		buf_done(&text);
		w.too_much |= p.too_much;
		if (p.version > 0 && p.version < 14)
			findings_note(c->f, "pdf_old_version", NOTE_WARN, path, "PDF %u.%u",
			    p.version / 10, p.version % 10);
	} else if (w.seen != NULL && p.locked) {
		w.flags |= PART_ENCRYPTED;
	}
	if (w.seen == NULL)
		w.flags |= PART_LIMIT;
	else if (p.damaged)
		findings_note(c->f, "pdf_damaged", NOTE_WARN, path, "the file is not sound");
	tell(&w);
	if (w.seen != NULL)
		pdf_close(&p);
	free(w.seen);
	free(w.todo);
	return w.flags;
}
