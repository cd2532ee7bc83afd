/* setup_answers.h: the answers of `congvu setup`, by the table setup.def: read from a file, checked, worked out. Pure. */
#ifndef CV_SETUP_ANSWERS_H
#define CV_SETUP_ANSWERS_H

#include "lib/buf.h"

enum setup_kind {
	SETUP_TEXT,
	SETUP_DOMAINS, /* comma-separated */
	SETUP_HOST,
	SETUP_ADDRESS, /* in one of the domains */
	SETUP_DN,
	SETUP_URIS,   /* comma-separated ldap://, ldaps://, ldapi:// */
	SETUP_FILE,   /* an absolute path, or empty */
	SETUP_PATH,   /* an absolute path */
	SETUP_LISTEN, /* ADDRESS:PORT or "none" */
	SETUP_ROUTE,  /* smtp:HOST:PORT, smtps:, inet:, or "mx" */
	SETUP_CHOICE,
	SETUP_YESNO,
	SETUP_NUMBER
};

/* Index of a question. */
enum {
#define SETUP(key, kind, def, when, choices, question) SETUP_Q_##key,
#include "admin/setup.def"
#undef SETUP
	SETUP_QUESTIONS
};
struct setup_question {
	const char *key;
	enum setup_kind kind;
	const char *def, *when, *choices, *question;
};
extern const struct setup_question setup_questions[SETUP_QUESTIONS];

struct setup_answers {
	char *v[SETUP_QUESTIONS]; /* malloc'd; NULL: not answered */
};
void setup_answers_done(struct setup_answers *a);
/* "key = value" lines, "#" comments; a value may stand in double quotes. 0; ERR_SYNTAX with *why_out ("line 3: ...", in the user's language), malloc'd. An answer
 * may stand before those it depends on. Answers that are
 * there already are kept for keys that the text does not name. */
int setup_answers_parse(struct slice text, struct setup_answers *a, char **why_out);
/* Takes an answer if it is right: NULL, or a static text that says what is wrong (English, for gettext). */
const char *setup_answer_set(struct setup_answers *a, unsigned q, const char *value);
/* Whether the question is to be asked, by the answers before it. */
bool setup_is_asked(const struct setup_answers *a, unsigned q);
/* The default with what the answers before it give, malloc'd. hostname: of this machine, "" when it has none. */
char *setup_default(const struct setup_answers *a, unsigned q, const char *hostname);
/* Whether it may stay empty. */
bool setup_may_be_empty(unsigned q);
/* "" for none. */
const char *setup_get(const struct setup_answers *a, unsigned q);
/* All answers as such a file, appended. */
void setup_answers_print(const struct setup_answers *a, struct buf *out);

#endif
