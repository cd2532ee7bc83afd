#!/usr/bin/python3
"""The audit log's checkpoints from end to end: the real filter, ledger and milter-sign, a socket that plays syslog, and openssl and sha256 as
the third party that believes neither."""

import base64
import csv
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
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
        self.heard = []
        self.listen()
        self.certs, self.options = certs, dict(audit_syslog=str(self.folder / "s"), **options)

    def listen(self):
        self.syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.syslog.bind(str(self.folder / "s"))
        os.chmod(self.folder / "s", 0o666)
        threading.Thread(target=self.hear, args=(self.syslog,), daemon=True).start()

    def hear(self, s):
        """The kernel keeps ten datagrams only."""
        try:
            while True:
                self.heard.append(s.recv(65536).decode())
        except OSError:
            pass

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
    assert lines[0] == "congvu-audit-checkpoint 2" and lines[-1] == ""
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
    signed = [fields(r["signed"]) for r in records if r["event"] == "checkpoint"]
    assert (signed[0]["after_seq"], signed[0]["after_h"]) == ("0", "0" * 64)
    for before, f in zip(signed, signed[1:]):
        assert (f["after_seq"], f["after_h"]) == (before["seq"], before["h"])
    n = len(records)
    time.sleep(2.5)
    assert len(site.records()) == n, "a checkpoint signs itself for ever"


def syslog_hears(site):
    """RFC 5424, with all that is needed to hold the log against it."""
    line = site.wait(lambda: site.heard)[0]
    m = re.fullmatch(r'<109>1 (\S+) mail\.x\.example congvu-milter-ledger \d+ checkpoint '
                     r'\[congvuCheckpoint@32473 host="mail\.x\.example" seq="(\d+)" h="([0-9a-f]{64})" after_seq="\d+" after_h="[0-9a-f]{64}" time="(\S+)" key="([0-9a-f]{64})" '
                     r'signature="([A-Za-z0-9+/=]+)"\] audit log checkpoint', line)
    assert m and m[1] == m[4], line
    rec = next(r for r in site.records("checkpoint") if r["signature"] == m[6])
    f = fields(rec["signed"])
    assert (f["seq"], f["h"], f["key"]) == (m[2], m[3], m[5])


def told(site, qid):
    """The alert of a mail, as syslog heard it: once."""
    mine = [x for x in site.wait(lambda: [x for x in site.heard if 'qid="%s"' % qid in x]) if " alert " in x]
    assert len(mine) == 1, mine
    return mine[0]


