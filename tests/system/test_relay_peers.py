"""relay beside its peers: Debian's Postfix as the next server, Debian's Dovecot as a store of others by LMTP. Each runs in the foreground from a
folder of its own; what arrives is byte for byte what was sent."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import pytest
from smtpd_fakes import wait_for
from test_peer_postfix import MASTER
from test_relay import Mx, Relay, certificate, congvu, status_of
from test_smtpd import AN, BINH

# Postfix adds Date and Message-ID where there are none
ODD = "From: <%s>\r\nDate: Sat, 21 Nov 2026 08:00:00 +0700\r\nMessage-ID: <odd@tinhmau.example>\r\nSubject: =?utf-8?B?xJHhu6k=?=\r\nX-Long: %s\r\n\r\n..a dot\r\n...\r\n\r\ntrailing  \r\n\t\r\n%s\r\nend" % (AN, "x" * 900, "y" * 990)
NO_POSTFIX = not shutil.which("postfix") or os.geteuid() != 0
NO_DOVECOT = not shutil.which("dovecot") or os.geteuid() != 0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, proc, log):
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            text = log.read_text(errors="replace") if log.exists() else ""
            assert proc.poll() is None and time.monotonic() < end, text
            time.sleep(0.1)


class Postfix:
    """Takes mail for hopthu.example (people a and b) and hands it to sink."""

    def __init__(self, cert, sink):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="congvu-nexthop-"))
        os.chmod(self.dir, 0o755)
        for d in ("etc", "data", "spool"):
            (self.dir / d).mkdir()
        shutil.chown(self.dir / "data", "postfix")
        for name, path in zip(("cert.pem", "key.pem"), cert):
            shutil.copy(path, self.dir / "etc" / name)
        self.port, self.log = free_port(), self.dir / "log"
        (self.dir / "etc/master.cf").write_text(MASTER.replace("smtp      inet", "127.0.0.1:%d inet" % self.port))
        (self.dir / "etc/main.cf").write_text("""compatibility_level = 3.6
