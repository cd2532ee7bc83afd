/* policy_load.c: the policy in force: reads policy_file, asks for its signatures, keeps every policy that was in force in policy_archive, by
 * its SHA-256, and falls back to the last one when the file is broken. Runs in milter at its start, still as root (the folder is root's), and
 * in congvu, which only reads. A policy is archived, synced and renamed before it is used: what a record names can be found again. */
#include "config.h"

#include "milter/policy_load.h"

#include "milter/policy_sign.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/json.h"
#include "lib/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WHY_MAX 16384
#define STATE_MAX 65536

static int
read_all(const char *path, size_t max, struct buf *out)
{
	struct stat st;
	ssize_t n = 1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err = 0;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? ERR_NOTFOUND : ERR_IO;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		err = ERR_IO;
	while (err == 0 && n > 0 && out->len <= max) {
		unsigned char *p = buf_reserve(out, 65536);

		n = p != NULL ? read(fd, p, 65536) : -1;
		if (n < 0)
			err = errno == EINTR ? 0 : ERR_IO;
		else
			buf_commit(out, (size_t)n);
	}
	close(fd);
	return err;
}

int
policy_read_file(const char *path, struct buf *out)
{
	return read_all(path, POLICY_FILE_MAX, out);
}

void
policy_errors_text(
    const struct policy_errors *e, const char *file, bool vietnamese, struct buf *out)
{
	size_t i;

	for (i = 0; i < e->n; i++)
		buf_appendf(out, "%s%s:%u:%u: %s", i > 0 ? "\n" : "", file, e->v[i].pos.line,
		    e->v[i].pos.column, vietnamese ? e->v[i].vi : e->v[i].en);
}

static int
compile(struct slice text, const char *name, bool vietnamese, struct policy **out, struct buf *why)
{
	struct policy_errors errors;
	int err = policy_compile(text, name, out, &errors);

	if (err == ERR_NOMEM)
		buf_appendf(why, "%s: %s", name, err_name(err));
	else if (err != 0)
		policy_errors_text(&errors, name, vietnamese, why);
	return err;
}

int
policy_load_file(
    const char *path, const char *name, bool vietnamese, struct policy **out, struct buf *why)
{
	struct buf text;
	int err;

	buf_init(&text, POLICY_FILE_MAX + 131072);
	err = policy_read_file(path, &text);
	if (err != 0)
		buf_appendf(
		    why, "%s: %s", path, err == ERR_NOTFOUND ? strerror(ENOENT) : err_name(err));
	else
		err = compile(buf_slice(&text), name != NULL ? name : path, vietnamese, out, why);
	buf_done(&text);
	return err;
}

/* ---- the archive ---- */

static char *
in_folder(const char *dir, const char *name, const char *end)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s%s", dir, name, end) < 0)
		fatal("out of memory");
	return path;
}

/* Whole or not at all: a new file, synced, renamed, the folder synced. */
static int
write_file(const char *dir, const char *name, const char *end, struct slice bytes)
{
	char *path = in_folder(dir, name, end), *tmp = in_folder(dir, name, ".new");
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600), dir_fd,
	    err = 0;
	size_t done = 0;
	ssize_t n;

	while (fd >= 0 && done < bytes.len) {
		n = write(fd, bytes.ptr + done, bytes.len - done);
		if (n < 0 && errno != EINTR)
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	if (fd < 0 || done < bytes.len || fsync(fd) != 0 || rename(tmp, path) != 0)
		err = ERR_IO;
	if (fd >= 0)
		close(fd);
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (err == 0 && (dir_fd < 0 || fsync(dir_fd) != 0))
		err = ERR_IO;
	if (dir_fd >= 0)
		close(dir_fd);
	free(path);
	free(tmp);
	return err;
}

static struct json *
read_state_file(const char *dir, const char *name)
{
	char *path = in_folder(dir, name, ".json");
	struct json *j = NULL;
	struct buf b;

	buf_init(&b, STATE_MAX + 131072);
	if (read_all(path, STATE_MAX, &b) != 0 || json_parse(buf_slice(&b), &j) != 0)
		j = NULL;
	buf_done(&b);
	free(path);
	return j;
}

static struct json *
read_state(const char *dir)
{
	return read_state_file(dir, "current");
}

