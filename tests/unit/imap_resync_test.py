#!/usr/bin/python3
"""A client that comes and goes: it keeps what it knew of a mailbox (UIDs, flags, the highest mod-sequence), comes back with SELECT (QRESYNC …), and
must then know what a client that asks for everything knows, whatever others did meanwhile and however its connections ended. Two of them act
at random at the same time. Against the session code over the fakes (`make check`); test_resync.py runs it against a real server."""

import argparse
import random
import re
import socket
import ssl
import sys
import tempfile
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import imap_fake  # noqa: E402


def numbers(text):
    out = []
    for part in text.split(","):
        lo, _, hi = part.partition(":")
        out += range(int(lo), int(hi or lo) + 1)
    return out


class Cache:
    """What stays with the client: UID -> flags, up to a mod-sequence."""

    def __init__(self):
        self.uidvalidity, self.modseq, self.flags, self.next = 0, 0, {}, 1  # next: from there on messages were not asked for


class Client:
    def __init__(self, args, cache):
        context = ssl.create_default_context(cafile=args.ca)
        self.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", args.port), 20), server_hostname="localhost")
        self.sock.settimeout(20)
        self.file = self.sock.makefile("rb")
        self.cache, self.n, self.news = cache, 0, False
        self.line()
        self.run("LOGIN %s {%d+}\r\n%s" % (args.login, len(args.password), args.password))
        self.run("ENABLE QRESYNC")

    def line(self):
        line = self.file.readline()
        assert line.endswith(b"\r\n"), "the server went away: %r" % line
        return line[:-2].decode()

    def high(self, modseq, exact=False):
        """RFC 7162 6: HIGHESTMODSEQ is believed, MODSEQ raises it."""
        self.cache.modseq = modseq if exact else max(self.cache.modseq, modseq)

    def untagged(self, line):
        c = self.cache
        if m := re.search(r"\[UIDVALIDITY (\d+)\]", line):
            if int(m.group(1)) != c.uidvalidity:
                c.uidvalidity, c.flags, c.next = int(m.group(1)), {}, 1
        if m := re.search(r"\[HIGHESTMODSEQ (\d+)\]", line):
            if self.selecting:
                self.selecting = int(m.group(1))
            else:
                self.pending.append(("exact", int(m.group(1))))
        if m := re.match(r"\* (\d+) EXISTS", line):
            self.news = True
        if m := re.match(r"\* VANISHED (\(EARLIER\) )?(.*)$", line):
            for uid in numbers(m.group(2)):
                c.flags.pop(uid, None)
        assert " EXPUNGE" not in line, line
        if m := re.match(r"\* (\d+) FETCH \((.*)\)$", line):
            uid, flags = re.search(r"UID (\d+)", m.group(2)), re.search(r"FLAGS \(([^)]*)\)", m.group(2))
            modseq = re.search(r"MODSEQ \((\d+)\)", m.group(2))
            assert modseq and uid, line
            if flags:
                c.flags[int(uid.group(1))] = frozenset(flags.group(1).split()) - {"\\Recent"}
            elif self.silent and int(uid.group(1)) in c.flags:  # the answer to .SILENT: the client knows what it asked for
                sign, flag = self.silent
                was = c.flags[int(uid.group(1))]
                c.flags[int(uid.group(1))] = was | {flag} if sign == "+" else was - {flag}
            self.pending.append(("more", int(modseq.group(1))))

    def run(self, text, good=("OK",), cut=None):
        """cut: read so many lines, then the connection is lost."""
        self.n += 1
        tag, self.pending = "t%d" % self.n, []
        self.selecting = text.startswith("SELECT")
        m = re.search(r"([+-])FLAGS\.SILENT \((\S+)\)", text)
        self.silent = m and m.groups()
        self.sock.sendall(("%s %s\r\n" % (tag, text)).encode())
        read = 0
        while True:
            if cut is not None and read == cut:
                return None
            line = self.line()
            read += 1
            if line.startswith(tag + " "):
                break
            self.untagged(line)
        self.untagged("* " + line[len(tag) + 1:])
        assert line.split(" ")[1] in good, "%s: %s" % (text[:80], line)
        # only the end of a command, and new messages asked for, tell that nothing is missing before its mod-sequences
        selecting, pending = self.selecting, self.pending
        if self.news and not selecting:
            self.fetch_new()
        if selecting:
            self.high(int(selecting), True)
        for how, modseq in pending:
            self.high(modseq, how == "exact")
        return line

    def select(self, box):
        c = self.cache
        how = " (QRESYNC (%d %d))" % (c.uidvalidity, c.modseq) if c.uidvalidity and c.modseq else ""
        self.run("SELECT %s%s" % (box, how))
        self.fetch_new()

    def fetch_new(self):
        self.news = False
        self.run("UID FETCH %d:* (UID FLAGS MODSEQ)" % self.cache.next)
        self.cache.next = max(self.cache.flags, default=self.cache.next - 1) + 1


