/* client_cert_fuzz.c: a certificate as a client may send it: what comes out is believed names without NUL, or nothing. The anchor's key is
 * nobody's any more: the seed issued by it is the one that is believed. */
#include "tests/fuzz/fuzz.h"

#include "lib/client_cert.h"
#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct client_cas *
anchor(void)
{
	static const char pem[] =
	    "-----BEGIN CERTIFICATE-----\n"
	    "MIIBcTCCARegAwIBAgIUW+1zO1tmLsI7R7MMoTo91jTWKQswCgYIKoZIzj0EAwIw\n"
	    "DTELMAkGA1UEAwwCY2EwIBcNMjYxMTIyMDUwOTUxWhgPMjEyNjEwMjkwNTA5NTFa\n"
	    "MA0xCzAJBgNVBAMMAmNhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMiNfFWRG\n"
	    "O6fsH7gQbCU4pMARchb9uHXLumLFliaZ7dNIXYYzpYykYG5NghvO69sQ/2ZZY+uK\n"
	    "WFupLeOG7/Oeo6NTMFEwHQYDVR0OBBYEFGdHhMwtdOcWxHqHhyhxMcFDN0z0MB8G\n"
	    "A1UdIwQYMBaAFGdHhMwtdOcWxHqHhyhxMcFDN0z0MA8GA1UdEwEB/wQFMAMBAf8w\n"
	    "CgYIKoZIzj0EAwIDSAAwRQIgMcyYZ6RuhNp8egRueOkws0NRFWpBYR1wCsUVG7wI\n"
	    "IjUCIQDraVq5o0cxU8a0262hmXVnDLWQ7BXNDu6RVmvAbemolw==\n"
	    "-----END CERTIFICATE-----\n";
	char path[] = "/tmp/client_cert_fuzzXXXXXX";
	struct client_cas *c = NULL;
	const char *why = "";
	int fd = mkstemp(path);

	MUST(fd >= 0 && write(fd, pem, sizeof(pem) - 1) == (ssize_t)sizeof(pem) - 1);
	close(fd);
	MUST(client_cas_new(path, &c, &why) == 0);
	unlink(path);
	return c;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct client_cas *cas;
	struct client_cert c = {.n = 0};
	const char *why = NULL;
	int err;

	if (cas == NULL)
		cas = anchor();
	err = client_cert_check(cas, slice_of(data, size), &c, &why);
	MUST(err == 0 || (why != NULL && c.n == 0));
	MUST(c.n <= CLIENT_CERT_NAMES);
	for (size_t i = 0; i < c.n; i++)
		MUST(c.addresses[i] != NULL && strlen(c.addresses[i]) > 0 &&
		     strlen(c.addresses[i]) <= 320);
	client_cert_done(&c);
	return 0;
}
