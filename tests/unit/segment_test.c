/* segment_test.c: bodies in segment files: damage is seen, torn ends are cut, what was synced stays. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/seg_head.h"
#include "store/segment.h"

struct fix {
	char dir[64], file[80];
	struct seg *s;
};

/* What was synced last; fail: the nth sync from now on; die: at the next one. */
static struct {
	ino_t dir, file;
	int fail;
	bool die;
} syncs;

int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);

static int
sync_seen(int fd, ino_t *which)
{
	struct stat st;

	if (syncs.die)
		raise(SIGKILL);
	if (fstat(fd, &st) == 0)
		*which = st.st_ino;
	if (syncs.fail == 0 || --syncs.fail > 0)
		return 0;
	errno = EIO;
	return -1;
}

int
__wrap_fsync(int fd)
{
	return sync_seen(fd, &syncs.dir) != 0 ? -1 : __real_fsync(fd);
}

int
__wrap_fdatasync(int fd)
{
	return sync_seen(fd, &syncs.file) != 0 ? -1 : __real_fdatasync(fd);
}

static int
setup(void **state)
{
	struct fix *f = xcalloc(1, sizeof *f);

	snprintf(f->dir, sizeof f->dir, "/tmp/segment_test.XXXXXX");
	*state = f;
	if (mkdtemp(f->dir) == NULL)
		return -1;
	snprintf(f->file, sizeof f->file, "%s/seg-00000001", f->dir);
	return seg_open(f->dir, NULL, 0, &f->s);
}

static int
teardown(void **state)
{
	struct fix *f = *state;
	char cmd[128];

	seg_close(f->s);
	snprintf(cmd, sizeof cmd, "rm -r '%s'", f->dir);
	if (system(cmd) != 0)
		return -1;
	free(f);
	return 0;
}

static int
write_body(struct fix *f, const unsigned char sha[32], struct slice bytes, int fd, uint64_t size,
    const char *summary, struct seg_loc *l)
{
	struct seg_body b = {
	    .sha256 = sha, .size = size, .content = bytes, .fd = fd, .summary = slice_str(summary)};

	return seg_write(f->s, &b, l);
}

static struct seg_loc
put_bytes(struct fix *f, struct slice bytes, const char *summary)
{
	unsigned char sha[32];
	struct seg_loc l;

	sha256_of(bytes, sha);
	assert_int_equal(write_body(f, sha, bytes, -1, bytes.len, summary, &l), 0);
	return l;
}

static struct seg_loc
put(struct fix *f, const char *text)
{
	return put_bytes(f, slice_str(text), "sum");
}

static int
read_back(struct fix *f, const struct seg_loc *l, const char *want)
{
	struct buf b;
	int err;

	buf_init(&b, 10000);
	err = seg_read(f->s, l, 0, 1000, &b);
	if (err == 0)
		assert_string_equal(buf_cstr(&b), want);
	buf_reset(&b);
	if (err == 0 && (err = seg_read_summary(f->s, l, &b)) == 0)
		assert_string_equal(buf_cstr(&b), "sum");
	buf_done(&b);
	return err;
}

static void
flip(const char *file, off_t at)
{
	int fd = open(file, O_RDWR);
	char c;

	assert_int_equal(pread(fd, &c, 1, at), 1);
	c = (char)(c ^ 1);
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

static void
put32_at(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (24 - 8 * i));
}

static off_t
size_of(const char *file)
{
	struct stat st;

	assert_int_equal(stat(file, &st), 0);
	return st.st_size;
}

/* Where a record ends; behind it the file has zeros made ahead, until it is opened again. */
static off_t
end_of(const struct seg_loc *l)
{
	return (off_t)(l->off + l->stored);
}

static void
write_read(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "one"), b = put(f, ""), c = put(f, "three"), d;
	struct buf v;

	assert_true(a.body == 1 && b.body == 2 && c.body == 3);
	seg_sync(f->s);
	assert_int_equal(read_back(f, &a, "one"), 0);
	assert_int_equal(read_back(f, &b, ""), 0);
	assert_int_equal(read_back(f, &c, "three"), 0);
	buf_init(&v, 100);
	seg_loc_encode(&c, NULL, 0, &v);
	assert_int_equal(seg_loc_decode(buf_slice(&v), 3, &d), 0);
	assert_true(d.off == c.off && d.size == 5 && d.segment == 1 && d.summary_len == 3);
	assert_true(d.content == 5 && d.stored == c.stored && d.format == 2 && d.flags == 0);
	v.len--;
	assert_int_equal(seg_loc_decode(buf_slice(&v), 3, &d), ERR_CORRUPT);
	buf_done(&v);
	d.segment = 9;
	assert_int_equal(read_back(f, &d, ""), ERR_NOTFOUND);
}

