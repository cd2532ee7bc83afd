"""Passwords: set by congvu, first ones on slips, the password policy over every mechanism, and the answers that mail clients get."""

import base64
import json
import os
import socket
import subprocess
import time
import unicodedata

import client
import pytest

from slapd import BASE, BUILD, Lookup, Slapd, person_ldif

FIRST = "Mật khẩu thứ nhất"
FORMS = ("NFC", "NFD", "NFKC", "NFKD")


def person(n):
    return "vnStaffId=%06d,ou=people,%s" % (n, BASE)


def stamp(seconds):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    slapd = Slapd(tmp_path_factory.mktemp("password") / "ldap")
    slapd.add("".join(person_ldif(n, "Người Thứ %d" % n, "user%d" % n, FIRST) for n in range(1, 31)))
    yield slapd
    slapd.stop()


@pytest.fixture(scope="module")
def lookup(site, tmp_path_factory):
    lk = Lookup(tmp_path_factory.mktemp("password-lookup") / "run", [site.uri], password=(site.dir / "lookup.password").read_text(),
                more='admin_bind_dn = "cn=hr,ou=services,%s"\nadmin_password_file = "%s"\n' % (BASE, site.dir / "hr.password"))
    yield lk
    assert lk.close() == 0


@pytest.fixture
def imapd(lookup):
    return lookup.probe("imapd")


@pytest.fixture
def ctl(lookup):
    def run(*args, data=None, code=0):
        r = subprocess.run([BUILD / "congvu", "-c", lookup.dir / "congvu.conf", "--json", *map(str, args)], input=data, capture_output=True,
                           text=True, timeout=60)
        assert r.returncode == code, r.stdout + r.stderr
        return json.loads(r.stdout) if r.stdout else r.stderr
    return run


def change(site, n, text):
    """An attribute of a person, by slapd's own administrator: what slapd itself would write in time."""
    site.stop()
    subprocess.run(["/usr/sbin/slapmodify", "-q", "-f", "slapd.conf"], cwd=site.dir, check=True, text=True, timeout=60,
                   input="dn: %s\nchangetype: modify\n%s\n" % (n if isinstance(n, str) else person(n), text))
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "openldap:openldap", site.dir / "db"], check=True)
    site.start()


def wait_up(imapd):
    """lookup's connections have found the server again."""
    end = time.monotonic() + 10
    while imapd.plain("user30", FIRST)["err"] == "temp":
        assert time.monotonic() < end
        time.sleep(0.05)


# --- setting

@pytest.mark.parametrize("form", FORMS)
def test_set_in_one_form_signs_in_in_each(ctl, imapd, site, form):
    n = 1 + FORMS.index(form)
    word = "Đường về quê Mẹ ﬁ %d" % n
    got = ctl("password", "set", "user%d" % n, "--password-stdin", data=unicodedata.normalize(form, word) + "\n")
    assert got == {"result": "changed", "id": "%06d" % n, "mail": "user%d@tinhmau.example" % n, "must_change": False}
    for other in FORMS:
        typed = unicodedata.normalize(other, word)
        assert imapd.plain("user%d" % n, typed)["result"] == "ok", other
        assert imapd.login("user%d" % n, typed)["result"] == "ok", other
        assert imapd.scram("user%d" % n, typed)["server_ok"], other
    assert imapd.plain("user%d" % n, FIRST)["err"] == "auth" and imapd.scram("user%d" % n, FIRST)["err"] == "auth"
    # hash and keys came in one change of the entry
    entry = subprocess.run(["/usr/sbin/slapcat", "-f", "slapd.conf", "-a", "(uid=user%d)" % n, "-o", "ldif-wrap=no"], cwd=site.dir,
                           capture_output=True, text=True, timeout=60).stdout
    values = dict(line.split(": ", 1) for line in entry.splitlines() if ": " in line)
    assert abs(int(values["pwdChangedTime"][:14]) - int(values["vnScramTime"][:14])) <= 2
    assert base64.b64decode(values["userPassword:"]).startswith(b"{SSHA512}")
    assert word not in entry


