/* sign_token.c: private keys in a PKCS#11 token, by OpenSSL's engine of that name. Runs in milter-sign, before its sandbox, and in a child of congvu check. The
 * PIN comes from a file and is in no text of ours. RFC 7512: URIs that name a key. */
#include "config.h"

/* a provider for PKCS#11 is not in Debian 12: engines are what there is */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "milter/sign_token.h"

#include "lib/err.h"

#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/ui.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { URI_MAX = 1024 };

static ENGINE *engine;
static const char *refused; /* why no key is tried any more */

bool
sign_token_is_uri(struct slice key)
{
	return slice_casestarts(key, "pkcs11:");
}

/* What the module or the engine says of it; not what OpenSSL says of having tried in vain, before and after. */
static const char *
reason(const char *otherwise)
{
	const char *why = NULL;
	unsigned long e;

	while ((e = ERR_get_error()) != 0)
		if (why == NULL && ERR_GET_LIB(e) != ERR_LIB_DSO &&
		    ERR_GET_LIB(e) != ERR_LIB_ENGINE)
			why = ERR_reason_error_string(e);
	return why != NULL ? why : otherwise;
}

static void
set_env(const struct conf *c)
{
	for (size_t i = 0; i < conf_list_len(c, "pkcs11_env"); i++) {
		struct slice s = slice_str(conf_list_item(c, "pkcs11_env", i));
		ptrdiff_t eq = slice_index(s, '=');
		char *name = slice_dup(slice_sub(s, 0, eq > 0 ? (size_t)eq : 0));

		if (eq > 0)
			setenv(name, (const char *)s.ptr + eq + 1, 1);
		free(name);
	}
}

int
sign_token_setup(const struct conf *c, const char *pin, const char **why_out)
{
	const char *module = conf_str(c, "pkcs11_module");
	ENGINE *e;

	if (engine != NULL)
		return 0;
	*why_out = "pkcs11_module is no file's absolute path";
	if (module[0] != '/' || access(module, R_OK) != 0)
		return ERR_NOTFOUND;
	set_env(c);
	ERR_clear_error();
	ENGINE_load_dynamic();
	e = ENGINE_by_id("pkcs11");
	if (e == NULL) {
		*why_out = "OpenSSL has no engine pkcs11 (Debian: libengine-pkcs11-openssl)";
		ERR_clear_error();
		return ERR_NOTFOUND;
	}
	ERR_clear_error();
	if (ENGINE_ctrl_cmd_string(e, "MODULE_PATH", module, 0) != 1 ||
	    ENGINE_ctrl_cmd_string(e, "PIN", pin, 0) != 1 || ENGINE_init(e) != 1) {
		*why_out = reason("the module cannot be loaded");
		ENGINE_free(e);
		return ERR_IO;
	}
	ENGINE_free(e); /* ENGINE_init has another reference */
	engine = e;
	return 0;
}

struct evp_pkey_st *
sign_token_key(struct slice uri, const char **why_out)
{
	UI_METHOD *nobody;
	EVP_PKEY *key;
	char *text;

	*why_out = refused != NULL     ? refused
		   : engine == NULL    ? "pkcs11_module is not loaded"
		   : uri.len > URI_MAX ? "the URI is too long"
				       : NULL;
	if (*why_out != NULL)
		return NULL;
	text = slice_dup(uri);
	ERR_clear_error();
	nobody = UI_create_method("nobody"); /* is asked: never a question on a terminal */
	key = nobody != NULL ? ENGINE_load_private_key(engine, text, nobody, NULL) : NULL;
	UI_destroy_method(nobody);
	free(text);
	if (key != NULL)
		return key;
	*why_out = reason("the token has no such key");
	if (strstr(*why_out, "PIN") != NULL)
		refused = *why_out;
	return NULL;
}
