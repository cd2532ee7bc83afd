/* gssapi_env.c: what libkrb5 needs to accept Kerberos tickets, in memory: the keytab and a configuration, where a role without files can
 * read them. Runs in lookup, before its sandbox. RFC 4752. */
#include "config.h"

#include "directory/gssapi_env.h"

#include "lib/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { KEYTAB_MAX = 1 << 20 };

static int
write_all(int fd, const unsigned char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, p, n);

		if (k <= 0)
			return ERR_IO;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

/* Into memory that stays open; variable says where. */
static int
publish(const char *variable, const char *prefix, int fd)
{
	char where[64];

	snprintf(where, sizeof(where), "%s/proc/self/fd/%d", prefix, fd);
	return setenv(variable, where, 1) == 0 ? 0 : ERR_NOMEM;
}

static int
keytab_copy(int from, int to)
{
	unsigned char chunk[4096];
	size_t total = 0;
	ssize_t n;
	int err = 0;

	while ((n = pread(from, chunk, sizeof(chunk), (off_t)total)) > 0 && err == 0) {
		total += (size_t)n;
		err = total > KEYTAB_MAX ? ERR_LIMIT : write_all(to, chunk, (size_t)n);
	}
	explicit_bzero(chunk, sizeof(chunk));
	return err != 0 ? err : n < 0 ? ERR_IO : total < 2 ? ERR_SYNTAX : 0;
}

int
gssapi_env(int keytab_fd, const char *realm)
{
	int keys = memfd_create("keytab", 0), conf = memfd_create("krb5.conf", 0);
	char text[600];
	int n, err;

	/* no names are asked of any DNS, and nothing of the machine's krb5.conf holds here */
	n = snprintf(text, sizeof(text),
	    "[libdefaults]\ndefault_realm = %s\ndns_canonicalize_hostname = false\n"
	    "qualify_shortname = \"\"\nrdns = false\ndns_lookup_realm = false\ndns_lookup_kdc = "
	    "false\n"
	    "default_rcache_name = none:\n",
	    realm);
	if (keys < 0 || conf < 0)
		return ERR_IO;
	if (n < 0 || (size_t)n >= sizeof(text) || *realm == '\0' ||
	    realm[strspn(
		realm, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-")] != '\0')
		return ERR_SYNTAX;
	err = keytab_copy(keytab_fd, keys);
	if (err == 0)
		err = write_all(conf, (const unsigned char *)text, (size_t)n);
	if (err == 0)
		err = publish("KRB5_KTNAME", "FILE:", keys);
	if (err == 0)
		err = publish("KRB5_CONFIG", "", conf);
	/* a ticket comes over TLS: whoever could send it again has broken that first */
	if (err == 0 && setenv("KRB5RCACHENAME", "none:", 1) != 0)
		err = ERR_NOMEM;
	return err;
}
