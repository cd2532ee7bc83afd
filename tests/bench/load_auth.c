/* load_auth.c: logins asked of what verifies them, without a mail protocol around. Run by tests/bench/auth_bench.py; modes:
 *   congvu-plain, congvu-scram     congvu-lookup by its own IPC, as imapd-session asks it
 *   dovecot-plain, dovecot-scram   Dovecot's auth process by its client protocol, as its login processes ask it
 * count logins with sessions under way at a time on one connection; login i is of account base + i modulo accounts. SCRAM-SHA-256 (RFC 5802): the salted
 * password is remembered for each salt, as clients do (5.1), and the server's signature is compared, so that a sample is a whole exchange. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "directory/lookup_client.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/mime.h"
#include "tests/bench/load.h"

enum { SALTED_MAX = 8192, TEXT = 4096 };

struct exchange {
	unsigned number, id;
	uint64_t since;
	bool proved; /* SCRAM: the proof went out */
	struct lookup_auth *auth;
	struct buf bare, expect; /* client-first-message-bare; "v=..." */
};
static struct {
	struct load load;
	struct load_opts o;
	bool scram, dovecot, greeted;
	unsigned next, over, last_id;
	struct exchange *all;
	struct lookup_client *client;
	struct io *io;
	struct buf out, plain;
	struct {
		bool known;
		unsigned char salted[32];
	} salted[SALTED_MAX]; /* by account */
} S;

static void begin(struct exchange *x);

static unsigned
account(const struct exchange *x)
{
	return S.o.base + x->number % S.o.accounts;
}

static void
ended(struct exchange *x, bool good, struct slice got)
{
	if (good)
		load_sample(&S.load, x->since);
	else
		load_fail(&S.load, "a login failed", got);
	x->auth = NULL;
	S.over++;
	if (S.next < S.o.count)
		begin(x);
	else if (S.over == S.o.count)
		loop_stop(S.load.loop);
}

/* ---- what a client says ---- */

static void
first_message(struct exchange *x, struct buf *out)
{
	unsigned char nonce[12];
	char hex[2 * sizeof nonce + 1];
	struct buf name, word;

	buf_init(&name, 256);
	buf_init(&word, 256);
	load_pattern(&name, S.o.user, account(x));
	buf_reset(out);
	if (S.scram) {
		random_bytes(nonce, sizeof nonce);
		hex_encode(nonce, sizeof nonce, hex);
		buf_reset(&x->bare);
		buf_appendf(&x->bare, "n=%s,r=%s", buf_cstr(&name), hex);
		buf_append_str(out, "n,,");
		buf_append_slice(out, buf_slice(&x->bare));
	} else {
		load_pattern(&word, S.o.password, account(x));
		buf_append_byte(out, 0);
		buf_append_slice(out, buf_slice(&name));
		buf_append_byte(out, 0);
		buf_append_slice(out, buf_slice(&word));
	}
	buf_done(&name);
	buf_done(&word);
}

/* The value of "r=", "s=", "i=" in a server-first-message. */
static struct slice
part(struct slice s, char key)
{
	while (s.len > 2) {
		ptrdiff_t comma = slice_index(s, ',');
		struct slice one = comma < 0 ? s : slice_sub(s, 0, (size_t)comma);

		if (one.ptr[0] == (unsigned char)key && one.ptr[1] == '=')
			return slice_from(one, 2);
		s = comma < 0 ? slice_of(NULL, 0) : slice_from(s, (size_t)comma + 1);
	}
	return slice_of(NULL, 0);
}

static const unsigned char *
salted_of(struct exchange *x, struct slice salt64, unsigned rounds)
{
	unsigned n = account(x) % SALTED_MAX;
	struct buf salt, word;

	if (!S.salted[n].known) {
		buf_init(&salt, 256);
		buf_init(&word, 256);
		if (b64_decode(salt64, true, &salt) != 0)
			fatal("a salt that is no base64");
		load_pattern(&word, S.o.password, account(x));
		pbkdf2_sha256(buf_slice(&word), buf_slice(&salt), rounds, S.salted[n].salted);
		S.salted[n].known = true;
		buf_done(&salt);
		buf_done(&word);
	}
	return S.salted[n].salted;
}

