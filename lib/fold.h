/* fold.h: Vietnamese folding and order, pure. DOMAIN.md B4: lower case, marks removed, đ, Đ and Ð (U+00D0) to d. */
#ifndef CV_FOLD_H
#define CV_FOLD_H

#include "lib/buf.h"

/* UTF-8 of any normal form → folded, lower case (NFKD, marks dropped, case folded). Invalid bytes become "?". */
int vn_fold(struct slice utf8, struct buf *out);
/* The same of a text as uni_scrub leaves it with U+FFFD for invalid bytes, in one go. */
int vn_fold_text(struct slice text, struct buf *out);
/* As vn_fold but case is kept and only ASCII comes out (what has none becomes "?"): for SMTP reply text. */
int vn_ascii(struct slice utf8, struct buf *out);
/* RFC 4790-style comparison for IMAP SEARCH: full Unicode case folding + NFC, marks kept; appended to out. */
int case_fold(struct slice utf8, struct buf *out);
/* Whether case_fold makes the same of both, as a directory compares. Of texts of more than 8 KiB only the same octets, but for ASCII case, are. */
bool case_same(struct slice a, struct slice b);
/* Order of Vietnamese words: letters first, tones second, syllable by syllable. <0, 0, >0. */
int vn_collate(struct slice a, struct slice b);
/* "Đặng Thị Thu Hường" → family "Đặng", middle "Thị Thu", given "Hường". Slices of name. */
void vn_name_split(
    struct slice name, struct slice *family, struct slice *middle, struct slice *given);
/* DOMAIN.md C2: fold(tên) + initials(họ, đệm): "huongdtt". */
int vn_name_id(struct slice name, struct buf *out);

#endif
