"""Certificates of people whose signed mail verified: from the mail through the real filter to "pending", by an officer into the directory, where others find them and
encrypt; and what hostile senders put into a certificate. The demonstration CA gets CRLs for these tests: nothing is harvested whose revocation is not known."""

import base64
import fcntl
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

import ca
import client
from test_at_once import Directory

DECISION = "21/QĐ-SKHCN"
OUT = "doitac.example"
EXTENSIONS = """
[req]
distinguished_name = dn
[dn]
[smime]
basicConstraints = critical, CA:FALSE
keyUsage = critical, %(usage)s
extendedKeyUsage = clientAuth, emailProtection
subjectAltName = email:%(address)s
%(more)s
[ca]
default_ca = def
[def]
database = %(index)s
crlnumber = %(number)s
default_md = sha256
[crl]
authorityKeyIdentifier = keyid
"""


def wait(what, seconds=20):
    end = time.monotonic() + seconds
    while not (got := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return got


class World:
    """The instance with CRLs, and certificates made for each test."""

    def __init__(self, server, tmp):
        self.server, self.tmp, self.n = server, tmp, 0
        self.ca = ca.CA(server.dir / "ca")
        self.trust = server.dir / "etc/trust"
        self.ours = self.trust / server.domain
        self.revoked = []
        for name in ("root", "issuing"):
            (tmp / (name + ".index")).write_text("")
        self.crls()

    def config(self, name="x", usage="digitalSignature, nonRepudiation, keyEncipherment", address="", more="", index="root"):
        path = self.tmp / (name + ".cnf")
        path.write_text(EXTENSIONS % {"usage": usage, "address": address, "more": more, "index": self.tmp / (index + ".index"),
                                      "number": self.tmp / "crlnumber"})
        return path

    def crls(self):
        """Of both CAs, for our domain and for the one outside."""
        (self.trust / OUT).mkdir(exist_ok=True)
        shutil.copy(self.ours / "root.pem", self.trust / OUT)
        for name, cert, key in (("root", self.ca.root, self.ca.root_key), ("issuing", self.ca.issuing, self.ca.issuing_key)):
            (self.tmp / "crlnumber").write_text("%X\n" % (int(time.time() * 10) | 0x100000000000))
            pem = ca.openssl("ca", "-config", self.config(index=name), "-cert", cert, "-keyfile", key, "-gencrl", "-crldays", "2")
            for folder in (self.ours, self.trust / OUT):
                (folder / (name + "-crl.pem")).write_bytes(pem)

    def revoke(self, who):
        ca.openssl("ca", "-config", self.config(index="issuing"), "-cert", self.ca.issuing, "-keyfile", self.ca.issuing_key, "-revoke", who["cert"])
        self.crls()

    def person(self, address, name="Người Ký Thử", **how):
        """A new key and certificate for an address: what client.sign takes."""
        self.n += 1
        base = self.tmp / ("p%d" % self.n)
        key, cert = base.with_suffix(".key"), base.with_suffix(".pem")
        self.ca.new_key(key, 2048)
        days = how.pop("days", 30)
        self.ca.conf, keep = self.config(base.name, address=address, **how), self.ca.conf
        try:
            self.ca._certificate(cert, key, "smime", ca.subject(C="VN", CN=name), days, (self.ca.issuing, self.ca.issuing_key))
        finally:
            self.ca.conf = keep
        der = ca.openssl("x509", "-in", cert, "-outform", "DER")
        with open(cert, "ab") as f:
            f.write(self.ca.issuing.read_bytes())
        sha = ca.openssl("dgst", "-sha256", "-r", data=der).split()[0].decode()
        return {"address": address, "key": str(key), "cert": str(cert), "der": der, "id": sha[:16], "sha256": sha}

    def mail(self, sender, to, who, options=()):
        head = client.header(sender, [to], "Trao đổi", client.new_id(sender.split("@")[1]))
        return head + client.sign(client.text_part("Kính gửi anh chị.\n"), who, options=options)

    def send(self, user, who, to=None, mail=None, options=()):
        """Signed in; (code, text)."""
        to = to or self.server.user("staff", agency="STC")["address"]
        return self.server.submit(user, user["address"], [to], mail or self.mail(user["address"], to, who, options))

    def send_from_outside(self, sender, who):
        to = self.server.user("staff", agency="STC")["address"]
        s = self.server.mx()
        try:
            return client.transaction(s, sender, [to], self.mail(sender, to, who))
        finally:
            client.close(s)

    def cert(self, *args, code=0, **kw):
        r = self.server.congvu("cert", *args, **kw)
        assert r.returncode == code, (args, r.returncode, r.stdout, r.stderr)
        return r

    def rows(self, *verb):
        out = json.loads(self.server.congvu("--json", "cert", *(verb or ("list",))).stdout)
        return {row["id"]: row for row in out}

    def records(self, *events):
        return [r for line in open(self.server.audit_log, encoding="utf-8") for r in [json.loads(line)] if r["event"] in events]

    def published(self, address):
        """The certificates that anybody finds under an address."""
        r = subprocess.run(["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", self.server.ldap_uri, "-b", self.server.ldap_base, "(mail=%s)" % address,
                            "userCertificate;binary"], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        assert r.returncode == 0, r.stderr
        return [base64.b64decode(line.split(":: ")[1]) for line in r.stdout.splitlines() if line.startswith("userCertificate;binary:: ")]


@pytest.fixture(scope="module")
def world(server, tmp_path_factory):
    w = World(server, tmp_path_factory.mktemp("certs"))
    assert server.congvu("reload").returncode == 0
    server.wait_up()
    yield w
    for f in w.ours.glob("*-crl.pem"):
        f.unlink()
    shutil.rmtree(w.trust / OUT)
    assert server.congvu("reload").returncode == 0
    server.wait_up()


def test_from_the_mail_to_who_encrypts(world, tmp_path):
    """Seen, approved, found in the directory, encrypted to, withdrawn, banned, used all the same, unbanned."""
    w, user = world, world.server.user("staff", agency="SKHCN")
    who = w.person(user["address"], "Nguyễn Văn Thử")
    before = w.published(user["address"])
    assert who["der"] not in before
    assert w.send(user, who)[0] == 250
    row = w.rows("pending")[who["id"]]
    assert row["address"] == user["address"] and row["in_directory"] and row["account"].startswith("p-") and row["sha256"] == who["sha256"]
    assert "Nguyễn Văn Thử" in row["subject"] and row["mails"] == 1 and row["state"] == "pending"
    rec = [r for r in w.records("cert_pending") if r["sha256"] == who["sha256"]]
    verdict = [r for r in w.records("verdict") if r["qid"] == row["qid"]]
    # the record stands before the verdict of the mail that brought it, which does not hold the certificate itself
    assert len(rec) == 1 and len(verdict) == 1 and rec[0]["seq"] < verdict[0]["seq"] and "harvest" not in verdict[0]
    assert verdict[0]["sig"][0]["cert_sha256"] == who["sha256"] and verdict[0]["sig"][0]["rev"]["state"] == "good"

    # nothing without a decision, and nothing by looking
    assert "decision" in w.cert("approve", who["id"], code=65).stderr
    shown = w.cert("show", who["id"]).stdout
    assert who["sha256"] in shown and "it may be published" in shown and user["address"] in shown
    dry = w.cert("approve", who["id"], "--decision", DECISION, "--dry-run").stdout
    assert "userCertificate;binary" in dry and w.published(user["address"]) == before and w.rows()[who["id"]]["state"] == "pending"

    w.cert("approve", who["id"], "--decision", DECISION)
    assert sorted(w.published(user["address"])) == sorted(before + [who["der"]])
    assert w.rows()[who["id"]]["state"] == "published" and w.rows()[who["id"]]["decision"] == DECISION
    noted = [r for r in w.records("cert_approve", "cert_published") if r["sha256"] == who["sha256"]]
    assert [r["event"] for r in noted] == ["cert_approve", "cert_published"] and all(r["decision"] == DECISION and r["by"] for r in noted)
    told = w.server.congvu("--json", "directory", "journal", "--last", "1").stdout
    assert "cert approve" in told, told[-500:]
    assert w.server.congvu("directory", "journal", "verify").returncode == 0 and w.server.congvu("audit", "verify").returncode == 0
    # done again it changes nothing
    assert "unchanged" in w.cert("approve", who["id"], "--decision", DECISION).stdout
    assert sorted(w.published(user["address"])) == sorted(before + [who["der"]])

    # who finds it encrypts, and the owner reads
    der = next(d for d in w.published(user["address"]) if d == who["der"])
    (tmp_path / "found.pem").write_bytes(ca.openssl("x509", "-inform", "DER", data=der))
    secret = "Nội dung riêng\n".encode()
    sealed = ca.openssl("cms", "-encrypt", "-aes256", "-binary", "-outform", "DER", tmp_path / "found.pem", data=secret)
    assert ca.openssl("cms", "-decrypt", "-inform", "DER", "-inkey", who["key"], "-recip", who["cert"], data=sealed) == secret

    # in the directory now: not offered again
    assert w.send(user, who)[0] == 250
    assert who["id"] not in w.rows("pending")

    w.cert("withdraw", who["id"], "--decision", "22/QĐ-SKHCN")
    assert sorted(w.published(user["address"])) == sorted(before)
    assert w.rows()[who["id"]]["state"] == "withdrawn"
    assert w.send(user, who)[0] == 250 and w.rows()[who["id"]]["state"] == "withdrawn"

    assert "--reason" in w.cert("ban", who["id"], code=64).stderr
    w.cert("ban", who["id"], "--reason", "Khóa bị lộ")
    assert w.rows()[who["id"]]["state"] == "banned" and w.rows()[who["id"]]["reason"] == "Khóa bị lộ"
    w.cert("approve", who["id"], "--decision", DECISION, code=73)
    time.sleep(10.5)  # the filter remembers so long
    assert w.send(user, who)[0] == 250
    hit = [f for f in w.records("verdict")[-1]["findings"] if f["id"] == "M18"]
    assert hit, w.records("verdict")[-1]
    hit = hit[0]
    assert hit["mode"] == "warn" and "Nguyễn Văn Thử" in hit["detail"]
    report = w.server.congvu("report", "daily", "--no-verify", "--day", time.strftime("%Y-%m-%d")).stdout
    assert "M18" in report, report
    w.cert("unban", who["id"], "--reason", "Nhầm")
    assert w.rows("pending")[who["id"]]["state"] == "pending"


def killed_between(w, who):
    """`cert withdraw` killed when the directory has lost the certificate and milter-ledger has not heard of it. The journal's lock holds the command before it writes; a ledger
    that is killed while it is stopped never reads the question."""
    journal = next(w.server.dir.rglob("journal.jsonl"))
    ledger = w.server.one("congvu-milter-ledger")
    with open(journal, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        p = subprocess.Popen([str(w.server.prefix / "bin/congvu"), "-c", str(w.server.conf), "cert", "withdraw", who["id"], "--decision", "22/QĐ-SKHCN"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait(lambda: p.poll() is not None or str(journal) in [os.readlink(f) for f in pathlib.Path("/proc/%d/fd" % p.pid).iterdir() if f.is_symlink()])
            assert p.poll() is None and who["der"] in w.published(who["address"])
            os.kill(ledger, signal.SIGSTOP)
            fcntl.flock(held, fcntl.LOCK_UN)
            wait(lambda: who["der"] not in w.published(who["address"]))
        finally:
            p.kill()
            p.wait()
            os.kill(ledger, signal.SIGKILL)
    w.server.wait_up()
    assert w.records("cert_withdraw")[-1]["sha256"] == who["sha256"]
    row = w.rows()[who["id"]]
    assert row["state"] == "published" and row["published"], row


def test_withdrawn_and_killed(world):
    """The same command again does what is left."""
    w, user = world, world.server.user("staff", agency="SKHCN")
    who = w.person(user["address"])
    before = w.published(user["address"])
    assert w.send(user, who)[0] == 250
    w.cert("approve", who["id"], "--decision", DECISION)
    killed_between(w, who)
    assert "decision" in w.cert("withdraw", who["id"], code=65).stderr and w.rows()[who["id"]]["published"]
    w.cert("withdraw", who["id"], "--decision", DECISION, "--dry-run")
    assert w.rows()[who["id"]]["published"]
    assert "changed" in w.cert("withdraw", who["id"], "--decision", DECISION).stdout
    row = w.rows()[who["id"]]
    assert row["state"] == "withdrawn" and not row["published"] and row["decision"] == DECISION, row
    assert sorted(w.published(user["address"])) == sorted(before)
    assert [r["sha256"] for r in w.records("cert_withdrawn")].count(who["sha256"]) == 1
    assert "unchanged" in w.cert("withdraw", who["id"], "--decision", DECISION).stdout
    # and there again, when it is approved again
    w.cert("approve", who["id"], "--decision", DECISION)
    assert who["der"] in w.published(user["address"])
    w.cert("withdraw", who["id"], "--decision", DECISION)
    # what was never published is not withdrawn
    other = w.person(user["address"])
    assert w.send(user, other)[0] == 250
    assert "has the certificate" in w.cert("withdraw", other["id"], "--decision", DECISION, code=67).stderr
    assert w.rows()[other["id"]]["state"] == "pending"
    w.cert("ban", other["id"], "--reason", "x")  # eight wait for an address at most


def test_withdrawn_where_it_was_published(world):
    """The address went to somebody else since: the certificate is taken out of the entry that has it."""
    w, user, other = world, world.server.user("staff", agency="SKHCN"), world.server.user("staff", agency="STC")
    d, alias = Directory(w.server), "di.chuyen@" + w.server.domain
    d.modify(d.person(user), "add: vnMailAlias", "vnMailAlias: " + alias)
    who = w.person(alias)
    try:
        wait(lambda: w.server.submit(user, alias, [other["address"]], w.mail(alias, other["address"], who))[0] == 250)
        assert w.rows("pending")[who["id"]]["address"] == alias
        w.cert("approve", who["id"], "--decision", DECISION)
    finally:
        d.modify(d.person(user), "delete: vnMailAlias", "vnMailAlias: " + alias)
    d.modify(d.person(other), "add: vnMailAlias", "vnMailAlias: " + alias)
    try:
        assert who["der"] in w.published(user["address"])
        w.cert("withdraw", who["id"], "--decision", DECISION)
        assert who["der"] not in w.published(user["address"]) and w.rows()[who["id"]]["state"] == "withdrawn"
    finally:
        d.modify(d.person(other), "delete: vnMailAlias", "vnMailAlias: " + alias)


def test_banned_and_in_the_directory(world):
    """A ban and the directory are two things: what is banned can be taken out and stays banned; an unbanned one is published where it is."""
    w, user = world, world.server.user("staff", agency="SKHCN")
    who = w.person(user["address"])
    assert w.send(user, who)[0] == 250
    before = w.published(user["address"])
    w.cert("approve", who["id"], "--decision", DECISION)
    said = w.cert("ban", who["id"], "--reason", "Khóa bị lộ").stderr
    assert "congvu cert withdraw " + who["id"] in said
    assert w.rows()[who["id"]]["published"] and "banned, still published" in w.cert("list").stdout
    # unbanned while it is there
    assert "published" in w.cert("unban", who["id"], "--reason", "Nhầm").stdout
    assert w.rows()[who["id"]]["state"] == "published" and who["id"] not in w.rows("pending")
    w.cert("ban", who["id"], "--reason", "Khóa bị lộ")
    # the dry run says what the command will
    w.cert("withdraw", who["id"], "--decision", DECISION, "--dry-run")
    assert who["der"] in w.published(user["address"])
    w.cert("withdraw", who["id"], "--decision", DECISION)
    assert sorted(w.published(user["address"])) == sorted(before)
    row = w.rows()[who["id"]]
    assert row["state"] == "banned" and not row["published"] and row["reason"] == "Khóa bị lộ", row
    assert "still in the directory" not in w.cert("ban", who["id"], "--reason", "Khóa bị lộ").stderr
    assert "pending" in w.cert("unban", who["id"], "--reason", "Nhầm").stdout
    assert w.rows("pending")[who["id"]]["state"] == "pending"
    w.cert("approve", who["id"], "--decision", DECISION)
    w.cert("withdraw", who["id"], "--decision", DECISION)


def test_each_once_and_counted(world):
    """The same mail again and again, and two certificates of one address."""
    w, user = world, world.server.user("staff", agency="SKHCN")
    a, b = w.person(user["address"]), w.person(user["address"])
    to = w.server.user("staff", agency="STC")["address"]
    mail = w.mail(user["address"], to, a)
    for _ in range(3):
        assert w.send(user, a, mail=mail)[0] == 250
    assert w.send(user, b)[0] == 250
    rows = w.rows("pending")
    assert a["id"] in rows and b["id"] in rows
    assert len([r for r in w.records("cert_pending") if r["sha256"] == a["sha256"]]) == 1
    # counts are written once a minute; a ledger that is killed before that forgets them and nothing else
    os.kill(w.server.one("congvu-milter-ledger"), signal.SIGKILL)
    w.server.wait_up()
    assert wait(lambda: w.send(user, a)[0] == 250)
    rows = w.rows("pending")
    assert a["id"] in rows and b["id"] in rows
    assert len([r for r in w.records("cert_pending") if r["sha256"] == a["sha256"]]) == 1


def test_what_does_not_verify_is_not_offered(world):
    w, user, other = world, world.server.user("staff", agency="SKHCN"), world.server.user("staff", agency="STC")
    known = set(w.rows())
    # somebody else's certificate
    assert w.send(user, w.person(other["address"]))[0] == 550
    # of another CA
    own = w.person(user["address"])
    ca.openssl("req", "-new", "-x509", "-config", w.config("own", address=user["address"]), "-extensions", "smime", "-key", own["key"], "-subj", "/CN=x", "-days", "3",
               "-out", own["cert"])
    assert w.send(user, own)[0] == 550
    # revoked
    gone = w.person(user["address"])
    w.revoke(gone)
    assert w.server.congvu("reload").returncode == 0
    w.server.wait_up()
    assert w.send(user, gone)[0] == 550
    # refused for another reason: it may come again under a better mail
    good = w.person(user["address"])
    assert w.send(user, good, mail=w.mail(user["address"], other["address"], good).replace(b"anh", b"ban", 1).replace(b"From:", b"From: a@b.example\r\nFrom:"))[0] == 550
    assert set(w.rows()) == known


def test_only_the_signers_own_of_many(world, tmp_path):
    w, user = world, world.server.user("staff", agency="SKHCN")
    others = [w.person("nguoi%d@%s" % (i, w.server.domain)) for i in range(3)]
    crowd, mob = tmp_path / "crowd.pem", tmp_path / "mob.pem"
    crowd.write_bytes(b"".join(ca.openssl("x509", "-inform", "DER", data=o["der"]) for o in others))
    who = w.person(user["address"])
    known = set(w.rows())
    assert w.send(user, who, options=("-certfile", crowd))[0] == 250
    assert set(w.rows()) - known == {who["id"]}
    # a hundred: none is looked at
    key = tmp_path / "one.key"
    w.ca.new_key(key, 2048)
    with open(mob, "wb") as f:
        for i in range(100):
            f.write(ca.openssl("req", "-new", "-x509", "-config", w.config("mob", address="x@y.example"), "-key", key, "-subj", "/CN=%d" % i, "-days", "2"))
    known = set(w.rows())
    code, said = w.send(user, w.person(user["address"]), options=("-certfile", mob))
    assert code == 550 and "certificates" in said
    assert set(w.rows()) == known


def test_names_steer_no_terminal(world):
    w, user = world, world.server.user("staff", agency="SKHCN")
    who = w.person(user["address"], "An\u202egnad\x1b[2J\u200bBình")
    assert w.send(user, who)[0] == 250
    for args in (("pending",), ("list",), ("show", who["id"])):
        out = w.cert(*args).stdout
        assert who["id"] in out
        assert "\u202e" not in out and "\x1b" not in out and "\u200b" not in out and "\u2039U+202E\u203a" in out, out


def test_a_huge_certificate_is_not_kept(world):
    w, user = world, world.server.user("staff", agency="SKHCN")
    who = w.person(user["address"], more="nsComment = " + "a" * 20000)
    assert w.send(user, who)[0] == 250
    assert "cert_too_large" in [f["id"] for f in w.records("verdict")[-1]["findings"]]
    assert who["id"] not in w.rows()


def test_one_of_outside_has_no_entry(world):
    w, sender = world, "lien.he@" + OUT
    who = w.person(sender, "Đối Tác")
    assert w.send_from_outside(sender, who)[0] == 250
    row = w.rows("pending")[who["id"]]
    assert "wait to be published or banned" in w.server.congvu("report", "daily", "--no-verify").stdout
    assert row["address"] == sender and not row["in_directory"] and row["account"] == ""
    assert "nobody here" in w.cert("pending").stdout
    shown = w.cert("show", who["id"]).stdout
    assert "may be published" not in shown and "its address was nobody's here" in shown, shown
    said = w.cert("approve", who["id"], "--decision", DECISION, code=67).stderr
    assert "no entry to publish it in" in said and sender in said


def test_approving_looks_again(world):
    """Valid when it was seen is not valid now; whose it was seen with need not have the address any more."""
    w, user = world, world.server.user("staff", agency="SKHCN")
    who = w.person(user["address"])
    assert w.send(user, who)[0] == 250
    w.revoke(who)
    assert "it is revoked" in w.cert("approve", who["id"], "--decision", DECISION, code=65).stderr
    assert who["der"] not in w.published(user["address"])
    # its CA's CRLs are away: not known is not good
    other = w.person(user["address"])
    assert w.send(user, other)[0] == 250
    for f in w.ours.glob("*-crl.pem"):
        f.rename(f.with_suffix(".away"))
    try:
        assert "cannot be learnt" in w.cert("approve", other["id"], "--decision", DECISION, code=75).stderr
        (w.ours / "root.pem").rename(w.ours / "root.away")
        assert "no CA" in w.cert("approve", other["id"], "--decision", DECISION, code=65).stderr
    finally:
        for f in w.ours.glob("*.away"):
            f.rename(f.with_suffix(".pem"))
    w.cert("approve", other["id"], "--decision", DECISION)
    w.cert("withdraw", other["id"], "--decision", DECISION)


def test_the_policy_in_force_is_asked(world):
    """A certificate whose mail the policy refuses is not published: floors of the scope of its owner's agency, the store, the age of what is known of revocation."""
    w, user, other = world, world.server.user("staff", agency="SKHCN"), world.server.user("staff", agency="STC")
    policy, conf = w.server.conf.with_name("cert.policy"), w.server.conf.read_text()
    agency = Directory(w.server).search("(mail=%s)" % user["address"], "vnAgencyRef").split("vnAgencyRef: ")[1].split()[0]
    who, theirs = w.person(user["address"]), w.person(other["address"])
    assert w.send(user, who)[0] == 250 and w.send(other, theirs)[0] == 250
    version = [0]

    def enforce(text):
        version[0] += 1
        policy.write_text('policy "chung-thu" version %d owner "an toàn";\n%s' % (version[0], text), encoding="utf-8")
        w.server.conf.write_text(conf + '\npolicy_file = "%s"\n' % policy, encoding="utf-8")
        r = w.server.congvu("reload")
        assert r.returncode == 0, r.stderr
        w.server.wait_up()

    def refused(code, *words, lang="en", cert=who):
        r = w.server.congvu("--lang", lang, "cert", "approve", cert["id"], "--decision", DECISION)
        assert r.returncode == code and all(x in r.stderr for x in words), (r.returncode, r.stderr)
        assert cert["der"] not in w.published(cert["address"]) and w.rows()[cert["id"]]["state"] == "pending"

    try:
        enforce('trust "%s" { rsa 3072; }\nagency "%s" { trust "%s"; }\n' % (w.server.domain, agency, w.server.domain))
        words = ('trust "%s"' % w.server.domain, '"chung-thu"', "%d" % version[0], "rsa2048 < rsa 3072")
        refused(65, "would be refused (P10)", "line 3", *words)
        refused(65, "sẽ bị từ chối (P10)", "dòng 3", *words, lang="vi")
        assert "rsa2048 < rsa 3072" in w.cert("show", who["id"]).stdout
        assert "may be published" not in w.cert("show", who["id"]).stdout
        # so says the filter
        code, text = w.send(user, who)
        assert code == 550 and "P10" in text and "rsa2048 < rsa 3072" in text, text
        # it is of one agency: another's is published
        assert "may be published" in w.cert("show", theirs["id"]).stdout
        w.cert("approve", theirs["id"], "--decision", DECISION)
        w.cert("withdraw", theirs["id"], "--decision", DECISION)
        # another store: one that its CA is not in
        key, cert = w.tmp / "another.key", w.trust / "khac" / "ca.pem"
        cert.parent.mkdir()
        w.ca.new_key(key, 2048)
        cert.write_bytes(ca.openssl("req", "-new", "-x509", "-config", w.config("another", address="ca@khac.example"), "-key", key, "-subj", "/CN=khac", "-days", "3"))
        enforce('trust "khac" { }\nperson "%s" { trust "khac"; }\n' % user["address"])
        refused(65, "the store that the policy names", 'trust "khac"')
        refused(65, "kho chứng thư mà chính sách nêu", lang="vi")
        enforce('trust "%s" { rsa 2048; }\ntrust "%s";\n' % (w.server.domain, w.server.domain))
        w.cert("approve", who["id"], "--decision", DECISION)
        assert who["der"] in w.published(user["address"])
        w.cert("withdraw", who["id"], "--decision", DECISION)
        # what was in force cannot be read: nobody says yes
        archive = next(w.server.dir.rglob("current.json"))
        archive.rename(archive.with_suffix(".away"))
        try:
            assert "policy in force" in w.cert("approve", who["id"], "--decision", DECISION, code=69).stderr
        finally:
            archive.with_suffix(".away").rename(archive)
    finally:
        w.server.conf.write_text(conf, encoding="utf-8")
        shutil.rmtree(w.trust / "khac", ignore_errors=True)
        assert w.server.congvu("reload").returncode == 0
        w.server.wait_up()


def test_for_signatures_alone(world):
    w, user = world, world.server.user("staff", agency="SKHCN")
    who = w.person(user["address"], usage="digitalSignature, nonRepudiation")
    assert w.send(user, who)[0] == 250
    assert "encryption" in w.cert("approve", who["id"], "--decision", DECISION, code=65).stderr
    shown = w.cert("show", who["id"]).stdout
    assert "it may be published" not in shown and "with --signing-only alone" in shown, shown
    assert who["der"] not in w.published(user["address"])
    assert "signatures alone" in w.cert("approve", who["id"], "--decision", DECISION, "--signing-only").stderr
    shown = w.server.congvu("--lang", "vi", "cert", "show", who["id"]).stdout
    assert "người quyết định" in shown and "người xóa" not in shown, shown
    assert who["der"] in w.published(user["address"])
    w.cert("withdraw", who["id"], "--decision", DECISION)


def test_for_encryption_alone(world, tmp_path):
    """It came along in the bag of its owner's signed mail: waits, is approved, found and encrypted to; somebody else's in the same bag is not offered; nobody must sign with it."""
    w, user = world, world.server.user("staff", agency="SKHCN")
    for id, row in w.rows("pending").items():  # eight wait for an address at most
        if row["address"] == user["address"]:
            w.cert("ban", id, "--reason", "x")
    who = w.person(user["address"])
    sealed = w.person(user["address"], "Khóa Mã Hóa", usage="keyEncipherment")
    other = w.person("ai.do@" + w.server.domain, usage="keyEncipherment")
    bag = tmp_path / "bag.pem"
    bag.write_bytes(b"".join(ca.openssl("x509", "-inform", "DER", data=c["der"]) for c in (other, sealed)))
    # by itself it signs nothing
    assert w.send(user, sealed)[0] == 550
    assert w.send(user, who, options=("-certfile", bag))[0] == 250
    rows = w.rows("pending")
    assert who["id"] in rows and rows[sealed["id"]]["address"] == user["address"] and "Khóa Mã Hóa" in rows[sealed["id"]]["subject"], rows
    assert other["id"] not in w.rows()
    shown = w.cert("show", sealed["id"]).stdout
    assert "it may be published" in shown, shown
    judged = json.loads(w.server.congvu("--json", "cert", "show", sealed["id"]).stdout)
    assert judged["now"]["encrypts"] and not judged["now"]["signs"] and judged["now"]["status"] == "valid", judged["now"]
    # a mail that was changed on its way offers nothing
    late = w.person(user["address"], usage="keyEncipherment")
    bag.write_bytes(ca.openssl("x509", "-inform", "DER", data=late["der"]))
    to = w.server.user("staff", agency="STC")["address"]
    assert w.send(user, who, mail=w.mail(user["address"], to, who, ("-certfile", bag)).replace(b"charset=utf-8", b"charset=UTF-8", 1))[0] == 550
    assert late["id"] not in w.rows()
    said = w.cert("approve", sealed["id"], "--decision", DECISION).stderr
    assert "for encryption alone" in said
    assert sealed["der"] in w.published(user["address"])
    (tmp_path / "found.pem").write_bytes(ca.openssl("x509", "-inform", "DER", data=sealed["der"]))
    text = ca.openssl("cms", "-encrypt", "-aes256", "-binary", "-outform", "DER", tmp_path / "found.pem", data=b"rieng")
    assert ca.openssl("cms", "-decrypt", "-inform", "DER", "-inkey", sealed["key"], "-recip", sealed["cert"], data=text) == b"rieng"
    assert w.send(user, who, options=("-certfile", bag))[0] == 250
    w.cert("withdraw", sealed["id"], "--decision", DECISION)
    assert sealed["der"] not in w.published(user["address"])


def test_who_is_no_officer(world, tmp_path):
    w, user = world, world.server.user("staff", agency="SKHCN")
    who = w.person(user["address"])
    assert w.send(user, who)[0] == 250
    conf = w.server.conf.with_name("officers.conf")
    every = (("approve", who["id"], "--decision", DECISION), ("ban", who["id"], "--reason", "x"), ("withdraw", who["id"], "--decision", DECISION),
             ("unban", who["id"], "--reason", "x"))

    def run(args, uid):
        return w.server.run_congvu(conf, "cert", *args, env=dict(os.environ, SUDO_UID=uid))

    def denied():
        return [(r["what"], r["refused"], r["by"], r["by_known"]) for r in w.records("cert_denied")]

    with open("/proc/self/loginuid", encoding="ascii") as f:
        if f.read() != "4294967295":
            pytest.skip("this session has a login uid, which SUDO_UID does not change")
    what = ["cert_approve", "cert_ban", "cert_withdraw", "cert_unban"]
    try:
        # the officer's name by SUDO_UID alone is nobody's word
        conf.write_text(w.server.conf.read_text() + 'security_officers = {"daemon"}\n')
        before = len(denied())
        for args in every:
            r = run(args, "1")
            assert r.returncode == 77 and "officers_by_sudo" in r.stderr, (args, r.returncode, r.stderr)
        assert denied()[before:] == [(x, "no login uid", "daemon", "sudo") for x in what]
        # where the site lets it suffice: the officer may, another may not
        conf.write_text(conf.read_text() + "officers_by_sudo = true\n")
        before = len(denied())
        for args in every:
            r = run(args, "2")
            assert r.returncode == 77 and "security_officers" in r.stderr, (args, r.returncode, r.stderr)
        assert denied()[before:] == [(x, "no officer", "bin", "sudo") for x in what]
        assert w.rows()[who["id"]]["state"] == "pending"
        r = run(("ban", who["id"], "--reason", "x"), "1")
        assert r.returncode == 0, r.stderr
        last = w.records("cert_banned")[-1]
        assert last["by"] == "daemon" and last["by_known"] == "sudo" and last["sha256"] == who["sha256"]
        r = run(("unban", who["id"], "--reason", "x"), "1")
        assert r.returncode == 0, r.stderr
    finally:
        conf.unlink()


def test_a_former_address_that_is_anothers_now(world):
    """The key of who has an address now is not that of who had it: it signs no mail of his, and is not published as his."""
    w, d = world, Directory(world.server)
    had, has = world.server.user("staff", agency="STC"), world.server.user("staff", agency="SKHCN")
    old = "truoc.kia@" + w.server.domain
    d.modify(d.person(had), "add: vnAddressHistory", "vnAddressHistory: %s;20050101;20100101" % old)
    try:
        # while it is nobody's it binds who had it
        own = w.person(old)
        assert w.send(had, own)[0] == 250
        assert w.rows("pending")[own["id"]]["address"] == had["address"]
        r = w.server.congvu("alias", "add", has["login"], old, "--decision", DECISION)
        assert r.returncode == 0, r.stderr
        assert "nobody else's" in w.cert("approve", own["id"], "--decision", DECISION, code=77).stderr
        time.sleep(10.5)  # the filter remembers so long
        who = w.person(old)
        assert w.send(had, who)[0] == 550
        s = w.server.mx()
        try:
            code, text = client.transaction(s, "x@" + OUT, [has["address"]], w.mail(had["address"], has["address"], who))
        finally:
            client.close(s)
        assert code == 550 and "P07" in text, text
        assert who["id"] not in w.rows()
        # it is the one's who has it
        assert w.send(has, who)[0] == 250
        assert w.rows("pending")[who["id"]]["address"] == has["address"]
        assert own["der"] not in w.published(had["address"])
    finally:
        w.server.congvu("alias", "remove", has["login"], old, "--decision", DECISION)
        d.modify(d.person(had), "delete: vnAddressHistory", "vnAddressHistory: %s;20050101;20100101" % old)


def test_words(world):
    """Ids that are none, and Vietnamese."""
    w, user = world, world.server.user("staff", agency="SKHCN")
    for id, row in w.rows("pending").items():  # eight wait for an address at most
        if row["address"] == user["address"]:
            w.cert("ban", id, "--reason", "x")
    who = w.person(user["address"])
    assert w.send(user, who)[0] == 250
    assert "no certificate" in w.cert("show", "ffffffffffff", code=67).stderr
    w.cert("show", "abc", code=64)
    w.cert("show", "../../etc/passwd", code=64)
    w.cert("frobnicate", code=64)
    r = w.server.congvu("--lang", "vi", "cert", "pending")
    assert r.returncode == 0 and "địa chỉ" in r.stdout and who["id"] in r.stdout, r.stdout
    w.cert("ban", who["id"], "--reason", "x")
    assert "cert approve ID --decision REF" in w.server.congvu("help", "cert").stdout


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
