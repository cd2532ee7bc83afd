x_SOURCES = good.c bad_opening.c
