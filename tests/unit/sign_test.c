/* sign_test.c: what milter-sign signs: the text of a checkpoint, its memory of the last one, keys. */
#include "config.h"

#include "lib/err.h"
#include "milter/sign_key.h"
#include "milter/sign_text.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define H "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define K "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

static void
text_round_trip(void **state)
{
	struct sign_text t = {.seq = 1000,
			     .h = H,
			     .after_seq = 900,
			     .after_h = K,
			     .key_id = K,
			     .host = slice_str("mail.agency.example"),
			     .time = slice_str("2026-11-22T03:04:05.000000Z")},
			 back;
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(sign_text_format(&t, &b), 0);
	assert_string_equal(buf_cstr(&b),
	    "congvu-audit-checkpoint 2\nhost=mail.agency.example\nseq=1000\nh=" H
	    "\nafter_seq=900\nafter_h=" K "\ntime=2026-11-22T03:04:05.000000Z\nkey=" K "\n");
	assert_int_equal(sign_text_parse(buf_slice(&b), &back), 0);
	assert_int_equal(back.seq, 1000);
	assert_string_equal(back.h, H);
	assert_int_equal(back.after_seq, 900);
	assert_string_equal(back.after_h, K);
	assert_string_equal(back.key_id, K);
	assert_int_equal(sign_text_parse(slice_str("congvu-audit-checkpoint 1\nhost=a\nseq=7\nh=" H
						   "\ntime=t\nkey=" K "\n"),
			     &back),
	    0);
	assert_int_equal(back.version, 1);
	assert_int_equal(back.seq, 7);
	assert_int_equal(back.after_seq, 0);
	assert_int_equal(sign_text_parse(buf_slice(&b), &back), 0);
	assert_true(slice_eq_str(back.host, "mail.agency.example"));
	buf_done(&b);
	/* a name of a host cannot write lines of its own */
	t.host = slice_str("a\nseq=1");
	buf_init(&b, 4096);
	assert_int_equal(sign_text_format(&t, &b), ERR_SYNTAX);
	buf_done(&b);
}

static void
other_texts_are_refused(void **state)
{
	static const char *const bad[] = {"", "congvu-audit-checkpoint 1\n",
	    "congvu-audit-checkpoint 2\nhost=a\nseq=1\nh=" H "\ntime=t\nkey=" K "\n",
	    "congvu-audit-checkpoint 1\nhost=a\nseq=01\nh=" H "\ntime=t\nkey=" K "\n",
	    "congvu-audit-checkpoint 1\nhost=a\nseq=1\nh=" H "\ntime=t\nkey=" K,
	    "congvu-audit-checkpoint 1\nhost=a\nseq=1\nh=" H "\ntime=t\nkey=" K "\nx\n",
	    "congvu-audit-checkpoint 1\nhost=a\nseq=-1\nh=" H "\ntime=t\nkey=" K "\n",
	    "congvu-audit-checkpoint 1\nhost=\nseq=1\nh=" H "\ntime=t\nkey=" K "\n",
	    "congvu-audit-checkpoint 1\nhost=a\nseq=1\nh=F" H "\ntime=t\nkey=" K "\n",
	    "congvu-audit-checkpoint 2\nhost=a\nseq=1\nh=" H "\nafter_seq=2\nafter_h=" H
	    "\ntime=t\nkey=" K "\n",
	    "congvu-audit-checkpoint 3\nhost=a\nseq=1\nh=" H "\ntime=t\nkey=" K "\n",
	    "congvu-audit-checkpoint 1\nhost=a\nseq=1\nh=" H "\nafter_seq=0\nafter_h=" H
	    "\ntime=t\nkey=" K "\n",
	    "congvu-audit-checkpoint 1\nseq=1\nhost=a\nh=" H "\ntime=t\nkey=" K "\n"};
	struct sign_text t;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(sign_text_parse(slice_str(bad[i]), &t), ERR_SYNTAX);
}

