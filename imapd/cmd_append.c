/* cmd_append.c: APPEND. Runs in imapd-session. RFC 3501 6.3.11, RFC 3502 (MULTIAPPEND), RFC 4315 (APPENDUID), RFC 7888.
 * Several messages of one command become one batch of the store: all or none.
 * The message streams to ingest as it comes and is never whole here. What a client sends without being asked (LITERAL+) is taken to its end
 * even when it is refused, so that the stream stays in step. */
#include "config.h"

#include "imapd/commands.h"

#include <stdlib.h>
#include <time.h>

#include "imapd/session.h"
#include "lib/crypto.h"
#include "lib/date.h"
#include "lib/err.h"

#define STALL_MS 300000               /* no octet of the message for so long */
#define MESSAGES_MAX 1000             /* of one command */
#define DRAIN_MAX ((uint64_t)1 << 30) /* taken and thrown away, at most */

struct append {
	struct slice mailbox, keywords;
	uint32_t flags;
	int64_t date;
	int zone;
	struct ingest_append *to; /* NULL: refused or over */
	uint64_t left;
	int err;             /* ingest's answer */
	const char *refusal; /* "NO [TRYCREATE] …": the answer when the octets are gone */
	bool utf8;           /* "UTF8 (" stands before the message, ")" comes behind it */
	bool ended;          /* ingest has it all */
	bool answered;       /* ingest answered */
	/* MULTIAPPEND */
	unsigned char group[16];
	uint32_t index; /* of the message under way */
	uint64_t box;   /* the mailbox's number */
	uint64_t names; /* store_names() before it was looked up */
	bool
	    next_waits; /* ingest takes a part; then the next message, whose options stand in m->args */
	uint32_t uidvalidity, uid;
};

static void
append_cleanup(struct cmd *m)
{
	struct append *st = m->state;
	ingest_append_abort(st->to);
}

static void
append_answer(struct cmd *m)
{
	struct append *st = m->state;
	if (st->refusal != NULL && slice_starts(slice_str(st->refusal), "BAD "))
		cmd_bad(m, "%s", st->refusal + 4);
	else if (st->refusal != NULL)
		cmd_no(m, "%s", st->refusal + 3);
	else if (st->err == ERR_NOTFOUND || st->err == ERR_GONE)
		cmd_no(m, "[TRYCREATE] No such mailbox");
	else if (st->err == ERR_SYNTAX && m->literal8) /* RFC 3516 4.4: NUL is not kept */
		cmd_no(m, "[UNKNOWN-CTE] Messages with NUL octets cannot be kept");
	else if (st->err)
		cmd_err(m, st->err);
	else if (st->index > 0)
		cmd_ok(m, "[APPENDUID %u %u:%u] Appended", st->uidvalidity, st->uid,
		    st->uid + st->index);
	else
		cmd_ok(m, "[APPENDUID %u %u] Appended", st->uidvalidity, st->uid);
}

static void append_take(struct cmd *m);
static void append_next(struct cmd *m);

/* The message is over, and the store may have it. */
static void
append_finish(struct cmd *m, bool more)
{
	struct append *st = m->state;
	st->ended = !more;
	st->next_waits = more;
	if (more && st->index == 0)
		random_bytes(st->group, sizeof(st->group));
	int err = st->index > 0 || more
		      ? ingest_append_end_part(st->to, st->group, st->index, !more)
		      : ingest_append_end(st->to);
	if (err && err != ERR_CLOSED) {
		ingest_append_abort(st->to);
		st->to = NULL;
		st->err = ERR_TEMP;
		if (more)
			append_next(m);
		else
			append_answer(m);
	}
}

/* RFC 3502: SP [flags] [date] literal, behind a message. false: it is nothing of the kind. */
static bool
take_next(struct cmd *m, struct slice line)
{
	struct append *st = m->state;
	size_t at;
	if (st->utf8 && slice_starts(line, ")"))
		line = slice_from(line, 1);
	if (!slice_starts(line, " ") ||
	    !imap_parse_literal(line, &at, &m->literal_size, &m->literal_sync, &m->literal8))
		return false;
	m->args = imap_cur_of(arena_slice(m->a, slice_sub(line, 0, at)));
	return m->args.rest.ptr != NULL;
}

