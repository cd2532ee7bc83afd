#!/usr/bin/python3
"""The audit log's checkpoints from end to end: the real filter, ledger and milter-sign, a socket that plays syslog, and openssl and sha256 as
the third party that believes neither."""

import base64
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run  # noqa: E402

MAIL = b"Subject: x\r\nFrom: dan@citizen.example\r\n\r\nXin chao\r\n"


def make_key(path):
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path], check=True, capture_output=True)
    os.chmod(path, 0o600)
    subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-out", path.with_name("audit-public.pem")], check=True)


class Site:
    def __init__(self, root, certs, key=True, **options):
        self.root = root
        root.mkdir()
        self.public = root / "kept/audit-public.pem"
        (root / "kept").mkdir()
        if key:
            make_key(root / "kept/audit.key")
        # a socket for a datagram has a short name, and anybody may write to it
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cv-syslog-"))
        self.folder.chmod(0o755)
        self.listen()
        self.certs, self.options = certs, dict(audit_syslog=str(self.folder / "s"), **options)

    def listen(self):
        self.syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.syslog.settimeout(10)
        self.syslog.bind(str(self.folder / "s"))
        os.chmod(self.folder / "s", 0o666)

    def start(self):
        self.m = run.Milter(self.root, self.certs, audit_key_file="../kept/audit.key", **self.options)
        self.log = self.m.log
        os.chdir(self.root / "run")
        return self

    def mail(self, n=1):
        c = run.Client(self.m.sock)
        for i in range(n):
            cmd, data = c.message("C%d" % i, MAIL, login="")
            assert cmd in b"ac", (cmd, data)

    def records(self, event=None):
        return [r for r in run.read_log(self.log) if event in (None, r["event"])]

    def wait(self, what, seconds=15):
        end = time.monotonic() + seconds
        while True:
            got = what()
            if got:
                return got
            assert time.monotonic() < end, "waited in vain; the log: %s" % (self.root / "log").read_text()[-2000:]
            time.sleep(0.05)

    def text(self):
        return (self.root / "log").read_text()

    def stop(self):
        os.chdir("/")
        self.m.stop()
        shutil.rmtree(self.folder)


def openssl_says(site, rec):
    """Whether openssl finds the signature of a checkpoint good."""
    (site.root / "t").write_text(rec["signed"])
    (site.root / "s").write_bytes(base64.b64decode(rec["signature"], validate=True))
    r = subprocess.run(["openssl", "dgst", "-sha256", "-verify", str(site.public), "-signature", str(site.root / "s"), str(site.root / "t")],
                       capture_output=True, text=True)
    return r.stdout.strip() == "Verified OK"


def fields(signed):
    lines = signed.split("\n")
    assert lines[0] == "congvu-audit-checkpoint 1" and lines[-1] == ""
    return dict(line.split("=", 1) for line in lines[1:-1])


def signed_at_the_start_and_in_time(site):
    first = site.wait(lambda: site.records("checkpoint"))[0]
    assert fields(first["signed"])["seq"] == "1" and openssl_says(site, first)
    site.mail(3)
    site.wait(lambda: len(site.records("checkpoint")) >= 2)
    records = site.records()
    for cp in (r for r in records if r["event"] == "checkpoint"):
        f = fields(cp["signed"])
        target = records[int(f["seq"]) - 1]
        assert openssl_says(site, cp) and f["h"] == target["h"] and f["host"] == "mail.x.example", cp
        assert int(f["seq"]) < cp["seq"] and f["key"] == cp["key_id"]
    n = len(records)
    time.sleep(2.5)
    assert len(site.records()) == n, "a checkpoint signs itself for ever"


def syslog_hears(site):
    """RFC 5424, with all that is needed to hold the log against it."""
    line = site.syslog.recv(65536).decode()
    m = re.fullmatch(r'<109>1 (\S+) mail\.x\.example congvu-milter-ledger \d+ checkpoint '
                     r'\[congvuCheckpoint@32473 host="mail\.x\.example" seq="(\d+)" h="([0-9a-f]{64})" time="(\S+)" key="([0-9a-f]{64})" '
                     r'signature="([A-Za-z0-9+/=]+)"\] audit log checkpoint', line)
    assert m and m[1] == m[4], line
    rec = next(r for r in site.records("checkpoint") if r["signature"] == m[6])
    f = fields(rec["signed"])
    assert (f["seq"], f["h"], f["key"]) == (m[2], m[3], m[5])


