"""A private slapd for tests: a folder of its own, a loopback port, stopped by its pid. And lookup itself, as a parent would start
it, with a probe for client; and the client's half of SCRAM."""

import atexit
import base64
import contextlib
import getpass
import hashlib
import hmac
import json
import os
import pathlib
import queue
import random
import signal
import socket
import subprocess
import threading
import time
import unicodedata

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CONGVU_BUILD", TOP / "build"))
SCRIPT = TOP / "ldap-schema/slapd-instance"
BASE = "o=tinhmau,c=VN"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def silent_dns(folder):
    """(what to put before a program, so that its name server never answers and its own host's name is in no file; a socket that has its queries)"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.%d" % random.randrange(2, 250), 53))
        (folder / "resolv.conf").write_text("nameserver %s\n" % s.getsockname()[0])
        (folder / "hosts").write_text("127.0.0.1 localhost\n")
        s.setblocking(False)
        mounts = " && ".join("mount --bind '%s' /etc/%s" % (folder / name, name) for name in ("resolv.conf", "hosts"))
        yield ["unshare", "-m", "sh", "-c", "mount --make-rprivate / && " + mounts + ' && exec "$0" "$@"'], s


class Slapd:
    def __init__(self, folder, base=BASE, args=()):
        self.dir = pathlib.Path(folder)
        self.base = base
        self.uri = "ldap://127.0.0.1:%d" % free_port()
        self.run("init", "--base", base, "--org", "Tỉnh Mẫu", *args)
        self.start()

    def run(self, verb, *args):
        r = subprocess.run([SCRIPT, verb, "--dir", self.dir, *args], capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r.stdout + r.stderr
        return r.stdout

    def start(self):
        self.run("start", "--uri", self.uri)
        # a test that breaks off before its end leaves no server behind
        atexit.register(subprocess.run, [SCRIPT, "stop", "--dir", self.dir], capture_output=True)

    def stop(self):
        self.run("stop")

    def pause(self, on):
        pid = int((self.dir / "slapd.pid").read_text())
        os.kill(pid, signal.SIGSTOP if on else signal.SIGCONT)
        # a thread that runs may answer somebody before it stops
        while on and any(t.read_text().rsplit(")", 1)[1].split()[0] not in "Tt" for t in pathlib.Path("/proc/%d/task" % pid).glob("*/stat")):
            time.sleep(0.01)

    def as_hr(self, tool, *args, data=None, check=True):
        r = subprocess.run([tool, "-x", "-H", self.uri, "-D", "cn=hr,ou=services," + self.base, "-y", self.dir / "hr.password",
                            *args], input=data, capture_output=True, text=True, timeout=60)
        assert not check or r.returncode == 0, r.stdout + r.stderr
        return r

    def add(self, ldif):
        self.as_hr("ldapadd", data=ldif)

    def modify(self, ldif):
        self.as_hr("ldapmodify", data=ldif)


def b64(b):
    return base64.b64encode(b).decode()


def scram_keys(password, iterations=4096, salt=None, mech="SCRAM-SHA-256"):
    """RFC 5803's value for a password."""
    salt, h = salt or os.urandom(16), scram_hash(mech)
    salted = hashlib.pbkdf2_hmac(h, unicodedata.normalize("NFKC", password).encode(), salt, iterations)
    stored = hashlib.new(h, hmac.digest(salted, b"Client Key", h)).digest()
    return "%s$%d:%s$%s:%s" % (mech, iterations, b64(salt), b64(stored), b64(hmac.digest(salted, b"Server Key", h)))


def scram_hash(mech):
    return "sha1" if "SHA-1" in mech else "sha256"


def person_ldif(number, name, uid, password, domain="tinhmau.example", base=BASE, extra="", scram=True):
    words = name.split()
    keys = "authPassword:: %s\n" % b64(scram_keys(password).encode()) if scram else ""

    def field(attr, value):
        return "%s:: %s\n" % (attr, b64(value.encode()))
    return ("dn: vnStaffId=%06d,ou=people,%s\nobjectClass: inetOrgPerson\nobjectClass: vnCivilServant\nvnStaffId: %06d\n" % (
        number, base, number) + field("cn", name) + field("sn", words[0]) + field("givenName", words[-1]) +
        field("displayName", name + " (SKHCN)") + "uid: %s\nmail: %s@%s\nvnStatus: active\nvnAgencyRef: H99.02\n" % (uid, uid, domain) +
        field("userPassword", unicodedata.normalize("NFKC", password)) + keys + extra + "\n")


CONF = """
hostname = "localhost"
domains = {"tinhmau.example"}
run_dir = "%(dir)s"
token_key_file = "%(dir)s/token.key"
ldap_base = "%(base)s"
ldap_bind_dn = "%(bind_dn)s"
ldap_password_file = "%(dir)s/ldap.password"
user_smtpd = "%(user)s"
user_imapd = "%(user)s"
user_ingest = "%(user)s"
user_milter = "%(user)s"
ldap_timeout_ms = 1500
ldap_pool = 4
sasl_mechs = {"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "PLAIN", "LOGIN"}
%(throttle)s
"""
KEY = "00112233445566778899aabbccddeeff" * 2


