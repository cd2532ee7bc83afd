/* crash_record.h: what the drivers of the crash checker share: the record (crash.h) and the page of faults. In tests only. */
#ifndef CV_CRASH_RECORD_H
#define CV_CRASH_RECORD_H

#include "lib/buf.h"
#include "tests/crash/crash.h"

/* Begins a record anew, and has shim.c write to it as well (CONGVU_CRASH_LOG). One a process; ends it when it cannot. */
void crash_record_begin(const char *path);
void crash_record_text(struct slice text);
/* Makes the page that is shared with shim.c (CONGVU_FAULT_PAGE). Where is TMPDIR. */
struct fault_page *crash_page_make(void);

#endif
