"""Coming back to a mailbox: QRESYNC against a real server, at random; and client habit 17: what a day's absence costs on a slow line."""

import argparse
import pathlib
import random
import re
import socket
import sys
import threading
import time
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "unit"))
import imap_race_test as race  # noqa: E402
import imap_resync_test as resync  # noqa: E402

MESSAGES, NEW, FLAGGED, GONE = 50000, 200, 500, 300
OCTETS_MAX = 150 * 1000


def arguments(server, **kw):
    user = server.user("clerk", agency="SKHCN")
    return argparse.Namespace(port=server.imaps_port, ca=str(server.ca_file), login=user["login"], password=user["password"], **kw)


def test_resync(server):
    seed = random.randrange(10 ** 6)
    args = arguments(server)
    resync.resync(args, "resync-%d" % seed, 25, seed)


class Meter:
    """A line between client and server that counts what passes, TLS and all."""

    def __init__(self, port):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.up, self.down, self.target = self.listener.getsockname()[1], 0, 0, port
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        client, _ = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", self.target))
        threading.Thread(target=self.pump, args=(client, server, "up"), daemon=True).start()
        self.pump(server, client, "down")

    def pump(self, a, b, name):
        try:
            while piece := a.recv(65536):
                setattr(self, name, getattr(self, name) + len(piece))
                b.sendall(piece)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Squeezed(race.Client):
    """Turns compression on; reads and writes through it."""

    def squeeze(self):
        self.run("COMPRESS DEFLATE")
        sock, self.file = self.sock, self
        self.out, self.into, self.rest = zlib.compressobj(6, zlib.DEFLATED, -15), zlib.decompressobj(-15), b""

        class Sender:
            def sendall(_, data):
                sock.sendall(self.out.compress(data) + self.out.flush(zlib.Z_SYNC_FLUSH))

            def recv(_, n):
                return sock.recv(n)

            def close(_):
                sock.close()
        self.sock = Sender()

    def more(self):
        piece = self.sock.recv(65536)
        assert piece, "the server went away"
        self.rest += self.into.decompress(piece)

    def readline(self):
        while b"\n" not in self.rest:
            self.more()
        line, _, self.rest = self.rest.partition(b"\n")
        return line + b"\n"

    def read(self, n):
        while len(self.rest) < n:
            self.more()
        out, self.rest = self.rest[:n], self.rest[n:]
        return out


def large_mailbox(c, box):
    c.run("CREATE " + box)
    for i in range(50):
        text = ("From: Nguyễn Văn %d <van.%d@sokhcn.tinhmau.example>\r\nTo: p%d@x.example\r\nSubject: Công văn số %d/SKHCN-VP\r\n"
                "Date: Mon, 2 Nov 2026 08:%02d:00 +0700\r\nMessage-ID: <%d.resync@x.example>\r\n\r\nnoi dung %d\r\n" % ((i,) * 7)).encode()
        c.n += 1
        tag = b"a%d" % c.n
        c.sock.sendall(tag + b" APPEND " + box.encode() + b" {%d+}\r\n" % len(text) + text + b"\r\n")
        c.finish(tag, False)
    c.select(box)
    have = 50
    while have < MESSAGES:
        n = min(have, MESSAGES - have, 20000)
        c.run("COPY 1:%d %s" % (n, box))
        have += n


def test_client_habit_17_resync_on_a_slow_line(server):
    """A mailbox of 50,000 messages, synchronised again after a day: at most 150 KB, TLS handshake and login included."""
    args, box = arguments(server), "day-%d" % time.time_ns()
    c = race.Client(args.port, args.ca, args.login, args.password, "d")
    large_mailbox(c, box)
    status = "".join(line.decode() for line in c.run("EXAMINE " + box))
    uidvalidity = int(re.search(r"UIDVALIDITY (\d+)", status).group(1))
    modseq = int(re.search(r"HIGHESTMODSEQ (\d+)", status).group(1))
    # the day: new mail, read and flagged here and there, old mail removed
    c.select(box)
    rnd = random.Random(17)
    for first in rnd.sample(range(1, MESSAGES - 20), FLAGGED // 5):
        c.run("UID STORE %d:%d +FLAGS.SILENT (%s)" % (first, first + 4, rnd.choice(["\\Seen", "\\Flagged", "\\Answered"])))
    for first in rnd.sample(range(1, MESSAGES - 20), GONE // 10):
        c.run("UID STORE %d:%d +FLAGS.SILENT (\\Deleted)" % (first, first + 9))
    c.run("EXPUNGE")
    c.run("UID COPY 1:%d %s" % (NEW, box))
    meter = Meter(args.port)
    m = Squeezed(meter.port, args.ca, args.login, args.password, "m")
    m.squeeze()
    start = time.monotonic()
    m.run("ENABLE QRESYNC")
    lines = m.run("SELECT %s (QRESYNC (%d %d 1:%d))" % (box, uidvalidity, modseq, MESSAGES))
    vanished = sum(1 for line in lines if b"VANISHED (EARLIER)" in line)
    changed = sum(1 for line in lines if b" FETCH (" in line)
    new = m.run("UID FETCH %d:* (UID FLAGS ENVELOPE INTERNALDATE RFC822.SIZE MODSEQ)" % (MESSAGES + 1))
    took = time.monotonic() - start
    m.run("LOGOUT")
    total = meter.up + meter.down
    print("client habit 17: %d octets (%d up, %d down) for %d changed and %d new of %d messages, %.2f s of the server's" %
          (total, meter.up, meter.down, changed, len(new), MESSAGES, took))
    c.run("CLOSE")
    c.run("DELETE " + box)
    assert vanished >= 1 and changed >= FLAGGED // 2 and len(new) >= NEW - 10
    assert total <= OCTETS_MAX