def syslog_hears_alerts(site):
    """A mail with a mark of state secrecy, once its record is on the disk; no word of the mail, and whoever chose a value cannot end it."""
    secret = run.attachment("a.txt", "UBND TỈNH\r\nTỐI MẬT\r\nSố: 15/BC\r\n".encode(), "text/plain", "manager@x.example")
    cmd, data = run.Client(site.m.sock).message("SECRET-1", secret)
    assert cmd == b"y" and b" P12 " in data, data
    r = next(r for r in site.records("verdict") if r["qid"] == "SECRET-1")
    pid, = site.m.pids("congvu-milter-ledger")
    assert told(site, "SECRET-1") == ('<105>1 %s mail.x.example congvu-milter-ledger %d alert [congvuAlert@32473 rule="P12" qid="SECRET-1" login="binh" '
                                      'ip="192.0.2.9" action="reject" seq="%d"] mail with a mark of state secrecy' % (r["ts"], pid, r["seq"]))
    site.mail()
    assert not [x for x in site.heard if " alert " in x and "SECRET-1" not in x]
    # what smtpd and relay tell (LEDGER_ALERT): a record first, then the line
    if os.geteuid():
        return
    s = socket.socket(socket.AF_UNIX)
    os.seteuid(61000)  # user_smtpd
    try:
        s.connect(os.path.join("/proc/self/fd/%d" % os.open("/proc/self/cwd", os.O_PATH), "ledger.smtpd.sock"))
    finally:
        os.seteuid(0)
    payload = b""
    for text in (b"P32", b"00112233", b"an\"]\\ x", b"192.0.2.1\n<0>1", "b\u1ec7nh@x.example".encode()):
        payload += struct.pack(">I", len(text)) + text
    hello = struct.pack(">I", 6) + b"ledger" + struct.pack(">II", 1, 1)

    def say(kind, number, payload):
        s.sendall(struct.pack(">IHHI", len(payload) + 8, kind, 0, number) + payload)
        while True:
            length, kind, _, got = struct.unpack(">IHHI", s.recv(12, socket.MSG_WAITALL))
            data = s.recv(length - 8, socket.MSG_WAITALL)
            if got == number:
                return kind, data

    assert say(0, 0, hello)[0] == 0
    kind, data = say(80, 7, payload)
    assert kind == 11
    seq, = struct.unpack(">Q", data)
    r = site.records()[seq - 1]
    assert (r["event"], r["rule"], r["qid"], r["address"]) == ("alert", "P32", "00112233", "b\u1ec7nh@x.example"), r
    assert told(site, "00112233") == ('<105>1 %s mail.x.example congvu-milter-ledger %d alert [congvuAlert@32473 rule="P32" qid="00112233" login="an\\"\\]\\\\ x" '
                                      'ip="192.0.2.1?<0>1" address="b\u1ec7nh@x.example" seq="%d"] congvu trace has the mail\'s way' % (r["ts"], pid, seq))


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
    site.syslog.shutdown(socket.SHUT_RDWR)
    site.syslog.close()
    os.unlink(site.folder / "s")
    before = len(site.records("checkpoint"))
    site.mail()
    site.wait(lambda: len(site.records("checkpoint")) > before)
    assert "event=checkpoint_syslog" in site.text()
    n = len(site.heard)
    site.listen()
    site.mail()
    site.wait(lambda: len(site.heard) > n)


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


def write_anew(site, records):
    """As who has the ledger's user can: the chain is whole, the state file is gone."""
    log, prev, lines = site.root / "var/audit.jsonl", "0" * 64, []
    for seq, rec in enumerate(records, 1):
        rec.update(seq=seq, prev=prev)
        rec.pop("h")
        prev = rec["h"] = hashlib.sha256((prev + hashlib.sha256(run.canonical(rec).encode()).hexdigest()).encode()).hexdigest()
        lines.append(run.canonical(rec).encode() + b"\n")
    log.write_bytes(b"".join(lines))
    log.with_name("audit.jsonl.state").unlink()
    shutil.chown(log, log.parent.stat().st_uid, log.parent.stat().st_gid)


def kept_back(site):
    """Behind anew_and_longer: the checkpoint that tells is taken out, and what follows it is made anew. The log alone looks as if the ledger had died
    with it: exit 76. milter-sign's list has it."""
    tells = site.records("checkpoint")[0]
    site.m.stop()
    records = [r for r in site.records() if r["seq"] < tells["seq"]]
    write_anew(site, records + [dict(records[-1]) for _ in range(4)])
    site.m.start()
    cp = site.wait(lambda: site.records("checkpoint"), 30)[0]
    assert openssl_says(site, cp) and fields(cp["signed"])["after_seq"] == fields(tells["signed"])["seq"]
    r = congvu(site, "verify", "--key", site.public)
    assert r.returncode == 65 and "is not the one that milter-sign signed" in r.stdout, r
    rows = site.root / "sign/signed.rows"
    assert rows.stat().st_size % 107 == 0 and rows.stat().st_size >= 4 * 107 and stat.S_IMODE(rows.stat().st_mode) == 0o600
    rows.rename(rows.with_suffix(".away"))
    r = congvu(site, "verify", "--key", site.public)
    assert r.returncode == 76 and "UNDECIDED: 1 checkpoint" in r.stdout, r
    assert json.loads(congvu(site, "verify", "--json").stdout)["checkpoints_undecided"] == 1
    # or the syslog of another host
    (site.root / "heard").write_text("\n".join(site.heard) + "\n")
    r = congvu(site, "verify", "--key", site.public, "--checkpoints", site.root / "heard")
    assert r.returncode == 65 and "a checkpoint on another host" in r.stdout, r
    rows.with_suffix(".away").rename(rows)