static void
damage_is_seen(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "precious"), b = put(f, "another");

	/* header, table, summary and body: any octet, and this one alone */
	for (off_t at = (off_t)a.off; at < (off_t)a.off + 96 + 16 + 3 + 8; at++) {
		flip(f->file, at);
		assert_int_equal(read_back(f, &a, "precious"), ERR_CORRUPT);
		assert_int_equal(seg_check(f->s, &a), ERR_CORRUPT);
		assert_int_equal(read_back(f, &b, "another"), 0);
		flip(f->file, at);
	}
	assert_int_equal(read_back(f, &a, "precious"), 0);
	assert_int_equal(seg_check(f->s, &a), 0);
}

/* Ends of the file at every octet of the last record: it is cut, what the database knows stays, numbers never repeat. */
static void
torn_tail(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "kept"), b;
	off_t end = end_of(&a), full;

	b = put(f, "lost");
	full = end_of(&b);
	for (off_t at = full; at > end; at -= 7) {
		seg_close(f->s);
		assert_int_equal(truncate(f->file, at), 0);
		assert_int_equal(seg_open(f->dir, &a, 0, &f->s), 0);
		assert_int_equal(size_of(f->file), at == full ? full : end);
		assert_int_equal(read_back(f, &a, "kept"), 0);
		b = put(f, "lost");
		assert_int_equal(b.body, at == full ? 3 : 2);
		if (at == full)
			full = end_of(&b);
		else
			assert_int_equal(read_back(f, &b, "lost"), 0);
	}
	/* What was synced and is gone is not passed over: its body is damaged, and nothing new comes into its place. */
	seg_close(f->s);
	f->s = NULL;
	assert_int_equal(truncate(f->file, (off_t)a.off + 20), 0);
	assert_int_equal(seg_open(f->dir, &a, 0, &f->s), 0);
	assert_int_equal(read_back(f, &a, "kept"), ERR_CORRUPT);
	b = put(f, "new");
	assert_true(b.body > a.body && b.segment > a.segment);
	assert_int_equal(read_back(f, &b, "new"), 0);
}

static void
remove_files(struct fix *f)
{
	char cmd[128];

	snprintf(cmd, sizeof cmd, "rm '%s'/seg-*", f->dir);
	assert_int_equal(system(cmd), 0);
}

/* Files that are lost: the others are served, numbers of files are not given again, and a damaged record does not cost those behind it. Not one
 * file left is another disk. */
static void
lost_files(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "first"), b = put(f, "second"), c = put(f, "third"), d;
	struct seg_loc far = {.body = 9, .segment = 7, .off = 4096, .size = 5, .stored = 200};
	unsigned char octet;
	int fd;

	seg_sync(f->s);
	seg_close(f->s);
	f->s = NULL;
	fd = open(f->file, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &octet, 1, (off_t)b.off + 3), 1);
	octet ^= 1;
	assert_int_equal(pwrite(fd, &octet, 1, (off_t)b.off + 3), 1);
	close(fd);
	assert_int_equal(seg_open(f->dir, &far, 0, &f->s), 0);
	assert_int_equal(read_back(f, &a, "first"), 0);
	assert_int_equal(read_back(f, &b, "second"), ERR_CORRUPT);
	assert_int_equal(read_back(f, &c, "third"), 0);
	d = put(f, "fourth");
	assert_int_equal(d.segment, 8);
	assert_int_equal(d.body, 10);
	seg_sync(f->s);
	seg_close(f->s);
	f->s = NULL;
	assert_int_equal(seg_open(f->dir, &d, 0, &f->s), 0);
	assert_int_equal(read_back(f, &c, "third"), 0);
	assert_int_equal(read_back(f, &d, "fourth"), 0);
	seg_close(f->s);
	f->s = NULL;
	assert_int_equal(unlink(f->file), 0);
	assert_int_equal(seg_open(f->dir, &d, 0, &f->s), 0);
	assert_int_equal(read_back(f, &c, "third"), ERR_NOTFOUND);
	seg_close(f->s);
	f->s = NULL;
	remove_files(f);
	assert_int_equal(seg_open(f->dir, &d, 0, &f->s), ERR_CORRUPT);
}

static void
torn_data_under_good_header(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "kept"), b;
	off_t end = end_of(&a);

	b = put(f, "torn record");
	flip(f->file, end_of(&b) - 6);
	seg_close(f->s);
	assert_int_equal(seg_open(f->dir, &a, 0, &f->s), 0);
	assert_int_equal(size_of(f->file), end);
	b = put(f, "again");
	assert_int_equal(read_back(f, &b, "again"), 0);
}

