/* ctl_doctor.c: `congvu doctor`: all of `congvu check`, and what only a look at the running site tells: programs and their sandboxes, ports and
 * who has them, directory, DNS, disk, queue, clock. Each finding says what is wrong and what to do. Changes nothing. */
#include "config.h"

#include <stdlib.h>

#include "admin/check.h"
#include "lib/log.h"

int
ctl_doctor(struct ctl *c, int argc, char **argv)
{
	bool offline = false, probe = false;
	const char *resolver = NULL;
	const struct ctl_option options[] = {{"offline", NULL, &offline}, {"probe", NULL, &probe},
	    {"resolver", &resolver, NULL}, {NULL, NULL, NULL}};
	struct check k = {.c = c};

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc > 1)
		return ctl_usage(c, _("doctor takes no argument"));
	log_set_level(
	    LOG_LVL_ERROR); /* what servers refuse is what we look for: findings tell it */
	k.findings = json_arr_new();
	check_all(&k, offline);
	if (k.conf != NULL) {
		c->conf = k.conf;
		doctor_host(&k);
		if (!offline) {
			doctor_directory(&k, probe);
			doctor_dns(&k, resolver);
		}
		c->conf = NULL;
	}
	return check_end(&k);
}
