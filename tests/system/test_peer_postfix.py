"""The store by LMTP: Debian's Postfix delivers into our store by LMTP: over the UNIX socket as one of lmtp_users, and by TCP (listen_lmtp). Postfix runs by
itself with its own configuration and spool; content is byte-exact, a full mailbox is 452 for that recipient alone, an unknown one 550."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import client
import pytest
from conftest import free_port_base, quickstart

MASTER = """smtp      inet  n  -  n  -  -  smtpd
pickup    unix  n  -  n  60 1  pickup
cleanup   unix  n  -  n  -  0  cleanup
qmgr      unix  n  -  n  300 1 qmgr
tlsmgr    unix  -  -  n  1000? 1 tlsmgr
rewrite   unix  -  -  n  -  -  trivial-rewrite
bounce    unix  -  -  n  -  0  bounce
defer     unix  -  -  n  -  0  bounce
trace     unix  -  -  n  -  0  bounce
verify    unix  -  -  n  -  1  verify
flush     unix  n  -  n  1000? 0 flush
proxymap  unix  -  -  n  -  -  proxymap
showq     unix  n  -  n  -  -  showq
error     unix  -  -  n  -  -  error
retry     unix  -  -  n  -  -  error
discard   unix  -  -  n  -  -  discard
lmtp      unix  -  -  n  -  -  lmtp
smtp      unix  -  -  n  -  -  smtp
anvil     unix  -  -  n  -  1  anvil
scache    unix  -  -  n  -  1  scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """Listens on a port of 127.0.0.1; its mount namespace shows the instance's run folder to its own user."""

    def __init__(self, port, run_dir, transport):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="congvu-postfix-"))
        os.chmod(self.dir, 0o755)
        for d in ("etc", "data", "spool", "run"):
            (self.dir / d).mkdir()
        shutil.chown(self.dir / "data", "postfix")
        self.log = self.dir / "log"
        (self.dir / "etc/master.cf").write_text(MASTER.replace("smtp      inet", "127.0.0.1:%d inet" % port))
        (self.dir / "etc/main.cf").write_text("""compatibility_level = 3.6
queue_directory = %(d)s/spool
data_directory = %(d)s/data
maillog_file = %(d)s/log
maillog_file_prefixes = %(d)s
myhostname = postfix.example
mydestination =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
local_recipient_maps =
virtual_mailbox_domains = tinhmau.example
virtual_transport = %(t)s
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
alias_maps =
alias_database =
disable_dns_lookups = yes
notify_classes =
local_header_rewrite_clients =
minimal_backoff_time = 2s
maximal_backoff_time = 3s
queue_run_delay = 2s
import_environment = MAIL_CONFIG
""" % {"d": self.dir, "t": transport % {"run": self.dir / "run"}})
        subprocess.run(["postfix", "-c", str(self.dir / "etc"), "set-permissions"], capture_output=True, check=False)
        command = "mount --make-rprivate / && mount --bind %s %s && exec postfix -c %s start-fg" % (
            run_dir, self.dir / "run", self.dir / "etc")
        self.proc = subprocess.Popen(["unshare", "--mount", "sh", "-c", command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                     stdin=subprocess.DEVNULL, start_new_session=True)
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self.proc.poll() is not None or time.monotonic() > end:
                    said = self.text()
                    self.stop()
                    raise AssertionError("postfix did not start:\n" + said)
                time.sleep(0.1)

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_log(self, *words, seconds=20):
        end = time.monotonic() + seconds
        while True:
            for line in self.text().splitlines():
                if all(w in line for w in words):
                    return line
            assert time.monotonic() < end, "no line with %s:\n%s" % (words, self.text()[-5000:])
            time.sleep(0.1)

    def stop(self):
        subprocess.run(["postfix", "-c", str(self.dir / "etc"), "stop"], capture_output=True, timeout=30, check=False)
        self.proc.terminate()
        self.proc.wait(20)
        self.proc.stderr.close()
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture(scope="module")
def instance():
    """One of our own: the shared one takes LMTP from nobody else. A small quota, so that a mailbox can be filled."""
    from conftest import Server
    root = pathlib.Path(tempfile.mkdtemp(prefix="congvu-test-"))
    os.chmod(root, 0o700)
    folder, base = root / "instance", free_port_base()
    quickstart("--dir", folder, "--port-base", base, "--no-demo")
    server = Server(folder, base)
    with open(server.conf, "a", encoding="utf-8") as f:
        f.write('listen_lmtp = "127.0.0.1:%d"\nlmtp_users = {"postfix"}\nquota_mb = 1\n' % (base + 24))
    quickstart("restart", "--dir", folder)
    server.wait_up()
    yield server
    quickstart("stop", "--dir", folder, check=False)
    shutil.rmtree(root, ignore_errors=True)


def mail(server, subject):
    mid = client.new_id(server.domain)
    head = "From: dan@hopthu.example\r\nDate: Sun, 22 Nov 2026 08:00:00 +0700\r\nTo: nhom@tinhmau.example\r\nSubject: %s\r\nX-Long: %s\r\n" % (subject, "a " * 400 + "z")
    return mid, (head + "Message-ID: %s\r\n\r\n" % mid).encode() + "Nội dung.\r\n.dot\r\n..dots\r\n\ttab \r\n\r\nend  \r\n".encode()


def send(port, rcpts, data):
    import smtplib
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as s:
        s.ehlo("dan.example")
        s.mail("dan@hopthu.example", ["BODY=8BITMIME"])
        for r in rcpts:
            assert s.rcpt(r)[0] == 250
        assert s.docmd("DATA")[0] == 354
        s.send(data.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert s.getreply()[0] == 250


def fill(server, user):
    """Until the quota of 1 MB refuses."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(server.lmtp_socket)
        f = s.makefile("rwb")

        def say(line):
            f.write(line + b"\r\n")
            f.flush()
            while (got := f.readline())[3:4] == b"-":
                pass
            return got
        f.readline()
        say(b"LHLO x")
        for lines in [1400] * 20 + [100] * 20 + [8] * 20:
            say(b"MAIL FROM:<>")
            if say(b"RCPT TO:<%s>" % user["address"].encode())[:9] == b"452 4.2.2":
                return
            assert say(b"DATA")[:3] == b"354"
            got = say(b"Subject: fill\r\n\r\n" + (b"x" * 70 + b"\r\n") * lines + b".")
            assert got[:9] in (b"250 2.0.0", b"452 4.2.2"), got


@pytest.mark.parametrize("way", ["unix", "tcp"])
def test_postfix_delivers_by_lmtp(instance, way):
    server = instance
    port = server.base + (26 if way == "unix" else 27)
    transport = "lmtp:unix:%(run)s/lmtp.sock" if way == "unix" else "lmtp:inet:127.0.0.1:%d" % (server.base + 24)
    people = [u for u in server.users if u["role"] in ("staff", "clerk", "head")]
    good, full = people[0], people[1 if way == "unix" else 2]
    fill(server, full)
    postfix = Postfix(port, server.dir / "run", transport)
    try:
        mid, data = mail(server, "=?utf-8?Q?qua_" + way + "?=")
        send(port, [good["address"], full["address"], "khong.co.ai@tinhmau.example"], data)
        line = postfix.wait_log("to=<%s>" % good["address"], "status=sent")
        assert "250 2.0.0" in line and "relay=" in line
        line = postfix.wait_log("to=<%s>" % full["address"], "status=deferred")
        assert "452 4.2.2" in line
        line = postfix.wait_log("to=<khong.co.ai@tinhmau.example>", "status=bounced")
        assert "550 5.1.1" in line
        got = server.fetch(good, mid)
        assert got is not None and got.endswith(data), got[-300:]
        trace = got[:-len(data)]
        assert b"by postfix.example" in trace and b"with LMTP" in trace and b"Delivered-To: %s\r\n" % good["address"].encode() in trace
        assert trace.startswith(b"Return-Path: <dan@hopthu.example>\r\n")
        # what was deferred is tried again for that one alone: nobody has it twice
        time.sleep(4)
        assert server.fetch(good, mid) is not None
        assert len([x for x in postfix.text().splitlines() if "to=<%s>" % good["address"] in x]) == 1
        assert len([x for x in postfix.text().splitlines() if "to=<%s>" % full["address"] in x]) >= 2
    finally:
        postfix.stop()


def test_others_are_refused_at_the_socket(instance):
    """Who is not in lmtp_users cannot speak to it at all."""
    code = """import os, socket, sys
s = socket.socket(socket.AF_UNIX); os.chdir(%r); os.setgid(65534); os.setuid(65534)
try:
    s.connect("lmtp.sock"); s.settimeout(5); sys.exit(0 if s.recv(10) == b"" else 1)
except (PermissionError, ConnectionError):
    sys.exit(0)
""" % str(instance.dir / "run")
    assert subprocess.run(["/usr/bin/python3", "-c", code], check=False).returncode == 0


GROUPS = """dn: cn=trong,ou=groups,o=tinhmau,c=VN
objectClass: groupOfNames
objectClass: vnMailGroup
cn: trong
mail: trong@tinhmau.example
member: %(a)s
member: cn=ngoai,ou=groups,o=tinhmau,c=VN

dn: cn=ngoai,ou=groups,o=tinhmau,c=VN
objectClass: groupOfNames
objectClass: vnMailGroup
cn: ngoai
mail: ngoai@tinhmau.example
vnMailAlias: nhom.ngoai@tinhmau.example
member: %(a)s
member: %(b)s
member: cn=trong,ou=groups,o=tinhmau,c=VN
vnMaySend: members
vnMaySend: dan@hopthu.example
"""


def dn_of(server, user):
    import json
    r = server.congvu("staff", "show", user["address"], "--json")
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)["dn"]


def test_groups(instance):
    """Nested, in a circle, with a member whose mailbox is full: one copy each, and the full one gets it when there is room."""
    server = instance
    people = [u for u in server.users if u["role"] in ("staff", "clerk", "head")]
    a, b, other = people[0], people[3], people[4]
    ldif = GROUPS % {"a": dn_of(server, a), "b": dn_of(server, b)}
    r = subprocess.run(["ldapadd", "-x", "-H", "ldap://127.0.0.1:%d" % (server.base + 389), "-D", "cn=hr,ou=services,o=tinhmau,c=VN", "-y",
                        str(server.dir / "etc/hr.password")], input=ldif, capture_output=True, text=True, check=False)
    assert r.returncode == 0, r.stderr
    # who may send: members, and one address outside; nobody who only claims to be a member
    s = server.mx()
    s.ehlo("x")
    for sender, want in (("e@hopthu.example", 550), (a["address"], 550), ("dan@hopthu.example", 250)):
        s.mail(sender)
        assert s.rcpt("ngoai@tinhmau.example")[0] == want
        s.rset()
    mid, data = mail(server, "nhom")
    assert server.submit(other, other["address"], ["ngoai@tinhmau.example"], client.header(
        client.address(other["name"], other["address"]), ["ngoai@tinhmau.example"], "x", mid) + client.text_part("x\n"))[0] in (550, 554)
    # everybody once, though three ways lead to a
    s.mail("dan@hopthu.example", ["BODY=8BITMIME"])
    for r in ("nhom.ngoai@tinhmau.example", "trong@tinhmau.example", a["address"]):
        assert s.rcpt(r)[0] == 250, r
    assert s.data(data)[0] == 250
    for u in (a, b):
        got = server.fetch(u, mid)
        assert got is not None and client.same_from_first_field(data, got)
    # b's is full: a has it at once, b when there is room, and nobody twice
    fill(server, b)
    mid, data = mail(server, "nhom day")
    s.mail("dan@hopthu.example", ["BODY=8BITMIME"])
    assert s.rcpt("ngoai@tinhmau.example")[0] == 250
    code, text = s.data(data)
    assert code == 250 and b"Queued" in text, text
    s.close()
    assert server.fetch(a, mid) is not None and server.fetch(b, mid, wait=0) is None
    assert "ngoai@tinhmau.example" in server.congvu("queue", "list", "--json").stdout
    m = server.imap(b)
    m.select("INBOX")
    m.store("1:*", "+FLAGS", "\\Deleted")
    m.expunge()
    client.close(m)
    assert server.fetch(b, mid, wait=40) is not None
    end = time.monotonic() + 20
    while "ngoai@tinhmau.example" in server.congvu("queue", "list", "--json").stdout and time.monotonic() < end:
        time.sleep(0.5)
    assert server.fetch(a, mid) is not None and server.fetch(b, mid) is not None  # fetch fails when it is there twice
