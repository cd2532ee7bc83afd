/* scan_ole_sheet.c: an Excel workbook's records: macro sheets, passwords, links that start programs, and the text of its cells. [MS-XLS] 2.1.4 (records),
 * 2.4.28 (BoundSheet8), 2.4.117 (FilePass), 2.4.265 (SST), 2.4.271 (SupBook), 2.5.293 (strings). Pure; runs in milter-scan. */
#include "config.h"

#include "milter/scan_ole.h"

#include <stdlib.h>

#define RECORDS_MAX 2000000
#define SEGMENTS_MAX 4096

enum {
	R_EOF = 0x000a,
	R_FILEPASS = 0x002f,
	R_CONTINUE = 0x003c,
	R_BOUNDSHEET = 0x0085,
	R_SST = 0x00fc,
	R_SUPBOOK = 0x01ae,
	R_LABEL = 0x0204,
};

static unsigned
le16(const unsigned char *p)
{
	return p[0] | (unsigned)p[1] << 8;
}

/* A record and those that continue it, read as one; where a string goes on in the next one, an octet says again how wide its characters are. */
struct pieces {
	struct slice at[SEGMENTS_MAX];
	size_t n, i;
};

static bool
next_octet(struct pieces *p, unsigned *out)
{
	while (p->i < p->n && p->at[p->i].len == 0)
		p->i++;
	if (p->i == p->n)
		return false;
	*out = p->at[p->i].ptr[0];
	p->at[p->i] = slice_from(p->at[p->i], 1);
	return true;
}

static bool
next_number(struct pieces *p, unsigned octets, uint32_t *out)
{
	unsigned i, c;

	*out = 0;
	for (i = 0; i < octets; i++) {
		if (!next_octet(p, &c))
			return false;
		*out |= (uint32_t)c << 8 * i;
	}
	return true;
}

static bool
skip(struct pieces *p, uint64_t n)
{
	while (n > 0) {
		size_t take;

		while (p->i < p->n && p->at[p->i].len == 0)
			p->i++;
		if (p->i == p->n)
			return false;
		take = p->at[p->i].len < n ? p->at[p->i].len : (size_t)n;
		p->at[p->i] = slice_from(p->at[p->i], take);
		n -= take;
	}
	return true;
}

static bool
one_string(struct pieces *p, struct buf *text)
{
	uint32_t count, flags, runs = 0, ext = 0;
	unsigned char two[2];
	unsigned a, b = 0;
	bool wide;

	if (!next_number(p, 2, &count) || !next_number(p, 1, &flags) ||
	    ((flags & 8) && !next_number(p, 2, &runs)) || ((flags & 4) && !next_number(p, 4, &ext)))
		return false;
	wide = flags & 1;
	while (count-- > 0) {
		if (p->i < p->n && p->at[p->i].len == 0) {
			if (!next_octet(p, &a))
				return false;
			wide = a & 1;
		}
		if (!next_octet(p, &a) || (wide && !next_octet(p, &b)))
			return false;
		two[0] = (unsigned char)a;
		two[1] = (unsigned char)b;
		if (wide)
			ole_utf16(slice_of(two, 2), text);
		else
			ole_latin(slice_of(two, 1), text);
	}
	buf_append_byte(text, '\n');
	return skip(p, 4 * (uint64_t)runs + ext) && text->err == 0;
}

static void
shared_strings(struct pieces *p, struct buf *text)
{
	uint32_t total, unique;

	if (!next_number(p, 4, &total) || !next_number(p, 4, &unique))
		return;
	while (unique-- > 0 && one_string(p, text))
		;
	text->err = 0;
}

/* "program|topic", the bar being 3. The name of an OLE class has a dot, that of a DDE server has none. */
static bool
starts_program(struct slice s)
{
	bool wide, dot = false;
	size_t i, step, n;

	if (s.len < 5)
		return false;
	n = le16(s.ptr + 2);
	wide = s.ptr[4] & 1;
	step = wide ? 2 : 1;
	s = slice_from(s, 5);
	if (s.len > 0 && s.ptr[0] < ' ' && s.ptr[0] != 3)
		return false; /* a path in its own encoding */
	for (i = 0; i < s.len && i < n * step; i += step) {
		if (s.ptr[i] == 3)
			return i > 0 && !dot;
		dot |= s.ptr[i] == '.';
	}
	return false;
}

static void
record(unsigned id, struct slice data, struct ole_doc *d)
{
	if (id == R_BOUNDSHEET && data.len >= 6 && data.ptr[5] == 1)
		d->macro = true;
	else if (id == R_FILEPASS)
		d->locked = true;
	else if (id == R_SUPBOOK && starts_program(data))
		d->dde = true;
	else if (id == R_LABEL && data.len > 8) {
		ole_latin(slice_sub(data, 8, le16(data.ptr + 6)), d->text);
		buf_append_byte(d->text, '\n');
	}
}

void
ole_sheet(struct slice s, struct ole_doc *d)
{
	struct pieces *p = NULL;
	unsigned n, id, last = 0;

	for (n = 0; n < RECORDS_MAX && s.len >= 4; n++) {
		struct slice data;

		id = le16(s.ptr);
		if (id == 0 || s.len - 4 < le16(s.ptr + 2))
			break;
		data = slice_sub(s, 4, le16(s.ptr + 2));
		s = slice_from(s, 4 + data.len);
		if (p != NULL && id == R_CONTINUE && last == R_SST) {
			if (p->n < SEGMENTS_MAX)
				p->at[p->n++] = data;
			else
				d->too_much = true;
			continue;
		}
		/* what is encrypted is no text */
		if (id == R_SST && p == NULL && !d->locked && (p = calloc(1, sizeof *p)) != NULL)
			p->at[p->n++] = data;
		record(id, data, d);
		last = id;
	}
	d->too_much |= n == RECORDS_MAX && s.len >= 4;
	if (p != NULL)
		shared_strings(p, d->text);
	d->text->err = 0;
	free(p);
}
