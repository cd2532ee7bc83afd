/* sign_box.c: keys of functional mailboxes. Runs in milter-sign. Files are read as root, since they are nobody else's. A token is opened as milter-sign's
 * user, whose it is to be, and before the sandbox: engine and module are loaded, logged in to, and each key is found; afterwards the module may
 * read the folder pkcs11_dir and nothing else. */
#include "config.h"

#include "milter/sign_box.h"
#include "milter/sign_row.h"
#include "milter/sign_token.h"

#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"
#include "lib/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 65536, PIN_MAX = 256 };

static struct mailbox {
	char *address;
	struct sign_mail_key *key;
} * boxes;
static size_t n_boxes;
/* rows whose key is in the token, until that is open */
static struct late {
	const char *row;
	struct buf address, certs;
	struct slice uri;
} * late;
static size_t n_late;
static struct buf pin;

int
sign_read_file(const char *path, bool private, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), en = 0;
	struct stat st;
	ssize_t n = -1;

	if (fd >= 0 && fstat(fd, &st) == 0) {
		if (private && (st.st_mode & 077) != 0)
			errno = EPERM;
		else
			n = read(fd, buf_reserve(out, FILE_MAX), FILE_MAX);
	}
	if (n < 0)
		en = errno;
	else
		buf_commit(out, (size_t)n);
	if (fd >= 0)
		close(fd);
	return en;
}

static void
bad_row(const char *row, const char *why)
{
	log_msg(LOG_LVL_ERROR, "gateway_sign", "\"%s\": %s: mail of this mailbox is deferred", row,
	    why);
}

static void
add_box(const char *row, const struct buf *address, struct slice key, const struct buf *certs)
{
	const char *why = "";
	struct sign_mail_key *k =
	    sign_mail_key_new(buf_slice(address), key, buf_slice(certs), &why);

	if (k == NULL) {
		bad_row(row, why);
		return;
	}
	boxes = xrealloc(boxes, (n_boxes + 1) * sizeof *boxes);
	boxes[n_boxes].address = slice_dup(buf_slice(address));
	boxes[n_boxes++].key = k;
}

static int
read_beside(struct slice name, struct buf *out)
{
	char *path = conf_beside(role_conf(), name);
	int en = sign_read_file(path, false, out);

	free(path);
	return en;
}

static void
read_row(const char *row)
{
	struct slice key_name, certs_name;
	struct buf address, key, certs;
	const char *why = "";
	int en;

	buf_init(&address, 1024);
	buf_init(&key, FILE_MAX);
	buf_init(&certs, FILE_MAX);
	if (sign_row_parse(row, &address, &key_name, &certs_name, &why) != 0) {
		bad_row(row, why);
		goto out;
	}
	en = read_beside(certs_name, &certs);
	if (en == 0 && sign_token_is_uri(key_name)) {
		late = xrealloc(late, (n_late + 1) * sizeof *late);
		late[n_late++] = (struct late){row, address, certs, key_name};
		return;
	}
	if (en == 0)
		en = read_beside(key_name, &key);
	if (en != 0)
		bad_row(row, strerror(en));
	else
		add_box(row, &address, buf_slice(&key), &certs);
out:
	buf_done(&address);
	buf_wipe(&key);
	buf_done(&certs);
}

/* Its first line. */
static void
read_pin(void)
{
	char *path = conf_path(role_conf(), "pkcs11_pin_file");
	ptrdiff_t lf;
	int en;

	buf_init(&pin, FILE_MAX);
	en = sign_read_file(path, true, &pin);
	if (en != 0)
		log_msg(LOG_LVL_ERROR, "sign_token", "%s: %s", path,
		    en == EPERM ? "others may read it: chmod 0400" : strerror(en));
	lf = slice_index(buf_slice(&pin), '\n');
	if (lf >= 0) {
		pin.len = (size_t)lf;
		pin.data[lf] = '\0';
	}
	if (pin.len > PIN_MAX)
		pin.len = 0;
	free(path);
}

void
sign_boxes_read(void)
{
	size_t n = conf_list_len(role_conf(), "gateway_sign");

	for (size_t i = 0; i < n; i++)
		read_row(conf_list_item(role_conf(), "gateway_sign", i));
	if (n_late > 0)
		read_pin();
}

static int
open_token(const char **why_out)
{
	const char *dir = conf_str(role_conf(), "pkcs11_dir");

	*why_out = "no PIN";
	if (pin.len == 0)
		return ERR_NOTFOUND;
	if (dir[0] == '/')
		sandbox_may_read(dir);
	return sign_token_setup(role_conf(), buf_cstr(&pin), why_out);
}

void
sign_boxes_open(void)
{
	const char *why = "";
	int err = n_late > 0 ? open_token(&why) : 0;

	for (size_t i = 0; i < n_late; i++) {
		struct late *l = &late[i];

		if (err != 0)
			bad_row(l->row, why);
		else
			add_box(l->row, &l->address, l->uri, &l->certs);
		buf_done(&l->address);
		buf_done(&l->certs);
	}
	if (n_late > 0)
		buf_wipe(&pin);
	free(late);
	late = NULL;
	n_late = 0;
}

const struct sign_mail_key *
sign_box_key(struct slice address)
{
	for (size_t i = 0; i < n_boxes; i++)
		if (slice_eq_str(address, boxes[i].address))
			return boxes[i].key;
	return NULL;
}

size_t
sign_boxes(void)
{
	return n_boxes;
}
