/* token.h: tickets. lookup seals them after a login; stored and ingest's stored open them. AES-256-GCM under the key of
 * token_key_file, which only these roles get from their parents. A ticket names the account, what it may reach, until when, and the
 * epoch of the person. Pure. */
#ifndef CV_TOKEN_H
#define CV_TOKEN_H

#include "lib/buf.h"

#define TOKEN_MAX 48000
#define TOKEN_SHARES_MAX 200
struct token_share {
	char account[48];
	char rights[24]; /* RFC 4314 letters */
	char name[200];  /* the name below the Other Users namespace, UTF-8 */
	int64_t from,
	    until; /* seconds since 1970, when these rights hold; 0: no bound. One account may stand here several times */
};
struct token {
	char account[48];
	char login[256];
	char address[320];
	int64_t issued, expires; /* seconds since 1970 */
	uint64_t epoch;
	unsigned char state[32]; /* lookup's digest of what the person had when it was issued */
	struct token_share *
	    shares; /* one of the account itself, without a name: it has those rights alone, not all */
	size_t n_shares; /* at most TOKEN_SHARES_MAX */
};
/* key: 64 hex digits read from fd (whole file). 0 or ERR_SYNTAX, ERR_IO. */
int token_key_read(int fd, unsigned char key_out[32]);
int token_seal(const unsigned char key[32], const struct token *t, struct buf *out);
/* now: seconds since 1970. 0; ERR_DENIED (forged or changed); ERR_EXPIRED. *out is malloc'd: token_free. */
int token_open(const unsigned char key[32], struct slice sealed, int64_t now, struct token **out);
void token_free(struct token *t);

#endif