static void
write_state(const char *dir, struct json *j)
{
	struct buf b;

	buf_init(&b, STATE_MAX);
	if (json_pretty(j, &b) != 0 || write_file(dir, "current", ".json", buf_slice(&b)) != 0)
		log_msg(LOG_LVL_ERROR, "policy_archive", "%s/current.json cannot be written", dir);
	buf_done(&b);
}

static bool
is_hash(struct slice s)
{
	unsigned char digest[32];

	return s.len == 64 && hex_decode(s, digest, 32) == 0;
}

static int
load_archived(const char *dir, struct slice sha256, struct policy **out, struct buf *why)
{
	unsigned char digest[32];
	char *name, *path, hex[65];
	struct buf text;
	int err;

	if (!is_hash(sha256))
		return ERR_NOTFOUND;
	name = slice_dup(sha256);
	path = in_folder(dir, name, ".policy");
	buf_init(&text, POLICY_FILE_MAX + 131072);
	err = policy_read_file(path, &text);
	if (err != 0) {
		buf_appendf(
		    why, "\n%s: %s", path, err == ERR_NOTFOUND ? strerror(ENOENT) : err_name(err));
	} else {
		/* before a word of it is read */
		sha256_of(buf_slice(&text), digest);
		hex_encode(digest, sizeof digest, hex);
		if (!slice_caseeq_str(sha256, hex)) {
			buf_appendf(why, "\n%s: was changed: its SHA-256 is not its name", path);
			err = ERR_CORRUPT;
		}
	}
	if (err == 0)
		err = compile(buf_slice(&text), path, false, out, why);
	buf_done(&text);
	free(name);
	free(path);
	return err;
}

int
policy_archived(const struct conf *c, struct slice sha256, struct policy **out, struct buf *why)
{
	char *dir = conf_path(c, "policy_archive");
	int err = load_archived(dir, sha256, out, why);

	free(dir);
	return err;
}

/* ---- versions ---- */

/* The highest version of that name that was ever in force; 0: none. An archive of before there was highest.json has the one in force. */
static uint64_t
highest_of(const char *dir, const struct json *state, struct slice id)
{
	struct json *all = read_state_file(dir, "highest");
	char *name = slice_dup(id);
	int64_t v = name != NULL ? json_int(json_get(all, name), 0) : 0, now = 0;

	if (slice_eq(json_str(json_get(state, "id")), id))
		now = json_int(json_get(state, "version"), 0);
	json_free(all);
	free(name);
	return (uint64_t)(v > now ? v : now > 0 ? now : 0);
}

static int
version_check(const struct conf *c, const char *dir, const struct json *state,
    const struct policy *p, struct buf *why)
{
	uint64_t highest = highest_of(dir, state, p->id);
	bool edited = conf_int(c, "policy_signatures") == 0 && p->version == highest &&
		      slice_eq(json_str(json_get(state, "id")), p->id);

	if (p->version > highest || edited ||
	    slice_eq_str(json_str(json_get(state, "sha256")), p->sha256))
		return 0;
	buf_appendf(why,
	    "version %llu of \"%.*s\" is not above %llu, which was in force: an older policy is "
	    "not put "
	    "back; raise its version and have it signed (congvu policy back)",
	    (unsigned long long)p->version, (int)p->id.len, (const char *)p->id.ptr,
	    (unsigned long long)highest);
	return ERR_DENIED;
}

int
policy_version_check(const struct conf *c, const struct policy *p, struct buf *why)
{
	char *dir = conf_path(c, "policy_archive");
	struct json *state = read_state(dir);
	int err = version_check(c, dir, state, p, why);

	json_free(state);
	free(dir);
	return err;
}

/* Before the policy is used: 0 once the floor is on stable storage. */
static int
raise_floor(const char *dir, const struct json *state, const struct policy *p)
{
	struct json *all = read_state_file(dir, "highest");
	char *name = slice_dup(p->id);
	struct buf b;
	int err = 0;

	if (all == NULL)
		all = json_obj_new();
	buf_init(&b, STATE_MAX);
	if (name == NULL || p->version > INT64_MAX)
		err = ERR_LIMIT;
	else if (json_int(json_get(all, name), 0) < (int64_t)p->version) {
		/* names of before highest.json */
		if (json_len(all) == 0 && json_str(json_get(state, "id")).len > 0)
			json_set_int(all, json_cstr(json_get(state, "id")),
			    json_int(json_get(state, "version"), 0));
		json_set_int(all, name, (int64_t)p->version);
		err = json_pretty(all, &b);
		if (err == 0)
			err = write_file(dir, "highest", ".json", buf_slice(&b));
	}
	buf_done(&b);
	json_free(all);
	free(name);
	return err;
}