/* Zeros are made ahead of small records, so that most syncs change no length; opening cuts them, and records go on where the last one ended. */
static void
zeros_ahead(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "one"), b;
	off_t size = size_of(f->file);

	assert_true(size > end_of(&a));
	b = put(f, "two");
	assert_int_equal(size_of(f->file), size);
	assert_int_equal(b.off, end_of(&a));
	seg_sync(f->s);
	seg_close(f->s);
	assert_int_equal(seg_open(f->dir, &a, 0, &f->s), 0);
	assert_int_equal(size_of(f->file), end_of(&b));
	assert_int_equal(read_back(f, &b, "two"), 0);
	a = put(f, "three");
	assert_int_equal(a.off, end_of(&b));
	assert_int_equal(read_back(f, &a, "three"), 0);
}

static void
new_file_torn(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "kept"), b;
	char file2[80];
	int fd;

	seg_close(f->s);
	snprintf(file2, sizeof file2, "%s/seg-00000002", f->dir);
	fd = open(file2, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "congvu", 6), 6);
	close(fd);
	assert_int_equal(seg_open(f->dir, &a, 0, &f->s), 0);
	assert_int_equal(access(file2, F_OK), -1);
	b = put(f, "next");
	assert_int_equal(read_back(f, &a, "kept"), 0);
	assert_int_equal(read_back(f, &b, "next"), 0);
}

