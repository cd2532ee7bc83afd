/* scram_server.c: scram_server.h; in lookup's loop and its workers. A message is taken apart by its commas only, as the grammar has it, and what is signed are the
 * octets that were sent. Cyrus' plugin needs a connection of its library and a look into its list of plugins for each exchange, which took most
 * of the time of a login; SCRAM-SHA-1 is still its. RFC 5802 5, 7; RFC 7677. */
#include "config.h"

#include "directory/scram_server.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/mime.h"

#include <string.h>

enum { NONCE_LEN = 18, MESSAGE_MAX = 8192 };

void
scram_server_init(struct scram_server *s)
{
	memset(s, 0, sizeof(*s));
	buf_init(&s->gs2, MESSAGE_MAX);
	buf_init(&s->bare, MESSAGE_MAX);
	buf_init(&s->first, 3 * MESSAGE_MAX);
	buf_init(&s->nonce, 2 * MESSAGE_MAX);
}

void
scram_server_done(struct scram_server *s)
{
	buf_done(&s->gs2);
	buf_done(&s->bare);
	buf_done(&s->first);
	buf_done(&s->nonce);
	explicit_bzero(&s->keys, sizeof(s->keys));
}

/* What stands before the next comma; the rest without it stays. */
static struct slice
next_part(struct slice *rest)
{
	ptrdiff_t comma = slice_index(*rest, ',');
	size_t n = comma < 0 ? rest->len : (size_t)comma;
	struct slice part = slice_sub(*rest, 0, n);

	*rest = slice_from(*rest, comma < 0 ? n : n + 1);
	return part;
}

/* RFC 5802 5.1, saslname: =2C is a comma, =3D an equals sign, and no other one stands there. */
static int
unescape(struct slice s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		struct slice three = slice_sub(s, i, s.len - i < 3 ? s.len - i : 3);

		if (s.ptr[i] == 0)
			return ERR_SYNTAX;
		if (s.ptr[i] != '=') {
			buf_append_byte(out, s.ptr[i]);
			continue;
		}
		if (!slice_eq_str(three, "=2C") && !slice_eq_str(three, "=3D"))
			return ERR_SYNTAX;
		buf_append_byte(out, three.ptr[1] == '2' ? ',' : '=');
		i += 2;
	}
	return out->err;
}

/* Printable ASCII but the comma (RFC 5802 7). */
static bool
is_nonce(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < 0x21 || s.ptr[i] > 0x7e || s.ptr[i] == ',')
			return false;
	return s.len > 0;
}

int
scram_server_first(
    struct scram_server *s, struct slice message, struct buf *name, struct buf *authzid)
{
	struct slice rest = message, flag, who, user, nonce, bare;
	int err = 0;

	buf_reset(name);
	buf_reset(authzid);
	flag = next_part(&rest);
	who = next_part(&rest);
	if ((!slice_eq_str(flag, "n") && !slice_eq_str(flag, "y") && !slice_starts(flag, "p=")) ||
	    (who.len > 0 && (!slice_starts(who, "a=") || who.len == 2)))
		return ERR_SYNTAX;
	bare = rest;
	user = next_part(&rest); /* "m=" would stand here: an extension that must be understood */
	nonce = next_part(&rest);
	if (!slice_starts(user, "n=") || user.len == 2 || !slice_starts(nonce, "r=") ||
	    !is_nonce(slice_from(nonce, 2)))
		return ERR_SYNTAX;
	err = unescape(slice_from(user, 2), name);
	if (err == 0 && who.len > 0)
		err = unescape(slice_from(who, 2), authzid);
	buf_append(&s->gs2, message.ptr, message.len - bare.len);
	buf_append_slice(&s->bare, bare);
	buf_append_slice(&s->nonce, slice_from(nonce, 2));
	return err != 0 ? err : s->gs2.err != 0 ? s->gs2.err : s->bare.err;
}

