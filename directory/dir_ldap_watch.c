/* dir_ldap_watch.c: dir_watch.h over libldap, in a thread of lookup, on a connection of its own. Content synchronization begins with the state of the
 * directory as of now (contextCSN as the cookie, where the server tells it), so that a start asks for no entries; after a lost connection it goes on
 * with the last cookie, and where that is not taken any more everything may have changed. A server that falls silent is found out by a small search each
 * HEART_MS. Without the control: what was modified since the newest time seen, each POLL_MS. With dir_ldap.c and dir_ldap_link.c the only
 * includer of <ldap.h>. RFC 4533, RFC 4511. */
#include "config.h"

#include "directory/dir_watch.h"

#include "directory/dir_ldap_priv.h"
#include "directory/sync_value.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ldap.h>

enum {
	HEART_MS = 1500,
	POLL_MS = 2000,
	AGAIN_MIN_MS = 100,
	AGAIN_MAX_MS = 2000,
	/* how far the clocks of directory and this machine may differ when asking by time */
	SKEW_S = 600,
	/* after more changes than an answer holds: ten minutes of a bulk load would be all over again each time */
	BACK_S = 60,
	POLL_TRIES = 150, /* polls, then the control is tried again */
};

struct watch {
	struct dir *d;
	const struct dir_watch_params *p;
	struct buf cookie;
	bool was_up, is_down;
	bool in_refresh;
	bool refresh_any; /* the refresh named what is there, not what is gone */
	char newest[32];  /* polling: the newest time of modification seen */
	uint64_t seen;    /* a digest of what the last poll gave */
};

static void
tell(struct watch *w, enum dir_watch_kind kind, const struct dir_entry *e)
{
	w->p->fn(w->p->arg, kind, e);
}

