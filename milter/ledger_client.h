/* ledger_client.h: how smtpd and the milter reach the audit log. */
#ifndef CV_LEDGER_CLIENT_H
#define CV_LEDGER_CLIENT_H

#include "lib/ipc.h"

extern const struct ipc_proto ledger_proto;
enum ledger_msg {
#define IPC_MSG(name, number, from, states, max_len, fds) name = number,
#include "milter/ledger_proto.def"
#undef IPC_MSG
};

/* milter's threads: a JSON object; 0 once it is durable, with its sequence number. */
int ledger_record_sync(
    struct ipc_sync *s, struct slice json, unsigned timeout_ms, uint64_t *seq_out);

/* What is known of n certificates (at most CERT_ASK_MAX; enum cert_state of milter/cert_table.h), by their SHA-256. Does not wait for the disk. */
enum { CERT_ASK_MAX = 24 };
int ledger_cert_ask_sync(struct ipc_sync *s, const unsigned char (*sha256)[32], size_t n,
    unsigned timeout_ms, unsigned char *states_out);

enum { LEDGER_RCPTS_MAX = 1000 }; /* of one record */
struct ledger_rcpt {
	const char *address, *result, *detail;
};
struct ledger_outcome {
	const char *qid, *enhanced, *text, *from, *login, *client_ip;
	unsigned code;
	const struct ledger_rcpt *rcpts;
	size_t n_rcpts;
	bool later; /* relay's: LEDGER_DELIVERY */
};
/* smtpd: on the loop. More recipients than fit a record make several records with the same qid. fn(arg, err, seq of the last). An outcome that could not be told is logged by the caller; the mail goes on. */
typedef void (*ledger_outcome_fn)(void *arg, int err, uint64_t seq);
int ledger_outcome(struct ipc_client *c, const struct ledger_outcome *o, unsigned timeout_ms,
    ledger_outcome_fn fn, void *arg, uint32_t *call_out);
/* What officers are to hear of at once (LEDGER_ALERT); fn as above, may be NULL. rule: "P32"; all of them together below 8 KiB. */
struct ledger_alert {
	const char *rule, *qid, *login, *client_ip, *address;
};
int ledger_alert(struct ipc_client *c, const struct ledger_alert *a, unsigned timeout_ms,
    ledger_outcome_fn fn, void *arg, uint32_t *call_out);
/* fn is then not called; *call_out's value. Not ipc_cancel: there is memory to free. */
void ledger_outcome_cancel(struct ipc_client *c, uint32_t call);

#endif
