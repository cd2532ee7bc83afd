/* fetch_curl.c: fetch_curl.h over libcurl, with all it could do by itself switched off: no redirect it follows, no proxy, cookie,
 * password or file it finds, no scheme but ours, no content coding. In fetch's worker threads. Every address is judged when the socket
 * to it is made, behind the resolver, so that a name that resolves differently the next time gains nothing. RFC 9110, RFC 9111. */
#include "config.h"

#include "directory/fetch_curl.h"

#include "directory/fetch_ldif.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/resolver.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

enum { HEADERS_MAX = 65536, CONNECT_MS = 10000 };

static struct {
	const struct fetch_policy *policy;
	struct slice ca_pem;
} self;

struct transfer {
	CURL *easy;
	struct curl_slist *headers;
	struct buf body;
	size_t header_bytes;
	bool by_proxy;
	bool is_denied; /* an address was refused */
	bool is_large;
};

int
fetch_curl_init(const struct fetch_policy *policy, struct slice ca_pem)
{
	self.policy = policy;
	self.ca_pem = ca_pem;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return ERR_UNSUPPORTED;
	setenv("LDAPNOINIT", "1", 1); /* nothing of the user's or the machine's ldap.conf */
	return 0;
}

/* ---- callbacks ---- */

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	if (buf_append(&t->body, p, size * n) == 0)
		return size * n;
	t->is_large = true;
	return 0;
}

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	(void)p;
	t->header_bytes += size * n;
	if (t->header_bytes <= HEADERS_MAX)
		return size * n;
	t->is_large = true;
	return 0;
}

static bool
address_is_good(const struct sockaddr *sa)
{
	union {
		const struct sockaddr *sa;
		const struct sockaddr_in *in;
		const struct sockaddr_in6 *in6;
	} u = {.sa = sa};

	if (sa->sa_family == AF_INET)
		return fetch_policy_address(
		    self.policy, AF_INET, (const unsigned char *)&u.in->sin_addr);
	return sa->sa_family == AF_INET6 && fetch_policy_address(self.policy, AF_INET6,
						(const unsigned char *)&u.in6->sin6_addr);
}

static curl_socket_t
on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct transfer *t = arg;

	(void)purpose;
	/* the only connection of a proxied transfer is the one to the proxy, which the configuration names */
	if (!t->by_proxy && !address_is_good(&a->addr)) {
		t->is_denied = true;
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* ---- one exchange ---- */

static bool
set_fixed(struct transfer *t)
{
	CURL *e = t->easy;
	bool ok = true;

	ok &= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L) ==
	      CURLE_OK; /* a resolver that hangs is not waited for */
	ok &= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https,ldap,ldaps") == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_NOPROXY, "") == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_USERAGENT, "Congvu") == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_WRITEDATA, t) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_HEADERDATA, t) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_socket) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, t) == CURLE_OK;
	if (self.ca_pem.len > 0) {
		struct curl_blob blob = {.data = (void *)(uintptr_t)self.ca_pem.ptr,
		    .len = self.ca_pem.len,
		    .flags = CURL_BLOB_NOCOPY};

		ok &= curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK;
		ok &= curl_easy_setopt(e, CURLOPT_CAPATH, NULL) == CURLE_OK;
	}
	return ok;
}

static bool
set_request(
    struct transfer *t, const struct fetch_request *r, const char *url, const char *proxy, long ms)
{
	CURL *e = t->easy;
	char line[300];
	bool ok = true;

	t->by_proxy = proxy != NULL;
	t->header_bytes = 0;
	buf_reset(&t->body);
	ok &= curl_easy_setopt(e, CURLOPT_URL, url) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_PROXY, proxy == NULL ? "" : proxy) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, ms) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
		  ms < CONNECT_MS ? ms : (long)CONNECT_MS) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)t->body.cap) == CURLE_OK;
	if (!r->is_post)
		return ok;
	snprintf(line, sizeof(line), "Content-Type: %s", r->content_type);
	t->headers = curl_slist_append(t->headers, line);
	t->headers = curl_slist_append(t->headers, "Expect:");
	ok &= t->headers != NULL && curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->headers) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_POST, 1L) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len) == CURLE_OK;
	ok &= curl_easy_setopt(e, CURLOPT_POSTFIELDS,
		  r->body.len == 0 ? "" : (const char *)r->body.ptr) == CURLE_OK;
	return ok;
}

