#!/usr/bin/python3
"""Revocation from end to end: the real filter, scanners, ledger and fetch against a CRL server and OCSP responders on loopback (openssl's
ocsp behind a small HTTP server). Cases 22 to 25 of MILTER.md section 5, and what an outage, a forger and a crash do."""

import http.server
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run  # noqa: E402

CNF = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = unused
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = emailProtection
subjectAltName = email:manager@x.example
%(points)s
[responder]
keyUsage = critical,digitalSignature
extendedKeyUsage = OCSPSigning
[plain]
keyUsage = critical,digitalSignature
[ca]
default_ca = def
[def]
database = %(index)s
crlnumber = crlnumber
default_md = sha256
"""


class Ca:
    """Certificates, CRLs and OCSP answers of one authority, by openssl's command line."""

    def __init__(self, folder, name, cn=None):
        self.dir, self.name, self.serial = folder, name, 0x100
        self.index = folder / (name + ".index")
        self.index.write_text("")
        self.key(name)
        self.openssl("req", "-new", "-x509", "-config", self.cnf(), "-extensions", "root", "-key", name + ".key", "-sha256", "-days", "3650",
                     "-subj", "/C=VN/O=Test/CN=" + (cn or name), "-out", name + ".pem")

    def openssl(self, *args, data=None):
        r = subprocess.run(["openssl"] + list(args), cwd=self.dir, input=data, capture_output=True)
        if r.returncode:
            raise RuntimeError("openssl %s: %s" % (" ".join(args), r.stderr.decode()))
        return r.stdout

    def cnf(self, points=""):
        (self.dir / "x.cnf").write_text(CNF % {"points": points, "index": self.index})
        return "x.cnf"

    def key(self, name):
        self.openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name + ".key")

    def leaf(self, name, points="", section="leaf"):
        self.serial += 1
        self.key(name)
        self.openssl("req", "-new", "-config", self.cnf(), "-key", name + ".key", "-subj", "/C=VN/O=Test/CN=" + name, "-out", name + ".csr")
        self.openssl("x509", "-req", "-in", name + ".csr", "-CA", self.name + ".pem", "-CAkey", self.name + ".key", "-set_serial", str(self.serial),
                     "-sha256", "-days", "365", "-extfile", self.cnf(points), "-extensions", section, "-out", name + ".pem")
        # so that the responder knows it
        with open(self.index, "a") as f:
            f.write("V\t351231235959Z\t\t%04X\tunknown\t/C=VN/O=Test/CN=%s\n" % (self.serial, name))

    def revoke(self, name):
        self.openssl("ca", "-config", self.cnf(), "-cert", self.name + ".pem", "-keyfile", self.name + ".key", "-revoke", name + ".pem")

    def crl(self, *life):
        (self.dir / "crlnumber").write_text("%02X\n" % (int(time.time()) % 100000 * 2 + 0x100000))
        return self.openssl("ca", "-config", self.cnf(), "-cert", self.name + ".pem", "-keyfile", self.name + ".key", "-gencrl", *life)

    def answer(self, request, signer, minutes):
        (self.dir / "req.der").write_bytes(request)
        self.openssl("ocsp", "-index", str(self.index), "-CA", self.name + ".pem", "-rsigner", signer + ".pem", "-rkey", signer + ".key",
                     "-reqin", "req.der", "-respout", "resp.der", "-nmin", str(minutes), "-noverify")
        return (self.dir / "resp.der").read_bytes()


class Web:
    """CRLs by path (bytes, or None: 503), OCSP by path: (ca, signer, minutes) or None."""

    def __init__(self):
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def reply(self, body):
                web.asked.append(self.path)
                self.send_response(503 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def do_GET(self):
                self.reply(web.crls.get(self.path))

            def do_POST(self):
                request = self.rfile.read(int(self.headers["Content-Length"]))
                how = web.ocsp.get(self.path)
                self.reply(how if how is None or isinstance(how, bytes) else how[0].answer(request, *how[1:]))

            def log_message(self, *args):
                pass

        self.crls, self.ocsp, self.asked = {}, {}, []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, path):
        return "http://127.0.0.1:%d%s" % (self.port, path)

    def crl_at(self, path):
        return "crlDistributionPoints = URI:" + self.url(path)

    def ocsp_at(self, path):
        return "authorityInfoAccess = OCSP;URI:" + self.url(path)


