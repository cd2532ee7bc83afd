/* thread_fuzz.c: mail that conversations are made of: the first byte, then headers separated by NUL. Message-IDs, base subjects, sorting and
 * threading of all of them: every message once in each answer. The whole as the text of a PREVIEW as well. */
#include "tests/fuzz/fuzz.h"

#include "imapd/base_subject.h"
#include "imapd/preview.h"
#include "imapd/sort_key.h"
#include "imapd/thread_tree.h"
#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/mime.h"
#include "lib/msgid.h"
#include "lib/utf7.h"

enum { MSGS = 200 };

static void
once_each(const struct buf *out, size_t n)
{
	size_t open = 0, close = 0, seen = 0;
	for (size_t i = 0; i < out->len; i++) {
		unsigned char c = out->data[i];
		open += c == '(';
		close += c == ')';
		MUST(close <= open);
		seen += c >= '0' && c <= '9' && (i == 0 || out->data[i - 1] < '0');
	}
	MUST(open == close && seen == n);
}

static void
try_base(struct slice header)
{
	struct hdr_field f;
	bool is_reply, again;
	struct buf one, two;
	if (!hdr_find(header, "Subject", 0, &f))
		return;
	buf_init(&one, 1 << 20);
	buf_init(&two, 1 << 20);
	if (base_subject(f.body, &one, &is_reply) == 0 &&
	    slice_find(buf_slice(&one), slice_str("=?")) < 0) {
		/* the base of a base is the base */
		MUST(base_subject(buf_slice(&one), &two, &again) == 0);
		MUST(slice_eq(buf_slice(&one), buf_slice(&two)) && !again);
	}
	buf_done(&one);
	buf_done(&two);
}

static struct slice
keep(struct arena *a, struct buf *b)
{
	struct slice s = b->len > 0 ? arena_slice(a, buf_slice(b)) : slice_of("", 0);
	buf_done(b);
	return s;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sort_program all = {.n = 5,
	    .by = {{SORT_SUBJECT, false}, {SORT_DISPLAYFROM, true}, {SORT_TO, false},
		{SORT_CC, false}, {SORT_DATE, true}}};
	struct thread_msg m[MSGS];
	struct sort_item items[MSGS];
	struct slice rest = slice_from(slice_of(data, size), 1);
	struct arena *a = arena_new((size_t)64 << 20);
	size_t n = 0;
	while (rest.len > 0 && n < MSGS) {
		ptrdiff_t nul = slice_index(rest, 0);
		struct slice header = nul < 0 ? rest : slice_sub(rest, 0, (size_t)nul);
		struct envelope e;
		struct buf env, refs;
		rest = slice_from(rest, header.len + 1);
		try_base(header);
		buf_init(&env, 1 << 20);
		buf_init(&refs, MSGID_REFS_SIZE);
		MUST(msgid_refs(header, &refs) == 0 && refs.len >= 8 && refs.len % 8 == 0);
		if (mime_envelope(header, false, &env) != 0) {
			buf_done(&env);
			buf_done(&refs);
			continue;
		}
		/* what mime_envelope writes can be read */
		MUST(envelope_read(keep(a, &env), a, &e) == 0);
		m[n] = (struct thread_msg){.number = (uint32_t)n + 1, .sent = header.len % 7};
		m[n].subject = sort_subject(&e, a, &m[n].is_reply);
		m[n].refs = keep(a, &refs);
		struct sort_facts f = {.sent = m[n].sent, .env = &e};
		items[n] = (struct sort_item){
		    (uint32_t)n, arena_calloc(a, all.n, sizeof(struct sort_value))};
		MUST(items[n].value != NULL && sort_item_fill(&all, &f, a, items[n].value) == 0);
		n++;
	}
	sort_items(&all, items, n);
	for (int k = 0; k < 2; k++) {
		struct buf out;
		buf_init(&out, 1 << 20);
		MUST((k ? thread_references : thread_ordered_subject)(m, n, a, &out) == 0);
		once_each(&out, n);
		buf_done(&out);
	}
	for (int k = 0; k < 2; k++) {
		struct buf out;
		size_t chars = 0;
		buf_init(&out, 4096);
		MUST(preview_make(slice_of(data, size), k, &out) == 0);
		for (size_t i = 0; i < out.len; i++) {
			MUST(out.data[i] >= ' ');
			chars += (out.data[i] & 0xc0) != 0x80;
		}
		MUST(chars <= PREVIEW_CHARS && utf8_valid(buf_slice(&out)));
		buf_done(&out);
	}
	if (size > 0) {
		struct sort_program p;
		struct imap_cur c = imap_cur_of(slice_of(data, size));
		if (sort_program_parse(&c, &p))
			MUST(p.n > 0 && p.n <= SORT_CRITERIA_MAX);
		envelope_read(slice_of(data, size), a, &(struct envelope){0});
	}
	arena_free(a);
	return 0;
}
