/* cert_table_test.c: certificates that wait for an officer: what is taken, how many, each once; restart, kill at every octet, lines that are none; decisions; what
 * goes by itself. */
#include "config.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/mime.h"
#include "milter/ledger_certs.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOW 1800000000
#define DAY 86400

static char dir[40], path[80];
static struct json *told[64];
static size_t n_told;

static void
forget_told(void)
{
	while (n_told > 0)
		json_free(told[--n_told]);
}

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/cv-certs-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/" CERT_FILE, dir);
	assert_int_equal(certs_open(dir, getuid(), 180), 0);
	return 0;
}

static int
teardown(void **state)
{
	char command[100];

	(void)state;
	certs_close();
	forget_told();
	snprintf(command, sizeof command, "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
	return 0;
}

static void
reopen(void)
{
	certs_close();
	assert_int_equal(certs_open(dir, getuid(), 180), 0);
}

static void
on_new(struct json *rec)
{
	assert_true(n_told < sizeof told / sizeof *told);
	told[n_told++] = rec;
}

/* A DER SEQUENCE of its own for each number, and something behind it. */
static void
der_of(unsigned number, size_t size, struct buf *out)
{
	buf_append_byte(out, 0x30);
	buf_append_byte(out, 0x82);
	buf_append_u16(out, (uint16_t)size);
	buf_append_u32(out, number);
	for (size_t i = 4; i < size; i++)
		buf_append_byte(out, (unsigned char)i);
}

static void
sha_of(unsigned number, unsigned char sha[32])
{
	struct buf der;

	buf_init(&der, CERT_DER_MAX);
	der_of(number, 300, &der);
	sha256_of(buf_slice(&der), sha);
	buf_done(&der);
}

static struct json *
entry(unsigned number, const char *address, const char *account)
{
	struct json *e = json_obj_new();
	unsigned char sha[32];
	struct buf der, text;
	char hex[65];

	buf_init(&der, CERT_DER_MAX);
	buf_init(&text, CERT_DER_MAX * 2);
	der_of(number, 300, &der);
	sha_of(number, sha);
	hex_encode(sha, 32, hex);
	buf_append_str(&der, "\x30\x01z"); /* its CA's */
	b64_encode(buf_slice(&der), false, &text);
	json_set_str(e, "sha256", hex);
	json_set_str(e, "address", address);
	json_set_str(e, "account", account);
	json_set_str(e, "subject", "CN=Người \xe2\x80\xae Thử");
	json_set_str(e, "issuer", "CN=CA");
	json_set_str(e, "serial", "1A");
	json_set_int(e, "not_before", NOW - DAY);
	json_set_int(e, "not_after", NOW + 300 * DAY);
	json_set_slice(e, "der", buf_slice(&text));
	buf_done(&der);
	buf_done(&text);
	return e;
}

static size_t
offer_take(struct json *e, int64_t now)
{
	struct json *list = json_arr_new();
	size_t n;

	json_push_take(list, e);
	n = certs_harvest(list, slice_str("Q1"), now, on_new);
	json_free(list);
	return n;
}

static size_t
offer(unsigned number, const char *address, const char *account)
{
	return offer_take(entry(number, address, account), NOW);
}

static enum cert_state
state_of(unsigned number)
{
	unsigned char sha[32];

	sha_of(number, sha);
	return certs_state(sha);
}

static bool
is_published(unsigned number)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct cert_table *t = cert_table_new();
	struct cert_read was;
	unsigned char sha[32];
	bool is;

	sha_of(number, sha);
	assert_int_equal(cert_table_read(t, fd, &was), 0);
	close(fd);
	is = cert_table_find(t, sha)->published;
	cert_table_free(t);
	return is;
}

static int
decide(unsigned number, const char *state, bool only_look)
{
	struct json *rec = json_obj_new();
	unsigned char sha[32];
	char hex[65];
	int err;

	sha_of(number, sha);
	hex_encode(sha, 32, hex);
	json_set_str(rec, "sha256", hex);
	json_set_str(rec, "state", state);
	json_set_str(rec, "by", "can.bo");
	json_set_str(rec, "decision", "1/QĐ");
	json_set_str(rec, "reason", "");
	err = certs_decide(rec, NOW, only_look);
	json_free(rec);
	return err;
}

