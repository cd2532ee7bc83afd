"""lookup against a real slapd: logins, recipients, senders, outages, other trees; and slapd's own schema and access rules."""

import base64
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time
import unicodedata

import pytest

from slapd import BASE, BUILD, KEY, TOP, Lookup, Slapd, b64, free_port, person_ldif

BINH = "Mật khẩu đẹp 2026"
MAIL = "%s@tinhmau.example"


def mailbox_ldif(ident, mail, extra=""):
    return ("dn: vnMailboxId=%s,ou=mailboxes,%s\nobjectClass: vnFunctionalMailbox\nvnMailboxId: %s\ncn: %s\ndisplayName: %s\nmail: %s\n"
            "vnAgencyRef: H99.02\nvnStatus: active\n%s\n" % (ident, BASE, ident, ident, ident, mail, extra))


def group_ldif(name, members, mail=None):
    text = "dn: cn=%s,ou=groups,%s\nobjectClass: groupOfNames\ncn: %s\n" % (name, BASE, name)
    if mail:
        text += "objectClass: vnMailGroup\nmail: %s\n" % mail
    return text + "".join("member: %s\n" % m for m in members) + "\n"


def person(n):
    return "vnStaffId=%06d,ou=people,%s" % (n, BASE)


CERT = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null",
                       "-outform", "DER", "-subj", "/CN=Binh", "-days", "2"], check=True, capture_output=True).stdout


def province():
    der = CERT
    return "".join([
        person_ldif(1, "Trần Văn Bình", "binhtv", BINH, extra="vnMailAlias: binh.tran@tinhmau.example\nvnEpoch: 7\n"
                    "vnAddressHistory: binhtv@huyencu.example;20200101;20250701\n"
                    "vnAddressHistory: binh.cu@tinhmau.example;20200101;20250701\nuserCertificate;binary:: %s\n" % b64(der)),
        person_ldif(2, "Lê Thị Hường", "huonglt", "ascii-Password-2"),
        person_ldif(3, "Bùi Thanh Tùng", "tungbt", "ascii-Password-3", extra="").replace("vnStatus: active", "vnStatus: suspended"),
        person_ldif(4, "Phạm Đức Ông", "ongpd", "ascii-Password-4").replace("vnStatus: active", "vnStatus: closed"),
        person_ldif(5, "Võ Không Khóa", "khoavk", "ascii-Password-5", scram=False),
        "dn: vnPositionCode=H99.02-vanthu,ou=groups,%s\nobjectClass: organizationalRole\nobjectClass: vnPosition\ncn: Van thu\n"
        "vnPositionCode: H99.02-vanthu\nroleOccupant: %s\n\n" % (BASE, person(2)),
        group_ldif("lanhdao", [person(1)], "lanhdao@tinhmau.example"),
        group_ldif("tren", ["cn=lanhdao,ou=groups," + BASE]),
        mailbox_ldif("vt", "vanthu.skhcn@tinhmau.example",
                     "vnHolder: vnPositionCode=H99.02-vanthu,ou=groups,%s\nvnMailAlias: skhcn@tinhmau.example\n" % BASE),
        mailbox_ldif("duongday", "duongday@khac.example", "vnReader: cn=tren,ou=groups,%s\n" % BASE),
        mailbox_ldif("uyquyen", "uy/quyen@tinhmau.example", "vnDelegate: %s\nvnReader: %s\n" % (person(1), person(1))),
        mailbox_ldif("dong", "dong@tinhmau.example", "vnHolder: %s\n" % person(1)).replace("vnStatus: active", "vnStatus: closed"),
        group_ldif("motvong", [person(2), "cn=haivong,ou=groups," + BASE], "motvong@tinhmau.example"),
        group_ldif("haivong", ["cn=motvong,ou=groups," + BASE, person(1), person(4), "vnMailboxId=vt,ou=mailboxes," + BASE,
                               "cn=Nobody\\2C there,ou=people," + BASE], "haivong@tinhmau.example"),
        group_ldif("rong", [person(4)], "rong@tinhmau.example"),
        group_ldif("tu", ["cn=tu,ou=groups," + BASE], "tu@tinhmau.example"),
        group_ldif("lon", ["vnStaffId=%d,ou=people,%s" % (n, BASE) for n in range(900000, 910001)], "lon@tinhmau.example"),
    ])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dir")
    slapd = Slapd(folder / "ldap")
    slapd.add(province())
    yield slapd
    slapd.stop()


@pytest.fixture(scope="module")
def lookup(site, tmp_path_factory):
    lk = Lookup(tmp_path_factory.mktemp("run"), [site.uri], password=secret(site))
    yield lk
    assert lk.close() == 0, lk.log_text()[-3000:]
    assert "PARTIAL" not in lk.log_text() or os.environ.get("CONGVU_VALGRIND")


@pytest.fixture
def imapd(lookup):
    return lookup.probe("imapd")


@pytest.fixture
def smtpd(lookup):
    return lookup.probe("smtpd")


@pytest.fixture
def milter(lookup):
    return lookup.probe("milter")


def secret(slapd):
    return (slapd.dir / "lookup.password").read_text()


# --- logins

def test_plain(imapd):
    got = imapd.plain("binhtv", BINH)
    assert got["result"] == "ok"
    assert got["login"]["account"] == "p-000001"
    assert got["login"]["address"] == MAIL % "binhtv"
    assert got["login"]["login"] == "binhtv"
    assert got["login"]["name"] == "Trần Văn Bình (SKHCN)"
    assert got["data"] is None


@pytest.mark.parametrize("name", ["binhtv@tinhmau.example", "BINHTV", "binh.tran@tinhmau.example"])
def test_names_of_one_person(imapd, name):
    assert imapd.plain(name, BINH)["login"]["account"] == "p-000001"


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_vietnamese_password_in_every_form(imapd, form):
    password = unicodedata.normalize(form, BINH)
    assert imapd.plain("binhtv", password)["result"] == "ok"
    assert imapd.login("binhtv", password)["result"] == "ok"


def test_login_mechanism(imapd):
    prompts = []

    def asked(answer):
        return lambda challenge: prompts.append(challenge) or answer
    assert imapd.auth("LOGIN", None, asked(b"binhtv"), asked(BINH.encode()))["result"] == "ok"
    assert prompts == [b"Username:", b"Password:"]
    assert imapd.auth("LOGIN", b"binhtv", BINH.encode())["result"] == "ok"
    assert imapd.login("binhtv", "wrong")["err"] == "auth"


def test_scram(imapd):
    got = imapd.scram("binhtv", BINH)
    assert got["result"] == "ok" and got["server_ok"]
    assert got["login"]["account"] == "p-000001"
    assert imapd.scram("binhtv@tinhmau.example", BINH)["server_ok"]
    assert imapd.scram("huonglt", "ascii-Password-2")["server_ok"]
    # without an initial response the server asks with an empty challenge
    assert imapd.auth("SCRAM-SHA-256", None, b"n,,n=binhtv,r=abc")["result"] == "more"


@pytest.mark.parametrize("user", ["binhtv", "nobody", "tungbt", "khoavk", "bình", "a,b=c"])
def test_scram_tells_nobody_who_exists(imapd, user):
    got = imapd.scram(user, "wrong")
    assert got["err"] == "auth" and got["asked_proof"]


def test_scram_decoy_salt_is_stable(imapd):
    def salt(user):
        id = imapd.ask("start", "SCRAM-SHA-256", "1", ("n,,n=%s,r=abcdef" % user).encode().hex())
        challenge = bytes.fromhex(imapd.wait(id)["data"]).decode()
        assert imapd.wait(imapd.ask("abort", id=id))["err"] is None
        return re.search(r",s=([^,]+),i=4096", challenge).group(1)
    assert salt("nobody") == salt("nobody")
    assert salt("nobody") != salt("nobody2")
    assert len(salt("nobody")) == len(salt("binhtv"))


