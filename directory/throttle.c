/* throttle.c: throttle.h, in lookup's workers. A count is a leaky bucket kept as one time: the moment at which it will be empty. A wrong
 * login moves it one step (window / bound) ahead; when it is a whole window ahead, no more tries are made until it has come
 * nearer. A word is 24 bits of the key's hash and 40 bits of milliseconds; eight words share a set. */
#include "config.h"

#include "directory/throttle.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SETS = 8192, WAYS = 8, PAIR_COUNTS = 3 };
#define TIME_BITS 40
#define TIME_MASK ((1ull << TIME_BITS) - 1)
#define GOOD_MS (30ull * 86400 * 1000)
#define MAGIC 0x63762d7468720001ull /* with the version */

/* What is in the file. */
struct table {
	_Atomic uint64_t magic;
	uint64_t reserved[7];
	_Atomic uint64_t word[2][SETS][WAYS]; /* counts; good logins */
};
enum { COUNTS, GOOD };

struct net {
	unsigned char address[16];
	unsigned bits, len;
};
struct throttle {
	struct table *table;
	struct throttle_params p;
	struct net *exempt;
	size_t n_exempt;
	bool is_shared;
};

/* ---- keys ---- */

/* 4 bytes of an IPv4 address, also inside IPv6, or the 8 of a /64; 0 for what is none. */
static unsigned
network_of(const char *ip, unsigned char out[16], unsigned *address_len_out)
{
	static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	char copy[64];
	struct slice s = slice_str(ip);

	if (s.len > 1 && s.ptr[0] == '[' && s.ptr[s.len - 1] == ']')
		s = slice_sub(s, 1, s.len - 2);
	if (s.len == 0 || s.len >= sizeof(copy))
		return 0;
	memcpy(copy, s.ptr, s.len);
	copy[s.len] = '\0';
	*address_len_out = 4;
	if (inet_pton(AF_INET, copy, out) == 1)
		return 4;
	if (inet_pton(AF_INET6, copy, out) != 1)
		return 0;
	if (memcmp(out, mapped, 12) == 0) {
		memmove(out, out + 12, 4);
		return 4;
	}
	*address_len_out = 16;
	return 8;
}

static bool
net_has(const struct net *n, const unsigned char *a, unsigned len)
{
	unsigned whole = n->bits / 8, part = n->bits % 8;

	if (n->len != len || memcmp(n->address, a, whole) != 0)
		return false;
	return part == 0 || ((n->address[whole] ^ a[whole]) >> (8 - part)) == 0;
}

static int
net_parse(const char *text, struct net *out)
{
	struct slice t = slice_str(text);
	ptrdiff_t at = slice_index(t, '/');
	char *address = slice_dup(at < 0 ? t : slice_sub(t, 0, (size_t)at));
	struct net n = {.bits = 0};
	uint64_t bits;
	int err = address == NULL || network_of(address, n.address, &n.len) == 0 ? ERR_SYNTAX : 0;

	bits = n.len * 8;
	if (err == 0 && at >= 0)
		err = slice_to_u64(slice_from(t, (size_t)at + 1), bits, &bits);
	free(address);
	n.bits = (unsigned)bits;
	if (err != 0)
		return ERR_SYNTAX;
	*out = n;
	return 0;
}

/* One try: whose, from where. Each count has a hash of its own, made when it is asked for. */
struct
try {
	const struct throttle *t;
	struct slice account;
	int64_t password;
	unsigned char net[16];
	unsigned net_len;
	bool has_network; /* an address, and not an exempt one */
};

static uint64_t
hash_of(const struct throttle *t, char kind, struct slice account, int64_t password,
    const unsigned char *net, unsigned net_len)
{
	unsigned char digest[32];
	uint64_t v;
	struct buf b;

	buf_init(&b, 4096);
	buf_append_byte(&b, (unsigned char)kind);
	buf_append_byte(&b, (unsigned char)net_len);
	buf_append(&b, net, net_len);
	buf_append(&b, &password, sizeof(password));
	buf_append_slice(&b, slice_sub(account, 0, 1024));
	hmac_sha256(slice_of(t->p.secret, sizeof(t->p.secret)), buf_slice(&b), digest);
	buf_done(&b);
	memcpy(&v, digest, sizeof(v));
	return v;
}

