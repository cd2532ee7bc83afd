"""Care for the mail store: `congvu store check` and its like, beside the running suite and on damaged stores."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

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
    assert r.returncode == 67 and "no such account" in r.stderr, r.stdout + r.stderr


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
    r = server.congvu("store", "follow", "999999")
    assert r.returncode == 67 and "no task 999999" in r.stderr, r.stdout + r.stderr
    r = server.congvu("--lang=vi", "store", "follow", "999999")
    assert r.returncode == 67 and "không có" in r.stderr, r.stdout + r.stderr
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


def test_work_that_failed_says_only_that(server):
    """No sum of a check that did not take place, no "older keys open nothing any more"; in the reader's language."""
    server.wait_up()
    r = server.congvu("--lang", "vi", "store", "check", "khong-co")
    assert r.returncode == 67 and r.stdout == "" and "kho thư không có tài khoản đó" in r.stderr, (r.stdout, r.stderr)
    r = server.congvu("--lang", "vi", "store", "rotate-key")
    assert r.returncode == 78 and r.stdout == "" and "chưa đặt store_key_file" in r.stderr, (r.stdout, r.stderr)


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


def test_repair_says_what_stays(site):
    """A message that cannot be mended: exit 65, in words."""
    box, _ = site.folder("stays", 2)
    site.down()
    key = [line.split()[0] for line in site.damage("keys", "r/m.%s/m/" % box).splitlines()][0]
    site.damage("flip", key, 20, 2)
    site.up()
    r = site.congvu("store", "repair")
    assert r.returncode == 65 and "faults stay" in r.stdout, r.stdout + r.stderr


def test_the_store_is_stopped(site, tmp_path):
    """Who asks a store that does not run is told so in seconds, whatever was asked."""
    site.down()
    try:
        for args in (["store", "stats"], ["store", "check"], ["store", "tasks"], ["mailbox", "deleted", "p-000001"], ["mailbox", "holds"],
                     ["store", "backup", str(tmp_path / "b")]):
            t0 = time.monotonic()
            r = site.congvu(*args)
            assert time.monotonic() - t0 < 10, args
            assert r.returncode == 69 and "the store is not running" in r.stderr, (args, r.stdout + r.stderr)
    finally:
        site.up()


def test_a_mailbox_without_a_name(site):
    """What a crash between the removal of the name and of the rows leaves is found; it is a warning, and no other mailbox is one."""
    box, _ = site.folder("nameless", 3)
    assert "mailbox_nameless" not in site.congvu("--json", "store", "check").stdout
    site.down()
    key = [line.split()[0] for line in site.damage("keys", "r/a.").splitlines() if line.split()[0].endswith("/b/" + box)][0]
    site.damage("delete", key)
    site.up()
    r = site.congvu("--json", "store", "check")
    found = [f for f in json.loads(r.stdout)["findings"] if f["code"] == "mailbox_nameless"]
    assert len(found) == 1 and found[0]["object"] == box and found[0]["messages"] == 3, r.stdout
    assert found[0]["account"] and "mailbox" not in found[0], found


