/* token.c: tickets. Sealed by lookup after a login, opened by stored: pure, no I/O but reading the key file. A ticket is
 * bytes of AES-256-GCM over a list of fields; whoever has no key can neither make, read nor change one. After the seal is
 * found whole the content is still read with bounds: a stolen or mistaken key must not become a memory error. */
#include "config.h"

#include "directory/token.h"

#include "lib/crypto.h"
#include "lib/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOKEN_VERSION = 2 };
static const char token_aad[] = "congvu ticket 1";

int
token_key_read(int fd, unsigned char key_out[32])
{
	char text[128];
	size_t len = 0;
	struct slice hex;
	int err;

	/* whichever process read the shared open file before us moved its offset */
	for (;;) {
		ssize_t n = pread(fd, text + len, sizeof(text) - len, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_IO;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len == sizeof(text))
			break;
	}
	hex = slice_of(text, len);
	while (hex.len > 0 && strchr("\r\n \t", hex.ptr[hex.len - 1]) != NULL)
		hex.len--;
	err = hex.len == 64 ? hex_decode(hex, key_out, 32) : ERR_SYNTAX;
	explicit_bzero(text, sizeof(text));
	return err;
}

static void
put_str(struct buf *b, const char *s)
{
	buf_append_u16(b, (uint16_t)strlen(s));
	buf_append_str(b, s);
}

int
token_seal(const unsigned char key[32], const struct token *t, struct buf *out)
{
	struct buf plain;
	int err;

	if (t->n_shares > TOKEN_SHARES_MAX)
		return ERR_LIMIT;
	buf_init(&plain, TOKEN_MAX - 64);
	buf_append_byte(&plain, TOKEN_VERSION);
	put_str(&plain, t->account);
	put_str(&plain, t->login);
	put_str(&plain, t->address);
	buf_append_u64(&plain, (uint64_t)t->issued);
	buf_append_u64(&plain, (uint64_t)t->expires);
	buf_append_u64(&plain, t->epoch);
	buf_append(&plain, t->state, sizeof(t->state));
	buf_append_u16(&plain, (uint16_t)t->n_shares);
	for (size_t i = 0; i < t->n_shares; i++) {
		put_str(&plain, t->shares[i].account);
		put_str(&plain, t->shares[i].rights);
		put_str(&plain, t->shares[i].name);
		buf_append_u64(&plain, (uint64_t)t->shares[i].from);
		buf_append_u64(&plain, (uint64_t)t->shares[i].until);
	}
	err = plain.err;
	if (err == 0)
		err = seal(key, slice_of(token_aad, sizeof(token_aad) - 1), buf_slice(&plain), out);
	buf_wipe(&plain);
	return err;
}

/* What is left to read; bad is latched and everything after it reads as zero. */
struct field_reader {
	struct slice rest;
	bool bad;
};

static uint64_t
get_num(struct field_reader *r, size_t n)
{
	uint64_t v = 0;

	if (r->bad || r->rest.len < n) {
		r->bad = true;
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		v = v << 8 | r->rest.ptr[i];
	r->rest = slice_from(r->rest, n);
	return v;
}

static void
get_str(struct field_reader *r, char *out, size_t size)
{
	size_t n = get_num(r, 2);

	if (r->bad || n > r->rest.len || n >= size || memchr(r->rest.ptr, 0, n) != NULL) {
		r->bad = true;
		return;
	}
	memcpy(out, r->rest.ptr, n);
	out[n] = '\0';
	r->rest = slice_from(r->rest, n);
}

static void
get_bytes(struct field_reader *r, unsigned char *out, size_t n)
{
	if (r->bad || n > r->rest.len) {
		r->bad = true;
		return;
	}
	memcpy(out, r->rest.ptr, n);
	r->rest = slice_from(r->rest, n);
}

static int
token_parse(struct slice plain, struct token *t)
{
	struct field_reader r = {plain, false};

	if (get_num(&r, 1) != TOKEN_VERSION)
		return ERR_DENIED;
	get_str(&r, t->account, sizeof(t->account));
	get_str(&r, t->login, sizeof(t->login));
	get_str(&r, t->address, sizeof(t->address));
	t->issued = (int64_t)get_num(&r, 8);
	t->expires = (int64_t)get_num(&r, 8);
	t->epoch = get_num(&r, 8);
	get_bytes(&r, t->state, sizeof(t->state));
	t->n_shares = get_num(&r, 2);
	if (r.bad || t->n_shares > TOKEN_SHARES_MAX)
		return ERR_DENIED;
	t->shares = calloc(t->n_shares + 1, sizeof(*t->shares));
	if (t->shares == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < t->n_shares; i++) {
		get_str(&r, t->shares[i].account, sizeof(t->shares[i].account));
		get_str(&r, t->shares[i].rights, sizeof(t->shares[i].rights));
		get_str(&r, t->shares[i].name, sizeof(t->shares[i].name));
		t->shares[i].from = (int64_t)get_num(&r, 8);
		t->shares[i].until = (int64_t)get_num(&r, 8);
	}
	return r.bad || r.rest.len > 0 ? ERR_DENIED : 0;
}

int
token_open(const unsigned char key[32], struct slice sealed, int64_t now, struct token **out)
{
	struct token *t = NULL;
	struct buf plain;
	int err;

	buf_init(&plain, TOKEN_MAX);
	if (sealed.len > TOKEN_MAX) {
		err = ERR_DENIED;
		goto out;
	}
	err = unseal(key, slice_of(token_aad, sizeof(token_aad) - 1), sealed, &plain);
	if (err != 0)
		goto out;
	t = calloc(1, sizeof(*t));
	err = t == NULL ? ERR_NOMEM : token_parse(buf_slice(&plain), t);
	if (err == 0 && now >= t->expires)
		err = ERR_EXPIRED;
	if (err == 0) {
		*out = t;
		t = NULL;
	}
out:
	token_free(t);
	buf_wipe(&plain);
	return err;
}

void
token_free(struct token *t)
{
	if (t == NULL)
		return;
	free(t->shares);
	free(t);
}
