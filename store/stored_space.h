/* stored_space.h: getting space back by itself. For stored.c and stored_task_space.c. */
#ifndef CV_STORED_SPACE_H
#define CV_STORED_SPACE_H

#include "store/stored_priv.h"

struct space_policy {
	int64_t interval_s;      /* 0: never by itself */
	unsigned pace, min_live; /* percent */
};
/* Collects and compacts each interval, in a small part of the time. The first one comes soon after the start. */
void space_begin(struct stored *st, const struct space_policy *p);
/* Somebody asks for such work now: one that runs by itself makes room. */
void space_make_room(struct stored *st);
unsigned space_min_live(void);

#endif
