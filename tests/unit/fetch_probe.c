/* fetch_probe.c: a client of fetch for tests: fetch_probe [-a AGE] [-m MAX] [-t MS] [-r REDIRECTS] [-p TYPE] [-l] SOCKET URL. -p posts standard
 * input; -l asks on the loop, not blocking. Prints "err NAME", or "STATUS FROM TYPE EXPIRES-FETCHED LENGTH" and the body. */
#include "config.h"

#include "directory/fetch_client.h"
#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int
show(int err, const struct fetch_answer *a)
{
	static const char *const from[] = {"net", "memory", "stale"};

	if (err != 0) {
		printf("err %s\n", err_name(err));
		return 0;
	}
	printf("%u %s %s %lld %zu\n", a->status, from[a->from],
	    a->content_type[0] == '\0' ? "-" : a->content_type,
	    (long long)(a->expires == 0 ? -1 : a->expires - a->fetched), a->body.len);
	return a->body.len == 0 || fwrite(a->body.ptr, 1, a->body.len, stdout) == a->body.len ? 0
											      : 1;
}

static void
on_answer(void *arg, int err, const struct fetch_answer *a)
{
	show(err, a);
	loop_stop(arg);
}

static uint32_t
number(const char *text)
{
	uint64_t v;

	if (slice_to_u64(slice_str(text), UINT32_MAX, &v) != 0)
		exit(2);
	return (uint32_t)v;
}

static int
on_loop(const char *socket, const struct fetch_request *r)
{
	struct loop *l = loop_new();
	struct fetch_client *c = fetch_client_new(l, socket, IPC_MILTER);
	uint32_t call;

	/* one given up is not heard of */
	if (fetch_start(c, r, on_answer, NULL, &call) != 0)
		return 1;
	fetch_cancel(c, call);
	if (fetch_start(c, r, on_answer, l, NULL) != 0 || loop_run(l) != 0)
		return 1;
	fetch_client_free(c);
	loop_free(l);
	return 0;
}

int
main(int argc, char **argv)
{
	static char posted[FETCH_BODY_MAX + 1];
	struct fetch_request r = {.deadline_ms = 5000};
	struct fetch_answer *a = NULL;
	struct ipc_sync *s;
	bool loops = false;
	int o, err;

	while ((o = getopt(argc, argv, "a:m:t:r:p:l")) != -1) {
		if (o == 'a')
			r.max_age_s = number(optarg);
		else if (o == 'm')
			r.max_bytes = number(optarg);
		else if (o == 't')
			r.deadline_ms = number(optarg);
		else if (o == 'r')
			r.max_redirects = (uint8_t)number(optarg);
		else if (o == 'p')
			r.content_type = optarg;
		else if (o == 'l')
			loops = true;
		else
			return 2;
	}
	if (argc - optind != 2)
		return 2;
	r.url = argv[optind + 1];
	r.is_post = r.content_type != NULL;
	if (r.is_post)
		r.body = slice_of(posted, fread(posted, 1, sizeof(posted), stdin));
	if (loops)
		return on_loop(argv[optind], &r);
	s = ipc_sync_new(argv[optind], &fetch_proto, IPC_MILTER);
	err = fetch_sync(s, &r, &a);
	o = show(err, a);
	fetch_answer_free(a);
	ipc_sync_free(s);
	return o;
}
