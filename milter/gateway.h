/* gateway.h: signing for a functional mailbox: the message becomes multipart/signed before it is judged. */
#ifndef CV_GATEWAY_H
#define CV_GATEWAY_H

#include "milter/milter_priv.h"

struct gateway {
	bool
	    done; /* the message was signed: msg->fd holds the new one, and what follows is what the MTA is to change */
	const char *
	    refused; /* why it was left as it is although the mailbox has a key; static, NULL: it was not */
	char type[200]; /* the body of the new Content-Type */
	bool had_type,
	    add_version; /* Content-Type is replaced rather than added; MIME-Version is added */
	char *drop[16];  /* names of content fields that go, each there once (malloc'd) */
	size_t n_drop;
	uint64_t body_off; /* in msg->fd */
	char entity_sha256[65];
};
/* Whether the mailbox (normalized address) has a row in gateway_sign. */
bool gateway_has(struct slice address);
/* Signs m for address. 0 also when it was refused; ERR_*: it could not be done now. */
int gateway_sign(struct msg *m, struct ipc_sync *sign, struct slice address, const char *qid,
    unsigned timeout_ms, struct gateway *out);
void gateway_done(struct gateway *g);

#endif
