#!/usr/bin/python3
"""Makes, starts and stops an example instance (./quickstart calls this after the build).

instance.py --dir D --prefix P [--port-base N] [--staff N] [--no-demo] up|stop|status|restart|demo

up makes what is missing and changes nothing that is there: keys, certificates, congvu.conf, the directory with the
example province, instance.json. What it did is told a line a step; a step that fails says why, with the end of its log.
"""

import argparse
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
        self.state = json.loads(self.state_file.read_text()) if self.state_file.exists() else {}
        if port_base and self.state.get("port_base", port_base) != port_base:
            raise StepFailed("the instance in %s uses port base %d; choose another --dir, or remove that folder first"
                             % (self.dir, self.state["port_base"]))
        self.port_base = self.state.get("port_base") or port_base or 20000
        self.prefix = pathlib.Path(prefix or self.state.get("prefix", "/usr/local"))
        self.root = os.geteuid() == 0

    # --- small helpers
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
        for sub, mode in (("", 0o711), ("etc", 0o711), ("etc/tls", 0o711), ("etc/trust/" + people.DOMAIN, 0o755), ("var", 0o711),
                          ("run", 0o711), ("log", 0o755), ("people", 0o700)):
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
        for copy in (self.etc / "tls/ca.pem", self.etc / "trust" / people.DOMAIN / "root.pem"):
            if not copy.exists():
                self.write(copy, self.ca.root.read_text())
        if not (self.etc / "token.key").exists():
            self.write(self.etc / "token.key", secrets.token_hex(32) + "\n", 0o600)

    def make_conf(self):
        if self.conf.exists():
            return
        b = self.port
        self.write(self.conf, """# congvu.conf of the example instance, made by ./quickstart: congvu.conf(5) tells all options.
hostname = "localhost"
domains = {"%(domain)s"}
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
trust_dir = "trust"
""" % dict({k: b(k) for k in PORTS}, domain=people.DOMAIN, base=BASE_DN, admin=self.admin_options()))

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
        self.slapd("start", "--uri", "ldap://127.0.0.1:%d/" % self.port("ldap"))

    def is_running(self):
        return self.congvu("status", check=False)[0] == 0

    def start(self):
        self.congvu("run", "--daemon")
        for name in PORTS:
            self.wait_for(name)

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

    def check_ports(self):
        for name in PORTS:
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind(("127.0.0.1", self.port(name)))
                except OSError as e:
                    raise StepFailed("port %d (%s) cannot be had: %s; choose another --port-base" % (self.port(name), name, e))

    def stop(self):
        if self.conf.exists():
            self.congvu("stop", check=False)
        if (self.dir / "ldap").is_dir():
            self.slapd("stop")

    # --- the example province
    def make_province(self):
        """Agencies with their functional mailboxes; True when something was added."""
        if self.state.get("agencies"):
            return False
        have = {a.get("code") for a in self.listed("agency")}
        for code, abbrev, kind, name, _short in people.AGENCIES:
            if code not in have:
                self.congvu("agency", "add", "--code", code, "--abbrev", abbrev, "--kind", kind, "--name", name, "--mailbox",
                            "vanthu.%s@%s" % (abbrev.lower(), people.DOMAIN), "--decision", people.DECISION)
        self.save(agencies=len(people.AGENCIES))
        return True

    def listed(self, what):
        """congvu agency list / staff list, as JSON."""
        return json.loads(self.congvu(what, "list", "--json")[1])

    def hire(self, row):
        """Hires one person by the congvu command; gives what the directory knows."""
        agency, name, role, title, password = row
        out = self.congvu("staff", "hire", "--name", name, "--agency", agency, "--title", title, "--role", role, "--decision",
                          people.DECISION, "--password-file", "-", "--json", data=password)[1]
        return json.loads(out)

    def make_staff(self, extra):
        """The named people, then invented ones; each is noted at once, so that a run that was broken off goes on."""
        users = self.state.setdefault("users", [])
        wanted = people.STAFF + people.invented(max(extra, 0))
        fresh = wanted[len(users):]
        short = {a[0]: a for a in people.AGENCIES}
        for row in fresh:
            agency, name, role, title, password = row
            got = self.hire(row)
            users.append({"address": got["mail"], "login": got["uid"], "password": password, "name": name,
                          "agency": short[agency][1], "role": role, "unit": short[agency][3]})
            if len(users) <= len(people.STAFF) or len(users) % 50 == 0:
                self.save(users=users)
        self.save(users=users)
        return len(fresh)

    def make_certificates(self):
        """S/MIME keys and certificates of people and of the agencies' mailboxes. People that --staff added are there for load:
        they share a few keys."""
        made = 0
        folder = self.dir / "people"
        mailboxes = [{"address": "vanthu.%s@%s" % (a[1].lower(), people.DOMAIN), "name": a[3], "unit": a[3]}
                     for a in people.AGENCIES]
        for n, user in enumerate(mailboxes + self.state["users"]):
            base = folder / user["address"].split("@")[0]
            base = base.with_name(base.name.replace(".", "_"))
            if base.with_suffix(".p12").exists():
                continue
            key = None
            if n >= len(mailboxes) + len(people.STAFF):
                key = folder / ("shared-%d.key" % (n % EXTRA_KEYS))
                if not key.exists():
                    self.ca.new_key(key)
            self.ca.person(base, user["address"], user["name"], people.PROVINCE, unit=user["unit"], key=key,
                           password=self.p12_password(user))
            self.publish(user["address"], base.with_suffix(".der"))
            made += 1
        return made

    def p12_password(self, user):
        return "p12-" + user["address"].split("@")[0]

    def publish(self, address, der):
        """The certificate into the directory, where mail clients look for it."""
        found = run(["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", "ldap://127.0.0.1:%d" % self.port("ldap"), "-b",
                     BASE_DN, "(mail=%s)" % address, "1.1"], "ldapsearch", self.log)
        dn = re.search(r"^(dn::? .*)$", found, re.M)
        if not dn:
            raise StepFailed("%s is not in the directory" % address)
        run(["ldapmodify", "-x", "-H", "ldap://127.0.0.1:%d" % self.port("ldap"), "-D", "cn=hr,ou=services," + BASE_DN, "-y",
             self.etc / "hr.password", "-f", self.write_ldif(dn.group(1), der)], "ldapmodify", self.log)

    def write_ldif(self, dn_line, der):
        path = self.dir / "log" / "certificate.ldif"
        self.write(path, "%s\nchangetype: modify\nreplace: userCertificate;binary\nuserCertificate;binary:< file://%s\n" % (
            dn_line, der))
        return path

    def write_json(self):
        """instance.json, for clients and test tools."""
        def files(address):
            base = self.dir / "people" / address.split("@")[0].replace(".", "_")
            return {k: str(base) + "." + s for k, s in (("cert", "pem"), ("key", "key"), ("p12", "p12"))}

        users = [dict({k: u[k] for k in ("address", "login", "password", "name", "agency", "role")}, **files(u["address"]),
                      p12_password=self.p12_password(u)) for u in self.state["users"]]
        clerks = {u["agency"]: u for u in reversed(users) if u["role"] == "clerk"}
        for _code, abbrev, _kind, name, _short in people.AGENCIES:
            # Nobody signs in as a functional mailbox: its clerk does, as herself.
            address = "vanthu.%s@%s" % (abbrev.lower(), people.DOMAIN)
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
    inst.make_folders()
    if inst.root:
        with Step("system users of the roles"):
            inst.make_users()
    with Step("configuration"):
        inst.save(prefix=str(inst.prefix), port_base=inst.port_base)
        if not made:
            inst.check_ports()
        inst.make_conf()
    with Step("demonstration CA and host certificate"):
        inst.make_ca()
    with Step("directory (slapd, port %d)" % inst.port("ldap")):
        inst.make_directory()
        inst.start_slapd()
    with Step("mail servers (SMTP, IMAP, store, milter)") as step:
        inst.congvu("check")
        stamp = (inst.prefix / "bin/congvu").stat().st_mtime
        if inst.is_running() and inst.state.get("started", 0) < stamp:
            inst.congvu("stop")  # it was built anew
        if inst.is_running():
            step.note = "running"
        else:
            inst.start()
            inst.save(started=time.time())
    with Step("agencies of %s" % people.PROVINCE) as step:
        step.note = None if inst.make_province() else "there"
    extra = max(args.staff or 0, len(inst.state.get("users", [])) - len(people.STAFF))
    with Step("people") as step:
        added = inst.make_staff(extra)
        step.note = "%d hired" % added if added else "there"
    with Step("S/MIME certificates") as step:
        added = inst.make_certificates()
        step.note = "%d issued" % added if added else "there"
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
        inst = Instance(args.dir, args.prefix, args.port_base)
    except StepFailed as e:
        sys.exit("quickstart: %s" % e)
    if args.verb == "status":
        return status(inst)
    if args.verb == "demo":
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
