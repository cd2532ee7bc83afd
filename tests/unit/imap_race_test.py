#!/usr/bin/python3
"""Several clients of one mailbox change it at the same time, at random; each counts message numbers along by RFC 3501 7.4.1 and must never be wrong.
Against the session code over the fakes (`make check`), or with --port P --login L --password W --ca FILE against a real server (imaps).
Then: a large message to a client that does not read holds little memory; a session survives a restart of stored."""

import argparse
import base64
import os
import quopri
import random
import re
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import imap_fake  # noqa: E402


class Client:
    """A client that believes what it is told."""

    def __init__(self, port, ca, login, password, name):
        context = ssl.create_default_context(cafile=ca)
        self.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", port), 20), server_hostname="localhost")
        self.sock.settimeout(20)
        self.file = self.sock.makefile("rb")
        self.name, self.n, self.count, self.recent = name, 0, 0, 0
        self.uids = []  # what stands at each number; None: not asked yet
        self.flags = {}
        self.recent_uids = set()
        self.line()
        self.run("LOGIN %s {%d+}\r\n%s" % (login, len(password.encode()), password))

    def line(self):
        out = b""
        while True:
            piece = self.file.readline()
            if not piece.endswith(b"\r\n"):
                raise AssertionError("%s: the server went away: %r" % (self.name, out + piece))
            out += piece
            m = re.search(rb"\{(\d+)\}\r\n$", piece)
            if not m:
                return out[:-2]
            out += self.file.read(int(m.group(1)))

    def untagged(self, line, quiet):
        m = re.match(rb"\* (\d+) (EXPUNGE|EXISTS|RECENT|FETCH) ?(.*)$", line, re.S)
        if not m:
            return
        n, what = int(m.group(1)), m.group(2)
        if what == b"EXPUNGE":
            assert not quiet, "%s: EXPUNGE where it is forbidden" % self.name
            assert 1 <= n <= len(self.uids), "%s: EXPUNGE of %d among %d" % (self.name, n, len(self.uids))
            del self.uids[n - 1]
        elif what == b"EXISTS":
            assert n >= len(self.uids), "%s: EXISTS %d after %d" % (self.name, n, len(self.uids))
            self.uids += [None] * (n - len(self.uids))
        elif what == b"FETCH":
            assert 1 <= n <= len(self.uids), "%s: FETCH of %d among %d" % (self.name, n, len(self.uids))
            uid = re.search(rb"UID (\d+)", m.group(3))
            if uid:
                uid = int(uid.group(1))
                assert self.uids[n - 1] in (None, uid), "%s: %d is UID %r and %d" % (self.name, n, self.uids[n - 1], uid)
                self.uids[n - 1] = uid
            flags = re.search(rb"FLAGS \(([^)]*)\)", m.group(3))
            if flags and self.uids[n - 1]:
                words = set(flags.group(1).split())
                if b"\\Recent" in words:
                    self.recent_uids.add(self.uids[n - 1])
                self.flags[self.uids[n - 1]] = words - {b"\\Recent"}

    def finish(self, tag, quiet):
        lines = []
        while True:
            line = self.line()
            if line.startswith(tag + b" "):
                return line[len(tag) + 1:], lines
            self.untagged(line, quiet)
            lines.append(line)

    def send(self, text):
        self.n += 1
        tag = b"%s%d" % (self.name.encode(), self.n)
        self.sock.sendall(tag + b" " + text.encode() + b"\r\n")
        return tag

    def run(self, text, good=(b"OK",)):
        tag = self.send(text)
        quiet = re.match(r"(FETCH|STORE|SEARCH) ", text) is not None
        status, lines = self.finish(tag, quiet)
        assert status.split(b" ")[0] in good, "%s: %s: %r" % (self.name, text[:60], status)
        return lines

    def select(self, box):
        self.uids = []
        self.run("SELECT " + box)

    def check(self):
        """What it believes is what the server says."""
        self.run("FETCH 1:* (UID)", (b"OK", b"NO"))
        known = [u for u in self.uids if u is not None]
        assert known == sorted(known) and len(set(known)) == len(known), "%s: %r" % (self.name, self.uids)


def message(rnd):
    return "From: a@x.example\r\nSubject: %d\r\n\r\n%s\r\n" % (rnd.randrange(10 ** 9), "x" * rnd.randrange(2000))


