"""The login part of make bench: what verifies logins, alone: congvu-lookup beside Dovecot's auth, each with and without its cache, on one slapd. LDAP
bind ({SSHA}; argon2 apart, where the hash is all there is to see) and SCRAM-SHA-256. The generator (load_auth.c) speaks to each in its own protocol; no
IMAP, no TLS. CPU of the whole side by its cgroup, slapd's apart. bench.py calls it; alone: auth_bench.py [--short] [--rounds N]."""

import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("CONGVU_BUILD", TOP / "build")).resolve()
sys.path[:0] = [str(HERE), str(TOP / "tests/system")]

import account  # noqa: E402
import slapd as S  # noqa: E402

PEOPLE, FLIGHT, COUNT, ARGON = 200, 16, 2000, 20
WORD = "Mat-khau-rieng-%u"
USER = "u%u"

DOVECOT = """
base_dir = %(dir)s/run
state_dir = %(dir)s/state
protocols =
log_path = %(dir)s/log
ssl = no
disable_plaintext_auth = no
auth_username_format = %%n
auth_mechanisms = plain scram-sha-256
%(cache)s
passdb {
  driver = ldap
  mechanisms = plain
  args = %(dir)s/bind.conf
}
passdb {
  driver = ldap
  mechanisms = scram-sha-256
  args = %(dir)s/keys.conf
}
userdb {
  driver = static
  args = uid=mail gid=mail home=/nonexistent
}
default_client_limit = 1000
service auth {
  unix_listener %(dir)s/auth {
    mode = 0666
  }
}
service stats {
  process_limit = 1
}
"""
LDAP = """uris = %(uri)s
dn = cn=lookup,ou=services,%(base)s
dnpass = %(password)s
base = ou=people,%(base)s
scope = subtree
pass_filter = (&(objectClass=vnCivilServant)(vnStatus=active)(uid=%%n))
"""
BIND = "auth_bind = yes\npass_attrs = uid=user\n"
KEYS = "auth_bind = no\npass_attrs = uid=user, =password=%%{ldap:%s}\n"
# an attribute that lookup's account may read and no mail program needs: Dovecot's own form of the same keys
KEYS_ATTR = "vnAutoReplySubject"


def keys_for_dovecot(value):
    """ "SCRAM-SHA-256$4096:salt$stored:server" as "{SCRAM-SHA-256}4096,salt,stored,server"."""
    _, rounds, keys = value.split("$")
    iterations, salt = rounds.split(":")
    return "{SCRAM-SHA-256}%s,%s,%s" % (iterations, salt, keys.replace(":", ","))


def people(start, count):
    out = []
    for n in range(start, start + count):
        word = WORD.replace("%u", str(n))
        keys = S.scram_keys(word)
        out.append(S.person_ldif(n, "Người Thứ %d" % n, "u%d" % n, word, scram=False,
                                 extra="authPassword:: %s\n%s: %s\n" % (S.b64(keys.encode()), KEYS_ATTR, keys_for_dovecot(keys))))
    return "".join(out)


