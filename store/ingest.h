/* ingest.h: what the parts of the ingest role share: configuration, the doors to lookup and stored, messages on their way. */
#ifndef CV_INGEST_H
#define CV_INGEST_H

#include <sys/types.h>

#include "directory/lookup_client.h"
#include "lib/spool.h"
#include "store/deliver_client.h"
#include "store/rcpt_cache.h"

/* Bytes of large messages this process holds in memory files at one time; past it, a message gets a temporary error. */
#define INGEST_LARGE_MAX (512ull * 1024 * 1024)

struct ingest {
	struct loop *loop;
	struct lookup_client *lookup;
	struct rcpt_cache *rcpts;
	struct deliver_client *store;
	const char *hostname;
	uint64_t size_max;   /* octets of a message */
	size_t rcpt_max;     /* recipients of a transaction */
	uint64_t timeout_ms; /* idle limit of an LMTP client */
	uint64_t retry_ms;   /* how long a delivery is tried again at a stored that restarts */
	bool texts;          /* the text of documents is wanted: store_texters */
	uint64_t large_used; /* of INGEST_LARGE_MAX */
	uint64_t n_clients, n_delivered, n_appended, n_failed; /* for congvu status */
};

/* ---- ingest_message.c ---- */

/* The bytes of a message that streams in: in memory while small, then in a memory file. */
struct ingest_body {
	struct ingest *in;
	struct spool *spool;
	uint64_t counted; /* of large_used */
};
void ingest_body_init(struct ingest_body *b, struct ingest *in);
/* 0; ERR_LIMIT past size_max, ERR_FULL past INGEST_LARGE_MAX, ERR_NOMEM. Latched. */
int ingest_body_append(struct ingest_body *b, const void *p, size_t n);
void ingest_body_done(struct ingest_body *b);

/* A message as stored takes it. */
struct ingest_message {
	struct deliver_message m;
	struct buf summary, envelope, refs;
};
/* Reads the body: digest, MIME tree, ENVELOPE, date. id: delivery id. b must live as long. 0, ERR_NOMEM, ERR_IO. Never fails
 * on content. Done with ingest_message_done in any case. */
int ingest_message_init(
    struct ingest_message *im, struct ingest_body *b, const unsigned char id[16]);
/* Fills m.same: what the server's copy of a sent message and the client's have in common when they are the same message, so that nothing else does: the
 * digest of all fields, in their order, but those that the server stamps or takes out (Received, Return-Path, Delivered-To, Sender, Importance,
 * Authentication-Results, X-Congvu-*), and of the octets behind the header. Only with a Message-ID. After ingest_message_init. */
void ingest_same(struct ingest_message *im, struct ingest_body *b);
void ingest_message_done(struct ingest_message *im);
/* Whether a message may have documents in it, by the tree of its summary; true where that cannot be read. */
bool ingest_tree_documents(struct slice tree);

/* ---- lmtp_server.c ---- */

/* Serves LMTP on a listening socket (inherited). */
struct lmtp_server;
/* peers: who may connect by SO_PEERCRED, root beside them (kept, not copied; at most a few); n_peers SIZE_MAX: no check (TCP). */
struct lmtp_server *lmtp_server_new(
    struct ingest *in, int listen_fd, unsigned max_clients, const uid_t *peers, size_t n_peers);
void lmtp_server_free(struct lmtp_server *s);

/* ---- ingest_rebuild.c ---- */

/* Makes summaries anew when stored asks for it (socket: "store.ingest.sock"). */
struct rebuild_worker;
struct rebuild_worker *rebuild_worker_new(struct ingest *in, const char *socket);
void rebuild_worker_free(struct rebuild_worker *w);

/* ---- ingest_text.c ---- */

/* Has documents read when stored asks for it (sockets: "store.ingest.sock", "text.ingest.sock"). */
struct text_worker;
struct text_worker *text_worker_new(
    struct ingest *in, const char *store_socket, const char *text_socket);
void text_worker_free(struct text_worker *w);

/* ---- ingest_text_old.c ---- */

/* Says which of the old mails that stored shows may have documents in them. */
struct text_old_worker;
struct text_old_worker *text_old_worker_new(struct ingest *in, const char *socket);
void text_old_worker_free(struct text_old_worker *w);

/* ---- append.c ---- */

/* Serves imapd's APPEND (peer IPC_IMAPD) or the imports of congvu (IPC_ADMIN). peer_uid as ipc_server_new. */
struct append_server;
struct append_server *append_server_new(
    struct ingest *in, int listen_fd, uint32_t peer, int64_t peer_uid);
void append_server_free(struct append_server *s);

#endif
