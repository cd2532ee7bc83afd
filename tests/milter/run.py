#!/usr/bin/python3
"""The real filter, scanners and ledger under their real parent, with fake_lookup for the directory; driven by miltertest (*.lua), then
killed in the middle. The audit log is verified by a second implementation: the one below."""

import base64
import concurrent.futures
import contextlib
import ctypes
import email.message
import glob
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import signal
import smtplib
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zipfile

SRC = pathlib.Path(os.environ.get("srcdir", ".")).resolve()
HERE = SRC / "tests/milter"
BUILD = pathlib.Path(os.environ.get("CV_BUILDDIR", os.getcwd())).resolve()
SANITIZED = b"__asan_init" in (BUILD / "congvu").read_bytes()  # slower, and without a limit on its address space
passed = failed = 0
ONLY = os.environ.get("CV_ONLY", "").split()


def check(name, fn):
    global passed, failed
    if ONLY and name not in ONLY:
        return
    t0 = time.time()
    try:
        fn()
        passed += 1
        print("ok %s (%.1f s)" % (name, time.time() - t0), flush=True)
    except Exception as e:  # a failing check must not hide the others
        failed += 1
        print("not ok %s: %s %s" % (name, type(e).__name__, e), flush=True)


@contextlib.contextmanager
def folder(prefix):
    """A folder for a test's site, gone behind it unless CV_KEEP is set; certificates in certs/."""
    root = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    try:
        (root / "certs").mkdir()
        subprocess.run(["sh", str(SRC / "tests/unit/smime_certs.sh"), str(root / "certs")], check=True, capture_output=True)
        yield root
    finally:
        os.chdir("/")
        if os.environ.get("CV_KEEP"):
            print("# kept: %s" % root)
        else:
            shutil.rmtree(root, ignore_errors=True)


def sums():
    """What tests/count.py reads, and the exit code."""
    if passed:
        print("[  PASSED  ] %d test(s)." % passed)
    if failed:
        print("[  FAILED  ] %d test(s)." % failed)
    return 1 if failed else 0


# ---- messages ----

def wrap(data):
    return base64.encodebytes(data).replace(b"\n", b"\r\n")


def signed(certs, der, from_, extra=b"", content=None):
    content = content if content is not None else (certs / "content.bin").read_bytes()
    return (b"From: " + from_ + b"\r\n" + extra + b"Date: Sat, 21 Nov 2026 08:00:00 +0700\r\nMIME-Version: 1.0\r\n"
            b'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary="b1"\r\n\r\n'
            b"--b1\r\n" + content + b"\r\n--b1\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" + wrap(der) + b"\r\n--b1--\r\n")


def sign(certs, content, name, key="k1", opaque=False):
    args = ["openssl", "cms", "-sign", "-binary", "-outform", "DER", "-md", "sha256", "-signer", str(certs / (name + ".pem")),
            "-inkey", str(certs / (key + ".key"))] + (["-nodetach"] if opaque else [])
    return subprocess.run(args, input=content, capture_output=True, check=True).stdout