def step(c, box, rnd):
    what = rnd.randrange(12)
    n = len(c.uids)
    if what < 3:
        text = message(rnd)
        c.run("APPEND %s {%d+}\r\n%s" % (box, len(text), text))
    elif what == 3 and n:
        c.run("STORE %d +FLAGS (\\Deleted)" % rnd.randint(1, n), (b"OK", b"NO"))
    elif what == 4 and n:
        c.run("STORE %d:* FLAGS.SILENT (%s)" % (rnd.randint(1, n), rnd.choice(["\\Seen", "\\Flagged $A", "\\Deleted", ""])), (b"OK", b"NO"))
    elif what == 5:
        c.run("EXPUNGE")
    elif what == 6 and n:
        c.run("UID FETCH 1:* (FLAGS)")
    elif what == 7 and n:
        c.run("FETCH %d (UID FLAGS BODY[])" % rnd.randint(1, n), (b"OK", b"NO"))
    elif what == 8:
        c.run("SEARCH %s" % rnd.choice(["UNSEEN", "SUBJECT 5", "BODY xx", "DELETED"]))
    elif what == 9 and n:
        c.run("COPY %d %s" % (rnd.randint(1, n), box))
    elif what == 10:
        tag = c.send("IDLE")
        while not c.line().startswith(b"+"):
            pass
        time.sleep(rnd.random() * 0.02)
        c.sock.sendall(b"DONE\r\n")
        c.finish(tag, False)
    else:
        c.run("NOOP")


def race(args, box, seconds, seed):
    clients = [Client(args.port, args.ca, args.login, args.password, name) for name in "abcd"]
    rnd = random.Random(seed)
    clients[0].run("CREATE " + box)
    for c in clients:
        c.select(box)
    end, steps = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        # two at once: both commands are under way before either answer is read
        a, b = rnd.sample(clients, 2)
        if rnd.random() < 0.5 and a.uids and b.uids:
            ta = a.send("UID STORE %d:* +FLAGS (\\Deleted)" % rnd.randint(1, 50))
            tb = b.send("FETCH 1:%d (FLAGS UID)" % len(b.uids))
            b.finish(tb, True)
            a.finish(ta, False)
        else:
            step(a, box, rnd)
        if rnd.random() < 0.2:
            b.check()
        steps += 1
    truth = None
    for c in clients:
        c.run("NOOP")
        c.run("UID FETCH 1:* (FLAGS)")
        if truth is None:
            truth = (c.uids, {u: c.flags[u] for u in c.uids})
        assert c.uids == truth[0], "%s: %r is not %r" % (c.name, c.uids, truth[0])
        assert {u: c.flags[u] for u in c.uids} == truth[1], "%s: flags" % c.name
    seen = set()
    for c in clients:
        assert not seen & c.recent_uids, "Recent told twice: %r" % (seen & c.recent_uids)
        seen |= c.recent_uids
        c.run("CLOSE")
    # they came while the mailbox was selected by all: one of them claimed each
    assert set(truth[0]) <= seen, "Recent told to nobody: %r" % (set(truth[0]) - seen)
    clients[0].run("DELETE " + box)
    print("race: %d steps" % steps)


def arrivals(args, box, seconds):
    """Mail comes all the time while several look: each message is \\Recent to exactly one of them."""
    sender = Client(args.port, args.ca, args.login, args.password, "w")
    sender.run("CREATE " + box)
    clients = [Client(args.port, args.ca, args.login, args.password, name) for name in "xyz"]
    stop = threading.Event()

    def look(c):
        c.select(box)
        while not stop.is_set():
            c.run("NOOP")
    threads = [threading.Thread(target=look, args=(c,)) for c in clients]
    for t in threads:
        t.start()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        # several at once: they join one batch with the looks
        tags = [sender.send("APPEND %s {21+}\r\nFrom: 1@x.example\r\n\r\n" % box) for _ in range(8)]
        for tag in tags:
            sender.finish(tag, False)
    stop.set()
    for t in threads:
        t.join()
    told = []
    for c in clients:
        c.run("NOOP")
        c.run("UID FETCH 1:* (FLAGS)")
        told += c.recent_uids
    twice = {u for u in told if told.count(u) > 1} if len(told) != len(set(told)) else set()
    assert not twice, "Recent told twice: %r" % twice
    assert set(clients[0].uids) == set(told), "Recent told to nobody: %r" % (set(clients[0].uids) - set(told))
    for c in clients:
        c.run("CLOSE")
    sender.run("DELETE " + box)
    print("arrivals: %d messages" % len(told))


def rss(pid):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) // 1024