def test_wrong_and_unknown_look_the_same(imapd):
    times = {}
    for user, password in (("binhtv", "wrong"), ("nobody", "wrong"), ("tungbt", "wrong"), ("binhtv", "")):
        start = time.monotonic()
        got = imapd.plain(user, password)
        times[user, password] = time.monotonic() - start
        got.pop("id")
        assert got == {"err": "auth", "result": "failed", "data": None}, (user, got)
    assert min(times.values()) >= 0.24
    assert max(times.values()) - min(times.values()) < 0.1


def test_failures_do_not_hold_others(imapd):
    ids = [imapd.ask("start", "PLAIN", "1", b"\0nobody\0x".hex()) for _ in range(100)]
    start = time.monotonic()
    assert imapd.plain("binhtv", BINH)["result"] == "ok"
    assert time.monotonic() - start < 0.25
    for id in ids:
        assert imapd.wait(id)["err"] == "auth"


def test_no_plain_text_without_tls(imapd):
    assert imapd.plain("binhtv", BINH, tls=False)["err"] == "unsupported"
    assert imapd.auth("LOGIN", None, tls=False)["err"] == "unsupported"


@pytest.mark.parametrize("mech", ["ANONYMOUS", "CRAM-MD5", "DIGEST-MD5", "NTLM", "EXTERNAL", "SCRAM-SHA-1-PLUS", "", "PLAIN LOGIN", "X" * 100])
def test_mechanisms_not_offered(imapd, mech):
    assert imapd.auth(mech.replace(" ", "%20") or "-", b"")["err"] == "unsupported"


def test_authorization_identity(imapd):
    assert imapd.plain("binhtv", BINH, authzid="binhtv")["result"] == "ok"
    assert imapd.plain("binhtv", BINH, authzid="binhtv@tinhmau.example")["result"] == "ok"
    assert imapd.plain("binhtv", BINH, authzid="huonglt")["err"] == "denied"


HOSTILE = ["*", "binh*", "binhtv)(uid=*", "*)(uid=*))(|(uid=*", "binhtv\\", "\\2a", "binhtv\u0000", "(", "&", "|(a=b)", "binhtv ", "\u202ebinhtv",
           "x" * 255, "x" * 8000, "%s%d%n", "\xff", "vnStaffId=000001,ou=people," + BASE]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_login_names(imapd, name):
    for password in ("x", BINH):
        got = imapd.plain(name, password)
        # RFC 4013 maps nothing of these to binhtv but the right-to-left mark, which it prohibits, and a trailing space
        assert got["err"] in ("auth", "syntax") or name == "binhtv ", got
    assert imapd.scram(name, "x")["err"] in ("auth", "syntax")


@pytest.mark.parametrize("message", [b"", b"\0", b"\0\0", b"binhtv\0", b"\0binhtv", b"\0\xff\xfe\0" + BINH.encode(), b"\0binhtv\0\xff",
                                     b"\0binhtv\0" + b"x" * 5000, b"\0binhtv\0a\0b", b"x" * 8190])
def test_broken_plain_messages(imapd, message):
    # an empty message is taken as none: asked again, and then refused
    assert imapd.auth("PLAIN", message, b"\0", b"\0")["err"] in ("auth", "syntax")


@pytest.mark.parametrize("message", [b"", b"n", b"n,,", b"n,,n=", b"n,,n=a", b"y,,n=binhtv,r=", b"p=tls-unique,,n=binhtv,r=x",
                                     b"n,a=huonglt,n=binhtv,r=x,x=y", b"n,,m=x,n=binhtv,r=abc", b"\0" * 100, b"n,,n=binhtv,r=" + b"r" * 8000])
def test_broken_scram_messages(imapd, message):
    got = imapd.auth("SCRAM-SHA-256", message, b"c=biws,r=x,p=AAAA", b"", b"")
    assert got["err"] in ("auth", "syntax", "denied", "temp") and got["err"] != "temp", got


def test_many_exchanges_interleaved(imapd, smtpd):
    ids = []
    for probe in (imapd, smtpd):
        ids += [(probe, probe.ask("start", "LOGIN", "1", "-")) for _ in range(60)]
    for word in (b"huonglt", b"ascii-Password-2"):
        for probe, id in reversed(ids):
            assert probe.wait(id)["result"] == "more"
            probe.ask("step", word.hex(), id=id)
    for probe, id in ids:
        assert probe.wait(id)["login"]["account"] == "p-000002"


# --- tickets, identities, functional mailboxes

def test_mailboxes_by_post(imapd):
    login = imapd.plain("huonglt", "ascii-Password-2")["login"]
    assert login["shares"] == [{"account": "f-vt", "address": "vanthu.skhcn@tinhmau.example", "name": "vanthu.skhcn", "rights": "lrswipkxtea"}]
    assert login["identities"] == [{"address": "huonglt@tinhmau.example", "functional": False},
                                   {"address": "vanthu.skhcn@tinhmau.example", "functional": True},
                                   {"address": "skhcn@tinhmau.example", "functional": True}]


def test_mailboxes_by_group_and_delegation(imapd):
    login = imapd.plain("binhtv", BINH)["login"]
    shares = {s["account"]: s for s in login["shares"]}
    assert set(shares) == {"f-duongday", "f-uyquyen"}
    # a group of a group; the whole address, since its domain is another
    assert shares["f-duongday"]["name"] == "duongday@khac.example" and shares["f-duongday"]["rights"] == "lrs"
    assert shares["f-uyquyen"]["name"] == "uy_quyen" and shares["f-uyquyen"]["rights"] == "lrswipte"
    assert [i["address"] for i in login["identities"]] == ["binhtv@tinhmau.example", "binh.tran@tinhmau.example", "uy/quyen@tinhmau.example"]


def delegation_ldif(ident, delegator, to, rights, start, end, extra=""):
    return ("dn: vnDelegationId=%s,ou=delegations,%s\nobjectClass: vnDelegation\nvnDelegationId: %s\nvnDelegator: %s\nvnDelegateTo: %s\n"
            "vnRights: %s\nvnValidFrom: %s\n%svnDecisionRef: 5/QD\n%s\n" % (ident, BASE, ident, delegator, to, rights, start,
                                                                        "vnValidTo: %s\n" % end if end else "", extra))


def test_delegations(site, imapd, milter):
    def stamp(seconds):
        return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))
    mailbox = "vnMailboxId=vt,ou=mailboxes," + BASE
    who = person(5)  # holds nothing by herself
    before = imapd.plain("khoavk", "ascii-Password-5")["login"]
    assert before["shares"] == [] and before["expires"] > time.time() + 80000
    site.add(delegation_ldif("now", mailbox, who, "lrs send", stamp(-100), stamp(3000)) +
             delegation_ldif("more", mailbox, who, "wi", stamp(-100), None) +
             delegation_ldif("leader", person(1), who, "lr", stamp(-100), None) +
             delegation_ldif("past", "vnMailboxId=duongday,ou=mailboxes," + BASE, who, "lrs", stamp(-200), stamp(-100)) +
             delegation_ldif("future", "vnMailboxId=duongday,ou=mailboxes," + BASE, who, "lrs", stamp(1000), None) +
             delegation_ldif("closed", "vnMailboxId=duongday,ou=mailboxes," + BASE, who, "lrs", stamp(-200), None, "vnStatus: closed\n") +
             delegation_ldif("dangling", person(424242), who, "lrs", stamp(-200), None) +
             delegation_ldif("own", who, who, "lrswipkxtea", stamp(-200), None))
    login = imapd.plain("khoavk", "ascii-Password-5")["login"]
    shares = {s["account"]: s for s in login["shares"]}
    assert set(shares) == {"f-vt", "p-000001"}
    assert sorted(shares["f-vt"]["rights"]) == sorted("lrswi") and shares["p-000001"]["rights"] == "lr"
    assert shares["p-000001"]["name"] == "binhtv"
    # sending as the office is delegated, as the leader it is not
    assert [i["address"] for i in login["identities"]] == ["khoavk@tinhmau.example", "vanthu.skhcn@tinhmau.example", "skhcn@tinhmau.example"]
    assert milter.call("sender", "vanthu.skhcn@tinhmau.example", "khoavk")["may"]
    assert not milter.call("sender", "binhtv@tinhmau.example", "khoavk")["may"]
    # the rights have their dates in the ticket; what is to come is there already, what is over is not
    token = imapd.call("token", KEY, login["ticket"])
    assert sorted((g["account"], g["rights"]) for g in token["grants"]) == [
        ("f-duongday", "lrs"), ("f-vt", "lrs"), ("f-vt", "wi"), ("p-000001", "lr")]
    dates = {g["rights"]: (round(g["from"] - time.time(), -2), round(g["until"] - time.time(), -2) if g["until"] else 0) for g in token["grants"]
             if g["account"] == "f-vt"}
    assert dates == {"lrs": (-100, 3000), "wi": (-100, 0)}
    assert all(900 < g["from"] - time.time() <= 1000 for g in token["grants"] if g["account"] == "f-duongday")
    site.as_hr("ldapdelete", data="".join("vnDelegationId=%s,ou=delegations,%s\n" % (d, BASE) for d in (
        "now", "more", "leader", "past", "future", "closed", "dangling", "own")))
    assert imapd.plain("khoavk", "ascii-Password-5")["login"]["shares"] == []


