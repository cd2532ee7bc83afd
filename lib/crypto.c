/* crypto.c: SHA-256, AES-256-GCM sealing, random bytes, CRC-32C. Runs in every process that seals, hashes or
 * checks; the wrapper of libcrypto's EVP (never libssl). A failure of a primitive that cannot fail on good
 * arguments is fatal: going on with unhashed or unsealed bytes would be worse. */
#include "config.h"

#include "lib/crypto.h"

#include "lib/err.h"
#include "lib/log.h"
#include "lib/sha256_lanes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { NONCE_LEN = 12, TAG_LEN = 16 };

struct sha256 {
	EVP_MD_CTX *ctx;
};

static void
sha256_start(struct sha256 *h)
{
	/* fetched once a process: EVP_sha256() would look the provider up at each start */
	static EVP_MD *md;

	if (md == NULL)
		md = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (md == NULL || EVP_DigestInit_ex2(h->ctx, md, NULL) != 1)
		fatal("SHA-256 is not available");
}

struct sha256 *
sha256_new(void)
{
	struct sha256 *h = xmalloc(sizeof(*h));

	h->ctx = EVP_MD_CTX_new();
	if (h->ctx == NULL)
		fatal("no memory for a digest");
	sha256_start(h);
	return h;
}

void
sha256_update(struct sha256 *h, const void *p, size_t n)
{
	if (EVP_DigestUpdate(h->ctx, p, n) != 1)
		fatal("SHA-256 failed");
}

void
sha256_final(struct sha256 *h, unsigned char out[32])
{
	unsigned int n = 0;

	if (EVP_DigestFinal_ex(h->ctx, out, &n) != 1 || n != 32)
		fatal("SHA-256 failed");
	sha256_start(h);
}

void
sha256_peek(const struct sha256 *h, unsigned char out[32])
{
	struct sha256 *copy = sha256_new();

	if (EVP_MD_CTX_copy_ex(copy->ctx, h->ctx) != 1)
		fatal("SHA-256 failed");
	sha256_final(copy, out);
	sha256_free(copy);
}