/* The file as a reader sees it. */
static struct cert_table *
read_file(struct cert_read *was)
{
	struct cert_table *t = cert_table_new();
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(cert_table_read(t, fd, was), 0);
	close(fd);
	return t;
}

static void
each_once_and_counted(void **state)
{
	struct cert_read was;
	struct cert_table *t;
	unsigned char sha[32];

	(void)state;
	assert_int_equal(state_of(1), CERT_UNKNOWN);
	assert_int_equal(offer(1, "an@x.example", "p-000001"), 1);
	assert_int_equal(n_told, 1);
	assert_string_equal(json_cstr(json_get(told[0], "event")), "cert_pending");
	assert_string_equal(json_cstr(json_get(told[0], "from_qid")), "Q1");
	assert_string_equal(json_cstr(json_get(told[0], "account")), "p-000001");
	assert_null(json_get(told[0], "der"));
	assert_int_equal(offer(1, "an@x.example", "p-000001"), 0);
	assert_int_equal(offer_take(entry(1, "an@x.example", "p-000001"), NOW + 5), 0);
	assert_int_equal(n_told, 1);
	assert_int_equal(state_of(1), CERT_PENDING);
	/* the counts are in the file after a while, and outlive the process then */
	certs_tick(NOW + 5);
	reopen();
	t = read_file(&was);
	sha_of(1, sha);
	assert_int_equal(was.bad, 0);
	assert_int_equal(cert_table_find(t, sha)->count, 3);
	assert_int_equal(cert_table_find(t, sha)->last, NOW + 5);
	assert_true(cert_table_find(t, sha)->inside);
	cert_table_free(t);
	assert_int_equal(state_of(1), CERT_PENDING);
	assert_int_equal(offer(1, "an@x.example", "p-000001"), 0);
}

#define REFUSED(change)                                                \
	do {                                                           \
		struct json *e = entry(7, "an@x.example", "p-000001"); \
		change;                                                \
		assert_int_equal(offer_take(e, NOW), 0);               \
		assert_int_equal(state_of(7), CERT_UNKNOWN);           \
	} while (0)

static void
what_a_milter_says_is_checked(void **state)
{
	char long_text[CERT_TEXT_MAX + 2];

	(void)state;
	memset(long_text, 'a', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	REFUSED(json_set_str(e, "der", "AAAA"));
	REFUSED(json_set_str(e, "der", "MIIBLAAAAAE="));
	REFUSED(json_set_str(e, "der", "*"));
	REFUSED(json_del(e, "der"));
	REFUSED(json_set_str(
	    e, "sha256", "00000000000000000000000000000000000000000000000000000000000000aa"));
	REFUSED(json_set_str(e, "sha256", "xyz"));
	REFUSED(json_set_int(e, "sha256", 1));
	REFUSED(json_set_str(e, "address", ""));
	REFUSED(json_set_str(e, "address", "nobody"));
	REFUSED(json_set_str(e, "address", long_text));
	REFUSED(json_set_str(e, "subject", long_text));
	REFUSED(json_set_take(e, "issuer", json_arr_new()));
	REFUSED(json_set_int(e, "not_after", -1));
	REFUSED(json_set_int(e, "not_after", INT64_MAX));
	REFUSED(json_set_int(e, "not_after", NOW)); /* over */
	REFUSED(json_del(e, "account"));
	assert_int_equal(certs_harvest(NULL, slice_str("Q"), NOW, on_new), 0);
	assert_int_equal(n_told, 0);
	assert_int_equal(offer(7, "an@x.example", "p-000001"), 1);
}

static void
so_many_of_an_address(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < CERTS_PER_ADDRESS; i++)
		assert_int_equal(offer(i, "an@x.example", "p-000001"), 1);
	assert_int_equal(offer(100, "an@x.example", "p-000001"), 0);
	assert_int_equal(state_of(100), CERT_UNKNOWN);
	assert_int_equal(offer(101, "binh@x.example", "p-000002"), 1);
	/* what was decided makes room */
	assert_int_equal(decide(3, "banned", false), 0);
	assert_int_equal(offer(100, "an@x.example", "p-000001"), 1);
}

