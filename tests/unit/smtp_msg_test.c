/* smtp_msg_test.c: header fields and their changes, envelopes, milter packets. */
#include "config.h"

#include "smtpd/envelope.h"
#include "smtpd/milter_options.h"
#include "smtpd/milter_proto.h"
#include "smtpd/msg.h"

#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

static struct arena *a;

static struct slice
str(const char *s)
{
	return slice_str(s);
}

static void
check_render(const struct msg *m, const char *want)
{
	struct buf out;

	buf_init(&out, 10000);
	assert_int_equal(msg_render(m, slice_str("T: 1\r\n"), &out), 0);
	assert_string_equal(buf_cstr(&out), want);
	buf_done(&out);
}

static void
test_msg(void **state)
{
	struct msg m;

	(void)state;
	arena_reset(a);
	assert_int_equal(msg_parse(&m, str("A:1\r\nb : 2\r\n\t3\r\na: 4\r\n\r\nbody\r\n"), a), 0);
	assert_int_equal(m.n, 3);
	assert_true(slice_eq_str(m.fields[1].name, "b"));
	assert_true(slice_eq_str(m.fields[1].value, " 2\r\n\t3"));
	assert_true(slice_eq_str(msg_body(&m), "body\r\n"));
	assert_int_equal(msg_count(&m, "A"), 2);
	assert_true(slice_eq_str(msg_find(&m, "a", 1)->value, " 4"));
	assert_null(msg_find(&m, "a", 2));
	check_render(&m, "T: 1\r\nA:1\r\nb : 2\r\n\t3\r\na: 4\r\n\r\n");
	assert_false(m.changed);
	/* values as milters give them, with LF; only what is named changes */
	assert_int_equal(msg_insert(&m, 0, str("I"), str("x\n y"), false), 0);
	assert_int_equal(msg_insert(&m, 99, str("Z"), str(" z"), true), 0);
	assert_int_equal(msg_change(&m, 2, str("A"), str("five"), false), 0);
	assert_int_equal(msg_change(&m, 1, str("b"), str(""), false), 0);
	assert_int_equal(msg_change(&m, 1, str("none"), str(""), false), 0);
	assert_int_equal(msg_change(&m, 1, str("new"), str("n"), false), 0);
	check_render(&m, "T: 1\r\nI: x\r\n y\r\nA:1\r\nA: five\r\nZ: z\r\nnew: n\r\n\r\n");
	assert_true(m.changed);
	/* nothing that would end a header or forge a field */
	assert_int_equal(msg_add(&m, str("X"), str("a\nB: c"), false), ERR_SYNTAX);
	assert_int_equal(msg_add(&m, str("X"), str("a\n\n"), false), ERR_SYNTAX);
	assert_int_equal(msg_add(&m, str("X"), str("a\rb"), false), ERR_SYNTAX);
	assert_int_equal(msg_add(&m, str("X"), slice_of("a\0b", 3), false), ERR_SYNTAX);
	assert_int_equal(msg_add(&m, str("X Y"), str("a"), false), ERR_SYNTAX);
	assert_int_equal(msg_add(&m, str("X:"), str("a"), false), ERR_SYNTAX);
	assert_int_equal(msg_add(&m, str(""), str("a"), false), ERR_SYNTAX);
	assert_int_equal(m.n, 5);
}

static void
test_msg_edges(void **state)
{
	struct msg m;
	struct buf out;

	(void)state;
	arena_reset(a);
	assert_int_equal(msg_parse(&m, str(""), a), 0);
	assert_int_equal(m.n, 0);
	check_render(&m, "T: 1\r\n");
	assert_int_equal(msg_parse(&m, str("\r\nbody"), a), 0);
	assert_int_equal(m.skip, 2);
	check_render(&m, "T: 1\r\n\r\n");
	/* a message that is a header only stays one */
	assert_int_equal(msg_parse(&m, str("A: 1\r\n"), a), 0);
	check_render(&m, "T: 1\r\nA: 1\r\n");
	assert_int_equal(msg_body(&m).len, 0);
	assert_int_equal(msg_parse(&m, str("no colon\r\n\r\n"), a), ERR_SYNTAX);
	assert_int_equal(msg_parse(&m, str(" A: 1\r\n\r\n"), a), ERR_SYNTAX);
	assert_int_equal(msg_parse(&m, str(": 1\r\n\r\n"), a), ERR_SYNTAX);
	assert_int_equal(msg_parse(&m, str("A b: 1\r\n\r\n"), a), ERR_SYNTAX);
	buf_init(&out, 100);
	msg_milter_value(str(" a\r\n b"), false, &out);
	assert_string_equal(buf_cstr(&out), "a\n b");
	buf_reset(&out);
	msg_milter_value(str(" a\r\n b"), true, &out);
	assert_string_equal(buf_cstr(&out), " a\n b");
	buf_done(&out);
}

