"""congvu mailbox import: Maildir and mbox that a real Dovecot wrote, EML trees, hostile files; killed in the middle and resumed; compared by IMAP octet for
octet, flags, keywords and INTERNALDATE included."""

import base64
import imaplib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pytest

import client
from test_store_space import changed

IMAP = "/usr/lib/dovecot/imap"
NEEDS_DOVECOT = pytest.mark.skipif(not os.path.exists(IMAP) or os.geteuid() != 0, reason="needs dovecot-imapd and root")
FOLDERS = ["INBOX", "Sent", "Dự án", "Dự án/2024 đã xong", "a & b", "Trống"]
FLAGS = [r"\Seen", r"\Answered", r"\Flagged", r"\Deleted", r"\Draft", "$Forwarded", "NonJunk", "QuanTrọng".encode("ascii", "ignore").decode()]


def mutf7(name):
    out, run = "", ""
    for c in name + "\0":
        if " " <= c <= "~":
            if run:
                out += "&" + base64.b64encode(run.encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"
                run = ""
            out += "&-" if c == "&" else c
        elif c != "\0":
            run += c
        elif run:
            out += "&" + base64.b64encode(run.encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"
    return out


class Dovecot:
    """Dovecot's imap program alone, signed in, as nobody; "/" between levels, as ours."""

    def __init__(self, location):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="congvu-dovecot-"))
        (self.home / "dovecot.conf").write_text(
            "mail_location = %s\nmail_uid = nobody\nmail_gid = nogroup\nfirst_valid_uid = 1\nlog_path = %s/log\nssl = no\nbase_dir = %s\n"
            "stats_writer_socket_path =\nprotocols = imap\nmbox_write_locks = fcntl\nnamespace inbox {\n inbox = yes\n separator = /\n}\n"
            % (location % self.home, self.home, self.home))
        (self.home / "mail").mkdir()
        for path in (self.home, self.home / "mail"):
            shutil.chown(path, "nobody", "nogroup")

    def imap(self):
        return imaplib.IMAP4_stream("exec setpriv --reuid nobody --regid nogroup --clear-groups env USER=nobody HOME=%s %s -c %s"
                                    % (self.home, IMAP, self.home / "dovecot.conf"))

    def remove(self):
        shutil.rmtree(self.home)


def quoted(folder):
    return '"%s"' % mutf7(folder)


def letter(rng, n):
    """Anything that mail is made of: 8-bit headers, long lines, lines that an mbox must quote, no end of line at the end, large ones."""
    body = ["Nội dung số %d" % n, "", "From here on it is text", "", "From nobody Sat Nov 21 08:00:00 2020", ">From a quotation", ">>From another"]
    body += ["x" * rng.choice([1, 70, 997]) for _ in range(rng.choice([0, 1, 30]))]
    if n % 40 == 7:
        body += ["%064d" % rng.getrandbits(200) for _ in range(6000)]
    head = ["From: Người gửi <a%d@x.example>" % n, "To: b@x.example", "Subject: =?utf-8?Q?S=E1=BB=91?= %d" % n, "Message-ID: <import.%d@x.example>" % n,
            "Date: Sat, 21 Nov 2020 08:%02d:00 +0700" % (n % 60)]
    return ("\r\n".join(head) + "\r\n\r\n" + "\r\n".join(body) + ("\r\n" if n % 3 else "")).encode()


def fill(m, folder, mails, rng):
    if folder != "INBOX":
        assert m.create(quoted(folder))[0] == "OK"
    for i, mail in enumerate(mails):
        flags = " ".join(f for f in FLAGS if rng.random() < 0.3)
        date = imaplib.Time2Internaldate(1600000000 + i * 7919)
        assert m.append(quoted(folder), "(%s)" % flags, date, mail)[0] == "OK"