class Dovecot:
    def __init__(self, folder, server, cached):
        self.dir = pathlib.Path(folder)
        self.group = account.Group("%s-%s" % (self.dir.parent.name, self.dir.name))
        for sub in ("run", "state"):
            (self.dir / sub).mkdir(parents=True)
        words = dict(dir=self.dir, uri=server.uri, base=server.base, password=(server.dir / "lookup.password").read_text(),
                     cache="auth_cache_size = 64 M\nauth_cache_ttl = 1 hour\nauth_cache_negative_ttl = 1 hour" if cached else "")
        (self.dir / "bind.conf").write_text(LDAP % words + BIND)
        (self.dir / "keys.conf").write_text(LDAP % words + KEYS % KEYS_ATTR)
        (self.dir / "dovecot.conf").write_text(DOVECOT % words)
        self.address, self.mode = str(self.dir / "auth"), "dovecot"
        self.group.start(["/usr/sbin/dovecot", "-F", "-c", self.dir / "dovecot.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def cpu(self):
        return self.group.cpu()

    def end(self):
        self.group.end()
        self.group.remove()


class Congvu:
    def __init__(self, folder, server, cached):
        pathlib.Path(folder).mkdir()
        self.lookup = S.Lookup(folder, [server.uri], base=server.base, password=(server.dir / "lookup.password").read_text(),
                               throttle="login_fails_account = 8\nlogin_fails_network = 40", more="" if cached else "login_cache_s = 0\n")
        self.address, self.mode = str(pathlib.Path(folder) / "lookup.imapd.sock"), "congvu"

    def cpu(self):
        return process_cpu(self.lookup.proc.pid)

    def end(self):
        self.lookup.close()


def process_cpu(pid):
    """Seconds, by the scheduler's own count (nanoseconds, all threads), since ticks are too coarse for it."""
    total = 0
    for t in pathlib.Path("/proc/%d/task" % pid).iterdir():
        total += int((t / "schedstat").read_text().split()[0])
    return total / 1e9


def wait_for(path, seconds=20):
    end = time.monotonic() + seconds
    while not os.path.exists(path):
        if time.monotonic() > end:
            raise RuntimeError("nobody listens at " + path)
        time.sleep(0.05)


def load(side, kind, count, base=1, accounts=PEOPLE):
    argv = [BUILD / "tests/bench/load_auth", "%s-%s" % (side.mode, kind), "--to", side.address, "--user", USER, "--password", WORD, "--base", base,
            "--accounts", accounts, "--sessions", FLIGHT, "--count", count]
    r = subprocess.run([str(a) for a in argv], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
    got = json.loads(r.stdout) if r.stdout.strip() else {}
    if r.returncode or got.get("n") != count:
        raise RuntimeError("%s: %s %s" % (" ".join(map(str, argv)), r.stdout[-300:], r.stderr[-600:]))
    return got


class Site:
    """A slapd with its people, their passwords kept by one kind of hash, and who asks it: {(side, cached): ...}."""

    def __init__(self, folder, name, hash, accounts, sides):
        self.folder, self.accounts, self.running, self.sides = folder / name, accounts, {}, sides
        self.server = S.Slapd(self.folder / "ldap", args=("--hash", hash))
        self.server.add(people(1, accounts))
        self.pid = int((self.server.dir / "slapd.pid").read_text())

    def start(self):
        for side, make in self.sides:
            for cached in (False, True):
                where = self.folder / ("%s-%s" % (side, "cached" if cached else "asked"))
                self.running[side, cached] = make(where, self.server, cached)
                wait_for(self.running[side, cached].address)

    def sample(self, side, kind, cached, count):
        who = self.running[side, cached]
        before = who.cpu(), process_cpu(self.pid)
        got = load(who, kind, count, 1, self.accounts)
        time.sleep(0.2)
        return dict(cpu_ms=(who.cpu() - before[0]) / count * 1000, slapd_ms=(process_cpu(self.pid) - before[1]) / count * 1000, n=got["n"],
                    rate=count / got["seconds"], p50_ms=got["p50_ms"], p99_ms=got["p99_ms"])

    def end(self):
        for who in self.running.values():
            who.end()
        self.server.stop()


SIDES = (("congvu", Congvu), ("dovecot", Dovecot))
# name, what it is, kind of login, with the cache, of which site, how many logins
KINDS = [
    ("bind", "LDAP bind, {SSHA}, no cache", "plain", False, "ssha", COUNT),
    ("bind-cached", "LDAP bind, {SSHA}, cache", "plain", True, "ssha", COUNT),
    ("scram", "SCRAM-SHA-256, no cache", "scram", False, "ssha", COUNT),
    ("scram-cached", "SCRAM-SHA-256, cache", "scram", True, "ssha", COUNT),
    ("argon2", "LDAP bind, {ARGON2}, no cache", "plain", False, "argon2", 200),
    ("argon2-cached", "LDAP bind, {ARGON2}, cache", "plain", True, "argon2", 200),
]


def measure(short, rounds, say):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-auth-"))
    folder.chmod(0o711)
    sites, result = {}, dict(kinds={})
    try:
        for name, kind, accounts in (("ssha", "{SSHA}", PEOPLE), ("argon2", "{ARGON2}", ARGON)):
            (folder / name).mkdir(mode=0o711)
            sites[name] = Site(folder, name, kind, accounts, SIDES)
            sites[name].start()
        for name, what, kind, cached, site, count in KINDS:
            at, count = sites[site], max(32, count // 50) if short else count
            entry = result["kinds"][name] = dict(what=what, congvu=[], dovecot=[])
            for side, _ in SIDES:  # connections, caches, the clients' salted passwords
                load(at.running[side, cached], kind, at.accounts, 1, at.accounts)
            for r in range(rounds):
                for side in ("congvu", "dovecot") if r % 2 == 0 else ("dovecot", "congvu"):
                    entry[side].append(at.sample(side, kind, cached, count))
                    say("auth %-14s %-8s %s" % (name, side, " ".join("%s=%.4g" % kv for kv in entry[side][-1].items())))
        result["load_average"] = os.getloadavg()
        return result
    finally:
        for site in sites.values():
            site.end()
        shutil.rmtree(folder, ignore_errors=True)


def rows(result, number):
    """For the table: what, CPU ms of both, slapd's, rates, latency; the goal is at most a third."""
    def median(entry, side, key):
        return statistics.median(s[key] for s in entry[side])
    for entry in result["kinds"].values():
        ours, theirs = median(entry, "congvu", "cpu_ms"), median(entry, "dovecot", "cpu_ms")
        yield [entry["what"], number(ours), number(theirs), "%.1f×" % (theirs / ours) if ours else "–", number(median(entry, "congvu", "slapd_ms")),
               number(median(entry, "dovecot", "slapd_ms")), number(median(entry, "congvu", "rate")), number(median(entry, "dovecot", "rate")),
               "%s / %s" % (number(median(entry, "congvu", "p50_ms")), number(median(entry, "congvu", "p99_ms"))),
               "%s / %s" % (number(median(entry, "dovecot", "p50_ms")), number(median(entry, "dovecot", "p99_ms")))]


HEAD = ["logins", "CPU ms: Congvu", "Dovecot", "×", "slapd ms: Congvu", "Dovecot", "/s: Congvu", "Dovecot", "p50 / p99 ms: Congvu", "Dovecot"]


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--short", action="store_true")
    ap.add_argument("--rounds", type=int, default=3)
    args = ap.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    import report
    result = measure(args.short, 1 if args.short else args.rounds, lambda t: print(t, flush=True))
    print("\n".join(report.auth_part(result)))


if __name__ == "__main__":
    main()
