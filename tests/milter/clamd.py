#!/usr/bin/python3
"""The real filter beside Debian's clamd, with signatures of our own (a .hdb and an .ndb made here; nothing is downloaded): found, clean, too large for it,
past its limits, away, stopped, started anew."""

import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run  # noqa: E402

SAMPLE = b"A file of these octets alone is what the tests call malware.\r\n" * 3
PATTERN = b"CONGVU-TEST-PATTERN-THAT-IS-NOWHERE-ELSE"
STREAM_MAX = 200 << 10


class Clamd:
    """Debian's, in the foreground, in a folder of its own that anybody may enter, as user_milter must reach its socket."""

    def __init__(self, folder):
        self.folder, self.sock = folder, folder / "clamd.sock"
        folder.chmod(0o755)
        (folder / "db").mkdir()
        (folder / "db/own.hdb").write_text("%s:%d:Congvu.Test.File\n" % (hashlib.md5(SAMPLE).hexdigest(), len(SAMPLE)))
        (folder / "db/own.ndb").write_text("Congvu.Test.Pattern:0:*:%s\n" % PATTERN.hex())
        (folder / "clamd.conf").write_text("""LocalSocket %s\nLocalSocketMode 666\nDatabaseDirectory %s\nForeground yes\nLogFile %s
AlertExceedsMax yes\nStreamMaxLength %dK\nMaxFiles 20\nMaxThreads 2\n""" % (self.sock, folder / "db", folder / "log", STREAM_MAX >> 10))
        self.start()

    def start(self):
        self.proc = subprocess.Popen(["clamd", "-c", str(self.folder / "clamd.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                     preexec_fn=run.end_with_us)
        for _ in range(300):
            if self.sock.exists():
                return
            assert self.proc.poll() is None, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        raise AssertionError("clamd does not start: " + (self.folder / "log").read_text()[-2000:])

    def stop(self, how=signal.SIGTERM):
        self.proc.send_signal(how)
        self.proc.wait(20)

    def scanned(self):
        return (self.folder / "log").read_text().count("instream(local)")


def text(body):
    return b"From: dan@citizen.example\r\nSubject: x\r\n\r\n" + body + b"\r\n"


def said(m, qid, raw):
    cmd, data = run.Client(m.sock).message(qid, raw, login="")
    r = [r for r in run.read_log(m.log) if r["event"] == "verdict" and r["qid"] == qid][-1]
    return cmd + b" " + data, r["decision"]["action"], r["decision"].get("rule", ""), {n["id"]: n["detail"] for n in r["findings"]}


def clean(m, clamd):
    cmd, action, rule, notes = said(m, "clean", run.attachment("ghi-chu.txt", b"Kinh gui\r\n", "text/plain"))
    assert cmd[:1] == b"c" and (action, rule) == ("accept", "") and not [n for n in notes if n.startswith("clamd")], (cmd, notes)


def found(m, clamd):
    """A whole file inside an attachment by its hash, a pattern in the text: refused, and the refusal names what it was."""
    for qid, raw, name in (("file", run.attachment("a.txt", SAMPLE), "Congvu.Test.File"), ("text", text(PATTERN), "Congvu.Test.Pattern"),
                           ("zip", run.attachment("a.zip", run.zipped(("b.txt", b"x" * 5000 + PATTERN)), "application/zip"), "Congvu.Test.Pattern")):
        n = clamd.scanned()
        cmd, action, rule, notes = said(m, qid, raw)
        assert cmd.startswith(b"y 550 5.7.1 M13 ") and name.encode() in cmd and (action, rule) == ("reject", "M13"), (qid, cmd, notes)
        assert notes["clamd_found"] == name + ".UNOFFICIAL" and clamd.scanned() > n, (qid, notes)


def never_clean(m, clamd):
    """More than StreamMaxLength, which it breaks off at, with the pattern behind; more files than it looks into: a person decides."""
    small = text(PATTERN + b"\r\n" + (b"y" * 70 + b"\r\n") * 2000)
    assert len(small) < STREAM_MAX and said(m, "below", small)[2] == "M13"
    large = text((b"y" * 70 + b"\r\n") * (STREAM_MAX // 72 + 2000) + PATTERN)
    cmd, action, rule, notes = said(m, "large", large)
    assert (action, rule) == ("quarantine", "M06") and notes["clamd_unscanned"].startswith("INSTREAM size limit exceeded"), (cmd, notes)
    assert "Size limit reached" in (clamd.folder / "log").read_text()
    many = run.zipped(*[("%d.txt" % i, b"%d" % i * 50) for i in range(60)])
    cmd, action, rule, notes = said(m, "many", run.attachment("a.zip", many, "application/zip"))
    assert (action, rule) == ("quarantine", "M06") and notes["clamd_unscanned"].startswith("Heuristics.Limits.Exceeded"), (cmd, notes)


def stopped(m, clamd):
    """It is there and does not answer, not even to PING: deferred, and the filter serves on."""
    os.kill(clamd.proc.pid, signal.SIGSTOP)
    try:
        t0 = time.monotonic()
        assert said(m, "stopped", text(b"x"))[0].startswith(b"y 451 4.7.1 T07 ") and time.monotonic() - t0 < 8
    finally:
        os.kill(clamd.proc.pid, signal.SIGCONT)
    assert said(m, "going", text(b"x"))[1] == "accept"


def away_and_back(m, clamd):
    """Ended, killed, started anew with another signature: deferred while it is away, and the next mail is seen by the new one."""
    clamd.stop()
    assert said(m, "ended", text(b"x"))[0].startswith(b"y 451 4.7.1 T07 ")
    clamd.start()
    assert said(m, "again", text(b"x"))[1] == "accept" and said(m, "again-found", text(PATTERN))[2] == "M13"
    clamd.stop(signal.SIGKILL)
    assert said(m, "killed", text(b"x"))[0].startswith(b"y 451 4.7.1 T07 ")
    clamd.sock.unlink()  # it leaves it behind
    with open(clamd.folder / "db/own.ndb", "a") as f:
        f.write("Congvu.Test.New:0:*:%s\n" % b"congvu-test-another-pattern".hex())
    clamd.start()
    cmd, _, rule, notes = said(m, "new", text(b"congvu-test-another-pattern"))
    assert rule == "M13" and notes["clamd_found"].startswith("Congvu.Test.New"), (cmd, notes)


def main():
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if shutil.which("clamd") is None:
        print("[  SKIPPED ] 1 test(s): there is no clamd (Debian's clamav-daemon)")
        return 77
    beside = pathlib.Path(tempfile.mkdtemp(prefix="cv-clamd-"))
    m = clamd = None
    with run.folder("cv-clamd-test-") as root:
        try:
            (root / "i").mkdir()
            clamd = Clamd(beside)
            m = run.Milter(root / "i", root / "certs", clamd_socket=str(clamd.sock), clamd_timeout_ms="3000")
            os.chdir(root / "i/run")
            for fn in (clean, found, never_clean, stopped, away_and_back):
                run.check(fn.__name__, lambda fn=fn: fn(m, clamd))
            if run.failed:
                print((root / "i/log").read_text()[-4000:], (beside / "log").read_text()[-3000:])
        finally:
            if m is not None:
                m.stop()
            if clamd is not None and clamd.proc.poll() is None:
                clamd.stop()
            shutil.rmtree(beside, ignore_errors=True)
    return run.sums()


if __name__ == "__main__":
    sys.exit(main())
