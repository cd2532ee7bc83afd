/* fetch_client.h: what is got by HTTP, HTTPS and LDAP URL (CRLs, OCSP answers, MTA-STS policies), through the fetch role. The only
 * door: its clients link no libcurl. Nothing that comes back is to be believed because it came: who uses a CRL or an OCSP answer
 * checks its signature and its times. */
#ifndef CV_FETCH_CLIENT_H
#define CV_FETCH_CLIENT_H

#include "lib/ipc.h"

extern const struct ipc_proto fetch_proto;
enum fetch_msg {
#define IPC_MSG(name, number, from, states, max_len, fds) name = number,
#include "directory/fetch_proto.def"
#undef IPC_MSG
};

enum {
	FETCH_URL_MAX = 2048,
	FETCH_BODY_MAX = 65536,     /* of a POST */
	FETCH_DEADLINE_MAX = 60000, /* milliseconds */
	FETCH_REDIRECTS_MAX = 5,
};

struct fetch_request {
	const char *
	    url; /* http, https, ldap, ldaps; an LDAP URL (RFC 4516) names one attribute, whose first value is the body */
	bool is_post;
	const char *content_type; /* of a POST: "application/ocsp-request" */
	struct slice body;
	uint32_t max_bytes;   /* of the answer; 0, or more than fetch_bytes_max: that */
	uint32_t deadline_ms; /* 0: FETCH_DEADLINE_MAX */
	uint32_t max_age_s;   /* a remembered answer up to this age will do; 0: it is asked anew */
	uint8_t
	    max_redirects; /* of a GET, to a permitted URL, never from https to http; RFC 8461 3.3 wants 0 */
};

enum fetch_from {
	FETCH_FROM_NET = 0,
	FETCH_FROM_MEMORY = 1, /* remembered, no older than max_age_s */
	FETCH_FROM_STALE = 2,  /* remembered, older: the origin does not answer now */
};
struct fetch_answer {
	unsigned status; /* HTTP; 200 for LDAP. Only 200 is remembered */
	enum fetch_from from;
	int64_t fetched;    /* when the origin gave it, seconds since 1970 */
	int64_t expires;    /* what Cache-Control or Expires say (RFC 9111); 0: nothing */
	char *content_type; /* "" when none */
	struct slice body;
};
void fetch_answer_free(struct fetch_answer *a); /* NULL accepted */

/* Errors of all calls: ERR_SYNTAX (no URL that this takes), ERR_DENIED (fetch_hosts, fetch_schemes or fetch_networks forbid it),
 * ERR_TEMP (the origin or fetch itself cannot be reached; an origin that failed is left alone for some seconds), ERR_TIMEOUT,
 * ERR_LIMIT (too large, too many redirects, too many waiting), ERR_NOTFOUND (LDAP: no such entry or value). */

/* Blocking, for the milter's threads: s is for "fetch.milter.sock" and one thread. *out is the caller's. */
int fetch_sync(struct ipc_sync *s, const struct fetch_request *r, struct fetch_answer **out);

/* On the loop. */
struct fetch_client;
struct fetch_client *fetch_client_new(struct loop *l, const char *socket, uint32_t self);
void fetch_client_free(struct fetch_client
	*c); /* callbacks of calls under way come with ERR_CANCELED; NULL accepted */
/* a is borrowed for the call, NULL when err is not 0. Never from within fetch_start. */
typedef void (*fetch_fn)(void *arg, int err, const struct fetch_answer *a);
/* 0, ERR_LIMIT, ERR_NOMEM, ERR_SYNTAX. *call_out (may be NULL) is for fetch_cancel. */
int fetch_start(struct fetch_client *c, const struct fetch_request *r, fetch_fn fn, void *arg,
    uint32_t *call_out);
/* fn of that call is not called any more. */
void fetch_cancel(struct fetch_client *c, uint32_t call);

/* The messages, for both ends. The parsed request's strings are malloc'd (fetch_request_done), its body is borrowed. */
int fetch_request_put(struct buf *b, const struct fetch_request *r);
int fetch_request_get(
    struct ipc_reader *r, struct fetch_request *out, char **url_out, char **type_out);
int fetch_answer_put(struct buf *b, const struct fetch_answer *a);
/* *len_out: bytes that come in the memory file. The body stays empty. */
int fetch_answer_get(struct ipc_reader *r, struct fetch_answer **out, uint32_t *len_out);

#endif
