/* addr.c: address lists of header fields, pure. Runs in ingest (ENVELOPE), imapd-session and the milter.
 *
 * Reads the obsolete grammar of RFC 5322 section 4 and what people write beside any grammar, and tells by *strict whether all of it was by
 * section 3. One pass, no recursion: comments nest by a counter. What cannot be read becomes an entry without a domain, so
 * that nothing disappears from view. RFC 5322 3.4, RFC 6532 3.2. */
#include "lib/addr.h"

#include <string.h>

#include "lib/err.h"
#include "lib/uni.h"

/* Words gathered until it is known what they are. text: as display (one space where white space was); flat: as a local part (none). */
struct words {
	struct buf text, flat;
	bool any, space, bad_atom;
	bool spaced;   /* white space between words: none in a dot-atom */
	bool dot_atom; /* an unquoted dot: not in a phrase of section 3 */
};

struct list {
	struct slice s;
	struct arena *a;
	struct addr **tail;
	size_t n, max;
	bool strict, in_group;
	struct words w;
	struct buf comment; /* the last comment: the name in "a@b (Name)" */
	int err;
};

static bool
is_atext(unsigned char c)
{
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
		return true;
	return (c >= '0' && c <= '9') || c >= 0x80 ||
	       (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static unsigned char
peek(const struct list *l)
{
	return l->s.len > 0 ? l->s.ptr[0] : '\0';
}

static void
skip(struct list *l, size_t n)
{
	l->s = slice_from(l->s, n);
}

/* A comment at s, its text to l->comment. */
static void
take_comment(struct list *l)
{
	size_t i = 0, depth = 0;

	buf_reset(&l->comment);
	for (; i < l->s.len; i++) {
		unsigned char c = l->s.ptr[i];

		if (c == '(' && depth++ == 0)
			continue;
		if (c == ')' && --depth == 0)
			break;
		if (c == '\\' && i + 1 < l->s.len)
			c = l->s.ptr[++i];
		if (c != '\r' && c != '\n')
			buf_append_byte(&l->comment, c);
	}
	if (i == l->s.len)
		l->strict = false;
	skip(l, i + 1);
}

/* White space, folds, comments; whether there was any. */
static bool
skip_cfws(struct list *l)
{
	bool any = false;

	while (l->s.len > 0) {
		unsigned char c = peek(l);

		if (c == '(')
			take_comment(l);
		else if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
			skip(l, 1);
		else
			break;
		any = true;
	}
	return any;
}

static void
words_reset(struct words *w)
{
	buf_reset(&w->text);
	buf_reset(&w->flat);
	w->any = w->space = w->bad_atom = w->spaced = w->dot_atom = false;
}

static void
word_begin(struct words *w)
{
	if (w->any && w->space) {
		buf_append_byte(&w->text, ' ');
		w->spaced = true;
	}
	w->any = true;
	w->space = false;
}

static void
take_quoted(struct list *l)
{
	size_t i = 1;

	word_begin(&l->w);
	for (; i < l->s.len && l->s.ptr[i] != '"'; i++) {
		unsigned char c = l->s.ptr[i];

		if (c == '\r' || c == '\n')
			continue;
		if (c == '\\' && i + 1 < l->s.len)
			c = l->s.ptr[++i];
		if (c < 0x20 && c != '\t')
			l->strict = false;
		buf_append_byte(&l->w.text, c);
		buf_append_byte(&l->w.flat, c);
	}
	if (i >= l->s.len)
		l->strict = false;
	skip(l, i + 1);
}

static void
take_atom(struct list *l)
{
	size_t n = 0;

	word_begin(&l->w);
	while (n < l->s.len && (is_atext(l->s.ptr[n]) || l->s.ptr[n] == '.'))
		n++;
	for (size_t i = 0; i < n; i++)
		if (l->s.ptr[i] == '.') {
			l->w.dot_atom = true;
			if (i == 0 || i + 1 == n || l->s.ptr[i + 1] == '.')
				l->w.bad_atom = true;
		}
	buf_append(&l->w.text, l->s.ptr, n);
	buf_append(&l->w.flat, l->s.ptr, n);
	skip(l, n);
}

/* Words up to one of the characters that end them. */
static void
take_words(struct list *l)
{
	for (;;) {
		unsigned char c;

		if (skip_cfws(l))
			l->w.space = true;
		if (l->s.len == 0)
			return;
		c = peek(l);
		if (c == '"') {
			take_quoted(l);
		} else if (is_atext(c) || c == '.') {
			take_atom(l);
		} else if (c == '<' || c == ':' || c == '@' || c == ',' || c == ';') {
			return;
		} else { /* a control, ")", ">", "[", "]", "\": no place here */
			l->strict = false;
			skip(l, 1);
		}
	}
}

/* A domain or literal up to what ends it, into the arena. */
static struct slice
take_domain(struct list *l)
{
	struct buf d;
	struct slice out;
	bool space = false;

	buf_init(&d, 1024);
	for (;;) {
		unsigned char c;
		size_t n = 0;

		space = skip_cfws(l) && d.len > 0;
		c = peek(l);
		if (c == '[') {
			while (n < l->s.len && l->s.ptr[n] != ']')
				n++;
			n += n < l->s.len;
		} else {
			while (n < l->s.len && (is_atext(l->s.ptr[n]) || l->s.ptr[n] == '.'))
				n++;
		}
		if (n == 0 || (space && d.data[d.len - 1] != '.' && c != '.'))
			break;
		if (space || (d.len > 0 && c == '['))
			l->strict = false; /* RFC 5322 4.4 */
		buf_append(&d, l->s.ptr, n);
		skip(l, n);
	}
	if (d.err != 0 || d.len == 0 || d.data[0] == '.' || d.data[d.len - 1] == '.')
		l->strict = false;
	out = arena_slice(l->a, buf_slice(&d));
	if (out.ptr == NULL)
		l->err = ERR_NOMEM;
	buf_done(&d);
	return out;
}

static struct addr *
add_entry(struct list *l, enum addr_kind kind)
{
	struct addr *e;

	if (l->n == l->max) {
		l->err = ERR_LIMIT;
		return NULL;
	}
	e = arena_alloc(l->a, sizeof(*e));
	if (e == NULL) {
		l->err = ERR_NOMEM;
		return NULL;
	}
	e->kind = kind;
	*l->tail = e;
	l->tail = &e->next;
	l->n++;
	return e;
}

static struct slice
keep(struct list *l, const struct buf *b)
{
	struct slice s = b->err == 0 ? arena_slice(l->a, buf_slice(b)) : slice_of(NULL, 0);

	if (s.ptr == NULL)
		l->err = b->err != 0 ? b->err : ERR_NOMEM;
	else if (!uni_valid(s))
		l->strict = false;
	return s;
}

/* The words as a local part. */
static struct slice
keep_local(struct list *l)
{
	if (l->w.bad_atom || l->w.spaced || !l->w.any)
		l->strict = false;
	return keep(l, l->w.spaced ? &l->w.text : &l->w.flat);
}

/* RFC 5322 4.4: "@a,@b:" before the address. */
static struct slice
take_route(struct list *l)
{
	struct buf r;
	struct slice out;

	l->strict = false;
	buf_init(&r, 1024);
	while (peek(l) == '@' || peek(l) == ',') {
		unsigned char c = peek(l);

		skip(l, 1);
		if (c == '@') {
			struct slice d = take_domain(l);

			if (r.len > 0)
				buf_append_byte(&r, ',');
			buf_append_byte(&r, '@');
			buf_append_slice(&r, d);
		}
		skip_cfws(l);
	}
	if (peek(l) == ':')
		skip(l, 1);
	out = keep(l, &r);
	buf_done(&r);
	return out;
}

/* "<…>" behind the display name in w. */
static void
take_angle(struct list *l)
{
	struct addr *e;

	if (l->w.dot_atom)
		l->strict = false;
	e = add_entry(l, ADDR_MAILBOX);
	if (e == NULL)
		return;
	e->display = keep(l, &l->w.text);
	words_reset(&l->w);
	skip(l, 1);
	skip_cfws(l);
	if (peek(l) == '@')
		e->route = take_route(l);
	take_words(l);
	e->local = keep_local(l);
	if (peek(l) == '@') {
		skip(l, 1);
		e->domain = take_domain(l);
	} else {
		l->strict = false;
	}
	skip_cfws(l);
	if (peek(l) == '>')
		skip(l, 1);
	else
		l->strict = false;
	words_reset(&l->w);
}

/* "local@domain", or "a@b <c@d>", where what looks like an address is the name. */
static void
take_bare(struct list *l)
{
	struct slice domain, local;
	struct addr *e;

	buf_reset(&l->comment);
	local = keep_local(l);
	skip(l, 1);
	domain = take_domain(l);
	skip_cfws(l);
	if (peek(l) == '<') {
		l->strict = false;
		buf_append_byte(&l->w.text, '@');
		buf_append_slice(&l->w.text, domain);
		take_angle(l);
		return;
	}
	e = add_entry(l, ADDR_MAILBOX);
	if (e == NULL)
		return;
	e->local = local;
	e->domain = domain;
	e->display = keep(l, &l->comment);
	words_reset(&l->w);
}

/* Words alone. */
static void
take_lone(struct list *l)
{
	struct addr *e;

	if (!l->w.any)
		return;
	l->strict = false;
	e = add_entry(l, ADDR_MAILBOX);
	if (e != NULL)
		e->local = keep(l, &l->w.text);
	words_reset(&l->w);
}

static void
group_start(struct list *l)
{
	struct addr *e;

	skip(l, 1);
	if (l->in_group || !l->w.any) { /* a colon out of place */
		l->strict = false;
		l->w.space = true;
		return;
	}
	if (l->w.dot_atom)
		l->strict = false;
	e = add_entry(l, ADDR_GROUP_START);
	if (e != NULL)
		e->display = keep(l, &l->w.text);
	words_reset(&l->w);
	l->in_group = true;
}

static void
group_end(struct list *l)
{
	take_lone(l);
	if (l->in_group && l->err == 0)
		add_entry(l, ADDR_GROUP_END);
	l->in_group = false;
}

/* Entries until the end; after_entry: one was read and a comma must follow (RFC 5322 3.4). */
static void
run(struct list *l)
{
	bool after_entry = false, want_entry = true;

	while (l->err == 0) {
		unsigned char c;

		take_words(l);
		if (l->w.any && after_entry)
			l->strict = false;
		if (l->s.len == 0)
			break;
		c = peek(l);
		if (c == '<' || c == '@') {
			if (after_entry)
				l->strict = false;
			if (c == '<')
				take_angle(l);
			else
				take_bare(l);
			after_entry = true;
		} else if (c == ':') {
			group_start(l);
			after_entry = false;
			want_entry = false; /* a group may be empty */
		} else if (c == ';') {
			if (!l->in_group)
				l->strict = false;
			skip(l, 1);
			group_end(l);
			after_entry = true;
		} else {
			if (!after_entry && !l->w.any)
				l->strict = false; /* RFC 5322 4.4: empty elements */
			skip(l, 1);
			take_lone(l);
			after_entry = false;
			want_entry = true;
		}
	}
	if (l->err != 0)
		return;
	if (!after_entry && !l->w.any && want_entry)
		l->strict = false;
	if (l->in_group) {
		l->strict = false;
		group_end(l);
	} else {
		take_lone(l);
	}
}

int
addr_list_parse(
    struct slice field_body, size_t max, struct arena *a, struct addr **list_out, bool *strict_out)
{
	struct addr *head = NULL;
	struct list l = {.s = field_body, .a = a, .tail = &head, .max = max, .strict = true};

	buf_init(&l.w.text, field_body.len + 1024);
	buf_init(&l.w.flat, field_body.len + 1024);
	buf_init(&l.comment, field_body.len + 1);
	run(&l);
	buf_done(&l.w.text);
	buf_done(&l.w.flat);
	buf_done(&l.comment);
	if (l.err != 0)
		return l.err;
	*list_out = head;
	if (strict_out != NULL)
		*strict_out = l.strict;
	return 0;
}
