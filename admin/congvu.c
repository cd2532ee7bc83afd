/* congvu.c: the command line for HR, operators and security officers: options common to all subcommands, the table
 * (commands.def) and help. Each subcommand is ctl_<name>.c. Exit codes are those of sysexits.h. */
#include "config.h"

#include <libintl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl.h"
#include "lib/err.h"
#include "lib/log.h"

static const char store_usage[] =
#define STORE_COMMAND(name, fn, usage) usage "\n"
#include "admin/store_commands.def"
#undef STORE_COMMAND
    "";

static const char mailbox_usage[] =
#define MAILBOX_COMMAND(name, fn, usage) usage "\n"
#include "admin/mailbox_commands.def"
#undef MAILBOX_COMMAND
    "";

static const char directory_usage[] =
#define DIRECTORY_COMMAND(name, fn, usage) usage "\n"
#include "admin/directory_commands.def"
#undef DIRECTORY_COMMAND
    "";

static const char policy_usage[] =
#define POLICY_COMMAND(name, fn, usage) usage "\n"
#include "admin/policy_commands.def"
#undef POLICY_COMMAND
    "";

static const struct command {
	const char *name;
	int (*fn)(struct ctl *c, int argc, char **argv);
	bool needs_conf;
	const char *usage; /* one form a line */
	const char *help;
} commands[] = {
#define CTL_COMMAND(name, fn, conf, usage, help) {name, fn, conf, usage, help},
#include "admin/commands.def"
#undef CTL_COMMAND
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

const char *
ctl_text(const char *english)
{
	return gettext(english);
}

static const struct command *
command_find(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static void
print_forms(FILE *f, const char *usage)
{
	while (*usage != '\0') {
		size_t n = strcspn(usage, "\n");

		fprintf(f, "  congvu [-c FILE] [--json] %.*s\n", (int)n, usage);
		usage += n + (usage[n] == '\n');
	}
}

/* The manual page that has the command. */
static const char *
page_of(const struct command *cmd)
{
	static const char *const directory[] = {
	    "agency", "staff", "post", "group", "alias", "delegate", "officer", "directory"};

	for (size_t i = 0; i < sizeof(directory) / sizeof(directory[0]); i++)
		if (strcmp(cmd->name, directory[i]) == 0)
			return "congvu-directory";
	return "congvu";
}

static void
print_help(FILE *f, const struct command *cmd)
{
	if (cmd != NULL) {
		fprintf(f, "%s\n", _("usage:"));
		print_forms(f, cmd->usage);
		fprintf(f, "%s. %s %s(8).\n", _(cmd->help), _("See"), page_of(cmd));
		return;
	}
	fprintf(f, _("%s congvu [-c FILE] [--json] [--lang vi|en] COMMAND ...\n\n"), _("usage:"));
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(f, "  %-11s %s\n", commands[i].name, _(commands[i].help));
	fprintf(f, "\n  -c FILE   %s (%s/congvu/congvu.conf)\n", _("configuration"), SYSCONFDIR);
	fprintf(f, "  --json    %s\n", _("the result as one JSON value"));
	fprintf(f, "  --help    %s\n", _("after a command: its forms"));
}

int
ctl_fail(const struct ctl *c, int code, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "congvu %s: ", c->command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return code;
}

void
ctl_label(const char *text, int width)
{
	for (const char *p = text; *p != '\0'; p++)
		width -= ((unsigned char)*p & 0xc0) != 0x80;
	printf("%s%*s", text, width > 0 ? width : 0, "");
}

int
ctl_usage(const struct ctl *c, const char *fmt, ...)
{
	const struct command *cmd = command_find(c->command);
	va_list ap;

	fprintf(stderr, "congvu %s: ", c->command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	print_help(stderr, cmd);
	return EX_USAGE;
}

int
ctl_json_take(struct json *j, int code)
{
	struct buf b;

	buf_init(&b, 256 << 20);
	if (json_pretty(j, &b) != 0)
		code = EX_SOFTWARE;
	else
		printf("%s\n", buf_cstr(&b));
	json_free(j);
	buf_done(&b);
	return code;
}

int
ctl_exit_code(int err)
{
	switch (err) {
	case 0:
		return EX_OK;
	case ERR_NOTFOUND:
	case ERR_GONE:
		return EX_NOUSER;
	case ERR_EXISTS:
	case ERR_CONFLICT:
		return EX_CANTCREAT;
	case ERR_SYNTAX:
	case ERR_LIMIT:
	case ERR_RANGE:
	case ERR_CORRUPT:
		return EX_DATAERR;
	case ERR_DENIED:
	case ERR_AUTH:
	case ERR_EXPIRED:
	case ERR_LOCKED:
	case ERR_MUST_CHANGE:
		return EX_NOPERM;
	case ERR_TEMP:
	case ERR_TIMEOUT:
	case ERR_CLOSED:
	case ERR_UNKNOWN:
	case ERR_AGAIN:
		return EX_TEMPFAIL;
	case ERR_IO:
	case ERR_EOF:
	case ERR_FULL:
		return EX_IOERR;
	case ERR_PROTO:
		return EX_PROTOCOL;
	case ERR_UNSUPPORTED:
		return EX_UNAVAILABLE;
	default:
		return EX_SOFTWARE;
	}
}

static const struct ctl_option *
option_find(const struct ctl_option *options, const char *name, size_t n)
{
	for (; options->name != NULL; options++)
		if (strlen(options->name) == n && strncmp(options->name, name, n) == 0)
			return options;
	return NULL;
}

/* One line and where the forms stand: who mistyped an option knows the command. */
static int option_wrong(const struct ctl *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int
option_wrong(const struct ctl *c, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "congvu %s: ", c->command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; ");
	fprintf(stderr, _("see congvu %s --help\n"), c->command);
	return EX_USAGE;
}

int
ctl_options(const struct ctl *c, const struct ctl_option *options, int *argc_io, char **argv)
{
	int argc = *argc_io, left = 1, i;

	for (i = 1; i < argc; i++) {
		const char *arg = argv[i], *eq;
		const struct ctl_option *o;

		if (strcmp(arg, "--") == 0) {
			i++;
			break;
		}
		if (strncmp(arg, "--", 2) != 0) {
			argv[left++] = argv[i];
			continue;
		}
		eq = strchr(arg, '=');
		o = option_find(
		    options, arg + 2, eq != NULL ? (size_t)(eq - arg - 2) : strlen(arg + 2));
		if (o == NULL)
			return option_wrong(c, _("there is no option %s"), arg);
		if (o->flag != NULL && eq != NULL)
			return option_wrong(c, _("option --%s takes no value"), o->name);
		if (o->flag != NULL)
			*o->flag = true;
		else if (eq != NULL)
			*o->value = eq + 1;
		else if (i + 1 < argc)
			*o->value = argv[++i];
		else
			return option_wrong(c, _("option --%s needs a value"), o->name);
	}
	while (i < argc)
		argv[left++] = argv[i++];
	*argc_io = left;
	argv[left] = NULL;
	return 0;
}

/* Takes the common options out of argv, wherever they stand before a "--". True when help is asked for. *why: what is
 * wrong with them. */
static bool
common_options(struct ctl *c, int *argc_io, char **argv, const char **why)
{
	int left = 1, argc = *argc_io, i;
	bool help = false;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		bool takes = strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--lang") == 0;

		if (takes && i + 1 == argc)
			*why = "-c and --lang need a value";
		else if (strcmp(argv[i], "--json") == 0)
			c->json = true;
		else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			help = true;
		else if (strncmp(argv[i], "--lang=", 7) == 0)
			c->lang = argv[i] + 7;
		else if (takes && argv[i][1] == 'c')
			c->conf_file = argv[++i];
		else if (takes)
			c->lang = argv[++i];
		else
			argv[left++] = argv[i];
	}
	while (i < argc)
		argv[left++] = argv[i++];
	argv[left] = NULL;
	*argc_io = left;
	if (c->lang != NULL && strcmp(c->lang, "vi") != 0 && strcmp(c->lang, "en") != 0)
		*why = "--lang needs vi or en";
	return help;
}

/* The language: --lang, else what the environment asks for (locale(7)). Vietnamese without a Vietnamese locale installed, as on a bare
 * Debian, works too: gettext asks LANGUAGE as long as the locale is not "C". */
static void
set_language(struct ctl *c)
{
	static const char *const asked[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
	const char *locale = setlocale(LC_ALL, ""), *name = NULL;

	for (size_t i = 0; i < 3 && (name == NULL || name[0] == '\0'); i++)
		name = getenv(asked[i]);
	if (c->lang == NULL)
		c->lang = name != NULL && strncmp(name, "vi", 2) == 0 ? "vi" : "en";
	else
		locale = NULL;
	if (locale == NULL &&
	    setlocale(LC_ALL, strcmp(c->lang, "vi") == 0 ? "vi_VN.UTF-8" : "C.UTF-8") == NULL)
		setlocale(LC_ALL, "C.UTF-8");
	setenv("LANGUAGE", c->lang, 1);
	setlocale(LC_NUMERIC, "C");
	bindtextdomain("congvu", LOCALEDIR);
	bind_textdomain_codeset("congvu", "UTF-8");
	textdomain("congvu");
}

int
main(int argc, char **argv)
{
	struct ctl c = {.conf_file = SYSCONFDIR "/congvu/congvu.conf", .command = ""};
	const struct command *cmd;
	struct conf *conf = NULL;
	const char *wrong = NULL;
	char *why = NULL;
	bool help;
	int code;

	log_init("congvu", STDERR_FILENO);
	log_set_level(LOG_LVL_WARN);
	help = common_options(&c, &argc, argv, &wrong);
	set_language(&c);
	if (wrong != NULL) {
		fprintf(stderr, "congvu: %s\n", wrong);
		return EX_USAGE;
	}
	if (argc > 1 && strcmp(argv[1], "help") == 0) { /* "help staff" as "staff --help" */
		help = true;
		argv++;
		argc--;
	}
	if (help || argc < 2) {
		print_help(help ? stdout : stderr, argc > 1 ? command_find(argv[1]) : NULL);
		return help ? EX_OK : EX_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("congvu %s\n", PACKAGE_VERSION);
		return EX_OK;
	}
	cmd = command_find(argv[1]);
	if (cmd == NULL) {
		fprintf(stderr, _("congvu: there is no command \"%s\"; congvu --help lists them\n"),
		    argv[1]);
		return EX_USAGE;
	}
	c.command = cmd->name;
	json_init();
	if (cmd->needs_conf && conf_load(c.conf_file, &conf, &why) != 0) {
		ctl_fail(&c, EX_CONFIG, "%s", why);
		free(why);
		return EX_CONFIG;
	}
	c.conf = conf;
	code = cmd->fn(&c, argc - 1, argv + 1);
	conf_free(conf);
	if (fflush(stdout) != 0 && code == 0)
		code = EX_IOERR;
	return code;
}