static void
test_milter_put(void **state)
{
	struct buf b;
	struct milter_macro none[] = {{"x", NULL}, {"y", ""}};
	struct milter_macro some[] = {{"i", "q1"}, {"y", ""}};
	struct slice two[2] = {slice_str("Name"), slice_str(" v")};

	(void)state;
	buf_init(&b, 1000);
	milter_put_optneg(&b, 0x1ff, 0x1ff7ff);
	assert_int_equal(b.len, 17);
	assert_memory_equal(b.data, "\0\0\0\rO\0\0\0\6\0\0\1\xff\0\x1f\xf7\xff", 17);
	buf_reset(&b);
	milter_put_macros(&b, 'M', none, 2);
	assert_int_equal(b.len, 0);
	milter_put_macros(&b, 'M', some, 2);
	assert_int_equal(b.len, 11);
	assert_memory_equal(b.data, "\0\0\0\7DMi\0q1\0", 11);
	buf_reset(&b);
	milter_put_strings(&b, 'L', two, 2);
	assert_memory_equal(b.data, "\0\0\0\x09LName\0 v\0", 13);
	buf_reset(&b);
	milter_put_connect(&b, "[1.2.3.4]", '4', 25, "1.2.3.4");
	assert_memory_equal(b.data,
	    "\0\0\0\x16"
	    "C[1.2.3.4]\0"
	    "4\0\x19"
	    "1.2.3.4\0",
	    26);
	buf_reset(&b);
	milter_put_connect(&b, "localhost", 'U', 0, "");
	assert_memory_equal(b.data,
	    "\0\0\0\x0c"
	    "Clocalhost\0U",
	    16);
	buf_done(&b);
}

static void
test_milter_get(void **state)
{
	struct slice d, x, y;
	uint32_t i, version, actions, steps;
	size_t used;
	char cmd;

	(void)state;
	assert_int_equal(milter_packet(slice_of("\0\0\0\1c\0", 6), &cmd, &d, &used), 0);
	assert_int_equal(cmd, 'c');
	assert_int_equal(used, 5);
	assert_int_equal(d.len, 0);
	assert_int_equal(milter_packet(slice_of("\0\0\0\2c", 5), &cmd, &d, &used), ERR_AGAIN);
	assert_int_equal(milter_packet(slice_of("\0\0\0", 3), &cmd, &d, &used), ERR_AGAIN);
	assert_int_equal(milter_packet(slice_of("\0\0\0\0c", 5), &cmd, &d, &used), ERR_PROTO);
	assert_int_equal(milter_packet(slice_of("\0\x10\0\1c", 5), &cmd, &d, &used), ERR_PROTO);
	/* it may take away, not add */
	assert_int_equal(milter_get_optneg(slice_of("\0\0\0\6\0\0\0\1\0\0\0\x80i", 13), &version,
			     &actions, &steps),
	    0);
	assert_int_equal(actions, 1);
	assert_int_equal(steps, 0x80);
	assert_int_equal(milter_get_optneg(slice_of("\0\0\0\6\0\0\2\1\0\0\0\x80", 12), &version,
			     &actions, &steps),
	    ERR_PROTO);
	assert_int_equal(milter_get_optneg(slice_of("\0\0\0\7\0\0\0\1\0\0\0\x80", 12), &version,
			     &actions, &steps),
	    ERR_PROTO);
	assert_int_equal(
	    milter_get_optneg(slice_of("\0\0\0\6", 4), &version, &actions, &steps), ERR_PROTO);
	assert_int_equal(milter_get_mod(slice_of("\0\0\0\3N\0v w\0", 10), true, &i, &x, &y), 0);
	assert_int_equal(i, 3);
	assert_true(slice_eq_str(x, "N") && slice_eq_str(y, "v w"));
	assert_int_equal(milter_get_mod(slice_of("<a@b>\0", 6), false, &i, &x, &y), 0);
	assert_true(slice_eq_str(x, "<a@b>"));
	assert_int_equal(y.len, 0);
	assert_int_equal(milter_get_mod(slice_of("<a@b>", 5), false, &i, &x, &y), ERR_PROTO);
	assert_int_equal(milter_get_mod(slice_of("\0\0", 2), true, &i, &x, &y), ERR_PROTO);
}

