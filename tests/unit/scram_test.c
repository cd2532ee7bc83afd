/* scram_test.c: SASLprep by RFC 4013's examples; SCRAM keys by RFC 7677's exchange. */
#include "config.h"

#include "directory/saslprep.h"
#include "directory/scram.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/mime.h"

#include "tests/unit/unit.h"

static int
prep(const char *in, bool is_query, const char *want)
{
	struct buf b;
	int err;

	buf_init(&b, 4096);
	err = saslprep(slice_str(in), is_query, &b);
	if (err == 0)
		assert_string_equal(buf_cstr(&b), want);
	buf_wipe(&b);
	return err;
}

static void
test_saslprep(void **state)
{
	struct buf b;

	(void)state;
	/* RFC 4013 3 */
	assert_int_equal(prep("I\xc2\xadX", false, "IX"), 0);
	assert_int_equal(prep("user", false, "user"), 0);
	assert_int_equal(prep("USER", false, "USER"), 0);
	assert_int_equal(prep("\xc2\xaa", false, "a"), 0);
	assert_int_equal(prep("\xe2\x85\xa8", false, "IX"), 0);
	assert_int_equal(prep("\x07", false, ""), ERR_SYNTAX);
	assert_int_equal(prep("\xd8\xa7"
			      "1",
			     false, ""),
	    ERR_SYNTAX);
	/* Vietnamese, composed and decomposed */
	assert_int_equal(prep("Mật", true, "Mật"), 0);
	assert_int_equal(prep("Ma\xcc\xa3\xcc\x82t", true, "Mật"), 0);
	/* unassigned in Unicode 3.2: only for comparing */
	assert_int_equal(prep("\xf0\x9f\x98\x80", false, ""), ERR_SYNTAX);
	assert_int_equal(prep("\xf0\x9f\x98\x80", true, "\xf0\x9f\x98\x80"), 0);
	assert_int_equal(prep("\xff", true, ""), ERR_SYNTAX);
	buf_init(&b, 4096);
	assert_int_equal(saslprep(slice_of("a\0b", 3), true, &b), ERR_SYNTAX);
	assert_int_equal(saslprep(slice_of(NULL, 0), true, &b), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(
	    saslprep((struct slice){(const unsigned char *)"", SASLPREP_MAX + 1}, true, &b),
	    ERR_LIMIT);
	buf_done(&b);
}

static void
from_b64(const char *text, unsigned char *out, size_t n)
{
	struct buf b;

	buf_init(&b, 256);
	assert_int_equal(b64_decode(slice_str(text), true, &b), 0);
	assert_int_equal(b.len, n);
	memcpy(out, b.data, n);
	buf_done(&b);
}

/* RFC 7677 3: user "user", password "pencil". */
static void
test_rfc7677(void **state)
{
	static const char message[] =
	    "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
	    "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)"
	    "hNlF$k0";
	unsigned char salt[16], proof[32], signature[32], key[32], digest[32], want[32];
	struct scram_keys k;

	(void)state;
	from_b64("W22ZaJ0SNY7soEsUEjb6gQ==", salt, 16);
	scram_derive(slice_str("pencil"), slice_of(salt, 16), 4096, &k);
	from_b64("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", proof, 32);
	hmac_sha256(slice_of(k.stored, 32), slice_str(message), signature);
	for (int i = 0; i < 32; i++)
		key[i] = proof[i] ^ signature[i];
	sha256_of(slice_of(key, 32), digest);
	assert_memory_equal(digest, k.stored, 32);
	hmac_sha256(slice_of(k.server, 32), slice_str(message), signature);
	from_b64("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", want, 32);
	assert_memory_equal(signature, want, 32);
}

static void
test_values(void **state)
{
	unsigned char secret[32] = {1};
	struct buf a, b;

	(void)state;
	buf_init(&a, 1024);
	buf_init(&b, 1024);
	assert_int_equal(scram_make(slice_str("Mật khẩu"), &a), 0);
	assert_int_equal(scram_make(slice_str("Mật khẩu"), &b), 0);
	assert_true(slice_starts(buf_slice(&a), "SCRAM-SHA-256$4096:"));
	assert_int_equal(a.len, 19 + 24 + 1 + 44 + 1 + 44);
	assert_false(slice_eq(buf_slice(&a), buf_slice(&b)));
	buf_reset(&a);
	buf_reset(&b);
	assert_int_equal(scram_decoy(secret, slice_str("nobody"), false, &a), 0);
	assert_int_equal(scram_decoy(secret, slice_str("nobody"), false, &b), 0);
	assert_int_equal(a.len, 19 + 24 + 1 + 44 + 1 + 44);
	/* the salt stays, the keys are anybody's guess */
	assert_memory_equal(a.data, b.data, 19 + 24);
	assert_false(slice_eq(buf_slice(&a), buf_slice(&b)));
	buf_reset(&b);
	assert_int_equal(scram_decoy(secret, slice_str("nobody2"), false, &b), 0);
	assert_memory_not_equal(a.data, b.data, 19 + 24);
	assert_int_equal(scram_make(slice_str("\x07"), &b), ERR_SYNTAX);
	buf_done(&a);
	buf_done(&b);
}

/* Of a password or not; values that are none fit nothing, and cost no more than the bound. */
static void
test_fits(void **state)
{
	static const char *const bad[] = {"", "SCRAM-SHA-256", "SCRAM-SHA-256$",
	    "SCRAM-SHA-256$0:YQ==$YQ==:YQ==", "SCRAM-SHA-256$100001:YQ==$YQ==:YQ==",
	    "SCRAM-SHA-256$4096:$$:", "SCRAM-SHA-256$x:YQ==$YQ==:YQ==",
	    "SCRAM-SHA-256$4096:YQ==$YQ==:YQ==", "SCRAM-SHA-1$4096:YQ==$YQ==:YQ==",
	    "SCRAM-SHA-256$4096:!$!:!"};
	struct buf a;

	(void)state;
	buf_init(&a, 1024);
	assert_int_equal(scram_make(slice_str("Mật khẩu"), &a), 0);
	assert_true(scram_fits(buf_slice(&a), slice_str("Mật khẩu")));
	assert_false(scram_fits(buf_slice(&a), slice_str("Mật khẩu ")));
	assert_false(scram_fits(buf_slice(&a), slice_str("")));
	/* all up to the colon behind StoredKey is needed */
	for (size_t n = 0; n <= 19 + 24 + 1 + 44; n += 4)
		assert_false(scram_fits(slice_sub(buf_slice(&a), 0, n), slice_str("Mật khẩu")));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(scram_fits(slice_str(bad[i]), slice_str("Mật khẩu")));
	buf_done(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_saslprep),
	    cmocka_unit_test(test_rfc7677),
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
