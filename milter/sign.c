/* sign.c: the milter-sign role: holds the keys of the audit log and of functional mailboxes under a uid of its own, so that nobody else can sign in their names; no
 * network, no other role's files. Invariants: what is signed is made here from a number and a hash; before a signature leaves, that it was made is
 * on stable storage, in a list that only grows; it says what was signed before; one that goes back or says something else of the same number is refused and logged: a log
 * that was written anew gets no signature, or one that gives it away. Without a key it runs and says so. */
#include "config.h"

#include "milter/sign_box.h"
#include "milter/sign_client.h"
#include "milter/sign_key.h"
#include "milter/sign_mail.h"
#include "milter/sign_text.h"

#include "lib/date.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define STATE_FILE "checkpoint.state"
#define KEY_MAX 65536
#define TOKEN_AGAIN_S 5
#define END_MS 50

static struct {
	struct sign_key *audit_key; /* NULL: none */
	struct sign_state last;
	int state_fd, rows_fd;
	off_t rows_end;
	bool state_bad;
	uint64_t checkpoints, refused, mails;
	struct loop *loop;
	struct loop_timer *end;
	time_t began;
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

/* Where this fails the next row goes to the same place. */
static int
row_write(const struct sign_state *s)
{
	struct sign_signed r = {.seq = s->seq, .after_seq = sg.last.seq};
	char text[SIGN_ROW_LEN + 1];
	ssize_t n;

	memcpy(r.h, s->h, sizeof r.h);
	sign_signed_format(&r, text);
	do {
		n = pwrite(sg.rows_fd, text, SIGN_ROW_LEN, sg.rows_end);
	} while (n < 0 && errno == EINTR);
	if (n != SIGN_ROW_LEN || fdatasync(sg.rows_fd) != 0) {
		log_msg(LOG_LVL_ERROR, "sign_state", "cannot write %s: %s", SIGN_ROWS_FILE,
		    strerror(errno));
		return ERR_IO;
	}
	return 0;
}

static int
make_text(const struct sign_state *s, struct buf *text)
{
	struct sign_text t = {.version = 2,
	    .seq = s->seq,
	    .after_seq = sg.last.seq,
	    .host = slice_str(conf_str(role_conf(), "hostname"))};
	struct timespec now;
	struct buf time;
	int err;

	clock_gettime(CLOCK_REALTIME, &now);
	buf_init(&time, 64);
	date_rfc3339_format((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000, &time);
	t.time = buf_slice(&time);
	memcpy(t.h, s->h, sizeof t.h);
	memcpy(t.after_h, sg.last.h, sizeof t.after_h);
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
		err = row_write(asked);
	if (err == 0)
		err = state_write(asked);
	if (err == 0) {
		sg.rows_end += SIGN_ROW_LEN;
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

/* ---- mail of functional mailboxes ---- */

static void
end(void *arg)
{
	(void)arg;
	loop_stop(sg.loop);
}

/* A token that was pulled out, or whose daemon was begun anew, is reached again from the start alone. One that never works does not keep us
 * from the audit log. */
static void
token_failed(void)
{
	if (time(NULL) - sg.began < TOKEN_AGAIN_S || loop_timer_is_set(sg.end))
		return;
	log_msg(LOG_LVL_ERROR, "sign_token",
	    "the token does not sign any more: milter-sign ends, and begins anew");
	loop_timer_set(sg.end, END_MS);
}

/* Every signature has its line: what the milter had signed can be held against the audit log. */
static void
log_mail(struct slice address, const unsigned char digest[32], struct slice qid, struct slice login,
    int err)
{
	char hex[65];
	struct log_line l;

	hex_encode(digest, 32, hex);
	log_begin(&l, err == 0 ? LOG_LVL_INFO : LOG_LVL_ERROR, "mail_signed");
	log_slice(&l, "qid", qid);
	log_slice(&l, "as", address);
	log_slice(&l, "auth", login);
	log_str(&l, "digest", hex);
	if (err != 0)
		log_err(&l, "err", err);
	log_end(&l);
}

static int
on_mail(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	struct slice address = ipc_get_slice(r), digest = ipc_get_slice(r), qid = ipc_get_slice(r),
		     login = ipc_get_slice(r);
	const struct sign_mail_key *key;
	struct buf der, reply;
	int err;

	if (ipc_reader_end(r) != 0 || digest.len != 32)
		return ERR_PROTO;
	key = sign_box_key(address);
	buf_init(&der, 65536);
	buf_init(&reply, 131072);
	err = key == NULL ? ERR_NOTFOUND : sign_mail_cms(key, digest.ptr, &der);
	log_mail(address, digest.ptr, qid, login, err);
	if (err == 0) {
		role_stat_set(3, ++sg.mails);
		ipc_put_slice(&reply, buf_slice(&der));
		ipc_reply(c, id, SIGN_MAILED, &reply, -1);
	} else {
		ipc_reply_err(c, id, err, "not signed");
		if (key != NULL && sign_mail_key_is_token(key))
			token_failed();
	}
	buf_done(&der);
	buf_done(&reply);
	return 0;
}

static int
on_msg(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	struct sign_state asked;
	struct slice h;

	(void)fd, (void)arg;
	if (id == 0)
		return ERR_PROTO;
	if (type == SIGN_MAIL)
		return on_mail(c, id, r);
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
	int en;

	buf_init(&pem, KEY_MAX);
	en = sign_read_file(path, false, &pem);
	if (en == 0)
		sg.audit_key = sign_key_private(buf_slice(&pem), &why);
	if (sg.audit_key == NULL)
		log_msg(en == ENOENT ? LOG_LVL_WARN : LOG_LVL_ERROR, "audit_key",
		    "%s: %s: checkpoints of the audit log are not signed", path,
		    en != 0 ? strerror(en) : why);
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

/* The list of all that was signed. Half a row at its end, or one that is none, was never answered. */
static void
load_rows(void)
{
	char text[SIGN_ROW_LEN];
	struct sign_signed last = {0};
	struct stat st = {0};
	bool good = true;

	sg.rows_fd = open(SIGN_ROWS_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (sg.rows_fd < 0 || fstat(sg.rows_fd, &st) != 0) {
		log_msg(LOG_LVL_ERROR, "sign_state", "%s: %s", SIGN_ROWS_FILE, strerror(errno));
		exit(EX_IOERR);
	}
	sg.rows_end = st.st_size - st.st_size % SIGN_ROW_LEN;
	for (int tries = 0; tries < 2 && sg.rows_end > 0; tries++) {
		good = pread(sg.rows_fd, text, SIGN_ROW_LEN, sg.rows_end - SIGN_ROW_LEN) ==
			   SIGN_ROW_LEN &&
		       sign_signed_parse(slice_of(text, SIGN_ROW_LEN), &last) == 0;
		if (good)
			break;
		sg.rows_end -= SIGN_ROW_LEN;
	}
	if (!good && sg.rows_end > 0) {
		sg.state_bad = true;
		log_msg(LOG_LVL_ERROR, "sign_state", "%s is damaged: no checkpoint is signed",
		    SIGN_ROWS_FILE);
	} else if (sg.rows_end < st.st_size && ftruncate(sg.rows_fd, sg.rows_end) != 0) {
		log_msg(LOG_LVL_ERROR, "sign_state", "%s: %s", SIGN_ROWS_FILE, strerror(errno));
		exit(EX_IOERR);
	} else if (last.seq > sg.last.seq) { /* ended between both */
		sg.last.seq = last.seq;
		memcpy(sg.last.h, last.h, sizeof sg.last.h);
	}
}

int
main(int argc, char **argv)
{
	static const struct ipc_server_ops ops = {.on_msg = on_msg};
	struct loop *l;
	int fd;

	role_init(argc, argv, "milter-sign");
	sg.began = time(NULL);
	sign_key_init();
	sign_mail_init();
	load_audit_key();
	sign_boxes_read();
	role_before_sandbox(sign_boxes_open);
	l = sg.loop = loop_new();
	sg.end = loop_timer_new(l, end, NULL);
	fd = role_fd("sign.ledger");
	if (fd < 0)
		fatal("milter-sign: no socket");
	ipc_server_new(l, fd, &sign_proto, IPC_LEDGER, role_uid_of("user_ledger"), 8, &ops, NULL);
	fd = role_fd("sign.milter");
	if (fd >= 0)
		ipc_server_new(
		    l, fd, &sign_proto, IPC_MILTER, role_uid_of("user_milter"), 80, &ops, NULL);
	role_enter();
	load_state();
	load_rows();
	role_stat_set(2, sg.audit_key != NULL);
	role_stat_set(4, sign_boxes());
	return loop_run(l) == 0 ? 0 : EX_OSERR;
}
