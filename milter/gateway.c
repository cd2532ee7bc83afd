/* gateway.c: mail of a functional mailbox that nobody signed gets the mailbox's signature. Runs in milter's threads. The entity (gateway_mime.c) is
 * written into a new memory file and hashed; milter-sign signs the digest; what is judged afterwards is that file, and what the MTA is
 * told to change makes exactly that. A message that is signed or encrypted already, or cannot be put into 7 bit, stays as it is. RFC 8551 3.5.3. */
#include "config.h"

#include "milter/gateway.h"

#include "milter/gateway_mime.h"
#include "milter/sign_client.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TREE_CAP (16u << 20)
#define CMS_MAX 131072
enum { STEP = 65536 };

/* The new message on its way into its file. */
struct sink {
	int fd, err;
	struct buf b;
	uint64_t size;
	struct sha256 *sha; /* NULL: not the entity */
};

static void
flush(struct sink *s)
{
	size_t at = 0;
	ssize_t n;

	while (at < s->b.len && s->err == 0) {
		n = write(s->fd, s->b.data + at, s->b.len - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			s->err = err_from_errno(n == 0 ? EIO : errno);
		else
			at += (size_t)n;
	}
	buf_reset(&s->b);
}

static void
put(void *arg, struct slice piece)
{
	struct sink *s = arg;
	size_t n;

	if (s->sha != NULL)
		sha256_update(s->sha, piece.ptr, piece.len);
	s->size += piece.len;
	if (s->size > milter_settings.size_max && s->err == 0)
		s->err = ERR_LIMIT;
	for (; piece.len > 0 && s->err == 0; piece = slice_from(piece, n)) {
		if (s->b.len >= STEP)
			flush(s);
		n = piece.len < STEP ? piece.len : STEP;
		buf_append(&s->b, piece.ptr, n);
		if (s->b.err != 0)
			s->err = s->b.err;
	}
}

static void
put_str(struct sink *s, const char *text)
{
	put(s, slice_str(text));
}

bool
gateway_has(struct slice address)
{
	size_t i;

	for (i = 0; i < milter_settings.n_gateway; i++) {
		if (slice_eq_str(address, milter_settings.gateway[i]))
			return true;
	}
	return false;
}

void
gateway_done(struct gateway *g)
{
	size_t i;

	for (i = 0; i < g->n_drop; i++)
		free(g->drop[i]);
	g->n_drop = 0;
}

/* The fields that stay, with the new Content-Type where the old one was: as the MTA will have them. NULL, or why it cannot be done. */
static const char *
put_header(struct sink *s, struct slice header, struct gateway *g)
{
	struct slice rest = header;
	struct hdr_field f;
	int err;

	g->add_version = hdr_count(header, "MIME-Version") == 0;
	while ((err = hdr_next(&rest, &f)) != ERR_EOF) {
		if (err != 0)
			return "a line in the header is no field";
		if (slice_caseeq_str(f.name, "Content-Type")) {
			g->had_type = true;
			put_str(s, "Content-Type: ");
			put_str(s, g->type);
			put_str(s, "\r\n");
		} else if (gateway_is_content_field(f.name)) {
			if (g->n_drop == sizeof g->drop / sizeof *g->drop)
				return "it has too many content fields";
			g->drop[g->n_drop] = slice_dup(f.name);
			if (hdr_count(header, g->drop[g->n_drop++]) != 1)
				return "a content field is there twice";
		} else {
			put(s, f.whole);
		}
	}
	if (!g->had_type) {
		put_str(s, "Content-Type: ");
		put_str(s, g->type);
		put_str(s, "\r\n");
	}
	if (g->add_version)
		put_str(s, "MIME-Version: 1.0\r\n");
	put_str(s, "\r\n");
	return NULL;
}

static int
put_signature(struct sink *s, struct ipc_sync *sign, struct sign_mail *what, const char *boundary,
    unsigned timeout_ms)
{
	struct buf cms, text;
	int err;

	buf_init(&cms, CMS_MAX);
	buf_init(&text, 2 * CMS_MAX);
	err = sign_mail_sync(sign, what, timeout_ms, &cms);
	if (err == 0)
		err = b64_encode(buf_slice(&cms), true, &text);
	if (err == 0) {
		put_str(s, "\r\n--");
		put_str(s, boundary);
		put_str(s, "\r\nContent-Type: application/pkcs7-signature; name=\"smime.p7s\"\r\n"
			   "Content-Transfer-Encoding: base64\r\n"
			   "Content-Disposition: attachment; filename=\"smime.p7s\"\r\n\r\n");
		put(s, slice_trim(buf_slice(&text)));
		put_str(s, "\r\n--");
		put_str(s, boundary);
		put_str(s, "--\r\n");
	}
	buf_done(&cms);
	buf_done(&text);
	return err;
}

/* The new message, whole, in s. */
static int
make(struct slice whole, const struct mime_part *root, struct sink *s, struct ipc_sync *sign,
    struct sign_mail *what, unsigned timeout_ms, struct gateway *g)
{
	struct slice header = slice_sub(whole, 0, (size_t)root->body_off);
	unsigned char random[16];
	char boundary[48], hex[33];
	int err;

	random_bytes(random, sizeof random);
	hex_encode(random, sizeof random, hex);
	/* "=_" stands in no base64 and in no quoted-printable (RFC 2045 6.7) */
	snprintf(boundary, sizeof boundary, "=_congvu_%s", hex);
	snprintf(g->type, sizeof g->type,
	    "multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; "
	    "boundary=\"%s\"",
	    boundary);
	g->refused = put_header(s, header, g);
	if (g->refused != NULL)
		return 0;
	g->body_off = s->size;
	put_str(s, "--");
	put_str(s, boundary);
	put_str(s, "\r\n");
	s->sha = sha256_new();
	err = gateway_entity(whole, root, put, s, &g->refused);
	sha256_final(s->sha, what->digest);
	sha256_free(s->sha);
	s->sha = NULL;
	if (err == ERR_UNSUPPORTED)
		return 0;
	g->refused = NULL;
	hex_encode(what->digest, sizeof what->digest, g->entity_sha256);
	if (err == 0)
		err = put_signature(s, sign, what, boundary, timeout_ms);
	flush(s);
	return err != 0 ? err : s->err;
}

static int
sign_whole(struct msg *m, struct slice whole, struct ipc_sync *sign, struct sign_mail *what,
    unsigned timeout_ms, struct gateway *g)
{
	struct arena *a = arena_new(TREE_CAP);
	struct mime_part *root;
	struct sink s = {.fd = -1};
	int err;

	buf_init(&s.b, 4 * STEP);
	err = a == NULL ? ERR_NOMEM : mime_parse(whole, NULL, a, &root);
	if (err == 0)
		g->refused = gateway_refuses(slice_sub(whole, 0, (size_t)root->body_off), root);
	if (err == 0 && g->refused == NULL) {
		s.fd = memfd_create("signed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		err = s.fd < 0 ? ERR_NOMEM : make(whole, root, &s, sign, what, timeout_ms, g);
		if (err == 0 && g->refused == NULL) {
			msg_file_replace(&m->file, s.fd, s.size);
			s.fd = -1;
			g->done = true;
		}
	}
	if (s.fd >= 0)
		close(s.fd);
	buf_done(&s.b);
	arena_free(a);
	return err;
}

int
gateway_sign(struct msg *m, struct ipc_sync *sign, struct slice address, const char *qid,
    unsigned timeout_ms, struct gateway *out)
{
	struct sign_mail what = {
	    .address = address, .qid = slice_str(qid), .login = slice_str(m->login)};
	size_t size = (size_t)m->file.size; /* it changes below */
	void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, m->file.fd, 0);
	int err;

	if (p == MAP_FAILED)
		return ERR_NOMEM;
	err = sign_whole(m, slice_of(p, size), sign, &what, timeout_ms, out);
	munmap(p, size);
	if (err == 0 && out->refused != NULL)
		log_msg(LOG_LVL_WARN, "gateway_not_signed", "%s: %s", qid, out->refused);
	return err;
}
