/* people_route.c: where mail goes besides the mailbox: forwards, followed inside to their end; automatic replies; who may send to a group.
 * Runs in lookup's workers. Invariants: a forward that leads nowhere, in a circle or where the policy does not allow leaves the mail in the
 * mailbox of who wanted it; what is read from the directory is bounded. */
#include "config.h"

#include "directory/people_priv.h"

#include "directory/assignment.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	DEPTH_MAX = 8,
	FORWARDS_MAX = 10,
	MAY_SEND_MAX = 100,
	TEXT_MAX = 8192,
	DAYS_USUAL = 7,
	DAYS_MAX = 30
};

/* ---- what entries say ---- */

void
people_forwards_add(
    const struct people *p, const struct dir_entry *e, const char *account, struct people_rcpt *r)
{
	const struct dir_attr *a = dir_entry_attr(e, p->a_forward);
	bool keep = !slice_caseeq_str(dir_entry_value(e, p->a_keep), "FALSE");
	char *by = a == NULL ? NULL : people_address(dir_entry_value(e, p->a_mail));

	for (size_t i = 0; by != NULL && i < a->n_values && i < FORWARDS_MAX; i++) {
		char *to = people_address(a->values[i]);
		if (to == NULL || r->n_forwards >= PEOPLE_HOPS) {
			log_msg(LOG_LVL_WARN, "forward_left_out", "%s of %s",
			    to == NULL ? "no address" : "too many", by);
			free(to);
			continue;
		}
		r->forwards = xrealloc(r->forwards, (r->n_forwards + 1) * sizeof(*r->forwards));
		r->forwards[r->n_forwards++] = (struct people_forward){
		    .account = xstrdup(account), .by = xstrdup(by), .to = to, .keep = keep};
	}
	free(by);
}

void
people_reply_read(
    const struct people *p, const struct dir_entry *e, int64_t now, struct people_rcpt *r)
{
	struct slice text = dir_entry_value(e, p->a_reply_text);
	struct strings l = {0};
	uint64_t days;

	if (text.len == 0 || assignment_when(dir_entry_value(e, p->a_reply_from),
				 dir_entry_value(e, p->a_reply_until), now) != ASSIGNMENT_NOW)
		return;
	if (text.len > TEXT_MAX)
		text.len = TEXT_MAX;
	r->reply = xcalloc(1, sizeof(*r->reply));
	r->reply->text = slice_dup(text);
	r->reply->subject = people_text(e, p->a_reply_subject, "");
	if (slice_to_u64(dir_entry_value(e, p->a_reply_days), DAYS_MAX, &days) != 0 || days == 0)
		days = DAYS_USUAL;
	r->reply->days = (unsigned)days;
	people_addresses(p, e, &l);
	r->reply->addresses = l.v;
	r->reply->n_addresses = l.n;
	if (r->reply->text == NULL)
		r->reply->text = xstrdup(""); /* a NUL in it */
}

static bool
was_address(const struct people *p, const struct dir_entry *e, const char *address)
{
	const struct dir_attr *history = dir_entry_attr(e, p->a_history);
	bool was = false;

	/* "address;from;to" */
	for (size_t i = 0; history != NULL && i < history->n_values && !was; i++) {
		struct slice v = history->values[i];
		ptrdiff_t semicolon = slice_index(v, ';');
		char *one = people_address(
		    slice_trim(slice_sub(v, 0, semicolon < 0 ? v.len : (size_t)semicolon)));

		was = one != NULL && strcmp(one, address) == 0;
		free(one);
	}
	return was;
}

void
people_moved_read(
    const struct people *p, const struct dir_entry *e, struct slice address, struct people_rcpt *r)
{
	char *now = people_address(dir_entry_value(e, p->a_mail)), *was = slice_dup(address);
	struct strings l = {0};
	char *text = NULL;

	if (!p->moved_notice || r->reply != NULL || now == NULL || was == NULL ||
	    strcmp(now, was) == 0 || !was_address(p, e, was))
		goto out;
	if (asprintf(&text,
		"Địa chỉ %s đã đổi thành %s. Thư của quý vị đã được chuyển tới địa chỉ mới; lần "
		"sau xin "
		"gửi thẳng tới đó.\n\nThe address %s is now %s. Your message was delivered there; "
		"please "
		"use the new address from now on.\n",
		was, now, was, now) < 0)
		goto out;
	r->reply = xcalloc(1, sizeof(*r->reply));
	r->reply->text = text;
	r->reply->subject = xstrdup("Địa chỉ đã đổi / Address changed");
	r->reply->days = DAYS_MAX;
	people_addresses(p, e, &l);
	strings_add_take(&l, xstrdup(was), PEOPLE_ADDRESSES_MAX);
	r->reply->addresses = l.v;
	r->reply->n_addresses = l.n;
out:
	free(now);
	free(was);
}