static void
append_tail(struct cmd *m, struct slice line)
{
	struct append *st = m->state;
	bool more = !slice_eq_str(line, st->utf8 ? ")" : "") && take_next(m, line);
	m->on_line = NULL;
	m->on_timer = NULL;
	if (!more && st->refusal == NULL && !slice_eq_str(line, st->utf8 ? ")" : "")) {
		st->refusal = "BAD Wrong arguments for APPEND";
		ingest_append_abort(st->to);
		st->to = NULL;
	}
	if (st->to != NULL)
		append_finish(m, more);
	else if (more)
		append_next(m); /* it comes all the same */
	else
		append_answer(m);
}

static bool
append_input(struct cmd *m)
{
	struct append *st = m->state;
	struct client *c = m->c;
	struct slice in = io_in(c->io);
	size_t n = in.len < st->left ? in.len : (size_t)st->left;
	if (n > 65536)
		n = 65536;
	if (n == 0 && st->left > 0)
		return false;
	if (n > 0 && st->to != NULL) {
		int err = ingest_append_write(st->to, in.ptr, n);
		if (err == ERR_AGAIN)
			return false;
		/* ERR_CLOSED: ingest's answer comes; the octets go nowhere. */
	}
	if (n > 0) {
		io_consume(c->io, n);
		st->left -= n;
		loop_timer_set(c->timer, STALL_MS);
	}
	if (st->left == 0) {
		m->on_input = NULL;
		m->on_line = append_tail;
		imap_parse_want_line(&c->parse, 8192);
	}
	return true;
}

static void
append_stalled(struct cmd *m)
{
	client_bye(m->c, "The message did not come", "append_stalled");
}

/* The octets come: to ingest or to nowhere. */
static void
append_take(struct cmd *m)
{
	m->on_input = append_input;
	m->on_timer = append_stalled;
	loop_timer_set(m->c->timer, STALL_MS);
	client_pump(m->c);
}

static void
append_refuse(struct cmd *m, const char *refusal)
{
	struct append *st = m->state;
	st->refusal = refusal;
	if (m->literal_sync) /* it was not asked for, so it does not come */
		append_answer(m);
	else if (m->literal_size > DRAIN_MAX)
		client_bye(m->c, "Message too large", "append_too_large");
	else
		append_take(m);
}

static void
append_drained(void *arg)
{
	struct cmd *m = arg;
	client_pump(m->c);
}

static void
append_done(void *arg, int err, uint32_t uidvalidity, uint32_t uid)
{
	struct cmd *m = arg;
	struct append *st = m->state;
	st->to = NULL;
	st->err = err;
	st->uidvalidity = uidvalidity;
	st->uid = uid;
	if (st->next_waits) {
		st->next_waits = false;
		append_next(m);
		return;
	}
	if (st->ended) {
		append_answer(m);
		return;
	}
	if (err == 0)
		st->err = ERR_PROTO; /* not the whole of it was sent */
	client_pump(m->c);           /* what still comes is thrown away */
}

/* Behind the mailbox: [SP flags] [SP date] SP, up to the literal. */
static bool
read_options(struct cmd *m, struct append *st)
{
	struct imap_cur *cur = &m->args;
	st->date = time(NULL);
	st->zone = date_local_zone(st->date);
	st->keywords = slice_of("", 0);
	st->flags = 0;
	if (!imap_cur_sp(cur))
		return false;
	if (imap_cur_peek(cur, '(') &&
	    (!imap_cur_flags(cur, m->a, false, &st->flags, &st->keywords) || !imap_cur_sp(cur)))
		return false;
	if (imap_cur_peek(cur, '"') &&
	    (!imap_cur_date_time(cur, &st->date, &st->zone) || !imap_cur_sp(cur)))
		return false;
	/* RFC 6855 4: UTF8 (~{n}…). What 8-bit there is in a header is kept as it came, with this or without it: refusing the latter, as the RFC
	 * has it, would lose old mail on its way here, and the sent mail of clients that know nothing of it. */
	struct imap_cur probe = *cur;
	struct slice word;
	st->utf8 = imap_cur_atom(&probe, &word) && slice_caseeq_str(word, "UTF8") &&
		   imap_cur_sp(&probe) && imap_cur_char(&probe, '(') && m->literal8;
	if (st->utf8)
		*cur = probe;
	return imap_cur_end(cur) && (m->literal8 || !st->utf8);
}

