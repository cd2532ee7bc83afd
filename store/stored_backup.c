/* stored_backup.c: what `congvu store backup` asks of stored: pieces of rows, of the journal and of segments. Runs in stored, on the loop; the
 * reading is done by the backend's threads (backend_kv_backup.c). stored writes no backup: it has no files but its own. */
#include "store/stored_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/json.h"
#include "lib/log.h"

enum { PIECE_MAX = 256 << 10, PLACES = 8, DIR_LEN = 1024, KEEP_EVERY_S = 60 };

/* The folders that have a backup, the one that was written last first. Kept in the file "backups" from one start to the next. */
static struct place {
	char dir[DIR_LEN];
	int64_t at_us;
} places[PLACES];
static size_t n_places;
static int64_t kept_at;
static const char places_file[] = "backups";

struct asking {
	struct req r;
	uint16_t type;
	bool wrap; /* the answer is BYTES */
};

static void
on_piece(void *arg, int err, struct slice value)
{
	struct asking *a = arg;
	struct buf b;

	if (err != 0) {
		req_err(&a->r, err, "backup");
		free(a);
		return;
	}
	buf_init(&b, IPC_FRAME_MAX);
	if (a->wrap)
		ipc_put_slice(&b, value);
	else
		buf_append_slice(&b, value);
	req_reply(&a->r, a->type, &b);
	free(a);
}

static int
ask(struct conn *c, uint32_t id, uint16_t type, enum backend_backup what, struct slice key,
    uint64_t n, uint64_t at, uint32_t len)
{
	struct asking *a = xcalloc(1, sizeof *a);

	req_init(&a->r, c->st, c->ipc, id, NULL);
	a->type = type;
	a->wrap = type == STORE_BYTES;
	if (backend_kv_backup(c->st->be, what, key, n, at, len, on_piece, a) != 0)
		on_piece(a, ERR_RANGE, slice_str(""));
	return 0;
}

static void
pin(struct conn *c, bool on)
{
	if (c->pins != on)
		backend_kv_pin(c->st->be, on ? 1 : -1);
	c->pins = on;
}

void
backup_conn_closed(struct conn *c)
{
	pin(c, false);
}

int
on_backup_begin(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	pin(c, false);
	return ask(c, id, STORE_BACKUP_IS, BACKEND_BACKUP_BEGIN, slice_str(""), 0, 0, 0);
}

int
on_backup_rows(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct slice key = ipc_get_slice(r);

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	return ask(c, id, STORE_BACKUP_ROWS_ARE, BACKEND_BACKUP_ROWS, key, 0, 0, 0);
}

int
on_backup_journal(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct slice epoch = ipc_get_slice(r);
	uint64_t at = ipc_get_u64(r);
	uint32_t len = ipc_get_u32(r);

	if (ipc_reader_end(r) != 0 || len > PIECE_MAX)
		return ERR_PROTO;
	return ask(c, id, STORE_BYTES, BACKEND_BACKUP_JOURNAL, epoch, 0, at, len);
}

int
on_backup_cut(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct slice epoch = ipc_get_slice(r);
	uint32_t file = ipc_get_u32(r);

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	pin(c, true);
	return ask(c, id, STORE_BACKUP_CUT_IS, BACKEND_BACKUP_CUT, epoch, file, 0, 0);
}

int
on_backup_segment(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	uint32_t file = ipc_get_u32(r);
	uint64_t at = ipc_get_u64(r);
	uint32_t len = ipc_get_u32(r);

	if (ipc_reader_end(r) != 0 || len > PIECE_MAX || at > INT64_MAX)
		return ERR_PROTO;
	return ask(c, id, STORE_BYTES, BACKEND_BACKUP_SEGMENT, slice_str(""), file, at, len);
}

/* ---- where the backups are and how old ---- */

static void
places_keep(void)
{
	FILE *f = fopen("backups.new", "we");
	bool good = f != NULL;

	for (size_t i = 0; i < n_places && good; i++)
		good = fprintf(f, "%lld %s\n", (long long)places[i].at_us, places[i].dir) > 0;
	if (f != NULL && (fclose(f) != 0 || !good || rename("backups.new", places_file) != 0))
		log_msg(LOG_LVL_WARN, "backup", "%s: %s", places_file, strerror(errno));
}

void
backup_places_load(void)
{
	FILE *f = fopen(places_file, "re");
	char line[DIR_LEN + 32];

	while (f != NULL && n_places < PLACES && fgets(line, sizeof line, f) != NULL) {
		struct place *p = &places[n_places];
		char *sp;

		p->at_us = strtoll(line, &sp, 10);
		line[strcspn(line, "\n")] = '\0';
		if (*sp != ' ' || p->at_us <= 0)
			continue;
		snprintf(p->dir, sizeof p->dir, "%.*s", DIR_LEN - 1, sp + 1);
		n_places++;
	}
	if (f != NULL)
		fclose(f);
}

static void
place_note(struct slice dir, int64_t at_us)
{
	struct place p = {.at_us = at_us};
	size_t i = 0;

	memcpy(p.dir, dir.ptr, dir.len);
	while (i < n_places && strcmp(places[i].dir, p.dir) != 0)
		i++;
	if (i == n_places && n_places < PLACES)
		n_places++;
	else if (i == n_places)
		i--;
	memmove(places + 1, places, i * sizeof *places);
	places[0] = p;
}

int
on_backup_done(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct slice dir = ipc_get_slice(r);
	int64_t at_us = ipc_get_i64(r);
	bool fresh;

	if (ipc_reader_end(r) != 0 || dir.len >= DIR_LEN || dir.len == 0)
		return ERR_PROTO;
	for (size_t i = 0; i < dir.len; i++)
		if (dir.ptr[i] < 0x20 || dir.ptr[i] == 0x7f)
			return ERR_PROTO;
	pin(c, false);
	if (at_us > 0) {
		fresh = n_places == 0 || !slice_eq_str(dir, places[0].dir);
		place_note(dir, at_us);
		if (fresh || now_s() - kept_at >= KEEP_EVERY_S) {
			places_keep();
			kept_at = now_s();
		}
	}
	(void)ipc_reply_ok(c->ipc, id);
	return 0;
}

uint64_t
backup_newest(void)
{
	int64_t at = 0;

	for (size_t i = 0; i < n_places; i++)
		if (places[i].at_us > at)
			at = places[i].at_us;
	return (uint64_t)at / 1000000;
}

struct json *
backup_list(void)
{
	struct json *list = json_arr_new();

	for (size_t i = 0; i < n_places; i++) {
		struct json *j = json_obj_new();

		json_set_str(j, "folder", places[i].dir);
		json_set_int(j, "moment", places[i].at_us / 1000000);
		json_push_take(list, j);
	}
	return list;
}

static void
put_text(struct buf *out, const char *s)
{
	buf_append_byte(out, '"');
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			buf_append_byte(out, '\\');
		buf_append_byte(out, (unsigned char)*s);
	}
	buf_append_byte(out, '"');
}

void
backup_stat(struct buf *json)
{
	buf_append_str(json, "\"backups\":[");
	for (size_t i = 0; i < n_places; i++) {
		buf_appendf(json, "%s{\"folder\":", i > 0 ? "," : "");
		put_text(json, places[i].dir);
		buf_appendf(json, ",\"moment\":%lld,\"age_s\":%lld}",
		    (long long)(places[i].at_us / 1000000),
		    (long long)(now_s() - places[i].at_us / 1000000));
	}
	buf_append_str(json, "]");
}
