#!/usr/bin/python3
"""Makes, starts and stops an example instance (./quickstart calls this after the build).

instance.py --dir D --prefix P [--port-base N] [--staff N] [--no-demo] up|stop|status|restart|demo

up makes what is missing and changes nothing that is there: keys, certificates, congvu.conf, the directory with the
example province, instance.json. What it did is told a line a step; a step that fails says why, with the end of its log.
"""

import argparse
import fcntl
import json
import os
import pathlib
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time

import ca
import people
from tell import Step, StepFailed, say

SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "ldap-schema"
SOURCE = pathlib.Path(__file__).resolve().parents[2]
BASE_DN = "o=tinhmau,c=VN"
PORTS = {"mx": 25, "imap": 143, "ldap": 389, "submissions": 465, "submission": 587, "imaps": 993}
EXTRA_KEYS = 8


def run(args, what=None, log=None, **kw):
    """Runs a program to its end; its output on failure."""
    r = subprocess.run([str(a) for a in args], stdin=kw.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, **kw)
    out = r.stdout.decode("utf-8", "replace")
    if log:
        with open(log, "a", encoding="utf-8") as f:
            f.write("$ %s\n%s" % (" ".join(map(str, args)), out))
    if r.returncode:
        raise StepFailed("%s ended with %d" % (what or os.path.basename(str(args[0])), r.returncode), out, log)
    return out


