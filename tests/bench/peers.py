"""The configuration of Debian's Postfix and Dovecot for the bench: "as shipped" is Debian's defaults with what is needed to run beside
others (paths, ports, LDAP) and no more; "tuned" adds what helps them. Each tuned line says what it is for."""

import os
import pathlib
import subprocess

import slapd

POSTFIX_SERVICES = """
%(mx)s inet n - n - %(smtpd)s smtpd
%(submission)s inet n - n - %(smtpd)s smtpd
  -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes -o smtpd_tls_auth_only=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - %(lmtp)s lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

POSTFIX = """
compatibility_level = 3.6
queue_directory = %(dir)s/queue
data_directory = %(dir)s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
shlib_directory = /usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = localhost
mydestination =
mynetworks = 127.0.0.2/32
relayhost =
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = %(domain)s
virtual_mailbox_maps = %(proxy)sldap:%(dir)s/postfix/ldap-people.cf
virtual_transport = lmtp:unix:%(dir)s/dovecot/lmtp
smtpd_sasl_type = dovecot
smtpd_sasl_path = unix:%(dir)s/dovecot/auth-postfix
smtpd_tls_cert_file = %(certs)s/cert.pem
smtpd_tls_key_file = %(certs)s/key.pem
smtpd_tls_security_level = may
smtpd_tls_session_cache_database = btree:%(dir)s/data/smtpd_scache
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
message_size_limit = 52428800
mailbox_size_limit = 0
virtual_mailbox_limit = 0
# clients of one address are the whole load here
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
%(log)s
"""

# What helps Postfix.
POSTFIX_TUNED = """
# one LMTP transaction for all recipients of a message
lmtp_destination_recipient_limit = 1000
lmtp_destination_concurrency_limit = 50
default_process_limit = 200
# no look-up of the client's name in DNS
smtpd_peername_lookup = no
disable_dns_lookups = yes
# processes live longer
max_use = 10000
lmtp_connection_cache_on_demand = yes
in_flow_delay = 0
qmgr_message_active_limit = 40000
"""

DOVECOT = """
base_dir = %(dir)s/dovecot/run
state_dir = %(dir)s/dovecot/state
protocols = imap lmtp
listen = 127.0.0.1
log_path = %(log)s
ssl = required
ssl_cert = <%(certs)s/cert.pem
ssl_key = <%(certs)s/key.pem
mail_location = sdbox:%(dir)s/mail/%%n
mail_uid = mail
mail_gid = mail
first_valid_uid = 1
auth_username_format = %%n
auth_mechanisms = plain login
mail_home = %(dir)s/mail/%%n
namespace inbox {
  inbox = yes
}
passdb {
  driver = ldap
  args = %(dir)s/dovecot/ldap.conf
}
%(userdb)s
service lmtp {
  unix_listener %(dir)s/dovecot/lmtp {
    mode = 0666
  }
%(lmtp)s
}
service auth {
  unix_listener %(dir)s/dovecot/auth-postfix {
    mode = 0666
  }
%(auth)s
}
service imap-login {
  inet_listener imap {
    port = 0
  }
  inet_listener imaps {
    port = %(imaps)d
    ssl = yes
  }
%(login)s
}
service imap {
%(imap)s
}
%(more)s
"""

USERDB_LDAP = """userdb {
  driver = ldap
  args = %(dir)s/dovecot/ldap.conf
}"""
# RCPT is verified by Postfix already: no second look-up.
USERDB_STATIC = """userdb {
  driver = static
  args = uid=mail gid=mail home=%(dir)s/mail/%%n allow_all_users=yes
}"""

# 1,000 clients at once need these limits; nothing else differs from what Debian ships.
SHIPPED = dict(lmtp="", auth="  client_limit = 6000", login="  process_limit = 2000", imap="  process_limit = 2000",
               more="default_client_limit = 6000\nmail_max_userip_connections = 1000")
TUNED = dict(
    lmtp="  process_min_avail = 2\n  service_count = 1000\n  process_limit = 200",
    auth="  client_limit = 6000",
    # Dovecot's "high performance mode": login processes serve many clients
    login="  service_count = 0\n  process_min_avail = 2\n  client_limit = 2000",
    # one process serves one client after another
    imap="  service_count = 1000\n  process_limit = 2000\n  process_min_avail = 4",
    more="""default_client_limit = 6000