void
people_may_send_read(const struct people *p, const struct dir_entry *e, struct people_rcpt *r)
{
	const struct dir_attr *a = dir_entry_attr(e, p->a_may_send);
	struct strings l = {0};

	for (size_t i = 0; a != NULL && i < a->n_values; i++) {
		char *address = people_address(a->values[i]);
		strings_add_take(
		    &l, address != NULL ? address : slice_dup(a->values[i]), MAY_SEND_MAX);
	}
	r->may_send = l.v;
	r->n_may_send = l.n;
}

void
people_extras_free(struct people_rcpt *r)
{
	for (size_t i = 0; i < r->n_forwards; i++) {
		free(r->forwards[i].account);
		free(r->forwards[i].by);
		free(r->forwards[i].to);
	}
	free(r->forwards);
	if (r->reply != NULL) {
		free(r->reply->subject);
		free(r->reply->text);
		strings_free(r->reply->addresses, r->reply->n_addresses);
		free(r->reply);
	}
	strings_free(r->may_send, r->n_may_send);
}

/* ---- who may send ---- */

static int
is_member(struct people *p, const struct people_rcpt *r, struct slice sender, bool *is_out)
{
	struct people_owner *o = NULL;
	int err = people_owner(p, sender, &o);

	*is_out = false;
	/* nobody's address any more: no account */
	for (size_t i = 0; err == 0 && o->account != NULL && i < r->n; i++)
		*is_out |= o->account[0] != '\0' && strcmp(o->account, r->v[i].account) == 0;
	if (err == 0)
		people_owner_free(o);
	return err;
}

int
people_members(struct people *p, struct slice group, char *const *addresses, size_t n, bool *is_out)
{
	struct people_rcpt *r = NULL;
	int err = people_rcpt(p, group, &r);

	if (err == 0 && !r->is_group)
		err = ERR_NOTFOUND;
	for (size_t i = 0; err == 0 && i < n; i++) {
		is_out[i] = false;
		if (addresses[i] != NULL && people_is_ours(p, slice_str(addresses[i])))
			err = is_member(p, r, slice_str(addresses[i]), &is_out[i]);
	}
	people_rcpt_free(r);
	return err;
}

int
people_rcpt_may_send(struct people *p, const struct people_rcpt *r, struct slice sender,
    bool signed_in, bool *may_out)
{
	/* an address of ours that nobody signed in for is a claim */
	bool believed = signed_in || (sender.len > 0 && !people_is_ours(p, sender));
	bool may = r->n_may_send == 0;
	int err = 0;

	for (size_t i = 0; err == 0 && !may && i < r->n_may_send; i++) {
		const char *word = r->may_send[i];
		if (strcasecmp(word, "anyone") == 0)
			may = true;
		else if (strcasecmp(word, "inside") == 0)
			may = signed_in;
		else if (strcasecmp(word, "members") == 0)
			err = signed_in ? is_member(p, r, sender, &may) : 0;
		else
			may = believed && slice_eq_str(sender, word);
	}
	if (err == 0)
		*may_out = may;
	return err;
}

/* ---- the way ---- */

struct walk {
	struct people *p;
	enum people_forward_to policy;
	struct slice sender;
	bool signed_in;
	struct people_route *route;
	struct strings seen; /* accounts */
};

static bool
was_seen(struct walk *w, const char *account)
{
	for (size_t i = 0; i < w->seen.n; i++)
		if (strcmp(w->seen.v[i], account) == 0)
			return true;
	strings_add_take(&w->seen, xstrdup(account), SIZE_MAX);
	return false;
}