def test_repair(site):
    """What can be mended without loss is, first as a dry run; messages that are there stay, byte for byte; then the check finds nothing there."""
    box, texts = site.folder("mend", 6)
    bad, bad_texts = site.folder("mend-head", 4)
    named, named_texts = site.folder("mend-name", 1)
    m = site.imap(site.users[0])
    m.select("mend-head")
    assert m.uid("STORE", "2", "+FLAGS", r"(\Flagged $Care)")[0] == "OK"
    assert m.uid("STORE", "4", "+FLAGS", r"(\Deleted)")[0] == "OK"
    assert m.expunge()[0] == "OK"
    m.logout()
    validity = site_validity(site, "mend-head")
    site.down()
    changes = [line.split()[0] for line in site.damage("keys", "r/m.%s/c/" % box).splitlines()]
    assert len(changes) == 6
    site.damage("delete", changes[1])
    site.damage("flip", changes[2], 8, 1)
    site.damage("delete", "r/m.%s/m/00000005" % box)
    site.damage("flip", "r/m.%s/h" % bad, 30, 0)
    key = [line.split()[0] for line in site.damage("keys", "r/a.").splitlines() if line.split()[0].endswith("/b/" + named)][0]
    site.damage("flip", key, 9, 4)
    site.up()

    def mine(faults):
        return sorted((f.get("mailbox", "")[:4], f["code"]) for f in faults
                      if f.get("mailbox") in ("mend", "mend-head") or f.get("key", "").endswith(named))

    before = mine(site.check()[0])
    assert ("mend", "change_row_missing") in before and ("mend", "change_row_corrupt") in before
    assert ("mend", "header_count") in before and ("mend", "mailbox_header_corrupt") in before
    assert ("", "name_row_corrupt") in before
    r = site.congvu("--json", "store", "repair", "--dry-run")
    left = json.loads(r.stdout)["task"]["result"]["left"]  # of the tests before: messages are not mended
    assert r.returncode == (65 if left > 0 else 0) and json.loads(r.stdout)["task"]["result"]["mended"] >= 3, r.stdout + r.stderr
    assert mine(site.check()[0]) == before  # nothing was done
    r = site.congvu("--json", "store", "repair")
    told = json.loads(r.stdout)
    assert told["task"]["result"]["left"] == left and r.returncode == (65 if left > 0 else 0), r.stdout + r.stderr
    assert [f for f in told["findings"] if f["code"] == "mend_failed"] == []
    assert mine(site.check()[0]) == []
    for restart in (False, True):
        assert site.bodies("mend") == {i + 1: t for i, t in enumerate(texts) if i != 4}
        assert site.bodies("mend-head") == {i + 1: t for i, t in enumerate(bad_texts) if i != 3}
        assert list(site.bodies("Recovered-" + named).values()) == named_texts
        m = site.imap(site.users[0])
        m.select("mend-head")
        flags = m.uid("FETCH", "2", "(FLAGS)")[1][0]
        assert b"\\Flagged" in flags and b"$Care" in flags
        assert site_validity(site, "mend-head") > validity  # no client takes its cache for right
        uid = re.search(r"APPENDUID \d+ (\d+)", m.append("mend-head", None, None, b"Subject: new\r\n\r\nx\r\n")[1][0].decode())
        assert int(uid.group(1)) >= 5  # no UID comes again
        assert m.uid("STORE", uid.group(1), "+FLAGS", r"(\Deleted)")[0] == "OK" and m.expunge()[0] == "OK"
        m.logout()
        if not restart:
            site.down()
            site.up()


def site_validity(site, name):
    m = site.imap(site.users[0])
    status = m.status(name, "(UIDVALIDITY)")[1][0].decode()
    m.logout()
    return int(re.search(r"UIDVALIDITY (\d+)", status).group(1))


def test_lost_segments(site):
    """A file of bodies that is missing, or cut in its middle: the store comes up, serves the rest, and names what is lost."""
    box, texts = site.folder("lost", 3)
    site.down()
    segments = sorted((site.store / "segments").iterdir())
    seg = max(p for p in segments)
    sound, stat = seg.read_bytes(), seg.stat()

    def put_back():
        seg.write_bytes(sound)
        os.chown(seg, stat.st_uid, stat.st_gid)
        os.chmod(seg, 0o600)

    for harm in ("cut", "missing"):
        if harm == "missing":
            seg.unlink()
        else:
            put_back()
            with open(seg, "r+b") as f:
                f.truncate(len(sound.rstrip(b"\0")) - 4000)
        site.up()
        faults, code = site.check()
        lost = {f["uid"]: f for f in faults if f["mailbox"] == "lost"}
        assert code == 65 and 3 in lost, faults
        assert lost[3]["code"] == ("segment_missing" if harm == "missing" else "body_corrupt"), lost
        assert lost[3]["segment"] == seg.name and lost[3]["message_id"] == "<lost-2@test.example>"
        got = site.bodies("lost")
        assert got[3] is None and {u for u, t in got.items() if t is None} <= set(lost)
        # mail goes on: into a file that harms nothing
        m = site.imap(site.users[0])
        m.create("after-" + harm)
        assert m.append("after-" + harm, None, None, b"Subject: x\r\n\r\nafter " + harm.encode() + b"\r\n")[0] == "OK"
        m.logout()
        site.down()
        site.up()
        assert list(site.bodies("after-" + harm).values()) == [b"Subject: x\r\n\r\nafter " + harm.encode() + b"\r\n"]
        site.down()
    site.up()


