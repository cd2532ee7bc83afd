#!/usr/bin/python3
"""Signing for a functional mailbox from end to end: the real filter, milter-sign, scanner and ledger; what comes out is verified by openssl and by our own
filter again, and read by Python's email package."""

import email
import email.policy
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run  # noqa: E402

VI = "Kính gửi: các đơn vị. Chi tiết như sau."
PLAIN = ("From: vanthu@x.example\r\nTo: b@y.example\r\nSubject: Thong bao\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
         "Content-Transfer-Encoding: 8bit\r\nMessage-ID: <1@x.example>\r\n\r\n" + VI + "\r\nFrom day on  \r\n.\r\n\r\n").encode()
MIXED = ("From: vanthu@x.example\r\nSubject: x\r\nContent-Type: multipart/mixed;\r\n boundary=\"in\"\r\nContent-Transfer-Encoding: 8bit\r\n"
         "MIME-Version: 1.0\r\n\r\npreamble\r\n--in\r\nContent-Type: multipart/alternative; boundary=alt\r\n\r\n--alt\r\nContent-Type: text/plain; charset=utf-8\r\n"
         "Content-Transfer-Encoding: 8bit\r\n\r\n" + VI + "\r\n--alt\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: binary\r\n\r\n<p>"
         + VI + "</p>" + "x" * 2000 + "\r\n--alt--\r\n--in\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
         "JVBERi0xLjQKJSVFT0YK\r\n--in\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nFrom: c@y.example\r\nSubject: old\r\n"
         "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nđã nhận\r\n--in--\r\n").encode()
BARE = b"From: vanthu@x.example\r\nSubject: x\r\n\r\nXin chao\r\n"


class Site:
    def __init__(self, root, certs, **options):
        self.root, self.certs = root, certs
        root.mkdir()
        (root / "keys").mkdir(mode=0o700)
        shutil.copy(certs / "k1.key", root / "keys/vanthu.key")
        os.chmod(root / "keys/vanthu.key", 0o600)
        shutil.copy(certs / "vanthu.pem", root / "keys/vanthu.pem")
        self.m = run.Milter(root, certs, gateway_sign=["vanthu@X.example=../keys/vanthu.key:../keys/vanthu.pem"], **options)
        os.chdir(root / "run")
        for _ in range(100):  # until the directory answers
            if self.send(BARE, qid="up")[1][:3] != b"451":
                break
            time.sleep(0.1)

    def send(self, raw, qid="G1", login="binh"):
        self.client = run.Client(self.m.sock)
        return self.client.message(qid, raw, login=login)

    def verdict(self, qid):
        return [r for r in run.read_log(self.m.log) if r["event"] == "verdict" and r["qid"] == qid][-1]


def changed(client, raw):
    """The message as the MTA has it after the milter's changes."""
    head, _, body = raw.partition(b"\r\n\r\n")
    fields = re.findall(rb"[^\r\n]+(?:\r\n[ \t][^\r\n]*)*", head)
    for index, name, value in client.changes:
        at = [i for i, f in enumerate(fields) if f.split(b":")[0].lower() == name.lower().encode()]
        if index == 0:
            fields.append(("%s: %s" % (name, value)).encode())
        elif value:
            fields[at[index - 1]] = ("%s: %s" % (name, value)).encode()
        else:
            del fields[at[index - 1]]
    return b"\r\n".join(fields) + b"\r\n\r\n" + (b"".join(client.pieces) if b"b" in client.edits else body)


def openssl_verifies(site, message):
    """The content that openssl finds signed by the mailbox's key."""
    (site.root / "m.eml").write_bytes(message)
    r = subprocess.run(["openssl", "cms", "-verify", "-in", "m.eml", "-CAfile", str(site.certs / "root.pem"), "-purpose", "smimesign",
                        "-signer", "signer.pem"], cwd=site.root, capture_output=True)
    assert r.returncode == 0, r.stderr.decode()
    signer = subprocess.run(["openssl", "x509", "-in", "signer.pem", "-noout", "-email"], cwd=site.root, capture_output=True, text=True).stdout
    assert "vanthu@x.example" in signer
    return r.stdout


