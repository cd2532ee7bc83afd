/* trace_line.c: whether a line of the audit log is one that is looked for, without parsing it: a million of them in seconds. Pure; runs in congvu. A line is
 * canonical JSON (lib/json.h): no spaces, ASCII, a quotation mark inside a string is escaped, so "key":" with its own marks stands there as a key
 * and nowhere inside a text. */
#include "config.h"

#include "admin/ctl_trace.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/fold.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TAIL = 128, WORDS_MAX = 16, WORD_MAX = 256, VALUE_MAX = 8192 };

struct trace_filter {
	const struct trace_want *want;
	struct buf qid, ids[2], digest, rules[2], action; /* octets that the line has */
	struct slice words[WORDS_MAX];                    /* of --subject, folded */
	size_t n_words;
	struct buf subject, attachment;
};

/* memmem is several times faster than what buf.h has for long lines. */
static const unsigned char *
find(struct slice s, const char *what, size_t n)
{
	return s.len == 0 ? NULL : memmem(s.ptr, s.len, what, n);
}

/* The octets up to the mark that ends the string at s. */
static struct slice
string_at(struct slice s)
{
	size_t i = 0;

	while (i < s.len && s.ptr[i] != '"')
		i += s.ptr[i] == '\\' && i + 1 < s.len ? 2 : 1;
	return slice_sub(s, 0, i);
}

/* The next string that stands under key ("\"from\":"), by itself or in an array of strings, behind *rest. */
static bool
next_value(struct slice *rest, const char *key, bool *in_array, struct slice *out)
{
	if (!*in_array) {
		const unsigned char *p = find(*rest, key, strlen(key));

		if (p == NULL)
			return false;
		*rest = slice_from(*rest, (size_t)(p - rest->ptr) + strlen(key));
		if (rest->len > 1 && rest->ptr[0] == '[') {
			*in_array = true;
			*rest = slice_from(*rest, 1);
		}
	} else if (rest->len > 0 && rest->ptr[0] == ',') {
		*rest = slice_from(*rest, 1);
	}
	if (rest->len == 0 || rest->ptr[0] != '"') {
		*out = slice_of(rest->ptr, 0);
		*in_array = false;
		return true;
	}
	*out = string_at(slice_from(*rest, 1));
	*rest = slice_from(*rest, out->len + 2);
	return true;
}

/* ASCII case does not count. */
static bool
contains(struct slice s, const char *what, size_t n)
{
	for (size_t i = 0; i + n <= s.len; i++)
		if (strncasecmp((const char *)s.ptr + i, what, n) == 0)
			return true;
	return n == 0;
}

/* A raw value, decoded. */
static bool
decode(struct slice raw, struct buf *out)
{
	struct json *j = NULL;
	bool ok;

	if (memchr(raw.ptr, '\\', raw.len) == NULL)
		return buf_append_slice(out, raw) == 0;
	/* with its quotation marks it is a JSON value */
	ok = json_parse(slice_of(raw.ptr - 1, raw.len + 2), &j) == 0;
	ok = ok && buf_append_slice(out, json_str(j)) == 0;
	json_free(j);
	return ok;
}

static bool
holds(struct slice raw, const char *text)
{
	struct slice t = slice_str(text);
	struct buf value, folded, want;
	bool yes;

	if (raw.len == 0)
		return false;
	if (slice_is_ascii(t) && memchr(raw.ptr, '\\', raw.len) == NULL)
		return contains(raw, text, t.len);
	buf_init(&value, VALUE_MAX);
	buf_init(&folded, 4 * VALUE_MAX);
	buf_init(&want, 4 * VALUE_MAX);
	yes = decode(raw, &value) && case_fold(buf_slice(&value), &folded) == 0 &&
	      case_fold(t, &want) == 0 && slice_find(buf_slice(&folded), buf_slice(&want)) >= 0;
	buf_done(&value);
	buf_done(&folded);
	buf_done(&want);
	return yes;
}

static bool
any_holds(struct slice line, const char *const *keys, const char *text)
{
	struct slice rest, v;
	bool in_array;

	for (; *keys != NULL; keys++) {
		rest = line;
		in_array = false;
		while (next_value(&rest, *keys, &in_array, &v))
			if (holds(v, text))
				return true;
	}
	return false;
}

