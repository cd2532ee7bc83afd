/* stored_run.h: starts a real congvu-stored-db in a folder of its own, for tests and benches. */
#ifndef CV_STORED_RUN_H
#define CV_STORED_RUN_H

#include <sys/types.h>

#include "directory/token.h"
#include "lib/loop.h"

struct stored_run {
	char dir[64]; /* the temporary folder: conf, sockets, "store" */
	pid_t pid;
	int imapd_fd, ingest_fd, admin_fd, lookup_fd; /* listening sockets */
	unsigned char key[32];
	char imapd_sock[96], ingest_sock[96], admin_sock[96], lookup_sock[96];
	const char *conf; /* further lines of congvu.conf, or NULL */
};
/* Makes the folder and the sockets; starts the program. 0 or -1. */
int stored_run_new(struct stored_run *r, const char *conf);
int stored_run_start(struct stored_run *r);
/* kill -9, or SIGTERM; waits for the end and gives its status. */
int stored_run_end(struct stored_run *r, int signo);
/* Ends it and removes the folder. */
void stored_run_done(struct stored_run *r);
/* A ticket; shares may be NULL. Appended to out. */
void stored_run_ticket(const struct stored_run *r, const char *account, uint64_t epoch,
    int64_t expires, const struct token_share *shares, size_t n, struct buf *out);

#endif
