/* ctl_audit_prove.c: `congvu audit prove QID --out DIR`: what the log has of one mail, with the proof that it stood there when a signed checkpoint was made, as
 * a folder that sha256sum and openssl are enough to check. Runs in congvu. Of the records of others between there and the checkpoint only
 * digests are in it (audit.h: h is made of prev and d, and d is salted). `prove --check DIR` does what the folder's guide says: ctl_audit_proof.c. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/ctl_audit.h"
#include "admin/ctl_audit_proof.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"
#include "milter/sign_key.h"
#include "milter/sign_text.h"

enum { KEY_MAX = 65536 };

struct proving {
	struct ctl *c;
	const char *qid;
	int dir; /* of the bundle */
	/* first look: which records, which checkpoint */
	uint64_t first, last, n;
	bool found; /* a checkpoint over all of them */
	struct buf signed_text, signature;
	struct sign_text cp;
	/* second look */
	FILE *chain;
	char h[65]; /* of the record before */
	bool begun;
	int code;
};

static int
look(void *arg, struct slice line, struct json *rec)
{
	struct proving *p = arg;
	uint64_t seq = (uint64_t)json_int(json_get(rec, "seq"), 0);
	struct sign_text t;
	struct slice text = json_str(json_get(rec, "signed"));

	(void)line;
	if (slice_eq_str(json_str(json_get(rec, "qid")), p->qid)) {
		if (p->n++ == 0)
			p->first = seq;
		p->last = seq;
		p->found = false;
	} else if (p->n > 0 && !p->found &&
		   slice_eq_str(json_str(json_get(rec, "event")), "checkpoint") &&
		   sign_text_parse(text, &t) == 0 && t.seq >= p->last) {
		buf_reset(&p->signed_text);
		buf_reset(&p->signature);
		if (buf_append_slice(&p->signed_text, text) == 0 &&
		    b64_decode(json_str(json_get(rec, "signature")), true, &p->signature) == 0 &&
		    sign_text_parse(buf_slice(&p->signed_text), &p->cp) == 0)
			p->found = true;
	}
	json_free(rec);
	return 0;
}

static int
write_file(struct proving *p, const char *name, struct slice data)
{
	int fd = openat(p->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600),
	    rc = 0;

	if (fd < 0 || write(fd, data.ptr, data.len) != (ssize_t)data.len)
		rc = ctl_fail(p->c, EX_CANTCREAT, "%s: %s", name, strerror(errno));
	if (fd >= 0 && close(fd) != 0 && rc == 0)
		rc = ctl_fail(p->c, EX_CANTCREAT, "%s: %s", name, strerror(errno));
	return rc;
}

/* A record between the first and the checkpoint: a line of the chain; one of the mail's, its text. */
static int
take(void *arg, struct slice line, struct json *rec)
{
	struct proving *p = arg;
	uint64_t seq = (uint64_t)json_int(json_get(rec, "seq"), 0);
	bool ours = slice_eq_str(json_str(json_get(rec, "qid")), p->qid);
	char d[65], name[64], h[65];
	struct buf canon;
	int rc = 0;

	(void)line;
	buf_init(&canon, AUDIT_LINE_MAX);
	if (seq < p->first || seq > p->cp.seq)
		goto out;
	if (json_int(json_get(rec, "v"), 0) < 2) {
		rc = ctl_fail(p->c, EX_UNAVAILABLE,
		    _("record %llu is of an older release, whose chain cannot be followed without "
		      "showing what others wrote: audit verify is the proof there"),
		    (unsigned long long)seq);
		goto out;
	}
	if (!p->begun) {
		fprintf(p->chain, "start %s\n", json_cstr(json_get(rec, "prev")));
		snprintf(p->h, sizeof p->h, "%s", json_cstr(json_get(rec, "prev")));
		p->begun = true;
	}
	snprintf(h, sizeof h, "%s", json_cstr(json_get(rec, "h")));
	if (strcmp(json_cstr(json_get(rec, "prev")), p->h) != 0) {
		rc = ctl_fail(p->c, EX_DATAERR,
		    _("the chain is broken before record %llu: congvu audit verify"),
		    (unsigned long long)seq);
		goto out;
	}
	json_del(rec, "h");
	if (json_canonical(rec, &canon) != 0) {
		rc = EX_SOFTWARE;
		goto out;
	}
	audit_digest(buf_slice(&canon), d);
	memcpy(p->h, h, sizeof h);
	fprintf(p->chain, "%" PRIu64 " %s %s\n", seq, d, h);
	if (ours) {
		snprintf(name, sizeof name, "record-%" PRIu64 ".json", seq);
		rc = write_file(p, name, buf_slice(&canon));
	}
out:
	buf_done(&canon);
	json_free(rec);
	return rc;
}

/* --key, or the key of the site: only root reads the private one. */
static struct sign_key *
site_key(struct proving *p, const char *option)
{
	char *path = conf_path(p->c->conf, "audit_key_file");
	struct sign_key *key = NULL;
	const char *why = "";
	struct buf pem;
	ssize_t n;
	int fd;

	if (option != NULL) {
		free(path);
		return audit_read_key(p->c, option, strlen(option));
	}
	buf_init(&pem, KEY_MAX);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, buf_reserve(&pem, KEY_MAX), KEY_MAX) : -1;
	if (n > 0) {
		buf_commit(&pem, (size_t)n);
		key = sign_key_private(buf_slice(&pem), &why);
	}
	if (key == NULL)
		ctl_fail(p->c, EX_NOINPUT, _("%s: %s; --key FILE names the public key"), path,
		    n < 0 ? strerror(errno) : why);
	if (fd >= 0)
		close(fd);
	buf_wipe(&pem);
	free(path);
	return key;
}

