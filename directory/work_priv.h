/* work_priv.h: shared by work*.c alone: the jobs of the milter's questions. Each fills in the job's reply, or its err. */
#ifndef CV_WORK_PRIV_H
#define CV_WORK_PRIV_H

#include "directory/work.h"

/* Normalized; "postmaster" alone is that of the first domain (RFC 5321 4.1.1.3). malloc'd; NULL when it is no address. */
char *work_address(const struct conf *conf, const char *text);
void work_sender(const struct work_params *w, struct job *j);
void work_moved(const struct work_params *w, struct job *j);
void work_member(const struct work_params *w, struct job *j);

#endif
