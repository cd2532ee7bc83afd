/* cert_person.h: whose a client's certificate is, by the directory. Over people.h, so it blocks: worker threads only. */
#ifndef CV_CERT_PERSON_H
#define CV_CERT_PERSON_H

#include "directory/people.h"
#include "lib/client_cert.h"

enum cert_map {
	CERT_MAP_CERTIFICATE, /* the person with its address, who has this very certificate in the directory */
	CERT_MAP_ADDRESS, /* the person with its address */
};
/* der: what a session says its client proved to hold; judged anew here. All of its addresses in our domains that anybody has must be one
 * person's. 0: *out is the caller's; ERR_AUTH: not good, or not the person's; ERR_NOTFOUND: nobody has its addresses; ERR_TEMP. *name_out:
 * the address that was looked for last, malloc'd, for the log (NULL: none was). Set whatever is returned. */
int cert_person(struct people *p, const struct client_cas *cas, enum cert_map map, struct slice der,
    struct person **out, char **name_out);

#endif
