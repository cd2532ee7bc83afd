#!/usr/bin/python3
"""Runs wire transcripts (*.t) against a running instance.

run.py --dir INSTANCE file.t...

A transcript is a list of lines, one behaviour a file; the first comment says which:

  # text                 a comment
  {CONNECT port}         opens the connection "": mx, submission, submissions, imap, imaps, lmtp, ldap
  {CONNECT port AS B}    opens a connection B; its lines begin "B C:", "B S:", "B {TLS}"
  {TLS}                  the TLS handshake, now; the certificate is checked
  {DEFLATE}              from now on both directions are compressed (RFC 4978)
  C: text                sends text and CRLF;   C- text   sends text without CRLF
  S: text                the next line is this;  S* text  lines are skipped until one is this
  S~ a | b | c           the next lines are these in any order
  {EOF}                  the server closes the connection
  {QUIET 0.3}            the server says nothing for so long
  {SLEEP 0.3}            waits
  {SET name=text}        sets a variable
  {TIMEOUT 20}           how long an answer may take from here on (10 s)

In "C" and "S" text, {name} stands for a variable; in "S" text {/regex/} matches, and {name=/regex/} matches and sets.
"\\r", "\\n", "\\0", "\\t", "\\\\" and "\\xHH" are those bytes; {{ and }} are braces. {*N text} is text N times.
Variables from instance.json: host, domain, unique (another for each run); for the people uN and the functional mailboxes
fN (N from 1): uN.login, uN.password, uN.address, uN.name, uN.plain (base64 for AUTH PLAIN); for the first clerk, staff
and head also clerk.*, staff.*, head.*.
"""

import argparse
import base64
import json
import pathlib
import re
import secrets
import socket
import ssl
import sys
import time
import zlib

PORTS = {"mx": "smtp_mx_port", "submission": "submission_port", "submissions": "submissions_port", "imap": "imap_port",
         "imaps": "imaps_port"}


class Mismatch(Exception):
    pass


class Deflated:
    def __init__(self, sock):
        self.sock, self.squeeze, self.swell = sock, zlib.compressobj(6, zlib.DEFLATED, -15), zlib.decompressobj(-15)

    def settimeout(self, seconds):
        self.sock.settimeout(seconds)

    def sendall(self, data):
        self.sock.sendall(self.squeeze.compress(data) + self.squeeze.flush(zlib.Z_SYNC_FLUSH))

    def recv(self, n):
        out = b""
        while not out:
            piece = self.sock.recv(n)
            if not piece:
                return b""
            out = self.swell.decompress(piece)
        return out

    def close(self):
        self.sock.close()


class Connection:
    def __init__(self, site, port):
        self.site, self.buffer, self.timeout = site, b"", 10.0
        if port == "lmtp":
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(10)
            self.sock.connect(site["lmtp_socket"])
        else:
            self.sock = socket.create_connection((site["host"], site[PORTS[port]]), 10)
        self.sock.settimeout(10)
        if port in ("submissions", "imaps"):
            self.tls()

    def tls(self):
        context = ssl.create_default_context(cafile=self.site["ca_file"])
        self.sock = context.wrap_socket(self.sock, server_hostname=self.site["host"])

    def deflate(self):
        self.sock = Deflated(self.sock)

    def line(self):
        end = time.monotonic() + self.timeout
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0:
                raise Mismatch("no answer within %g s; so far: %r" % (self.timeout, self.buffer))
            self.sock.settimeout(left)
            try:
                piece = self.sock.recv(65536)
            except (TimeoutError, socket.timeout):
                continue
            except OSError as e:
                raise Mismatch("the connection broke: %s" % e)
            if not piece:
                raise Mismatch("the server closed the connection; so far: %r" % self.buffer)
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line[:-1] if line.endswith(b"\r") else line + b"<LF without CR>"

    def send(self, data):
        self.sock.settimeout(self.timeout)
        try:
            self.sock.sendall(data)
        except OSError as e:
            raise Mismatch("sending failed: %s" % e)

    def quiet(self, seconds):
        self.sock.settimeout(seconds)
        try:
            self.buffer += self.sock.recv(65536)
        except (TimeoutError, socket.timeout):
            pass
        if self.buffer:
            raise Mismatch("the server should say nothing, and said %r" % self.buffer)

    def eof(self):
        self.sock.settimeout(self.timeout)
        try:
            self.buffer += self.sock.recv(65536)
        except (ConnectionError, ssl.SSLError):
            return
        except OSError as e:
            raise Mismatch("the server should close the connection: %s" % e)
        if self.buffer:
            raise Mismatch("the server should close the connection, and said %r" % self.buffer)

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass


ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|[rn0t\\])")


