"""congvu setup: a site from an answers file, twice; a person, a mail, postmaster and abuse of each domain; what it must not do."""

import imaplib
import json
import os
import pathlib
import smtplib
import ssl
import subprocess
import tempfile
import time

import client
import pytest
from conftest import BUILD, free_port_base

CONGVU = BUILD / "root/bin/congvu"
SLAPD = BUILD / "root/share/congvu/slapd-instance"

ANSWERS = """# of a test
domains = "tinhmau.example, so.tinhmau.example"
hostname = mail.tinhmau.example
ldap_listen = ldap://127.0.0.1:%(ldap)d
agency_name = Văn phòng UBND tỉnh Mẫu
agency_code = H99.01
agency_abbrev = VPUBND
agency_kind = office
tls = self-signed
listen_mx = 127.0.0.1:%(mx)d
listen_submission = 127.0.0.1:%(submission)d
listen_submissions = none
listen_imap = none
listen_imaps = 127.0.0.1:%(imaps)d
data_dir = %(dir)s/var
run_dir = %(dir)s/run
log_file = %(dir)s/log/congvu.log
"""


class Site:
    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        base = free_port_base()
        self.port = {"mx": base + 25, "submission": base + 587, "imaps": base + 993, "ldap": base + 389}
        self.conf = self.dir / "etc/congvu.conf"
        self.answers = self.dir / "answers"
        self.answers.write_text(ANSWERS % dict(self.port, dir=self.dir), encoding="utf-8")

    def congvu(self, *args, data=None, lang="en"):
        return subprocess.run([str(CONGVU), "-c", str(self.conf), "--lang", lang, *map(str, args)], input=data,
                              stdin=None if data is not None else subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=120)

    def setup(self, *args, code=0):
        r = self.congvu("--json", "setup", "--answers", self.answers, *args)
        assert r.returncode == code, r.stdout + r.stderr
        return json.loads(r.stdout)

    def tree(self):
        """Each file below etc with its bytes."""
        etc = self.dir / "etc"
        return {p.relative_to(etc): p.read_bytes() for p in etc.rglob("*") if p.is_file()} if etc.exists() else {}

    def stop(self):
        self.congvu("stop")
        subprocess.run([str(SLAPD), "stop", "--dir", str(self.dir / "var/ldap")], capture_output=True)


@pytest.fixture(scope="module")
def site():
    if os.geteuid() != 0:
        pytest.skip("setup needs root")
    with tempfile.TemporaryDirectory(prefix="congvu-setup-") as folder:
        os.chmod(folder, 0o755)
        s = Site(folder)
        yield s
        s.stop()


@pytest.fixture(scope="module")
def made(site):
    before = site.setup("--dry-run")
    assert not site.tree() and not (site.dir / "var").exists(), "a dry run made something"
    assert {s["result"] for s in before["steps"]} <= {"would", "unchanged"}
    got = site.setup()
    assert got["ok"] and not [s for s in got["steps"] if s["result"] == "failed"]
    return got


def test_site_is_made(site, made):
    assert site.congvu("status").returncode == 0
    conf = site.conf.read_text()
    assert 'postmaster = "vanthu@tinhmau.example"' in conf
    for name in ("token.key", "audit.key", "ldap.password", "hr.password", "tls/key.pem", "setup.answers"):
        assert (site.dir / "etc" / name).stat().st_mode & 0o077 == 0, name
    assert site.conf.stat().st_mode & 0o777 == 0o640
    secrets = [(site.dir / "etc" / n).read_text().strip() for n in ("token.key", "ldap.password", "hr.password")]
    assert all(len(s) >= 24 for s in secrets) and len(set(secrets)) == 3
    for text in (conf, (site.dir / "etc/setup.answers").read_text(), json.dumps(made)):
        assert not any(s in text for s in secrets)
    assert any("self-signed" in line for line in made["left"])


