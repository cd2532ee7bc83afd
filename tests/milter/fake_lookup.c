/* fake_lookup.c: stands for congvu-lookup in the tests of the milter: the same protocol, started by the same parent, with the
 * directory below. Domain x.example is ours; "binh" is manager@x.example and holds vanthu@x.example. Address down@x.example: no answer
 * but a temporary error. */
#include "config.h"

#include "directory/lookup_client.h"
#include "lib/addr.h"
#include "lib/err.h"
#include "lib/role.h"

#include <string.h>

static const struct {
	const char *address, *login;
	enum lookup_owner_kind kind;
	const char *account, *former;
} people[] = {
    {"manager@x.example", "binh", LOOKUP_OWNER_PERSON, "p-1", "manager.old@x.example"},
    {"eve@x.example", "eve", LOOKUP_OWNER_PERSON, "p-2", NULL},
    {"vanthu@x.example", "binh", LOOKUP_OWNER_FUNCTIONAL, "f-1", NULL},
};

static void
answer(struct slice address, struct slice login, struct buf *b)
{
	struct slice local, domain;
	size_t i;
	bool ours = addr_split(address, &local, &domain) == 0 && slice_eq_str(domain, "x.example");

	for (i = 0; i < sizeof people / sizeof *people && !slice_eq_str(address, people[i].address);
	     i++)
		;
	ipc_put_u8(b, ours);
	if (i == sizeof people / sizeof *people) {
		ipc_put_u8(b, LOOKUP_OWNER_NONE);
		ipc_put_str(b, "");
		ipc_put_str(b, "");
		ipc_put_u8(b, false);
		ipc_put_u32(b, 0);
		ipc_put_u32(b, 0);
		ipc_put_u32(b, 0);
		return;
	}
	ipc_put_u8(b, people[i].kind);
	ipc_put_str(b, people[i].account);
	ipc_put_str(b, "H99");
	ipc_put_u8(b, slice_eq_str(login, people[i].login));
	ipc_put_u32(b, people[i].former != NULL ? 2 : 1);
	ipc_put_str(b, people[i].address);
	if (people[i].former != NULL)
		ipc_put_str(b, people[i].former);
	ipc_put_u32(b, 0);
	ipc_put_u32(b, 1);
}

static int
on_msg(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	struct slice address = ipc_get_slice(r), login = ipc_get_slice(r);
	struct buf b;

	(void)fd, (void)arg;
	if (type != LOOKUP_SENDER || ipc_reader_end(r) != 0)
		return ERR_PROTO;
	if (slice_eq_str(address, "down@x.example")) {
		ipc_reply_err(c, id, ERR_TEMP, "directory down");
		return 0;
	}
	buf_init(&b, 4096);
	answer(address, login, &b);
	ipc_reply(c, id, LOOKUP_SENDER_IS, &b, -1);
	buf_done(&b);
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct ipc_server_ops ops = {.on_msg = on_msg};
	struct loop *l;

	role_init(argc, argv, "lookup");
	l = loop_new();
	ipc_server_new(l, role_fd("lookup.milter"), &lookup_proto, IPC_MILTER,
	    role_uid_of("user_milter"), 256, &ops, NULL);
	role_enter();
	return loop_run(l) == 0 ? 0 : 71;
}
