/* audit_fuzz.c: a line that is taken is canonical and has its hash; the state file's text and a checkpoint's round-trip; a log, and the syslog lines it is held
 * against, of any content are verified to an end, and whoever finds nothing has read one chain. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "milter/audit_verify.h"
#include "milter/sign_text.h"

static void
verify(struct slice s)
{
	struct audit_verifier *v = audit_verifier_new();
	const struct audit_report *r;
	int fd = memfd_create("log", 0);

	MUST(fd >= 0 && write(fd, s.ptr, s.len) == (ssize_t)s.len && lseek(fd, 0, SEEK_SET) == 0);
	audit_verifier_known(v, fd);
	MUST(lseek(fd, 0, SEEK_SET) == 0);
	MUST(audit_verifier_file(v, "log", fd) == 0);
	r = audit_verifier_end(v);
	MUST(r->ok == (r->n_findings == 0));
	for (size_t i = 1; i < r->n_findings; i++)
		MUST(r->findings[i - 1].order <= r->findings[i].order);
	if (r->ok)
		MUST(r->records == r->last.seq);
	audit_verifier_free(v);
	close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_of(data, size);
	char text[AUDIT_STATE_LEN + 1];
	struct audit_chain c, c2;
	struct audit_state st, back;
	struct sign_text t;
	struct json *rec = NULL;
	const char *why = NULL;
	struct buf b;

	verify(s);
	if (sign_text_parse(s, &t) == 0) {
		buf_init(&b, 4096);
		MUST(sign_text_format(&t, &b) == 0 && slice_eq(buf_slice(&b), s));
		buf_done(&b);
	}
	audit_chain_init(&c);
	if (audit_line_parse(s, &c, &rec, &why) == 0) {
		buf_init(&b, AUDIT_LINE_MAX + 1);
		MUST(json_canonical(rec, &b) == 0 && slice_eq(buf_slice(&b), s));
		MUST(c.seq >= 1);
		buf_done(&b);
		json_free(rec);
	} else {
		MUST(why != NULL && why[0] != '\0');
	}
	audit_chain_init(&c2);
	audit_check_line(&c2, s, NULL, &why);
	if (audit_state_parse(s, &st) == 0) {
		audit_state_format(&st, text);
		MUST(audit_state_parse(slice_str(text), &back) == 0);
		MUST(back.size == st.size && back.last.seq == st.last.seq &&
		     strcmp(back.last.h, st.last.h) == 0);
	}
	return 0;
}
