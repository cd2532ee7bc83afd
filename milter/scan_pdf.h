/* scan_pdf.h: for scan_pdf*.c alone: what they tell each other of one PDF. Runs in milter-scan. */
#ifndef CV_SCAN_PDF_H
#define CV_SCAN_PDF_H

#include "milter/scan_priv.h"

#define PDF_SIGS_MAX 8 /* of one file */
#define PDF_NODES_MAX 400000
#define PDF_DEPTH_MAX 64
#define PDF_OBJECTS_MAX 1000000
#define PDF_STREAM_MAX (32u << 20) /* one decoded stream */
#define PDF_WORK_MAX (64u << 20)   /* octets and entries read for the text of one file */

struct _qpdf_data; /* qpdf's own tag, without showing its header */
struct pdf_sig {
	unsigned oh; /* of the signature dictionary */
};
struct pdf {
	struct _qpdf_data *q;
	struct slice bytes;
	bool locked, damaged;
	unsigned version; /* 14 for 1.4; 0: none */
	struct pdf_sig sigs[PDF_SIGS_MAX];
	size_t n_sigs;
	unsigned more_sigs;
	struct scan_ctx *c;
	size_t work; /* widths, maps and contents read for the text */
	bool too_much;
};
/* Counts work; false when it is more than any document makes, or time is up: the text is then left as it is (too_much). */
bool pdf_may(struct pdf *p, size_t work);
/* Reads the structure of bytes, which must outlast p. False: nothing can be read of it (locked or damaged say why). */
bool pdf_open(struct pdf *p, struct scan_ctx *c, struct slice bytes);
void pdf_close(struct pdf *p);
/* A stream, decoded where its filters are those of texts; at most max octets. */
bool pdf_stream(struct pdf *p, unsigned oh, size_t max, struct buf *out);
/* A name or string of a dictionary, as it is; false when it is none. */
bool pdf_text_key(struct pdf *p, unsigned dict, const char *key, struct buf *out);

/* scan_pdf_sig.c: each signature is verified and added to the findings; notes say what they do not cover. Flags for the part. */
void pdf_signatures(struct scan_ctx *c, struct pdf *p, struct slice path);

/* scan_pdf_text.c: the text of its first pages, UTF-8, a line for each line that is seen. */
void pdf_text(struct pdf *p, struct buf *out);

/* pdf_content.c, pure: a font as content streams use it, and the text that they show. */
struct pdf_cmap_row {
	uint32_t code;
	uint16_t to[4]; /* UTF-16, 0 behind the end */
};
struct pdf_font {
	char name[64];     /* in the resources, without "/" */
	unsigned code_len; /* octets of a code: 1 or 2 */
	struct pdf_cmap_row *map;
	size_t n_map;
	uint16_t simple[256]; /* code_len 1 without map: what each code is; 0: nothing */
	uint16_t *widths;     /* of 65536 or 256 codes, thousandths; NULL: all are 500 */
	size_t n_widths;
	uint16_t width; /* of all others */
};
#define PDF_MAP_MAX 70000
/* ToUnicode (ISO 32000-1 9.10.3, Adobe Technical Note 5411): rows, sorted. malloc'd. */
int pdf_cmap_parse(struct slice s, struct pdf_font *f);
/* WinAnsi, with the glyphs named in a Differences array put in by pdf_font_glyph. */
void pdf_font_winansi(struct pdf_font *f);
void pdf_font_glyph(struct pdf_font *f, unsigned code, const char *glyph);
void pdf_font_done(struct pdf_font *f);
/* What a content stream shows. font_of: by name, NULL: none; on_form: an XObject is drawn. */
struct pdf_show {
	const struct pdf_font *(*font_of)(void *arg, struct slice name);
	void (*on_form)(void *arg, struct slice name);
	void *arg;
	struct buf *out;
	size_t ops;
};
void pdf_content(struct slice s, struct pdf_show *show);

#endif
