/* sync_value.h: the values that content synchronization puts into controls and intermediate responses (RFC 4533 2), in BER. Pure; they come from the
 * network, so lengths are checked and nothing is believed. */
#ifndef CV_SYNC_VALUE_H
#define CV_SYNC_VALUE_H

#include "lib/buf.h"

#define SYNC_COOKIE_MAX 4096

/* syncRequestValue: refreshAndPersist; cookie empty: none. Appended. */
void sync_request_append(struct slice cookie, struct buf *out);

enum sync_state { SYNC_PRESENT = 0, SYNC_ADD = 1, SYNC_MODIFY = 2, SYNC_DELETE = 3 };
/* syncStateValue of an entry. cookie is borrowed, ptr NULL when there is none. 0 or ERR_SYNTAX. */
int sync_state_parse(struct slice v, enum sync_state *state_out, struct slice *cookie_out);

enum sync_info_kind {
	SYNC_NEW_COOKIE = 0,
	SYNC_REFRESH_DELETE = 1,  /* what is gone was named */
	SYNC_REFRESH_PRESENT = 2, /* what was not named is gone */
	SYNC_ID_SET = 3,
};
struct sync_info {
	enum sync_info_kind kind;
	struct slice cookie; /* borrowed; ptr NULL: none */
	bool is_done;        /* of the refreshes: the last one, changes follow as they come */
	bool deletes;        /* of SYNC_ID_SET: these are gone, else they are there */
};
/* syncInfoValue. 0 or ERR_SYNTAX. */
int sync_info_parse(struct slice v, struct sync_info *out);

#endif
