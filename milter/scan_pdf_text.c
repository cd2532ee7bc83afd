/* scan_pdf_text.c: the text of a PDF's first pages, for the marks of secrecy and the facts of a document. Runs in milter-scan. Fonts by their
 * ToUnicode or encoding, form XObjects to a small depth; pages that are images have none (there is no OCR). */
#include "config.h"

#include "milter/scan_pdf.h"

#include "lib/err.h"

#include <qpdf/qpdf-c.h>
#include <stdlib.h>
#include <string.h>

#define PAGES_MAX 50
#define PAGES_FOR_SEARCH 2000
#define FONTS_MAX 64
#define FORMS_DEPTH 4
#define FORMS_MAX 200
#define CONTENT_MAX (8u << 20)

struct page {
	struct pdf *p;
	qpdf_oh resources;
	struct pdf_font fonts[FONTS_MAX];
	size_t n_fonts;
	struct pdf_show *show;
	unsigned depth, *forms;
};

static void
read_widths(struct pdf *p, qpdf_oh dict, struct pdf_font *f)
{
	qpdf_oh w = qpdf_oh_get_key(p->q, dict, "/Widths");
	qpdf_oh first = qpdf_oh_get_key(p->q, dict, "/FirstChar");
	int i, n, from;

	if (!qpdf_oh_is_array(p->q, w) || !qpdf_oh_is_integer(p->q, first))
		return;
	from = (int)qpdf_oh_get_int_value(p->q, first);
	n = qpdf_oh_get_array_n_items(p->q, w);
	f->widths = calloc(256, sizeof *f->widths);
	f->n_widths = f->widths != NULL ? 256 : 0;
	for (i = 0; i < n && from >= 0 && (size_t)(from + i) < f->n_widths && i < 256; i++) {
		qpdf_oh v = qpdf_oh_get_array_item(p->q, w, i);
		double x = qpdf_oh_is_number(p->q, v) ? qpdf_oh_get_numeric_value(p->q, v) : 0;

		f->widths[from + i] = (uint16_t)(x > 0 && x < 10000 ? x : 0);
	}
}

/* "c [w1 w2 …]" and "c_first c_last w" (ISO 32000-1 9.7.4.3). */
static void
read_cid_widths(struct pdf *p, qpdf_oh cid, struct pdf_font *f)
{
	qpdf_oh w = qpdf_oh_get_key(p->q, cid, "/W"), dw = qpdf_oh_get_key(p->q, cid, "/DW");
	int i = 0, n;

	f->width =
	    (uint16_t)(qpdf_oh_is_integer(p->q, dw) ? qpdf_oh_get_int_value(p->q, dw) & 0x3fff
						    : 1000);
	if (!qpdf_oh_is_array(p->q, w))
		return;
	f->widths = malloc(65536 * sizeof *f->widths);
	if (f->widths == NULL)
		return;
	f->n_widths = 65536;
	for (size_t k = 0; k < f->n_widths; k++)
		f->widths[k] = f->width;
	n = qpdf_oh_get_array_n_items(p->q, w);
	while (i + 1 < n && i < 200000 && pdf_may(p, 64)) {
		qpdf_oh first = qpdf_oh_get_array_item(p->q, w, i);
		qpdf_oh then = qpdf_oh_get_array_item(p->q, w, i + 1);
		long long from = (long long)qpdf_oh_get_numeric_value(p->q, first), k;

		if (qpdf_oh_is_array(p->q, then)) {
			int m = qpdf_oh_get_array_n_items(p->q, then);

			if (m < 0 || !pdf_may(p, 8 * (size_t)m))
				break;
			for (k = 0; k < m && from >= 0 && from + k < 65536; k++) {
				qpdf_oh one = qpdf_oh_get_array_item(p->q, then, (int)k);
				double x = qpdf_oh_get_numeric_value(p->q, one);

				qpdf_oh_release(p->q, one);
				f->widths[from + k] = (uint16_t)(x > 0 && x < 10000 ? x : 0);
			}
			i += 2;
		} else if (i + 2 < n) {
			long long to = (long long)qpdf_oh_get_numeric_value(p->q, then);
			double x =
			    qpdf_oh_get_numeric_value(p->q, qpdf_oh_get_array_item(p->q, w, i + 2));

			/* ranges may lie over each other, each of all codes */
			if (from >= 0 && to >= from &&
			    !pdf_may(p, (size_t)((to < 65535 ? to : 65535) - from + 1)))
				break;
			for (k = from; k >= 0 && k <= to && k < 65536; k++)
				f->widths[k] = (uint16_t)(x > 0 && x < 10000 ? x : 0);
			i += 3;
		} else {
			break;
		}
	}
}

