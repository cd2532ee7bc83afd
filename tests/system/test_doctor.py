"""congvu doctor: well on a site that is well; then each fault is made, and must be found, with what to do, in both languages."""

import contextlib
import json
import os
import pathlib
import pwd
import re
import socket
import struct
import subprocess
import tempfile
import threading
import time

import client
import pytest
import test_setup


@pytest.fixture(scope="module")
def site():
    if os.geteuid() != 0:
        pytest.skip("setup needs root")
    with tempfile.TemporaryDirectory(prefix="congvu-doctor-") as folder:
        os.chmod(folder, 0o755)
        s = test_setup.Site(folder)
        s.setup()
        s.user = test_setup.hire(s)
        yield s
        s.stop()


def doctor(site, *args, lang="en"):
    r = site.congvu("--json", "doctor", *args, lang=lang)
    got = json.loads(r.stdout)
    return r.returncode, got["findings"]


def found(site, check, text, result="error", args=("--resolver", "127.0.0.1:9"), code=None):
    """The finding of this check with this text in it; in Vietnamese its text is another."""
    rc, findings = doctor(site, *args)
    hits = [f for f in findings if f["check"] == check and text in f["text"]]
    assert hits and hits[0]["result"] == result, json.dumps(findings, ensure_ascii=False, indent=1)
    if code is not None:
        assert rc == code
    _, other = doctor(site, *args, lang="vi")
    assert [f for f in other if f["check"] == check and f["result"] == result and f["text"] not in {h["text"] for h in hits}], (
        "not translated: " + hits[0]["text"])
    return hits[0]["text"]


@contextlib.contextmanager
def changed(site, **options):
    """Options of congvu.conf for a moment."""
    before = site.conf.read_text()
    try:
        lines = [line for line in before.splitlines() if line.split(" ")[0] not in options]
        site.conf.write_text("\n".join(lines + ["%s = %s" % o for o in options.items()]) + "\n")
        yield
    finally:
        site.conf.write_text(before)


@contextlib.contextmanager
def mode(path, bits):
    before = path.stat().st_mode & 0o777
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(before)


def test_well(site):
    rc, findings = doctor(site, "--probe", "--resolver", "127.0.0.1:9")
    errors = [f for f in findings if f["result"] == "error"]
    assert rc == 0 and not errors, errors
    seen = {f["check"] for f in findings if f["result"] == "ok"}
    for check in ("schema", "access", "probe", "ldap_uris", "store_dir", "queue", "listen_mx", "tls_cert_file", "postmaster",
                  "congvu-stored", "token_key_file", "users"):
        assert check in seen, check
    assert any(f["check"] == "trust_dir" and f["result"] == "warning" for f in findings)
    people = search(site, "(cn=congvu-doctor*)")
    assert "dn:" not in people, "the probe is left: " + people
    r = site.congvu("doctor", "--offline")
    assert r.returncode == 0 and "ok " in r.stdout and "dns" not in r.stdout


def search(site, what):
    return subprocess.run(["ldapsearch", "-x", "-LLL", "-H", "ldap://127.0.0.1:%d" % site.port["ldap"], "-D",
                           "cn=lookup,ou=services,o=tinhmau,c=VN", "-y", str(site.dir / "etc/ldap.password"), "-b",
                           "o=tinhmau,c=VN", what, "dn"], capture_output=True, text=True).stdout


# --- files

def test_secrets(site):
    for name, check in (("token.key", "token_key_file"), ("ldap.password", "ldap_password_file"),
                        ("tls/key.pem", "tls_key_file")):
        with mode(site.dir / "etc" / name, 0o644):
            assert "chmod 600" in found(site, check, "can be read by others", code=78)
    with mode(site.conf, 0o666):
        found(site, "configuration", "can be changed by others", code=78)


def test_certificate(site):
    with changed(site, hostname='"other.example"'):
        found(site, "tls_cert_file", "does not name other.example")
    cert, key = site.dir / "old.pem", site.dir / "old.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(cert), "-subj",
                    "/CN=mail.tinhmau.example", "-addext", "subjectAltName=DNS:mail.tinhmau.example", "-days", "5"], check=True,
                   capture_output=True)
    key.chmod(0o600)
    with changed(site, tls_cert_file='"%s"' % cert, tls_key_file='"%s"' % key):
        found(site, "tls_cert_file", "renew it", "warning")