class Instance:
    def __init__(self, folder, prefix=None, port_base=None):
        self.dir = pathlib.Path(folder).resolve()
        self.etc = self.dir / "etc"
        self.conf = self.etc / "congvu.conf"
        self.log = self.dir / "log" / "quickstart.log"
        self.state_file = self.dir / "state.json"
        self.json_file = self.dir / "instance.json"
        self.read_state()
        if self.dir.is_dir() and not self.dir.joinpath("log").is_dir() and any(self.dir.iterdir()):
            raise StepFailed("%s is neither empty nor an instance; choose another --dir" % self.dir)
        if not self.state.get("users"):
            self.state.pop("port_base", None)  # not made yet: another one may be tried
        if port_base is not None and not 31 <= port_base <= 65535 - max(PORTS.values()):
            raise StepFailed("--port-base must be from 31 to %d, not %d" % (65535 - max(PORTS.values()), port_base))
        if port_base and self.state.get("port_base", port_base) != port_base:
            raise StepFailed("the instance in %s uses port base %d; choose another --dir, or remove that folder first"
                             % (self.dir, self.state["port_base"]))
        self.port_base = self.state.get("port_base") or port_base or 20000
        self.prefix = pathlib.Path(prefix or self.state.get("prefix", "/usr/local"))
        self.root = os.geteuid() == 0

    # --- small helpers
    def read_state(self):
        self.state = json.loads(self.state_file.read_text(encoding="utf-8")) if self.state_file.exists() else {}

    def lock(self):
        """One quickstart at a time; the lock ends with this process."""
        self.locked = open(self.dir / "log/quickstart.lock", "w", encoding="utf-8")
        try:
            fcntl.flock(self.locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise StepFailed("another quickstart is at work in %s; wait for it" % self.dir) from e
        self.read_state()

    def port(self, name):
        return self.port_base + PORTS[name]

    def save(self, **changes):
        self.state.update(changes)
        self.write(self.state_file, json.dumps(self.state, ensure_ascii=False, indent=1) + "\n", 0o600)

    def write(self, path, text, mode=0o644):
        """Whole or not at all."""
        path = pathlib.Path(path)
        tmp = path.with_name(path.name + ".new")
        fd = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(fd, "w", encoding="utf-8") as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        os.chmod(tmp, mode)
        os.replace(tmp, path)

    def congvu(self, *args, data=None, check=True):
        argv = [str(self.prefix / "bin/congvu"), "-c", str(self.conf), *map(str, args)]
        r = subprocess.run(argv, input=data.encode() if data is not None else None,
                           stdin=subprocess.DEVNULL if data is None else None, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = r.stdout.decode("utf-8", "replace"), r.stderr.decode("utf-8", "replace")
        with open(self.log, "a", encoding="utf-8") as f:
            f.write("$ congvu %s\n%s%s" % (" ".join(map(str, args)), "" if "--json" in args else out, err))
        if check and r.returncode:
            raise StepFailed("congvu %s ended with %d" % (" ".join(map(str, args[:2])), r.returncode), out + err, self.log)
        return r.returncode, out, err

    def slapd(self, verb, *args):
        return run([SCHEMA / "slapd-instance", verb, "--dir", self.dir / "ldap", *args], "slapd-instance " + verb, self.log)

    # --- making
    def make_users(self):
        """One system user a role, named in options.def."""
        names = re.findall(r'^CV_OPT\(user_\w+, CONF_STR, "([^"]+)"', (SOURCE / "lib/options.def").read_text(), re.M)
        for name in names:
            try:
                pwd.getpwnam(name)
            except KeyError:
                run(["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell",
                     "/usr/sbin/nologin", name], "useradd " + name, self.log)
        return len(names)

    def make_folders(self):
        for sub, mode in (("", 0o711), ("log", 0o755), ("etc", 0o711), ("etc/tls", 0o711), ("etc/trust/" + people.DOMAIN, 0o755),
                          ("var", 0o711), ("run", 0o711), ("people", 0o700)):
            p = self.dir / sub
            if not p.is_dir():
                p.mkdir(parents=True)
                p.chmod(mode)

    def make_ca(self):
        self.ca = ca.CA(self.dir / "ca")
        self.ca.make(people.PROVINCE)
        self.ca.dir.chmod(0o700)
        if not (self.etc / "tls/cert.pem").exists():
            self.ca.host(self.etc / "tls/cert.pem.new", self.etc / "tls/key.pem",
                         ["DNS:localhost", "IP:127.0.0.1", "IP:::1"], people.PROVINCE)
            os.replace(self.etc / "tls/cert.pem.new", self.etc / "tls/cert.pem")
        # The issuing CA too: clients that sign without sending it, and checkers without it, find it here.
        for copy in (self.etc / "tls/ca.pem", self.etc / "trust" / people.DOMAIN / "root.pem"):
            if not copy.exists():
                self.write(copy, self.ca.root.read_text() + self.ca.issuing.read_text())
        if not (self.etc / "audit.key").exists():  # of the checkpoints; audit-public.pem is for who verifies the log
            run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                 self.etc / "audit.key.new"], "openssl genpkey", self.log)
            os.chmod(self.etc / "audit.key.new", 0o600)
            run(["openssl", "pkey", "-in", self.etc / "audit.key.new", "-pubout", "-out", self.etc / "audit-public.pem"],
                "openssl pkey", self.log)
            os.replace(self.etc / "audit.key.new", self.etc / "audit.key")
        if not (self.etc / "token.key").exists():
            self.write(self.etc / "token.key", secrets.token_hex(32) + "\n", 0o600)

    def make_conf(self):
        if self.conf.exists() and self.state.get("users"):
            return
        b = self.port
        self.write(self.conf, """# congvu.conf of the example instance, made by ./quickstart: congvu.conf(5) tells all options.
hostname = "localhost"
domains = {"%(domain)s"}
postmaster = "%(postmaster)s"
run_dir = "../run"
libexec_dir = ""

listen_mx = "127.0.0.1:%(mx)d"
listen_submission = "127.0.0.1:%(submission)d"
listen_submissions = "127.0.0.1:%(submissions)d"
listen_imap = "127.0.0.1:%(imap)d"
listen_imaps = "127.0.0.1:%(imaps)d"
tls_cert_file = "tls/cert.pem"
tls_key_file = "tls/key.pem"
token_key_file = "token.key"

ldap_uris = {"ldap://127.0.0.1:%(ldap)d"}
ldap_base = "%(base)s"
ldap_bind_dn = "cn=lookup,ou=services,%(base)s"
ldap_password_file = "ldap.password"
%(admin)s
store_dir = "../var/store"
queue_dir = "../var/queue"
ledger_dir = "../var/ledger"
audit_log = "../var/ledger/audit.jsonl"
audit_key_file = "audit.key"
sign_dir = "../var/sign"
milter_spool_dir = "../var/milter"
trust_dir = "trust"
""" % dict({k: b(k) for k in PORTS}, domain=people.DOMAIN,
                postmaster=people.mailbox_of(people.AGENCIES[0][1]), base=BASE_DN, admin=self.admin_options()))

    def admin_options(self):
        """What the congvu command itself needs, where this release has it."""
        table = (SOURCE / "lib/options.def").read_text()
        out = ""
        for name, value in (("admin_bind_dn", "cn=hr,ou=services," + BASE_DN), ("admin_password_file", "hr.password")):
            if "CV_OPT(%s," % name in table:
                out += '%s = "%s"\n' % (name, value)
        return out

    def make_directory(self):
        self.slapd("init", "--base", BASE_DN, "--org", people.PROVINCE, "--public")
        for account, name in (("lookup", "ldap.password"), ("hr", "hr.password")):
            if not (self.etc / name).exists():
                self.write(self.etc / name, (self.dir / "ldap" / (account + ".password")).read_text(), 0o600)

    # --- starting and stopping
    def start_slapd(self):
        try:
            if "running" in self.slapd("status"):
                return
        except StepFailed:
            self.check_ports(["ldap"])
        self.slapd("start", "--uri", "ldap://127.0.0.1:%d/" % self.port("ldap"))

    def is_running(self):
        return self.congvu("status", check=False)[0] == 0

    def start(self):
        self.congvu("run", "--daemon")
        for name in PORTS:
            self.wait_for(name)

    def bring_up(self):
        """Starts the servers, anew when they were built anew since; what was done."""
        stamp = (self.prefix / "bin/congvu").stat().st_mtime
        running = self.is_running()
        if running and self.state.get("started", 0) >= stamp:
            return "running"
        self.congvu("check")
        self.congvu("stop", check=False)  # built anew, or only a part of it runs
        self.check_ports([name for name in PORTS if name != "ldap"])
        self.start()
        self.save(started=time.time())
        return None

    def wait_for(self, name, seconds=15):
        end = time.monotonic() + seconds
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port(name)), 2):
                    return
            except OSError as e:
                if time.monotonic() > end:
                    raise StepFailed("nothing answers on port %d (%s): %s" % (self.port(name), name, e))
                time.sleep(0.05)

    def check_ports(self, names):
        """Are they free? Else it is told before a server fails on it."""
        for name in names:
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(("127.0.0.1", self.port(name)))
                except OSError as e:
                    raise StepFailed("port %d (%s) cannot be had: %s; %s" % (
                        self.port(name), name, e.strerror, "end the program that has it (ss -tlnp names it)"
                        if self.state.get("users") else "choose another --port-base"))

    def stop(self):
        if self.conf.exists():
            self.congvu("stop", check=False)
        if (self.dir / "ldap").is_dir():
            self.slapd("stop")

    # --- the example province
    def base_of(self, address):
        """Where the keys of an address are, without the suffix."""
        return self.dir / "people" / address.split("@")[0].replace(".", "_")

    def certificate(self, address, name, unit, shared=None):
        """Key, certificate and p12 of an address; the certificate's file. Those that --staff adds share a few keys."""
        base = self.base_of(address)
        if not base.with_suffix(".p12").exists():
            key = None
            if shared is not None:
                key = self.dir / "people" / ("shared-%d.key" % (shared % EXTRA_KEYS))
                if not key.exists():
                    self.ca.new_key(key)
            self.ca.person(base, address, name, people.PROVINCE, unit=unit, key=key,
                           password=self.p12_password({"address": address}))
        return base.with_suffix(".der")

    def make_province(self):
        """Agencies with their functional mailboxes; how many were added."""
        if self.state.get("agencies") == len(people.AGENCIES):
            return 0
        for code, abbrev, kind, name, _short in people.AGENCIES:
            box = people.mailbox_of(abbrev)
            self.congvu("agency", "add", "--code", code, "--abbrev", abbrev, "--kind", kind, "--name", name, "--mailbox", box,
                        "--mailbox-cert", self.certificate(box, name, name), "--decision", people.DECISION)
        self.save(agencies=len(people.AGENCIES))
        return len(people.AGENCIES)

    def new_user(self, row, taken):
        """What is to be known of a person before the hire: DOMAIN.md C2 has the rule of addresses."""
        agency, name, role, _title, password = row
        abbrev, unit = next((a[1], a[3]) for a in people.AGENCIES if a[0] == agency)
        login = people.login_of(name)
        tries = [login, "%s.%s" % (login, abbrev.lower())] + ["%s.%s%d" % (login, abbrev.lower(), n) for n in range(2, 10000)]
        address = next(t for t in tries if t not in taken) + "@" + people.DOMAIN
        taken.add(address.split("@")[0])
        return {"address": address, "password": password, "name": name, "agency": abbrev, "role": role, "unit": unit}

    def make_staff(self, extra):
        """The named people one by one, then the invented ones as a list; how many were hired."""
        users = self.state.setdefault("users", [])
        taken = {u["address"].split("@")[0] for u in users}
        fresh = (people.STAFF + people.invented(extra))[len(users):]
        named = max(len(people.STAFF) - len(users), 0)
        for row in fresh[:named]:
            agency, name, role, title, password = row
            user = self.new_user(row, taken)
            cert = self.certificate(user["address"], name, user["unit"])
            got = json.loads(self.congvu("staff", "hire", "--name", name, "--agency", agency, "--title", title, "--role", role,
                                         "--mail", user["address"], "--cert", cert, "--decision", people.DECISION,
                                         "--password-file", "-", "--json", data=password)[1])
            users.append(dict(user, login=got["uid"]))
            self.save(users=users)
        if fresh[named:]:
            self.hire_list(fresh[named:], users, taken)
        return len(fresh)

    def hire_list(self, rows, users, taken):
        added, lines = [], []
        for n, row in enumerate(rows):
            agency, name, role, title, password = row
            user = self.new_user(row, taken)
            lines.append({"name": name, "agency": agency, "title": title, "role": role, "mail": user["address"],
                          "password": password, "decision": people.DECISION,
                          "cert": str(self.certificate(user["address"], name, user["unit"], shared=n))})
            added.append(user)
        path = self.dir / "people" / "hire.jsonl"
        self.write(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), 0o600)
        got = json.loads(self.congvu("staff", "hire", "--file", path, "--json")[1])
        for user, answer in zip(added, got, strict=True):
            users.append(dict(user, login=answer["uid"]))
        self.save(users=users)

    def p12_password(self, user):
        return "p12-" + user["address"].split("@")[0]

    def write_json(self):
        """instance.json, for clients and test tools."""
        def files(address):
            return {k: "%s.%s" % (self.base_of(address), s) for k, s in (("cert", "pem"), ("key", "key"), ("p12", "p12"))}

        users = [dict({k: u[k] for k in ("address", "login", "password", "name", "agency", "role")}, **files(u["address"]),
                      p12_password=self.p12_password(u)) for u in self.state["users"]]
        clerks = {u["agency"]: u for u in reversed(users) if u["role"] == "clerk"}
        for _code, abbrev, _kind, name, _short in people.AGENCIES:
            # Nobody signs in as a functional mailbox: its clerk does, as herself.
            address = people.mailbox_of(abbrev)
            users.append(dict({"address": address, "login": clerks[abbrev]["login"], "password": clerks[abbrev]["password"],
                               "name": name, "agency": abbrev, "role": "mailbox"}, **files(address),
                              p12_password=self.p12_password({"address": address})))
        self.write(self.json_file, json.dumps({
            "host": "localhost", "smtp_mx_port": self.port("mx"), "submission_port": self.port("submission"),
            "submissions_port": self.port("submissions"), "imap_port": self.port("imap"), "imaps_port": self.port("imaps"),
            "lmtp_socket": str(self.dir / "run/lmtp.sock"), "milter_socket": str(self.dir / "run/milter/milter.sock"),
            "ldap_uri": "ldap://localhost:%d" % self.port("ldap"), "ldap_base": BASE_DN, "ldap_bind_dn": "",
            "ldap_bind_password": "", "ca_file": str(self.etc / "tls/ca.pem"),
            "audit_log": str(self.dir / "var/ledger/audit.jsonl"), "users": users}, ensure_ascii=False, indent=1) + "\n", 0o600)


