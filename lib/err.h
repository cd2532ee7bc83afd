/* err.h: the one set of error codes. Functions return 0 or a negative enum err; what a peer sees and
 * what the log says are chosen by the caller. Runs in every process. */
#ifndef CV_ERR_H
#define CV_ERR_H

enum err {
	ERR_OK = 0,
	ERR_NOMEM = -1,        /* out of memory */
	ERR_SYNTAX = -2,       /* input does not follow its grammar */
	ERR_LIMIT = -3,        /* a bound (size, count, depth) would be passed */
	ERR_IO = -4,           /* a system call failed; errno says which way */
	ERR_EOF = -5,          /* the peer or the file ended */
	ERR_AGAIN = -6,        /* nothing to read or no room to write now */
	ERR_TIMEOUT = -7,      /* a deadline passed */
	ERR_NOTFOUND = -8,     /* no such thing */
	ERR_EXISTS = -9,       /* it is there already */
	ERR_CONFLICT = -10,    /* a condition (mod-sequence) did not hold: read again, try again */
	ERR_GONE = -11,        /* the object was removed */
	ERR_FULL = -12,        /* no space or over quota */
	ERR_DENIED = -13,      /* not permitted */
	ERR_TEMP = -14,        /* a service is not there now: try later */
	ERR_UNSUPPORTED = -15, /* not done by this version */
	ERR_CORRUPT = -16,     /* stored bytes fail their check */
	ERR_RANGE = -17,       /* a number is out of its range */
	ERR_PROTO = -18,       /* the peer broke the protocol */
	ERR_CLOSED = -19,      /* the connection is closed */
	ERR_UNKNOWN = -20,     /* it cannot be known whether it was done: read again */
	ERR_CANCELED = -21,    /* given up by the caller */
	ERR_EXPIRED = -22,     /* a ticket, password or certificate is past its time */
	ERR_AUTH = -23,        /* wrong credentials */
	ERR_LOCKED = -24,      /* right credentials of an account that somebody has locked */
	ERR_MUST_CHANGE = -25, /* a first password: good for being changed only */
	ERR_LAST = -26
};

/* The name of e in lower case ("not_found"), for logs; "unknown_error" for others. Static. */
const char *err_name(int e);

/* The enum err nearest to the errno value en (ENOSPC and EDQUOT: ERR_FULL, ENOMEM: ERR_NOMEM, ...). */
int err_from_errno(int en);

#endif
