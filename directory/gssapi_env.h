/* gssapi_env.h: Kerberos for a role that reads no files. */
#ifndef CV_GSSAPI_ENV_H
#define CV_GSSAPI_ENV_H

/* Once, before auth_init. Copies the keytab (borrowed descriptor). 0; ERR_IO; ERR_SYNTAX (an empty keytab, or what is no realm's name). */
int gssapi_env(int keytab_fd, const char *realm);

#endif
