/* store_text.c: the store-text role: the text of the documents in one message at a time, for the store's search (SEARCH). Runs as congvu-store-text under
 * congvu-stored, in the sandbox that milter-scan has, with the same readers of documents (scan_*.c): unprivileged, no network, no files, bounded memory. It knows no
 * store: ingest gives it a sealed memory file and takes the text. Past the deadline the process ends itself and the parent starts
 * another. There are no trust anchors and no rules here: nothing is verified, nothing judged. */
#include "config.h"

#include "milter/scan_fd.h"
#include "milter/scan_priv.h"
#include "milter/scan_proto.h"

#include "lib/charset.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"

#include <errno.h>
#include <locale.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	FINDINGS_ARENA = 2 << 20,
	CONNS = 64 /* each ingest has one */,
	NICE = 19,
	WHOLE = 0,
	PARTLY = 1,
	CUT = 2
};

static uint64_t n_texts, n_failures;

struct text_work {
	unsigned cpu_ms;
	struct buf text;
	unsigned how;
};

/* Whether something was left unread that another time could not read either. */
static bool
is_partly(const struct findings *f)
{
	const struct find_part *p;

	for (p = f->parts; p != NULL; p = p->next)
		if ((p->flags & PART_LIMIT) != 0)
			return true;
	return false;
}

static int
text_of(struct slice whole, void *arg)
{
	static const char *const none[] = {NULL};
	struct text_work *w = arg;
	struct scan_params p = {
	    .now = (int64_t)time(NULL), .banned = none, .cpu_ms = w->cpu_ms, .text = &w->text};
	struct arena *a = arena_new(FINDINGS_ARENA);
	struct findings f;

	if (a == NULL)
		return ERR_NOMEM;
	findings_init(&f, a);
	scan_message(whole, &p, &f);
	w->how = (is_partly(&f) ? PARTLY : WHOLE) | (w->text.len + 1 >= w->text.cap ? CUT : WHOLE);
	arena_free(a);
	return 0;
}

static int
on_text(struct ipc_conn *c, uint32_t id, struct ipc_reader *r, int fd)
{
	uint32_t deadline = ipc_get_u32(r);
	struct text_work w = {.cpu_ms = deadline / 10 * 6};
	struct buf reply;
	int err;

	if (ipc_reader_end(r) != 0) {
		close(fd);
		return ERR_PROTO;
	}
	buf_init(&w.text, SCAN_TEXT_MAX);
	err = scan_with_bytes(fd, deadline, text_of, &w);
	if (err == 0) {
		buf_init(&reply, IPC_FRAME_MAX);
		ipc_put_slice(&reply, buf_slice(&w.text));
		ipc_put_u8(&reply, (uint8_t)w.how);
		ipc_reply(c, id, SCAN_TEXT_IS, &reply, -1);
		buf_done(&reply);
	} else {
		ipc_reply_err(c, id, err, "text");
	}
	buf_done(&w.text);
	role_stat_set(0, n_texts += err == 0);
	role_stat_set(1, n_failures += err != 0);
	return 0;
}

static int
on_msg(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	(void)arg;
	if (id != 0 && type == SCAN_TEXT && fd >= 0)
		return on_text(c, id, r, fd);
	if (fd >= 0)
		close(fd);
	return ERR_PROTO;
}

int
main(int argc, char **argv)
{
	static const struct ipc_server_ops ops = {.on_msg = on_msg};
	struct loop *l;

	role_init(argc, argv, "store-text");
	/* libarchive wants to know that member names are UTF-8 */
	setlocale(LC_CTYPE, "C.UTF-8");
	smime_init();
	charset_preload();
	scan_xml_init();
	scan_ole_init();
	scan_deadline_init();
	l = loop_new();
	if (role_fd("text.ingest") < 0)
		fatal("store-text: no socket");
	ipc_server_new(l, role_fd("text.ingest"), &scan_proto, IPC_INGEST,
	    role_uid_of("user_ingest"), CONNS, &ops, NULL);
	/* behind whatever takes mail and answers clients */
	if (setpriority(PRIO_PROCESS, 0, NICE) != 0)
		log_msg(LOG_LVL_WARN, "store_text", "nice: %s", strerror(errno));
	role_enter();
	return loop_run(l) == 0 ? 0 : EX_OSERR;
}