static void
sleep_ms(unsigned ms)
{
	struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

static void
cookie_keep(struct watch *w, struct slice cookie)
{
	if (cookie.ptr == NULL || cookie.len == 0)
		return;
	buf_reset(&w->cookie);
	buf_append_slice(&w->cookie, cookie);
	if (w->cookie.err != 0)
		buf_reset(&w->cookie);
}

static struct slice
slice_of_berval(const struct berval *v)
{
	return v == NULL ? slice_of(NULL, 0) : slice_of(v->bv_val, v->bv_len);
}

/* The state of the directory now: all values of contextCSN, as slapd's cookies have them. Left empty where that is not told. */
static void
cookie_begin(struct watch *w, struct link *l)
{
	char *attrs[] = {(char *)(uintptr_t) "contextCSN", NULL};
	struct timeval tv = dir_timeval(w->d);
	struct berval **values = NULL;
	LDAPMessage *res = NULL, *e;
	struct buf b;

	buf_init(&b, SYNC_COOKIE_MAX);
	if (ldap_search_ext_s(l->ld, w->d->base, LDAP_SCOPE_BASE, "(objectClass=*)", attrs, 0, NULL,
		NULL, &tv, 1, &res) == LDAP_SUCCESS &&
	    (e = ldap_first_entry(l->ld, res)) != NULL)
		values = ldap_get_values_len(l->ld, e, "contextCSN");
	for (int i = 0; values != NULL && values[i] != NULL; i++) {
		buf_append_str(&b, i == 0 ? "rid=000,csn=" : ";");
		buf_append(&b, values[i]->bv_val, values[i]->bv_len);
	}
	if (b.len > 0 && b.err == 0)
		cookie_keep(w, buf_slice(&b));
	ldap_value_free_len(values);
	ldap_msgfree(res);
	buf_done(&b);
}

/* ---- content synchronization ---- */

static int
sync_send(struct watch *w, struct link *l, int *id_out)
{
	LDAPControl control = {(char *)(uintptr_t)LDAP_CONTROL_SYNC, {0, NULL}, 1};
	LDAPControl *controls[] = {&control, NULL};
	struct buf b;
	int rc;

	buf_init(&b, SYNC_COOKIE_MAX + 64);
	sync_request_append(buf_slice(&w->cookie), &b);
	control.ldctl_value = (struct berval){b.len, (char *)b.data};
	rc = ldap_search_ext(l->ld, w->d->base, LDAP_SCOPE_SUBTREE, "(objectClass=*)",
	    (char **)(uintptr_t)w->p->attrs, 0, controls, NULL, NULL, 0, id_out);
	buf_done(&b);
	return rc;
}

static void
entry_tell(struct watch *w, struct link *l, LDAPMessage *m, enum dir_watch_kind kind)
{
	struct dir_result *r = xcalloc(1, sizeof(*r));

	r->entries = xcalloc(1, sizeof(*r->entries));
	r->n_entries = 1;
	if (dir_entry_copy(w->d, l->ld, m, &r->entries[0]) == 0)
		tell(w, kind, &r->entries[0]);
	else
		tell(w, DIR_WATCH_ANY, NULL);
	dir_result_free(r);
}

static void
on_entry(struct watch *w, struct link *l, LDAPMessage *m)
{
	LDAPControl **controls = NULL, *c;
	enum sync_state state;
	struct slice cookie;

	if (ldap_get_entry_controls(l->ld, m, &controls) != LDAP_SUCCESS)
		return;
	c = ldap_control_find(LDAP_CONTROL_SYNC_STATE, controls, NULL);
	if (c != NULL && sync_state_parse(slice_of_berval(&c->ldctl_value), &state, &cookie) == 0) {
		if (state == SYNC_PRESENT)
			w->refresh_any = true;
		else if (!w->in_refresh ||
			 (w->was_up && !w->refresh_any)) /* else all is looked at */
			entry_tell(
			    w, l, m, state == SYNC_DELETE ? DIR_WATCH_GONE : DIR_WATCH_CHANGE);
		cookie_keep(w, cookie);
	} else {
		tell(w, DIR_WATCH_ANY, NULL);
	}
	ldap_controls_free(controls);
}

static void
heard(struct watch *w, uint64_t ms)
{
	if (w->p->heard_ms != NULL)
		*w->p->heard_ms = ms;
}

static void
refresh_end(struct watch *w)
{
	w->in_refresh = false;
	tell(w, DIR_WATCH_UP, NULL);
	/* who was heard of before this watch began is looked at as well */
	if (!w->was_up || w->refresh_any)
		tell(w, DIR_WATCH_ANY, NULL);
	w->was_up = true;
	w->is_down = false;
	w->refresh_any = false;
	log_msg(LOG_LVL_INFO, "directory_watched", "changes are heard of as they happen");
}

static void
on_intermediate(struct watch *w, struct link *l, LDAPMessage *m)
{
	struct berval *value = NULL;
	struct sync_info info;
	char *oid = NULL;

	if (ldap_parse_intermediate(l->ld, m, &oid, &value, NULL, 0) == LDAP_SUCCESS &&
	    oid != NULL && strcmp(oid, LDAP_SYNC_INFO) == 0 &&
	    sync_info_parse(slice_of_berval(value), &info) == 0) {
		cookie_keep(w, info.cookie);
		/* ids without entries: gone, or there and all others gone */
		w->refresh_any =
		    w->refresh_any || info.kind == SYNC_ID_SET || info.kind == SYNC_REFRESH_PRESENT;
		if (info.is_done && w->in_refresh)
			refresh_end(w);
		else if (!w->in_refresh && w->refresh_any) {
			w->refresh_any = false;
			tell(w, DIR_WATCH_ANY, NULL);
		}
	}
	ldap_memfree(oid);
	ber_bvfree(value);
}

/* The search ended, which it only does for a reason. */
static int
done_rc(struct watch *w, struct link *l, LDAPMessage *m)
{
	int code = LDAP_OTHER;

	if (ldap_parse_result(l->ld, m, &code, NULL, NULL, NULL, NULL, 0) != LDAP_SUCCESS)
		code = LDAP_OTHER;
	log_msg(LOG_LVL_INFO, "directory_watch_ended", "%s", ldap_err2string(code));
	if (code == LDAP_SYNC_REFRESH_REQUIRED || code == LDAP_UNWILLING_TO_PERFORM ||
	    code == LDAP_PROTOCOL_ERROR || code == LDAP_OTHER) {
		/* the cookie is too old, or newer than this server */
		buf_reset(&w->cookie);
		w->refresh_any = true;
	}
	return code == LDAP_SUCCESS ? LDAP_OTHER : code;
}

/* One message of a connection that is watched on. LDAP_SUCCESS: go on. */
static int
message(struct watch *w, struct link *l, LDAPMessage *m, int id, int *heart)
{
	int rc = LDAP_SUCCESS;

	if (ldap_msgid(m) == *heart && *heart != 0) {
		if (ldap_msgtype(m) == LDAP_RES_SEARCH_RESULT)
			*heart = 0;
		return LDAP_SUCCESS;
	}
	if (ldap_msgid(m) != id)
		return ldap_msgid(m) == 0 ? LDAP_SERVER_DOWN
					  : LDAP_SUCCESS; /* 0: notice of disconnection */
	switch (ldap_msgtype(m)) {
	case LDAP_RES_SEARCH_ENTRY:
		on_entry(w, l, m);
		break;
	case LDAP_RES_INTERMEDIATE:
		on_intermediate(w, l, m);
		break;
	case LDAP_RES_SEARCH_RESULT:
		rc = done_rc(w, l, m);
		break;
	default:
		break;
	}
	return rc;
}

/* Until it ends: the LDAP code why. */
static int
watch_sync(struct watch *w, struct link *l)
{
	static char *none[] = {(char *)(uintptr_t)LDAP_NO_ATTRS, NULL};
	int id = 0, heart = 0, rc;

	if (w->cookie.len == 0)
		cookie_begin(w, l);
	w->in_refresh = true;
	w->d->watched = l->uri;
	rc = sync_send(w, l, &id);
	while (rc == LDAP_SUCCESS) {
		unsigned wait_ms = heart != 0 ? w->d->timeout_ms : HEART_MS;
		struct timeval tv = {wait_ms / 1000, (wait_ms % 1000) * 1000};
		LDAPMessage *m = NULL;
		int got = ldap_result(l->ld, LDAP_RES_ANY, LDAP_MSG_ONE, &tv, &m);

		if (dir_link_rc(l, LDAP_SUCCESS) != LDAP_SUCCESS || got < 0)
			rc = LDAP_SERVER_DOWN;
		else if (got > 0)
			rc = message(w, l, m, id, &heart);
		else if (heart != 0)
			rc = LDAP_TIMEOUT;
		else
			rc = ldap_search_ext(l->ld, "", LDAP_SCOPE_BASE, "(objectClass=*)", none, 0,
			    NULL, NULL, NULL, 1, &heart);
		/* after what the message told was passed on */
		if (rc == LDAP_SUCCESS && got > 0 && !w->in_refresh)
			heard(w, dir_now_ms());
		ldap_msgfree(m);
	}
	heard(w, 0);
	w->d->watched = w->d->n_uris;
	return rc;
}

/* ---- by time ---- */

static void
time_text(time_t t, char out[32])
{
	struct tm tm;

	gmtime_r(&t, &tm);
	/* with a fraction, which Active Directory asks for and slapd takes */
	strftime(out, 32, "%Y%m%d%H%M%S.0Z", &tm);
}

static uint64_t
fnv(uint64_t h, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		h = (h ^ s.ptr[i]) * 0x100000001b3u;
	return (h ^ 0xff) * 0x100000001b3u;
}

static uint64_t
entry_digest(const struct dir_entry *e)
{
	uint64_t h = fnv(0xcbf29ce484222325u, slice_str(e->dn));

	for (size_t i = 0; i < e->n_attrs; i++)
		for (size_t k = 0; k < e->attrs[i].n_values; k++)
			h = fnv(h, e->attrs[i].values[k]);
	return h;
}

static void
poll_tell(struct watch *w, const struct dir_result *r)
{
	uint64_t seen = r->n_entries;

	for (size_t i = 0; i < r->n_entries; i++)
		seen += entry_digest(&r->entries[i]);
	for (size_t i = 0; i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];
		const char *t = dir_value_text(dir_entry_value(e, w->p->attr_modified));

		if (t != NULL && strlen(t) < sizeof(w->newest) && strcmp(t, w->newest) > 0)
			memcpy(w->newest, t, strlen(t) + 1);
		/* those of the newest second come again until there is a newer one: so a later change in that second is not missed */
		if (seen != w->seen)
			tell(w, DIR_WATCH_CHANGE, e);
	}
	w->seen = seen;
}

