/* ctl_directory_files.c: reads base.ldif.in, congvu.ldif and slapd.conf.in. Runs in congvu. The files are ours; what is damaged is refused, never
 * guessed. */
#include "config.h"

#include "admin/ctl_directory_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl_mailbox.h"
#include "admin/dir_journal.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

enum { FILE_MAX_BYTES = 1 << 20 };

int
schema_file_read(const struct ctl *c, const char *name, struct buf *out)
{
	const char *dir = getenv("CONGVU_SCHEMA_DIR");
	char *path = NULL;
	int rc;

	if (asprintf(&path, "%s/%s", dir != NULL ? dir : PKGDATADIR, name) < 0)
		fatal("out of memory");
	rc = ctl_read_file(c, path, FILE_MAX_BYTES, out);
	free(path);
	return rc;
}

/* text with each word of pairs replaced */
static void
substitute(struct slice text, const char *const *pairs, struct buf *out)
{
	while (text.len > 0) {
		const char *const *p = pairs;

		while (p != NULL && *p != NULL && !slice_starts(text, p[0]))
			p += 2;
		if (p != NULL && *p != NULL) {
			buf_append_str(out, p[1]);
			text = slice_from(text, strlen(p[0]));
		} else {
			buf_append_byte(out, text.ptr[0]);
			text = slice_from(text, 1);
		}
	}
}

/* The next line with what is folded onto it; empty at the end of an entry. */
static void
line_take(struct slice *text, struct buf *line)
{
	buf_reset(line);
	do {
		ptrdiff_t nl = slice_index(*text, '\n');
		size_t n = nl < 0 ? text->len : (size_t)nl;

		buf_append(line, text->ptr, n);
		*text = slice_from(*text, nl < 0 ? n : n + 1);
		if (text->len > 0 && text->ptr[0] == ' ' && line->len > 0)
			*text = slice_from(*text, 1);
		else
			return;
	} while (text->len > 0);
}

static int
line_add(struct ldif_file *f, struct slice line, bool *in_entry)
{
	ptrdiff_t colon = slice_index(line, ':');
	struct ldif_entry *e;
	struct slice value;

	if (colon <= 0 || (size_t)colon + 1 >= line.len || line.ptr[colon + 1] != ' ')
		return ERR_SYNTAX;
	value = slice_trim(slice_from(line, (size_t)colon + 1));
	if (!*in_entry) {
		if (!slice_starts(line, "dn: "))
			return ERR_SYNTAX;
		f->v = xrealloc(f->v, (f->n + 1) * sizeof(*f->v));
		f->v[f->n++] = (struct ldif_entry){.dn = slice_dup(value)};
		*in_entry = true;
		return 0;
	}
	e = &f->v[f->n - 1];
	e->v = xrealloc(e->v, (e->n + 1) * sizeof(*e->v));
	e->v[e->n++] =
	    (struct ldif_line){slice_dup(slice_sub(line, 0, (size_t)colon)), slice_dup(value)};
	return 0;
}

int
ldif_file_read(
    const struct ctl *c, const char *name, const char *const *pairs, struct ldif_file *out)
{
	struct ldif_file f = {0};
	struct buf raw, text, line;
	struct slice rest;
	bool in_entry = false;
	int rc;

	buf_init(&raw, FILE_MAX_BYTES);
	buf_init(&text, FILE_MAX_BYTES);
	buf_init(&line, 65536);
	rc = schema_file_read(c, name, &raw);
	substitute(buf_slice(&raw), pairs, &text);
	for (rest = buf_slice(&text); rc == 0 && rest.len > 0;) {
		line_take(&rest, &line);
		if (line.len == 0)
			in_entry = false;
		else if (line.data[0] != '#' && line_add(&f, buf_slice(&line), &in_entry) != 0)
			rc = ctl_fail(
			    c, EX_DATAERR, "%s: %s", name, _("not the file that was installed"));
	}
	buf_done(&raw);
	buf_wipe(&text);
	buf_done(&line);
	if (rc != 0)
		ldif_file_done(&f);
	else
		*out = f;
	return rc;
}

