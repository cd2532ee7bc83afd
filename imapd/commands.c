/* commands.c: the table of IMAP commands: name, states, how it ends, who does it. Runs in imapd-session. RFC 3501 6, and the extensions
 * named in client_capabilities. */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/session.h"

#define ANY (CLIENT_NOTAUTH | CLIENT_AUTH | CLIENT_SELECTED)
#define IN (CLIENT_AUTH | CLIENT_SELECTED)
#define SEL CLIENT_SELECTED

static const struct command table[] = {
    {"CAPABILITY", ANY, 0, cmd_capability},
    {"NOOP", ANY, COMMAND_ASK, cmd_noop},
    {"LOGOUT", ANY, COMMAND_NO_SYNC, cmd_logout},
    {"ID", ANY, 0, cmd_id},
    {"GETQUOTA", IN, 0, cmd_getquota},
    {"GETQUOTAROOT", IN, 0, cmd_getquotaroot},
    {"COMPRESS", IN, COMMAND_NO_SYNC, cmd_compress},
    {"STARTTLS", CLIENT_NOTAUTH, COMMAND_NO_SYNC, cmd_starttls},
    {"AUTHENTICATE", CLIENT_NOTAUTH, COMMAND_NO_SYNC, cmd_authenticate},
    {"LOGIN", CLIENT_NOTAUTH, COMMAND_NO_SYNC, cmd_login},
    {"ENABLE", IN, 0, cmd_enable},
    {"NAMESPACE", IN, 0, cmd_namespace},
    {"MYRIGHTS", IN, 0, cmd_myrights},
    {"GETACL", IN, 0, cmd_getacl},
    {"LISTRIGHTS", IN, 0, cmd_listrights},
    {"SETACL", IN, 0, cmd_setacl},
    {"DELETEACL", IN, 0, cmd_deleteacl},
    {"SELECT", IN, COMMAND_NO_SYNC, cmd_select},
    {"EXAMINE", IN, COMMAND_NO_SYNC, cmd_examine},
    {"CREATE", IN, 0, cmd_create},
    {"DELETE", IN, 0, cmd_delete},
    {"RENAME", IN, 0, cmd_rename},
    {"SUBSCRIBE", IN, 0, cmd_subscribe},
    {"UNSUBSCRIBE", IN, 0, cmd_unsubscribe},
    {"LIST", IN, 0, cmd_list},
    {"LSUB", IN, 0, cmd_lsub},
    {"STATUS", IN, 0, cmd_status},
    {"APPEND", IN, COMMAND_ASK, cmd_append},
    {"IDLE", IN, 0, cmd_idle},
    {"CHECK", SEL, COMMAND_ASK, cmd_check},
    {"CLOSE", SEL, COMMAND_NO_SYNC, cmd_close},
    {"UNSELECT", SEL, COMMAND_NO_SYNC, cmd_unselect},
    {"EXPUNGE", SEL, COMMAND_UID | COMMAND_ASK, cmd_expunge},
    {"SEARCH", SEL, COMMAND_UID | COMMAND_NO_EXPUNGE | COMMAND_FRESH, cmd_search},
    {"SORT", SEL, COMMAND_UID | COMMAND_NO_EXPUNGE | COMMAND_FRESH, cmd_sort},
    {"THREAD", SEL, COMMAND_UID | COMMAND_NO_EXPUNGE | COMMAND_FRESH, cmd_thread},
    {"FETCH", SEL, COMMAND_UID | COMMAND_NO_EXPUNGE | COMMAND_FRESH, cmd_fetch},
    {"STORE", SEL, COMMAND_UID | COMMAND_NO_EXPUNGE | COMMAND_FRESH, cmd_store},
    {"COPY", SEL, COMMAND_UID | COMMAND_ASK | COMMAND_FRESH, cmd_copy},
    {"MOVE", SEL, COMMAND_UID | COMMAND_ASK | COMMAND_FRESH, cmd_move},
};

const struct command *
command_find(struct slice name)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (slice_caseeq_str(name, table[i].name))
			return &table[i];
	return NULL;
}