def contents(m, folder):
    """[(flags and keywords, INTERNALDATE, octets)] by UID."""
    status, data = m.select(quoted(folder), readonly=True)
    assert status == "OK", (folder, data)
    if data[0] == b"0":
        return []
    status, data = m.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")
    assert status == "OK"
    out = []
    for part in [x for x in data if isinstance(x, tuple)]:
        flags = set(re.search(rb"FLAGS \(([^)]*)\)", part[0]).group(1).decode().split()) - {r"\Recent"}
        out.append((flags, imaplib.Internaldate2tuple(part[0]), part[1]))
    assert len(out) == len(m.search(None, "ALL")[1][0].split())
    return out


def seen(messages):
    return sorted((sorted(flags), time.mktime(date), octets) for flags, date, octets in messages)


def run(server, *args, code=0):
    r = server.congvu("mailbox", "import", *args, "--json", timeout=300)
    assert r.returncode == code, (r.returncode, r.stdout[-2000:], r.stderr[-2000:])
    return json.loads(r.stdout)


def clean(server, user, folders):
    m = server.imap(user)
    for f in sorted(folders, reverse=True):
        if f != "INBOX":
            m.delete(quoted(f))
    m.logout()


def made_by_dovecot(location, seed=1, scale=1, folders=FOLDERS):
    rng = random.Random(seed)
    dovecot = Dovecot(location)
    m = dovecot.imap()
    n = 0
    for folder in folders:
        count = 0 if folder == "Trống" else 12 * scale
        fill(m, folder, [letter(rng, n + i) for i in range(count)], rng)
        n += count
    if "maildir" in location: # two mails that are the same are two mails
        for _ in range(2):
            m.append(quoted("Sent"), r"(\Seen)", imaplib.Time2Internaldate(1600000000), letter(random.Random(5), 1))
    want = {f: contents(m, f) for f in folders}
    m.logout()
    return dovecot, want


def same(server, user, want, into="", order=True):
    m = server.imap(user)
    for folder, messages in want.items():
        name = folder if not into else into if folder == "INBOX" else into + "/" + folder
        got = contents(m, name)
        assert seen(got) == seen(messages), (name, len(got), len(messages))
        if order:
            assert [x[2] for x in got] == [x[2] for x in messages], name
    m.logout()


@NEEDS_DOVECOT
def test_maildir_of_dovecot(server):
    server.wait_up()
    user = server.user("staff", agency="SKHCN")
    dovecot, want = made_by_dovecot("maildir:%s/mail")
    into = "Cũ %d" % time.time_ns()
    total = sum(len(x) for x in want.values())
    try:
        dry = run(server, user["login"], "--from", dovecot.home / "mail", "--into", into, "--dry-run")
        assert dry["imported"] == total and dry["dry_run"] is True
        m = server.imap(user)
        assert m.select(quoted(into))[0] == "NO" # nothing was made
        m.logout()
        got = run(server, user["login"], "--from", dovecot.home / "mail", "--into", into)
        assert (got["imported"], got["already_there"], got["refused"], got["whole"]) == (total, 0, 0, True), got
        assert {b["mailbox"] for b in got["mailboxes"]} == {into} | {into + "/" + f for f in FOLDERS if f != "INBOX"}
        same(server, user, want, into)
        # again: nothing is doubled; what a user changed and removed since stays as it is
        m = server.imap(user)
        m.select(quoted(into))
        uid = m.fetch("1", "(UID)")[1][0].split()[2].rstrip(b")").decode()
        m.uid("STORE", uid, "+FLAGS", r"(\Deleted)")
        assert m.uid("EXPUNGE", uid)[0] == "OK"
        m.store("1", "FLAGS", r"(\Seen)")
        m.logout()
        again = run(server, user["address"], "--from", dovecot.home / "mail", "--into", into)
        assert (again["imported"], again["already_there"]) == (0, total), again
        m = server.imap(user)
        left = contents(m, into)
        assert len(left) == len(want["INBOX"]) - 1 and left[0][0] == {r"\Seen"}
        m.logout()
        # a mail that comes to the old server meanwhile, and another one that is read there
        d = dovecot.imap()
        d.select("INBOX")
        d.store("1:*", "+FLAGS", r"(\Seen)")
        d.append("INBOX", "", imaplib.Time2Internaldate(1700000000), b"Subject: late\r\n\r\nlate\r\n")
        d.logout()
        late = run(server, user["login"], "--from", dovecot.home / "mail", "--into", into)
        assert (late["imported"], late["already_there"]) == (1, total), late
        # the record
        r = server.congvu("audit", "show", "--json", "--match", "store_import")
        assert str(dovecot.home) in r.stdout and '"over_quota"' in r.stdout
    finally:
        clean(server, user, [into, into + "/một", into + "/Kho"] + [into + "/" + f for f in FOLDERS + ["Kho/2024 đã xong"]])
        dovecot.remove()


