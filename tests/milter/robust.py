#!/usr/bin/python3
"""The milter when its scanner loops, eats memory or is slow (scanning.py kills it), and when thousands of mutated messages and documents come: each mail
gets an answer in time, what was not looked at is held, never let through, and the filter itself never ends. MUTATIONS=10000 MUTATE_SEED=7 is the long
form (make mutate)."""

import base64
import concurrent.futures
import hashlib
import os
import pathlib
import random
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run  # noqa: E402

MUTATIONS = int(os.environ.get("MUTATIONS", "250"))
SEED = int(os.environ.get("MUTATE_SEED", "1"))
DEADLINE_S = 1
TOO_LARGE = 1 << 20
GOOD = b"From: manager@x.example\r\n\r\nx\r\n"


def fault(what):
    return b"X-Test-Fault: " + what + b"\r\n" + GOOD


def timed(m, qid, raw):
    c, t0 = run.Client(m.sock), time.monotonic()
    cmd, data = c.message(qid, raw)
    return cmd, b"q" in c.edits, data, time.monotonic() - t0


def held(m, what):
    """Not looked at: held for a person (M06), in time; the filter is the same process, and the next mail is served."""
    before, qid = m.pids("congvu-milter-filter"), "FAULT-" + what.decode()
    cmd, quarantined, data, spent = timed(m, qid, fault(what))
    assert cmd == b"c" and quarantined, (cmd, data)
    assert spent < DEADLINE_S + 6, spent
    r = [r for r in run.read_log(m.log) if r["event"] == "verdict" and r["qid"] == qid][-1]
    assert (r["decision"]["action"], r["decision"]["rule"]) == ("quarantine", "M06"), r["decision"]
    assert m.pids("congvu-milter-filter") == before
    assert timed(m, "after-" + qid, GOOD)[:2] == (b"c", False)


def scan_loops(m):
    """Its own clock ends it."""
    held(m, b"loop")
    assert "event=scan_deadline" in (m.root / "log").read_text()


def scan_eats_memory(m):
    """Its own limit stops it, before the machine feels it."""
    start = len((m.root / "log").read_text())
    held(m, b"eat")
    text = (m.root / "log").read_text()[start:]
    if run.SANITIZED:  # no such limit there (lib/sandbox.c): its clock ends it
        assert "event=scan_deadline" in text, text
    else:
        assert re.search(r"milter-scan .*no memory for 16777216 bytes", text) and "event=scan_deadline" not in text, text


def scan_is_slow(m):
    """Within its time: waited for, and others do not wait behind it."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        slow = pool.submit(timed, m, "SLOW", fault(b"slow"))
        time.sleep(0.1)
        cmd, quarantined, data, _ = timed(m, "QUICK", GOOD)
        assert (cmd, quarantined) == (b"c", False) and not slow.done(), data
        cmd, quarantined, data, spent = slow.result()
        assert (cmd, quarantined) == (b"c", False) and spent >= 0.5, (data, spent)


def all_scanners_loop(m):
    """As many as there are, and more wait: each mail has its answer, none is let through, and it goes on by itself."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda i: timed(m, "ALL%d" % i, fault(b"loop")), range(4)))
    assert all(quarantined or data.startswith(b"451 4.7.1 T0") for _, quarantined, data, _ in got), got
    for _ in range(100):
        if timed(m, "again", GOOD)[:2] == (b"c", False):
            return
        time.sleep(0.1)
    raise AssertionError("not back")


# ---- memory ----

def begin(m, qid, raw):
    """A message but for its end."""
    c = run.Client(m.sock)
    c.packet(b"D", b"Mi\0" + qid.encode() + b"\0")
    head, _, body = raw.partition(b"\r\n\r\n")
    steps = [(b"M", b"<a@x.example>\0"), (b"R", b"<b@x.example>\0")]
    steps += [(b"L", line.replace(b": ", b"\0", 1) + b"\0") for line in head.split(b"\r\n")] + [(b"N", b"")]
    steps += [(b"B", body[at:at + 65000]) for at in range(0, len(body), 65000)]
    for cmd, data in steps:
        assert c.ask(cmd, data)[0] == b"c"
    return c


def files_of(m):
    pid, = m.pids("congvu-milter-filter")
    found = [(os.readlink(p), p.stat().st_size) for p in pathlib.Path("/proc/%d/fd" % pid).iterdir()]
    return ([n for what, n in found if what.startswith("/memfd:message")], [n for what, n in found if "/spool/" in what and what.endswith("(deleted)")])


