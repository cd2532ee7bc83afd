/* backup_pull.h: from the store into a backup folder, piece by piece. Runs in congvu. What backup_pull_step does can be cut off anywhere: the folder keeps the
 * backup it had, and the next one goes on. */
#ifndef CV_BACKUP_PULL_H
#define CV_BACKUP_PULL_H

#include <signal.h>

#include "admin/backup_dir.h"
#include "lib/ipc.h"

struct backup_pull {
	struct ipc_sync *s;
	struct backup_dir *d;
	const char *folder;          /* as the store is told */
	volatile sig_atomic_t *stop; /* ERR_CANCELED when it is set */
	/* what was copied: octets */
	uint64_t rows, changes, segments;
	/* the state that the folder has now */
	int64_t moment_us; /* 0: none yet */
	uint64_t n_commits;
	bool at_folder; /* the error is the folder's, not the store's */
	char file[64];  /* that it speaks of */

	/* own */
	struct buf reply, ask;
	unsigned char epoch[EPOCH_LEN];
	uint64_t first, end;
	bool begun;
	struct backup_file set_journal, next_rows, next_journal;
	struct pulled_segment *open;
	size_t n_open;
	struct cut_file *cut;
	size_t n_cut;
	uint64_t turn;
	int64_t kept_ms;
};
/* s, d, folder, stop are borrowed. */
void backup_pull_init(struct backup_pull *p, struct ipc_sync *s, struct backup_dir *d,
    const char *folder, volatile sig_atomic_t *stop);
void backup_pull_done(struct backup_pull *p);
/* Brings the folder to the present state, or a piece nearer to its first one: *whole_out says which. 0; ERR_TEMP, ERR_CLOSED, ERR_TIMEOUT: the store does not
 * answer; ERR_GONE: begin anew (call it again); ERR_CORRUPT: p->file in the folder is damaged; ERR_CONFLICT: p->file is of another store;
 * ERR_FULL, ERR_IO: at_folder says where; ERR_CANCELED. */
int backup_pull_step(struct backup_pull *p, bool *whole_out);

#endif
