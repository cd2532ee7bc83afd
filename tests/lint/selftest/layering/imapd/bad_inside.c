#include "store/row.h"