static void
try_make(
    const struct throttle *t, struct slice account, int64_t password, const char *ip, struct try *y)
{
	unsigned address_len = 0;

	*y = (struct try){.t = t, .account = account, .password = password};
	y->net_len = network_of(ip, y->net, &address_len);
	y->has_network = y->net_len > 0;
	for (size_t i = 0; i < t->n_exempt; i++)
		y->has_network = y->has_network && !net_has(&t->exempt[i], y->net, address_len);
}

static uint64_t
account_hash(const struct try *y)
{
	return hash_of(y->t, 'a', y->account, y->password, NULL, 0);
}

static uint64_t
network_hash(const struct try *y)
{
	return hash_of(y->t, 'n', slice_of(NULL, 0), 0, y->net, y->net_len);
}

static uint64_t
pair_hash(const struct try *y)
{
	return hash_of(y->t, 'p', y->account, y->password, y->net, y->net_len);
}

/* Of good logins. */
static uint64_t
known_hash(const struct try *y)
{
	return hash_of(y->t, 'k', y->account, 0, y->net, y->net_len);
}

/* ---- words ---- */

static uint64_t
word_make(uint64_t hash, uint64_t time)
{
	return (hash >> (64 - 24)) << TIME_BITS | (time & TIME_MASK);
}

/* The place of a hash: its own word, else (when make) the one with the smallest time. */
static _Atomic uint64_t *
find(struct throttle *t, int which, uint64_t hash, bool make)
{
	_Atomic uint64_t *set = t->table->word[which][hash % SETS], *oldest = set;

	for (int i = 0; i < WAYS; i++) {
		uint64_t w = atomic_load(&set[i]);

		if (w != 0 && w >> TIME_BITS == hash >> (64 - 24))
			return &set[i];
		if ((w & TIME_MASK) < (atomic_load(oldest) & TIME_MASK))
			oldest = &set[i];
	}
	return make ? oldest : NULL;
}

/* How far ahead of now the bucket is; 0 for one that is empty, is not there, or is of another boot. */
static uint64_t
ahead_of(uint64_t word, uint64_t hash, uint64_t now, uint64_t window)
{
	uint64_t time = word & TIME_MASK;

	if (word == 0 || word >> TIME_BITS != hash >> (64 - 24) || time <= now ||
	    time - now > 2 * window)
		return 0;
	return time - now;
}

static uint64_t
ahead(struct throttle *t, uint64_t hash, uint64_t now)
{
	_Atomic uint64_t *at = find(t, COUNTS, hash, false);

	return at == NULL ? 0
			  : ahead_of(atomic_load(at), hash, now, (uint64_t)t->p.window_s * 1000);
}

static uint64_t
step_of(const struct throttle *t, unsigned max)
{
	return (uint64_t)t->p.window_s * 1000 / max;
}

/* Full: one more step would be past the window. */
static bool
is_full(struct throttle *t, uint64_t hash, unsigned max, uint64_t now)
{
	return max != 0 && ahead(t, hash, now) + step_of(t, max) > (uint64_t)t->p.window_s * 1000;
}

static void
count(struct throttle *t, uint64_t hash, unsigned max, uint64_t now)
{
	uint64_t window = (uint64_t)t->p.window_s * 1000, old, new;
	_Atomic uint64_t *at;

	if (max == 0)
		return;
	do {
		uint64_t far;

		at = find(t, COUNTS, hash, true);
		old = atomic_load(at);
		far = ahead_of(old, hash, now, window) + step_of(t, max);
		new = word_make(hash, now + (far > window ? window : far));
	} while (!atomic_compare_exchange_weak(at, &old, new));
}

