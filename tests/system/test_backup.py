"""congvu store backup, restore, verify-backup: taken under load, with stored and the backup itself killed at any time. What a restored store holds is read by
IMAP: the restored folder takes the place of the instance's own for a while."""

import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import time

import pytest

import client
from load import Load
from test_store_space import Lmtp, changed, mail, store

CONTINUE = 75  # EX_TEMPFAIL


@pytest.fixture(scope="module")
def space(server):
    folder = server.dir.parent / "backups"
    folder.mkdir(mode=0o700)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def backup(server, folder, *args):
    r = server.congvu("--json", "store", "backup", folder, *args, timeout=120)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def start_backup(server, folder, *args):
    return subprocess.Popen([str(server.prefix / "bin/congvu"), "-c", str(server.conf), "store", "backup", str(folder), *args],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def verify(server, folder):
    return server.congvu("store", "verify-backup", folder)


@contextlib.contextmanager
def serving(server, place):
    """The instance serves the store in place, then its own again."""
    own = server.dir / "var/store"
    aside = server.dir / "var/store.own"
    assert server.congvu("stop").returncode == 0
    os.rename(own, aside)
    os.rename(place, own)
    try:
        r = server.congvu("run", "--daemon")
        assert r.returncode == 0, r.stdout + r.stderr
        server.wait_up()
        yield
    finally:
        server.congvu("stop")
        os.rename(own, place)
        os.rename(aside, own)
        r = server.congvu("run", "--daemon")
        assert r.returncode == 0, r.stdout + r.stderr
        server.wait_up()


def mail_of(server, user):
    """{Message-ID: octets} of an INBOX, and its UIDVALIDITY; every message there once."""
    m = server.imap(user)
    try:
        status, data = m.select("INBOX", readonly=True)
        assert status == "OK"
        found = {}
        if data[0] != b"0":
            status, rows = m.fetch("1:*", "(BODY.PEEK[])")
            assert status == "OK"
            for row in rows:
                if isinstance(row, tuple):
                    mid = re.search(rb"^Message-ID:\s*(<[^>]*>)", row[1], re.I | re.M).group(1).decode()
                    assert mid not in found, "twice: " + mid
                    found[mid] = row[1]
        return found, int(m.response("UIDVALIDITY")[1][0])
    finally:
        client.close(m)


def all_mail(server):
    return {u["address"]: mail_of(server, u) for u in server.users if u["role"] in ("head", "staff")}


def own_part(octets):
    """What the sender sent: trace fields come before it."""
    return octets[octets.index(b"From:"):]


def check_holds(before, restored, acknowledged):
    """Every message of acknowledged ({Message-ID: recipients}) is in restored with the octets it has in before, and nothing is there that before does not have."""
    missing = [(mid, a) for mid, rcpts in acknowledged.items() for a in rcpts if mid not in restored[a][0]]
    assert not missing, "%d missing of %d: %s" % (len(missing), len(acknowledged), missing[:3])
    for address, (mails, validity) in restored.items():
        for mid, octets in mails.items():
            assert octets == before[address][0][mid], (address, mid)
        assert validity > before[address][1], "UIDVALIDITY was not raised: " + address


def restore(server, folder, place, *args):
    r = server.congvu("--json", "store", "restore", folder, "--to", place, "--verify", *args, timeout=120)
    assert r.returncode == 0, r.stdout + r.stderr
    told = json.loads(r.stdout)
    assert told["damaged"] == 0 and told["checked"] is True
    return told


def check_clean(server):
    r = server.congvu("--json", "store", "check", timeout=120)
    assert r.returncode == 0, r.stdout + r.stderr


def test_under_load(server, space):
    """A first backup, a second one, both while mail comes in: what was acknowledged before each began is in it, byte for byte."""
    server.wait_up()
    with Load(server, threads=3) as load:
        time.sleep(2)
        before_first = dict(load.accepted)
        first = backup(server, space / "a")
        shutil.copytree(space / "a", space / "a1")
        time.sleep(1.5)
        before_second = dict(load.accepted)
        second = backup(server, space / "a")
    assert len(before_first) > 20 and len(before_second) > len(before_first) + 20, load.tell()
    assert first["rows"] > 0 and second["rows"] == 0
    live = all_mail(server)
    for folder, acknowledged in ((space / "a1", before_first), (space / "a", before_second)):
        assert verify(server, folder).returncode == 0
        told = restore(server, folder, space / "restored")
        assert told["messages"] >= len(acknowledged)
        with serving(server, space / "restored"):
            check_holds(live, all_mail(server), acknowledged)
            check_clean(server)
            # it works on: new mail comes in, under UIDs of the new UIDVALIDITY
            user = [u for u in server.users if u["role"] == "staff"][0]
            mid = client.new_id(server.domain)
            mail = client.header(client.address(user["name"], user["address"]), [user["address"]], "Sau khi phục hồi", mid)
            server.submit(user, user["address"], [user["address"]], mail + client.text_part("Thư mới."))
            assert server.fetch(user, mid)
        shutil.rmtree(space / "restored")
    # the store's own was not touched
    assert all_mail(server)[user["address"]][0].keys() == live[user["address"]][0].keys()


def test_increments_are_small(server, space):
    """Nothing new: nothing is copied. One message of 2 KB: some kilobytes."""
    backup(server, space / "small")
    assert backup(server, space / "small")["copied"] == 0
    user = [u for u in server.users if u["role"] == "staff"][0]
    mid = client.new_id(server.domain)
    mail = client.header(client.address(user["name"], user["address"]), [user["address"]], "Một thư", mid)
    server.submit(user, user["address"], [user["address"]], mail + client.text_part("Nội dung. " * 200))
    assert server.fetch(user, mid)
    assert 0 < backup(server, space / "small")["copied"] < 20000
    # also behind a restart, and behind a kill of the store: the journal goes on
    os.kill(server.one("congvu-stored-db"), signal.SIGKILL)
    server.wait_up()
    again = backup(server, space / "small")
    assert again["rows"] == 0 and again["copied"] < 60000


def test_a_changed_octet_is_found_and_named(server, space):
    backup(server, space / "flip")
    for name in ("rows-00000001", "segments/seg-00000001", "manifest"):
        path = space / "flip" / name
        whole = path.read_bytes()
        at = random.randrange(len(whole))
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1:])
        r = verify(server, space / "flip")
        assert r.returncode == 65 and name.split("/")[-1] in r.stderr, (name, at, r.stdout + r.stderr)
        r = server.congvu("store", "restore", space / "flip", "--to", space / "never")
        assert r.returncode == 65 and not (space / "never").exists(), r.stdout + r.stderr
        path.write_bytes(whole)
    assert verify(server, space / "flip").returncode == 0
    assert not [p.name for p in space.iterdir() if "restoring" in p.name], "something was left over"