def sign_is_away(site):
    """Mail goes on; the checkpoint is owed, and comes when milter-sign does."""
    before = len(site.records("checkpoint"))
    for pid in site.m.pids("congvu-milter-sign"):
        os.kill(pid, signal.SIGSTOP)
    try:
        site.mail(2)
        site.wait(lambda: "event=checkpoint_owed" in site.text(), 30)
        site.mail(2)
        assert len(site.records("checkpoint")) == before
    finally:
        for pid in site.m.pids("congvu-milter-sign"):
            os.kill(pid, signal.SIGKILL)
    site.wait(lambda: len(site.records("checkpoint")) > before, 30)
    assert "event=checkpoint_again" in site.text()
    last = site.records("checkpoint")[-1]
    assert openssl_says(site, last) and int(fields(last["signed"])["seq"]) > before


def key_is_signs_alone(site):
    """The key file, milter-sign's folder and its memory are nobody else's."""
    if os.geteuid():
        return
    uids = {}
    for name in ("ledger", "sign", "filter", "scan"):
        pid = site.m.pids("congvu-milter-" + name)[0]
        status = pathlib.Path("/proc/%d/status" % pid).read_text()
        uids[name] = int(re.search(r"^Uid:\s+(\d+)", status, re.M)[1])
        limits = pathlib.Path("/proc/%d/limits" % pid).read_text()
        assert re.search(r"^Max core file size\s+0\s+0", limits, re.M), name
        for fd in pathlib.Path("/proc/%d/fd" % pid).iterdir():
            assert "audit.key" not in os.readlink(fd), "%s holds the key file open" % name
    assert len(set(uids.values())) == 4
    key = (site.root / "kept/audit.key").stat()
    assert stat.S_IMODE(key.st_mode) == 0o600 and key.st_uid == 0
    folder = (site.root / "sign").stat()
    assert folder.st_uid == uids["sign"] and stat.S_IMODE(folder.st_mode) == 0o700


def syslog_is_away(site):
    """Told, and nothing waits for it."""
    site.syslog.close()
    os.unlink(site.folder / "s")
    before = len(site.records("checkpoint"))
    site.mail()
    site.wait(lambda: len(site.records("checkpoint")) > before)
    assert "event=checkpoint_syslog" in site.text()
    site.listen()
    site.mail()
    site.syslog.recv(65536)


def nothing_is_signed_twice(site):
    """A log that is written anew from its beginning gets no signature of this key."""
    site.m.stop()
    for name in ("audit.jsonl", "audit.jsonl.state"):
        (site.root / "var" / name).unlink()
    site.m.start()
    site.wait(lambda: "event=checkpoint_refused" in site.text())
    site.mail()
    time.sleep(1)
    assert not site.records("checkpoint") and site.records("verdict")


def by_number(site):
    site.wait(lambda: site.records("checkpoint"))
    site.mail(25)
    signed = [int(fields(r["signed"])["seq"]) for r in site.wait(lambda: len(site.records("checkpoint")) > 2 and site.records("checkpoint"))]
    assert len(signed) >= 3 and all(b - a <= 14 for a, b in zip(signed, signed[1:])), signed


def without_a_key(site):
    """It works, and says that nothing is signed."""
    site.mail()
    assert "event=audit_key" in site.text()
    site.wait(lambda: "event=checkpoint_owed" in site.text())
    assert not site.records("checkpoint")


def main():
    root = pathlib.Path(tempfile.mkdtemp(prefix="cv-checkpoints-"))
    try:
        certs = root / "certs"
        certs.mkdir()
        subprocess.run(["sh", str(run.SRC / "tests/unit/smime_certs.sh"), str(certs)], check=True)
        site = Site(root / "a", certs, audit_checkpoint_s="1").start()
        for step in (signed_at_the_start_and_in_time, syslog_hears, key_is_signs_alone, sign_is_away, syslog_is_away, nothing_is_signed_twice):
            run.check(step.__name__, lambda step=step: step(site))
        site.stop()
        site = Site(root / "b", certs, audit_checkpoint_s="3600", audit_checkpoint_records="10").start()
        run.check("by_number", lambda: by_number(site))
        site.stop()
        site = Site(root / "c", certs, key=False).start()
        run.check("without_a_key", lambda: without_a_key(site))
        site.stop()
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


if __name__ == "__main__":
    sys.exit(main())