def test_folders_and_users(site):
    store = site.dir / "var/store"
    owner = store.stat().st_uid
    try:
        os.chown(store, pwd.getpwnam("nobody").pw_uid, -1)
        assert "chown -R cv-store" in found(site, "store_dir", "belongs to user", code=78)
    finally:
        os.chown(store, owner, -1)
    with mode(store, 0o755):
        found(site, "store_dir", "can be entered by others")
    with changed(site, user_relay='"cv-nobody-here"'):
        found(site, "user_relay", "there is no user cv-nobody-here", code=78)


def test_clock(site):
    before = site.conf.stat().st_mtime
    try:
        os.utime(site.conf, (before, time.time() + 7200))
        found(site, "clock", "in the future")
    finally:
        os.utime(site.conf, (before, before))


def test_postmaster(site):
    with changed(site, postmaster='""'):
        found(site, "postmaster", "is not set", "warning")
    with changed(site, postmaster='"x@elsewhere.example"'):
        found(site, "postmaster", "none of our domains")
    with changed(site, postmaster='"nobody@tinhmau.example"'):
        found(site, "postmaster", "nobody in the directory has the address nobody@tinhmau.example")


# --- programs, ports, disk

def test_port_of_another(site):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        with changed(site, listen_imap='"127.0.0.1:%d"' % s.getsockname()[1]):
            assert "python" in found(site, "listen_imap", "is held by", code=78)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        with changed(site, listen_imap='"127.0.0.1:%d"' % s.getsockname()[1]):
            found(site, "listen_imap", "nobody listens on port", code=69)


def test_sandbox_and_stopped(site):
    """What the status files of the parents say is believed: here they say so."""
    status = site.dir / "run/congvu-imapd.status"
    before = status.read_text()
    try:
        status.write_text(before.replace('"sandbox": "whole"', '"sandbox": "partial"').replace('"restarts": 0, "exp', '"restarts": 12, "exp'))
        found(site, "congvu-imapd/imapd-session", "sandbox that is not whole", "warning")
        found(site, "congvu-imapd/imapd-session", "restarted 12 times", "warning")
        status.write_text(before.replace('"reload_failed": false', '"reload_failed": true'))
        found(site, "congvu-imapd", "last reload", "warning")
        lookup = next(r for r in json.loads(before)["roles"] if r["role"] == "lookup")
        status.write_text(before.replace('"pid": %d' % lookup["pid"], '"pid": 0'))
        found(site, "congvu-imapd/lookup", "does not run", code=69)
        status.unlink()
        found(site, "congvu-imapd", "does not run", code=69)
        status.write_text(before)
        smtpd = site.dir / "run/congvu-smtpd.status"
        text = smtpd.read_text()
        smtpd.write_text(text.replace('"messages": 0, "recipients": 0, "oldest_s": 0',
                                      '"messages": 9, "recipients": 9, "oldest_s": 200000'))
        found(site, "queue", "9 messages wait, the oldest for 55 hours", "warning")
        smtpd.write_text(text)
    finally:
        status.write_text(before)