mail_max_userip_connections = 1000
# no LDAP bind for a password that was verified lately
auth_cache_size = 64 M
auth_cache_ttl = 1 hour
# Congvu answers a STORE or an APPEND when it would survive a power failure; so does this. LMTP is durable in both ways: the message's
# file is synced before the answer.
protocol imap {
  mail_fsync = always
}
mail_nfs_storage = no
mail_cache_min_mail_count = 0
ssl_dh =
""")

LDAP_DOVECOT = """uris = ldap://127.0.0.1:%(ldap)d
dn = cn=lookup,ou=services,%(base)s
dnpass = %(password)s
auth_bind = yes
base = ou=people,%(base)s
scope = subtree
pass_filter = (&(objectClass=vnCivilServant)(vnStatus=active)(uid=%%n))
pass_attrs = uid=user
user_filter = (&(objectClass=vnCivilServant)(vnStatus=active)(uid=%%n))
user_attrs = uid=user
"""
LDAP_POSTFIX = """server_host = ldap://127.0.0.1:%(ldap)d
bind = yes
bind_dn = cn=lookup,ou=services,%(base)s
bind_pw = %(password)s
search_base = ou=people,%(base)s
query_filter = (&(objectClass=vnCivilServant)(|(mail=%%s)(vnMailAlias=%%s)))
result_attribute = uid
version = 3
"""


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def make(side):
    """Writes both configurations and makes the folders of a side."""
    d, tuned = side.dir, side.tuned
    debug = bool(os.environ.get("BENCH_LOG"))
    words = dict(dir=d, certs=side.certs, domain="tinhmau.example", ldap=side.directory.port, base=slapd.BASE,
                 password=side.directory.lookup_password(), mx=side.at("mx"), submission=side.at("submission"),
                 imaps=side.port("imaps"))
    for sub in ("postfix", "dovecot/run", "dovecot/state", "mail", "queue", "data"):
        (d / sub).mkdir(parents=True)
    for p in (d, *d.parents):
        if p.stat().st_uid == 0 and p != pathlib.Path("/") and str(p).startswith("/tmp/"):
            p.chmod(p.stat().st_mode | 0o111)
    write(d / "postfix/main.cf", POSTFIX % dict(words, proxy="proxy:" if tuned else "",
          log="maillog_file = %s/postfix.log\nmaillog_file_prefixes = /" % d if debug else "") + (POSTFIX_TUNED if tuned else ""))
    # 100 is default_process_limit
    write(d / "postfix/master.cf", POSTFIX_SERVICES % dict(words, smtpd="-" if not tuned else "150", lmtp="-"))
    write(d / "postfix/ldap-people.cf", LDAP_POSTFIX % words)
    write(d / "dovecot/ldap.conf", LDAP_DOVECOT % words)
    more = dict(TUNED if tuned else SHIPPED, userdb=(USERDB_STATIC if tuned else USERDB_LDAP) % words,
                log=d / "dovecot.log" if debug else "/dev/null")
    write(d / "dovecot/dovecot.conf", DOVECOT % dict(words, **more))
    subprocess.run(["chown", "mail:mail", d / "mail"], check=True)
    subprocess.run(["chown", "postfix", d / "data"], check=True)
    r = subprocess.run(["/usr/sbin/postfix", "-c", d / "postfix", "check"], capture_output=True, text=True)
    if r.returncode:
        raise RuntimeError("postfix check: " + r.stdout + r.stderr)