class Lookup:
    """congvu-lookup as a parent starts it: listening sockets and secrets inherited, and one probe for each client role."""

    def __init__(self, folder, uris, base=BASE, bind_dn="cn=lookup,ou=services," + BASE, password="", more="",
                 throttle="login_fails_account = 0\nlogin_fails_network = 0", before=()):
        self.dir = pathlib.Path(folder)
        self.dir.mkdir(exist_ok=True)
        (self.dir / "token.key").write_text(KEY)
        (self.dir / "ldap.password").write_text(password)
        conf = self.dir / "congvu.conf"
        conf.write_text(CONF % dict(dir=self.dir, base=base, bind_dn=bind_dn, user=getpass.getuser(), throttle=throttle) +
                        "ldap_uris = {%s}\n" % ", ".join('"%s"' % u for u in uris) + more)
        self.sockets = {}
        for role in ("smtpd", "imapd", "ingest", "milter"):
            s = socket.socket(socket.AF_UNIX)
            s.bind(str(self.dir / ("lookup.%s.sock" % role)))
            s.listen(64)
            self.sockets[role] = s
        files = {"token_key_file": open(self.dir / "token.key", "rb"), "ldap_password_file": open(self.dir / "ldap.password", "rb")}
        self.files = files
        self.before = [*before]
        self.log = open(self.dir / "lookup.log", "ab")
        self.start()
        self.probes = {}

    def start(self):
        fds = [("lookup." + r, s.fileno()) for r, s in self.sockets.items()] + [(n, f.fileno()) for n, f in self.files.items()]
        args = [BUILD / "congvu-lookup", "--conf", self.dir / "congvu.conf", "--name", "lookup", "--index", "0", "--user", "-", "--dir", self.dir]
        for name, fd in fds:
            args += ["--fd", "%s=%d" % (name, fd)]
        valgrind = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite",
                    "--show-leak-kinds=definite"] if os.environ.get("CONGVU_VALGRIND") else []
        self.proc = subprocess.Popen(self.before + valgrind + args, pass_fds=[fd for _, fd in fds], stderr=self.log, stdin=subprocess.DEVNULL)

    def log_text(self):
        return (self.dir / "lookup.log").read_text(errors="replace")

    def probe(self, role):
        if role not in self.probes:
            self.probes[role] = Probe(self.dir / ("lookup.%s.sock" % role), role)
        return self.probes[role]

    def close(self):
        for p in self.probes.values():
            p.close()
        self.proc.terminate()
        status = self.proc.wait(30)
        for s in self.sockets.values():
            s.close()
        for f in self.files.values():
            f.close()
        self.log.close()
        return status


class Probe:
    def __init__(self, path, role):
        self.proc = subprocess.Popen([BUILD / "tests/system/lookup_probe", path, role], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True)
        self.answers = {}
        self.arrived = queue.Queue()
        self.last = 0
        self.ip = None  # where clients come from; None: 192.0.2.1
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.proc.stdout:
            self.arrived.put(json.loads(line))

    def ask(self, verb, *args, id=None):
        """Sends a command, and gives its id."""
        if id is None:
            self.last += 1
            id = self.last
        self.proc.stdin.write(" ".join([verb, str(id), *args]) + "\n")
        self.proc.stdin.flush()
        return id

    def wait(self, id, timeout=30):
        end = time.monotonic() + timeout
        while id not in self.answers:
            got = self.arrived.get(timeout=max(0.01, end - time.monotonic()))
            self.answers[got["id"]] = got
        return self.answers.pop(id)

    def call(self, verb, *args):
        return self.wait(self.ask(verb, *args))

    def close(self):
        self.proc.stdin.close()
        self.proc.wait(30)
        self.thread.join(10)
        self.proc.stdout.close()

    # --- logins
    def auth(self, mech, first, *steps, tls=True):
        """Raw exchange: each step is bytes, or a function of the challenge."""
        id = self.ask("start", mech, "1" if tls else "0", "-" if first is None else first.hex() or "-", *([self.ip] if self.ip else []))
        got = self.wait(id)
        for step in steps:
            if got.get("result") != "more":
                return got
            data = step(bytes.fromhex(got["data"])) if callable(step) else step
            self.ask("step", data.hex() or "-", id=id)
            got = self.wait(id)
        return got

    def plain(self, user, password, authzid="", tls=True):
        return self.auth("PLAIN", b"\0".join(s.encode() if isinstance(s, str) else s for s in (authzid, user, password)), tls=tls)

    def login(self, user, password):
        return self.auth("LOGIN", None, user.encode(), password.encode())

    def scram(self, user, password, binding=None, mech="SCRAM-SHA-256", before_proof=None):
        header = b"n,," if binding is None else b"p=" + binding[0].encode() + b",,"
        bare = b"n=" + user.replace("=", "=3D").replace(",", "=2C").encode() + b",r=" + os.urandom(12).hex().encode()
        verify, h = {}, scram_hash(mech)

        def final(challenge):
            if before_proof is not None:
                before_proof()
            parts = dict(p.split("=", 1) for p in challenge.decode().split(","))
            salted = hashlib.pbkdf2_hmac(h, unicodedata.normalize("NFKC", password).encode(),
                                         base64.b64decode(parts["s"]), int(parts["i"]))
            key = hmac.digest(salted, b"Client Key", h)
            cb = header + (binding[1] if binding else b"")
            without = b"c=" + base64.b64encode(cb) + b",r=" + parts["r"].encode()
            message = bare + b"," + challenge + b"," + without
            proof = bytes(a ^ b for a, b in zip(key, hmac.digest(hashlib.new(h, key).digest(), message, h)))
            verify["v"] = b"v=" + base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", h), message, h))
            verify["i"] = int(parts["i"])
            return without + b",p=" + base64.b64encode(proof)
        got = self.auth(mech, header + bare, final)
        got["server_ok"] = got.get("data") is not None and bytes.fromhex(got["data"]) == verify.get("v")
        got["asked_proof"] = bool(verify)
        return got
