/* ingest_message.c: a message between its last octet and stored: digest, MIME tree, signature for SEARCH, ENVELOPE. Runs in ingest.
 *
 * The bytes are never changed. Whatever stands in them, there is a summary: a tree that would be too large for stored is
 * read again with narrower limits, in the end as one opaque part; imapd then reads the body itself. RFC 8474 (EMAILID). */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/crypto.h"
#include "lib/date.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"
#include "lib/msgid.h"
#include "store/ingest.h"
#include "store/sig_message.h"

enum { MEM_MAX = 128 * 1024, ARENA_MAX = 64 * 1024 * 1024 };

void
ingest_body_init(struct ingest_body *b, struct ingest *in)
{
	*b = (struct ingest_body){.in = in, .spool = spool_new(MEM_MAX, in->size_max)};
}

void
ingest_body_done(struct ingest_body *b)
{
	if (b->spool == NULL)
		return;
	b->in->large_used -= b->counted;
	spool_free(b->spool);
	*b = (struct ingest_body){.in = b->in};
}

/* A memory file: the role has no file system; stored gets the descriptor. */
static int
give_memfd(struct ingest_body *b)
{
	int fd = memfd_create("message", MFD_CLOEXEC);

	if (fd < 0)
		return err_from_errno(errno);
	b->counted = spool_size(b->spool);
	b->in->large_used += b->counted;
	return spool_give_fd(b->spool, fd);
}

int
ingest_body_append(struct ingest_body *b, const void *p, size_t n)
{
	int r;

	if (b->counted > 0) {
		if (b->in->large_used + n > INGEST_LARGE_MAX)
			return ERR_FULL;
		b->counted += n;
		b->in->large_used += n;
	}
	r = spool_append(b->spool, p, n);
	if (r == 0 && spool_need_fd(b->spool)) {
		if (b->in->large_used + spool_size(b->spool) > INGEST_LARGE_MAX)
			return ERR_FULL;
		r = give_memfd(b);
	}
	return r;
}

static bool
is_document_name(const struct hdr_param *p, const char *param)
{
	static const char *const endings[] = {".pdf", ".docx", ".xlsx", ".pptx", ".docm", ".xlsm",
	    ".pptm", ".dotx", ".odt", ".ods", ".odp", ".doc", ".xls", ".ppt", ".rtf", ".zip"};

	for (; p != NULL; p = p->next)
		for (size_t i = 0;
		     slice_eq_str(p->name, param) && i < sizeof endings / sizeof endings[0]; i++) {
			size_t n = strlen(endings[i]);

			if (p->value.len > n &&
			    slice_caseeq_str(slice_from(p->value, p->value.len - n), endings[i]))
				return true;
		}
	return false;
}

/* Whether store-text is to look: a part that says or is called what may be a document, or have one in it. Signatures are none. */
static bool
has_documents(const struct mime_part *p)
{
	for (; p != NULL; p = p->next) {
		if (p->child != NULL ? has_documents(p->child)
				     : (slice_eq_str(p->type, "application") &&
					   !slice_eq_str(p->subtype, "pkcs7-signature") &&
					   !slice_eq_str(p->subtype, "x-pkcs7-signature") &&
					   !slice_eq_str(p->subtype, "pgp-signature")) ||
					   is_document_name(p->disp_params, "filename") ||
					   is_document_name(p->params, "name"))
			return true;
	}
	return false;
}

bool
ingest_tree_documents(struct slice tree)
{
	struct arena *a = arena_new(ARENA_MAX);
	struct mime_part *root;
	bool maybe = a == NULL || mime_tree_decode(tree, a, &root) != 0 || has_documents(root);

	arena_free(a);
	return maybe;
}

/* The tree as bytes, within what stored takes, and the signature of what it calls text. */
static int
summarize(struct slice whole, const struct mime_limits *lim, bool bare, struct buf *tree,
    struct buf *sig, bool *documents_out)
{
	struct arena *a = arena_new(ARENA_MAX);
	struct mime_part *root = NULL;
	int r = ERR_NOMEM;

	buf_reset(tree);
	buf_reset(sig);
	if (a != NULL)
		r = mime_parse(whole, lim, a, &root);
	if (r == 0)
		*documents_out = has_documents(root);
	if (r == 0 && bare) {
		*root = (struct mime_part){.hdr_off = root->hdr_off,
		    .body_off = root->body_off,
		    .end_off = root->end_off,
		    .body_lines = root->body_lines,
		    .type = slice_str("application"),
		    .subtype = slice_str("octet-stream"),
		    .flags = root->flags | MIME_F_TOO_MANY};
	}
	if (r == 0)
		r = mime_tree_encode(root, tree);
	if (r == 0)
		r = sig_message(whole, root, a, sig);
	arena_free(a);
	return r;
}

