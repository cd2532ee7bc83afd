/* scan_xml.c: reads XML of documents, event by event. The only includer of <libxml/xmlreader.h>. Runs in milter-scan. Invariants: nothing is
 * fetched or loaded (XML_PARSE_NONET, no DTD is loaded), no entity is replaced, depth and size are bounded by libxml2's own limits and by
 * what is handed in; of a document that breaks off, what came before counts. What libxml2 does in quadratic time (attributes of one element,
 * namespaces in scope, defaults from a DTD) is counted before it sees the document: office programs write none of it in such numbers. */
#include "config.h"

#include "milter/scan_priv.h"

#include "lib/err.h"

#include <libxml/xmlreader.h>
#include <string.h>

#define EVENTS_MAX 4000000
#define EVENTS_BETWEEN 256  /* looks at the clock */
#define ATTRS_MAX 512       /* of one element */
#define NAMESPACES_MAX 1024 /* in scope */
#define DEPTH_MAX 256       /* libxml2's own bound */

struct scan_xml {
	xmlTextReader *r;
};

static void
quiet(void *arg, const char *text, xmlParserSeverities severity, xmlTextReaderLocatorPtr at)
{
	(void)arg;
	(void)text;
	(void)severity;
	(void)at;
}

void
scan_xml_init(void)
{
	xmlInitParser();
}

bool
scan_xml_attr(struct scan_xml *x, const char *local, struct buf *out)
{
	bool found = false;
	int more;

	buf_reset(out);
	for (more = xmlTextReaderMoveToFirstAttribute(x->r); more == 1 && !found;
	     more = xmlTextReaderMoveToNextAttribute(x->r)) {
		const xmlChar *name = xmlTextReaderConstLocalName(x->r);
		const xmlChar *value = xmlTextReaderConstValue(x->r);

		if (name != NULL && value != NULL && xmlStrEqual(name, (const xmlChar *)local)) {
			buf_append_str(out, (const char *)value);
			found = true;
		}
	}
	xmlTextReaderMoveToElement(x->r);
	return found;
}

/* ---- what a document would cost, by its markup alone ---- */

struct cost {
	struct slice s;
	size_t at;
	unsigned depth, namespaces;
	unsigned at_depth[DEPTH_MAX + 1]; /* namespaces that each open element declares */
};

/* The next octet that is not NUL: so UTF-16 reads like UTF-8. -1 at the end. */
static int
next_octet(struct cost *k)
{
	while (k->at < k->s.len && k->s.ptr[k->at] == 0)
		k->at++;
	return k->at < k->s.len ? k->s.ptr[k->at++] : -1;
}

/* Moves behind the text. */
static void
skip_to(struct cost *k, const char *text)
{
	size_t n = 0, len = strlen(text);
	int c;

	while (n < len && (c = next_octet(k)) >= 0) {
		if (c == text[n])
			n++;
		else if (!(n == 2 && c == text[1])) /* "--->", "]]]>" */
			n = c == text[0];
	}
}

/* Behind "[" of a DOCTYPE. Entities are not replaced; but defaults of attributes would be put into every element, and parameter entities could
 * hide them. */
static bool
skip_subset(struct cost *k)
{
	int c, quote = 0;

	while ((c = next_octet(k)) >= 0 && (quote != 0 || c != ']')) {
		if (quote != 0 || c == '"' || c == '\'') {
			quote = quote == 0 ? c : c == quote ? 0 : quote;
			continue;
		}
		if (c == '%')
			return false;
		if (c != '<')
			continue;
		c = next_octet(k);
		if (c == '?')
			skip_to(k, "?>");
		else if (c == '!' && (c = next_octet(k)) == '-')
			skip_to(k, "-->");
		else if (c == 'A')
			return false;
	}
	return true;
}

/* Behind "<!": a comment, a section, or a DOCTYPE. */
static bool
skip_declaration(struct cost *k)
{
	int c = next_octet(k);

	if (c == '-') {
		if (next_octet(k) == '-')
			skip_to(k, "-->");
		return true;
	}
	if (c == '[') {
		skip_to(k, "]]>");
		return true;
	}
	while (c >= 0 && c != '>') {
		if (c == '[' && !skip_subset(k))
			return false;
		c = next_octet(k);
	}
	return true;
}

