/* gateway_mime.h: a message as the entity that a gateway signs: its content fields and its body in 7 bit with CRLF, RFC 8551 3.1. Pure. */
#ifndef CV_GATEWAY_MIME_H
#define CV_GATEWAY_MIME_H

#include "lib/mime.h"

/* Takes the entity piece by piece. */
typedef void (*gateway_put_fn)(void *arg, struct slice piece);

/* Why a message is not signed; static text, NULL when it may be. It is signed or encrypted already, or so built that it could be read in two ways. */
const char *gateway_refuses(struct slice header, const struct mime_part *root);
/* whole and its tree; 0, or ERR_UNSUPPORTED with *why_out (static) when something in it can neither stay nor be encoded (8-bit text inside a signed
 * part, for instance): then what was put is nothing. */
int gateway_entity(struct slice whole, const struct mime_part *root, gateway_put_fn put, void *arg,
    const char **why_out);
/* Whether a field goes into the entity: Content-* but for Content-Length. */
bool gateway_is_content_field(struct slice name);

#endif
