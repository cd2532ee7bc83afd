/* load_milter.c: an MTA that does nothing but ask a milter: the same message again and again over many sessions, whole libmilter protocol, each command
 * with its answer. Tool of the bench; a thread a session.
 *   load_milter --to SOCKET|PORT --message FILE --sessions N --count N --want TEXT [--hold]
 * want: what some header that the milter adds must have in it. --hold: all sessions wait with their whole body sent until all have (and until a line
 * comes on standard input): what they cost then can be looked at. A sample is the time from the end of the message to the final answer. */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/log.h"

/* libmilter's mfdef.h: what the filter may ask to have left out */
enum {
	NO_HELO = 2,
	NR_HDR = 0x80,
	NR_CONN = 0x1000,
	NR_HELO = 0x2000,
	NR_MAIL = 0x4000,
	NR_RCPT = 0x8000,
	NR_DATA = 0x10000,
	NR_EOH = 0x40000,
	NR_BODY = 0x80000,
	NO_DATA = 0x200,
	LEADSPC = 0x100000
};
enum { CHUNK = 65535, REPLY_MAX = 1 << 20, SESSIONS_MAX = 1024 };

static struct {
	const char *to, *want;
	struct slice message, body;
	size_t n_fields;
	struct slice *names, *values;
	unsigned sessions, count;
	bool hold;
	pthread_mutex_t lock;
	pthread_barrier_t ready, go;
	unsigned next, done, failed, wanted, holds;
	double *ms;
} T = {.sessions = 1, .count = 1, .lock = PTHREAD_MUTEX_INITIALIZER};

struct session {
	int fd;
	uint32_t protocol;
	bool seen; /* what is wanted */
	bool held;
	unsigned char *reply;
	struct buf
	    out; /* sent once an answer is waited for, or it is large: as MTAs with buffered streams do */
};

