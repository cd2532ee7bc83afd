#!/usr/bin/python3
"""What a login costs lookup and slapd: PLAIN by bind, by the memory of verified logins, LOGIN, and SCRAM-SHA-256. One lookup process with
four threads, asked by a probe that keeps 16 exchanges under way; CPU of both from /proc, over the operations. The rounds alternate.
Prints a line for each kind: medians. Usage: logins.py [SECONDS a round] [ROUNDS] [HASH]; CONGVU_BUILD names the build folder."""

import base64
import hashlib
import hmac
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import slapd as S  # noqa: E402

PEOPLE, FLIGHT = 200, 16
WORD = "Mat-khau-rieng-1"
salted = {}


def cpu_ms(pid):
    f = pathlib.Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) * 1000 / os.sysconf("SC_CLK_TCK")


class Exchanges:
    """Many under way on one probe."""

    def __init__(self, probe):
        self.probe, self.n = probe, 0

    def run(self, seconds, begin, go_on):
        end, done, under_way = time.monotonic() + seconds, 0, {}
        while True:
            while len(under_way) < FLIGHT and time.monotonic() < end:
                self.n = self.n % 60000 + 1
                if self.n in under_way:
                    continue
                under_way[self.n] = begin(self.probe, self.n, self.n % PEOPLE + 1)
            if not under_way:
                return done
            got = self.probe.arrived.get(timeout=30)
            i = got["id"]
            if got.get("result") == "more":
                go_on(self.probe, i, under_way[i], bytes.fromhex(got["data"]))
                continue
            assert got["err"] is None, got
            del under_way[i]
            done += 1


def plain(probe, i, n):
    probe.ask("start", "PLAIN", "1", ("\0u%d\0%s" % (n, WORD)).encode().hex(), id=i)
    return n


def scram(probe, i, n):
    bare = "n=u%d,r=%s" % (n, os.urandom(9).hex())
    probe.ask("start", "SCRAM-SHA-256", "1", ("n,," + bare).encode().hex(), id=i)
    return bare


def scram_on(probe, i, bare, challenge):
    text = challenge.decode()
    parts = dict(p.split("=", 1) for p in text.split(","))
    if parts["s"] not in salted:  # a client remembers it too (RFC 5802 5.1)
        salted[parts["s"]] = hashlib.pbkdf2_hmac("sha256", WORD.encode(), base64.b64decode(parts["s"]), int(parts["i"]))
    key = hmac.digest(salted[parts["s"]], b"Client Key", "sha256")
    without = "c=biws,r=" + parts["r"]
    message = ("%s,%s,%s" % (bare, text, without)).encode()
    proof = bytes(a ^ b for a, b in zip(key, hmac.digest(hashlib.sha256(key).digest(), message, "sha256")))
    probe.ask("step", (without + ",p=" + S.b64(proof)).encode().hex(), id=i)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    kind = sys.argv[3] if len(sys.argv) > 3 else "{SSHA}"
    folder = pathlib.Path(tempfile.mkdtemp(prefix="congvu-bench"))
    server = S.Slapd(folder / "ldap", args=("--hash", kind))
    lookups = {}
    try:
        server.add("".join(S.person_ldif(n, "Người Thứ %d" % n, "u%d" % n, WORD) for n in range(1, PEOPLE + 1)))
        password = (server.dir / "lookup.password").read_text()
        throttle = "login_fails_account = 8\nlogin_fails_network = 40"
        lookups["asked"] = S.Lookup(folder / "asked", [server.uri], password=password, throttle=throttle, more="login_cache_s = 0\n")
        lookups["cached"] = S.Lookup(folder / "cached", [server.uri], password=password, throttle=throttle)
        drivers = {k: Exchanges(v.probe("imapd")) for k, v in lookups.items()}
        slapd_pid = int((server.dir / "slapd.pid").read_text())
        kinds = [("PLAIN by bind " + kind, "asked", plain, None), ("PLAIN, remembered", "cached", plain, None),
                 ("SCRAM-SHA-256", "asked", scram, scram_on)]
        for name, which, begin, go_on in kinds:  # warm: connections, memory, the client's salted words
            drivers[which].run(1.5, begin, go_on)
        results = {}
        for r in range(rounds):
            for name, which, begin, go_on in kinds if r % 2 == 0 else kinds[::-1]:
                pid = lookups[which].proc.pid
                before, slapd_before, t0 = cpu_ms(pid), cpu_ms(slapd_pid), time.monotonic()
                n = drivers[which].run(seconds, begin, go_on)
                results.setdefault(name, []).append((n / (time.monotonic() - t0), (cpu_ms(pid) - before) / n, (cpu_ms(slapd_pid) - slapd_before) / n))
        for name, rows in results.items():
            print("%-24s logins_s=%-6.0f lookup_cpu_ms=%-6.3f slapd_cpu_ms=%.3f" % ((name,) + tuple(statistics.median(c) for c in zip(*rows))), flush=True)
    finally:
        for lk in lookups.values():
            lk.close()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