def test_a_damaged_attachment_names_its_message(server, space):
    """An attachment that is kept by itself rots in the store, and the backup has it so: the restore that looks says which message is hurt."""
    user = [u for u in server.users if u["role"] == "staff"][0]
    mid = client.new_id(server.domain)
    octets = os.urandom(60000)
    mail = client.header(client.address(user["name"], user["address"]), [user["address"]], "Ảnh", mid)
    server.submit(user, user["address"], [user["address"]],
                  mail + client.multipart([client.text_part("Xem ảnh."), client.attachment("anh.jpg", octets, "image/jpeg")]))
    assert server.fetch(user, mid)
    place, at = next((f, f.read_bytes().find(octets[5000:5064])) for f in (server.dir / "var/store/segments").iterdir()
                     if octets[5000:5064] in f.read_bytes())

    def flip():
        with open(place, "r+b") as f:
            f.seek(at)
            c = f.read(1)
            f.seek(at)
            f.write(bytes([c[0] ^ 1]))

    flip()
    try:
        backup(server, space / "rot")
        r = server.congvu("--json", "store", "restore", space / "rot", "--to", space / "rotten", "--verify", timeout=120)
    finally:
        flip()
    assert r.returncode == 65, r.stdout + r.stderr
    assert [f for f in json.loads(r.stdout)["findings"] if f.get("uid") and f["why"] == "body_corrupt"], r.stdout


def test_who_may_not(server, space):
    """Never two at once in a folder; never in a folder of something else; a restore never over a store."""
    p = start_backup(server, space / "two", "--follow")
    try:
        end = time.monotonic() + 20
        while not (space / "two/manifest").exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert server.congvu("store", "backup", space / "two").returncode == CONTINUE
    finally:
        p.terminate()
        assert p.wait(20) == 0, p.stderr.read()
    (space / "other").mkdir()
    (space / "other/file").write_text("not a backup")
    r = server.congvu("store", "backup", space / "other")
    assert r.returncode == 73 and [f.name for f in (space / "other").iterdir()] == ["file"]
    assert server.congvu("store", "restore", space / "two", "--to", server.dir / "var/store", "--force").returncode == CONTINUE
    assert server.congvu("store", "restore", space / "two", "--to", space / "other").returncode == 73
    r = server.congvu("store", "restore", space / "two", "--to", space / "other", "--force")
    assert r.returncode == 0 and (space / "other/db").is_dir()
    aside = [f for f in space.iterdir() if f.name.startswith("other.before-")]
    assert len(aside) == 1 and (aside[0] / "file").read_text() == "not a backup"


