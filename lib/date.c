/* date.c: dates of mail, pure but for the local zone. Runs in every role.
 *
 * Own calendar arithmetic (proleptic Gregorian, days since 1970-01-01) instead of mktime: no locale, no global state, years
 * 0 to 9999. RFC 5322 3.3 and 4.3 (obsolete zones, two-digit years, comments), RFC 3501 "date-time", RFC 3339. */
#include "lib/date.h"

#include <string.h>
#include <time.h>

#include "lib/err.h"

static const char month_names[12][4] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

struct civil {
	int64_t year;
	unsigned month, day; /* 1..12, 1..31 */
	unsigned hour, min, sec;
	int zone; /* minutes east of UTC */
};

static int64_t
days_from_civil(int64_t y, unsigned m, unsigned d)
{
	int64_t era;
	unsigned yoe, doy, doe;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = (unsigned)(y - era * 400);
	doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + (int64_t)doe - 719468;
}

static void
civil_from_days(int64_t z, struct civil *c)
{
	int64_t era;
	unsigned doe, yoe, doy, mp;

	z += 719468;
	era = (z >= 0 ? z : z - 146096) / 146097;
	doe = (unsigned)(z - era * 146097);
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	c->day = doy - (153 * mp + 2) / 5 + 1;
	c->month = mp < 10 ? mp + 3 : mp - 9;
	c->year = (int64_t)yoe + era * 400 + (c->month <= 2);
}

static bool
civil_ok(const struct civil *c)
{
	static const unsigned char len[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = c->year % 4 == 0 && (c->year % 100 != 0 || c->year % 400 == 0);

	if (c->year < 0 || c->year > 9999 || c->month < 1 || c->month > 12 || c->day < 1)
		return false;
	if (c->day > len[c->month - 1] + (unsigned)(c->month == 2 && leap))
		return false;
	return c->hour < 24 && c->min < 60 && c->sec <= 60; /* 60: a leap second */
}

static int64_t
civil_time(const struct civil *c)
{
	int64_t day = days_from_civil(c->year, c->month, c->day);

	return day * 86400 + c->hour * 3600 + c->min * 60 + c->sec - (int64_t)c->zone * 60;
}

static void
civil_from_time(int64_t t, int zone_min, struct civil *c)
{
	int64_t local = t + (int64_t)zone_min * 60, day = local / 86400, sec = local % 86400;

	if (sec < 0) {
		sec += 86400;
		day--;
	}
	civil_from_days(day, c);
	c->hour = (unsigned)(sec / 3600);
	c->min = (unsigned)(sec / 60 % 60);
	c->sec = (unsigned)(sec % 60);
	c->zone = zone_min;
}

/* ---- reading ---- */

/* Between min and max digits off the front of *s. */
static bool
take_num(struct slice *s, size_t min, size_t max, unsigned *v_out)
{
	unsigned v = 0;
	size_t n = 0;

	while (n < max && n < s->len && s->ptr[n] >= '0' && s->ptr[n] <= '9')
		v = v * 10 + (s->ptr[n++] - '0');
	if (n < min)
		return false;
	*s = slice_from(*s, n);
	*v_out = v;
	return true;
}

static bool
take_byte(struct slice *s, unsigned char c)
{
	if (s->len == 0 || s->ptr[0] != c)
		return false;
	*s = slice_from(*s, 1);
	return true;
}

static bool
take_month(struct slice *s, unsigned *m_out)
{
	for (unsigned i = 0; i < 12; i++)
		if (slice_casestarts(*s, month_names[i])) {
			*s = slice_from(*s, 3);
			*m_out = i + 1;
			return true;
		}
	return false;
}

/* ("+" / "-") 4DIGIT; bounded so that no time overflows. */
static bool
take_zone(struct slice *s, int *zone_out)
{
	unsigned v;
	bool neg;

	if (s->len < 5 || (s->ptr[0] != '+' && s->ptr[0] != '-'))
		return false;
	neg = s->ptr[0] == '-';
	*s = slice_from(*s, 1);
	if (!take_num(s, 4, 4, &v) || v % 100 > 59)
		return false;
	*zone_out = (int)(v / 100 * 60 + v % 100);
	if (neg)
		*zone_out = -*zone_out;
	return true;
}

/* White space, folds and comments (nested: a counter, so depth costs nothing). */
static bool
skip_cfws(struct slice *s)
{
	size_t i = 0, depth = 0;
	bool any = false;

	for (; i < s->len; i++) {
		unsigned char c = s->ptr[i];

		if (c == '(') {
			depth++;
		} else if (depth > 0) {
			if (c == '\\' && i + 1 < s->len)
				i++;
			else if (c == ')')
				depth--;
		} else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
			break;
		}
		any = true;
	}
	*s = slice_from(*s, i);
	return any;
}

