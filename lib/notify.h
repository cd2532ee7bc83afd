/* notify.h: tells the service manager how far we are: sd_notify(3)'s protocol, a datagram to the socket that
 * $NOTIFY_SOCKET names. Used by the parents. Without that variable nothing is sent. */
#ifndef CV_NOTIFY_H
#define CV_NOTIFY_H

/* Lines such as "READY=1\nSTATUS=up". 0, also where nobody wants to know; ERR_SYNTAX (the variable), ERR_IO. Never blocks. */
int notify_send(const char *lines);
/* "RELOADING=1" with the time that belongs to it. */
int notify_reloading(void);

#endif