def test_refusals(ctl, site):
    assert "shorter than 8" in ctl("password", "set", "user5", "--password-stdin", data="ngắn\n", code=65)
    assert "RFC 4013" in ctl("password", "set", "user5", "--password-stdin", data="có \x07 chuông\n", code=65)
    ctl("password", "set", "nobody", "--password-stdin", data="dài đủ rồi\n", code=67)
    ctl("password", "set", "*", "--password-stdin", data="dài đủ rồi\n", code=67)
    ctl("password", "set", code=64)
    ctl("password", "slip", "user5", code=64)
    # without a terminal nothing is asked, and nothing is taken from the command line
    r = subprocess.run(["setsid", BUILD / "congvu", "password", "set", "user5", "Mật-khẩu-1"], capture_output=True, text=True, timeout=60)
    assert r.returncode != 0


# --- first passwords

def page_of(path):
    text = path.read_text()
    return {line.split(":", 1)[0].strip(): line.split(":", 1)[1].strip() for line in text.splitlines() if ":" in line}


def test_slip_and_first_change(ctl, imapd, site, tmp_path):
    out = tmp_path / "slips"
    assert ctl("password", "slip", "user6", "user7", "--out", out) == [
        {"id": "000006", "mail": "user6@tinhmau.example"}, {"id": "000007", "mail": "user7@tinhmau.example"}]
    assert out.stat().st_mode & 0o777 == 0o600
    assert len(out.read_text().split("\f")) == 3
    (tmp_path / "one").write_text(out.read_text().split("\f")[0])
    page = page_of(tmp_path / "one")
    assert page["Tên đăng nhập"] == "user6" and page["Họ và tên"] == "Người Thứ 6 (SKHCN)"
    first = page["Mật khẩu"]
    # right, and of no use; the wrong one hears nothing of it; the old one is gone
    assert imapd.plain("user6", first)["err"] == "must_change"
    assert imapd.scram("user6", first)["err"] == "must_change"
    assert imapd.plain("user6", first + "x")["err"] == "auth" and imapd.scram("user6", first + "x")["err"] == "auth"
    assert imapd.scram("user6", FIRST)["err"] == "auth"
    ctl("password", "slip", "user6", "--out", out, code=73)  # the file is there: nothing is written over
    assert imapd.plain("user6", first)["err"] == "must_change"
    # changed by whoever knows it
    own = "Của riêng tôi %d" % os.getpid()
    ctl("password", "change", "user6", "--password-stdin", data="%s\n%s\n" % (first + "x", own), code=77)
    ctl("password", "change", "user6", "--password-stdin", data="%s\n%s\n" % (first, first), code=65)
    ctl("password", "change", "user6", "--password-stdin", data="%s\n" % first, code=65)
    assert imapd.plain("user6", first)["err"] == "must_change"
    ctl("password", "change", "user6", "--password-stdin", data="%s\n%s\n" % (first, unicodedata.normalize("NFD", own)))
    assert imapd.plain("user6", own)["result"] == "ok" and imapd.scram("user6", own)["server_ok"]
    assert imapd.plain("user6", first)["err"] == "auth" and imapd.scram("user6", first)["err"] == "auth"


def test_first_password_past_its_days(ctl, imapd, site, tmp_path):
    out = tmp_path / "slip"
    ctl("password", "slip", "user8", "--out", out)
    first = page_of(out)["Mật khẩu"]
    change(site, 8, "replace: pwdChangedTime\npwdChangedTime: %s" % stamp(-8 * 86400))
    assert "7 days" in ctl("password", "change", "user8", "--password-stdin", data="%s\nmật khẩu mới\n" % first, code=77)
    wait_up(imapd)
    assert imapd.plain("user8", first)["err"] == "must_change"


# --- the policy, over a bind and without one

def both(imapd, user, word=FIRST):
    scram = imapd.scram(user, word)
    return imapd.plain(user, word)["err"], scram["err"]


