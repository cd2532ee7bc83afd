/* resolver.h: what this thread asks the DNS. */
#ifndef CV_RESOLVER_H
#define CV_RESOLVER_H

/* From now on this thread asks no name server: a name that the files do not have is not found, at once. For libraries that look up this host's own
 * name when they begin, which takes seconds where no name server answers. */
void resolver_mute(void);
/* As the machine is configured again. */
void resolver_unmute(void);

#endif