def leaves(raw):
    """Types and decoded contents, text with LF."""
    out = []
    for p in email.message_from_bytes(raw).walk():
        if p.is_multipart():
            continue
        data = p.get_payload(decode=True)
        out.append((p.get_content_type(), data.replace(b"\r\n", b"\n").rstrip(b"\n") if p.get_content_maintype() == "text" else data))
    return out


def signed(site, raw, qid):
    """Accepted, signed, and the content is what it was; the new message."""
    cmd, data = site.send(raw, qid)
    assert cmd in b"ac", data
    new = changed(site.client, raw)
    entity = openssl_verifies(site, new)
    assert entity.isascii() and max(map(len, new.split(b"\r\n"))) <= 998 and b"\n" not in new.replace(b"\r\n", b"")
    assert leaves(new)[:-1] == leaves(raw) == leaves(entity), (leaves(new), leaves(raw))
    assert leaves(new)[-1][0] == "application/pkcs7-signature"
    rec = site.verdict(qid)
    assert rec["gateway"]["signed"] and rec["gateway"]["entity_sha256"] == hashlib.sha256(entity).hexdigest()
    # what was judged is what is sent: our own rules found this very signature
    assert [(s["status"], s["coverage"]) for s in rec["sig"]] == [("valid", "whole")], rec["sig"]
    assert rec["size"] == len(new), (rec["size"], len(new))
    assert "smime=pass" in site.client.headers["Authentication-Results"]
    return new


def plain_text(site):
    new = signed(site, PLAIN, "PLAIN")
    m = email.message_from_bytes(new, policy=email.policy.default)
    assert m.get_content_type() == "multipart/signed" and m["Content-Transfer-Encoding"] is None and m["Subject"] == "Thong bao"
    part = m.get_payload(0)
    assert part["Content-Transfer-Encoding"] == "quoted-printable" and part.get_content().replace("\r\n", "\n").startswith(VI + "\n"), part
    assert b"=46rom day on =20\r\n=2E\r\n" in new, new


def many_parts(site):
    new = signed(site, MIXED, "MIXED")
    assert b"preamble" in new and b"8bit" not in new and b"binary" not in new


def without_mime(site):
    new = signed(site, BARE, "BARE")
    assert new.count(b"MIME-Version: 1.0") == 1 and b"\r\nContent-Type: text/plain\r\n\r\nXin chao" in new


def our_own_filter_finds_it_good(site):
    """The signed message once more, as it comes to another agency with the same trust: no login, signature whole and good."""
    new = signed(site, MIXED, "AGAIN")
    cmd, data = site.send(new, "FROM-OUTSIDE", login="")
    assert cmd in b"ac", data
    rec = site.verdict("FROM-OUTSIDE")
    assert [(s["status"], s["coverage"], s["addresses"]) for s in rec["sig"]] == [("valid", "whole", ["vanthu@x.example"])]
    assert "gateway" not in rec and b"b" not in site.client.edits


def what_is_signed_stays(site):
    """Signed by the clerk, with the mailbox's own key: not a byte is touched."""
    mails = site.root.parent / "mails"
    raw = (mails / "official.eml").read_bytes()
    cmd, data = site.send(raw, "SIGNED")
    assert cmd in b"ac", data
    assert b"b" not in site.client.edits and b"m" not in site.client.edits
    assert site.verdict("SIGNED")["gateway"]["refused"] == "it is signed or encrypted already"
    # and one with a bad signature is refused, not mended
    bad = raw.replace(b"Content-Type: text/plain", b"Content-Type: text/Plain", 1)
    cmd, data = site.send(bad, "BAD")
    assert cmd == b"y" and b" P02 " in data, data
    enveloped = (b"From: vanthu@x.example\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n"
                 b"Content-Transfer-Encoding: base64\r\n\r\nMIIB\r\n")
    site.send(enveloped, "ENC")
    assert not site.verdict("ENC")["gateway"]["signed"] and b"b" not in site.client.edits
    # a forwarded signed mail stays whole inside
    inner = raw.partition(b"\r\n\r\n")
    wrapped = (b"From: vanthu@x.example\r\nContent-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
               + VI.encode() + b"\r\n--outer\r\nContent-Type: message/rfc822\r\n\r\n" + raw + b"\r\n--outer--\r\n")
    site.send(wrapped, "WRAPPED")
    assert inner[2].strip() in b"".join(site.client.pieces) if site.verdict("WRAPPED")["gateway"]["signed"] else True


