/* lookup_dns.c: who takes mail for a domain, and what addresses a host has, asked of the DNS for relay. Runs in lookup. Invariant:
 * "there is none" is said only when the DNS said so; a record that cannot be read is left out. RFC 5321 5.1, RFC 7505. */
#include "config.h"

#include "directory/lookup_dns.h"

#include "directory/dns_rdata.h"
#include "directory/lookup_client.h"
#include "lib/err.h"
#include "lib/idna.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

struct dns_request {
	struct ipc_conn *conn; /* held */
	uint32_t id;
	uint16_t type;
	unsigned waiting;
	bool temp, secure, found, nxdomain;
	uint32_t n;
	struct buf records;
};

static void
put_record(struct dns_request *q, struct slice rdata)
{
	struct buf text;
	uint16_t pref = 0;

	buf_init(&text, 256);
	int r =
	    q->type == LOOKUP_MX ? dns_mx_parse(rdata, &pref, &text) : dns_addr_text(rdata, &text);
	if (r == 0 && q->type == LOOKUP_MX)
		ipc_put_u16(&q->records, pref);
	if (r == 0) {
		ipc_put_slice(&q->records, buf_slice(&text));
		q->n++;
	}
	buf_done(&text);
}

static void
request_end(struct dns_request *q)
{
	struct buf b;

	/* one of A and AAAA is enough; that the other is not known does not matter then */
	if (q->temp && q->n == 0) {
		ipc_reply_err(q->conn, q->id, ERR_TEMP, "the DNS does not answer");
	} else {
		buf_init(&b, IPC_FRAME_MAX);
		ipc_put_u8(&b, q->n > 0      ? DNS_FOUND
			       : q->found    ? DNS_NODATA
			       : q->nxdomain ? DNS_NXDOMAIN
					     : DNS_NODATA);
		ipc_put_u8(&b, q->secure && !q->temp);
		ipc_put_u32(&b, q->n);
		buf_append_slice(&b, buf_slice(&q->records));
		ipc_reply(
		    q->conn, q->id, q->type == LOOKUP_MX ? LOOKUP_MX_IS : LOOKUP_HOST_IS, &b, -1);
		buf_done(&b);
	}
	ipc_release(q->conn);
	buf_done(&q->records);
	free(q);
}

static void
on_answer(void *arg, int err, const struct dns_answer *a)
{
	struct dns_request *q = arg;

	if (err != 0) {
		q->temp = true;
	} else {
		q->secure &= a->secure;
		q->nxdomain |= a->kind == DNS_NXDOMAIN;
		q->found |= a->kind == DNS_FOUND;
		for (size_t i = 0; i < a->n; i++)
			put_record(q, a->rdatas[i]);
		/* records that are all unreadable: who wrote them may mend them */
		q->temp |= a->n > 0 && q->n == 0;
	}
	if (--q->waiting == 0)
		request_end(q);
}

static void
ask(struct dns *dns, struct dns_request *q, const char *name, enum dns_type type)
{
	static const struct dns_answer never = {.kind = DNS_NXDOMAIN};

	q->waiting++;
	int r = dns == NULL ? ERR_TEMP : dns_ask(dns, name, type, on_answer, q);
	if (r != 0)
		on_answer(q, r == ERR_SYNTAX ? 0 : ERR_TEMP, &never);
}

int
lookup_dns_request(
    struct dns *dns, struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r)
{
	struct slice name = ipc_get_slice(r);
	struct buf ascii;

	if (ipc_reader_end(r) != 0 || name.len == 0 || slice_index(name, '\0') >= 0)
		return ERR_PROTO;
	buf_init(&ascii, 254);
	if (idna_to_ascii(name, &ascii) != 0 || ascii.err != 0) {
		buf_done(&ascii);
		return ipc_reply_err(c, id, ERR_SYNTAX, "no domain name") == ERR_PROTO ? ERR_PROTO
										       : 0;
	}
	struct dns_request *q = xcalloc(1, sizeof(*q));
	q->conn = c;
	ipc_hold(c);
	q->id = id;
	q->type = type;
	q->secure = true;
	q->waiting = 1;
	buf_init(&q->records, IPC_FRAME_MAX - 16);
	if (type == LOOKUP_MX) {
		ask(dns, q, buf_cstr(&ascii), DNS_MX);
	} else {
		ask(dns, q, buf_cstr(&ascii), DNS_A);
		ask(dns, q, buf_cstr(&ascii), DNS_AAAA);
	}
	buf_done(&ascii);
	if (--q->waiting == 0)
		request_end(q);
	return 0;
}
