/* ctl.h: what the subcommands of congvu share. Each is one file, admin/ctl_<name>.c, with one function, and one row in
 * commands.def:
 *
 *   int ctl_agency(struct ctl *c, int argc, char **argv);
 *
 * argv[0] is the subcommand's name, then its arguments; -c, --json, --lang and --help were taken out before. The function
 * returns the exit code, one of sysexits.h (0 when all is well). Results go to standard output, everything else to
 * standard error, so that output can be piped; with c->json the result is exactly one JSON value (ctl_json). */
#ifndef CV_CTL_H
#define CV_CTL_H

#include <stdbool.h>
#include <sysexits.h>

#include "lib/conf.h"
#include "lib/json.h"

/* User-facing text: English here, Vietnamese in po/vi.po. */
const char *ctl_text(const char *english) __attribute__((format_arg(1)));
#define _(text) ctl_text(text)
/* Marks a text of a table, which is looked up where it is shown. */
#define N_(text) text

struct ctl {
	const struct conf *conf; /* loaded and checked; NULL for commands that do without */
	const char *conf_file;   /* as given with -c, or the default */
	bool json;
	const char *lang;    /* "en" or "vi" */
	const char *command; /* "agency" */
};

/* "congvu agency: what is wrong, and what to do" on standard error. Returns code. */
int ctl_fail(const struct ctl *c, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A label on standard output, filled with spaces to width columns (one a character: texts are NFC Latin). */
void ctl_label(const char *text, int width);
/* A wrong command line: the text and the command's usage. Returns EX_USAGE. */
int ctl_usage(const struct ctl *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints j (indented, one line feed) and frees it. Returns code. */
int ctl_json_take(struct json *j, int code);
/* The exit code that fits an enum err: ERR_TEMP -> EX_TEMPFAIL, ERR_NOTFOUND -> EX_NOUSER ... */
int ctl_exit_code(int err);

/* Options of a subcommand: a table, ended by a row without name. "--name VALUE", "--name=VALUE"; flag rows take none. */
struct ctl_option {
	const char *name;   /* "decision", without the dashes */
	const char **value; /* set to the argument; borrowed */
	bool *flag;         /* or: set to true */
};
/* Takes the options out of argv; what is left, in order, is moved to the front (argv[0] stays). *argc_io is then its length.
 * 0, or EX_USAGE with the message printed. "--" ends the options; "-" is an argument. */
int ctl_options(const struct ctl *c, const struct ctl_option *options, int *argc_io, char **argv);

/* Programs that `congvu run` starts, in this order. */
extern const char *const ctl_programs[];
/* The folder of the parents' binaries: beside congvu itself (a build folder: then the roles are there too, and CONGVU_LIBEXEC
 * is set to it), in ../sbin, or where they were installed. malloc'd. */
char *ctl_programs_folder(void);
/* run/<program>.status as JSON, the caller's; NULL when there is none. */
struct json *ctl_status_read(const struct ctl *c, const char *program);
/* Whether the parent of a status (or any pid) is alive. */
bool ctl_pid_alive(int64_t pid);

#define CTL_COMMAND(name, fn, conf, usage, help) int fn(struct ctl *c, int argc, char **argv);
#include "admin/commands.def"
#undef CTL_COMMAND

#endif