/* In another process, which is killed before the second file it makes, or its name, is synced. */
static void
begin_file_and_die(struct fix *f, const struct seg_loc *last)
{
	pid_t pid;
	int status;

	fflush(NULL);
	if ((pid = fork()) == 0) {
		if (seg_open(f->dir, last, 0, &f->s) != 0)
			_exit(1);
		syncs.die = true;
		(void)seg_roll(f->s, last->segment);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Records that the log has for this file would be lost with it in a power cut: its name and its header are synced before it is used. */
static void
file_of_a_killed_process(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "kept"), b;
	struct stat dir, file;
	char file2[80];

	seg_close(f->s);
	begin_file_and_die(f, &a);
	snprintf(file2, sizeof file2, "%s/seg-00000002", f->dir);
	assert_int_equal(stat(file2, &file), 0);
	assert_int_equal(stat(f->dir, &dir), 0);
	memset(&syncs, 0, sizeof syncs);
	assert_int_equal(seg_open(f->dir, &a, 0, &f->s), 0);
	assert_int_equal(syncs.dir, dir.st_ino);
	assert_int_equal(syncs.file, file.st_ino);
	b = put(f, "next");
	assert_int_equal(b.segment, 2);
	assert_int_equal(read_back(f, &a, "kept"), 0);
	assert_int_equal(read_back(f, &b, "next"), 0);
	/* and when that cannot be done, it is not used */
	seg_close(f->s);
	for (syncs.fail = 1; syncs.fail <= 2;) {
		int nth = syncs.fail;

		assert_int_equal(seg_open(f->dir, &a, 0, &f->s), ERR_IO);
		assert_int_equal(syncs.fail, 0);
		syncs.fail = nth + 1;
	}
	syncs.fail = 0;
	assert_int_equal(seg_open(f->dir, &b, 0, &f->s), 0);
	assert_int_equal(read_back(f, &b, "next"), 0);
	/* half a header is good, and a file that has no more is not used */
	seg_close(f->s);
	assert_int_equal(truncate(file2, SEG_SECTOR), 0);
	assert_int_equal(seg_open(f->dir, &a, 0, &f->s), 0);
	b = put(f, "next");
	assert_int_equal(b.segment, 3);
}

static void
from_file(void **state)
{
	struct fix *f = *state;
	FILE *tmp = tmpfile();
	static unsigned char big[200000];
	unsigned char sha[32];
	struct seg_loc l, l2;
	struct buf b;

	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (unsigned char)(i * 31);
	fwrite(big, 1, sizeof big, tmp);
	fflush(tmp);
	sha256_of(slice_of(big, sizeof big), sha);
	assert_int_equal(write_body(f, sha, slice_str(""), fileno(tmp), sizeof big, "sum", &l), 0);
	assert_int_equal(
	    write_body(f, sha, slice_str(""), fileno(tmp), sizeof big + 1, "sum", &l2), ERR_EOF);
	sha[0] ^= 1;
	assert_int_equal(
	    write_body(f, sha, slice_str(""), fileno(tmp), sizeof big, "sum", &l2), ERR_CORRUPT);
	l2 = put(f, "behind it");
	seg_sync(f->s);
	seg_close(f->s);
	assert_int_equal(seg_open(f->dir, &l, 0, &f->s), 0);
	assert_int_equal(read_back(f, &l2, "behind it"), 0);
	buf_init(&b, sizeof big + 1);
	assert_int_equal(seg_read(f->s, &l, 0, sizeof big, &b), 0);
	assert_memory_equal(b.data, big, sizeof big);
	buf_done(&b);
	fclose(tmp);
}

/* Digits by chance repeat nothing, and yet half of each octet is saved: the look into the middle of a large block must see that. */
static void
digits_are_compressed(void **state)
{
	enum { N = 100000 };
	struct fix *f = *state;
	unsigned char *p = xmalloc(N);
	struct seg_loc l;
	uint32_t r = 1;

	for (size_t i = 0; i < N; i++) {
		r = r * 1664525 + 1013904223;
		p[i] = (unsigned char)"0123456789abcdef"[r >> 28];
	}
	l = put_bytes(f, slice_of(p, N), "digits");
	assert_true(l.stored < N * 3 / 4);
	assert_int_equal(seg_check(f->s, &l), 0);
	free(p);
}

/* Text is compressed, noise is not, and a range gives just its octets, wherever blocks end. */
static void
blocks(void **state)
{
	enum { N = 700000 };
	struct fix *f = *state;
	unsigned char *p = xmalloc(N);
	struct seg_loc text, noise;
	struct buf v;

	buf_init(&v, SEG_READ_MAX);
	random_bytes(p, N);
	noise = put_bytes(f, slice_of(p, N), "noise");
	assert_true(noise.stored >= N && noise.stored < N + 200);
	for (unsigned i = 0; i < 2000; i++) {
		uint32_t r[2];

		random_bytes(r, sizeof r);
		r[0] %= N + 10;
		r[1] %= i % 2 == 0 ? 300 : N;
		if (i % 10 == 0)
			r[0] = 262144 * (1 + i % 3 / 2) - i % 7;
		buf_reset(&v);
		assert_int_equal(seg_read(f->s, &noise, r[0], r[1], &v), 0);
		assert_int_equal(v.len, r[0] >= N ? 0 : r[1] < N - r[0] ? r[1] : N - r[0]);
		assert_memory_equal(v.data, p + r[0], v.len);
	}
	for (size_t i = 0; i < N; i++)
		p[i] = (unsigned char)"Kính gửi Ủy ban nhân dân xã, "[i * 7 / 3 % 36];
	text = put_bytes(f, slice_of(p, N), "text");
	assert_true(text.stored < N / 4);
	for (uint32_t off = 0; off < N; off += 65537) {
		buf_reset(&v);
		assert_int_equal(seg_read(f->s, &text, off, N, &v), 0);
		assert_int_equal(v.len, N - off);
		assert_memory_equal(v.data, p + off, v.len);
	}
	assert_int_equal(seg_check(f->s, &text), 0);
	assert_int_equal(seg_check(f->s, &noise), 0);
	/* a damaged block is nobody else's trouble */
	flip(f->file, (off_t)(noise.off + noise.stored) - 1000);
	buf_reset(&v);
	assert_int_equal(seg_read(f->s, &noise, 0, 524288, &v), 0);
	assert_int_equal(seg_read(f->s, &noise, 524287, 2, &v), ERR_CORRUPT);
	assert_int_equal(seg_check(f->s, &noise), ERR_CORRUPT);
	assert_int_equal(seg_check(f->s, &text), 0);
	buf_done(&v);
	free(p);
}

static void
whole(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "body"), none = put_bytes(f, slice_str(""), "");
	static unsigned char big[SEG_WHOLE_MAX + 1];
	struct seg_loc most, over;
	struct buf v;

	most = put_bytes(f, slice_of(big, SEG_WHOLE_MAX), "m");
	over = put_bytes(f, slice_of(big, sizeof big), "o");
	buf_init(&v, 1 << 20);
	assert_int_equal(seg_read_whole(f->s, &a, true, &v), 0);
	assert_int_equal(seg_read_whole(f->s, &a, false, &v), 0);
	assert_int_equal(seg_read_whole(f->s, &none, true, &v), 0);
	assert_string_equal(buf_cstr(&v), "sumbodybody");
	assert_int_equal(seg_read_whole(f->s, &over, true, &v), ERR_LIMIT);
	assert_int_equal(v.len, 11);
	assert_int_equal(seg_read_whole(f->s, &most, true, &v), 0);
	assert_int_equal(v.len, 12 + SEG_WHOLE_MAX);
	flip(f->file, (off_t)(a.off + 112 + 4));
	assert_int_equal(seg_read_whole(f->s, &a, false, &v), ERR_CORRUPT);
	assert_int_equal(v.len, 12 + SEG_WHOLE_MAX);
	buf_done(&v);
}

