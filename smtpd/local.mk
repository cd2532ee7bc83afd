# smtpd/: SMTP server (MX and submission), queue, relay, milter client. See HACKING.md, "Adding a file".

# --- the parent: sockets and roles ---
sbin_PROGRAMS += congvu-smtpd
congvu_smtpd_SOURCES = smtpd/parent.c
congvu_smtpd_LDADD = $(CV_PARENT_LIBS)

# --- libcvsmtp.a: what the roles share: pure parsers and codecs, and the clients of queue, milters, LMTP ---
noinst_LIBRARIES += smtpd/libcvsmtp.a
smtpd_libcvsmtp_a_SOURCES = smtpd/smtp_parse.h smtpd/smtp_parse.c smtpd/envelope.h smtpd/envelope.c \
	smtpd/msg.h smtpd/msg.c smtpd/dsn.h smtpd/dsn.c smtpd/milter_proto.h smtpd/milter_proto.c \
	smtpd/milter_client.h smtpd/milter_client.c smtpd/milters.h smtpd/milters.c \
	smtpd/lmtp_client.h smtpd/lmtp_client.c smtpd/queue_proto.def smtpd/queue_client.h smtpd/queue_client.c

pkglibexec_PROGRAMS += congvu-smtpd-session congvu-smtpd-queue congvu-relay
congvu_smtpd_session_SOURCES = smtpd/session_priv.h smtpd/session.c smtpd/cmd_ehlo.c smtpd/cmd_starttls.c \
	smtpd/cmd_auth.c smtpd/cmd_mail.c smtpd/cmd_rcpt.c smtpd/cmd_data.c smtpd/cmd_misc.c smtpd/data.c \
	smtpd/deliver.c
congvu_smtpd_session_LDADD = smtpd/libcvsmtp.a directory/libcvlookup.a milter/libcvledger.a lib/libcvmail.a \
	lib/libcvtls.a $(CV_ROLE_LIBS) $(CV_MAIL_LIBS) $(SSL_LIBS) $(CRYPTO_LIBS)
congvu_smtpd_queue_SOURCES = smtpd/queue.c smtpd/queue_db.h smtpd/queue_db.c smtpd/queue_spool.h \
	smtpd/queue_spool.c
congvu_smtpd_queue_LDADD = smtpd/libcvsmtp.a store/libcvkv.a lib/libcvmail.a lib/libcvcrypto.a $(CV_ROLE_LIBS) \
	$(CV_MAIL_LIBS) $(CRYPTO_LIBS) $(DB_LIBS) -lpthread
congvu_relay_SOURCES = smtpd/relay.c
congvu_relay_LDADD = smtpd/libcvsmtp.a lib/libcvmail.a lib/libcvtls.a $(CV_ROLE_LIBS) $(CV_MAIL_LIBS) $(SSL_LIBS) \
	$(CRYPTO_LIBS)