def settings(inst):
    site = json.loads(inst.json_file.read_text(encoding="utf-8"))
    u = next(u for u in site["users"] if u["role"] == "clerk")
    v = next(u for u in site["users"] if not u["password"].isascii())
    say("""
Settings to enter in a mail client / Cấu hình chương trình thư
  Receiving, IMAP / Nhận thư:    server localhost, port %(imaps_port)d, SSL/TLS   (or %(imap_port)d with STARTTLS)
  Sending, SMTP / Gửi thư:       server localhost, port %(submissions_port)d, SSL/TLS   (or %(submission_port)d with STARTTLS)
  Password / Mật khẩu:           "normal password" or SCRAM-SHA-256
  Address book, LDAP / Danh bạ:  %(ldap_uri)s, base %(ldap_base)s, no sign-in
  Trust this CA first / Tin cậy CA này trước: %(ca_file)s""" % site)
    for who in (u, v):
        say("  %s (%s, %s): user name %s, password %s\n      signature key %s, its password %s" % (
            who["name"], who["agency"], who["role"], who["login"], who["password"], who["p12"], who["p12_password"]))
    say("  All accounts are in %s" % inst.json_file)


def play(inst):
    r = subprocess.run([sys.executable, pathlib.Path(__file__).parent / "demo.py", "--dir", inst.dir])
    if r.returncode:
        say("\nThe instance is still running; look into %s" % (inst.dir / "log"))
        sys.exit(1)
    inst.save(demonstration=time.strftime("%Y-%m-%d %H:%M:%S"))


