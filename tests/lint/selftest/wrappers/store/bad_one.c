#include <db.h>
#include <stdio.h>