static void
read_differences(struct pdf *p, qpdf_oh encoding, struct pdf_font *f)
{
	qpdf_oh d = qpdf_oh_get_key_if_dict(p->q, encoding, "/Differences");
	unsigned code = 0;
	int i, n;

	if (!qpdf_oh_is_array(p->q, d))
		return;
	n = qpdf_oh_get_array_n_items(p->q, d);
	for (i = 0; i < n && i < 1024; i++) {
		qpdf_oh v = qpdf_oh_get_array_item(p->q, d, i);

		if (qpdf_oh_is_integer(p->q, v))
			code = (unsigned)(qpdf_oh_get_int_value(p->q, v) & 0xffff);
		else if (qpdf_oh_is_name(p->q, v))
			pdf_font_glyph(f, code++, qpdf_oh_get_name(p->q, v) + 1);
	}
}

static void
read_font(struct pdf *p, qpdf_oh dict, struct pdf_font *f)
{
	qpdf_oh to = qpdf_oh_get_key(p->q, dict, "/ToUnicode"), below;
	bool composite =
	    qpdf_oh_is_name_and_equals(p->q, qpdf_oh_get_key(p->q, dict, "/Subtype"), "/Type0");
	struct buf cmap;

	f->code_len = composite ? 2 : 1;
	f->width = 500;
	pdf_font_winansi(f);
	if (composite) {
		below = qpdf_oh_get_key(p->q, dict, "/DescendantFonts");
		if (qpdf_oh_is_array(p->q, below) && qpdf_oh_get_array_n_items(p->q, below) > 0)
			read_cid_widths(p, qpdf_oh_get_array_item(p->q, below, 0), f);
	} else {
		read_differences(p, qpdf_oh_get_key(p->q, dict, "/Encoding"), f);
		read_widths(p, dict, f);
	}
	buf_init(&cmap, 4u << 20);
	if (pdf_may(p, 65536) && pdf_stream(p, to, 4u << 20, &cmap) && pdf_may(p, 4 * cmap.len))
		pdf_cmap_parse(buf_slice(&cmap), f);
	buf_done(&cmap);
	/* a map of a simple font may say two octets: its strings have one */
	f->code_len = composite ? 2 : 1;
}

static const struct pdf_font *
font_of(void *arg, struct slice name)
{
	struct page *g = arg;
	struct pdf_font *f;
	qpdf_oh fonts, dict;
	char key[68];
	size_t i;

	for (i = 0; i < g->n_fonts; i++) {
		if (slice_eq_str(name, g->fonts[i].name))
			return &g->fonts[i];
	}
	if (name.len == 0 || name.len >= sizeof g->fonts[0].name || g->n_fonts == FONTS_MAX)
		return NULL;
	f = &g->fonts[g->n_fonts++];
	memset(f, 0, sizeof *f);
	memcpy(f->name, name.ptr, name.len);
	key[0] = '/';
	memcpy(key + 1, name.ptr, name.len);
	key[name.len + 1] = '\0';
	fonts = qpdf_oh_get_key_if_dict(g->p->q, g->resources, "/Font");
	dict = qpdf_oh_get_key_if_dict(g->p->q, fonts, key);
	if (qpdf_oh_is_dictionary(g->p->q, dict)) {
		read_font(g->p, dict, f);
	} else {
		f->code_len = 1;
		f->width = 500;
		pdf_font_winansi(f);
	}
	return f;
}

static void run(struct pdf *p, struct slice content, qpdf_oh resources, struct buf *out,
    unsigned depth, unsigned *forms);

