/* border.h: fuzzing a role at its IPC border: its main() runs in this process up to its loop, over a faked ipc_server and a faked role.h
 * (border.c), and then gets what a taken-over neighbour may send: permitted types, within their lengths, with any content. (Frames and the
 * permit table themselves are ipc_fuzz.c's.) A target names the role's main as border_main and its loop_run as border_loop_run by the preprocessor. */
#ifndef CV_BORDER_H
#define CV_BORDER_H

#include "lib/ipc.h"

/* What a target gives. */
extern const char border_role[]; /* the name in --name */
extern const char border_conf[]; /* lines of congvu.conf */
int border_main(int argc, char **argv);
/* Runs once, in the role's folder, before main: makes files that it needs. May be empty. */
void border_prepare(void);
/* Sends what opens the doors, before each input: border_send. May be empty. */
void border_prologue(void);
/* May write names that only a neighbour knows (ids, tickets, session numbers) over the start of a payload: so that the content behind them is read. */
void border_patch(uint32_t peer, uint16_t type, struct buf *payload);

/* Of a server that keeps the answer to such a request until it has something to say: one of them may be open. May be left out. */
bool border_waits(uint16_t type) __attribute__((weak));

/* For targets: sends one message from a peer and runs the loop until it is answered or nothing happens. The answer's type (0: none, the
 * connection was ended), its payload in *reply (NULL accepted; borrowed until the next). fd: -1 or taken. */
uint16_t border_send(
    uint32_t peer, uint16_t type, const struct buf *payload, int fd, struct slice *reply);
int border_loop_run(struct loop *l);

#endif