def test_disk_reserve(site):
    """The watermark is an option: a site with less room than it takes no mail, says so, and takes it again."""
    free = os.statvfs(site.dir).f_bavail * os.statvfs(site.dir).f_frsize >> 20
    if free * 2 > 1048576:
        pytest.skip("the disk is larger than the largest reserve")

    def submit():
        s = client.smtplib.SMTP("127.0.0.1", site.port["mx"], timeout=30)
        mid = client.new_id("outside.example")
        mail = client.header("a@outside.example", [site.user["address"]], "x", mid) + client.text_part("x\n")
        try:
            return client.transaction(s, "a@outside.example", [site.user["address"]], mail)[0]
        finally:
            client.close(s)

    with changed(site, disk_reserve_mb=str(free // 2)):
        found(site, "store_dir", "make room soon", "warning")
    with changed(site, disk_reserve_mb=str(free * 2 + 200)):
        found(site, "store_dir", "no mail is taken", code=69)
        assert site.congvu("stop").returncode == 0
        assert site.congvu("run", "--daemon").returncode == 0
        assert 400 <= submit() < 500
        site.congvu("stop")
    assert site.congvu("run", "--daemon").returncode == 0
    end = time.monotonic() + 15
    while submit() != 250:
        assert time.monotonic() < end
        time.sleep(0.2)


# --- the directory

def test_directory_passwords_and_servers(site):
    with changed(site, ldap_uris='{"ldap://127.0.0.1:%d", "ldap://127.0.0.1:9"}' % site.port["ldap"]):
        found(site, "ldap_uris", "ldap://127.0.0.1:9 does not serve us", "warning")
    with changed(site, ldap_uris='{"ldap://127.0.0.1:9"}'):
        found(site, "ldap_uris", "no server answers")
    with changed(site, dir_attr_alias='"vnNoSuchThing"'):
        found(site, "schema", "does not know vnNoSuchThing", code=78)
    with changed(site, dir_attr_locked='"vnNoSuchLock"'):
        found(site, "schema", "has no vnNoSuchLock", "warning")
    with changed(site, dir_class_person='"vnNobody"'):
        found(site, "people", "sees nobody", "warning")
    # the writer instead of the reader: it may read no key
    with changed(site, ldap_bind_dn='"cn=hr,ou=services,o=tinhmau,c=VN"', ldap_password_file='"hr.password"'):
        found(site, "access", "no SCRAM key", "warning")
    with changed(site, admin_bind_dn='"cn=lookup,ou=services,o=tinhmau,c=VN"', admin_password_file='"ldap.password"'):
        found(site, "probe", "cannot add", args=("--probe", "--resolver", "127.0.0.1:9"))
        found(site, "access", "admin_bind_dn can read authPassword")


@contextlib.contextmanager
def access_rules(site, edit):
    """slapd with other rules."""
    folder = site.dir / "var/ldap"
    conf = folder / "slapd.conf"
    before = conf.read_text()

    def restart():
        for verb in ("stop", "start"):
            subprocess.run([str(test_setup.SLAPD), verb, "--dir", str(folder)], check=True, capture_output=True,
                           stdin=subprocess.DEVNULL)
    try:
        after = edit(before)
        assert after != before
        conf.write_text(after)
        restart()
        yield
    finally:
        conf.write_text(before)
        restart()


def test_open_passwords(site):
    """Rules that show password material to anybody, to any person, and hide people from lookup."""
    with access_rules(site, lambda t: t.replace("access to dn.subtree=\"ou=services", "access to attrs=entry,objectClass,userPassword\n\tby * read\naccess "
                                                                                      "to dn.subtree=\"ou=services", 1)):
        found(site, "access", "anybody, without signing in, can read userPassword", code=78)
        found(site, "access", "ldap_bind_dn can read userPassword")
    with access_rules(site, lambda t: t.replace("access to dn.subtree=\"ou=services",
                                                "access to attrs=authPassword\n\tby dn.exact=\"cn=hr,ou=services,o=tinhmau,c=VN\" =w\n\tby users "
                                                "read\n\tby anonymous auth\naccess to dn.subtree=\"ou=services", 1)):
        text = found(site, "access", "any person who signs in can read authPassword", args=("--probe", "--resolver", "127.0.0.1:9"))
        assert "have all passwords changed" in text
        assert "dn:" not in search(site, "(cn=congvu-doctor*)")
    with access_rules(site, lambda t: t.replace("access to dn.subtree=\"ou=services", "access to attrs=mail\n\tby * none\naccess to "
                                                                                      "dn.subtree=\"ou=services", 1)):
        found(site, "access", "cannot read mail", code=78)


# --- the DNS

class Resolver(threading.Thread):
    """A resolver that knows what it is told: {(name, type): [rdata]}."""

    def __init__(self, records):
        super().__init__(daemon=True)
        self.records = records
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.where = "127.0.0.1:%d" % self.sock.getsockname()[1]

    def run(self):
        while True:
            try:
                query, peer = self.sock.recvfrom(2000)
            except OSError:
                return
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1:at + 1 + query[at]].decode())
                at += 1 + query[at]
            question = query[12:at + 5]
            rows = self.records.get((".".join(labels).lower(), struct.unpack("!H", query[at + 1:at + 3])[0]), [])
            answer = b"".join(b"\xc0\x0c" + question[-4:] + struct.pack("!IH", 60, len(r)) + r for r in rows)
            self.sock.sendto(query[:2] + b"\x81\x80" + struct.pack("!HHHH", 1, len(rows), 0, 0) + question + answer, peer)