@NEEDS_DOVECOT
def test_mbox_of_dovecot(server):
    server.wait_up()
    user = server.user("staff", agency="SKHCN")
    # where an mbox is no folder can be
    dovecot, want = made_by_dovecot("mbox:%s/mail:INBOX=%%h/mail/inbox", seed=2, folders=[f.replace("Dự án/", "Kho/") for f in FOLDERS])
    into = "Mbox %d" % time.time_ns()
    try:
        got = run(server, user["login"], "--from", dovecot.home / "mail", "--into", into)
        total = sum(len(x) for x in want.values())
        assert (got["imported"], got["refused"]) == (total, 0), got
        same(server, user, {k: v for k, v in want.items() if v}, into)
        # read there, and some removed: the others are still those that were brought
        d = dovecot.imap()
        d.select("INBOX")
        d.store("1:*", "+FLAGS", r"(\Seen \Answered)")
        d.store("2,5", "+FLAGS", r"(\Deleted)")
        d.expunge()
        left = len(d.search(None, "ALL")[1][0].split())
        d.logout()
        again = run(server, user["login"], "--from", dovecot.home / "mail", "--into", into)
        assert (again["imported"], again["already_there"]) == (0, total - len(want["INBOX"]) + left), again
        # one file by itself, while another program has it locked
        holder = subprocess.Popen(["/usr/bin/python3", "-c", "import fcntl,sys,time;f=open(sys.argv[1],'r+');fcntl.lockf(f,fcntl.LOCK_EX);print(1,flush=True);"
                                   "time.sleep(3)", str(dovecot.home / "mail/inbox")], stdout=subprocess.PIPE)
        holder.stdout.readline()
        one = run(server, user["login"], "--from", dovecot.home / "mail/inbox", "--into", into + "/một")
        assert one["imported"] == left and holder.wait() == 0, one
    finally:
        clean(server, user, [into, into + "/một", into + "/Kho"] + [into + "/" + f for f in FOLDERS + ["Kho/2024 đã xong"]])
        dovecot.remove()


