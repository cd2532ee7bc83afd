/* conf.c: congvu.conf against the table options.def, with libconfuse (this file is its only includer). Runs in
 * parents and roles before privileges are dropped, and in congvu. Invariants: what is loaded was checked whole
 * (type, range, choices), so that readers need no checks of their own; after loading nothing of libconfuse is
 * kept; nothing here opens a file but the one named. */
#include "config.h"

#include "lib/conf.h"

#include <confuse.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"

#define CONF_FILE_MAX (1 << 20)

static const struct conf_option options[] = {
#define CV_OPT(name, type, def, min, max, help) {#name, type, def, min, max, help},
#include "lib/options.def"
#undef CV_OPT
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

/* String options with few values. */
static const struct choice {
	const char *option;
	const char *values[5];
} choices[] = {
    {"log_level", {"error", "warn", "info", "debug"}},
    {"milter_default_action", {"tempfail", "accept"}},
    {"forward_to", {"off", "own", "any"}},
    {"tls_client_certs", {"off", "optional"}},
    {"external_map", {"certificate", "address"}},
};

struct value {
	int64_t number;
	char **items; /* of a string: one */
	size_t n_items;
};

struct conf {
	char *file; /* absolute */
	char *dir;
	struct value values[N_OPTIONS];
};

const struct conf_option *
conf_options(size_t *n_out)
{
	*n_out = N_OPTIONS;
	return options;
}

/* libconfuse's error function has no argument of ours; loading is done before there are threads. */
static struct buf *error_text;

static void
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	if (error_text == NULL || error_text->len > 0)
		return; /* the first error is the one to mend */
	buf_appendf(error_text, "%s:%d: ", cfg->filename != NULL ? cfg->filename : "-", cfg->line);
	buf_vappendf(error_text, fmt, ap);
}

