/* milter_options.h: one row of the option "milters": an address, and words that say how that milter is asked; pure. */
#ifndef CV_MILTER_OPTIONS_H
#define CV_MILTER_OPTIONS_H

#include "lib/buf.h"

/* What is done when a milter cannot be asked, or breaks the protocol. */
enum milter_failure {
	MILTER_ON_FAILURE_TEMPFAIL,
	MILTER_ON_FAILURE_ACCEPT,
	MILTER_ON_FAILURE_REJECT,
	MILTER_ON_FAILURE_QUARANTINE
};
enum milter_ports { MILTER_PORT_MX = 1, MILTER_PORT_SUBMISSION = 2 };

struct milter_options {
	char address[256]; /* "unix:PATH" or "inet:IP:PORT" */
	char name[64];     /* for the log; the address when no name is given */
	unsigned connect_ms, command_ms, message_ms;
	enum milter_failure failure;
	unsigned ports; /* enum milter_ports */
};
/* "ADDRESS [name=N] [connect_ms=N] [command_ms=N] [message_ms=N] [failure=tempfail|accept|reject|quarantine]
 * [ports=mx|submission|mx+submission]". o comes with the values of what the row does not say. 0; ERR_SYNTAX with *why_out
 * (static). */
int milter_options_parse(const char *row, struct milter_options *o, const char **why_out);

#endif