static int
poll_once(struct watch *w)
{
	struct dir_result *r = NULL;
	struct buf filter;
	int err;

	buf_init(&filter, 256);
	buf_appendf(&filter, "(%s>=%s)", w->p->attr_modified, w->newest);
	err = dir_search(w->d, NULL, buf_cstr(&filter), w->p->attrs, 0, &r);
	if (err == 0)
		poll_tell(w, r);
	dir_result_free(r);
	buf_done(&filter);
	if (err == ERR_LIMIT) {
		/* more than it gives at a time: all is looked at, and it goes on from now, by a clock that may be ahead of the directory's */
		tell(w, DIR_WATCH_ANY, NULL);
		time_text(time(NULL) - BACK_S, w->newest);
		return 0;
	}
	return err;
}

static int
watch_poll(struct watch *w)
{
	int err = 0;

	if (*w->newest == '\0')
		time_text(time(NULL) - SKEW_S, w->newest);
	for (int i = 0; err == 0 && (w->p->poll_only || i < POLL_TRIES); i++) {
		if (i > 0)
			sleep_ms(POLL_MS);
		err = poll_once(w);
		if (err == 0 && (!w->was_up || w->is_down)) {
			tell(w, DIR_WATCH_UP_POLL, NULL);
			tell(w, DIR_WATCH_ANY, NULL);
			w->was_up = true;
			w->is_down = false;
			log_msg(LOG_LVL_INFO, "directory_polled",
			    "changes are asked for each %d ms", POLL_MS);
		}
	}
	return err == 0 ? LDAP_SUCCESS : LDAP_SERVER_DOWN;
}