def test_killed_at_any_time(server, space):
    """stored and the backup are killed again and again under load: each backup that was whole stays whole, and the last one holds all that was acknowledged."""
    rng = random.Random(4)
    had = False
    with Load(server, threads=3) as load:
        for n in range(14):
            p = start_backup(server, space / "killed", *(["--follow"] if n % 2 else []))
            time.sleep(rng.uniform(0, 0.4 if n < 10 else 1.5))
            if n % 3 == 0:
                os.kill(server.one("congvu-stored-db"), signal.SIGKILL)
                time.sleep(rng.uniform(0, 0.3))
            p.kill()
            p.wait()
            r = verify(server, space / "killed")
            if had:
                assert r.returncode == 0, r.stdout + r.stderr
            had = had or r.returncode == 0
        time.sleep(1)
        acknowledged = dict(load.accepted)
        backup(server, space / "killed")
    assert len(acknowledged) > 50, load.tell()
    live = all_mail(server)
    restore(server, space / "killed", space / "restored")
    with serving(server, space / "restored"):
        check_holds(live, all_mail(server), acknowledged)
        check_clean(server)
    shutil.rmtree(space / "restored")


def test_follow(server, space):
    """The folder is seconds behind, also while stored is killed; the followed copy, taken without a word to anybody, restores."""
    behind = 3.0
    p = start_backup(server, space / "follow", "--follow")
    try:
        with Load(server, threads=3) as load:
            time.sleep(3)
            os.kill(server.one("congvu-stored-db"), signal.SIGKILL)
            time.sleep(2)
            acknowledged = dict(load.accepted)
            time.sleep(behind)
            p.kill()  # the first host is gone
            p.wait()
        assert len(acknowledged) > 30, load.tell()
        live = all_mail(server)
        restore(server, space / "follow", space / "restored")
        with serving(server, space / "restored"):
            check_holds(live, all_mail(server), acknowledged)
            check_clean(server)
        shutil.rmtree(space / "restored")
        # it goes on, tells how far behind it was, and the store knows of it
        with Load(server, threads=3):
            p = subprocess.Popen([str(server.prefix / "bin/congvu"), "-c", str(server.conf), "--json", "store", "backup",
                                  str(space / "follow"), "--follow"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
            time.sleep(4)
            p.send_signal(signal.SIGTERM)
            told = json.loads(p.communicate(timeout=20)[0])
        assert p.returncode == 0 and told["commits"] >= 3
        assert 0 < told["worst_behind_ms"] < behind * 1000, told
    finally:
        p.kill()
        p.wait()


def test_full_disk(server, space):
    """The target has no room: a clear error, and the backup that was there is whole."""
    disk = space / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("mount is not permitted here")
    try:
        first = server.congvu("store", "backup", disk / "b")
        whole = verify(server, disk / "b").returncode  # whether there was room for it
        assert first.returncode in (0, 73) and (whole == 0) == (first.returncode == 0), first.stderr
        with Load(server, threads=3, size=20000):
            time.sleep(3)
        free = os.statvfs(disk)
        with contextlib.suppress(OSError):
            (disk / "fill").write_bytes(b"x" * (free.f_bavail * free.f_bsize - 20000))
        r = server.congvu("store", "backup", disk / "b")
        assert r.returncode == 73 and "full" in r.stderr, (r.returncode, r.stderr)
        assert verify(server, disk / "b").returncode == whole
        (disk / "fill").unlink(missing_ok=True)
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        assert server.congvu("store", "backup", disk / "b").returncode == 0
        assert verify(server, disk / "b").returncode == 0
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_compaction_meanwhile(server, space):
    """Files that hold little are rewritten and removed while a backup follows: it copes, drops them too, and every message has its body."""
    server.wait_up()
    user = [u for u in server.users if u["role"] == "head"][0]
    rnd = random.Random(8)
    # (whatever else the files hold: mail of the tests before this one)
    with changed(server, undelete_days=0, collect_grace_s=1, compact_below=100):
        lmtp = Lmtp(server)
        for n in range(400):
            lmtp.send(user["address"], mail(rnd, 900000 + n))
        backup(server, space / "compact")
        p = start_backup(server, space / "compact", "--follow")
        try:
            m = server.imap(user)
            m.select("INBOX")
            _, (found,) = m.search(None, "HEADER", "Message-ID", "<space-9")
            uids = found.split()
            assert len(uids) == 400
            m.store(b"%s:%s" % (uids[0], uids[-5]), "+FLAGS.SILENT", "\\Deleted")
            m.expunge()
            client.close(m)
            with Load(server, threads=2) as load:
                time.sleep(2.5)
                store(server, "collect")
                done = store(server, "compact")
                assert done["files_removed"] >= 1, done
                acknowledged = dict(load.accepted)
                time.sleep(2.5)
        finally:
            p.terminate()
            assert p.wait(20) == 0, p.stderr.read()
        backup(server, space / "compact")
        assert verify(server, space / "compact").returncode == 0
        mine = {f.name for f in (server.dir / "var/store/segments").iterdir()}
        copies = {f.name for f in (space / "compact/segments").iterdir()}
        assert copies <= mine, copies - mine
        live = all_mail(server)
        restore(server, space / "compact", space / "restored")
        with serving(server, space / "restored"):
            check_holds(live, all_mail(server), acknowledged)
            check_clean(server)
        shutil.rmtree(space / "restored")