def test_locked_by_an_administrator(ctl, imapd, site):
    site.modify("dn: %s\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n" % person(9))
    assert both(imapd, "user9") == ("locked", "locked")
    assert both(imapd, "user9", "wrong word") == ("auth", "auth")
    assert "--unlock" in ctl("password", "set", "user9", "--password-stdin", data="Mật khẩu mới\n", code=77)
    assert both(imapd, "user9") == ("locked", "locked")
    ctl("password", "set", "user9", "--unlock", "--password-stdin", data="Mật khẩu mới\n")
    assert both(imapd, "user9", "Mật khẩu mới") == (None, None)


@pytest.mark.parametrize("mech", ["PLAIN", "SCRAM-SHA-256"])
def test_lock_out_counts_every_mechanism(imapd, site, mech):
    """20 wrong ones within 5 minutes, by whichever mechanism, lock the account for both, and for the right password too."""
    user = "user10" if mech == "PLAIN" else "user11"
    assert both(imapd, user) == (None, None)
    for _ in range(20):
        got = imapd.scram(user, "wrong") if mech != "PLAIN" else imapd.plain(user, "wrong")
        assert got["err"] == "auth"
    assert both(imapd, user) == ("limit", "limit")
    assert both(imapd, user, "wrong") == ("limit", "limit")
    site.modify("dn: %s\nchangetype: modify\ndelete: pwdAccountLockedTime\n" % person(int(user[4:])))
    assert both(imapd, user) == (None, None)


def test_expiry_and_grace(imapd, site):
    """A policy of their own for some: warned of, expired, taken some times more, each of them counted whichever way it came."""
    policy = "cn=strict,ou=policies," + BASE
    site.stop()
    subprocess.run(["/usr/sbin/slapadd", "-q", "-f", "slapd.conf"], cwd=site.dir, check=True, text=True, timeout=60, input=(
        "dn: %s\nobjectClass: device\nobjectClass: pwdPolicy\ncn: strict\npwdAttribute: userPassword\npwdMaxAge: 864000\n"
        "pwdExpireWarning: 432000\npwdGraceAuthNLimit: 3\npwdMustChange: TRUE\n") % policy)
    day = 86400
    subprocess.run(["/usr/sbin/slapmodify", "-q", "-f", "slapd.conf"], cwd=site.dir, check=True, text=True, timeout=60, input="".join(
        "dn: %s\nchangetype: modify\nreplace: pwdPolicySubentry\npwdPolicySubentry: %s\n-\nreplace: pwdChangedTime\npwdChangedTime: %s\n\n" % (
            person(n), policy, stamp(-age)) for n, age in ((12, 4 * day), (13, 8 * day), (14, 11 * day), (15, 30 * day))))
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "openldap:openldap", site.dir / "db"], check=True)
    site.start()
    wait_up(imapd)
    for ask in (imapd.plain, imapd.scram):
        assert ask("user12", FIRST)["login"]["password_until"] == 0
        soon = ask("user13", FIRST)["login"]
        assert abs(soon["password_until"] - time.time() - 2 * day) < 60 and soon["grace_left"] == -1
    # three more times, however they come: by bind, by SCRAM, by bind
    assert [ask("user14", FIRST)["login"]["grace_left"] for ask in (imapd.plain, imapd.scram, imapd.plain)] == [2, 1, 0]
    assert both(imapd, "user14") == ("expired", "expired")
    assert [imapd.scram("user15", FIRST)["login"]["grace_left"] for _ in range(3)] == [2, 1, 0]
    assert both(imapd, "user15") == ("expired", "expired")
    assert both(imapd, "user15", "wrong") == ("auth", "auth")


def test_a_remembered_login_hears_of_the_policy(imapd, site):
    assert imapd.plain("user16", FIRST)["result"] == "ok"
    site.modify("dn: %s\nchangetype: modify\nadd: pwdEndTime\npwdEndTime: %s\n" % (person(16), stamp(2)))
    assert imapd.plain("user16", FIRST)["result"] == "ok"
    end = time.monotonic() + 8
    while imapd.plain("user16", FIRST)["err"] is None:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert both(imapd, "user16") == ("locked", "locked")


# --- app passwords

