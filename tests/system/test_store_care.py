"""Care for the mail store: `congvu store check` and its like, beside the running suite and on damaged stores."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import conftest
import pytest


def test_check_of_a_sound_store(server):
    """Nothing is wrong, in the words for people and as JSON; the messages counted are those that IMAP shows."""
    server.wait_up()
    user = server.users[0]
    m = server.imap(user)
    m.select("INBOX")
    m.append("INBOX", None, None, b"Subject: care\r\nMessage-ID: <care-1@test.example>\r\n\r\nbody\r\n")
    r = server.congvu("--json", "store", "check")
    assert r.returncode == 0, r.stdout + r.stderr
    told = json.loads(r.stdout)
    assert told["findings"] == []
    assert told["task"]["state"] == "done"
    result = told["task"]["result"]
    assert result["faults"] == 0 and result["unsettled"] == 0
    assert result["accounts"] >= 1 and result["messages"] >= 1
    r = server.congvu("store", "check", "--deep")
    assert r.returncode == 0 and "0 faults" in r.stdout, r.stdout + r.stderr
    r = server.congvu("--lang", "vi", "store", "check")
    assert r.returncode == 0 and "0 lỗi" in r.stdout, r.stdout + r.stderr
    r = server.congvu("store", "check", "nobody-of-that-id")
    assert r.returncode == 75 and "no such account" in r.stderr, r.stdout + r.stderr


def test_tasks(server):
    """A detached task can be followed by its number; unknown ones are refused."""
    server.wait_up()
    r = server.congvu("store", "check", "--detach")
    assert r.returncode == 0 and r.stdout.strip().isdigit(), r.stdout + r.stderr
    task = r.stdout.strip()
    r = server.congvu("--json", "store", "follow", task)
    assert r.returncode == 0, r.stdout + r.stderr
    assert json.loads(r.stdout)["task"]["id"] == int(task)
    listed = json.loads(server.congvu("--json", "store", "tasks").stdout)
    assert int(task) in [t["id"] for t in listed["tasks"]] and "check" in listed["kinds"]
    assert server.congvu("store", "follow", "999999").returncode == 75
    assert server.congvu("store", "stop", "999999").returncode == 67
    assert server.congvu("store", "stop", "x").returncode == 64


# ---- damaged stores: an instance of their own ----


class Site(conftest.Server):
    """Its store can be damaged while it is down."""

    store = property(lambda self: self.dir / "var/store")

    def down(self):
        self.congvu("stop", timeout=60)
        assert not self.processes("congvu-stored-db")

    def up(self):
        r = self.congvu("run", "--daemon")
        assert r.returncode == 0, r.stdout + r.stderr
        self.wait_up()

    def damage(self, *args):
        own = (self.store / "db").stat()
        r = subprocess.run([str(conftest.BUILD / "tests/system/store_damage"), str(self.store), *map(str, args)],
                           capture_output=True, text=True)
        assert r.returncode == 0, r.stderr
        for p in (self.store / "db").iterdir():
            os.chown(p, own.st_uid, own.st_gid)
        return r.stdout

    def check(self, *args):
        """The findings that are faults, and the exit code."""
        r = self.congvu("--json", "store", "check", *args)
        assert r.stdout, r.stderr
        return [f for f in json.loads(r.stdout)["findings"] if f["level"] == "fault"], r.returncode

    def folder(self, name, n, size=3000):
        """A new mailbox of the first user with n messages: its number, and the bytes of each message."""
        texts = []
        m = self.imap(self.users[0])
        assert m.create(name)[0] == "OK"
        for i in range(n):
            body = "".join("%08d %s\r\n" % (k, os.urandom(24).hex()) for k in range(size // 60))
            text = ("Subject: message %d\r\nMessage-ID: <%s-%d@test.example>\r\n\r\n%s" % (i, name, i, body)).encode()
            assert m.append(name, None, None, text)[0] == "OK"
            texts.append(text)
        status = m.status(name, "(MAILBOXID)")[1][0].decode()
        m.logout()
        return re.search(r"\((?:F)?([0-9a-f]{16})\)", status).group(1), texts

    def bodies(self, name):
        """{UID: bytes, or None where FETCH says NO}"""
        m = self.imap(self.users[0])
        assert m.select(name, readonly=True)[0] == "OK"
        got = {}
        for uid in m.uid("SEARCH", "ALL")[1][0].split():
            typ, data = m.uid("FETCH", uid, "(BODY.PEEK[])")
            got[int(uid)] = data[0][1] if typ == "OK" else None
            if typ != "OK":
                assert b"damaged" in data[-1], data
                assert b"BODY[] NIL" in m.response("FETCH")[1][0]
        m.logout()
        return got


@pytest.fixture(scope="module")
def site():
    root = pathlib.Path(tempfile.mkdtemp(prefix="congvu-care-"))
    os.chmod(root, 0o700)
    folder = root / "instance"
    conftest.quickstart("--dir", folder, "--port-base", conftest.free_port_base(), "--no-demo")
    s = Site(folder, None)
    s.base = None
    s.wait_up()
    yield s
    conftest.quickstart("stop", "--dir", folder, check=False)
    shutil.rmtree(root, ignore_errors=True)


def test_a_damaged_message_row(site):
    """One row with a bit that changed: that message alone is not given, with a clear NO; check names it; it can be deleted."""
    box, texts = site.folder("rows", 5)
    site.down()
    site.damage("flip", "r/m.%s/m/00000003" % box, 40, 2)
    site.damage("copy", "r/m.%s/m/00000004" % box, "r/m.%s/m/00000005" % box)
    site.up()
    faults, code = site.check()
    assert code == 65
    assert sorted((f["code"], f["uid"]) for f in faults) == [("message_row_corrupt", 3), ("message_row_corrupt", 5)], faults
    assert all(f["mailbox"] == "rows" and f["account"] for f in faults)
    m = site.imap(site.users[0])
    m.select("rows")
    typ, data = m.uid("FETCH", "1:*", "(UID RFC822.SIZE)")
    assert typ == "NO" and b"damaged" in data[-1] + (data[-1] if data else b""), data
    assert m.uid("FETCH", "1:2", "(UID RFC822.SIZE)")[0] == "OK"
    typ, data = m.uid("FETCH", "4", "(BODY.PEEK[])")
    assert typ == "OK" and data[0][1] == texts[3]
    assert m.uid("STORE", "1:*", "+FLAGS", "(\\Flagged)")[0] == "OK"
    assert m.uid("COPY", "1:3", "INBOX")[0] == "NO"  # not some of them
    assert m.uid("COPY", "1:2", "INBOX")[0] == "OK"
    m.logout()


def test_a_damaged_header(site):
    """The header of one mailbox: it is refused in words, the others are there, mail for it waits."""
    box, _ = site.folder("head", 2)
    _, texts = site.folder("beside", 2)
    site.down()
    site.damage("flip", "r/m.%s/h" % box, 20, 5)
    site.up()
    faults, code = site.check()
    assert code == 65 and [(f["code"], f["mailbox"]) for f in faults if f["mailbox"] == "head"] == [
        ("mailbox_header_corrupt", "head")]
    m = site.imap(site.users[0])
    typ, data = m.select("head")
    assert typ == "NO", data
    assert m.append("head", None, None, b"Subject: x\r\n\r\nx\r\n")[0] == "NO"
    assert m.select("beside")[0] == "OK"
    m.logout()
    assert list(site.bodies("beside").values()) == texts


def test_a_damaged_name(site):
    """The row with a mailbox's name: the mailbox is there under a name of its number."""
    box, texts = site.folder("named", 2)
    account = site.check()[0]
    site.down()
    key = [line.split()[0] for line in site.damage("keys", "r/a.").splitlines() if line.split()[0].endswith("/b/" + box)][0]
    site.damage("flip", key, 7, 0)
    site.up()
    faults, _ = site.check()
    assert ("name_row_corrupt", "b/" + box) in [(f["code"], f.get("key")) for f in faults], (faults, account)
    assert list(site.bodies("Recovered-" + box).values()) == texts