def test_ticket(imapd):
    login = imapd.plain("binhtv", BINH)["login"]
    token = imapd.call("token", KEY, login["ticket"])
    assert token["account"] == "p-000001" and token["epoch"] == 7 and token["shares"] == 2 and token["login"] == "binhtv"
    assert abs(login["expires"] - time.time() - 86400) < 60
    assert imapd.call("token", "0" * 64, login["ticket"])["err"] == "denied"


# --- recipients

def accounts(got):
    assert got["err"] is None, got
    return sorted(t["account"] for t in got["targets"])


def test_recipients(smtpd):
    got = smtpd.call("rcpt", "BinhTV@TinhMau.Example")
    assert got["kind"] == 1 and not got["official"]
    assert got["targets"] == [{"account": "p-000001", "address": "binhtv@tinhmau.example", "name": "Trần Văn Bình (SKHCN)"}]
    assert accounts(smtpd.call("rcpt", "binh.tran@tinhmau.example")) == ["p-000001"]
    got = smtpd.call("rcpt", "skhcn@tinhmau.example")
    assert accounts(got) == ["f-vt"] and got["official"]
    assert smtpd.call("rcpt", "nobody@tinhmau.example")["kind"] == 3
    assert smtpd.call("rcpt", "ongpd@tinhmau.example")["kind"] == 3  # closed
    assert accounts(smtpd.call("rcpt", "tungbt@tinhmau.example")) == ["p-000003"]  # suspended: receives
    assert smtpd.call("rcpt", "citizen@elsewhere.example")["kind"] == 2
    assert smtpd.call("rcpt", "postmaster")["kind"] == 3


@pytest.mark.parametrize("address", ["*@tinhmau.example", "binh*@tinhmau.example", "a)(mail=*@tinhmau.example", "@tinhmau.example", "x", "", "@",
                                     "\\2a@tinhmau.example", '"a*b"@tinhmau.example', "x" * 700 + "@tinhmau.example"])
def test_hostile_recipients(smtpd, address):
    got = smtpd.call("rcpt", address or "<>")
    assert got["err"] is None and got["kind"] in (2, 3) and not got["targets"]


def test_groups(smtpd):
    assert accounts(smtpd.call("rcpt", "lanhdao@tinhmau.example")) == ["p-000001"]
    # nested both ways: the cycle ends, closed people and dangling names are left out, a mailbox is a member too
    assert accounts(smtpd.call("rcpt", "motvong@tinhmau.example")) == ["f-vt", "p-000001", "p-000002"]
    assert accounts(smtpd.call("rcpt", "haivong@tinhmau.example")) == ["f-vt", "p-000001", "p-000002"]
    assert smtpd.call("rcpt", "rong@tinhmau.example")["kind"] == 3
    assert smtpd.call("rcpt", "tu@tinhmau.example")["kind"] == 3
    assert smtpd.call("rcpt", "lon@tinhmau.example")["err"] == "limit"


def test_group_of_thousands(site, smtpd):
    count = 1500
    entries = []
    for n in range(10000, 10000 + count):
        entries.append("dn: %s\nobjectClass: inetOrgPerson\nobjectClass: vnCivilServant\nvnStaffId: %06d\ncn: A B\nsn: A\nuid: u%d\n"
                       "mail: u%d@tinhmau.example\nvnStatus: active\n\n" % (person(n), n, n, n))
    site.add("".join(entries) + group_ldif("ngan", [person(n) for n in range(10000, 10000 + count)], "ngan@tinhmau.example"))
    start = time.monotonic()
    assert len(accounts(smtpd.call("rcpt", "ngan@tinhmau.example"))) == count
    assert time.monotonic() - start < 5
    site.as_hr("ldapdelete", data="".join(person(n) + "\n" for n in range(10000, 10000 + count)) + "cn=ngan,ou=groups," + BASE + "\n")


# --- senders

def test_senders(milter):
    got = milter.call("sender", "binhtv@tinhmau.example", "binhtv")
    assert got["is_ours"] and got["kind"] == 1 and got["account"] == "p-000001" and got["agency"] == "H99.02" and got["may"]
    assert got["addresses"] == ["binhtv@tinhmau.example", "binh.tran@tinhmau.example", "binhtv@huyencu.example", "binh.cu@tinhmau.example"]
    assert got["certs"] == [len(CERT)]
    assert milter.call("sender", "vanthu.skhcn@tinhmau.example", "huonglt")["may"]
    got = milter.call("sender", "vanthu.skhcn@tinhmau.example", "binhtv")
    assert not got["may"] and got["kind"] == 2 and got["account"] == "f-vt"
    assert not milter.call("sender", "binhtv@tinhmau.example", "-")["may"]
    assert not milter.call("sender", "binhtv@tinhmau.example", "nobody")["may"]
    assert not milter.call("sender", "binhtv@tinhmau.example", "tungbt")["may"]
    assert milter.call("sender", "uy/quyen@tinhmau.example", "binhtv")["may"]  # a delegate sends
    # an address of before is found, but nobody may send as it
    got = milter.call("sender", "binh.cu@tinhmau.example", "binhtv")
    assert got["kind"] == 1 and got["account"] == "p-000001" and not got["may"]
    assert milter.call("sender", "nobody@tinhmau.example", "binhtv")["kind"] == 0
    got = milter.call("sender", "citizen@elsewhere.example", "-")
    assert not got["is_ours"] and got["kind"] == 0


# --- what a client may not do

def test_roles_are_kept_apart(lookup, tmp_path):
    probe = lookup.probe("milter")
    assert probe.call("sender", "binhtv@tinhmau.example", "-")["kind"] == 1
    # ingest may ask for recipients, and has no business with logins: its own library refuses, and the server would too
    ingest = lookup.probe("ingest")
    assert accounts(ingest.call("rcpt", "binhtv@tinhmau.example")) == ["p-000001"]
    assert ingest.plain("binhtv", BINH).get("result") != "ok"


# --- outages

def wait_for(check, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.2)
    return False


