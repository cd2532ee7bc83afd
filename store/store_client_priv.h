/* store_client_priv.h: for store_client*.c alone. */
#ifndef CV_STORE_CLIENT_PRIV_H
#define CV_STORE_CLIENT_PRIV_H

#include "store/store_client.h"
#include "store/store_proto.h"

/* A call until its completion: waiting for the session to be ready, or on the wire. */
struct store_call {
	struct store_call *next, **at; /* in the session's list */
	struct store_session *s;
	uint16_t type, want; /* request, reply (IPC_OK: no content) */
	struct buf payload;  /* kept while it may be sent again */
	bool repeat;         /* asking twice does no harm */
	bool sent;
	unsigned tries;
	uint32_t handle;
	uint64_t deadline;
	/* Reads the reply (err 0) and calls fn. Gives true when it wants to be sent again (the next page). */
	bool (*tell)(struct store_call *k, int err, struct ipc_reader *r);
	union {
		store_done_fn done;
		store_list_fn list;
		store_subs_fn subs;
		store_opened_fn opened;
		store_uids_fn uids;
		store_rows_fn rows;
		store_changes_fn changes;
		store_flags_fn flags;
		store_expunge_fn expunge;
		store_quota_fn quota;
		store_copy_fn copy;
		store_bytes_fn bytes;
		store_contents_fn contents;
		store_candidates_fn candidates;
		store_texts_fn texts;
	} fn;
	void *arg;
	struct buf pages; /* of LIST and LSUB */
	uint32_t n_items;
};

/* A call with the session number put; NULL never. */
struct store_call *store_call_new(struct store_session *s, uint16_t type, uint16_t want, void *arg,
    bool (*tell)(struct store_call *k, int err, struct ipc_reader *r));
/* Sends it or lets it wait. Takes k in any case. */
int store_call_go(struct store_call *k);
void store_session_watch(struct store_session *s, uint64_t mailbox, bool on);

#endif
