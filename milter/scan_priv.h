/* scan_priv.h: for scan_*.c alone. */
#ifndef CV_SCAN_PRIV_H
#define CV_SCAN_PRIV_H

#include "lib/mime.h"
#include "milter/scan_message.h"

#define SCAN_DEPTH_MAX 8            /* messages in messages, archives in archives */
#define SCAN_ENTRIES_MAX 2000       /* archive members of one message */
#define SCAN_BYTES_MAX (200u << 20) /* unpacked octets of one message */
#define SCAN_RATIO_MAX 200          /* unpacked to packed, from 16 MiB on */
#define SCAN_MEMBER_MAX (32u << 20) /* an archive inside an archive */
#define SCAN_PART_MAX (128u << 20)  /* one decoded part */

struct scan_ctx {
	const struct scan_params *p;
	struct findings *f;
	uint64_t unpacked; /* octets so far */
	unsigned entries;
	unsigned zip_headers;
	unsigned depth;
};

/* scan_part.c: a leaf of the tree. path: its MIME path. */
void scan_leaf(
    struct scan_ctx *c, struct slice whole, const struct mime_part *part, struct slice path);
/* scan_message.c: a message or MIME entity inside; path: prefix of its parts' paths. */
enum scan_cover { COVER_ROOT, COVER_SIGNED, COVER_OTHER };
void scan_entity(struct scan_ctx *c, struct slice whole, struct slice path, enum scan_cover cover);

/* scan_name.c: flags of a name (UTF-8), and the form in which it was judged: without controls, folder, trailing dots and spaces. */
uint32_t scan_name(const struct scan_params *p, struct slice name, struct buf *norm_out);
/* The ending of a normalized name, without dot; empty when none. */
struct slice scan_name_ext(struct slice norm);

/* scan_type.c: the type by our own table; static text. */
enum scan_class { CLASS_OTHER, CLASS_EXEC, CLASS_ARCHIVE };
struct scan_type {
	const char *name; /* "pe", "pdf"; "" unknown */
	enum scan_class cls;
};
struct scan_type scan_type(struct slice bytes);

/* scan_archive.c: looks into an archive; what is found is added as parts "path!member". Flags for the archive itself. The only includer
 * of <archive.h>. */
uint32_t scan_archive(struct scan_ctx *c, struct slice bytes, struct slice path);

/* scan_magic.c: libmagic's opinion, "" without one. scan_magic_init loads its table: before the sandbox. */
void scan_magic_init(void);
const char *scan_magic(struct slice bytes);

#endif
