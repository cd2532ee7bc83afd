"""Who runs as whom, and what each may still do."""

import os
import pathlib
import pwd
import re
import subprocess

import pytest

# binary: the option that names its user; None: a parent, which stays as it was started
USERS = {
    "congvu-smtpd-session": "cv-smtp", "congvu-imapd-session": "cv-imap", "congvu-lookup": "cv-lookup",
    "congvu-smtpd-queue": "cv-queue", "congvu-relay": "cv-relay", "congvu-stored-db": "cv-store", "congvu-ingest": "cv-ingest",
    "congvu-milter-filter": "cv-milter", "congvu-milter-scan": "cv-scan", "congvu-store-text": "cv-scan", "congvu-milter-ledger": "cv-ledger",
    "congvu-fetch": "cv-fetch", "congvu-milter-sign": "cv-sign",
}
PARENTS = ("congvu-smtpd", "congvu-imapd", "congvu-stored", "congvu-milter")
SESSIONS = ("congvu-smtpd-session", "congvu-imapd-session", "congvu-ingest")


def status(pid):
    text = pathlib.Path("/proc/%d/status" % pid).read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_roles_run_under_their_own_users(server):
    found = {}
    for pid, name in server.processes().items():
        uids = set(status(pid)["Uid"].split())
        assert len(uids) == 1, "%s has several uids: %s" % (name, uids)
        found.setdefault(name, set()).add(int(uids.pop()))
    for name, user in USERS.items():
        assert found.get(name) == {pwd.getpwnam(user).pw_uid}, "%s should run as %s: %s" % (name, user, found.get(name))
    for name in PARENTS:
        assert found.get(name) == {0}


def test_all_roles_run(server):
    assert set(USERS) | set(PARENTS) <= set(server.processes().values())


@pytest.mark.parametrize("binary", sorted(USERS))
def test_sandbox(server, binary):
    for pid in server.processes(binary):
        s = status(pid)
        assert s["NoNewPrivs"] == "1", binary
        assert s["Seccomp"] == "2", binary + " has no seccomp filter"
        assert int(s["CapEff"], 16) == 0 or os.geteuid() != 0, binary + " has capabilities"
        groups = s["Groups"].split()
        assert "0" not in groups or os.geteuid() != 0, binary + " is in the group root"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_instance_lies_where_only_root_may_go(server):
    """As an instance in a clone under /root does."""
    parent = server.dir.parent.stat()
    assert parent.st_uid == 0 and parent.st_mode & 0o777 == 0o700


@pytest.mark.parametrize("binary", SESSIONS)
def test_sessions_link_no_directory_and_no_database(server, binary):
    path = server.prefix / "libexec/congvu" / binary
    out = subprocess.run(["readelf", "-d", str(path)], capture_output=True, text=True, check=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[([^\]]+)\]", out)
    assert needed
    for lib in needed:
        assert not re.match(r"lib(ldap|lber|sasl2|db)\b", lib), "%s links %s" % (binary, lib)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to look at descriptors of roles")
def test_secrets_are_not_open_in_sessions(server):
    """A session holds no descriptor of a file below the instance (a taken over session can read nobody's mail)."""
    for name in SESSIONS:
        for pid in server.processes(name):
            for fd in pathlib.Path("/proc/%d/fd" % pid).iterdir():
                try:
                    target = os.readlink(fd)
                except OSError:
                    continue
                assert not re.search(r"/var/|/etc/", target.replace(str(server.dir.parent), "")) or "/log" in target, \
                    "%s has %s open" % (name, target)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("user,welcome", [("cv-smtp", True), ("cv-relay", True), ("root", True), ("nobody", False), ("cv-imap", False)])
def test_who_may_deliver_by_lmtp(server, user, welcome):
    """What comes in by LMTP was judged before: a user of this host who is no mail server must not get round the policy."""
    uid = pwd.getpwnam(user).pw_uid
    script = ("import os, socket, sys; os.chdir(sys.argv[1]); os.setgroups([]); os.setuid(int(sys.argv[2]));"
              "s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect('lmtp.sock');\n"
              "try: print(s.recv(100)[:3].decode())\nexcept ConnectionResetError: pass")
    r = subprocess.run(["/usr/bin/python3", "-c", script, str(server.dir / "run"), str(uid)], capture_output=True, text=True)
    assert r.stderr == ""
    assert r.stdout.strip() == ("220" if welcome else "")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to look at the environment of roles")
def test_roles_see_nothing_of_the_environment_of_who_started_them(server):
    """A taken-over role finds no password there, and nobody turns a library's switches."""
    allowed = re.compile(rb"^(PATH|LANG|LC_[A-Z]+|TZ|CONGVU_[A-Z_]+|[A-Z]+SAN_OPTIONS|LLVM_PROFILE_FILE|GCOV_PREFIX[A-Z_]*|LDAPNOINIT)$")
    for pid, name in server.processes().items():
        if name == "congvu":
            continue
        for entry in pathlib.Path("/proc/%d/environ" % pid).read_bytes().split(b"\0"):
            assert not entry or allowed.match(entry.split(b"=")[0]), "%s has %s" % (name, entry.split(b"=")[0])