/* A store that version 1 wrote: its file is read, what is new goes to a file of its own, copies are of the present version. */
static void
version_1(void **state)
{
	static const char body[] = "Subject: old\r\n\r\nfrom before\r\n";
	struct fix *f = *state;
	unsigned char file[64 + 120] = "congvu-segment\n", *rec = file + 64;
	struct seg_loc l, n, c;
	struct buf v;
	int fd;

	seg_close(f->s);
	file[16] = 1;
	file[23] = 1;
	put32_at(file + 60, crc32c(0, file, 60));
	memcpy(rec, "CvBd\1", 5);
	rec[15] = 7;               /* body */
	rec[23] = sizeof body - 1; /* size */
	rec[27] = 3;               /* of the summary */
	sha256_of(slice_str(body), rec + 32);
	put32_at(rec + 76, crc32c(0, rec, 76));
	put32_at(rec + 80, crc32c(0, "sum", 3));
	put32_at(rec + 84, crc32c(0, body, sizeof body - 1));
	memcpy(rec + 88, "sum", 3);
	memcpy(rec + 91, body, sizeof body - 1);
	fd = open(f->file, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, file, sizeof file), sizeof file);
	close(fd);
	/* the row as version 1 wrote it */
	buf_init(&v, 1000);
	buf_append_byte(&v, 1);
	buf_append_u32(&v, 1);
	buf_append_u64(&v, 64);
	buf_append_u64(&v, sizeof body - 1);
	buf_append_u32(&v, 3);
	buf_append(&v, rec + 32, 32);
	assert_int_equal(seg_loc_decode(buf_slice(&v), 7, &l), 0);
	buf_done(&v);
	assert_int_equal(l.stored, 120);
	assert_int_equal(seg_open(f->dir, &l, 0, &f->s), 0);
	assert_int_equal(read_back(f, &l, body), 0);
	n = put(f, "new");
	assert_true(n.segment == 2 && n.body == 8);
	assert_int_equal(seg_copy(f->s, &l, &c), 0);
	assert_true(c.segment == 3 && c.body == 7 && c.format == 2);
	assert_int_equal(read_back(f, &c, body), 0);
	seg_sync(f->s);
	seg_close(f->s);
	assert_int_equal(seg_open(f->dir, &n, 0, &f->s), 0);
	assert_int_equal(read_back(f, &l, body), 0);
	assert_int_equal(read_back(f, &c, body), 0);
	assert_int_equal(read_back(f, &n, "new"), 0);
	flip(f->file, 64 + 91 + 5);
	assert_int_equal(read_back(f, &l, body), ERR_CORRUPT);
	assert_int_equal(seg_copy(f->s, &l, &c), ERR_CORRUPT);
	seg_close(f->s);
	assert_int_equal(truncate(f->file, 150), 0);
	assert_int_equal(seg_open(f->dir, &n, 0, &f->s), 0);
	assert_int_equal(read_back(f, &l, body), ERR_CORRUPT);
	assert_int_equal(read_back(f, &n, "new"), 0);
}

/* Compaction: copies have a file of their own, so that new bodies and what a crash tears of them never stand before a copy that rows point to. */
static void
copies(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "first"), b = put(f, "second"), big, to, big2;
	unsigned char *p = xcalloc(1, 600000);
	struct seg_file file;
	uint32_t after = 0;
	unsigned n = 0;

	random_bytes(p, 300000);
	big = put_bytes(f, slice_of(p, 600000), "half noise");
	assert_int_equal(seg_copy(f->s, &b, &to), 0);
	assert_int_equal(seg_copy(f->s, &big, &big2), 0);
	assert_true(to.body == b.body && to.segment != b.segment && big2.segment == to.segment);
	assert_int_equal(big2.stored, big.stored);
	assert_int_equal(read_back(f, &to, "second"), 0);
	assert_int_equal(seg_check(f->s, &big2), 0);
	seg_sync(f->s);
	/* the copy is the newest that the database knows, and its file the newest there is */
	a = put(f, "third");
	seg_close(f->s);
	assert_int_equal(seg_open(f->dir, &big2, 0, &f->s), 0);
	b = put(f, "fourth");
	assert_true(b.body == a.body + 1 && b.segment == 1);
	assert_int_equal(read_back(f, &to, "second"), 0);
	assert_int_equal(seg_check(f->s, &big2), 0);
	/* after a start copies begin a new file */
	assert_int_equal(seg_copy(f->s, &a, &a), 0);
	assert_int_equal(a.segment, 3);
	for (; seg_file_next(f->s, after, &file) == 0; after = file.number, n++)
		assert_int_equal(file.writing, file.number != 2);
	assert_int_equal(n, 3);
	assert_int_equal(seg_file_remove(f->s, 1), ERR_AGAIN);
	assert_int_equal(seg_file_remove(f->s, 3), ERR_AGAIN);
	assert_int_equal(seg_file_remove(f->s, 4), ERR_NOTFOUND);
	assert_int_equal(seg_file_remove(f->s, 2), 0);
	assert_int_equal(seg_file_remove(f->s, 2), ERR_NOTFOUND);
	assert_int_equal(read_back(f, &to, "second"), ERR_NOTFOUND);
	assert_int_equal(read_back(f, &a, "third"), 0);
	/* damage is not copied */
	flip(f->file, (off_t)b.off + 96 + 16 + 3 + 2);
	assert_int_equal(seg_copy(f->s, &b, &to), ERR_CORRUPT);
	free(p);
}