static int
reply(const char *s, size_t n, unsigned *code, struct buf *b)
{
	buf_reset(b);
	return milter_get_reply(slice_of(s, n), code, b);
}

static void
test_milter_reply(void **state)
{
	unsigned code = 0;
	struct buf b;

	(void)state;
	buf_init(&b, 40000);
	assert_int_equal(reply("550 5.7.1 no %% way\0", 20, &code, &b), 0);
	assert_int_equal(code, 550);
	assert_string_equal(buf_cstr(&b), "5.7.1 no % way");
	assert_int_equal(reply("451-4.7.1 a\r\n451-4.7.1 b\r\n451 4.7.1 c\0", 38, &code, &b), 0);
	assert_int_equal(code, 451);
	assert_string_equal(buf_cstr(&b), "4.7.1 a\n4.7.1 b\n4.7.1 c");
	assert_int_equal(reply("550\0", 4, &code, &b), 0);
	assert_string_equal(buf_cstr(&b), "");
	assert_int_equal(reply("550 a\x1b[1m\0", 10, &code, &b), 0);
	assert_string_equal(buf_cstr(&b), "a [1m");
	assert_int_equal(reply("550 a", 5, &code, &b), ERR_PROTO);
	assert_int_equal(reply("250 a\0", 6, &code, &b), ERR_PROTO);
	assert_int_equal(reply("354 a\0", 6, &code, &b), ERR_PROTO);
	assert_int_equal(reply("55x a\0", 6, &code, &b), ERR_PROTO);
	assert_int_equal(reply("550-a\r\n551 b\0", 13, &code, &b), ERR_PROTO);
	assert_int_equal(reply("\0", 1, &code, &b), ERR_PROTO);
	buf_done(&b);
}

static struct envelope_rcpt two_rcpts[] = {
    {.address = "an@tinhmau.example", .state = RCPT_LOCAL, .notify = 5, .orcpt = "", .why = ""},
    {.address = "b@c.example",
	.state = RCPT_FAILED,
	.orcpt = "rfc822;B@c.example",
	.why = "5.1.1 unknown\r\nX-Forged: 1"},
};
static const struct envelope env = {.from = "binh@tinhmau.example",
    .ret = "FULL",
    .envid = "id7",
    .login = "binh",
    .client_ip = "::1",
    .flags = ENV_8BIT,
    .quarantine = "",
    .rcpts = two_rcpts,
    .n_rcpts = 2};

static void
test_envelope(void **state)
{
	struct ipc_reader r;
	struct envelope e;
	struct buf b;

	(void)state;
	arena_reset(a);
	buf_init(&b, 10000);
	assert_int_equal(envelope_put(&b, &env), 0);
	ipc_reader_init(&r, buf_slice(&b));
	assert_int_equal(envelope_get(&r, a, &e), 0);
	assert_int_equal(ipc_reader_end(&r), 0);
	assert_string_equal(e.from, env.from);
	assert_string_equal(e.envid, "id7");
	assert_string_equal(e.client_ip, "::1");
	assert_int_equal(e.flags, ENV_8BIT);
	assert_int_equal(e.n_rcpts, 2);
	assert_string_equal(e.rcpts[0].address, "an@tinhmau.example");
	assert_int_equal(e.rcpts[0].notify, 5);
	assert_int_equal(e.rcpts[1].state, RCPT_FAILED);
	assert_string_equal(e.rcpts[1].orcpt, "rfc822;B@c.example");
	/* cut anywhere it is an error */
	for (size_t n = 0; n < b.len; n++) {
		ipc_reader_init(&r, slice_sub(buf_slice(&b), 0, n));
		assert_int_not_equal(envelope_get(&r, a, &e), 0);
	}
	b.data[4] = '\0'; /* a NUL in the sender */
	ipc_reader_init(&r, buf_slice(&b));
	assert_int_equal(envelope_get(&r, a, &e), ERR_PROTO);
	buf_done(&b);
}