static void
so_many_in_all(void **state)
{
	char address[40];
	unsigned i;

	(void)state;
	for (i = 0; i < CERTS_OUTSIDE_MAX; i++) {
		snprintf(address, sizeof address, "a%u@out.example", i);
		assert_int_equal(offer(i, address, ""), 1);
		forget_told();
	}
	assert_int_equal(offer(i, "more@out.example", ""), 0);
	/* strangers do not keep our own people out */
	assert_int_equal(offer(i, "an@x.example", "p-000001"), 1);
	/* of one mail so many count */
	forget_told();
	{
		struct json *list = json_arr_new();

		for (i = 0; i < 10; i++) {
			snprintf(address, sizeof address, "b%u@x.example", i);
			json_push_take(list, entry(90000 + i, address, "p-1"));
		}
		assert_int_equal(certs_harvest(list, slice_str("Q"), NOW, on_new), CERTS_AT_ONCE);
		json_free(list);
	}
}

static void
officers_decide(void **state)
{
	(void)state;
	assert_int_equal(decide(1, "banned", false), ERR_NOTFOUND);
	assert_int_equal(offer(1, "an@x.example", "p-000001"), 1);
	assert_int_equal(decide(1, "pending", true), ERR_EXISTS);
	assert_int_equal(decide(1, "frobbed", true), ERR_SYNTAX);
	assert_int_equal(decide(1, "published", true), 0);
	assert_int_equal(state_of(1), CERT_PENDING);
	assert_int_equal(decide(1, "published", false), 0);
	assert_int_equal(state_of(1), CERT_PUBLISHED);
	assert_int_equal(decide(1, "published", false), ERR_EXISTS);
	reopen();
	assert_int_equal(state_of(1), CERT_PUBLISHED);
	assert_int_equal(decide(1, "withdrawn", false), 0);
	assert_int_equal(decide(1, "published", false), 0);
	assert_int_equal(decide(1, "banned", false), 0);
	assert_int_equal(decide(1, "published", true), ERR_CONFLICT);
	reopen();
	assert_int_equal(state_of(1), CERT_BANNED);
	/* never offered again */
	assert_int_equal(offer(1, "an@x.example", "p-000001"), 0);
	assert_int_equal(state_of(1), CERT_BANNED);
	/* the ban is lifted: the directory has it still */
	assert_int_equal(decide(1, "pending", false), 0);
	assert_int_equal(state_of(1), CERT_PUBLISHED);
	assert_int_equal(decide(1, "banned", false), 0);
	assert_true(is_published(1));
	/* withdrawn: banned still, and why */
	assert_int_equal(decide(1, "withdrawn", true), 0);
	assert_true(is_published(1));
	assert_int_equal(decide(1, "withdrawn", false), 0);
	reopen();
	assert_int_equal(state_of(1), CERT_BANNED);
	assert_false(is_published(1));
	assert_int_equal(decide(1, "withdrawn", false), ERR_EXISTS);
	assert_int_equal(decide(1, "pending", false), 0);
	assert_int_equal(state_of(1), CERT_PENDING);
}

/* Lines without "published": what was decided before says it; and a ban that was lifted there waits and can be withdrawn. */
static void
lines_of_older_versions(void **state)
{
	static const struct {
		const char *decided;
		enum cert_state state;
		bool published;
	} steps[] = {{"published", CERT_PUBLISHED, true}, {"banned", CERT_BANNED, true},
	    {"pending", CERT_PENDING, true}, {"banned", CERT_BANNED, true},
	    {"withdrawn", CERT_WITHDRAWN, false}, {"banned", CERT_BANNED, false}};
	struct buf line;
	char hex[65];
	unsigned char sha[32];
	int fd;

	(void)state;
	assert_int_equal(offer(1, "an@x.example", "p-000001"), 1);
	sha_of(1, sha);
	hex_encode(sha, 32, hex);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct json *j = json_obj_new();

		json_set_str(j, "k", "state");
		json_set_str(j, "sha256", hex);
		json_set_str(j, "state", steps[i].decided);
		json_set_str(j, "by", "an");
		json_set_str(j, "decision", "");
		json_set_str(j, "reason", "");
		json_set_int(j, "at", NOW);
		buf_init(&line, CERT_LINE_MAX);
		assert_int_equal(cert_line_put(j, &line), 0);
		json_free(j);
		certs_close();
		fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
		assert_int_equal(write(fd, line.data, line.len), line.len);
		close(fd);
		buf_done(&line);
		assert_int_equal(certs_open(dir, getuid(), 180), 0);
		assert_int_equal(state_of(1), steps[i].state);
		assert_int_equal(is_published(1), steps[i].published);
		if (steps[i].state == CERT_PENDING)
			assert_int_equal(decide(1, "withdrawn", true), 0);
	}
}

