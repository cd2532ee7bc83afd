/* scan_ole.c: what an OLE2 file (legacy Office, Outlook, Installer) holds, by the names of its storages and streams. Pure; runs in
 * milter-scan. [MS-CFB] 2.6. Directory entries are recognised wherever they stand in the file: a chain of sectors bent to hide one from
 * us bends nothing that matters, and no chain has to be followed. */
#include "config.h"

#include "milter/scan_priv.h"

#include <string.h>

#define ENTRY 128
#define BIFF_RECORDS_MAX 4096

static unsigned
le16(const unsigned char *p)
{
	return p[0] | (unsigned)p[1] << 8;
}

/* A directory entry's name as ASCII; false when this is no entry in use, or its name is not ASCII. */
static bool
entry_name(const unsigned char *p, char out[32])
{
	unsigned len = le16(p + 64), i;

	if (len < 4 || len > 64 || len % 2 != 0 || (p[66] != 1 && p[66] != 2 && p[66] != 5) ||
	    p[67] > 1 || le16(p + len - 2) != 0)
		return false;
	for (i = 0; i + 1 < len / 2; i++) {
		unsigned c = le16(p + 2 * (size_t)i);

		if (c == 0 || c >= 0x7f)
			return false;
		out[i] = (char)c;
	}
	out[i] = '\0';
	return true;
}

static void
note_name(const char *name, struct ole_facts *f)
{
	static const struct {
		const char *name, *type;
		bool macro, locked;
	} known[] = {{"WordDocument", "doc", false, false}, {"Workbook", "xls", false, false},
	    {"Book", "xls", false, false}, {"PowerPoint Document", "ppt", false, false},
	    {"VisioDocument", "vsd", false, false},
	    {"__properties_version1.0", "msg", false, false},
	    {"EncryptedPackage", "ooxml", false, true}, {"EncryptedSummary", NULL, false, true},
	    {"_VBA_PROJECT", NULL, true, false}, {"_VBA_PROJECT_CUR", NULL, true, false},
	    {"VBA", NULL, true, false}, {"Macros", NULL, true, false}};
	size_t i;

	for (i = 0; i < sizeof known / sizeof *known; i++) {
		if (strcasecmp(name, known[i].name) != 0)
			continue;
		if (known[i].type != NULL && f->type == NULL)
			f->type = known[i].type;
		f->macro |= known[i].macro;
		f->locked |= known[i].locked;
	}
	/* the first character of some is a control */
	f->object |= strcasecmp(name[0] < ' ' ? name + 1 : name, "Ole10Native") == 0 ||
		     strcasecmp(name, "Package") == 0 || strcasecmp(name, "VBA") == 0;
}

/* A workbook's globals from their BOF on: a sheet of kind 1 is an Excel 4 macro sheet; FILEPASS is a password. [MS-XLS] 2.4.28, 2.4.117 */
static void
walk_biff(struct slice s, struct ole_facts *f)
{
	size_t at = 0;
	unsigned n, id, len;

	for (n = 0; n < BIFF_RECORDS_MAX && s.len - at >= 4; n++) {
		id = le16(s.ptr + at);
		len = le16(s.ptr + at + 2);
		if (id == 0 || len > 8224 || s.len - at - 4 < len)
			return;
		if (id == 0x0085 && len >= 6 && s.ptr[at + 4 + 5] == 1)
			f->macro = true;
		if (id == 0x002f)
			f->locked = true;
		if (id == 0x000a)
			return;
		at += 4 + len;
	}
}

void
scan_ole(struct slice s, struct ole_facts *f)
{
	char name[32];
	size_t at;

	memset(f, 0, sizeof *f);
	for (at = 0; at + ENTRY <= s.len; at += ENTRY) {
		if (entry_name(s.ptr + at, name))
			note_name(name, f);
		/* BOF of BIFF8 workbook globals begins a sector, or a mini sector of 64 */
		if (memcmp(s.ptr + at, "\x09\x08\x10\x00\x00\x06\x05\x00", 8) == 0)
			walk_biff(slice_from(s, at), f);
		else if (memcmp(s.ptr + at + 64, "\x09\x08\x10\x00\x00\x06\x05\x00", 8) == 0)
			walk_biff(slice_from(s, at + 64), f);
	}
	if (f->type == NULL)
		f->type = "ole2";
}
