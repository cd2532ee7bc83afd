/* rw.h: writing all of it, at a place of a file. */
#ifndef CV_RW_H
#define CV_RW_H

#include <stddef.h>
#include <stdint.h>

/* Writes n octets from off on, however many calls that takes. 0, ERR_FULL (also when nothing was written), ERR_IO: some of it may be there. */
int rw_write_at(int fd, const void *p, size_t n, uint64_t off);

#endif