def flip_file(path, at, bit=3):
    data = bytearray(path.read_bytes())
    data[at] ^= 1 << bit
    path.write_bytes(data)


def test_damaged_segments(site):
    """A bit anywhere in a file of bodies: its message alone is lost to FETCH, check --deep names it with its Message-ID."""
    box, texts = site.folder("segment", 20)
    before = {tuple(sorted(f.items())) for f in site.check("--deep")[0]}
    seg = max((site.store / "segments").iterdir())
    site.down()
    sound = seg.read_bytes()
    size = len(sound.rstrip(b"\0"))
    hit = set()
    for at in (size - 30000, size - 20000, size - 10000):
        seg.write_bytes(sound)
        flip_file(seg, at)
        site.up()
        faults, code = site.check("--deep")
        new = [f for f in faults if tuple(sorted(f.items())) not in before]
        assert all(f["code"] in ("body_corrupt", "summary_corrupt") for f in new), new
        got = site.bodies("segment")
        lost = {uid for uid, text in got.items() if text is None}
        assert {uid: t for uid, t in got.items() if t is not None} == {
            i + 1: t for i, t in enumerate(texts) if i + 1 not in lost}
        assert lost <= {f["uid"] for f in new if f["mailbox"] == "segment"}
        for f in new:
            if f["mailbox"] == "segment":
                assert f["message_id"] == "<segment-%d@test.example>" % (f["uid"] - 1)
                assert f["segment"] == seg.name and code == 65
                hit.add(f["uid"])
        site.down()
    assert len(hit) >= 2
    seg.write_bytes(sound)
    site.up()
    assert site.bodies("segment") == {i + 1: t for i, t in enumerate(texts)}
