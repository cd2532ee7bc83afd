/* bad_orphan.c: in no local.mk */
