/* border.c: see border.h. An input is a row of messages: u8 which peer, u8 which of its messages, u8 how (bit 0: with the names patched in,
 * bit 1: a request id of 0, bit 2: with a descriptor, bit 3: wait for the answer before the next), u8 length / 4, the payload. */
#include "config.h"

#include "tests/fuzz/border.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/conf.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"
#include "lib/sandbox.h"
#include "tests/fuzz/fuzz.h"

enum { SERVERS_MAX = 8, MESSAGES_MAX = 24, TURNS_MAX = 400 };

/* Berkeley DB's environment is never closed here: its memory is no leak of ours. */
const char *__lsan_default_suppressions(void) __attribute__((visibility("default")));
const char *
__lsan_default_suppressions(void)
{
	return "leak:libdb-5.3";
}

/* ---- role.h ---- */
static struct conf *conf;
static char dir[64];

void
role_init(int argc, char **argv, const char *role)
{
	char path[128];
	char *why = NULL;
	FILE *f;

	(void)argc;
	(void)argv;
	log_init(role, open("/dev/null", O_WRONLY | O_CLOEXEC));
	snprintf(dir, sizeof dir, "%s/border-%s.XXXXXX",
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", role);
	if (mkdtemp(dir) == NULL || chdir(dir) != 0)
		fatal("no folder");
	snprintf(path, sizeof path, "%s/congvu.conf", dir);
	f = fopen(path, "w");
	if (f == NULL)
		fatal("no file");
	fputs(border_conf, f);
	fclose(f);
	if (conf_load(path, &conf, &why) != 0)
		fatal("%s", why);
	border_prepare();
}
const struct conf *
role_conf(void)
{
	return conf;
}
/* Files by their option; our sockets ("server.client"): any number, nobody reads them. */
int
role_fd(const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	if (access(path, R_OK) == 0)
		return open(path, O_RDONLY | O_CLOEXEC);
	return strchr(name, '.') != NULL && strncmp(name, "listen", 6) != 0 ? 1000 : -1;
}
unsigned
role_index(void)
{
	return 0;
}
bool
role_replaces(void)
{
	return false;
}
void
role_before_sandbox(void (*fn)(void))
{
	fn();
}
void
role_enter(void)
{
}
void
sandbox_may_read(const char *path)
{
	(void)path;
}
int64_t
role_uid_of(const char *user_option)
{
	(void)user_option;
	return -1;
}
void
role_stat_set(unsigned slot, uint64_t value)
{
	(void)slot;
	(void)value;
}

/* ---- ipc_server.c ---- */
struct ipc_conn {
	struct ipc_server *s; /* NULL: ended */
	void *user;
	uint32_t state, last_id;
	unsigned refs;
	bool closing;
	uint32_t open_ids[IPC_OUTSTANDING_MAX];
	unsigned n_open;
	uint32_t waiting; /* the last of those that may stay open */
};
struct ipc_server {
	const struct ipc_proto *proto;
	uint32_t peer;
	const struct ipc_server_ops *ops;
	void *arg;
	struct ipc_conn *c;
};
static struct ipc_server servers[SERVERS_MAX];
static unsigned n_servers;
static struct loop *loop;
static sem_t started;
/* the answer that is waited for */
static uint32_t wanted_id;
static struct ipc_conn *wanted_conn;
static uint16_t answer_type;
static struct buf answer;

struct ipc_server *
ipc_server_new(struct loop *l, int listen_fd, const struct ipc_proto *p, uint32_t peer,
    int64_t peer_uid, unsigned max_conns, const struct ipc_server_ops *ops, void *arg)
{
	(void)l;
	(void)listen_fd;
	(void)peer_uid;
	(void)max_conns;
	MUST(n_servers < SERVERS_MAX);
	servers[n_servers] = (struct ipc_server){p, peer, ops, arg, NULL};
	return &servers[n_servers++];
}
void
ipc_server_stop(struct ipc_server *s)
{
	(void)s;
}
void
ipc_server_free(struct ipc_server *s)
{
	(void)s;
}
void *
ipc_user(struct ipc_conn *c)
{
	return c->user;
}
uint32_t
ipc_peer_role(const struct ipc_conn *c)
{
	return c->s != NULL ? c->s->peer : 0;
}
int64_t
ipc_peer_uid(const struct ipc_conn *c)
{
	(void)c;
	return 0;
}
void
ipc_set_state(struct ipc_conn *c, uint32_t state_bit)
{
	c->state = state_bit;
}
void
ipc_hold(struct ipc_conn *c)
{
	c->refs++;
}
void
ipc_release(struct ipc_conn *c)
{
	MUST(c->refs > 0);
	if (--c->refs == 0)
		free(c);
}
void
ipc_close(struct ipc_conn *c)
{
	c->closing = true;
}

static const struct ipc_rule *
rule_of(const struct ipc_proto *p, uint16_t type)
{
	for (size_t i = 0; i < p->n_rules; i++)
		if (p->rules[i].type == type)
			return &p->rules[i];
	return NULL;
}

int
ipc_reply(struct ipc_conn *c, uint32_t id, uint16_t type, const struct buf *payload, int fd)
{
	bool found = false;

	if (fd >= 0)
		close(fd);
	if (c->s == NULL || c->closing)
		return ERR_CLOSED;
	if (type != IPC_OK && type != IPC_ERR) {
		const struct ipc_rule *r = rule_of(c->s->proto, type);

		MUST(r != NULL && (r->from & c->s->proto->server) != 0);
		MUST(payload == NULL || payload->err != 0 || payload->len <= r->max_len);
	}
	for (unsigned i = 0; i < c->n_open && !found; i++)
		if (c->open_ids[i] == id) {
			c->open_ids[i] = c->open_ids[--c->n_open];
			found = true;
		}
	MUST(found); /* one reply to each request */
	if (c == wanted_conn && id == wanted_id) {
		answer_type = type;
		buf_reset(&answer);
		if (payload != NULL)
			buf_append(&answer, payload->data, payload->len);
	}
	return 0;
}
int
ipc_reply_ok(struct ipc_conn *c, uint32_t id)
{
	return ipc_reply(c, id, IPC_OK, NULL, -1);
}
int
ipc_reply_err(struct ipc_conn *c, uint32_t id, int err, const char *why)
{
	MUST(err != 0 && why != NULL);
	return ipc_reply(c, id, IPC_ERR, NULL, -1);
}
int
ipc_notify(struct ipc_conn *c, uint16_t type, const struct buf *payload)
{
	const struct ipc_rule *r;

	if (c->s == NULL || c->closing)
		return ERR_CLOSED;
	r = rule_of(c->s->proto, type);
	MUST(r != NULL && (r->from & c->s->proto->server) != 0);
	MUST(payload == NULL || payload->len <= r->max_len);
	return 0;
}

/* ---- the other end ---- */

static void
conn_end(struct ipc_server *s)
{
	struct ipc_conn *c = s->c;

	if (c == NULL)
		return;
	s->c = NULL;
	if (wanted_conn == c)
		wanted_conn = NULL;
	c->closing = true;
	if (s->ops->on_close != NULL)
		s->ops->on_close(c, s->arg);
	c->s = NULL;
	ipc_release(c);
}

static struct ipc_conn *
conn_of(struct ipc_server *s)
{
	struct ipc_conn *c = s->c;

	if (c != NULL && !c->closing)
		return c;
	conn_end(s);
	c = xcalloc(1, sizeof *c);
	c->s = s;
	c->refs = 1;
	c->state = IPC_ST_READY;
	s->c = c;
	if (s->ops->on_open != NULL && s->ops->on_open(c, s->arg, &c->user) != 0) {
		s->c = NULL;
		free(c);
		return NULL;
	}
	return c;
}

static struct ipc_conn *
give(struct ipc_server *s, uint16_t type, bool notify, struct slice payload, int fd)
{
	struct ipc_conn *c = conn_of(s);
	struct ipc_reader r;

	if (c == NULL || c->n_open >= IPC_OUTSTANDING_MAX) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	if (!notify)
		c->open_ids[c->n_open++] = ++c->last_id;
	if (!notify && border_waits != NULL && border_waits(type))
		c->waiting = c->last_id;
	wanted_conn = c;
	wanted_id = notify ? 0 : c->last_id;
	answer_type = 0;
	ipc_reader_init(&r, payload);
	if (s->ops->on_msg(c, type, notify ? 0 : c->last_id, &r, fd, s->arg) != 0)
		c->closing = true;
	return c;
}

static unsigned
unanswered(const struct ipc_conn *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n_open; i++)
		n += c->open_ids[i] != c->waiting;
	return n;
}