/* Whose answers they were travels along; an envelope that has none is the bytes of the versions before, which are read as ever. */
static void
test_envelope_mtas(void **state)
{
	struct envelope_rcpt rcpts[2] = {two_rcpts[0], two_rcpts[1]};
	struct envelope mine = env, e;
	struct ipc_reader r;
	struct buf b, old;

	(void)state;
	arena_reset(a);
	buf_init(&b, 10000);
	buf_init(&old, 10000);
	for (size_t i = 0; i < 5; i++)
		ipc_put_str(&old, (const char *const[]){env.from, "FULL", "id7", "binh", "::1"}[i]);
	ipc_put_u32(&old, ENV_8BIT);
	ipc_put_str(&old, "");
	ipc_put_u32(&old, 2);
	for (size_t i = 0; i < 2; i++) {
		ipc_put_str(&old, two_rcpts[i].address);
		ipc_put_u8(&old, (uint8_t)two_rcpts[i].state);
		ipc_put_u32(&old, two_rcpts[i].notify);
		ipc_put_str(&old, two_rcpts[i].orcpt);
		ipc_put_str(&old, two_rcpts[i].why);
	}
	mine.rcpts = rcpts;
	rcpts[0].mta = "";
	assert_int_equal(envelope_put(&b, &mine), 0);
	assert_int_equal(b.len, old.len);
	assert_memory_equal(b.data, old.data, old.len);
	ipc_reader_init(&r, buf_slice(&old));
	assert_int_equal(envelope_get(&r, a, &e), 0);
	assert_string_equal(e.rcpts[1].mta, "");
	buf_reset(&b);
	rcpts[1].mta = "mx.c.example";
	mine.flags |= ENV_MTAS; /* is nobody's to set */
	assert_int_equal(envelope_put(&b, &mine), 0);
	ipc_reader_init(&r, buf_slice(&b));
	assert_int_equal(envelope_get(&r, a, &e), 0);
	assert_int_equal(ipc_reader_end(&r), 0);
	assert_int_equal(e.flags, ENV_8BIT);
	assert_string_equal(e.rcpts[0].mta, "");
	assert_string_equal(e.rcpts[1].mta, "mx.c.example");
	assert_string_equal(e.rcpts[1].why, two_rcpts[1].why);
	for (size_t n = 0; n < b.len; n++) {
		ipc_reader_init(&r, slice_sub(buf_slice(&b), 0, n));
		assert_int_not_equal(envelope_get(&r, a, &e), 0);
	}
	buf_done(&old);
	buf_done(&b);
}

static void
test_ids(void **state)
{
	struct delivery_id id;
	char hex[33], qid[17];

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		id.b[i] = (unsigned char)(i * 17);
	delivery_id_hex(&id, hex);
	delivery_id_qid(&id, qid);
	assert_string_equal(hex, "00112233445566778899aabbccddeeff");
	assert_string_equal(qid, "0011223344556677");
}

