/* sort_key.c: sort criteria, what they are compared by, and sorting. Runs in imapd-session; pure. RFC 5256 BASE.6.4.SORT, RFC 5957 3. */
#include "config.h"

#include "imapd/sort_key.h"

#include <stdlib.h>
#include <string.h>

#include "imapd/base_subject.h"
#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/uni.h"

static const struct {
	const char *name;
	enum sort_kind kind;
} names[] = {{"ARRIVAL", SORT_ARRIVAL}, {"CC", SORT_CC}, {"DATE", SORT_DATE},
    {"DISPLAYFROM", SORT_DISPLAYFROM}, {"DISPLAYTO", SORT_DISPLAYTO}, {"FROM", SORT_FROM},
    {"SIZE", SORT_SIZE}, {"SUBJECT", SORT_SUBJECT}, {"TO", SORT_TO}};

bool
sort_program_parse(struct imap_cur *c, struct sort_program *out)
{
	out->n = 0;
	if (!imap_cur_char(c, '('))
		return false;
	do {
		struct slice word;
		size_t i = 0;
		if (out->n == SORT_CRITERIA_MAX || !imap_cur_atom(c, &word))
			return false;
		out->by[out->n].reverse = slice_caseeq_str(word, "REVERSE");
		if (out->by[out->n].reverse && (!imap_cur_sp(c) || !imap_cur_atom(c, &word)))
			return false;
		while (
		    i < sizeof(names) / sizeof(names[0]) && !slice_caseeq_str(word, names[i].name))
			i++;
		if (i == sizeof(names) / sizeof(names[0]))
			return false;
		out->by[out->n++].kind = names[i].kind;
	} while (imap_cur_sp(c));
	return imap_cur_char(c, ')');
}

/* UTF-8 in the form that is compared, bounded. */
static struct slice
comparable(struct slice utf8, struct arena *a, int *err)
{
	struct buf b;
	struct slice s = slice_of("", 0);
	buf_init(&b, 32 * (size_t)SORT_TEXT_MAX);
	uni_casemap(slice_sub(utf8, 0, SORT_TEXT_MAX), &b);
	if (b.len > 0) {
		s = arena_slice(a, slice_sub(buf_slice(&b), 0, SORT_TEXT_MAX));
		if (s.ptr == NULL) {
			s = slice_of("", 0);
			*err = ERR_NOMEM;
		}
	}
	buf_done(&b);
	return s;
}

/* RFC 5957 3 */
static struct slice
display(const struct envelope_addr *addr, struct arena *a, int *err)
{
	struct buf b;
	buf_init(&b, 262144);
	if (addr->name.ptr != NULL)
		hdr_decode(addr->name, &b);
	if (b.len == 0 && addr->mailbox.ptr != NULL) {
		buf_append_slice(&b, addr->mailbox);
		if (addr->host.ptr != NULL) {
			buf_append_byte(&b, '@');
			buf_append_slice(&b, addr->host);
		}
	}
	struct slice s = comparable(buf_slice(&b), a, err);
	buf_done(&b);
	return s;
}

static struct slice
subject(const struct envelope *e, struct arena *a, bool *is_reply_out, int *err)
{
	struct buf b;
	bool is_reply = false;
	buf_init(&b, (size_t)1 << 20);
	if (e->subject.ptr != NULL)
		base_subject(e->subject, &b, &is_reply);
	struct slice s = comparable(buf_slice(&b), a, err);
	buf_done(&b);
	if (is_reply_out != NULL)
		*is_reply_out = is_reply;
	return s;
}

struct slice
sort_subject(const struct envelope *e, struct arena *a, bool *is_reply_out)
{
	int err = 0;
	return subject(e, a, is_reply_out, &err);
}

int
sort_item_fill(const struct sort_program *p, const struct sort_facts *f, struct arena *a,
    struct sort_value *value)
{
	int err = 0;
	for (size_t i = 0; i < p->n; i++) {
		struct sort_value *v = &value[i];
		*v = (struct sort_value){0, slice_of("", 0)};
		switch (p->by[i].kind) {
		case SORT_ARRIVAL:
			v->number = f->arrival;
			break;
		case SORT_DATE:
			v->number = f->sent;
			break;
		case SORT_SIZE:
			v->number = (int64_t)f->size;
			break;
		case SORT_FROM:
			v->text = comparable(f->env->from.mailbox, a, &err);
			break;
		case SORT_TO:
			v->text = comparable(f->env->to.mailbox, a, &err);
			break;
		case SORT_CC:
			v->text = comparable(f->env->cc.mailbox, a, &err);
			break;
		case SORT_SUBJECT:
			v->text = subject(f->env, a, NULL, &err);
			break;
		case SORT_DISPLAYFROM:
			v->text = display(&f->env->from, a, &err);
			break;
		case SORT_DISPLAYTO:
			v->text = display(&f->env->to, a, &err);
			break;
		}
	}
	return err;
}

static int
compare(const void *x, const void *y, void *arg)
{
	const struct sort_item *a = x, *b = y;
	const struct sort_program *p = arg;
	for (size_t i = 0; i < p->n; i++) {
		const struct sort_value *v = &a->value[i], *w = &b->value[i];
		int r = v->number != w->number ? (v->number < w->number ? -1 : 1)
					       : slice_cmp(v->text, w->text);
		if (r != 0)
			return p->by[i].reverse ? -r : r;
	}
	return a->index < b->index ? -1 : a->index > b->index;
}

void
sort_items(const struct sort_program *p, struct sort_item *items, size_t n)
{
	struct sort_program copy = *p;
	if (n > 1)
		qsort_r(items, n, sizeof(*items), compare, &copy);
}
