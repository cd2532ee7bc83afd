/* A text whose row is empty. */
const char *table[] = {N_("empty here")};