def only_who_may(site):
    """No login, another's login, another mailbox, two authors: nobody gets the mailbox's signature."""
    for qid, login, raw in (("N1", "", BARE), ("N2", "eve", BARE), ("N3", "binh", BARE.replace(b"vanthu@", b"manager@")),
                            ("N4", "binh", BARE.replace(b"vanthu@x.example", b"vanthu@x.example, manager@x.example")),
                            ("N5", "binh", BARE.replace(b"Subject", b"From: vanthu@x.example\r\nSubject"))):
        site.send(raw, qid, login)
        assert "gateway" not in site.verdict(qid) and b"b" not in site.client.edits, qid
    log = (site.root / "log").read_text()
    signed_ids = set(re.findall(r"event=mail_signed qid=(\S+) as=vanthu@x.example auth=binh", log))
    assert signed_ids and not signed_ids & {"N1", "N2", "N3", "N4", "N5", "SIGNED", "ENC", "BAD"}, signed_ids


def what_cannot_be_kept_is_not_signed(site):
    eight = "đ".encode()
    signed_part = (b"From: vanthu@x.example\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/signed; boundary=s; "
                   b"protocol=\"application/pkcs7-signature\"\r\n\r\n--s\r\nContent-Type: text/plain\r\n\r\n" + eight +
                   b"\r\n--s\r\nContent-Type: application/pkcs7-signature\r\n\r\nx\r\n--s--\r\n--o--\r\n")
    for qid, raw in (("K1", signed_part), ("K2", BARE.replace(b"\r\n\r\n", b"\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n\r\n")),
                     ("K3", b"From: vanthu@x.example\r\nSubject: x\r\n\r\n\xff\xfe\r\n"),
                     ("K4", BARE.replace(b"\r\n\r\n", b"\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nx\r\n"))):
        site.send(raw, qid)
        rec = site.verdict(qid)
        assert not rec["gateway"]["signed"] and rec["gateway"]["refused"] and b"b" not in site.client.edits, (qid, rec["gateway"])


def the_signature_whitelists_nothing(site):
    mails = site.root.parent / "mails"
    raw = (mails / "exe.eml").read_bytes()
    raw = re.sub(rb"From: [^\r]*", b"From: vanthu@x.example", raw, count=1)
    cmd, data = site.send(raw, "EXE")
    assert cmd == b"y" and b" P22 " in data, data
    assert site.verdict("EXE")["gateway"]["signed"]


def sign_is_away(site):
    """Deferred, in the way that our smtpd keeps the mail and asks again."""
    pid, = site.m.pids("congvu-milter-sign")
    os.kill(pid, signal.SIGSTOP)
    try:
        cmd, data = site.send(PLAIN, "AWAY")
        assert cmd == b"y" and data.startswith(b"451 4.7.5 T06 "), data
    finally:
        os.kill(pid, signal.SIGKILL)
    for _ in range(100):
        cmd, data = site.send(PLAIN, "BACK")
        if cmd in b"ac":
            break
        time.sleep(0.1)
    assert cmd in b"ac" and site.verdict("BACK")["gateway"]["signed"]


def large(site):
    """11 MB of 8-bit text, byte for byte."""
    raw = PLAIN.replace(b"\r\n.\r\n", b"\r\n" + ("Nội dung dài. " * 4 + "\r\n").encode() * 170000, 1)
    t0 = time.monotonic()
    cmd, data = site.send(raw, "LARGE")
    spent = time.monotonic() - t0
    assert cmd in b"ac", data
    new = changed(site.client, raw)
    openssl_verifies(site, new)
    assert leaves(new)[:-1] == leaves(raw) and len(raw) > 10 << 20
    print("# %d MB in %.1f s" % (len(raw) >> 20, spent))


