/* fetch_item.c: parses what a FETCH asks for. Runs in imapd-session; pure. RFC 3501 6.4.5. */
#include "config.h"

#include "imapd/fetch_item.h"

#include <string.h>

static const struct {
	const char *name;
	enum fetch_kind kind;
} simple_items[] = {
    {"FLAGS", FETCH_FLAGS},
    {"UID", FETCH_UID},
    {"INTERNALDATE", FETCH_INTERNALDATE},
    {"RFC822.SIZE", FETCH_SIZE},
    {"ENVELOPE", FETCH_ENVELOPE},
    {"BODYSTRUCTURE", FETCH_BODYSTRUCTURE},
    {"BODY", FETCH_BODY},
    {"MODSEQ", FETCH_MODSEQ},
    {"EMAILID", FETCH_EMAILID},
    {"THREADID", FETCH_THREADID},
    {"SAVEDATE", FETCH_SAVEDATE},
    {"PREVIEW", FETCH_PREVIEW},
};

/* Letters, digits and "." of an item's name. */
static bool
take_name(struct imap_cur *c, struct slice *out)
{
	size_t n = 0;
	while (n < c->rest.len) {
		unsigned char ch = c->rest.ptr[n];
		if (!((ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') || ch == '.' ||
			(ch >= '0' && ch <= '9')))
			break;
		n++;
	}
	*out = slice_sub(c->rest, 0, n);
	c->rest = slice_from(c->rest, n);
	return n > 0;
}

static bool
parse_fields(struct imap_cur *c, struct arena *a, struct fetch_item *it)
{
	it->fields = arena_calloc(a, FETCH_FIELDS_MAX, sizeof(*it->fields));
	if (it->fields == NULL || !imap_cur_sp(c) || !imap_cur_char(c, '('))
		return false;
	do {
		struct slice s;
		if (it->n_fields == FETCH_FIELDS_MAX || !imap_cur_astring(c, a, &s))
			return false;
		for (size_t i = 0; i < s.len; i++)
			if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7f || s.ptr[i] == ':')
				return false; /* no field name: RFC 5322 2.2 */
		it->fields[it->n_fields++] = s;
	} while (imap_cur_sp(c));
	return imap_cur_char(c, ')');
}

/* "[" section "]": path, then HEADER, HEADER.FIELDS, … */
static bool
parse_section(struct imap_cur *c, struct arena *a, struct fetch_item *it)
{
	struct slice word;
	if (!imap_cur_char(c, '['))
		return false;
	it->text = FETCH_ALL;
	while (c->rest.len > 0 && c->rest.ptr[0] >= '1' && c->rest.ptr[0] <= '9') {
		uint64_t v;
		if (it->n_path == FETCH_PATH_MAX || !imap_cur_number(c, UINT32_MAX, &v))
			return false;
		it->path[it->n_path++] = (uint32_t)v;
		if (!imap_cur_char(c, '.'))
			return imap_cur_char(c, ']');
		if (imap_cur_peek(c, ']'))
			return false;
	}
	if (it->n_path == 0 && imap_cur_char(c, ']'))
		return true;
	if (!take_name(c, &word))
		return false;
	if (slice_caseeq_str(word, "HEADER")) {
		it->text = FETCH_HEADER;
	} else if (slice_caseeq_str(word, "TEXT")) {
		it->text = FETCH_TEXT;
	} else if (slice_caseeq_str(word, "MIME") && it->n_path > 0) {
		it->text = FETCH_MIME;
	} else if (slice_caseeq_str(word, "HEADER.FIELDS") ||
		   slice_caseeq_str(word, "HEADER.FIELDS.NOT")) {
		it->text = FETCH_FIELDS;
		it->fields_not = word.len > 13;
		if (!parse_fields(c, a, it))
			return false;
	} else {
		return false;
	}
	return imap_cur_char(c, ']');
}

/* "<" offset "." count ">" */
static bool
parse_partial(struct imap_cur *c, struct fetch_item *it)
{
	uint64_t off, len;
	if (!imap_cur_char(c, '<'))
		return true;
	if (!imap_cur_number(c, UINT32_MAX, &off) || !imap_cur_char(c, '.') ||
	    !imap_cur_number(c, UINT32_MAX, &len) || len == 0 || !imap_cur_char(c, '>'))
		return false;
	it->partial = true;
	it->off = (uint32_t)off;
	it->len = (uint32_t)len;
	return true;
}

/* The section in the spelling of the answer: keywords in upper case, the field list as asked for. */
static bool
make_label(struct fetch_item *it, struct arena *a)
{
	static const char *const words[] = {"", "HEADER", "HEADER.FIELDS", "MIME", "TEXT"};
	struct buf b;
	buf_init(&b, 65536);
	buf_append_str(&b, it->kind == FETCH_BINARY_SIZE ? "BINARY.SIZE["
			   : it->binary                  ? "BINARY["
							 : "BODY[");
	for (uint32_t i = 0; i < it->n_path; i++)
		buf_appendf(&b, i > 0 ? ".%u" : "%u", it->path[i]);
	if (it->text != FETCH_ALL && it->n_path > 0)
		buf_append_byte(&b, '.');
	buf_append_str(&b, words[it->text]);
	if (it->fields_not)
		buf_append_str(&b, ".NOT");
	for (uint32_t i = 0; i < it->n_fields; i++) {
		struct imap_cur probe = imap_cur_of(it->fields[i]);
		struct slice s;
		bool atom = imap_cur_atom(&probe, &s) && imap_cur_end(&probe);
		buf_append_str(&b, i == 0 ? " (" : " ");
		if (!atom)
			buf_append_byte(&b, '"');
		for (size_t k = 0; k < it->fields[i].len; k++) {
			unsigned char ch = it->fields[i].ptr[k];
			if (!atom && (ch == '"' || ch == '\\'))
				buf_append_byte(&b, '\\');
			buf_append_byte(&b, ch);
		}
		if (!atom)
			buf_append_byte(&b, '"');
	}
	buf_append_str(&b, it->n_fields > 0 ? ")]" : "]");
	if (it->partial)
		buf_appendf(&b, "<%u>", it->off);
	bool good = b.err == 0;
	if (good)
		it->label = arena_slice(a, buf_slice(&b));
	buf_done(&b);
	return good && it->label.ptr != NULL;
}

