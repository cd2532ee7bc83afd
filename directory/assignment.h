/* assignment.h: a value of vnAssignment, "kind;agency;post;from;to;decision": who is where, in which post, for which days; one of vnSigningAuthority, of which the
 * days alone matter here; and the days of vnAddressHistory. Pure. */
#ifndef CV_ASSIGNMENT_H
#define CV_ASSIGNMENT_H

#include "directory/dir.h"
#include "lib/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* Slices of the value, without the blanks around them; ptr NULL: the value has no such field. The decision has whatever follows the fifth semicolon. */
struct assignment {
	struct slice kind, agency, post, from, to, decision;
};
void assignment_split(struct slice v, struct assignment *out);

/* A date as the schema has it in fields: "20250701", the first moment of that day here, or a GeneralizedTime (RFC 4517 3.3.13), as seconds since 1970; 0 when
 * it is none: of a day that the calendar has not, or with anything behind it. */
int64_t assignment_time(struct slice v);
bool assignment_is_date(struct slice v);
/* From when until when what has these days holds, seconds since 1970; 0: no bound, which an empty one is. False where one of them is no date: then it
 * holds never (until is long past), for nobody is to keep a right because its end was mistyped. */
bool assignment_bounds(struct slice from, struct slice to, int64_t *from_out, int64_t *until_out);

/* When the entry with this history ("address;from;to", vnAddressHistory; NULL: none) gave up the address (normalized), the last time, as seconds since 1970;
 * INT64_MAX when no date says; mistyped where that is no date; -1: it never had it. */
int64_t address_given_up(const struct dir_attr *history, struct slice address, int64_t mistyped);

enum assignment_when { ASSIGNMENT_OVER, ASSIGNMENT_NOW, ASSIGNMENT_LATER };
/* from and to as in an assignment, or as vnValidFrom and vnValidTo: the end is the first moment at which it holds no more; ASSIGNMENT_OVER where one of them is no date. */
enum assignment_when assignment_when(struct slice from, struct slice to, int64_t now);

/* "type;capacity;from;to;decision": what may be signed. named: "type;capacity" of the value, or all of it where it has no capacity; from, to: ptr NULL or empty: no bound. */
struct authority {
	struct slice named, from, to;
};
void authority_split(struct slice v, struct authority *out);
/* Whether each of its days is a date or empty: a value of which one is mistyped gives nothing, rather than for ever. */
bool authority_has_dates(const struct authority *a);

#endif
