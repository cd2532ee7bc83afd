/* lookup_probe.c: a client of lookup for tests/system/test_directory.py. lookup_probe SOCKET smtpd|imapd|ingest|milter; commands on
 * standard input, one a line, answers on standard output as JSON, one a line, in the order they come:
 *   rcpt ID ADDRESS | start ID MECH TLS HEX|- [IP] | step ID HEX|- | abort ID | sender ID ADDRESS LOGIN|- | token ID HEXKEY HEXTICKET */
#include "config.h"

#include "directory/lookup_client.h"
#include "directory/token.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/json.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IDS = 65536 };

static struct {
	struct loop *loop;
	struct lookup_client *client;
	struct ipc_sync *sync;
	const char *service;
	struct lookup_auth *auths[IDS];
	struct buf in;
	int pending;
	bool eof;
} self;

static void
say(struct json *j)
{
	struct buf b;

	buf_init(&b, 16 << 20);
	json_canonical(j, &b);
	buf_append_byte(&b, '\n');
	if (fwrite(b.data, 1, b.len, stdout) != b.len || fflush(stdout) != 0)
		exit(1);
	buf_done(&b);
	json_free(j);
}

static struct json *
answer(size_t id, int err)
{
	struct json *j = json_obj_new();

	json_set_int(j, "id", (int64_t)id);
	json_set_str(j, "err", err == 0 ? NULL : err_name(err));
	return j;
}

static void
set_hex(struct json *j, const char *key, struct slice s)
{
	char *hex = xmalloc(2 * s.len + 1);

	hex_encode(s.ptr, s.len, hex);
	json_set_str(j, key, s.ptr == NULL ? NULL : hex);
	free(hex);
}

static void
finished(void)
{
	self.pending--;
	if (self.eof && self.pending == 0)
		loop_stop(self.loop);
}

static void
on_rcpt(void *arg, int err, const struct lookup_rcpt *r)
{
	struct json *j = answer((size_t)(uintptr_t)arg, err);
	struct json *list = json_arr_new();

	for (size_t i = 0; err == 0 && i < r->n_targets; i++) {
		struct json *t = json_obj_new();

		json_set_str(t, "account", r->targets[i].account);
		json_set_str(t, "address", r->targets[i].address);
		json_set_str(t, "name", r->targets[i].name);
		json_push_take(list, t);
	}
	if (err == 0) {
		json_set_int(j, "kind", r->kind);
		json_set_bool(j, "official", r->official);
	}
	json_set_take(j, "targets", list);
	say(j);
	finished();
}

static struct json *
login_json(const struct lookup_login *l)
{
	struct json *j = json_obj_new(), *ids = json_arr_new(), *shares = json_arr_new();

	json_set_str(j, "login", l->login);
	json_set_str(j, "account", l->account);
	json_set_str(j, "address", l->address);
	json_set_str(j, "name", l->name);
	json_set_int(j, "expires", l->expires);
	json_set_int(j, "password_until", l->password_until);
	json_set_int(j, "grace_left", l->is_grace ? (int64_t)l->grace_left : -1);
	set_hex(j, "ticket", l->ticket);
	for (size_t i = 0; i < l->n_identities; i++) {
		struct json *id = json_obj_new();

		json_set_str(id, "address", l->identities[i].address);
		json_set_bool(id, "functional", l->identities[i].functional);
		json_push_take(ids, id);
	}
	for (size_t i = 0; i < l->n_shares; i++) {
		struct json *s = json_obj_new();

		json_set_str(s, "account", l->shares[i].account);
		json_set_str(s, "address", l->shares[i].address);
		json_set_str(s, "name", l->shares[i].name);
		json_set_str(s, "rights", l->shares[i].rights);
		json_push_take(shares, s);
	}
	json_set_take(j, "identities", ids);
	json_set_take(j, "shares", shares);
	return j;
}

static void
on_auth(void *arg, enum lookup_auth_result res, int err, struct slice challenge,
    struct lookup_login *login)
{
	static const char *const names[] = {"more", "ok", "failed"};
	size_t id = (size_t)(uintptr_t)arg;
	struct json *j = answer(id, err);

	json_set_str(j, "result", names[res]);
	set_hex(j, "data", challenge);
	if (res == LOOKUP_AUTH_OK)
		json_set_take(j, "login", login_json(login));
	if (res != LOOKUP_AUTH_MORE)
		self.auths[id] = NULL;
	lookup_login_free(login);
	say(j);
	finished();
}

static void
do_sender(size_t id, const char *address, const char *login)
{
	struct lookup_sender *s = NULL;
	int err = lookup_sender_sync(self.sync, slice_str(address), login, 15000, &s);
	struct json *j = answer(id, err), *addresses = json_arr_new(), *certs = json_arr_new();

	if (err == 0) {
		json_set_bool(j, "is_ours", s->is_ours);
		json_set_int(j, "kind", s->kind);
		json_set_str(j, "account", s->account);
		json_set_str(j, "agency", s->agency);
		json_set_bool(j, "may", s->login_may_send_as);
		for (size_t i = 0; i < s->n_addresses; i++)
			json_push_take(addresses, json_str_new(slice_str(s->addresses[i])));
		for (size_t i = 0; i < s->n_certs; i++)
			json_push_take(certs, json_int_new((int64_t)s->certs[i].len));
	}
	json_set_take(j, "addresses", addresses);
	json_set_take(j, "certs", certs);
	lookup_sender_free(s);
	say(j);
	finished();
}

