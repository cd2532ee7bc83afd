/* milter_proto.c: the milter wire format, pure. Runs in smtpd-session. Invariant: what a milter sends is read within its
 * packet and never trusted in length, number or content. */
#include "config.h"

#include "smtpd/milter_proto.h"

#include "lib/err.h"

#include <string.h>

int
milter_put(struct buf *b, char cmd, struct slice data)
{
	buf_append_u32(b, (uint32_t)data.len + 1);
	buf_append_byte(b, (unsigned char)cmd);
	return buf_append_slice(b, data);
}

/* Packets whose length is known at their end: reserve, then set. */
static size_t
begin(struct buf *b, char cmd)
{
	buf_append_u32(b, 0);
	buf_append_byte(b, (unsigned char)cmd);
	return b->len;
}

static int
finish(struct buf *b, size_t from)
{
	if (b->err != 0)
		return b->err;
	uint32_t n = (uint32_t)(b->len - from) + 1;
	unsigned char *at = b->data + from - 5;
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(n >> (24 - 8 * i));
	return 0;
}

int
milter_put_optneg(struct buf *b, uint32_t actions, uint32_t steps)
{
	size_t from = begin(b, 'O');

	buf_append_u32(b, MILTER_VERSION);
	buf_append_u32(b, actions);
	buf_append_u32(b, steps);
	return finish(b, from);
}

int
milter_put_strings(struct buf *b, char cmd, const struct slice *s, size_t n)
{
	size_t from = begin(b, cmd);

	for (size_t i = 0; i < n; i++) {
		buf_append_slice(b, s[i]);
		buf_append_byte(b, 0);
	}
	return finish(b, from);
}

int
milter_put_connect(struct buf *b, const char *host, char family, uint16_t port, const char *address)
{
	size_t from = begin(b, 'C');

	buf_append(b, host, strlen(host) + 1);
	buf_append_byte(b, (unsigned char)family);
	if (family != 'U') {
		buf_append_u16(b, port);
		buf_append(b, address, strlen(address) + 1);
	}
	return finish(b, from);
}

int
milter_put_macros(struct buf *b, char stage, const struct milter_macro *m, size_t n)
{
	size_t start = b->len;
	size_t from = begin(b, 'D');
	bool any = false;

	buf_append_byte(b, (unsigned char)stage);
	for (size_t i = 0; i < n; i++) {
		if (m[i].value == NULL || m[i].value[0] == '\0')
			continue;
		any = true;
		buf_append(b, m[i].name, strlen(m[i].name) + 1);
		buf_append(b, m[i].value, strlen(m[i].value) + 1);
	}
	if (!any && b->err == 0) {
		buf_truncate(b, start);
		return 0;
	}
	return finish(b, from);
}

static uint32_t
get_u32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

int
milter_packet(struct slice in, char *cmd_out, struct slice *data_out, size_t *used_out)
{
	if (in.len < 4)
		return ERR_AGAIN;
	uint32_t n = get_u32(in.ptr);
	if (n == 0 || n > MILTER_REPLY_MAX)
		return ERR_PROTO;
	if (in.len - 4 < n)
		return ERR_AGAIN;
	*cmd_out = (char)in.ptr[4];
	*data_out = slice_sub(in, 5, n - 1);
	*used_out = 4 + (size_t)n;
	return 0;
}

int
milter_get_optneg(
    struct slice data, uint32_t *version_out, uint32_t *actions_out, uint32_t *steps_out)
{
	if (data.len < 12)
		return ERR_PROTO;
	uint32_t version = get_u32(data.ptr);
	uint32_t actions = get_u32(data.ptr + 4);
	uint32_t steps = get_u32(data.ptr + 8);
	/* what follows are lists of macros wanted: we send all we have at each stage */
	if (version < 2 || version > MILTER_VERSION)
		return ERR_PROTO;
	*version_out = version;
	*actions_out = actions & MILTER_ACTIONS;
	*steps_out = steps & MILTER_STEPS;
	return (actions & ~(uint32_t)MILTER_ACTIONS) != 0 ? ERR_PROTO : 0;
}

/* A NUL-terminated string at the start of *s. */
static int
get_string(struct slice *s, struct slice *out)
{
	ptrdiff_t n = slice_index(*s, '\0');

	if (n < 0)
		return ERR_PROTO;
	*out = slice_sub(*s, 0, (size_t)n);
	*s = slice_from(*s, (size_t)n + 1);
	return 0;
}

int
milter_get_mod(struct slice data, bool has_index, uint32_t *index_out, struct slice *a_out,
    struct slice *b_out)
{
	struct slice a, b = {NULL, 0};

	*index_out = 0;
	if (has_index) {
		if (data.len < 4)
			return ERR_PROTO;
		*index_out = get_u32(data.ptr);
		data = slice_from(data, 4);
	}
	if (get_string(&data, &a) != 0 || (data.len > 0 && get_string(&data, &b) != 0))
		return ERR_PROTO;
	*a_out = a;
	*b_out = b;
	return 0;
}

/* One line: three digits equal to code (0: any), a separator, text. */
static int
reply_line(struct slice line, unsigned *code, struct buf *text)
{
	uint64_t n = 0;

	if (line.len < 3 || slice_to_u64(slice_sub(line, 0, 3), 599, &n) != 0 || n < 400 ||
	    (*code != 0 && *code != n) ||
	    (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-'))
		return ERR_PROTO;
	*code = (unsigned)n;
	for (size_t i = 4; i < line.len; i++) {
		unsigned char c = line.ptr[i];
		if (c < ' ' || c == 0x7F)
			c = ' ';
		buf_append_byte(text, c);
		if (c == '%' && i + 1 < line.len && line.ptr[i + 1] == '%')
			i++;
	}
	return 0;
}

int
milter_get_reply(struct slice data, unsigned *code_out, struct buf *text)
{
	unsigned code = 0;
	struct slice rest;
	size_t lines = 0;

	if (get_string(&data, &rest) != 0 || rest.len > 16384)
		return ERR_PROTO;
	do {
		ptrdiff_t lf = slice_index(rest, '\n');
		struct slice line = lf < 0 ? rest : slice_sub(rest, 0, (size_t)lf);
		rest = lf < 0 ? slice_of(NULL, 0) : slice_from(rest, (size_t)lf + 1);
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (lines++ > 0)
			buf_append_byte(text, '\n');
		if (reply_line(line, &code, text) != 0 || lines > 32)
			return ERR_PROTO;
	} while (rest.len > 0);
	*code_out = code;
	return text->err;
}
