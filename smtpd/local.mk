# smtpd/: see HACKING.md, "Adding a file"

# --- the parent: sockets and roles ---
sbin_PROGRAMS += congvu-smtpd
congvu_smtpd_SOURCES = smtpd/parent.c
congvu_smtpd_LDADD = $(CV_PARENT_LIBS)
