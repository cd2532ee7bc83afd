/* kv_page.h: pages of Berkeley DB's files that survive a power cut in the middle of their being written. Berkeley DB repairs a page that is old,
 * not one that is half new. So no page goes to its place before its image is on stable storage in pages.dw (the double write): what
 * Berkeley DB writes gathers in memory and goes, in batches, first there and then in place; at the next start a whole batch found there
 * is put in place again. The only atom relied on is that a sector of 512 bytes is old or new.
 *
 * These are the functions of one process's one environment, with the signatures of the system calls they stand for (db_env_set_func_*);
 * they may be called from any thread. (read and write are not among them: Berkeley DB takes a short read of a replaced read() for an error; it
 * reads the beginning of a file that way, right after it opened it.) Files named otherwise than KV_PAGE_FILE pass through, but for the folder, which is synced
 * after a file was made or renamed in it. */
#ifndef CV_KV_PAGE_H
#define CV_KV_PAGE_H

#include <sys/types.h>

#define KV_PAGE_FILE "rows.db"
#ifndef KV_PAGE_BATCH_MAX /* tests/crash makes a program with small batches */
#define KV_PAGE_BATCH_MAX 2040
#endif
enum {
	KV_PAGE_SIZE = 4096,
	KV_PAGE_BATCH = KV_PAGE_BATCH_MAX /* pages that gather at most: 8 MiB */
};

/* Before the environment is opened: repairs KV_PAGE_FILE in the folder from pages.dw, makes pages.dw, takes room for it. dir is remembered. 0;
 * ERR_IO, ERR_FULL, ERR_NOMEM, ERR_CORRUPT (a batch of another file: the file was replaced by hand; remove pages.dw if it was meant). */
int kv_page_start(const char *dir);
/* After the environment was closed. */
void kv_page_end(void);

/* As the system calls; those of the second row give 0 or an errno, as Berkeley DB wants it. */
int kv_page_open(const char *path, int flags, ...);
ssize_t kv_page_pread(int fd, void *p, size_t n, off_t at);
ssize_t kv_page_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t kv_page_write(int fd, const void *p, size_t n);

int kv_page_close(int fd);
int kv_page_rename(const char *from, const char *to);
int kv_page_unlink(const char *path);
int kv_page_fsync(int fd);
int kv_page_ftruncate(int fd, off_t size);

#endif