/* The second header of a file serves when the first is bad; without both what is in it is still read, and new bodies go elsewhere. */
static void
bad_file_header(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "one"), b;

	seg_sync(f->s);
	seg_close(f->s);
	flip(f->file, 17);
	assert_int_equal(seg_open(f->dir, &a, 0, &f->s), 0);
	b = put(f, "two");
	assert_int_equal(b.segment, 1);
	seg_close(f->s);
	flip(f->file, 600);
	assert_int_equal(seg_open(f->dir, &a, 0, &f->s), 0);
	assert_int_equal(read_back(f, &a, "one"), 0);
	b = put(f, "three");
	assert_int_equal(b.segment, 2);
	assert_int_equal(read_back(f, &b, "three"), 0);
}

/* ---- encryption ---- */

static struct seg_keys
keys_of(const char *text)
{
	struct seg_keys k;

	assert_int_equal(seg_keys_parse(slice_str(text), &k, NULL), 0);
	return k;
}
#define KEY_A "k2025 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define KEY_B "k2026 ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff\n"

static void
reopen(struct fix *f, const struct seg_loc *last, const char *keys)
{
	struct seg_keys k;

	if (keys != NULL)
		k = keys_of(keys);
	seg_close(f->s);
	f->s = NULL;
	assert_int_equal(seg_open_keys(f->dir, last, 0, keys == NULL ? NULL : &k, &f->s), 0);
}

/* Whether the octets of text stand anywhere in a file. */
static bool
in_file(const char *file, const char *text)
{
	FILE *in = fopen(file, "r");
	struct buf b;
	size_t n;
	bool found;

	buf_init(&b, 8 << 20);
	n = fread(buf_reserve(&b, 4 << 20), 1, 4 << 20, in);
	buf_commit(&b, n);
	fclose(in);
	found = slice_find(buf_slice(&b), slice_str(text)) >= 0;
	buf_done(&b);
	return found;
}

static void
summary_is(struct fix *f, const struct seg_loc *l, struct slice want)
{
	struct buf b;

	buf_init(&b, SEG_SUMMARY_MAX + 1);
	assert_int_equal(seg_read_summary(f->s, l, &b), 0);
	assert_true(slice_eq(buf_slice(&b), want));
	buf_done(&b);
}

/* Another summary with the same octets, in the clear and sealed, short and long; a damaged one is no hindrance, damaged octets are. */
static void
other_summary(void **state)
{
	struct fix *f = *state;
	struct seg_loc a = put(f, "a small body"), big, to;
	unsigned char *p = xcalloc(1, 600000), *sum = xcalloc(1, 300000);
	struct slice sums[] = {
	    slice_str("other"), slice_of(sum, 20000), slice_of(sum, 300000), slice_str("")};

	random_bytes(p, 300000);
	random_bytes(sum + 100000, 200000);
	big = put_bytes(f, slice_of(p, 600000), "sum of it");
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
			assert_int_equal(seg_resummarize(f->s, &a, sums[i], &to), 0);
			assert_true(to.body == a.body && to.summary_len == sums[i].len &&
				    ((to.flags & SEG_SEALED) != 0) == (round == 1));
			summary_is(f, &to, sums[i]);
			assert_int_equal(seg_check(f->s, &to), 0);
			assert_int_equal(seg_resummarize(f->s, &big, sums[i], &to), 0);
			summary_is(f, &to, sums[i]);
			assert_int_equal(seg_check(f->s, &to), 0);
			/* and once more, from there */
			assert_int_equal(seg_resummarize(f->s, &to, slice_str("sum"), &to), 0);
			summary_is(f, &to, slice_str("sum"));
			assert_int_equal(seg_check(f->s, &to), 0);
		}
		assert_int_equal(
		    seg_resummarize(f->s, &a, slice_of(sum, SEG_SUMMARY_MAX + 1), &to), ERR_LIMIT);
		seg_sync_copies(f->s);
		if (round == 0)
			reopen(f, &to, KEY_A);
	}
	flip(f->file, (off_t)a.off + 96 + 16); /* its summary */
	assert_int_equal(seg_resummarize(f->s, &a, slice_str("sum"), &to), 0);
	assert_int_equal(read_back(f, &to, "a small body"), 0);
	flip(f->file, (off_t)a.off + 96 + 16 + 3 + 2); /* its octets */
	assert_int_equal(seg_resummarize(f->s, &a, slice_str("sum"), &to), ERR_CORRUPT);
	free(p);
	free(sum);
}

