/* crypto_test.c: digests and sealing against published vectors, and every changed bit is noticed. */
#include "config.h"

#include "lib/crypto.h"
#include "lib/err.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

static void
test_sha256(void **state)
{
	unsigned char d[32];
	char hex[65];
	struct sha256 *h = sha256_new();

	(void)state;
	sha256_of(slice_str("abc"), d);
	hex_encode(d, 32, hex);
	assert_string_equal(
	    hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	for (int round = 0; round < 2; round++) {
		sha256_update(h, "a", 1);
		sha256_update(h, NULL, 0);
		sha256_update(h, "bc", 2);
		sha256_final(h, d);
		hex_encode(d, 32, hex);
		assert_string_equal(
		    hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	}
	sha256_free(h);
	sha256_free(NULL);
	sha256_of(slice_of(NULL, 0), d);
	hex_encode(d, 4, hex);
	assert_string_equal(hex, "e3b0c442");
}

/* Several at once is what each of them is alone: all lengths around a block's end, with others beside it. */
static void
test_sha256_many(void **state)
{
	unsigned char text[2048], want[32], got[7][32];
	struct slice s[7];
	uint32_t seed = 7;

	(void)state;
	for (size_t i = 0; i < sizeof text; i++) {
		seed = seed * 1664525 + 1013904223;
		text[i] = (unsigned char)(seed >> 24);
	}
	for (size_t len = 0; len < 400; len++)
		for (size_t n = 1; n <= 7; n += len % 3 + 1) {
			for (size_t k = 0; k < n; k++) {
				seed = seed * 1664525 + 1013904223;
				s[k] = slice_of(text + (seed >> 8) % 1000,
				    k == len % n ? len : (seed >> 20) % 1000);
			}
			if (n > 4)
				s[4] = slice_of(NULL, 0);
			memset(got, 0, sizeof got);
			sha256_of_many(s, n, got);
			for (size_t k = 0; k < n; k++) {
				sha256_of(s[k], want);
				assert_memory_equal(got[k], want, 32);
			}
		}
}

static void
test_mac(void **state)
{
	unsigned char d[64];
	char hex[129];

	(void)state;
	sha512_of(slice_str("abc"), d);
	hex_encode(d, 64, hex);
	assert_memory_equal(hex, "ddaf35a193617abacc417349ae204131", 32);
	/* RFC 4231 4.3 */
	hmac_sha256(slice_str("Jefe"), slice_str("what do ya want for nothing?"), d);
	hex_encode(d, 32, hex);
	assert_string_equal(
	    hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	/* RFC 7914 11 */
	pbkdf2_sha256(slice_str("passwd"), slice_str("salt"), 1, d);
	hex_encode(d, 32, hex);
	assert_string_equal(
	    hex, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
}

static void
test_hex(void **state)
{
	unsigned char out[4] = {9, 9, 9, 9};

	(void)state;
	assert_int_equal(hex_decode(slice_str("00fFa1"), out, 3), 0);
	assert_memory_equal(out, "\x00\xff\xa1\x09", 4);
	assert_int_equal(hex_decode(slice_str("00ff"), out, 3), ERR_SYNTAX);
	assert_int_equal(hex_decode(slice_str("00ffa1b"), out, 3), ERR_SYNTAX);
	assert_int_equal(hex_decode(slice_str("00ffgg"), out, 3), ERR_SYNTAX);
	assert_memory_equal(out, "\x00\xff\xa1\x09", 4);
}

static void
test_seal(void **state)
{
	unsigned char key[32];
	struct buf sealed, again, plain;
	struct slice aad = slice_str("ticket");
	struct slice text = slice_str("account=p-0001");

	(void)state;
	random_bytes(key, sizeof(key));
	buf_init(&sealed, 1000);
	buf_init(&again, 1000);
	buf_init(&plain, 1000);
	assert_int_equal(seal(key, aad, text, &sealed), 0);
	assert_int_equal(seal(key, aad, text, &again), 0);
	assert_int_equal(sealed.len, text.len + 28);
	assert_memory_not_equal(sealed.data, again.data, sealed.len);
	assert_int_equal(unseal(key, aad, buf_slice(&sealed), &plain), 0);
	assert_true(slice_eq(buf_slice(&plain), text));
	buf_reset(&plain);
	for (size_t i = 0; i < sealed.len; i++) {
		sealed.data[i] ^= 1;
		assert_int_equal(unseal(key, aad, buf_slice(&sealed), &plain), ERR_DENIED);
		sealed.data[i] ^= 1;
	}
	assert_int_equal(plain.len, 0);
	assert_int_equal(unseal(key, slice_str("tickeT"), buf_slice(&sealed), &plain), ERR_DENIED);
	assert_int_equal(
	    unseal(key, aad, slice_sub(buf_slice(&sealed), 0, 27), &plain), ERR_DENIED);
	key[0] ^= 1;
	assert_int_equal(unseal(key, aad, buf_slice(&sealed), &plain), ERR_DENIED);
	key[0] ^= 1;
	/* empty plain text, and an output too small */
	buf_reset(&again);
	assert_int_equal(seal(key, slice_of(NULL, 0), slice_of(NULL, 0), &again), 0);
	assert_int_equal(again.len, 28);
	assert_int_equal(unseal(key, slice_of(NULL, 0), buf_slice(&again), &plain), 0);
	assert_int_equal(plain.len, 0);
	buf_done(&plain);
	buf_init(&plain, 5);
	assert_int_equal(unseal(key, aad, buf_slice(&sealed), &plain), ERR_LIMIT);
	buf_done(&sealed);
	buf_done(&again);
	buf_done(&plain);
}

static void
test_crc(void **state)
{
	unsigned char zero[32] = {0};
	unsigned char ones[32];
	unsigned char mixed[1000];

	(void)state;
	memset(ones, 0xff, 32);
	/* RFC 3720 B.4 */
	assert_int_equal(crc32c(0, zero, 32), 0x8a9136aa);
	assert_int_equal(crc32c(0, ones, 32), 0x62a8ab43);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	for (size_t i = 0; i < sizeof(mixed); i++)
		mixed[i] = (unsigned char)(i * 7);
	uint32_t whole = crc32c(0, mixed, sizeof(mixed));
	for (size_t cut = 0; cut < sizeof(mixed); cut += 13)
		assert_int_equal(
		    crc32c(crc32c(0, mixed, cut), mixed + cut, sizeof(mixed) - cut), whole);
	assert_int_equal(crc32c(0, NULL, 0), 0);
}

static void
test_random_and_eq(void **state)
{
	unsigned char a[32] = {0}, b[32] = {0};

	(void)state;
	random_bytes(a, 32);
	random_bytes(b, 32);
	assert_memory_not_equal(a, b, 32);
	assert_false(secret_eq(a, b, 32));
	assert_true(secret_eq(a, a, 32));
	random_bytes(a, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_sha256),
	    cmocka_unit_test(test_sha256_many),
	    cmocka_unit_test(test_mac),
	    cmocka_unit_test(test_hex),
	    cmocka_unit_test(test_seal),
	    cmocka_unit_test(test_crc),
	    cmocka_unit_test(test_random_and_eq),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