static bool
is_hop(const struct walk *w, const char *to)
{
	for (size_t i = 0; i < w->route->n; i++)
		if (strcmp(w->route->hops[i].to, to) == 0)
			return true;
	return false;
}

/* Whether the mail reaches that address; true too when it does already. */
static bool
hop_add(struct walk *w, const char *to, const char *by, bool is_remote)
{
	struct people_route *o = w->route;

	if (is_hop(w, to))
		return true;
	if (o->n >= PEOPLE_HOPS)
		return false;
	o->hops = xrealloc(o->hops, (o->n + 1) * sizeof(*o->hops));
	o->hops[o->n++] = (struct people_hop){xstrdup(to), xstrdup(by), is_remote};
	return true;
}

static void
refused(const struct people_forward *f, const char *why)
{
	struct log_line l;

	log_begin(&l, LOG_LVL_WARN, "forward_refused");
	log_str(&l, "by", f->by);
	log_str(&l, "to", f->to);
	log_str(&l, "why", why);
	log_end(&l);
}

static int follow(struct walk *w, const struct people_forward *f, int depth, bool *reached_out);

/* All forwards of a recipient; *keep_out: its own mailbox gets the mail. */
static int
follow_all(struct walk *w, const struct people_rcpt *r, int depth, bool *keep_out)
{
	bool keep = r->is_group || r->n_forwards == 0, reached = false;
	int err = 0;

	for (size_t i = 0; err == 0 && i < r->n_forwards; i++) {
		bool one = false;
		err = follow(w, &r->forwards[i], depth, &one);
		reached |= one;
		/* what could not go on stays here */
		keep |= r->forwards[i].keep || !one;
	}
	*keep_out = keep || !reached;
	return err;
}

static int
follow_inside(struct walk *w, const struct people_forward *f, int depth, bool *reached_out)
{
	struct people_rcpt *r = NULL;
	bool keep = true, may = true;
	int err = people_rcpt(w->p, slice_str(f->to), &r);

	if (err == ERR_NOTFOUND || err == ERR_LIMIT) {
		refused(f, err == ERR_LIMIT ? "the group is too large" : "nobody is there");
		return 0;
	}
	if (err != 0)
		return err;
	if (r->is_group) {
		/* else a member's forward would open a closed group to whoever writes to the member */
		err = people_rcpt_may_send(w->p, r, w->sender, w->signed_in, &may);
		*reached_out = err == 0 && may && hop_add(w, f->to, f->by, false);
		if (err == 0 && !may)
			refused(f, "the group is closed to the sender");
	} else if (depth >= DEPTH_MAX || was_seen(w, r->v[0].account)) {
		*reached_out = is_hop(w, r->v[0].address);
		if (!*reached_out)
			refused(f, "a circle");
	} else {
		err = follow_all(w, r, depth + 1, &keep);
		*reached_out = err == 0 && (!keep || hop_add(w, r->v[0].address, f->by, false));
	}
	people_rcpt_free(r);
	return err;
}

static int
follow(struct walk *w, const struct people_forward *f, int depth, bool *reached_out)
{
	*reached_out = false;
	if (w->policy == PEOPLE_FORWARD_OFF) {
		refused(f, "forward_to");
		return 0;
	}
	if (people_is_ours(w->p, slice_str(f->to)))
		return follow_inside(w, f, depth, reached_out);
	if (w->policy == PEOPLE_FORWARD_ANY)
		*reached_out = hop_add(w, f->to, f->by, true);
	else
		refused(f, "forward_to");
	return 0;
}

int
people_route(struct people *p, const struct people_rcpt *r, enum people_forward_to policy,
    struct slice sender, bool signed_in, struct people_route **out)
{
	struct people_route *o = xcalloc(1, sizeof(*o));
	struct walk w = {
	    .p = p, .policy = policy, .sender = sender, .signed_in = signed_in, .route = o};
	int err;

	if (!r->is_group && r->n > 0)
		(void)was_seen(&w, r->v[0].account);
	err = follow_all(&w, r, 0, &o->keep);
	strings_free(w.seen.v, w.seen.n);
	if (err != 0) {
		people_route_free(o);
		return err;
	}
	*out = o;
	return 0;
}

void
people_route_free(struct people_route *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++) {
		free(r->hops[i].to);
		free(r->hops[i].by);
	}
	free(r->hops);
	free(r);
}