/* ---- for ever ---- */

static bool
lacks_control(int rc)
{
	return rc == LDAP_UNAVAILABLE_CRITICAL_EXTENSION || rc == LDAP_UNWILLING_TO_PERFORM ||
	       rc == LDAP_PROTOCOL_ERROR || rc == LDAP_INSUFFICIENT_ACCESS;
}

void
dir_watch(struct dir *d, const struct dir_watch_params *p)
{
	struct watch w = {.d = d, .p = p};
	unsigned again = AGAIN_MIN_MS;
	bool polls = p->poll_only;

	buf_init(&w.cookie, SYNC_COOKIE_MAX);
	for (;;) {
		uint64_t began = dir_now_ms();
		bool had_cookie = w.cookie.len > 0;
		struct link *l = NULL;
		int rc = polls ? watch_poll(&w) : dir_link_open(d, &l);

		if (l != NULL) {
			rc = watch_sync(&w, l);
			/* refused with the state of the directory itself: it has no content synchronization for us */
			polls = lacks_control(rc) && w.in_refresh && !had_cookie;
			dir_link_close(l);
		} else if (polls) {
			polls = p->poll_only;
		}
		if (!w.is_down && w.was_up && dir_rc_is_link_trouble(rc)) {
			w.is_down = true;
			tell(&w, DIR_WATCH_DOWN, NULL);
		}
		again = dir_now_ms() - began > AGAIN_MAX_MS ? AGAIN_MIN_MS : again * 2;
		if (again > AGAIN_MAX_MS)
			again = AGAIN_MAX_MS;
		sleep_ms(again);
	}
}
