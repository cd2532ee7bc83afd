/* ledger_certs.c: ledger_certs.h. Runs in milter-ledger, the one writer of the file. Invariants: no delivery waits for a sync of this file; a decision is answered
 * when it is on stable storage; a line is appended whole or cut off again, and where it cannot be cut off nothing is appended until the file was written anew;
 * the file is replaced by a synced one under its own name. What the milter says of a
 * certificate is kept and not believed: who approves it has it judged anew. */
#include "config.h"

#include "milter/ledger_certs.h"

#include "lib/err.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NEW_FILE CERT_FILE ".new"
#define FILE_MAX (512ull << 20)
#define LEFTOVER_MIN \
	(1u << 20) /* a file is written anew when at least this, and half of it, is leftovers */
#define SAY_AGAIN_S 3600

static struct {
	int fd, dir_fd;
	struct cert_table *table;
	uint64_t size; /* octets */
	int64_t unseen_s, full_said;
	size_t refused;
	bool is_torn; /* part of a line stands behind size */
} certs = {.fd = -1, .dir_fd = -1};

/* ---- the file ---- */

static int
write_all(int fd, struct slice s)
{
	while (s.len > 0) {
		ssize_t n = write(fd, s.ptr, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ERR_IO;
		s = slice_from(s, (size_t)n);
	}
	return 0;
}

/* At the end, in one piece; *at_out: where. */
static int
append(const struct json *j, uint64_t *at_out)
{
	struct buf line;
	int err;

	buf_init(&line, CERT_LINE_MAX);
	err = certs.is_torn ? ERR_IO : cert_line_put(j, &line);
	if (err == 0 && certs.size + line.len > FILE_MAX)
		err = ERR_FULL;
	if (err == 0 && (err = write_all(certs.fd, buf_slice(&line))) != 0 &&
	    ftruncate(certs.fd, (off_t)certs.size) != 0) {
		certs.is_torn = true;
		log_msg(LOG_LVL_ERROR, "certs_write",
		    "half a line stays in %s: nothing is added until it was written anew: %m",
		    CERT_FILE);
	}
	if (err == 0) {
		*at_out = certs.size;
		certs.size += line.len;
		err = cert_table_line(
		    certs.table, slice_sub(buf_slice(&line), 0, line.len - 1), *at_out, NULL);
	}
	buf_done(&line);
	return err;
}

static struct json *
seen_of(const struct cert_row *r)
{
	struct json *j = json_obj_new();
	char hex[65];

	hex_encode(r->sha256, 32, hex);
	json_set_str(j, "k", "seen");
	json_set_str(j, "sha256", hex);
	json_set_int(j, "n", (int64_t)r->count);
	json_set_int(j, "last", r->last);
	return j;
}

static int
copy_line(int to, uint64_t at, size_t len, struct buf *scratch)
{
	unsigned char *room;

	buf_reset(scratch);
	if (len == 0)
		return 0;
	room = buf_reserve(scratch, len);
	if (room == NULL || pread(certs.fd, room, len, (off_t)at) != (ssize_t)len)
		return ERR_IO;
	return write_all(to, slice_of(room, len));
}

/* What counts, and nothing else, under another name. */
static int
write_anew(int to)
{
	struct buf scratch;
	struct cert_row *r;
	int err = 0;

	buf_init(&scratch, CERT_LINE_MAX);
	for (r = cert_table_first(certs.table); r != NULL && err == 0; r = r->next) {
		struct json *seen = seen_of(r);

		err = copy_line(to, r->at, r->len, &scratch);
		if (err == 0)
			err = copy_line(to, r->decided_at, r->decided_len, &scratch);
		buf_reset(&scratch);
		if (err == 0)
			err = cert_line_put(seen, &scratch);
		if (err == 0)
			err = write_all(to, buf_slice(&scratch));
		json_free(seen);
	}
	buf_done(&scratch);
	if (err == 0 && fsync(to) != 0)
		err = ERR_IO;
	return err;
}

/* The file and its index, anew from what is on the disk. */
static int
load(void)
{
	struct cert_table *t = cert_table_new();
	struct cert_read was;
	struct stat st;
	int err = cert_table_read(t, certs.fd, &was);

	if (err == 0 && fstat(certs.fd, &st) != 0)
		err = ERR_IO;
	/* what has no line end yet would spoil the next line */
	if (err == 0 && (uint64_t)st.st_size > was.size &&
	    ftruncate(certs.fd, (off_t)was.size) != 0)
		err = ERR_IO;
	if (err != 0) {
		cert_table_free(t);
		return err;
	}
	if (was.bad > 0)
		log_msg(LOG_LVL_WARN, "certs_torn", "%llu lines of %s are none of ours",
		    (unsigned long long)was.bad, CERT_FILE);
	cert_table_free(certs.table);
	certs.table = t;
	certs.size = was.size;
	certs.is_torn = false;
	return 0;
}

static void
replace_file(void)
{
	int to, err;

	(void)unlinkat(certs.dir_fd, NEW_FILE, 0);
	to = openat(certs.dir_fd, NEW_FILE,
	    O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	err = to < 0 ? ERR_IO : write_anew(to);
	if (err == 0 && renameat(certs.dir_fd, NEW_FILE, certs.dir_fd, CERT_FILE) != 0)
		err = ERR_IO;
	if (err != 0) {
		log_msg(LOG_LVL_ERROR, "certs_replace", "%s cannot be written anew: %m", CERT_FILE);
		(void)unlinkat(certs.dir_fd, NEW_FILE, 0);
		if (to >= 0)
			close(to);
		return;
	}
	close(certs.fd);
	certs.fd = to;
	if (fsync(certs.dir_fd) != 0 || load() != 0)
		fatal("milter-ledger: %s cannot be read after it was replaced", CERT_FILE);
}

static uint64_t
live_octets(void)
{
	struct cert_row *r;
	uint64_t n = 0;

	for (r = cert_table_first(certs.table); r != NULL; r = r->next)
		n += r->len + r->decided_len + 160; /* and a line "seen" */
	return n;
}

int
certs_open(const char *folder, uid_t owner, unsigned unseen_days)
{
	int err = ERR_IO;

	certs.unseen_s = (int64_t)unseen_days * 86400;
	certs.dir_fd = open(folder != NULL ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	certs.fd = certs.dir_fd < 0
		       ? -1
		       : openat(certs.dir_fd, CERT_FILE,
			     O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (certs.fd >= 0 &&
	    (geteuid() != 0 || owner == 0 || fchown(certs.fd, owner, (gid_t)-1) == 0))
		err = load();
	/* what a ledger that was killed had not synced is believed from now on */
	if (err == 0 && (fdatasync(certs.fd) != 0 || fsync(certs.dir_fd) != 0))
		err = ERR_IO;
	return err;
}

void
certs_close(void)
{
	if (certs.fd >= 0)
		close(certs.fd);
	if (certs.dir_fd >= 0)
		close(certs.dir_fd);
	cert_table_free(certs.table);
	certs.table = NULL;
	certs.fd = certs.dir_fd = -1;
}

enum cert_state
certs_state(const unsigned char sha256[32])
{
	const struct cert_row *r = cert_table_find(certs.table, sha256);

	return r != NULL ? r->state : CERT_UNKNOWN;
}

/* ---- what mails bring ---- */

static void
say_full(const char *address, int64_t now)
{
	struct log_line l;

	certs.refused++;
	if (now - certs.full_said < SAY_AGAIN_S)
		return;
	certs.full_said = now;
	log_begin(&l, LOG_LVL_WARN, "certs_full");
	log_str(&l, "address", address);
	log_u64(&l, "waiting", cert_table_count(certs.table, CERT_PENDING));
	log_u64(&l, "refused", certs.refused);
	log_end(&l);
}

static struct json *
record_of(const struct json *e, struct slice qid)
{
	static const char *const keys[] = {
	    "sha256", "address", "account", "subject", "issuer", "serial"};
	struct json *rec = json_obj_new();
	size_t i;

	json_set_str(rec, "event", "cert_pending");
	json_set_slice(
	    rec, "from_qid", qid); /* not "qid": records of that name are the mail's own */
	for (i = 0; i < sizeof keys / sizeof *keys; i++)
		json_set_slice(rec, keys[i], json_str(json_get(e, keys[i])));
	json_set_int(rec, "not_before", json_int(json_get(e, "not_before"), 0));
	json_set_int(rec, "not_after", json_int(json_get(e, "not_after"), 0));
	return rec;
}

static int
add(const struct json *e, struct slice qid, int64_t now)
{
	static const char *const keys[] = {
	    "sha256", "address", "account", "subject", "issuer", "serial", "der"};
	struct json *j = json_obj_new();
	uint64_t at;
	size_t i;
	int err;

	json_set_str(j, "k", "cert");
	json_set_int(j, "v", 1);
	for (i = 0; i < sizeof keys / sizeof *keys; i++)
		json_set_slice(j, keys[i], json_str(json_get(e, keys[i])));
	json_set_int(j, "not_before", json_int(json_get(e, "not_before"), 0));
	json_set_int(j, "not_after", json_int(json_get(e, "not_after"), 0));
	json_set_int(j, "first", now);
	json_set_slice(j, "qid", slice_sub(qid, 0, 64));
	err = append(j, &at);
	json_free(j);
	return err;
}

static bool
harvest_one(const struct json *e, struct slice qid, int64_t now)
{
	struct slice hex = json_str(json_get(e, "sha256"));
	const char *address = json_cstr(json_get(e, "address"));
	unsigned char sha[32];
	struct cert_row *r = NULL;

	if (hex.len == 64 && hex_decode(hex, sha, 32) == 0)
		r = cert_table_find(certs.table, sha);
	if (r != NULL) {
		r->count++;
		r->last = now;
		r->is_counted = true;
		return false;
	}
	if (cert_entry_check(e, sha, NULL) != 0 || json_int(json_get(e, "not_after"), 0) <= now)
		return false;
	if (!cert_table_has_room(certs.table, address, json_str(json_get(e, "account")).len > 0)) {
		say_full(address, now);
		return false;
	}
	return add(e, qid, now) == 0;
}

size_t
certs_harvest(const struct json *list, struct slice qid, int64_t now, certs_new_fn fn)
{
	size_t i, n = 0;

	for (i = 0; i < json_len(list) && i < CERTS_AT_ONCE; i++) {
		if (!harvest_one(json_at(list, i), qid, now))
			continue;
		n++;
		fn(record_of(json_at(list, i), qid));
	}
	return n;
}

/* ---- what officers decide ---- */

static int
may_become(const struct cert_row *r, enum cert_state to)
{
	if (r->state == to)
		return ERR_EXISTS;
	switch (to) {
	case CERT_PUBLISHED:
		return r->state == CERT_BANNED ? ERR_CONFLICT : 0;
	case CERT_WITHDRAWN: /* in every state: congvu looks whether the directory has it, which older lines may not say */
		return r->state == CERT_BANNED && !r->published ? ERR_EXISTS : 0;
	case CERT_PENDING: /* a ban is lifted */
		return r->state == CERT_BANNED ? 0 : ERR_CONFLICT;
	case CERT_BANNED:
		return 0;
	default:
		return ERR_SYNTAX;
	}
}

/* What a decision makes of a row: a ban keeps apart from whether the directory has the certificate. */
static enum cert_state
state_after(const struct cert_row *r, enum cert_state to)
{
	if (to == CERT_WITHDRAWN && r->state == CERT_BANNED)
		return CERT_BANNED;
	return to == CERT_PENDING && r->published ? CERT_PUBLISHED : to;
}

/* Withdrawn while it is banned: why it is banned stays to be read. */
static void
keep_reason(const struct cert_row *r, struct json *j)
{
	struct json *was = NULL;
	struct buf line;

	buf_init(&line, CERT_LINE_MAX);
	if (r->decided_len > 0 && buf_reserve(&line, r->decided_len) != NULL &&
	    pread(certs.fd, line.data, r->decided_len, (off_t)r->decided_at) ==
		(ssize_t)r->decided_len &&
	    cert_line_get(slice_of(line.data, r->decided_len - 1), &was) == 0)
		json_set_slice(j, "reason", json_str(json_get(was, "reason")));
	json_free(was);
	buf_done(&line);
}

int
certs_decide(const struct json *rec, int64_t now, bool only_look)
{
	static const char *const keys[] = {"sha256", "state", "by", "decision", "reason"};
	enum cert_state to = cert_state_of(json_str(json_get(rec, "state")));
	struct slice hex = json_str(json_get(rec, "sha256"));
	const struct cert_row *r = NULL;
	unsigned char sha[32];
	struct json *j;
	uint64_t at;
	size_t i;
	int err;

	if (hex.len != 64 || hex_decode(hex, sha, 32) != 0)
		return ERR_SYNTAX;
	for (i = 0; i < sizeof keys / sizeof *keys; i++)
		if (json_str(json_get(rec, keys[i])).len > CERT_TEXT_MAX)
			return ERR_SYNTAX;
	r = cert_table_find(certs.table, sha);
	if (r == NULL)
		return ERR_NOTFOUND;
	err = may_become(r, to);
	if (err == 0 && r->state == CERT_PENDING &&
	    cert_table_total(certs.table) - cert_table_count(certs.table, CERT_PENDING) >=
		CERTS_DECIDED_MAX)
		err = ERR_LIMIT;
	if (err != 0 || only_look)
		return err;
	j = json_obj_new();
	json_set_str(j, "k", "state");
	for (i = 0; i < sizeof keys / sizeof *keys; i++)
		json_set_slice(j, keys[i], json_str(json_get(rec, keys[i])));
	json_set_str(j, "state", cert_state_name(state_after(r, to)));
	json_set_bool(
	    j, "published", to == CERT_PUBLISHED || (to != CERT_WITHDRAWN && r->published));
	if (to == CERT_WITHDRAWN && r->state == CERT_BANNED)
		keep_reason(r, j);
	json_set_int(j, "at", now);
	err = append(j, &at);
	json_free(j);
	if (err == 0 && fdatasync(certs.fd) != 0)
		fatal("milter-ledger: a sync of %s failed: what is in it is not known", CERT_FILE);
	return err;
}

void
certs_tick(int64_t now)
{
	struct cert_row *r;
	struct json *seen;
	uint64_t at, live;
	size_t gone;
	int err = 0;

	if (certs.is_torn)
		replace_file();
	gone = cert_table_expire(certs.table, now, certs.unseen_s);
	if (gone > 0)
		log_msg(
		    LOG_LVL_INFO, "certs_expired", "%zu certificates are out of their time", gone);
	for (r = cert_table_first(certs.table); r != NULL && err == 0; r = r->next) {
		if (!r->is_counted)
			continue;
		seen = seen_of(r);
		err = append(seen, &at);
		json_free(seen);
		r->is_counted = err != 0;
	}
	live = live_octets();
	if (!certs.is_torn && certs.size > LEFTOVER_MIN && certs.size / 2 > live)
		replace_file();
}