/* Obsolete zones (RFC 5322 4.3); military and unknown names mean "-0000". No zone at all is read so too. */
static bool
take_obs_zone(struct slice *s, int *zone_out)
{
	static const struct {
		const char *name;
		int min;
	} zones[] = {{"UT", 0}, {"UTC", 0}, {"GMT", 0}, {"EST", -300}, {"EDT", -240}, {"CST", -360},
	    {"CDT", -300}, {"MST", -420}, {"MDT", -360}, {"PST", -480}, {"PDT", -420}};
	struct slice name;
	size_t n = 0;

	while (n < s->len && ((s->ptr[n] | 0x20) >= 'a' && (s->ptr[n] | 0x20) <= 'z'))
		n++;
	name = slice_sub(*s, 0, n);
	*s = slice_from(*s, n);
	*zone_out = 0;
	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
		if (slice_caseeq_str(name, zones[i].name))
			*zone_out = zones[i].min;
	return n <= 5;
}

static bool
take_year(struct slice *s, int64_t *year_out)
{
	size_t before = s->len, digits;
	unsigned v;

	if (!take_num(s, 2, 4, &v))
		return false;
	digits = before - s->len;
	if (digits == 2) /* RFC 5322 4.3 */
		v += v < 50 ? 2000 : 1900;
	else if (digits == 3)
		v += 1900;
	*year_out = v;
	return true;
}

static bool
take_time_of_day(struct slice *s, struct civil *c)
{
	if (!take_num(s, 1, 2, &c->hour))
		return false;
	skip_cfws(s);
	if (!take_byte(s, ':'))
		return false;
	skip_cfws(s);
	if (!take_num(s, 2, 2, &c->min))
		return false;
	skip_cfws(s);
	if (!take_byte(s, ':'))
		return true;
	skip_cfws(s);
	return take_num(s, 2, 2, &c->sec);
}

int
date_rfc5322_parse(struct slice s, int64_t *t_out, int *zone_out)
{
	struct civil c = {0};

	skip_cfws(&s);
	for (size_t i = 0; i < 7; i++)
		if (slice_casestarts(s, day_names[i])) {
			s = slice_from(s, 3);
			skip_cfws(&s);
			take_byte(&s,
			    ','); /* the name is not checked against the date: it says nothing more */
			skip_cfws(&s);
			break;
		}
	if (!take_num(&s, 1, 2, &c.day))
		return ERR_SYNTAX;
	skip_cfws(&s);
	if (!take_month(&s, &c.month))
		return ERR_SYNTAX;
	skip_cfws(&s);
	if (!take_year(&s, &c.year) || !skip_cfws(&s) || !take_time_of_day(&s, &c))
		return ERR_SYNTAX;
	skip_cfws(&s);
	if (s.len > 0 && (s.ptr[0] == '+' || s.ptr[0] == '-')) {
		if (!take_zone(&s, &c.zone))
			return ERR_SYNTAX;
	} else if (!take_obs_zone(&s, &c.zone)) {
		return ERR_SYNTAX;
	}
	skip_cfws(&s);
	if (s.len != 0 || !civil_ok(&c))
		return ERR_SYNTAX;
	*t_out = civil_time(&c);
	*zone_out = c.zone;
	return 0;
}

/* date = day "-" month "-" 4DIGIT; fixed: the day is 2DIGIT or SP DIGIT. */
static bool
take_imap_date(struct slice *s, bool fixed, struct civil *c)
{
	bool padded = fixed && take_byte(s, ' ');
	unsigned year;

	if (!take_num(s, fixed && !padded ? 2 : 1, padded ? 1 : 2, &c->day) || !take_byte(s, '-'))
		return false;
	if (!take_month(s, &c->month) || !take_byte(s, '-') || !take_num(s, 4, 4, &year))
		return false;
	c->year = year;
	return true;
}

