/* crash_model.c: see crash_model.h; the texts. Runs in tests. */
#include "tests/crash/crash_model.h"

#include <stdlib.h>

#include "lib/log.h"

enum { ACTS = 65536, NUMBERS = 2 + 3 + CRASH_BATCH };

static struct act *
act_of(struct crash_model *m, uint64_t seq)
{
	if (m->acts == NULL)
		m->acts = xcalloc(ACTS, sizeof *m->acts);
	if (seq >= ACTS)
		fatal("crash_model: too many acts");
	return &m->acts[seq];
}

static void
deliver_begun(struct crash_model *m, struct act *a, const uint64_t *v, size_t n)
{
	uint32_t msg = (uint32_t)v[1];

	a->box = a->what == 'A';
	a->n[0] = msg;
	a->count = n - 2;
	if (msg >= CRASH_MESSAGES || a->count > 2)
		fatal("crash_model: a delivery that cannot be");
	if (msg >= m->n)
		m->n = msg + 1;
	for (size_t i = 0; i < a->count; i++) {
		a->to[i] = (unsigned)v[2 + i] % CRASH_ACCOUNTS;
		if (m->submitted[msg][a->to[i]])
			continue; /* once more */
		m->submitted[msg][a->to[i]] = true;
		m->p[msg][a->to[i]][a->box] = (struct place){HAS_MAYBE, 0, 1};
	}
}

static void
act_begun(struct crash_model *m, struct act *a)
{
	for (size_t i = 0; i < a->count; i++) {
		struct place *p = m->p[a->n[i]][a->acct];

		if (a->what == 'F')
			p[a->box].flags |= 1u << a->flags;
		if (a->what == 'X')
			p[a->box].has = HAS_MAYBE;
		if (a->what == 'M') {
			p[0].has = HAS_MAYBE;
			m->moving[a->n[i]][a->acct] = true;
		}
		if (a->what == 'C' || a->what == 'M')
			p[1] = (struct place){HAS_MAYBE, 0, p[0].flags};
	}
}

static void
there(struct crash_model *m, struct place *p, unsigned acct, unsigned box, uint64_t uid)
{
	p->has = HAS;
	p->uid = (uint32_t)uid;
	if (uid > m->uid_max[acct][box])
		m->uid_max[acct][box] = (uint32_t)uid;
}

static void
done(struct crash_model *m, struct act *a, char what, const uint64_t *v, size_t n)
{
	if (what == 'f' && v[1] > m->modseq_max[a->acct][a->box])
		m->modseq_max[a->acct][a->box] = v[1];
	for (size_t i = 0; i < a->count; i++) {
		uint32_t msg = what == 'd' ? a->n[0] : a->n[i];
		unsigned acct = what == 'd' ? a->to[i] : a->acct;
		struct place *p = m->p[msg][acct];

		if (what != 'f' && i + 1 >= n)
			fatal("crash_model: an answer that is too short");
		if (what == 'd' && v[1 + i] != 0)
			there(m, &p[a->box], acct, a->box, v[1 + i]);
		if (what == 'f' && a->what == 'F')
			p[a->box].flags = 1u << a->flags;
		if (what == 'f' && a->what == 'X')
			p[a->box] = (struct place){0};
		if (what == 'c') {
			there(m, &p[1], acct, 1, v[1 + i]);
			if (a->what == 'M') {
				p[0] = (struct place){0};
				m->moving[msg][acct] = false;
			}
		}
	}
}

void
model_text(struct crash_model *m, struct slice text)
{
	char line[512], *at;
	uint64_t v[NUMBERS] = {0};
	size_t n = 0, first;
	struct act *a;

	if (text.len < 3 || text.len >= sizeof line)
		fatal("crash_model: a text of %zu octets", text.len);
	memcpy(line, text.ptr, text.len);
	line[text.len] = '\0';
	for (at = line + 1; *at != '\0' && n < NUMBERS;)
		v[n++] = strtoull(at, &at, 10);
	a = act_of(m, v[0]);
	if (strchr("dfc", line[0]) != NULL) {
		done(m, a, line[0], v, n);
		return;
	}
	*a = (struct act){.what = line[0]};
	if (a->what == 'D' || a->what == 'A') {
		deliver_begun(m, a, v, n);
		return;
	}
	a->acct = (unsigned)v[1] % CRASH_ACCOUNTS;
	first = 2;
	if (a->what == 'F' || a->what == 'X')
		a->box = (unsigned)v[first++] % CRASH_BOXES;
	if (a->what == 'F')
		a->flags = (unsigned)v[first++] % 32;
	for (size_t i = first; i < n && a->count < CRASH_BATCH; i++)
		a->n[a->count++] = (uint32_t)v[i] % CRASH_MESSAGES;
	act_begun(m, a);
}