void
sha256_free(struct sha256 *h)
{
	if (h == NULL)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

void
sha256_of(struct slice s, unsigned char out[32])
{
	struct sha256 *h = sha256_new();

	sha256_update(h, s.ptr, s.len);
	sha256_final(h, out);
	sha256_free(h);
}

/* What is left of a message of len octets behind its whole blocks, with the padding of FIPS 180-4 5.1.1: one block or two. */
static size_t
pad(struct slice s, unsigned char tail[128])
{
	size_t left = s.len % 64, blocks = left < 56 ? 1 : 2, i;
	uint64_t bits = (uint64_t)s.len * 8;

	memset(tail, 0, 128);
	if (left > 0)
		memcpy(tail, s.ptr + (s.len - left), left);
	tail[left] = 0x80;
	for (i = 0; i < 8; i++)
		tail[blocks * 64 - 1 - i] = (unsigned char)(bits >> 8 * i);
	return blocks;
}

static void
lanes_of(const struct slice *s, size_t n, unsigned char (*out)[32])
{
	static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	struct sha256_lane lanes[SHA256_LANES];
	unsigned char tails[SHA256_LANES][128];
	size_t k, i;

	for (k = 0; k < n; k++) {
		memcpy(lanes[k].state, initial, sizeof initial);
		lanes[k].p = s[k].ptr;
		lanes[k].blocks = s[k].len / 64;
	}
	sha256_lanes_run(lanes, n);
	for (k = 0; k < n; k++) {
		lanes[k].blocks = pad(s[k], tails[k]);
		lanes[k].p = tails[k];
	}
	sha256_lanes_run(lanes, n);
	for (k = 0; k < n; k++) {
		for (i = 0; i < 32; i++)
			out[k][i] = (unsigned char)(lanes[k].state[i / 4] >> (24 - 8 * (i % 4)));
	}
}

void
sha256_of_many(const struct slice *s, size_t n, unsigned char (*out)[32])
{
	static int usable = -1;
	int now = __atomic_load_n(&usable, __ATOMIC_RELAXED);
	size_t k;

	if (now < 0) {
		now = sha256_lanes_usable();
		__atomic_store_n(&usable, now, __ATOMIC_RELAXED);
	}
	while (n > 0) {
		k = n < SHA256_LANES ? n : SHA256_LANES;
		if (k > 1 && now)
			lanes_of(s, k, out);
		else
			for (size_t i = 0; i < k; i++)
				sha256_of(s[i], out[i]);
		s += k;
		out += k;
		n -= k;
	}
}

void
sha512_of(struct slice s, unsigned char out[64])
{
	size_t n = 0;

	if (EVP_Q_digest(NULL, "SHA512", NULL, s.ptr, s.len, out, &n) != 1 || n != 64)
		fatal("SHA-512 failed");
}

/* RFC 2104. By the digest that is fetched already: EVP_Q_mac() looks its provider up at each call, which takes longer than hashing what a login has. */
void
hmac_sha256(struct slice key, struct slice s, unsigned char out[32])
{
	unsigned char pad_of[64] = {0};
	struct sha256 *h = sha256_new();

	if (key.len > sizeof(pad_of)) {
		sha256_update(h, key.ptr, key.len);
		sha256_final(h, pad_of);
	} else if (key.len > 0) {
		memcpy(pad_of, key.ptr, key.len);
	}
	for (size_t i = 0; i < sizeof(pad_of); i++)
		pad_of[i] ^= 0x36;
	sha256_update(h, pad_of, sizeof(pad_of));
	if (s.len > 0)
		sha256_update(h, s.ptr, s.len);
	sha256_final(h, out);
	for (size_t i = 0; i < sizeof(pad_of); i++)
		pad_of[i] ^= 0x36 ^ 0x5c;
	sha256_update(h, pad_of, sizeof(pad_of));
	sha256_update(h, out, 32);
	sha256_final(h, out);
	sha256_free(h);
	explicit_bzero(pad_of, sizeof(pad_of));
}

void
pbkdf2_sha256(struct slice password, struct slice salt, unsigned iterations, unsigned char out[32])
{
	static const char none[] = "";

	if (password.len > INT32_MAX || salt.len > INT32_MAX ||
	    PKCS5_PBKDF2_HMAC(password.len == 0 ? none : (const char *)password.ptr,
		(int)password.len, salt.ptr, (int)salt.len, (int)iterations, EVP_sha256(), 32,
		out) != 1)
		fatal("PBKDF2 failed");
}

void
random_bytes(void *p, size_t n)
{
	unsigned char *at = p;

	while (n > 0) {
		ssize_t r = getrandom(at, n, 0);
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			fatal("the kernel gives no random bytes: errno %d", errno);
		at += r;
		n -= (size_t)r;
	}
}

static EVP_CIPHER *
gcm_cipher(void)
{
	static EVP_CIPHER *c;

	if (c == NULL)
		c = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	if (c == NULL)
		fatal("AES-256-GCM is not available");
	return c;
}

int
seal(const unsigned char key[32], struct slice aad, struct slice plain, struct buf *out)
{
	int n = 0;
	int err = ERR_NOMEM;

	if (plain.len > INT32_MAX - 64 || aad.len > INT32_MAX)
		return ERR_LIMIT;
	unsigned char *to = buf_reserve(out, NONCE_LEN + plain.len + TAG_LEN);
	if (to == NULL)
		return out->err;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (ctx == NULL)
		return ERR_NOMEM;
	random_bytes(to, NONCE_LEN);
	if (EVP_EncryptInit_ex2(ctx, gcm_cipher(), key, to, NULL) != 1)
		goto out;
	if (aad.len > 0 && EVP_EncryptUpdate(ctx, NULL, &n, aad.ptr, (int)aad.len) != 1)
		goto out;
	if (plain.len > 0 &&
	    EVP_EncryptUpdate(ctx, to + NONCE_LEN, &n, plain.ptr, (int)plain.len) != 1)
		goto out;
	if (EVP_EncryptFinal_ex(ctx, to + NONCE_LEN + plain.len, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, to + NONCE_LEN + plain.len) !=
		1)
		goto out;
	buf_commit(out, NONCE_LEN + plain.len + TAG_LEN);
	err = 0;
out:
	EVP_CIPHER_CTX_free(ctx);
	return err;
}

int
unseal(const unsigned char key[32], struct slice aad, struct slice sealed, struct buf *plain_out)
{
	unsigned char tag[TAG_LEN];
	int n = 0;
	int err = ERR_DENIED;

	if (sealed.len < NONCE_LEN + TAG_LEN || sealed.len > INT32_MAX || aad.len > INT32_MAX)
		return ERR_DENIED;
	size_t len = sealed.len - NONCE_LEN - TAG_LEN;
	const unsigned char *from = sealed.ptr + NONCE_LEN;
	unsigned char *to = buf_reserve(plain_out, len);
	if (to == NULL)
		return plain_out->err;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (ctx == NULL)
		return ERR_NOMEM;
	memcpy(tag, from + len, TAG_LEN);
	if (EVP_DecryptInit_ex2(ctx, gcm_cipher(), key, sealed.ptr, NULL) != 1)
		goto out;
	if (aad.len > 0 && EVP_DecryptUpdate(ctx, NULL, &n, aad.ptr, (int)aad.len) != 1)
		goto out;
	if (len > 0 && EVP_DecryptUpdate(ctx, to, &n, from, (int)len) != 1)
		goto out;
	if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) != 1 ||
	    EVP_DecryptFinal_ex(ctx, to + len, &n) != 1)
		goto out;
	buf_commit(plain_out, len);
	err = 0;
