/* scan_priv.h: for scan_*.c alone. */
#ifndef CV_SCAN_PRIV_H
#define CV_SCAN_PRIV_H

#include "lib/mime.h"
#include "milter/scan_message.h"

#define SCAN_MEMBER_MAX (32u << 20) /* an archive inside an archive */
#define SCAN_PART_MAX (128u << 20)  /* one decoded part */
#define DOC_TEXT_MAX (4u << 20)     /* text of one document */

/* What a zip is known to hold. */
struct zip_facts {
	bool content_types, word, sheet, slides; /* OOXML: [Content_Types].xml, word/, xl/, ppt/ */
	bool odf, macro, script, locked, pdf;
	bool dde;        /* fields or links that start programs */
	bool remote;     /* templates or objects from elsewhere */
	bool too_much;   /* XML that costs more than documents do */
	bool is_signed;  /* signatures of OOXML or ODF inside */
	struct buf text; /* of the document, UTF-8 */
};
struct scan_ctx {
	const struct scan_params *p;
	struct findings *f;
	struct scan_terms max; /* the bounds that hold: none is 0 */
	uint64_t unpacked;     /* octets so far */
	unsigned entries;
	unsigned zip_headers;
	unsigned layers, doc_sigs; /* signatures of mail, of documents, looked at */
	unsigned depth;
	uint64_t cpu_until; /* microseconds of this process; 0: no bound */
	bool late;          /* out of time, or nothing is to be opened at all */
	size_t late_text;   /* octets of texts looked at since then */
	struct slice
	    body; /* of the message, whose digest is still to be computed; ptr NULL: it is there */
	struct zip_facts *zip; /* of the archive being looked into, one of zips; NULL: none */
	struct zip_facts zips[SCAN_DEPTH_MAX];
};

/* scan_message.c: whether the time for contents is over; asked wherever a document can make work. From then on it stays so. */
bool scan_late(struct scan_ctx *c);

/* scan_message.c: the digest of a part's octets. The first that is large enough is computed together with that of the body. */
void scan_sha256(struct scan_ctx *c, struct slice bytes, unsigned char out[32]);

/* scan_part.c: a leaf of the tree. path: its MIME path. */
void scan_leaf(
    struct scan_ctx *c, struct slice whole, const struct mime_part *part, struct slice path);
/* scan_message.c: a message or MIME entity inside; path: prefix of its parts' paths. */
enum scan_cover { COVER_ROOT, COVER_SIGNED, COVER_OTHER };
void scan_entity(struct scan_ctx *c, struct slice whole, struct slice path, enum scan_cover cover);

/* scan_protected.c: the header outside beside what stands in the signed payload (a MIME entity), where that protects fields. */
void scan_protected(
    struct scan_ctx *c, struct slice outer, struct slice payload, struct slice path);

/* scan_name.c: flags of a name (UTF-8), and the form in which it was judged: without controls, folder, trailing dots and spaces. */
uint32_t scan_name(const struct scan_params *p, struct slice name, struct buf *norm_out);
/* The ending of a normalized name, without dot; empty when none. */
struct slice scan_name_ext(struct slice norm);

/* scan_uu.c: flags of the names of files that stand uuencoded in a text; each is told, with the lines behind its first (on may be NULL). PART_LIMIT: there are
 * more than are looked at. */
typedef void uu_fn(void *arg, struct slice name, bool base64, struct slice lines);
uint32_t scan_uu(const struct scan_params *p, struct slice text, uu_fn *on, void *arg);

/* scan_encoded.c: files in a text by uuencode, yEnc and BinHex: each judged like an attachment. Flags for the part. */
uint32_t scan_encoded(struct scan_ctx *c, struct slice text, struct slice path);
/* What stands behind the line (or colon) that begins a file, to its end; at most what out takes. */
void encoded_uu(struct slice lines, struct buf *out);
void encoded_uu64(struct slice lines, struct buf *out);
void encoded_yenc(struct slice lines, struct buf *out);
void encoded_binhex(struct slice s, struct buf *out);

/* scan_rtf.c: objects, fields, templates and text of RTF. Flags for the part. */
uint32_t scan_rtf(struct scan_ctx *c, struct slice bytes, struct slice path);

/* scan_type.c: the type by our own table; static text. */
enum scan_class {
	CLASS_OTHER,
	CLASS_EXEC,
	CLASS_ARCHIVE,
	CLASS_OPAQUE /* an archive or disk image that nothing here can open */
};
struct scan_type {
	const char *name; /* "pe", "pdf"; "" unknown */
	enum scan_class cls;
};
struct scan_type scan_type(struct slice bytes);

/* Whether the content may stand under that ending; type: scan_type's, refined. P24 asks. */
bool scan_family_fits(struct slice ext, const char *type, struct slice bytes);

/* scan_ole.c: an OLE2 file by its streams. */
struct ole_facts {
	const char *type; /* "doc", "xls", "ppt", "msg", "ooxml" (encrypted), "ole2"; static */
	bool macro, locked;
	bool object; /* files or macros are said to be inside */
};
void scan_ole(struct slice bytes, struct ole_facts *f);
/* scan_ole_tree.c: the same, and its streams one by one: macros, texts, and each file inside judged like an attachment. Flags for the part. */
uint32_t scan_ole_file(
    struct scan_ctx *c, struct slice bytes, struct slice path, const char **type_out);

