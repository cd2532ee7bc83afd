/* cb_eom.c: the end of a message: directory, scanner, rules, ledger, answer. Runs in milter's threads. Invariants: the verdict is in
 * the audit log, on stable storage, before the MTA hears of it; when directory, scanner or ledger cannot be asked the mail is deferred
 * with an explanation, never let through and never refused for good; nothing is ever discarded. eom_ask.c and
 * eom_scan.c ask. */
#include "config.h"

#include "milter/authres.h"
#include "milter/eom_priv.h"
#include "milter/facts.h"
#include "milter/gateway.h"
#include "milter/ledger_client.h"
#include "milter/record.h"

#include "directory/lookup_client.h"

#include "lib/err.h"
#include "lib/log.h"

#include <string.h>
#include <time.h>

#define SIGN_MS 8000
#define WHOLE_MS 20000 /* for everything: our smtpd waits 30 s, mail clients give up after 60 */
#define FACTS_CAP (8u << 20)

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

uint64_t
eom_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

unsigned
eom_within(const struct eom *e, unsigned want)
{
	uint64_t gone = (eom_now_us() - e->started_us) / 1000;

	if (gone >= WHOLE_MS)
		return 1;
	return want < WHOLE_MS - gone ? want : (unsigned)(WHOLE_MS - gone);
}

int
eom_in_trouble(struct eom *e, enum eom_trouble which, int err)
{
	e->trouble = &troubles[which];
	e->trouble_err = err;
	return err;
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
	err = gateway_sign(
	    e->msg, e->slot->sign, a->address, e->qid, eom_within(e, SIGN_MS), e->gateway);
	return err == 0 ? 0 : eom_in_trouble(e, err == ERR_LIMIT ? T_SIZE : T_SIGN, err);
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
		if (rule_rev_of(&e->facts, s) == REV_GOOD) {
			revcache_grace_over(s->issuer, true);
		} else if (rule_rev_of(&e->facts, s) == REV_UNKNOWN) {
			unknown = true;
			all_over &= revcache_grace_over(s->issuer, false);
		}
	}
	e->facts.rev_grace_over = unknown && all_over;
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
		return eom_in_trouble(e, T_SIZE, ERR_LIMIT);
	if (e->msg->err != 0)
		return eom_in_trouble(e, T_BUSY, e->msg->err);
	if (fill_recipients(e) != 0 || facts_read(header, e->arena, &e->facts) != 0)
		return eom_in_trouble(e, T_BUSY, ERR_NOMEM);
	if ((err = eom_ask_directory(e)) != 0 || (err = sign_for_mailbox(e)) != 0)
		return err;
	judgement_trust(&e->judgement, &e->facts);
	if ((err = eom_ask_scanner(e)) != 0 || (err = eom_ask_clamd(e)) != 0 ||
	    (err = eom_ask_certificates(e)) != 0 || (err = eom_ask_signer(e)) != 0)
		return err;
	if (judgement_read(header, milter_settings.official_headers,
		milter_settings.n_official_headers, e->arena, &e->facts) != 0)
		return eom_in_trouble(e, T_BUSY, ERR_NOMEM);
	if ((err = eom_ask_documents(e)) != 0 || (err = eom_ask_moved(e)) != 0 ||
	    (err = eom_ask_groups(e)) != 0 || (err = eom_ask_register(e)) != 0)
		return err;
	read_grace(e);
	read_origin(e, header);
	err = judgement_live(&e->judgement, &e->facts, header, e->session->client_ip,
	    e->msg->file.size, e->arena, &e->verdict);
	e->judged = err != ERR_NOMEM;
	if (err != 0)
		return eom_in_trouble(e, err == ERR_LIMIT ? T_POLICY : T_BUSY, err);
	/* where the rule is not in force, a mail of which nothing at all is known does not pass all the same */
	if (e->uninspected &&
	    rule_mode_of(&e->facts, &rule_table[rule_index(slice_str("M06"))]) != MODE_ENFORCE)
		return eom_in_trouble(e, T_SCAN, ERR_UNKNOWN);
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
		eom_in_trouble(e, T_FORGED, ERR_LIMIT);
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
	    .us_total = (uint32_t)(eom_now_us() - e->started_us)};
	struct buf json;
	int err;

	/* of what goes on alone: a certificate under what was refused may come again under something better */
	if (e->judged && o->action == OUT_ACCEPT)
		in.harvest = harvest_entries(&e->certs, &e->facts);
	buf_init(&json, 262144);
	err = record_verdict(&in, &json);
	if (err == 0)
		err = ledger_record_sync(e->slot->ledger, buf_slice(&json), EOM_LEDGER_MS, seq_out);
	if (err == 0)
		harvest_told(in.harvest);
	json_free(in.harvest);
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
	log_u64(&l, "us", eom_now_us() - e->started_us);
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
	struct eom e = {.session = s, .msg = s->msg, .started_us = eom_now_us()};
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
	e.slot = e.arena != NULL ? backend_take(eom_within(&e, EOM_TURN_MS)) : NULL;
	if (e.slot == NULL) {
		eom_in_trouble(&e, T_BUSY, ERR_TIMEOUT);
	} else {
		judge(&e);
	}
	word(&e, o);
	/* without a slot there is no way to the ledger; nothing but a deferral is said then */
	if (e.slot != NULL && (err = eom_enter_document(&e, o)) != 0) {
		eom_in_trouble(&e, T_LEDGER, err);
		word_trouble(&e, e.trouble, o);
	}
	if (e.slot != NULL)
		err = record(&e, o, &seq);
	if (err != 0) {
		eom_in_trouble(&e, T_LEDGER, err);
		word_trouble(&e, e.trouble, o);
	}
	log_outcome(&e, o, seq);
	if (e.judged)
		verdict_done(&e.verdict);
	for (i = 0; i < EOM_AUTHORS_ASKED; i++)
		lookup_sender_free(e.senders[i]);
	backend_give(e.slot);
	o->gateway = e.gateway;
	o->body_fd = e.msg->file.fd;
	buf_done(&e.origin);
	buf_done(&e.entry);
	arena_free(e.arena);
}
