/* ledger_register.c: the register's file and its index in memory. Runs in milter-ledger, the one writer. Invariants: an entry is on stable storage
 * before it is answered, and is never changed; a number of an agency and year has one entry; a torn last line was never answered, and is cut
 * off by the next start. Keys are folded: 15/QĐ-UBND and "15/ QD-UBND" are one number. */
#include "config.h"

#include "milter/ledger_register.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/fold.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUCKETS 65536
#define ROWS_MAX 4000000
#define LINE_MAX_LEN 8192
#define FILE_MAX (2ull << 30)

struct row {
	struct row *next;
	unsigned char key[32]; /* SHA-256 of agency, year and folded symbol */
	char sha256[65], qid[64], ts[40];
};
static struct {
	int fd;
	size_t rows;
	struct row *table[BUCKETS];
} reg = {.fd = -1};

/* Digits without leading zeros, letters folded, nothing else of blanks. */
static void
fold_symbol(struct slice symbol, struct buf *out)
{
	struct buf folded;
	bool leading = true;
	size_t i;

	buf_init(&folded, 4096);
	vn_fold(symbol, &folded);
	for (i = 0; i < folded.len; i++) {
		unsigned char c = folded.data[i];

		if (c == ' ' || c == '\t' || (leading && c == '0'))
			continue;
		leading = false;
		buf_append_byte(out, c);
	}
	buf_done(&folded);
}

static int
key_of(const struct json *e, unsigned char key[32])
{
	struct slice agency = json_str(json_get(e, "agency"));
	struct slice symbol = json_str(json_get(e, "symbol"));
	int64_t year = json_int(json_get(e, "year"), 0);
	struct buf b;

	if (agency.len == 0 || agency.len > 1200 || symbol.len == 0 || symbol.len > 500 ||
	    year < 1945 || year > 2199 || json_str(json_get(e, "sha256")).len != 64 ||
	    json_str(json_get(e, "qid")).len == 0)
		return ERR_SYNTAX;
	buf_init(&b, 8192);
	buf_append_slice(&b, agency);
	buf_appendf(&b, "\n%lld\n", (long long)year);
	fold_symbol(symbol, &b);
	sha256_of(buf_slice(&b), key);
	buf_done(&b);
	return 0;
}

static size_t
bucket_of(const unsigned char key[32])
{
	return ((size_t)key[0] << 8 | key[1]) % BUCKETS;
}

static const struct row *
find(const unsigned char key[32])
{
	const struct row *r = reg.table[bucket_of(key)];

	while (r != NULL && memcmp(r->key, key, 32) != 0)
		r = r->next;
	return r;
}

static void
put(const struct json *e, const unsigned char key[32])
{
	struct row *r = xcalloc(1, sizeof *r), **at = &reg.table[bucket_of(key)];

	memcpy(r->key, key, 32);
	snprintf(r->sha256, sizeof r->sha256, "%s", json_cstr(json_get(e, "sha256")));
	snprintf(r->qid, sizeof r->qid, "%s", json_cstr(json_get(e, "qid")));
	snprintf(r->ts, sizeof r->ts, "%s", json_cstr(json_get(e, "ts")));
	r->next = *at;
	*at = r;
	reg.rows++;
}

/* Every whole line; *good_out: where the last one ends. */
static int
load(struct slice s, size_t *good_out)
{
	struct slice rest = s;
	ptrdiff_t lf;

	*good_out = 0;
	while ((lf = slice_index(rest, '\n')) >= 0) {
		struct json *e = NULL;
		unsigned char key[32];
		int err = lf > LINE_MAX_LEN ? ERR_CORRUPT
					    : json_parse(slice_sub(rest, 0, (size_t)lf), &e);

		if (err == 0)
			err = key_of(e, key);
		if (err == 0 && find(key) == NULL && reg.rows < ROWS_MAX)
			put(e, key);
		json_free(e);
		if (err != 0)
			return ERR_CORRUPT;
		rest = slice_from(rest, (size_t)lf + 1);
		*good_out = s.len - rest.len;
	}
	return 0;
}

static int
read_all(int fd, struct buf *out)
{
	unsigned char *room;
	ssize_t n;

	for (;;) {
		room = buf_reserve(out, 65536);
		if (room == NULL)
			return ERR_LIMIT;
		n = read(fd, room, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? 0 : ERR_IO;
		buf_commit(out, (size_t)n);
	}
}

/* The file's name, and lines that a ledger which was killed had not synced: they are believed from now on. */
static int
settle(const char *folder)
{
	int fd = open(folder != NULL ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = fd >= 0 && fsync(fd) == 0 && fdatasync(reg.fd) == 0 ? 0 : ERR_IO;

	if (fd >= 0)
		close(fd);
	return err;
}

int
register_open(const char *folder, uid_t owner)
{
	char path[4096];
	struct buf all;
	size_t good = 0;
	int err;

	snprintf(path, sizeof path, "%s%s%s", folder != NULL ? folder : "",
	    folder != NULL ? "/" : "", LEDGER_REGISTER_FILE);
	reg.fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (reg.fd < 0)
		return ERR_IO;
	if (geteuid() == 0 && owner != 0 && fchown(reg.fd, owner, (gid_t)-1) != 0)
		return ERR_IO;
	buf_init(&all, FILE_MAX);
	err = read_all(reg.fd, &all);
	if (err == 0)
		err = load(buf_slice(&all), &good);
	if (err == 0 && good < all.len) {
		log_msg(LOG_LVL_WARN, "register_torn",
		    "%zu octets of an entry that was never answered", all.len - good);
		err = ftruncate(reg.fd, (off_t)good) == 0 ? 0 : ERR_IO;
	}
	buf_done(&all);
	return err == 0 ? settle(folder) : err;
}

int
register_ask(const struct json *entry, struct ledger_entry *out)
{
	unsigned char key[32];
	const struct row *r;
	int err = key_of(entry, key);

	memset(out, 0, sizeof *out);
	if (err != 0)
		return err;
	r = find(key);
	out->state = REGISTERED_NEW;
	if (r == NULL)
		return 0;
	out->state = slice_eq_str(json_str(json_get(entry, "sha256")), r->sha256)
			 ? REGISTERED_SAME
			 : REGISTERED_OTHER;
	memcpy(out->qid, r->qid, sizeof out->qid);
	memcpy(out->ts, r->ts, sizeof out->ts);
	return 0;
}

int
register_add(struct json *entry, const char *ts)
{
	unsigned char key[32];
	struct buf line;
	struct stat st;
	int err;

	if (reg.fd < 0 || fstat(reg.fd, &st) != 0)
		return ERR_IO;
	if (reg.rows >= ROWS_MAX || (uint64_t)st.st_size + LINE_MAX_LEN > FILE_MAX)
		return ERR_FULL;
	json_set_str(entry, "ts", ts);
	if ((err = key_of(entry, key)) != 0)
		return err;
	buf_init(&line, LINE_MAX_LEN);
	err = json_canonical(entry, &line);
	if (err == 0)
		err = buf_append_byte(&line, '\n');
	if (err == 0 &&
	    (write(reg.fd, line.data, line.len) != (ssize_t)line.len || fdatasync(reg.fd) != 0)) {
		/* half a line in the middle would be damage at the next start */
		if (ftruncate(reg.fd, st.st_size) != 0)
			log_msg(LOG_LVL_ERROR, "register_write", "half an entry stays: %m");
		err = ERR_IO;
	}
	if (err == 0)
		put(entry, key);
	buf_done(&line);
	return err;
}
