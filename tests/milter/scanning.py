#!/usr/bin/python3
"""What happens when a scanner dies, hangs or runs out of time over a mail:
the real filter, scanners and ledger. A mail that no scanner gets
through with is judged (M06), not deferred for ever; one whose scanner somebody killed is scanned again. Then a
virus scanner beside it: what it finds is refused, what it did not look at is never clean."""

import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run  # noqa: E402

PLAIN = b"From: dan@citizen.example\r\nSubject: x\r\n\r\nKinh gui\r\n"
LARGE = 40 << 20
BIG = b"From: dan@citizen.example\r\nSubject: x\r\n\r\n" + (b"Kinh gui " * 8 + b"\r\n") * (LARGE // 74)
SCAN = "congvu-milter-scan"


def verdict(m, qid):
    return [r for r in run.read_log(m.log) if r["event"] == "verdict" and r["qid"] == qid][-1]


def send_behind(m, qid, raw):
    """A message under way in a thread; its answer comes in the list."""
    got = []
    t = threading.Thread(target=lambda: got.append(run.Client(m.sock).message(qid, raw, login="")))
    t.start()
    return t, got


def has_the_large_one(pid):
    """Whether that scanner is at work on a large message: it has it mapped."""
    try:
        maps = pathlib.Path("/proc/%d/maps" % pid).read_text()
    except OSError:
        return False
    for line in maps.splitlines():
        if "memfd:" in line:
            first, _, last = line.split()[0].partition("-")
            if int(last, 16) - int(first, 16) > LARGE // 2:
                return True
    return False


class Poison:
    """While it lasts: what a scanner dies of (or hangs in), so many times, is a large message."""

    def __init__(self, m, times, what=signal.SIGKILL):
        self.m, self.times, self.what, self.done, self.stop = m, times, what, [], threading.Event()
        self.thread = threading.Thread(target=self.work)

    def work(self):
        while not self.stop.is_set() and len(self.done) < self.times:
            for pid in self.m.pids(SCAN):
                if pid not in self.done and has_the_large_one(pid):
                    os.kill(pid, self.what)
                    self.done.append(pid)
            time.sleep(0.002)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *args):
        self.stop.set()
        self.thread.join()
        if self.what == signal.SIGSTOP:
            for pid in self.done:
                try:
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:
                    pass


def held_by_m06(m, qid):
    c = run.Client(m.sock)
    cmd, _ = c.message(qid, BIG, login="")
    r = verdict(m, qid)
    assert cmd == b"c" and b"q" in c.edits, (cmd, c.edits, r["decision"])
    assert (r["decision"]["action"], r["decision"]["rule"]) == ("quarantine", "M06"), r["decision"]
    assert run.Client(m.sock).message(qid + "-after", PLAIN, login="")[0] == b"c"
    return r


def killed_once(m):
    """A scanner that is killed while it has a mail: the mail goes to another, and passes."""
    pids = m.pids(SCAN)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    t, got = send_behind(m, "killed-once", PLAIN)
    # the filter waits for an answer that does not come: then they die of something else
    time.sleep(0.4)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    t.join(30)
    assert got and got[0][0] == b"c", got
    assert verdict(m, "killed-once")["decision"]["action"] == "accept"


def dies_of_its_contents(m):
    """Two scanners die of a mail: it is judged by its structure, as not inspected."""
    with Poison(m, 2) as poison:
        r = held_by_m06(m, "contents")
    assert len(poison.done) == 2 and r["parts"][0]["size"] > LARGE // 2 and "limit" in r["parts"][0]["flags"], r["parts"]


def hangs(m):
    """A scanner that hangs is not waited for twice."""
    t0 = time.time()
    with Poison(m, 1, signal.SIGSTOP) as poison:
        r = held_by_m06(m, "hangs")
    assert len(poison.done) == 1 and time.time() - t0 < 8 and "limit" in r["parts"][0]["flags"], r["parts"]


def dies_of_all(m):
    """Nobody gets through with it, even without its contents: a person decides, and no rule says what nobody could see."""
    with Poison(m, 1000) as poison:
        r = held_by_m06(m, "all")
    assert len(poison.done) == 3, poison.done
    assert [n["id"] for n in r["findings"] if n["id"] == "scan_failed"] and not [n for n in r["findings"] if n["id"][0] == "P"], r["findings"]