def unescape(data):
    plain = {b"r": b"\r", b"n": b"\n", b"0": b"\0", b"t": b"\t", b"\\": b"\\"}
    return ESCAPE.sub(lambda m: plain.get(m.group(1)) or bytes([int(m.group(1)[1:], 16)]), data)


TOKEN = re.compile(r"\{\{|\}\}|\{\*(\d+) ([^}]*)\}|\{(\w[\w.]*)=/((?:[^/\\]|\\.)*)/\}|\{/((?:[^/\\]|\\.)*)/\}|\{(\w[\w.]*)\}")


class Script:
    def __init__(self, path, site, variables=None):
        self.path, self.site = pathlib.Path(path), site
        self.vars = dict(variables or {})
        self.connections = {}
        self.log = []
        self.number = 0

    def value(self, name):
        if name not in self.vars:
            raise Mismatch("no variable {%s}" % name)
        return self.vars[name]

    def expand(self, text):
        """Bytes to send."""
        out, at = b"", 0
        for m in TOKEN.finditer(text):
            out += unescape(text[at:m.start()].encode())
            at = m.end()
            if m.group(0) in ("{{", "}}"):
                out += m.group(0)[:1].encode()
            elif m.group(1):
                out += unescape(m.group(2).encode()) * int(m.group(1))
            elif m.group(6):
                out += self.value(m.group(6)).encode()
            else:
                raise Mismatch("a pattern cannot be sent: " + m.group(0))
        return out + unescape(text[at:].encode())

    def pattern(self, text):
        """(compiled regex, variables it sets)"""
        out, at, names = b"", 0, []
        for m in TOKEN.finditer(text):
            out += re.escape(unescape(text[at:m.start()].encode()))
            at = m.end()
            if m.group(0) in ("{{", "}}"):
                out += re.escape(m.group(0)[:1].encode())
            elif m.group(1):
                out += re.escape(m.group(2).encode() * int(m.group(1)))
            elif m.group(3):
                out += b"(?P<v%d>" % len(names) + m.group(4).replace("\\/", "/").encode() + b")"
                names.append(m.group(3))
            elif m.group(5) is not None:
                out += b"(?:" + m.group(5).replace("\\/", "/").encode() + b")"
            else:
                out += re.escape(self.value(m.group(6)).encode())
        out += re.escape(unescape(text[at:].encode()))
        return re.compile(out, re.S), names

    def matches(self, pattern, line):
        regex, names = pattern
        m = regex.fullmatch(line)
        if not m:
            return False
        for n, name in enumerate(names):
            self.vars[name] = m.group("v%d" % n).decode("utf-8", "replace")
        return True

    def connection(self, name):
        if name not in self.connections:
            raise Mismatch("no connection %s" % (name or "yet"))
        return self.connections[name]

    def read(self, conn):
        line = conn.line()
        self.log.append("< " + line.decode("utf-8", "replace"))
        return line

    def step(self, text):
        m = re.match(r"(?:([A-Z]) )?\{(CONNECT|TLS|DEFLATE|EOF|QUIET|SLEEP|SET|TIMEOUT)(?: (.*))?\}$", text)
        if m:
            return self.verb(m.group(1) or "", m.group(2), m.group(3) or "")
        m = re.match(r"(?:([A-Z]) )?(C:|C-|S:|S\*|S~)(?: (.*))?$", text, re.S)
        if not m:
            raise Mismatch("cannot read this line")
        conn, kind, rest = self.connection(m.group(1) or ""), m.group(2), m.group(3) or ""
        if kind in ("C:", "C-"):
            data = self.expand(rest) + (b"\r\n" if kind == "C:" else b"")
            self.log.append("> " + data[:500].decode("utf-8", "replace").rstrip("\r\n"))
            conn.send(data)
        elif kind == "S~":
            patterns = [self.pattern(p.strip()) for p in rest.split(" | ")]
            while patterns:
                line = self.read(conn)
                hit = next((p for p in patterns if self.matches(p, line)), None)
                if hit is None:
                    raise Mismatch("got %r" % line.decode("utf-8", "replace"))
                patterns.remove(hit)
        else:
            pattern = self.pattern(rest)
            while True:
                line = self.read(conn)
                if self.matches(pattern, line):
                    return
                if kind == "S:":
                    raise Mismatch("got %r" % line.decode("utf-8", "replace"))

    def verb(self, name, verb, rest):
        if verb == "CONNECT":
            port, _, other = rest.partition(" AS ")
            self.connections[other] = Connection(self.site, port)
        elif verb == "DEFLATE":
            self.connection(name).deflate()
        elif verb == "TLS":
            self.connection(name).tls()
        elif verb == "EOF":
            self.connection(name).eof()
        elif verb == "QUIET":
            self.connection(name).quiet(float(rest))
        elif verb == "SLEEP":
            time.sleep(float(rest))
        elif verb == "SET":
            key, _, text = rest.partition("=")
            self.vars[key] = self.expand(text).decode()
        else:
            self.connection(name).timeout = float(rest)

    def run(self):
        """None, or what went wrong."""
        try:
            for self.number, line in enumerate(self.path.read_text(encoding="utf-8").split("\n"), 1):
                if line.strip() and not line.startswith("#"):
                    self.step(line)
        except (Mismatch, OSError) as e:
            wanted = self.path.read_text(encoding="utf-8").split("\n")[self.number - 1]
            return "%s:%d: %s\n  %s\nlast lines on the wire:\n%s" % (
                self.path.name, self.number, wanted, e, "\n".join("  " + t for t in self.log[-12:]))
        finally:
            for c in self.connections.values():
                c.close()
        return None