def large(args, pid, measured):
    """15 MB to a client that does not read: the session holds a piece of it, no more. Then it reads all of it, unharmed."""
    c = Client(args.port, args.ca, args.login, args.password, "l")
    c.run("CREATE large")
    body = ("Subject: large\r\n\r\n" + "0123456789abcdef" * 4 + "\r\n") * 180000
    body = body[:15000000]
    c.run("APPEND large {%d+}\r\n%s" % (len(body), body))
    c.select("large")
    others = [Client(args.port, args.ca, args.login, args.password, "m%d" % i) for i in range(6)]
    before = rss(pid)
    tags = []
    for o in others:
        o.select("large")
        tags.append(o.send("FETCH 1 (BODY.PEEK[] UID)"))
    time.sleep(1.5)
    grown = rss(pid) - before
    c.run("NOOP")
    for o, tag in zip(others, tags):
        status, lines = o.finish(tag, True)
        assert status.startswith(b"OK") and body.encode() in lines[0] and lines[0].endswith(b" UID 1)")
    print("large: %d MB more for 6 clients that did not read 15 MB each" % grown)
    if measured:  # AddressSanitizer keeps what is freed
        assert grown < 40, grown


def many_bodies(args, seed):
    """Small messages, read many at a time and ahead: each client gets each of them whole, also while others go away in the middle of it."""
    rnd = random.Random(seed)
    c = Client(args.port, args.ca, args.login, args.password, "f")
    c.run("CREATE many")
    texts = []
    for i in range(90):
        size = rnd.choice((0, 10, 3000, 30000, 70000))  # the last is above what is read ahead
        texts.append("Subject: %d\r\n\r\n%s\r\nneedle-%d\r\n" % (i, "x" * size, i % 2))
        c.run("APPEND many {%d+}\r\n%s" % (len(texts[-1]), texts[-1]))
    c.select("many")
    left = []

    def leave():
        for _ in range(12):
            o = Client(args.port, args.ca, args.login, args.password, "g")
            o.select("many")
            command, n = rnd.choice((("FETCH 1:* (BODY.PEEK[])", 300000), ("SEARCH BODY needle-1", 3), ("FETCH 1:* (BODYSTRUCTURE BODY.PEEK[])", 300000)))
            o.send(command)
            o.file.read(rnd.randrange(n))
            o.sock.close()
            left.append(o)
    threads = [threading.Thread(target=leave) for _ in range(3)]
    for t in threads:
        t.start()
    for items in ("BODY.PEEK[]", "BODY.PEEK[1]", "BODYSTRUCTURE BODY.PEEK[HEADER]", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]"):
        lines = [x for x in c.run("UID FETCH 1:* (%s)" % items) if b" FETCH (" in x]
        assert len(lines) == len(texts), (items, len(lines))
        for line, text in zip(lines, texts):
            head, _, body = text.partition("\r\n\r\n")
            want = {"BODY.PEEK[]": text, "BODY.PEEK[1]": body}.get(items, head + "\r\n\r\n")
            got = line.partition(b"}\r\n")[2]
            assert got[:len(want)] == want.encode(), (items, text[:40], line[:120], got[:60])
            assert got[len(want):].rstrip(b")").strip() in (b"", b"UID"), (items, got[len(want):][:60])
    for word in ("needle-0", "needle-1", "x" * 100, "nowhere"):
        found = [x for x in c.run("UID SEARCH BODY %s" % word) if x.startswith(b"* SEARCH")][0].split()[2:]
        assert len(found) == sum(word in t for t in texts), (word, len(found))
    for t in threads:
        t.join()
    assert len(left) == 36
    c.run("NOOP")
    c.run("CLOSE")
    c.run("DELETE many")
    print("bodies: %d" % len(texts))


