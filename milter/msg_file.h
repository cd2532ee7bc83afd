/* msg_file.h: where the bytes of a message under way are: in a memory file, or on disk once all messages together have milter_memory_mb in
 * memory. In the milter alone; its threads call it. */
#ifndef CV_MSG_FILE_H
#define CV_MSG_FILE_H

#include "lib/buf.h"

struct msg_file {
	int fd;        /* -1: none */
	uint64_t size; /* octets in it */
	bool on_disk;
};
/* Still as root: the folder milter_spool_dir. Without it all stays in memory, which is a log line. */
void msg_file_init(void);
/* An empty one in memory. 0 or ERR_NOMEM. */
int msg_file_new(struct msg_file *f);
/* Appends. 0; ERR_FULL, ERR_IO: it cannot be kept. */
int msg_file_put(struct msg_file *f, const void *p, size_t n);
/* It is another one from now on: a memory file of that size, whose descriptor is taken. */
void msg_file_replace(struct msg_file *f, int fd, uint64_t size);
/* For the scanner, to be closed: a memory file that nobody changes any more. Only one on disk is copied: call it when the scanner's turn has
 * come. -1: no memory, or it cannot be read. */
int msg_file_sealed(struct msg_file *f);
void msg_file_done(struct msg_file *f);

#endif