def keys_that_do_not_fit(root, certs):
    """A wrong row is told, and the mail waits; the others work."""
    root.mkdir()
    (root / "keys").mkdir()
    for n in ("k1.key", "kec.key", "vanthu.pem", "manager.pem", "k1024.key", "weak.pem"):
        shutil.copy(certs / n, root / "keys")
    rows = ["a@x.example=../keys/kec.key:../keys/vanthu.pem", "b@x.example=../keys/k1.key:../keys/manager.pem",
            "c@x.example=../keys/none.key:../keys/manager.pem", "vanthu@x.example=../keys/k1.key:../keys/vanthu.pem"]
    m = run.Milter(root, certs, gateway_sign=rows)
    os.chdir(root / "run")
    run.Client(m.sock).message("ROWS", BARE)
    try:
        text = (root / "log").read_text()
        for who, why in (("a@", "key and certificate do not belong together"), ("b@", "the certificate does not name the address"), ("c@", "No such file")):
            assert re.search('event=gateway_sign .*%s.*%s' % (who, why), text), (who, text)
        assert "vanthu@x.example" not in "".join(line for line in text.splitlines() if "event=gateway_sign" in line)
    finally:
        m.stop()


# ---- a key that stays in a token ----

MODULE = pathlib.Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "739155"


class Token:
    """softhsm2 in a folder of milter-sign's user, and a site whose mailbox has its key there alone."""

    def __init__(self, root, certs, key="k1", cert="vanthu"):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cv-token-"))
        self.folder.chmod(0o755)
        (self.folder / "tokens").mkdir()
        (self.folder / "conf").write_text("directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n" % self.folder)
        self.env = dict(os.environ, SOFTHSM2_CONF=str(self.folder / "conf"))
        self.util("--init-token", "--free", "--label", "congvu", "--pin", PIN, "--so-pin", "12345678")
        subprocess.run(["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", str(certs / (key + ".key")), "-out", str(self.folder / "p8")], check=True)
        self.util("--import", str(self.folder / "p8"), "--token", "congvu", "--label", "vanthu", "--id", "a1", "--pin", PIN)
        (self.folder / "p8").unlink()
        self.own(run.SIGN_USER)
        root.mkdir()
        (root / "keys").mkdir(mode=0o700)
        shutil.copy(certs / (cert + ".pem"), root / "keys/vanthu.pem")
        self.pin = root / "keys/pin"
        self.pin.write_text(PIN + "\n")
        self.pin.chmod(0o400)
        self.options = dict(pkcs11_module=str(MODULE), pkcs11_pin_file="../keys/pin", pkcs11_dir=str(self.folder / "tokens"),
                            pkcs11_env=["SOFTHSM2_CONF=%s/conf" % self.folder],
                            gateway_sign=["vanthu@x.example=pkcs11:token=congvu;object=vanthu;type=private:../keys/vanthu.pem"])
        self.root, self.certs = root, certs

    def own(self, user):
        if not os.geteuid():
            subprocess.run(["chown", "-R", str(user), str(self.folder / "tokens")], check=True)

    def util(self, *args):
        subprocess.run(["softhsm2-util", *args], env=self.env, check=True, capture_output=True)

    send, verdict = Site.send, Site.verdict

    def start(self):
        self.m = run.Milter(self.root, self.certs, **self.options)
        os.chdir(self.root / "run")
        for _ in range(100):  # until the directory answers
            if b" T01 " not in self.send(BARE, qid="up")[1]:
                break
            time.sleep(0.1)
        return self

    def check(self, conf=None):
        r = subprocess.run([str(run.BUILD / "congvu"), "-c", str(conf or self.root / "etc/congvu.conf"), "check", "--offline"], capture_output=True, text=True)
        return r.stdout + r.stderr

    def conf(self, name, **changes):
        text = (self.root / "etc/congvu.conf").read_text()
        for k, v in changes.items():
            text = re.sub("(?m)^%s = .*$" % k, lambda m: '%s = %s' % (k, v), text)
        path = self.root / "etc" / name
        path.write_text(text)
        return path

    def stop(self):
        os.chdir("/")
        self.m.stop()
        shutil.rmtree(self.folder)


def key_in_a_token(t):
    """Signed by a key that no file of ours has; the sandbox is whole, and the PIN is nowhere."""
    for i in range(3):
        signed(t, MIXED if i == 1 else PLAIN, "TOKEN%d" % i)
    log = (t.root / "log").read_text()
    assert re.search(r"event=role_up .*milter-sign/0 uid \d+, sandbox whole", log), log
    pid, = t.m.pids("congvu-milter-sign")
    everything = log + t.check() + "".join(
        (pathlib.Path("/proc") / str(pid) / n).read_bytes().decode("latin-1") for n in ("cmdline", "environ")) + t.m.log.read_text()
    assert PIN not in everything and "signs for vanthu@x.example" in everything, everything[-3000:]


