/* cb_eom.c: the end of a message: directory, scanner, rules, ledger, answer. Runs in milter's threads. Invariants: the verdict is in
 * the audit log, on stable storage, before the MTA hears of it; when directory, scanner or ledger cannot be asked the mail is deferred
 * with an explanation, never let through and never refused for good; nothing is ever discarded. A mail on which scanners die or run out of
 * time, while they do other work well, is judged without its contents (M06): deferring it would only bring it back. */
#include "config.h"

#include "milter/authres.h"
#include "milter/clamd.h"
#include "milter/facts.h"
#include "milter/gateway.h"
#include "milter/groups.h"
#include "milter/ledger_client.h"
#include "milter/ledger_register.h"
#include "milter/judgement.h"
#include "milter/record.h"
#include "milter/register.h"
#include "milter/scan_client.h"

#include "directory/lookup_client.h"

#include "lib/addr.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/fold.h"
#include "lib/log.h"
#include "lib/role.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LOOKUP_MS 5000
#define LEDGER_MS 8000
#define SIGN_MS 8000
#define TURN_MS 15000
#define WHOLE_MS 20000 /* for everything: our smtpd waits 30 s, mail clients give up after 60 */
#define AUTHORS_ASKED 4
#define DOC_SIGNERS_ASKED 8
#define FACTS_CAP (8u << 20)
#define KEYS_MAX 64

/* What is not about the mail but about us. */
static const struct trouble {
	const char *id, *code, *enhanced, *vi, *en;
} troubles[] = {
    {"T01", "451", "4.7.1", "Chưa tra được danh bạ; hãy gửi lại sau.",
	"The directory cannot be asked now; try again later."},
    {"T02", "451", "4.7.1", "Chưa kiểm tra được nội dung thư; hãy gửi lại sau.",
	"The message cannot be inspected now; try again later."},
    {"T03", "451", "4.7.1", "Chưa ghi được nhật ký kiểm soát; hãy gửi lại sau.",
	"The audit log cannot be written now; try again later."},
    {"T04", "451", "4.3.1", "Hệ thống kiểm soát đang bận; hãy gửi lại sau.",
	"The policy filter is busy; try again later."},
    {"T05", "451", "4.7.1", "Chính sách quá nặng đối với thư này; hãy báo quản trị.",
	"The policy costs too much for this message; tell the administrator."},
    {"M07", "552", "5.3.4", "Thư quá lớn.", "The message is too large."},
    {"M08", "550", "5.7.1", "Quá nhiều trường kết quả kiểm tra giả.",
	"Too many forged result fields."},
    {"T06", "451", "4.7.5", "Chưa ký được thay cho hộp thư cơ quan; hãy gửi lại sau.",
	"The mailbox's signature cannot be made now; try again later."},
    {"T07", "451", "4.7.1", "Chưa kiểm tra được mã độc; hãy gửi lại sau.",
	"The virus scanner cannot be asked now; try again later."},
};
enum { T_DIRECTORY, T_SCAN, T_LEDGER, T_BUSY, T_POLICY, T_SIZE, T_FORGED, T_SIGN, T_CLAMD };

struct eom {
	struct session *session;
	struct msg *msg;
	const char *qid;
	struct backend_slot *slot;
	struct arena *arena;
	struct rule_facts facts;
	struct findings findings;
	struct lookup_sender *senders[AUTHORS_ASKED];
	struct verdict verdict;
	struct buf origin;
	struct buf entry; /* of the register: to be entered when the mail goes on; empty: nothing */
	struct judgement judgement;
	struct gateway *gateway; /* NULL: nothing was to be signed here */
	bool judged, uninspected;
	const struct trouble *trouble;
	int trouble_err;
	uint64_t started_us;
};

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* At most want, within what is left for the whole. */
static unsigned
within(const struct eom *e, unsigned want)
{
	uint64_t gone = (now_us() - e->started_us) / 1000;

	if (gone >= WHOLE_MS)
		return 1;
	return want < WHOLE_MS - gone ? want : (unsigned)(WHOLE_MS - gone);
}

static int
in_trouble(struct eom *e, int which, int err)
{
	e->trouble = &troubles[which];
	e->trouble_err = err;
	return err;
}