/* [SP "(" preview-mod *(SP preview-mod) ")"]: RFC 8970 6 */
static bool
parse_lazy(struct imap_cur *c, struct fetch_item *it)
{
	struct imap_cur probe = *c;
	struct slice word;
	if (!imap_cur_sp(&probe) || !imap_cur_char(&probe, '('))
		return true;
	do {
		if (!imap_cur_atom(&probe, &word) || !slice_caseeq_str(word, "LAZY"))
			return false;
	} while (imap_cur_sp(&probe));
	*c = probe;
	it->lazy = true;
	return imap_cur_char(c, ')');
}

static bool
parse_item(struct imap_cur *c, struct arena *a, struct fetch_item *it)
{
	struct slice word;
	memset(it, 0, sizeof(*it));
	if (!take_name(c, &word))
		return false;
	if (imap_cur_peek(c, '[')) {
		it->kind = FETCH_SECTION;
		/* RFC 3516: parts alone, and no piece of a size */
		if (slice_caseeq_str(word, "BINARY.SIZE"))
			it->kind = FETCH_BINARY_SIZE;
		it->peek = slice_caseeq_str(word, "BINARY.PEEK");
		it->binary =
		    it->peek || it->kind == FETCH_BINARY_SIZE || slice_caseeq_str(word, "BINARY");
		if (it->binary)
			return parse_section(c, a, it) && it->text == FETCH_ALL &&
			       (it->kind == FETCH_BINARY_SIZE || parse_partial(c, it)) &&
			       make_label(it, a);
		it->peek = slice_caseeq_str(word, "BODY.PEEK");
		return (it->peek || slice_caseeq_str(word, "BODY")) && parse_section(c, a, it) &&
		       parse_partial(c, it) && make_label(it, a);
	}
	for (size_t i = 0; i < sizeof(simple_items) / sizeof(simple_items[0]); i++) {
		if (slice_caseeq_str(word, simple_items[i].name)) {
			it->kind = simple_items[i].kind;
			return it->kind != FETCH_PREVIEW || parse_lazy(c, it);
		}
	}
	it->kind = FETCH_SECTION;
	if (slice_caseeq_str(word, "RFC822")) {
		it->text = FETCH_ALL;
		it->label = slice_str("RFC822");
	} else if (slice_caseeq_str(word, "RFC822.HEADER")) {
		it->text = FETCH_HEADER;
		it->peek = true;
		it->label = slice_str("RFC822.HEADER");
	} else if (slice_caseeq_str(word, "RFC822.TEXT")) {
		it->text = FETCH_TEXT;
		it->label = slice_str("RFC822.TEXT");
	} else {
		return false;
	}
	return true;
}

static bool
parse_macro(struct imap_cur *c, struct fetch_items *out)
{
	static const struct {
		const char *name;
		size_t n;
	} macros[] = {{"FAST", 3}, {"ALL", 4}, {"FULL", 5}};
	static const enum fetch_kind kinds[] = {
	    FETCH_FLAGS, FETCH_INTERNALDATE, FETCH_SIZE, FETCH_ENVELOPE, FETCH_BODY};
	struct imap_cur probe = *c;
	struct slice word;
	/* alone, or before modifiers (RFC 4466 2.4) */
	if (!take_name(&probe, &word) || !(imap_cur_end(&probe) || imap_cur_peek(&probe, ' ')))
		return false;
	for (size_t m = 0; m < 3; m++) {
		if (!slice_caseeq_str(word, macros[m].name))
			continue;
		for (size_t i = 0; i < macros[m].n; i++)
			out->items[out->n++].kind = kinds[i];
		*c = probe;
		return true;
	}
	return false;
}

bool
fetch_items_parse(struct imap_cur *c, struct arena *a, struct fetch_items *out)
{
	/* two more than a client may ask for: UID and FLAGS are added by the server */
	out->items = arena_calloc(a, FETCH_ITEMS_MAX + 2, sizeof(*out->items));
	out->n = 0;
	if (out->items == NULL)
		return false;
	if (parse_macro(c, out))
		return true;
	bool list = imap_cur_char(c, '(');
	do {
		if (out->n == FETCH_ITEMS_MAX || !parse_item(c, a, &out->items[out->n]))
			return false;
		out->n++;
	} while (list && imap_cur_sp(c));
	return !list || imap_cur_char(c, ')');
}

bool
fetch_items_has(const struct fetch_items *f, enum fetch_kind kind)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->items[i].kind == kind)
			return true;
	return false;
}

bool
fetch_items_want(struct fetch_items *f, enum fetch_kind kind, bool first)
{
	if (fetch_items_has(f, kind))
		return true;
	if (f->n >= FETCH_ITEMS_MAX + 2)
		return false;
	size_t at = first ? 0 : f->n;
	memmove(&f->items[at + 1], &f->items[at], (f->n - at) * sizeof(*f->items));
	memset(&f->items[at], 0, sizeof(*f->items));
	f->items[at].kind = kind;
	f->n++;
	return true;
}