def binary(args, seed):
    """BINARY of parts that are decoded piece by piece: the octets and the sizes are exact, whole and in part."""
    rnd = random.Random(seed)
    c = Client(args.port, args.ca, args.login, args.password, "b")
    c.run("CREATE binary")
    data = rnd.randbytes(3000000 + rnd.randrange(100))
    text = b"".join(b"C\xc3\xb4ng v\xc4\x83n = %d\r\n" % rnd.randrange(10 ** 9) for _ in range(80000))
    b64, qp = base64.encodebytes(data).replace(b"\n", b"\r\n"), quopri.encodestring(text.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    body = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\nContent-Type: image/png\r\n\r\n" + b64 + \
        b"\r\n--b\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + qp + b"\r\n--b--\r\n"
    c.n += 1
    tag = b"b%d" % c.n
    c.sock.sendall(tag + b" APPEND binary {%d+}\r\n" % len(body) + body + b"\r\n")
    assert c.finish(tag, False)[0].startswith(b"OK")
    c.select("binary")
    lines = b"".join(c.run("FETCH 1 (BINARY.SIZE[1] BINARY.SIZE[2])"))
    assert b"BINARY.SIZE[1] %d BINARY.SIZE[2] %d)" % (len(data), len(text)) in lines, lines
    for part, want in ((1, data), (2, text)):
        for off, n in ((0, len(want)), (len(want) - 7, 100), (rnd.randrange(len(want) - 70000), 65536), (len(want) + 5, 10)):
            got = b"".join(c.run("FETCH 1 (BINARY.PEEK[%d]<%d.%d> UID)" % (part, off, n)))
            _, _, rest = got.partition(b"}\r\n")
            piece = want[off:off + n]
            assert rest[:len(piece)] == piece and rest[len(piece):].startswith(b" UID 1"), (part, off, n, got[:60])
    c.run("CLOSE")
    c.run("DELETE binary")
    print("binary: %d and %d octets" % (len(data), len(text)))


def restart(args, pid):
    c = Client(args.port, args.ca, args.login, args.password, "r")
    d = Client(args.port, args.ca, args.login, args.password, "s")
    c.run("CREATE again")
    c.select("again")
    tag = c.send("IDLE")
    assert c.line().startswith(b"+")
    os.kill(pid, signal.SIGUSR1)
    time.sleep(0.2)
    d.run("APPEND again {21+}\r\nFrom: 1@x.example\r\n\r\n")
    assert c.line() == b"* 1 EXISTS"
    c.sock.sendall(b"DONE\r\n")
    c.finish(tag, False)
    c.run("LOGOUT")
    print("restart: survived")


def away(args, pid):
    """A flag for a message that came while stored was away, by the UID that APPEND told: it is set, or the answer is not OK."""
    c = Client(args.port, args.ca, args.login, args.password, "v")
    d = Client(args.port, args.ca, args.login, args.password, "w")
    c.run("CREATE off")
    c.select("off")
    for signals in ([], [signal.SIGUSR1]):  # one look that fails, and a mailbox that must be opened again
        os.kill(pid, signal.SIGUSR2)
        for s in signals:
            os.kill(pid, s)
        time.sleep(0.1)
        tag = d.send("APPEND off {21+}\r\nFrom: 1@x.example\r\n\r\n")
        uid = re.search(rb"APPENDUID \d+ (\d+)", d.finish(tag, False)[0]).group(1).decode()
        for command in ("STORE %s +FLAGS (Fire)", "STORE %s +FLAGS.SILENT (Fire)", "FETCH %s FLAGS", "SEARCH UID %s", "COPY %s off", "MOVE %s off"):
            tag = c.send("UID " + command % uid)
            status, lines = c.finish(tag, False)
            assert status.startswith(b"NO [UNAVAILABLE]"), (command, status, lines)
        os.kill(pid, signal.SIGUSR2)
        time.sleep(0.1)
        c.run("UID STORE %s +FLAGS (Fire)" % uid)
        assert any(b"Fire" in line for line in c.run("UID FETCH %s FLAGS" % uid))
    c.run("LOGOUT")
    d.run("LOGOUT")
    print("away: nothing was promised")


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--port", type=int)
    ap.add_argument("--ca")
    ap.add_argument("--login", default="head")
    ap.add_argument("--password", default="pw-head")
    ap.add_argument("--seconds", type=float, default=4)
    ap.add_argument("--seed", type=int, default=random.randrange(10 ** 6))
    args = ap.parse_args()
    print("seed %d" % args.seed)
    if args.port:
        arrivals(args, "arrivals-%d" % args.seed, args.seconds)
        race(args, "race-%d" % args.seed, args.seconds, args.seed)
        return 0
    with tempfile.TemporaryDirectory() as tmp:
        server = imap_fake.Server(pathlib.Path(tmp))
        args.port, args.ca = server.imaps_port, server.ca
        try:
            race(args, "race", args.seconds, args.seed)
            arrivals(args, "arrivals", args.seconds / 2)
            many_bodies(args, args.seed)
            binary(args, args.seed)
            restart(args, server.process.pid)
            away(args, server.process.pid)
            large(args, server.process.pid, not server.is_asan)
        finally:
            code, log = server.stop()
        if code:
            print("the server ended with %d:\n%s" % (code, log[-3000:]))
        return 1 if code else 0


if __name__ == "__main__":
    sys.exit(main())
