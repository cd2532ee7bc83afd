/* resolver.c: see resolver.h. The state of glibc's resolver is each thread's own. Runs in lookup, fetch and congvu. */
#include "config.h"

#include "lib/resolver.h"

#include <netinet/in.h>
#include <resolv.h>

void
resolver_mute(void)
{
	if (res_init() == 0)
		_res.nscount = 0;
}

void
resolver_unmute(void)
{
	(void)res_init();
}