def memory_is_bounded(m):
    """More than milter_memory_mb under way goes to disk, without a name; it is judged as any other, and nothing stays."""
    raws = [b"From: dan@citizen.example\r\nSubject: x\r\n\r\n" + (b"%06d Kinh gui\r\n" % i) * 200000 for i in range(5)]
    under_way = [begin(m, "DISK%d" % i, raw) for i, raw in enumerate(raws)]
    # pieces of the body are not answered: until they have come
    for _ in range(100):
        in_memory, on_disk = files_of(m)
        if sum(in_memory) + sum(on_disk) >= sum(len(raw) for raw in raws):
            break
        time.sleep(0.1)
    assert sum(in_memory) < 2 << 20 and sum(on_disk) > 10 << 20, (in_memory, on_disk)
    assert not list((m.root / "spool").iterdir()) and (m.root / "spool").stat().st_mode & 0o777 == 0o711
    under_way.pop().s.close()  # given up
    for c in under_way:
        c.packet(b"E")
        while (got := c.reply()[0]) not in (b"c", b"a", b"y"):
            pass
        assert got == b"c"
    for i, raw in enumerate(raws[:-1]):
        r = [r for r in run.read_log(m.log) if r["event"] == "verdict" and r["qid"] == "DISK%d" % i][-1]
        assert r["decision"]["action"] == "accept" and r["body_sha256"] == hashlib.sha256(raw.partition(b"\r\n\r\n")[2]).hexdigest() and r["size"] == len(raw)
    for c in under_way:
        c.s.close()
    for _ in range(100):
        if files_of(m) == ([], []):
            return
        time.sleep(0.05)
    raise AssertionError(files_of(m))


# ---- mutations ----

TOKENS = [b"\r\n", b"\r\n\r\n", b"--", b"=?utf-8?B?", b"?=", b"Content-Type: ", b"multipart/signed; boundary=b1", b"message/rfc822", b"boundary=",
          b"\xff\xfe", b"\xc3", b"%PDF-", b"endobj", b"stream\r\n", b"PK\3\4", b"PK\5\6", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf1", b"<?xml ", b"\0\0\0\0",
          b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"0\x82\xff\xff", b"0\x80", b"99999999999999999999", b"/Length ", b"/Prev 0", b"begin 644 a.exe"]


def mutate(rnd, data):
    """A few changes of the kinds that readers of formats fail at."""
    out = bytearray(data)
    for _ in range(rnd.choice((1, 1, 2, 4, 16))):
        n = len(out)
        at = rnd.randrange(n + 1)
        size = min(n - at, rnd.choice((1, 2, 4, 16, 200, 4000)))
        kind = rnd.randrange(8)
        if kind == 0 and at < n:
            out[at] ^= 1 << rnd.randrange(8)
        elif kind == 1 and at < n:
            out[at] = rnd.choice((0, 0x0a, 0x0d, 0x7f, 0x80, 0xff))
        elif kind == 2:
            out[at:at] = rnd.choice(TOKENS)
        elif kind == 3:
            del out[at:at + size]
        elif kind == 4:
            out[at:at] = out[at:at + size] * rnd.choice((1, 1, 30))
        elif kind == 5:
            to = rnd.randrange(n + 1)
            out[to:to + size] = out[at:at + size]
        elif kind == 6 and rnd.randrange(4) == 0:
            del out[at:]
        elif at + 4 <= n:
            out[at:at + 4] = rnd.getrandbits(32).to_bytes(4, rnd.choice(("big", "little")))
    return bytes(out[:TOO_LARGE])


MAGIC = [(b"%PDF", ".pdf"), (b"PK", ".docx"), (b"\xd0\xcf", ".doc"), (b"{\\rtf", ".rtf"), (b"\x78\x9f\x3e\x22", ".dat")]
B64 = re.compile(rb"(?:[A-Za-z0-9+/]{60,80}\r\n){2,}(?:[A-Za-z0-9+/]+=*\r\n)?")


def mutate_inside(rnd, raw):
    """The document in one of its base64 parts, with the MIME around it whole."""
    places = list(B64.finditer(raw))
    if not places:
        return mutate(rnd, raw)
    p = rnd.choice(places)
    try:
        inner = base64.b64decode(p[0])
    except ValueError:
        return mutate(rnd, raw)
    return raw[:p.start()] + run.wrap(mutate(rnd, inner)) + raw[p.end():]


