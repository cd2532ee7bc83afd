/* ctl_trace.h: what the files of `congvu trace` and `congvu report` share: which records are meant, and walking a long log with bounded memory. */
#ifndef CV_CTL_TRACE_H
#define CV_CTL_TRACE_H

#include "admin/ctl_audit.h"

enum { TRACE_TIME_LEN = 27, TRACE_GROUP_MAX = 64 };

/* Between which times records are meant, as the log writes them (UTC); "" is no bound. */
struct trace_span {
	char since[TRACE_TIME_LEN + 1],
	    until[TRACE_TIME_LEN + 1]; /* until: its beginnings count as well */
};
/* --day D (of this host's time zone), --since, --until (UTC, or its beginning). 0 or EX_USAGE, told. Any may be NULL. */
int trace_span_read(
    struct ctl *c, const char *day, const char *since, const char *until, struct trace_span *out);
/* Whether a time is in it. */
bool trace_span_has(const struct trace_span *s, struct slice ts);
/* The time of a line, found without parsing it. Empty when the line has none. */
struct slice trace_line_ts(struct slice line);
/* The files that can have records of the span: first and one past the last. A file ends when the next one begins; an hour is allowed for clocks that were
 * set back. */
void trace_span_files(struct ctl *c, const struct audit_files *files, const struct trace_span *s,
    size_t *from_out, size_t *to_out);

/* What was asked for; NULL: not asked. All that is asked must stand in one record of the mail. */
struct trace_want {
	struct trace_span span;
	const char *qid, *message_id, *from, *to, *login, *subject, *attachment, *digest, *rule,
	    *action;
};
struct trace_filter;
/* NULL: none of them is usable (told). want lives as long. */
struct trace_filter *trace_filter_new(struct ctl *c, const struct trace_want *want);
void trace_filter_free(struct trace_filter *f);
bool trace_filter_has(const struct trace_filter *f, struct slice line);

/* The queue id of a line, raw; empty: none. */
struct slice trace_line_qid(struct slice line);
/* The group of a queue id: a mail that was judged anew goes on under its id with one bit changed (smtpd/judge.c). 0, or ERR_LIMIT (none, or too long). */
int trace_group(struct slice qid, char out[TRACE_GROUP_MAX + 1]);

/* A mail, and what the log has of it, in order. */
struct trace_mail {
	char group[TRACE_GROUP_MAX + 1];
	struct json *records; /* array */
	size_t octets;
	uint64_t bad;  /* lines that are not as they were written */
	uint64_t more; /* records that are not kept */
};
/* Everything the log has of mails whose groups are set (records NULL), from since on (trace_span; "": all). The caller frees the records. 0 or an exit
 * code, told. */
int trace_gather(struct ctl *c, struct trace_mail *mails, size_t n, const char *since);
/* The verdict of a queue id among a mail's records, the last one; NULL. */
const struct json *trace_verdict(const struct trace_mail *m, const char *qid);
/* The id that a mail is shown under: the one it had first, which is what its sender was told; the group's where no record is kept. */
const char *trace_id(const struct trace_mail *m);
void trace_print(const struct trace_mail *m, bool whole);
/* What a record has for people's eyes, in their language: "valid", "delivered"; what is no such word is shown as it is. */
void trace_print_word(struct slice s);
/* Its records as they are, and beside them what is dangerous to show in a form that is not ("shown"). */
struct json *trace_json(const struct trace_mail *m);

#endif