def put(path, octets, when=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(octets)
    if when is not None:
        os.utime(path, (when, when))


def test_tree_of_eml_files(server, tmp_path):
    server.wait_up()
    user = server.user("staff", agency="STC")
    into = "Eml %d" % time.time_ns()
    put(tmp_path / "Hộp/001.eml", b"Received: from a by b; Sat, 21 Nov 2020 08:00:00 +0700\nDate: Fri, 20 Nov 2020 08:00:00 +0700\nSubject: 1\n\nbare\nlines\r\n\n")
    put(tmp_path / "Hộp/002.eml", b"Date: Fri, 20 Nov 2020 08:00:00 -0500\r\nSubject: 2\r\n\r\n\xff\xfe 8 bit \r alone", 1500000000)
    put(tmp_path / "Hộp/sub/md5001.msg", b"Subject: 3\n\nno date", 1500000000)
    put(tmp_path / "Hộp/sub/notes.txt", b"not mail")
    put(tmp_path / "Hộp/sub/outlook.msg", b"\xd0\xcf\x11\xe0 no header at all\nx")
    try:
        got = run(server, user["login"], "--from", tmp_path, "--into", into, code=65)
        assert (got["imported"], got["refused"], got["passed_over"]) == (3, 1, 1), got
        assert got["refused_list"] == [{"where": "Hộp/sub/outlook.msg", "why": "not_a_message"}], got
        m = server.imap(user)
        one, two = contents(m, into + "/Hộp")
        assert one[2] == (b"Received: from a by b; Sat, 21 Nov 2020 08:00:00 +0700\r\nDate: Fri, 20 Nov 2020 08:00:00 +0700\r\nSubject: 1\r\n\r\n"
                          b"bare\r\nlines\r\n\r\n")
        assert time.mktime(one[1]) == 1605920400 and time.mktime(two[1]) == 1605877200
        assert two[2].endswith(b"\r\n\r\n\xff\xfe 8 bit \r alone")
        three = contents(m, into + "/Hộp/sub")
        assert [(x[2], time.mktime(x[1])) for x in three] == [(b"Subject: 3\r\n\r\nno date", 1500000000)]
        m.logout()
    finally:
        clean(server, user, [into, into + "/Hộp", into + "/Hộp/sub"])


def test_hostile_maildir(server, tmp_path):
    """Links, FIFOs, NULs, what is too large, names that a terminal would act on, folders that no mailbox can be called."""
    server.wait_up()
    user = server.user("staff", agency="STC")
    into = "Hostile %d" % time.time_ns()
    md = tmp_path / "md"
    for d in ("cur", "new", "tmp", ".%*\x07x/cur", ".&bad/cur", ".A..B/new", ".link-target/cur", ".Sent\\2e2024/cur"):
        (md / d).mkdir(parents=True)
    good = b"Subject: good %d\n\nx\n"
    put(md / "cur/1600000001.M1P1.h:2,S", good % 1, 1600000001)
    put(md / "cur/1600000002.M1P1.h:2,zZ9,,F", good % 2, 1600000002)
    put(md / "new/1600000003.M1P1.h", good % 3, 1600000003)
    put(md / "cur/bad\x1b]0;name\x07:2,", b"Subject: nul\n\n\0\n")
    put(md / "cur/1600000004.empty:2,", b"")
    (md / "cur/1600000005.link:2,").symlink_to("/etc/shadow")
    os.mkfifo(md / "cur/1600000006.fifo:2,")
    (md / "cur/1600000007.dir:2,").mkdir()
    with open(md / "cur/1600000008.huge:2,", "wb") as f:
        f.truncate(1 << 40)
    os.symlink("/etc", md / ".Etc")
    os.symlink(md / ".link-target", md / ".Linked")
    put(md / ".%*\x07x/cur/1.a:2,", good % 4, 1600000001)
    put(md / ".&bad/cur/1.a:2,", good % 5, 1600000001)
    put(md / ".A..B/new/1.a", good % 6, 1600000001)
    put(md / ".Sent\\2e2024/cur/1.a:2,", good % 7, 1600000001)
    put(md / "dovecot-keywords", b"\0\xff\n99 no\n0 a(b\n25 zed\nx y\n")
    boxes = [into, into + "/___x", into + "/&bad", into + "/A", into + "/A/B", into + "/Sent.2024", into + "/link-target"]
    try:
        got = run(server, user["login"], "--from", md, "--into", into, code=65)
        assert got["imported"] == 7, got
        assert sorted((x["where"], x["why"]) for x in got["refused_list"]) == sorted(
            [("cur/bad\x1b]0;name\x07:2,", "nul"), ("cur/1600000004.empty:2,", "empty"), ("cur/1600000005.link:2,", "symlink"),
             ("cur/1600000006.fifo:2,", "not_a_file"), ("cur/1600000007.dir:2,", "not_a_file"), ("cur/1600000008.huge:2,", "too_large"),
             (".Etc", "symlink"), (".Linked", "symlink")]), got
        m = server.imap(user)
        assert [(x[0], x[2]) for x in contents(m, into)] == [({r"\Seen"}, good.replace(b"\n", b"\r\n") % 1), ({"zed"}, good.replace(b"\n", b"\r\n") % 2),
                                                             (set(), good.replace(b"\n", b"\r\n") % 3)]
        for box, n in ((boxes[1], 4), (boxes[2], 5), (boxes[4], 6), (boxes[5], 7)):
            assert [x[2] for x in contents(m, box)] == [good.replace(b"\n", b"\r\n") % n], box
        m.logout()
        r = server.congvu("mailbox", "import", user["login"], "--from", md, "--into", into)
        assert r.returncode == 65 and "\x1b" not in r.stderr and "\x07" not in r.stderr and "8 refused" in r.stdout, (r.stdout, r.stderr)
    finally:
        clean(server, user, boxes)


def test_what_is_not_there(server, tmp_path):
    user = server.user("staff", agency="STC")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for args, code in ((["--from", tmp_path / "no"], 66), (["--from", tmp_path / "empty"], 64), (["--from", tmp_path / "fifo"], 64), ([], 64),
                       (["--from", tmp_path / "empty", "--format", "zip"], 64)):
        assert server.congvu("mailbox", "import", user["login"], *args, timeout=60).returncode == code, args
    put(tmp_path / "a.eml", b"Subject: x\n\nx\n")
    assert server.congvu("mailbox", "import", "p-nobody-at-all", "--from", tmp_path / "a.eml").returncode == 67
    assert server.congvu("mailbox", "import", "nobody@%s" % server.domain, "--from", tmp_path / "a.eml").returncode != 0


def big_maildir(folder, n, seed):
    rng = random.Random(seed)
    for d in ("cur", "new", "tmp", ".Kho/cur"):
        (folder / d).mkdir(parents=True)
    want = {"INBOX": [], "Kho": []}
    for i in range(n):
        mail = letter(rng, i)
        box = "Kho" if i % 3 == 0 else "INBOX"
        flags = "".join(x for x in "DFRST" if rng.random() < 0.3)
        put(folder / (".Kho/cur" if box == "Kho" else "cur") / ("%d.M%dP1.host:2,%s" % (1600000000 + i, i, flags)), mail, 1600000000 + i)
        names = {"D": r"\Draft", "F": r"\Flagged", "R": r"\Answered", "S": r"\Seen", "T": r"\Deleted"}
        want[box].append(({names[x] for x in flags}, time.localtime(1600000000 + i), mail))
    return want


class Progress:
    """How many messages are in some mailboxes, whatever was killed a moment ago."""

    def __init__(self, server, user, boxes):
        self.server, self.user, self.boxes, self.m = server, user, boxes, None

    def count(self):
        try:
            if self.m is None:
                self.m = self.server.imap(self.user)
            n = 0
            for box in self.boxes:
                status, data = self.m.status(quoted(box), "(MESSAGES)")
                n += int(re.search(rb"MESSAGES (\d+)", data[0]).group(1)) if status == "OK" else 0
            return n
        except (OSError, imaplib.IMAP4.error):
            self.m = None
            return 0

    def wait(self, n, p):
        """Until there are n messages; False when the program p ended before."""
        end = time.monotonic() + 60
        while self.count() < n:
            assert time.monotonic() < end
            if p.poll() is not None:
                return False
        return p.poll() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_killed_and_resumed(server, tmp_path):
    """kill -9 of the import itself, of ingest and of stored, again and again, until all of it is there: each message once."""
    server.wait_up()
    rng = random.Random(7)
    user = server.user("staff", agency="SKHCN")
    into = "Killed %d" % time.time_ns()
    turns, total = 12, 3000
    want = big_maildir(tmp_path / "all", total, 3)
    md = tmp_path / "md"
    for d in ("cur", "new", "tmp", ".Kho/cur"):
        (md / d).mkdir(parents=True)
    later = sorted((f.name, f) for f in (tmp_path / "all").rglob("*") if f.is_file())
    boxes = [into, into + "/Kho"]
    progress = Progress(server, user, boxes)
    argv = [str(server.prefix / "bin/congvu"), "-c", str(server.conf), "mailbox", "import", user["login"], "--from", str(tmp_path / "md"), "--into", into,
            "--json"]
    kills = {"itself": 0, "congvu-ingest": 0, "congvu-stored-db": 0}
    there = 0
    try:
        for turn in range(40):
            for _, f in later[: total // turns]:  # so that each kill meets messages that are being brought
                f.rename(md / f.relative_to(tmp_path / "all"))
            del later[: total // turns]
            before = progress.count()
            p = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            if turn < turns:
                what = list(kills)[turn % 3]
                if progress.wait(before + rng.randint(1, 60), p):
                    kills[what] += 1
                    if what == "itself":
                        p.kill()
                    else:
                        for pid in server.processes(what):
                            os.kill(pid, signal.SIGKILL)
            out = p.communicate(timeout=240)[0]
            if p.returncode == 0:
                got = json.loads(out)
                assert got["imported"] + got["already_there"] == total - len(later) and got["refused"] == 0, got
                there = got["already_there"]
                if turn >= turns:
                    break
            else:
                assert p.returncode in (-signal.SIGKILL, 75), (p.returncode, out)
        assert there == total and min(kills.values()) >= 2, kills
        server.wait_up()
        m = server.imap(user)
        for box, name in (("INBOX", into), ("Kho", into + "/Kho")):
            assert seen(contents(m, name)) == seen(want[box])
        m.logout()
        r = server.congvu("store", "check", "--json", timeout=120)
        assert r.returncode == 0, r.stdout + r.stderr
    finally:
        server.wait_up()
        clean(server, user, boxes)


@NEEDS_DOVECOT
def test_maildir_that_is_delivered_into(server, tmp_path):
    """Its own programs deliver, read and file while it is imported: what was there is brought once, and the last run has the rest."""
    server.wait_up()
    user = server.user("staff", agency="STC")
    into = "Busy %d" % time.time_ns()
    md = tmp_path / "md"
    for d in ("cur", "new", "tmp"):
        (md / d).mkdir(parents=True)
    stop = threading.Event()
    made = []

    def busy():
        i = 0
        while not stop.is_set() and i < 3000:
            name = "%d.M%dP1.host" % (1600000000 + i, i)
            put(md / "tmp" / name, b"Subject: busy %d\r\n\r\nx\r\n" % i)
            (md / "tmp" / name).rename(md / "new" / name)
            made.append(i)
            if i >= 20:
                old = "%d.M%dP1.host" % (1600000000 + i - 20, i - 20)
                (md / "new" / old).rename(md / "cur" / (old + ":2,"))
            if i >= 40:
                old = "%d.M%dP1.host:2," % (1600000000 + i - 40, i - 40)
                (md / "cur" / old).rename(md / "cur" / (old + "S"))
            i += 1
            time.sleep(0.001)

    t = threading.Thread(target=busy)
    t.start()
    try:
        brought = 0
        for _ in range(3):
            r = server.congvu("mailbox", "import", user["login"], "--from", md, "--into", into, "--json", timeout=120)
            assert r.returncode in (0, 65), r.stderr
            brought += json.loads(r.stdout)["imported"]
        stop.set()
        t.join()
        last = run(server, user["login"], "--from", md, "--into", into)
        assert brought > 0 and brought + last["imported"] == len(made) == last["imported"] + last["already_there"], (brought, last, len(made))
        m = server.imap(user)
        assert sorted(x[2] for x in contents(m, into)) == sorted(b"Subject: busy %d\r\n\r\nx\r\n" % i for i in made)
        m.logout()
    finally:
        stop.set()
        t.join()
        clean(server, user, [into])


def restore(server, *args, code=0):
    r = server.congvu("store", "restore", *args, "--json", timeout=300)
    assert r.returncode == code, (r.returncode, r.stdout[-2000:], r.stderr[-2000:])
    return json.loads(r.stdout) if r.stdout.strip() else r.stderr


def with_uids(m, folder):
    assert m.select(quoted(folder), readonly=True)[0] == "OK"
    return m.uid("SEARCH", "ALL")[1][0].split()


def attachment(raw):
    octets = base64.encodebytes(raw).replace(b"\n", b"\r\n")
    return (b"From: a@x.example\r\nSubject: large\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n\r\ntext\r\n--q\r\n"
            b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + octets + b"--q--\r\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_one_folder_out_of_a_backup(server, tmp_path):
    """A clerk deletes a folder and what is below it, and the store forgets it; the officer takes it from the backup, and nothing else is touched."""
    server.wait_up()
    rng = random.Random(11)
    user, other = server.user("staff", agency="SKHCN"), server.user("staff", agency="STC")
    top = "Dự án %d" % time.time_ns()
    folders = [top, top + "/con", top + "/con/cháu"]
    beside = top + " khác"
    raw = rng.randbytes(300000)
    large = attachment(raw)
    m = server.imap(user)
    for f in folders + [beside]:
        fill(m, f, [letter(rng, i) for i in range(30)] + [large, large.replace(b"text", b"forwarded")], rng)
    # one that came by mail: what delivery wrote above it belongs to it
    mid = client.new_id(server.domain)
    mail = client.header(client.address(other["name"], other["address"]), [user["address"]], "Đến bằng thư", mid) + client.text_part("x\n")
    server.submit(other, other["address"], [user["address"]], mail)
    assert server.fetch(user, mid) is not None
    m.select("INBOX")
    uid = m.uid("SEARCH", "HEADER", "Message-ID", '"%s"' % mid)[1][0].split()[0]
    assert m.uid("MOVE", uid, quoted(top))[0] == "OK"
    want = {f: contents(m, f) for f in folders + [beside]}
    for messages in want.values():
        for flags, _, _ in messages:
            flags.discard(r"\Deleted")  # would go again with the next EXPUNGE
    assert any(b"Delivered-To:" in x[2] or b"Received:" in x[2] for x in want[top])
    folder = tmp_path / "backup"
    assert server.congvu("store", "backup", folder, timeout=120).returncode == 0
    for f in reversed(folders):
        assert m.delete(quoted(f))[0] == "OK"
    untouched = [(f, with_uids(m, f), contents(m, f)) for f in (beside, "INBOX")]
    try:
        # retention is over, and the store has dropped what nothing names (terms are of whole seconds, and looked at when an account is read)
        time.sleep(2.5)
        with changed(server, undelete_days=0, collect_grace_s=0, compact_below=100):
            end = time.monotonic() + 20
            while True:
                gone = json.loads(server.congvu("mailbox", "deleted", user["login"], "--json").stdout)
                if not [x for x in gone["messages"] if x["mailbox"] in folders] or time.monotonic() > end:
                    break
                time.sleep(0.2)
            assert not [x for x in gone["messages"] if x["mailbox"] in folders]
            for what in ("collect", "compact"):
                assert server.congvu("store", what, timeout=120).returncode == 0
        m = server.imap(user)
        # what is not in the backup
        restore(server, folder, "--mailbox", user["login"] + "/không có", code=67)
        said = server.congvu("store", "restore", folder, "--mailbox", user["login"] + "/không có").stderr
        assert "has no such account or mailbox" in said and "corrupt" not in said, said
        restore(server, folder, "--mailbox", user["login"] + "/" + top, "--into", "a", "--own-name", code=64)
        dry = restore(server, folder, "--mailbox", user["login"] + "/" + top, "--own-name", "--dry-run")
        assert dry["imported"] == 3 * 32 + 1 and m.select(quoted(top))[0] == "NO"
        # killed in the middle, then again
        argv = [str(server.prefix / "bin/congvu"), "-c", str(server.conf), "store", "restore", str(folder), "--mailbox", user["login"] + "/" + top, "--own-name"]
        for pause in (0.3, 0.5, 0.7):
            p = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(pause)
            p.kill()
            p.wait()
        got = restore(server, folder, "--mailbox", user["login"] + "/" + top, "--own-name")
        assert got["imported"] + got["already_there"] == 97 and got["refused"] == 0 and got["whole"] is True, got
        for f in folders:
            now = contents(m, f)
            assert seen(now) == seen(want[f]), f
            assert [x[2] for x in now] == [x[2] for x in want[f]], f
        for f, uids, messages in untouched:
            assert with_uids(m, f) == uids and seen(contents(m, f)) == seen(messages), f
        # again: nothing twice; what is lost anew comes again
        again = restore(server, folder, "--mailbox", user["address"] + "/" + top, "--own-name")
        assert (again["imported"], again["already_there"]) == (0, 97), again
        assert m.select(quoted(top))[0] == "OK"
        for uid in with_uids(m, top)[:3]:
            m.select(quoted(top))
            m.uid("STORE", uid, "+FLAGS", r"(\Deleted)")
            m.uid("EXPUNGE", uid)
        again = restore(server, folder, "--mailbox", user["login"] + "/" + top, "--own-name")
        assert (again["imported"], again["already_there"]) == (3, 94), again
        assert seen(contents(m, top)) == seen(want[top])
        # beside what is there: below "Restored", or where it is told to go; a mailbox that was never lost is not mixed with its own past
        there = restore(server, folder, "--mailbox", user["login"] + "/" + beside, "--own-name", code=65)
        assert there["refused_list"][0]["why"] == "mailbox_there" and there["imported"] == 0, there
        below = restore(server, folder, "--mailbox", user["login"] + "/" + beside)
        assert [b["mailbox"] for b in below["mailboxes"]] == ["Restored/" + beside]
        assert seen(contents(m, "Restored/" + beside)) == seen(want[beside])
        into = restore(server, folder, "--mailbox", user["login"] + "/" + top, "--into", top + "/cũ")
        assert {b["mailbox"] for b in into["mailboxes"]} == {top + "/cũ", top + "/cũ/con", top + "/cũ/con/cháu"}
        assert seen(contents(m, top + "/cũ/con/cháu")) == seen(want[folders[2]])
        r = server.congvu("audit", "show", "--json", "--match", "store_restore")
        assert str(folder) in r.stdout and top in r.stdout
        # nothing is left of the scratch folders, those of runs that were killed included
        assert list((server.dir / "var").glob("mailbox.restoring-*")) == []
        # an attachment that is damaged in the backup costs the messages it is in, and no other
        hit = [p for p in (folder / "segments").iterdir() if raw[1000:1100] in p.read_bytes()]
        assert hit
        for p in hit:
            p.write_bytes(p.read_bytes().replace(raw[1000:1100], raw[1001:1101]))
        bad = restore(server, folder, "--mailbox", user["login"] + "/" + top, "--into", top + "/hỏng", code=65)
        assert {x["why"] for x in bad["refused_list"]} == {"damaged"} and (bad["imported"], bad["refused"]) == (91, 6), bad
        # rows that are not those of the manifest: nothing of them is believed
        rows = next(folder.glob("rows-*"))
        data = bytearray(rows.read_bytes())
        data[len(data) // 2] ^= 1
        rows.write_bytes(data)
        r = server.congvu("store", "restore", folder, "--mailbox", user["login"] + "/" + top, "--into", top + "/x", "--json")
        assert r.returncode == 65 and "rows" in r.stderr and json.loads(r.stdout)["imported"] == 0, (r.stdout, r.stderr)
        assert m.select(quoted(top + "/x"))[0] == "NO"
    finally:
        m.select("INBOX")
        names = [x.decode().rsplit('"/" ', 1)[1].strip('"') for x in m.list()[1]]
        for name in sorted(names, reverse=True):
            if mutf7(top) in name or name == "Restored":
                m.delete('"%s"' % name)
        m.logout()
