"""smtpd's own binaries among fake neighbours: a lookup, a ledger, an LMTP server and a milter that do as a test says."""

import base64
import hashlib
import itertools
import os
import pathlib
import pwd
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

SMTPD, RELAY, ADMIN = 1 << 0, 1 << 3, 1 << 5
LOOKUP, QUEUE, LEDGER = 1 << 6, 1 << 8, 1 << 9
IPC_OK, IPC_ERR = 1, 2
ERR_AUTH, ERR_TEMP = -23, -14


# ---- payloads of lib/ipc ----

def put(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack(">I", len(s)) + s


class Reader:
    def __init__(self, data):
        self.data = data

    def u(self, n):
        v, self.data = int.from_bytes(self.data[:n], "big"), self.data[n:]
        return v

    def s(self):
        n = self.u(4)
        v, self.data = self.data[:n], self.data[n:]
        return v


def read_exact(conn, n):
    data = b""
    while len(data) < n:
        got = conn.recv(n - len(data))
        if not got:
            raise EOFError
        data += got
    return data


def read_frame(conn):
    length, kind, _flags, number = struct.unpack(">IHHI", read_exact(conn, 12))
    return kind, number, read_exact(conn, length - 8)


def write_frame(conn, kind, number, payload=b""):
    conn.sendall(struct.pack(">IHHI", len(payload) + 8, kind, 0, number) + payload)


class Fake:
    """A thread for each connection; stop() ends them."""

    def __init__(self, path):
        self.path = str(path)
        if isinstance(path, tuple):
            self.sock = socket.create_server(path)
        else:
            self.sock = socket.socket(socket.AF_UNIX)
            if os.path.exists(self.path):
                os.unlink(self.path)
            self.sock.bind(self.path)
        self.sock.listen(100)
        self.conns = []
        self.connections = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            self.connections += 1
            self.conns.append(conn)
            threading.Thread(target=self.run, args=(conn,), daemon=True).start()

    def run(self, conn):
        try:
            self.serve(conn)
        except (EOFError, OSError):
            pass
        finally:
            conn.close()

    def stop(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        if os.path.exists(self.path):
            os.unlink(self.path)
        for c in self.conns:
            try:
                c.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Ipc(Fake):
    proto, role = "", 0

    def serve(self, conn):
        read_frame(conn)
        write_frame(conn, 0, 0, put(self.proto) + struct.pack(">II", 1, self.role))
        while True:
            kind, number, payload = read_frame(conn)
            answer = self.answer(kind, Reader(payload))
            if answer is not None:
                write_frame(conn, answer[0], number, answer[1])

    @staticmethod
    def error(code):
        return IPC_ERR, struct.pack(">i", code) + put("fake")


class Lookup(Ipc):
    """people: {address: password}; aliases of a person in identities."""
    proto, role = "lookup", LOOKUP

    def __init__(self, path, people, functional=None):
        self.people = people
        self.functional = functional or {}
        self.down = False
        self.forwards, self.replies, self.closed = {}, {}, set()
        self.exchanges = itertools.count(1)
        super().__init__(path)

    def answer(self, kind, r):
        if self.down:
            return self.error(ERR_TEMP)
        if kind == 10:
            return self.rcpt(r.s().decode())
        if kind == 62:
            return self.route(r.s().decode())
        if kind == 20:
            return self.auth(r)
        if kind == 21:
            return self.step(r)
        return None

    def rcpt(self, address):
        known = address in self.people or address in self.functional
        if not address.endswith("@tinhmau.example"):
            return 11, struct.pack(">BIB", 2, 0, 0)
        if not known:
            return 11, struct.pack(">BIB", 3, 0, 0)
        return 11, struct.pack(">BI", 1, 1) + put("p-1") + put(address) + put("Name") + b"\0"

    def route(self, address):
        """forwards: {address: ([(to, by, is_remote)], keep)}; replies: {address: (text, days, subject)}; closed: groups nobody may send to."""
        known = address in self.people or address in self.functional
        kind = 2 if not address.endswith("@tinhmau.example") else 1 if known else 3
        hops, keep = self.forwards.get(address, ([], True))
        out = struct.pack(">BBBBI", kind, address not in self.closed, 0, keep, len(hops))
        out += b"".join(put(to) + put(by) + put(hashlib.sha256(by.encode()).digest()) + bytes([remote]) for to, by, remote in hops)
        if address not in self.replies:
            return 63, out + b"\0"
        text, days, subject = self.replies[address]
        out += b"\1" + put("p-" + address.split("@")[0]) + put(address) + put("Nguyễn Văn An") + put(subject) + put(text)
        return 63, out + struct.pack(">II", days, 1) + put(address)

    def auth(self, r):
        mech, has, initial = r.s().decode(), r.u(1), r.s()
        self.mech = mech
        if mech == "LOGIN":
            self.user = None
            return 23, struct.pack(">I", 7) + put("Username:")
        if not has:
            return 23, struct.pack(">I", 7) + put("")
        return self.plain(initial)

    def plain(self, data):
        _, user, password = data.split(b"\0")
        return self.done(user.decode(), password.decode())

    def step(self, r):
        r.u(4)
        data = r.s()
        if self.mech == "LOGIN" and self.user is None:
            self.user = data.decode()
            return 23, struct.pack(">I", 7) + put("Password:")
        if self.mech == "LOGIN":
            return self.done(self.user, data.decode())
        return self.plain(data)

    def done(self, user, password):
        if self.people.get(user) != password:
            return self.error(ERR_AUTH)
        mine = [user] + [a for a, holder in self.functional.items() if holder == user]
        out = put(user) + put("p-1") + put(user) + put("Name") + put(b"ticket") + struct.pack(">q", 2 ** 40)
        out += struct.pack(">I", len(mine)) + b"".join(put(a) + bytes([a != user]) + struct.pack(">qq", 0, 0) for a in mine)
        out += struct.pack(">I", 0) + put("") + b"\0" + struct.pack(">qBI", 0, 0, 0)
        return 24, out


class Ledger(Ipc):
    proto, role = "ledger", LEDGER

    def __init__(self, path):
        self.outcomes = []
        self.alerts = []  # [rule, qid, login, IP, address]
        super().__init__(path)

    def answer(self, kind, r):
        if kind == 80:
            self.alerts.append([r.s().decode() for _ in range(5)])
            return 11, struct.pack(">Q", len(self.alerts))
        if kind not in (12, 50):  # at once; by relay, later
            return self.error(ERR_TEMP)
        o = {"qid": r.s().decode(), "code": r.u(4), "enhanced": r.s().decode(), "text": r.s().decode(), "from": r.s().decode(),
             "login": r.s().decode(), "ip": r.s().decode(), "rcpts": []}
        for _ in range(r.u(4)):
            o["rcpts"].append((r.s().decode(), r.s().decode(), r.s().decode()))
        self.outcomes.append(o)
        return 11, struct.pack(">Q", len(self.outcomes))


class Lmtp(Fake):
    """Takes mail; rcpt_answer and data_answer are called with the address and the delivery id."""

    def __init__(self, path, xcvid=True, keeps_sent=True):
        self.mails = []  # (id, from line, address, bytes)
        self.copies = []  # the same, of what was for Sent
        self.xcvid, self.keeps_sent, self.tells_seen = xcvid, keeps_sent, False
        self.rcpt_answer = lambda address, i: "250 2.1.5 Ok"
        self.data_answer = lambda address, i: "250 2.0.0 Ok"
        self.before_final = lambda: None
        self.lines = []  # commands
        super().__init__(path)

    def serve(self, conn):
        f = conn.makefile("rwb")

        def say(line):
            f.write(line.encode() + b"\r\n")
            f.flush()

        say("220 fake LMTP")
        mail, ident, rcpts = None, None, []
        while True:
            line = f.readline()
            if not line:
                return
            verb = line.split()[0].upper()
            if verb != b"LHLO":
                self.lines.append(line.decode().strip())
            if verb == b"RSET":
                say("250 ok")
            elif verb == b"LHLO":
                say("250-fake\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n%s%s250 SIZE" % ("250-XCVID\r\n" * self.xcvid, "250-XCVSENT\r\n" * self.keeps_sent + "250-XCVSEEN\r\n" * self.tells_seen))
            elif verb == b"MAIL":
                mail, rcpts = line.decode().strip(), []
                ident = mail.split("XCVID=")[1].split()[0] if "XCVID=" in mail else None
                say("250 2.1.0 Ok")
            elif verb == b"RCPT":
                address = line.decode().split("<")[1].split(">")[0]
                answer = self.rcpt_answer(address, ident)
                if answer[0] == "2":
                    rcpts.append(address)
                say(answer)
            elif verb == b"DATA":
                if not rcpts:
                    say("554 5.5.1 No recipients")
                    continue
                say("354 go")
                lines = []
                while not lines or lines[-1] != b".\r\n":
                    got = f.readline()
                    if not got:
                        return
                    lines.append(got)
                data = b"".join(x[1:] if x.startswith(b".") else x for x in lines[:-1])
                self.before_final()
                for address in rcpts:
                    answer = self.data_answer(address, ident)
                    if answer is None:
                        return
                    if answer[0] == "2" and (ident, address) not in [(m[0], m[2]) for m in self.mails + self.copies if ident]:
                        (self.copies if mail.endswith(" XCVSENT") else self.mails).append((ident, mail, address, data))
                    say(answer)
            elif verb == b"QUIT":
                say("221 bye")
                return
            else:
                say("500 what")


class Smarthost(Fake):
    """An SMTP server by TCP, with STARTTLS when it has a certificate; one answer for all recipients."""

    def __init__(self, cert=None, key=None):
        self.mails = []  # (tls, mail line, addresses, bytes)
        self.answer = "250 2.0.0 Ok"
        self.ctx = None
        if cert:
            self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.ctx.load_cert_chain(cert, key)
        super().__init__(("127.0.0.1", 0))

    def serve(self, conn):
        tls = False
        f = conn.makefile("rwb")

        def say(line):
            f.write(line.encode() + b"\r\n")
            f.flush()
        say("220-fake\r\n220 smarthost")
        mail, rcpts = "", []
        while True:
            line = f.readline().decode().strip()
            verb = line.split(" ")[0]
            if verb == "EHLO":
                say("250-fake\r\n%s250 8BITMIME" % ("250-STARTTLS\r\n" * (self.ctx is not None and not tls)))
            elif verb == "STARTTLS":
                say("220 go")
                conn = self.ctx.wrap_socket(conn, server_side=True)
                f, tls = conn.makefile("rwb"), True
            elif verb == "RSET":
                mail = ""
                say("250 ok")
            elif verb == "MAIL" and mail:
                say("503 5.5.1 nested MAIL")
            elif verb == "MAIL":
                mail, rcpts = line, []
                say("250 ok")
            elif verb == "RCPT":
                address = line.split("<")[1].split(">")[0]
                if address.startswith("bad"):
                    say("550 5.1.1 unknown here")
                else:
                    rcpts.append(address)
                    say("250 ok")
            elif verb == "DATA":
                say("354 go")
                lines = []
                while not lines or lines[-1] != b".\r\n":
                    lines.append(f.readline())
                if self.answer[0] == "2":
                    self.mails.append((tls, mail, rcpts, b"".join(lines[:-1])))
                mail = ""
                say(self.answer)
            elif verb == "QUIT" or not line:
                return
            else:
                say("500 what")


class Milter(Fake):
    """Agrees on steps (bits it does not want, and does not answer), records what it sees, answers as on[] says."""

    def __init__(self, path, steps=0, version=6):
        self.steps = steps
        self.version = version
        self.seen = []     # (command, data) of all connections in order
        self.macros = {}   # stage: {name: value}, the latest
        self.on = {}       # command: list of (command, data) to answer with
        super().__init__(path)

    def packet(self, conn, cmd, data=b""):
        conn.sendall(struct.pack(">I", len(data) + 1) + cmd.encode() + data)

    def serve(self, conn):
        no_answer = {0x80: "L", 0x1000: "C", 0x2000: "H", 0x4000: "M", 0x8000: "R", 0x10000: "T", 0x40000: "N", 0x80000: "B"}
        silent = {c for bit, c in no_answer.items() if self.steps & bit} | {"D", "A", "Q", "K"}
        while True:
            n, = struct.unpack(">I", read_exact(conn, 4))
            data = read_exact(conn, n)
            cmd, data = chr(data[0]), data[1:]
            if cmd == "D":
                parts = data[1:].split(b"\0")[:-1]
                self.macros[chr(data[0])] = {k.decode(): v.decode() for k, v in zip(parts[::2], parts[1::2])}
                continue
            self.seen.append((cmd, data))
            if cmd == "O":
                self.packet(conn, "O", struct.pack(">III", self.version, 0x1FF, self.steps))
                continue
            answers = self.on.get(cmd)
            answers = answers(data) if callable(answers) else answers
            if answers is None:
                answers = [] if cmd in silent else [("c", b"")]
            for a in answers:
                if a == "close":
                    return
                self.packet(conn, *a)
            if cmd == "Q":
                return

    def commands(self):
        return "".join(c for c, _ in self.seen)


class Smtpd:
    """The real session, queue and relay below folder, with the fakes in its run folder."""

    def __init__(self, folder, build, **options):
        self.dir, self.build = pathlib.Path(folder), pathlib.Path(build)
        self.run = self.dir / "run"
        self.run.mkdir(exist_ok=True)
        (self.dir / "q").mkdir()
        self.procs = {}
        cert = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(self.dir / "key.pem"),
                "-out", str(self.dir / "cert.pem")]
        subprocess.run(cert, check=True, capture_output=True)
        me = self.conf_user = pwd.getpwuid(os.geteuid()).pw_name
        conf = {"hostname": "localhost", "domains": ["tinhmau.example"], "run_dir": "run", "tls_cert_file": "cert.pem",
                "tls_key_file": "key.pem", "queue_dir": "q", "milters": ["unix:milter.sock"], "queue_retry_s": ["1"],
                "log_level": "debug", "message_size_max": 20000000, "user_smtpd": me, "user_relay": me, "user_queue": me, **options}
        lines = []
        for k, v in conf.items():
            if isinstance(v, list):
                lines.append("%s = {%s}" % (k, ", ".join('"%s"' % x for x in v)))
            else:
                lines.append('%s = %s' % (k, v if isinstance(v, int) else '"%s"' % v))
        (self.dir / "c.conf").write_text("\n".join(lines) + "\n")
        self.listeners = {}
        for name in ("mx", "submission", "submissions"):
            s = socket.socket()
            s.bind(("127.0.0.1", 0))
            s.listen(200)
            self.listeners["listen." + name] = s
        for name in ("queue.smtpd", "queue.relay", "queue.admin", "judge"):
            s = socket.socket(socket.AF_UNIX)
            s.bind(str(self.run / (name + ".sock")))
            s.listen(100)
            self.listeners[name] = s

    def port(self, name):
        return self.listeners["listen." + name].getsockname()[1]

    def start(self, *names):
        socks = {"smtpd-queue": ["queue.smtpd", "queue.relay", "queue.admin"], "relay": [],
                 "smtpd-session": ["listen.mx", "listen.submission", "listen.submissions", "judge"]}
        for name in names or socks:
            binary = self.build / ("congvu-" + name)
            args = [str(binary), "--conf", str(self.dir / "c.conf"), "--name", name, "--index", "0", "--user", "-",
                    "--dir", str(self.dir / "q" if name == "smtpd-queue" else self.run)]
            fds = []
            for s in socks[name]:
                fd = self.listeners[s].fileno()
                args += ["--fd", "%s=%d" % (s, fd)]
                fds.append(fd)
            secret = self.dir / "smarthost.auth"
            if name == "relay" and secret.exists():
                fds.append(os.open(secret, os.O_RDONLY))
                args += ["--fd", "smarthost_auth_file=%d" % fds[-1]]
            wrap = os.environ.get("CONGVU_WRAP", "").split()
            self.procs[name] = subprocess.Popen(wrap + args, pass_fds=fds, stderr=open(self.dir / (name + ".log"), "ab"))

    def kill(self, name, sig=signal.SIGKILL):
        p = self.procs.pop(name)
        p.send_signal(sig)
        p.wait()

    def stop(self):
        for name in list(self.procs):
            p = self.procs[name]
            assert p.poll() is None, "%s ended with %s:\n%s" % (name, p.returncode, (self.dir / (name + ".log")).read_text()[-3000:])
            self.kill(name, signal.SIGTERM)
        for s in self.listeners.values():
            s.close()

    def log(self, name="smtpd-session"):
        return (self.dir / (name + ".log")).read_text(errors="replace")


class Smtp:
    """A bare SMTP client: lines out, answers in."""

    def __init__(self, port, tls=False, timeout=20):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        if tls:
            self.starttls()
        self.f = self.sock.makefile("rb")
        self.greeting = self.answer()

    def starttls(self):
        ctx = ssl.create_default_context()
        ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
        self.sock = ctx.wrap_socket(self.sock)
        self.f = self.sock.makefile("rb")

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def answer(self):
        lines = []
        while True:
            line = self.f.readline().decode()
            if not line:
                return "\n".join(lines) + "<end>"
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    def cmd(self, line):
        self.send(line if isinstance(line, bytes) or line.endswith("\n") else line + "\r\n")
        return self.answer()

    def login(self, user, password):
        self.cmd("EHLO client.example")
        return self.cmd("AUTH PLAIN " + base64.b64encode(("\0%s\0%s" % (user, password)).encode()).decode())

    def mail(self, sender, rcpts, data):
        """The answers to MAIL, each RCPT, DATA and the message."""
        out = [self.cmd("MAIL FROM:<%s>" % sender)]
        out += [self.cmd("RCPT TO:<%s>" % r) for r in rcpts]
        out.append(self.cmd("DATA"))
        if out[-1].startswith("354"):
            out.append(self.cmd(data if isinstance(data, bytes) and data.endswith(b"\r\n.\r\n") else data + "\r\n.\r\n"))
        return out

    def close(self):
        self.f.close()
        self.sock.close()


def wait_for(what, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got = what()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError("did not happen in %d s" % seconds)
