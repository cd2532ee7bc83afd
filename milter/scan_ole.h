/* scan_ole.h: for scan_ole*.c and scan_gsf.c alone: compound files (OLE2, [MS-CFB]) and what Office keeps in them. Runs in milter-scan. */
#ifndef CV_SCAN_OLE_H
#define CV_SCAN_OLE_H

#include "milter/scan_priv.h"

#define OLE_CHILDREN_MAX 4096 /* of one storage */
#define OLE_ENTRIES_MAX 20000 /* of one file */
#define OLE_DEPTH_MAX 16

/* scan_gsf.c: storages and streams. */
struct ole_dir;
struct ole_dir *ole_open(struct slice bytes); /* bytes outlast it; NULL: libgsf cannot read it */
void ole_close(struct ole_dir *d);
int ole_count(const struct ole_dir *d);
const char *ole_name(const struct ole_dir *d, int i);    /* UTF-8 */
int ole_find(const struct ole_dir *d, const char *name); /* -1: none */
/* A stream, appended to out, or a storage (*dir_out, the caller's). False: it cannot be read, or is larger than max. */
bool ole_read(
    const struct ole_dir *d, int i, size_t max, struct buf *out, struct ole_dir **dir_out);

/* What a document says of itself in its main stream; text: UTF-8, appended. Pure. */
struct ole_doc {
	bool macro, locked;
	bool dde;      /* starts programs when its fields or links are brought up to date */
	bool too_much; /* what stands behind a bound was not looked at */
	struct buf *text;
};
/* scan_ole_word.c: [MS-DOC] WordDocument with its table stream. */
bool ole_word_table(struct slice main, const char **name_out); /* false: not Word 97 or later */
void ole_word(struct slice main, struct slice table, struct ole_doc *d);
/* scan_ole_sheet.c: [MS-XLS] Workbook or Book. */
void ole_sheet(struct slice s, struct ole_doc *d);
/* scan_ole_slides.c: [MS-PPT] "PowerPoint Document"; each embedded storage, unpacked. on: false when no more may be. */
typedef bool ole_object_fn(void *arg, struct slice bytes);
void ole_slides(struct slice s, struct ole_doc *d, ole_object_fn *on, void *arg);

/* scan_ole_package.c: a packaged file ([MS-OLEDS] 2.3.6 and what Windows' Object Packager writes): name and content; false: it is none. */
bool ole_package(struct slice s, struct slice *name_out, struct slice *data_out);
/* UTF-16LE to UTF-8; CR ends a line, other controls are spaces. */
void ole_utf16(struct slice s, struct buf *out);
/* One octet a character (windows-1252), the same. */
void ole_latin(struct slice s, struct buf *out);

#endif