/* Folded as people search: without case and marks, each word anywhere. */
static bool
folded_holds(struct slice raw, const struct slice *words, size_t n)
{
	struct buf value, folded;
	bool yes;

	if (raw.len == 0)
		return false;
	buf_init(&value, VALUE_MAX);
	buf_init(&folded, 4 * VALUE_MAX);
	yes = decode(raw, &value) && vn_fold(buf_slice(&value), &folded) == 0;
	for (size_t i = 0; yes && i < n; i++)
		yes = slice_find(buf_slice(&folded), words[i]) >= 0;
	buf_done(&value);
	buf_done(&folded);
	return yes;
}

static bool
any_folded_holds(struct slice line, const char *key, const struct slice *words, size_t n)
{
	struct slice rest = line, v;
	bool in_array = false;

	while (next_value(&rest, key, &in_array, &v))
		if (folded_holds(v, words, n))
			return true;
	return false;
}

static bool
has(struct slice line, const struct buf *b)
{
	return find(line, (const char *)b->data, b->len) != NULL;
}

struct slice
trace_line_ts(struct slice line)
{
	static const char key[] = "\"ts\":\"";
	struct slice tail = slice_from(line, line.len > TAIL ? line.len - TAIL : 0);
	const unsigned char *p = find(tail, key, sizeof key - 1);

	if (p == NULL) { /* records of a kind whose keys go beyond "ts" */
		tail = line;
		p = find(tail, key, sizeof key - 1);
	}
	if (p == NULL)
		return slice_of(NULL, 0);
	return slice_sub(tail, (size_t)(p - tail.ptr) + sizeof key - 1, TRACE_TIME_LEN);
}

struct slice
trace_line_qid(struct slice line)
{
	struct slice rest = line, v;
	bool in_array = false;

	return next_value(&rest, "\"qid\":", &in_array, &v) ? v : slice_of(NULL, 0);
}

bool
trace_span_has(const struct trace_span *s, struct slice ts)
{
	size_t since = strlen(s->since), until = strlen(s->until);

	return (since == 0 || slice_cmp(ts, slice_str(s->since)) >= 0) &&
	       (until == 0 || slice_cmp(slice_sub(ts, 0, until), slice_str(s->until)) <= 0);
}

bool
trace_filter_has(const struct trace_filter *f, struct slice line)
{
	static const char *const senders[] = {"\"from\":", "\"hdr_from\":", NULL};
	static const char *const rcpts[] = {"\"rcpts\":", "\"address\":", NULL};
	static const char *const logins[] = {"\"auth\":", NULL};
	const struct trace_want *w = f->want;

	if ((w->span.since[0] != '\0' || w->span.until[0] != '\0') &&
	    !trace_span_has(&w->span, trace_line_ts(line)))
		return false;
	if ((w->qid != NULL && !has(line, &f->qid)) ||
	    (w->message_id != NULL && !has(line, &f->ids[0]) && !has(line, &f->ids[1])) ||
	    (w->digest != NULL && !has(line, &f->digest)) ||
	    (w->rule != NULL && !has(line, &f->rules[0]) && !has(line, &f->rules[1])) ||
	    (w->action != NULL && !has(line, &f->action)))
		return false;
	if (trace_line_qid(line).len == 0)
		return false;
	return (w->from == NULL || any_holds(line, senders, w->from)) &&
	       (w->to == NULL || any_holds(line, rcpts, w->to)) &&
	       (w->login == NULL || any_holds(line, logins, w->login)) &&
	       (w->subject == NULL ||
		   any_folded_holds(line, "\"subject\":", f->words, f->n_words)) &&
	       (w->attachment == NULL ||
		   any_folded_holds(line, "\"name_norm\":",
		       &(struct slice){f->attachment.data, f->attachment.len}, 1));
}

/* ---- what is looked for ---- */

static void
hash_pattern(struct slice id, struct buf *out)
{
	unsigned char digest[32];
	char hex[65];

	sha256_of(id, digest);
	hex_encode(digest, sizeof digest, hex);
	buf_appendf(out, "\"msgid_sha256\":\"%s\"", hex);
}

static void
read_words(struct trace_filter *f, const char *text)
{
	struct slice rest;

	if (vn_fold(slice_str(text), &f->subject) != 0)
		return;
	rest = buf_slice(&f->subject);
	while (rest.len > 0 && f->n_words < WORDS_MAX) {
		ptrdiff_t sp = slice_index(rest, ' ');
		size_t n = sp < 0 ? rest.len : (size_t)sp;

		if (n > 0)
			f->words[f->n_words++] = slice_sub(rest, 0, n);
		rest = slice_from(rest, sp < 0 ? n : n + 1);
	}
}

