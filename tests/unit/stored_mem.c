/* stored_mem.c: makes of stored.c a stored that keeps everything in memory (backend_mem.c), for stored_model_test. Linked with --wrap. */
#include "store/backend.h"

int __wrap_backend_kv_open(
    struct loop *l, const struct backend_kv_options *o, struct backend **b_out);
void __wrap_backend_kv_stat(struct backend *b, struct backend_stat *st_out);

int
__wrap_backend_kv_open(struct loop *l, const struct backend_kv_options *o, struct backend **b_out)
{
	(void)o;
	return backend_mem_open(l, b_out);
}

void
__wrap_backend_kv_stat(struct backend *b, struct backend_stat *st_out)
{
	(void)b;
	*st_out = (struct backend_stat){0};
}
