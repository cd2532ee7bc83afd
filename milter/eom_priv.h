/* eom_priv.h: one message at its end, for cb_eom.c and eom_*.c alone: what is known of it so far, and who is asked about it. In milter's threads. */
#ifndef CV_EOM_PRIV_H
#define CV_EOM_PRIV_H

#include "milter/harvest.h"
#include "milter/judgement.h"
#include "milter/milter_priv.h"

#define EOM_TURN_MS 15000 /* most that a message waits for its turn: a slot, a scanner */
#define EOM_LEDGER_MS 8000
#define EOM_AUTHORS_ASKED 4

/* What is not about the mail but about us; the texts are in cb_eom.c. */
enum eom_trouble {
	T_DIRECTORY,
	T_SCAN,
	T_LEDGER,
	T_BUSY,
	T_POLICY,
	T_SIZE,
	T_FORGED,
	T_SIGN,
	T_CLAMD
};

struct eom {
	struct session *session;
	struct msg *msg;
	const char *qid;
	struct backend_slot *slot;
	struct arena *arena;
	struct rule_facts facts;
	struct findings findings;
	struct lookup_sender *senders[EOM_AUTHORS_ASKED];
	struct verdict verdict;
	struct buf origin;
	struct buf entry; /* of the register: to be entered when the mail goes on; empty: nothing */
	struct harvest certs;
	struct judgement judgement;
	struct gateway *gateway; /* NULL: nothing was to be signed here */
	bool judged, uninspected;
	const struct trouble *trouble;
	int trouble_err;
	uint64_t started_us;
};

/* cb_eom.c */
uint64_t eom_now_us(void); /* of a clock that nobody sets */
/* At most want milliseconds, within what is left for the whole. */
unsigned eom_within(const struct eom *e, unsigned want);
/* Notes why the mail cannot be judged now; gives err back. */
int eom_in_trouble(struct eom *e, enum eom_trouble which, int err);

/* eom_ask.c: each asks directory or ledger and puts the answer into e->facts. 0, or an error that stands in e->trouble. */
int eom_ask_directory(struct eom *e);    /* about each author */
int eom_ask_certificates(struct eom *e); /* M18, and what is new */
int eom_ask_signer(struct eom *e);       /* P09 */
int eom_ask_documents(struct eom *e);    /* P11, P19 */
int eom_ask_moved(struct eom *e);        /* P33 */
int eom_ask_groups(struct eom *e);       /* of the policy */
int eom_ask_register(struct eom *e);     /* P15 */
/* Enters the document that goes out, durably. 0, or the ledger's error; ERR_CONFLICT: another one has the number now. */
int eom_enter_document(struct eom *e, const struct outcome *o);

/* eom_scan.c: the same of those who look inside; answers are in e->findings. */
int eom_ask_scanner(struct eom *e);
int eom_ask_clamd(struct eom *e);

#endif
