/* queue_spool.h: large bodies as files, named by their delivery id, below spool/ of the queue's folder. For queue*.c alone. */
#ifndef CV_QUEUE_SPOOL_H
#define CV_QUEUE_SPOOL_H

#include "smtpd/envelope.h"

/* Makes and opens the folder; reserve: free space, octets, that is left on its disk. 0 or ERR_IO, ERR_FULL, ERR_DENIED. */
int qspool_init(uint64_t reserve);
/* An unnamed file, open for reading and writing; or an error. */
int qspool_tmpfile(void);
/* Makes the size bytes of fd (an unnamed file of ours, or any file) the durable body of id. It being there already is success. */
int qspool_keep(const struct delivery_id *id, int fd, uint64_t size);
/* A descriptor for reading, or ERR_NOTFOUND, ERR_IO. */
int qspool_open(const struct delivery_id *id);
void qspool_remove(const struct delivery_id *id);
/* Whether bytes more fit with something to spare. */
bool qspool_has_room(uint64_t bytes);
/* Removes files that known() does not know. */
void qspool_sweep(bool (*known)(void *arg, const struct delivery_id *id), void *arg);

#endif