/* Copies, which outlive the answer that they are of. NULL: no memory. */
static struct slice *
slices_of(struct arena *a, char *const *v, size_t n)
{
	struct slice *list = arena_calloc(a, n + 1, sizeof *list);
	size_t i;

	for (i = 0; list != NULL && i < n; i++) {
		list[i] = arena_slice(a, slice_str(v[i]));
		if (list[i].ptr == NULL)
			return NULL;
	}
	return list;
}

/* What the directory said of an author, as the rules see it. */
static int
fill_author(struct eom *e, struct rule_author *a, const struct lookup_sender *s)
{
	size_t n_keys = s->n_certs < KEYS_MAX ? s->n_certs : KEYS_MAX, k;
	struct slice *known = arena_calloc(e->arena, s->n_addresses + 1, sizeof *known);
	unsigned char(*keys)[32] = arena_calloc(e->arena, n_keys + 1, sizeof *keys);

	if (known == NULL || keys == NULL)
		return ERR_NOMEM;
	for (k = 0; k < s->n_addresses; k++)
		known[k] = slice_str(s->addresses[k]);
	for (k = 0; k < n_keys; k++)
		sha256_of(s->certs[k], keys[k]);
	a->is_ours = s->is_ours;
	a->owner = s->kind == LOOKUP_OWNER_PERSON       ? OWNER_PERSON
		   : s->kind == LOOKUP_OWNER_FUNCTIONAL ? OWNER_FUNCTIONAL
		   : s->kind == LOOKUP_OWNER_GROUP      ? OWNER_GROUP
							: OWNER_NONE;
	a->may_send_as = s->login_may_send_as;
	a->agency = slice_str(s->agency);
	a->known = known;
	a->n_known = s->n_addresses;
	a->n_current = s->n_current;
	a->keys = (const unsigned char(*)[32])keys;
	a->n_keys = n_keys;
	a->symbols = slices_of(e->arena, s->symbols, s->n_symbols);
	a->n_symbols = a->symbols != NULL ? s->n_symbols : 0;
	return a->symbols != NULL ? 0 : ERR_NOMEM;
}

/* Asks the directory about each author. */
static int
ask_directory(struct eom *e)
{
	struct rule_facts *f = &e->facts;
	size_t i;
	int err;

	if (f->n_authors > AUTHORS_ASKED)
		f->more_authors = true;
	for (i = 0; i < f->n_authors && i < AUTHORS_ASKED; i++) {
		if (f->authors[i].address.len > 320)
			continue;
		err = lookup_sender_sync(e->slot->lookup, f->authors[i].address,
		    e->msg->login != NULL ? e->msg->login : "", within(e, LOOKUP_MS),
		    &e->senders[i]);
		if (err != 0)
			return in_trouble(e, T_DIRECTORY, err);
		if (fill_author(e, &f->authors[i], e->senders[i]) != 0)
			return in_trouble(e, T_BUSY, ERR_NOMEM);
	}
	return 0;
}

/* Where a mail comes from that nobody signed in for. */
static void
read_origin(struct eom *e, struct slice header)
{
	struct rule_facts *f = &e->facts;

	buf_init(&e->origin, 256);
	if (f->authenticated || f->n_authors == 0)
		return;
	f->origin = authres_read(header, milter_settings.authserv, milter_settings.n_authserv,
	    f->authors[0].domain, &e->origin);
	f->origin_text = buf_slice(&e->origin);
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
		err = scan_sync(scanner->sync, how, fd, domain, (int64_t)time(NULL),
		    within(e, milter_settings.scan_timeout_ms), scanner->rev_version, e->arena,
		    out);
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
	struct backend_scanner *scanner = backend_take_scanner(within(e, TURN_MS));
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
		return in_trouble(e, T_SCAN, err);
	findings_init(&e->findings, e->arena);
	p = findings_add_part(&e->findings);
	if (p == NULL)
		return in_trouble(e, T_BUSY, ERR_NOMEM);
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
	uint64_t from = now_us();
	int err = scan_by_any(e, SCAN_MESSAGE, &e->msg->file, domain, &e->findings);

	if (err != 0 && err != ERR_AGAIN && err != ERR_TEMP && err != ERR_TIMEOUT &&
	    now_us() - from < (uint64_t)milter_settings.scan_timeout_ms * 900)
		err = scan_by_any(e, SCAN_MESSAGE, &e->msg->file, domain, &e->findings);
	if (err != 0 && err != ERR_AGAIN && err != ERR_TEMP) {
		log_msg(LOG_LVL_WARN, "scan_shallow", "%s: %s: its contents are not inspected",
		    e->qid, err_name(err));
		err = scan_by_any(e, SCAN_SHALLOW, &e->msg->file, domain, &e->findings);
		if (err != 0 && err != ERR_AGAIN && err != ERR_TEMP)
			return nothing_inspected(e, err);
	}
	return err == 0 ? 0 : in_trouble(e, err == ERR_AGAIN ? T_BUSY : T_SCAN, err);
}

