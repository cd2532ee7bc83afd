/* store_damage.c: damages the rows of a store that does not run, as a bad disk or a bad program could, for test_store_care.py:
 *   store_damage DIR keys PREFIX              the keys below a prefix of the embedded backend's key space
 *   store_damage DIR flip KEY OFFSET BIT      one bit of the value of a row
 *   store_damage DIR delete KEY
 *   store_damage DIR copy FROM TO             a row under another key
 *   store_damage DIR put KEY HEX              a value as it is to rest
 *   store_damage DIR age -                    all rows as the version of before checks wrote them, and no format of the whole */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/kv.h"

static int
print_key(void *arg, struct slice key, struct slice value)
{
	(void)arg;
	printf("%.*s %zu\n", (int)key.len, (const char *)key.ptr, value.len);
	return 0;
}

/* Keys of all rows, NUL after each. */
static int
gather(void *arg, struct slice key, struct slice value)
{
	(void)value;
	buf_append_slice((struct buf *)arg, key);
	return buf_append_byte((struct buf *)arg, 0);
}

static int
age(struct kv *kv, struct buf *v)
{
	struct kv_txn *t;
	struct buf keys;
	int err;

	buf_init(&keys, 16 << 20);
	err = kv_scan(kv, NULL, slice_str("r/"), slice_str("r0"), 0, gather, &keys);
	if (err == 0)
		err = kv_begin(kv, &t);
	for (size_t at = 0; at < keys.len && err == 0;) {
		struct slice key = slice_str((const char *)keys.data + at);

		at += key.len + 1;
		err = kv_get(kv, t, key, v);
		if (err == 0 && v->len > 5 && v->data[0] == 0xC1)
			err = kv_put(t, key, slice_from(buf_slice(v), 5));
	}
	if (err == 0)
		err = kv_del(t, slice_str("v/format"));
	if (err == ERR_NOTFOUND)
		err = 0;
	buf_done(&keys);
	return err == 0 ? kv_commit(t, true) : err;
}

static int
change(struct kv *kv, const char *what, char **argv, struct buf *v)
{
	unsigned char bytes[4096];
	struct kv_txn *t;
	int err = kv_begin(kv, &t);

	if (err != 0)
		return err;
	if (strcmp(what, "put") != 0)
		err = kv_get(kv, t, slice_str(argv[0]), v);
	if (err == 0 && strcmp(what, "flip") == 0) {
		size_t at = strtoul(argv[1], NULL, 10);

		if (at >= v->len)
			err = ERR_RANGE;
		else
			v->data[at] ^= (unsigned char)(1u << (strtoul(argv[2], NULL, 10) & 7));
		if (err == 0)
			err = kv_put(t, slice_str(argv[0]), buf_slice(v));
	} else if (err == 0 && strcmp(what, "delete") == 0) {
		err = kv_del(t, slice_str(argv[0]));
	} else if (err == 0 && strcmp(what, "copy") == 0) {
		err = kv_put(t, slice_str(argv[1]), buf_slice(v));
	} else if (err == 0) {
		err = hex_decode(slice_str(argv[1]), bytes, strlen(argv[1]) / 2);
		if (err == 0)
			err = kv_put(t, slice_str(argv[0]), slice_of(bytes, strlen(argv[1]) / 2));
	}
	if (err != 0)
		kv_abort(t);
	return err != 0 ? err : kv_commit(t, true);
}

int
main(int argc, char **argv)
{
	struct kv_options o = {0};
	struct kv *kv;
	struct buf to, v;
	char dir[4096];
	int err;

	log_init("store_damage", 2);
	if (argc < 4)
		return 2;
	snprintf(dir, sizeof dir, "%s/db", argv[1]);
	o.dir = dir;
	err = kv_bdb_open(&o, &kv);
	if (err != 0) {
		fprintf(stderr, "%s: %s\n", dir, err_name(err));
		return 1;
	}
	buf_init(&to, 300);
	buf_init(&v, KV_VALUE_MAX);
	buf_append_str(&to, argv[3]);
	buf_append_byte(&to, 0x7f);
	if (strcmp(argv[2], "keys") == 0)
		err = kv_scan(kv, NULL, slice_str(argv[3]), buf_slice(&to), 0, print_key, NULL);
	else if (strcmp(argv[2], "age") == 0)
		err = age(kv, &v);
	else
		err = change(kv, argv[2], argv + 3, &v);
	buf_done(&to);
	buf_done(&v);
	kv_close(kv);
	if (err != 0)
		fprintf(stderr, "%s: %s\n", argv[2], err_name(err));
	return err != 0;
}
