/* dir_ldap_priv.h: what the dir_ldap*.c share: a struct dir with its connections. They are the one wrapper of libldap. */
#ifndef CV_DIR_LDAP_PRIV_H
#define CV_DIR_LDAP_PRIV_H

#include "directory/dir.h"

#include <pthread.h>
#include <sys/time.h>

struct ldap;
struct ldap_conncb;
struct link {
	struct ldap *ld;
	size_t uri;
	uint64_t since;
	bool is_fresh; /* opened for the operation under way */
	unsigned
	    n_connects; /* libldap's own: one, and it was bound; with a second one nobody is signed in any more */
	struct ldap_conncb *watch;
	struct link *next;
};
struct pool {
	struct link *idle;
	unsigned n_idle;
};
struct dir {
	char **uris;
	uint64_t *down_until; /* until then it is passed over */
	uint64_t *probe_at;
	bool *is_probed; /* somebody tries all the same */
	size_t n_uris;
	bool starttls;
	char *base, *bind_dn;
	struct buf password;
	unsigned timeout_ms, pool_max;
	bool is_text_only; /* dir_text_only */
	char *bytes_attrs[DIR_BYTES_ATTRS_MAX];
	size_t n_bytes_attrs;
	int transactions; /* whether the server has them: 0: not asked yet, 1: yes, -1: no */
	bool
	    is_told; /* the caller tells why there is no connection: dir_sign_in, before there are threads */
	_Atomic size_t watched; /* the server of dir_watch; n_uris: none */
	_Atomic uint64_t n_elsewhere;
	pthread_mutex_t lock; /* pools, down_until, is_probed */
	struct pool service, verify;
};

uint64_t dir_now_ms(void); /* monotonic */
struct timeval dir_timeval(const struct dir *d);

/* A new connection, bound as the service, to the first server that answers. LDAP result code. */
int dir_link_open(struct dir *d, struct link **out);
void dir_link_close(struct link *l); /* NULL accepted */
/* Takes a waiting connection, or opens one to the first server that answers. LDAP result code. */
int dir_link_get(struct dir *d, bool as_service, struct link **out);
/* Gives a connection back after an operation that ended with rc. started: when the operation began. as_reader: it may be tried
 * again elsewhere. */
void dir_link_put(
    struct dir *d, bool as_service, bool as_reader, struct link *l, int rc, uint64_t started);
/* Whether the server gave an answer that another one would give too: everything else is tried at the next. */
bool dir_rc_is_answer(int rc);
/* The connection itself is no good any more. */
bool dir_rc_is_link_trouble(int rc);
/* The result of a search on l: rc, or LDAP_SERVER_DOWN when libldap made a new connection for it, on which nobody was signed in: what
 * nobody may see is not what is not there. */
int dir_link_rc(const struct link *l, int rc);

/* One search, tried again on a fresh connection when the old one was dead, and on the next server. LDAP result code; *err_out: of copying what was found. */
int dir_search_rc(struct dir *d, const char *base, int scope, const char *filter,
    const char *const *attrs, int limit, struct dir_result **out, int *err_out);

struct ldapmsg;
/* The entry of a search's answer. 0, ERR_NOMEM, ERR_TEMP (also for a name with a NUL, which is no DN); what it has so far is dir_result_free's. */
int dir_entry_copy(const struct dir *d, struct ldap *ld, struct ldapmsg *m, struct dir_entry *e);

#endif
