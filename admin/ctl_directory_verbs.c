/* ctl_directory_verbs.c: `congvu directory …`: the table of its subcommands. Runs in congvu. */
#include "config.h"

#include "admin/ctl.h"
#include "admin/ctl_directory.h"

#include <string.h>

static const struct {
	const char *name;
	int (*fn)(struct ctl *c, int argc, char **argv);
} subs[] = {
#define DIRECTORY_COMMAND(name, fn, usage) {name, fn},
#include "admin/directory_commands.def"
#undef DIRECTORY_COMMAND
};

int
ctl_directory_verbs(struct ctl *c, int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(subs) / sizeof(subs[0]); i++)
		if (strcmp(argv[1], subs[i].name) == 0)
			return subs[i].fn(c, argc - 1, argv + 1);
	return ctl_usage(c, "%s", _("which of its commands?"));
}
