/* RFC 9998: not in the index */