static double
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int
connect_to(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_in in = {.sin_family = AF_INET};
	bool is_path = strchr(T.to, '/') != NULL;
	int fd = socket(is_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	if (is_path) {
		snprintf(un.sun_path, sizeof un.sun_path, "%s", T.to);
		rc = connect(fd, (struct sockaddr *)&un, sizeof un);
	} else {
		in.sin_port = htons((uint16_t)strtoul(T.to, NULL, 10));
		in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		rc = connect(fd, (struct sockaddr *)&in, sizeof in);
	}
	if (rc != 0)
		fatal("load_milter: %s: %s", T.to, strerror(errno));
	return fd;
}

static void
put_all(int fd, const void *p, size_t n)
{
	const char *at = p;
	ssize_t k;

	for (; n > 0; at += k, n -= (size_t)k) {
		k = send(fd, at, n, MSG_NOSIGNAL);
		if (k <= 0)
			fatal("load_milter: the filter went away: %s", strerror(errno));
	}
}

static void
flush(struct session *s)
{
	if (s->out.err != 0)
		fatal("load_milter: a packet is too large");
	put_all(s->fd, s->out.data, s->out.len);
	buf_reset(&s->out);
}

static void
packet(struct session *s, char cmd, const void *data, size_t n)
{
	buf_append_u32(&s->out, (uint32_t)n + 1);
	buf_append_byte(&s->out, (unsigned char)cmd);
	buf_append(&s->out, data, n);
	if (s->out.len >= CHUNK)
		flush(s);
}

/* One packet of the filter; its length without the command. */
static char
reply(struct session *s, size_t *len_out)
{
	unsigned char head[4];
	uint32_t n;

	if (s->out.len > 0)
		flush(s);
	if (recv(s->fd, head, 4, MSG_WAITALL) != 4)
		fatal("load_milter: the filter went away");
	memcpy(&n, head, 4);
	n = ntohl(n);
	if (n == 0 || n > REPLY_MAX || recv(s->fd, s->reply, n, MSG_WAITALL) != (ssize_t)n)
		fatal("load_milter: an answer of %u octets", (unsigned)n);
	s->reply[n] = '\0';
	*len_out = n - 1;
	return (char)s->reply[0];
}

/* A command, and its answer unless the filter gives none. */
static bool
ask(struct session *s, char cmd, const void *data, size_t n, uint32_t none)
{
	size_t len;
	char r;

	packet(s, cmd, data, n);
	if ((s->protocol & none) != 0)
		return true;
	do
		r = reply(s, &len);
	while (r == 'p');
	return r == 'c' || r == 's';
}

static void
negotiate(struct session *s)
{
	uint32_t offer[3] = {htonl(6), htonl(0x1ff), htonl(0x1fffff)}, got[3];
	size_t len;

	s->fd = connect_to();
	packet(s, 'O', offer, sizeof offer);
	if (reply(s, &len) != 'O' || len < sizeof got)
		fatal("load_milter: no negotiation");
	memcpy(got, s->reply + 1, sizeof got);
	s->protocol = ntohl(got[2]);
	ask(s, 'C',
	    "client.example\0004\0\0"
	    "192.0.2.9",
	    28, NR_CONN);
	if ((s->protocol & NO_HELO) == 0)
		ask(s, 'H', "client.example", 15, NR_HELO);
}

static void
macros(struct session *s, unsigned number)
{
	char text[64];
	int n = snprintf(text, sizeof text, "Mi%cB%u%c{auth_authen}%c%c", 0, number, 0, 0, 0);

	packet(s, 'D', text, (size_t)n);
}

static bool
header(struct session *s)
{
	struct buf b;
	bool good = true;

	for (size_t i = 0; i < T.n_fields && good; i++) {
		struct slice v = T.values[i];

		if ((s->protocol & LEADSPC) == 0 && v.len > 0 && v.ptr[0] == ' ')
			v = slice_from(v, 1);
		buf_init(&b, 65536);
		buf_append_slice(&b, T.names[i]);
		buf_append_byte(&b, '\0');
		buf_append_slice(&b, v);
		buf_append_byte(&b, '\0');
		good = ask(s, 'L', b.data, b.len, NR_HDR);
		buf_done(&b);
	}
	return good && ask(s, 'N', "", 0, NR_EOH);
}

/* To the final answer. */
static char
finish(struct session *s)
{
	size_t len;
	char r;

	packet(s, 'E', "", 0);
	do {
		r = reply(s, &len);
		if (r == 'q')
			s->held = true;
		if ((r == 'h' || r == 'i' || r == 'm') && T.want != NULL &&
		    slice_find(slice_of(s->reply, len + 1), slice_str(T.want)) >= 0)
			s->seen = true;
	} while (strchr("cayrtd", r) == NULL);
	return r;
}

static double
one(struct session *s, unsigned number)
{
	double t0;
	bool good;
	char r;

	s->seen = s->held = false;
	macros(s, number);
	good = ask(s, 'M', "<a@x.example>", 14, NR_MAIL) &&
	       ask(s, 'R', "<b@y.example>", 14, NR_RCPT) &&
	       ((s->protocol & NO_DATA) != 0 || ask(s, 'T', "", 0, NR_DATA)) && header(s);
	for (size_t at = 0; at < T.body.len && good; at += CHUNK)
		good = ask(s, 'B', T.body.ptr + at,
		    T.body.len - at < CHUNK ? T.body.len - at : CHUNK, NR_BODY);
	if (T.hold) {
		flush(s);
		pthread_barrier_wait(&T.ready);
		pthread_barrier_wait(&T.go);
	}
	t0 = now_ms();
	r = finish(s);
	pthread_mutex_lock(&T.lock);
	T.wanted += s->seen;
	T.holds += s->held;
	if (!good || (r != 'c' && r != 'a')) {
		if (T.failed++ < 3)
			fprintf(stderr, "load_milter: %c %.200s\n", r, s->reply + 1);
	}
	pthread_mutex_unlock(&T.lock);
	return now_ms() - t0;
}

static void *
work(void *arg)
{
	struct session s = {.reply = xmalloc(REPLY_MAX + 1)};
	unsigned number;
	double ms;

	(void)arg;
	buf_init(&s.out, 4 * CHUNK);
	negotiate(&s);
	for (;;) {
		pthread_mutex_lock(&T.lock);
		number = T.next < T.count ? T.next++ : T.count;
		pthread_mutex_unlock(&T.lock);
		if (number == T.count)
			break;
		ms = one(&s, number);
		pthread_mutex_lock(&T.lock);
		T.ms[T.done++] = ms;
		pthread_mutex_unlock(&T.lock);
	}
	packet(&s, 'Q', "", 0);
	flush(&s);
	close(s.fd);
	buf_done(&s.out);
	free(s.reply);
	return NULL;
}

/* Fields as libmilter's clients give them: name, and value with folding as LF. */
static void
read_message(const char *path)
{
	static struct slice names[256], values[256];
	static struct buf whole; /* names and values point into it */
	struct buf *b = &whole;
	struct slice head;
	struct stat st;
	ptrdiff_t end, colon;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0)
		fatal("load_milter: %s: %s", path, strerror(errno));
	buf_init(b, (size_t)st.st_size + 1);
	if (read(fd, buf_reserve(b, (size_t)st.st_size), (size_t)st.st_size) != st.st_size)
		fatal("load_milter: %s", path);
	buf_commit(b, (size_t)st.st_size);
	close(fd);
	T.message = buf_slice(b);
	end = slice_find(T.message, slice_str("\r\n\r\n"));
	if (end < 0)
		fatal("load_milter: %s is no message", path);
	T.body = slice_from(T.message, (size_t)end + 4);
	head = slice_sub(T.message, 0, (size_t)end + 2);
	while (head.len > 0 && T.n_fields < 256) {
		ptrdiff_t at = slice_find(head, slice_str("\r\n"));

		colon = slice_index(head, ':');
		if (at < 0 || colon < 0 || colon > at)
			fatal("load_milter: fields of one line each are wanted");
		names[T.n_fields] = slice_sub(head, 0, (size_t)colon);
		values[T.n_fields++] =
		    slice_sub(head, (size_t)colon + 1, (size_t)at - (size_t)colon - 1);
		head = slice_from(head, (size_t)at + 2);
	}
	T.names = names;
	T.values = values;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
run(void)
{
	pthread_t threads[SESSIONS_MAX];
	struct rusage ru;
	double t0 = now_ms(), seconds;
	char line[8];

	for (unsigned i = 0; i < T.sessions; i++)
		if (pthread_create(&threads[i], NULL, work, NULL) != 0)
			fatal("load_milter: threads");
	if (T.hold) {
		pthread_barrier_wait(&T.ready);
		puts("held");
		fflush(stdout);
		if (fgets(line, sizeof line, stdin) == NULL)
			line[0] = '\0';
		pthread_barrier_wait(&T.go);
	}
	for (unsigned i = 0; i < T.sessions; i++)
		pthread_join(threads[i], NULL);
	seconds = (now_ms() - t0) / 1e3;
	getrusage(RUSAGE_SELF, &ru);
	qsort(T.ms, T.done, sizeof *T.ms, by_value);
	printf("{\"n\":%u,\"failed\":%u,\"wanted\":%u,\"held\":%u,\"seconds\":%.4f,\"p50_ms\":%.3f,"
	       "\"p99_ms\":%.3f,\"max_ms\":%.3f,"
	       "\"octets\":%zu,\"cpu_s\":%.4f}\n",
	    T.done, T.failed, T.wanted, T.holds, seconds, T.ms[T.done / 2], T.ms[T.done * 99 / 100],
	    T.ms[T.done - 1], T.message.len,
	    (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
		(double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {{"to", 1, NULL, 't'}, {"message", 1, NULL, 'm'},
	    {"sessions", 1, NULL, 's'}, {"count", 1, NULL, 'n'}, {"want", 1, NULL, 'w'},
	    {"hold", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int o;

	log_init("load_milter", 2);
	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o == 't')
			T.to = optarg;
		else if (o == 'm')
			read_message(optarg);
		else if (o == 's')
			T.sessions = (unsigned)strtoul(optarg, NULL, 10);
		else if (o == 'n')
			T.count = (unsigned)strtoul(optarg, NULL, 10);
		else if (o == 'w')
			T.want = optarg;
		else if (o == 'h')
			T.hold = true;
		else
			return 64;
	}
	if (T.to == NULL || T.message.len == 0 || T.sessions == 0 || T.sessions > SESSIONS_MAX ||
	    T.count == 0 || (T.hold && T.count != T.sessions))
		return 64;
	T.ms = xcalloc(T.count, sizeof *T.ms);
	pthread_barrier_init(&T.ready, NULL, T.sessions + 1);
	pthread_barrier_init(&T.go, NULL, T.sessions + 1);
	run();
	return T.failed > 0;
}