def test_again_changes_nothing(site, made):
    before = site.tree()
    pid = json.loads(site.congvu("--json", "status").stdout)["programs"][0]["pid"]
    again = site.setup()
    assert {s["result"] for s in again["steps"] if s["step"] not in ("slapd", "congvu check")} == {"unchanged"}
    assert site.tree() == before
    assert json.loads(site.congvu("--json", "status").stdout)["programs"][0]["pid"] == pid
    # the answers were kept: no file is needed now
    r = site.congvu("--json", "setup", "--dry-run")
    assert r.returncode == 0, r.stderr


def test_edited_configuration_is_kept(site, made):
    text = site.conf.read_text()
    try:
        site.conf.write_text(text + "# of the operator\n")
        again = site.setup()
        assert site.conf.read_text().endswith("# of the operator\n")
        assert [s for s in again["steps"] if s["result"] == "note" and "edited" in s["text"]]
    finally:
        site.conf.write_text(text)


def test_wrong_answers(site, made):
    for line, why in (("domains = nonsense", "a domain is"), ("hostname = x", "a whole name"), ("quota = 1", "no such question"),
                      ("postmaster = a@elsewhere.example", "one of the site's domains")):
        bad = site.dir / "bad"
        bad.write_text(site.answers.read_text() + line + "\n")
        r = site.congvu("setup", "--answers", bad)
        assert r.returncode == 65 and why in r.stderr, r.stderr
    bad.write_text("hostname = mail.tinhmau.example\n")
    r = site.congvu("setup", "--answers", bad, "--dry-run", lang="vi")
    assert r.returncode == 65 and "domains" in r.stderr
    bad.write_text(site.answers.read_text().replace("tls = self-signed", "tls_cert_file = /nonexistent\ntls_key_file = /nonexistent"))
    r = site.congvu("setup", "--answers", bad)
    assert r.returncode == 78 and "/nonexistent" in r.stdout


def test_what_the_operator_is_told(site, made):
    """In the language of the environment, whose locale a bare Debian does not have; and what would surprise him later."""
    env = {k: v for k, v in os.environ.items() if k not in ("LC_ALL", "LC_MESSAGES", "LANGUAGE")}
    bad = site.dir / "bad"
    bad.write_text("domains = tinhmau.example\nquota_mb = 2GB\n")
    for lang, want in (("vi_VN.UTF-8", "dòng 2: cần một con số: quota_mb"), ("C.UTF-8", "line 2: a number is needed: quota_mb")):
        r = subprocess.run([str(CONGVU), "-c", str(site.conf), "setup", "--answers", str(bad), "--dry-run"],
                           env=dict(env, LANG=lang), capture_output=True, text=True)
        assert r.returncode == 65 and want in r.stderr, r.stderr
    assert any("mail to other domains is refused" in line for line in made["left"])
    assert any(str(site.dir / "etc") in line and "back up" in line for line in made["left"])
    other = site.dir / "direct/etc/congvu.conf"
    bad.write_text("smarthost = mx\npostmaster = vanthu@tinhmau.example\nldap_base = dc=wrong\n" + site.answers.read_text())
    cmd = [str(CONGVU), "-c", str(other), "--lang", "en", "--json", "setup", "--answers", str(bad)]
    r = subprocess.run(cmd, capture_output=True, text=True)
    assert r.returncode == 65 and "o=" in r.stderr, r.stderr


def test_answers_outlive_a_failure(site, made):
    """The directory cannot be made: nobody answers again, and the outside is reached as answered."""
    conf, wall = site.dir / "again/congvu.conf", site.dir / "wall"
    wall.write_text("a file where a folder should be")
    text = "smarthost = mx\n" + site.answers.read_text()
    site_bad = site.dir / "bad"
    site_bad.write_text(text.replace("data_dir = %s/var" % site.dir, "data_dir = %s/var" % wall))
    cmd = [str(CONGVU), "-c", str(conf), "--lang", "en", "--json", "setup", "--answers", str(site_bad)]
    r = subprocess.run(cmd, capture_output=True, text=True)
    assert r.returncode == 78, r.stdout + r.stderr
    kept = (site.dir / "again/setup.answers").read_text()
    assert "smarthost = mx" in kept and "agency_code = H99.01" in kept
    assert not conf.exists()


