/* good.c: a file. */
