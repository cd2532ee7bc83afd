# imapd/: see HACKING.md, "Adding a file"

# --- the parent: sockets and roles ---
sbin_PROGRAMS += congvu-imapd
congvu_imapd_SOURCES = imapd/parent.c
congvu_imapd_LDADD = $(CV_PARENT_LIBS)
