/* smime_trust.c: trust anchors and CRLs from trust_dir, one X509_STORE per domain. Read whole before the sandbox closes; a change
 * on disk is seen at the next start of milter-scan. Runs in milter-scan. Anchors are per domain: a CA trusted for one domain says
 * nothing about another (MILTER.md case 27). */
#include "config.h"

#include "milter/smime_priv.h"

#include "lib/err.h"
#include "lib/log.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX (64u << 20) /* CRLs of a national CA are large */

struct smime_trust {
	struct smime_domain *domains;
	struct smime_rev *rev;
	struct smime_kept *kept;
};

struct smime_trust *
smime_trust_new(void)
{
	struct smime_trust *t = xcalloc(1, sizeof *t);

	t->rev = smime_rev_new();
	t->kept = smime_kept_new();
	return t;
}

struct smime_kept *
smime_trust_kept(const struct smime_trust *t)
{
	return t->kept;
}

struct smime_rev *
smime_trust_rev(const struct smime_trust *t)
{
	return t->rev;
}

void
smime_trust_need(struct smime_trust *t, enum smime_rev_need need)
{
	smime_rev_set_need(t->rev, need);
}

int
smime_rev_put(struct smime_trust *t, enum want_kind kind, struct slice key, struct slice bytes,
    int64_t now, int64_t *this_out, int64_t *next_out)
{
	return smime_rev_add(t->rev, kind, key, bytes, now, this_out, next_out);
}

void
smime_rev_drop(struct smime_trust *t, struct slice key)
{
	smime_rev_remove(t->rev, key);
}

void
smime_trust_free(struct smime_trust *t)
{
	struct smime_domain *d, *next;

	if (t == NULL)
		return;
	for (d = t->domains; d != NULL; d = next) {
		next = d->next;
		X509_STORE_free(d->store);
		sk_X509_CRL_pop_free(d->crls, X509_CRL_free);
		smime_archive_free(d);
		free(d->name);
		free(d);
	}
	smime_rev_free(t->rev);
	smime_kept_free(t->kept);
	free(t);
}

static struct smime_domain *
find_exact(const struct smime_trust *t, struct slice name)
{
	struct smime_domain *d;

	for (d = t->domains; d != NULL; d = d->next) {
		if (slice_caseeq_str(name, d->name))
			return d;
	}
	return NULL;
}

const struct smime_domain *
smime_trust_find(const struct smime_trust *t, struct slice domain)
{
	ptrdiff_t eq = slice_index(domain, '=');
	const struct smime_domain *d = NULL;

	/* named by the policy: that one or none */
	if (eq >= 0)
		return t != NULL ? find_exact(t, slice_from(domain, (size_t)eq + 1)) : NULL;
	d = t != NULL ? find_exact(t, domain) : NULL;
	return d == NULL && t != NULL ? find_exact(t, slice_str("default")) : d;
}

const struct smime_domain *
smime_archive_find(const struct smime_trust *t, struct slice domain)
{
	ptrdiff_t eq = slice_index(domain, '=');

	return smime_trust_find(t, eq >= 0 ? slice_sub(domain, 0, (size_t)eq) : domain);
}

static struct smime_domain *
get_domain(struct smime_trust *t, const char *name)
{
	struct smime_domain *d = find_exact(t, slice_str(name));

	if (d != NULL)
		return d;
	d = xcalloc(1, sizeof *d);
	d->name = xstrdup(name);
	d->store = X509_STORE_new();
	d->crls = sk_X509_CRL_new_null();
	if (d->store == NULL || d->crls == NULL)
		fatal("smime: no memory");
	d->next = t->domains;
	t->domains = d;
	return d;
}

static void
add_cert(struct smime_domain *d, X509 *cert)
{
	d->generation++;
	if (X509_STORE_add_cert(d->store, cert) == 1)
		d->n_certs++;
}

static void
add_crl(struct smime_domain *d, X509_CRL *crl)
{
	d->generation++;
	if (X509_STORE_add_crl(d->store, crl) != 1)
		return;
	X509_CRL_up_ref(crl);
	if (sk_X509_CRL_push(d->crls, crl) <= 0)
		X509_CRL_free(crl);
}

static int
read_file(const char *path, struct buf *out)
{
	unsigned char *room;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return ERR_IO;
	do {
		room = buf_reserve(out, 65536);
		n = room != NULL ? read(fd, room, 65536) : -1;
		if (n > 0)
			buf_commit(out, (size_t)n);
	} while (n > 0 || (n < 0 && room != NULL && errno == EINTR));
	close(fd);
	if (out->err != 0)
		return out->err;
	return n < 0 ? ERR_IO : 0;
}

static int
no_password(char *buf, int size, int rw, void *arg)
{
	(void)buf, (void)size, (void)rw, (void)arg;
	return 0;
}

/* Everything usable in a PEM file. Number of objects taken. */
static size_t
add_pem(struct smime_domain *d, struct slice text)
{
	BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);
	STACK_OF(X509_INFO) *infos = NULL;
	size_t n = 0;
	int i;

	if (bio != NULL)
		infos = PEM_X509_INFO_read_bio(bio, NULL, no_password, NULL);
	for (i = 0; infos != NULL && i < sk_X509_INFO_num(infos); i++) {
		X509_INFO *info = sk_X509_INFO_value(infos, i);

		if (info->x509 != NULL) {
			add_cert(d, info->x509);
			n++;
		}
		if (info->crl != NULL) {
			add_crl(d, info->crl);
			n++;
		}
	}
	sk_X509_INFO_pop_free(infos, X509_INFO_free);
	BIO_free(bio);
	return n;
}