/* RFC 5802 3. 0, or ERR_PROTO. */
static int
final_message(struct exchange *x, struct slice challenge, struct buf *out)
{
	struct slice nonce = part(challenge, 'r'), salt = part(challenge, 's');
	unsigned char key[32], stored[32], sign[32], server[32];
	struct buf message;
	uint64_t rounds;

	if (nonce.len == 0 || salt.len == 0 ||
	    slice_to_u64(part(challenge, 'i'), 1000000, &rounds) != 0)
		return ERR_PROTO;
	const unsigned char *salted = salted_of(x, salt, (unsigned)rounds);
	hmac_sha256(slice_of(salted, 32), slice_str("Client Key"), key);
	sha256_of(slice_of(key, 32), stored);
	buf_reset(out);
	buf_append_str(out, "c=biws,r=");
	buf_append_slice(out, nonce);
	buf_init(&message, TEXT);
	buf_append_slice(&message, buf_slice(&x->bare));
	buf_append_byte(&message, ',');
	buf_append_slice(&message, challenge);
	buf_append_byte(&message, ',');
	buf_append_slice(&message, buf_slice(out));
	hmac_sha256(slice_of(stored, 32), buf_slice(&message), sign);
	for (int i = 0; i < 32; i++)
		sign[i] ^= key[i];
	buf_append_str(out, ",p=");
	b64_encode(slice_of(sign, 32), false, out);
	hmac_sha256(slice_of(salted, 32), slice_str("Server Key"), server);
	hmac_sha256(slice_of(server, 32), buf_slice(&message), sign);
	buf_reset(&x->expect);
	buf_append_str(&x->expect, "v=");
	b64_encode(slice_of(sign, 32), false, &x->expect);
	buf_done(&message);
	x->proved = true;
	return 0;
}

static bool
is_proved(const struct exchange *x, struct slice last)
{
	return !S.scram || (x->proved && slice_eq(last, buf_slice(&x->expect)));
}

/* ---- congvu-lookup ---- */

static void
on_auth(void *arg, enum lookup_auth_result res, int err, struct slice challenge,
    struct lookup_login *login)
{
	struct exchange *x = arg;
	bool good = res == LOOKUP_AUTH_OK && is_proved(x, challenge) && login->n_identities > 0;

	if (res == LOOKUP_AUTH_MORE) {
		if (x->proved || final_message(x, challenge, &S.plain) != 0 ||
		    lookup_auth_step(x->auth, buf_slice(&S.plain)) != 0)
			fatal("lookup said what is no SCRAM");
		return;
	}
	lookup_login_free(login);
	ended(x, good, slice_str(err_name(err)));
}

static void
ask_lookup(struct exchange *x)
{
	struct lookup_auth_params p = {.mech = S.scram ? "SCRAM-SHA-256" : "PLAIN",
	    .service = "imap",
	    .client_ip = "192.0.2.1",
	    .tls = true,
	    .has_initial = true};

	first_message(x, &S.plain);
	p.initial = buf_slice(&S.plain);
	x->auth = lookup_auth_start(S.client, &p, on_auth, x);
	if (x->auth == NULL)
		fatal("lookup takes no more");
}

/* ---- Dovecot's auth ---- */

static void
flush_out(void)
{
	if (io_write(S.io, S.out.data, S.out.len) != 0)
		fatal("Dovecot's auth does not read");
	buf_reset(&S.out);
}

static void
ask_dovecot(struct exchange *x)
{
	x->id = ++S.last_id;
	first_message(x, &S.plain);
	buf_appendf(&S.out,
	    "AUTH\t%u\t%s\tservice=imap\tsecured=tls\trip=192.0.2.1\tfinal-resp-ok\tresp=", x->id,
	    S.scram ? "SCRAM-SHA-256" : "PLAIN");
	b64_encode(buf_slice(&S.plain), false, &S.out);
	buf_append_byte(&S.out, '\n');
	flush_out();
}

/* "resp=..." among the fields of an OK, decoded into out. */
static void
final_of(struct slice fields, struct buf *out)
{
	buf_reset(out);
	while (fields.len > 0) {
		ptrdiff_t tab = slice_index(fields, '\t');
		struct slice one = tab < 0 ? fields : slice_sub(fields, 0, (size_t)tab);

		if (slice_starts(one, "resp="))
			(void)b64_decode(slice_from(one, 5), true, out);
		fields = tab < 0 ? slice_of(NULL, 0) : slice_from(fields, (size_t)tab + 1);
	}
}