void scan_ole_init(void); /* scan_gsf.c: before the sandbox */

/* scan_zip.c: what kind of document a zip is, told by its members. */
void scan_zip_member(struct zip_facts *z, struct slice name, struct slice content);
bool scan_zip_macro(const struct zip_facts *z);
const char *scan_zip_type(const struct zip_facts *z); /* "docx", "odf", "zip"; static */

/* scan_xml.c: every element and text of an XML document; nothing is fetched or expanded. 0; ERR_SYNTAX: it is not well-formed, or has a
 * DOCTYPE, and what came before was told; ERR_LIMIT: it costs too much or is written in a way that we do not read. */
enum xml_event { XML_OPEN, XML_CLOSE, XML_CHARS };
struct scan_xml;
typedef void scan_xml_fn(
    void *arg, enum xml_event what, const char *local_name, struct slice text, struct scan_xml *x);
void scan_xml_init(void); /* before the sandbox */
int scan_xml_walk(struct scan_ctx *c, struct slice bytes, scan_xml_fn *on, void *arg);
/* In XML_OPEN: the value of the attribute of that local name. */
bool scan_xml_attr(struct scan_xml *x, const char *local, struct buf *out);

/* scan_office.c: whether a target is fetched from elsewhere when a document is opened; whether a field's instruction starts a program. */
bool scan_office_remote(struct slice target);
bool scan_office_dde(struct slice instruction);
/* Members of OOXML and ODF packages. path: of the package. */
bool scan_office_wants(struct slice name);
void scan_office_member(struct scan_ctx *c, struct zip_facts *z, struct slice name,
    struct slice content, struct slice path);

/* scan_tnef.c: the files (name: UTF-8 or the writer's charset) and the text of a winmail.dat. False when it is none, or breaks off. */
typedef void tnef_fn(void *arg, struct slice name, struct slice data);
typedef void tnef_text_fn(void *arg, struct slice text);
bool scan_tnef(struct slice bytes, tnef_fn *on_file, tnef_text_fn *on_text, void *arg);

/* scan_inside.c: a file inside another (TNEF, PDF, OLE): judged like an attachment, and listed when it is suspicious. Its flags. */
uint32_t scan_inside(struct scan_ctx *c, struct slice name, struct slice bytes, struct slice path);
/* zlib's form (two octets of header, then DEFLATE), at most max octets of it; what breaks off gives what came before. */
void scan_inflate(struct slice s, size_t max, struct buf *out);
/* A message in a file: by its ending, or since it begins like one, as Word writes web archives. */
bool scan_is_mail(struct slice ext, struct slice bytes);
/* Its parts, judged like those of the mail itself. Flags for the part. */
uint32_t scan_mail_file(struct scan_ctx *c, struct slice bytes, struct slice path);
/* What Word and Outlook wrap OLE2 files in (macros of a web archive): unpacked and judged. */
uint32_t scan_activemime(struct scan_ctx *c, struct slice bytes, struct slice path);
uint32_t scan_winmail(struct scan_ctx *c, struct slice bytes, struct slice path);
/* Known malware: the harmless test file that every scanner finds (EICAR). */
bool scan_malware(struct slice bytes);

/* scan_part.c: what one reading of a content shows. */
uint32_t scan_look(struct scan_ctx *c, struct slice bytes, struct slice ext, struct slice path,
    struct scan_type *type_out);

/* scan_pdf.c: what acts in a PDF, its signatures and text. Flags for the part. */
uint32_t scan_pdf(struct scan_ctx *c, struct slice bytes, struct slice path);

/* scan_text.c: the text of a document (UTF-8): marks of secrecy. */
void scan_doc_text(struct scan_ctx *c, struct slice text, struct slice path);
/* scan_text.c: marks of secrecy in a text part. */
void scan_text(
    struct scan_ctx *c, const struct mime_part *part, struct slice bytes, struct slice path);
void scan_subject(struct scan_ctx *c, struct slice header, struct slice path);

/* scan_archive.c: looks into an archive; what is found is added as parts "path!member". Flags for the archive itself. The only includer
 * of <archive.h>. type_out (may be NULL): for a zip what document it is. */
uint32_t scan_archive(
    struct scan_ctx *c, struct slice bytes, struct slice path, const char **type_out);

/* scan_volume.c: PART_LIMIT, and a note, for a piece of an archive that was cut up; norm: its name. */
uint32_t scan_volume(struct scan_ctx *c, struct slice norm, struct slice bytes, struct slice path);

/* scan_magic.c: libmagic's opinion, "" without one. scan_magic_init loads its table: before the sandbox. shown_text: only whether the bytes are
 * text, without the table, whose searches take longer than all else that is done with a short message. */
void scan_magic_init(void);
const char *scan_magic(struct slice bytes, bool shown_text);

#endif
