/* auth_test.c: SASL exchanges against Cyrus's plugins with a table of people: PLAIN, LOGIN, SCRAM with and without channel binding, and
 * what must fail. The client's half of SCRAM is written out here. */
#include "config.h"

#include "directory/auth.h"
#include "directory/saslprep.h"
#include "directory/scram.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

static struct {
	int find_err, verify_err;
	enum ppolicy_state state;
	bool old_keys, no_keys;
	char *scram;
	bool hold; /* no try may be made */
	int cert_err;
	unsigned n_verified, n_good, n_wrong, n_admit, n_counted;
	char who[40], ip[40]; /* of the last outcome */
} table;

static int
find(void *arg, struct slice name, const char *service, struct person **out)
{
	struct person *u;

	(void)arg;
	assert_string_equal(service, "imap");
	if (table.find_err != 0)
		return table.find_err;
	if (!slice_eq_str(name, "binhtv"))
		return ERR_NOTFOUND;
	u = xcalloc(1, sizeof(*u));
	u->dn = xstrdup("cn=binh");
	u->login = xstrdup("binhtv");
	u->account = xstrdup("p-1");
	u->address = xstrdup("binhtv@tinhmau.example");
	u->name = xstrdup("Bình");
	u->agency = xstrdup("H99");
	u->version = xstrdup("1");
	u->addresses = xcalloc(1, sizeof(*u->addresses));
	u->addresses[0] = xstrdup("binhtv@tinhmau.example");
	u->n_addresses = 1;
	u->scram = xcalloc(1, sizeof(*u->scram));
	u->scram[0] = xstrdup(table.scram);
	u->n_scram = table.no_keys ? 0 : 1;
	if (table.no_keys)
		free(u->scram[0]);
	u->policy.state = table.state;
	u->keys_are_old = table.old_keys;
	*out = u;
	return 0;
}

static int
verify(void *arg, struct person *u, const char *service, struct slice password)
{
	(void)arg;
	(void)u;
	assert_string_equal(service, "imap");
	table.n_verified++;
	if (table.verify_err != 0)
		return table.verify_err;
	return slice_eq_str(password, "Mật khẩu") ? 0 : ERR_AUTH;
}

/* EXTERNAL: the certificate "DER" is binhtv's. */
static int
by_cert(void *arg, struct slice der, struct person **out, char **name_out)
{
	*name_out = slice_eq_str(der, "DER") ? xstrdup("binhtv@tinhmau.example") : NULL;
	if (table.cert_err != 0)
		return table.cert_err;
	return slice_eq_str(der, "DER") ? find(arg, slice_str("binhtv"), "imap", out) : ERR_AUTH;
}

static bool
may_try(void *arg, const struct person *u, struct slice name, const char *ip)
{
	(void)arg;
	(void)u;
	(void)name;
	(void)ip;
	return !table.hold;
}

static void
tried(void *arg, const struct person *u, struct slice name, const char *ip, bool is_good)
{
	(void)arg;
	table.n_good += is_good;
	table.n_wrong += !is_good;
	snprintf(table.who, sizeof(table.who), "%s%.*s", u == NULL ? "?" : "", (int)name.len,
	    (const char *)name.ptr);
	snprintf(table.ip, sizeof(table.ip), "%s", ip);
}

static int
admit(void *arg, const struct person *u, bool by_password)
{
	(void)arg;
	table.n_admit++;
	return u->policy.state == PPOLICY_FROZEN                       ? ERR_LOCKED
	       : by_password && u->policy.state == PPOLICY_MUST_CHANGE ? ERR_MUST_CHANGE
	       : by_password && u->policy.state == PPOLICY_EXPIRED     ? ERR_EXPIRED
								       : 0;
}

static void
count_wrong(void *arg, const struct person *u)
{
	(void)arg;
	assert_string_equal(u->login, "binhtv");
	table.n_counted++;
}