def variables(site):
    out = {"host": site["host"], "unique": secrets.token_hex(8), "domain": site["users"][0]["address"].split("@")[1]}

    def add(prefix, u):
        for key in ("login", "password", "address", "name"):
            out[prefix + "." + key] = u[key]
        out[prefix + ".plain"] = base64.b64encode(("\0%s\0%s" % (u["login"], u["password"])).encode()).decode()

    persons = [u for u in site["users"] if u["role"] != "mailbox"]
    for n, u in enumerate(persons, 1):
        add("u%d" % n, u)
    for n, u in enumerate((u for u in site["users"] if u["role"] == "mailbox"), 1):
        add("f%d" % n, u)
    for role in ("clerk", "staff", "head"):
        add(role, next(u for u in persons if u["role"] == role))
    return out


def run_file(path, site):
    return Script(path, site, variables(site)).run()


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--dir", default="instance")
    ap.add_argument("files", nargs="+")
    args = ap.parse_args()
    site = json.loads((pathlib.Path(args.dir) / "instance.json").read_text(encoding="utf-8"))
    bad = 0
    for path in args.files:
        why = run_file(path, site)
        print("%s %s" % ("FAIL" if why else "PASS", path))
        if why:
            bad += 1
            print("  " + why.replace("\n", "\n  "))
    print("%d passed, %d failed" % (len(args.files) - bad, bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
