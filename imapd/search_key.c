/* search_key.c: parses search programs. Runs in imapd-session; pure. RFC 3501 6.4.4.
 * Invariants: bounded depth, keys and texts, whatever the client sends. */
#include "config.h"

#include "imapd/search_key.h"

#include <string.h>

#include "imapd/view.h"
#include "lib/err.h"
#include "lib/fold.h"
#include "lib/utf7.h"

struct parse {
	struct arena *a;
	struct search_prog *p;
	unsigned depth;
};
static int parse_key(struct parse *ps, struct imap_cur *c, struct search_key **out);

static struct search_key *
new_key(struct parse *ps, enum search_kind kind)
{
	if (++ps->p->n_keys > SEARCH_KEYS_MAX)
		return NULL;
	struct search_key *k = arena_alloc(ps->a, sizeof(*k));
	if (k != NULL)
		k->kind = kind;
	return k;
}

enum arg {
	ARG_NONE,
	ARG_TEXT,
	ARG_FIELD,
	ARG_WORD,
	ARG_DATE,
	ARG_SIZE,
	ARG_SET,
	ARG_KEY,
	ARG_KEYS,
	ARG_MODSEQ
};

/* One row for each search key. param: flag bit, operator; negated keys are NOT of the key. */
static const struct keyword {
	const char *name;
	enum search_kind kind;
	enum arg arg;
	uint32_t param;
	bool negated;
	const char *field;
} keywords[] = {
    {"ALL", SEARCH_AND, ARG_NONE, 0, false, NULL},
    {"ANSWERED", SEARCH_FLAG, ARG_NONE, MSG_ANSWERED, false, NULL},
    {"BCC", SEARCH_HEADER, ARG_TEXT, 0, false, "Bcc"},
    {"BEFORE", SEARCH_INTERNAL, ARG_DATE, SEARCH_BEFORE, false, NULL},
    {"BODY", SEARCH_BODY, ARG_TEXT, 0, false, NULL},
    {"CC", SEARCH_HEADER, ARG_TEXT, 0, false, "Cc"},
    {"DELETED", SEARCH_FLAG, ARG_NONE, MSG_DELETED, false, NULL},
    {"DRAFT", SEARCH_FLAG, ARG_NONE, MSG_DRAFT, false, NULL},
    {"EMAILID", SEARCH_EMAILID, ARG_WORD, 0, false, NULL},
    {"FLAGGED", SEARCH_FLAG, ARG_NONE, MSG_FLAGGED, false, NULL},
    {"FROM", SEARCH_HEADER, ARG_TEXT, 0, false, "From"},
    {"HEADER", SEARCH_HEADER, ARG_FIELD, 0, false, NULL},
    {"KEYWORD", SEARCH_KEYWORD, ARG_WORD, 0, false, NULL},
    {"LARGER", SEARCH_SIZE, ARG_SIZE, SEARCH_SINCE, false, NULL},
    {"MODSEQ", SEARCH_MODSEQ, ARG_MODSEQ, 0, false, NULL},
    {"NEW", SEARCH_FLAG, ARG_NONE, VIEW_RECENT, false, NULL}, /* and UNSEEN: see parse_new */
    {"NOT", SEARCH_NOT, ARG_KEY, 0, false, NULL},
    {"OLD", SEARCH_FLAG, ARG_NONE, VIEW_RECENT, true, NULL},
    {"OLDER", SEARCH_WITHIN, ARG_SIZE, SEARCH_BEFORE, false, NULL},
    {"ON", SEARCH_INTERNAL, ARG_DATE, SEARCH_ON, false, NULL},
    {"OR", SEARCH_OR, ARG_KEYS, 0, false, NULL},
    {"RECENT", SEARCH_FLAG, ARG_NONE, VIEW_RECENT, false, NULL},
    {"SAVEDATESUPPORTED", SEARCH_AND, ARG_NONE, 0, false, NULL}, /* RFC 8514 4.3: all of them */
    {"SAVEDBEFORE", SEARCH_SAVED, ARG_DATE, SEARCH_BEFORE, false, NULL},
    {"SAVEDON", SEARCH_SAVED, ARG_DATE, SEARCH_ON, false, NULL},
    {"SAVEDSINCE", SEARCH_SAVED, ARG_DATE, SEARCH_SINCE, false, NULL},
    {"SEEN", SEARCH_FLAG, ARG_NONE, MSG_SEEN, false, NULL},
    {"SENTBEFORE", SEARCH_SENT, ARG_DATE, SEARCH_BEFORE, false, NULL},
    {"SENTON", SEARCH_SENT, ARG_DATE, SEARCH_ON, false, NULL},
    {"SENTSINCE", SEARCH_SENT, ARG_DATE, SEARCH_SINCE, false, NULL},
    {"SINCE", SEARCH_INTERNAL, ARG_DATE, SEARCH_SINCE, false, NULL},
    {"SMALLER", SEARCH_SIZE, ARG_SIZE, SEARCH_BEFORE, false, NULL},
    {"SUBJECT", SEARCH_HEADER, ARG_TEXT, 0, false, "Subject"},
    {"TEXT", SEARCH_TEXT, ARG_TEXT, 0, false, NULL},
    {"THREADID", SEARCH_AND, ARG_WORD, 0, true, NULL}, /* RFC 8474 5.3: no message has one */
    {"TO", SEARCH_HEADER, ARG_TEXT, 0, false, "To"},
    {"UID", SEARCH_UID, ARG_SET, 0, false, NULL},
    {"UNANSWERED", SEARCH_FLAG, ARG_NONE, MSG_ANSWERED, true, NULL},
    {"UNDELETED", SEARCH_FLAG, ARG_NONE, MSG_DELETED, true, NULL},
    {"UNDRAFT", SEARCH_FLAG, ARG_NONE, MSG_DRAFT, true, NULL},
    {"UNFLAGGED", SEARCH_FLAG, ARG_NONE, MSG_FLAGGED, true, NULL},
    {"UNKEYWORD", SEARCH_KEYWORD, ARG_WORD, 0, true, NULL},
    {"UNSEEN", SEARCH_FLAG, ARG_NONE, MSG_SEEN, true, NULL},
    {"YOUNGER", SEARCH_WITHIN, ARG_SIZE, SEARCH_SINCE, false, NULL},
};

