/* date.h: dates of mail, pure. */
#ifndef CV_DATE_H
#define CV_DATE_H

#include "lib/buf.h"

/* RFC 5322 date-time with obsolete zones and comments: seconds since 1970 UTC and zone in minutes. 0 or ERR_SYNTAX. */
int date_rfc5322_parse(struct slice s, int64_t *t_out, int *zone_out);
/* "Sat, 21 Nov 2026 08:00:00 +0700" */
int date_rfc5322_format(int64_t t, int zone_min, struct buf *out);
/* IMAP date-time without quotes "21-Nov-2026 08:00:00 +0700" (day may be space-padded); and date "21-Nov-2026" → days since 1970. */
int date_imap_parse(struct slice s, int64_t *t_out, int *zone_out);
int date_imap_format(int64_t t, int zone_min, struct buf *out);
int date_imap_day_parse(struct slice s, int64_t *day_out);
/* RFC 3339 UTC with microseconds: "2026-11-21T01:00:00.000000Z". */
int date_rfc3339_format(int64_t us, struct buf *out);
/* The local zone's offset at t, minutes. */
int date_local_zone(int64_t t);

#endif
