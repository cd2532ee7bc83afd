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
