"""What changes in the directory holds at once: in sessions that are open, and for the next mail; also across restarts of slapd and of lookup."""

import contextlib
import os
import re
import select
import signal
import subprocess
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


def test_a_frozen_person_is_out(server, directory):
    server.wait_up()
    user = server.user("staff", agency="SKHCN")
    ended_by(server, directory, user, ["replace: vnStatus", "vnStatus: suspended"], ["replace: vnStatus", "vnStatus: active"], b"CONTACTADMIN")
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
