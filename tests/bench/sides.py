"""The two sides: Congvu, and Debian's Postfix with Dovecot, each below a folder of its own, in the foreground, in a cgroup of its own,
against one slapd. A side is a set of addresses (mx, submission, imaps), how to start and stop it, and where its mail lies."""

import base64
import hashlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time

import account

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "admin/quickstart"), str(TOP / "tests/system")]

import instance  # noqa: E402
import people  # noqa: E402
import slapd  # noqa: E402

BUILD = pathlib.Path(os.environ.get("CONGVU_BUILD", TOP / "build"))
DOMAIN = people.DOMAIN
PASSWORD = "Mat-khau-%u"


def ports_free(base):
    for n in (25, 143, 389, 465, 587, 993):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", base + n))
            except OSError:
                return False
    return True


def free_base(first, last):
    for base in range(first, last):
        if ports_free(base):
            return base
    raise RuntimeError("no free ports from %d" % first)


def wait_port(port, seconds=20):
    end = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as s:
                s.settimeout(5)
                return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


class Directory:
    """slapd with count people u1..uN, passwords Mat-khau-1.. as {SSHA}: both sides ask it, by LDAP bind."""

    def __init__(self, folder, port, count):
        self.dir, self.port, self.count = pathlib.Path(folder), port, count
        self.group = account.Group("slapd")
        run = [slapd.SCRIPT, "init", "--dir", self.dir, "--base", slapd.BASE, "--org", people.PROVINCE, "--hash", "{SSHA}", "--public"]
        subprocess.run([str(a) for a in run], check=True, capture_output=True)
        salt = b"bench-salt"
        with open(self.dir / "people.ldif", "w", encoding="utf-8") as f:
            for n in range(1, count + 1):
                p = (PASSWORD.replace("%u", str(n))).encode()
                ssha = "{SSHA}" + base64.b64encode(hashlib.sha1(p + salt).digest() + salt).decode()
                f.write(slapd.person_ldif(n, "Nguyễn Văn Số%d" % n, "u%d" % n, ssha, domain=DOMAIN, scram=False))
        subprocess.run("slapadd -q -f slapd.conf -l people.ldif && chown -R openldap:openldap .", shell=True, cwd=self.dir, check=True,
                       env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin"))

    def start(self):
        self.group.start(["/usr/sbin/slapd", "-d", "0", "-u", "openldap", "-g", "openldap", "-f", "slapd.conf", "-h",
                          "ldap://127.0.0.1:%d/" % self.port], cwd=self.dir, stdout=subprocess.DEVNULL, stderr=open(self.dir / "slapd.log", "w"))
        wait_port(self.port)

    def lookup_password(self):
        return (self.dir / "lookup.password").read_text()


class Side:
    """name; port(what); group of its processes; folders of its mail."""

    def __init__(self, name, folder, base, directory, certs):
        self.name, self.dir, self.base, self.directory, self.certs = name, pathlib.Path(folder), base, directory, certs
        self.group = account.Group(name)

    def port(self, what):
        return self.base + instance.PORTS[what]

    def at(self, what):
        return "127.0.0.1:%d" % self.port(what)

    def restart(self):
        self.stop()
        self.start()

    send_options = ()  # of the generator that fills mailboxes

    def drop_caches(self):
        """What was kept beside the messages so that a FETCH is quicker the next time."""

    def forget(self, cold=False):
        """Before a FETCH that is to be the first one. cold: what lies on the disk is not in memory either."""
        self.stop()
        self.drop_caches()
        if cold:
            account.evict(*self.folders())
        self.start()


class Congvu(Side):
    """An instance as ./quickstart makes it, with the bench's people. With a milter: the policy of the official headers, ours."""

    def __init__(self, name, folder, base, directory, certs, milter=False, more=""):
        super().__init__(name, folder, base, directory, certs)
        inst = self.inst = instance.Instance(folder, BUILD / "root", base)
        inst.make_folders()
        inst.make_users()
        for sub in ("cert.pem", "key.pem"):
            shutil.copy(certs / sub, inst.etc / "tls" / sub)
        inst.make_ca()
        inst.write(inst.etc / "ldap.password", directory.lookup_password(), 0o600)
        inst.make_conf()
        conf = inst.conf.read_text()
        conf = conf.replace("ldap://127.0.0.1:%d" % self.port("ldap"), "ldap://127.0.0.1:%d" % directory.port)
        conf = re.sub(r"^admin_.*\n|^postmaster.*\n", "", conf, flags=re.M) + 'postmaster = "u1@%s"\n' % DOMAIN
        inst.write(inst.conf, conf + ("" if milter else "milters = {}\n") + more)

    def start(self):
        self.group.start([BUILD / "root/bin/congvu", "-c", self.inst.conf, "run"], stdout=subprocess.DEVNULL,
                         stderr=open(self.dir / "log/congvu.log", "a"))
        for what in ("mx", "submission", "imaps"):
            wait_port(self.port(what))
        time.sleep(0.3)

    def stop(self):
        self.group.end()

    def folders(self):
        return [self.dir / "var"]


class Peer(Side):
    """Postfix and Dovecot. tuned: the settings that help them, at durability equal to Congvu's (tests/bench/README.md tells them)."""

    def __init__(self, name, folder, base, directory, certs, tuned):
        super().__init__(name, folder, base, directory, certs)
        self.tuned = tuned
        import peers
        peers.make(self)

    def start(self):
        self.group.start(["/usr/sbin/dovecot", "-F", "-c", self.dir / "dovecot/dovecot.conf"], stdout=subprocess.DEVNULL,
                         stderr=open(self.dir / "dovecot.err", "a"))
        wait_port(self.port("imaps"))
        self.group.start(["/usr/lib/postfix/sbin/master", "-c", self.dir / "postfix", "-d"], stdout=subprocess.DEVNULL,
                         stderr=open(self.dir / "postfix.err", "a"), env=dict(os.environ, MAIL_CONFIG=str(self.dir / "postfix")))
        wait_port(self.port("mx"))
        time.sleep(0.3)

    def settle(self, seconds=10):
        """Until Postfix has taken what it delivered out of its queue: ended before, it delivers that again."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(
                p.is_file() for part in ("maildrop", "incoming", "active") for p in (self.dir / "queue" / part).glob("**/*")):
            time.sleep(0.05)

    def stop(self):
        self.settle()
        self.group.end()
        for leftover in ("dovecot/run/master.pid", "queue/pid/master.pid"):
            (self.dir / leftover).unlink(missing_ok=True)

    def folders(self):
        return [self.dir / "mail", self.dir / "queue"]

    def drop_caches(self):
        for cache in (self.dir / "mail").rglob("dovecot.index.cache"):
            cache.unlink()


class Cyrus(Side):
    """Debian's Cyrus IMAP, for what is read alone: filled by LMTP. It writes what a listing needs when a message comes, so there is nothing to drop."""

    send_options = ("--lmtp",)

    def __init__(self, name, folder, base, directory, certs, accounts):
        super().__init__(name, folder, base, directory, certs)
        import cyrus
        self.cyrus = cyrus
        self.dir.mkdir()
        cyrus.make(self, BUILD, accounts)

    def start(self):
        self.group.start([self.cyrus.root(BUILD) / "usr/lib/cyrus/bin/master", "-C", self.dir / "imapd.conf", "-M", self.dir / "cyrus.conf",
                          "-D", "-p", self.dir / "run/master.pid"], stdout=subprocess.DEVNULL, stderr=open(self.dir / "cyrus.err", "a"),
                         env=self.cyrus.environment(BUILD))
        for what in ("mx", "imaps"):
            wait_port(self.port(what))
        time.sleep(0.3)

    def stop(self):
        self.group.end()
        (self.dir / "run/master.pid").unlink(missing_ok=True)

    def folders(self):
        return [self.dir / "mail", self.dir / "conf"]