struct json *
policy_highest(const struct conf *c)
{
	char *dir = conf_path(c, "policy_archive");
	struct json *all = read_state_file(dir, "highest");

	free(dir);
	return all;
}

int
policy_archived_text(const struct conf *c, const char *sha256, struct buf *out)
{
	char *dir = conf_path(c, "policy_archive"), *path = in_folder(dir, sha256, ".policy");
	int err = policy_read_file(path, out);

	free(path);
	free(dir);
	return err;
}

/* ---- signatures ---- */

/* FILE.p7s against policy_officers. known: it was in force before, and its officers' certificates were valid then. signed_by: see policy_signers. */
int
policy_check_signatures(const struct conf *c, const char *file, struct slice text, bool known,
    struct policy_signers *signers)
{
	unsigned need = (unsigned)conf_int(c, "policy_signatures");
	char *officers_file = conf_path(c, "policy_officers"), *p7s = NULL;
	struct buf officers, cms;
	int err;

	if (asprintf(&p7s, "%s.p7s", file) < 0)
		fatal("out of memory");
	buf_init(&officers, STATE_MAX * 16 + 131072);
	buf_init(&cms, POLICY_CMS_MAX + 131072);
	err = read_all(officers_file, STATE_MAX * 16, &officers);
	if (officers_file[0] == '\0')
		buf_append_str(&signers->why, "policy_officers is not set: a file with the "
					      "certificates of those who may sign");
	else if (err != 0)
		buf_appendf(&signers->why, "policy_officers: %s cannot be read", officers_file);
	else if ((err = read_all(p7s, POLICY_CMS_MAX, &cms)) != 0)
		buf_appendf(&signers->why,
		    "%s cannot be read: %u officers must sign (congvu policy sign)", p7s, need);
	else
		err = policy_signers_check(text, buf_slice(&cms), buf_slice(&officers),
		    known ? 0 : (int64_t)time(NULL), signers);
	if (err == 0 && signers->n < need) {
		buf_appendf(
		    &signers->why, "%s: signed by %u officers, %u must", p7s, signers->n, need);
		err = ERR_DENIED;
	}
	buf_done(&officers);
	buf_done(&cms);
	free(officers_file);
	free(p7s);
	return err;
}

/* Nothing to ask where the option wants none. */
static int
signed_enough(
    const struct conf *c, const char *file, struct slice text, bool known, struct buf *why)
{
	struct policy_signers s;
	int err = 0;

	if (conf_int(c, "policy_signatures") == 0)
		return 0;
	policy_signers_init(&s);
	err = policy_check_signatures(c, file, text, known, &s);
	if (err != 0)
		buf_append_slice(why, buf_slice(&s.why));
	policy_signers_done(&s);
	return err;
}

/* ---- stores ---- */

/* A file that smime_trust_load would read certificates from. */
static bool
has_certificate(const char *folder)
{
	static const char *const ends[] = {".pem", ".crt", ".cer", ".der"};
	struct dirent *e;
	DIR *dp = opendir(folder);
	bool found = false;

	while (dp != NULL && !found && (e = readdir(dp)) != NULL) {
		size_t n = strlen(e->d_name), i;

		for (i = 0; i < sizeof ends / sizeof *ends; i++)
			found = found || (n > 4 && e->d_name[0] != '.' &&
					     strcasecmp(e->d_name + n - 4, ends[i]) == 0);
	}
	if (dp != NULL)
		closedir(dp);
	return found;
}

int
policy_stores_check(const struct conf *c, const struct policy *p, bool vietnamese, struct buf *why)
{
	char *dir = conf_path(c, "trust_dir"), *folder;
	const struct policy_trust *t;
	int err = 0;

	for (t = p->trusts; t != NULL && err == 0; t = t->next) {
		if (asprintf(
			&folder, "%s/%.*s", dir, (int)t->store.len, (const char *)t->store.ptr) < 0)
			fatal("out of memory");
		if (!has_certificate(folder)) {
			buf_appendf(why,
			    vietnamese ? "trust %.*s: không có chứng thư nào trong %s"
				       : "trust %.*s: there is no certificate in %s",
			    (int)t->name.len, (const char *)t->name.ptr, folder);
			err = ERR_NOTFOUND;
		}
		free(folder);
	}
	free(dir);
	return err;
}