static int
setup(void **state)
{
	static const char *const mechs[] = {
	    "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "PLAIN", "LOGIN"};
	static struct auth_source source = {.find = find,
	    .verify = verify,
	    .may_try = may_try,
	    .tried = tried,
	    .by_cert = by_cert,
	    .admit = admit,
	    .count_wrong = count_wrong};
	struct buf b;

	(void)state;
	buf_init(&b, 1024);
	if (scram_make(slice_str("Mật khẩu"), &b) != 0)
		return -1;
	table.scram = xstrdup(buf_cstr(&b));
	buf_done(&b);
	return auth_init(mechs, 4, &source);
}

static int
reset(void **state)
{
	char *scram = table.scram;

	(void)state;
	memset(&table, 0, sizeof(table));
	table.scram = scram;
	return 0;
}

static struct auth *
begin(const char *mech, bool tls)
{
	struct auth_params p = {.mech = mech,
	    .service = "imap",
	    .client_ip = "192.0.2.1",
	    .tls = tls,
	    .binding_exporter = slice_str("exporter-data"),
	    .binding_endpoint = slice_str("endpoint-data")};
	struct auth *a = NULL;

	assert_int_equal(auth_new(&p, &a), 0);
	return a;
}

/* One message each way; the exchange is freed. */
static int
once(const char *mech, const void *p, size_t n)
{
	struct auth *a = begin(mech, true);
	struct buf challenge;
	bool has_final;
	int err = 0;
	enum auth_result res;

	buf_init(&challenge, 4096);
	res = auth_start(a, true, slice_of(p, n), &challenge, &has_final, &err);
	if (res == AUTH_OK)
		assert_string_equal(auth_person(a)->login, "binhtv");
	else if (res == AUTH_MORE)
		err = 1;
	else
		assert_int_not_equal(err, 0);
	buf_done(&challenge);
	auth_free(a);
	return err;
}

#define PLAIN(text) once("PLAIN", text, sizeof(text) - 1)

static void
test_plain(void **state)
{
	(void)state;
	assert_int_equal(PLAIN("\0binhtv\0Mật khẩu"), 0);
	assert_int_equal(PLAIN("\0binhtv\0Ma\xcc\xa3\xcc\x82t kh\xc3\xa2\xcc\x89u"), 0);
	assert_int_equal(PLAIN("binhtv\0binhtv\0Mật khẩu"), 0);
	assert_int_equal(PLAIN("binhtv@tinhmau.example\0binhtv\0Mật khẩu"), 0);
	assert_int_equal(PLAIN("huong\0binhtv\0Mật khẩu"), ERR_DENIED);
	assert_int_equal(PLAIN("\0binhtv\0wrong"), ERR_AUTH);
	assert_int_equal(PLAIN("\0nobody\0Mật khẩu"), ERR_AUTH);
	assert_int_equal(PLAIN("\0binhtv\0"), ERR_AUTH);
	assert_int_equal(PLAIN("\0binhtv\0\x07"), ERR_AUTH);
	assert_true(PLAIN("binhtv") < 0);
	table.verify_err = ERR_TEMP;
	assert_int_equal(PLAIN("\0binhtv\0Mật khẩu"), ERR_TEMP);
	table.verify_err = ERR_EXPIRED;
	assert_int_equal(PLAIN("\0binhtv\0Mật khẩu"), ERR_EXPIRED);
	table.verify_err = 0;
	table.find_err = ERR_TEMP;
	assert_int_equal(PLAIN("\0binhtv\0Mật khẩu"), ERR_TEMP);
}

static void
test_login(void **state)
{
	struct auth *a = begin("LOGIN", true);
	struct buf c;
	bool has_final;
	int err;

	(void)state;
	buf_init(&c, 4096);
	assert_int_equal(auth_start(a, false, slice_str(""), &c, &has_final, &err), AUTH_MORE);
	assert_string_equal(buf_cstr(&c), "Username:");
	assert_int_equal(auth_step(a, slice_str("binhtv"), &c, &has_final, &err), AUTH_MORE);
	assert_string_equal(buf_cstr(&c), "Password:");
	assert_int_equal(auth_step(a, slice_str("Mật khẩu"), &c, &has_final, &err), AUTH_OK);
	assert_false(has_final);
	assert_string_equal(auth_name(a), "binhtv");
	auth_free(a);
	buf_done(&c);
}

/* Which message has the name: what is read as one may be logged and kept. */
static void
test_name_is_next(void **state)
{
	static const char *const names[] = {"binhtv",
	    "an\xc2\xad"
	    "an",
	    "B\xc3\xacnh", "a b"};
	struct buf c;
	bool has_final;
	int err;

	(void)state;
	buf_init(&c, 4096);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (int step = 0; step < 3; step++) {
			struct auth *a = begin("LOGIN", true);

			assert_true(auth_name_is_next(a));
			if (step == 0)
				assert_int_equal(
				    auth_start(a, true, slice_str(names[i]), &c, &has_final, &err),
				    AUTH_MORE);
			else
				assert_int_equal(
				    auth_start(a, step == 2, slice_str(""), &c, &has_final, &err),
				    AUTH_MORE);
			if (step > 0) {
				assert_string_equal(buf_cstr(&c), "Username:");
				assert_true(auth_name_is_next(a));
				assert_int_equal(
				    auth_step(a, slice_str(names[i]), &c, &has_final, &err),
				    AUTH_MORE);
			}
			assert_string_equal(buf_cstr(&c), "Password:");
			assert_string_equal(auth_name(a), "");
			assert_false(auth_name_is_next(a));
			auth_free(a);
		}
	{
		struct auth *a = begin("SCRAM-SHA-256", true);

		assert_true(auth_name_is_next(a));
		assert_int_equal(
		    auth_start(a, false, slice_str(""), &c, &has_final, &err), AUTH_MORE);
		assert_true(auth_name_is_next(a));
		assert_int_equal(
		    auth_step(a, slice_str("n,,n=binhtv,r=abc"), &c, &has_final, &err), AUTH_MORE);
		assert_true(c.len > 0);
		assert_false(auth_name_is_next(a));
		auth_free(a);
	}
	{
		static const unsigned char message[] = "\0binhtv\0wrong";
		struct auth *a = begin("PLAIN", true);

		assert_true(auth_name_is_next(a));
		assert_int_equal(auth_start(a, true, slice_of(message, sizeof(message) - 1), &c,
				     &has_final, &err),
		    AUTH_FAILED);
		assert_false(auth_name_is_next(a));
		auth_free(a);
	}
	buf_done(&c);
}

static void
test_not_offered(void **state)
{
	struct auth_params p = {
	    .mech = "ANONYMOUS", .service = "imap", .client_ip = "", .tls = true};
	struct auth *a = NULL;

	(void)state;
	assert_int_equal(auth_new(&p, &a), ERR_UNSUPPORTED);
	p.mech = "PLAIN LOGIN";
	assert_int_equal(auth_new(&p, &a), ERR_UNSUPPORTED);
	p.mech = "PLAI";
	assert_int_equal(auth_new(&p, &a), ERR_UNSUPPORTED);
	p.mech = "";
	assert_int_equal(auth_new(&p, &a), ERR_UNSUPPORTED);
	p.mech = "plain";
	p.tls = false;
	assert_int_equal(auth_new(&p, &a), ERR_UNSUPPORTED);
	p.tls = true;
	assert_int_equal(auth_new(&p, &a), 0);
	auth_free(a);
}

/* One exchange: der, and authzid in the first message or (step) in the second. */
static int
external(const char *der, struct slice authzid, bool step)
{
	struct auth_params p = {.mech = "EXTERNAL",
	    .service = "imap",
	    .client_ip = "192.0.2.1",
	    .tls = true,
	    .peer_cert = slice_str(der)};
	struct auth *a = NULL;
	struct buf c;
	bool has_final = true;
	int err = 0;
	enum auth_result res;

	assert_int_equal(auth_new(&p, &a), 0);
	buf_init(&c, 4096);
	buf_append_str(&c, "left over");
	res = auth_start(a, !step, step ? slice_str("") : authzid, &c, &has_final, &err);
	if (step) {
		assert_int_equal(res, AUTH_MORE);
		assert_int_equal(c.len, 0);
		res = auth_step(a, authzid, &c, &has_final, &err);
	}
	assert_false(has_final);
	assert_int_equal(res, err == 0 ? AUTH_OK : AUTH_FAILED);
	if (err == 0)
		assert_string_equal(auth_person(a)->login, "binhtv");
	else
		assert_null(auth_person(a));
	buf_done(&c);
	auth_free(a);
	return err;
}

static void
test_external(void **state)
{
	static const struct slice none = {(const unsigned char *)"", 0};
	struct auth_params p = {
	    .mech = "EXTERNAL", .service = "imap", .client_ip = "", .tls = true};
	struct auth *a = NULL;

	(void)state;
	for (int step = 0; step < 2; step++) {
		assert_int_equal(external("DER", none, step), 0);
		assert_int_equal(external("DER", slice_str("binhtv"), step), 0);
		assert_int_equal(external("DER", slice_str("BinhTV@tinhmau.example"), step), 0);
		assert_int_equal(external("DER", slice_str("huong"), step), ERR_DENIED);
		assert_int_equal(external("DER", slice_of("binhtv\0", 7), step), ERR_DENIED);
		assert_int_equal(external("other", none, step), ERR_AUTH);
	}
	assert_true(table.n_good == 6 && table.n_wrong == 2);
	/* nobody's: wrong, and counted */
	table.cert_err = ERR_NOTFOUND;
	assert_int_equal(external("DER", none, false), ERR_AUTH);
	assert_string_equal(table.who, "?binhtv@tinhmau.example");
	table.cert_err = 0;
	assert_int_equal(table.n_wrong, 3);
	/* of somebody who is locked; the age of a password is no matter here */
	table.state = PPOLICY_LOCKED;
	assert_int_equal(external("DER", none, false), ERR_LIMIT);
	table.state = PPOLICY_FROZEN;
	assert_int_equal(external("DER", none, false), ERR_LOCKED);
	table.state = PPOLICY_EXPIRED;
	assert_int_equal(external("DER", none, false), 0);
	table.state = PPOLICY_OK;
	assert_int_equal(table.n_wrong, 3);
	/* not looked at; not to be told */
	table.hold = true;
	assert_int_equal(external("DER", none, false), ERR_LIMIT);
	assert_int_equal(external("other", none, false), ERR_LIMIT);
	table.hold = false;
	table.cert_err = ERR_TEMP;
	assert_int_equal(external("DER", none, false), ERR_TEMP);
	assert_true(table.n_good == 7 && table.n_wrong == 3);
	/* not offered */
	assert_int_equal(auth_new(&p, &a), ERR_UNSUPPORTED);
	p.peer_cert = slice_str("DER");
	p.tls = false;
	assert_int_equal(auth_new(&p, &a), ERR_UNSUPPORTED);
}

/* The value of "x=" in a message of SCRAM. */
static struct slice
scram_part(struct slice message, const char *key)
{
	while (message.len > 0) {
		ptrdiff_t comma = slice_index(message, ',');
		struct slice part = slice_sub(message, 0, comma < 0 ? message.len : (size_t)comma);

		if (slice_starts(part, key))
			return slice_from(part, 2);
		message = slice_from(message, comma < 0 ? message.len : (size_t)comma + 1);
	}
	return slice_of("", 0);
}

/* The client's final message, and what the server must answer. */
static void
scram_final(struct slice header, struct slice data, const char *bare, struct slice challenge,
    const char *password, struct buf *out, struct buf *want)
{
	unsigned char salted[32], key[32], stored[32], server[32], signature[32];
	struct buf salt, message, cb, prepared;
	uint64_t iterations = 0;

	buf_init(&salt, 256);
	buf_init(&message, 4096);
	buf_init(&cb, 4096);
	buf_init(&prepared, 4096);
	assert_int_equal(b64_decode(scram_part(challenge, "s="), true, &salt), 0);
	assert_int_equal(slice_to_u64(scram_part(challenge, "i="), 1000000, &iterations), 0);
	assert_int_equal(saslprep(slice_str(password), true, &prepared), 0);
	pbkdf2_sha256(buf_slice(&prepared), buf_slice(&salt), (unsigned)iterations, salted);
	hmac_sha256(slice_of(salted, 32), slice_str("Client Key"), key);
	hmac_sha256(slice_of(salted, 32), slice_str("Server Key"), server);
	sha256_of(slice_of(key, 32), stored);
	buf_append_slice(&cb, header);
	buf_append_slice(&cb, data);
	buf_append_str(out, "c=");
	b64_encode(buf_slice(&cb), false, out);
	buf_append_str(out, ",r=");
	buf_append_slice(out, scram_part(challenge, "r="));
	buf_appendf(&message, "%s,", bare);
	buf_append_slice(&message, challenge);
	buf_append_byte(&message, ',');
	buf_append_slice(&message, buf_slice(out));
	hmac_sha256(slice_of(stored, 32), buf_slice(&message), signature);
	for (int i = 0; i < 32; i++)
		key[i] ^= signature[i];
	buf_append_str(out, ",p=");
	b64_encode(slice_of(key, 32), false, out);
	hmac_sha256(slice_of(server, 32), buf_slice(&message), signature);
	buf_append_str(want, "v=");
	b64_encode(slice_of(signature, 32), false, want);
	buf_done(&salt);
	buf_done(&message);
	buf_done(&cb);
	buf_done(&prepared);
}

static int
scram(
    const char *mech, const char *header, const char *data, const char *user, const char *password)
{
	struct auth *a = begin(mech, true);
	struct buf c, final, want;
	char first[128], bare[100];
	enum auth_result res;
	bool has_final;
	int err = 0;

	buf_init(&c, 4096);
	buf_init(&final, 4096);
	buf_init(&want, 4096);
	snprintf(bare, sizeof(bare), "n=%s,r=fyko+d2lbbFgONRv9qkxdawL", user);
	snprintf(first, sizeof(first), "%s%s", header, bare);
	res = auth_start(a, true, slice_str(first), &c, &has_final, &err);
	if (res == AUTH_MORE) {
		scram_final(slice_str(header), slice_str(data), bare, buf_slice(&c), password,
		    &final, &want);
		res = auth_step(a, buf_slice(&final), &c, &has_final, &err);
	}
	if (res == AUTH_OK) {
		assert_true(has_final);
		assert_true(slice_eq(buf_slice(&c), buf_slice(&want)));
	} else {
		assert_int_equal(res, AUTH_FAILED);
		assert_int_not_equal(err, 0);
	}
	auth_free(a);
	buf_done(&c);
	buf_done(&final);
	buf_done(&want);
	return err;
}

static void
test_scram(void **state)
{
	static const char mech[] = "SCRAM-SHA-256";

	(void)state;
	assert_int_equal(scram(mech, "n,,", "", "binhtv", "Mật khẩu"), 0);
	assert_int_equal(scram(mech, "n,a=binhtv,", "", "binhtv", "Mật khẩu"), 0);
	assert_int_equal(scram(mech, "n,,", "", "binhtv", "wrong"), ERR_AUTH);
	assert_int_equal(scram(mech, "n,,", "", "nobody", "wrong"), ERR_AUTH);
	assert_int_equal(scram(mech, "n,a=huong,", "", "binhtv", "Mật khẩu"), ERR_DENIED);
	/* locked: the same for the right and the wrong one */
	table.state = PPOLICY_LOCKED;
	assert_int_equal(scram(mech, "n,,", "", "binhtv", "Mật khẩu"), ERR_LIMIT);
	assert_int_equal(scram(mech, "n,,", "", "binhtv", "wrong"), ERR_LIMIT);
	table.state = PPOLICY_OK;
	table.old_keys = true;
	assert_int_equal(scram(mech, "n,,", "", "binhtv", "Mật khẩu"), ERR_AUTH);
	table.old_keys = false;
	table.no_keys = true;
	assert_int_equal(scram(mech, "n,,", "", "binhtv", "Mật khẩu"), ERR_AUTH);
	table.no_keys = false;
	table.find_err = ERR_TEMP;
	assert_int_equal(scram(mech, "n,,", "", "binhtv", "Mật khẩu"), ERR_TEMP);
}

/* The password policy is told to who has the right password, and to nobody else; a wrong proof is counted where a wrong password is. */
static void
test_policy(void **state)
{
	static const struct {
		enum ppolicy_state state;
		int err;
	} rows[] = {{PPOLICY_FROZEN, ERR_LOCKED}, {PPOLICY_MUST_CHANGE, ERR_MUST_CHANGE},
	    {PPOLICY_EXPIRED, ERR_EXPIRED}, {PPOLICY_GRACE, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		table.state = rows[i].state;
		assert_int_equal(
		    scram("SCRAM-SHA-256", "n,,", "", "binhtv", "Mật khẩu"), rows[i].err);
		table.n_counted = table.n_admit = 0;
		assert_int_equal(scram("SCRAM-SHA-256", "n,,", "", "binhtv", "wrong"), ERR_AUTH);
		assert_true(table.n_counted == 1 && table.n_admit == 0);
	}
	assert_int_equal(scram("SCRAM-SHA-256", "n,,", "", "nobody", "wrong"), ERR_AUTH);
	assert_int_equal(once("PLAIN", "\0binhtv\0wrong", 13), ERR_AUTH);
	assert_int_equal(table.n_counted, 1); /* the bind has been counted by the server */
}

static void
test_channel_binding(void **state)
{
	static const char plus[] = "SCRAM-SHA-256-PLUS";

	(void)state;
	assert_int_equal(scram(plus, "p=tls-exporter,,", "exporter-data", "binhtv", "Mật khẩu"), 0);
	assert_int_equal(
	    scram(plus, "p=tls-server-end-point,,", "endpoint-data", "binhtv", "Mật khẩu"), 0);
	/* another channel: somebody stands between */
	assert_int_not_equal(
	    scram(plus, "p=tls-exporter,,", "other-data", "binhtv", "Mật khẩu"), 0);
	assert_int_not_equal(
	    scram(plus, "p=tls-exporter,,", "endpoint-data", "binhtv", "Mật khẩu"), 0);
	assert_int_equal(scram(plus, "p=tls-unique,,", "x", "binhtv", "Mật khẩu"), ERR_UNSUPPORTED);
	assert_int_not_equal(scram(plus, "n,,", "", "binhtv", "Mật khẩu"), 0);
	/* the client was told that there is no -PLUS, but there is */
	assert_int_equal(scram("SCRAM-SHA-256", "y,,", "", "binhtv", "Mật khẩu"), ERR_AUTH);
	assert_int_not_equal(
	    scram("SCRAM-SHA-256", "p=tls-exporter,,", "exporter-data", "binhtv", "Mật khẩu"), 0);
}

/* What came of each try is told once; where none may be made, nothing is looked at. */
static void
test_throttle(void **state)
{
	(void)state;
	assert_int_equal(once("PLAIN", "\0binhtv\0wrong", 13), ERR_AUTH);
	assert_true(table.n_wrong == 1 && table.n_good == 0);
	assert_string_equal(table.who, "binhtv");
	assert_string_equal(table.ip, "192.0.2.1");
	assert_int_equal(once("PLAIN", "\0nobody\0wrong", 13), ERR_AUTH);
	assert_string_equal(table.who, "?nobody");
	assert_int_equal(scram("SCRAM-SHA-256", "n,,", "", "binhtv", "wrong"), ERR_AUTH);
	assert_int_equal(scram("SCRAM-SHA-256", "n,,", "", "nobody", "wrong"), ERR_AUTH);
	assert_string_equal(table.who, "?nobody");
	assert_int_equal(table.n_wrong, 4);
	assert_int_equal(scram("SCRAM-SHA-256", "n,,", "", "binhtv", "Mật khẩu"), 0);
	assert_true(table.n_wrong == 4 && table.n_good == 1);
	/* neither a directory that is down nor an expired password is a wrong one */
	table.verify_err = ERR_TEMP;
	assert_int_equal(once("PLAIN", "\0binhtv\0wrong", 13), ERR_TEMP);
	table.verify_err = ERR_EXPIRED;
	assert_int_equal(once("PLAIN", "\0binhtv\0wrong", 13), ERR_EXPIRED);
	assert_true(table.n_wrong == 4 && table.n_good == 1);
	table.verify_err = 0;
	table.n_verified = 0;
	table.hold = true;
	assert_int_equal(once("PLAIN", "\0binhtv\0wrong", 13), ERR_LIMIT);
	assert_int_equal(once("PLAIN", "\0nobody\0wrong", 13), ERR_LIMIT);
	assert_int_equal(scram("SCRAM-SHA-256", "n,,", "", "binhtv", "Mật khẩu"), ERR_LIMIT);
	assert_int_equal(scram("SCRAM-SHA-256", "n,,", "", "nobody", "Mật khẩu"), ERR_LIMIT);
	assert_true(table.n_verified == 0 && table.n_wrong == 4 && table.n_good == 1);
}

/* Who is offered for a name is taken for that name alone, and the directory is not asked. */
static void
test_offer(void **state)
{
	static const char first[] = "n,,n=binhtv,r=fyko+d2lbbFgONRv9qkxdawL",
			  plain[] = "\0BinhTV\0Mật khẩu";
	struct person *u = NULL;
	struct buf c;

	(void)state;
	buf_init(&c, 4096);
	assert_int_equal(find(NULL, slice_str("binhtv"), "imap", &u), 0);
	table.find_err = ERR_TEMP;
	for (int i = 0; i < 4; i++) {
		struct auth *a = begin(i < 2 ? "PLAIN" : "SCRAM-SHA-256", true);
		bool has_final;
		int err = 0;

		assert_false(auth_is_quick(a));
		auth_offer(a, i % 2 == 0 ? "binhtv" : "huong", u);
		assert_true(auth_is_quick(a) == (i >= 2));
		if (i < 2)
			assert_int_equal(auth_start(a, true, slice_of(plain, sizeof(plain) - 1), &c,
					     &has_final, &err),
			    i == 0 ? AUTH_OK : AUTH_FAILED);
		else
			assert_int_equal(
			    auth_start(a, true, slice_str(first), &c, &has_final, &err),
			    i == 2 ? AUTH_MORE : AUTH_FAILED);
		assert_int_equal(err, i % 2 == 0 ? 0 : ERR_TEMP);
		if (i % 2 == 0)
			assert_string_equal(auth_person(a)->login, "binhtv");
		else
			assert_null(auth_person(a));
		auth_free(a);
	}
	assert_string_equal(u->login, "binhtv"); /* still the caller's */
	person_free(u);
	buf_done(&c);
}

/* RFC 5802 5, 7: messages that are none; values in the directory that are none. */
static void
test_scram_messages(void **state)
{
	static const char *const bad[] = {"", "n", "n,", "n,,", "n,,r=abc", "n,,n=,r=abc",
	    "n,,n=binhtv", "n,,n=binhtv,r=", "n,,n=binhtv,s=abc", "x,,n=binhtv,r=abc",
	    "n,binhtv,n=binhtv,r=abc", "n,a=,n=binhtv,r=abc", "n,,m=x,n=binhtv,r=abc",
	    "n,,n=binh=2ctv,r=abc", "n,,n=binhtv=,r=abc", "n,,n=binhtv,r=a\tb", "n,,n=\x07,r=abc",
	    "p=,,n=binhtv,r=abc"};
	static const char *const values[] = {"SCRAM-SHA-256$", "SCRAM-SHA-256$0:AAAA$AAAA:AAAA",
	    "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA", "SCRAM-SHA-256$4096:AA*A$AAAA"};
	char *good = table.scram;
	struct buf c;

	(void)state;
	buf_init(&c, 4096);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int err = once("SCRAM-SHA-256", bad[i], strlen(bad[i]));

		if (err != ERR_SYNTAX)
			fail_msg("%s: %d", bad[i], err);
	}
	assert_int_equal(once("SCRAM-SHA-256", "n,,n=binh\0tv,r=abc", 18), ERR_SYNTAX);
	assert_true(table.n_good == 0 && table.n_wrong == 0);
	/* whatever stands there, the client cannot tell from a wrong password */
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		table.scram = (char *)(uintptr_t)values[i];
		assert_int_equal(scram("SCRAM-SHA-256", "n,,", "", "binhtv", "Mật khẩu"), ERR_AUTH);
	}
	table.scram = good;
	assert_int_equal(scram("SCRAM-SHA-256", "n,,", "", "binhtv", "Mật khẩu"), 0);
	buf_done(&c);
}

