/* scan_zip.c: which document a zip is, and what stands in it that policy asks for. Pure; runs in milter-scan. ECMA-376 part 2 (OOXML
 * packages), OASIS ODF 1.3 part 2 (packages, encryption in the manifest). Members are judged by name alone, in any order: producers
 * differ in order, in folders' entries and in separators. */
#include "config.h"

#include "milter/scan_priv.h"

#include <string.h>

/* Case-insensitive; "\\" for "/", as some producers write. */
static bool
has_prefix(struct slice s, const char *prefix)
{
	size_t i, n = strlen(prefix);

	for (i = 0; i < n && i < s.len; i++) {
		char c = (char)(s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? s.ptr[i] | 0x20 : s.ptr[i]);

		if ((c == '\\' ? '/' : c) != prefix[i])
			return false;
	}
	return i == n;
}

static bool
has_suffix(struct slice s, const char *suffix)
{
	size_t n = strlen(suffix);

	return s.len >= n && slice_caseeq_str(slice_from(s, s.len - n), suffix);
}

void
scan_zip_member(struct zip_facts *z, struct slice name, struct slice content)
{
	while (name.len > 0 && (name.ptr[0] == '/' || name.ptr[0] == '\\'))
		name = slice_from(name, 1);
	z->content_types |= slice_caseeq_str(name, "[Content_Types].xml");
	/* parts may have any name: their types count */
	if (slice_caseeq_str(name, "[Content_Types].xml"))
		z->macro |= slice_find(content, slice_str("vnd.ms-office.vbaProject")) >= 0 ||
			    slice_find(content, slice_str("macrosheet+xml")) >= 0;
	z->word |= has_prefix(name, "word/");
	z->sheet |= has_prefix(name, "xl/");
	z->slides |= has_prefix(name, "ppt/");
	/* ODF: a first member "mimetype"; some writers leave it out */
	if (slice_caseeq_str(name, "mimetype") &&
	    slice_starts(content, "application/vnd.oasis.opendocument"))
		z->odf = true;
	if (slice_caseeq_str(name, "META-INF/manifest.xml") &&
	    slice_find(content, slice_str("opendocument")) >= 0) {
		z->odf = true;
		z->locked |= slice_find(content, slice_str("encryption-data")) >= 0;
	}
	z->macro |= has_suffix(name, "vbaProject.bin") || has_prefix(name, "xl/macrosheets/") ||
		    has_prefix(name, "xl/intlmacrosheets/");
	/* folders of these names are macros in an ODF document only */
	z->script |= (has_prefix(name, "scripts/") && name.len > 8) ||
		     (has_prefix(name, "basic/") && name.len > 6);
	z->is_signed |= (has_prefix(name, "_xmlsignatures/") && has_suffix(name, ".xml")) ||
			has_prefix(name, "meta-inf/documentsignatures.xml");
	z->pdf |= slice_starts(content, "%PDF-") || has_suffix(name, ".pdf");
}

bool
scan_zip_macro(const struct zip_facts *z)
{
	return z->macro || (z->odf && z->script);
}

const char *
scan_zip_type(const struct zip_facts *z)
{
	if (z->odf)
		return "odf";
	if (!z->content_types)
		return "zip";
	return z->word ? "docx" : z->sheet ? "xlsx" : z->slides ? "pptx" : "ooxml";
}
