/* commands.h: one function for each IMAP command; cmd_<name>.c has it. Each answers in the end with cmd_ok, cmd_no, cmd_bad or cmd_err. */
#ifndef CV_IMAPD_COMMANDS_H
#define CV_IMAPD_COMMANDS_H

struct cmd;
void cmd_capability(struct cmd *m);
void cmd_noop(struct cmd *m);
void cmd_logout(struct cmd *m);
void cmd_id(struct cmd *m);
void cmd_starttls(struct cmd *m);
void cmd_authenticate(struct cmd *m);
void cmd_login(struct cmd *m);
void cmd_enable(struct cmd *m);
void cmd_namespace(struct cmd *m);
void cmd_myrights(struct cmd *m);
void cmd_getacl(struct cmd *m);
void cmd_listrights(struct cmd *m);
void cmd_setacl(struct cmd *m);
void cmd_deleteacl(struct cmd *m);
void cmd_select(struct cmd *m);
void cmd_examine(struct cmd *m);
void cmd_create(struct cmd *m);
void cmd_delete(struct cmd *m);
void cmd_rename(struct cmd *m);
void cmd_subscribe(struct cmd *m);
void cmd_unsubscribe(struct cmd *m);
void cmd_list(struct cmd *m);
void cmd_lsub(struct cmd *m);
void cmd_status(struct cmd *m);
void cmd_append(struct cmd *m);
void cmd_idle(struct cmd *m);
void cmd_check(struct cmd *m);
void cmd_close(struct cmd *m);
void cmd_unselect(struct cmd *m);
void cmd_expunge(struct cmd *m);
void cmd_search(struct cmd *m);
void cmd_sort(struct cmd *m);
void cmd_thread(struct cmd *m);
void cmd_fetch(struct cmd *m);
void cmd_store(struct cmd *m);
void cmd_compress(struct cmd *m);
void cmd_copy(struct cmd *m);
void cmd_getquota(struct cmd *m);
void cmd_getquotaroot(struct cmd *m);
void cmd_move(struct cmd *m);

#endif