/* The message whose literal was announced, into the mailbox that was found. */
static void
append_start(struct cmd *m)
{
	struct append *st = m->state;
	struct ingest_append_params p = {
	    .ticket = buf_slice(&m->c->ticket),
	    .mailbox = st->box,
	    .flags = st->flags,
	    .keywords = st->keywords,
	    .internal_date = st->date,
	    .internal_zone = (int16_t)st->zone,
	    .size = m->literal_size,
	};
	st->left = m->literal_size;
	st->to = ingest_append_start(m->c->d->ingest, &p, append_drained, append_done, m);
	if (st->to == NULL) {
		append_refuse(m, "NO [UNAVAILABLE] The mail store is not available now");
		return;
	}
	if (m->literal_sync)
		client_printf(m->c, "+ Ready for the message\r\n");
	append_take(m);
}

/* NULL, or why the message that was announced is not taken. */
static const char *
why_not(struct cmd *m, struct append *st)
{
	if (!read_options(m, st))
		return "BAD Wrong arguments for APPEND";
	if (m->literal_size > m->c->d->message_max)
		return "NO [TOOBIG] The message is too large";
	if (m->literal_size == 0)
		return "NO An empty message cannot be kept";
	return NULL;
}

/* The next message of a MULTIAPPEND; after a refusal it is taken to its end, where it comes unasked. */
static void
append_next(struct cmd *m)
{
	struct append *st = m->state;
	const char *why = st->refusal;
	st->left = m->literal_size;
	if (why == NULL && st->err == 0)
		why = why_not(m, st);
	if (why == NULL && st->err == 0 && st->index + 1 == MESSAGES_MAX)
		why = "NO [LIMIT] Too many messages at once";
	if (why != NULL) {
		append_refuse(m, why);
	} else if (st->err) {
		if (m->literal_sync)
			append_answer(m);
		else
			append_take(m);
	} else {
		st->index++;
		append_start(m);
	}
}

/* A client that fills a mailbox names it again and again. */
static void
remember(struct client *c, const struct append *st)
{
	free(c->append_name);
	c->append_name = slice_dup(st->mailbox);
	c->append_box = st->box;
	c->append_names = st->names;
}

/* Whether it is where the last APPEND went, and the name means the same still. */
static bool
is_remembered(const struct client *c, struct slice mailbox)
{
	return c->append_name != NULL && c->append_names != 0 &&
	       c->append_names == store_names(c->store) && slice_eq_str(mailbox, c->append_name);
}

static void
append_found(struct cmd *m, int err, const struct mbox *b)
{
	struct append *st = m->state;
	if (err == 0 && !mbox_has_right(b, 'i'))
		err = ERR_DENIED;
	if (err == ERR_NOTFOUND) {
		append_refuse(m, "NO [TRYCREATE] No such mailbox");
		return;
	}
	if (err) {
		char *text = arena_printf(m->a, "NO %s", err_text(err));
		append_refuse(m, text != NULL ? text : "NO Out of memory");
		return;
	}
	st->box = b->id;
	remember(m->c, st);
	append_start(m);
}

void
cmd_append(struct cmd *m)
{
	struct append *st = arena_alloc(m->a, sizeof(*st));
	if (st == NULL || !m->streams) {
		cmd_syntax(m);
		return;
	}
	m->state = st;
	m->cleanup = append_cleanup;
	st->left = m->literal_size;
	const char *why =
	    cmd_mailbox_arg(m, &st->mailbox) ? why_not(m, st) : "BAD Wrong arguments for APPEND";
	if (why != NULL) {
		append_refuse(m, why);
	} else if (is_remembered(m->c, st->mailbox)) {
		st->box = m->c->append_box;
		append_start(m);
	} else {
		st->names = store_names(m->c->store); /* of now: a long list comes in pages */
		mbox_find(m, st->mailbox, append_found);
	}
}
