#include <sys/socket.h>
#include <zstd.h>
