/* scram_server.h: the server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677): what a client sends, and what it is answered. Pure but for the nonce. */
#ifndef CV_SCRAM_SERVER_H
#define CV_SCRAM_SERVER_H

#include "directory/scram.h"

struct scram_server {
	struct buf gs2;   /* the header, as it was sent: "n,,", "p=tls-exporter,," */
	struct buf bare;  /* client-first-message-bare */
	struct buf first; /* server-first-message */
	struct buf nonce; /* of both */
	struct scram_value keys;
};
void scram_server_init(struct scram_server *s);
void scram_server_done(struct scram_server *s); /* wipes */
/* The client's first message. name and authzid (reset; empty: none was given) get what they stand for, unescaped and not prepared. 0, ERR_SYNTAX, ERR_LIMIT. */
int scram_server_first(
    struct scram_server *s, struct slice message, struct buf *name, struct buf *authzid);
/* The answer to it, appended: keys as the directory has them. ERR_SYNTAX: they are none of SCRAM-SHA-256. */
int scram_server_challenge(struct scram_server *s, struct slice value, struct buf *out);
/* The client's final message; binding: the data of the channel, empty when none was asked for. 0, and the server's signature appended; ERR_AUTH (another
 * password or another channel); ERR_SYNTAX. */
int scram_server_final(
    struct scram_server *s, struct slice message, struct slice binding, struct buf *out);

#endif
