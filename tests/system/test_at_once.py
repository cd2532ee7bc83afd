"""What changes in the directory holds at once: in sessions that are open, and for the next mail; also across restarts of slapd and of lookup."""

import contextlib
import imaplib
import os
import pwd
import re
import select
import signal
import smtplib
import subprocess
import sys
import time

import pytest

import client

LIMIT = 5.0  # seconds, as the project promises


class Directory:
    """The instance's directory, written as HR's account does."""

    def __init__(self, server):
        self.server = server
        self.dir = server.dir / "ldap"
        self.base = re.search(r'suffix\s+"(.*)"', (self.dir / "slapd.conf").read_text()).group(1)

    def tool(self, name, data):
        r = subprocess.run([name, "-x", "-H", "ldap://127.0.0.1:%d/" % (self.server.base + 389), "-D", "cn=hr,ou=services," + self.base,
                            "-y", self.dir / "hr.password"], input=data, capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r.stdout + r.stderr

    def search(self, filter, *attrs):
        r = subprocess.run(["ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-x", "-H", "ldap://127.0.0.1:%d/" % (self.server.base + 389), "-D",
                            "cn=hr,ou=services," + self.base, "-y", self.dir / "hr.password", "-b", self.base, filter, *attrs],
                           capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r.stderr
        return r.stdout

    def dn(self, filter):
        return re.search(r"^dn: (.*)$", self.search(filter, "1.1"), re.M).group(1)

    def person(self, user):
        return self.dn("(uid=%s)" % user["login"])

    def mailbox(self, address):
        return self.dn("(mail=%s)" % address)

    def modify(self, dn, *lines):
        self.tool("ldapmodify", "dn: %s\nchangetype: modify\n%s\n" % (dn, "\n".join(lines)))

    def add(self, dn, *lines):
        self.tool("ldapadd", "dn: %s\n%s\n" % (dn, "\n".join(lines)))

    def delete(self, *dns):
        self.tool("ldapdelete", "".join(d + "\n" for d in dns))


@pytest.fixture(scope="module")
def directory(server):
    return Directory(server)


@contextlib.contextmanager
def session(server, user):
    m = server.imap(user)
    try:
        yield m
    finally:
        with contextlib.suppress(Exception):
            client.close(m)


def idle(m):
    """IDLE in imaplib's connection: it has no such command."""
    m.send(b"i1 IDLE\r\n")
    line = m.readline()
    while not line.startswith(b"+"):
        line = m.readline()


def heard(m, seconds=LIMIT):
    """The next line, and after how long; b"" is the end of the stream; None: nothing within the time."""
    began = time.monotonic()
    if not m.sock.pending() and not select.select([m.sock], [], [], seconds)[0]:
        return None, seconds
    return m.readline(), time.monotonic() - began


def until(what, seconds=LIMIT):
    """Waits until what() is true; how long that was."""
    began = time.monotonic()
    while True:
        got = what()
        if got:
            return time.monotonic() - began
        assert time.monotonic() - began < seconds, got
        time.sleep(0.05)


def smtp_line(s, seconds=LIMIT):
    s.sock.settimeout(seconds)
    return s.file.readline() if s.file is not None else s.sock.recv(1000)


def ended_by(server, directory, user, change, undo, code):
    """An IDLE session and an open transaction of the user end by the change within the limit."""
    dn = directory.person(user)
    with session(server, user) as m:
        m.select("INBOX", readonly=True)
        idle(m)
        s = server.submission(user)
        assert s.docmd("MAIL", "FROM:<%s>" % user["address"])[0] == 250
        began = time.monotonic()
        directory.modify(dn, *change)
        try:
            line, took = heard(m)
            assert line is not None and line.startswith(b"* BYE [" + code), line
            assert heard(m)[0] == b""
            answer = s.getreply()
            assert answer[0] == 421 and answer[1].startswith(b"4.7.0 "), answer
            assert s.sock.recv(10) == b""
            assert time.monotonic() - began < LIMIT
        finally:
            s.sock.close()
            directory.modify(dn, *undo)


def refusals(server, user):
    """What IMAP's and SMTP's answers to a sign-in begin with."""
    with pytest.raises(imaplib.IMAP4.error) as imap:
        server.imap(user)
    with pytest.raises(smtplib.SMTPAuthenticationError) as smtp:
        server.submission(user)
    said = smtp.value.smtp_error.decode("utf-8", "replace")
    return re.search(r"\[[A-Z]+\]", str(imap.value)).group(0), (smtp.value.smtp_code, said.split()[0])


def test_a_frozen_person_is_out(server, directory):
    server.wait_up()
    user = server.user("staff", agency="SKHCN")
    ended_by(server, directory, user, ["replace: vnStatus", "vnStatus: suspended"], ["replace: vnStatus", "vnStatus: active"], b"CONTACTADMIN")
    # who comes anew with the right password hears the same, and with a wrong one what everybody hears
    dn = directory.person(user)
    directory.modify(dn, "replace: vnStatus", "vnStatus: suspended")
    try:
        assert refusals(server, user) == ("[CONTACTADMIN]", (535, "5.7.13"))
        assert refusals(server, dict(user, password="không phải")) == ("[AUTHENTICATIONFAILED]", (535, "5.7.8"))
        assert refusals(server, dict(user, login="khong.co", password="không phải")) == ("[AUTHENTICATIONFAILED]", (535, "5.7.8"))
    finally:
        directory.modify(dn, "replace: vnStatus", "vnStatus: active")
    server.wait_up()
    with session(server, user) as m:
        assert m.select("INBOX")[0] == "OK"


def test_a_raised_epoch_ends_sessions(server, directory):
    user = server.user("staff", agency="SKHCN")
    epoch = int(time.time())
    ended_by(server, directory, user, ["replace: vnEpoch", "vnEpoch: %d" % epoch], ["replace: vnEpoch", "vnEpoch: %d" % (epoch + 1)], b"EXPIRED")
    # others have not noticed, and the person signs in again
    with session(server, user) as m:
        assert m.select("INBOX")[0] == "OK"


THIEF = r"""
import os, socket, struct, sys
run, uid, gid = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
user, password = sys.stdin.readline().rstrip("\n").split("\t")
os.chdir(run)
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(gid), os.setuid(uid)
text = lambda b: struct.pack(">I", len(b)) + b
def frame(kind, ident, payload):
    return struct.pack(">IHHI", 8 + len(payload), kind, 0, ident) + payload
def take(s, n):
    data = b""
    while len(data) < n:
        got = s.recv(n - len(data))
        assert got, "closed"
        data += got
    return data
def door(path, proto):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(path)
    s.sendall(frame(0, 0, text(proto) + struct.pack(">II", 1, 2)))
    return s
def ask(s, kind, payload):
    s.sendall(frame(kind, 7, payload))
    while True:
        n, kind, _, ident = struct.unpack(">IHHI", take(s, 12))
        data = take(s, n - 8)
        if ident == 7:
            return kind, data
lookup = door("lookup.imapd.sock", b"lookup")
plain = b"\0" + user.encode() + b"\0" + password.encode()
kind, data = ask(lookup, 20, text(b"PLAIN") + b"\1" + text(plain) + text(b"imap") + text(b"127.0.0.1") + b"\1" + text(b"") + text(b"") + text(b""))
assert kind == 24, (kind, data)
for _ in range(5):
    n = struct.unpack(">I", data[:4])[0]
    ticket, data = data[4:4 + n], data[4 + n:]
lookup.close()
store = door("store.imapd.sock", b"store")
assert ask(store, 10, struct.pack(">I", 1) + text(ticket))[0] == 11
for line in sys.stdin:
    kind, data = ask(store, 92, struct.pack(">II", 1, 0))
    print("list", kind, struct.unpack(">i", data[:4])[0] if kind == 2 else 0, flush=True)
    kind, data = ask(door("store.imapd.sock", b"store"), 10, struct.pack(">I", 1) + text(ticket))
    print("open", kind, struct.unpack(">i", data[:4])[0] if kind == 2 else 0, flush=True)
"""


def test_a_stolen_ticket_ends(server, directory):
    """A session that was taken over keeps a ticket, watches nothing and renews nothing: stored refuses it within seconds of a raised epoch, though nobody signs in anew."""
    server.wait_up()
    user = server.user("staff", agency="STC")
    ids = pwd.getpwnam("cv-imap") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    thief = subprocess.Popen([sys.executable, "-c", THIEF, str(server.dir / "run"), str(ids.pw_uid), str(ids.pw_gid)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)

    def reach():
        thief.stdin.write("go\n")
        thief.stdin.flush()
        return thief.stdout.readline().split(), thief.stdout.readline().split()
    try:
        thief.stdin.write("%s\t%s\n" % (user["login"], user["password"]))
        assert reach() == (["list", "93", "0"], ["open", "11", "0"])
        directory.modify(directory.person(user), "replace: vnEpoch", "vnEpoch: %d" % (int(time.time()) + 10))
        # neither its session nor its ticket is of any use
        until(lambda: [r[1] for r in reach()] == ["2", "2"])
    finally:
        thief.stdin.close()
        thief.wait(30)
    with session(server, user) as m:
        assert m.select("INBOX")[0] == "OK"


# --- posts, not passwords

def shared(server, user, address):
    """The IMAP names of a functional mailbox's folders, as the user's session m lists them."""
    local = address.split("@")[0]

    def names(m):
        return [n for n in (client.name_of(row) for row in m.list()[1] if row) if n.split("/")[-2:] == [local, "INBOX"] or n.split("/")[-1] == local]
    return names


def stamp(seconds):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))


def may_mail(s, address):
    code = s.docmd("MAIL", "FROM:<%s>" % address)[0]
    if code == 250:
        s.docmd("RSET")
    return code == 250


def test_a_post_changes_hands(server, directory):
    """Who is made holder has the mailbox in the session that is open, who is taken off loses it there."""
    server.wait_up()
    user, box = server.user("staff", agency="STC"), server.mailbox("SKHCN")["address"]
    dn, who = directory.mailbox(box), directory.person(user)
    names = shared(server, user, box)
    with session(server, user) as m:
        s = server.submission(user)
        try:
            assert not names(m) and not may_mail(s, box)
            directory.modify(dn, "add: vnDelegate", "vnDelegate: " + who)
            assert until(lambda: names(m)) < LIMIT and until(lambda: may_mail(s, box)) < LIMIT
            inbox = names(m)[0]
            assert m.select(client.quoted(inbox))[0] == "OK"
            # a group in between, and other rights
            directory.modify(dn, "delete: vnDelegate", "vnDelegate: " + who, "-", "add: vnReader", "vnReader: cn=at-once,ou=groups," + directory.base)
            directory.add("cn=at-once,ou=groups," + directory.base, "objectClass: groupOfNames", "cn: at-once", "member: " + who)
            until(lambda: not may_mail(s, box))
            until(lambda: m.select(client.quoted(inbox))[0] == "OK")
            idle(m)
            directory.delete("cn=at-once,ou=groups," + directory.base)
            line, took = heard(m)
            assert line is not None and line.startswith(b"* BYE [UNAVAILABLE] ") and b"right to read" in line, line
            with session(server, user) as again:
                assert not names(again)
        finally:
            client.close(s)
            if "cn: at-once\n" in directory.search("(cn=at-once)", "cn"):
                directory.delete("cn=at-once,ou=groups," + directory.base)
            if "cn=at-once" in directory.search("(mail=%s)" % box, "vnReader"):
                directory.modify(dn, "delete: vnReader", "vnReader: cn=at-once,ou=groups," + directory.base)


def test_a_group_by_rule_holds_a_mailbox(server, directory):
    """Whoever comes to match a group's rules has its mailbox in the session that is open, in IMAP and for sending, and loses it with a rule or a title."""
    user, box = server.user("staff", agency="STC"), server.mailbox("SKHCN")["address"]
    dn, who, group = directory.mailbox(box), directory.person(user), "cn=at-once-rule,ou=groups," + directory.base
    title = re.search(r"^title:+ .*$", directory.search("(uid=%s)" % user["login"], "title"), re.M)
    names = shared(server, user, box)
    directory.add(group, "objectClass: groupOfNames", "objectClass: vnMailGroup", "cn: at-once-rule", "mail: at-once-rule@" + server.domain,
                  "member: cn=nobody", "vnMemberTitle: Truc ban")
    directory.modify(dn, "add: vnDelegate", "vnDelegate: " + group)
    with session(server, user) as m:
        s = server.submission(user)
        try:
            assert not names(m) and not may_mail(s, box)
            directory.modify(who, "replace: title", "title: truc ban")  # slapd compares without case
            assert until(lambda: names(m)) < LIMIT and until(lambda: may_mail(s, box)) < LIMIT
            inbox = names(m)[0]
            assert m.select(client.quoted(inbox))[0] == "OK"
            m.close()
            directory.modify(group, "replace: vnMemberTitle", "vnMemberTitle: Lai xe")
            assert until(lambda: not may_mail(s, box)) < LIMIT and until(lambda: not names(m)) < LIMIT
            directory.modify(group, "replace: vnMemberTitle", "vnMemberTitle: Lai xe", "vnMemberTitle: TRUC BAN")
            assert until(lambda: may_mail(s, box)) < LIMIT
            directory.modify(who, "replace: title", "title: Lai tau")
            assert until(lambda: not may_mail(s, box)) < LIMIT and until(lambda: not names(m)) < LIMIT
            assert m.select(client.quoted(inbox))[0] == "NO"
        finally:
            client.close(s)
            directory.modify(who, *(("replace: title", title.group(0)) if title else ("delete: title",)))
            directory.modify(dn, "delete: vnDelegate", "vnDelegate: " + group)
            directory.delete(group)


def test_rights_by_date(server, directory):
    """A delegation begins and ends by its dates, in sessions that are open, and also while the directory is away."""
    user, box = server.user("staff", agency="STC"), server.mailbox("SKHCN")["address"]
    dn = "vnDelegationId=at-once,ou=delegations," + directory.base
    names = shared(server, user, box)
    with session(server, user) as m:
        s = server.submission(user)
        directory.add(dn, "objectClass: vnDelegation", "vnDelegationId: at-once", "vnDelegator: " + directory.mailbox(box),
                      "vnDelegateTo: " + directory.person(user), "vnRights: lrs send", "vnValidFrom: " + stamp(3), "vnValidTo: " + stamp(6),
                      "vnDecisionRef: 5/QD")
        began = time.time()
        try:
            time.sleep(1.2)  # for the ticket to come: it brings what is to begin
            assert not names(m) and not may_mail(s, box)
            server.slapd("stop")
            until(lambda: names(m) and may_mail(s, box))
            assert time.time() - began < 4.5
            inbox = names(m)[0]
            assert m.select(client.quoted(inbox))[0] == "OK"
            m.close()
            until(lambda: not may_mail(s, box))
            assert 5 <= time.time() - began < 7.5
            assert m.select(client.quoted(inbox))[0] == "NO" and not names(m)
        finally:
            server.slapd("start")
            client.close(s)
            until(lambda: directory.search("(vnDelegationId=at-once)", "1.1"))
            directory.delete(dn)


def test_slapd_and_lookup_restarted_in_between(server, directory):
    """What was changed while nobody could hear of it is told when the directory, or lookup, is back; and nobody was dropped meanwhile."""
    user = server.user("staff", agency="SKHCN")
    dn = directory.person(user)
    with session(server, user) as m:
        m.select("INBOX", readonly=True)
        idle(m)
        for pid in server.processes("congvu-lookup"):
            os.kill(pid, signal.SIGKILL)
        server.wait_up()
        server.slapd("stop")
        assert heard(m, 1.5)[0] is None
        server.slapd("start")
        assert heard(m, 0.5)[0] is None
        directory.modify(dn, "replace: vnStatus", "vnStatus: suspended")
        try:
            line, took = heard(m)
            assert line is not None and line.startswith(b"* BYE [CONTACTADMIN]"), line
        finally:
            directory.modify(dn, "replace: vnStatus", "vnStatus: active")


def test_a_new_alias_and_group_receive_at_once(server, directory):
    user = server.user("staff", agency="SKHCN")
    dn, address = directory.person(user), "batdau.%d@%s" % (time.time(), server.domain)
    group = "cn=at-once2,ou=groups," + directory.base
    s = server.mx()
    s.ehlo("mail.ngoai.example")

    def taken(rcpt):
        assert s.docmd("MAIL", "FROM:<citizen@ngoai.example>")[0] == 250
        code = s.docmd("RCPT", "TO:<%s>" % rcpt)[0]
        s.docmd("RSET")
        return code == 250
    try:
        assert not taken(address) and not taken("nhom." + address)
        directory.modify(dn, "add: vnMailAlias", "vnMailAlias: " + address)
        directory.add(group, "objectClass: groupOfNames", "objectClass: vnMailGroup", "cn: at-once2", "mail: nhom." + address, "member: " + dn)
        until(lambda: taken(address) and taken("nhom." + address))
        directory.delete(group)
        directory.modify(dn, "delete: vnMailAlias", "vnMailAlias: " + address)
        until(lambda: not taken(address) and not taken("nhom." + address))
    finally:
        client.close(s)


def test_a_directory_without_content_synchronization(server, directory):
    """What was modified is asked for: a little later, and still within the limit."""
    conf = server.conf.read_text()
    server.conf.write_text(conf + 'dir_watch = "poll"\n')
    try:
        assert server.congvu("reload").returncode == 0
        server.wait_up()
        test_a_frozen_person_is_out(server, directory)
    finally:
        server.conf.write_text(conf)
        assert server.congvu("reload").returncode == 0
        server.wait_up()
