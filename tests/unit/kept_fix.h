/* kept_fix.h: what the tests of retained mail share: a real congvu-stored-db, driven as imapd, as ingest and as congvu do it, one call after the
 * other. */
#ifndef CV_KEPT_FIX_H
#define CV_KEPT_FIX_H

#include "lib/ipc.h"
#include "store/deliver_client.h"
#include "store/kept.h"
#include "store/store_client.h"
#include "tests/unit/stored_run.h"

enum { FIX_ROWS = 3000 };
struct fix_box { /* as sessions see it */
	uint64_t id, modseq, size, deleted_size;
	char name[100];
	uint32_t uidvalidity, uidnext, messages, unseen, deleted;
};
struct fix_kept { /* a mailbox with retained mail, as congvu sees it */
	uint64_t id, octets;
	char name[100], by[60];
	int64_t deleted_at;
	uint32_t messages, kept;
};
struct fix_row {               /* a message there, or retained */
	uint64_t modseq, body; /* retained: of the removal; 0: of a deleted mailbox */
	int64_t at;
	char by[60], keywords[60];
	struct msg_row row; /* numbers only */
};
struct fix {
	struct loop *l;
	struct stored_run run;
	struct store_client *imap;
	struct deliver_client *ingest;
	struct ipc_sync *admin;
	bool done;
	int err;
	struct fix_box boxes[200];
	size_t n_boxes;
	struct fix_kept kept[200];
	size_t n_kept;
	bool held;
	struct fix_row rows[FIX_ROWS];
	size_t n_rows;
	uint32_t src[FIX_ROWS], dst[FIX_ROWS]; /* of a copy, a move, an undelete; expunged: src */
	size_t n;
	char to[100];
	uint32_t uid, next, uidvalidity;
	unsigned events;
};
extern struct fix *X;

int fix_new(const char *conf);
void fix_free(void);
/* Ends stored (SIGKILL or SIGTERM) and starts it again, its clock so many seconds ahead. */
void fix_restart(int signo, int64_t ahead);
struct store_session *fix_login(const char *account, const char *login);
struct store_session *fix_login_share(const char *account, const char *login, const char *share);
/* All calls wait, and X->err tells. */
void fix_deliver(const char *id, const char *account, const char *mailbox, const char *text);
void fix_append(const char *account, uint64_t mailbox, uint32_t flags, const char *text);
struct fix_box *fix_box(struct store_session *s, const char *name); /* NULL: none */
uint64_t fix_id(struct store_session *s, const char *name);
void fix_flags(struct store_session *s, uint64_t m, const uint32_t *uids, size_t n,
    enum store_op op, uint32_t flags, const char *keywords);
void fix_expunge(struct store_session *s, uint64_t m, const uint32_t *uids, size_t n, bool deleted);
void fix_copy(
    struct store_session *s, uint64_t m, const uint32_t *uids, size_t n, uint64_t to, bool move);
void fix_rows(struct store_session *s, uint64_t m); /* all, into X->rows */
void fix_create(struct store_session *s, const char *name);
void fix_delete(struct store_session *s, uint64_t m);
void fix_rename(struct store_session *s, uint64_t m, const char *name);
void fix_open(struct store_session *s, uint64_t m);
void fix_spin(unsigned ms);
/* congvu: */
void fix_kept_boxes(const char *account);
/* Waits until nothing is kept of the account any more (X->n_kept 0), 20 s at most: it goes behind the answers. */
void fix_kept_gone(const char *account);
void fix_kept_rows(const char *account, uint64_t m, bool messages);
/* Those in X->rows [from, from + n), sorted by UID. */
void fix_restore(const char *account, uint64_t m, bool messages, const char *to, size_t from,
    size_t n, bool wait);
struct fix_kept *fix_kept(const char *account, const char *name); /* of the boxes; NULL: none */
struct fix_hold {
	char account[60], decision[100], by[60], reason[100], release_decision[100],
	    released_by[60];
	uint64_t number;
	bool in_force;
	int64_t at, until, released_at;
};
/* STORE_HOLD; what came is in holds, at most max. Gives how many. */
size_t fix_hold(unsigned what, const char *account, int64_t until, const char *decision,
    const char *of, struct fix_hold *holds, size_t max);
/* A task from its start to its end: its findings as lines, and its status; both empty when it was refused (X->err). Static. */
struct fix_task {
	char findings[200000], status[20000];
	char why[300]; /* of a refusal, or of a failure */
};
const struct fix_task *fix_task(const char *kind, const char *args);
int fix_ask(uint16_t type, struct buf *ask, uint16_t *type_out, struct buf *reply);

#endif
