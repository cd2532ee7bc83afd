/* err.c: names of the error codes and their kinship with errno. Runs in every process. */
#include "config.h"

#include "lib/err.h"

#include <errno.h>

static const char *const names[] = {
    "ok",
    "no_memory",
    "syntax",
    "limit",
    "io",
    "eof",
    "again",
    "timeout",
    "not_found",
    "exists",
    "conflict",
    "gone",
    "full",
    "denied",
    "temp",
    "unsupported",
    "corrupt",
    "range",
    "proto",
    "closed",
    "unknown",
    "canceled",
    "expired",
    "auth",
    "locked",
    "must_change",
};
_Static_assert(sizeof(names) / sizeof(names[0]) == -ERR_LAST, "every code has its name");

const char *
err_name(int e)
{
	if (e > 0 || e <= ERR_LAST)
		return "unknown_error";
	return names[-e];
}

int
err_from_errno(int en)
{
	switch (en) {
	case 0:
		return ERR_OK;
	case ENOMEM:
		return ERR_NOMEM;
	case EAGAIN:
	case EINTR:
	case EINPROGRESS:
		return ERR_AGAIN;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return ERR_FULL;
	case ENOENT:
		return ERR_NOTFOUND;
	case EEXIST:
		return ERR_EXISTS;
	case EACCES:
	case EPERM:
		return ERR_DENIED;
	case ETIMEDOUT:
		return ERR_TIMEOUT;
	case ECONNREFUSED:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EMFILE:
	case ENFILE:
	case EBUSY:
		return ERR_TEMP;
	case EPIPE:
	case ECONNRESET:
	case ECONNABORTED:
		return ERR_CLOSED;
	case ENAMETOOLONG:
	case E2BIG:
	case EMSGSIZE:
		return ERR_LIMIT;
	case ERANGE:
	case EDOM:
		return ERR_RANGE;
	case ENOTSUP:
	case ENOSYS:
		return ERR_UNSUPPORTED;
	case ECANCELED:
		return ERR_CANCELED;
	default:
		return ERR_IO;
	}
}