static const struct conf_option *
option_find(const char *name)
{
	for (size_t i = 0; i < N_OPTIONS; i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

/* Called by libconfuse at the line where the option is set. */
static int
on_value(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct conf_option *o = option_find(opt->name);
	long n;

	if (o == NULL || cfg_opt_size(opt) == 0)
		return 0;
	if (o->type == CONF_INT) {
		n = cfg_opt_getnint(opt, 0);
		if (n < o->min || n > o->max) {
			cfg_error(cfg, "%s must be from %ld to %ld, not %ld", o->name, (long)o->min,
			    (long)o->max, n);
			return -1;
		}
	}
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		const char *v, *const *c = choices[i].values;

		if (strcmp(choices[i].option, o->name) != 0)
			continue;
		v = cfg_opt_getnstr(opt, 0);
		while (*c != NULL && strcmp(*c, v) != 0)
			c++;
		if (*c == NULL) {
			cfg_error(cfg, "%s cannot be \"%s\": see congvu.conf(5)", o->name, v);
			return -1;
		}
	}
	return 0;
}

/* "a,b" as libconfuse writes a list. */
static char *
list_default(const char *def)
{
	struct buf b;
	size_t len;

	buf_init(&b, 4096);
	buf_append_str(&b, "{");
	while (*def != '\0') {
		len = strcspn(def, ",");
		buf_appendf(&b, "\"%.*s\"%s", (int)len, def, def[len] == ',' ? "," : "");
		def += len + (def[len] == ',');
	}
	buf_append_str(&b, "}");
	return (char *)buf_take(&b, &len);
}

static void
fill_opts(cfg_opt_t *opts)
{
	static const cfg_opt_t end = CFG_END();

	for (size_t i = 0; i < N_OPTIONS; i++) {
		const struct conf_option *o = &options[i];
		cfg_opt_t *c = &opts[i];

		c->name = o->name;
		c->validcb = on_value;
		if (o->type == CONF_INT) {
			c->type = CFGT_INT;
			c->def.number = strtol(o->def, NULL, 10);
		} else if (o->type == CONF_BOOL) {
			c->type = CFGT_BOOL;
			c->def.boolean = strcmp(o->def, "true") == 0 ? cfg_true : cfg_false;
		} else if (o->type == CONF_LIST) {
			c->type = CFGT_STR;
			c->flags = CFGF_LIST;
			c->def.parsed = list_default(o->def);
		} else {
			c->type = CFGT_STR;
			c->def.string = o->def;
		}
	}
	opts[N_OPTIONS] = end;
}

static void
take_values(struct conf *c, cfg_t *cfg)
{
	for (size_t i = 0; i < N_OPTIONS; i++) {
		struct value *v = &c->values[i];
		const char *name = options[i].name;

		if (options[i].type == CONF_INT) {
			v->number = cfg_getint(cfg, name);
		} else if (options[i].type == CONF_BOOL) {
			v->number = cfg_getbool(cfg, name);
		} else {
			v->n_items = cfg_size(cfg, name);
			v->items = xcalloc(v->n_items + 1, sizeof(*v->items));
			for (size_t k = 0; k < v->n_items; k++) {
				const char *s = cfg_getnstr(cfg, name, (unsigned)k);

				v->items[k] = xstrdup(s != NULL ? s : "");
			}
		}
	}
}

/* The absolute name of path and of its folder. */
static int
take_place(struct conf *c, const char *path)
{
	char *real = realpath(path, NULL);
	char *slash;

	if (real == NULL)
		return ERR_IO;
	c->file = real;
	c->dir = xstrdup(real);
	slash = strrchr(c->dir, '/');
	if (slash == c->dir)
		slash++;
	*slash = '\0';
	return 0;
}

/* The whole file, bounded, as a stream in memory: libconfuse ends the process when its file cannot be read. */
static int
read_file(const char *path, struct buf *text, struct buf *why)
{
	FILE *f = fopen(path, "re");
	struct stat st;
	int rc = ERR_IO;

	if (f == NULL || fstat(fileno(f), &st) != 0) {
		buf_appendf(why, "%s: %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode) || st.st_size > CONF_FILE_MAX) {
		buf_appendf(why, "%s: not a file of at most %d bytes", path, CONF_FILE_MAX);
	} else {
		size_t n =
		    fread(buf_reserve(text, (size_t)st.st_size + 1), 1, (size_t)st.st_size, f);

		buf_commit(text, n);
		if (memchr(text->data, '\0', n) != NULL)
			buf_appendf(why, "%s: a NUL byte is in it", path);
		else
			rc = buf_append_str(text, "\n");
	}
	if (f != NULL)
		fclose(f);
	return rc;
}

static int
parse(struct conf *c, const char *path, struct buf *why)
{
	cfg_opt_t *opts = xcalloc(N_OPTIONS + 1, sizeof(*opts));
	cfg_t *cfg = NULL;
	struct buf text;
	FILE *f = NULL;
	int rc;

	buf_init(&text, CONF_FILE_MAX + 2);
	rc = read_file(path, &text, why);
	if (rc != 0)
		goto out;
	rc = take_place(c, path);
	f = fmemopen(text.data, text.len, "r");
	if (rc != 0 || f == NULL) {
		buf_appendf(why, "%s: %s", path, strerror(errno));
		goto out;
	}
	fill_opts(opts);
	cfg = cfg_init(opts, CFGF_NONE);
	if (cfg == NULL)
		fatal("no memory for the configuration");
	cfg_set_error_function(cfg, on_error);
	cfg->filename = xstrdup(path);
	error_text = why;
	rc = cfg_parse_fp(cfg, f) == CFG_SUCCESS && why->len == 0 ? 0 : ERR_SYNTAX;
	error_text = NULL;
	if (rc == 0)
		take_values(c, cfg);
	else if (why->len == 0)
		buf_appendf(why, "%s: cannot be read", path);
out:
	if (f != NULL)
		fclose(f);
	if (cfg != NULL)
		cfg_free(cfg);
	buf_done(&text);
	for (size_t i = 0; i < N_OPTIONS; i++)
		free(opts[i].def.parsed);
	free(opts);
	return rc;
}

int
conf_load(const char *path, struct conf **conf_out, char **why_out)
{
	struct conf *c = xcalloc(1, sizeof(*c));
	struct buf why;
	size_t len;
	int rc;

	buf_init(&why, 4096);
	rc = parse(c, path, &why);
	if (rc == 0) {
		*conf_out = c;
	} else {
		conf_free(c);
		*why_out = (char *)buf_take(&why, &len);
	}
	buf_done(&why);
	return rc;
}

void
conf_free(struct conf *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < N_OPTIONS; i++) {
		for (size_t k = 0; k < c->values[i].n_items; k++)
			free(c->values[i].items[k]);
		free(c->values[i].items);
	}
	free(c->file);
	free(c->dir);
	free(c);
}

static const struct value *
value_of(const struct conf *c, const char *name, enum conf_type type, enum conf_type or_type)
{
	const struct conf_option *o = option_find(name);

	if (o == NULL || (o->type != type && o->type != or_type))
		fatal("option %s is asked for by a wrong name or type", name);
	return &c->values[o - options];
}

const char *
conf_str(const struct conf *c, const char *name)
{
	const struct value *v = value_of(c, name, CONF_STR, CONF_PATH);

	return v->n_items > 0 ? v->items[0] : "";
}

int64_t
conf_int(const struct conf *c, const char *name)
{
	return value_of(c, name, CONF_INT, CONF_INT)->number;
}

bool
conf_bool(const struct conf *c, const char *name)
{
	return value_of(c, name, CONF_BOOL, CONF_BOOL)->number != 0;
}

size_t
conf_list_len(const struct conf *c, const char *name)
{
	return value_of(c, name, CONF_LIST, CONF_LIST)->n_items;
}

const char *
conf_list_item(const struct conf *c, const char *name, size_t i)
{
	const struct value *v = value_of(c, name, CONF_LIST, CONF_LIST);

	return i < v->n_items ? v->items[i] : "";
}

bool
conf_is_our_address(const struct conf *c, const char *address)
{
	const char *at = strrchr(address, '@');

	for (size_t i = 0; at != NULL && i < conf_list_len(c, "domains"); i++)
		if (slice_caseeq_str(slice_str(at + 1), conf_list_item(c, "domains", i)))
			return true;
	return false;
}

/* The folder is free of links (realpath), so leading ".." can be taken off as text. */
char *
conf_path(const struct conf *c, const char *name)
{
	return conf_beside(c, slice_str(conf_str(c, name)));
}

char *
conf_beside(const struct conf *c, struct slice path)
{
	char *copy = slice_dup(path);
	const char *rel = copy;
	struct buf b;
	size_t dir_len = strlen(c->dir), len;

	if (rel == NULL)
		fatal("no memory for a path");
	if (rel[0] == '/' || rel[0] == '\0')
		return copy;
	for (;;) {
		if (strncmp(rel, "./", 2) == 0) {
			rel += 2;
		} else if (strncmp(rel, "../", 3) == 0 || strcmp(rel, "..") == 0) {
			rel += rel[2] == '/' ? 3 : 2;
			while (dir_len > 0 && c->dir[--dir_len] != '/')
				;
		} else {
			break;
		}
	}
	buf_init(&b, PATH_MAX * 2);
	buf_appendf(&b, "%.*s/%s", (int)dir_len, c->dir, rel);
	if (b.err != 0)
		fatal("the path %s is too long", rel);
	free(copy);
	return (char *)buf_take(&b, &len);
}

const char *
conf_file(const struct conf *c)
{
	return c->file;
}
