/* unit.h: what every cmocka test includes, in the order cmocka wants. */
#ifndef CV_UNIT_H
#define CV_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#endif
