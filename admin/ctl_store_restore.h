/* ctl_store_restore.h: what the files of `congvu store restore` share: the backup folder, and congvu-stored-restore, which reads it. */
#ifndef CV_CTL_STORE_RESTORE_H
#define CV_CTL_STORE_RESTORE_H

#include <sys/types.h>

#include "admin/backup_dir.h"
#include "admin/ctl_store.h"

struct restore_job {
	struct ctl *c;
	const char *folder; /* of the backup */
	struct backup_dir d;
	int parent_fd,
	    place_fd; /* where the place will be, and the place under the name it has until then */
	char temp[300];
	uid_t uid;
	gid_t gid;
	unsigned mode; /* 0; 1: messages are checked; 2: single mailboxes are taken out */
	/* the role */
	pid_t pid;
	int stream_fd, result_fd;
	struct buf result;
	char file[64]; /* that an error speaks of */
	uint64_t octets;
};
/* Opens the backup. 0, or an exit code after a message. */
int restore_open(struct restore_job *j, struct ctl *c, const char *folder);
void restore_close(struct restore_job *j);
/* The user of the store, into uid and gid. 0 or ERR_NOTFOUND. */
int restore_user(struct restore_job *j);
/* A folder below parent_fd under a name of its own, with "segments" in it, of the store's user: place_fd, temp. 0, ERR_IO with errno. */
int restore_place(struct restore_job *j, const char *name);
/* Everything below a folder that was made here, and itself. */
void restore_remove(int dir_fd, const char *name, int depth);
/* Starts congvu-stored-restore in the place. */
int restore_role(struct restore_job *j);
/* Rows, changes and the end to it; the end only when both had the digests that the manifest names. ERR_CORRUPT; ERR_CLOSED: it ended. */
int restore_rows(struct restore_job *j);

/* ctl_store_restore_mailbox.c */
struct restore_mailbox_args {
	const char *mailbox, *into, *scratch;
	bool own_name, over_quota, dry;
};
int restore_mailbox(
    struct ctl *c, struct ipc_sync *s, const char *folder, const struct restore_mailbox_args *a);

#endif
