/* register.c: makes the register's entry of an issued document. Pure; runs in milter's threads. */
#include "config.h"

#include "milter/register.h"

#include "lib/crypto.h"
#include "lib/json.h"

#include <stdlib.h>
#include <time.h>

static const struct find_part *
document_of(const struct rule_facts *f)
{
	const struct find_part *p, *first = NULL;

	for (p = f->scan->parts; p != NULL; p = p->next) {
		if (!(p->flags & PART_ATTACHED) || (p->flags & (PART_IN_ARCHIVE | PART_INLINE)))
			continue;
		if (slice_eq_str(p->true_type, "pdf"))
			return p;
		if (first == NULL)
			first = p;
	}
	return first;
}

/* What its own text says of that file. */
static const struct find_doc *
said_of(const struct rule_facts *f, struct slice part)
{
	const struct find_doc *d = f->scan->docs;

	while (d != NULL && !slice_eq(d->part, part))
		d = d->next;
	return d;
}

static int64_t
year_of(const struct rule_facts *f, const struct find_doc *d, int64_t now)
{
	uint64_t year = 0;
	time_t t = (time_t)now;
	struct tm tm;

	if (f->doc.year != 0)
		return f->doc.year;
	if (d != NULL && d->date.len >= 4 &&
	    slice_to_u64(slice_sub(d->date, 0, 4), 2199, &year) == 0 && year >= 1945)
		return (int64_t)year;
	t += 7 * 3600; /* the year turns in Vietnam */
	gmtime_r(&t, &tm);
	return tm.tm_year + 1900;
}

bool
register_entry(const struct rule_facts *f, const char *qid, int64_t now, struct buf *out)
{
	const struct find_part *p;
	const struct find_doc *d;
	struct json *o;
	char hex[65];
	bool ok;

	if (!f->issued || f->doc.number == 0 || f->n_authors == 0 ||
	    f->authors[0].agency.len == 0 || (p = document_of(f)) == NULL)
		return false;
	d = said_of(f, p->path);
	o = json_obj_new();
	hex_encode(p->sha256, 32, hex);
	json_set_slice(o, "agency", slice_sub(f->authors[0].agency, 0, 400));
	json_set_int(o, "year", year_of(f, d, now));
	json_set_slice(o, "symbol", slice_sub(f->doc.symbol, 0, 200));
	json_set_slice(o, "type", f->doc.type);
	json_set_slice(o, "date", d != NULL ? d->date : slice_str(""));
	json_set_slice(o, "summary",
	    slice_sub(d != NULL && d->summary.len > 0 ? d->summary : f->doc.summary, 0, 400));
	json_set_slice(o, "urgency",
	    f->doc.urgency.len > 0 ? f->doc.urgency
	    : d != NULL            ? d->urgency
				   : slice_str(""));
	json_set_slice(o, "from", slice_sub(f->authors[0].address, 0, 320));
	json_set_str(o, "qid", qid);
	json_set_str(o, "sha256", hex);
	ok = json_canonical(o, out) == 0;
	json_free(o);
	return ok;
}