static void
sealed(void **state)
{
	struct fix *f = *state;
	struct seg_loc clear = put(f, "in the clear"), a, b, big, c;
	unsigned char *p = xcalloc(1, 700000);
	char file2[80], file3[80];
	struct seg_keys wrong;
	struct buf v;
	bool done;

	snprintf(file2, sizeof file2, "%s/seg-00000002", f->dir);
	snprintf(file3, sizeof file3, "%s/seg-00000003", f->dir);
	reopen(f, &clear, KEY_A);
	a = put(f, "a secret of state");
	random_bytes(p, 400000);
	big = put_bytes(f, slice_of(p, 700000), "sum of it");
	assert_true(a.segment == 2 && (a.flags & SEG_SEALED) != 0 && a.body == 2);
	assert_int_equal(read_back(f, &clear, "in the clear"), 0);
	assert_int_equal(read_back(f, &a, "a secret of state"), 0);
	assert_true(in_file(f->file, "in the clear"));
	assert_false(in_file(file2, "secret"));
	assert_false(in_file(file2, "sum of it"));
	buf_init(&v, 1 << 20);
	assert_int_equal(seg_read(f->s, &big, 262100, 300000, &v), 0);
	assert_memory_equal(v.data, p + 262100, 300000);
	buf_done(&v);
	assert_int_equal(seg_check(f->s, &big), 0);
	/* the same key: the file goes on; the copy of what was in the clear is sealed */
	reopen(f, &big, KEY_A);
	b = put(f, "another secret");
	assert_true(b.segment == 2 && b.body == 4);
	assert_int_equal(seg_copy(f->s, &clear, &c), 0);
	assert_true(c.segment == 3 && (c.flags & SEG_SEALED) != 0 && c.body == 1);
	assert_int_equal(read_back(f, &c, "in the clear"), 0);
	assert_false(in_file(file3, "in the clear"));
	assert_int_equal(seg_copy(f->s, &big, &c), 0);
	assert_int_equal(seg_check(f->s, &c), 0);
	/* no key, another key, another key by the same name */
	seg_close(f->s);
	f->s = NULL;
	assert_int_equal(seg_open(f->dir, &b, 0, &f->s), ERR_DENIED);
	wrong = keys_of(KEY_B);
	assert_int_equal(seg_open_keys(f->dir, &b, 0, &wrong, &f->s), ERR_DENIED);
	wrong = keys_of("k2025 "
			"ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff");
	assert_int_equal(seg_open_keys(f->dir, &b, 0, &wrong, &f->s), ERR_DENIED);
	/* rotation: both, then the headers, then the new one alone */
	assert_int_equal(
	    seg_open_keys(f->dir, &b, 0, (wrong = keys_of(KEY_A KEY_B), &wrong), &f->s), 0);
	a = put(f, "under the new key");
	assert_true(a.segment == 4 && a.body == 5);
	for (uint32_t n = 1; n <= 4; n++) {
		assert_int_equal(seg_file_rewrap(f->s, n, &done), 0);
		assert_int_equal(done, n == 2 || n == 3);
		assert_int_equal(seg_file_rewrap(f->s, n, &done), 0);
		assert_false(done);
	}
	assert_int_equal(seg_file_rewrap(f->s, 5, &done), ERR_NOTFOUND);
	reopen(f, &a, KEY_B);
	assert_int_equal(read_back(f, &a, "under the new key"), 0);
	assert_int_equal(read_back(f, &b, "another secret"), 0);
	assert_int_equal(seg_check(f->s, &c), 0);
	free(p);
}

/* Sealed octets: any that changes is seen, also when the check that needs no key agrees; a record in another's place is nothing. */
static void
sealed_damage(void **state)
{
	struct fix *f = *state;
	struct seg_loc a, b, moved;
	char file2[80];
	unsigned char rec[512];
	int fd;

	snprintf(file2, sizeof file2, "%s/seg-00000002", f->dir);
	a = put(f, "x");
	reopen(f, &a, KEY_A);
	a = put(f, "precious");
	b = put(f, "envious!");
	assert_int_equal(a.segment, 2);
	for (off_t at = (off_t)a.off; at < (off_t)a.off + 96 + 48 + 3 + 8; at++) {
		flip(file2, at);
		assert_int_equal(read_back(f, &a, "precious"), ERR_CORRUPT);
		assert_int_equal(read_back(f, &b, "envious!"), 0);
		flip(file2, at);
	}
	assert_int_equal(read_back(f, &a, "precious"), 0);
	/* b's record with a's number, checks made anew: only the tag tells */
	fd = open(file2, O_RDWR);
	assert_int_equal(pread(fd, rec, (size_t)b.stored, (off_t)b.off), (ssize_t)b.stored);
	rec[15] = (unsigned char)a.body;
	memcpy(rec + 28, a.sha256, 32);
	put32_at(rec + 92, crc32c(0, rec, 92));
	for (unsigned i = 0; i < 2; i++) {
		unsigned char ctx[20] = {0}, *entry = rec + 96 + 24 * i;
		size_t len = entry[3];

		ctx[7] = (unsigned char)a.body;
		ctx[15] = (unsigned char)i;
		memcpy(ctx + 16, entry, 4);
		put32_at(
		    entry + 4, crc32c(crc32c(0, ctx, 20), rec + 96 + 48 + (i == 0 ? 0 : 3), len));
	}
	assert_int_equal(pwrite(fd, rec, (size_t)b.stored, (off_t)b.off), (ssize_t)b.stored);
	close(fd);
	moved = a;
	moved.off = b.off;
	assert_int_equal(read_back(f, &moved, "envious!"), ERR_CORRUPT);
	/* both headers of the file gone: its records with them, and new bodies are still taken */
	flip(file2, 30);
	seg_close(f->s);
	f->s = NULL;
	reopen(f, &b, KEY_A);
	assert_int_equal(read_back(f, &a, "precious"), 0);
	flip(file2, 512 + 70);
	reopen(f, &b, KEY_A);
	assert_int_equal(read_back(f, &a, "precious"), ERR_CORRUPT);
	a = put(f, "elsewhere");
	assert_int_equal(a.segment, 3);
	assert_int_equal(read_back(f, &a, "elsewhere"), 0);
}