/* ---- in force ---- */

/* Archives the text, and says in current.json that it is in force from now on, unless it says so. */
static void
enter(const char *dir, const struct policy *p, const char *file, struct slice text,
    struct json *state)
{
	struct json *now = json_obj_new();
	bool same = slice_eq_str(json_str(json_get(state, "sha256")), p->sha256);

	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		log_msg(LOG_LVL_ERROR, "policy_archive", "%s: %m", dir);
	if (write_file(dir, p->sha256, ".policy", text) != 0)
		log_msg(LOG_LVL_ERROR, "policy_archive",
		    "%s cannot be written: without it a broken file has nothing to fall back to",
		    dir);
	json_set_slice(now, "id", p->id);
	json_set_int(now, "version", (int64_t)p->version);
	json_set_str(now, "sha256", p->sha256);
	json_set_str(now, "file", file);
	json_set_int(now, "since",
	    same ? json_int(json_get(state, "since"), (int64_t)time(NULL)) : (int64_t)time(NULL));
	json_set_take(now, "refused", NULL);
	if (raise_floor(dir, state, p) != 0)
		log_msg(LOG_LVL_ERROR, "policy_archive",
		    "%s/highest.json cannot be written: an older policy could be put back", dir);
	write_state(dir, now);
	json_free(now);
}

/* The file cannot be used: what was in force stays so, and current.json says why it is not the file. */
static int
fall_back(const char *dir, struct json *state, struct policy_in_force *out)
{
	struct json *refused = json_obj_new();
	int err = load_archived(dir, json_str(json_get(state, "sha256")), &out->policy, &out->why);

	json_set_slice(refused, "why", slice_sub(buf_slice(&out->why), 0, 4000));
	json_set_int(refused, "at", (int64_t)time(NULL));
	if (err == 0) {
		json_set_take(state, "refused", refused);
		write_state(dir, state);
		out->old = true;
	} else {
		json_free(refused);
	}
	return err == 0 ? 0 : ERR_NOTFOUND;
}

int
policy_in_force(const struct conf *c, struct policy_in_force *out)
{
	char *file = conf_path(c, "policy_file"), *dir = conf_path(c, "policy_archive");
	bool none = conf_str(c, "policy_file")[0] == '\0', known;
	struct json *state = none ? NULL : read_state(dir);
	struct buf text;
	int err = 0;

	memset(out, 0, sizeof *out);
	buf_init(&out->why, WHY_MAX);
	buf_init(&text, POLICY_FILE_MAX + 131072);
	if (!none) {
		err = policy_read_file(file, &text);
		if (err != 0)
			buf_appendf(&out->why, "%s: %s", file,
			    err == ERR_NOTFOUND ? strerror(ENOENT) : err_name(err));
		else
			err = compile(buf_slice(&text), file, false, &out->policy, &out->why);
		if (err == 0) {
			known =
			    slice_eq_str(json_str(json_get(state, "sha256")), out->policy->sha256);
			err = signed_enough(c, file, buf_slice(&text), known, &out->why);
		}
		if (err == 0) {
			buf_appendf(&out->why, "%s: ", file);
			err = policy_stores_check(c, out->policy, false, &out->why);
		}
		if (err == 0) {
			err = version_check(c, dir, state, out->policy, &out->why);
			if (err == 0)
				buf_reset(&out->why);
		}
		if (err != 0) {
			policy_free(out->policy);
			out->policy = NULL;
		}
		if (err == 0)
			enter(dir, out->policy, file, buf_slice(&text), state);
		else
			err = state != NULL ? fall_back(dir, state, out) : ERR_NOTFOUND;
	}
	buf_done(&text);
	json_free(state);
	free(file);
	free(dir);
	return err;
}

int
policy_now(const struct conf *c, struct policy **out, struct buf *why)
{
	char *dir = conf_path(c, "policy_archive");
	bool none = conf_str(c, "policy_file")[0] == '\0';
	struct json *state = none ? NULL : read_state(dir);
	int err = 0;

	*out = NULL;
	if (!none && state == NULL) {
		buf_appendf(why, "%s/current.json", dir);
		err = ERR_NOTFOUND;
	} else if (!none) {
		err = load_archived(dir, json_str(json_get(state, "sha256")), out, why);
	}
	json_free(state);
	free(dir);
	return err;
}

void
policy_in_force_done(struct policy_in_force *f)
{
	policy_free(f->policy);
	buf_done(&f->why);
}
