/* ctl_mailbox_import.h: what `congvu mailbox import` and `congvu store restore --mailbox` share: where messages go, what came of them, progress. */
#ifndef CV_CTL_MAILBOX_IMPORT_H
#define CV_CTL_MAILBOX_IMPORT_H

#include "admin/ctl.h"
#include "admin/import_send.h"

struct import_box { /* a mailbox of the report */
	char *name;
	uint64_t imported, there, refused;
};
struct import_run {
	struct ctl *c;
	struct ipc_sync *store; /* store.admin.sock */
	struct import_send *send;
	char *account;
	bool known; /* to the directory: then the account is made when it is new */
	bool dry;
	uint8_t how;
	const char *from;
	/* the mailbox that messages go to now */
	uint64_t mailbox;
	char *box;
	bool made; /* by import_run_box, just now */
	/* what came */
	uint64_t imported, there, refused, passed, keywords_lost, octets;
	struct import_box *boxes;
	size_t n_boxes;
	struct json *list; /* of those refused, the first ten thousand */
	int stop;          /* err that ended it */
	int told;          /* the exit status, when why it ended was told already; else 0 */
	/* progress: said by idle */
	uint64_t (*at)(void *arg);
	uint64_t (*total)(void *arg);
	bool in_octets;
	void *arg;
	uint64_t began_ms, told_ms;
	bool line_open;
};
/* k->c, how, dry, from are set. Connects: call with the run folder as the working folder. */
void import_run_begin(struct import_run *k);
/* The mailbox that the next messages go to, made when it is not there. 0; 1: it cannot be (told); ERR_TEMP: the store is away. */
int import_run_box(struct import_run *k, const char *name);
/* The id of a mailbox that is there. 0, ERR_NOTFOUND, ERR_TEMP, ... */
int import_run_find(struct import_run *k, const char *name, uint64_t *id_out);
/* As import_source's. */
int import_run_take(struct import_run *k, struct import_msg *m);
void import_run_refuse(struct import_run *k, const char *where, const char *why, int sys);
/* Waits for what is on its way, says what came of it, frees everything. The exit code. err: what the reading ended with. */
int import_run_end(struct import_run *k, int err);

#endif