def name(text):
    return b"".join(bytes([len(x)]) + x.encode() for x in text.split(".")) + b"\0"


def txt(text):
    return bytes([len(text)]) + text.encode()


A, MX, TXT = 1, 15, 16


def test_dns(site):
    well = {("mail.tinhmau.example", A): [b"\x7f\0\0\1"]}
    for d in ("tinhmau.example", "so.tinhmau.example"):
        well[(d, MX)] = [b"\0\x0a" + name("mail.tinhmau.example")]
        well[(d, TXT)] = [txt("other"), txt("v=spf1 mx -all")]
    cases = [({}, None, None),
             ({("mail.tinhmau.example", A): []}, "mail.tinhmau.example (hostname) has no address", "warning"),
             ({("tinhmau.example", MX): []}, "tinhmau.example has no MX record", "warning"),
             ({("tinhmau.example", MX): [b"\0\x0a" + name("mx.elsewhere.example")]}, "no MX record of tinhmau.example names", "warning"),
             ({("so.tinhmau.example", TXT): [txt("other")]}, "so.tinhmau.example has no SPF record", "warning"),
             ({("so.tinhmau.example", TXT): [txt("v=spf1 mx"), txt("v=spf1 a")]}, "has 2 SPF records", "warning")]
    for change, text, result in cases:
        r = Resolver(dict(well, **{}) | change)
        r.start()
        try:
            if text is None:
                _, findings = doctor(site, "--resolver", r.where)
                assert [f["result"] for f in findings if f["check"] == "dns"] == ["ok"] * 5
            else:
                found(site, "dns", text, result, args=("--resolver", r.where))
        finally:
            r.sock.close()
    found(site, "dns", "no resolver answers", "warning")
    found(site, "dns", "cannot be used", "warning", args=("--resolver", "nonsense"))


def test_configuration_that_cannot_be_read(site):
    with changed(site, quota_mb="0"):
        rc, findings = doctor(site)
        assert rc == 78 and "quota_mb" in findings[0]["text"]
    assert site.congvu("doctor", "x").returncode == 64


def test_nothing_runs(site):
    """Last: everything is stopped."""
    site.stop()
    rc, findings = doctor(site, "--resolver", "127.0.0.1:9")
    assert rc in (69, 78)
    text = {f["check"]: f for f in findings if f["result"] == "error"}
    assert "systemctl start" in text["ldap_uris"]["text"]
    for program in ("congvu-stored", "congvu-milter", "congvu-smtpd", "congvu-imapd"):
        assert "does not run" in text[program]["text"]
    assert pathlib.Path(site.dir / "var/store").exists()


def test_status_in_vietnamese(server):
    """Each word of it, the numbers' names too; what programs read (--json) stays as it is."""
    r = server.congvu("status", "--lang", "vi")
    assert r.returncode == 0 and not re.search(r"\b(sandbox|whole|requests|records|last checkpoint|up|min)\b", r.stdout), r.stdout
    assert re.search(r"^congvu-milter +đang chạy, pid \d+, \d+ (giây|phút)", r.stdout, re.M), r.stdout
    assert re.search(r"milter-ledger +0 +pid \d+ +uid \d+ +\d+ (giây|phút).* vùng cách ly (đầy đủ|một phần).* bản ghi \d+", r.stdout), r.stdout
    assert "sandbox" in server.congvu("status").stdout and "bản ghi" not in server.congvu("--json", "status", "--lang", "vi").stdout
