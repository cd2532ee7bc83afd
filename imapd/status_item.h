/* status_item.h: the items of STATUS and of LIST … RETURN (STATUS …). RFC 3501 6.3.10, RFC 8438 (SIZE), RFC 5819. */
#ifndef CV_STATUS_ITEM_H
#define CV_STATUS_ITEM_H

#include "imapd/imap_cur.h"
#include "store/store_client.h"

/* "(" items ")": a mask. */
bool status_items_parse(struct imap_cur *c, uint32_t *mask_out);
/* "(MESSAGES 3 …)" */
void status_items_write(uint32_t mask, const struct mbox_info *b, struct buf *out);

#endif