static void
on_form(void *arg, struct slice name)
{
	struct page *g = arg;
	qpdf_oh all = qpdf_oh_get_key_if_dict(g->p->q, g->resources, "/XObject"), x, res;
	struct buf content;
	char key[132];

	if (name.len == 0 || name.len > 128 || g->depth >= FORMS_DEPTH || ++*g->forms > FORMS_MAX)
		return;
	key[0] = '/';
	memcpy(key + 1, name.ptr, name.len);
	key[name.len + 1] = '\0';
	x = qpdf_oh_get_key_if_dict(g->p->q, all, key);
	if (!qpdf_oh_is_stream(g->p->q, x) ||
	    !qpdf_oh_is_name_and_equals(g->p->q,
		qpdf_oh_get_key(g->p->q, qpdf_oh_get_dict(g->p->q, x), "/Subtype"), "/Form"))
		return;
	res = qpdf_oh_get_key(g->p->q, qpdf_oh_get_dict(g->p->q, x), "/Resources");
	buf_init(&content, CONTENT_MAX + 65536);
	if (pdf_stream(g->p, x, CONTENT_MAX, &content))
		run(g->p, buf_slice(&content),
		    qpdf_oh_is_dictionary(g->p->q, res) ? res : g->resources, g->show->out,
		    g->depth + 1, g->forms);
	buf_done(&content);
}

static void
run(struct pdf *p, struct slice content, qpdf_oh resources, struct buf *out, unsigned depth,
    unsigned *forms)
{
	struct page *g = calloc(1, sizeof *g);
	struct pdf_show how = {font_of, on_form, g, out, 0};
	size_t i;

	if (g == NULL)
		return;
	if (!pdf_may(p, content.len)) {
		free(g);
		return;
	}
	g->p = p;
	g->resources = resources;
	g->depth = depth;
	g->forms = forms;
	g->show = &how;
	pdf_content(content, &how);
	for (i = 0; i < g->n_fonts; i++)
		pdf_font_done(&g->fonts[i]);
	free(g);
}

/* A page's own, or those of a node above. */
static qpdf_oh
resources_of(struct pdf *p, qpdf_oh page)
{
	qpdf_oh res = qpdf_oh_get_key(p->q, page, "/Resources");
	unsigned n = 0;

	while (!qpdf_oh_is_dictionary(p->q, res) && qpdf_oh_is_dictionary(p->q, page) && n++ < 50) {
		page = qpdf_oh_get_key(p->q, page, "/Parent");
		res = qpdf_oh_get_key_if_dict(p->q, page, "/Resources");
	}
	return res;
}

static void
page_content(struct pdf *p, qpdf_oh page, struct buf *out)
{
	qpdf_oh c = qpdf_oh_get_key(p->q, page, "/Contents");
	int i, n;

	if (!qpdf_oh_is_array(p->q, c)) {
		pdf_stream(p, c, CONTENT_MAX, out);
		return;
	}
	n = qpdf_oh_get_array_n_items(p->q, c);
	for (i = 0; i < n && i < 1000 && out->len < CONTENT_MAX; i++) {
		pdf_stream(p, qpdf_oh_get_array_item(p->q, c, i), CONTENT_MAX - out->len, out);
		buf_append_byte(out, '\n');
	}
}

void
pdf_text(struct pdf *p, struct buf *out)
{
	int i, n = qpdf_get_num_pages(p->q);
	unsigned forms = 0;
	struct buf content;

	for (i = 0; i < n && i < (p->c->p->text != NULL ? PAGES_FOR_SEARCH : PAGES_MAX) &&
		    out->err == 0 && pdf_may(p, 1);
	     i++) {
		qpdf_oh page = qpdf_get_page_n(p->q, (size_t)i);

		buf_init(&content, CONTENT_MAX + 65536);
		page_content(p, page, &content);
		run(p, buf_slice(&content), resources_of(p, page), out, 0, &forms);
		buf_done(&content);
		buf_append_byte(out, '\n');
	}
	out->err = 0; /* what does not fit is left out */
}