static void
what_is_over_goes(void **state)
{
	struct json *e;

	(void)state;
	e = entry(1, "an@x.example", "p-000001");
	json_set_int(e, "not_after", NOW + 10);
	assert_int_equal(offer_take(e, NOW), 1);
	assert_int_equal(offer(2, "an@x.example", "p-000001"), 1);
	assert_int_equal(offer(3, "an@x.example", "p-000001"), 1);
	assert_int_equal(decide(3, "banned", false), 0);
	certs_tick(NOW + 9);
	assert_int_equal(state_of(1), CERT_PENDING);
	certs_tick(NOW + 10);
	assert_int_equal(state_of(1), CERT_UNKNOWN);
	assert_int_equal(state_of(2), CERT_PENDING);
	/* nobody signed with it for half a year */
	certs_tick(NOW + 180 * DAY);
	assert_int_equal(state_of(2), CERT_PENDING);
	certs_tick(NOW + 180 * DAY + 1);
	assert_int_equal(state_of(2), CERT_UNKNOWN);
	assert_int_equal(state_of(3), CERT_BANNED);
	/* and it comes again, over a restart */
	assert_int_equal(offer_take(entry(2, "an@x.example", "p-000001"), NOW + 181 * DAY), 1);
	reopen();
	certs_tick(NOW + 182 * DAY);
	assert_int_equal(state_of(2), CERT_PENDING);
	certs_tick(NOW + 301 * DAY);
	assert_int_equal(state_of(3), CERT_UNKNOWN);
}

/* The file as it is when the process, or the machine, ends at each octet of it. */
static void
cut_anywhere(void **state)
{
	struct stat st;
	off_t whole;
	unsigned seen = 0;

	(void)state;
	assert_int_equal(offer(1, "an@x.example", "p-000001"), 1);
	assert_int_equal(offer(2, "binh@x.example", "p-000002"), 1);
	assert_int_equal(decide(1, "published", false), 0);
	assert_int_equal(stat(path, &st), 0);
	whole = st.st_size;
	for (off_t cut = whole; cut >= 0; cut -= cut > 60 ? 37 : 1) {
		certs_close();
		assert_int_equal(truncate(path, cut), 0);
		assert_int_equal(certs_open(dir, getuid(), 180), 0);
		seen |= 1u << state_of(1);
		/* half a line is cut off, and the next one stands by itself */
		assert_int_equal(offer(50, "c@x.example", "p-000003"), 1);
		reopen();
		assert_int_equal(state_of(50), CERT_PENDING);
		/* without what was put behind the cut */
		certs_close();
		assert_int_equal(truncate(path, cut), 0);
		forget_told();
		assert_int_equal(certs_open(dir, getuid(), 180), 0);
	}
	assert_int_equal(seen, 1u << CERT_UNKNOWN | 1u << CERT_PENDING | 1u << CERT_PUBLISHED);
}

/* What a power cut leaves behind the last sync may be anything: one bad line costs that one. */
static void
a_bad_line_costs_itself(void **state)
{
	static const char zeros[200];
	struct cert_read was;
	struct cert_table *t;
	unsigned char byte;
	int fd;

	(void)state;
	assert_int_equal(offer(1, "an@x.example", "p-000001"), 1);
	assert_int_equal(offer(2, "binh@x.example", "p-000002"), 1);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &byte, 1, 100), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, 100), 1);
	assert_true(lseek(fd, 0, SEEK_END) > 0);
	assert_int_equal(write(fd, zeros, sizeof zeros), sizeof zeros);
	assert_int_equal(write(fd, "\n00000000 {}\nnothing\n\n", 22), 22);
	close(fd);
	t = read_file(&was);
	assert_int_equal(was.bad, 5);
	assert_int_equal(cert_table_total(t), 1);
	cert_table_free(t);
	reopen();
	assert_int_equal(state_of(1), CERT_UNKNOWN);
	assert_int_equal(state_of(2), CERT_PENDING);
	assert_int_equal(offer(1, "an@x.example", "p-000001"), 1);
	reopen();
	assert_int_equal(state_of(1), CERT_PENDING);
}

