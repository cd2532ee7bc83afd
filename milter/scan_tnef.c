/* scan_tnef.c: winmail.dat: the attachments inside a TNEF stream. [MS-OXTNEF], [MS-OXPROPS]. Pure; runs in milter-scan. Bounded: attributes,
 * properties, attachments, depth (by the caller). What breaks off in the middle is told; what came before counts. Checksums are not
 * looked at: readers differ in whether they are. */
#include "config.h"

#include "milter/scan_cursor.h"
#include "milter/scan_priv.h"

#include "lib/uni.h"

#include <string.h>

#define SIGNATURE 0x223e9f78u
#define ATTRIBUTES_MAX 4096
#define PROPS_MAX 2048
#define VALUES_MAX 1024
#define FILES_MAX 256

enum {
	ATT_TITLE = 0x8010,
	ATT_DATA = 0x800f,
	ATT_ATTACHMENT = 0x9005, /* MAPI properties of an attachment */
	ATT_RENDDATA = 0x9002,   /* begins the next attachment */
	ATT_BODY = 0x800c,
	PR_FILENAME = 0x3704,
	PR_LONG_FILENAME = 0x3707,
	PR_DISPLAY_NAME = 0x3001,
	PR_DATA = 0x3701,
};

/* To a multiple of four, as MAPI values are padded. */
static void
pad4(struct scan_cursor *c, size_t n)
{
	scan_cursor_bytes(c, (4 - n % 4) % 4);
}

/* One file under way: names as they come, the last data. */
struct file {
	struct buf name; /* UTF-8; the long name wins */
	bool long_name, any;
	struct slice data;
};

static void
set_name(struct file *f, struct slice s, bool utf16, bool is_long)
{
	size_t i;

	if (f->long_name && !is_long)
		return;
	buf_reset(&f->name);
	f->long_name |= is_long;
	if (!utf16) {
		while (s.len > 0 && s.ptr[s.len - 1] == 0)
			s.len--;
		buf_append_slice(&f->name, slice_sub(s, 0, 1000));
		return;
	}
	for (i = 0; i + 1 < s.len && i < 1000; i += 2) {
		unsigned u = s.ptr[i] | (unsigned)s.ptr[i + 1] << 8;

		if (u == 0)
			break;
		uni_append(&f->name, u >= 0xd800 && u < 0xe000 ? 0xfffd : u);
	}
}

/* Octets of one value of a type of fixed size; 0: it is preceded by its length. */
static size_t
fixed_size(unsigned type)
{
	switch (type) {
	case 0x02: /* I2, padded */
	case 0x03: /* long */
	case 0x04: /* R4 */
	case 0x0a: /* error */
	case 0x0b: /* boolean, padded */
		return 4;
	case 0x05: /* double */
	case 0x06: /* currency */
	case 0x07: /* application time */
	case 0x14: /* I8 */
	case 0x40: /* system time */
		return 8;
	case 0x48: /* class id */
		return 16;
	default:
		return 0;
	}
}

static void
on_value(struct file *f, unsigned type, unsigned id, struct slice v)
{
	if (id == PR_LONG_FILENAME)
		set_name(f, v, type == 0x1f, true);
	else if (id == PR_FILENAME || id == PR_DISPLAY_NAME)
		set_name(f, v, type == 0x1f, false);
	else if (id == PR_DATA && v.len > 0) {
		/* an object: 16 octets say of which kind */
		f->data = type == 0x0d && v.len >= 16 ? slice_from(v, 16) : v;
		f->any = true;
	}
}

/* A named property's own name stands between its tag and its values. */
static void
skip_property_name(struct scan_cursor *c)
{
	uint32_t kind, n;

	scan_cursor_bytes(c, 16);
	kind = scan_cursor_le(c, 4);
	if (kind == 0) {
		scan_cursor_le(c, 4);
		return;
	}
	n = scan_cursor_le(c, 4);
	scan_cursor_bytes(c, n);
	pad4(c, n);
}

static void
read_property(struct scan_cursor *c, struct file *f)
{
	uint32_t type = scan_cursor_le(c, 2), id = scan_cursor_le(c, 2), n = 1, i;
	bool many = (type & 0x1000) != 0;
	size_t fixed;

	type &= 0x0fff;
	if (id >= 0x8000)
		skip_property_name(c);
	fixed = fixed_size(type);
	if (many || (fixed == 0 && (type == 0x1e || type == 0x1f || type == 0x102 || type == 0x0d)))
		n = scan_cursor_le(c, 4);
	else if (fixed == 0)
		c->bad = true;
	if (n > VALUES_MAX)
		c->bad = true;
	for (i = 0; i < n && !c->bad; i++) {
		size_t len = fixed != 0 ? fixed : scan_cursor_le(c, 4);
		struct slice v = scan_cursor_bytes(c, len);

		pad4(c, len);
		if (!c->bad)
			on_value(f, type, id, v);
	}
}

static bool
read_properties(struct slice s, struct file *f)
{
	struct scan_cursor c = {s, false};
	uint32_t n = scan_cursor_le(&c, 4), i;

	if (n > PROPS_MAX)
		return false;
	for (i = 0; i < n && !c.bad; i++)
		read_property(&c, f);
	return !c.bad;
}

static void
give(struct file *f, unsigned *n, tnef_fn *on_file, void *arg)
{
	if ((f->any || f->name.len > 0) && (*n)++ < FILES_MAX)
		on_file(arg, buf_slice(&f->name), f->data);
	buf_reset(&f->name);
	f->long_name = f->any = false;
	f->data = slice_of(NULL, 0);
}

bool
scan_tnef(struct slice bytes, tnef_fn *on_file, tnef_text_fn *on_text, void *arg)
{
	struct scan_cursor c = {bytes, false};
	struct file f = {.any = false};
	unsigned n = 0, files = 0;
	bool whole = true;

	if (scan_cursor_le(&c, 4) != SIGNATURE)
		return false;
	scan_cursor_le(&c, 2);
	buf_init(&f.name, 4096);
	while (c.s.len > 0 && !c.bad && n++ < ATTRIBUTES_MAX) {
		unsigned level = scan_cursor_le(&c, 1), id = scan_cursor_le(&c, 2);
		struct slice v;

		scan_cursor_le(&c, 2); /* the kind of its value */
		v = scan_cursor_bytes(&c, scan_cursor_le(&c, 4));
		scan_cursor_le(&c, 2); /* checksum */
		if (level != 1 && level != 2) {
			c.bad = true;
			break;
		}
		if (level == 2 && id == ATT_RENDDATA) {
			give(&f, &files, on_file, arg);
		} else if (id == ATT_TITLE) {
			set_name(&f, v, false, false);
		} else if (id == ATT_DATA) {
			f.data = v;
			f.any = true;
		} else if (id == ATT_ATTACHMENT) {
			whole &= read_properties(v, &f);
		} else if (id == ATT_BODY) {
			on_text(arg, v);
		}
	}
	give(&f, &files, on_file, arg);
	buf_done(&f.name);
	return whole && !c.bad && n < ATTRIBUTES_MAX && files <= FILES_MAX;
}
