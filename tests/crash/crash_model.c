/* crash_model.c: see crash_model.h; the texts. Runs in tests. */
#include "tests/crash/crash_model.h"

#include <stdlib.h>

#include "lib/log.h"

enum { ACTS = 65536, NUMBERS = 2 + 4 + CRASH_BATCH };

static struct act *
act_of(struct crash_model *m, uint64_t seq)
{
	if (m->acts == NULL)
		m->acts = xcalloc(ACTS, sizeof *m->acts);
	if (seq >= ACTS)
		fatal("crash_model: too many acts");
	if (seq >= m->n_acts)
		m->n_acts = seq + 1;
	return &m->acts[seq];
}

struct crash_model *
model_new(void)
{
	return xcalloc(1, sizeof(struct crash_model));
}

void
model_free(struct crash_model *m)
{
	free(m->acts);
	free(m);
}

size_t
model_messages(const struct crash_model *m)
{
	return m->n;
}

/* ---- what is begun ---- */

static void
submit(struct crash_model *m, uint32_t msg, unsigned acct, unsigned box)
{
	if (msg >= CRASH_MESSAGES)
		fatal("crash_model: a message that cannot be");
	if (msg >= m->n)
		m->n = msg + 1;
	if (m->submitted[msg][acct])
		return; /* once more */
	m->submitted[msg][acct] = true;
	m->p[msg][acct][box] = (struct place){HAS_MAYBE, 0, 1};
}

static void
deliver_begun(struct crash_model *m, struct act *a, const uint64_t *v, size_t n)
{
	a->box = a->what == 'A';
	a->n[0] = (uint32_t)v[1];
	a->count = n - 2;
	if (a->count > 2)
		fatal("crash_model: a delivery that cannot be");
	for (size_t i = 0; i < a->count; i++) {
		a->to[i] = (unsigned)v[2 + i] % CRASH_ACCOUNTS;
		submit(m, a->n[0], a->to[i], a->box);
	}
	m->delivery[a->n[0]] = a->what == 'D';
}

static void
messages_begun(struct crash_model *m, struct act *a)
{
	for (size_t i = 0; i < a->count; i++) {
		struct place *p = m->p[a->n[i]][a->acct];

		if (a->what == 'B')
			submit(m, a->n[i], a->acct, a->box);
		if (a->what == 'F')
			p[a->box].values |= 1u << a->value;
		if (a->what == 'X' || a->what == 'M')
			p[a->box].has = HAS_MAYBE;
		if (a->what == 'M')
			m->moving[a->n[i]][a->acct] = (uint8_t)(MOVING | a->box << 3 | a->to_box);
		if (a->what == 'C' || a->what == 'M')
			p[a->to_box] = (struct place){HAS_MAYBE, 0, p[a->box].values};
	}
}

/* What is in a mailbox that goes need not be anywhere. */
static void
delete_begun(struct crash_model *m, const struct act *a)
{
	m->box[a->acct][a->box].has = HAS_MAYBE;
	for (uint32_t n = 0; n < m->n; n++) {
		unsigned v = m->moving[n][a->acct];

		if ((v & MOVING) != 0 && ((v >> 3 & 7) == a->box || (v & 7) == a->box))
			m->moving[n][a->acct] = 0;
	}
}

static void
box_begun(struct crash_model *m, const struct act *a)
{
	struct box *b = &m->box[a->acct][a->box];

	if (a->what == 'N')
		*b = (struct box){.has = HAS_MAYBE};
	if (a->what == 'R')
		b->renaming = true;
	if (a->what == 'E')
		delete_begun(m, a);
	if (a->what == 'I')
		m->inbox_to[a->acct] = a->box;
}

/* ---- what was answered ---- */

static void
there(struct crash_model *m, struct place *p, unsigned acct, unsigned box, uint64_t uid)
{
	p->has = HAS;
	p->uid = (uint32_t)uid;
	if (uid > m->box[acct][box].uid_max)
		m->box[acct][box].uid_max = (uint32_t)uid;
}

static void
gone(struct crash_model *m, uint32_t msg, unsigned acct, unsigned box)
{
	struct place *p = &m->p[msg][acct][box];

	if (p->uid < CRASH_UIDS)
		m->box[acct][box].gone[p->uid] = 1;
	*p = (struct place){0};
}

void
model_inbox_renamed(struct crash_model *m, unsigned acct, unsigned box)
{
	for (uint32_t n = 0; n < m->n; n++) {
		struct place *p = m->p[n][acct];
		unsigned v = m->moving[n][acct];

		p[box] = p[0];
		p[0] = (struct place){0};
		if ((v & MOVING) != 0 && (v >> 3 & 7) == 0)
			m->moving[n][acct] = (uint8_t)(MOVING | box << 3 | (v & 7));
		else if ((v & MOVING) != 0 && (v & 7) == 0)
			m->moving[n][acct] = (uint8_t)((v & ~7u) | box);
	}
	for (size_t i = 0; i < m->n_acts; i++) {
		struct act *a = &m->acts[i];

		if (!a->open || a->what == 'D' || a->acct != acct)
			continue;
		if (a->box == 0)
			a->box = box;
		if (a->to_box == 0)
			a->to_box = box;
	}
	m->box[acct][box] = m->box[acct][0];
	m->box[acct][box].renamed = true;
	m->box[acct][0] = (struct box){.has = HAS};
	m->inbox_to[acct] = 0;
}