def died(site):
    """milter-ledger and milter-sign die under load, whoever holds a signature: the log is what was signed, and verify says so."""
    for i in range(3):
        before = len(site.records("checkpoint"))
        site.mail(2)
        time.sleep(0.9 + 0.05 * i)
        for pid in site.m.pids("congvu-milter-ledger") + site.m.pids("congvu-milter-sign")[: i % 2]:
            os.kill(pid, signal.SIGKILL)
        site.wait(lambda: len(site.records("checkpoint")) > before, 30)
    r = congvu(site, "verify", "--key", site.public, "--json")
    j = json.loads(r.stdout)
    assert r.returncode == 0 and j["signed_rows_checked"] and j["signed_rows"] >= j["checkpoints"] - 1 and j["checkpoints_undecided"] == 0, r.stdout


def anew_and_longer(site):
    """A log of the ledger's user's own making that has become longer is signed, as nobody shows milter-sign what was there: the signature tells."""
    site.wait(lambda: site.records("checkpoint"))
    site.m.stop()
    end = int(re.search(r"seq=(\d+)", (site.root / "sign/checkpoint.state").read_text())[1])
    others = [r for r in site.records() if r["event"] != "checkpoint"]
    others += [dict(others[-1]) for _ in range(end + 3 - len(others))]
    write_anew(site, others)
    site.m.start()
    cp = site.wait(lambda: site.records("checkpoint"), 30)[0]
    assert openssl_says(site, cp) and int(fields(cp["signed"])["after_seq"]) == end
    r = congvu(site, "verify", "--key", site.public)
    assert r.returncode == 65 and "rewrite: replaced" in r.stdout and "record %d had been signed with another hash" % end in r.stdout, r.stdout


def by_number(site):
    site.wait(lambda: site.records("checkpoint"))
    site.mail(25)
    signed = [int(fields(r["signed"])["seq"]) for r in site.wait(lambda: len(site.records("checkpoint")) > 2 and site.records("checkpoint"))]
    assert len(signed) >= 3 and all(b - a <= 14 for a, b in zip(signed, signed[1:])), signed


def disk_full(root, certs):
    """No record, no mail: deferred while the disk of the log is full; it goes on by itself when there is room, and the chain is whole."""
    disk = root / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=192k,mode=755", "tmpfs", str(disk)], check=True)
    site = None
    try:
        (disk / "filler").write_bytes(b"x" * 65536)
        site = Site(root / "full", certs, audit_checkpoint_s="3600")
        site.options.update(ledger_dir=str(disk / "var"), audit_log=str(disk / "var/audit.jsonl"))
        site.start()
        site.wait(lambda: site.records("checkpoint"))
        c = run.Client(site.m.sock)
        for i in range(300):
            cmd, data = c.message("F%d" % i, MAIL, login="")
            if cmd == b"y":
                break
        assert cmd == b"y" and data.startswith(b"451 4.7.1 T03 "), (i, cmd, data)
        assert "No space left" in site.text()
        held = [r["qid"] for r in site.records("verdict")]
        assert "F%d" % i not in held and "F%d" % (i - 1) in held
        (disk / "filler").unlink()
        cmd, data = c.message("AFTER", MAIL, login="")
        assert cmd in b"ac", data
        assert site.records("verdict")[-1]["qid"] == "AFTER"
        r = congvu(site, "verify", "--key", site.public)
        assert r.returncode == 0, r.stdout
    finally:
        os.chdir("/")
        if site is not None:
            site.stop()
        subprocess.run(["umount", "-l", str(disk)], check=True)


def without_a_key(site):
    """It works, and says that nothing is signed."""
    site.mail()
    assert "event=audit_key" in site.text()
    site.wait(lambda: "event=checkpoint_owed" in site.text())
    assert not site.records("checkpoint")


