/* imap_fake_server.c: an imapd-session over fakes of stored, ingest and lookup, for tests/unit/imap_wire_test.py: transcripts run against the
 * real session code without an instance. Arguments: certificate, key. Prints "imap_port imaps_port" and serves until standard input ends.
 * Logins: any name with the password "pw-" + name; "down" gives a directory that is down; "clerk" has a share. SIGUSR1: stored was restarted; SIGUSR2: it is
 * away, or back. */
#include "config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "imapd/session.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/tls.h"
#include "tests/unit/imap_fake.h"

/* ---- lookup ---- */

struct lookup_client {
	struct loop *loop;
};
struct lookup_auth {
	struct loop_defer *defer;
	lookup_auth_fn fn;
	void *arg;
	char login[256], password[256];
	int state; /* 0: empty, 1: asks the name, 2: asks the password, 3: judge */
	bool plain;
};

struct lookup_client *
lookup_client_new(struct loop *l, const char *socket, uint32_t self)
{
	struct lookup_client *c = xcalloc(1, sizeof(*c));
	(void)socket;
	(void)self;
	c->loop = l;
	return c;
}

void
lookup_client_free(struct lookup_client *c)
{
	free(c);
}

struct lookup_acl_call *
lookup_acl(
    struct lookup_client *c, struct slice ticket, struct slice account, lookup_acl_fn fn, void *arg)
{
	(void)c;
	(void)ticket;
	(void)account;
	(void)fn;
	(void)arg;
	return NULL;
}

void
lookup_acl_cancel(struct lookup_acl_call *k)
{
	(void)k;
}

/* nothing changes in this directory */
struct lookup_watch *
lookup_watch_new(
    struct lookup_client *c, struct slice ticket, const struct lookup_watch_ops *ops, void *arg)
{
	(void)c;
	(void)ticket;
	(void)ops;
	(void)arg;
	return NULL;
}

void
lookup_watch_free(struct lookup_watch *w)
{
	(void)w;
}

void
lookup_login_free(struct lookup_login *l)
{
	if (l == NULL)
		return;
	free(l->login);
	free(l->account);
	free((void *)(uintptr_t)l->ticket.ptr);
	free(l);
}

static void
judge(struct lookup_auth *a)
{
	char want[300], ticket[600];
	lookup_auth_fn fn = a->fn;
	void *arg = a->arg;
	snprintf(want, sizeof(want), "pw-%s", a->login);
	bool down = strcmp(a->login, "down") == 0;
	struct lookup_login *l = NULL;
	if (!down && strcmp(want, a->password) == 0) {
		l = xcalloc(1, sizeof(*l));
		l->login = xstrdup(a->login);
		l->account = xstrdup(a->login);
		snprintf(ticket, sizeof(ticket), "p-%s%s", a->login,
		    strcmp(a->login, "clerk") == 0 ? " +f-office vanthu lrswipkxte" : "");
		l->ticket = slice_of(xstrdup(ticket), strlen(ticket));
	}
	loop_defer_free(a->defer);
	free(a);
	if (l != NULL)
		fn(arg, LOOKUP_AUTH_OK, 0, slice_of(NULL, 0), l);
	else
		fn(arg, LOOKUP_AUTH_FAILED, down ? ERR_TEMP : ERR_AUTH, slice_of(NULL, 0), NULL);
}

static void
on_auth(void *arg)
{
	struct lookup_auth *a = arg;
	static const char *const prompts[] = {"", "Username:", "Password:"};
	if (a->state == 3)
		judge(a);
	else
		a->fn(a->arg, LOOKUP_AUTH_MORE, 0, slice_str(prompts[a->state]), NULL);
}

static void
take_plain(struct lookup_auth *a, struct slice s)
{
	ptrdiff_t z = slice_index(s, 0);
	struct slice rest = z < 0 ? slice_of("", 0) : slice_from(s, (size_t)z + 1);
	z = slice_index(rest, 0);
	struct slice pass = z < 0 ? slice_of("", 0) : slice_from(rest, (size_t)z + 1);
	snprintf(a->login, sizeof(a->login), "%.*s", z < 0 ? 0 : (int)z, (const char *)rest.ptr);
	snprintf(a->password, sizeof(a->password), "%.*s", (int)pass.len, (const char *)pass.ptr);
	a->state = 3;
}

