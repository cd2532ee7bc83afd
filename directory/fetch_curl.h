/* fetch_curl.h: one transfer. fetch_curl.c is the only includer of <curl/...>. Blocks: worker threads only. */
#ifndef CV_FETCH_CURL_H
#define CV_FETCH_CURL_H

#include "directory/fetch_client.h"
#include "directory/fetch_url.h"

/* Once a process, before threads and sandbox. ca_pem: trust anchors for HTTPS and LDAPS; empty: those of the system. Both are borrowed
 * for the life of the process. 0 or ERR_UNSUPPORTED. */
int fetch_curl_init(const struct fetch_policy *policy, struct slice ca_pem);

/* Runs the request, whose URL the policy permits: every address connected to, and every URL redirected to, is checked here. max_bytes and
 * deadline_ms are set. *no_store_out: the origin wants it not kept. Errors as in fetch_client.h; *why_out is a static text for the log. */
int fetch_curl_run(const struct fetch_request *r, struct fetch_answer **out, bool *no_store_out,
    const char **why_out);

#endif