static int
err_of(const struct transfer *t, CURLcode rc)
{
	if (t->is_denied && rc != CURLE_OK)
		return ERR_DENIED;
	if (t->is_large)
		return ERR_LIMIT;
	switch (rc) {
	case CURLE_OK:
		return 0;
	case CURLE_OPERATION_TIMEDOUT:
		return ERR_TIMEOUT;
	case CURLE_FILESIZE_EXCEEDED:
		return ERR_LIMIT;
	case CURLE_OUT_OF_MEMORY:
		return ERR_NOMEM;
	case CURLE_URL_MALFORMAT:
	case CURLE_LDAP_INVALID_URL:
		return ERR_SYNTAX;
	default:
		return ERR_TEMP;
	}
}

/* ---- what came back ---- */

static const char *
header_of(CURL *e, const char *name)
{
	struct curl_header *h = NULL;

	return curl_easy_header(e, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : NULL;
}

/* "max-age=60, public": the number of a directive, or whether it is there. RFC 9111 5.2. */
static bool
directive(const char *text, const char *name, uint64_t *number_out)
{
	struct slice rest = slice_str(text);

	while (rest.len > 0) {
		ptrdiff_t comma = slice_index(rest, ',');
		struct slice one = slice_trim(comma < 0 ? rest : slice_sub(rest, 0, (size_t)comma));
		size_t n = strlen(name);

		rest = comma < 0 ? slice_of(NULL, 0) : slice_from(rest, (size_t)comma + 1);
		if (!slice_casestarts(one, name))
			continue;
		one = slice_from(one, n);
		if (number_out == NULL && one.len == 0)
			return true;
		if (number_out != NULL && one.len > 1 && one.ptr[0] == '=' &&
		    slice_to_u64(slice_from(one, 1), 100 * 365 * 86400ull, number_out) == 0)
			return true;
	}
	return false;
}

static void
freshness(CURL *e, struct fetch_answer *a, bool *no_store_out)
{
	const char *control = header_of(e, "Cache-Control"), *expires = header_of(e, "Expires");
	const char *age_text = header_of(e, "Age");
	uint64_t seconds = 0, age = 0;

	*no_store_out = control != NULL && directive(control, "no-store", NULL);
	if (control != NULL && directive(control, "max-age", &seconds)) {
		if (age_text != NULL && slice_to_u64(slice_str(age_text), UINT32_MAX, &age) == 0)
			seconds = seconds > age ? seconds - age : 0;
		a->expires = a->fetched + (int64_t)seconds;
	} else if (expires != NULL) {
		a->expires = (int64_t)curl_getdate(expires, NULL);
		if (a->expires <= 0)
			a->expires =
			    a->fetched; /* RFC 9111 5.3: what cannot be read is in the past */
	}
}

static int
answer_make(struct transfer *t, const struct fetch_url *u, uint32_t max_bytes,
    struct fetch_answer **out, bool *no_store_out)
{
	struct fetch_answer *a = xcalloc(1, sizeof(*a));
	const char *type = NULL;
	long status = 0;
	size_t len;
	int err = 0;

	a->fetched = (int64_t)time(NULL);
	*no_store_out = false;
	if (fetch_scheme_is_ldap(u->scheme)) {
		struct buf value;

		a->status = 200;
		buf_init(&value, max_bytes);
		err = fetch_ldif_value(buf_slice(&t->body), u->attr, &value);
		err = err == ERR_SYNTAX ? ERR_TEMP : err;
		buf_done(&t->body);
		t->body = value;
	} else {
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
		a->status = (unsigned)status;
		type = header_of(t->easy, "Content-Type");
		freshness(t->easy, a, no_store_out);
	}
	a->content_type = slice_dup(slice_sub(slice_str(type == NULL ? "" : type), 0, 256));
	if (a->content_type == NULL)
		err = ERR_NOMEM;
	if (err != 0) {
		fetch_answer_free(a);
		return err;
	}
	len = t->body.len;
	a->body = slice_of(buf_take(&t->body, &len), len);
	*out = a;
	return 0;
}

/* ---- the request, with its redirects ---- */

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Where the answer just got sends us: *next_out (malloc'd), or NULL when it does not, or is not to be followed. */
static int
redirect_of(struct transfer *t, const struct fetch_url *from, unsigned left, char **next_out,
    const char **why_out)
{
	struct fetch_url u;
	char *next = NULL;
	int err;

	*next_out = NULL;
	if (fetch_scheme_is_ldap(from->scheme) ||
	    curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &next) != CURLE_OK || next == NULL)
		return 0;
	*why_out = "redirects";
	if (left == 0)
		return ERR_LIMIT;
	if (fetch_url_parse(slice_str(next), &u) != 0 || fetch_scheme_is_ldap(u.scheme) ||
	    (from->scheme == FETCH_HTTPS && u.scheme != FETCH_HTTPS))
		return ERR_DENIED;
	err = fetch_policy_url(self.policy, &u);
	if (err == 0 && (*next_out = strdup(next)) == NULL)
		err = ERR_NOMEM;
	return err;
}

/* libldap asks for this host's full name at its first use: not of a name server, since it would wait seconds for one that does not answer. (The
 * names in URLs are looked up by threads of libcurl's own.) */
static CURLcode
perform(struct transfer *t, const struct fetch_url *u)
{
	CURLcode rc;

	if (!fetch_scheme_is_ldap(u->scheme))
		return curl_easy_perform(t->easy);
	resolver_mute();
	rc = curl_easy_perform(t->easy);
	resolver_unmute();
	return rc;
}

static int
run(struct transfer *t, const struct fetch_request *r, struct fetch_answer **out,
    bool *no_store_out, const char **why_out)
{
	uint64_t end = now_ms() + r->deadline_ms;
	unsigned left = r->is_post ? 0 : r->max_redirects;
	char *url = xstrdup(r->url), *next = NULL;
	struct fetch_url u;
	int err = 0;

	for (;;) {
		uint64_t now = now_ms();
		CURLcode rc;

		err = fetch_url_parse(slice_str(url), &u);
		if (err != 0)
			break;
		err = now >= end ? ERR_TIMEOUT : 0;
		if (err == 0 &&
		    !set_request(t, r, url, fetch_policy_proxy(self.policy, &u), (long)(end - now)))
			err = ERR_NOMEM;
		if (err != 0)
			break;
		rc = perform(t, &u);
		*why_out = t->is_denied ? "an address that fetch_networks does not permit"
					: curl_easy_strerror(rc);
		err = err_of(t, rc);
		if (err == 0)
			err = redirect_of(t, &u, left, &next, why_out);
		if (err != 0 || next == NULL)
			break;
		free(url);
		url = next;
		left--;
	}
	if (err == 0)
		err = answer_make(t, &u, r->max_bytes, out, no_store_out);
	free(url);
	return err;
}

int
fetch_curl_run(const struct fetch_request *r, struct fetch_answer **out, bool *no_store_out,
    const char **why_out)
{
	struct transfer t = {.easy = curl_easy_init()};
	int err = t.easy == NULL ? ERR_NOMEM : 0;

	*why_out = "";
	/* an LDAP answer is text with base64 in it */
	buf_init(&t.body, slice_casestarts(slice_str(r->url), "ldap")
			      ? (size_t)r->max_bytes / 3 * 4 + 8192
			      : r->max_bytes);
	if (err == 0 && !set_fixed(&t))
		err = ERR_UNSUPPORTED;
	if (err == 0)
		err = run(&t, r, out, no_store_out, why_out);
	if (t.easy != NULL)
		curl_easy_cleanup(t.easy);
	curl_slist_free_all(t.headers);
	buf_done(&t.body);
	return err;
}
