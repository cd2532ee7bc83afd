/* scan_ole_word.c: the text of a Word document by its piece table, whether it is encrypted, and fields that start programs. [MS-DOC] 2.5.1 (FIB), 2.4.1
 * (retrieving text), 2.8.35 (PlcPcd), 2.8.25 (fields). Pure; runs in milter-scan. */
#include "config.h"

#include "milter/scan_ole.h"

#include <string.h>

#define PIECES_MAX 100000
#define INSTRUCTION_MAX 512
#define FIB_CLX 0x1a2 /* fcClx, lcbClx */

static uint32_t
le(struct slice s, size_t at, unsigned n)
{
	uint32_t v = 0;

	if (at > s.len || s.len - at < n)
		return 0;
	while (n-- > 0)
		v = v << 8 | s.ptr[at + n];
	return v;
}

bool
ole_word_table(struct slice main, const char **name_out)
{
	if (le(main, 0, 2) != 0xa5ec || le(main, 2, 2) < 0x00c0)
		return false;
	*name_out = le(main, 0x0a, 2) & 0x0200 ? "1Table" : "0Table";
	return true;
}

/* Text as it is shown: fields' instructions left out, and looked at. */
struct reader {
	struct ole_doc *d;
	struct buf instruction;
	size_t left;       /* characters: pieces that lie over each other end here */
	unsigned in_field; /* open fields of which the instruction is being read */
};

static void
instruction_ends(struct reader *r)
{
	if (scan_office_dde(buf_slice(&r->instruction)))
		r->d->dde = true;
	buf_reset(&r->instruction);
}

static void
put(struct reader *r, struct slice ch, bool wide)
{
	unsigned c = wide ? ch.ptr[0] | (unsigned)ch.ptr[1] << 8 : ch.ptr[0];

	if (c == 0x13) {
		buf_reset(&r->instruction);
		r->in_field++;
	} else if (c == 0x14 || c == 0x15) {
		if (r->in_field > 0) {
			r->in_field--;
			instruction_ends(r);
		}
	} else if (r->in_field > 0) {
		if (c < 0x80 && r->instruction.len < INSTRUCTION_MAX)
			buf_append_byte(&r->instruction, (unsigned char)c);
	} else if (c == '\r' || c == 0x07 || c == 0x0b || c == 0x0c) {
		buf_append_byte(r->d->text, '\n');
	} else if (wide) {
		ole_utf16(ch, r->d->text);
	} else {
		ole_latin(ch, r->d->text);
	}
}

static void
piece(struct reader *r, struct slice main, size_t at, size_t count, bool wide)
{
	size_t step = wide ? 2 : 1;

	/* more cannot stand there than the stream has; and not more is kept than a document's text */
	while (count > 0 && at + step <= main.len) {
		/* the halves of one character */
		bool pair = wide && at + 4 <= main.len && count > 1 &&
			    (main.ptr[at + 1] & 0xfc) == 0xd8 && (main.ptr[at + 3] & 0xfc) == 0xdc;

		if (r->d->text->err != 0 || r->left == 0) {
			r->d->too_much = true;
			return;
		}
		r->left--;
		put(r, slice_sub(main, at, pair ? 4 : step), wide);
		at += pair ? 4 : step;
		count -= pair ? 2 : 1;
	}
}

/* The piece table inside a Clx: behind the property modifiers. */
static struct slice
piece_table(struct slice clx)
{
	while (clx.len >= 3 && clx.ptr[0] == 1)
		clx = slice_from(clx, 3 + (size_t)le(clx, 1, 2));
	if (clx.len < 5 || clx.ptr[0] != 2)
		return (struct slice){NULL, 0};
	return slice_sub(clx, 5, le(clx, 1, 4));
}

void
ole_word(struct slice main, struct slice table, struct ole_doc *d)
{
	struct reader r = {.d = d, .left = main.len + 1};
	struct slice plc;
	size_t i, n;
	const char *name;

	if (le(main, 0x0a, 2) & 0x0100) {
		d->locked = true;
		return;
	}
	buf_init(&r.instruction, INSTRUCTION_MAX + 16);
	if (ole_word_table(main, &name) && table.len > 0) {
		plc = piece_table(slice_sub(table, le(main, FIB_CLX, 4), le(main, FIB_CLX + 4, 4)));
		n = plc.len >= 16 ? (plc.len - 4) / 12 : 0;
		d->too_much |= n > PIECES_MAX;
		for (i = 0; i < n && i < PIECES_MAX; i++) {
			uint32_t from = le(plc, 4 * i, 4), to = le(plc, 4 * i + 4, 4);
			uint32_t fc = le(plc, 4 * (n + 1) + 8 * i + 2, 4);
			bool wide = !(fc & 0x40000000);

			if (to > from)
				piece(&r, main, wide ? fc : (fc & 0x3fffffff) / 2, to - from, wide);
		}
	} else if (le(main, 0, 2) == 0xa5ec || le(main, 0, 2) == 0xa5dc) {
		/* before Word 97: one run of octets */
		uint32_t from = le(main, 0x18, 4), to = le(main, 0x1c, 4);

		if (to > from)
			piece(&r, main, from, to - from, false);
	}
	instruction_ends(&r);
	d->text->err = 0;
	buf_done(&r.instruction);
}
