/* check.h: findings of `congvu check` and `congvu doctor`: each names what was looked at, how it is, and when it is not well, what is
 * wrong and what to do. */
#ifndef CV_CHECK_H
#define CV_CHECK_H

#include "admin/ctl.h"
#include "directory/dir.h"

struct check {
	struct ctl *c;
	struct conf *conf;
	struct json *findings;
	bool failed;
	int code; /* sysexits.h: of the findings that are errors, the gravest; 0 for none */
};

/* WARN: it works, or will for some time. BAD: configuration, 78. DOWN: something that should run does not, 69. */
enum level { GOOD, WARN, BAD, DOWN };
void finding(struct check *k, enum level level, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Prints or frees the findings; the exit code. */
int check_end(struct check *k);

/* ctl_check.c: all that `congvu check` looks at; k->conf stays NULL when the configuration cannot be read. */
void check_all(struct check *k, bool offline);
/* The password in the file that an option names, without its line end. 0, or ERR_IO (told). */
int check_read_password(struct check *k, const char *option, struct buf *password);

/* ctl_check.c: whether a file that must be secret is there and nobody else reads it; its path is the caller's. */
bool check_secret(struct check *k, const char *option, char **path_out);
/* ctl_check.c, for a reload: tells on stderr what is wrong with the certificate that clients are shown now; EX_OK or EX_CONFIG. */
int check_certificate_taken(struct ctl *c);
/* check_sign.c: audit_key_file and gateway_sign. */
void check_sign(struct check *k);
/* check_store_key.c: store_key_file, and whether what is in the store opens with it. */
void check_store_key(struct check *k);
/* check_policy.c: policy_file, when there is one. */
void check_policy_file(struct check *k);

/* doctor_directory.c: schema, rights of the accounts. probe: an entry is added for a moment and signed in as. */
void doctor_directory(struct check *k, bool probe);
/* doctor_host.c: programs, sandboxes, ports, folders, disk, queue, clock. */
void doctor_host(struct check *k);
/* doctor_dns.c: MX, SPF and address by the resolver of this host, or the one named "IP:PORT". */
void doctor_dns(struct check *k, const char *resolver);

#endif
