/* auth_priv.h: what auth_sasl.c, auth_scram.c and auth_mechs.c share. */
#ifndef CV_AUTH_PRIV_H
#define CV_AUTH_PRIV_H

#include "directory/auth.h"

/* Whose steps they are: Cyrus', or one of ours. */
enum auth_own { OWN_NOT, OWN_EXTERNAL, OWN_PLAIN, OWN_SCRAM };
enum auth_own auth_own_of(const char *mech);
bool auth_mech_is_plaintext(const char *mech);
bool auth_mech_is_scram(const char *mech);
/* The mechanisms that auth_offers; 0, ERR_UNSUPPORTED: too many. Once. */
int auth_mechs_set(const char *const *mechs, size_t n);
/* All of them in upper case, separated by spaces. */
const char *auth_mechs(void);
/* As sasl_set_mutex takes them. */
void *auth_mutex_new(void);
int auth_mutex_lock(void *m);
int auth_mutex_unlock(void *m);
void auth_mutex_free(void *m);

/* The stored keys for a SCRAM mechanism ("SCRAM-SHA-256-PLUS" has those of "SCRAM-SHA-256"): the person's, or, when u is NULL, may not sign
 * in by SCRAM now or has none of this hash, decoys for name. Appended to out. */
int auth_scram_value(const struct auth_source *s, const struct person *u, struct slice name,
    const char *mech, struct buf *out, bool *is_decoy_out);

/* RFC 5802 6: the channel binding that a client's first message asks for, by its gs2 header: "p=tls-exporter,,". *name_out NULL: none.
 * plus_is_offered: of this mechanism. 0; ERR_AUTH: a client that says "y" (we have none) though we offer it, so that somebody may have
 * cut it from our list, or one whose channel has no such data; ERR_UNSUPPORTED: a binding that is not ours; ERR_SYNTAX. */
int auth_scram_binding(const char *mech, struct slice initial, bool plus_is_offered, bool has_data,
    const char **name_out);

/* Who acts as whom (RFC 4422 3.4.1): only as oneself, under any of one's own names. */
bool auth_may_act_as(const struct person *u, struct slice want);

/* EXTERNAL's only step: the certificate (DER) and what the client says it wants to be ("": itself). 0: *person_out is the caller's; ERR_AUTH,
 * ERR_DENIED, ERR_LIMIT, ERR_LOCKED, ERR_TEMP. *name_out: malloc'd or NULL, whatever is returned. */
int auth_external(const struct auth_source *s, struct slice der, struct slice authzid,
    const char *ip, struct person **person_out, char **name_out);

#endif
