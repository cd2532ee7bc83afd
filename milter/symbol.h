/* symbol.h: number and symbol of an official document ("15/QĐ-UBND") at the start of a subject, pure. Decree 30/2020 and the forms that
 * are met in practice: DOMAIN.md A (S0 to S4) and B1.
 *
 *   number "/" [year "/"] group { "-" group }     282/BTTTT-ƯDCNTT, 36a/NQ-CP, 80/2014/QĐ-TTg, 08/HĐCNTT, 117/2025/QH15
 *   number "-" TYPE "/" group { "-" group }	   57-NQ/TW (Party documents) */
#ifndef CV_SYMBOL_H
#define CV_SYMBOL_H

#include "lib/buf.h"

enum symbol_flag {
	SYMBOL_F_SPACE = 1 << 0,   /* white space inside: "282/ BTTTT" */
	SYMBOL_F_NO_PAD = 1 << 1,  /* a number below 10 without its zero */
	SYMBOL_F_NO_TYPE = 1 << 2, /* no known document type in it (a công văn has none) */
	SYMBOL_F_PARTY = 1 << 3,
};
struct symbol {
	uint32_t number;
	char letter;       /* 'a' of 36a; 0 for none */
	unsigned year;     /* 0 for none */
	struct slice type; /* "QĐ" as written; empty with SYMBOL_F_NO_TYPE */
	struct slice text; /* the whole symbol in the subject */
	unsigned flags;
};

/* Whether the subject (UTF-8, decoded, unfolded; NFC or NFD) is headed by a symbol: only words that introduce one ("Công văn số",
 * "V/v", "[Khẩn]") may stand before it. Mentions further on do not count. */
bool symbol_parse(struct slice subject, struct symbol *out);

#endif