/* A crash that takes records away gives their places and numbers to others: never their nonces. */
static void
nonces(void **state)
{
	struct fix *f = *state;
	struct seg_loc kept, a;
	unsigned char seen[20][12];
	char file2[80];
	int fd;

	snprintf(file2, sizeof file2, "%s/seg-00000002", f->dir);
	kept = put(f, "x");
	reopen(f, &kept, KEY_A);
	kept = put(f, "kept");
	for (unsigned i = 0; i < 20; i++) {
		a = put(f, "the same octets at the same place");
		assert_true(a.segment == 2 && a.body == 3 && a.off == kept.off + kept.stored);
		fd = open(file2, O_RDONLY);
		assert_int_equal(pread(fd, seen[i], 12, (off_t)a.off + 76), 12);
		close(fd);
		for (unsigned j = 0; j < i; j++)
			assert_memory_not_equal(seen[i], seen[j], 12);
		assert_int_equal(truncate(file2, (off_t)(a.off + 150)), 0);
		reopen(f, &kept, KEY_A);
	}
}

static void
key_file(void **state)
{
	static const struct {
		const char *text;
		int err;
		unsigned line;
	} bad[] = {
	    {"", ERR_SYNTAX, 0},
	    {"# nothing but this\n\n", ERR_SYNTAX, 0},
	    {KEY_A "k2026\n", ERR_SYNTAX, 2},
	    {KEY_A "\n" KEY_A, ERR_SYNTAX, 3},
	    {"k 00\n", ERR_SYNTAX, 1},
	    {"k/1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n", ERR_SYNTAX,
		1},
	    {"kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk "
	     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
		ERR_SYNTAX, 1},
	    {"k 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f 1\n", ERR_SYNTAX,
		1},
	};
	struct seg_keys k;
	unsigned line;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		line = 99;
		assert_int_equal(seg_keys_parse(slice_str(bad[i].text), &k, &line), bad[i].err);
		assert_int_equal(line, bad[i].line);
	}
	k = keys_of("# keys of the store\r\n  " KEY_A "\r\n\tk2026\t "
		    "FF0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1EFF");
	assert_int_equal(k.n, 2);
	assert_string_equal(k.k[0].id, "k2025");
	assert_string_equal(k.k[1].id, "k2026");
	assert_true(k.k[0].key[31] == 0x1f && k.k[1].key[0] == 0xff);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(write_read, setup, teardown),
	    cmocka_unit_test_setup_teardown(damage_is_seen, setup, teardown),
	    cmocka_unit_test_setup_teardown(torn_tail, setup, teardown),
	    cmocka_unit_test_setup_teardown(torn_data_under_good_header, setup, teardown),
	    cmocka_unit_test_setup_teardown(lost_files, setup, teardown),
	    cmocka_unit_test_setup_teardown(zeros_ahead, setup, teardown),
	    cmocka_unit_test_setup_teardown(new_file_torn, setup, teardown),
	    cmocka_unit_test_setup_teardown(file_of_a_killed_process, setup, teardown),
	    cmocka_unit_test_setup_teardown(from_file, setup, teardown),
	    cmocka_unit_test_setup_teardown(blocks, setup, teardown),
	    cmocka_unit_test_setup_teardown(digits_are_compressed, setup, teardown),
	    cmocka_unit_test_setup_teardown(whole, setup, teardown),
	    cmocka_unit_test_setup_teardown(version_1, setup, teardown),
	    cmocka_unit_test_setup_teardown(copies, setup, teardown),
	    cmocka_unit_test_setup_teardown(other_summary, setup, teardown),
	    cmocka_unit_test_setup_teardown(bad_file_header, setup, teardown),
	    cmocka_unit_test_setup_teardown(sealed, setup, teardown),
	    cmocka_unit_test_setup_teardown(sealed_damage, setup, teardown),
	    cmocka_unit_test_setup_teardown(nonces, setup, teardown),
	    cmocka_unit_test(key_file),
	};

	log_init("segment_test", 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