def ec_key_in_a_token(t):
    """An EC key's signature is ECDSA with SHA-256 in DER, which a token gives as two numbers: openssl, and our own filter, verify it (signed())."""
    new = signed(t, PLAIN, "EC-TOKEN")
    (t.root / "m.eml").write_bytes(new)
    r = subprocess.run(["openssl", "cms", "-cmsout", "-print", "-noout", "-in", str(t.root / "m.eml")], capture_output=True, text=True)
    info = r.stdout[r.stdout.index("signerInfos"):]
    assert "ecdsa-with-SHA256" in info and "rsa" not in info.lower(), info
    # and a certificate of another key is told before any mail
    shutil.copy(t.certs / "vanthu.pem", t.root / "keys/other.pem")
    wrong = t.conf("other.conf", gateway_sign='{"vanthu@x.example=pkcs11:token=congvu;object=vanthu;type=private:../keys/other.pem"}')
    said = t.check(wrong)
    assert "signs for" not in said and re.search(r"gateway_sign.*vanthu@x\.example: ", said), said


def the_token_goes_away(t):
    """Deferred while it is away; milter-sign begins anew by itself, and logs in again."""
    before = t.m.pids("congvu-milter-sign")
    (t.folder / "tokens").rename(t.folder / "away")
    cmd, data = t.send(PLAIN, "GONE")
    assert cmd == b"y" and data.startswith(b"451 4.7.5 T06 "), data
    assert t.m.pids("congvu-milter-sign") == before  # it is young: not in a loop
    (t.folder / "away").rename(t.folder / "tokens")
    for _ in range(60):
        cmd, data = t.send(PLAIN, "CAME")
        if cmd in b"ac":
            break
        time.sleep(0.2)
    assert cmd in b"ac" and t.verdict("CAME")["gateway"]["signed"], data
    assert "milter-sign ends, and begins anew" in (t.root / "log").read_text() and t.m.pids("congvu-milter-sign") != before


def what_a_token_can_lack(t):
    """congvu check says why mail of the mailbox would wait, and never the PIN; a wrong PIN is tried once."""
    (t.root / "keys/wrong").write_text("9" * 6 + "\n")
    (t.root / "keys/wrong").chmod(0o400)
    (t.root / "keys/open").write_text(PIN + "\n")
    (t.root / "keys/open").chmod(0o444)
    row = '{"vanthu@x.example=pkcs11:token=congvu;object=%s:../keys/vanthu.pem"}'
    two = '{"vanthu@x.example=pkcs11:token=congvu;object=vanthu:../keys/vanthu.pem", "b@x.example=pkcs11:token=congvu;object=vanthu:../keys/vanthu.pem"}'
    for changes, why in ((dict(pkcs11_pin_file='"../keys/wrong"', gateway_sign=two), "not tried: the PIN was refused before"),
                         (dict(pkcs11_pin_file='"../keys/open"'), "can be read by others"), (dict(gateway_sign=row % "none"), "object not found"),
                         (dict(pkcs11_module='"/nonexistent/module.so"'), "pkcs11_module"),
                         (dict(pkcs11_module='"%s"' % (run.SRC / "README.md")), "vanthu@x.example: "),
                         (dict(gateway_sign=row % ("vanthu?pin-value=" + PIN)), "the PIN stands in pkcs11_pin_file"),
                         (dict(pkcs11_env='{"SOFTHSM2_CONF=/nonexistent"}'), "vanthu@x.example: ")):
        said = t.check(t.conf("other.conf", **changes))
        assert why in said and "signs for vanthu@x.example" not in said, (changes, said)
        assert changes.get("gateway_sign", "").find("pin-value") >= 0 or PIN not in said, said
    if not os.geteuid():  # a token that milter-sign's user cannot reach
        t.own(0)
        assert "signs for" not in t.check(), "congvu check looks as root, milter-sign does not"
        t.own(run.SIGN_USER)
        assert "signs for" in t.check()


# ---- under Postfix ----