def attachment(name, data, ctype="application/octet-stream", from_="dan@citizen.example"):
    m = email.message.EmailMessage()
    m["From"] = from_
    m["Subject"] = "attachment"
    m.set_content("Xin chào")
    main, sub = ctype.split("/")
    m.add_attachment(data, maintype=main, subtype=sub, filename=name)
    return m.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def zipped(*members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in members:
            z.writestr(name, data)
    return out.getvalue()


def program():
    head = bytearray(256)
    head[0:2] = b"MZ"
    struct.pack_into("<I", head, 0x3c, 128)
    head[128:132] = b"PE\0\0"
    return bytes(head)


def a_pdf():
    """Small, and whole (P18)."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
               b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] >>", b"<< /Length 5000 >>\nstream\n" + b"x" * 5000 + b"\nendstream"]
    out, places = b"%PDF-1.4\n", []
    for n, text in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (n, text)
    start = len(out)
    out += b"xref\n0 5\n0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % p for p in places)
    return out + b"trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start


def make_mails(certs, out):
    def put(name, data):
        (out / name).write_bytes(data)

    content = (certs / "content.bin").read_bytes()
    pdf = a_pdf()
    body = (b"Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\nContent-Type: text/plain\r\n\r\nKinh gui\r\n--in\r\n"
            b"Content-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" + wrap(pdf) + b"\r\n--in--\r\n")
    put("official.eml", signed(certs, sign(certs, body, "vanthu"), b"vanthu@x.example",
                               "Subject: =?utf-8?Q?15/Q=C4=90-UBND?=\r\n".encode(), body))
    hurry = "Subject: =?utf-8?Q?[H=E1=BB=8Fa_t=E1=BB=91c]_15/Q=C4=90-UBND_V/v_h=E1=BB=8Dp?=\r\n".encode()
    put("urgent.eml", signed(certs, sign(certs, body, "vanthu"), b"vanthu@x.example", hurry, body))
    put("urgent_marked.eml", signed(certs, sign(certs, body, "vanthu"), b"vanthu@x.example", b"Importance: normal\r\n" + hurry, body))
    manager = (certs / "manager.der").read_bytes()
    put("clerk_key.eml", signed(certs, sign(certs, body, "manager"), b"vanthu@x.example", b"Subject: x\r\n", body))
    put("others_key.eml", signed(certs, sign(certs, body, "eve"), b"vanthu@x.example", b"Subject: x\r\n", body))
    put("altered.eml", signed(certs, manager, b"manager@x.example", content=content.replace(b"Xin", b"xin")))
    put("other_signer.eml", signed(certs, (certs / "eve.der").read_bytes(), b"manager@x.example"))
    put("weak.eml", signed(certs, (certs / "weak.der").read_bytes(), b"manager@x.example"))
    put("stranger.eml", signed(certs, (certs / "stranger.der").read_bytes(), b"manager@x.example"))
    exe = program()
    put("exe_as_pdf.eml", attachment("bao-cao.pdf", exe, "application/pdf"))
    put("exe.eml", attachment("setup.exe", exe))
    put("rtlo.eml", attachment("offer\u202efdp.exe", exe))
    put("zip_exe.eml", attachment("a.zip", zipped(("thu.txt", b"x"), ("cai-dat.exe", exe)), "application/zip"))
    put("nested_zip.eml", attachment("a.zip", zipped(("b.zip", zipped(("c.zip", zipped(("d.scr", b"x"))))))))
    put("double.eml", attachment("a.scr.xz", b"plain"))
    put("script.eml", attachment("run.sh", b"#!/bin/sh\necho x\n"))
    put("python.eml", attachment("cai-dat.py", b"print(1)\n"))
    put("volume.eml", attachment("du-lieu.7z.002", bytes(range(256)) * 8))
    put("bomb.eml", attachment("bomb.zip", zipped(("zeros.txt", b"\0" * (220 << 20)))))
    put("pdf.eml", attachment("a.pdf", pdf, "application/pdf"))
    put("docx.eml", attachment("a.docx", zipped(("[Content_Types].xml", b"<x/>"), ("word/document.xml", b"<w/>"))))
    put("version_name.eml", attachment("bao-cao.v1.2.pdf", pdf, "application/pdf"))
    inner = (b'Content-Type: application/octet-stream; name="x.exe"\r\nContent-Transfer-Encoding: base64\r\n\r\n' + wrap(exe))
    put("signed_exe.eml", signed(certs, sign(certs, inner, "manager"), b"manager@x.example", content=inner))
    put("exe_in_sig.eml", signed(certs, sign(certs, inner, "manager", opaque=True), b"dan@citizen.example"))
    put("opaque_exe.eml", b"From: manager@x.example\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + wrap(sign(certs, inner, "manager", opaque=True)))
    opaque = wrap(sign(certs, inner, "manager", opaque=True))
    put("careless_opaque.eml", b"From: dan@citizen.example\r\nContent-Type: application/pkcs7-mime\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + opaque[:50] + b"!" + opaque[50:])
    put("p7m_by_name.eml", b"From: dan@citizen.example\r\nContent-Type: application/octet-stream; name=smime.p7m\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + opaque)
    def locked(data):
        out = bytearray(data)
        for magic, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
            out[out.index(magic) + at] |= 1
        return bytes(out)

    put("locked.eml", attachment("a.zip", locked(zipped(("a.txt", b"x"))), "application/zip"))
    put("locked_official.eml", b"X-VN-Doc: 1\r\n" + attachment("a.zip", locked(zipped(("a.txt", b"x"))), "application/zip", "manager@x.example"))
    eicar = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-" + b"STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    put("eicar.eml", attachment("a.txt", eicar))
    put("eicar_junk.eml", b"From: dan@citizen.example\r\nContent-Type: text/plain; name=a.txt\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==" +
        wrap(eicar))
    rels = (b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" TargetMode="External" '
            b'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/attachedTemplate" Target="http://x.example/a.dotm"/></Relationships>')
    word = (("[Content_Types].xml", b"<x/>"), ("word/document.xml", b'<w:document xmlns:w="w"><w:p><w:fldSimple w:instr=" DDEAUTO c:\\cmd.exe x "/></w:p></w:document>'))
    put("dde.eml", attachment("a.docx", zipped(*word)))
    put("template.eml", attachment("a.docx", zipped(word[0], ("word/document.xml", b"<w/>"), ("word/_rels/settings.xml.rels", rels))))
    title = b"run.bat\0"
    put("winmail.eml", attachment("winmail.dat", struct.pack("<IH", 0x223e9f78, 1) + struct.pack("<BII", 2, 0x00018010, len(title)) + title + b"\0\0"))
    put("macro.eml", attachment("a.docx", zipped(("[Content_Types].xml", b"<x/>"), ("word/document.xml", b"<w/>"), ("word/vbaProject.bin", b"x")),
                                from_="manager@x.example"))
    put("secret.eml", attachment("a.txt", "UBND TỈNH\r\nTỐI MẬT\r\nSố: 15/BC\r\n".encode(), "text/plain", "manager@x.example"))
    put("secret_name.eml", attachment("[MẬT] ke hoach.pdf", pdf, "application/pdf", "manager@x.example"))
    large = pdf + b"y" * (21 << 20)
    put("large.eml", attachment("a.pdf", large, "application/pdf", "manager@x.example"))
    put("large_citizen.eml", attachment("a.pdf", large, "application/pdf"))
    put("partial.eml", b'From: dan@citizen.example\r\nContent-Type: message/partial; id="a"; number=1; total=2\r\n\r\nhalf\r\n')
    cut = wrap(exe)[:2] + b"=" + wrap(exe)[2:]
    put("early_pad.eml", b"From: dan@citizen.example\r\nContent-Type: application/pdf; name=a.pdf\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + cut)


# ---- the instance ----

ROLES = ("user_smtpd", "user_lookup", "user_milter", "user_scan", "user_ledger", "user_fetch", "user_sign")
SIGN_USER = 61006

def end_with_us():
    """In the child: whatever ends the test ends the programs too."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


class Milter:
    def __init__(self, root, certs, ends_with=None, scan=None, **more):
        self.root = root
        self.ends_with = ends_with  # what its log says when it cannot start, where that is what is wanted
        (root / "etc").mkdir()
        (root / "bin").mkdir()
        for name in ("filter", "scan", "ledger", "sign"):
            shutil.copy(BUILD / ("congvu-milter-" + name), root / "bin")
        if scan:  # with faults made on purpose
            shutil.copy(scan, root / "bin/congvu-milter-scan")
        shutil.copy(BUILD / "congvu-fetch", root / "bin")
        shutil.copy(BUILD / "tests/milter/fake_lookup", root / "bin/congvu-lookup")
        shutil.copytree(certs / "trust", root / "etc/trust")
        (root / "etc/token.key").write_text("00" * 32)
        (root / "etc/ldap.password").write_text("x")
        # as root: every role under a uid of its own, below a folder that only root may enter
        user = {} if os.geteuid() else {u: str(61000 + n) for n, u in enumerate(ROLES)}
        conf = dict(hostname="mail.x.example", run_dir="../run", ledger_dir="../var", sign_dir="../sign", audit_log="../var/audit.jsonl",
                    milter_socket_dir="../run/milter", milter_spool_dir="../spool", trust_dir="trust", token_key_file="token.key",
                    ldap_password_file="ldap.password", policy_recipients_max="10000", **user)
        conf.update(more)
        text = "".join('%s = %s\n' % (k, "{%s}" % ", ".join('"%s"' % i for i in v) if isinstance(v, list) else '"%s"' % v)
                       for k, v in conf.items()) + 'domains = {"x.example"}\nlookup_processes = 1\n'
        (root / "etc/congvu.conf").write_text(text)
        self.sock = root / "run/milter/milter.sock"
        self.port = int(more["milter_listen"].split(":")[1].split("@")[0]) if "milter_listen" in more else None
        self.log = pathlib.Path(more.get("audit_log", root / "var/audit.jsonl"))
        self.out = open(root / "log", "wb")
        self.start()

    def start(self):
        env = dict(os.environ, CONGVU_LIBEXEC=str(self.root / "bin"))
        self.proc = subprocess.Popen([str(BUILD / "congvu-milter"), "-c", str(self.root / "etc/congvu.conf")],
                                     env=env, stderr=self.out, stdout=self.out, preexec_fn=end_with_us)
        for _ in range(600):
            if self.log.exists() and self.log.stat().st_size and self.is_up():
                return
            if self.proc.poll() is not None or self.ends_with and self.ends_with in (self.root / "log").read_text():
                break
            time.sleep(0.05)
        self.proc.terminate()
        self.proc.wait(20)
        raise RuntimeError("the milter does not start:\n" + (self.root / "log").read_text())

    def is_up(self):
        try:
            if self.port:
                socket.create_connection(("127.0.0.1", self.port), 5).close()
            else:
                Client(self.sock)
            return True
        except OSError:
            return False

    def stop(self):
        t0 = time.time()
        self.proc.terminate()
        self.proc.wait(20)
        assert time.time() - t0 < 3, "the milter takes %.1f s to stop" % (time.time() - t0)

    def pids(self, name):
        found = []
        for p in glob.glob("/proc/[0-9]*/stat"):
            try:
                text = pathlib.Path(p).read_text()
                # not its exe: that of a role can be read by root alone
                argv = pathlib.Path(os.path.dirname(p) + "/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if os.path.basename(argv[0].decode()) == name and int(text.rsplit(")", 1)[1].split()[1]) == self.proc.pid:
                found.append(int(text.split()[0]))
        return found


# ---- a small milter client, for load and kills ----

class Client:
    def __init__(self, path, offer=0x1fffff):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(40)
        self.s.connect(os.path.relpath(path, os.getcwd()))
        self.packet(b"O", struct.pack(">III", 6, 0x1ff, offer))
        self.steps = struct.unpack(">III", self.reply()[1][:12])[2]
        self.ask(b"C", b"client.example\0004\0\0" + b"192.0.2.9\0")

    def packet(self, cmd, data=b""):
        self.s.sendall(struct.pack(">I", len(data) + 1) + cmd + data)

    def read(self, n):
        out = b""
        while len(out) < n:
            piece = self.s.recv(n - len(out))
            if not piece:
                raise ConnectionError("closed")
            out += piece
        return out

    def reply(self):
        n = struct.unpack(">I", self.read(4))[0]
        data = self.read(n)
        return data[:1], data[1:]

    def ask(self, cmd, data=b""):
        """A command, and its answer where one was agreed on (libmilter's SMFIP_NR_*)."""
        self.packet(cmd, data)
        unanswered = {b"C": 0x1000, b"M": 0x4000, b"R": 0x8000, b"L": 0x80, b"N": 0x40000, b"B": 0x80000}
        return (b"c", b"") if self.steps & unanswered.get(cmd, 0) else self.reply()

    def message(self, qid, raw, login="binh", rcpts=(b"<b@x.example>",)):
        self.packet(b"D", b"Mi\0" + qid.encode() + b"\0{auth_authen}\0" + login.encode() + b"\0")
        self.ask(b"M", b"<a@x.example>\0")
        for rcpt in rcpts:
            self.ask(b"R", rcpt + b"\0")
        head, _, body = raw.partition(b"\r\n\r\n")
        for line in head.replace(b"\r\n ", b"\n ").replace(b"\r\n\t", b"\n\t").split(b"\r\n"):
            name, _, value = line.partition(b":")
            self.ask(b"L", name + b"\0" + value.lstrip(b" ") + b"\0")
        self.ask(b"N")
        for at in range(0, len(body), 65000):
            self.ask(b"B", body[at:at + 65000])
        self.packet(b"E")
        self.edits, self.headers, self.pieces, self.changes = b"", {}, [], []
        while True:
            cmd, data = self.reply()
            if cmd == b"i":
                name, _, value = data[4:].partition(b"\0")
                self.headers[name.decode()] = value.rstrip(b"\0").decode()
            if cmd == b"b":
                self.pieces.append(data)
            if cmd == b"m":
                self.changes.append((struct.unpack(">I", data[:4])[0],) + tuple(x.decode() for x in data[4:].split(b"\0")[:2]))
            if cmd == b"h":
                self.changes.append((0,) + tuple(x.decode() for x in data.split(b"\0")[:2]))
            self.edits += cmd
            if cmd in b"cay":
                return cmd, data
            if cmd in (b"r", b"t", b"d"):
                raise AssertionError("reply %r" % cmd)


# ---- the audit log, read by someone else ----

def canonical(obj):
    """Sorted keys, no spaces, ASCII; escapes with capital hex digits; DEL, which JSON lets be, stands as it is."""
    text = json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return re.sub(r"\\\\|\\u[0-9a-f]{4}", lambda m: m[0] if m[0] == "\\\\" else "\x7f" if m[0] == "\\u007f" else "\\u" + m[0][2:].upper(), text)


def read_log(path):
    """Verifies the chain; records."""
    prev, records = "0" * 64, []
    for n, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        rec = json.loads(line)
        h = rec.pop("h")
        assert rec["seq"] == n and rec["prev"] == prev, "line %d: not in the chain" % n
        d = hashlib.sha256(canonical(rec).encode()).hexdigest()
        assert rec["v"] == 2 and len(rec["salt"]) == 32 and hashlib.sha256((prev + d).encode()).hexdigest() == h, "line %d: hash" % n
        rec["h"] = prev = h
        assert canonical(rec) == line.decode(), "line %d: not canonical" % n
        records.append(rec)
    return records


def read_log_lines(path):
    """Records without looking at the chain."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


FIELDS = set("v salt seq ts host event qid msgid_sha256 session env hdr_from size body_sha256 policy decision findings sig parts label "
             "timing_ms prev h".split())


# Which rule refused what attachments.lua and bad_signatures.lua sent.
RULES = {"exe_as_pdf.eml": "P24", "exe.eml": "P22", "rtlo.eml": "P24", "zip_exe.eml": "P22", "signed_exe.eml": "P22",
         "opaque_exe.eml": "P22", "exe_in_sig.eml": "P22", "careless_opaque.eml": "P22", "p7m_by_name.eml": "P22",
         "partial.eml": "P22", "early_pad.eml": "P24", "double.eml": "P22", "nested_zip.eml": "P22",
         "eicar.eml": "M13", "dde.eml": "P22", "winmail.eml": "P22", "script.eml": "P22", "python.eml": "P22", "weak": "P10", "stranger": "P03", "twofrom": "M01", "nofrom": "M02", "HELD2": "P01", "macro.eml": "P22", "secret.eml": "P12", "secret_name.eml": "P12",
         "large.eml": "P25", "clerk_key.eml": "P09", "others_key.eml": "P07",
         "sendas": "P28", "S1": "P02", "S2": "P07", "P01A": "P01", "D1": "T01"}


def the_right_rule_decided(m):
    got = {r["qid"]: (r["decision"]["rule"], r["decision"]["code"]) for r in read_log(m.log) if r["event"] == "verdict"}
    wrong = {q: got.get(q) for q, rule in RULES.items() if got.get(q) != (rule, "451" if rule == "T01" else "550")}
    assert not wrong, wrong


def audit_has_the_right_shape(m):
    records = read_log(m.log)
    verdicts = [r for r in records if r["event"] == "verdict"]
    assert len(verdicts) > 20
    for r in verdicts:
        assert FIELDS <= set(r), FIELDS - set(r)
    ok = [r for r in verdicts if r["qid"] == "OFF1"][0]
    assert ok["decision"]["action"] == "accept" and ok["official"] == {"is": True, "why": "functional_mailbox"}
    s = ok["sig"][0]
    assert (s["status"], s["coverage"], s["addresses"], s["chain"]) == ("valid", "whole", ["vanthu@x.example"], "ok"), s
    assert ok["session"]["auth"] == "binh" and ok["session"]["ip"] == "192.0.2.7"
    refused = [r for r in verdicts if r["qid"] == "S1"][0]
    assert refused["decision"]["rule"] == "P02" and refused["decision"]["code"] == "550"
    names = [p for r in verdicts for p in r["parts"] if "deceptive_name" in p["flags"]]
    assert names and "\u202e" not in names[0]["name_norm"] and b"\xe2\x80\xae" in base64.b64decode(names[0]["name_raw"])


def load(m, n, threads, kill=None):
    """n messages from each of some threads; the set of ids that were answered."""
    raw = b"From: manager@x.example\r\nSubject: x\r\n\r\n" + b"y" * 2000 + b"\r\n"

    def one(t):
        done, client = {}, None
        for i in range(n):
            qid = "L%s-%d-%d" % (kill or "", t, i)
            try:
                client = client or Client(m.sock)
                done[qid] = client.message(qid, raw)[0]
            except (OSError, ConnectionError):
                client = None
                time.sleep(0.2)
        return done

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        jobs = [pool.submit(one, t) for t in range(threads)]
        if kill:
            time.sleep(0.3)
            for pid in m.pids(kill):
                os.kill(pid, signal.SIGKILL)
        return {k: v for j in jobs for k, v in j.result().items()}


def group_commit(m):
    t0 = time.time()
    done = load(m, 40, 8)
    rate = len(done) / (time.time() - t0)
    assert len(done) == 320 and set(done.values()) == {b"c"}, len(done)
    seen = [r["qid"] for r in read_log(m.log) if r["event"] == "verdict"]
    assert all(seen.count(q) == 1 for q in done)
    print("# %.0f messages a second" % rate)


def killed(m, role):
    done = load(m, 60, 6, role)
    log = read_log(m.log)
    recorded = {r["qid"]: r["decision"]["action"] for r in log if r["event"] == "verdict"}
    accepted = [q for q, cmd in done.items() if cmd == b"c"]
    assert accepted, "nothing was accepted"
    lost = [q for q in accepted if recorded.get(q) != "accept"]
    assert not lost, "accepted without a record: %s" % lost[:5]
    for _ in range(100):
        try:
            if Client(m.sock).message("after-" + role, b"From: manager@x.example\r\n\r\nx\r\n")[0] == b"c":
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("not back within ten seconds")


def large_record(m):
    """More than a record can hold: lists are cut, and said to be; the verdict stands."""
    names = [b"<" + b"r" * 40 + b"%05d@x.example>" % n for n in range(8000)]
    raw = (b"From: manager@x.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
           b"".join(b"--b\r\nContent-Type: text/plain; name=%s%d.txt\r\n\r\nx\r\n" % (b"n" * 200, n) for n in range(240)) + b"--b--\r\n")
    assert Client(m.sock).message("large", raw, rcpts=names)[0] == b"c"
    r = [r for r in read_log(m.log) if r["qid" if "qid" in r else "seq"] == "large"][0]
    assert r["cut"] and r["env"]["n_rcpts"] == 8000 and len(r["env"]["rcpts"]) == 100 and r["decision"]["action"] == "accept"


def one_of_all(m, mails, name):
    """Documents that ask for a number at the same time: one of them gets it, and the other mails do not go on."""
    def send(i):
        return Client(m.sock).message("%s%d" % (name, i), mails[i], rcpts=[b"<an@x.example>"])[0]

    ledger = m.pids("congvu-milter-ledger")
    for pid in ledger:
        os.kill(pid, signal.SIGSTOP)
    with concurrent.futures.ThreadPoolExecutor(len(mails)) as pool:
        sent = [pool.submit(send, i) for i in range(len(mails))]
        time.sleep(1)  # they have asked what the register has
        for pid in ledger:
            os.kill(pid, signal.SIGCONT)
        answers = [f.result() for f in sent]
    records = [r for r in read_log(m.log) if str(r.get("qid")).startswith(name)]
    accepted = [r["qid"] for r in records if r["event"] == "verdict" and r["decision"]["action"] == "accept"]
    assert len(accepted) == 1 and answers[int(accepted[0][-1])] == b"c", (answers, records)
    assert [r["qid"] for r in records if r["event"] == "register"] == accepted, records


def register(m, certs):
    """P15: a number names one document in a year; the register and the log say which."""
    def make(text, symbol="27/QĐ-UBND"):
        body = (b"Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\nContent-Type: text/plain\r\n\r\nKinh gui\r\n--in\r\n"
                b"Content-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n"
                b"Content-Transfer-Encoding: base64\r\n\r\n" + wrap(a_pdf().replace(b"xxxxx", text, 1)) + b"\r\n--in--\r\n")
        return signed(certs, sign(certs, body, "vanthu"), b"vanthu@x.example",
                      b"Subject: =?utf-8?b?" + base64.b64encode((symbol + " Về việc họp").encode()) + b"?=\r\n", body)

    def official(qid, text, to=b"<an@x.example>", symbol="27/QĐ-UBND"):
        return Client(m.sock).message(qid, make(text, symbol), rcpts=[to])

    official("REG1", b"11111")
    official("REG2", b"11111", b"<binh@x.example>")
    official("REG3", b"22222")
    official("REG4", b"22222", symbol="027/ QĐ-UBND")
    official("REG5", b"33333", symbol="28/QĐ-UBND")
    records = read_log(m.log)
    rules = {r["qid"]: (r["decision"]["action"], r["decision"]["rule"]) for r in records if r["event"] == "verdict" and r["qid"].startswith("REG")}
    assert rules == {"REG1": ("accept", ""), "REG2": ("accept", ""), "REG3": ("quarantine", "P15"), "REG4": ("quarantine", "P15"),
                     "REG5": ("accept", "")}, rules
    entered = {(r["symbol"], r["qid"]) for r in records if r["event"] == "register"}
    assert {("27/QĐ-UBND", "REG1"), ("28/QĐ-UBND", "REG5")} <= entered, entered
    assert not any(q in ("REG2", "REG3", "REG4") for _, q in entered), entered

    def congvu(*args):
        return subprocess.run([str(BUILD / "congvu"), "-c", str(m.root / "etc/congvu.conf"), "register", *args], capture_output=True, check=True).stdout.decode()

    assert "27/QĐ-UBND" in congvu("list") and "REG1" in congvu("list", "--agency", "H99")
    assert "REG1" not in congvu("list", "--year", "1999") and "REG1" not in congvu("list", "--agency", "H9")
    rows = [json.loads(line) for line in congvu("export").splitlines()]
    one = [r for r in rows if r["qid"] == "REG1"][0]
    assert (one["symbol"], one["type"], one["summary"], one["from"], one["agency"]) == ("27/QĐ-UBND", "QĐ", "họp", "vanthu@x.example", "H99"), one
    assert congvu("export", "--format", "csv").splitlines()[0].startswith("year,agency,symbol")
    for number in range(30, 35):
        one_of_all(m, [make(b"%d" % (55555 + n), "%d/QĐ-UBND" % number) for n in range(4)], "RACE%d-" % number)
    # it holds over a restart
    m.stop()
    m.start()
    official("REG6", b"44444")
    last = [r for r in read_log(m.log) if r["event"] == "verdict" and r["qid"] == "REG6"][0]
    assert last["decision"]["rule"] == "P15", last["decision"]


def mtas_that_wait(m):
    """An MTA that takes an answer to each command gets it (from libmilter). What went wrong before the end is told there: a recipient too many is not let through."""
    raw = b"From: dan@citizen.example\r\nSubject: x\r\n\r\nxin chao\r\n"
    many = [b"<r%d@y.example>" % i for i in range(10001)]
    unanswered = 0x1000 | 0x4000 | 0x8000 | 0x80 | 0x40000 | 0x80000
    want = {}
    for name, offer in (("WAITS", 0x7f), ("QUICK", 0x1fffff)):
        c = Client(m.sock, offer)
        assert c.steps & unanswered == offer & unanswered, c.steps
        for qid, rcpts, rule in (("1", [b"<b@y.example>"], ""), ("MANY", many, "T04"), ("2", [b"<b@y.example>"], ""), ("ALL", many[:-1], "")):
            cmd, data = c.message(name + qid, raw, login="", rcpts=rcpts)
            assert cmd == (b"y" if rule else b"c") and (not rule or data.startswith(b"451 4.3.1 T04 ")), (name, qid, cmd, data)
            want[name + qid] = rule
        c.s.close()
    rules = {r["qid"]: r["decision"]["rule"] for r in read_log(m.log) if r["event"] == "verdict" and r["qid"] in want}
    assert rules == want, rules


def huge_headers(m):
    """As large as the protocol lets them be (miltertest cannot): long fields, a thousand of them, more than the filter keeps."""
    long = b"x" * 60000
    c = Client(m.sock)
    assert c.message("H1", b"From: dan@citizen.example\r\nX-Long: " + long + b"\r\n\r\nx\r\n", login="")[0] == b"c"
    assert c.message("H2", b"From: dan@citizen.example\r\n" + b"".join(b"X-%d: v\r\n" % n for n in range(1000)) + b"\r\nx\r\n", login="")[0] == b"c"
    cmd, data = c.message("H3", b"From: manager@x.example\r\nSubject: 15/QD-UBND " + long + b"\r\n\r\nx\r\n")
    assert cmd == b"y" and data.startswith(b"550 5.7.1 P01 "), (cmd, data)
    cmd, data = c.message("H4", b"From: dan@citizen.example\r\n" + (b"X-Long: " + long + b"\r\n") * 20 + b"\r\nx\r\n", login="")
    assert cmd == b"y" and data.startswith(b"552 5.3.4 M07 "), (cmd, data)
    # a login whose macro is empty is none
    assert c.message("H5", b"From: dan@citizen.example\r\n\r\nx\r\n", login="")[0] == b"c"


def spoofed(m):
    """P35: what filters before ours found out decides for mail in our name; forged fields of others, and of nobody, do not."""
    def send(n, *fields):
        raw = b"".join(b"Authentication-Results: " + f + b"\r\n" for f in fields) + b"From: manager@x.example\r\nSubject: an trua\r\n\r\nx\r\n"
        c = Client(m.sock)
        cmd, _ = c.message("P35-%d" % n, raw, login="")
        rec = [r for r in read_log(m.log) if r.get("qid") == "P35-%d" % n][0]
        return cmd, rec["decision"]["action"], rec["decision"]["rule"], rec["decision"]["detail"], c.edits

    assert send(1, b"mx.x.example; dmarc=pass header.from=x.example")[1:3] == ("accept", "")
    got = send(2, b"mx.x.example; spf=fail smtp.mailfrom=x.example; dkim=none")
    assert got[1:3] == ("quarantine", "P35") and "spf=fail dkim=none" in got[3] and b"q" in got[4], got
    assert send(3)[1:3] == ("quarantine", "P35")
    assert send(4, b"other.example; dmarc=pass header.from=x.example")[1:3] == ("quarantine", "P35")
    got = send(5, b"mail.x.example; dmarc=pass header.from=x.example")
    assert got[1:3] == ("quarantine", "P35") and b"m" in got[4], "our own name is not trusted unless it is configured: %r" % (got,)
    # a trusted field stays for the reader
    assert b"m" not in send(6, b"mx.x.example; spf=pass smtp.mailfrom=x.example")[4]
    # signed well, it needs nobody's word
    assert Client(m.sock).message("P35-7", (m.mails / "official.eml").read_bytes(), login="")[0] == b"c"


def modes_by_agency(m):
    """policy_modes: P01 only logged for the agency H99 (that of manager and vanthu here), P22 told but let through for all."""
    c = Client(m.sock)
    cmd, _ = c.message("MODE1", b"From: vanthu@x.example\r\nSubject: x\r\n\r\nx\r\n")
    rec = [r for r in read_log(m.log) if r.get("qid") == "MODE1"][0]
    assert cmd == b"c" and [(f["id"], f["mode"]) for f in rec["findings"] if f["id"] == "P01"] == [("P01", "log")], rec["findings"]
    verdict = c.headers["X-Congvu-Verdict"]
    assert "P01" not in verdict, verdict
    cmd, _ = c.message("MODE2", (m.mails / "exe.eml").read_bytes(), login="")
    assert cmd == b"c" and "P22" in c.headers["X-Congvu-Verdict"], c.headers
    # the hash of the policy tells two settings apart
    assert rec["policy"]["sha256"] != m.plain_hash, rec["policy"]


def wrong_modes(root, certs):
    """A slip of the pen in policy_modes ends the start, and is told."""
    (root / "x").mkdir()
    try:
        m = Milter(root / "x", certs, "no such rule", policy_modes=["P1=enforce"])
    except RuntimeError as e:
        assert "P1=enforce" in str(e) and "no such rule" in str(e), e
        return
    m.stop()
    raise AssertionError("it starts")


def ledger_is_stuck(m):
    """No answer from the ledger: deferred, never let through."""
    for pid in m.pids("congvu-milter-ledger"):
        os.kill(pid, signal.SIGSTOP)
    try:
        cmd, data = Client(m.sock).message("stuck", b"From: manager@x.example\r\n\r\nx\r\n")
        assert cmd == b"y" and data.startswith(b"451 4.7.1 T03 "), (cmd, data)
    finally:
        for pid in m.pids("congvu-milter-ledger"):
            os.kill(pid, signal.SIGCONT)


def slow_scan(m):
    """A message that keeps the scanner busy past its deadline costs one scanner, not the service."""
    for pid in m.pids("congvu-milter-scan"):
        os.kill(pid, signal.SIGSTOP)
    cmd, data = Client(m.sock).message("slow", b"From: manager@x.example\r\n\r\nx\r\n")
    assert cmd == b"y" and data.startswith(b"451 4.7.1 T02 "), (cmd, data)
    last = [r for r in read_log(m.log) if r["event"] == "verdict"][-1]
    assert last["qid"] == "slow" and last["findings"][0]["id"] == "scan_failed", last
    for pid in m.pids("congvu-milter-scan"):
        os.kill(pid, signal.SIGCONT)
    assert Client(m.sock).message("slow2", b"From: manager@x.example\r\n\r\nx\r\n")[0] == b"c"


def torn_line(m):
    """What a crash left unfinished is cut, and the log says so."""
    m.stop()
    read_log(m.log)
    with open(m.log, "ab") as f:
        f.write(b'{"event":"verd')
    m.start()
    for _ in range(100):
        last = read_log(m.log)[-1]
        if last["event"] == "load":
            break
        time.sleep(0.05)
    assert last["event"] == "load" and last["recovery"]["kind"] == "torn_line" and last["recovery"]["cut_octets"] == 14, last


def truncated_log(m):
    """A shortened log does not verify, even after the ledger went on."""
    m.stop()
    lines = m.log.read_bytes().splitlines(True)
    m.log.write_bytes(b"".join(lines[:-3]))
    m.start()
    Client(m.sock).message("after-cut", b"From: manager@x.example\r\n\r\nx\r\n")
    try:
        read_log(m.log)
    except AssertionError as e:
        assert "line %d:" % (len(lines) - 2) in str(e), e
    else:
        raise AssertionError("a truncated log verifies")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


MAIN_CF = """
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
maillog_file = {dir}/maillog
maillog_file_prefixes = /
myhostname = foreign.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.0.1]:{sink}
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_milters = inet:127.0.0.1:{milter}
milter_default_action = tempfail
smtpd_forbid_bare_newline = no
"""
MASTER_CF = """
127.0.0.1:{port} inet n - n - 20 smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
error unix - - n - - error
proxymap unix - - n - - proxymap
retry unix - - n - - error
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def under_postfix(root, certs, mails):
    """A foreign MTA, Debian's Postfix, with our filter: the same verdicts, and what it relays is what was sent."""
    quiet = subprocess.DEVNULL  # its daemons would hold a pipe open
    root.mkdir()
    inst, pf = root / "i", root / "pf"
    ports = dict(port=free_port(), sink=free_port(), milter=free_port())
    for d in (inst, pf, pf / "etc", pf / "data", pf / "queue", root / "dump"):
        d.mkdir()
    root.chmod(0o755)
    root.parent.chmod(0o755)
    shutil.chown(pf / "data", "postfix")
    (pf / "etc/main.cf").write_text(MAIN_CF.format(dir=pf, **ports))
    (pf / "etc/master.cf").write_text(MASTER_CF.format(**ports))
    m = Milter(inst, certs, milter_listen="inet:%d@127.0.0.1" % ports["milter"])
    sink = subprocess.Popen(["smtp-sink", "-u", "postfix", "-d", str(root / "dump") + "/m.", "127.0.0.1:%d" % ports["sink"], "10"])
    shutil.chown(root / "dump", "postfix")
    try:
        subprocess.run(["postfix", "-c", str(pf / "etc"), "start"], check=True, stdout=quiet, stderr=quiet, timeout=60)
        for _ in range(100):
            try:
                c = smtplib.SMTP("127.0.0.1", ports["port"], timeout=40)
                break
            except OSError:
                time.sleep(0.1)
        for name, code, words in (("altered.eml", 550, b"P02 "), ("other_signer.eml", 550, b"P07 "), ("exe.eml", 550, b"P22 ")):
            try:
                c.sendmail("a@x.example", ["b@y.example"], (mails / name).read_bytes())
                raise AssertionError(name + " was accepted")
            except smtplib.SMTPDataError as e:
                assert e.smtp_code == code and e.smtp_error.startswith(b"5.7.1 " + words) and b"[ticket " in e.smtp_error, e
        raw = (mails / "official.eml").read_bytes()
        c.sendmail("a@x.example", ["b@y.example"], raw)
        for _ in range(200):
            got = [p.read_bytes() for p in (root / "dump").iterdir() if p.stat().st_size]
            if got:
                break
            time.sleep(0.1)
        got = got[0].replace(b"\r\n", b"\n")
        # Postfix adds a Message-Id of its own
        body = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
        assert got.partition(b"\n\n")[2].strip() == body.strip(), "not the bytes that were sent"
        top = got[:got.index(b"From: vanthu@x.example")]
        assert b"smime=pass" in top and b"X-Congvu-Verdict: accept; official=yes" in top, top
    finally:
        subprocess.run(["postfix", "-c", str(pf / "etc"), "stop"], stdout=quiet, stderr=quiet, timeout=60)
        sink.terminate()
        sink.wait()
        m.stop()
    records = [r for r in read_log(m.log) if r["event"] == "verdict"]
    assert len(records) == 4 and all(len(r["qid"]) > 5 for r in records), [r["qid"] for r in records]


