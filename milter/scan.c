/* scan.c: the milter-scan role: an unprivileged, sandboxed process (no network, no files, bounded memory) that looks at one message
 * at a time for milter. Trust anchors and libmagic's table are loaded before the sandbox closes. Invariants: the message comes as
 * a sealed memfd, so that nobody changes it meanwhile; past the deadline the process ends itself and the parent starts another, so
 * no input can hold a scanner; each process serves one connection, so that scans spread over the processes. */
#include "config.h"

#include "milter/scan_client.h"
#include "milter/scan_fd.h"
#include "milter/scan_priv.h"
#include "milter/smime_rev.h"

#include "lib/charset.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define FINDINGS_ARENA (2u << 20)
#define REV_DEADLINE_MS 8000

static struct {
	struct smime_trust *trust;
	const char **banned;
	size_t n_banned;
	uint64_t scans, failures, rev_version;
} sc;

struct scan_work {
	struct slice domain;
	int64_t now;
	unsigned cpu_ms;
	bool shallow;
	struct scan_terms terms;
	struct buf *reply;
};

static int
scan_bytes(struct slice whole, void *arg)
{
	const struct scan_work *w = arg;
	struct scan_params p = {.trust = sc.trust,
	    .domain = w->domain,
	    .now = w->now,
	    .banned = sc.banned,
	    .n_banned = sc.n_banned,
	    .cpu_ms = w->cpu_ms,
	    .shallow = w->shallow,
	    .terms = w->terms};
	struct arena *a = arena_new(FINDINGS_ARENA);
	struct findings f;
	int err;

	if (a == NULL)
		return ERR_NOMEM;
	findings_init(&f, a);
	scan_message(whole, &p, &f);
	err = findings_encode(&f, w->reply);
	arena_free(a);
	return err;
}

static int
on_scan(struct ipc_conn *c, uint32_t id, struct ipc_reader *r, int fd, enum scan_msg how)
{
	struct scan_work w;
	struct buf reply;
	uint32_t deadline;
	uint64_t version;
	int err;

	memset(&w, 0, sizeof w);
	w.shallow = how == SCAN_SHALLOW;
	if (how == SCAN_ON_TERMS) {
		w.shallow = ipc_get_u8(r) != 0;
		scan_terms_get(r, &w.terms);
	}
	w.domain = ipc_get_slice(r);
	w.now = ipc_get_i64(r);
	w.reply = &reply;
	deadline = ipc_get_u32(r);
	/* what stops in good time still has its findings to tell; only what hangs in a library meets the deadline */
	w.cpu_ms = deadline / 10 * 6;
	version = ipc_get_u64(r);
	if (ipc_reader_end(r) != 0 || fd < 0) {
		if (fd >= 0)
			close(fd);
		return ERR_PROTO;
	}
	buf_init(&reply, IPC_FRAME_MAX);
	if (version == sc.rev_version) {
		err = scan_with_bytes(fd, deadline, scan_bytes, &w);
	} else {
		close(fd);
		err = ERR_CONFLICT;
	}
	if (err == 0)
		ipc_reply(c, id, SCAN_FINDINGS, &reply, -1);
	else
		ipc_reply_err(c, id, err, "scan failed");
	buf_done(&reply);
	role_stat_set(0, ++sc.scans);
	role_stat_set(1, sc.failures += err != 0 && err != ERR_CONFLICT);
	return 0;
}

struct rev_work {
	enum want_kind kind;
	struct slice key;
	int64_t from, to;
};

static int
take_rev(struct slice bytes, void *arg)
{
	struct rev_work *w = arg;

	return smime_rev_put(
	    sc.trust, w->kind, w->key, bytes, (int64_t)time(NULL), &w->from, &w->to);
}

static int
on_rev(struct ipc_conn *c, uint32_t id, struct ipc_reader *r, int fd)
{
	uint64_t version = ipc_get_u64(r);
	uint8_t kind = ipc_get_u8(r);
	struct rev_work w = {(enum want_kind)kind, ipc_get_slice(r), 0, 0};
	struct buf reply;
	int err = 0;

	if (ipc_reader_end(r) != 0 || kind > WANT_OCSP || (kind != 0) != (fd >= 0)) {
		if (fd >= 0)
			close(fd);
		return ERR_PROTO;
	}
	if (kind == 0)
		smime_rev_drop(sc.trust, w.key);
	else
		err = scan_with_bytes(fd, REV_DEADLINE_MS, take_rev, &w);
	/* what cannot be used changes nothing, and is not sent again */
	sc.rev_version = version;
	buf_init(&reply, 64);
	ipc_put_i64(&reply, w.from);
	ipc_put_i64(&reply, w.to);
	if (err == 0)
		ipc_reply(c, id, SCAN_REV_IS, &reply, -1);
	else
		ipc_reply_err(c, id, err, "not usable");
	buf_done(&reply);
	return 0;
}

static int
on_msg(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	(void)arg;
	if (id != 0 && (type == SCAN_MESSAGE || type == SCAN_SHALLOW || type == SCAN_ON_TERMS))
		return on_scan(c, id, r, fd, (enum scan_msg)type);
	if (id != 0 && type == SCAN_REV)
		return on_rev(c, id, r, fd);
	if (fd >= 0)
		close(fd);
	return ERR_PROTO;
}

static void
load_need(void)
{
	const char *how = conf_str(role_conf(), "revocation_check");

	if (strcmp(how, "off") == 0)
		smime_trust_need(sc.trust, SMIME_REV_OFF);
	else if (strcmp(how, "require") == 0)
		smime_trust_need(sc.trust, SMIME_REV_REQUIRE);
	else if (strcmp(how, "auto") == 0)
		smime_trust_need(sc.trust, SMIME_REV_AUTO);
	else {
		log_msg(LOG_LVL_ERROR, "policy",
		    "revocation_check is off, auto or require, not \"%s\"", how);
		exit(EX_CONFIG);
	}
}

static void
load_banned(void)
{
	size_t i;

	sc.n_banned = conf_list_len(role_conf(), "policy_banned_extensions");
	sc.banned = xcalloc(sc.n_banned + 1, sizeof *sc.banned);
	for (i = 0; i < sc.n_banned; i++)
		sc.banned[i] = conf_list_item(role_conf(), "policy_banned_extensions", i);
}

int
main(int argc, char **argv)
{
	static const struct ipc_server_ops ops = {.on_msg = on_msg};
	struct loop *l;
	char *dir;

	role_init(argc, argv, "milter-scan");
	/* libarchive wants to know that member names are UTF-8 */
	setlocale(LC_CTYPE, "C.UTF-8");
	smime_init();
	charset_preload();
	scan_magic_init();
	scan_xml_init();
	scan_ole_init();
	load_banned();
	dir = conf_path(role_conf(), "trust_dir");
	if (smime_trust_load(dir, &sc.trust) != 0)
		fatal("milter-scan: no memory");
	free(dir);
	load_need();
	scan_deadline_init();
	l = loop_new();
	if (role_fd("scan.milter") < 0)
		fatal("milter-scan: no socket");
	ipc_server_new(l, role_fd("scan.milter"), &scan_proto, IPC_MILTER,
	    role_uid_of("user_milter"), 1, &ops, NULL);
	role_enter();
	return loop_run(l) == 0 ? 0 : EX_OSERR;
}