def up(inst, args):
    made = inst.state.get("made")
    say("Instance %s" % inst.dir if made else "Making the instance %s" % inst.dir)
    try:
        inst.make_folders()
    except OSError as e:
        raise StepFailed("the folder %s cannot be made: %s" % (e.filename, e.strerror)) from e
    inst.lock()
    made = inst.state.get("made")
    if inst.root:
        with Step("system users of the roles"):
            inst.make_users()
    with Step("configuration"):
        if not made and not (inst.dir / "ldap/slapd.pid").exists():  # else: a run that was broken off
            inst.check_ports(PORTS)
        inst.save(prefix=str(inst.prefix), port_base=inst.port_base)
        inst.make_conf()
    with Step("demonstration CA and host certificate"):
        inst.make_ca()
    with Step("directory (slapd, port %d)" % inst.port("ldap")):
        inst.make_directory()
        inst.start_slapd()
    with Step("agencies of %s" % people.PROVINCE) as step:
        added = inst.make_province()
        step.note = "%d added" % added if added else "there"
    with Step("people, their keys and certificates") as step:
        added = inst.make_staff(max(args.staff or 0, len(inst.state.get("users", [])) - len(people.STAFF)))
        step.note = "%d hired" % added if added else "there"
    with Step("mail servers (SMTP, IMAP, store, milter)") as step:
        step.note = inst.bring_up()
    if not made or not inst.json_file.exists() or added:
        inst.write_json()
    inst.save(made=True) if not made else None
    if not args.no_demo:
        if inst.state.get("demonstration"):
            say("The demonstration was played at %s; ./quickstart demo plays it again." % inst.state["demonstration"])
        else:
            say("\nThe demonstration / Minh họa")
            play(inst)
    settings(inst)


