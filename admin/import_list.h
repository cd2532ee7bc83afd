/* import_list.h: what lies in folders that somebody else writes, in order and in bounded memory: as many names at a time as fit, the next ones by reading
 * the folder again. Used by congvu mailbox import. */
#ifndef CV_IMPORT_LIST_H
#define CV_IMPORT_LIST_H

#include "lib/buf.h"

enum { IMPORT_LIST_MAX = 100000 };

struct import_entry {
	uint64_t key; /* first in order; then the name up to base octets */
	char *name;
	size_t base;
	unsigned dir; /* which of the folders it was in */
};
struct import_list {
	size_t max; /* entries at a time */
	struct import_entry *v;
	size_t n, alloc;
	bool full; /* there may be more behind the last one */
	struct import_entry
	    after; /* the last one of the list before; name NULL: from the beginning */
};
void import_list_init(struct import_list *l, size_t max);
void import_list_done(struct import_list *l);
/* The next ones of the folders fds (a negative one is left out), ascending, no two with the same key and base (what is renamed while it is read may be met
 * twice). take judges each name and sets key and base (which begin as 0 and the whole name). n 0: the end. 0, ERR_IO. */
int import_list_next(struct import_list *l, const int *fds, unsigned n_fds,
    bool (*take)(void *arg, const char *name, uint64_t *key, size_t *base), void *arg);
/* How many names take takes. */
uint64_t import_list_count(const int *fds, unsigned n_fds,
    bool (*take)(void *arg, const char *name, uint64_t *key, size_t *base), void *arg);

#endif
