/* auth.h: one SASL exchange (RFC 4422) as lookup runs it: PLAIN (RFC 4616), LOGIN, SCRAM-SHA-256 and -PLUS (RFC 5802,
 * RFC 7677), EXTERNAL, GSSAPI (RFC 4752). auth_sasl.c is the only includer of <sasl/...>. Steps block (they ask the directory): worker threads only; one thread at a
 * time for one exchange, any number for different ones. */
#ifndef CV_AUTH_H
#define CV_AUTH_H

#include "directory/people.h"

#define AUTH_STEP_MAX 8192 /* a client's response */

/* Where an exchange finds people: people.c in lookup, a table in tests. */
struct auth_source {
	/* As people_login and people_verify. */
	int (*find)(void *arg, struct slice name, const char *service, struct person **out);
	int (*verify)(void *arg, struct person *u, const char *service, struct slice password);
	/* Whose a client's certificate is, as cert_person; NULL: EXTERNAL is not offered. */
	int (*by_cert)(void *arg, struct slice der, struct person **out, char **name_out);
	/* Whose a Kerberos principal of our realm is, as people_principal; NULL: nobody's. */
	int (*by_principal)(void *arg, struct slice name, struct person **out);
	const char *hostname; /* of the services "imap/HOST" and "smtp/HOST"; NULL: none */
	void *arg;
	unsigned char secret[32]; /* for decoys: the same in all lookup processes */
	/* As people_admit and people_count_wrong. Either may be NULL. */
	int (*admit)(void *arg, const struct person *u, bool by_password);
	void (*count_wrong)(void *arg, const struct person *u);
	/* Asked before a password or a proof is looked at: false when there were too many wrong ones of late. u is NULL for a name that
	 * is not there. tried: what came of it. Either may be NULL. */
	bool (*may_try)(void *arg, const struct person *u, struct slice name, const char *ip);
	void (*tried)(
	    void *arg, const struct person *u, struct slice name, const char *ip, bool is_good);
};
/* Once a process, before threads and sandbox: loads the plugins of the mechanisms ("SCRAM-SHA-256", "PLAIN", …), and no other. s
 * is borrowed for the life of the process. 0; ERR_UNSUPPORTED: a mechanism there is no plugin for. */
int auth_init(const char *const *mechs, size_t n_mechs, const struct auth_source *s);

/* Whether a mechanism (without EXTERNAL) is one of them. */
bool auth_offers(const char *mech);

struct auth_params {
	const char *mech, *service, *client_ip;
	bool tls;
	struct slice binding_exporter, binding_endpoint; /* copied; empty when unknown */
	struct slice peer_cert;                          /* DER, copied; of use for EXTERNAL */
};
struct auth;
/* 0; ERR_UNSUPPORTED: not offered, a plain-text mechanism without TLS, or EXTERNAL without a certificate. */
int auth_new(const struct auth_params *p, struct auth **out);
void auth_free(struct auth *a); /* NULL accepted */

/* Who has that name (people_name_fold), so that the directory need not be asked, before the step that tells the name. u outlives a; a mechanism that takes
 * note of something in it takes a copy. */
void auth_offer(struct auth *a, const char *name, const struct person *u);

/* What was offered is not known to be so any more: the person is found anew, and a SCRAM exchange goes on if its keys are still that one's. u must live on as
 * before. */
void auth_withdraw(struct auth *a);

enum auth_result { AUTH_MORE, AUTH_OK, AUTH_FAILED };
/* The first step has has_initial and initial, later ones the response. MORE: challenge (reset first) is for the client. OK:
 * challenge is the final data, *has_final tells whether there is any. FAILED: *err_out is ERR_AUTH (also for a name that is not
 * there), ERR_DENIED, ERR_EXPIRED, ERR_MUST_CHANGE, ERR_LOCKED, ERR_LIMIT (too many wrong ones of late: not looked at), ERR_TEMP, ERR_SYNTAX, ERR_UNSUPPORTED (channel
 * binding). */
enum auth_result auth_start(struct auth *a, bool has_initial, struct slice initial,
    struct buf *challenge, bool *has_final, int *err_out);
enum auth_result auth_step(
    struct auth *a, struct slice response, struct buf *challenge, bool *has_final, int *err_out);
/* A wrong proof is counted by the directory, which blocks. After auth_count_late(a) that is left to auth_count_wrong, which is for a worker, whenever a step has
 * failed; it does nothing when there is nothing to count. */
void auth_count_late(struct auth *a);
void auth_count_wrong(struct auth *a);
/* Whether the next step asks nobody anything, when it is given this message: SCRAM with a person who was offered. */
bool auth_is_quick(const struct auth *a);
/* Whether the next message from the client is the one that has its name: never twice in an exchange, and never the message of a password alone. */
bool auth_name_is_next(const struct auth *a);
/* After OK: the person. Borrowed. */
const struct person *auth_person(const struct auth *a);
/* "imap" or "smtp", as it was begun. */
const char *auth_service(const struct auth *a);
/* The name given, for the log; "" before it is known. Borrowed. */
const char *auth_name(const struct auth *a);

#endif