/* A line longer than any of ours, and a file that is mostly leftovers. */
static void
written_anew(void **state)
{
	struct stat before, after;
	struct cert_read was;
	struct cert_table *t;
	unsigned char sha[32];
	char *junk;
	int fd;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		char address[40];

		snprintf(address, sizeof address, "a%u@x.example", i);
		assert_int_equal(offer(i, address, "p-1"), 1);
		assert_int_equal(offer(i, address, "p-1"), 0);
	}
	assert_int_equal(decide(2, "banned", false), 0);
	certs_close();
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	junk = malloc(3 << 20);
	assert_non_null(junk);
	memset(junk, 'x', 3 << 20);
	junk[(3 << 20) - 1] = '\n';
	assert_int_equal(write(fd, junk, 3 << 20), 3 << 20);
	free(junk);
	close(fd);
	assert_int_equal(certs_open(dir, getuid(), 180), 0);
	assert_int_equal(offer(1, "a1@x.example", "p-1"), 0);
	assert_int_equal(stat(path, &before), 0);
	certs_tick(NOW);
	assert_int_equal(stat(path, &after), 0);
	assert_true(before.st_size > 3 << 20 && after.st_size < 10000);
	assert_int_equal(after.st_mode & 07777, 0600);
	assert_int_equal(state_of(2), CERT_BANNED);
	assert_int_equal(offer(77, "new@x.example", "p-1"), 1);
	reopen();
	t = read_file(&was);
	assert_int_equal(was.bad, 0);
	assert_int_equal(cert_table_count(t, CERT_PENDING), 5);
	sha_of(1, sha);
	assert_int_equal(cert_table_find(t, sha)->count, 2); /* before it was counted, and now */
	cert_table_free(t);
	assert_int_equal(state_of(2), CERT_BANNED);
	assert_int_equal(state_of(77), CERT_PENDING);
}

static bool truncate_fails;

/* In place of the C library's: a disk that fails for what is cut off as well. */
int
ftruncate(int fd, off_t size)
{
	if (truncate_fails) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_ftruncate, fd, size);
}

