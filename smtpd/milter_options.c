/* milter_options.c: reads a row of the option "milters". Runs in smtpd-session, and in congvu check. Pure. */
#include "config.h"

#include "smtpd/milter_options.h"

#include "lib/err.h"

#include <string.h>

enum { MS_MAX = 600000 };

static int
keep(struct slice v, char *out, size_t size)
{
	if (v.len == 0 || v.len >= size)
		return ERR_SYNTAX;
	memcpy(out, v.ptr, v.len);
	out[v.len] = '\0';
	return 0;
}

static int
get_ms(struct slice v, unsigned *out)
{
	uint64_t n;

	if (slice_to_u64(v, MS_MAX, &n) != 0 || n < 100)
		return ERR_SYNTAX;
	*out = (unsigned)n;
	return 0;
}

static int
get_failure(struct slice v, enum milter_failure *out)
{
	static const char *const words[] = {[MILTER_ON_FAILURE_TEMPFAIL] = "tempfail",
	    [MILTER_ON_FAILURE_ACCEPT] = "accept",
	    [MILTER_ON_FAILURE_REJECT] = "reject",
	    [MILTER_ON_FAILURE_QUARANTINE] = "quarantine"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (slice_eq_str(v, words[i])) {
			*out = (enum milter_failure)i;
			return 0;
		}
	return ERR_SYNTAX;
}

static int
get_ports(struct slice v, unsigned *out)
{
	unsigned ports = 0;
	bool more;

	do {
		ptrdiff_t plus = slice_index(v, '+');
		struct slice word = plus < 0 ? v : slice_sub(v, 0, (size_t)plus);

		more = plus >= 0;
		if (more)
			v = slice_from(v, (size_t)plus + 1);
		if (slice_eq_str(word, "mx"))
			ports |= MILTER_PORT_MX;
		else if (slice_eq_str(word, "submission"))
			ports |= MILTER_PORT_SUBMISSION;
		else
			return ERR_SYNTAX;
	} while (more);
	*out = ports;
	return 0;
}

static int
get_word(struct slice word, struct milter_options *o, const char **why)
{
	ptrdiff_t eq = slice_index(word, '=');
	struct slice key = slice_sub(word, 0, eq < 0 ? word.len : (size_t)eq);
	struct slice v = eq < 0 ? slice_of(NULL, 0) : slice_from(word, (size_t)eq + 1);

	if (slice_eq_str(key, "name")) {
		*why = "name is empty or longer than 63 octets";
		return keep(v, o->name, sizeof(o->name));
	}
	*why = "a time is not 100 to 600000 milliseconds";
	if (slice_eq_str(key, "connect_ms"))
		return get_ms(v, &o->connect_ms);
	if (slice_eq_str(key, "command_ms"))
		return get_ms(v, &o->command_ms);
	if (slice_eq_str(key, "message_ms"))
		return get_ms(v, &o->message_ms);
	if (slice_eq_str(key, "failure")) {
		*why = "failure is tempfail, accept, reject or quarantine";
		return get_failure(v, &o->failure);
	}
	if (slice_eq_str(key, "ports")) {
		*why = "ports is mx, submission or mx+submission";
		return get_ports(v, &o->ports);
	}
	*why = "a word that is not known: name, connect_ms, command_ms, message_ms, failure and "
	       "ports are";
	return ERR_SYNTAX;
}

int
milter_options_parse(const char *row, struct milter_options *o, const char **why_out)
{
	struct milter_options x = *o;
	struct slice rest = slice_trim(slice_str(row));
	const char *why = "neither unix:PATH nor inet:IP:PORT";
	bool first = true;

	x.name[0] = '\0';
	do {
		ptrdiff_t sp = slice_index(rest, ' ');
		struct slice word = sp < 0 ? rest : slice_sub(rest, 0, (size_t)sp);
		int r;

		rest = sp < 0 ? slice_of(NULL, 0) : slice_trim(slice_from(rest, (size_t)sp));
		if (!first)
			r = get_word(word, &x, &why);
		else if (word.len > 5 &&
			 (slice_starts(word, "unix:") || slice_starts(word, "inet:")))
			r = keep(word, x.address, sizeof(x.address));
		else
			r = ERR_SYNTAX;
		if (r != 0) {
			*why_out = why;
			return r;
		}
		first = false;
	} while (rest.len > 0);
	if (x.name[0] == '\0')
		(void)keep(
		    slice_sub(slice_str(x.address), 0, sizeof(x.name) - 1), x.name, sizeof(x.name));
	*o = x;
	return 0;
}