def status(inst):
    if not inst.conf.exists():
        say("no instance in %s" % inst.dir)
        return 3
    rc, out, err = inst.congvu("status", check=False)
    say((out + err).rstrip())
    try:
        say("slapd: " + inst.slapd("status").strip())
    except StepFailed:
        say("slapd: stopped")
        rc = rc or 3
    return rc


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--dir", default="instance")
    ap.add_argument("--prefix")
    ap.add_argument("--port-base", type=int)
    ap.add_argument("--staff", type=int)
    ap.add_argument("--no-demo", action="store_true")
    ap.add_argument("verb", choices=("up", "stop", "status", "restart", "demo"))
    args = ap.parse_args()
    os.umask(0o022)
    try:
        return do(args)
    except StepFailed as e:
        sys.exit("quickstart: %s" % e)
    except KeyboardInterrupt:
        print("quickstart: interrupted; the same command again goes on from here", file=sys.stderr)
        return 130


def do(args):
    inst = Instance(args.dir, args.prefix, args.port_base)
    if args.verb == "status":
        return status(inst)
    if args.verb != "up" and not inst.json_file.exists() and not inst.conf.exists():
        raise StepFailed("there is no instance in %s; ./quickstart --dir %s makes it" % (inst.dir, inst.dir))
    if args.verb == "demo":
        if not inst.json_file.exists() or not inst.is_running():
            raise StepFailed("the instance in %s does not run; ./quickstart --dir %s starts it" % (inst.dir, inst.dir))
        play(inst)
        return 0
    if args.verb in ("stop", "restart"):
        with Step("stopping"):
            inst.stop()
        if args.verb == "stop":
            return 0
        args.no_demo = True
    up(inst, args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