static void
do_token(size_t id, const char *hexkey, const char *hexticket)
{
	unsigned char key[32];
	size_t n = strlen(hexticket) / 2;
	unsigned char *sealed = xmalloc(n + 1);
	struct token *t = NULL;
	struct json *j;
	int err = hex_decode(slice_str(hexkey), key, 32);

	if (err == 0)
		err = hex_decode(slice_str(hexticket), sealed, n);
	if (err == 0)
		err = token_open(key, slice_of(sealed, n), 0, &t);
	j = answer(id, err);
	if (err == 0) {
		json_set_str(j, "account", t->account);
		json_set_str(j, "login", t->login);
		json_set_int(j, "epoch", (int64_t)t->epoch);
		json_set_int(j, "shares", (int64_t)t->n_shares);
		struct json *grants = json_arr_new();
		for (size_t i = 0; i < t->n_shares; i++) {
			struct json *g = json_obj_new();

			json_set_str(g, "account", t->shares[i].account);
			json_set_str(g, "rights", t->shares[i].rights);
			json_set_int(g, "from", t->shares[i].from);
			json_set_int(g, "until", t->shares[i].until);
			json_push_take(grants, g);
		}
		json_set_take(j, "grants", grants);
		json_set_str(j, "share", t->n_shares > 0 ? t->shares[0].name : NULL);
	}
	token_free(t);
	free(sealed);
	say(j);
	finished();
}

static void
do_start(size_t id, const char *mech, bool tls, const char *hex, const char *ip)
{
	unsigned char bytes[8192];
	struct lookup_auth_params p = {.mech = mech,
	    .service = self.service,
	    .client_ip = ip == NULL ? "192.0.2.1" : ip,
	    .tls = tls,
	    .has_initial = strcmp(hex, "-") != 0};

	if (p.has_initial && hex_decode(slice_str(hex), bytes, strlen(hex) / 2) == 0)
		p.initial = slice_of(bytes, strlen(hex) / 2);
	self.auths[id] = lookup_auth_start(self.client, &p, on_auth, (void *)(uintptr_t)id);
	if (self.auths[id] == NULL) {
		say(answer(id, ERR_LIMIT));
		finished();
	}
}

static void
do_step(size_t id, const char *hex)
{
	unsigned char bytes[8192];
	size_t n = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;

	if (self.auths[id] == NULL || hex_decode(slice_of(hex, 2 * n), bytes, n) != 0 ||
	    lookup_auth_step(self.auths[id], slice_of(bytes, n)) != 0) {
		say(answer(id, ERR_PROTO));
		finished();
	}
}

static void
command(char *line)
{
	char *word[6] = {NULL};
	uint64_t id = 0;
	int n = 0;

	for (char *p = line; n < 6 && p != NULL; n++)
		word[n] = strsep(&p, " ");
	if (n < 2 || slice_to_u64(slice_str(word[1]), IDS - 1, &id) != 0)
		exit(2);
	self.pending++;
	if (strcmp(word[0], "rcpt") == 0 && n == 3) {
		if (lookup_rcpt(self.client, slice_str(word[2]), 15000, on_rcpt,
			(void *)(uintptr_t)id, NULL) != 0) {
			say(answer(id, ERR_LIMIT));
			finished();
		}
	} else if (strcmp(word[0], "start") == 0 && n >= 5) {
		do_start(id, word[2], word[3][0] == '1', word[4], word[5]);
	} else if (strcmp(word[0], "step") == 0 && n == 3) {
		do_step(id, word[2]);
	} else if (strcmp(word[0], "abort") == 0 && n == 2) {
		lookup_auth_abort(self.auths[id]);
		self.auths[id] = NULL;
		say(answer(id, 0));
		finished();
	} else if (strcmp(word[0], "sender") == 0 && n == 4) {
		do_sender(id, word[2], strcmp(word[3], "-") == 0 ? "" : word[3]);
	} else if (strcmp(word[0], "token") == 0 && n == 4) {
		do_token(id, word[2], word[3]);
	} else {
		exit(2);
	}
}

static void
on_input(void *arg, int events)
{
	char chunk[16384];
	ssize_t n = read(0, chunk, sizeof(chunk));

	(void)arg;
	(void)events;
	if (n <= 0) {
		self.eof = true;
		if (self.pending == 0)
			loop_stop(self.loop);
		return;
	}
	buf_append(&self.in, chunk, (size_t)n);
	for (;;) {
		ptrdiff_t nl = slice_index(buf_slice(&self.in), '\n');
		char *line;

		if (nl < 0)
			break;
		line = slice_dup(slice_of(self.in.data, (size_t)nl));
		buf_consume(&self.in, (size_t)nl + 1);
		command(line);
		free(line);
	}
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint32_t role;
	} roles[] = {{"smtpd", IPC_SMTPD}, {"imapd", IPC_IMAPD}, {"ingest", IPC_INGEST},
	    {"milter", IPC_MILTER}};
	struct loop_fd *f;
	uint32_t role = 0;

	for (size_t i = 0; argc == 3 && i < sizeof(roles) / sizeof(roles[0]); i++)
		role = strcmp(argv[2], roles[i].name) == 0 ? roles[i].role : role;
	if (role == 0)
		return 2;
	log_init("lookup_probe", 2);
	json_init();
	buf_init(&self.in, 1 << 20);
	self.loop = loop_new();
	if (role == IPC_MILTER)
		self.sync = ipc_sync_new(argv[1], &lookup_proto, role);
	else
		self.client = lookup_client_new(self.loop, argv[1], role);
	self.service = strcmp(argv[2], "smtpd") == 0 ? "smtp" : "imap";
	f = loop_fd_new(self.loop, 0, on_input, NULL);
	loop_fd_want(f, LOOP_READ);
	loop_run(self.loop);
	loop_fd_free(f);
	lookup_client_free(self.client);
	ipc_sync_free(self.sync);
	loop_free(self.loop);
	buf_done(&self.in);
	return 0;
}
