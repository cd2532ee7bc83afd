"""The milter part of make bench: signed mails through libmilter, beside libcrypto's CMS_verify of the same bytes and beside opendkim's verification of
mails of the same body. No SMTP server is in it: load_milter plays the MTA. The directory is tests/milter/fake_lookup; all else of the milter is as it is
installed: filter, scanners, audit log durable before each answer. bench.py calls it; alone: milter_bench.py [--short] [--only NAME,...]."""

import base64
import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("CONGVU_BUILD", TOP / "build")).resolve()
sys.path[:0] = [str(HERE), str(TOP / "tests/milter")]
os.environ.setdefault("CV_BUILDDIR", str(BUILD))
os.environ.setdefault("srcdir", str(TOP))

import account  # noqa: E402
import run  # noqa: E402

KB, MB = 1000, 1000000
SENTENCE = "Kính gửi: các đơn vị trực thuộc; đề nghị báo cáo kết quả thực hiện trước ngày 30 tháng này.\r\n".encode()
WORDS = [w.encode() for w in "ke hoach bao cao don vi tong hop ket qua trien khai nhiem vu thang nam quy".split()]


class Kind:
    """name, what it is, how it is made, octets of the body, sessions, messages (of a full run), most ms at p99 (a goal; 0: none)."""

    def __init__(self, name, what, make, size, sessions, count, goal_ms=0, beside=True):
        self.name, self.what, self.make, self.size, self.sessions, self.count, self.goal_ms, self.beside = (
            name, what, make, size, sessions, count, goal_ms, beside)


