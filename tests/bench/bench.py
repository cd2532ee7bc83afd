#!/usr/bin/python3
"""Congvu beside Debian's Postfix and Dovecot: the same loads, alternating in one run. make bench calls it.

bench.py [--rounds N] [--loads NAME,...] [--short] [--sides congvu,shipped,tuned,milter,cyrus] [--out FILE] [--readme] [--keep]

Prints a line a sample and the table at the end; writes all samples to FILE (build/bench/result.json). --readme puts the table into
tests/bench/README.md. --short: tiny counts, one round, for the tests."""

import argparse
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import account  # noqa: E402
import auth_bench  # noqa: E402
import cyrus  # noqa: E402
import loads  # noqa: E402
import milter_bench  # noqa: E402
import report  # noqa: E402
import sides  # noqa: E402

BASE = 28000


def say(text):
    print(text, flush=True)


def make_certificate(folder):
    """P-256, self-signed, the same on both sides."""
    folder.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
                   check=True, capture_output=True)
    for f in folder.iterdir():
        f.chmod(0o644)
    return folder


class Bench:
    def __init__(self, args):
        self.args = args
        self.scale = 0.02 if args.short else 1
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-congvu-"))
        self.folder.chmod(0o711)
        self.sides, self.result = {}, {}
        self.directory = None
        self.revision = subprocess.run(["git", "-C", HERE, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()

    def make(self):
        certs = make_certificate(self.folder / "certs")
        base = sides.free_base(BASE, BASE + 400)
        self.directory = sides.Directory(self.folder / "ldap", base + 389, loads.PEOPLE)
        self.directory.start()
        for name in self.args.sides:
            base = sides.free_base(base + 1, BASE + 900)
            where = self.folder / name
            if name in ("congvu", "milter"):
                side = sides.Congvu(name, where, base, self.directory, certs, milter=name == "milter")
            elif name == "cyrus":
                side = sides.Cyrus(name, where, base, self.directory, certs, {"u%d" % loads.BIG: sides.PASSWORD.replace("%u", str(loads.BIG))})
            else:
                side = sides.Peer(name, where, base, self.directory, certs, tuned=name == "tuned")
            self.sides[name] = side
            side.start()
            say("%s runs (ports from %d)" % (name, base))

    def wants_big(self, load):
        return load.call in (loads.fetch, loads.bodies, loads.search)

    def fill(self):
        """The mailboxes of 10,000 messages; the tuned peer gets a copy of the other's."""
        for name, side in self.sides.items():
            if name == "milter":
                continue
            start = time.monotonic()
            if name == "tuned" and "shipped" in self.sides:
                other = self.sides["shipped"]
                for s in (other, side):
                    s.stop()
                subprocess.run(["cp", "-a", other.dir / ("mail/u%d" % loads.BIG), side.dir / "mail/"], check=True)
                for s in (other, side):
                    s.start()
            else:
                loads.fill(side, self.scale)
            say("%s: mailbox of %d messages in %.1f s" % (name, loads.big(self.scale), time.monotonic() - start))

    def sample(self, load, side):
        start = time.monotonic()
        got = load.run(side, self.scale)
        say("%-18s %-8s %s  (%.1f s)" % (load.name, side.name, " ".join("%s=%.4g" % kv for kv in got.items()), time.monotonic() - start))
        return got

    def count_calls(self, load, side):
        """A pass of its own, so that counting costs none of the samples."""
        if not account.Calls.possible():
            return None
        scale = self.scale if self.args.short else 0.5
        with account.Calls(side.group) as c:
            got = load.run(side, scale)
        if not c.calls:
            return None
        return dict(calls=c.calls / got["n"], syncs=c.syncs / got["n"])

    def disk(self, side):
        """Bytes on disk of a message of 4 KB to one person, and of one of 100 KB."""
        out = {}
        settle = 0.1 if self.args.short else 1
        for name, size, n in (("4k", 4096, 500), ("100k", 102400, 200)):
            n = max(20, int(n * self.scale))
            before = account.disk_bytes(*side.folders())
            loads.send(side, "mx", loads.DELIVER, 20, n, "--from", "load@client.example", "--sessions", 20, "--pipeline", "--size", size)
            time.sleep(settle)
            out[name] = (account.disk_bytes(*side.folders()) - before) / n
        return out

    def run(self):
        chosen = [x for x in loads.ALL if not self.args.loads or any(x.name.startswith(p) for p in self.args.loads)]
        if not chosen and not {"auth", "milter", "sink"} & set(self.args.loads):
            sys.exit("no load of that name; there are: auth milter sink " + " ".join(x.name for x in loads.ALL))
        if any(self.wants_big(x) for x in chosen):
            self.fill()
        self.result["loads"] = {}
        for load in chosen:
            entry = self.result["loads"][load.name] = dict(what=load.what, figure=load.figure, samples={}, calls={})
            runs = [s for n, s in self.sides.items() if n not in ("milter", "cyrus") or getattr(load, n)]
            if not load.cold and not self.args.short:  # a pass that is not counted: caches, first touch of the mailboxes
                for side in runs:
                    load.run(side, self.scale / 5)
            for rnd in range(self.args.rounds):
                for side in runs if rnd % 2 == 0 else runs[::-1]:
                    entry["samples"].setdefault(side.name, []).append(self.sample(load, side))
            if load.calls and (not self.args.short or load is chosen[-1]):
                for side in runs:
                    entry["calls"][side.name] = self.count_calls(load, side)
        if not self.args.loads:
            self.result["disk"] = {n: self.disk(s) for n, s in self.sides.items() if n != "cyrus"}
            self.result["pss"] = {n: s.group.pss() for n, s in self.sides.items() if n != "cyrus"}
        if not self.args.loads or "sink" in self.args.loads:
            self.result["sink"] = self.sink()
        if not self.args.loads or "auth" in self.args.loads:
            self.result["auth"] = auth_bench.measure(self.args.short, self.args.rounds, say)
        if not self.args.loads or "milter" in self.args.loads:
            self.result["milter"] = self.milter()

    def milter(self):
        """Signed mails through libmilter, with no SMTP server: apart from the sides, and while those are idle."""
        return milter_bench.measure(self.args.short, self.args.rounds, say)

    def sink(self):
        """What the generators can do when the other end costs next to nothing."""
        import sink
        return sink.measure(self.folder / "certs", self.scale)

    def meta(self):
        packages = {}
        for p in ("postfix", "dovecot-core", "slapd", "openssl", "libdb5.3"):
            packages[p] = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", p], capture_output=True, text=True).stdout
        packages["cyrus-imapd"] = cyrus.version(sides.BUILD) if "cyrus" in self.sides else ""
        return dict(date=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), cpus=os.cpu_count(), kernel=platform.release(), packages=packages,
                    revision=self.revision, rounds=self.args.rounds, cpu=account.HOW, calls=account.Calls.possible() or "not counted here",
                    load_average=os.getloadavg(), filesystem=subprocess.run(["stat", "-f", "-c", "%T", self.folder], capture_output=True,
                                                                            text=True).stdout.strip())

    def end(self):
        for side in self.sides.values():
            side.stop()
            side.group.remove()
        if self.directory:
            self.directory.group.remove()
        if not self.args.keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--loads", default="", help="names or beginnings of names, with commas")
    ap.add_argument("--sides", default="congvu,shipped,tuned,milter" + (",cyrus" if cyrus.is_there(sides.BUILD) else ""))
    ap.add_argument("--short", action="store_true")
    ap.add_argument("--out", default=str(sides.BUILD / "bench/result.json"))
    ap.add_argument("--readme", action="store_true")
    ap.add_argument("--keep", action="store_true", help="leave the folder of the run")
    args = ap.parse_args()
    args.loads = [x for x in args.loads.replace(",", " ").split() if x]
    args.sides = args.sides.replace(",", " ").split()
    if args.short:
        args.rounds = 1
    if os.geteuid() != 0:
        sys.exit("bench: Postfix and Dovecot start as root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if args.short:
        loads.SETTLE = 0.02
    bench = Bench(args)
    began = time.monotonic()
    try:
        bench.make()
        bench.run()
        bench.result["meta"] = dict(bench.meta(), seconds=time.monotonic() - began)
    finally:
        bench.end()
    out = pathlib.Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(bench.result, indent=1) + "\n")
    say("\n" + report.markdown(bench.result))
    if args.readme:
        report.into(HERE / "README.md", bench.result)
    say("samples in %s; %.0f s" % (out, time.monotonic() - began))
    return 0


if __name__ == "__main__":
    sys.exit(main())
