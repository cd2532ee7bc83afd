"""Space comes back: what nobody refers to is collected, files that hold little are rewritten, while mail is delivered and read."""

import contextlib
import json
import os
import random
import signal
import smtplib
import threading
import time

MAILS, SIZE = 2000, 20000
TAKES = SIZE * 55 // 100  # as hexadecimal digits are compressed


@contextlib.contextmanager
def changed(server, **options):
    """Options for a moment; the store takes them at its start."""
    before = server.conf.read_text()

    def again():
        os.kill(server.one("congvu-stored-db"), signal.SIGKILL)
        server.wait_up()

    try:
        lines = [line for line in before.splitlines() if line.split(" ")[0] not in options]
        server.conf.write_text("\n".join(lines + ["%s = %s" % o for o in options.items()]) + "\n")
        again()
        yield
    finally:
        server.conf.write_text(before)
        again()


def octets(server):
    segments = server.dir / "var/store/segments"
    return sum(p.stat().st_size for p in segments.iterdir() if p.exists())


def mail(rnd, number, size=SIZE):
    """Text that does not compress but to its half."""
    lines, n = [], 0
    while n < size:
        lines.append("%0160x" % rnd.getrandbits(640))
        n += 162
    return "Message-ID: <space-%d@test.example>\r\nSubject: space\r\n\r\n%s\r\n" % (number, "\r\n".join(lines))


class Lmtp:
    def __init__(self, server):
        self.c = smtplib.LMTP(str(server.dir / "run/lmtp.sock"), local_hostname="localhost")

    def send(self, to, text):
        self.c.sendmail("space@test.example", [to], text)


def store(server, *args):
    r = server.congvu("--json", "store", *args)
    assert r.returncode == 0, r.stdout + r.stderr
    return json.loads(r.stdout)["task"]["result"]


def test_expunged_mail_gives_its_room_back(server):
    server.wait_up()
    user = server.users[0]
    address = user["address"]
    rnd = random.Random(5)
    # (the files hold the mail of all other tests too)
    with changed(server, undelete_days=0, collect_grace_s=1, compact_below=100):
        before = octets(server)
        lmtp = Lmtp(server)
        keep = mail(rnd, 0)
        lmtp.send(address, keep)
        for i in range(1, MAILS + 1):
            lmtp.send(address, mail(rnd, i))
        assert octets(server) - before > MAILS * TAKES
        full = octets(server) - before
        stats = store(server, "stats")
        assert stats["messages"] >= MAILS and stats["message_octets"] > MAILS * SIZE
        m = server.imap(user)
        m.select("INBOX")
        _, (found,) = m.search(None, "HEADER", "Message-ID", "<space-")
        uids = found.split()
        assert len(uids) == MAILS + 1
        m.store(b"%s:%s" % (uids[1], uids[-1]), "+FLAGS.SILENT", "(\\Deleted)")
        m.expunge()

        # mail comes and is read all the while
        stop, sent, slow = threading.Event(), [], []

        def deliver():
            own = Lmtp(server)
            r = random.Random(6)
            while not stop.is_set():
                began = time.monotonic()
                own.send(address, mail(r, 10000 + len(sent), 2000))
                slow.append(time.monotonic() - began)
                sent.append(1)

        t = threading.Thread(target=deliver)
        t.start()
        try:
            time.sleep(2.5)  # past the grace period, twice
            dry = store(server, "collect", "--dry-run")
            assert dry["dry_run"] and dry["dead"] >= MAILS and dry["dropped"] == 0
            done = store(server, "collect")
            assert done["dropped"] >= MAILS - 1
            would = store(server, "compact", "--dry-run")
            assert would["freed_octets"] > MAILS * TAKES and would["copied"] >= 1
            assert octets(server) - before > MAILS * TAKES
            done = store(server, "compact")
            assert done["files_removed"] >= 1 and done["freed_octets"] > MAILS * TAKES
        finally:
            stop.set()
            t.join()
        assert len(sent) > 10 and max(slow) < 2, (len(sent), max(slow))
        left = octets(server) - before
        print("octets: %d for %d, then %d for %d" % (full, MAILS + 1, left, len(sent) + 1))
        live = len(sent) * 2500 + SIZE
        # what was expunged is gone; what came while the files were rewritten may lie less tightly, with zeros ahead
        assert left < live + MAILS * TAKES // 2, (left, live)
        _, (found,) = m.search(None, "HEADER", "Message-ID", "<space-0@test.example>")
        _, parts = m.fetch(found, "(BODY.PEEK[TEXT])")
        assert parts[0][1].decode() == keep.partition("\r\n\r\n")[2]
        _, (found,) = m.search(None, "HEADER", "Message-ID", "<space-1")
        assert len(found.split()) == len(sent)
        r = server.congvu("store", "stats")
        assert r.returncode == 0 and "%" in r.stdout, r.stdout + r.stderr
        r = server.congvu("--lang", "vi", "store", "collect")
        assert r.returncode == 0 and "đã bỏ" in r.stdout, r.stdout + r.stderr
        assert server.congvu("store", "check", "--deep").returncode == 0


def test_it_runs_by_itself(server):
    server.wait_up()
    user = server.users[1]
    rnd = random.Random(7)
    with changed(server, undelete_days=0, collect_grace_s=1, collect_interval_s=2, collect_pace=100, compact_below=100):
        before = octets(server)
        lmtp = Lmtp(server)
        for i in range(300):
            lmtp.send(user["address"], mail(rnd, 20000 + i))
        assert octets(server) - before > 300 * TAKES
        m = server.imap(user)
        m.select("INBOX")
        _, (found,) = m.search(None, "HEADER", "Message-ID", "<space-2")
        m.store(found.replace(b" ", b","), "+FLAGS.SILENT", "(\\Deleted)")
        m.expunge()
        end = time.monotonic() + 90
        while octets(server) - before > 3 << 20:
            assert time.monotonic() < end, octets(server) - before
            time.sleep(0.5)
    assert server.congvu("store", "check").returncode == 0


def test_wrong_words(server):
    server.wait_up()
    assert server.congvu("store", "compact", "--min-live=0").returncode == 64
    assert server.congvu("store", "compact", "--min-live=x").returncode == 64
    assert server.congvu("store", "collect", "x").returncode == 64
    assert server.congvu("store", "stats", "x").returncode == 64