static bool
is_quiet(void)
{
	for (unsigned i = 0; i < n_servers; i++)
		if (servers[i].c != NULL && !servers[i].c->closing && unanswered(servers[i].c) > 0)
			return false;
	return true;
}

uint16_t
border_send(uint32_t peer, uint16_t type, const struct buf *payload, int fd, struct slice *reply)
{
	for (unsigned i = 0; i < n_servers; i++) {
		if (servers[i].peer != peer)
			continue;
		struct ipc_conn *c = give(&servers[i], type, false, buf_slice(payload), fd);
		for (int turn = 0; c != NULL && turn < TURNS_MAX && answer_type == 0 && !c->closing;
		     turn++)
			(void)loop_run_once(loop, turn < 4 ? 0 : 10);
		if (reply != NULL)
			*reply = buf_slice(&answer);
		return answer_type;
	}
	if (fd >= 0)
		close(fd);
	return 0;
}

int
border_loop_run(struct loop *l)
{
	loop = l;
	sem_post(&started);
	for (;;)
		pause();
}

/* On a thread of its own, that then waits for ever: what main() has on its stack stays there. */
static void *
role_thread(void *arg)
{
	static char name[64];
	static char *argv[] = {name, NULL};

	(void)arg;
	snprintf(name, sizeof name, "%s", border_role);
	(void)border_main(1, argv);
	fatal("the role ended before its loop");
}

