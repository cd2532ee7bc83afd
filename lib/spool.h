/* spool.h: the bytes of one incoming message: in memory while they are few, then in a descriptor that the owner asks
 * somebody else for (a session has no files). Blocking writes to the page cache only; never synced here. */
#ifndef CV_SPOOL_H
#define CV_SPOOL_H

#include "lib/buf.h"

struct spool;

enum { SPOOL_MEM_MAX = 128 * 1024, SPOOL_SLACK = 1024 * 1024 };

/* mem_max: bytes kept in memory; total_max: most bytes at all. fatal() for no memory. */
struct spool *spool_new(size_t mem_max, uint64_t total_max);
void spool_free(struct spool *s); /* closes the descriptor; NULL accepted */

/* Appends. 0; ERR_LIMIT past total_max, or when SPOOL_SLACK more than mem_max came without a descriptor;
 * ERR_FULL, ERR_IO when the file cannot take it; ERR_NOMEM. An error stays. */
int spool_append(struct spool *s, const void *p, size_t n);
/* Whether more than mem_max is in memory and a descriptor is wanted: stop reading from the peer, ask for one. */
bool spool_need_fd(const struct spool *s);
/* Takes fd, an empty file open for reading and writing; what is in memory moves there. Errors as of spool_append. */
int spool_give_fd(struct spool *s, int fd);
/* The latched error, 0 when none. */
int spool_err(const struct spool *s);

uint64_t spool_size(const struct spool *s);
/* Up to len bytes from off; returns how many (fewer only at the end), or ERR_IO, ERR_CORRUPT (file shorter than told). */
int64_t spool_read(struct spool *s, uint64_t off, size_t len, void *out);
/* The whole content, valid until the next append or spool_free. 0, ERR_IO, ERR_NOMEM. */
int spool_map(struct spool *s, struct slice *whole_out);
/* The descriptor with everything written to it, -1 while the bytes are in memory (or on error: spool_err). Borrowed. */
int spool_fd(struct spool *s);

#endif