# ---- a proof for a court ----

def mutated(site, bundle, change):
    """The bundle with a change: what check.sh and congvu say, which must be the same."""
    work = site.root / "mutated"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(bundle, work)
    change(work)
    sh = subprocess.run(["sh", str(work / "check.sh")], capture_output=True, text=True)
    ours = congvu(site, "prove", "--check", work, "--key", site.public)
    assert (sh.returncode == 0) == (ours.returncode == 0), (sh.stdout, ours.stdout, ours.stderr)
    return ours.returncode


def change(name, old, new):
    def f(work):
        p = work / name
        data = p.read_bytes()
        assert old in data
        p.write_bytes(data.replace(old, new, 1))
    return f


def proved(site):
    """Two records of one mail among those of others."""
    c = run.Client(site.m.sock)
    for qid in ("SECRET1", "PROVE-ME", "SECRET2", "PROVE-ME", "SECRET3"):
        text = b"Subject: x\r\nFrom: %s@citizen.example\r\n\r\nXin chao\r\n" % (b"lan" if qid == "PROVE-ME" else b"someone-else")
        assert c.message(qid, text, login="")[0] in b"ac"
    bundle = site.root / "proof"
    r = congvu(site, "prove", "PROVE-ME", "--out", bundle)
    if r.returncode:  # no checkpoint is over it yet, and that is said
        assert r.returncode == 75 and "no signed checkpoint" in r.stderr, r
        assert not bundle.exists()
    n = len(site.records("checkpoint"))
    site.wait(lambda: len(site.records("checkpoint")) > n)
    r = congvu(site, "prove", "PROVE-ME", "--out", bundle, "--json")
    assert r.returncode == 0, r.stderr
    j = json.loads(r.stdout)
    ours = [r for r in site.records() if r.get("qid") == "PROVE-ME"]
    assert j["records"] == 2 and j["links"] >= 3 and j["signed_seq"] >= ours[-1]["seq"]
    for rec in ours:
        h = rec.pop("h")
        assert (bundle / ("record-%d.json" % rec["seq"])).read_bytes() == run.canonical(rec).encode()
        assert (" %s\n" % h) in (bundle / "chain.txt").read_text()
    everything = b"".join(p.read_bytes() for p in bundle.iterdir())
    assert b"lan@citizen.example" in everything and b"someone-else" not in everything and b"SECRET2" not in everything
    # the guide's words are enough
    for name in ("HOW-TO-CHECK.txt", "HUONG-DAN.txt"):
        guide = (bundle / name).read_text()
        command = re.search(r"^     (openssl dgst .*)$", guide, re.M)[1]
        assert subprocess.run(command, shell=True, cwd=bundle, capture_output=True, text=True).stdout == "Verified OK\n"
        assert "PROVE-ME" in guide and "sha256sum" in guide
    sh = subprocess.run(["sh", str(bundle / "check.sh")], capture_output=True, text=True)
    assert sh.returncode == 0 and "PROVED" in sh.stdout and "record" in sh.stdout, sh
    r = congvu(site, "prove", "--check", bundle)
    assert r.returncode == 0 and "proved: 2 records stood in the log of mail.x.example" in r.stdout and "compare it" in r.stdout, r
    assert congvu(site, "prove", "--check", bundle, "--key", site.public).returncode == 0
    # and anything changed is found by both
    record = "record-%d.json" % ours[0]["seq"]
    assert mutated(site, bundle, change(record, b"lan@", b"eve@")) == 65
    assert mutated(site, bundle, change(record, b"{", b" {")) == 65
    assert mutated(site, bundle, change("checkpoint.txt", b"host=mail", b"host=liam")) == 65
    assert mutated(site, bundle, lambda w: (w / record).rename(w / "record-1.json")) == 65
    lines = (bundle / "chain.txt").read_bytes().splitlines(True)
    for wrong in (lines[:-1], lines[:2] + lines[3:], lines[:1] + lines[2:], lines[1:], [lines[0], lines[2], lines[1]] + lines[3:],
                  lines[:2] + [lines[2].replace(b" ", b" 0", 1)] + lines[3:]):
        assert mutated(site, bundle, lambda w, wrong=wrong: (w / "chain.txt").write_bytes(b"".join(wrong))) in (65, 66)
    # a whole bundle made with another key is whole in itself: the key tells
    make_key(site.root / "mine.key")
    (site.root / "audit-public.pem").rename(site.root / "mine.pem")
    r = congvu(site, "prove", "--check", bundle, "--key", site.root / "mine.pem")
    assert r.returncode == 65 and "another key" in r.stderr
    assert congvu(site, "prove", "NOBODY", "--out", site.root / "x").returncode == 66
    assert congvu(site, "prove", "PROVE-ME", "--out", bundle).returncode == 73, "a folder that is there is left alone"