def documents_in_the_sandbox(m):
    """What inside_test looks into, through the real scanner: its libraries do their work where there are no files and few calls, and no scanner dies."""
    folder = m.root / "inside"
    folder.mkdir()
    subprocess.run([sys.executable, str(run.SRC / "tests/unit/inside_make.py"), str(folder)], check=True)
    pids = sorted(m.pids(SCAN))
    rows = [line.split("\t") for line in (folder / "cases.tsv").read_text().splitlines()]
    # the sandbox is what is tested here, not what is too large
    rows = [r for r in rows if (folder / r[0]).stat().st_size < 1 << 20]
    c = run.Client(m.sock)
    for path, name, rule, *_ in rows:
        c.message("inside-" + path, run.attachment(name, (folder / path).read_bytes()), login="")
    got = {r["qid"]: r["decision"]["rule"] for r in run.read_log(m.log) if r["event"] == "verdict" and r["qid"].startswith("inside-")}
    wrong = [(name, got.get("inside-" + path), rule) for path, name, rule, *_ in rows if got.get("inside-" + path) != (rule if rule != "ok" else "")]
    assert len(rows) > 60 and not wrong, wrong
    assert sorted(m.pids(SCAN)) == pids, "a scanner died"


# ---- clamd ----

class Clamd(threading.Thread):
    """Speaks clamd's protocol on a local socket; what it answers stands in the mail: X-Fake: ..."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.seen = path, []
        self.s = socket.socket(socket.AF_UNIX)
        self.s.bind(str(path))
        os.chmod(path, 0o666)
        self.s.listen(20)
        self.start()

    def run(self):
        while True:
            try:
                c, _ = self.s.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        f = c.makefile("rb")
        with c, f:
            command = f.read(6)
            if command == b"zPING\0":
                c.sendall(b"PONG\0")
                return
            assert command + f.read(4) == b"zINSTREAM\0"
            data = b""
            while True:
                n, = struct.unpack(">I", f.read(4))
                piece = f.read(n)
                assert len(piece) == n
                data += piece
                if b"X-Fake: early" in data:
                    c.sendall(b"INSTREAM size limit exceeded. ERROR\0")
                    return
                if n == 0:
                    break
            self.seen.append(data)
            how = data.partition(b"X-Fake: ")[2].partition(b"\r\n")[0]
            if how == b"slow":
                time.sleep(3)
            if how != b"silent":
                answers = {b"found": b"stream: Win.Test.EICAR_HDB-1 FOUND\0", b"limit": b"stream: Heuristics.Limits.Exceeded.MaxScanSize FOUND\0",
                           b"bidi": b"stream: a\xe2\x80\xae\r\n550 b FOUND\0", b"odd": b"stream: OKAY\0", b"part": b"stream: O"}
                self.answer(c, answers.get(how, b"stream: OK\0"))

    @staticmethod
    def answer(c, text):
        try:
            c.sendall(text)
        except BrokenPipeError:
            pass  # not waited for any more

    def close(self):
        self.s.shutdown(socket.SHUT_RDWR)
        self.s.close()
        self.path.unlink()


def faked(how, more=b""):
    return b"From: dan@citizen.example\r\nSubject: x\r\nX-Fake: " + how + b"\r\n\r\nKinh gui\r\n" + more


def said(m, qid, raw):
    cmd, data = run.Client(m.sock).message(qid, raw, login="")
    r = verdict(m, qid)
    return cmd + b" " + data, r["decision"]["action"], r["decision"].get("rule", ""), {n["id"]: n["detail"] for n in r["findings"]}


def clamd_clean(m):
    """It gets the message as it is, whole, and what it finds nothing in passes."""
    raw = faked(b"ok", b"x" * 200000 + b"\r\n")
    cmd, action, _, notes = said(m, "clean", raw)
    assert cmd[:1] == b"c" and action == "accept" and not [n for n in notes if n.startswith("clamd")], (cmd, notes)
    assert m.clamd.seen[-1] == raw, (len(m.clamd.seen[-1]), len(raw))


def clamd_found(m):
    cmd, action, rule, notes = said(m, "found", faked(b"found"))
    assert cmd.startswith(b"y 550 5.7.1 M13 ") and b"Win.Test.EICAR_HDB-1" in cmd and action == "reject" and rule == "M13", cmd
    assert notes["clamd_found"] == "Win.Test.EICAR_HDB-1", notes
    # its words cannot write lines of ours
    cmd, action, rule, notes = said(m, "bidi", faked(b"bidi"))
    assert rule == "M13" and notes["clamd_found"] == "a?????550 b", notes


def clamd_never_clean(m):
    """Too large for us, too large for it, past its limits, late, or it breaks off and lives: a person decides. Unknown words: later again."""
    n = len(m.clamd.seen)
    assert said(m, "large", faked(b"ok", b"x" * 400000))[1:3] == ("quarantine", "M06")
    assert len(m.clamd.seen) == n, "it was given what is too large for it"
    for how in (b"limit", b"early", b"slow", b"part", b"silent"):
        got = said(m, "limit", faked(how, b"x" * 200000))
        assert got[1:3] == ("quarantine", "M06") and "clamd_unscanned" in got[3], (how, got)
    got = said(m, "later", faked(b"odd"))
    assert got[0].startswith(b"y 451 4.7.1 T07 ") and got[1] == "tempfail", got


def clamd_down(m):
    """Not there: deferred; as the site says otherwise, held or accepted with a note; and back when it is back."""
    path = m.clamd.path
    m.clamd.close()
    assert said(m, "down", faked(b"ok"))[0].startswith(b"y 451 4.7.1 T07 ")
    m.clamd = Clamd(path)
    assert said(m, "up", faked(b"ok"))[1] == "accept"
    m.clamd.close()
    conf = m.root / "etc/congvu.conf"
    text = conf.read_text()
    for how, want in (("hold", ("quarantine", "M06")), ("accept", ("accept", ""))):
        m.stop()
        conf.write_text(text + 'clamd_on_failure = "%s"\n' % how)
        m.start()
        got = said(m, "down-" + how, faked(b"ok"))
        assert got[1:3] == want and ("clamd_down" in got[3]) == (how == "accept"), got


def no_time_left(root, certs, clamd):
    """The scanner took so long that clamd has less time than it may take, and does not answer in it: nobody's fault, so the mail comes again, whatever the
    site says of a clamd that is away. What our scanner did not get through with is held as ever: it would be as slow again."""
    stall, slow = [fault + faked(b"slow") for fault in (b"X-Test-Fault: stall\r\n", b"X-Test-Fault: loop\r\n")]
    running, answers = [], {}
    try:
        for how in ("tempfail", "hold", "accept"):
            (root / how).mkdir()
            running.append(run.Milter(root / how, certs, scan=run.BUILD / "tests/milter/scan_faults", milter_scan_timeout_ms="17000",
                                      clamd_socket=str(clamd.path), clamd_timeout_ms="5000", clamd_on_failure=how))
        jobs = [(m, how, raw) for m in running for how, raw in (("stall", stall), ("loop", slow))]
        # a scan that is quick leaves all of the time: three seconds are not too long then
        assert said(running[1], "quick", faked(b"slow"))[1] == "accept"

        def one(m, how, raw):
            answers[m.root.name, how] = said(m, how, raw)

        threads = [threading.Thread(target=one, args=job) for job in jobs]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        for m in running:
            m.stop()
    assert len(answers) == 6, answers
    for (site, how), (cmd, action, rule, notes) in answers.items():
        if how == "stall":
            assert cmd.startswith(b"y 451 4.7.1 T07 ") and (action, rule) == ("tempfail", "T07"), (site, cmd, notes)
        else:
            assert (action, rule) == ("quarantine", "M06") and "clamd_unscanned" in notes, (site, cmd, notes)
    assert (root / "hold/log").read_text().count("the mail's time was used up before it") == 1


def main():
    with run.folder("cv-scanning-") as root, tempfile.TemporaryDirectory(prefix="cv-clamd-") as beside:
        certs, beside = root / "certs", pathlib.Path(beside)
        (root / "d").mkdir()
        # how fast it is, is not what is tested here
        m = run.Milter(root / "d", certs, milter_scan_timeout_ms="30000")
        os.chdir(root / "d/run")
        run.check("documents_in_the_sandbox", lambda: documents_in_the_sandbox(m))
        m.stop()
        (root / "i").mkdir()
        m = run.Milter(root / "i", certs, milter_scan_timeout_ms="1000")
        os.chdir(root / "i/run")
        for fn in (killed_once, dies_of_its_contents, hangs, dies_of_all):
            run.check(fn.__name__, lambda fn=fn: fn(m))
        m.stop()
        (root / "c").mkdir()
        # the roles may not enter the test's own folder
        beside.chmod(0o755)
        clamd = Clamd(beside / "clamd.sock")
        m = run.Milter(root / "c", certs, clamd_socket=str(clamd.path), clamd_max_bytes="300000", clamd_timeout_ms="600")
        m.clamd = clamd
        os.chdir(root / "c/run")
        for fn in (clamd_clean, clamd_found, clamd_never_clean, clamd_down):
            run.check(fn.__name__, lambda fn=fn: fn(m))
        m.stop()
        m.clamd = Clamd(beside / "second.sock")
        os.chdir(root)
        run.check("no_time_left", lambda: no_time_left(root, certs, m.clamd))
        if run.failed:
            print((root / "i/log").read_text()[-8000:])
    return run.sums()


sys.exit(main())
