/* ctl_mailbox.h: what the files of `congvu mailbox` share. A subcommand is one function in admin/ctl_mailbox_*.c and a row in
 * mailbox_commands.def. */
#ifndef CV_CTL_MAILBOX_H
#define CV_CTL_MAILBOX_H

#include "admin/ctl.h"
#include "lib/ipc.h"

/* The account that a USER of the command line means: an account's id ("p-000123", "f-..."), an address of a person or functional mailbox (also an
 * earlier one), a login name, a person's id. malloc'd in *account_out. *known_out: the directory knows them; else it is an account by its form
 * alone. 0 or a sysexit after a message. */
int mailbox_account(struct ctl *c, const char *user, char **account_out, bool *known_out);
/* store.admin.sock, with the run folder as the working folder from then on; NULL after a message, with the exit code in *code_out. */
/* Whether somebody in the directory has this account, mail or none. */
bool mailbox_in_directory(struct ctl *c, const char *account);
struct ipc_sync *mailbox_store(struct ctl *c, int *code_out);
/* The store does not answer, or says no. */
int mailbox_fail(const struct ctl *c, int err);
/* "2026-11-22" (local midnight; end: its last second) or "2026-11-22 08:30". 0 or ERR_SYNTAX. */
int mailbox_day(const char *text, bool end, int64_t *t_out);
/* Local time "2026-11-22 08:30"; "" for 0. Static. */
const char *mailbox_when(int64_t t);
/* A line of text from the store in exactly width columns and a space (one a character), cut where it is longer; width 0: whole. Without control
 * characters. */
void mailbox_column(struct slice text, int width);

/* Who does it, for the journals: the person who signed in to this machine (the kernel's login uid, which sudo and su do not change), else who
 * called sudo, else the user. Static. */
const char *ctl_actor(void);
/* By whose word: "login" (the kernel's login uid), "sudo" (SUDO_UID, where there is none), "uid" (neither). Static. */
const char *ctl_actor_known_by(void);
/* Whether who it is is known well enough for what only officers may: EX_OK, or EX_NOPERM, told and in the audit log as event denied ("quarantine_denied")
 * with what was asked. Not whether he is an officer: the server says that. */
int ctl_officer(struct ctl *c, const char *denied, const char *what);
/* Writes it into the audit log before it is done: event "store_...", who and what is in rec (taken). Call with the run folder as the working
 * folder. 0, or a sysexit after a message when the ledger is there and does not answer: then it must not be done. */
int ctl_audit_note(struct ctl *c, const char *event, struct json *rec);

#define MAILBOX_COMMAND(name, fn, usage) int fn(struct ctl *c, int argc, char **argv);
#include "admin/mailbox_commands.def"
#undef MAILBOX_COMMAND

#endif