/* The final message with one part of it changed: never in. */
static void
test_scram_final(void **state)
{
	static const char bare[] = "n=binhtv,r=fyko+d2lbbFgONRv9qkxdawL";
	struct buf c, final, want;

	(void)state;
	buf_init(&c, 4096);
	buf_init(&final, 4096);
	buf_init(&want, 4096);
	for (int i = 0; i < 8; i++) {
		struct auth *a = begin("SCRAM-SHA-256", true);
		enum auth_result res;
		bool has_final;
		int err = 0;
		char *at;

		buf_reset(&final);
		buf_reset(&want);
		assert_int_equal(
		    auth_start(a, true, slice_str("n,,n=binhtv,r=fyko+d2lbbFgONRv9qkxdawL"), &c,
			&has_final, &err),
		    AUTH_MORE);
		scram_final(slice_str("n,,"), slice_str(""), bare, buf_slice(&c), "Mật khẩu",
		    &final, &want);
		at = (char *) final.data;
		if (i == 0)
			at = strstr(at, ",p=") + 3;
		else if (i == 1)
			at = strstr(at, ",r=") + 3;
		else if (i == 2)
			at += 2;
		else if (i == 3)
			final.len = (size_t)(strstr(at, ",p=") - at);
		else if (i == 4)
			at = strstr(at, ",p=") + 1;
		else if (i == 5)
			buf_append_str(&final, "AAAA");
		else if (i == 6)
			final.len -= 4;
		if (i < 3 || i == 4)
			*at = *at == 'A' ? 'B' : 'A';
		res = auth_step(a, buf_slice(&final), &c, &has_final, &err);
		if (i < 7)
			assert_true(res == AUTH_FAILED && (err == ERR_AUTH || err == ERR_SYNTAX));
		else
			assert_true(res == AUTH_OK && slice_eq(buf_slice(&c), buf_slice(&want)));
		auth_free(a);
	}
	assert_int_equal(table.n_good, 1);
	buf_done(&c);
	buf_done(&final);
	buf_done(&want);
}