/* Only results with our own authserv-id go, however it is spelt: RFC 8601 5. */
static void
test_remove_results(void **state)
{
	static const struct {
		const char *value;
		size_t removed;
	} table[] = {{" mx.example; spf=pass", 1}, {" MX.Example 1; none", 1},
	    {"\r\n\tmx.example;\r\n\tdkim=pass", 1}, {" (mx) \"mx.example\"; x=y", 1},
	    {" \"mx\\.example\"; x=y", 1}, {" mx.example", 1}, {"", 1}, {" (open", 1},
	    {" (a(b)\\)c)mx.example; x=y", 1}, {" mx.example(c); x=y", 1}, {" ; x=y", 1},
	    {" mx.example.com; spf=pass", 0}, {" x.mx.example; spf=pass", 0},
	    {" other.example; spf=pass (mx.example)", 0}, {" mx; x=y", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct msg m;
		char *text = NULL;

		arena_reset(a);
		assert_true(asprintf(&text, "A: 1\r\nAuthentication-RESULTS:%s\r\nB: 2\r\n\r\n",
				table[i].value) > 0);
		assert_int_equal(msg_parse(&m, str(text), a), 0);
		assert_int_equal(msg_remove_results(&m, "mx.example"), table[i].removed);
		assert_int_equal(m.n, 3 - table[i].removed);
		assert_true(slice_eq_str(m.fields[m.n - 1].name, "B"));
		free(text);
	}
}

/* Every field of that name, in any case and folded, and no other. */
static void
test_remove(void **state)
{
	struct buf b;
	struct msg m;

	(void)state;
	arena_reset(a);
	buf_init(&b, 1000);
	assert_int_equal(
	    msg_parse(&m,
		str("Bcc: a@x.example,\r\n b@x.example\r\nTo: c@x.example\r\nBCC :\r\nX-Bcc: d\r\n"
		    "bcc: e@x.example\r\n\r\nBcc: body\r\n"),
		a),
	    0);
	assert_int_equal(msg_remove(&m, "Bcc"), 3);
	assert_int_equal(msg_remove(&m, "Bcc"), 0);
	assert_true(m.changed);
	assert_int_equal(msg_render(&m, str(""), &b), 0);
	assert_true(slice_eq_str(buf_slice(&b), "To: c@x.example\r\nX-Bcc: d\r\n\r\n"));
	assert_true(slice_eq_str(msg_body(&m), "Bcc: body\r\n"));
	buf_done(&b);
}

static void
test_milter_options(void **state)
{
	static const char *const bad[] = {"", "tcp:1", "unix:", "unix:x connect_ms=99",
	    "unix:x message_ms=600001", "unix:x command_ms=", "unix:x failure=drop",
	    "unix:x ports=", "unix:x ports=mx+", "unix:x ports=25",
	    "unix:x name=", "unix:x timeout=5", "name=x unix:y"};
	const struct milter_options usual = {.connect_ms = 1,
	    .command_ms = 2,
	    .message_ms = 3,
	    .failure = MILTER_ON_FAILURE_TEMPFAIL,
	    .ports = 3};
	struct milter_options o = usual;
	const char *why = NULL;

	(void)state;
	assert_int_equal(milter_options_parse("unix:a/b.sock", &o, &why), 0);
	assert_string_equal(o.address, "unix:a/b.sock");
	assert_string_equal(o.name, "unix:a/b.sock");
	assert_int_equal(o.connect_ms + 10 * o.command_ms + 100 * o.message_ms, 321);
	assert_int_equal(
	    milter_options_parse("  inet:127.0.0.1:8891  name=dkim connect_ms=100 command_ms=200 "
				 "message_ms=600000 failure=quarantine ports=submission ",
		&o, &why),
	    0);
	assert_string_equal(o.address, "inet:127.0.0.1:8891");
	assert_string_equal(o.name, "dkim");
	assert_int_equal(o.connect_ms, 100);
	assert_int_equal(o.command_ms, 200);
	assert_int_equal(o.message_ms, 600000);
	assert_int_equal(o.failure, MILTER_ON_FAILURE_QUARANTINE);
	assert_int_equal(o.ports, MILTER_PORT_SUBMISSION);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct milter_options kept = usual;

		why = NULL;
		assert_int_equal(milter_options_parse(bad[i], &kept, &why), ERR_SYNTAX);
		assert_non_null(why);
		assert_memory_equal(&kept, &usual, sizeof(kept));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_msg),
	    cmocka_unit_test(test_msg_edges),
	    cmocka_unit_test(test_remove_results),
	    cmocka_unit_test(test_remove),
	    cmocka_unit_test(test_milter_options),
	    cmocka_unit_test(test_milter_put),
	    cmocka_unit_test(test_milter_get),
	    cmocka_unit_test(test_milter_reply),
	    cmocka_unit_test(test_envelope),
	    cmocka_unit_test(test_envelope_mtas),
	    cmocka_unit_test(test_ids),
	};
	a = arena_new(1 << 20);
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(a);
	return r;
}
