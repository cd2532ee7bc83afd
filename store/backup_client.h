/* backup_client.h: how congvu marks the sections of a backup that it hands to congvu-stored-restore (backup_rec.h reads them). */
#ifndef CV_BACKUP_CLIENT_H
#define CV_BACKUP_CLIENT_H

#define BACKUP_MARK_LEN 24
enum backup_section { BACKUP_NONE, BACKUP_ROWS = 'R', BACKUP_JOURNAL = 'J', BACKUP_END = 'E' };
/* "CvS", the section, zeros. */
static inline void
backup_mark(enum backup_section section, unsigned char out[BACKUP_MARK_LEN])
{
	for (int i = 0; i < BACKUP_MARK_LEN; i++)
		out[i] = 0;
	out[0] = 'C';
	out[1] = 'v';
	out[2] = 'S';
	out[3] = (unsigned char)section;
}

#endif