static int
write_rest(struct proving *p, const struct sign_key *key)
{
	struct buf pem, vi, en, sh;
	int rc;

	buf_init(&pem, KEY_MAX);
	buf_init(&vi, KEY_MAX);
	buf_init(&en, KEY_MAX);
	buf_init(&sh, KEY_MAX);
	sign_key_public_pem(key, &pem);
	proof_guide(p->qid, sign_key_algorithm(key), true, &vi);
	proof_guide(p->qid, sign_key_algorithm(key), false, &en);
	proof_script(sign_key_algorithm(key), &sh);
	rc = write_file(p, PROOF_TEXT, buf_slice(&p->signed_text));
	if (rc == 0)
		rc = write_file(p, PROOF_SIGNATURE, buf_slice(&p->signature));
	if (rc == 0)
		rc = write_file(p, PROOF_KEY, buf_slice(&pem));
	if (rc == 0)
		rc = write_file(p, "HUONG-DAN.txt", buf_slice(&vi));
	if (rc == 0)
		rc = write_file(p, "HOW-TO-CHECK.txt", buf_slice(&en));
	if (rc == 0)
		rc = write_file(p, "check.sh", buf_slice(&sh));
	buf_done(&pem);
	buf_done(&vi);
	buf_done(&en);
	buf_done(&sh);
	return rc;
}

static int
open_bundle(struct proving *p, const char *out)
{
	int fd;

	if (mkdir(out, 0700) != 0)
		return ctl_fail(p->c, EX_CANTCREAT, "%s: %s", out, strerror(errno));
	p->dir = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	fd = p->dir >= 0
		 ? openat(p->dir, PROOF_CHAIN, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)
		 : -1;
	p->chain = fd >= 0 ? fdopen(fd, "w") : NULL;
	return p->chain != NULL ? 0 : ctl_fail(p->c, EX_CANTCREAT, "%s: %s", out, strerror(errno));
}

static int
make_bundle(struct proving *p, const struct audit_options *o, const struct audit_files *files)
{
	struct sign_key *key = site_key(p, o->key);
	int rc;

	if (key == NULL)
		return EX_NOINPUT;
	if (strcmp(sign_key_id(key), p->cp.key_id) != 0 ||
	    !sign_key_verify(key, buf_slice(&p->signed_text), buf_slice(&p->signature))) {
		rc = ctl_fail(p->c, EX_DATAERR,
		    _("the checkpoint over record %llu is not signed with this key (%s)"),
		    (unsigned long long)p->cp.seq, sign_key_id(key));
		goto out;
	}
	rc = open_bundle(p, o->out);
	if (rc == 0)
		rc = audit_walk(p->c, files, take, p);
	if (p->chain != NULL && (ferror(p->chain) || fclose(p->chain) != 0) && rc == 0)
		rc = ctl_fail(p->c, EX_CANTCREAT, "%s: %s", PROOF_CHAIN, strerror(errno));
	if (rc == 0 && strcmp(p->h, p->cp.h) != 0)
		rc = ctl_fail(p->c, EX_DATAERR,
		    _("the signed checkpoint is about another record %llu than the one in the log: "
		      "congvu audit verify"),
		    (unsigned long long)p->cp.seq);
	if (rc == 0)
		rc = write_rest(p, key);
out:
	sign_key_free(key);
	return rc;
}

static int
tell(const struct proving *p, const char *out)
{
	struct json *j;

	if (p->c->json) {
		j = json_obj_new();
		json_set_str(j, "folder", out);
		json_set_str(j, "qid", p->qid);
		json_set_int(j, "records", (int64_t)p->n);
		json_set_int(j, "links", (int64_t)(p->cp.seq - p->first + 1));
		json_set_int(j, "signed_seq", (int64_t)p->cp.seq);
		json_set_slice(j, "signed_at", p->cp.time);
		json_set_str(j, "key_id", p->cp.key_id);
		return ctl_json_take(j, EX_OK);
	}
	printf(
	    _("%s: %llu records of %s, %llu links to the checkpoint of %.*s; it holds what these "
	      "records say, and of the mail of others digests alone\n"),
	    out, (unsigned long long)p->n, p->qid, (unsigned long long)(p->cp.seq - p->first + 1),
	    (int)p->cp.time.len, (const char *)p->cp.time.ptr);
	return EX_OK;
}

int
audit_cmd_prove(struct ctl *c, const struct audit_options *o, const char *qid)
{
	struct proving p = {.c = c, .qid = qid, .dir = -1};
	struct audit_files files = {0};
	int rc;

	if (o->check != NULL && qid == NULL)
		return proof_check(c, o->check, o->key);
	if (qid == NULL || o->out == NULL || o->check != NULL)
		return ctl_usage(c, _("prove needs a queue id and --out DIR, or --check DIR"));
	rc = audit_open_files(c, o->file, &files);
	if (rc != 0)
		return rc;
	buf_init(&p.signed_text, 4096);
	buf_init(&p.signature, 8192);
	rc = audit_walk(c, &files, look, &p);
	if (rc == 0 && p.n == 0)
		rc = ctl_fail(c, EX_NOINPUT, _("the log has no record of %s"), qid);
	else if (rc == 0 && !p.found)
		rc = ctl_fail(c, EX_TEMPFAIL,
		    _("no signed checkpoint is over record %llu yet: again in a minute, or see "
		      "congvu doctor"),
		    (unsigned long long)p.last);
	else if (rc == 0)
		rc = make_bundle(&p, o, &files);
	if (rc == 0)
		rc = tell(&p, o->out);
	if (p.dir >= 0)
		close(p.dir);
	buf_done(&p.signed_text);
	buf_done(&p.signature);
	audit_files_done(&files);
	return rc;
}
