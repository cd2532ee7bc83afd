"""A taken-over role at a socket of a neighbour: it greets rightly, then sends permitted messages with contents nobody would
write, now and then broken frames, and takes what comes. Run as a program under the role's user."""

import array
import os
import random
import re
import select
import socket
import struct
import sys
import time

ROLES = ["SMTPD", "IMAPD", "INGEST", "RELAY", "MILTER", "ADMIN", "LOOKUP", "STORED", "QUEUE", "LEDGER", "SCAN", "SIGN"]


def messages(path, role):
    """(number, most octets, descriptors) of what the role may send, from the table of the protocol."""
    text = re.sub(r"/\*.*?\*/", "", open(path, encoding="utf-8").read(), flags=re.S)
    found = []
    for row in re.findall(r"IPC_MSG\(([^)]*)\)", text):
        _name, number, senders, _states, longest, fds = (s.strip() for s in row.split(","))
        if re.search(r"\bIPC_%s\b" % role, senders):
            longest = eval(longest.replace("IPC_FRAME_MAX", "(1 << 20)").replace("u", ""), {})  # a constant of our own table
            found.append((int(number), longest, int(fds)))
    return found


def text(s):
    return struct.pack(">I", len(s)) + s


class Abuser:
    def __init__(self, path, proto, role, table, seed):
        self.path, self.proto, self.role, self.table = path, proto, role, table
        self.rnd = random.Random(seed)
        self.sock = None
        self.seen = []  # pieces of replies: real ids and tokens come back in requests
        self.count = {"connected": 0, "sent": 0, "replies": 0}

    def connect(self):
        self.close()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(self.path)
        hello = text(self.proto.encode()) + struct.pack(">II", 1, 1 << ROLES.index(self.role))
        self.sock.sendall(self.frame(0, 0, 0, hello))
        self.sock.setblocking(False)
        self.count["connected"] += 1
        self.id = 0

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    @staticmethod
    def frame(number, flags, ident, payload):
        return struct.pack(">IHHI", 8 + len(payload), number, flags, ident) + payload

    def piece(self):
        r = self.rnd
        some = [b"", b"\0", b"INBOX", b"a@tinhmau.example", b"p-1", b"../../etc/passwd", b"\xff" * 16, b"x" * 1000, b"%n%s",
                "Thư".encode(), bytes(16), bytes(32)]
        return r.choice([
            lambda: struct.pack(">B", r.choice([0, 1, 2, 255])),
            lambda: struct.pack(">I", r.choice([0, 1, 2, 16, 255, 65536, 2**31 - 1, 2**32 - 1])),
            lambda: struct.pack(">Q", r.choice([0, 1, 2**20, 2**32, 2**63 - 1, 2**64 - 1])),
            lambda: text(r.choice(some)),
            lambda: text(r.choice(some)),
            lambda: text(r.randbytes(r.randrange(64))),
            lambda: r.choice(self.seen) if self.seen else b"",
            lambda: struct.pack(">I", r.randrange(4)) + text(r.choice(some)),
        ])()

    def one(self):
        r = self.rnd
        number, longest, fds = r.choice(self.table)
        payload = b"".join(self.piece() for _ in range(r.randrange(8)))
        if r.random() < 0.01:
            payload = r.randbytes(min(longest, 100000))
        payload = payload[:longest]
        self.id += 1
        ident = 0 if r.random() < 0.02 else self.id
        data, passed = self.frame(number, 0, ident, payload), []
        if fds == 2 or (fds == 1 and r.random() < 0.5):
            data = self.frame(number, 1, ident, payload)
            passed = [r.choice([lambda: os.memfd_create("x"), lambda: os.open("/dev/zero", os.O_RDONLY),
                                lambda: os.pipe()[0]])()]
        if r.random() < 0.003:  # a broken one: it ends this connection
            data = bytes(b ^ (r.randrange(256) if r.random() < 0.2 else 0) for b in data)
        try:
            self.sock.setblocking(True)
            self.sock.settimeout(5)
            self.sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", passed))] if passed else [])
            self.sock.setblocking(False)
            self.count["sent"] += 1
        finally:
            for fd in passed:
                os.close(fd)

    def drain(self):
        while select.select([self.sock], [], [], 0)[0]:
            data, fds, _flags, _addr = socket.recv_fds(self.sock, 65536, 4)
            for fd in fds:
                os.close(fd)
            if not data:
                raise ConnectionError
            self.count["replies"] += 1
            if len(data) > 24 and len(self.seen) < 200:
                start = self.rnd.randrange(12, len(data) - 8)
                self.seen.append(data[start:start + self.rnd.choice([4, 8, 16, 20, 36])])

    def play(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if not self.sock:
                    self.connect()
                self.one()
                self.drain()
                if self.count["sent"] % 64 == 0:
                    time.sleep(0.002)
            except OSError:
                self.close()
                time.sleep(0.005)
        self.close()


def main():
    run, path, table, proto, role, uid, gid, seconds, seed = sys.argv[1:]
    rows = messages(table, role)
    os.chdir(run)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    a = Abuser(path, proto, role, rows, int(seed))
    a.play(float(seconds))
    print(" ".join("%s=%d" % p for p in a.count.items()))


if __name__ == "__main__":
    main()
