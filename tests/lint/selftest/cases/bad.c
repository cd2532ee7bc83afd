/* bad.c: only one of forty */
const char *name = "case_41_nothing";
