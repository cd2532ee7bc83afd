/* refused.c: a sender refused at MAIL by rule P28, where there is no message yet: a record in the audit log with a ticket of its own, which the reply names.
 * Runs in smtpd-session. Who is signed in could write as many as commands fit a line: so a process makes RECORDS_BURST at once and then one in
 * RECORD_MS, and each tells how many were left out before it; the log has a line for every one. A ticket is named only when the log has its record. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/addr.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RECORDS_BURST = 20, RECORD_MS = 6000, LEDGER_MS = 2000 };

static uint64_t tokens_ms, last_ms; /* RECORD_MS each */
static uint64_t left_out;

static bool
may_record(void)
{
	uint64_t now = loop_now_ms(smtpd.loop), most = (uint64_t)RECORDS_BURST * RECORD_MS;

	tokens_ms = last_ms == 0 ? most : tokens_ms + (now - last_ms);
	last_ms = now;
	if (tokens_ms > most)
		tokens_ms = most;
	if (tokens_ms < RECORD_MS)
		return false;
	tokens_ms -= RECORD_MS;
	return true;
}

/* As the queue's ids are made: the time, and a byte beside it. No message ever bears it. */
static void
make_ticket(char out[QID_LEN + 1])
{
	struct delivery_id id;
	struct timespec ts;
	uint64_t us;

	clock_gettime(CLOCK_REALTIME, &ts);
	us = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	memset(&id, 0, sizeof(id));
	for (int i = 0; i < 7; i++)
		id.b[i] = (unsigned char)(us >> (48 - 8 * i));
	random_bytes(id.b + 7, 1);
	delivery_id_qid(&id, out);
}

static void
say(struct client *c, bool recorded)
{
	const char *ticket = recorded ? c->t->qid : "";
	struct log_line l;

	log_begin(&l, LOG_LVL_WARN, "sender_refused");
	log_str(&l, "client", c->ip);
	log_str(&l, "login", c->login != NULL ? c->login->login : NULL);
	log_str(&l, "from", c->t->from);
	log_str(&l, "qid", recorded ? ticket : NULL);
	log_end(&l);
	reply(c, 550, "5.7.1",
	    "P28: Không có quyền gửi thay địa chỉ này. / No right to send as this address: "
	    "<%.250s>%s%s%s",
	    c->t->from, recorded ? " [ticket " : "", ticket, recorded ? "]" : "");
	txn_reset(c);
	client_done(c);
}

static void
on_recorded(void *arg, int err, uint64_t seq)
{
	struct ask *k = arg;
	struct client *c = k->c;

	(void)seq;
	free(k);
	if (err != 0)
		log_msg(LOG_LVL_WARN, "refusal_not_recorded", "%s", err_name(err));
	if (c == NULL)
		return;
	c->ask = NULL;
	say(c, err == 0);
}

void
refuse_sender(struct client *c)
{
	struct buf text;

	c->busy = true;
	if (!may_record()) {
		left_out++;
		say(c, false);
		return;
	}
	make_ticket(c->t->qid);
	buf_init(&text, 1024);
	buf_append_str(&text, "5.7.1 P28: No right to send as this address");
	if (left_out > 0)
		buf_appendf(&text, " (%llu more were not recorded before this one)",
		    (unsigned long long)left_out);
	struct ledger_outcome o = {.qid = c->t->qid,
	    .code = 550,
	    .enhanced = "5.7.1",
	    .text = buf_cstr(&text),
	    .from = c->t->from,
	    .client_ip = c->ip,
	    .login = c->login != NULL ? c->login->login : ""};
	c->ask = xcalloc(1, sizeof(*c->ask));
	c->ask->c = c;
	if (ledger_outcome(smtpd.ledger, &o, LEDGER_MS, on_recorded, c->ask, NULL) != 0)
		on_recorded(c->ask, ERR_TEMP, 0);
	else
		left_out = 0;
	buf_done(&text);
}

const char *
foreign_sender(const struct client *c, const struct msg *m, struct arena *a)
{
	static const char *const names[] = {"From", "Sender"};
	const struct msg_field *f;
	struct addr *list;

	if (c->port == PORT_JUDGE) /* looked at when it was submitted */
		return NULL;
	for (size_t n = 0; n < 2; n++)
		for (size_t i = 0; (f = msg_find(m, names[n], i)) != NULL; i++) {
			if (addr_list_parse(f->value, 100, a, &list, NULL) != 0)
				return "?";
			for (; list != NULL; list = list->next) {
				if (list->kind != ADDR_MAILBOX)
					continue;
				const char *text = arena_printf(a, "%.*s@%.*s",
				    (int)list->local.len, (const char *)list->local.ptr,
				    (int)list->domain.len, (const char *)list->domain.ptr);
				if (text == NULL || !client_may_send_as(c, slice_str(text), NULL))
					return text == NULL ? "?" : text;
			}
		}
	return NULL;
}