out:
	if (err != 0)
		explicit_bzero(to, len); /* what failed its check is seen by nobody */
	EVP_CIPHER_CTX_free(ctx);
	return err;
}

void
gcm_seal(const unsigned char key[32], const unsigned char nonce[12], struct slice aad,
    const unsigned char *p, size_t n, unsigned char *to, unsigned char tag_out[16])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	unsigned char end[TAG_LEN];
	int got = 0;

	if (ctx == NULL || n > INT32_MAX || aad.len > INT32_MAX ||
	    EVP_EncryptInit_ex2(ctx, gcm_cipher(), key, nonce, NULL) != 1 ||
	    EVP_EncryptUpdate(ctx, NULL, &got, aad.ptr, (int)aad.len) != 1 ||
	    (n > 0 && EVP_EncryptUpdate(ctx, to, &got, p, (int)n) != 1) ||
	    EVP_EncryptFinal_ex(ctx, end, &got) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag_out) != 1)
		fatal("AES-256-GCM failed");
	EVP_CIPHER_CTX_free(ctx);
}

int
gcm_open(const unsigned char key[32], const unsigned char nonce[12], struct slice aad,
    const unsigned char *p, size_t n, unsigned char *to, const unsigned char tag[16])
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	unsigned char want[TAG_LEN], end[TAG_LEN];
	int got = 0, err = ERR_DENIED;

	memcpy(want, tag, TAG_LEN);
	if (ctx == NULL || n > INT32_MAX || aad.len > INT32_MAX ||
	    EVP_DecryptInit_ex2(ctx, gcm_cipher(), key, nonce, NULL) != 1)
		fatal("AES-256-GCM failed");
	if (EVP_DecryptUpdate(ctx, NULL, &got, aad.ptr, (int)aad.len) == 1 &&
	    (n == 0 || EVP_DecryptUpdate(ctx, to, &got, p, (int)n) == 1) &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, want) == 1 &&
	    EVP_DecryptFinal_ex(ctx, end, &got) == 1)
		err = 0;
	if (err != 0 && n > 0)
		explicit_bzero(to, n);
	EVP_CIPHER_CTX_free(ctx);
	return err;
}

/* RFC 3720 B.4, reflected polynomial 0x82F63B78. */
static uint32_t
crc32c_table(uint32_t crc, const unsigned char *p, size_t n)
{
	static uint32_t table[8][256];
	static bool made;

	if (!made) {
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t c = i;
			for (int k = 0; k < 8; k++)
				c = c & 1 ? c >> 1 ^ 0x82F63B78u : c >> 1;
			table[0][i] = c;
		}
		for (uint32_t i = 0; i < 256; i++)
			for (int t = 1; t < 8; t++)
				table[t][i] =
				    table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 255];
		__atomic_store_n(&made, true, __ATOMIC_RELEASE);
	}
	while (n >= 8) {
		crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
		       (uint32_t)p[3] << 24;
		crc = table[7][crc & 255] ^ table[6][crc >> 8 & 255] ^ table[5][crc >> 16 & 255] ^
		      table[4][crc >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^
		      table[0][p[7]];
		p += 8;
		n -= 8;
	}
	while (n-- > 0)
		crc = crc >> 8 ^ table[0][(crc ^ *p++) & 255];
	return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t
crc32c_hw(uint32_t crc, const unsigned char *p, size_t n)
{
	uint64_t c = crc;

	while (n >= 8) {
		uint64_t v;
		memcpy(&v, p, 8);
		c = __builtin_ia32_crc32di(c, v);
		p += 8;
		n -= 8;
	}
	while (n-- > 0)
		c = __builtin_ia32_crc32qi((uint32_t)c, *p++);
	return (uint32_t)c;
}
#endif

uint32_t
crc32c(uint32_t crc, const void *p, size_t n)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc32c_hw(~crc, p, n);
#endif
	return ~crc32c_table(~crc, p, n);
}

bool
secret_eq(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}
