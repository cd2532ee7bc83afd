/* backend_kv_summary.c: bodies get new summaries: their records are written once more, with the same octets and another summary, to the file of copies,
 * and their rows switched, as compaction does it (backend_kv_compact.c). Runs in stored, in the thread of backend_kv_space.c, so that no file goes away
 * beside it. Killed in between, either place is good. */
#include "store/backend_kv_space.h"

#include <stdlib.h>

#include "lib/err.h"
#include "lib/log.h"

enum { STEP_OCTETS = 512 << 10 };

void
space_summaries_keep(struct space *s, const struct backend_space_job *job)
{
	s->summaries = xcalloc(job->n_bodies + 1, sizeof *s->summaries);
	s->n_summaries = job->n_bodies;
	for (size_t i = 0; i < job->n_bodies; i++)
		s->summaries[i] = slice_of(slice_dup(job->summaries[i]), job->summaries[i].len);
	s->job.summaries = s->summaries;
}

void
space_summaries_forget(struct space *s)
{
	for (size_t i = 0; i < s->n_summaries; i++)
		free((void *)(uintptr_t)s->summaries[i].ptr);
	free(s->summaries);
	s->summaries = NULL;
	s->n_summaries = 0;
}

int
space_summaries(struct bkv *b)
{
	struct space *s = b->space;
	struct space_step *st = xcalloc(1, sizeof *st);
	uint64_t octets = 0;
	int64_t t0 = space_ms();
	int err = 0;

	space_phase(s, "summaries");
	st->what = STEP_SWITCH;
	for (size_t i = 0; i < s->n_summaries && err == 0; i++) {
		struct seg_loc *from = &st->from[st->n];
		int done = bkv_body_loc(b, s->purge[i], from);

		if (done == 0)
			done = seg_resummarize(b->seg, from, s->summaries[i], &st->to[st->n]);
		if (done == ERR_CORRUPT || done == ERR_IO || done == ERR_NOTFOUND) {
			/* It stays as it is: `congvu store check` names it. */
			log_msg(LOG_LVL_ERROR, "store_summary", "body %llu: %s",
			    (unsigned long long)s->purge[i], err_name(done));
			continue;
		}
		if (done != 0) {
			err = space_why(s, done, "body %llu cannot be written anew",
			    (unsigned long long)s->purge[i]);
			break;
		}
		octets += st->to[st->n++].stored;
		if (st->n < STEP_BODIES && octets < STEP_OCTETS)
			continue;
		err = space_switch(b, st);
		octets = 0;
		if (err == 0)
			err = space_pause(b, t0);
		t0 = space_ms();
	}
	if (err == 0)
		err = space_switch(b, st);
	free(st);
	return err;
}