def exported(site):
    c = run.Client(site.m.sock)
    evil = b'=cmd|"x"\\,;=\x1b[2J'
    c.message("EVIL", b"Subject: x\r\nFrom: dan@citizen.example\r\n\r\nXin chao\r\n", login="", rcpts=(b"<%s@y.example>" % evil,))
    lines = b"".join(lines_of(site.root / "var"))
    assert congvu(site, "export").stdout.encode().startswith(lines)
    r = congvu(site, "export", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(r.stdout, newline="")))
    assert len(rows) >= len(lines.splitlines()) and [int(x["seq"]) for x in rows] == list(range(1, len(rows) + 1))
    row = next(x for x in rows if x["qid"] == "EVIL")
    assert row["rcpts"].startswith("'=cmd|\"x\"") and "\x1b" not in r.stdout and row["action"] == "accept" and row["ip"] == "192.0.2.9", row
    r = congvu(site, "export", "--format", "cef")
    line = next(x for x in r.stdout.splitlines() if "cs1=EVIL " in x)
    assert re.match(r"CEF:0\|Congvu\|congvu-milter\|[^|]+\|verdict\|verdict\|3\|externalId=\d+ rt=", line), line
    assert "duser=\\=cmd|\"x\"" in line and " src=192.0.2.9" in line and "act=accept" in line, line
    ts = site.records()[4]["ts"]
    got = [json.loads(x)["ts"] for x in congvu(site, "export", "--since", ts).stdout.splitlines()]
    assert got[0] == ts and len(got) >= len(lines.splitlines()) - 5
    got = [json.loads(x)["ts"] for x in congvu(site, "export", "--until", ts).stdout.splitlines()]
    assert got[-1] == ts and all(x <= ts for x in got)
    assert congvu(site, "export", "--until", "1999").stdout == ""
    assert congvu(site, "export", "--since", "yesterday").returncode == 64
    assert congvu(site, "export", "--format", "xml").returncode == 64


# ---- rotation, and what congvu audit verify finds ----

def congvu(site, *args):
    return subprocess.run([str(run.BUILD / "congvu"), "-c", str(site.root / "etc/congvu.conf"), "audit", *map(str, args)], capture_output=True, text=True)


def lines_of(folder):
    """All lines of all files of a log."""
    return [line for p in sorted(folder.glob("audit.jsonl.0*")) + [folder / "audit.jsonl"] for line in p.read_bytes().splitlines(True)]


