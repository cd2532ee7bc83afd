/* ctl_password_ask.c: passwords from a person: typed at the terminal without echo, or a line of standard input. Runs in congvu. */
#include "config.h"

#include "admin/ctl_password.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { CTRL_C = 3 };

/* Up to a line feed, at most out's cap. -1: nothing there, or given up. */
static int
line_read(int fd, struct buf *out)
{
	unsigned char byte = 0;
	ssize_t n;

	while ((n = read(fd, &byte, 1)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || byte == CTRL_C || byte == '\n')
			break;
		if (byte != '\r' && buf_append_byte(out, byte) != 0)
			break;
	}
	byte = n > 0 ? byte : 0;
	return out->err == 0 && byte != CTRL_C && out->len > 0 ? 0 : -1;
}

static int
typed(int tty, const char *prompt, struct buf *out)
{
	struct termios old, quiet;
	int rc;

	if (tcgetattr(tty, &old) != 0)
		return -1;
	quiet = old;
	/* without signals: an interrupt would leave the terminal dumb */
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	dprintf(tty, "%s: ", prompt);
	if (tcsetattr(tty, TCSAFLUSH, &quiet) != 0)
		return -1;
	rc = line_read(tty, out);
	tcsetattr(tty, TCSAFLUSH, &old);
	dprintf(tty, "\n");
	return rc;
}

int
ctl_password_ask(struct ctl *c, const char *prompt, bool is_new, struct buf *out)
{
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY), rc = 0;
	struct buf again;

	if (tty < 0)
		return ctl_usage(c, "%s",
		    _("there is no terminal to ask at: give --password-stdin or --password-file"));
	buf_init(&again, 1024);
	if (typed(tty, prompt, out) != 0)
		rc = ctl_fail(c, EX_DATAERR, "%s", _("no password was given"));
	else if (is_new && (typed(tty, _("the same again"), &again) != 0 ||
			       !slice_eq(buf_slice(out), buf_slice(&again))))
		rc = ctl_fail(c, EX_DATAERR, "%s", _("the two are not the same"));
	buf_wipe(&again);
	close(tty);
	return rc;
}

int
ctl_password_line(struct ctl *c, struct buf *out)
{
	if (line_read(STDIN_FILENO, out) == 0)
		return 0;
	return ctl_fail(c, EX_DATAERR, "%s: %s", _("standard input"), _("no password there"));
}