static void
nothing_is_signed_backwards(void **state)
{
	struct sign_state s = {.seq = 10, .h = H}, back;
	char text[SIGN_STATE_LEN + 1];

	(void)state;
	assert_true(sign_may_follow(&s, 11, K));
	assert_true(sign_may_follow(&s, 10, H));
	assert_false(sign_may_follow(&s, 10, K));
	assert_false(sign_may_follow(&s, 9, H));
	sign_state_format(&s, text);
	assert_int_equal(strlen(text), SIGN_STATE_LEN);
	assert_int_equal(sign_state_parse(slice_str(text), &back), 0);
	assert_int_equal(back.seq, 10);
	assert_string_equal(back.h, H);
	text[40] = 'x';
	assert_int_equal(sign_state_parse(slice_str(text), &back), ERR_SYNTAX);
	assert_int_equal(sign_state_parse(slice_str(""), &back), ERR_SYNTAX);
}

/* What a shell command prints. */
static struct slice
output(const char *command, char *room, size_t size)
{
	FILE *f = popen(command, "r");
	size_t n;

	assert_non_null(f);
	n = fread(room, 1, size, f);
	assert_int_equal(pclose(f), 0);
	return slice_of(room, n);
}

static void
keys_sign_and_verify(void **state)
{
	static const struct {
		const char *make, *algorithm, *check;
	} kinds[] = {{"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 2>/dev/null",
			 "ecdsa-sha256", "openssl dgst -sha256 -verify pub -signature sig text"},
	    {"openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 2>/dev/null",
		"rsa-sha256", "openssl dgst -sha256 -verify pub -signature sig text"},
	    {"openssl genpkey -algorithm ED25519 2>/dev/null", "ed25519",
		"openssl pkeyutl -verify -pubin -inkey pub -rawin -in text -sigfile sig"}};
	struct slice text = slice_str("congvu-audit-checkpoint 1\nwhatever\n");
	char room[8192], dir[] = "/tmp/cv-sign-XXXXXX", command[400];

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < 3; i++) {
		const char *why = NULL;
		struct sign_key *k = sign_key_private(
				    output(kinds[i].make, room, sizeof room), &why),
				*p;
		struct buf sig, pem;
		FILE *f;

		assert_non_null(k);
		assert_string_equal(sign_key_algorithm(k), kinds[i].algorithm);
		buf_init(&sig, 8192);
		buf_init(&pem, 8192);
		assert_int_equal(sign_key_sign(k, text, &sig), 0);
		assert_int_equal(sign_key_public_pem(k, &pem), 0);
		p = sign_key_public(buf_slice(&pem), &why);
		assert_non_null(p);
		assert_string_equal(sign_key_id(p), sign_key_id(k));
		assert_true(sign_key_verify(p, text, buf_slice(&sig)));
		assert_false(sign_key_verify(p, slice_sub(text, 0, text.len - 1), buf_slice(&sig)));
		/* and to openssl on its own */
		for (int n = 0; n < 3; n++) {
			static const char *const names[] = {"pub", "sig", "text"};
			struct slice what = n == 0   ? buf_slice(&pem)
					    : n == 1 ? buf_slice(&sig)
						     : text;

			snprintf(command, sizeof command, "%s/%s", dir, names[n]);
			f = fopen(command, "w");
			assert_non_null(f);
			fwrite(what.ptr, 1, what.len, f);
			fclose(f);
		}
		snprintf(command, sizeof command, "cd %s && %s >/dev/null", dir, kinds[i].check);
		assert_int_equal(system(command), 0);
		sig.data[sig.len - 1] ^= 1;
		assert_false(sign_key_verify(p, text, buf_slice(&sig)));
		buf_done(&sig);
		buf_done(&pem);
		sign_key_free(k);
		sign_key_free(p);
	}
	snprintf(command, sizeof command, "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

static void
weak_and_foreign_keys_are_refused(void **state)
{
	static const char *const bad[] = {
	    "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 2>/dev/null",
	    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-224 2>/dev/null",
	    "openssl genpkey -algorithm X25519 2>/dev/null",
	    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 -pass pass:x "
	    "2>/dev/null",
	    "echo nothing"};
	char room[8192];
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		why = NULL;
		assert_null(sign_key_private(output(bad[i], room, sizeof room), &why));
		assert_non_null(why);
	}
	assert_null(sign_key_public(slice_str("-----BEGIN PUBLIC KEY-----\n"), &why));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(text_round_trip),
	    cmocka_unit_test(other_texts_are_refused),
	    cmocka_unit_test(nothing_is_signed_backwards), cmocka_unit_test(keys_sign_and_verify),
	    cmocka_unit_test(weak_and_foreign_keys_are_refused)};

	sign_key_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