static bool
is_good(struct throttle *t, uint64_t hash, uint64_t now)
{
	_Atomic uint64_t *at = find(t, GOOD, hash, false);
	uint64_t time = at == NULL ? 0 : atomic_load(at) & TIME_MASK;

	return time != 0 && time <= now && now - time <= GOOD_MS;
}

/* ---- the three questions ---- */

bool
throttle_may(
    struct throttle *t, struct slice account, int64_t password, const char *ip, uint64_t now_ms)
{
	struct try y;

	try_make(t, account, password, ip, &y);
	if (is_good(t, known_hash(&y), now_ms))
		return !is_full(t, pair_hash(&y), t->p.account_max, now_ms);
	return !is_full(t, account_hash(&y), t->p.account_max, now_ms) &&
	       (!y.has_network || !is_full(t, network_hash(&y), t->p.network_max, now_ms));
}

void
throttle_failed(
    struct throttle *t, struct slice account, int64_t password, const char *ip, uint64_t now_ms)
{
	bool is_first;
	uint64_t pair;
	struct try y;

	try_make(t, account, password, ip, &y);
	pair = pair_hash(&y);
	/* one device with an old password must not hold all others of its network: only its first few count there */
	is_first = t->p.account_max == 0 ||
		   ahead(t, pair, now_ms) < PAIR_COUNTS * step_of(t, t->p.account_max);
	if (y.has_network && is_first)
		count(t, network_hash(&y), t->p.network_max, now_ms);
	/* nor hold its owner who is elsewhere */
	if (!is_good(t, known_hash(&y), now_ms))
		count(t, account_hash(&y), t->p.account_max, now_ms);
	count(t, pair, t->p.account_max, now_ms);
}

void
throttle_succeeded(
    struct throttle *t, struct slice account, int64_t password, const char *ip, uint64_t now_ms)
{
	_Atomic uint64_t *at;
	uint64_t known;
	struct try y;

	try_make(t, account, password, ip, &y);
	known = known_hash(&y);
	atomic_store(find(t, GOOD, known, true), word_make(known, now_ms));
	at = find(t, COUNTS, pair_hash(&y), false);
	if (at != NULL)
		atomic_store(at, 0);
}

/* ---- the file ---- */

static int
table_map(const char *file, struct table **out)
{
	int fd = file == NULL ? -1 : open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	uint64_t expected = 0;
	struct table *table;
	struct stat st;

	if (file != NULL && (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
				(st.st_size != (off_t)sizeof(*table) &&
				    ftruncate(fd, (off_t)sizeof(*table)) != 0))) {
		if (fd >= 0)
			close(fd);
		return ERR_IO;
	}
	table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE,
	    file == NULL ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (table == MAP_FAILED)
		return ERR_IO;
	/* of another version: begun anew. Words that a slower process wrote meanwhile are only counts lost */
	if (!atomic_compare_exchange_strong(&table->magic, &expected, MAGIC) && expected != MAGIC) {
		for (size_t i = 0; i < sizeof(table->word) / sizeof(uint64_t); i++)
			atomic_store(&(&table->word[0][0][0])[i], 0);
		atomic_store(&table->magic, MAGIC);
	}
	*out = table;
	return 0;
}

int
throttle_new(const char *file, const struct throttle_params *p, struct throttle **out)
{
	struct throttle *t = xcalloc(1, sizeof(*t));
	int err = 0;

	t->p = *p;
	t->exempt = xcalloc(p->n_exempt + 1, sizeof(*t->exempt));
	for (; err == 0 && t->n_exempt < p->n_exempt; t->n_exempt += err == 0)
		err = net_parse(p->exempt[t->n_exempt], &t->exempt[t->n_exempt]);
	if (err == 0)
		err = table_map(file, &t->table);
	if (err != 0) {
		throttle_free(t);
		return err;
	}
	*out = t;
	return 0;
}

void
throttle_free(struct throttle *t)
{
	if (t == NULL)
		return;
	if (t->table != NULL)
		munmap(t->table, sizeof(*t->table));
	free(t->exempt);
	explicit_bzero(t, sizeof(*t));
	free(t);
}
