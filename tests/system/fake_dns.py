"""A name server for tests: answers from a table, by UDP and TCP on one loopback port, or keeps quiet."""

import ipaddress
import socket
import struct
import threading

TYPES = {"A": 1, "CNAME": 5, "MX": 15, "AAAA": 28, "TLSA": 52}
SERVFAIL, NXDOMAIN, REFUSED = 2, 3, 5


def wire_name(name):
    return b"".join(bytes([len(x)]) + x.encode() for x in name.split(".") if x) + b"\0"


def rdata(kind, value):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(value).packed
    if kind == "MX":
        return struct.pack(">H", value[0]) + wire_name(value[1])
    if kind == "CNAME":
        return wire_name(value)
    return bytes(value)


class FakeDns:
    """zone: {name: {"MX": [(10, "mx.example")], "A": ["127.0.0.1"]}}; a name maps to a number for that rcode, to None for silence. A name
    that is not there does not exist."""

    def __init__(self, zone=None, port=0):
        self.zone = zone or {}
        self.questions = []
        for _ in range(50):
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.udp.bind(("127.0.0.1", port))
            self.port = self.udp.getsockname()[1]
            try:
                self.tcp = socket.create_server(("127.0.0.1", self.port))
                break
            except OSError:
                self.udp.close()
        self.resolver = "127.0.0.1@%d" % self.port
        for f in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=f, daemon=True).start()

    def answer(self, query):
        ident, _flags, _n = struct.unpack(">HHH", query[:6])
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        kind, = struct.unpack(">H", query[at + 1:at + 3])
        question = query[12:at + 5]
        name = ".".join(labels)
        self.questions.append((name, kind))
        rows, rcode = [], 0
        entry = self.zone.get(name, NXDOMAIN)
        if entry is None:
            return None
        if isinstance(entry, int):
            rcode = entry
        else:
            for word, values in entry.items():
                if TYPES[word] == kind:
                    rows += [(kind, rdata(word, v)) for v in values]
        head = struct.pack(">HHHHHH", ident, 0x8180 | rcode, 1, len(rows), 0, 0)
        return head + question + b"".join(b"\xc0\x0c" + struct.pack(">HHIH", k, 1, 1, len(d)) + d for k, d in rows)

    def serve_udp(self):
        while True:
            try:
                query, peer = self.udp.recvfrom(4096)
                if len(query) < 12:
                    return  # the end
                reply = self.answer(query)
                if reply:
                    self.udp.sendto(reply, peer)
            except OSError:
                return

    def serve_tcp(self):
        while True:
            try:
                conn, _ = self.tcp.accept()
            except OSError:
                return
            with conn:
                size = conn.recv(2)
                query = conn.recv(int.from_bytes(size, "big"))
                reply = self.answer(query)
                if reply:
                    conn.sendall(struct.pack(">H", len(reply)) + reply)

    def stop(self):
        for s in (self.udp, self.tcp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