/* A disk on which a line comes to stand in part, and cannot be taken away again: nothing is put behind it, and nothing of before is lost. */
static void
half_a_line_stays(void **state)
{
	struct rlimit was, now;
	struct cert_read seen;
	struct cert_table *t;
	unsigned char sha[32];
	struct stat st;

	(void)state;
	assert_int_equal(offer(1, "an@x.example", "p-000001"), 1);
	assert_int_equal(offer(2, "binh@x.example", "p-000002"), 1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	signal(SIGXFSZ, SIG_IGN);
	now = (struct rlimit){.rlim_cur = (rlim_t)st.st_size + 100, .rlim_max = was.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
	truncate_fails = true;
	assert_int_equal(offer(3, "c@x.example", "p-000003"), 0);
	/* also a line that there would be room for, and with a disk that is well again */
	truncate_fails = false;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(decide(1, "banned", false), ERR_IO);
	assert_int_equal(state_of(1), CERT_PENDING);
	assert_int_equal(offer(4, "d@x.example", "p-000004"), 0);
	t = read_file(&seen);
	assert_int_equal(cert_table_total(t), 2);
	assert_int_equal(seen.size, st.st_size);
	cert_table_free(t);
	/* written anew, it goes on */
	certs_tick(NOW);
	assert_int_equal(decide(1, "banned", false), 0);
	assert_int_equal(offer(5, "e@x.example", "p-000005"), 1);
	certs_tick(NOW);
	reopen();
	t = read_file(&seen);
	assert_int_equal(seen.bad, 0);
	assert_int_equal(cert_table_total(t), 3);
	sha_of(2, sha);
	assert_non_null(cert_table_find(t, sha));
	cert_table_free(t);
	assert_int_equal(state_of(1), CERT_BANNED);
	assert_int_equal(state_of(2), CERT_PENDING);
	assert_int_equal(state_of(5), CERT_PENDING);
}

/* A file may have more rows than ever wait or are decided: those that went by themselves stand in it until it is written anew. A ban behind them holds. */
static void
bans_are_never_dropped(void **state)
{
	enum { N = CERTS_PENDING_MAX + CERTS_OUTSIDE_MAX + CERTS_DECIDED_MAX + 2 };
	struct json *e = entry(1, "an@x.example", ""), *s = json_obj_new();
	struct cert_table *t = cert_table_new();
	struct cert_row *r = NULL;
	char hex[65];
	struct buf line;

	(void)state;
	buf_init(&line, CERT_LINE_MAX);
	json_set_str(e, "k", "cert");
	json_set_int(e, "first", NOW);
	for (unsigned i = 0; i < N; i++) {
		snprintf(hex, sizeof hex, "%08x%056x", i * 2654435761u, i);
		json_set_str(e, "sha256", hex);
		buf_reset(&line);
		assert_int_equal(cert_line_put(e, &line), 0);
		assert_int_equal(
		    cert_table_line(t, slice_sub(buf_slice(&line), 0, line.len - 1), 0, NULL), 0);
	}
	json_set_str(s, "k", "state");
	json_set_str(s, "sha256", hex); /* the last one's */
	json_set_str(s, "state", "banned");
	json_set_str(s, "by", "can.bo");
	json_set_str(s, "decision", "1/QĐ");
	json_set_str(s, "reason", "");
	json_set_int(s, "at", NOW);
	buf_reset(&line);
	assert_int_equal(cert_line_put(s, &line), 0);
	assert_int_equal(
	    cert_table_line(t, slice_sub(buf_slice(&line), 0, line.len - 1), 0, &r), 0);
	assert_true(r != NULL && r->state == CERT_BANNED);
	assert_int_equal(cert_table_total(t), N);
	assert_int_equal(cert_table_count(t, CERT_BANNED), 1);
	json_free(e);
	json_free(s);
	buf_done(&line);
	cert_table_free(t);
}

static void
der_elements(void **state)
{
	size_t n;

	(void)state;
	assert_int_equal(cert_der_first(slice_of("\x30\x02"
						 "abX",
					    5),
			     &n),
	    0);
	assert_int_equal(n, 4);
	assert_int_equal(cert_der_first(slice_of("\x30\x81\x02"
						 "ab",
					    5),
			     &n),
	    0);
	assert_int_equal(n, 5);
	assert_int_equal(cert_der_first(slice_of("\x30\x03"
						 "ab",
					    4),
			     &n),
	    ERR_SYNTAX);
	assert_int_equal(cert_der_first(slice_of("\x31\x00", 2), &n), ERR_SYNTAX);
	assert_int_equal(cert_der_first(slice_of("\x30\x80\x00\x00", 4), &n), ERR_SYNTAX);
	assert_int_equal(cert_der_first(slice_of("\x30\x83\xff\xff\xff", 5), &n), ERR_SYNTAX);
	assert_int_equal(cert_der_first(slice_of("\x30\x82\xff", 3), &n), ERR_SYNTAX);
	assert_int_equal(cert_der_first(slice_of(NULL, 0), &n), ERR_SYNTAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(each_once_and_counted, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_a_milter_says_is_checked, setup, teardown),
	    cmocka_unit_test_setup_teardown(so_many_of_an_address, setup, teardown),
	    cmocka_unit_test_setup_teardown(so_many_in_all, setup, teardown),
	    cmocka_unit_test_setup_teardown(officers_decide, setup, teardown),
	    cmocka_unit_test_setup_teardown(lines_of_older_versions, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_over_goes, setup, teardown),
	    cmocka_unit_test_setup_teardown(cut_anywhere, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_bad_line_costs_itself, setup, teardown),
	    cmocka_unit_test_setup_teardown(written_anew, setup, teardown),
	    cmocka_unit_test_setup_teardown(half_a_line_stays, setup, teardown),
	    cmocka_unit_test(bans_are_never_dropped),
	    cmocka_unit_test(der_elements),
	};

	json_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