def test_app_passwords(ctl, imapd, lookup, site, tmp_path):
    out = tmp_path / "app"
    made = ctl("password", "app", "add", "user20", "--name", "Điện thoại", "--out", out)
    word = out.read_text().strip()
    assert made["id"] == word[:4] and "password" not in made and out.stat().st_mode & 0o777 == 0o600 and len(word) == 24
    other = ctl("password", "app", "add", "user20", "--name", "Máy tính ở nhà", "--for", "imap")
    foreign = ctl("password", "app", "add", "user21", "--name", "Điện thoại")["password"]
    # who failed leaves no file in the next one's way, wherever the command goes meanwhile
    empty = tmp_path / "again"
    for _ in range(2):
        said = ctl("password", "app", "add", "user20", "--name", "Điện thoại", "--out", os.path.relpath(empty), code=73)
        assert "of that name" in said and not empty.exists(), said
    ctl("password", "app", "add", "user20", "--name", "x", "--for", "ldap", code=64)
    smtpd = lookup.probe("smtpd")
    for probe in (imapd, smtpd):
        for _ in range(2):
            assert probe.plain("user20", word)["login"]["account"] == "p-000020"
        assert probe.plain("user20/" + word[:4], word)["result"] == "ok"
        assert probe.scram("user20@tinhmau.example/" + word[:4], word)["server_ok"]
        # the other person's, another id, a sign changed; and one's own password is not the device's
        for name, wrong in (("user20", foreign), ("user21", word), ("user20", word[:-1] + ("a" if word[-1] != "a" else "b")),
                            ("user20/" + other["id"], word), ("user20/" + word[:4], FIRST), ("user20/zzzz", word), ("nobody/" + word[:4], word)):
            assert probe.plain(name, wrong)["err"] == "auth", name
            assert probe.scram(name, wrong)["err"] == "auth", name
        assert both(probe, "user20") == (None, None)
    # for IMAP alone
    assert imapd.plain("user20", other["password"])["result"] == "ok" and smtpd.plain("user20", other["password"])["err"] == "auth"
    assert smtpd.scram("user20/" + other["id"], other["password"])["err"] == "auth"
    # in the directory: to nobody but who verifies, and good for no bind
    listed = ctl("password", "app", "list", "user20")
    assert {(r["id"], r["name"], tuple(r["services"])) for r in listed} == {
        (word[:4], "Điện thoại", ("imap", "smtp")), (other["id"], "Máy tính ở nhà", ("imap",))}
    dump = subprocess.run(["/usr/sbin/slapcat", "-f", "slapd.conf", "-o", "ldif-wrap=no"], cwd=site.dir, capture_output=True, text=True,
                          timeout=60).stdout
    assert word not in dump and word[5:] not in dump
    bind = ["ldapsearch", "-x", "-LLL", "-H", site.uri, "-b", "ou=apppasswords," + BASE]
    assert subprocess.run([*bind, "-D", person(20), "-w", word], capture_output=True, timeout=60).returncode == 49
    seen = subprocess.run([*bind, "-D", person(22), "-w", unicodedata.normalize("NFKC", FIRST)], capture_output=True, text=True, timeout=60)
    assert word[:4] not in seen.stdout
    # locked, or with a first password: nor the devices
    site.modify("dn: %s\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n" % person(20))
    assert both(imapd, "user20/" + word[:4], word) == ("locked", "locked")
    site.modify("dn: %s\nchangetype: modify\ndelete: pwdAccountLockedTime\n" % person(20))
    # revoked by itself
    assert imapd.plain("user20", word)["result"] == "ok"
    ctl("password", "app", "revoke", "user20", "Điện thoại")
    assert imapd.plain("user20", word)["err"] == "auth" and imapd.scram("user20/" + word[:4], word)["err"] == "auth"
    assert imapd.plain("user20", other["password"])["result"] == "ok" and both(imapd, "user20") == (None, None)
    ctl("password", "app", "revoke", "user20", "Điện thoại", code=67)
    assert "app=" + other["id"] in lookup.log_text()


# --- no secret where it does not belong