class World:
    def __init__(self, root, names):
        self.certs = root / "certs"
        self.certs.mkdir()
        self.web = Web()
        # a CRL counts by its issuer, wherever it came from: an authority for each case
        self.cas = {name: Ca(self.certs, "ca-" + name) for name in names}
        (self.certs / "trust/x.example").mkdir(parents=True)
        for ca in self.cas.values():
            shutil.copy(self.certs / (ca.name + ".pem"), self.certs / "trust/x.example")
        inst = root / "i"
        inst.mkdir()
        self.web.crls["/pre.crl"] = self.cas["asked_before_the_first_mail"].crl("-crldays", "1")
        self.m = run.Milter(inst, self.certs, fetch_networks=["127.0.0.0/8"], fetch_hosts=["127.0.0.1:%d" % self.web.port],
                            revocation_refresh_s="60", revocation_wait_ms="4000", revocation_grace_s="6", revocation_crls=[self.web.url("/pre.crl")])
        os.chdir(inst / "run")
        self.n = 0

    def mail(self, name, official=True, embedded=None):
        content = b"Content-Type: text/plain\r\n\r\nKinh gui.\r\n"
        args = ["cms", "-sign", "-binary", "-outform", "DER", "-md", "sha256", "-signer", name + ".pem", "-inkey", name + ".key"]
        der = self.ca.openssl(*args, data=content)
        if embedded:
            der = with_crl(self.certs, der, embedded)
        return run.signed(self.certs, der, b"manager@x.example", b"X-VN-Doc: 1\r\n" if official else b"", content)

    def send(self, name, official=True, embedded=None, raw=None):
        """(b"c", None) or the reply; with the record's signature."""
        self.n += 1
        qid = "R%d" % self.n
        cmd, data = run.Client(self.m.sock).message(qid, raw or self.mail(name, official, embedded))
        rec = [r for r in run.read_log(self.m.log) if r.get("qid") == qid][0]
        self.last = rec
        self.notes = [f["id"] for f in rec["findings"]]
        return rec["decision"]["rule"], rec["sig"][0]["rev"]["state"] if rec["sig"] else "", data

    def expect(self, name, rule, state, **how):
        got = self.send(name, **how)
        assert got[:2] == (rule, state), (got, self.notes, self.last["sig"])


