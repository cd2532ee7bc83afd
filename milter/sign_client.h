/* sign_client.h: how milter-ledger and the milter reach milter-sign. */
#ifndef CV_SIGN_CLIENT_H
#define CV_SIGN_CLIENT_H

#include "lib/ipc.h"

extern const struct ipc_proto sign_proto;
enum sign_msg {
#define IPC_MSG(name, number, from, states, max_len, fds) name = number,
#include "milter/sign_proto.def"
#undef IPC_MSG
};

/* What milter-sign gave; the slices are borrowed for the call. */
struct sign_checkpoint {
	struct slice text, signature, key_id;
};
/* milter-ledger: on the loop. fn(arg, 0, what was signed), or an error: ERR_CONFLICT when milter-sign refused it, ERR_NOTFOUND when it has no
 * key, others when it is not there; then what is NULL. 0, or ipc_call's error. */
typedef void (*sign_checkpoint_fn)(void *arg, int err, const struct sign_checkpoint *what);
int sign_checkpoint(struct ipc_client *c, uint64_t seq, const char *h, unsigned timeout_ms,
    sign_checkpoint_fn fn, void *arg);

/* milter's threads: the CMS SignedData over an entity with this digest, appended to cms_out. 0, ERR_NOTFOUND, or what went wrong. */
struct sign_mail {
	struct slice address, qid, login;
	unsigned char digest[32]; /* SHA-256 */
};
int sign_mail_sync(
    struct ipc_sync *s, const struct sign_mail *what, unsigned timeout_ms, struct buf *cms_out);

#endif
