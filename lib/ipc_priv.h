/* ipc_priv.h: what the ipc*.c files share: the frame, the check of a frame against the table, and a channel
 * (one socket with its input, its output queue and the descriptors that came in). For ipc*.c and their tests. */
#ifndef CV_IPC_PRIV_H
#define CV_IPC_PRIV_H

#include <sys/queue.h>

#include "lib/err.h"
#include "lib/ipc.h"

#define IPC_HEADER 12            /* u32 length of what follows, u16 type, u16 flags, u32 id */
#define IPC_READ_CHUNK 65536     /* bytes asked of the kernel at a time */
#define IPC_FDS_PENDING 4        /* descriptors that came in before their frame was whole */
#define IPC_OK_MAX 65536         /* payload of IPC_OK */
#define IPC_ERR_MAX 4096         /* payload of IPC_ERR */
#define IPC_OUT_PAUSE (1u << 20) /* a server stops reading while more than this waits to go out */
#define IPC_OUT_MAX \
	(16u << 20)         /* notifications past this end the connection: the peer does not read */
#define IPC_QUEUE_MAX 16384 /* calls a client keeps waiting for a free slot */

enum { IPC_HELLO = 0 };   /* the first frame of both ends: str name, u32 version, u32 role */
enum { IPC_FLAG_FD = 1 }; /* a descriptor goes with this frame */

struct ipc_frame {
	uint16_t type;
	uint16_t flags;
	uint32_t id;
	struct slice payload;
	int fd;
	size_t size; /* bytes of the whole frame */
};
/* What the sender of the frame may do. */
struct ipc_view {
	const struct ipc_proto *proto;
	uint32_t from;  /* the sender's role bit */
	uint32_t state; /* the connection's state bit; ~0u for frames of the server */
	bool from_server;
	bool hello_seen;
};

/* Takes one frame from the front of in. 0; ERR_AGAIN (not whole yet; f->size is what is needed, IPC_HEADER
 * when even that is unknown); ERR_PROTO with *why_out (static text). f->fd is left at -1. Pure. */
int ipc_frame_parse(
    const struct ipc_view *v, struct slice in, struct ipc_frame *f, const char **why_out);
const struct ipc_rule *ipc_rule_find(const struct ipc_proto *p, uint16_t type);
/* Whether from may send this: 0, ERR_DENIED, ERR_LIMIT. States are the receiver's matter. */
int ipc_may_send(
    const struct ipc_proto *p, uint32_t from, bool from_server, uint16_t type, size_t len, int fd);
/* The hello's content against the protocol and the role that must be at the other end. */
bool ipc_hello_is_good(const struct ipc_proto *p, uint32_t role, struct slice payload);

struct ipc_out {
	TAILQ_ENTRY(ipc_out) link;
	struct buf b;
	size_t off;
	int fd; /* goes with the first byte */
};
struct ipc_chan {
	int fd;
	struct buf in;
	size_t in_off;
	int fds[IPC_FDS_PENDING];
	size_t n_fds;
	TAILQ_HEAD(ipc_outs, ipc_out) out;
	size_t out_len;
	const char *why; /* of the last ERR_PROTO */
};
void ipc_chan_init(struct ipc_chan *ch, int fd);
void ipc_chan_done(struct ipc_chan *ch);
/* Queues a frame; fd is -1 or taken. */
int ipc_chan_put(
    struct ipc_chan *ch, uint16_t type, uint32_t id, const struct buf *payload, int fd);
int ipc_chan_put_hello(struct ipc_chan *ch, const struct ipc_proto *p, uint32_t self);
/* Writes what the kernel takes: 0 (all), ERR_AGAIN, ERR_CLOSED. */
int ipc_chan_flush(struct ipc_chan *ch);
/* Reads once: 0, ERR_AGAIN, ERR_EOF, ERR_IO, ERR_PROTO. */
int ipc_chan_fill(struct ipc_chan *ch);
/* The next whole frame, its descriptor in f->fd (the caller's): 0, ERR_AGAIN, ERR_PROTO. The payload is borrowed
 * until the next fill. */
int ipc_chan_next(struct ipc_chan *ch, const struct ipc_view *v, struct ipc_frame *f);

#endif
