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
		for (i = 0; i < 5; i++)
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
	ipc_put_u32(b, 0);
	ipc_put_u32(b, 1);
	ipc_put_str(b, "UBND");
}

/* Who has another address now: the former ones of the table. */
static void
answer_moved(struct ipc_reader *r, struct buf *b)
{
	const char *was[LOOKUP_ASKED_MAX], *is[LOOKUP_ASKED_MAX];
	uint32_t n = ipc_get_count(r, LOOKUP_ASKED_MAX, 4), moved = 0;
	size_t i;

	for (; n > 0; n--) {
		struct slice address = ipc_get_slice(r);

		for (i = 0; i < sizeof people / sizeof *people; i++) {
			if (people[i].former == NULL || !slice_eq_str(address, people[i].former))
				continue;
			was[moved] = people[i].former;
			is[moved++] = people[i].address;
		}
	}
	ipc_put_u32(b, moved);
	for (i = 0; i < moved; i++) {
		ipc_put_str(b, was[i]);
		ipc_put_str(b, is[i]);
	}
}

/* Group ketoan@x.example has manager@x.example. */
static int
answer_member(struct ipc_reader *r, struct buf *b)
{
	struct slice group = ipc_get_slice(r);
	uint32_t n = ipc_get_count(r, LOOKUP_ASKED_MAX, 4);

	ipc_put_u32(b, n);
	for (; n > 0; n--)
		ipc_put_u8(b, slice_eq_str(ipc_get_slice(r), "manager@x.example"));
	return slice_eq_str(group, "ketoan@x.example") ? 0 : ERR_NOTFOUND;
}

static int
on_msg(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	struct slice address, login;
	struct buf b;
	int err = 0;

	(void)fd, (void)arg;
	if (type == LOOKUP_MOVED || type == LOOKUP_MEMBER) {
		buf_init(&b, 65536);
		if (type == LOOKUP_MOVED)
			answer_moved(r, &b);
		else
			err = answer_member(r, &b);
		if (err != 0)
			ipc_reply_err(c, id, err, "no such group");
		else
			ipc_reply(c, id, type == LOOKUP_MOVED ? LOOKUP_MOVED_ARE : LOOKUP_MEMBER_IS,
			    &b, -1);
		buf_done(&b);
		return ipc_reader_end(r);
	}
	address = ipc_get_slice(r);
	login = ipc_get_slice(r);
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
