/* lookup_ipc_fuzz.c: lookup behind its sockets, over a directory in memory with a person, a functional mailbox and an agency. */
#include "config.h"

#include "tests/fuzz/border.h"

#include <stdio.h>
#include <string.h>

#include "directory/dir_fake.h"
#include "directory/dns.h"
#include "directory/lookup_client.h"
#include "lib/conf.h"
#include "lib/err.h"
#include "lib/log.h"
#include "tests/fuzz/fuzz.h"

const char border_role[] = "lookup";
const char border_conf[] = "domains = { \"tinhmau.example\" }\nhostname = "
			   "\"mail.tinhmau.example\"\nldap_base = \"o=tinhmau\"\nldap_pool = 2\n";
int border_dir_open(
    const struct conf *c, const char *bind_dn, struct slice password, struct dir **out);

void
border_prepare(void)
{
	FILE *f = fopen("token_key_file", "w");

	if (f == NULL ||
	    fputs("0707070707070707070707070707070707070707070707070707070707070707", f) < 0 ||
	    fclose(f) != 0)
		fatal("no key");
}

int
border_dir_open(const struct conf *c, const char *bind_dn, struct slice password, struct dir **out)
{
	static const char *const person[] = {"objectClass", "inetOrgPerson", "objectClass",
	    "vnCivilServant", "uid", "an", "vnStaffId", "1", "mail", "an@tinhmau.example", "cn",
	    "An", "sn", "An", "vnStatus", "active", NULL};
	static const char *const mailbox[] = {"objectClass", "vnFunctionalMailbox", "vnMailboxId",
	    "1", "mail", "vanthu@tinhmau.example", "cn", "Văn thư", NULL};

	(void)c;
	(void)bind_dn;
	(void)password;
	*out = dir_fake_new("o=tinhmau");
	dir_fake_add(*out, "vnStaffId=1,ou=people,o=tinhmau", person);
	dir_fake_add(*out, "vnMailboxId=1,ou=mailboxes,o=tinhmau", mailbox);
	return 0;
}

/* The twin of dns.c: whoever asks for a name writes its record too, behind the first label. */
int
dns_new(struct loop *l, const struct dns_params *p, struct dns **dns_out, const char **why_out)
{
	static char it;

	(void)l;
	(void)p;
	(void)why_out;
	*dns_out = (struct dns *)(void *)&it;
	return 0;
}

int
dns_ask(struct dns *d, const char *name, enum dns_type type, dns_fn fn, void *arg)
{
	struct slice rdata = slice_from(slice_str(name), strcspn(name, "."));
	struct dns_answer a = {.kind = DNS_FOUND, .rdatas = &rdata, .n = 1};

	(void)d;
	if (name[0] == 'n')
		a = (struct dns_answer){.kind = type == DNS_MX ? DNS_NXDOMAIN : DNS_NODATA};
	fn(arg, name[0] == 't' ? ERR_TEMP : 0, &a);
	return 0;
}

void
border_prologue(void)
{
}

void
border_patch(uint32_t peer, uint16_t type, struct buf *payload)
{
	struct slice s = buf_slice(payload);
	struct buf out;

	(void)peer;
	buf_init(&out, IPC_FRAME_MAX);
	if (type == LOOKUP_AUTH_START) {
		static const char *const mechs[] = {"PLAIN", "LOGIN", "SCRAM-SHA-256", "EXTERNAL"};

		ipc_put_str(&out, mechs[s.len > 0 ? s.ptr[0] % 4 : 0]);
		ipc_put_u8(&out, 1);
		ipc_put_slice(&out, slice_from(s, 1));
		ipc_put_str(&out, "imap");
		ipc_put_str(&out, "192.0.2.1");
		ipc_put_u8(&out, 1);
		ipc_put_str(&out, "");
		ipc_put_str(&out, "");
		ipc_put_slice(&out, slice_from(s, 1));
	} else if (type == LOOKUP_AUTH_STEP) {
		ipc_put_u32(&out, s.len > 0 ? s.ptr[0] % 4 : 1);
		ipc_put_slice(&out, slice_from(s, 1));
	} else if (type == LOOKUP_RCPT) {
		ipc_put_slice(&out, s);
	} else {
		buf_append(&out, s.ptr, s.len);
	}
	buf_reset(payload);
	buf_append(payload, out.data, out.len);
	buf_done(&out);
}
