/* crash_text.h: beside the load of crash_load.c, the part of an ingest that gives stored the text of documents. Runs in tests, on the loop. */
#ifndef CV_CRASH_TEXT_H
#define CV_CRASH_TEXT_H

#include "lib/loop.h"

/* Asks stored at this socket for bodies whose text is wanted, one after the other, for as long as there are any, through its ends and starts. Now and
 * then what was asked for comes to nothing. A body nobody said has documents ends the test. */
void crash_text_begin(struct loop *l, const char *ingest_socket, unsigned seed);
/* How many texts were given and taken. */
unsigned crash_text_end(void);

#endif