static void
clean_up(void)
{
	char cmd[128];

	snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
	if (dir[0] != '\0' && system(cmd) != 0)
		fprintf(stderr, "%s is left\n", dir);
}

static void
start(void)
{
	pthread_t t;

	buf_init(&answer, IPC_FRAME_MAX);
	sem_init(&started, 0, 0);
	if (pthread_create(&t, NULL, role_thread, NULL) != 0)
		fatal("no thread");
	while (sem_wait(&started) != 0)
		continue;
	atexit(clean_up);
	MUST(n_servers > 0);
}

static int
file_with(struct slice s)
{
	int fd = memfd_create("border", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || write(fd, s.ptr, s.len) != (ssize_t)s.len || lseek(fd, 0, SEEK_SET) != 0)
		fatal("no memfd");
	if (s.len % 2 == 0)
		(void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	return fd;
}

/* The nth of the messages that a peer may send. */
static const struct ipc_rule *
choose(const struct ipc_server *s, unsigned nth)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->proto->n_rules; i++)
		n += (s->proto->rules[i].from & s->peer) != 0;
	if (n == 0)
		return NULL;
	nth %= n;
	for (size_t i = 0;; i++)
		if ((s->proto->rules[i].from & s->peer) != 0 && nth-- == 0)
			return &s->proto->rules[i];
}

static struct slice
one_message(struct slice in)
{
	struct ipc_server *s = &servers[in.ptr[0] % n_servers];
	const struct ipc_rule *r = choose(s, in.ptr[1]);
	uint8_t how = in.ptr[2];
	size_t len = (size_t)in.ptr[3] * 4;
	struct slice content;
	struct buf b;
	int fd = -1;

	in = slice_from(in, 4);
	content = slice_sub(in, 0, len);
	in = slice_from(in, content.len);
	if (r == NULL || (s->c != NULL && (r->states & s->c->state) == 0))
		return in;
	buf_init(&b, IPC_FRAME_MAX);
	buf_append(&b, content.ptr, content.len < r->max_len ? content.len : r->max_len);
	if ((how & 1) != 0)
		border_patch(s->peer, r->type, &b);
	if (r->fds == 2 || (r->fds == 1 && (how & 4) != 0))
		fd = file_with(content);
	if (b.err == 0 && b.len <= r->max_len) {
		struct ipc_conn *c = give(s, r->type, (how & 2) != 0, buf_slice(&b), fd);

		for (int turn = 0; (how & 8) != 0 && c != NULL && turn < TURNS_MAX &&
				   unanswered(c) > 0 && !c->closing;
		     turn++)
			(void)loop_run_once(loop, turn < 4 ? 0 : 5);
	} else if (fd >= 0) {
		close(fd);
	}
	buf_done(&b);
	return in;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);

	if (loop == NULL)
		start();
	border_prologue();
	for (int n = 0; n < MESSAGES_MAX && in.len >= 4; n++)
		in = one_message(in);
	for (int turn = 0; turn < TURNS_MAX && !is_quiet(); turn++)
		(void)loop_run_once(loop, turn < 4 ? 0 : 5);
	MUST(is_quiet()); /* each request was answered or its connection ended */
	for (unsigned i = 0; i < n_servers; i++)
		conn_end(&servers[i]);
	for (int turn = 0; turn < 3; turn++)
		(void)loop_run_once(loop, 0);
	return 0;
}