/* Where nothing may block, a wrong proof is counted later, once. */
static void
test_count_late(void **state)
{
	struct auth *a = begin("SCRAM-SHA-256", true);
	struct buf c, final, want;
	bool has_final;
	int err = 0;

	(void)state;
	buf_init(&c, 4096);
	buf_init(&final, 4096);
	buf_init(&want, 4096);
	auth_count_late(a);
	assert_int_equal(
	    auth_start(a, true, slice_str("n,,n=binhtv,r=abc"), &c, &has_final, &err), AUTH_MORE);
	scram_final(slice_str("n,,"), slice_str(""), "n=binhtv,r=abc", buf_slice(&c), "wrong",
	    &final, &want);
	assert_int_equal(auth_step(a, buf_slice(&final), &c, &has_final, &err), AUTH_FAILED);
	assert_int_equal(err, ERR_AUTH);
	assert_int_equal(table.n_counted, 0);
	auth_count_wrong(a);
	auth_count_wrong(a);
	assert_int_equal(table.n_counted, 1);
	auth_free(a);
	buf_done(&c);
	buf_done(&final);
	buf_done(&want);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(test_throttle, reset),
	    cmocka_unit_test_teardown(test_plain, reset),
	    cmocka_unit_test_teardown(test_login, reset),
	    cmocka_unit_test_teardown(test_name_is_next, reset),
	    cmocka_unit_test_teardown(test_not_offered, reset),
	    cmocka_unit_test_teardown(test_external, reset),
	    cmocka_unit_test_teardown(test_scram, reset),
	    cmocka_unit_test_teardown(test_offer, reset),
	    cmocka_unit_test_teardown(test_scram_messages, reset),
	    cmocka_unit_test_teardown(test_scram_final, reset),
	    cmocka_unit_test_teardown(test_count_late, reset),
	    cmocka_unit_test_teardown(test_policy, reset),
	    cmocka_unit_test_teardown(test_channel_binding, reset),
	};
	int rc;

	log_init("auth_test", 2);
	log_set_level(LOG_LVL_ERROR);
	rc = cmocka_run_group_tests(tests, setup, NULL);
	free(table.scram);
	return rc;
}