def with_crl(folder, der, crl):
    """The SignedData with a CRL inside: crls [1] stands before signerInfos (RFC 5652 5.1). DER by hand: openssl adds none."""
    def read(b, at):
        n, k = b[at + 1], at + 2
        if n & 0x80:
            n, k = int.from_bytes(b[k:k + (n & 0x7f)], "big"), k + (n & 0x7f)
        return b[at], k, k + n

    def make(tag, body):
        n = len(body)
        head = bytes([n]) if n < 128 else bytes([0x80 | (n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, "big")
        return bytes([tag]) + head + body

    (folder / "e.pem").write_bytes(crl)
    crl_der = subprocess.run(["openssl", "crl", "-in", str(folder / "e.pem"), "-outform", "DER"], check=True, capture_output=True).stdout
    _, oid, _ = read(der, 0)
    _, _, oid_end = read(der, oid)
    _, inner, _ = read(der, oid_end)
    _, at, end = read(der, inner)
    pieces = []
    while at < end:
        _, _, to = read(der, at)
        pieces.append(der[at:to])
        at = to
    pieces.insert(len(pieces) - 1, make(0xa1, crl_der))
    return make(0x30, der[oid:oid_end] + make(0xa0, make(0x30, b"".join(pieces))))


def asked_before_the_first_mail(w):
    """revocation_crls: there before anybody asks; it counts for certificates of its issuer that name no source themselves."""
    for _ in range(100):
        if "/pre.crl" in w.web.asked:
            break
        time.sleep(0.1)
    w.ca.leaf("pre")
    for _ in range(50):
        got = w.send("pre")
        if got[1] == "good":
            break
        time.sleep(0.1)
    assert got[:2] == ("", "good"), got


def good_by_crl_at_the_first_mail(w):
    w.ca.leaf("a", w.web.crl_at("/a.crl"))
    w.web.crls["/a.crl"] = w.ca.crl("-crldays", "1")
    t0 = time.time()
    w.expect("a", "", "good")
    assert w.last["sig"][0]["rev"]["source"] == "crl" and 0 <= w.last["sig"][0]["rev"]["age_s"] < 60, w.last["sig"]
    assert time.time() - t0 < 4, "the wait ran out"
    for _ in range(5):
        w.expect("a", "", "good")
    assert w.web.asked.count("/a.crl") == 1, "asked for each mail"


def case_22_revoked_by_crl(w):
    w.ca.leaf("r", w.web.crl_at("/r.crl"))
    w.ca.revoke("r")
    w.web.crls["/r.crl"] = w.ca.crl("-crldays", "1")
    w.expect("r", "P05", "revoked")
    assert w.last["decision"]["code"] == "550" and "crl" in w.last["decision"]["detail"], w.last["decision"]
    w.expect("r", "P05", "revoked", official=False)


def case_22_revoked_by_ocsp(w):
    w.ca.leaf("responder", section="responder")
    w.web.ocsp["/o"] = (w.ca, "responder", 60)
    w.ca.leaf("og", w.web.ocsp_at("/o"))
    w.expect("og", "", "good")
    assert w.last["sig"][0]["rev"]["source"] == "ocsp", w.last["sig"]
    w.ca.leaf("or", w.web.ocsp_at("/o"))
    w.ca.revoke("or")
    w.expect("or", "P05", "revoked")
    # the issuer itself may answer too
    w.web.ocsp["/direct"] = (w.ca, w.ca.name, 60)
    w.ca.leaf("od", w.web.ocsp_at("/direct"))
    w.expect("od", "", "good")


def ocsp_revokes_what_a_crl_does_not_know_yet(w):
    w.ca.leaf("responder2", section="responder")
    w.web.ocsp["/o2"] = (w.ca, "responder2", 60)
    w.ca.leaf("both", w.web.crl_at("/both.crl") + "\n" + w.web.ocsp_at("/o2"))
    w.web.crls["/both.crl"] = w.ca.crl("-crldays", "1")
    w.ca.revoke("both")
    w.expect("both", "P05", "revoked")


def case_23_revoked_after_signing(w):
    """Signed before the revocation, by its own word: no proof."""
    w.ca.leaf("late", w.web.crl_at("/late.crl"))
    raw = w.mail("late")
    time.sleep(1.1)
    w.ca.revoke("late")
    w.web.crls["/late.crl"] = w.ca.crl("-crldays", "1")
    got = w.send("late", raw=raw)
    assert got[:2] == ("P05", "revoked"), got
    assert w.last["sig"][0]["signing_time"] < time.time() - 1


def case_24_crl_expired_and_ocsp_down(w):
    w.ca.leaf("old", w.web.crl_at("/old.crl") + "\n" + w.web.ocsp_at("/down"))
    w.web.crls["/old.crl"] = w.ca.crl("-crlsec", "1")
    w.web.ocsp["/down"] = None
    time.sleep(1.5)
    w.expect("old", "P06", "unknown")
    assert w.last["decision"]["code"] == "451" and w.last["decision"]["action"] == "tempfail"
    w.expect("old", "", "unknown", official=False)
    assert "N04" in w.notes, w.notes


def case_25_embedded_crl_never_overrides(w):
    w.ca.leaf("emb", w.web.crl_at("/emb.crl"))
    before = w.ca.crl("-crldays", "30")  # current by its dates, and does not list it
    time.sleep(1.1)
    w.ca.revoke("emb")
    w.web.crls["/emb.crl"] = w.ca.crl("-crldays", "1")
    w.expect("emb", "P05", "revoked", embedded=before)


def embedded_crl_gives_no_freshness(w):
    w.ca.leaf("fresh", w.web.crl_at("/gone.crl"))
    w.expect("fresh", "P06", "unknown", embedded=w.ca.crl("-crldays", "30"))


def forged_crls_and_answers_say_nothing(w):
    other = Ca(w.certs, "other", w.ca.name)
    w.ca.leaf("f1", w.web.crl_at("/forged.crl"))
    w.web.crls["/forged.crl"] = other.crl("-crldays", "1")  # the same name, another key
    w.expect("f1", "P06", "unknown")
    other.leaf("stranger", section="responder")
    w.web.ocsp["/forged"] = (w.ca, "stranger", 60)
    w.ca.leaf("f2", w.web.ocsp_at("/forged"))
    w.expect("f2", "P06", "unknown")
    # a certificate of the CA that is no responder
    w.ca.leaf("clerk", section="plain")
    w.web.ocsp["/clerk"] = (w.ca, "clerk", 60)
    w.ca.leaf("f3", w.web.ocsp_at("/clerk"))
    w.expect("f3", "P06", "unknown")
    # a genuine answer about another certificate
    w.ca.leaf("responder3", section="responder")
    w.web.ocsp["/genuine"] = (w.ca, "responder3", 60)
    w.ca.leaf("f5", w.web.ocsp_at("/genuine"))
    w.expect("f5", "", "good")
    w.ca.leaf("f4", w.web.ocsp_at("/replayed"))
    w.web.ocsp["/replayed"] = (w.certs / "resp.der").read_bytes()
    w.expect("f4", "P06", "unknown")


def rubbish_harms_nothing(w):
    pids = sorted(w.m.pids("congvu-milter-scan"))
    for n, junk in enumerate((b"<html>no CRL</html>", b"0\x84\xff\xff\xff\xff", b"-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n",
                              w.ca.crl("-crldays", "1")[:-40], b"\0" * 100000)):
        name = "j%d" % n
        w.web.crls["/%s.crl" % name] = junk
        w.ca.leaf(name, w.web.crl_at("/%s.crl" % name))
        w.expect(name, "P06", "unknown")
    assert sorted(w.m.pids("congvu-milter-scan")) == pids, "a scanner died of it"
    w.expect("a", "", "good")


def replayed_crl_does_not_undo(w):
    """An older CRL, still current by its dates, comes after a newer one showed the revocation."""
    w.ca.leaf("rep", w.web.crl_at("/rep.crl"))
    older = w.ca.crl("-crldays", "30")
    time.sleep(1.1)
    w.ca.revoke("rep")
    w.web.crls["/rep.crl"] = w.ca.crl("-crldays", "1")
    w.expect("rep", "P05", "revoked")
    w.web.crls["/rep2.crl"] = older
    w.ca.leaf("rep2", w.web.crl_at("/rep2.crl"))
    w.expect("rep2", "", "good")
    for _ in range(100):
        if "/rep2.crl" in w.web.asked:
            break
        time.sleep(0.1)
    assert "/rep2.crl" in w.web.asked
    time.sleep(0.5)
    w.expect("rep", "P05", "revoked")


def known_after_a_crash_of_the_scanners(w):
    asked = w.web.asked.count("/a.crl"), w.web.asked.count("/r.crl")
    for pid in w.m.pids("congvu-milter-scan"):
        os.kill(pid, signal.SIGKILL)
    for _ in range(100):
        got = w.send("a")
        if got[0] != "T02":
            break
        time.sleep(0.1)
    assert got[:2] == ("", "good"), got
    w.expect("r", "P05", "revoked")
    assert (w.web.asked.count("/a.crl"), w.web.asked.count("/r.crl")) == asked, "asked again"


def fetch_down_is_unknown_not_good(w):
    for pid in w.m.pids("congvu-fetch"):
        os.kill(pid, signal.SIGSTOP)
    try:
        w.expect("a", "", "good")
        w.ca.leaf("nofetch", w.web.crl_at("/new.crl"))
        w.web.crls["/new.crl"] = w.ca.crl("-crldays", "1")
        t0 = time.time()
        w.expect("nofetch", "P06", "unknown")
        assert 3.5 < time.time() - t0 < 6, "the wait is bounded"
    finally:
        for pid in w.m.pids("congvu-fetch"):
            os.kill(pid, signal.SIGCONT)


def grace_ends_the_waiting(w):
    """OCSP alone, and it is down. After the grace the mail passes with a note."""
    w.ca.leaf("g", w.web.ocsp_at("/down"))
    w.expect("g", "P06", "unknown")
    deadline = time.time() + 15
    while time.time() < deadline:
        got = w.send("g")
        if got[0] == "":
            break
        assert got[:2] == ("P06", "unknown"), got
        time.sleep(1)
    assert got[:2] == ("", "unknown") and "N04" in w.notes, (got, w.notes)


def main():
    root = pathlib.Path(tempfile.mkdtemp(prefix="cv-milter-rev-"))
    w = None
    try:
        cases = (asked_before_the_first_mail, good_by_crl_at_the_first_mail, case_22_revoked_by_crl, case_22_revoked_by_ocsp, ocsp_revokes_what_a_crl_does_not_know_yet,
                   case_23_revoked_after_signing, case_24_crl_expired_and_ocsp_down, case_25_embedded_crl_never_overrides,
                   embedded_crl_gives_no_freshness, forged_crls_and_answers_say_nothing, rubbish_harms_nothing, replayed_crl_does_not_undo,
                   known_after_a_crash_of_the_scanners, fetch_down_is_unknown_not_good, grace_ends_the_waiting)
        w = World(root, [fn.__name__ for fn in cases])
        for fn in cases:
            w.ca = w.cas[fn.__name__]
            run.check(fn.__name__, lambda fn=fn: fn(w))
        w.m.stop()
        if run.failed:
            print((root / "i/log").read_text()[-8000:])
    finally:
        os.chdir("/")
        if os.environ.get("CV_KEEP"):
            print("# kept: %s" % root)
        else:
            shutil.rmtree(root, ignore_errors=True)
    return run.sums()


sys.exit(main())