static void
dovecot_line(struct slice line)
{
	ptrdiff_t tab = slice_index(line, '\t'), tab2;
	struct slice rest = tab < 0 ? slice_of(NULL, 0) : slice_from(line, (size_t)tab + 1), number;
	struct exchange *x = NULL;
	struct buf got;
	uint64_t id;

	if (slice_eq_str(line, "DONE")) {
		S.greeted = true;
		load_begin(&S.load);
		for (unsigned i = 0; i < S.o.sessions; i++)
			begin(&S.all[i]);
		return;
	}
	if (!S.greeted || rest.ptr == NULL)
		return;
	tab2 = slice_index(rest, '\t');
	number = tab2 < 0 ? rest : slice_sub(rest, 0, (size_t)tab2);
	rest = tab2 < 0 ? slice_of(NULL, 0) : slice_from(rest, (size_t)tab2 + 1);
	for (unsigned i = 0; slice_to_u64(number, UINT32_MAX, &id) == 0 && i < S.o.sessions; i++)
		if (S.all[i].id == id)
			x = &S.all[i];
	if (x == NULL)
		fatal("Dovecot's auth: %.*s", (int)line.len, (const char *)line.ptr);
	buf_init(&got, TEXT);
	if (slice_starts(line, "CONT\t")) {
		if (x->proved || b64_decode(rest, true, &got) != 0 ||
		    final_message(x, buf_slice(&got), &S.plain) != 0)
			fatal("Dovecot's auth said what is no SCRAM");
		buf_appendf(&S.out, "CONT\t%u\t", x->id);
		b64_encode(buf_slice(&S.plain), false, &S.out);
		buf_append_byte(&S.out, '\n');
		flush_out();
	} else {
		final_of(rest, &got);
		ended(x, slice_starts(line, "OK\t") && is_proved(x, buf_slice(&got)), line);
	}
	buf_done(&got);
}

static void
on_read(struct io *io, void *arg)
{
	struct slice line;
	size_t used;

	(void)arg;
	while (load_line(io_in(io), &line, &used) == 0) {
		dovecot_line(line);
		io_consume(io, used);
	}
}

static void
on_close(struct io *io, int err, void *arg)
{
	(void)io;
	(void)arg;
	fatal("Dovecot's auth is gone: %s", err_name(err));
}

static void
connect_dovecot(void)
{
	static const struct io_ops ops = {.on_read = on_read, .on_close = on_close};

	S.io = io_connect_unix(S.load.loop, S.o.to, 1 << 20, 1 << 20, &ops, NULL);
	if (S.io == NULL)
		fatal("no connection to %s", S.o.to);
	buf_appendf(&S.out, "VERSION\t1\t2\nCPID\t%ld\n", (long)getpid());
	flush_out();
}

/* ---- */

static void
begin(struct exchange *x)
{
	x->number = S.next++;
	x->proved = false;
	x->since = load_now_us();
	if (S.dovecot)
		ask_dovecot(x);
	else
		ask_lookup(x);
}

int
main(int argc, char **argv)
{
	load_options(argc, argv, &S.o);
	S.dovecot = strncmp(S.o.mode, "dovecot-", 8) == 0;
	S.scram = slice_index(slice_str(S.o.mode), '-') > 0 &&
		  strcmp(strchr(S.o.mode, '-'), "-scram") == 0;
	if (S.o.to == NULL || S.o.user == NULL || S.o.password == NULL || S.o.accounts > SALTED_MAX)
		return 64;
	load_init(&S.load, S.o.count);
	buf_init(&S.out, 1 << 20);
	buf_init(&S.plain, TEXT);
	S.all = xcalloc(S.o.sessions, sizeof *S.all);
	for (unsigned i = 0; i < S.o.sessions; i++) {
		buf_init(&S.all[i].bare, TEXT);
		buf_init(&S.all[i].expect, 256);
	}
	if (S.dovecot) {
		connect_dovecot();
	} else {
		S.client = lookup_client_new(S.load.loop, S.o.to, IPC_IMAPD);
		load_begin(&S.load);
		for (unsigned i = 0; i < S.o.sessions; i++)
			begin(&S.all[i]);
	}
	loop_run(S.load.loop);
	load_print(&S.load, "");
	for (unsigned i = 0; i < S.o.sessions; i++) {
		buf_done(&S.all[i].bare);
		buf_done(&S.all[i].expect);
	}
	free(S.all);
	lookup_client_free(S.client);
	if (S.io != NULL)
		io_free(S.io);
	buf_done(&S.out);
	buf_done(&S.plain);
	load_done(&S.load);
	return S.load.failed > 0;
}
