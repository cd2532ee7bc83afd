/* dir_fake.h: entries in memory in place of LDAP, for unit tests (link libcvdirfake.a instead of libcvldap.a). */
#ifndef CV_DIR_FAKE_H
#define CV_DIR_FAKE_H

#include "directory/dir.h"

struct dir *dir_fake_new(const char *base);
/* attrs: name, value, name, value, …, NULL. */
void dir_fake_add(struct dir *d, const char *dn, const char *const *attrs);
/* From now on searches and reads give err; 0: they work. */
void dir_fake_fail(struct dir *d, int err);
/* After n more writes they give ERR_TEMP, undone; -1: they work. */
void dir_fake_writes(struct dir *d, int n);
/* From now on it has transactions (dir_write_all), of which each is one write to dir_fake_writes. */
void dir_fake_transactions(struct dir *d, bool on);

#endif