def test_ldap_down_is_temporary(site, tmp_path):
    lk = Lookup(tmp_path / "run", [site.uri], password=secret(site))
    try:
        imapd, smtpd, milter = (lk.probe(r) for r in ("imapd", "smtpd", "milter"))
        assert imapd.plain("binhtv", BINH)["result"] == "ok"
        site.stop()
        for got in (imapd.plain("binhtv", BINH), imapd.plain("nobody", "x"), imapd.scram("binhtv", BINH), smtpd.call("rcpt", MAIL % "nobody"),
                    milter.call("sender", MAIL % "binhtv", "binhtv")):
            assert got["err"] == "temp", got
        assert smtpd.call("rcpt", "x@elsewhere.example")["kind"] == 2
        site.start()
        assert imapd.plain("binhtv", BINH)["result"] == "ok"
        assert smtpd.call("rcpt", MAIL % "nobody")["kind"] == 3
        # a restart between two requests is not noticed
        site.stop()
        site.start()
        assert imapd.plain("binhtv", BINH)["result"] == "ok"
        assert smtpd.call("rcpt", MAIL % "binhtv")["kind"] == 1
        assert milter.call("sender", MAIL % "binhtv", "binhtv")["may"]
    finally:
        site.start()
        assert lk.close() == 0


def test_ldap_that_does_not_answer(site, tmp_path):
    lk = Lookup(tmp_path / "run", [site.uri], password=secret(site))
    try:
        smtpd = lk.probe("smtpd")
        assert smtpd.call("rcpt", MAIL % "binhtv")["kind"] == 1
        site.pause(True)
        try:
            start = time.monotonic()
            ids = [smtpd.ask("rcpt", MAIL % "binhtv") for _ in range(50)]
            for id in ids:
                assert smtpd.wait(id)["err"] == "temp"
            assert time.monotonic() - start < 12  # not 50 time-outs one after the other
        finally:
            site.pause(False)
        assert wait_for(lambda: smtpd.call("rcpt", MAIL % "binhtv")["err"] is None)
    finally:
        assert lk.close() == 0


def test_lookup_is_killed(site, tmp_path):
    """Requests in flight get a temporary error; the next ones wait for the new process."""
    lk = Lookup(tmp_path / "run", [site.uri], password=secret(site))
    try:
        imapd, smtpd = lk.probe("imapd"), lk.probe("smtpd")
        assert smtpd.call("rcpt", MAIL % "binhtv")["kind"] == 1
        half = imapd.ask("start", "LOGIN", "1", "-")
        assert imapd.wait(half)["result"] == "more"
        site.pause(True)
        try:
            ids = [(smtpd, smtpd.ask("rcpt", MAIL % "binhtv")), (imapd, imapd.ask("start", "PLAIN", "1", ("\0binhtv\0" + BINH).encode().hex()))]
            time.sleep(0.3)
            lk.proc.kill()
            lk.proc.wait()
            for probe, id in ids:
                assert probe.wait(id)["err"] == "temp"
        finally:
            site.pause(False)
        later = smtpd.ask("rcpt", MAIL % "binhtv")
        lk.start()
        assert smtpd.wait(later)["kind"] == 1
        assert imapd.plain("binhtv", BINH)["result"] == "ok"
        # an exchange ends with the process that held it
        imapd.ask("step", b"binhtv".hex(), id=half)
        assert imapd.wait(half)["err"] == "temp"
    finally:
        assert lk.close() == 0


class BadServer(threading.Thread):
    """A directory that answers with junk, or hangs up at once, or with half a message."""

    def __init__(self, reply):
        super().__init__(daemon=True)
        self.reply = reply
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.uri = "ldap://127.0.0.1:%d" % self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            with c:
                if self.reply is not None:
                    c.recv(4096)
                    c.sendall(self.reply)


