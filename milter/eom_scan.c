/* eom_scan.c: has a message looked into by a scanner, and by the site's virus scanner. Runs in milter's threads. A mail on which scanners die or run
 * out of time, while they do other work well, is judged without its contents (M06): deferring it would only bring it back. */
#include "config.h"

#include "milter/clamd.h"
#include "milter/eom_priv.h"
#include "milter/scan_client.h"

#include "lib/err.h"
#include "lib/log.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define REST_MS 2000 /* of the whole: directory, ledger */

/* The policy may give it less time than the configuration does. */
static unsigned
scan_ms(const struct eom *e)
{
	uint64_t asked = 1000 * (uint64_t)e->facts.terms.time_s;

	return asked != 0 && asked < milter_settings.scan_timeout_ms
		   ? (unsigned)asked
		   : milter_settings.scan_timeout_ms;
}

/* One scan, by a scanner that knows what we know of revocations. */
static int
scan_once(struct eom *e, struct backend_scanner *scanner, enum scan_msg how, int message,
    struct slice domain, struct findings *out)
{
	int err = ERR_CONFLICT, fd, tries;

	/* a scanner that started anew meanwhile knows nothing: it says so, and is told all again */
	for (tries = 0; tries < 3 && err == ERR_CONFLICT; tries++) {
		err = revcache_sync(scanner);
		if (err != 0)
			return ERR_TEMP; /* nothing of the mail was shown to it yet */
		fd = fcntl(message, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return ERR_TEMP;
		err =
		    scan_sync(scanner->sync, how, &e->facts.terms, fd, domain, (int64_t)time(NULL),
			eom_within(e, scan_ms(e)), scanner->rev_version, e->arena, out);
		if (err == ERR_CONFLICT)
			scanner->rev_version = 0;
	}
	return err;
}

/* By any scanner that is free. ERR_AGAIN: none came free in time; ERR_TEMP: it could not be asked; others: asked, and it has no answer. */
static int
scan_by_any(struct eom *e, enum scan_msg how, struct msg_file *file, struct slice domain,
    struct findings *out)
{
	struct backend_scanner *scanner = backend_take_scanner(eom_within(e, EOM_TURN_MS));
	int err = ERR_TEMP, fd;