def under_postfix(root, certs):
    """Debian's Postfix applies the changes: what it relays is what openssl verifies."""
    quiet = subprocess.DEVNULL
    root.mkdir()
    inst, pf = root / "i", root / "pf"
    ports = dict(port=run.free_port(), sink=run.free_port(), milter=run.free_port())
    for d in (pf, pf / "etc", pf / "data", pf / "queue", root / "dump"):
        d.mkdir()
    root.chmod(0o755)
    root.parent.chmod(0o755)
    shutil.chown(pf / "data", "postfix")
    (pf / "etc/main.cf").write_text(run.MAIN_CF.format(dir=pf, **ports) + "milter_macro_daemon_name = x\n"
                                    "milter_mail_macros = i {mail_addr} {auth_authen}\nmilter_macro_defaults = auth_authen=binh\n")
    (pf / "etc/master.cf").write_text(run.MASTER_CF.format(**ports))
    inst.mkdir()
    (inst / "keys").mkdir()
    shutil.copy(certs / "k1.key", inst / "keys/vanthu.key")
    shutil.copy(certs / "vanthu.pem", inst / "keys/vanthu.pem")
    m = run.Milter(inst, certs, milter_listen="inet:%d@127.0.0.1" % ports["milter"],
                   gateway_sign=["vanthu@x.example=../keys/vanthu.key:../keys/vanthu.pem"])
    sink = subprocess.Popen(["smtp-sink", "-u", "postfix", "-d", str(root / "dump") + "/m.", "127.0.0.1:%d" % ports["sink"], "10"])
    shutil.chown(root / "dump", "postfix")
    got = []
    try:
        subprocess.run(["postfix", "-c", str(pf / "etc"), "start"], check=True, stdout=quiet, stderr=quiet, timeout=60)
        for _ in range(100):
            try:
                c = run.smtplib.SMTP("127.0.0.1", ports["port"], timeout=40)
                c.sendmail("vanthu@x.example", ["b@y.example"], MIXED, mail_options=["BODY=8BITMIME"])
                break
            except (OSError, run.smtplib.SMTPDataError):
                time.sleep(0.1)
        for _ in range(200):
            got = [p.read_bytes() for p in (root / "dump").iterdir() if p.stat().st_size]
            if got:
                break
            time.sleep(0.1)
        assert got, (inst / "log").read_text()[-2000:]
    finally:
        subprocess.run(["postfix", "-c", str(pf / "etc"), "stop"], stdout=quiet, stderr=quiet, timeout=60)
        sink.terminate()
        sink.wait()
        m.stop()
    message = got[0].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    message = message[message.index(b"X-Congvu-Verdict"):] if b"X-Congvu-Verdict" in message else message
    shutil.copy(certs / "root.pem", root)

    class Here:
        pass
    site = Here()
    site.root, site.certs = root, certs
    entity = openssl_verifies(site, message)
    assert leaves(entity) == leaves(MIXED)


def main():
    with run.folder("cv-gateway-") as root:
        certs, mails = root / "certs", root / "mails"
        mails.mkdir()
        run.make_mails(certs, mails)
        site = Site(root / "a", certs)
        for step in (plain_text, many_parts, without_mime, our_own_filter_finds_it_good, what_is_signed_stays, only_who_may,
                     what_cannot_be_kept_is_not_signed, the_signature_whitelists_nothing, large, sign_is_away):
            run.check(step.__name__, lambda step=step: step(site))
        os.chdir("/")
        site.m.stop()
        run.check("keys_that_do_not_fit", lambda: keys_that_do_not_fit(root / "b", certs))
        if MODULE.exists() and shutil.which("softhsm2-util"):
            token = Token(root / "token", certs).start()
            for step in (key_in_a_token, the_token_goes_away, what_a_token_can_lack):
                run.check(step.__name__, lambda step=step: step(token))
            token.stop()
            token = Token(root / "token-ec", certs, "kec", "ecvanthu").start()
            for step in (key_in_a_token, ec_key_in_a_token):
                run.check(step.__name__, lambda step=step: step(token))
            token.stop()
        else:
            print("# keys in a token are left out: softhsm2 is not installed")
        if shutil.which("postfix") and shutil.which("smtp-sink") and not os.geteuid():
            run.check("under_postfix", lambda: under_postfix(root / "foreign", certs))
        else:
            print("# under_postfix is left out: Postfix is not installed, or not root")
        if run.failed:
            print((root / "a/log").read_text()[-3000:])
    return run.sums()


if __name__ == "__main__":
    sys.exit(main())
