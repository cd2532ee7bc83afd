/* data.c: a message's octets from the client into the spool. Runs in smtpd-session. A message that is refused is still read
 * to its end. Large ones go to an unnamed file that smtpd-queue hands over; reading pauses until it is there. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/err.h"
#include "lib/log.h"

void
data_begin(struct client *c, bool dots)
{
	struct txn *t = c->t;

	smtp_data_init(&t->data, dots);
	t->spool = spool_new(SPOOL_MEM_MAX, smtpd.size_max);
}

static void
on_file(void *arg, int err, int fd)
{
	struct client *c = arg;
	struct txn *t = c->t;

	c->call = NULL;
	if (err == 0)
		err = spool_give_fd(t->spool, fd);
	if (err != 0) {
		log_msg(LOG_LVL_WARN, "spool", "%s: %s", t->qid, err_name(err));
		t->data_err = err == ERR_LIMIT ? err : err == ERR_FULL ? err : ERR_TEMP;
	}
	client_done(c);
}

/* What was read goes to the spool; waits when that needs its file. */
static void
keep(struct client *c)
{
	struct txn *t = c->t;

	if (t->data_err == 0 && t->data.fault == SMTP_DATA_OK && t->chunk.len > 0)
		t->data_err = spool_append(t->spool, t->chunk.data, t->chunk.len);
	buf_reset(&t->chunk);
	if (t->data_err != 0 || !spool_need_fd(t->spool))
		return;
	c->busy = true;
	c->call = queue_tmpfile(smtpd.queue, on_file, c);
	if (c->call == NULL)
		on_file(c, ERR_TEMP, -1);
}

static void
refuse(struct client *c, unsigned code, const char *enhanced, const char *text)
{
	struct log_line l;

	log_begin(&l, LOG_LVL_INFO, "message_refused");
	log_str(&l, "qid", c->t->qid);
	log_str(&l, "client", c->ip);
	log_str(&l, "from", c->t->from);
	log_u64(&l, "code", code);
	log_str(&l, "why", text);
	log_end(&l);
	reply(c, code, enhanced, "%s", text);
	txn_reset(c);
}

static void
refuse_fault(struct client *c, enum smtp_data_fault f)
{
	static const char *const texts[] = {
	    [SMTP_DATA_BARE_CR] = "A bare CR is in the message; lines end in CRLF",
	    [SMTP_DATA_BARE_LF] = "A bare LF is in the message; lines end in CRLF",
	    [SMTP_DATA_NUL] = "A NUL is in the message",
	    [SMTP_DATA_LONG_LINE] = "A line is longer than 65536 octets",
	    [SMTP_DATA_LONG_FIELD] = "A header field is longer than 60000 octets",
	    [SMTP_DATA_LONG_HEADER] = "The header is longer than 524288 octets",
	};

	refuse(c, 554, "5.6.0", texts[f]);
}

/* The message is whole. */
static void
ended(struct client *c)
{
	struct txn *t = c->t;

	t->in_data = t->in_bdat = false;
	buf_done(&t->chunk);
	if (t->refuse_code != 0) {
		reply_text(c, t->refuse_code, t->refuse_text, "Refused by policy");
		txn_reset(c);
	} else if (t->data.fault != SMTP_DATA_OK) {
		refuse_fault(c, t->data.fault);
	} else if (t->data_err == ERR_LIMIT) {
		refuse(c, 552, "5.3.4", "The message is too large");
	} else if (t->data_err == ERR_FULL) {
		refuse(c, 452, "4.3.1", "No room for the message now");
	} else if (t->data_err != 0) {
		refuse(c, 451, "4.3.0", "The message could not be kept; try again");
	} else if (!t->data.dots && !smtp_data_ends_clean(&t->data)) {
		refuse(c, 554, "5.6.0", "A message ends in CRLF");
	} else {
		c->busy = true;
		deliver_start(c);
	}
}

static void
chunk_done(struct client *c)
{
	struct txn *t = c->t;

	if (t->bdat_last) {
		ended(c);
		return;
	}
	t->in_bdat = false;
	reply(c, 250, "2.0.0", "%llu octets so far", (unsigned long long)spool_size(t->spool));
}

bool
data_input(struct client *c)
{
	struct txn *t = c->t;
	struct slice in = io_in(c->io);

	if (t->in_bdat && in.len > t->bdat_left)
		in.len = (size_t)t->bdat_left;
	size_t n = smtp_data_read(&t->data, in, &t->chunk);
	io_consume(c->io, n);
	pace_data(c->pace, n);
	if (t->in_bdat)
		t->bdat_left -= n;
	keep(c);
	/* the end may have come with what now waits for the file: looked at again after that */
	if (c->busy)
		return false;
	if (t->in_data && t->data.at_end)
		ended(c);
	else if (t->in_bdat && t->bdat_left == 0)
		chunk_done(c);
	else
		return n > 0;
	return true;
}
