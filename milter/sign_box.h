/* sign_box.h: the functional mailboxes of gateway_sign with their keys, from files and from a token. In milter-sign alone. */
#ifndef CV_SIGN_BOX_H
#define CV_SIGN_BOX_H

#include "milter/sign_mail.h"

/* Appends a file. private: nobody but its owner may have any right to it. 0, or an errno. */
int sign_read_file(const char *path, bool private, struct buf *out);
/* Still as root: reads the files of all rows, and the PIN. A row that cannot be used is told in the log and left out. */
void sign_boxes_read(void);
/* As milter-sign's user, before the sandbox: loads the module of pkcs11_module where a row needs it, and opens the keys in the token. */
void sign_boxes_open(void);
/* The key of a normalized address; NULL: none. */
const struct sign_mail_key *sign_box_key(struct slice address);
size_t sign_boxes(void);

#endif
