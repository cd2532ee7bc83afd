/* crash_record.c: see crash_record.h. Runs in tests. */
#include "tests/crash/crash_record.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/log.h"

static int record = -1;

void
crash_record_begin(const char *path)
{
	record = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (record < 0 || setenv("CONGVU_CRASH_LOG", path, 1) != 0)
		fatal("crash: %s cannot be made", path);
}

void
crash_record_text(struct slice text)
{
	struct crash_rec r = {CRASH_MAGIC, 0, CRASH_TEXT, (uint32_t)text.len, 0, 0};
	struct iovec v[2] = {{&r, sizeof r}, {NULL, text.len}};

	r.sum = crash_sum(&r, text.ptr);
	memcpy(&v[1].iov_base, &text.ptr, sizeof text.ptr);
	if (writev(record, v, 2) != (ssize_t)(sizeof r + text.len))
		fatal("crash: the record cannot be written");
}

/* shim.c reads it before the role enters its sandbox. */
struct fault_page *
crash_page_make(void)
{
	char path[64];
	struct fault_page *page;
	int fd;

	snprintf(path, sizeof path, "%.40s/fault.XXXXXX",
	    getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
	fd = mkstemp(path);
	if (fd < 0 || ftruncate(fd, 4096) != 0)
		fatal("crash: %s", path);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED || setenv("CONGVU_FAULT_PAGE", path, 1) != 0)
		fatal("crash: %s", path);
	close(fd);
	return page;
}