def test_formats(site):
    """A store without checks and format, as it was written before: read; upgraded while it runs, first as a dry run. A newer one is refused in words."""
    box, texts = site.folder("format", 3)
    site.down()
    site.damage("age", "-")
    site.up()
    assert site.bodies("format") == {i + 1: t for i, t in enumerate(texts)}
    before = [f for f in site.check()[0] if f.get("mailbox") == "format"]
    assert before == []
    told = json.loads(site.congvu("--json", "store", "upgrade", "--dry-run").stdout)["task"]["result"]
    assert told["format"] == 1 and told["changed"] > 10 and told["dry_run"]
    again = json.loads(site.congvu("--json", "store", "upgrade", "--dry-run").stdout)["task"]["result"]
    assert again["changed"] == told["changed"]
    done = json.loads(site.congvu("--json", "store", "upgrade").stdout)["task"]["result"]
    assert done["format"] == 2 and done["changed"] >= told["changed"]
    assert json.loads(site.congvu("--json", "store", "upgrade").stdout)["task"]["result"]["changed"] == 0
    assert site.bodies("format") == {i + 1: t for i, t in enumerate(texts)}
    site.down()
    site.damage("put", "v/format", "010000000900000009")
    site.congvu("run", "--daemon", timeout=90)
    for _ in range(100):
        log = "".join(p.read_text() for p in (site.dir / "log").iterdir() if p.is_file())
        if "written by a newer version" in log:
            break
        time.sleep(0.1)
    assert "written by a newer version" in log
    with pytest.raises(Exception, match="UNAVAILABLE"):
        site.imap(site.users[0])
    site.down()
    site.damage("put", "v/format", "010000000200000002")
    site.up()
    assert site.bodies("format") == {i + 1: t for i, t in enumerate(texts)}


def test_a_damaged_page(site):
    """A page of the database whose octets changed: nothing wrong is served, and the log says what to do. The sound file back, all is there."""
    box, texts = site.folder("page", 30)
    site.down()
    db = site.store / "db/rows.db"
    sound = db.read_bytes()
    at = sound.find(b"r/m.%s/m/00000010" % box.encode())
    assert at > 0
    flip_file(db, at + 30)
    site.congvu("run", "--daemon", timeout=90)
    r = site.congvu("store", "check")
    assert r.returncode == 75, r.stdout + r.stderr
    log = "".join(p.read_text() for p in (site.dir / "log").iterdir() if p.is_file())
    assert "page_damaged" in log and "congvu store restore" in log
    site.down()
    db.write_bytes(sound)
    site.up()
    assert site.bodies("page") == {i + 1: t for i, t in enumerate(texts)}


def test_rebuild(server):
    """What ingest makes of mail is made anew by the real ingest, also when it is killed over it, and searches find what they found."""
    server.wait_up()
    user = server.users[0]
    m = server.imap(user)
    for i in range(40):
        m.append("INBOX", None, None, f"Subject: rebuilt {i}\r\nMessage-ID: <rebuild-{i}@test.example>\r\n\r\nvăn bản số {i}kx\r\n".encode())
    m.select("INBOX", readonly=True)
    before = m.uid("FETCH", "1:*", "(FLAGS MODSEQ ENVELOPE BODYSTRUCTURE RFC822.SIZE)")
    found = m.uid("SEARCH", "CHARSET", "UTF-8", "TEXT", '"17kx"')
    assert found[0] == "OK" and found[1][0]
    first = json.loads(server.congvu("--json", "store", "rebuild", "--dry-run").stdout)["task"]["result"]
    assert first["faults"] == 0 and first["messages"] >= 40
    r = server.congvu("--json", "store", "rebuild", "--all", "--detach")
    assert r.returncode == 0, r.stdout + r.stderr
    for pid in server.processes("congvu-ingest"):
        os.kill(pid, 9)
    task = str(json.loads(r.stdout)["task"]["id"])
    r = server.congvu("--json", "store", "follow", task, timeout=300)
    told = json.loads(r.stdout)
    assert told["task"]["state"] == "done", r.stdout + r.stderr
    # a body that an ingest was killed over is tried once more: none is named
    assert told["findings"] == [] and told["task"]["result"]["summaries"] >= 40
    assert m.uid("FETCH", "1:*", "(FLAGS MODSEQ ENVELOPE BODYSTRUCTURE RFC822.SIZE)") == before
    assert m.uid("SEARCH", "CHARSET", "UTF-8", "TEXT", '"17kx"') == found
    r = server.congvu("store", "rebuild")
    assert r.returncode == 0 and " 0 summaries and 0 rows" in r.stdout, r.stdout + r.stderr
    r = server.congvu("store", "check", "--deep")
    assert r.returncode == 0, r.stdout + r.stderr
    assert server.congvu("store", "rebuild", "a", "b").returncode == 64
    # a login name is no account: told, not taken for one with nothing to do
    r = server.congvu("store", "rebuild", user["login"])
    assert r.returncode == 67 and "no such account" in r.stderr, r.stdout + r.stderr
