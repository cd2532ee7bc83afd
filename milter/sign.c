/* sign.c: the milter-sign role: holds the key of the audit log under a uid of its own, so that nobody else can sign in its name; no network, no
 * other role's files. Invariants: what is signed is made here from a number and a hash; before a signature leaves, that it was made is
 * on stable storage, and a checkpoint that goes back or says something else of the same number is refused and logged: a log that was
 * written anew gets no signature from us. Without a key it runs and says so. */
#include "config.h"

#include "milter/sign_client.h"
#include "milter/sign_key.h"
#include "milter/sign_text.h"

#include "lib/date.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define STATE_FILE "checkpoint.state"
#define KEY_MAX 65536

static struct {
	struct sign_key *audit_key; /* NULL: none */
	struct sign_state last;
	int state_fd;
	bool state_bad;
	uint64_t checkpoints, refused;
} sg;

/* ---- checkpoints ---- */

static int
state_write(const struct sign_state *s)
{
	char text[SIGN_STATE_LEN + 1];
	ssize_t n;

	sign_state_format(s, text);
	do {
		n = pwrite(sg.state_fd, text, SIGN_STATE_LEN, 0);
	} while (n < 0 && errno == EINTR);
	if (n != SIGN_STATE_LEN || fdatasync(sg.state_fd) != 0) {
		log_msg(LOG_LVL_ERROR, "sign_state", "cannot write %s: %s", STATE_FILE,
		    strerror(errno));
		return ERR_IO;
	}
	return 0;
}

static int
make_text(const struct sign_state *s, struct buf *text)
{
	struct sign_text t = {.seq = s->seq, .host = slice_str(conf_str(role_conf(), "hostname"))};
	struct timespec now;
	struct buf time;
	int err;

	clock_gettime(CLOCK_REALTIME, &now);
	buf_init(&time, 64);
	date_rfc3339_format((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000, &time);
	t.time = buf_slice(&time);
	memcpy(t.h, s->h, sizeof t.h);
	memcpy(t.key_id, sign_key_id(sg.audit_key), sizeof t.key_id);
	err = sign_text_format(&t, text);
	buf_done(&time);
	return err;
}

static void
refuse(const struct sign_state *asked)
{
	struct log_line l;

	sg.refused++;
	role_stat_set(1, sg.refused);
	log_begin(&l, LOG_LVL_ERROR, "checkpoint_refused");
	log_u64(&l, "seq", asked->seq);
	log_str(&l, "h", asked->h);
	log_u64(&l, "last_seq", sg.last.seq);
	log_str(&l, "last_h", sg.last.h);
	log_str(&l, "why",
	    sg.state_bad ? "the file of the last checkpoint is damaged"
			 : "the audit log went back behind what was signed, or was written anew");
	log_end(&l);
}

static int
checkpoint(struct ipc_conn *c, uint32_t id, const struct sign_state *asked)
{
	struct buf text, sig, reply;
	int err;

	if (sg.audit_key == NULL)
		return ipc_reply_err(c, id, ERR_NOTFOUND, "there is no audit key");
	if (sg.state_bad || !sign_may_follow(&sg.last, asked->seq, asked->h)) {
		refuse(asked);
		return ipc_reply_err(c, id, ERR_CONFLICT, "this is not what follows the last one");
	}
	buf_init(&text, 4096);
	buf_init(&sig, 4096);
	buf_init(&reply, 8192);
	err = make_text(asked, &text);
	if (err == 0)
		err = sign_key_sign(sg.audit_key, buf_slice(&text), &sig);
	if (err == 0)
		err = state_write(asked);
	if (err == 0) {
		sg.last = *asked;
		role_stat_set(0, ++sg.checkpoints);
		ipc_put_slice(&reply, buf_slice(&text));
		ipc_put_slice(&reply, buf_slice(&sig));
		ipc_put_str(&reply, sign_key_id(sg.audit_key));
		ipc_reply(c, id, SIGN_CHECKPOINTED, &reply, -1);
	} else {
		ipc_reply_err(c, id, err, "not signed");
	}
	buf_done(&text);
	buf_done(&sig);
	buf_done(&reply);
	return 0;
}

static int
on_msg(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	struct sign_state asked;
	struct slice h;

	(void)fd, (void)arg;
	if (id == 0 || type != SIGN_CHECKPOINT)
		return ERR_PROTO;
	asked.seq = ipc_get_u64(r);
	h = ipc_get_slice(r);
	if (ipc_reader_end(r) != 0 || !sign_is_hash(h) || asked.seq == 0 || asked.seq > INT64_MAX)
		return ERR_PROTO;
	memcpy(asked.h, h.ptr, 64);
	asked.h[64] = '\0';
	checkpoint(c, id, &asked);
	return 0;
}

/* ---- start ---- */

/* A key that is there and cannot be used is told, and the role goes on without it: mail does not wait for a signature. */
static void
load_audit_key(void)
{
	char *path = conf_path(role_conf(), "audit_key_file");
	const char *why = "";
	struct buf pem;
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	buf_init(&pem, KEY_MAX);
	if (fd >= 0)
		n = read(fd, buf_reserve(&pem, KEY_MAX), KEY_MAX);
	if (n < 0) {
		log_msg(LOG_LVL_WARN, "audit_key",
		    "%s: %s: checkpoints of the audit log are not signed", path, strerror(errno));
	} else {
		buf_commit(&pem, (size_t)n);
		sg.audit_key = sign_key_private(buf_slice(&pem), &why);
		if (sg.audit_key == NULL)
			log_msg(LOG_LVL_ERROR, "audit_key",
			    "%s: %s: checkpoints of the audit log are not signed", path, why);
	}
	if (fd >= 0)
		close(fd);
	buf_wipe(&pem);
	free(path);
}

/* In the role's own folder, after the privileges were dropped. */
static void
load_state(void)
{
	char text[SIGN_STATE_LEN + 1];
	ssize_t n;

	sg.state_fd = open(STATE_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	n = sg.state_fd >= 0 ? pread(sg.state_fd, text, sizeof text, 0) : -1;
	if (n < 0) {
		log_msg(LOG_LVL_ERROR, "sign_state", "%s: %s", STATE_FILE, strerror(errno));
		exit(EX_IOERR);
	}
	memset(sg.last.h, '0', 64);
	sg.last.h[64] = '\0';
	if (n > 0 && sign_state_parse(slice_of(text, (size_t)n), &sg.last) != 0) {
		sg.state_bad = true;
		log_msg(LOG_LVL_ERROR, "sign_state", "%s is damaged: no checkpoint is signed",
		    STATE_FILE);
	}
}

int
main(int argc, char **argv)
{
	static const struct ipc_server_ops ops = {.on_msg = on_msg};
	struct loop *l;
	int fd;

	role_init(argc, argv, "milter-sign");
	sign_key_init();
	load_audit_key();
	l = loop_new();
	fd = role_fd("sign.ledger");
	if (fd < 0)
		fatal("milter-sign: no socket");
	ipc_server_new(l, fd, &sign_proto, IPC_LEDGER, role_uid_of("user_ledger"), 8, &ops, NULL);
	role_enter();
	load_state();
	role_stat_set(2, sg.audit_key != NULL);
	return loop_run(l) == 0 ? 0 : EX_OSERR;
}