def test_secrets_stay_in_memory(lookup, imapd, ctl, site):
    """Of all that was typed in these tests: nothing in a log, in a command line, in an environment; and no core file can be made."""
    mine = "Bí mật chẳng ai hay %d" % time.time_ns()
    ctl("password", "set", "user23", "--password-stdin", data=mine + "\n")
    assert both(imapd, "user23", mine) == (None, None)
    assert imapd.plain("user23", "sai " + mine)["err"] == "auth"
    assert imapd.auth("LOGIN", None, mine.encode(), mine.encode())["err"] == "auth"
    forms = [unicodedata.normalize(f, mine).encode() for f in FORMS]
    forms += [base64.b64encode(f) for f in forms] + [f.hex().encode() for f in forms]
    log = lookup.log_text()
    # the name that was given is logged, and may be what somebody typed in the wrong field: it alone
    log = "\n".join(line for line in log.splitlines() if "mech=LOGIN" not in line).encode()
    assert not [f for f in forms if f in log]
    for p in ("cmdline", "environ"):
        assert not [f for f in forms if f in open("/proc/%d/%s" % (lookup.proc.pid, p), "rb").read()]
    limits = open("/proc/%d/limits" % lookup.proc.pid).read()
    assert [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core")] == [["0", "0"]]
    # not dumpable: its /proc entries are root's
    assert os.stat("/proc/%d/environ" % lookup.proc.pid).st_uid == 0


# --- what mail clients are told, on the whole suite

def told(server, person, word):
    """(IMAP's answer, SMTP's answer) to a login by PLAIN."""
    word = base64.b64encode(("\0%s\0%s" % (person, word)).encode())
    with socket.create_connection((server.host, server.imaps_port), 30) as raw, server.tls().wrap_socket(raw, server_hostname=server.host) as s:
        f = s.makefile("rwb")
        f.readline()
        f.write(b"a AUTHENTICATE PLAIN " + word + b"\r\n")
        f.flush()
        while (imap := f.readline().decode()).startswith("* "):
            pass
    s = server.submission()
    s.ehlo()
    code, text = s.docmd("AUTH", "PLAIN " + word.decode())
    client.close(s)
    return imap.split(" ", 1)[1].strip(), "%d %s" % (code, text.decode())


def test_answers(server, tmp_path):
    own = "Mật khẩu riêng %d" % time.time_ns()
    got = json.loads(server.congvu("--json", "staff", "hire", "--name", "Lò Thị Khóa", "--agency", "H99.31", "--role", "staff", "--decision",
                                   "03/QĐ-UBND").stdout)
    out = tmp_path / "slip"
    r = server.congvu("--json", "password", "slip", got["mail"], "--out", out)
    assert r.returncode == 0, r.stderr
    first = page_of(out)["Mật khẩu"]
    imap, smtp = told(server, got["uid"], first)
    assert imap.startswith("NO [EXPIRED] Mat khau lan dau") and smtp.startswith("535 5.7.8 Mat khau lan dau phai duoc doi"), (imap, smtp)
    r = subprocess.run([server.prefix / "bin/congvu", "-c", server.conf, "password", "change", got["uid"], "--password-stdin"],
                       input="%s\n%s\n" % (first, own), capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    imap, smtp = told(server, got["uid"], own)
    assert imap.startswith("OK") and smtp.startswith("235 2.7.0")
    hr = ["-x", "-H", server.ldap_uri, "-D", "cn=hr,ou=services," + server.ldap_base, "-y", server.dir / "ldap/hr.password"]
    subprocess.run(["ldapmodify", *hr], check=True, capture_output=True, text=True, timeout=60, input=(
        "dn: %s\nchangetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n" % got["dn"]))
    imap, smtp = told(server, got["uid"], own)
    assert imap.startswith("NO [CONTACTADMIN] Tai khoan bi khoa") and smtp.startswith("535 5.7.13 "), (imap, smtp)
    imap, smtp = told(server, got["uid"], "sai mật khẩu")
    assert imap.startswith("NO [AUTHENTICATIONFAILED]") and smtp.startswith("535 5.7.8 Sai ten dang nhap"), (imap, smtp)
    # each step is in the audit log, and no secret is anywhere but in hashes
    shown = server.congvu("--json", "audit", "show", "--match", got["mail"]).stdout
    assert "password_slip" in shown and "password_change" in shown and first not in shown and own not in shown