static int
put_summary(struct slice whole, struct buf *out, bool *documents_out)
{
	static const struct mime_limits narrow = {.depth = 8, .parts = 100, .header_max = 32768};
	static const struct mime_limits single = {.depth = 1, .parts = 1, .header_max = 16384};
	struct buf tree, sig;
	int r;

	buf_init(&tree, DELIVER_SUMMARY_MAX - SIG_SIZE_MAX - 16);
	buf_init(&sig, SIG_SIZE_MAX);
	r = summarize(whole, &mime_limits_default, false, &tree, &sig, documents_out);
	if (r != 0)
		r = summarize(whole, &narrow, false, &tree, &sig, documents_out);
	if (r != 0)
		r = summarize(whole, &single, true, &tree, &sig, documents_out);
	if (r == 0)
		r = summary_encode(buf_slice(&tree), buf_slice(&sig), out);
	buf_done(&tree);
	buf_done(&sig);
	return r;
}

static void
put_header_facts(struct slice whole, struct ingest_message *im)
{
	struct slice header = slice_sub(whole, 0, hdr_body_offset(whole));
	struct hdr_field f;
	int zone;

	header.len = header.len < mime_limits_default.header_max ? header.len
								 : mime_limits_default.header_max;
	if (mime_envelope(header, false, &im->envelope) != 0) {
		/* Longer than a row may be: imapd makes it from the body when asked. */
		buf_done(&im->envelope);
		buf_init(&im->envelope, DELIVER_ENVELOPE_MAX);
	}
	im->m.envelope = buf_slice(&im->envelope);
	if (msgid_refs(header, &im->refs) == 0)
		im->m.refs = buf_slice(&im->refs);
	if (!hdr_find(header, "Date", 0, &f) ||
	    date_rfc5322_parse(f.body, &im->m.sent_date, &zone) != 0)
		im->m.sent_date = INT64_MIN;
}

/* The same for every copy of one delivery, and when it comes again. */
static void
put_email_id(struct deliver_message *m)
{
	unsigned char text[48], digest[32];

	memcpy(text, m->id, 16);
	memcpy(text + 16, m->sha256, 32);
	sha256_of(slice_of(text, sizeof(text)), digest);
	memcpy(m->email_id, digest, sizeof(m->email_id));
}

/* Bcc is as good as stamped: in the server's copy stands whom it really went to unseen (smtpd/sent_copy.c). */
static bool
is_stamped(struct slice name)
{
	static const char *const names[] = {"Received", "Return-Path", "Delivered-To", "Sender",
	    "Importance", "Authentication-Results", "Bcc", "Resent-Bcc"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (slice_caseeq_str(name, names[i]))
			return true;
	return slice_casestarts(name, "X-Congvu-");
}

static void
hash_piece(struct sha256 *h, struct slice s)
{
	uint64_t len = s.len;

	sha256_update(h, &len, sizeof(len));
	sha256_update(h, s.ptr, s.len);
}

void
ingest_same(struct ingest_message *im, struct ingest_body *b)
{
	static const unsigned char none[8];
	unsigned char digest[32];
	struct slice rest, from;
	struct sha256 *h;
	struct hdr_field f;
	int r;

	if (im->m.refs.len < sizeof(none) || memcmp(im->m.refs.ptr, none, sizeof(none)) == 0 ||
	    spool_map(b->spool, &rest) != 0)
		return;
	h = sha256_new();
	hash_piece(h, slice_str("same message"));
	for (from = rest; (r = hdr_next(&rest, &f)) != ERR_EOF; from = rest)
		if (r != 0 || !is_stamped(f.name))
			hash_piece(h, slice_sub(from, 0, from.len - rest.len));
	hash_piece(h, slice_str("")); /* no field is empty: they end */
	hash_piece(h, rest);
	sha256_final(h, digest);
	sha256_free(h);
	memcpy(im->m.same, digest, sizeof(im->m.same));
	im->m.has_same = true;
}

int
ingest_message_init(struct ingest_message *im, struct ingest_body *b, const unsigned char id[16])
{
	bool documents = false;
	struct slice whole;
	int r;

	memset(im, 0, sizeof(*im));
	im->m.fd = -1;
	buf_init(&im->summary, DELIVER_SUMMARY_MAX);
	buf_init(&im->envelope, DELIVER_ENVELOPE_MAX);
	buf_init(&im->refs, DELIVER_REFS_MAX);
	r = spool_map(b->spool, &whole);
	if (r != 0)
		return r;
	memcpy(im->m.id, id, sizeof(im->m.id));
	im->m.size = whole.len;
	sha256_of(whole, im->m.sha256);
	put_email_id(&im->m);
	r = put_summary(whole, &im->summary, &documents);
	if (r != 0)
		return r;
	im->m.documents = documents && b->in->texts;
	im->m.summary = buf_slice(&im->summary);
	put_header_facts(whole, im);
	im->m.fd = spool_fd(b->spool);
	if (im->m.fd < 0)
		im->m.body = whole;
	return spool_err(b->spool);
}

void
ingest_message_done(struct ingest_message *im)
{
	buf_done(&im->summary);
	buf_done(&im->envelope);
	buf_done(&im->refs);
}