queue_directory = %(d)s/spool
data_directory = %(d)s/data
maillog_file = %(d)s/log
maillog_file_prefixes = %(d)s
myhostname = postfix.example
mydestination =
mynetworks =
inet_protocols = ipv4
virtual_mailbox_domains = hopthu.example
virtual_mailbox_maps = inline:{a@hopthu.example=a, b@hopthu.example=b}
virtual_transport = smtp:[127.0.0.1]:%(sink)d
smtpd_recipient_restrictions = reject_unlisted_recipient, permit_auth_destination, reject
smtpd_peername_lookup = no
smtpd_tls_cert_file = %(d)s/etc/cert.pem
smtpd_tls_key_file = %(d)s/etc/key.pem
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
message_size_limit = 400000
mailbox_size_limit = 0
virtual_mailbox_limit = 0
alias_maps =
alias_database =
disable_dns_lookups = yes
notify_classes =
import_environment = MAIL_CONFIG
""" % {"d": self.dir, "sink": sink})
        subprocess.run(["postfix", "-c", str(self.dir / "etc"), "set-permissions"], capture_output=True, check=False)
        self.proc = subprocess.Popen(["postfix", "-c", str(self.dir / "etc"), "start-fg"], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True)
        wait_port(self.port, self.proc, self.log)

    def stop(self):
        subprocess.run(["postfix", "-c", str(self.dir / "etc"), "stop"], capture_output=True, timeout=30, check=False)
        self.proc.terminate()
        self.proc.wait(20)
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.mark.skipif(NO_POSTFIX, reason="Postfix is not installed, or not root")
def test_postfix_is_the_next_server(tmp_path):
    """Found by MX, over TLS, DSN handed on, several messages over a connection; unknown people and too large mail are reported."""
    (tmp_path / "ca").mkdir()
    cert = certificate(tmp_path / "ca", "mx.hopthu.example")
    sink = Mx(exts=("PIPELINING", "8BITMIME", "DSN"))
    postfix = Postfix(cert, sink.port)
    zone = {"hopthu.example": {"MX": [(10, "mx.hopthu.example")]}, "mx.hopthu.example": {"A": ["127.0.0.1"]}}
    site = Relay(tmp_path, zone, relay_port=postfix.port, relay_tls="verify", relay_tls_ca_file=cert[2], message_size_max=5000000)
    try:
        s = site.submission()
        s.cmd("MAIL FROM:<%s> RET=HDRS ENVID=peer1" % AN)
        assert s.cmd("RCPT TO:<a@hopthu.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;A@hopthu.example").startswith("250")
        assert s.cmd("RCPT TO:<nobody@hopthu.example>").startswith("250")
        s.cmd("DATA")
        assert s.cmd(ODD + "\r\n.\r\n").startswith("250")
        wait_for(lambda: sink.mails, 20)
        data = sink.mails[0]["data"]
        assert data.endswith(ODD.replace("\r\n..", "\r\n.").encode() + b"\r\n"), data[-200:]
        assert b"using TLSv1.3" in data and b"with ESMTPS" in data
        assert "ENVID=peer1" in sink.mails[0]["mail"] and any("ORCPT=rfc822;A@hopthu.example" in x and "NOTIFY=SUCCESS,FAILURE" in x for x in sink.lines)
        report = status_of(site.report())
        assert [(b["Final-Recipient"], b["Status"]) for b in report] == [("rfc822; nobody@hopthu.example", "5.1.1")]
        for n in range(5):
            site.send(["a@hopthu.example", "b@hopthu.example"])
        wait_for(lambda: len(sink.mails) == 6, 20)
        site.send("b@hopthu.example", ODD + "\r\n" + ("z" * 70 + "\r\n") * 7000)
        assert [b["Status"] for b in status_of(site.report(1))] == ["5.3.4"]
        wait_for(lambda: congvu(site, "list") == [])
    finally:
        site.stop()
        postfix.stop()
        sink.stop()


class Dovecot:
    """LMTP by TCP and on a socket; mailboxes of an and binh, the latter with a quota."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="congvu-dovecot-"))
        os.chmod(self.dir, 0o755)
        (self.dir / "mail").mkdir()
        shutil.chown(self.dir / "mail", "nobody", "nogroup")
        self.port, self.log, self.socket = free_port(), self.dir / "log", self.dir / "lmtp"
        (self.dir / "passwd").write_text("".join("%s::65534:65534::%s/mail/%s::%s\n" % (
            u, self.dir, u, "userdb_quota_rule=*:storage=1K" if u.startswith("binh") else "") for u in (AN, BINH)))
        (self.dir / "dovecot.conf").write_text("""base_dir = %(d)s/run
log_path = %(d)s/log
protocols = lmtp
ssl = no
listen = 127.0.0.1
first_valid_uid = 1
mail_location = maildir:~/Maildir
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
mail_plugins = quota
plugin {
  quota = maildir:User quota
}
userdb {
  driver = passwd-file
  args = %(d)s/passwd
}
passdb {
  driver = passwd-file
  args = %(d)s/passwd
}
service lmtp {
  inet_listener lmtp {
    port = %(port)d
  }
  unix_listener %(d)s/lmtp {
    mode = 0666
  }
}
protocol lmtp {
  postmaster_address = postmaster@tinhmau.example
}
""" % {"d": self.dir, "port": self.port})
        self.proc = subprocess.Popen(["dovecot", "-F", "-c", str(self.dir / "dovecot.conf")], stdout=subprocess.DEVNULL,
                                     stderr=open(self.log, "ab"), stdin=subprocess.DEVNULL, start_new_session=True)
        wait_port(self.port, self.proc, self.log)

    def mails(self, user):
        return [p.read_bytes() for p in sorted((self.dir / "mail" / user).glob("Maildir/new/*"))]

    def stop(self):
        self.proc.terminate()
        self.proc.wait(20)
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.mark.skipif(NO_DOVECOT, reason="Dovecot is not installed, or not root")
@pytest.mark.parametrize("way", ["routes", "socket", "lmtp_route"])
def test_dovecot_is_the_store(tmp_path, way):
    """By relay_routes (TCP, or the UNIX socket) and as lmtp_route (cut-through, then from the queue when it was away)."""
    dovecot = Dovecot()
    options = {"routes": {"relay_routes": ["tinhmau.example=lmtp:127.0.0.1:%d" % dovecot.port]},
               "socket": {"relay_routes": ["tinhmau.example=lmtp:unix:%s" % dovecot.socket]},
               "lmtp_route": {"lmtp_route": "inet:127.0.0.1:%d" % dovecot.port}}[way]
    site = Relay(tmp_path, **options)
    try:
        m = site.mx()
        answer = m.mail("x@outside.example", [AN], ODD)[-1]
        assert answer.startswith("250 2.0.0 " + ("Delivered" if way == "lmtp_route" else "Queued")), answer
        got = wait_for(lambda: dovecot.mails(AN))[0]
        assert got.replace(b"\r\n", b"\n").endswith(ODD.replace("\r\n..", "\r\n.").replace("\r\n", "\n").encode() + b"\n")
        assert b"Return-Path: <x@outside.example>" in got
        # one is full: the other has it, the sender is told of the one
        site.send([AN, BINH], ODD + "\r\n" + "q" * 70)
        wait_for(lambda: len(dovecot.mails(AN)) >= 2)
        assert dovecot.mails(BINH) == []
        # away, and back: nothing is lost
        os.killpg(dovecot.proc.pid, 9)
        dovecot.proc.wait(10)
        assert m.mail("x@outside.example", [AN], ODD + "\r\nwhile it was away")[-1].startswith("250 2.0.0 Queued")
        log = open(dovecot.log, "ab")
        dovecot.proc = subprocess.Popen(["dovecot", "-F", "-c", str(dovecot.dir / "dovecot.conf")], stdout=subprocess.DEVNULL, stderr=log,
                                        stdin=subprocess.DEVNULL, start_new_session=True)
        wait_for(lambda: [x for x in dovecot.mails(AN) if b"while it was away" in x], 20)
    finally:
        site.stop()
        dovecot.stop()
