/* modes.h: which rule is in which mode for whom (option policy_modes), and numbers that differ by agency (policy_attachment_mb). Pure.
 *
 *   P06=warn                  for all
 *   @so.tinh.example:P17=log  for mail From that domain
 *   H37.02:P25=off            for mail From an owner of that agency, or of one below it (H37.02.11)
 *   *=log                     all P rules (training: the policy logs only)
 *
 * What is nearer holds: all < domain < agency < agency below; among equals the one that stands last. */
#ifndef CV_MODES_H
#define CV_MODES_H

#include "milter/rule.h"

#define MODES_MAX 4096

struct modes;
struct modes *modes_new(void); /* fatal() for no memory */
void modes_free(struct modes *m);
/* One item of policy_modes or policy_attachment_mb. 0; ERR_SYNTAX with *why_out a static text; ERR_LIMIT (MODES_MAX). */
int modes_add(struct modes *m, const char *item, const char **why_out);
int modes_add_limit(struct modes *m, const char *item, const char **why_out);
/* Modes of all rules into out[rule_table_len], for an author. */
void modes_of(const struct modes *m, struct slice domain, struct slice agency, unsigned char *out);
/* The same for the mail of several authors: the stricter of both into out. */
void modes_stricter(unsigned char *out, const unsigned char *other);
/* Largest size of all attachments, octets; 0: no limit. */
uint64_t modes_limit(const struct modes *m, struct slice domain, struct slice agency);
/* The settings as one text, for the policy's hash. */
void modes_text(const struct modes *m, struct buf *out);

#endif