static int
parse_needle(struct parse *ps, struct imap_cur *c, struct search_key *k)
{
	struct slice s;
	if (!imap_cur_astring(c, ps->a, &s) || !utf8_valid(s))
		return ERR_SYNTAX;
	struct buf folded;
	buf_init(&folded, 262144);
	int err = vn_fold(s, &folded);
	if (err == 0) {
		k->needle = arena_slice(ps->a, buf_slice(&folded));
		if (folded.len > 0 && k->needle.ptr == NULL)
			err = ERR_NOMEM;
	}
	buf_done(&folded);
	if (err == 0 && (k->kind == SEARCH_BODY || k->kind == SEARCH_TEXT)) {
		if (ps->p->n_texts == SEARCH_TEXTS_MAX)
			return ERR_LIMIT;
		k->text = ps->p->n_texts;
		ps->p->texts[ps->p->n_texts++] = k;
	}
	return err;
}

static int
parse_arg(struct parse *ps, struct imap_cur *c, const struct keyword *kw, struct search_key *k)
{
	int err;
	if (kw->arg != ARG_NONE && !imap_cur_sp(c))
		return ERR_SYNTAX;
	switch (kw->arg) {
	case ARG_NONE:
		k->flag = kw->param;
		return 0;
	case ARG_FIELD:
		if (!imap_cur_astring(c, ps->a, &k->word) || !imap_cur_sp(c))
			return ERR_SYNTAX;
		return parse_needle(ps, c, k);
	case ARG_TEXT:
		k->word = slice_str(kw->field);
		return parse_needle(ps, c, k);
	case ARG_WORD:
		return imap_cur_atom(c, &k->word) ? 0 : ERR_SYNTAX;
	case ARG_DATE:
		k->op = (enum search_op)kw->param;
		return imap_cur_date(c, &k->day) ? 0 : ERR_SYNTAX;
	case ARG_SIZE:
		k->op = (enum search_op)kw->param;
		if (!imap_cur_number(c, UINT64_MAX, &k->size))
			return ERR_SYNTAX;
		/* RFC 5032 3: nz-number */
		return kw->kind == SEARCH_WITHIN && (k->size == 0 || k->size > UINT32_MAX)
			   ? ERR_SYNTAX
			   : 0;
	case ARG_SET:
		return imap_cur_set(c, ps->a, &k->set) ? 0 : ERR_SYNTAX;
	case ARG_MODSEQ:
		ps->p->modseq = true;
		/* an entry name and type: kept for all metadata alike here, RFC 7162 3.1.5 */
		if (imap_cur_peek(c, '"') &&
		    (!imap_cur_string(c, ps->a, &k->word) || !imap_cur_sp(c) ||
			!imap_cur_atom(c, &k->word) || !imap_cur_sp(c)))
			return ERR_SYNTAX;
		return imap_cur_number(c, INT64_MAX, &k->size) ? 0 : ERR_SYNTAX;
	case ARG_KEY:
		return parse_key(ps, c, &k->child);
	case ARG_KEYS:
		err = parse_key(ps, c, &k->child);
		if (err == 0)
			err = imap_cur_sp(c) ? parse_key(ps, c, &k->child->next) : ERR_SYNTAX;
		return err;
	}
	return ERR_SYNTAX;
}

