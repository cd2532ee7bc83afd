/* symbol_fuzz.c: a document symbol lies within its subject and is one; the facts of any header block can be read. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "milter/doc_facts.h"
#include "milter/facts.h"
#include "milter/symbol.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"X-VN-Doc"};
	struct slice s = slice_of(data, size);
	struct rule_facts facts;
	struct symbol sym, again;
	struct doc_facts doc;
	struct arena *a;

	if (symbol_parse(s, &sym)) {
		MUST(sym.text.ptr >= s.ptr && sym.text.ptr + sym.text.len <= s.ptr + s.len);
		MUST(sym.number > 0 && sym.text.len >= 3);
		MUST((sym.type.len == 0) == ((sym.flags & SYMBOL_F_NO_TYPE) != 0));
		/* the symbol alone parses to itself */
		MUST(symbol_parse(sym.text, &again) && again.number == sym.number &&
		     again.year == sym.year);
	}
	doc_facts_init(&doc);
	doc_facts_text(s, &doc);
	doc_facts_subject(s, &doc);
	MUST(doc.symbol.err == 0 && doc.summary.err == 0 && doc.agency.err == 0);
	MUST(doc.date.len == 0 || doc.date.len == 10);
	doc_facts_done(&doc);
	a = arena_new(4 << 20);
	memset(&facts, 0, sizeof facts);
	facts_read(s, a, &facts);
	MUST(facts.n_authors <= RULE_FROM_MAX);
	facts.authenticated = true;
	facts_official(s, names, 1, &facts);
	MUST(facts_document(s, names, 1, a, &facts) == 0);
	MUST(facts.official_why != NULL);
	arena_free(a);
	return 0;
}
