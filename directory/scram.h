/* scram.h: SCRAM-SHA-256 keys as the directory keeps them (RFC 5802 3, RFC 5803, RFC 7677). Pure. */
#ifndef CV_SCRAM_H
#define CV_SCRAM_H

#include "lib/buf.h"

#define SCRAM_ITERATIONS 4096 /* RFC 7677 4: at least */
#define SCRAM_SALT_LEN 16

struct scram_keys {
	unsigned char stored[32], server[32];
};
/* Keys of a password that saslprep has prepared. */
void scram_derive(
    struct slice password, struct slice salt, unsigned iterations, struct scram_keys *k);
/* "SCRAM-SHA-256$4096:<salt>$<StoredKey>:<ServerKey>" appended (RFC 5803 2). */
int scram_format(
    struct slice salt, unsigned iterations, const struct scram_keys *k, struct buf *out);
/* Keys with a random salt for a password as typed: 0 or ERR_SYNTAX (saslprep). */
int scram_make(struct slice password, struct buf *out);
/* A value as scram_format gives it, taken apart. 0, ERR_SYNTAX. */
struct scram_value {
	unsigned char salt[128], stored[32], server[32];
	size_t salt_len;
	unsigned iterations;
};
int scram_value_parse(struct slice value, struct scram_value *out);
/* Whether value, SCRAM-SHA-256 as scram_format gives it, is of the password that saslprep has prepared; at most SCRAM_ITERATIONS_MAX
 * rounds are done for it. */
#define SCRAM_ITERATIONS_MAX 100000
bool scram_fits(struct slice value, struct slice password);
/* Well-formed keys that no password fits, the same for the same name and secret at every call: so that a name that is not
 * there looks as one that is. sha1: for SCRAM-SHA-1. */
int scram_decoy(const unsigned char secret[32], struct slice name, bool sha1, struct buf *out);

#endif