def text(size):
    """Vietnamese text, 8 bit, lines of one length: what is signed."""
    return b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + SENTENCE * (size // len(SENTENCE))


def with_part(name, ctype, data):
    return (b"Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            + SENTENCE + b"\r\n--in\r\nContent-Type: " + ctype + b"; name=" + name + b"\r\nContent-Disposition: attachment; filename=" + name
            + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + run.wrap(data) + b"\r\n--in--\r\n")


def pdf(size):
    """A page, and a picture's worth of octets that do not compress."""
    rnd = random.Random(7)
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>"]
    data = rnd.randbytes(size * 3 // 4)
    objects.append(b"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8 /Length %d >>\nstream\n" % len(data)
                   + data + b"\nendstream")
    out, places = b"%PDF-1.4\n", []
    for n, o in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (n, o)
    start = len(out)
    out += b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % p for p in places)
    return with_part(b"a.pdf", b"application/pdf", out + b"trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start)


def archive(size):
    """A zip of texts, tables and pictures, about half of it compressed well."""
    rnd, buf = random.Random(9), io.BytesIO()
    with zipfile.ZipFile(buf, "w", zipfile.ZIP_DEFLATED) as z:
        n = 0
        while buf.tell() < size * 3 // 4:
            z.writestr("ho-so/bao-cao-%d.csv" % n, b" ".join(rnd.choices(WORDS, k=40000)))
            z.writestr("ho-so/anh-%d.jpg" % n, b"\xff\xd8\xff\xe0\0\x10JFIF\0" + rnd.randbytes(300000))
            n += 1
    return with_part(b"ho-so.zip", b"application/zip", buf.getvalue())


KINDS = [Kind("20k", "20 KB text", text, 20 * KB, 64, 3000, 20), Kind("100k", "100 KB text", text, 100 * KB, 64, 1500, 50),
         Kind("1m", "1 MB text", text, MB, 8, 300), Kind("1m-pdf", "1 MB, a PDF attached", pdf, MB, 8, 200), Kind("10m", "10 MB text", text, 10 * MB, 4, 40),
         Kind("25m-zip", "25 MB, an archive attached", archive, 25 * MB, 1, 6, 1500, beside=False)]


# ---- messages ----

def signed(certs, folder, kind, most=1 << 40):
    """The mail, and its two halves for libcrypto."""
    entity = kind.make(min(kind.size, most))
    (folder / (kind.name + ".entity")).write_bytes(entity)
    subprocess.run(["openssl", "cms", "-sign", "-binary", "-md", "sha256", "-signer", certs / "manager.pem", "-inkey", certs / "k1.key", "-in",
                    folder / (kind.name + ".entity"), "-outform", "DER", "-out", folder / (kind.name + ".der")], check=True, capture_output=True)
    der = (folder / (kind.name + ".der")).read_bytes()
    mail = (b"From: manager@x.example\r\nTo: b@y.example\r\nSubject: Bao cao\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; "
            b"protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=\"out\"\r\n\r\n--out\r\n" + entity
            + b"\r\n--out\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\n" + run.wrap(der) + b"\r\n--out--\r\n")
    path = folder / (kind.name + ".eml")
    path.write_bytes(mail)
    return path


def dkim_signed(key, path):
    """The same body with a DKIM signature: relaxed header, simple body (RFC 6376), which costs the verifier least."""
    head, _, body = path.read_bytes().partition(b"\r\n\r\n")
    bh = base64.b64encode(hashlib.sha256(body.rstrip(b"\r\n") + b"\r\n").digest()).decode()
    field = "v=1; a=rsa-sha256; c=relaxed/simple; d=x.example; s=s1; h=from:subject; bh=%s; b=" % bh
    text_ = b"from:manager@x.example\r\nsubject:Bao cao\r\ndkim-signature:" + field.encode()
    sig = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text_, check=True, capture_output=True).stdout
    out = path.with_suffix(".dkim")
    out.write_bytes(b"DKIM-Signature: " + field.encode() + base64.b64encode(sig) + b"\r\n" + head + b"\r\n\r\n" + body)
    return out


# ---- what runs ----

class Opendkim:
    def __init__(self, root, group):
        self.root = root
        root.mkdir()
        self.key = root / "key.pem"
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", self.key, "2048"], check=True, capture_output=True)
        pem = subprocess.run(["openssl", "rsa", "-in", self.key, "-pubout"], check=True, capture_output=True, text=True).stdout
        (root / "dns").write_text("s1._domainkey.x.example v=DKIM1; k=rsa; p=%s\n" % "".join(pem.splitlines()[1:-1]))
        self.sock = root / "s"
        (root / "conf").write_text("Mode v\nSocket local:%s\nTestDNSData file:%s\nAuthservID localhost\nBackground no\nSyslog no\nUMask 0\n"
                                   "InternalHosts %s\nExternalIgnoreList %s\n" % (self.sock, root / "dns", root / "nobody", root / "nobody"))
        (root / "nobody").write_text("192.0.2.1\n")
        self.proc = group.start(["opendkim", "-x", root / "conf", "-f"], stdout=subprocess.DEVNULL, stderr=open(root / "log", "wb"))
        for _ in range(200):
            if self.sock.exists():
                return
            time.sleep(0.05)
        raise RuntimeError("opendkim does not start: " + (root / "log").read_text())


class Site:
    """The milter with CRLs that are there, as warm as they get."""

    def __init__(self, root, certs, group, memory_mb):
        self.memory_mb = memory_mb
        shutil.copy(certs / "trust/crl.example/root.crl", certs / "trust/x.example/root.crl")
        root.mkdir()
        old = run.end_with_us

        def enter():
            group.enter()
            old()
        run.end_with_us = enter
        self.m = run.Milter(root, certs, milter_scanners=str(os.cpu_count()), policy_attachment_mb="0", log_level="warn",
                            milter_memory_mb=str(memory_mb))
        run.end_with_us = old
        self.sock, self.root = self.m.sock, root


class Bench:
    def __init__(self, short, only=()):
        self.short = short
        self.kinds = [k for k in KINDS if not only or k.name in only]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-milter-"))
        self.folder.chmod(0o755)
        self.certs = self.folder / "certs"
        self.certs.mkdir()
        subprocess.run(["sh", str(TOP / "tests/unit/smime_certs.sh"), str(self.certs)], check=True)
        self.groups = {n: account.Group("milter-" + n) for n in ("congvu", "opendkim")}
        self.site = Site(self.folder / "i", self.certs, self.groups["congvu"], 1 if short else 256)
        self.dkim = Opendkim(self.folder / "dkim", self.groups["opendkim"]) if shutil.which("opendkim", path="/usr/sbin:/usr/bin") else None

    def end(self):
        self.site.m.stop()
        for g in self.groups.values():
            g.remove()
        shutil.rmtree(self.folder, ignore_errors=True)

    def load(self, side, path, kind, count):
        sock, want = (self.site.sock, "smime=pass") if side == "congvu" else (self.dkim.sock, "dkim=pass")
        # the socket's path is below a folder that is long: relative to it
        group, before = self.groups[side], self.groups[side].cpu()
        r = subprocess.run([BUILD / "tests/bench/load_milter", "--to", "./" + sock.name, "--message", path, "--sessions", str(min(kind.sessions, count)), "--count",
                            str(count), "--want", want], cwd=sock.parent, capture_output=True, text=True, timeout=600)
        if r.returncode:
            raise RuntimeError("%s %s: %s%s" % (side, kind.name, r.stdout, r.stderr))
        got = json.loads(r.stdout)
        time.sleep(0.05 if self.short else 0.3)
        if got["wanted"] != got["n"] or got["n"] != count:
            raise RuntimeError("%s %s: not all were verified: %s" % (side, kind.name, got))
        got["cpu_ms"] = (group.cpu() - before) * 1000 / count
        got["rate"] = count / got["seconds"]
        return got

    def raw(self, kind):
        seconds = "0.05" if self.short else "1.5"
        r = subprocess.run([BUILD / "tests/bench/cms_bench", self.folder / (kind.name + ".entity"), self.folder / (kind.name + ".der"),
                            self.certs / "root.pem", self.certs / "trust/x.example/root.crl", seconds], capture_output=True, text=True, timeout=120)
        if r.returncode:
            raise RuntimeError("cms_bench: " + r.stderr)
        return json.loads(r.stdout)

    def one(self, kind, say, rounds):
        path = signed(self.certs, self.folder, kind, MB if self.short else kind.size)
        dkim = dkim_signed(self.dkim.key, path) if self.dkim and kind.beside else None
        count = max(2, kind.count // 100) if self.short else kind.count
        entry = dict(what=kind.what, octets=path.stat().st_size, sessions=kind.sessions, goal_ms=kind.goal_ms, congvu=[], opendkim=[], raw=[])
        if not self.short:
            self.load("congvu", path, kind, max(2, count // 10))
        for _ in range(rounds):
            entry["raw"].append(self.raw(kind))
            entry["congvu"].append(self.load("congvu", path, kind, count))
            if dkim:
                entry["opendkim"].append(self.load("opendkim", dkim, kind, count))
        say("milter %-8s raw %.3f ms (as text %.3f), ours %.3f ms CPU, %.4g/s, p99 %.3g ms%s" % (
            kind.name, entry["raw"][-1]["cpu_ms"], entry["raw"][-1]["text_cpu_ms"], entry["congvu"][-1]["cpu_ms"], entry["congvu"][-1]["rate"], entry["congvu"][-1]["p99_ms"],
            ", opendkim %.3f ms" % entry["opendkim"][-1]["cpu_ms"] if dkim else ""))
        for f in self.folder.glob(kind.name + ".*"):
            f.unlink()
        return entry

    def memory(self, say):
        """64 sessions that have each sent 25 MB and not yet the end: what the milter's processes hold, with memory files."""
        sessions, size = (4, MB) if self.short else (64, 25 * MB)
        kind = Kind("held", "", text, size, sessions, sessions)
        path = signed(self.certs, self.folder, kind)
        idle = self.pss()
        p = subprocess.Popen([BUILD / "tests/bench/load_milter", "--to", "./" + self.site.sock.name, "--message", path, "--sessions", str(sessions), "--count",
                              str(sessions), "--want", "smime=pass", "--hold"], cwd=self.site.sock.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert p.stdout.readline() == "held\n"
        out = dict(sessions=sessions, octets=path.stat().st_size, idle_pss=idle, held_pss=self.pss(), held=self.files(), peak_pss=0)
        p.stdin.write("go\n")
        p.stdin.flush()
        end = threading.Event()

        def watch():
            while not end.wait(0.1):
                out["peak_pss"] = max(out["peak_pss"], self.pss())
        t = threading.Thread(target=watch)
        t.start()
        got = json.loads(p.stdout.readline())
        end.set()
        t.join()
        out.update(got, held=out["held"], peak_pss=max(out["peak_pss"], out["held_pss"]))
        p.wait()
        # on a loaded machine some wait longer for a scanner than they may, and are deferred
        if got["wanted"] + got["failed"] != sessions or got["wanted"] < sessions / 2:
            raise RuntimeError("memory: %s" % got)
        say("milter memory: idle %.0f MiB, %d messages of %.0f MB held: PSS %.0f MiB, memory files %.0f MiB, on disk %.0f MiB, then PSS at most %.0f MiB; slowest %.0f ms" % (
            idle / 2**20, sessions, out["octets"] / 1e6, out["held_pss"] / 2**20, out["held"]["memory"] / 2**20, out["held"]["disk"] / 2**20,
            out["peak_pss"] / 2**20, got["max_ms"]))
        if out["held"]["memory"] > (self.site.memory_mb + sessions / 8) * 2**20:
            raise RuntimeError("memory: not bounded: %s" % out["held"])
        path.unlink()
        return out

    def pss(self):
        return self.groups["congvu"].pss()[0]

    def files(self):
        """Octets of files without a name that the filter has open: in memory, on disk."""
        out = dict(memory=0, disk=0)
        for pid in self.site.m.pids("congvu-milter-filter"):
            for fd in pathlib.Path("/proc/%d/fd" % pid).iterdir():
                try:
                    what, size = os.readlink(fd), fd.stat().st_blocks * 512
                except OSError:
                    continue
                if what.startswith("/memfd:"):
                    out["memory"] += size
                elif what.endswith(" (deleted)"):
                    out["disk"] += size
        return out


def measure(short, rounds, say, only=()):
    here, b = os.getcwd(), None
    try:
        b = Bench(short, only)
        out = dict(kinds={k.name: b.one(k, say, 1 if short else rounds) for k in b.kinds}, cpu=account.HOW, load_average=os.getloadavg())
        if not only or "memory" in only:
            out["memory"] = b.memory(say)
        return out
    finally:
        os.chdir(here)
        if b is not None:
            b.end()


def middle(samples, key):
    return statistics.median(s[key] for s in samples) if samples else None


def rows(result, number):
    """For report.py: what; ours: rate, CPU, p50/p99; raw CPU, share; opendkim CPU, share."""
    for e in result["kinds"].values():
        ours, raw, dkim = middle(e["congvu"], "cpu_ms"), middle(e["raw"], "cpu_ms"), middle(e["opendkim"], "cpu_ms")
        yield ["%s, %d session%s" % (e["what"], e["sessions"], "s" if e["sessions"] > 1 else ""), "%s /s" % number(middle(e["congvu"], "rate")), number(ours),
               "%s / %s" % (number(middle(e["congvu"], "p50_ms")), number(middle(e["congvu"], "p99_ms"))), "< %d" % e["goal_ms"] if e["goal_ms"] else "–",
               number(raw), "%.0f%%" % (raw / ours * 100), number(dkim), "–" if dkim is None else "%.1f×" % (dkim / ours)]


if __name__ == "__main__":
    chosen = sys.argv[sys.argv.index("--only") + 1].split(",") if "--only" in sys.argv else ()
    print(json.dumps(measure("--short" in sys.argv, 1, lambda t: print(t, flush=True), chosen), indent=1))
