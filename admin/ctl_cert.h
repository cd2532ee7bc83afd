/* ctl_cert.h: what the files of `congvu cert` share. */
#ifndef CV_CTL_CERT_H
#define CV_CTL_CERT_H

#include "admin/cert_scope.h"
#include "admin/ctl_change.h"
#include "milter/cert_table.h"

/* milter-ledger's file, as it is now. */
struct cert_file {
	int fd; /* -1: there is none yet */
	struct cert_table *table;
};
/* 0 or a sysexit after a message; ended by cert_file_close. No file: an empty table. */
int cert_file_open(struct ctl *c, struct cert_file *out);
void cert_file_close(struct cert_file *f);
/* How many wait, for reports; -1: the file cannot be read. Says nothing. */
int64_t cert_file_waiting(const struct conf *conf);

/* One of them, with all that its lines say. */
struct cert_item {
	struct cert_row *row;
	struct json *cert;     /* its line "cert" */
	struct json *decision; /* its last line "state"; NULL: none */
	struct buf der;        /* as find_sig.certs */
	size_t first_len;      /* octets of the certificate itself, which der begins with */
};
/* By the first eight or more hexadecimal digits of its SHA-256. 0 or a sysexit after a message. */
int cert_item_find(struct ctl *c, struct cert_file *f, const char *id, struct cert_item *out);
int cert_item_read(const struct cert_file *f, struct cert_row *r, struct cert_item *out);
void cert_item_done(struct cert_item *i);
/* All but der, for --json. */
struct json *cert_item_json(const struct cert_item *i);
/* "0a1b2c3d4e5f6071": what people call it. */
void cert_item_id(const struct cert_row *r, char out[17]);
/* "pending", in the language of people. */
const char *cert_state_word(enum cert_state s);
/* "2026-11-22 08:30" here. Static, for one use. */
const char *cert_when(int64_t t);

/* cert_check.c: has it judged as of now by congvu-milter-judge, as the policy in force asks for whose address it is, with CRLs and OCSP answers that the fetch role gets: what
 * judge_cert.h says. NULL with *why: it could not be. The run folder is the working folder. */
struct json *cert_check(
    struct ctl *c, struct slice certs, const struct cert_scope *scope, const char **why);
/* False: it may be published. Else why not, in the language of people: it is not valid, below what the policy asks, revoked, or that is not known. *code_out: the sysexit for it. */
bool cert_refused(
    const struct json *judged, const struct cert_scope *scope, struct buf *why, int *code_out);

/* ctl_cert_decide.c */
struct cert_args {
	struct change_args change;
	const char *id, *reason;
	bool signing_only;
};
/* The code of the agency of who has the address; "": nobody, or none. 0, or a sysexit after a message. *out: free(). */
int cert_agency(struct ctl *c, const struct cert_args *a, const char *address, char **out);
int cert_approve(struct ctl *c, const struct cert_args *a);
int cert_withdraw(struct ctl *c, const struct cert_args *a);
int cert_ban(struct ctl *c, const struct cert_args *a, bool on);

#endif
