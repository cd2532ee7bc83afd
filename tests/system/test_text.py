"""The text of documents in mails, found by SEARCH: PDF, OOXML, ODF and old Word by way of a real congvu-store-text, behind the delivery; its state shown; killed in
the middle; encrypted at rest; in a backup."""

import base64
import contextlib
import json
import os
import pathlib
import shutil
import signal
import smtplib
import tempfile
import time

import pytest

from conftest import TOP, Server, free_port_base, quickstart

OFFICE = pathlib.Path(TOP) / "tests/data/office"
PHRASE, CELL = "các sở, ban, ngành", "Trần Văn Bình"
FILES = ["vb.docx", "vb.odt", "vb.pdf", "vb.rtf", "vb.doc", "bang.xlsx", "bang.ods"]


@pytest.fixture(scope="module")
def site():
    """An instance of its own, encrypted at rest."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="congvu-text-"))
    os.chmod(root, 0o700)
    folder, base = root / "instance", free_port_base()
    try:
        quickstart("--dir", folder, "--port-base", base, "--no-demo")
        s = Server(folder, base)
        keys = s.dir / "etc/store.keys"
        keys.write_text("k1 %s\n" % os.urandom(32).hex())
        keys.chmod(0o600)
        s.conf.write_text(s.conf.read_text() + '\nstore_key_file = "store.keys"\n')
        quickstart("restart", "--dir", folder)
        s.wait_up()
        yield s
    finally:
        quickstart("stop", "--dir", folder, check=False)
        shutil.rmtree(root, ignore_errors=True)


def reload(site):
    """Until the reader of documents is another one: it is started anew as well, behind others."""
    old = set(site.processes("congvu-store-text"))
    assert site.congvu("reload").returncode == 0
    end = time.monotonic() + 30
    while not set(site.processes("congvu-store-text")) or old & set(site.processes("congvu-store-text")):
        assert time.monotonic() < end
        time.sleep(0.05)
    site.wait_up()


@contextlib.contextmanager
def looking(site, on):
    """search_attachment_text for sessions that begin now."""
    before = site.conf.read_text()
    try:
        site.conf.write_text(before + "\nsearch_attachment_text = %s\n" % ("yes" if on else "no"))
        reload(site)
        yield
    finally:
        site.conf.write_text(before)
        reload(site)


def stats(site):
    r = site.congvu("--json", "store", "stats")
    assert r.returncode == 0, r.stdout + r.stderr
    return json.loads(r.stdout)["task"]["result"]


def settled(site, seconds=60):
    end = time.monotonic() + seconds
    while stats(site)["texts_wanted"] > 0:
        assert time.monotonic() < end, stats(site)
        time.sleep(0.2)
    return stats(site)


def deliver(site, name, data, user=0, subject=None):
    text = ("Message-ID: <text-%s@test.example>\r\nFrom: text@test.example\r\nSubject: %s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
            "--b\r\n\r\nxem file\r\n--b\r\nContent-Type: application/octet-stream; name=\"%s\"\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n--b--\r\n"
            % (name, subject or name, name, base64.encodebytes(data).decode().replace("\n", "\r\n")))
    c = smtplib.LMTP(str(site.dir / "run/lmtp.sock"), local_hostname="localhost")
    t = time.monotonic()
    c.sendmail("text@test.example", [site.users[user]["address"]], text)
    took = time.monotonic() - t
    c.quit()
    return took


def pdf(words):
    """One page, in a font that every reader has."""
    content = "BT /F1 12 Tf 72 720 Td (%s) Tj ET" % words
    objects = ["<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>",
               "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>",
               "<</Length %d>>stream\n%s\nendstream" % (len(content), content)]
    out, at = "%PDF-1.4\n", []
    for i, o in enumerate(objects, 1):
        at.append(len(out))
        out += "%d 0 obj%s\nendobj\n" % (i, o)
    xref = len(out)
    out += "xref\n0 5\n0000000000 65535 f \n" + "".join("%010d 00000 n \n" % a for a in at)
    return (out + "trailer<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % xref).encode()


def found(site, key, text, user=0):
    """Subjects of the messages that SEARCH gives."""
    m = site.imap(site.users[user])
    m.select("INBOX", readonly=True)
    m.literal = text.encode()
    r, data = m.uid("SEARCH", "CHARSET", "UTF-8", key)
    assert r == "OK", data
    uids = data[0].split()
    subjects = set()
    for uid in uids:
        got = m.uid("FETCH", uid, "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
        subjects.add(got[0][1].decode().split(":", 1)[1].strip())
    m.logout()
    return subjects


def test_found_by_what_is_in_documents(site):
    before = stats(site)
    for name in FILES:
        deliver(site, name, (OFFICE / name).read_bytes())
    deliver(site, "so.pdf", pdf("nhiem vu trong tam quy bon 7f3a90c1"))
    deliver(site, "anh.png", b"\x89PNG\r\n\x1a\n" + os.urandom(200))
    now = settled(site)
    assert now["texts_read"] - before["texts_read"] == len(FILES) + 1
    assert now["texts_none"] - before["texts_none"] == 1
    assert now["texts_failed"] == 0
    with looking(site, False):
        assert found(site, "BODY", "7f3a90c1") == set()
        assert found(site, "TEXT", PHRASE) == set()
    with looking(site, True):
        assert found(site, "BODY", "7f3a90c1") == {"so.pdf"}
        assert found(site, "BODY", "NHIỆM VỤ trọng tâm") == {"so.pdf"}  # folded on both sides, as in mail
        assert found(site, "TEXT", "7f3a90c1") == {"so.pdf"}
        assert found(site, "BODY", "khong co trong file nao") == set()
        assert found(site, "SUBJECT", "7f3a90c1") == set()
        # the mail's own text is found as ever
        assert {"vb.docx", "so.pdf", "anh.png"} <= found(site, "BODY", "xem file")
        letters = found(site, "BODY", PHRASE)
        assert {"vb.docx", "vb.odt", "vb.pdf", "vb.rtf", "vb.doc"} <= letters
        assert not {"so.pdf", "bang.xlsx", "bang.ods"} & letters
        assert {"bang.xlsx", "bang.ods"} <= found(site, "BODY", CELL)
    out = site.congvu("store", "stats").stdout
    assert "text of documents: read from %d mails" % now["texts_read"] in out
    roles = json.loads(site.congvu("--json", "status").stdout)
    assert '"texts_waiting": 0' in json.dumps(roles) and '"texts_read"' in json.dumps(roles)


def test_not_in_the_clear(site):
    """What was read is encrypted as the mail is."""
    words = "dieu khong ai duoc doc " + os.urandom(8).hex()
    deliver(site, "mat.pdf", pdf(words))
    settled(site)
    with looking(site, True):
        assert found(site, "BODY", words) == {"mat.pdf"}
    for f in (site.dir / "var/store").rglob("*"):
        if f.is_file():
            assert words.encode() not in f.read_bytes(), f


def stopped(site):
    """The reader of documents, which hangs from now on."""
    reader = site.one("congvu-store-text")
    os.kill(reader, signal.SIGSTOP)
    return reader


def test_killed_over_it(site):
    """The reader of documents hangs, is killed, and comes again; meanwhile mail is taken as fast as ever, and what is not read is told. ingest and stored likewise."""
    words = "doc lai lan hai " + os.urandom(8).hex()
    before = stats(site)
    with looking(site, True):  # (a reload starts the reader anew)
        reader = stopped(site)
        try:
            assert deliver(site, "treo.pdf", pdf(words)) < 5
            time.sleep(1)
            s = stats(site)
            assert s["texts_wanted"] == 1 and s["texts_since"] > 0
            assert "1 wait" in site.congvu("store", "stats").stdout
            assert found(site, "BODY", words) == set()
        finally:
            os.kill(reader, signal.SIGKILL)
        assert settled(site)["texts_failed"] == before["texts_failed"]
        assert found(site, "BODY", words) == {"treo.pdf"}
        for binary in ("congvu-ingest", "congvu-stored-db"):
            name = binary + ".pdf"
            reader = stopped(site)
            deliver(site, name, pdf(words + " " + binary))
            time.sleep(0.5)
            for pid in site.processes(binary):
                os.kill(pid, signal.SIGKILL)
            os.kill(reader, signal.SIGKILL)
            site.wait_up()
            assert settled(site)["texts_failed"] == before["texts_failed"]
            assert name in found(site, "BODY", words + " " + binary)


def test_failed_and_tried_again(site):
    """Readers that die over a mail each time: it is given up after two, with the reason, until somebody asks for it again."""
    words = "cuoi cung cung doc duoc " + os.urandom(8).hex()
    before = stats(site)
    with looking(site, True):
        for i in range(4):  # each ingest has asked once, and so comes again by itself when the reader does
            deliver(site, "quen%d.pdf" % i, pdf("quen %d %s" % (i, words[-8:])))
        settled(site)
        reader = stopped(site)
        deliver(site, "hai.pdf", pdf(words))
        time.sleep(1)
        end = time.monotonic() + 60
        # a question that waits for a reader that never took the connection goes on with the next one: that is no try
        for _ in range(5):
            if stats(site)["texts_failed"] > before["texts_failed"]:
                break
            dead = reader
            os.kill(dead, signal.SIGKILL)
            # the next one is stopped before it is asked: the store rests after the first
            while not [p for p in site.processes("congvu-store-text") if p != dead]:
                assert time.monotonic() < end
                time.sleep(0.01)
            reader = [p for p in site.processes("congvu-store-text") if p != dead][0]
            time.sleep(0.3)  # in its sandbox
            os.kill(reader, signal.SIGSTOP)
            time.sleep(3)
        os.kill(reader, signal.SIGKILL)
        assert stats(site)["texts_failed"] == before["texts_failed"] + 1
        r = site.congvu("store", "text", "failed")
        assert r.returncode == 0 and "tried 2 times: the reader of documents ended over it" in r.stdout, r.stdout
        assert "congvu store text retry" in site.congvu("store", "stats").stdout
        r = site.congvu("store", "text", "retry")
        assert r.returncode == 0 and "1 mails wait for it again" in r.stdout, r.stdout
        assert settled(site)["texts_failed"] == before["texts_failed"]
        assert found(site, "BODY", words) == {"hai.pdf"}
    assert site.congvu("store", "text", "x").returncode == 64


def test_old_mail(site):
    """Mail that came while nobody read documents is looked through for them once SEARCH is to find them, and is found then; mail without any is not read."""
    words = "den truoc khi co ai doc " + os.urandom(8).hex()
    keep = site.conf.read_text()
    before = settled(site)
    try:
        site.conf.write_text(keep + "\nstore_texters = 0\n")
        quickstart("restart", "--dir", site.dir)
        site.wait_up()
        deliver(site, "cu.pdf", pdf(words), user=1)
        deliver(site, "anh cu.png", b"\x89PNG\r\n\x1a\n" + os.urandom(200), user=1, subject="anh")
        assert stats(site)["texts_wanted"] == 0
    finally:
        site.conf.write_text(keep)
        quickstart("restart", "--dir", site.dir)
        site.wait_up()
    time.sleep(1)
    assert stats(site)["texts_wanted"] == 0 and not stats(site)["texts_old_asked"]
    with looking(site, True):
        end = time.monotonic() + 60
        while found(site, "BODY", words, user=1) != {"cu.pdf"}:
            assert time.monotonic() < end, stats(site)
            time.sleep(0.2)
        while not stats(site)["texts_old_through"]:
            assert time.monotonic() < end, stats(site)
            time.sleep(0.2)
        now = settled(site)
        assert now["texts_read"] == before["texts_read"] + 1
        # both were said to be of type application
        assert now["texts_none"] == before["texts_none"] + 1
        assert '"texts_old_left": 0' in site.congvu("--json", "status").stdout


def test_goes_with_the_mail(site):
    words = "se bi xoa " + os.urandom(8).hex()
    keep = site.conf.read_text()
    try:
        site.conf.write_text(keep + "\nundelete_days = 0\ncollect_grace_s = 0\n")
        os.kill(site.one("congvu-stored-db"), signal.SIGKILL)
        site.wait_up()
        before = settled(site)
        deliver(site, "xoa.pdf", pdf(words), user=1)
        deliver(site, "con lai.pdf", pdf("con lai"))  # (the newest body is never collected)
        assert settled(site)["texts_read"] == before["texts_read"] + 2
        m = site.imap(site.users[1])
        m.select("INBOX")
        uid = m.uid("SEARCH", "SUBJECT", "xoa.pdf")[1][0].decode()
        m.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
        m.expunge()
        m.logout()
        assert site.congvu("store", "collect").returncode == 0
        end = time.monotonic() + 20
        while stats(site)["texts_read"] != before["texts_read"] + 1:
            assert time.monotonic() < end
            time.sleep(0.2)
        assert stats(site)["bodies"] == before["bodies"] + 2
        r = site.congvu("store", "check", "--deep")
        assert r.returncode == 0, r.stdout
    finally:
        site.conf.write_text(keep)
        os.kill(site.one("congvu-stored-db"), signal.SIGKILL)
        site.wait_up()


def test_restored_with_the_mail(site):
    """A backup has rows and texts; what is restored is found by its documents at once."""
    folder, place = site.dir.parent / "backup", site.dir.parent / "restored"
    r = site.congvu("store", "backup", folder)
    assert r.returncode == 0, r.stdout + r.stderr
    was = stats(site)
    r = site.congvu("store", "restore", folder, "--to", place, "--verify")
    assert r.returncode == 0, r.stdout + r.stderr
    assert site.congvu("stop").returncode == 0
    os.rename(site.dir / "var/store", site.dir / "var/store.before")
    os.rename(place, site.dir / "var/store")
    quickstart("restart", "--dir", site.dir)
    site.wait_up()
    now = stats(site)
    assert now["texts_read"] == was["texts_read"] and now["texts_wanted"] == 0
    with looking(site, True):
        assert found(site, "BODY", "7f3a90c1") == {"so.pdf"}
