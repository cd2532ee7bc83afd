/* kv_unsettled.c: a stored that forgets to sync the segments before the log that holds small bodies goes. For the crash checker's own test. */
#include "store/kv.h"

void __real_kv_settle_by(struct kv *kv, void (*settle)(void *arg), void *arg);
void __wrap_kv_settle_by(struct kv *kv, void (*settle)(void *arg), void *arg);

static void
nothing(void *arg)
{
	(void)arg;
}

void
__wrap_kv_settle_by(struct kv *kv, void (*settle)(void *arg), void *arg)
{
	(void)settle;
	__real_kv_settle_by(kv, nothing, arg);
}
