/* scram.c: SCRAM-SHA-256 keys: made by congvu when it sets a password, decoys by lookup for names that are not there. Pure. */
#include "config.h"

#include "directory/scram.h"

#include "directory/saslprep.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/mime.h"

#include <string.h>

void
scram_derive(struct slice password, struct slice salt, unsigned iterations, struct scram_keys *k)
{
	unsigned char salted[32], client[32];

	pbkdf2_sha256(password, salt, iterations, salted);
	hmac_sha256(slice_of(salted, 32), slice_str("Client Key"), client);
	sha256_of(slice_of(client, 32), k->stored);
	hmac_sha256(slice_of(salted, 32), slice_str("Server Key"), k->server);
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(client, sizeof(client));
}

static int
format(const char *mech, size_t len, struct slice salt, unsigned iterations,
    const struct scram_keys *k, struct buf *out)
{
	buf_appendf(out, "%s$%u:", mech, iterations);
	b64_encode(salt, false, out);
	buf_append_byte(out, '$');
	b64_encode(slice_of(k->stored, len), false, out);
	buf_append_byte(out, ':');
	return b64_encode(slice_of(k->server, len), false, out);
}

int
scram_format(struct slice salt, unsigned iterations, const struct scram_keys *k, struct buf *out)
{
	return format("SCRAM-SHA-256", 32, salt, iterations, k, out);
}

int
scram_make(struct slice password, struct buf *out)
{
	unsigned char salt[SCRAM_SALT_LEN];
	struct scram_keys k;
	struct buf prepared;
	int err;

	buf_init(&prepared, 4096);
	err = saslprep(password, false, &prepared);
	if (err == 0) {
		random_bytes(salt, sizeof(salt));
		scram_derive(
		    buf_slice(&prepared), slice_of(salt, sizeof(salt)), SCRAM_ITERATIONS, &k);
		err = scram_format(slice_of(salt, sizeof(salt)), SCRAM_ITERATIONS, &k, out);
		explicit_bzero(&k, sizeof(k));
	}
	buf_wipe(&prepared);
	return err;
}

/* What stands before sep; the rest without it stays. False: no sep. */
static bool
cut(struct slice *rest, char sep, struct slice *out)
{
	const unsigned char *p =
	    rest->len == 0 ? NULL : memchr(rest->ptr, (unsigned char)sep, rest->len);

	if (p == NULL)
		return false;
	*out = slice_sub(*rest, 0, (size_t)(p - rest->ptr));
	*rest = slice_from(*rest, out->len + 1);
	return true;
}

/* Exactly n octets, or at most n where n_out is given. */
static bool
octets(struct slice b64, unsigned char *to, size_t n, size_t *n_out)
{
	struct buf b;
	bool good;

	buf_init(&b, 2 * n + 16); /* as long as what is decoded */
	good = b64_decode(b64, true, &b) == 0 && b.len <= n && (n_out != NULL || b.len == n);
	if (good && b.len > 0)
		memcpy(to, b.data, b.len);
	if (good && n_out != NULL)
		*n_out = b.len;
	buf_wipe(&b);
	return good;
}

int
scram_value_parse(struct slice value, struct scram_value *out)
{
	struct slice scheme, count, salt, stored;
	uint64_t iterations = 0;
	struct scram_value v;
	bool good;

	good = cut(&value, '$', &scheme) && cut(&value, ':', &count) && cut(&value, '$', &salt) &&
	       cut(&value, ':', &stored) && slice_eq_str(scheme, "SCRAM-SHA-256") &&
	       slice_to_u64(count, INT32_MAX, &iterations) == 0 && iterations > 0 &&
	       octets(salt, v.salt, sizeof(v.salt), &v.salt_len) &&
	       octets(stored, v.stored, sizeof(v.stored), NULL) &&
	       octets(value, v.server, sizeof(v.server), NULL);
	v.iterations = (unsigned)iterations;
	if (good)
		*out = v;
	explicit_bzero(&v, sizeof(v));
	return good ? 0 : ERR_SYNTAX;
}

bool
scram_fits(struct slice value, struct slice password)
{
	struct scram_value v;
	struct scram_keys k;
	bool fits = false;

	if (scram_value_parse(value, &v) == 0 && v.iterations <= SCRAM_ITERATIONS_MAX) {
		scram_derive(password, slice_of(v.salt, v.salt_len), v.iterations, &k);
		fits = secret_eq(k.stored, v.stored, sizeof(k.stored));
		explicit_bzero(&k, sizeof(k));
	}
	explicit_bzero(&v, sizeof(v));
	return fits;
}

int
scram_decoy(const unsigned char secret[32], struct slice name, bool sha1, struct buf *out)
{
	unsigned char salt[32];
	struct scram_keys k;
	struct buf b;

	buf_init(&b, 4096);
	buf_append_str(&b, "salt ");
	buf_append_slice(&b, name);
	hmac_sha256(slice_of(secret, 32), buf_slice(&b), salt);
	buf_done(&b);
	/* keys nobody knows: random, the client sees only the salt */
	random_bytes(&k, sizeof(k));
	return format(sha1 ? "SCRAM-SHA-1" : "SCRAM-SHA-256", sha1 ? 20 : 32,
	    slice_of(salt, SCRAM_SALT_LEN), SCRAM_ITERATIONS, &k, out);
}