/* A value that stands in the log as it is: letters, digits and a few signs. */
static bool
is_plain(const char *s, const char *more)
{
	size_t n = strlen(s);

	if (n == 0 || n > WORD_MAX)
		return false;
	for (; *s != '\0'; s++)
		if (!((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') ||
			(*s >= 'A' && *s <= 'Z') || strchr(more, *s) != NULL))
			return false;
	return true;
}

static void
lower(struct buf *b, size_t from)
{
	for (size_t i = from; i < b->len; i++)
		if (b->data[i] >= 'A' && b->data[i] <= 'Z')
			b->data[i] += 32;
}

static int
refuse(const struct trace_want *w, struct ctl *c)
{
	unsigned char digest[32];

	if (w->qid != NULL && !is_plain(w->qid, "-_."))
		return ctl_usage(c, "%s", _("that is no queue id"));
	if (w->digest != NULL &&
	    (strlen(w->digest) != 64 || hex_decode(slice_str(w->digest), digest, 32) != 0))
		return ctl_usage(c, "%s", _("a SHA-256 has 64 hexadecimal digits"));
	if ((w->rule != NULL && !is_plain(w->rule, "-_.")) ||
	    (w->action != NULL && !is_plain(w->action, "")))
		return ctl_usage(c, "%s", _("that is no name of a rule, or of an action"));
	if ((w->subject != NULL && strlen(w->subject) > WORD_MAX) ||
	    (w->attachment != NULL && strlen(w->attachment) > WORD_MAX) ||
	    (w->message_id != NULL && strlen(w->message_id) > 1000))
		return ctl_usage(c, "%s", _("what is looked for is too long"));
	return 0;
}

struct trace_filter *
trace_filter_new(struct ctl *c, const struct trace_want *w)
{
	struct trace_filter *f;
	struct buf *all[9];
	struct buf id;
	size_t n = 0;

	if (refuse(w, c) != 0)
		return NULL;
	f = xcalloc(1, sizeof *f);
	all[n++] = &f->qid;
	all[n++] = &f->ids[0];
	all[n++] = &f->ids[1];
	all[n++] = &f->digest;
	all[n++] = &f->rules[0];
	all[n++] = &f->rules[1];
	all[n++] = &f->action;
	all[n++] = &f->subject;
	all[n++] = &f->attachment;
	for (size_t i = 0; i < n; i++)
		buf_init(all[i], 4096);
	f->want = w;
	if (w->qid != NULL)
		buf_appendf(&f->qid, "\"qid\":\"%s\"", w->qid);
	if (w->message_id != NULL) {
		hash_pattern(slice_str(w->message_id), &f->ids[0]);
		buf_init(&id, 4096);
		buf_appendf(&id, "<%s>", w->message_id);
		hash_pattern(buf_slice(&id), &f->ids[1]);
		buf_done(&id);
	}
	if (w->digest != NULL) {
		buf_appendf(&f->digest, "sha256\":\"%s\"", w->digest);
		lower(&f->digest, 8);
	}
	if (w->rule != NULL) {
		buf_appendf(&f->rules[0], "\"rule\":\"%s\"", w->rule);
		buf_appendf(&f->rules[1], "\"id\":\"%s\"", w->rule);
	}
	if (w->action != NULL)
		buf_appendf(&f->action, "\"action\":\"%s\"", w->action);
	if (w->subject != NULL)
		read_words(f, w->subject);
	if (w->attachment != NULL)
		vn_fold(slice_str(w->attachment), &f->attachment);
	return f;
}

void
trace_filter_free(struct trace_filter *f)
{
	if (f == NULL)
		return;
	buf_done(&f->qid);
	buf_done(&f->ids[0]);
	buf_done(&f->ids[1]);
	buf_done(&f->digest);
	buf_done(&f->rules[0]);
	buf_done(&f->rules[1]);
	buf_done(&f->action);
	buf_done(&f->subject);
	buf_done(&f->attachment);
	free(f);
}

int
trace_group(struct slice qid, char out[TRACE_GROUP_MAX + 1])
{
	unsigned char id[8];

	if (qid.len == 0 || qid.len > TRACE_GROUP_MAX || memchr(qid.ptr, '\\', qid.len) != NULL)
		return ERR_LIMIT;
	memcpy(out, qid.ptr, qid.len);
	out[qid.len] = '\0';
	if (qid.len == 16 && hex_decode(qid, id, 8) == 0) {
		id[7] &= 0x7f;
		hex_encode(id, 8, out);
	}
	return 0;
}