int
date_imap_parse(struct slice s, int64_t *t_out, int *zone_out)
{
	struct civil c = {0};

	if (!take_imap_date(&s, true, &c) || !take_byte(&s, ' '))
		return ERR_SYNTAX;
	if (!take_num(&s, 2, 2, &c.hour) || !take_byte(&s, ':') || !take_num(&s, 2, 2, &c.min))
		return ERR_SYNTAX;
	if (!take_byte(&s, ':') || !take_num(&s, 2, 2, &c.sec) || !take_byte(&s, ' '))
		return ERR_SYNTAX;
	if (!take_zone(&s, &c.zone) || s.len != 0 || !civil_ok(&c))
		return ERR_SYNTAX;
	*t_out = civil_time(&c);
	*zone_out = c.zone;
	return 0;
}

int
date_imap_day_parse(struct slice s, int64_t *day_out)
{
	struct civil c = {0};

	if (!take_imap_date(&s, false, &c) || s.len != 0 || !civil_ok(&c))
		return ERR_SYNTAX;
	*day_out = days_from_civil(c.year, c.month, c.day);
	return 0;
}

/* ---- writing ---- */

/* Times outside the years 0 to 9999 have no form in any of these grammars. */
static int
civil_for_format(int64_t t, int zone_min, struct civil *c)
{
	if (t < -62167219200 || t > 253402300799 || zone_min < -5999 || zone_min > 5999)
		return ERR_RANGE;
	civil_from_time(t, zone_min, c);
	return c->year < 0 || c->year > 9999 ? ERR_RANGE : 0;
}

static int
append_zone(int zone_min, struct buf *out)
{
	unsigned z = (unsigned)(zone_min < 0 ? -zone_min : zone_min);

	buf_append_str(out, zone_min < 0 ? " -" : " +");
	buf_append_decimal(out, z / 60, 2);
	return buf_append_decimal(out, z % 60, 2);
}

static void
append_time(const struct civil *c, struct buf *out)
{
	buf_append_decimal(out, (unsigned)c->hour, 2);
	buf_append_byte(out, ':');
	buf_append_decimal(out, (unsigned)c->min, 2);
	buf_append_byte(out, ':');
	buf_append_decimal(out, (unsigned)c->sec, 2);
}

int
date_rfc5322_format(int64_t t, int zone_min, struct buf *out)
{
	struct civil c;
	int64_t dow;
	int r = civil_for_format(t, zone_min, &c);

	if (r != 0)
		return r;
	dow = (days_from_civil(c.year, c.month, c.day) % 7 + 7 + 4) % 7;
	buf_append_str(out, day_names[dow]);
	buf_append_str(out, ", ");
	buf_append_decimal(out, (unsigned)c.day, 2);
	buf_append_byte(out, ' ');
	buf_append_str(out, month_names[c.month - 1]);
	buf_append_byte(out, ' ');
	buf_append_decimal(out, (uint64_t)c.year, 4);
	buf_append_byte(out, ' ');
	append_time(&c, out);
	return append_zone(zone_min, out);
}

int
date_imap_format(int64_t t, int zone_min, struct buf *out)
{
	struct civil c;
	int r = civil_for_format(t, zone_min, &c);

	if (r != 0)
		return r;
	if (c.day < 10)
		buf_append_byte(out, ' ');
	buf_append_decimal(out, (unsigned)c.day, 0);
	buf_append_byte(out, '-');
	buf_append_str(out, month_names[c.month - 1]);
	buf_append_byte(out, '-');
	buf_append_decimal(out, (uint64_t)c.year, 4);
	buf_append_byte(out, ' ');
	append_time(&c, out);
	return append_zone(zone_min, out);
}

int
date_rfc3339_format(int64_t us, struct buf *out)
{
	struct civil c;
	int64_t t = us / 1000000, frac = us % 1000000;
	int r;

	if (frac < 0) {
		frac += 1000000;
		t--;
	}
	r = civil_for_format(t, 0, &c);
	if (r != 0)
		return r;
	return buf_appendf(out, "%04d-%02u-%02uT%02u:%02u:%02u.%06dZ", (int)c.year, c.month, c.day,
	    c.hour, c.min, c.sec, (int)frac);
}

int
date_local_zone(int64_t t)
{
	time_t tt = (time_t)t;
	struct tm tm;

	if (localtime_r(&tt, &tm) == NULL)
		return 0;
	return (int)(tm.tm_gmtoff / 60);
}