/* key *(SP key), up to ")" or the end. */
static int
parse_keys(struct parse *ps, struct imap_cur *c, struct search_key **out)
{
	struct search_key *and = new_key(ps, SEARCH_AND);
	if (and == NULL)
		return ERR_LIMIT;
	struct search_key **at = &and->child;
	do {
		int err = parse_key(ps, c, at);
		if (err)
			return err;
		at = &(*at)->next;
	} while (imap_cur_sp(c));
	*out = and;
	return 0;
}

static int
parse_named(struct parse *ps, struct imap_cur *c, struct search_key **out)
{
	struct slice word;
	const struct keyword *kw = NULL;
	if (!imap_cur_atom(c, &word))
		return ERR_SYNTAX;
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (slice_caseeq_str(word, keywords[i].name))
			kw = &keywords[i];
	if (kw == NULL)
		return ERR_SYNTAX;
	struct search_key *k = new_key(ps, kw->kind);
	if (k == NULL)
		return ERR_LIMIT;
	int err = parse_arg(ps, c, kw, k);
	if (err)
		return err;
	*out = k;
	bool is_new = slice_caseeq_str(word, "NEW");
	if (!kw->negated && !is_new)
		return 0;
	struct search_key *neg = new_key(ps, SEARCH_NOT);
	if (neg == NULL)
		return ERR_LIMIT;
	if (!is_new) {
		neg->child = k;
		*out = neg;
		return 0;
	}
	/* NEW: RECENT and UNSEEN */
	struct search_key *and = new_key(ps, SEARCH_AND), *seen = new_key(ps, SEARCH_FLAG);
	if (and == NULL || seen == NULL)
		return ERR_LIMIT;
	seen->flag = MSG_SEEN;
	neg->child = seen;
	and->child = k;
	k->next = neg;
	*out = and;
	return 0;
}

static int
parse_key(struct parse *ps, struct imap_cur *c, struct search_key **out)
{
	if (++ps->depth > SEARCH_DEPTH_MAX)
		return ERR_LIMIT;
	int err;
	if (imap_cur_char(c, '(')) {
		err = parse_keys(ps, c, out);
		if (err == 0 && !imap_cur_char(c, ')'))
			err = ERR_SYNTAX;
	} else if (c->rest.len > 0 && (c->rest.ptr[0] == '*' || c->rest.ptr[0] == '$' ||
					  (c->rest.ptr[0] >= '0' && c->rest.ptr[0] <= '9'))) {
		struct search_key *k = new_key(ps, SEARCH_SEQ);
		err = k == NULL ? ERR_LIMIT : imap_cur_set(c, ps->a, &k->set) ? 0 : ERR_SYNTAX;
		*out = k;
	} else {
		err = parse_named(ps, c, out);
	}
	ps->depth--;
	return err;
}

static int
parse_charset(struct imap_cur *c, struct arena *a)
{
	struct slice charset;
	if (!imap_cur_astring(c, a, &charset) || !imap_cur_sp(c))
		return ERR_SYNTAX;
	bool good = slice_caseeq_str(charset, "UTF-8") || slice_caseeq_str(charset, "US-ASCII");
	return good ? 0 : ERR_UNSUPPORTED;
}

static int
parse_program(struct imap_cur *c, struct arena *a, struct search_prog *out)
{
	struct parse ps = {a, out, 0};
	int err = parse_keys(&ps, c, &out->root);
	if (err == 0 && !imap_cur_end(c))
		err = ERR_SYNTAX;
	return err;
}

int
search_prog_parse(struct imap_cur *c, struct arena *a, struct search_prog *out)
{
	struct imap_cur probe = *c;
	struct slice word;
	int err = 0;
	memset(out, 0, sizeof(*out));
	if (imap_cur_atom(&probe, &word) && slice_caseeq_str(word, "CHARSET")) {
		out->has_charset = true;
		*c = probe;
		err = imap_cur_sp(c) ? parse_charset(c, a) : ERR_SYNTAX;
	}
	return err ? err : parse_program(c, a, out);
}

int
search_prog_parse_charset(struct imap_cur *c, struct arena *a, struct search_prog *out)
{
	memset(out, 0, sizeof(*out));
	int err = parse_charset(c, a);
	return err ? err : parse_program(c, a, out);
}

static void
resolve(struct search_key *k, uint32_t max_seq, uint32_t max_uid, const struct seqset *saved)
{
	for (; k != NULL; k = k->next) {
		bool is_set = k->kind == SEARCH_SEQ || k->kind == SEARCH_UID;
		if (is_set && k->set.saved) {
			k->kind = SEARCH_UID;
			k->set = *saved;
		} else if (is_set) {
			seqset_resolve(&k->set, k->kind == SEARCH_SEQ ? max_seq : max_uid);
		}
		resolve(k->child, max_seq, max_uid, saved);
	}
}

void
search_prog_resolve(
    struct search_prog *p, uint32_t max_seq, uint32_t max_uid, const struct seqset *saved)
{
	resolve(p->root, max_seq, max_uid, saved);
}