struct lookup_auth *
lookup_auth_start(
    struct lookup_client *c, const struct lookup_auth_params *p, lookup_auth_fn fn, void *arg)
{
	struct lookup_auth *a = xcalloc(1, sizeof(*a));
	a->fn = fn;
	a->arg = arg;
	a->plain = strcmp(p->mech, "PLAIN") == 0;
	a->state = a->plain ? 0 : 1;
	if (a->plain && p->has_initial)
		take_plain(a, p->initial);
	a->defer = loop_defer_new(c->loop, on_auth, a);
	loop_defer_set(a->defer);
	return a;
}

int
lookup_auth_step(struct lookup_auth *a, struct slice response)
{
	if (a->plain) {
		take_plain(a, response);
	} else if (a->state == 1) {
		snprintf(a->login, sizeof(a->login), "%.*s", (int)response.len,
		    (const char *)response.ptr);
		a->state = 2;
	} else {
		snprintf(a->password, sizeof(a->password), "%.*s", (int)response.len,
		    (const char *)response.ptr);
		a->state = 3;
	}
	loop_defer_set(a->defer);
	return 0;
}

void
lookup_auth_abort(struct lookup_auth *a)
{
	if (a == NULL)
		return;
	loop_defer_free(a->defer);
	free(a);
}

/* ---- the program ---- */

static struct imapd imapd;
static struct listener *plain, *tls;

static void
accept_plain(void *arg, int fd)
{
	(void)arg;
	client_new(&imapd, plain, fd, false);
}

static void
accept_tls(void *arg, int fd)
{
	(void)arg;
	client_new(&imapd, tls, fd, true);
}

static int
listen_any(int *port_out)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, len) != 0 || listen(fd, 100) != 0 ||
	    getsockname(fd, (struct sockaddr *)&sin, &len) != 0)
		fatal("cannot listen");
	*port_out = ntohs(sin.sin_port);
	return fd;
}

static void
on_signal(void *arg, int signo)
{
	(void)arg;
	if (signo == SIGUSR1)
		fake_store_restart(imapd.store);
	else if (signo == SIGUSR2)
		fake_store_away();
	else
		imapd_stop(&imapd);
}

static void
on_stdin(void *arg, int events)
{
	char c;
	(void)events;
	if (read(0, &c, 1) <= 0)
		loop_stop(arg);
}

int
main(int argc, char **argv)
{
	static const char *const mechs[] = {"SCRAM-SHA-256", "PLAIN", "LOGIN", NULL};
	const char *why = NULL;
	int ports[2];
	if (argc == 1)
		return 0; /* `make check-valgrind` starts every check program once */
	log_init("imap_fake_server", 2);
	signal(SIGPIPE, SIG_IGN);
	imapd.loop = loop_new();
	imapd.hostname = "localhost";
	imapd.other_prefix = "Other Users";
	imapd.mechs = mechs;
	imapd.message_max = 20000000;
	imapd.idle_s = 1800;
	imapd.keepalive_s = 2;
	imapd.capability_mask = "nobody:ID four:IDLE,status=size *:LIST-STATUSX";
	imapd.login_s = 60;
	imapd.auth_delay_ms = 50;
	if (argc != 3 || tls_server_new(argv[1], argv[2], NULL, &imapd.tls, &why) != 0)
		fatal("certificate and key wanted: %s", why);
	imapd.store = store_client_new(imapd.loop, "");
	imapd.ingest = ingest_client_new(imapd.loop, "");
	imapd.lookup = lookup_client_new(imapd.loop, "", IPC_IMAPD);
	plain = listener_new(imapd.loop, listen_any(&ports[0]), 1000, accept_plain, NULL);
	tls = listener_new(imapd.loop, listen_any(&ports[1]), 1000, accept_tls, NULL);
	loop_signal(imapd.loop, SIGUSR1, on_signal, NULL);
	loop_signal(imapd.loop, SIGUSR2, on_signal, NULL);
	loop_signal(imapd.loop, SIGTERM, on_signal, NULL);
	struct loop_fd *in = loop_fd_new(imapd.loop, 0, on_stdin, imapd.loop);
	loop_fd_want(in, LOOP_READ);
	printf("%d %d\n", ports[0], ports[1]);
	fflush(stdout);
	int err = loop_run(imapd.loop);
	/* the leak checker sees what a session forgot; TLS contexts live as long as the process */
	return err == 0 ? 0 : 1;
}