	if (scanner == NULL)
		return ERR_AGAIN;
	/* behind the turn: so many are in memory as there are scanners */
	fd = msg_file_sealed(file);
	if (fd >= 0) {
		err = scan_once(e, scanner, how, fd, domain, out);
		close(fd);
	}
	backend_give_scanner(scanner);
	return err;
}

/* Whether scanners do their work at all: they are shown a mail that asks nothing of them. */
static bool
scanners_work(struct eom *e)
{
	static const char plain[] = "From: <>\r\n\r\n";
	struct msg_file probe;
	struct findings f;
	bool good;

	if (msg_file_new(&probe) != 0)
		return false;
	good = msg_file_put(&probe, plain, sizeof plain - 1) == 0 &&
	       scan_by_any(e, SCAN_MESSAGE, &probe, slice_str(""), &f) == 0;
	msg_file_done(&probe);
	return good;
}

/* No scanner got through with it: what there is to say is that nobody looked inside. */
static int
nothing_inspected(struct eom *e, int err)
{
	struct find_part *p;

	if (!scanners_work(e))
		return eom_in_trouble(e, T_SCAN, err);
	findings_init(&e->findings, e->arena);
	p = findings_add_part(&e->findings);
	if (p == NULL)
		return eom_in_trouble(e, T_BUSY, ERR_NOMEM);
	p->flags = PART_LIMIT;
	e->findings.size = e->msg->file.size;
	findings_note(&e->findings, "scan_failed", NOTE_REJECT, slice_str(""),
	    "the scanner dies of this message");
	e->uninspected = true;
	return 0;
}

/* All of it; when a scanner dies of it, once more, since it may have been killed for another reason; then without its contents. One that ran into
 * the deadline would do so again. */
static int
scan_with_care(struct eom *e, struct slice domain)
{
	uint64_t from = eom_now_us();
	int err = scan_by_any(e, SCAN_MESSAGE, &e->msg->file, domain, &e->findings);

	if (err != 0 && err != ERR_AGAIN && err != ERR_TEMP && err != ERR_TIMEOUT &&
	    eom_now_us() - from < (uint64_t)scan_ms(e) * 900)
		err = scan_by_any(e, SCAN_MESSAGE, &e->msg->file, domain, &e->findings);
	if (err != 0 && err != ERR_AGAIN && err != ERR_TEMP) {
		log_msg(LOG_LVL_WARN, "scan_shallow", "%s: %s: its contents are not inspected",
		    e->qid, err_name(err));
		err = scan_by_any(e, SCAN_SHALLOW, &e->msg->file, domain, &e->findings);
		if (err != 0 && err != ERR_AGAIN && err != ERR_TEMP)
			return nothing_inspected(e, err);
	}
	return err == 0 ? 0 : eom_in_trouble(e, err == ERR_AGAIN ? T_BUSY : T_SCAN, err);
}

static bool
rev_unknown(const struct findings *f)
{
	const struct find_sig *s;

	for (s = f->sigs; s != NULL; s = s->next) {
		if (s->coverage == SIG_WHOLE && s->status == SIG_VALID && s->rev == REV_UNKNOWN)
			return true;
	}
	return false;
}

int
eom_ask_scanner(struct eom *e)
{
	struct slice domain = judgement_store(&e->facts, e->arena);
	bool again = false;
	int err;

	do {
		err = scan_with_care(e, domain);
		if (err != 0)
			return err;
		/* a signer never seen before: the background is asking already, and mail clients do not come again after a 451 */
		again = !again && revcache_want(&e->findings) && rev_unknown(&e->findings) &&
			revcache_wait(&e->findings, eom_within(e, milter_settings.rev_wait_ms));
	} while (again);
	e->facts.scan = &e->findings;
	return 0;
}

/* Whether our own scanner did not get through with it: M06 asks a person in any case. */
static bool
is_past_limits(const struct eom *e)
{
	const struct find_part *p;

	for (p = e->findings.parts; p != NULL && !(p->flags & PART_LIMIT); p = p->next)
		;
	return p != NULL;
}

/* clamd's time leaves some for what is asked after it, or a verdict about the mail would become a word about the directory. */
static unsigned
clamd_ms(const struct eom *e)
{
	unsigned ms = eom_within(e, milter_settings.clamd_timeout_ms + REST_MS);

	return ms > REST_MS ? ms - REST_MS : 1;
}

/* The site's virus scanner, where there is one. What it did not look at is never clean: M06 asks a person; when it cannot be asked the site decides; when
 * there was no time left to ask it, the mail comes again, whatever the site says of a clamd that is away. */
int
eom_ask_clamd(struct eom *e)
{
	enum clamd_answer answer;
	const char *id = NULL;
	struct buf text;
	int err = 0;

	if (milter_settings.clamd_socket == NULL)
		return 0;
	buf_init(&text, 512);
	answer = clamd_ask(milter_settings.clamd_socket, e->msg->file.fd, e->msg->file.size,
	    milter_settings.clamd_max, clamd_ms(e), milter_settings.clamd_timeout_ms, &text);
	/* what takes so long each time would come again and again; it is held as it is */
	if (answer == CLAMD_HURRIED && is_past_limits(e))
		answer = CLAMD_UNSCANNED;
	if (answer == CLAMD_FOUND)
		id = "clamd_found";
	else if (answer == CLAMD_UNSCANNED ||
		 (answer == CLAMD_FAILED && milter_settings.clamd_failure == CLAMD_HOLD))
		id = "clamd_unscanned";
	else if (answer == CLAMD_FAILED)
		id = "clamd_down";
	if (id != NULL)
		findings_note(&e->findings, id,
		    strcmp(id, "clamd_down") == 0 ? NOTE_WARN : NOTE_REJECT, slice_str(""), "%s",
		    buf_cstr(&text));
	if (answer == CLAMD_FAILED || answer == CLAMD_HURRIED) {
		log_msg(LOG_LVL_WARN, "clamd", "%s: %s%s", e->qid, buf_cstr(&text),
		    answer == CLAMD_HURRIED ? ": the mail's time was used up before it" : "");
		if (answer == CLAMD_HURRIED || milter_settings.clamd_failure == CLAMD_TEMPFAIL)
			err = eom_in_trouble(e, T_CLAMD, ERR_TEMP);
	}
	buf_done(&text);
	return err;
}
