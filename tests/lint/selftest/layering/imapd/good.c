#include "lib/buf.h"
#include "store/store_client.h"
