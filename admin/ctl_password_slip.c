/* ctl_password_slip.c: `congvu password slip`: first passwords, each on a page to be printed and handed over. Runs in congvu. A page is on the
 * disk before its password is set, so that no account is left with a password that nobody has. */
#include "config.h"

#include "admin/ctl_password.h"

#include "lib/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The page. It is for people in Vietnam, whatever language congvu speaks. */
static void
page_append(const struct staff_account *s, struct slice password, unsigned days, struct buf *out)
{
	time_t now = time(NULL), end = now + (time_t)days * 86400;
	char today[20], last[20];
	struct tm tm;

	strftime(today, sizeof(today), "%d/%m/%Y", localtime_r(&now, &tm));
	strftime(last, sizeof(last), "%d/%m/%Y", localtime_r(&end, &tm));
	buf_appendf(out,
	    "PHIẾU CẤP MẬT KHẨU LẦN ĐẦU\n"
	    "\n"
	    "  Họ và tên:      %s\n"
	    "  Mã cán bộ:      %s\n"
	    "  Tên đăng nhập:  %s\n"
	    "  Địa chỉ thư:    %s\n"
	    "  Mật khẩu:       %.*s\n"
	    "  Ngày cấp:       %s\n"
	    "  Có hiệu lực đến hết ngày %s\n"
	    "\n"
	    "Mật khẩu này chỉ dùng để đổi lấy mật khẩu riêng; chưa đổi thì chưa vào được hộp thư.\n"
	    "Phiếu giao tận tay người nhận; không chụp lại, không gửi qua thư điện tử.\n"
	    "Đổi xong, hãy hủy phiếu. Mất phiếu hoặc quá hạn, hãy xin cấp phiếu khác.\n"
	    "\f",
	    s->display, s->id, s->uid, s->mail, (int)password.len, (const char *)password.ptr,
	    today, last);
}

static int
write_all(int fd, struct slice s)
{
	while (s.len > 0) {
		ssize_t n = write(fd, s.ptr, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		s = slice_from(s, (size_t)n);
	}
	return fsync(fd);
}

/* Whatever fails, what the file says of this person goes again. */
static int
slip_one(struct ctl *c, struct ctl_dir *d, const char *who, int fd, struct json *list)
{
	struct staff_account s = {0};
	off_t before = lseek(fd, 0, SEEK_END);
	struct buf password, page;
	struct json *row;
	char *why = NULL;
	int rc, err = dir_admin_account(d->admin, who, &s, &why);

	buf_init(&password, 64);
	buf_init(&page, 8192);
	rc = err != 0      ? ctl_dir_fail(c, who, err, why)
	     : s.is_frozen ? ctl_fail(c, EX_NOPERM, "%s: %s", who,
				 _("locked by an administrator: congvu password set --unlock"))
			   : 0;
	dir_admin_password_make(&password);
	if (rc == 0)
		rc = ctl_password_note(c, "password_slip", &s, NULL);
	if (rc != 0)
		goto out;
	page_append(
	    &s, buf_slice(&password), (unsigned)conf_int(c->conf, "first_password_days"), &page);
	if (page.err != 0 || write_all(fd, buf_slice(&page)) != 0)
		rc = ctl_fail(c, EX_IOERR, "%s: %s", who, strerror(errno));
	if (rc == 0) {
		err = dir_admin_password_set(d->admin, &s, buf_slice(&password), true, &why);
		rc = err != 0 ? ctl_dir_fail(c, who, err, why) : 0;
	}
	/* nobody knows whether it was set: then the page may be the only one who has it */
	if (rc != 0 && err != ERR_UNKNOWN && ftruncate(fd, before) != 0)
		rc = ctl_fail(c, EX_IOERR, "%s: %s", who, strerror(errno));
	if (rc == 0) {
		row = json_obj_new();
		json_set_str(row, "id", s.id);
		json_set_str(row, "mail", s.mail);
		json_push_take(list, row);
	}
out:
	buf_wipe(&password);
	buf_wipe(&page);
	staff_account_done(&s);
	return rc;
}

int
ctl_password_slip(struct ctl *c, struct ctl_dir *d, char **who, size_t n, const char *out)
{
	int fd = open(out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), last = 0;
	struct json *list = json_arr_new();

	if (fd < 0) {
		json_free(list);
		return ctl_fail(c, EX_CANTCREAT, "%s: %s", out, strerror(errno));
	}
	for (size_t i = 0; i < n; i++) {
		int rc = slip_one(c, d, who[i], fd, list);

		last = rc != 0 ? rc : last;
	}
	/* a page that nobody knows to be of use stays (slip_one): then it is not empty */
	if (json_len(list) == 0 && lseek(fd, 0, SEEK_END) == 0)
		(void)unlink(out);
	close(fd);
	if (c->json)
		return ctl_json_take(list, last);
	if (last != 0 && json_len(list) == 0) {
		json_free(list);
		return last;
	}
	printf("%s: %zu %s\n", out, json_len(list),
	    _("slips; print the file, hand them over, then remove it"));
	json_free(list);
	return last;
}
