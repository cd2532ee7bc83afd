#!/usr/bin/python3
"""What happens when a scanner dies, hangs or runs out of time over a mail:
the real filter, scanners and ledger. A mail that no scanner gets
through with is judged (M06), not deferred for ever; one whose scanner somebody killed is scanned again."""

import os
import pathlib
import shutil
import signal
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


def main():
    root = pathlib.Path(tempfile.mkdtemp(prefix="cv-scanning-"))
    try:
        certs = root / "certs"
        certs.mkdir()
        subprocess.run(["sh", str(run.SRC / "tests/unit/smime_certs.sh"), str(certs)], check=True)
        (root / "i").mkdir()
        m = run.Milter(root / "i", certs, milter_scan_timeout_ms="1000")
        os.chdir(root / "i/run")
        for fn in (killed_once, dies_of_its_contents, hangs, dies_of_all):
            run.check(fn.__name__, lambda fn=fn: fn(m))
        m.stop()
        if run.failed:
            print((root / "i/log").read_text()[-8000:])
    finally:
        os.chdir("/")
        if os.environ.get("CV_KEEP"):
            print("# kept: %s" % root)
        else:
            shutil.rmtree(root, ignore_errors=True)
    if run.passed:
        print("[  PASSED  ] %d test(s)." % run.passed)
    if run.failed:
        print("[  FAILED  ] %d test(s)." % run.failed)
    return 1 if run.failed else 0


sys.exit(main())