def test_asks(site, made):
    """On a terminal, or here from a pipe: an empty line takes what stands in brackets; a wrong answer is asked again."""
    fresh = site.dir / "asked/etc/congvu.conf"
    lines = ["nonsense", "xa.example", "mail.xa.example", "", "", "", "", "vanthu@xa.example", "self-signed"] + [""] * 20
    r = subprocess.run([str(CONGVU), "-c", str(fresh), "--lang", "vi", "setup", "--dry-run"], input="\n".join(lines) + "\n",
                       capture_output=True, text=True)
    assert r.returncode == 0, r.stdout + r.stderr
    assert "[o=xa,c=VN]" in r.stdout and "[0.0.0.0:993]" in r.stdout and not fresh.exists()
    assert "Tên miền" in r.stdout
    r = subprocess.run([str(CONGVU), "-c", str(fresh), "setup", "--dry-run"], input="xa.example\n", capture_output=True, text=True)
    assert r.returncode == 66 and "hostname" in r.stderr


def hire(site):
    r = site.congvu("--json", "staff", "hire", "--name", "Trần Thị Mẫu", "--agency", "H99.01", "--role", "clerk", "--decision",
                    "01/QĐ", "--mail", "mau@tinhmau.example", "--password-stdin", data="mật khẩu thử 1")
    assert r.returncode == 0, r.stderr
    return {"address": "mau@tinhmau.example", "login": json.loads(r.stdout)["uid"], "password": "mật khẩu thử 1"}


def test_a_person_and_mail(site, made):
    user = hire(site)
    context = ssl.create_default_context(cafile=str(site.dir / "etc/tls/cert.pem"))
    context.check_hostname = False
    s = smtplib.SMTP("127.0.0.1", site.port["submission"], timeout=30)
    s.starttls(context=context)
    client.smtp_login(s, user)
    mid = client.new_id("tinhmau.example")
    mail = client.header(user["address"], [user["address"]], "Thư đầu tiên", mid) + client.text_part("Xin chào\n")
    assert client.transaction(s, user["address"], [user["address"]], mail)[0] == 250
    client.close(s)
    # postmaster and abuse of both domains, and without a domain, come in at the MX port and reach the clerk
    outside = []
    for rcpt in ("postmaster@tinhmau.example", "abuse@tinhmau.example", "postmaster@so.tinhmau.example",
                 "ABUSE@so.tinhmau.example", "postmaster"):
        s = smtplib.SMTP("127.0.0.1", site.port["mx"], timeout=30)
        outside.append(client.new_id("outside.example"))
        mail = client.header("a@outside.example", [rcpt], "To " + rcpt, outside[-1]) + client.text_part("x\n")
        code, text = client.transaction(s, "a@outside.example", [rcpt], mail)
        assert code == 250, (rcpt, code, text)
        client.close(s)
    s = smtplib.SMTP("127.0.0.1", site.port["mx"], timeout=30)
    s.ehlo()
    s.mail("a@outside.example")
    assert s.rcpt("postmaster@elsewhere.example")[0] >= 500
    client.close(s)
    m = imaplib.IMAP4_SSL("127.0.0.1", site.port["imaps"], ssl_context=context, timeout=30)
    client.imap_login(m, user)
    rows = [client.name_of(row) for row in m.list('""', "*")[1]]
    shared = [name for name in rows if "vanthu" in name and name.count("/") == 1]
    assert len(shared) == 1, rows
    for folder, wanted in (("INBOX", [mid]), (shared[0], outside)):
        end = time.monotonic() + 15
        left = set(wanted)
        while left:
            status, why = m.select(client.quoted(folder), readonly=True)
            assert status == "OK", (folder, why)
            left = {i for i in left if not m.search(None, "HEADER", "Message-ID", client.quoted(i))[1][0].split()}
            assert time.monotonic() < end, (folder, left)
    client.close(m)
