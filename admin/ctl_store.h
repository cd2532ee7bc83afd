/* ctl_store.h: what the files of `congvu store` share. For ctl_store*.c alone. A subcommand is one file admin/ctl_store_NAME.c with one function
 * store_NAME and a row in store_commands.def; one whose work is a task of stored (store/stored_task.h) makes its arguments and calls
 * store_task_run. */
#ifndef CV_CTL_STORE_H
#define CV_CTL_STORE_H

#include "admin/ctl.h"
#include "lib/ipc.h"
#include "store/store_proto.h"

/* How a kind of task is shown to people. With --json nothing of it is called but result, for its exit code. */
struct store_view {
	/* One finding, on standard output. NULL: findings are not shown. */
	void (*finding)(struct ctl *c, const struct json *finding);
	/* The end: prints what the task says ("result" of status, and its state) unless c->json; gives the exit code. Called for tasks that
	 * are done; failed and stopped ones are told by the frame. NULL: nothing is printed. */
	int (*result)(struct ctl *c, const struct json *status);
};
/* store.admin.sock, once ctl_store changed to the run folder. */
struct ipc_sync *store_admin_new(void);
/* The folder congvu was called in, for openat: paths on the command line are relative to it. */
int store_cwd(void);
/* Whether nobody listens on it: in the run folder. */
bool store_is_down(void);
/* The store does not answer, or says no. */
int store_fail(const struct ctl *c, int err, const char *why);
/* Starts a task with arguments (taken), and follows it unless detach (--detach: prints its number). Gives the exit code. With --json prints one value:
 * {"findings": [...], "task": {...}}. */
int store_task_run(struct ctl *c, struct ipc_sync *s, const char *kind, struct json *args,
    const struct store_view *view, bool detach);
/* Follows a task that runs or is over. */
int store_task_follow(
    struct ctl *c, struct ipc_sync *s, uint64_t id, const struct store_view *view);
/* The view of a kind; that of unknown ones prints JSON. From the table in ctl_store.c. */
const struct store_view *store_view_of(const char *kind);
/* A number of octets for people: "1.5 GiB". Static. */
const char *store_octets(int64_t n);
/* Prints which messages in the queue have the Message-ID. EX_OK when it was looked through and none has. (ctl_store_purge_queue.c) */
int store_purge_queue(const struct ctl *c, const char *message_id);
/* Text from the store without control characters. */
void store_print_clean(const char *text);

/* A backup folder could not be opened: what to do (ctl_store_backup.c). */
int store_backup_open_fail(struct ctl *c, const char *folder, int err);

extern const struct store_view store_view_check, store_view_rekey, store_view_collect,
    store_view_compact, store_view_stats, store_view_purge, store_view_repair, store_view_upgrade,
    store_view_rebuild, store_view_text;

#define STORE_COMMAND(name, fn, usage) \
	int fn(struct ctl *c, struct ipc_sync *s, int argc, char **argv);
#include "admin/store_commands.def"
#undef STORE_COMMAND

#endif