static size_t
add_der(struct smime_domain *d, struct slice der, bool is_crl)
{
	const unsigned char *p = der.ptr;
	X509 *cert;
	X509_CRL *crl;

	if (is_crl) {
		crl = d2i_X509_CRL(NULL, &p, (long)der.len);
		if (crl == NULL)
			return 0;
		add_crl(d, crl);
		X509_CRL_free(crl);
	} else {
		cert = d2i_X509(NULL, &p, (long)der.len);
		if (cert == NULL)
			return 0;
		add_cert(d, cert);
		X509_free(cert);
	}
	return 1;
}

X509_CRL *
smime_crl_parse(struct slice s)
{
	const unsigned char *p = s.ptr;
	X509_CRL *crl = NULL;
	BIO *bio;

	if (s.len == 0 || s.len > INT32_MAX)
		return NULL;
	if (slice_find(slice_sub(s, 0, 4096), slice_str("-----BEGIN X509 CRL")) >= 0) {
		bio = BIO_new_mem_buf(s.ptr, (int)s.len);
		crl = bio != NULL ? PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL) : NULL;
		BIO_free(bio);
	} else {
		crl = d2i_X509_CRL(NULL, &p, (long)s.len);
		if (crl != NULL && p != s.ptr + s.len) {
			X509_CRL_free(crl);
			crl = NULL;
		}
	}
	ERR_clear_error();
	return crl;
}

int
smime_trust_add(struct smime_trust *t, const char *domain, struct slice text, bool is_crl)
{
	struct smime_domain *d = get_domain(t, domain);
	size_t n;

	if (slice_find(text, slice_str("-----BEGIN ")) >= 0)
		n = add_pem(d, text);
	else
		n = add_der(d, text, is_crl);
	ERR_clear_error();
	return n > 0 ? 0 : ERR_SYNTAX;
}

int
smime_trust_add_archive(struct smime_trust *t, const char *domain, struct slice text)
{
	return smime_archive_add(get_domain(t, domain), text);
}

enum file_kind { FILE_OTHER, FILE_CERT, FILE_CRL, FILE_ARCHIVE };

static int
add_file(struct smime_trust *t, const char *domain, const char *path, enum file_kind kind)
{
	struct buf text;
	int err;

	buf_init(&text, FILE_MAX);
	err = read_file(path, &text);
	if (err == 0)
		err = kind == FILE_ARCHIVE
			  ? smime_trust_add_archive(t, domain, buf_slice(&text))
			  : smime_trust_add(t, domain, buf_slice(&text), kind == FILE_CRL);
	buf_done(&text);
	return err;
}

int
smime_trust_add_file(struct smime_trust *t, const char *domain, const char *path, bool is_crl)
{
	return add_file(t, domain, path, is_crl ? FILE_CRL : FILE_CERT);
}

/* By the name's ending. */
static enum file_kind
file_kind(const char *name)
{
	static const char *const certs[] = {".pem", ".crt", ".cer", ".der"};
	size_t i, len = strlen(name);

	if (len < 5 || name[0] == '.')
		return FILE_OTHER;
	for (i = 0; i < sizeof certs / sizeof *certs; i++) {
		if (strcasecmp(name + len - 4, certs[i]) == 0)
			return FILE_CERT;
	}
	return strcasecmp(name + len - 4, ".crl") == 0 ? FILE_CRL : FILE_OTHER;
}

static void
load_folder(struct smime_trust *t, const char *folder, const char *domain, bool archive)
{
	struct dirent *e;
	struct log_line l;
	DIR *dp = opendir(folder);
	enum file_kind kind;
	char *path;
	int err;

	while (dp != NULL && (e = readdir(dp)) != NULL) {
		kind = file_kind(e->d_name);
		if (archive && kind == FILE_CERT)
			kind = FILE_ARCHIVE;
		if (kind == FILE_OTHER || (archive && kind == FILE_CRL))
			continue;
		if (asprintf(&path, "%s/%s", folder, e->d_name) < 0)
			fatal("smime: no memory");
		err = add_file(t, domain, path, kind);
		if (err != 0) {
			log_begin(&l, LOG_LVL_ERROR, "trust_file_unusable");
			log_str(&l, "file", path);
			log_err(&l, "err", err);
			log_end(&l);
		}
		free(path);
	}
	if (dp != NULL)
		closedir(dp);
}

static void
load_domain(struct smime_trust *t, const char *dir, const char *domain)
{
	char *folder = NULL, *archive = NULL;

	if (asprintf(&folder, "%s/%s", dir, domain) < 0 ||
	    asprintf(&archive, "%s/archive", folder) < 0)
		fatal("smime: no memory");
	load_folder(t, folder, domain, false);
	load_folder(t, archive, domain, true);
	free(folder);
	free(archive);
}

int
smime_trust_load(const char *dir, struct smime_trust **out)
{
	struct smime_trust *t = smime_trust_new();
	const struct smime_domain *d;
	struct dirent *e;
	struct log_line l;
	DIR *dp = opendir(dir);

	if (dp == NULL)
		log_msg(
		    LOG_LVL_WARN, "trust_dir_missing", "%s: no certificate will be trusted", dir);
	while (dp != NULL && (e = readdir(dp)) != NULL) {
		if (e->d_name[0] != '.')
			load_domain(t, dir, e->d_name);
	}
	if (dp != NULL)
		closedir(dp);
	for (d = t->domains; d != NULL; d = d->next) {
		log_begin(&l, LOG_LVL_INFO, "trust_loaded");
		log_str(&l, "domain", d->name);
		log_u64(&l, "certificates", d->n_certs);
		log_u64(&l, "archive", d->archive != NULL ? (uint64_t)sk_X509_num(d->archive) : 0);
		log_u64(&l, "crls", (uint64_t)sk_X509_CRL_num(d->crls));
		log_end(&l);
	}
	*out = t;
	return 0;
}