void
ldif_file_done(struct ldif_file *f)
{
	for (size_t i = 0; i < f->n; i++) {
		for (size_t k = 0; k < f->v[i].n; k++) {
			free(f->v[i].v[k].attr);
			free(f->v[i].v[k].value);
		}
		free(f->v[i].v);
		free(f->v[i].dn);
	}
	free(f->v);
	memset(f, 0, sizeof(*f));
}

void
upgrade_tell(struct upgrade *u, const char *what, const char *name, enum change change)
{
	if (u->done == NULL)
		u->done = json_arr_new();
	u->n++;
	if (u->c->json) {
		struct json *j = json_obj_new();

		json_set_str(j, "what", what);
		json_set_str(j, "name", name);
		json_set_str(j, "change", change_name(change));
		json_push_take(u->done, j);
	} else if (u->dry_run) {
		printf(change == CHANGE_ADDED ? _("%s: %s would be added\n")
					      : _("%s: %s would be changed\n"),
		    what, name);
	} else {
		printf("%s: %s: %s\n", what, name, _(change_name(change)));
	}
}

/* ---- the journal ---- */

int
upgrade_journal(struct upgrade *u, const char *op)
{
	char *path = conf_path(u->c->conf, "directory_journal"), *why = NULL;
	unsigned char r[8];
	int err = 0;

	u->op = op;
	random_bytes(r, sizeof(r));
	hex_encode(r, sizeof(r), u->batch);
	u->batch[16] = '\0';
	if (!u->dry_run && (access(path, F_OK) == 0 || errno != ENOENT)) {
		const struct dir_admin_journal *hooks;

		u->journal = dir_journal_new(path);
		hooks = dir_journal_hooks(u->journal);
		err = hooks->begin(hooks->arg, &why);
	}
	if (err != 0) {
		err = ctl_dir_fail(u->c, path, err, why);
		dir_journal_free(u->journal);
		u->journal = NULL;
	}
	free(path);
	return err;
}

static int
journal_put(struct upgrade *u, struct json *j, char **why_out)
{
	const struct dir_admin_journal *hooks = dir_journal_hooks(u->journal);

	json_set_str(j, "batch", u->batch);
	json_set_str(j, "op", u->op);
	json_set_str(j, "target", conf_str(u->c->conf, "ldap_base"));
	json_set_str(j, "decision", "");
	json_set_str(j, "by", ctl_actor());
	json_set_str(j, "as", u->as);
	u->is_written = true;
	return hooks->write(hooks->arg, j, why_out);
}

int
upgrade_write_down(
    struct upgrade *u, const char *write, const char *dn, const char *what, char **why_out)
{
	struct json *j;

	if (u->journal == NULL)
		return 0;
	j = json_obj_new();
	json_set_str(j, "write", write);
	json_set_str(j, "dn", dn);
	json_set_str(j, "what", what);
	return journal_put(u, j, why_out);
}

static int
journal_finish(struct upgrade *u, int rc)
{
	char *why = NULL;
	int err = 0;

	if (u->journal != NULL && u->is_written) {
		struct json *j = json_obj_new();

		/* a write whose answer was lost is a failure here: given again the command tells */
		json_set_str(j, "end", rc == 0 ? "done" : "failed");
		err = journal_put(u, j, &why);
	}
	dir_journal_free(u->journal);
	u->journal = NULL;
	if (err != 0 && rc == 0)
		return ctl_dir_fail(u->c, "directory_journal", err, why);
	free(why);
	return rc;
}

int
upgrade_end(struct upgrade *u, int rc)
{
	rc = journal_finish(u, rc);
	if (rc == 0 && u->c->json) {
		struct json *all = json_obj_new();

		json_set_bool(all, "dry_run", u->dry_run);
		json_set_take(all, "changes", u->done != NULL ? u->done : json_arr_new());
		return ctl_json_take(all, 0);
	}
	if (rc == 0 && u->n == 0)
		printf("%s\n", _("everything is there already"));
	json_free(u->done);
	return rc;
}