/* Behind "<" and the first octet of a name: attributes and namespaces of the element. */
static bool
count_element(struct cost *k, int c)
{
	unsigned attrs = 0, spaces = 0, word = 0;
	static const char xmlns[] = "xmlns";
	int quote = 0, last = 0;

	for (; c >= 0 && (quote != 0 || c != '>'); c = next_octet(k)) {
		if (quote != 0) {
			quote = c == quote ? 0 : quote;
		} else if (c == '"' || c == '\'') {
			quote = c;
		} else if (c == '=') {
			attrs++;
		} else if (c <= ' ') {
			word = 0;
		} else {
			word = word < 5 && c == xmlns[word] ? word + 1 : 6;
			spaces += word == 5;
		}
		last = c;
	}
	if (attrs > ATTRS_MAX || k->namespaces + spaces > NAMESPACES_MAX)
		return false;
	if (last != '/' && k->depth < DEPTH_MAX) {
		k->at_depth[++k->depth] = spaces;
		k->namespaces += spaces;
	}
	return true;
}

/* Encodings in which markup is ASCII, or ASCII and NUL. Offices write UTF-8 and UTF-16 (ECMA-376 part 2, 8.1.4). */
static bool
is_plain_encoding(struct slice s)
{
	static const char *const known[] = {
	    "utf-8", "utf8", "utf-16", "us-ascii", "ascii", "iso-8859-", "windows-125"};
	struct cost k = {.s = slice_sub(s, 0, 512)};
	char head[200];
	size_t n = 0, i;
	const char *e;
	int c;

	while (n + 1 < sizeof head && (c = next_octet(&k)) >= 0) {
		if (n == 0 &&
		    (c == 0xef || c == 0xbb || c == 0xbf || c == 0xfe || c == 0xff || c <= ' '))
			continue;
		head[n++] = (char)c;
	}
	head[n] = '\0';
	if (n == 0 || head[0] != '<')
		return false;
	e = strncmp(head, "<?xml", 5) == 0 ? strstr(head, "encoding") : NULL;
	if (e == NULL || (strstr(head, "?>") != NULL && e > strstr(head, "?>")))
		return true;
	for (e += 8; *e != '\0' && *e != '"' && *e != '\''; e++)
		;
	for (i = 0; *e != '\0' && i < sizeof known / sizeof *known; i++) {
		if (strncasecmp(e + 1, known[i], strlen(known[i])) == 0)
			return true;
	}
	return false;
}

static bool
is_affordable(struct slice s)
{
	struct cost k = {.s = s};
	int c;

	if (!is_plain_encoding(s))
		return false;
	while ((c = next_octet(&k)) >= 0) {
		if (c != '<')
			continue;
		c = next_octet(&k);
		if (c == '?') {
			skip_to(&k, "?>");
		} else if (c == '!') {
			if (!skip_declaration(&k))
				return false;
		} else if (c == '/') {
			if (k.depth > 0)
				k.namespaces -= k.at_depth[k.depth--];
		} else if (!count_element(&k, c)) {
			return false;
		}
	}
	return true;
}

int
scan_xml_walk(struct scan_ctx *c, struct slice bytes, scan_xml_fn *on, void *arg)
{
	struct scan_xml x;
	unsigned long n = 0;
	bool doctype = false, late = false;
	int rc = 0;

	if (bytes.len == 0)
		return ERR_SYNTAX;
	if (bytes.len > INT32_MAX || !is_affordable(bytes))
		return ERR_LIMIT;
	x.r = xmlReaderForMemory((const char *)bytes.ptr, (int)bytes.len, NULL, NULL,
	    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_COMPACT |
		XML_PARSE_NOCDATA);
	if (x.r == NULL)
		return ERR_LIMIT;
	xmlTextReaderSetErrorHandler(x.r, quiet, NULL);
	while (!late && n++ < EVENTS_MAX && (rc = xmlTextReaderRead(x.r)) == 1) {
		late = n % EVENTS_BETWEEN == 0 && scan_late(c);

		const char *name = (const char *)xmlTextReaderConstLocalName(x.r);
		const char *value = (const char *)xmlTextReaderConstValue(x.r);

		switch (xmlTextReaderNodeType(x.r)) {
		case XML_READER_TYPE_ELEMENT:
			on(arg, XML_OPEN, name != NULL ? name : "", slice_str(""), &x);
			if (xmlTextReaderIsEmptyElement(x.r) == 1)
				on(arg, XML_CLOSE, name != NULL ? name : "", slice_str(""), &x);
			break;
		case XML_READER_TYPE_END_ELEMENT:
			on(arg, XML_CLOSE, name != NULL ? name : "", slice_str(""), &x);
			break;
		case XML_READER_TYPE_TEXT:
		case XML_READER_TYPE_CDATA:
		case XML_READER_TYPE_SIGNIFICANT_WHITESPACE:
			on(arg, XML_CHARS, "", slice_str(value), &x);
			break;
		case XML_READER_TYPE_DOCUMENT_TYPE:
			doctype = true;
			break;
		default:
			break;
		}
	}
	xmlFreeTextReader(x.r);
	if (late || n > EVENTS_MAX)
		return ERR_LIMIT;
	return rc == 0 && !doctype ? 0 : ERR_SYNTAX;
}