@pytest.mark.parametrize("reply", [None, b"HTTP/1.0 400 no\r\n\r\n", b"\x30\x84\xff\xff\xff\xff", b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00",
                                   b"\x30\x80" * 1000, b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x35\x04\x00\x04\x00", b"\0" * 5000])
def test_directory_that_talks_nonsense(site, tmp_path, reply):
    bad = BadServer(reply)
    for uris, want in (([bad.uri], "temp"), ([bad.uri, site.uri], None)):
        lk = Lookup(tmp_path / ("run%d" % len(uris)), uris, password=secret(site))
        try:
            assert lk.probe("smtpd").call("rcpt", MAIL % "binhtv")["err"] == want
            assert lk.probe("imapd").plain("binhtv", BINH)["err"] == want
        finally:
            assert lk.close() == 0
    bad.socket.close()


def test_wrong_service_password_is_temporary(site, tmp_path):
    lk = Lookup(tmp_path / "run", [site.uri], password="not this")
    try:
        assert lk.probe("imapd").plain("binhtv", BINH)["err"] == "temp"
        assert lk.probe("smtpd").call("rcpt", MAIL % "nobody")["err"] == "temp"
    finally:
        lk.close()


def test_base_that_is_not_there_is_temporary(site, tmp_path):
    lk = Lookup(tmp_path / "run", [site.uri], base="o=khac," + BASE, password=secret(site))
    try:
        assert lk.probe("smtpd").call("rcpt", MAIL % "nobody")["err"] == "temp"
    finally:
        lk.close()


def test_failover_to_the_second_server(site, tmp_path):
    second = Slapd(tmp_path / "ldap2")
    second.add(province())
    shutil.copy(site.dir / "lookup.password", second.dir / "lookup.password")
    second.modify("dn: vnStaffId=000002,ou=people,%s\nchangetype: modify\nreplace: displayName\ndisplayName: Second\n" % BASE)
    # the second server's service account has a password of its own: give it the first one's
    second.stop()
    subprocess.run("slapmodify -q -f slapd.conf", shell=True, cwd=second.dir, check=True, text=True,
                   input="dn: cn=lookup,ou=services,%s\nchangetype: modify\nreplace: userPassword\nuserPassword: %s\n" % (BASE, secret(site)))
    if os.getuid() == 0:
        shutil.chown(second.dir / "db/data.mdb", "openldap", "openldap")
        shutil.chown(second.dir / "db/lock.mdb", "openldap", "openldap")
    second.start()
    lk = Lookup(tmp_path / "run", ["ldap://127.0.0.1:%d" % free_port(), site.uri, second.uri], password=secret(site))
    try:
        imapd, smtpd = lk.probe("imapd"), lk.probe("smtpd")
        name = smtpd.call("rcpt", MAIL % "huonglt")["targets"][0]["name"]
        assert name == "Lê Thị Hường (SKHCN)"
        site.stop()
        assert smtpd.call("rcpt", MAIL % "huonglt")["targets"][0]["name"] == "Second"
        assert imapd.plain("huonglt", "ascii-Password-2")["login"]["name"] == "Second"
        second.stop()
        assert smtpd.call("rcpt", MAIL % "huonglt")["err"] == "temp"
        second.start()
        assert smtpd.call("rcpt", MAIL % "huonglt")["kind"] == 1
    finally:
        site.start()
        second.stop()
        assert lk.close() == 0


# --- TLS to the directory

def test_starttls_and_ldaps(tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem",
                    "-subj", "/CN=slapd", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"], check=True, capture_output=True)
    plain, tls = free_port(), free_port()
    slapd = Slapd.__new__(Slapd)
    slapd.dir, slapd.base = tmp_path / "ldap", BASE
    slapd.uri = "ldap://127.0.0.1:%d" % plain
    slapd.run("init", "--base", BASE, "--tls-cert", tmp_path / "cert.pem", "--tls-key", tmp_path / "key.pem")
    slapd.run("start", "--uri", "ldap://127.0.0.1:%d/ ldaps://127.0.0.1:%d/" % (plain, tls))
    try:
        slapd.add(person_ldif(1, "Trần Văn Bình", "binhtv", BINH))
        for uri, starttls, ca, works in (("ldap://127.0.0.1:%d" % plain, "true", "cert.pem", True),
                                         ("ldaps://127.0.0.1:%d" % tls, "false", "cert.pem", True),
                                         ("ldaps://localhost:%d" % tls, "false", "cert.pem", False),  # another name than the certificate's
                                         ("ldaps://127.0.0.1:%d" % tls, "false", "", False)):  # no anchor for it
            lk = Lookup(tmp_path / ("run%d" % time.monotonic_ns()), [uri], password=secret(slapd),
                        more='ldap_starttls = %s\nldap_ca_file = "%s"\n' % (starttls, tmp_path / ca if ca else ""))
            try:
                got = lk.probe("imapd").plain("binhtv", BINH)
                assert got["err"] == (None if works else "temp"), (uri, lk.log_text()[-1000:])
            finally:
                lk.close()
    finally:
        slapd.stop()


# --- another tree, by configuration alone

PLAIN_CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile slapd.pid
loglevel none
database mdb
suffix "dc=cty,dc=example"
rootdn "cn=root,dc=cty,dc=example"
rootpw root
directory db
maxsize 104857600
index objectClass,uid,mail,cn,member eq
access to attrs=userPassword by anonymous auth by * none
access to * by * read
"""
PLAIN_LDIF = """
dn: dc=cty,dc=example
objectClass: dcObject
objectClass: organization
o: Cty
dc: cty

dn: uid=An.Nguyen,dc=cty,dc=example
objectClass: inetOrgPerson
uid: An.Nguyen
cn: An
sn: Nguyen
mail: an@tinhmau.example
userPassword: plain-tree-1

dn: uid=weird id_with/slash,dc=cty,dc=example
objectClass: inetOrgPerson
uid: weird id_with/slash
cn: Weird
sn: W
mail: weird@tinhmau.example
userPassword: plain-tree-2

dn: cn=all,dc=cty,dc=example
objectClass: groupOfNames
cn: all
description: all@tinhmau.example
member: uid=An.Nguyen, dc=cty, dc=example
member: uid=weird id_with/slash,dc=cty,dc=example

dn: cn=info,dc=cty,dc=example
objectClass: applicationProcess
objectClass: simpleSecurityObject
objectClass: uidObject
cn: info
uid: info
description: info@tinhmau.example
seeAlso: cn=all,dc=cty,dc=example
userPassword: x
"""
EXAMPLES = TOP / "ldap-schema/examples"
# beside the example: an office whose address a group holds
PLAIN_OPTIONS = (EXAMPLES / "inetorgperson.conf").read_text().replace('dir_attr_func_account = ""\n', "").replace('dir_func_filter = ""', """
dir_func_filter = "(&(objectClass=applicationProcess)(seeAlso=%d))"
dir_func_roster = {"seeAlso:lrswi:send"}
dir_attr_func_account = "uid"
""").replace('dir_attr_alias = ""', 'dir_attr_alias = "description"')
PLAIN_OPTIONS = re.sub("sasl_mechs.*", "", PLAIN_OPTIONS)


def other_slapd(folder, conf, ldif):
    (folder / "db").mkdir(parents=True)
    (folder / "slapd.conf").write_text(conf)
    subprocess.run(["/usr/sbin/slapadd", "-q", "-f", "slapd.conf"], cwd=folder, input=ldif, text=True, check=True)
    (folder / ".made").touch()
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "openldap:openldap", folder], check=True)
    slapd = Slapd.__new__(Slapd)
    slapd.dir, slapd.uri = folder, "ldap://127.0.0.1:%d" % free_port()
    slapd.start()
    return slapd


def test_plain_tree_by_configuration(tmp_path):
    slapd = other_slapd(tmp_path / "plain", PLAIN_CONF, PLAIN_LDIF)
    lk = Lookup(tmp_path / "run", [slapd.uri], base="dc=cty,dc=example", bind_dn="", more=PLAIN_OPTIONS)
    try:
        imapd, smtpd = lk.probe("imapd"), lk.probe("smtpd")
        login = imapd.plain("an@tinhmau.example", "plain-tree-1")["login"]
        assert login["account"] == "p-an.nguyen" and login["login"] == "An.Nguyen" and login["name"] == "An"
        # through the group "all", whose member is spelled with other spaces
        assert [(x["account"], x["rights"]) for x in login["shares"]] == [("f-info", "lrswi")]
        assert imapd.plain("an@tinhmau.example", "plain-tree-2")["err"] == "auth"
        account = imapd.plain("weird id_with/slash", "plain-tree-2")["login"]["account"]
        assert re.fullmatch(r"p-h[0-9a-f]{32}", account)
        assert accounts(smtpd.call("rcpt", "all@tinhmau.example")) == sorted(["p-an.nguyen", account])
        assert lk.probe("milter").call("sender", "an@tinhmau.example", "An.Nguyen")["may"]
        # without keys in the directory SCRAM fails as a wrong password does
        assert imapd.scram("an@tinhmau.example", "plain-tree-1")["err"] == "auth"
    finally:
        lk.close()
        slapd.stop()


def test_groups_by_member_of(tmp_path):
    """slapd's own memberOf; what the groups say themselves is not looked at. Nested, and further values of mail as aliases."""
    conf = PLAIN_CONF.replace("moduleload back_mdb", "moduleload back_mdb\nmoduleload memberof") + "overlay memberof\n"
    ldif = PLAIN_LDIF.replace("mail: an@tinhmau.example\n", "mail: an@tinhmau.example\nmail: An.Nguyen@tinhmau.example\n") + """
dn: uid=out,dc=cty,dc=example
objectClass: inetOrgPerson
uid: out
cn: Out
sn: O
mail: out@tinhmau.example

dn: cn=whole,dc=cty,dc=example
objectClass: groupOfNames
cn: whole
description: whole@tinhmau.example
member: cn=all,dc=cty,dc=example
member: uid=out,dc=cty,dc=example
"""
    base, late = ldif.split("dn: cn=all,", 1)
    slapd = other_slapd(tmp_path / "plain", conf, base)
    # slapadd does not run overlays
    r = subprocess.run(["ldapadd", "-x", "-H", slapd.uri, "-D", "cn=root,dc=cty,dc=example", "-w", "root"], text=True,
                       input="dn: cn=all," + late, capture_output=True)
    assert r.returncode == 0, r.stderr
    more = PLAIN_OPTIONS + 'dir_attr_member_of = "memberOf"\ndir_attr_member = {"owner"}\n'
    more = re.sub("dir_group_filter.*", 'dir_group_filter = ""', more)
    lk = Lookup(tmp_path / "run", [slapd.uri], base="dc=cty,dc=example", bind_dn="", more=more)
    try:
        smtpd = lk.probe("smtpd")
        assert len(accounts(smtpd.call("rcpt", "all@tinhmau.example"))) == 2
        got = accounts(smtpd.call("rcpt", "whole@tinhmau.example"))
        assert len(got) == 3 and {"p-an.nguyen", "p-out"} < set(got)
        assert accounts(smtpd.call("rcpt", "an.nguyen@tinhmau.example")) == ["p-an.nguyen"]
        login = lk.probe("imapd").plain("an.nguyen@tinhmau.example", "plain-tree-1")["login"]
        assert [x["account"] for x in login["shares"]] == ["f-info"]
    finally:
        lk.close()
        slapd.stop()


# the few definitions of Active Directory's schema that matter here (Debian's msuser.schema has them without matching rules)
AD_CONF = PLAIN_CONF.replace("modulepath", """
attributetype ( 1.1.1 NAME 'sAMAccountName' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.1.2 NAME 'userPrincipalName' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
attributetype ( 1.1.3 NAME 'proxyAddresses' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.1.4 NAME 'userAccountControl' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
attributetype ( 1.1.5 NAME 'objectGUID' EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
attributetype ( 1.1.6 NAME 'department' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
objectclass ( 1.1.7 NAME 'user' SUP organizationalPerson STRUCTURAL MUST ( objectGUID $ sAMAccountName )
 MAY ( userPrincipalName $ proxyAddresses $ userAccountControl $ department $ mail $ displayName ) )
objectclass ( 1.1.8 NAME 'group' SUP top STRUCTURAL MUST ( cn $ sAMAccountName ) MAY ( member $ mail $ proxyAddresses ) )
modulepath""").replace("uid,mail,cn,member", "mail,cn,member,sAMAccountName,proxyAddresses")
AD_LDIF = """
dn: dc=cty,dc=example
objectClass: dcObject
objectClass: organization
o: Cty
dc: cty

dn: cn=Nguyen An,dc=cty,dc=example
objectClass: user
cn: Nguyen An
sn: Nguyen
displayName: An
objectGUID:: AAECAwQFBgcICQoLDA0ODw==
sAMAccountName: an.nguyen
userPrincipalName: an@cty.example
userAccountControl: 512
mail: an@tinhmau.example
proxyAddresses: SMTP:an@tinhmau.example
proxyAddresses: smtp:nguyen.an@tinhmau.example
department: H99.02
userPassword: ad-password-1

dn: cn=Off,dc=cty,dc=example
objectClass: user
cn: Off
sn: Off
objectGUID:: EAECAwQFBgcICQoLDA0ODw==
sAMAccountName: off
userAccountControl: 514
mail: off@tinhmau.example
userPassword: ad-password-2

dn: cn=Team,dc=cty,dc=example
objectClass: group
cn: Team
sAMAccountName: team
mail: team@tinhmau.example
member: cn=Nguyen An,dc=cty,dc=example
member: cn=Off,dc=cty,dc=example
"""


def test_active_directory_shape_by_configuration(tmp_path):
    """Attributes and classes as Active Directory names them, by the example file."""
    slapd = other_slapd(tmp_path / "ad", AD_CONF, AD_LDIF)
    options = re.sub("sasl_mechs.*", "", (EXAMPLES / "active-directory.conf").read_text())
    lk = Lookup(tmp_path / "run", [slapd.uri], base="dc=cty,dc=example", bind_dn="", more=options)
    try:
        imapd, smtpd = lk.probe("imapd"), lk.probe("smtpd")
        for name in ("AN.Nguyen", "an@cty.example", "an@tinhmau.example"):
            login = imapd.plain(name, "ad-password-1")["login"]
            assert login["login"] == "an.nguyen" and re.fullmatch(r"p-h[0-9a-f]{32}", login["account"])
        assert [i["address"] for i in login["identities"]] == ["an@tinhmau.example", "nguyen.an@tinhmau.example"]
        assert imapd.plain("off", "ad-password-2")["err"] == "auth"
        assert accounts(smtpd.call("rcpt", "nguyen.an@tinhmau.example")) == [login["account"]]
        assert smtpd.call("rcpt", "off@tinhmau.example")["kind"] == 3
        assert accounts(smtpd.call("rcpt", "team@tinhmau.example")) == [login["account"]]
        got = lk.probe("milter").call("sender", "nguyen.an@tinhmau.example", "an.nguyen")
        assert got["may"] and got["agency"] == "H99.02"
    finally:
        lk.close()
        slapd.stop()


@pytest.mark.parametrize("line", ['dir_login_filter = "(uid=%x)"', 'dir_rcpt_filter = "mail=%s"', 'dir_func_roster = {"vnHolder"}', 'dir_delegation_filter = "x"',
                                  'dir_func_roster = {"vnHolder:lrz"}', 'sasl_mechs = {"NO-SUCH"}', 'ldap_uris = {"http://x"}'])
def test_bad_configuration_is_found_at_start(site, tmp_path, line):
    lk = Lookup(tmp_path / "run", [site.uri], password=secret(site), more=line + "\n")
    assert lk.proc.wait(10) == 78
    lk.close()
    assert "level=error" in lk.log_text()


# --- password policy

def test_lock_out(site, tmp_path):
    site.add(person_ldif(77, "Khóa Thử", "khoathu", "lock-me-Out-1"))
    lk = Lookup(tmp_path / "run", [site.uri], password=secret(site))
    try:
        imapd = lk.probe("imapd")
        assert imapd.scram("khoathu", "lock-me-Out-1")["server_ok"]
        ids = [imapd.ask("start", "PLAIN", "1", b"\0khoathu\0bad".hex()) for _ in range(25)]
        for id in ids:
            assert imapd.wait(id)["err"] in ("auth", "limit")
        # not looked at, right or wrong
        assert imapd.plain("khoathu", "lock-me-Out-1")["err"] == "limit"
        assert imapd.scram("khoathu", "lock-me-Out-1")["err"] == "limit"
    finally:
        lk.close()


def test_keys_of_an_earlier_password_are_ignored(site, imapd):
    site.add(person_ldif(78, "Đổi Mật Khẩu", "khaudm", "first-Password-1", extra="vnScramTime: 20200101000000Z\n"))
    assert imapd.scram("khaudm", "first-Password-1")["server_ok"]
    # somebody changes the password past congvu: the keys stay behind (ldappasswd does this)
    site.modify("dn: %s\nchangetype: modify\nreplace: userPassword\nuserPassword: second-Password-1\n" % person(78))
    assert imapd.plain("khaudm", "second-Password-1")["result"] == "ok"
    assert imapd.scram("khaudm", "first-Password-1")["err"] == "auth"


def test_changes_count_at_once(site, imapd):
    """A verified login is remembered for a minute, unless anything of the person changes."""
    site.add(person_ldif(79, "Nhớ Đăng Nhập", "nhapnd", "first-Password-1"))
    for _ in range(3):
        assert imapd.plain("nhapnd", "first-Password-1")["result"] == "ok"
        assert imapd.plain("nhapnd", "first-Password-2")["err"] == "auth"
    site.modify("dn: %s\nchangetype: modify\nreplace: userPassword\nuserPassword: other-Password-1\n" % person(79))
    assert imapd.plain("nhapnd", "first-Password-1")["err"] == "auth"
    assert imapd.plain("nhapnd", "other-Password-1")["result"] == "ok"
    site.modify("dn: %s\nchangetype: modify\nreplace: vnStatus\nvnStatus: suspended\n" % person(79))
    assert imapd.plain("nhapnd", "other-Password-1")["err"] == "locked" and imapd.plain("nhapnd", "first-Password-1")["err"] == "auth"


# --- groups by rule

def test_groups_by_rule(site, smtpd):
    """Each kind of rule that a group has must be met; who has left is in none; a post elsewhere counts where no title or role is
    asked for (those are the own agency's to give); nothing matches a star."""
    def someone(n, agency, title, role, more=""):
        return person_ldif(n, "Người Số %d" % n, "quytac%d" % n, "x" * 8, scram=False, extra="title: %s\nvnRole: %s\n%s" % (title, role, more)).replace(
            "vnAgencyRef: H99.02", "vnAgencyRef: " + agency)
    names = ("agency", "kind", "two", "both", "titled", "none", "star", "nested")
    site.add("".join("dn: vnAgencyCode=%s,ou=agencies,%s\nobjectClass: organizationalUnit\nobjectClass: vnAgency\nou: x\nvnAgencyCode: %s\nvnAgencyKind: %s\n\n" % (
        c, BASE, c, k) for c, k in (("H99.30", "sector"), ("H99.31", "sector"), ("H99.32", "board"))) +
        someone(300, "H99.30", "Giám đốc", "head") + someone(301, "H99.30", "Văn thư", "clerk") + someone(302, "H99.31", "Văn thư", "clerk") +
        someone(303, "H99.32", "Văn thư", "clerk", "vnConcurrentAgency: H99.30\n") + someone(304, "H99.30", "Văn thư", "clerk").replace("vnStatus: active", "vnStatus: closed") +
        "".join(group_ldif("qt-" + n, ["cn=nobody"] + (["cn=qt-both,ou=groups," + BASE] if n == "nested" else []), "qt-%s@tinhmau.example" % n).rstrip("\n") + "\n" + rules + "\n"
                for n, rules in zip(names, (
                    "vnMemberAgency: H99.30\n", "vnMemberKind: sector\n", "vnMemberAgency: H99.31\nvnMemberAgency: h99.32\n", "vnMemberKind: sector\nvnMemberRole: clerk\n",
                    "vnMemberTitle: giám đốc\n", "vnMemberKind: commune\n", "vnMemberAgency: *\n", ""))))

    def who(name):
        got = smtpd.call("rcpt", "qt-%s@tinhmau.example" % name)
        return sorted(int(t["account"][2:]) for t in got["targets"]) if got["kind"] != 3 else None
    assert [who(n) for n in names] == [[300, 301, 303], [300, 301, 302, 303], [302, 303], [301, 302], [300], None, None, [301, 302]]


# --- slapd: schema and access

def test_registry_of_oids():
    schema = (TOP / "ldap-schema/congvu.schema").read_text()
    found = {(kind, int(n), name) for kind, n, name in re.findall(r"\( congvu(Attr|Class):(\d+) NAME '(\w+)'", schema)}
    rows = [line.split("\t") for line in (TOP / "ldap-schema/oids.tsv").read_text().splitlines() if not line.startswith("#")]
    assert found == {({"1": "Attr", "2": "Class"}[r[0].split(".")[0]], int(r[0].split(".")[1]), r[2]) for r in rows}
    assert len({r[0] for r in rows}) == len(rows)


def test_cn_config_form(tmp_path):
    made = subprocess.run(["awk", "-v", "name=congvu", "-f", TOP / "ldap-schema/schema2ldif.awk", TOP / "ldap-schema/congvu.schema"],
                          capture_output=True, text=True, check=True).stdout
    assert made == (TOP / "ldap-schema/congvu.ldif").read_text(), "make schema-ldif"
    config = "dn: cn=config\nobjectClass: olcGlobal\ncn: config\n\ndn: cn=schema,cn=config\nobjectClass: olcSchemaConfig\ncn: schema\n\n"
    config += "\n".join(pathlib.Path("/etc/ldap/schema", n + ".ldif").read_text() + "\n" for n in ("core", "cosine", "inetorgperson"))
    (tmp_path / "conf").mkdir()
    (tmp_path / "all.ldif").write_text(config + made)
    subprocess.run(["/usr/sbin/slapadd", "-n0", "-F", tmp_path / "conf", "-l", tmp_path / "all.ldif"], check=True, capture_output=True)


def search(slapd, bind, password, filt, *attrs):
    auth = ["-D", bind, "-w", password] if bind else []
    r = subprocess.run(["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", slapd.uri, *auth, "-b", BASE, filt, *attrs],
                       capture_output=True, text=True)
    return r.stdout


def test_access(site):
    hr = (site.dir / "hr.password").read_text()
    who = {"anonymous": ("", ""), "staff": (person(2), "ascii-Password-2"), "self": (person(1), unicodedata.normalize("NFKC", BINH)),
           "hr": ("cn=hr,ou=services," + BASE, hr), "lookup": ("cn=lookup,ou=services," + BASE, secret(site))}
    for name, (bind, password) in who.items():
        text = search(site, bind, password, "(uid=binhtv)", "*", "+")
        assert "userPassword" not in text, name
        assert ("authPassword" in text) == (name == "lookup"), name
        assert ("mail: binhtv@" in text) == (name != "anonymous"), name
        assert ("vnStatus" in text) == (name in ("hr", "lookup", "self")), name
        assert not re.search("ou=services|simpleSecurityObject", search(site, bind, password, "(objectClass=*)", "dn", "userPassword")), name
    # nobody but HR writes, not even one's own password: keys and hash are kept in step by congvu
    for bind, password in (who["staff"], who["lookup"]):
        for change in ("replace: mail\nmail: x@tinhmau.example\n", "replace: userPassword\nuserPassword: abcdefgh1\n"):
            r = subprocess.run(["ldapmodify", "-x", "-H", site.uri, "-D", bind, "-w", password], capture_output=True, text=True,
                               input="dn: %s\nchangetype: modify\n%s" % (person(2), change))
            assert r.returncode == 50, r.stderr
    r = site.as_hr("ldapmodify", data="dn: cn=lookup,ou=services,%s\nchangetype: modify\nreplace: userPassword\nuserPassword: x\n" % BASE, check=False)
    assert r.returncode in (32, 50)
    assert "{SSHA512}" in subprocess.run(["/usr/sbin/slapcat", "-f", "slapd.conf", "-a", "(uid=huonglt)", "-o", "ldif-wrap=no"], cwd=site.dir,
                                         capture_output=True, text=True).stdout.replace("e1NTSEE1MTJ9", "{SSHA512}")


def test_addresses_are_unique(site):
    r = site.as_hr("ldapadd", data=person_ldif(99, "Ai Đó", "aido", "abcdefgh1").replace("aido@", "binhtv@"), check=False)
    assert r.returncode == 19
    r = site.as_hr("ldapadd", data=person_ldif(98, "Ai Đó", "binhtv", "abcdefgh1").replace("mail: binhtv@", "mail: other@"), check=False)
    assert r.returncode == 19


def test_address_book_finds_names_without_marks(site):
    site.modify("dn: %s\nchangetype: modify\nadd: displayName;x-fold\ndisplayName;x-fold: Tran Van Binh (SKHCN)\n" % person(1))
    for filt in ("(displayName=*binh*)", "(displayName=*Bình*)", "(displayName=tran*)"):
        assert "binhtv@" in search(site, person(2), "ascii-Password-2", filt, "mail"), filt


def test_link_set():
    needed = subprocess.run(["readelf", "-d", BUILD / "congvu-lookup"], capture_output=True, text=True, check=True).stdout
    assert "libldap" in needed and "libsasl2" in needed and "libdb" not in needed


# --- congvu agency, congvu staff

@pytest.fixture
def ctl(site, tmp_path):
    lk = Lookup(tmp_path / "run", [site.uri], password=secret(site),
                more='admin_bind_dn = "cn=hr,ou=services,%s"\nadmin_password_file = "%s"\ndirectory_journal = "%s"\n' % (
                    BASE, site.dir / "hr.password", tmp_path / "journal.jsonl"))

    def run(*args, data=None, code=0):
        r = subprocess.run([BUILD / "congvu", "-c", lk.dir / "congvu.conf", "--json", *map(str, args)], input=data, capture_output=True, text=True)
        assert r.returncode == code, r.stdout + r.stderr
        return json.loads(r.stdout) if r.stdout else r.stderr
    run.lookup = lk
    yield run
    assert lk.close() == 0


AGENCY = ("agency", "add", "--code", "H99.07", "--name", "Sở Thử nghiệm", "--abbrev", "STN", "--kind", "dept", "--mailbox",
          "vanthu.stn@tinhmau.example", "--decision", "15/QĐ-UBND")


def hire(name="Đặng Thị Thu Hường", agency="H99.07", role="staff", decision="16/QĐ-UBND", *more):
    return ("staff", "hire", "--name", name, "--agency", agency, "--role", role, "--decision", decision, "--title", "Chuyên viên", *more)


def ldif(site, filt):
    return subprocess.run(["/usr/sbin/slapcat", "-f", "slapd.conf", "-a", filt, "-o", "ldif-wrap=no"], cwd=site.dir, capture_output=True,
                          text=True).stdout


def test_agency(ctl, site, tmp_path):
    (tmp_path / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n" % b64(CERT))
    assert ctl(*AGENCY)["result"] == "added"
    before = ldif(site, "(vnAgencyRef=H99.07)")
    assert ctl(*AGENCY)["result"] == "unchanged"
    assert ldif(site, "(vnAgencyRef=H99.07)") == before
    assert ctl(*AGENCY, "--mailbox-cert", tmp_path / "cert.pem")["result"] == "changed"
    assert ctl(*AGENCY, "--mailbox-cert", tmp_path / "cert.pem")["result"] == "unchanged"
    assert ctl("agency", "add", "--code", "H99.07.01", "--name", "Phòng Một", "--abbrev", "P1", "--kind", "board", "--parent", "H99.07",
               "--decision", "15/QĐ-UBND")["result"] == "added"
    listed = {a["code"]: a for a in ctl("agency", "list")}
    assert listed["H99.07"]["mailbox"] == "vanthu.stn@tinhmau.example" and listed["H99.07"]["parent"] is None
    assert listed["H99.07.01"]["parent"] == "H99.07" and listed["H99.07.01"]["mailbox"] is None
    # what is there is not changed in passing
    assert "not \"Tên khác\"" in ctl("agency", "add", "--code", "H99.07", "--name", "Tên khác", "--abbrev", "STN", "--kind", "dept", "--decision", "x",
                                     code=73)
    for bad in (["--code", "h99"], ["--kind", "x"], ["--name", ""], ["--mailbox", "no address"], ["--decision", ""]):
        ctl(*AGENCY, *bad, code=65)
    ctl(*AGENCY, "--code", "H99.08", "--parent", "H77", "--mailbox", "vanthu.st8@tinhmau.example", code=67)
    ctl(*AGENCY, "--code", "H99.09", "--mailbox", "binhtv@tinhmau.example", code=73)  # a person's


def test_hire(ctl, site, tmp_path):
    ctl(*AGENCY)
    (tmp_path / "cert.der").write_bytes(CERT)
    command = hire("Đặng Thị Thu Hường", "H99.07", "clerk", "16/QĐ-UBND", "--cert", tmp_path / "cert.der", "--password-stdin")
    got = ctl(*command, data="Mật khẩu của Hường\n")
    assert got["result"] == "added" and got["mail"] == "huongdtt@tinhmau.example" and got["uid"] == "huongdtt" and "password" not in got
    before = ldif(site, "(objectClass=*)")
    again = ctl(*command, data="Mật khẩu của Hường\n")
    assert again["result"] == "unchanged" and again["id"] == got["id"]
    assert ldif(site, "(objectClass=*)") == before
    entry = ldif(site, "(uid=huongdtt)")
    values = {}
    for line in entry.splitlines():
        key, _, value = line.partition(": ")
        values[key.rstrip(":")] = base64.b64decode(value).decode(errors="replace") if key.endswith(":") else value
    assert values["cn"] == "Đặng Thị Thu Hường" and values["sn"] == "Đặng" and values["givenName"] == "Hường"
    assert values["displayName"] == "Đặng Thị Thu Hường (STN)" and values["displayName;x-fold"] == "Dang Thi Thu Huong (STN)"
    assert values["userPassword"].startswith("{SSHA512}") and values["authPassword"].startswith("SCRAM-SHA-256$4096:")
    assert values["vnDecisionRef"] == "16/QĐ-UBND" and values["vnStatus"] == "active"
    imapd = ctl.lookup.probe("imapd")
    login = imapd.plain("huongdtt", unicodedata.normalize("NFD", "Mật khẩu của Hường"))["login"]
    assert [s["address"] for s in login["shares"]] == ["vanthu.stn@tinhmau.example"]
    assert imapd.scram("huongdtt", "Mật khẩu của Hường")["server_ok"]
    shown = ctl("staff", "show", "huongdtt")
    assert shown["mailboxes"] == ["vanthu.stn@tinhmau.example"] and shown["certificates"] == 1 and shown["id"] == got["id"]
    ctl("staff", "show", "*", code=67)
    assert got["id"] in [p["id"] for p in ctl("staff", "list", "--agency", "H99.07")]


def test_hire_collisions_and_refusals(ctl):
    ctl(*AGENCY)
    first = ctl(*hire("Vũ Văn Trùng"))
    assert first["uid"] == "trungvv" and re.fullmatch(r"([a-z2-9]{4}-){2}[a-z2-9]{4}", first["password"])
    second = ctl(*hire("Vũ Văn Trùng", decision="17/QĐ-UBND"))
    third = ctl(*hire("Vũ Văn Trúng", decision="17/QĐ-UBND"))
    assert (second["uid"], third["uid"]) == ("trungvv.stn", "trungvv.stn2")
    assert len({first["id"], second["id"], third["id"]}) == 3
    # by address: two people of one name, one decision
    a = ctl(*hire("Vũ Văn Trùng", "H99.07", "staff", "18/QĐ", "--mail", "trung.a@tinhmau.example"))
    b = ctl(*hire("Vũ Văn Trùng", "H99.07", "staff", "18/QĐ", "--mail", "trung.b@tinhmau.example"))
    assert a["id"] != b["id"]
    assert ctl(*hire("Vũ Văn Trùng", "H99.07", "staff", "18/QĐ", "--mail", "trung.b@tinhmau.example"))["result"] == "unchanged"
    ctl(*hire("Vũ Văn Khác", "H99.07", "staff", "18/QĐ", "--mail", "trung.b@tinhmau.example"), code=73)
    ctl(*hire("Vũ Văn Trùng", "H99.07", "staff", "18/QĐ"), code=73)  # which of the two?
    # an id given by hand is not given again
    given = ctl(*hire("Lý Tay", "H99.07", "staff", "19/QĐ", "--id", "%06d" % (int(b["id"]) + 1)))
    after = ctl(*hire("Lý Sau", "H99.07", "staff", "19/QĐ"))
    assert after["id"] != given["id"]
    # an address that was somebody's is nobody's
    ctl(*hire("Ai Đó", "H99.07", "staff", "19/QĐ", "--mail", "binh.cu@tinhmau.example"), code=73)
    for bad in (["--name", ""], ["--role", "king"], ["--agency", "H0"], ["--id", "A/B"], ["--mail", "x"], ["--name", "a\nb"], ["--decision", ""],
                ["--cert", "/dev/null"]):
        ctl(*hire("Kẻ Xấu"), *bad, code=67 if bad[0] == "--agency" else 65)
    ctl(*hire("Kẻ Xấu"), "--password-stdin", data="short\n", code=65)
    ctl(*hire("Kẻ Xấu"), "--bind-dn", "cn=lookup,ou=services," + BASE, "--bind-password-file", "/dev/null", code=65)


def test_hire_many(ctl, tmp_path):
    ctl(*AGENCY)
    rows = [{"name": "Nguyễn Văn Số%d" % n, "title": "CV", "password": "mat-khau-%d" % n} for n in range(300)]
    (tmp_path / "list.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    command = ("staff", "hire", "--file", tmp_path / "list.jsonl", "--agency", "H99.07", "--decision", "20/QĐ")
    start = time.monotonic()
    got = ctl(*command)
    assert time.monotonic() - start < 30
    assert len(got) == 300 and {g["result"] for g in got} == {"added"} and len({g["id"] for g in got}) == 300
    assert {g["result"] for g in ctl(*command)} == {"unchanged"}
    assert ctl.lookup.probe("imapd").scram(got[299]["uid"], "mat-khau-299")["server_ok"]
    # HR's own list: semicolons, BOM, CRLF, Vietnamese heads (decomposed), a column that is not ours; bad rows do not stop the others
    csv = "\ufeffSTT;Họ và tên;Ngày sinh;Số hiệu CBCCVC;Chức vụ;Mã đơn vị;Số quyết định\r\n" \
          '1;"Hồ Thị ""Bé""";01/02/1990;0012;Chuyên viên;H99.07;21/QĐ\r\n2;;;;;H99.07;21/QĐ\r\n3;Cao Xa;;;Chuyên viên;H00;21/QĐ\r\n\r\n'
    (tmp_path / "list.csv").write_text(unicodedata.normalize("NFD", csv), newline="")
    got = ctl("staff", "hire", "--file", tmp_path / "list.csv", code=67)
    assert [g["result"] for g in got] == ["added", "failed", "failed"] and got[0]["name"] == unicodedata.normalize("NFD", 'Hồ Thị "Bé"')
    assert [g.get("line") for g in got] == [None, 3, 4]
    (tmp_path / "bad.csv").write_text('name,agency\n"open')
    assert "line 2" in ctl("staff", "hire", "--file", tmp_path / "bad.csv", code=65)


def test_congvu_without_a_directory(ctl, site):
    site.stop()
    try:
        ctl("agency", "list", code=75)
        ctl(*hire("Không Ai"), code=75)
    finally:
        site.start()
