/* lookup_client_judge.c: what the milter's threads ask of lookup; they wait for the answer. Whatever goes wrong is ERR_TEMP, but that there is no
 * such group. A reply that breaks its grammar is treated the same: lookup is another role, and is not believed. */
#include "config.h"

#include "directory/lookup_client_priv.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 100000 };

static void
strings_done(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

static int
strings_parse(struct ipc_reader *r, char ***out, size_t *n_out)
{
	uint32_t n = ipc_get_count(r, LIST_MAX, 4);

	*out = calloc((size_t)n + 1, sizeof(**out));
	if (*out == NULL)
		return ERR_NOMEM;
	for (*n_out = 0; *n_out < n; (*n_out)++) {
		if (((*out)[*n_out] = ipc_get_strdup(r)) == NULL)
			return ERR_PROTO;
	}
	return 0;
}

void
lookup_sender_free(struct lookup_sender *s)
{
	if (s == NULL)
		return;
	free(s->account);
	free(s->agency);
	strings_done(s->addresses, s->n_addresses);
	for (size_t i = 0; i < s->n_certs; i++)
		free((void *)(uintptr_t)s->certs[i].ptr);
	free(s->certs);
	strings_done(s->authorities, s->n_authorities);
	strings_done(s->symbols, s->n_symbols);
	free(s);
}

static int
certs_parse(struct ipc_reader *r, struct lookup_sender *s)
{
	uint32_t n = ipc_get_count(r, LIST_MAX, 4);

	s->certs = calloc((size_t)n + 1, sizeof(*s->certs));
	if (s->certs == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < n; i++) {
		struct slice der = ipc_get_slice(r);
		unsigned char *copy = malloc(der.len + 1);

		if (copy == NULL)
			return ERR_NOMEM;
		if (der.len > 0)
			memcpy(copy, der.ptr, der.len);
		s->certs[s->n_certs++] = slice_of(copy, der.len);
	}
	s->n_current = ipc_get_u32(r);
	return s->n_current > s->n_addresses ? ERR_PROTO : 0;
}

static int
sender_parse(struct ipc_reader *r, struct lookup_sender *s)
{
	uint8_t kind;
	int err;

	s->is_ours = ipc_get_u8(r) != 0;
	kind = ipc_get_u8(r);
	if (kind > LOOKUP_OWNER_GROUP)
		return ERR_PROTO;
	s->kind = kind;
	s->account = ipc_get_strdup(r);
	s->agency = ipc_get_strdup(r);
	s->login_may_send_as = ipc_get_u8(r) != 0;
	err = strings_parse(r, &s->addresses, &s->n_addresses);
	if (err == 0 && (s->account == NULL || s->agency == NULL))
		err = ERR_PROTO;
	if (err == 0)
		err = certs_parse(r, s);
	if (err == 0)
		err = strings_parse(r, &s->authorities, &s->n_authorities);
	if (err == 0)
		err = strings_parse(r, &s->symbols, &s->n_symbols);
	return err == 0 ? ipc_reader_end(r) : err;
}

int
lookup_sender_sync(struct ipc_sync *sync, struct slice address, const char *login,
    unsigned timeout_ms, struct lookup_sender **out)
{
	struct lookup_sender *s = xcalloc(1, sizeof(*s));
	struct buf b, reply;
	struct ipc_reader r;
	uint16_t type = 0;
	int err;

	buf_init(&b, 2048);
	buf_init(&reply, IPC_FRAME_MAX);
	ipc_put_slice(&b, address);
	err = ipc_put_str(&b, login);
	if (err == 0)
		err = ipc_sync_call(sync, LOOKUP_SENDER, &b, -1, timeout_ms, &type, &reply, NULL);
	if (err == 0 && type != LOOKUP_SENDER_IS)
		err = ERR_PROTO;
	if (err == 0) {
		ipc_reader_init(&r, buf_slice(&reply));
		err = sender_parse(&r, s);
	}
	buf_done(&b);
	buf_done(&reply);
	if (err != 0) {
		lookup_sender_free(s);
		return ERR_TEMP;
	}
	*out = s;
	return 0;
}

/* A question of n addresses, and its reply's frame. */
static int
ask_list(struct ipc_sync *sync, uint16_t ask, const char *group, const char *const *v, size_t n,
    unsigned timeout_ms, uint16_t want, struct buf *reply)
{
	uint16_t type = 0;
	struct buf b;
	int err = 0;

	buf_init(&b, 32768);
	if (group != NULL)
		err = ipc_put_str(&b, group);
	ipc_put_u32(&b, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		err = ipc_put_str(&b, v[i]);
	if (err == 0)
		err = ipc_sync_call(sync, ask, &b, -1, timeout_ms, &type, reply, NULL);
	buf_done(&b);
	return err == 0 && type != want ? ERR_PROTO : err;
}

int
lookup_moved_sync(struct ipc_sync *sync, const char *const *addresses, size_t n,
    unsigned timeout_ms, struct lookup_moved *out)
{
	struct ipc_reader r;
	struct buf reply;
	int err;

	memset(out, 0, sizeof(*out));
	buf_init(&reply, 65536);
	err = n > LOOKUP_ASKED_MAX ? ERR_LIMIT
				   : ask_list(sync, LOOKUP_MOVED, NULL, addresses, n, timeout_ms,
					 LOOKUP_MOVED_ARE, &reply);
	if (err == 0) {
		ipc_reader_init(&r, buf_slice(&reply));
		for (uint32_t k = ipc_get_count(&r, LOOKUP_ASKED_MAX, 8); k > 0; k--) {
			out->was[out->n] = ipc_get_strdup(&r);
			out->is[out->n++] = ipc_get_strdup(&r);
			if (out->was[out->n - 1] == NULL || out->is[out->n - 1] == NULL)
				err = ERR_PROTO;
		}
		if (err == 0)
			err = ipc_reader_end(&r);
	}
	buf_done(&reply);
	if (err != 0)
		lookup_moved_done(out);
	return err == 0 ? 0 : ERR_TEMP;
}

void
lookup_moved_done(struct lookup_moved *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->was[i]);
		free(m->is[i]);
	}
	m->n = 0;
}

int
lookup_member_sync(struct ipc_sync *sync, const char *group, const char *const *addresses, size_t n,
    unsigned timeout_ms, bool *is_out)
{
	bool is[LOOKUP_ASKED_MAX];
	struct ipc_reader r;
	struct buf reply;
	int err;

	buf_init(&reply, 4096);
	err = n > LOOKUP_ASKED_MAX ? ERR_LIMIT
				   : ask_list(sync, LOOKUP_MEMBER, group, addresses, n, timeout_ms,
					 LOOKUP_MEMBER_IS, &reply);
	if (err == 0) {
		ipc_reader_init(&r, buf_slice(&reply));
		if (ipc_get_count(&r, LOOKUP_ASKED_MAX, 1) != n)
			err = ERR_PROTO;
		for (size_t i = 0; err == 0 && i < n; i++)
			is[i] = ipc_get_u8(&r) != 0;
		if (err == 0)
			err = ipc_reader_end(&r);
	}
	buf_done(&reply);
	if (err == 0)
		memcpy(is_out, is, n * sizeof(*is));
	return err == 0 || err == ERR_NOTFOUND || err == ERR_LIMIT ? err : ERR_TEMP;
}