def seeds(mails):
    """Kinds of mails: those of the tests twice, and the documents of each corpus as attachments."""
    ours = [p.read_bytes() for p in sorted(mails.glob("*.eml")) if p.stat().st_size < TOO_LARGE // 2]
    corpus, kinds = run.SRC / "tests/fuzz/corpus", [ours, ours]
    for folder in [corpus / d for d in ("pdf", "office", "tnef", "attach", "smime", "mime")] + [run.SRC / "tests/data/office"]:
        kinds.append([])
        for p in sorted(folder.glob("*")):
            data = p.read_bytes() if p.is_file() else b""
            if 0 < len(data) < TOO_LARGE // 4:
                named = [ext for magic, ext in MAGIC if data.startswith(magic)] + [p.suffix if len(p.suffix) == 4 else ".txt"]
                kinds[-1].append(run.attachment("a" + named[0], data))
    assert all(kinds), [len(k) for k in kinds]
    return kinds


def presentable(raw):
    """What an MTA could have taken: fields by name, no NUL in them."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = [x.replace(b"\0", b"") for x in head.split(b"\r\n")]
    lines = [x for x in lines if re.match(rb"[!-9;-~]+:|[ \t]", x)][:200]
    if not lines or lines[0][:1] in b" \t":
        lines.insert(0, b"X: y")
    return b"\r\n".join(x[:4000] for x in lines) + b"\r\n\r\n" + body


def mutated_messages(m, mails):
    """Each has its answer; the filter is the process that it was, and no scanner died of what it read."""
    before, start = m.pids("congvu-milter-filter"), len((m.root / "log").read_text())
    all_seeds, slowest, kinds = seeds(mails), [], {}

    def one(thread):
        client = None
        for i in range(thread, MUTATIONS, 4):
            rnd = random.Random(SEED * 1000003 + i)
            seed = rnd.choice(rnd.choice(all_seeds))
            raw = presentable((mutate_inside if rnd.randrange(3) else mutate)(rnd, seed))
            t0 = time.monotonic()
            try:
                client = client or run.Client(m.sock)
                cmd, data = client.message("X%d" % i, raw, login="")
            except (OSError, AssertionError, UnicodeDecodeError) as e:
                raise AssertionError("mutation %d of seed %d: %r" % (i, SEED, e)) from e
            slowest.append((time.monotonic() - t0, i))
            key = data[10:13].decode("latin-1") if cmd == b"y" else "held" if b"q" in client.edits else "passed"
            kinds[key] = kinds.get(key, 0) + 1

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for job in [pool.submit(one, t) for t in range(4)]:
            job.result()
    assert m.pids("congvu-milter-filter") == before
    text = (m.root / "log").read_text()[start:]
    ends = re.findall(r"event=role_exit .*", text)
    assert not ends and "sandbox_violation" not in text, ends[:5]
    log = run.read_log(m.log)
    assert len({r["qid"] for r in log if r["event"] == "verdict" and r["qid"].startswith("X")}) == MUTATIONS
    assert max(slowest)[0] < 12, max(slowest)
    # some pass, most kinds of refusal are met: they were looked at
    assert len(kinds) > 3 and kinds.get("passed", 0) > MUTATIONS // 50, kinds
    print("# %d mutations of %d seeds, slowest %.2f s; %s" % (MUTATIONS, sum(map(len, all_seeds)), max(slowest)[0], ", ".join(
        "%s %d" % kv for kv in sorted(kinds.items(), key=lambda kv: -kv[1])[:12])))


def main():
    with run.folder("cv-robust-") as root:
        certs, mails = root / "certs", root / "mails"
        mails.mkdir()
        run.make_mails(certs, mails)
        (root / "m").mkdir()
        m = run.Milter(root / "m", certs, milter_memory_mb="1")
        os.chdir(root / "m/run")
        run.check("memory_is_bounded", lambda: memory_is_bounded(m))
        run.check("mutated_messages", lambda: mutated_messages(m, mails))
        m.stop()
        if MUTATIONS <= 1000:
            (root / "f").mkdir()
            m = run.Milter(root / "f", certs, scan=run.BUILD / "tests/milter/scan_faults", milter_scan_timeout_ms=str(DEADLINE_S * 1000))
            os.chdir(root / "f/run")
            for step in (scan_is_slow, scan_loops, scan_eats_memory, all_scanners_loop):
                run.check(step.__name__, lambda step=step: step(m))
            m.stop()
        if run.failed:
            print((m.root / "log").read_text()[-3000:])
    return run.sums()


if __name__ == "__main__":
    sys.exit(main())