/* Mail of a functional mailbox that has a key here, from who may send as it, is signed before it is judged. */
static int
sign_for_mailbox(struct eom *e)
{
	const struct rule_author *a = &e->facts.authors[0];
	int err;

	if (e->session->no_change || e->msg->login == NULL || e->facts.n_authors != 1 ||
	    e->facts.more_authors || e->facts.from_fields != 1 || !a->is_ours ||
	    a->owner != OWNER_FUNCTIONAL || !a->may_send_as || !gateway_has(a->address))
		return 0;
	e->gateway = xcalloc(1, sizeof *e->gateway);
	err =
	    gateway_sign(e->msg, e->slot->sign, a->address, e->qid, within(e, SIGN_MS), e->gateway);
	return err == 0 ? 0 : in_trouble(e, err == ERR_LIMIT ? T_SIZE : T_SIGN, err);
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

static int
ask_scanner(struct eom *e)
{
	struct slice domain = e->facts.n_authors > 0 ? e->facts.authors[0].domain : slice_str("");
	bool again = false;
	int err;

	do {
		err = scan_with_care(e, domain);
		if (err != 0)
			return err;
		/* a signer never seen before: the background is asking already, and mail clients do not come again after a 451 */
		again = !again && revcache_want(&e->findings) && rev_unknown(&e->findings) &&
			revcache_wait(&e->findings, within(e, milter_settings.rev_wait_ms));
	} while (again);
	e->facts.scan = &e->findings;
	return 0;
}

/* The site's virus scanner, where there is one. What it did not look at is never clean: M06 asks a person; when it cannot be asked the site decides. */
static int
ask_clamd(struct eom *e)
{
	enum clamd_answer answer;
	const char *id = NULL;
	struct buf text;
	int err = 0;

	if (milter_settings.clamd_socket == NULL)
		return 0;
	buf_init(&text, 512);
	answer = clamd_ask(milter_settings.clamd_socket, e->msg->file.fd, e->msg->file.size,
	    milter_settings.clamd_max, within(e, milter_settings.clamd_timeout_ms), &text);
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
	if (answer == CLAMD_FAILED) {
		log_msg(LOG_LVL_WARN, "clamd", "%s: %s", e->qid, buf_cstr(&text));
		if (milter_settings.clamd_failure == CLAMD_TEMPFAIL)
			err = in_trouble(e, T_CLAMD, ERR_TEMP);
	}
	buf_done(&text);
	return err;
}

/* An agency's mail that is not signed with the agency's key: whether with a key of who signed in (P09) is the directory's to say. */
static int
ask_signer(struct eom *e)
{
	struct rule_facts *f = &e->facts;
	const struct sig_address *first = NULL;
	struct lookup_sender *s = NULL;
	const struct find_sig *sig;
	bool office = false;
	struct buf norm;
	size_t i;
	int err = 0;

	for (i = 0; i < f->n_authors; i++)
		office |= f->authors[i].is_ours && f->authors[i].owner == OWNER_FUNCTIONAL;
	for (sig = f->scan->sigs; sig != NULL && first == NULL; sig = sig->next) {
		if (sig->coverage == SIG_WHOLE && sig->status == SIG_VALID)
			first = sig->addresses;
	}
	if (!office || !f->authenticated || first == NULL || rule_signature_good(f) ||
	    first->value.len > 320 || memchr(first->value.ptr, 0, first->value.len) != NULL)
		return 0;
	buf_init(&norm, 1024);
	if (addr_normalize(first->value, &norm) == 0 && norm.len <= 320)
		err = lookup_sender_sync(
		    e->slot->lookup, buf_slice(&norm), e->msg->login, within(e, LOOKUP_MS), &s);
	buf_done(&norm);
	if (err != 0)
		return in_trouble(e, T_DIRECTORY, err);
	f->signer_is_sender =
	    s != NULL && s->is_ours && s->kind == LOOKUP_OWNER_PERSON && s->login_may_send_as;
	lookup_sender_free(s);
	return 0;
}

/* Whose certificate it is by its first address. *out NULL: nobody is asked about. */
static int
ask_owner(struct eom *e, const struct find_sig *sig, struct lookup_sender **out)
{
	struct slice address = sig->addresses != NULL ? sig->addresses->value : slice_str("");
	struct buf norm;
	int err = 0;

	*out = NULL;
	if (address.len == 0 || address.len > 320 || memchr(address.ptr, 0, address.len) != NULL)
		return 0;
	buf_init(&norm, 1024);
	if (addr_normalize(address, &norm) == 0 && norm.len <= 320)
		err = lookup_sender_sync(
		    e->slot->lookup, buf_slice(&norm), "", within(e, LOOKUP_MS), out);
	buf_done(&norm);
	return err;
}

/* Whose certificates signed the documents of what is issued (P19), and what these people may sign (P11). */
static int
ask_documents(struct eom *e)
{
	struct rule_facts *f = &e->facts;
	struct lookup_sender *s = NULL;
	const struct find_sig *sig;
	unsigned char *owners = arena_alloc(e->arena, FINDINGS_SIGS_MAX);
	struct rule_authority *may = arena_calloc(e->arena, FINDINGS_SIGS_MAX, sizeof *may);
	unsigned asked = 0;
	size_t i = 0;
	int err = 0;

	if (owners == NULL || may == NULL)
		return in_trouble(e, T_BUSY, ERR_NOMEM);
	memset(owners, OWNER_NONE, FINDINGS_SIGS_MAX);
	f->sig_owners = owners;
	f->sig_authority = may;
	for (sig = f->scan->sigs; sig != NULL && f->issued; sig = sig->next, i++) {
		if (sig->coverage != SIG_DOCUMENT || sig->status != SIG_VALID ||
		    asked++ >= DOC_SIGNERS_ASKED)
			continue;
		err = ask_owner(e, sig, &s);
		if (err != 0)
			return in_trouble(e, T_DIRECTORY, err);
		if (s != NULL && s->is_ours) {
			owners[i] = s->kind == LOOKUP_OWNER_PERSON       ? OWNER_PERSON
				    : s->kind == LOOKUP_OWNER_FUNCTIONAL ? OWNER_FUNCTIONAL
									 : OWNER_NONE;
			may[i].n = s->n_authorities;
			may[i].v = slices_of(e->arena, s->authorities, s->n_authorities);
		}
		lookup_sender_free(s);
		if (may[i].n > 0 && may[i].v == NULL)
			return in_trouble(e, T_BUSY, ERR_NOMEM);
	}
	return 0;
}

/* Recipients that have another address now (P33): those of our domains, a bounded number of them. */
static int
ask_moved(struct eom *e)
{
	const char *asked[LOOKUP_ASKED_MAX];
	struct rule_moved *list;
	struct lookup_moved m;
	size_t i, n = 0;
	int err;

	for (i = 0; i < e->msg->n_rcpts && n < LOOKUP_ASKED_MAX; i++) {
		if (strlen(e->msg->rcpts[i]) <= 320 &&
		    conf_is_our_address(role_conf(), e->msg->rcpts[i]))
			asked[n++] = e->msg->rcpts[i];
	}
	if (n == 0)
		return 0;
	err = lookup_moved_sync(e->slot->lookup, asked, n, within(e, LOOKUP_MS), &m);
	if (err != 0)
		return in_trouble(e, T_DIRECTORY, err);
	list = arena_calloc(e->arena, m.n + 1, sizeof *list);
	for (i = 0; list != NULL && i < m.n; i++) {
		list[i].was = arena_slice(e->arena, slice_str(m.was[i]));
		list[i].is = arena_slice(e->arena, slice_str(m.is[i]));
		if (list[i].was.ptr == NULL || list[i].is.ptr == NULL)
			list = NULL;
	}
	e->facts.moved = list;
	e->facts.n_moved = m.n;
	lookup_moved_done(&m);
	return list != NULL ? 0 : in_trouble(e, T_BUSY, ERR_NOMEM);
}

/* Since when nothing can be learnt of the signers' issuers: for each of them it must be longer than the grace. */
static void
read_grace(struct eom *e)
{
	const struct find_sig *s;
	bool unknown = false, all_over = true;

	for (s = e->findings.sigs; s != NULL; s = s->next) {
		if (s->coverage != SIG_WHOLE || s->status != SIG_VALID)
			continue;
		if (s->rev == REV_GOOD) {
			revcache_grace_over(s->issuer, true);
		} else if (s->rev == REV_UNKNOWN) {
			unknown = true;
			all_over &= revcache_grace_over(s->issuer, false);
		}
	}
	e->facts.rev_grace_over = unknown && all_over;
}

/* What the policy asks about groups of the directory. */
static int
ask_groups(struct eom *e)
{
	const char *from[RULE_FROM_MAX];
	struct rule_member *list =
	    arena_calloc(e->arena, RULE_MEMBERS_MAX, sizeof(struct rule_member));
	size_t i;
	int err;

	for (i = 0; list != NULL && i < e->facts.n_authors; i++) {
		from[i] = arena_slicedup(e->arena, e->facts.authors[i].address);
		if (from[i] == NULL)
			list = NULL;
	}
	if (list == NULL)
		return in_trouble(e, T_BUSY, ERR_NOMEM);
	err = groups_ask(milter_settings.policy, e->slot->lookup, from, e->facts.n_authors,
	    (const char *const *)e->msg->rcpts, e->msg->n_rcpts, within(e, LOOKUP_MS), list,
	    &e->facts.n_members);
	e->facts.members = list;
	return err == 0 ? 0 : in_trouble(e, T_DIRECTORY, err);
}

static int
fill_recipients(struct eom *e)
{
	struct slice *all = arena_calloc(e->arena, e->msg->n_rcpts + 1, sizeof *all);
	size_t i;

	if (all == NULL)
		return ERR_NOMEM;
	for (i = 0; i < e->msg->n_rcpts; i++)
		all[i] = slice_str(e->msg->rcpts[i]);
	e->facts.rcpts = all;
	e->facts.n_rcpts = e->msg->n_rcpts;
	e->facts.clearances = milter_settings.clearances;
	e->facts.settings = milter_settings.rules;
	return 0;
}

/* What the register has of the number of an issued document (P15). */
static int
ask_register(struct eom *e)
{
	struct ledger_entry is;
	int err;

	buf_init(&e->entry, 8192);
	if (!register_entry(&e->facts, e->qid, (int64_t)time(NULL), &e->entry)) {
		buf_reset(&e->entry);
		return 0;
	}
	err = ledger_register_sync(
	    e->slot->ledger, false, buf_slice(&e->entry), within(e, LEDGER_MS), &is);
	if (err != 0)
		return in_trouble(e, T_LEDGER, err);
	if (is.state == REGISTERED_OTHER) {
		const char *s = arena_printf(e->arena, "%s, %s", is.qid, is.ts);

		e->facts.number_used = slice_str(s != NULL ? s : "?");
	}
	if (is.state != REGISTERED_NEW)
		buf_reset(&e->entry);
	return 0;
}

/* What goes out is entered, durably, before the MTA hears of it. */
static int
enter_document(struct eom *e, const struct outcome *o)
{
	struct ledger_entry is;
	int err;

	if (o->action != OUT_ACCEPT || e->entry.len == 0)
		return 0;
	err = ledger_register_sync(e->slot->ledger, true, buf_slice(&e->entry), LEDGER_MS, &is);
	/* another document got the number since it was asked for: when this mail comes again P15 has it */
	return err == 0 && is.state == REGISTERED_OTHER ? ERR_CONFLICT : err;
}

static int
judge(struct eom *e)
{
	struct slice header = buf_slice(&e->msg->header);
	int err;

	e->facts.authenticated = e->msg->login != NULL;
	e->facts.null_sender = e->msg->from[0] == '\0';
	if (e->msg->release != NULL && strchr(e->msg->release, ' ') != NULL)
		e->facts.released = slice_str(strchr(e->msg->release, ' ') + 1);
	e->facts.official_why = "";
	if (e->msg->err == ERR_LIMIT)
		return in_trouble(e, T_SIZE, ERR_LIMIT);
	if (e->msg->err != 0)
		return in_trouble(e, T_BUSY, e->msg->err);
	if (fill_recipients(e) != 0 || facts_read(header, e->arena, &e->facts) != 0)
		return in_trouble(e, T_BUSY, ERR_NOMEM);
	if ((err = ask_directory(e)) != 0 || (err = sign_for_mailbox(e)) != 0 ||
	    (err = ask_scanner(e)) != 0 || (err = ask_clamd(e)) != 0 || (err = ask_signer(e)) != 0)
		return err;
	if (judgement_read(header, milter_settings.official_headers,
		milter_settings.n_official_headers, e->arena, &e->facts) != 0)
		return in_trouble(e, T_BUSY, ERR_NOMEM);
	if ((err = ask_documents(e)) != 0 || (err = ask_moved(e)) != 0 ||
	    (err = ask_groups(e)) != 0 || (err = ask_register(e)) != 0)
		return err;
	read_grace(e);
	read_origin(e, header);
	err = judgement_live(&e->judgement, &e->facts, header, e->session->client_ip,
	    e->msg->file.size, e->arena, &e->verdict);
	e->judged = err != ERR_NOMEM;
	if (err != 0)
		return in_trouble(e, err == ERR_LIMIT ? T_POLICY : T_BUSY, err);
	/* where the rule is not in force, a mail of which nothing at all is known does not pass all the same */
	if (e->uninspected &&
	    rule_mode_of(&e->facts, &rule_table[rule_index(slice_str("M06"))]) != MODE_ENFORCE)
		return in_trouble(e, T_SCAN, ERR_UNKNOWN);
	return 0;
}

/* ---- the answer ---- */

static void
word_trouble(const struct eom *e, const struct trouble *t, struct outcome *o)
{
	struct rule as_rule = {t->id, NULL, RULE_DEFER, MODE_ENFORCE, t->vi, t->en};

	o->action = t->code[0] == '5' ? OUT_REJECT : OUT_TEMPFAIL;
	o->code = t->code;
	o->enhanced = t->enhanced;
	buf_reset(&o->text);
	rule_reply(&as_rule, slice_str(""), slice_str(e->qid), &o->text);
}

/* An MTA that cannot hold a mail gets a refusal instead: what needs a person's eyes does not go on without them. */
static enum outcome_action
action_of(const struct eom *e, const struct rule *r)
{
	if (r->action == RULE_HOLD)
		return e->session->no_hold ? OUT_REJECT : OUT_HOLD;
	return r->action == RULE_REJECT ? OUT_REJECT : OUT_TEMPFAIL;
}

static void
word(struct eom *e, struct outcome *o)
{
	const struct rule *r = e->verdict.decision;
	const struct policy_rule *own = policy_rule_of(milter_settings.policy, r);

	if (e->trouble != NULL) {
		word_trouble(e, e->trouble, o);
		return;
	}
	o->action = r == NULL ? OUT_ACCEPT : action_of(e, r);
	o->code = o->action == OUT_REJECT ? "550" : o->action == OUT_TEMPFAIL ? "451" : "250";
	o->enhanced = o->action == OUT_REJECT ? "5.7.1"
		      : o->action == OUT_TEMPFAIL
			  ? "4.7.5" /* our smtpd then keeps it, and asks again */
			  : "2.0.0";
	if (own != NULL && own->enhanced.len > 0 &&
	    (o->action == OUT_REJECT || o->action == OUT_TEMPFAIL) &&
	    own->enhanced.ptr[0] == (o->action == OUT_REJECT ? '5' : '4'))
		o->enhanced = (const char *)own->enhanced.ptr; /* the policy outlives us */
	if (r != NULL)
		rule_reply(r, buf_slice(&e->verdict.detail), slice_str(e->qid), &o->text);
	if (o->action == OUT_REJECT || o->action == OUT_TEMPFAIL)
		return;
	edits_drop(buf_slice(&e->msg->header), milter_settings.hostname, o);
	if (o->too_many) {
		in_trouble(e, T_FORGED, ERR_LIMIT);
		word_trouble(e, e->trouble, o);
		return;
	}
	edits_authres(&e->facts, milter_settings.hostname, &o->authres);
	edits_verdict(&e->facts, &e->verdict, &o->verdict);
	o->urgent = edits_urgent(&e->facts, &e->verdict, buf_slice(&e->msg->header));
}

static const char *
rule_id(const struct eom *e)
{
	if (e->trouble != NULL)
		return e->trouble->id;
	return e->verdict.decision != NULL ? e->verdict.decision->id : "";
}

static int
record(struct eom *e, const struct outcome *o, uint64_t *seq_out)
{
	static const char *const actions[] = {"accept", "reject", "tempfail", "quarantine"};
	struct record_input in = {.session = e->session,
	    .msg = e->msg,
	    .qid = e->qid,
	    .facts = &e->facts,
	    .verdict = e->judged ? &e->verdict : NULL,
	    .action = actions[o->action],
	    .code = o->code,
	    .rule = rule_id(e),
	    .detail = e->trouble != NULL ? slice_str(err_name(e->trouble_err))
					 : buf_slice(&e->verdict.detail),
	    .gateway = e->gateway,
	    .us_total = (uint32_t)(now_us() - e->started_us)};
	struct buf json;
	int err;

	buf_init(&json, 262144);
	err = record_verdict(&in, &json);
	if (err == 0)
		err = ledger_record_sync(e->slot->ledger, buf_slice(&json), LEDGER_MS, seq_out);
	buf_done(&json);
	return err;
}

static void
log_outcome(const struct eom *e, const struct outcome *o, uint64_t seq)
{
	static const char *const actions[] = {"accept", "reject", "tempfail", "quarantine"};
	struct log_line l;

	log_begin(&l, o->action == OUT_TEMPFAIL ? LOG_LVL_WARN : LOG_LVL_INFO, "verdict");
	log_str(&l, "qid", e->qid);
	log_str(&l, "action", actions[o->action]);
	log_str(&l, "rule", rule_id(e));
	log_u64(&l, "seq", seq);
	log_slice(&l, "from", e->facts.n_authors > 0 ? e->facts.authors[0].address : slice_str(""));
	log_str(&l, "auth", e->msg->login);
	log_u64(&l, "size", e->msg->file.size);
	log_u64(&l, "us", now_us() - e->started_us);
	if (e->trouble != NULL)
		log_err(&l, "err", e->trouble_err);
	log_end(&l);
	/* P12: the security officer's alarm; no word of the mail */
	if (e->verdict.decision != NULL && strcmp(e->verdict.decision->id, "P12") == 0) {
		log_begin(&l, LOG_LVL_ERROR, "secrecy_alarm");
		log_str(&l, "qid", e->qid);
		log_u64(&l, "seq", seq);
		log_str(&l, "auth", e->msg->login);
		log_end(&l);
	}
}

void
cb_eom(struct session *s, const char *qid, struct outcome *o)
{
	struct eom e = {.session = s, .msg = s->msg, .started_us = now_us()};
	uint64_t seq = 0;
	size_t i;
	int err = 0;

	buf_init(&o->text, 1024);
	buf_init(&o->authres, 16384);
	buf_init(&o->verdict, 4096);
	e.judgement.policy = milter_settings.policy;
	e.judgement.modes = milter_settings.modes;
	e.judgement.now = (int64_t)time(NULL);
	e.qid = qid != NULL ? qid : s->msg->qid != NULL ? s->msg->qid : "-";
	cb_body(s, NULL, 0);
	e.arena = arena_new(FACTS_CAP);
	e.slot = e.arena != NULL ? backend_take(within(&e, TURN_MS)) : NULL;
	if (e.slot == NULL) {
		in_trouble(&e, T_BUSY, ERR_TIMEOUT);
	} else {
		judge(&e);
	}
	word(&e, o);
	/* without a slot there is no way to the ledger; nothing but a deferral is said then */
	if (e.slot != NULL && (err = enter_document(&e, o)) != 0) {
		in_trouble(&e, T_LEDGER, err);
		word_trouble(&e, e.trouble, o);
	}
	if (e.slot != NULL)
		err = record(&e, o, &seq);
	if (err != 0) {
		in_trouble(&e, T_LEDGER, err);
		word_trouble(&e, e.trouble, o);
	}
	log_outcome(&e, o, seq);
	if (e.judged)
		verdict_done(&e.verdict);
	for (i = 0; i < AUTHORS_ASKED; i++)
		lookup_sender_free(e.senders[i]);
	backend_give(e.slot);
	o->gateway = e.gateway;
	o->body_fd = e.msg->file.fd;
	buf_done(&e.origin);
	buf_done(&e.entry);
	arena_free(e.arena);
}
