/* import_fuzz.c: what the folders of another mail server may hold: an mbox file (the first byte tells the quoting), and the same octets as names of a Maildir's
 * messages and folders and as its keywords. Read to the end within bounds; the pieces do not depend on how many octets a read gives; a name that comes out is one
 * that a mailbox may have. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "admin/maildir.h"
#include "admin/mboxfile.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/utf7.h"

struct file {
	struct slice s;
	size_t most; /* octets a read */
};
struct sum {
	struct sha256 *h;
	uint64_t octets;
};

static int64_t
file_read(void *arg, uint64_t off, void *p, size_t n)
{
	const struct file *f = arg;

	if (off >= f->s.len)
		return 0;
	n = n < f->s.len - off ? n : (size_t)(f->s.len - off);
	n = n < f->most ? n : f->most;
	memcpy(p, f->s.ptr + off, n);
	return (int64_t)n;
}

static void
sink(void *arg, struct slice s)
{
	struct sum *k = arg;

	sha256_update(k->h, s.ptr, s.len);
	k->octets += s.len;
}

/* All messages: their number, and what they are in one digest. */
static unsigned
mbox(struct slice s, size_t most, enum mboxfile_quoting quoting, unsigned char digest[32])
{
	struct file f = {s, most};
	struct sum k = {sha256_new(), 0};
	struct mboxfile m;
	uint64_t last = 0;
	unsigned n = 0;
	int r;

	mboxfile_init(&m, file_read, &f, quoting);
	for (;;) {
		struct mboxfile_msg msg;

		r = mboxfile_next(&m, &msg, sink, &k);
		MUST(r == 0 || r == 1 || r == ERR_SYNTAX);
		sha256_update(k.h, &msg.flags, sizeof msg.flags);
		sha256_update(k.h, &msg.date, sizeof msg.date);
		sha256_update(k.h, msg.keywords.data, msg.keywords.len);
		buf_done(&msg.keywords);
		if (r != 1)
			break;
		MUST(n == 0 || msg.off > last);
		MUST(msg.off < s.len);
		last = msg.off;
		n++;
	}
	MUST(r != 0 || m.off == s.len);
	MUST(k.octets <= s.len);
	mboxfile_done(&m);
	sha256_final(k.h, digest);
	sha256_free(k.h);
	return n;
}

static void
names(struct slice s)
{
	struct maildir_name n = maildir_name_parse(s);
	struct maildir_keywords k;
	struct buf b;

	MUST(n.base.len <= s.len && n.base.ptr == s.ptr);
	MUST((n.flags & ~31u) == 0 && n.keywords < 1u << MAILDIR_KEYWORDS);
	maildir_keywords_parse(s, &k);
	for (size_t i = 0; i < MAILDIR_KEYWORDS; i++)
		MUST(k.name[i] == NULL || maildir_keyword_ok(slice_str(k.name[i])));
	maildir_keywords_done(&k);
	buf_init(&b, 8192);
	if (maildir_folder_name(s, &b) == 0)
		MUST(mailbox_name_ok(buf_slice(&b)));
	buf_reset(&b);
	buf_append_str(&b, "A");
	if (maildir_level_name(s, &b) == 0)
		MUST(mailbox_name_ok(buf_slice(&b)) && b.data[1] == '/');
	else
		MUST(b.err != 0 || b.len == 1);
	buf_done(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char one[32], other[32];
	enum mboxfile_quoting q;
	struct slice s;
	unsigned n;

	if (size == 0)
		return 0;
	q = (enum mboxfile_quoting)(data[0] % 4);
	s = slice_of(data + 1, size - 1);
	n = mbox(s, SIZE_MAX, q, one);
	MUST(mbox(s, 7, q, other) == n && memcmp(one, other, sizeof one) == 0);
	names(s);
	return 0;
}