def act(c, box, rnd):
    what = rnd.randrange(9)
    uids = sorted(c.cache.flags)
    some = ",".join(str(u) for u in rnd.sample(uids, min(len(uids), rnd.randint(1, 4)))) if uids else None
    cut = rnd.randrange(3) if rnd.random() < 0.1 else None
    if what < 3:
        text = "From: a@x.example\r\n\r\n%d\r\n" % rnd.randrange(10 ** 9)
        return c.run("APPEND %s {%d+}\r\n%s" % (box, len(text), text), cut=cut)
    if what == 3 and some:
        return c.run("UID STORE %s %sFLAGS%s (\\Flagged)" % (some, rnd.choice("+-"), rnd.choice(["", ".SILENT"])), cut=cut)
    if what == 4 and some:
        return c.run("UID STORE %s +FLAGS.SILENT (\\Deleted)" % some, cut=cut)
    if what == 5:
        return c.run("EXPUNGE", cut=cut)
    if what == 6 and some:
        return c.run("UID MOVE %s %s" % (some, box), cut=cut)
    if what == 7 and some:
        return c.run("FETCH %d (FLAGS UID MODSEQ)" % 1, ("OK", "NO", "BAD"), cut=cut)
    return c.run("NOOP", cut=cut)


def truth(args, box):
    cache = Cache()
    c = Client(args, cache)
    c.run("SELECT " + box)
    c.run("UID FETCH 1:* (UID FLAGS MODSEQ)")
    c.sock.close()
    return cache.flags


def resync(args, box, rounds, seed):
    rnd = random.Random(seed)
    caches = [Cache(), Cache()]
    first = Client(args, Cache())
    first.run("CREATE " + box)
    actions = lost = 0
    for _ in range(rounds):
        clients = [Client(args, cache) for cache in caches]
        for c in clients:
            c.select(box)
        for _ in range(rnd.randint(1, 12)):
            i = rnd.randrange(2)
            if clients[i] is None:
                continue
            actions += 1
            if act(clients[i], box, rnd) is None:  # the connection is lost in the middle
                clients[i].sock.close()
                clients[i], lost = None, lost + 1
        for c in clients:
            if c is not None:
                c.sock.close()  # and in the end, without a word
        for cache in caches:
            if rnd.random() < 0.5:
                c = Client(args, cache)
                c.select(box)
                known = truth(args, box)
                c.sock.close()
                assert cache.flags == known, "seed %d:\nknows %r\nis    %r" % (seed, cache.flags, known)
    first.run("DELETE " + box)
    print("resync: %d actions, %d connections lost in the middle of a command" % (actions, lost))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--port", type=int)
    ap.add_argument("--ca")
    ap.add_argument("--login", default="head")
    ap.add_argument("--password", default="pw-head")
    ap.add_argument("--rounds", type=int, default=60)
    ap.add_argument("--seed", type=int, default=random.randrange(10 ** 6))
    args = ap.parse_args()
    print("seed %d" % args.seed)
    if args.port:
        resync(args, "resync-%d" % args.seed, args.rounds, args.seed)
        return 0
    with tempfile.TemporaryDirectory() as tmp:
        server = imap_fake.Server(pathlib.Path(tmp))
        args.port, args.ca = server.imaps_port, server.ca
        try:
            resync(args, "resync", args.rounds, args.seed)
            resync(args, "Forgets-resync", args.rounds, args.seed + 1)  # removals are forgotten at once
        finally:
            code, log = server.stop()
        if code:
            print("the server ended with %d:\n%s" % (code, log[-3000:]))
        return 1 if code else 0


if __name__ == "__main__":
    sys.exit(main())