def main():
    if not shutil.which("miltertest"):
        print("SKIP: miltertest is not installed")
        return 77
    with folder("cv-milter-") as root:
        certs = root / "certs"
        mails = root / "mails"
        mails.mkdir()
        make_mails(certs, mails)
        inst = root / "i"
        inst.mkdir()
        m = Milter(inst, certs, milter_scan_timeout_ms="3000")
        os.chdir(inst / "run")
        for script in sorted(HERE.glob("*.lua")):
            if script.name in ("lib.lua", "main.lua"):
                continue

            def run(script=script):
                r = subprocess.run(["miltertest", "-D", "sock=unix:milter/milter.sock", "-D", "mails=%s" % mails, "-D",
                                    "here=%s" % HERE, "-D", "script=%s" % script, "-s", str(HERE / "main.lua")], capture_output=True, text=True, timeout=120)
                assert r.returncode == 0, "exit %d: %s" % (r.returncode, (r.stdout + r.stderr).strip())
            check(script.stem, run)
        check("the_right_rule_decided", lambda: the_right_rule_decided(m))
        check("audit_has_the_right_shape", lambda: audit_has_the_right_shape(m))
        check("group_commit", lambda: group_commit(m))
        check("kill_ledger", lambda: killed(m, "congvu-milter-ledger"))
        check("kill_scan", lambda: killed(m, "congvu-milter-scan"))
        check("kill_filter", lambda: killed(m, "congvu-milter-filter"))
        check("large_record", lambda: large_record(m))
        check("register", lambda: register(m, certs))
        check("mtas_that_wait", lambda: mtas_that_wait(m))
        check("huge_headers", lambda: huge_headers(m))
        check("ledger_is_stuck", lambda: ledger_is_stuck(m))
        check("slow_scan", lambda: slow_scan(m))
        check("torn_line", lambda: torn_line(m))
        check("truncated_log", lambda: truncated_log(m))
        m.stop()
        plain = [r for r in read_log_lines(m.log) if r["event"] == "verdict"][0]["policy"]["sha256"]
        (root / "p").mkdir()
        m = Milter(root / "p", certs, policy_trusted_authserv=["mx.x.example"])
        os.chdir(root / "p/run")
        m.mails = mails
        check("spoofed", lambda: spoofed(m))
        m.stop()
        (root / "q").mkdir()
        m = Milter(root / "q", certs, policy_modes=["H99:P01=log", "P22=warn", "P24=warn"])
        os.chdir(root / "q/run")
        m.mails, m.plain_hash = mails, plain
        check("modes_by_agency", lambda: modes_by_agency(m))
        m.stop()
        check("wrong_modes", lambda: wrong_modes(root, certs))
        if shutil.which("postfix") and shutil.which("smtp-sink") and not os.geteuid():
            check("under_postfix", lambda: under_postfix(root / "foreign", certs, mails))
        else:
            print("# under_postfix is left out: Postfix is not installed, or not root")
        if failed:
            print((inst / "log").read_text()[-6000:])
    return sums()


if __name__ == "__main__":
    sys.exit(main())
