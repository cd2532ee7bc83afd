/* auth_fuzz.c: what a client may send in a SASL exchange, through Cyrus's plugins and our callbacks: nobody gets in without the password.
 * The first byte chooses the mechanism; messages are separated by 0xff 0xff. */
#include "config.h"

#include "directory/auth.h"
#include "directory/scram.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const mechs[] = {"PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"};

static int
find(void *arg, struct slice name, const char *service, struct person **out)
{
	struct person *u;
	struct buf b;

	(void)arg;
	(void)service;
	if (!slice_eq_str(name, "u"))
		return name.len % 7 == 3 ? ERR_TEMP : ERR_NOTFOUND;
	u = xcalloc(1, sizeof(*u));
	u->login = xstrdup("u");
	u->scram = xcalloc(1, sizeof(*u->scram));
	buf_init(&b, 1024);
	scram_make(slice_str("a password that no fuzzer guesses"), &b);
	u->scram[0] = xstrdup(buf_cstr(&b));
	u->n_scram = 1;
	buf_done(&b);
	*out = u;
	return 0;
}

static int
verify(void *arg, struct person *u, const char *service, struct slice password)
{
	(void)arg;
	(void)service;
	(void)u;
	(void)password;
	return ERR_AUTH;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct auth_source source = {.find = find, .verify = verify};
	static bool ready;
	struct auth_params p = {
	    .service = "imap", .client_ip = "", .tls = true, .binding_exporter = slice_str("x")};
	enum auth_result res = AUTH_MORE;
	struct slice rest = slice_of(data, size);
	struct auth *a = NULL;
	struct buf challenge;
	bool has_final;
	int err;

	if (!ready) {
		log_init("auth_fuzz", 2);
		log_set_level(LOG_LVL_ERROR);
		if (auth_init(mechs, 4, &source) != 0)
			abort();
		ready = true;
	}
	if (size == 0)
		return 0;
	p.mech = mechs[data[0] % 4];
	if (auth_new(&p, &a) != 0)
		abort();
	rest = slice_from(rest, 1);
	buf_init(&challenge, 1 << 16);
	for (int i = 0; res == AUTH_MORE && i < 5; i++) {
		ptrdiff_t cut = slice_find(rest, slice_str("\xff\xff"));
		struct slice message = slice_sub(rest, 0, cut < 0 ? rest.len : (size_t)cut);
		/* a buffer of its own: a read past its end is seen */
		unsigned char *copy = xmalloc(message.len + 1);

		if (message.len > 0)
			memcpy(copy, message.ptr, message.len);
		rest = slice_from(rest, cut < 0 ? rest.len : (size_t)cut + 2);
		message = slice_of(copy, message.len);
		res = i == 0 ? auth_start(a, data[0] < 128, message, &challenge, &has_final, &err)
			     : auth_step(a, message, &challenge, &has_final, &err);
		free(copy);
	}
	if (res == AUTH_OK)
		abort();
	auth_free(a);
	buf_done(&challenge);
	return 0;
}