def rotated(site):
    """Three files of 1 MiB and what is in a fourth: one chain."""
    folder = site.root / "var"
    site.wait(lambda: site.records("checkpoint"))
    time.sleep(0.5)
    while len(list(folder.glob("audit.jsonl.0*"))) < 3:
        site.mail(300)
    site.mail(30)
    site.wait(lambda: len([x for x in lines_of(folder) if b'"event":"checkpoint"' in x]) >= 20)
    time.sleep(2.2)  # until all is signed
    prev, seq = "0" * 64, 0
    for p in sorted(folder.glob("audit.jsonl.0*")) + [site.log]:
        records = run.read_log_lines(p)
        assert records[0]["seq"] == seq + 1 and records[0]["prev"] == prev
        if seq:
            assert records[0]["event"] == "rotate" and records[0]["last_h"] == prev and records[0]["last_seq"] == seq
            assert p.name == "audit.jsonl" or int(p.name.rsplit(".", 1)[1]) == seq + 1
            assert (folder / records[0]["file"]).exists()
        prev, seq = records[-1]["h"], records[-1]["seq"]
    got = site.heard
    # among other lines, as rsyslog writes them
    (site.root / "syslog").write_text("Nov 22 03:00:00 host app: nothing\n" + "\n".join(got) + "\n")
    r = congvu(site, "verify", "--key", site.public, "--checkpoints", site.root / "syslog", "--json")
    assert r.returncode == 0, r.stdout + r.stderr
    j = json.loads(r.stdout)
    assert j["ok"] and j["records"] == len(lines_of(folder)) == j["last_seq"] and len(j["files"]) == 4 and j["state_checked"]
    assert j["signatures_checked"] == j["checkpoints"] >= 20 and j["known_checkpoints"] == len(got)


def what_is_found(site):
    """Each manipulation of a copy: its kind, file, line and record."""
    source, work = site.root / "var", site.root / "work"
    names = sorted(p.name for p in source.glob("audit.jsonl.0*")) + ["audit.jsonl"]

    def verify(change, *args):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        for p in source.iterdir():
            shutil.copy(p, work)
        # bytes of each file as lines
        files = {n: (work / n).read_bytes().splitlines(True) for n in names}
        change(files)
        for n, lines in files.items():
            if lines is None:
                (work / n).unlink()
            else:
                (work / n).write_bytes(b"".join(lines))
        r = congvu(site, "verify", "--file", work / "audit.jsonl", "--key", site.public, "--json", *args)
        j = json.loads(r.stdout)
        assert (r.returncode == 0) == j["ok"] and r.returncode in (0, 65), r
        return [(f["kind"], pathlib.Path(f["file"]).name, f["line"], f["seq"]) for f in j["findings"]]

    first = {n: json.loads((source / n).read_bytes().split(b"\n")[0])["seq"] for n in names}
    b = names[1]

    def seq(n, line):
        return first[n] + line - 1

    assert verify(lambda f: None) == []

    i = next(i for i, x in enumerate((source / b).read_bytes().splitlines()) if b'"dan@citizen.example"' in x)

    def edit_it(f):
        f[b][i] = f[b][i].replace(b'"dan@citizen.example"', b'"eve@citizen.example"')
    assert verify(edit_it) == [("edit", b, i + 1, seq(b, i + 1))]

    def delete(f):
        del f[b][10:12]
    assert verify(delete) == [("delete", b, 11, seq(b, 11))]

    def delete_file(f):
        f[b] = None
    assert verify(delete_file) == [("delete", names[2], 1, first[b])]

    def reorder(f):
        f[b][20], f[b][21] = f[b][21], f[b][20]
    assert verify(reorder) == [("reorder", b, 22, seq(b, 21))]

    def files_swapped(f):
        f[b], f[names[2]] = f[names[2]], f[b]
    got = verify(files_swapped)
    assert got[0][:3] == ("reorder", names[2], 1) and {k for k, *_ in got} == {"reorder"}, got[:3]

    def truncate(f):
        del f["audit.jsonl"][-5:]
    last = len(lines_of(source))
    n = len((source / "audit.jsonl").read_bytes().splitlines()) - 5
    assert verify(truncate) == [("truncate", "audit.jsonl", n + 1, last - 4)]

    def splice(f):
        # a record of the same number from the log of another site, with a hash of its own that is right
        rec = json.loads(f[b][30])
        rec["prev"] = "ab" * 32
        del rec["h"]
        rec["h"] = hashlib.sha256((rec["prev"] + hashlib.sha256(run.canonical(rec).encode()).hexdigest()).encode()).hexdigest()
        f[b][30] = run.canonical(rec).encode() + b"\n"
    assert verify(splice) == [("splice", b, 31, seq(b, 31))]

    def rewrite(f):
        """One word changed, and everything from there on chained anew: as who owns the ledger's uid could."""
        prev, go = None, False
        for name in names:
            for at, line in enumerate(f[name]):
                rec = json.loads(line)
                if name == b and at == i:
                    rec["env"]["from"], go = "eve@citizen.example", True
                if go:
                    rec["prev"] = prev
                    del rec["h"]
                    rec["h"] = hashlib.sha256((rec["prev"] + hashlib.sha256(run.canonical(rec).encode()).hexdigest()).encode()).hexdigest()
                    f[name][at] = run.canonical(rec).encode() + b"\n"
                prev = rec["h"]
        (work / "audit.jsonl.state").unlink()
    got = verify(rewrite)
    assert got and {k for k, *_ in got} == {"rewrite"} and got[0][3] >= seq(b, i + 1), got[:3]
    cut = verify(rewrite, "--checkpoints", site.root / "syslog")
    assert len(cut) > len(got) and {k for k, *_ in cut} == {"rewrite"}, (cut[:3], len(cut), len(got))

    def cut_everywhere(f):
        """The end, and the state file with it: only another host knows."""
        del f["audit.jsonl"][-12:]
        (work / "audit.jsonl.state").unlink()
    assert verify(cut_everywhere) == []
    got = verify(cut_everywhere, "--checkpoints", site.root / "syslog")
    assert got == [("truncate", "audit.jsonl", n - 6, last - 11)], got

    def forged(f):
        """A checkpoint that somebody else signed."""
        at = next(k for k, x in enumerate(f[b]) if b'"event":"checkpoint"' in x)
        f[b][at] = f[b][at].replace(b'"signature":"ME', b'"signature":"MF')
    assert [k for k, *_ in verify(forged)] == ["edit"]
    make_key(site.root / "other.key")
    (site.root / "audit-public.pem").rename(site.root / "other.pem")
    r = congvu(site, "verify", "--key", site.root / "other.pem")
    assert r.returncode == 65 and "signed with another key" in r.stdout and "no checkpoint in the log has a good signature" in r.stdout
    r = congvu(site, "verify", "--key", "%s,%s" % (site.root / "other.pem", site.public))
    assert r.returncode == 0 and "have a good signature of the key" in r.stdout, r.stdout
    assert verify(lambda f: f.update({names[0]: None}), "--partial") == []


