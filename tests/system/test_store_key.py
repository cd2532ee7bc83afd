"""Mail encrypted at rest: store_key_file, a new key, congvu store rotate-key, and what is told when a key is not there."""

import json
import os
import pathlib
import shutil
import tempfile

import pytest

from conftest import Server, free_port_base, quickstart

SECRET = "ke-hoach-mat-2026"


@pytest.fixture(scope="module")
def site():
    """An instance of its own: what was once encrypted stays so."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="congvu-key-"))
    os.chmod(root, 0o700)
    folder, base = root / "instance", free_port_base()
    try:
        quickstart("--dir", folder, "--port-base", base, "--no-demo")
        yield Server(folder, base)
    finally:
        quickstart("stop", "--dir", folder, check=False)
        shutil.rmtree(root, ignore_errors=True)


def keys_are(site, *lines):
    file = site.dir / "etc/store.keys"
    file.write_text("# keys of the store\n" + "".join(line + "\n" for line in lines))
    file.chmod(0o600)


def segments(site):
    return sorted((site.dir / "var/store/segments").iterdir())


def found_in(site, text):
    return [f.name for f in segments(site) if text.encode() in f.read_bytes()]


def append(site, n):
    m = site.imap(site.users[0])
    text = "Subject: %s %d\r\nMessage-ID: <key-%d@test.example>\r\n\r\n%s\r\n" % (SECRET, n, n, SECRET)
    assert m.append("INBOX", None, None, text.encode())[0] == "OK"
    m.logout()


def subjects(site):
    m = site.imap(site.users[0])
    m.select("INBOX")
    data = m.uid("FETCH", "1:*", "(BODY.PEEK[])")[1]
    m.logout()
    return [d[1].decode().split("\r\n")[0] for d in data if isinstance(d, tuple) and SECRET.encode() in d[1]]


def check(site):
    r = site.congvu("--json", "check", "--offline")
    told = [f for f in json.loads(r.stdout)["findings"] if f["check"] == "store_key_file"]
    return r.returncode, " ".join(f["result"] + ": " + f["text"] for f in told)


def test_keys(site):
    a, b = ("k%d %s" % (n, os.urandom(32).hex()) for n in (2025, 2026))
    site.wait_up()
    append(site, 1)
    assert found_in(site, SECRET)
    r = site.congvu("store", "rotate-key")
    assert r.returncode != 0 and "store_key_file is not set" in r.stderr
    keys_are(site, a)
    with open(site.conf, "a") as f:
        f.write('store_key_file = "store.keys"\n')
    before = [f.name for f in segments(site)]
    code, text = check(site)
    assert code == 0 and "ok: " in text and "k2025" in text, text

    # what comes now is encrypted, what was there is read
    quickstart("restart", "--dir", site.dir)
    site.wait_up()
    append(site, 2)
    assert found_in(site, SECRET) == [n for n in found_in(site, SECRET) if n in before]
    assert len(segments(site)) > len(before)
    assert subjects(site) == ["Subject: %s 1" % SECRET, "Subject: %s 2" % SECRET]
    # what is still in the clear is said, with what to do; and it does it
    code, text = check(site)
    assert code == 0 and "KiB of mail from before the key was set are still not encrypted" in text, text
    r = site.congvu("store", "stats")
    assert r.returncode == 0 and "NOT encrypted" in r.stdout and "--min-live=100" in r.stdout, r.stdout + r.stderr
    assert site.congvu("store", "compact", "--min-live=100").returncode == 0
    assert not found_in(site, SECRET)
    assert "NOT encrypted" not in site.congvu("store", "stats").stdout
    assert "still not" not in check(site)[1]
    assert subjects(site) == ["Subject: %s 1" % SECRET, "Subject: %s 2" % SECRET]

    # a new key, then the old files under it, then the old key away
    old = len(segments(site))
    keys_are(site, a, b)
    quickstart("restart", "--dir", site.dir)
    site.wait_up()
    append(site, 3)
    r = site.congvu("--json", "store", "rotate-key")
    assert r.returncode == 0, r.stdout + r.stderr
    assert json.loads(r.stdout)["task"]["result"]["rewrapped"] == old
    r = site.congvu("--lang", "vi", "store", "rotate-key")
    assert r.returncode == 0 and "0 tệp" in r.stdout, r.stdout + r.stderr
    keys_are(site, b)
    code, text = check(site)
    assert code == 0 and "k2026" in text, text
    quickstart("restart", "--dir", site.dir)
    site.wait_up()
    assert subjects(site) == ["Subject: %s %d" % (SECRET, n) for n in (1, 2, 3)]

    # without it: told beforehand, and nothing is served
    keys_are(site, a)
    code, text = check(site)
    assert code == 78 and "error: " in text and "k2026" in text, text
    keys_are(site, b[:-1])
    code, text = check(site)
    assert code == 78 and "line 2" in text, text
    keys_are(site, "k2026 " + os.urandom(32).hex())
    code, text = check(site)
    assert code == 78 and "another key" in text, text
    r = quickstart("restart", "--dir", site.dir, check=False)
    assert r.returncode != 0 and "another key" in r.stdout + r.stderr, r.stdout + r.stderr
    with pytest.raises(Exception):
        site.wait_up(3)
    keys_are(site, b)
    quickstart("restart", "--dir", site.dir)
    site.wait_up()
    assert len(subjects(site)) == 3


def test_backup_of_encrypted_mail(site):
    """Segments are copied as they are; a header that a new key rewrote is copied anew; what is restored opens with the new key alone."""
    folder, place = site.dir.parent / "backup", site.dir.parent / "restored"
    b = (site.dir / "etc/store.keys").read_text().splitlines()[1]
    r = site.congvu("--json", "store", "backup", folder)
    assert r.returncode == 0, r.stderr
    before = {f.name for f in (folder / "segments").iterdir()}
    c = "k2027 " + os.urandom(32).hex()
    keys_are(site, b, c)
    quickstart("restart", "--dir", site.dir)
    site.wait_up()
    append(site, 4)
    r = site.congvu("--json", "store", "rotate-key")
    assert r.returncode == 0, r.stdout + r.stderr
    keys_are(site, c)
    quickstart("restart", "--dir", site.dir)
    site.wait_up()
    r = site.congvu("--json", "store", "backup", folder)
    assert r.returncode == 0, r.stderr
    assert json.loads(r.stdout)["rows"] == 0
    after = {f.name for f in (folder / "segments").iterdir()}
    assert {n for n in after if n.endswith(".1")}, (before, after)
    assert not [n for n in after if n + ".1" in after], after
    for args in (("verify-backup", folder), ("restore", folder, "--to", place, "--verify")):
        r = site.congvu("--json", "store", *args)
        assert r.returncode == 0, r.stdout + r.stderr
    assert json.loads(r.stdout)["damaged"] == 0
    # one mailbox of it, into the store that runs
    sealed = len(subjects(site))
    r = site.congvu("--json", "store", "restore", folder, "--mailbox", site.users[0]["login"] + "/INBOX", "--into", "INBOX")
    assert r.returncode == 0, r.stdout + r.stderr
    assert json.loads(r.stdout)["imported"] >= sealed and len(subjects(site)) == 2 * sealed
    assert site.congvu("stop").returncode == 0
    os.rename(site.dir / "var/store", site.dir / "var/store.before")
    os.rename(place, site.dir / "var/store")
    quickstart("restart", "--dir", site.dir)
    site.wait_up()
    assert subjects(site) == ["Subject: %s %d" % (SECRET, n) for n in (1, 2, 3, 4)]
    # the restored store is another one: its backup needs a folder of its own
    r = site.congvu("store", "backup", folder)
    assert r.returncode == 65 and "another store" in r.stderr, r.stderr
    assert site.congvu("store", "verify-backup", folder).returncode == 0
    # without the key the check says which messages it cannot read, not that all is well
    keys_are(site, "k2027 " + os.urandom(32).hex())
    r = site.congvu("--json", "store", "restore", folder, "--to", place, "--verify")
    assert r.returncode == 65, r.stdout + r.stderr
