/* milter_changes.c: what a milter changes at the end of a message. Runs in smtpd-session. Invariant: only what was agreed in the
 * negotiation, only what leaves a header a header. */
#include "config.h"

#include "smtpd/milter_client_priv.h"

#include "lib/err.h"

#include <string.h>

static int
grow(struct milter *m, const char ***list, size_t *n, struct slice address)
{
	const char **p = arena_calloc(m->ch->arena, *n + 1, sizeof(*p));

	/* "<a@b>" as well as "a@b" */
	if (address.len >= 2 && address.ptr[0] == '<' && address.ptr[address.len - 1] == '>')
		address = slice_sub(address, 1, address.len - 2);
	if (p == NULL || *n >= 1000 || address.len == 0)
		return ERR_LIMIT;
	if (*n > 0)
		memcpy(p, *list, *n * sizeof(*p));
	p[*n] = arena_slicedup(m->ch->arena, address);
	if (p[*n] == NULL)
		return ERR_NOMEM;
	*list = p;
	(*n)++;
	return 0;
}

static int
change_from(struct milter *m, struct slice a)
{
	if (a.len >= 2 && a.ptr[0] == '<' && a.ptr[a.len - 1] == '>')
		a = slice_sub(a, 1, a.len - 2);
	m->ch->from = arena_slicedup(m->ch->arena, a);
	return m->ch->from == NULL ? ERR_NOMEM : 0;
}

static int
replace_body(struct milter *m, struct slice data)
{
	if (!m->ch->body_replaced)
		buf_reset(m->ch->body);
	m->ch->body_replaced = true;
	return buf_append_slice(m->ch->body, data);
}

/* A modification, permitted by what was agreed. */
int
milter_modify(struct milter *m, char cmd, struct slice data)
{
	static const struct {
		char cmd;
		uint32_t needs;
	} needs[] = {{'h', MILTER_F_ADDHDRS}, {'i', MILTER_F_ADDHDRS}, {'m', MILTER_F_CHGHDRS},
	    {'b', MILTER_F_CHGBODY}, {'+', MILTER_F_ADDRCPT}, {'2', MILTER_F_ADDRCPT_PAR},
	    {'-', MILTER_F_DELRCPT}, {'e', MILTER_F_CHGFROM}, {'q', MILTER_F_QUARANTINE}};
	bool leadspc = m->c->steps & MILTER_P_HDR_LEADSPC;
	struct slice a = {NULL, 0}, v = {NULL, 0};
	uint32_t index = 0;
	size_t i = 0;

	while (i < sizeof(needs) / sizeof(needs[0]) && needs[i].cmd != cmd)
		i++;
	if (i == sizeof(needs) / sizeof(needs[0]) || !(m->c->actions & needs[i].needs))
		return ERR_PROTO;
	if (cmd == 'b')
		return replace_body(m, data);
	if (milter_get_mod(data, cmd == 'i' || cmd == 'm', &index, &a, &v) != 0)
		return ERR_PROTO;
	switch (cmd) {
	case 'h':
		return msg_add(m->ch->msg, a, v, leadspc);
	case 'i':
		return msg_insert(m->ch->msg, index, a, v, leadspc);
	case 'm':
		return msg_change(m->ch->msg, index == 0 ? 1 : index, a, v, leadspc);
	case '+':
	case '2':
		return grow(m, &m->ch->add_rcpt, &m->ch->n_add, a);
	case '-':
		return grow(m, &m->ch->del_rcpt, &m->ch->n_del, a);
	case 'e':
		return change_from(m, a);
	default:
		m->ch->quarantine = arena_slicedup(m->ch->arena, a);
		return m->ch->quarantine == NULL ? ERR_NOMEM : 0;
	}
}
