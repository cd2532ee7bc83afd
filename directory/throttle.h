/* throttle.h: how many wrong logins an account and a network had of late, in memory that all lookup processes of all parents share (a file
 * of fixed size in the run folder, mapped). Pure but for the mapping: times are the caller's, in milliseconds of a clock that all of
 * them read (CLOCK_BOOTTIME). Each count is one 64-bit word, changed by compare and swap: there is no lock that a killed process could
 * hold, and no state between two writes. What is full forgets the oldest. */
#ifndef CV_THROTTLE_H
#define CV_THROTTLE_H

#include "lib/buf.h"

struct throttle;
struct throttle_params {
	unsigned char secret[32]; /* the same in all processes: names are kept as hashes under it */
	unsigned
	    account_max; /* wrong logins of an account within the window from networks it is not known at; and from each it is. 0: no bound */
	unsigned network_max; /* the same of a network, for all its accounts. 0: no bound */
	unsigned window_s;
	const char *const
	    *exempt; /* "127.0.0.0/8": networks whose addresses stand for many clients; borrowed */
	size_t n_exempt;
};
/* Makes or opens the file; it is mapped and closed. NULL file: memory of this process. Before the sandbox. 0, ERR_IO, ERR_SYNTAX (exempt). */
int throttle_new(const char *file, const struct throttle_params *p, struct throttle **out);
void throttle_free(struct throttle *t); /* NULL accepted */

/* ip: as text, with or without brackets; an IPv6 address counts with its /64. account: whatever stands for the account. password: which password it has, any
 * number (when it was set): wrong logins of an earlier one hold the account no more, while its networks stay known and networks stay held.
 * Whether a try may be made. An account that signed in well from this network in the last 30 days is not held by what others do, be it
 * there or elsewhere: only by its own wrong logins from there. */
bool throttle_may(
    struct throttle *t, struct slice account, int64_t password, const char *ip, uint64_t now_ms);
void throttle_failed(
    struct throttle *t, struct slice account, int64_t password, const char *ip, uint64_t now_ms);
void throttle_succeeded(
    struct throttle *t, struct slice account, int64_t password, const char *ip, uint64_t now_ms);

#endif
