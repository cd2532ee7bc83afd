/* token_test.c: a ticket comes back as it was sealed; any changed bit, another key, or the hour, refuses it. */
#include "config.h"

#include "directory/token.h"
#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static const unsigned char key[32] = "0123456789abcdef0123456789abcde";

static void
sample(struct token *t, struct token_share *shares)
{
	memset(t, 0, sizeof(*t));
	memset(shares, 0, 2 * sizeof(*shares));
	strncat(t->account, "p-000123", sizeof(t->account) - 1);
	strncat(t->login, "binhtv", sizeof(t->login) - 1);
	strncat(t->address, "binhtv@tinhmau.example", sizeof(t->address) - 1);
	t->issued = 1000;
	t->expires = 2000;
	t->epoch = 7;
	t->shares = shares;
	t->n_shares = 2;
	strncat(shares[0].account, "f-vanthu.skhcn", sizeof(shares[0].account) - 1);
	strncat(shares[0].rights, "lrswipkxte", sizeof(shares[0].rights) - 1);
	strncat(shares[0].name, "văn thư", sizeof(shares[0].name) - 1);
	strncat(shares[1].account, "f-2", sizeof(shares[1].account) - 1);
	shares[1].from = 1200;
	shares[1].until = 1700;
	t->state[0] = 0xab;
	t->state[31] = 0xcd;
}

static void
test_round_trip(void **state)
{
	struct token_share shares[2];
	struct token t, *o = NULL;
	struct buf b;

	(void)state;
	sample(&t, shares);
	buf_init(&b, TOKEN_MAX);
	assert_int_equal(token_seal(key, &t, &b), 0);
	assert_int_equal(token_open(key, buf_slice(&b), 1999, &o), 0);
	assert_string_equal(o->account, t.account);
	assert_string_equal(o->login, t.login);
	assert_string_equal(o->address, t.address);
	assert_int_equal(o->expires, 2000);
	assert_int_equal(o->epoch, 7);
	assert_int_equal(o->n_shares, 2);
	assert_string_equal(o->shares[0].rights, "lrswipkxte");
	assert_string_equal(o->shares[0].name, "văn thư");
	assert_string_equal(o->shares[1].account, "f-2");
	assert_int_equal(o->shares[0].from, 0);
	assert_int_equal(o->shares[1].from, 1200);
	assert_int_equal(o->shares[1].until, 1700);
	assert_memory_equal(o->state, t.state, sizeof(t.state));
	token_free(o);
	o = NULL;
	assert_int_equal(token_open(key, buf_slice(&b), 2000, &o), ERR_EXPIRED);
	assert_null(o);
	buf_done(&b);
}

static void
test_forged(void **state)
{
	unsigned char other[32] = {1};
	struct token_share shares[2];
	struct token t, *o = NULL;
	struct buf b;

	(void)state;
	sample(&t, shares);
	buf_init(&b, TOKEN_MAX);
	assert_int_equal(token_seal(key, &t, &b), 0);
	assert_int_equal(token_open(other, buf_slice(&b), 1500, &o), ERR_DENIED);
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 0x10;
		assert_int_equal(token_open(key, buf_slice(&b), 1500, &o), ERR_DENIED);
		b.data[i] ^= 0x10;
		assert_int_equal(token_open(key, slice_of(b.data, i), 1500, &o), ERR_DENIED);
	}
	assert_null(o);
	t.n_shares = TOKEN_SHARES_MAX + 1;
	assert_int_equal(token_seal(key, &t, &b), ERR_LIMIT);
	buf_done(&b);
}

static int
key_of(const char *text, unsigned char k[32])
{
	FILE *f = tmpfile();
	int err;

	assert_non_null(f);
	fputs(text, f);
	fflush(f);
	err = token_key_read(fileno(f), k);
	fclose(f);
	return err;
}

static void
test_key_file(void **state)
{
	static const char hex[] =
	    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff";
	unsigned char k[32];
	char text[80];

	(void)state;
	assert_int_equal(key_of(hex, k), 0);
	assert_int_equal(k[31], 0xff);
	snprintf(text, sizeof(text), "%s\n", hex);
	assert_int_equal(key_of(text, k), 0);
	snprintf(text, sizeof(text), "%s0", hex);
	assert_int_equal(key_of(text, k), ERR_SYNTAX);
	snprintf(text, sizeof(text), "%.63sg", hex);
	assert_int_equal(key_of(text, k), ERR_SYNTAX);
	assert_int_equal(key_of("", k), ERR_SYNTAX);
	assert_int_equal(token_key_read(-1, k), ERR_IO);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_forged),
	    cmocka_unit_test(test_key_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
