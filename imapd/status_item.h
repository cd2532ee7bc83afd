/* status_item.h: the items of STATUS and of LIST … RETURN (STATUS …). RFC 3501 6.3.10, RFC 8438 (SIZE), RFC 5819. */
#ifndef CV_STATUS_ITEM_H
#define CV_STATUS_ITEM_H

#include "imapd/imap_cur.h"
#include "store/store_client.h"

#define STATUS_ITEMS 11
enum {
	STATUS_HIGHESTMODSEQ = 6,
	STATUS_DELETED,
	STATUS_DELETED_STORAGE,
	STATUS_MAILBOXID,
	STATUS_APPENDLIMIT
};
struct status_items {
	uint8_t n, item[STATUS_ITEMS]; /* in the order asked for, each once */
};
/* "(" items ")" */
bool status_items_parse(struct imap_cur *c, struct status_items *out);
bool status_items_have(const struct status_items *st, unsigned item);
/* "(MESSAGES 3 …)"; append_max: octets of a message (APPENDLIMIT, RFC 7889). */
void status_items_write(
    const struct status_items *st, const struct mbox_info *b, uint64_t append_max, struct buf *out);

#endif