def main():
    with run.folder("cv-checkpoints-") as root:
        certs = root / "certs"
        site = Site(root / "a", certs, audit_checkpoint_s="1").start()
        for step in (signed_at_the_start_and_in_time, syslog_hears, syslog_hears_alerts, key_is_signs_alone, proved, exported, sign_is_away, syslog_is_away, died, nothing_is_signed_twice):
            run.check(step.__name__, lambda step=step: step(site))
        site.stop()
        site = Site(root / "b", certs, audit_checkpoint_s="3600", audit_checkpoint_records="10").start()
        run.check("by_number", lambda: by_number(site))
        run.check("anew_and_longer", lambda: anew_and_longer(site))
        run.check("kept_back", lambda: kept_back(site))
        site.stop()
        site = Site(root / "d", certs, audit_checkpoint_s="1", audit_checkpoint_records="100", audit_rotate_mb="1").start()
        run.check("rotated", lambda: rotated(site))
        site.m.stop()
        run.check("what_is_found", lambda: what_is_found(site))
        os.chdir("/")
        shutil.rmtree(site.folder)
        site = Site(root / "c", certs, key=False).start()
        run.check("without_a_key", lambda: without_a_key(site))
        site.stop()
        if os.geteuid() == 0 and shutil.which("mount"):
            run.check("disk_full", lambda: disk_full(root, certs))
        else:
            print("# disk_full is left out: not root")
    return run.sums()


if __name__ == "__main__":
    sys.exit(main())
