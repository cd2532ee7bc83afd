/* dir_admin_world.h: two agencies (H9.1 "MOT" and H9.2 "HAI") with their clerks' posts and mailboxes, three people (1 and 2 at the first, 3 at the
 * second) and a group of the first, in memory; and what HR's commands wrote into the journal. For the unit tests of dir_admin. */
#ifndef CV_DIR_ADMIN_WORLD_H
#define CV_DIR_ADMIN_WORLD_H

#include "directory/dir_admin.h"
#include "directory/dir_fake.h"

#include "tests/unit/unit.h"

#define BASE "o=x"
#define QD "15/QĐ-UBND"
#define ONE "vnStaffId=1,ou=people,o=x"
#define TWO "vnStaffId=2,ou=people,o=x"
#define THREE "vnStaffId=3,ou=people,o=x"

struct world {
	struct dir *dir;
	struct dir_admin *a;
	struct json *journal; /* records, in order */
	bool journal_fails;
};

/* Loaded by world_conf_load in main. */
extern struct conf *world_conf;
struct conf *world_conf_load(void);

struct world *world_new(void);
void world_free(struct world *w);
/* A congvu started anew on the same directory and journal. */
void world_admin(struct world *w);
/* All that is there, in order, as one text; times of this run are not compared. */
char *world_dump(struct world *w);
/* Whether the entry has the value; NULL: any. */
bool world_has(struct world *w, const char *dn, const char *attr, const char *value);

#define ENTRY(w, dn, ...) dir_fake_add((w)->dir, dn, (const char *const[]){__VA_ARGS__, NULL})

#define OK(call)                                        \
	do {                                            \
		if ((call) != 0)                        \
			fail_msg("%s: %s", #call, why); \
	} while (0)
/* Fails with this code, and says why. */
#define FAILS(call, code)                       \
	do {                                    \
		assert_int_equal((call), code); \
		assert_non_null(why);           \
		free(why);                      \
		why = NULL;                     \
	} while (0)

#endif