static void
box_done(struct crash_model *m, const struct act *a)
{
	struct box *b = &m->box[a->acct][a->box];

	if (a->what == 'N')
		b->has = HAS;
	if (a->what == 'R') {
		b->renaming = false;
		b->renamed = !b->renamed;
	}
	if (a->what == 'E') {
		*b = (struct box){0};
		for (uint32_t n = 0; n < m->n; n++)
			m->p[n][a->acct][a->box] = (struct place){0};
	}
	if (a->what == 'I')
		model_inbox_renamed(m, a->acct, a->box);
}

static void
message_done(struct crash_model *m, const struct act *a, size_t i, const uint64_t *v)
{
	uint32_t msg = a->what == 'D' || a->what == 'A' ? a->n[0] : a->n[i];
	unsigned acct = a->what == 'D' || a->what == 'A' ? a->to[i] : a->acct;
	struct place *p = m->p[msg][acct];

	switch (a->what) {
	case 'D':
	case 'A':
		if (v[1 + i] == 0)
			break;
		there(m, &p[a->box], acct, a->box, v[1 + i]);
		if (a->what == 'D')
			m->told[msg][acct] = (uint32_t)v[1 + i];
		break;
	case 'B':
		there(m, &p[a->box], acct, a->box, v[1] + i);
		break;
	case 'F':
		p[a->box].values = 1u << a->value;
		break;
	case 'X':
		gone(m, msg, acct, a->box);
		break;
	case 'M':
		gone(m, msg, acct, a->box);
		m->moving[msg][acct] = 0;
		there(m, &p[a->to_box], acct, a->to_box, v[1 + i]);
		break;
	default:
		there(m, &p[a->to_box], acct, a->to_box, v[1 + i]);
	}
}

static void
done(struct crash_model *m, struct act *a, char what, const uint64_t *v, size_t n)
{
	struct box *b = &m->box[a->acct][a->box];

	if (what == 'n') {
		box_done(m, a);
	} else {
		if ((what == 'd' || what == 'c') && n < 1 + a->count)
			fatal("crash_model: an answer that is too short");
		if (what == 'f' && v[1] > b->modseq_max)
			b->modseq_max = v[1];
		for (size_t i = 0; i < a->count; i++)
			message_done(m, a, i, v);
	}
	a->open = false;
}

/* Without an act: S account; V account box uidvalidity. */
static void
learned(struct crash_model *m, char what, const uint64_t *v)
{
	unsigned acct = (unsigned)v[0] % CRASH_ACCOUNTS;

	if (what == 'S') {
		m->account[acct] = true;
		for (unsigned i = 0; i < CRASH_FIXED; i++)
			m->box[acct][i].has = HAS;
		return;
	}
	m->box[acct][v[1] % CRASH_BOXES].uidvalidity = (uint32_t)v[2];
	if (v[2] > m->validity_max[acct])
		m->validity_max[acct] = (uint32_t)v[2];
}

void
model_text(struct crash_model *m, struct slice text)
{
	char line[512], *at;
	uint64_t v[NUMBERS] = {0};
	size_t n = 0, first = 2;
	struct act *a;

	if (text.len < 3 || text.len >= sizeof line)
		fatal("crash_model: a text of %zu octets", text.len);
	memcpy(line, text.ptr, text.len);
	line[text.len] = '\0';
	for (at = line + 1; *at != '\0' && n < NUMBERS;)
		v[n++] = strtoull(at, &at, 10);
	if (strchr("SV", line[0]) != NULL) {
		learned(m, line[0], v);
		return;
	}
	a = act_of(m, v[0]);
	if (strchr("dbfcn", line[0]) != NULL) {
		done(m, a, line[0], v, n);
		return;
	}
	*a = (struct act){.what = line[0], .open = true};
	if (a->what == 'D' || a->what == 'A') {
		deliver_begun(m, a, v, n);
		return;
	}
	a->acct = (unsigned)v[1] % CRASH_ACCOUNTS;
	a->box = a->what == 'B' ? 1 : (unsigned)v[first++] % CRASH_BOXES;
	if (a->what == 'F')
		a->value = (unsigned)v[first++] % CRASH_VALUES;
	if (a->what == 'C' || a->what == 'M')
		a->to_box = (unsigned)v[first++] % CRASH_BOXES;
	for (size_t i = first; i < n && a->count < CRASH_BATCH; i++)
		a->n[a->count++] = (uint32_t)v[i] % CRASH_MESSAGES;
	if (strchr("NREI", a->what) != NULL)
		box_begun(m, a);
	else
		messages_begun(m, a);
}
