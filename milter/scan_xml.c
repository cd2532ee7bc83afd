/* scan_xml.c: reads XML of documents, event by event. The only includer of <libxml/xmlreader.h>. Runs in milter-scan. Invariants: nothing is
 * fetched or loaded (XML_PARSE_NONET, no DTD is loaded), no entity is replaced, depth and size are bounded by libxml2's own limits and by
 * what is handed in; of a document that breaks off, what came before counts. */
#include "config.h"

#include "milter/scan_priv.h"

#include <libxml/xmlreader.h>
#include <string.h>

#define EVENTS_MAX 4000000

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

bool
scan_xml_walk(struct slice bytes, scan_xml_fn *on, void *arg)
{
	struct scan_xml x;
	unsigned long n = 0;
	bool doctype = false;
	int rc = 0;

	if (bytes.len == 0 || bytes.len > INT32_MAX)
		return false;
	x.r = xmlReaderForMemory((const char *)bytes.ptr, (int)bytes.len, NULL, NULL,
	    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_COMPACT |
		XML_PARSE_NOCDATA);
	if (x.r == NULL)
		return false;
	xmlTextReaderSetErrorHandler(x.r, quiet, NULL);
	while (n++ < EVENTS_MAX && (rc = xmlTextReaderRead(x.r)) == 1) {
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
	return rc == 0 && !doctype;
}