int
scram_server_challenge(struct scram_server *s, struct slice value, struct buf *out)
{
	unsigned char random[NONCE_LEN];
	int err = scram_value_parse(value, &s->keys);

	if (err != 0)
		return err;
	random_bytes(random, sizeof(random));
	b64_encode(slice_of(random, sizeof(random)), false, &s->nonce);
	buf_append_str(&s->first, "r=");
	buf_append_slice(&s->first, buf_slice(&s->nonce));
	buf_append_str(&s->first, ",s=");
	b64_encode(slice_of(s->keys.salt, s->keys.salt_len), false, &s->first);
	buf_append_str(&s->first, ",i=");
	buf_append_decimal(&s->first, s->keys.iterations, 0);
	if (s->first.err != 0)
		return s->first.err;
	return buf_append_slice(out, buf_slice(&s->first));
}

/* "c=": the header that was sent, and what is known of the channel. 0, ERR_AUTH. */
static int
binding_check(const struct scram_server *s, struct slice given, struct slice binding)
{
	struct buf want;
	int err;

	buf_init(&want, 4 * MESSAGE_MAX);
	buf_append_slice(&want, buf_slice(&s->gs2));
	buf_append_slice(&want, binding);
	{
		struct buf coded;

		buf_init(&coded, 8 * MESSAGE_MAX);
		b64_encode(buf_slice(&want), false, &coded);
		err = coded.err == 0 && slice_eq(given, buf_slice(&coded)) ? 0 : ERR_AUTH;
		buf_done(&coded);
	}
	buf_wipe(&want);
	return err;
}

/* RFC 5802 3: whether H(signature XOR proof) is the stored key; and the server's signature. */
static int
proof_check(
    const struct scram_server *s, struct slice signed_part, struct slice proof, struct buf *out)
{
	unsigned char key[32], digest[32];
	struct buf message;
	int err;

	buf_init(&message, 8 * MESSAGE_MAX);
	buf_append_slice(&message, buf_slice(&s->bare));
	buf_append_byte(&message, ',');
	buf_append_slice(&message, buf_slice(&s->first));
	buf_append_byte(&message, ',');
	buf_append_slice(&message, signed_part);
	hmac_sha256(slice_of(s->keys.stored, 32), buf_slice(&message), key);
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] ^= proof.ptr[i];
	sha256_of(slice_of(key, sizeof(key)), digest);
	err = message.err == 0 && secret_eq(digest, s->keys.stored, sizeof(digest)) ? 0 : ERR_AUTH;
	if (err == 0) {
		hmac_sha256(slice_of(s->keys.server, 32), buf_slice(&message), digest);
		buf_append_str(out, "v=");
		err = b64_encode(slice_of(digest, sizeof(digest)), false, out);
	}
	explicit_bzero(key, sizeof(key));
	buf_done(&message);
	return err;
}

int
scram_server_final(
    struct scram_server *s, struct slice message, struct slice binding, struct buf *out)
{
	struct slice rest = message, cbind = next_part(&rest), nonce = next_part(&rest),
		     last = rest;
	struct buf proof;
	int err;

	while (slice_index(last, ',') >= 0)
		(void)next_part(&last); /* extensions that may be ignored */
	if (s->first.len == 0 || !slice_starts(cbind, "c=") || !slice_starts(nonce, "r=") ||
	    !slice_starts(last, "p="))
		return ERR_SYNTAX;
	buf_init(&proof, 64);
	err =
	    b64_decode(slice_from(last, 2), true, &proof) != 0 || proof.len != 32 ? ERR_SYNTAX : 0;
	if (err == 0 && !slice_eq(slice_from(nonce, 2), buf_slice(&s->nonce)))
		err = ERR_AUTH;
	if (err == 0)
		err = binding_check(s, slice_from(cbind, 2), binding);
	if (err == 0)
		err = proof_check(
		    s, slice_sub(message, 0, message.len - last.len - 1), buf_slice(&proof), out);
	buf_wipe(&proof);
	return err;
}
