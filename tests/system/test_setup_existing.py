"""congvu setup on a directory that is there (ldap = existing): a slapd that does not know our schema, loaded by ldapi; and a plain tree of
inetOrgPerson, which keeps its own. Doctor on both."""

import contextlib
import imaplib
import json
import os
import pathlib
import smtplib
import ssl
import subprocess
import tempfile
import time
import urllib.parse

import client
import pytest
import test_directory
import test_setup

BASE = "o=tinhmau,c=VN"
SCHEMA = test_setup.BUILD / "root/share/congvu"
CONF = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
moduleload pw-sha2
pidfile %(dir)s/slapd.pid
loglevel none
attributeoptions lang- x-
database config
access to * by dn.exact=gidNumber=0+uidNumber=0,cn=peercred,cn=external,cn=auth manage by * none
database mdb
suffix "o=tinhmau,c=VN"
rootdn "cn=root,o=tinhmau,c=VN"
rootpw root-of-the-test
directory %(dir)s/db
maxsize 104857600
index objectClass,uid,mail,cn,member eq
access to attrs=userPassword by dn.exact="cn=hr,ou=services,o=tinhmau,c=VN" =w by anonymous auth by * none
access to dn.subtree="ou=services,o=tinhmau,c=VN" by anonymous auth by * none
access to * by dn.exact="cn=hr,ou=services,o=tinhmau,c=VN" write by dn.exact="cn=lookup,ou=services,o=tinhmau,c=VN" read by anonymous auth by * none
"""
# once the schema is there, as slapd.conf.in has it; the rules before could not name an attribute that nobody knew
KEYS = """dn: olcDatabase={1}mdb,cn=config
changetype: modify
add: olcAccess
olcAccess: {0}to attrs=authPassword by dn.exact="cn=hr,ou=services,o=tinhmau,c=VN" =w by dn.exact="cn=lookup,ou=services,o=tinhmau,c=VN" read by * none
"""
LOOKUP, HR = "lookup-of-the-test-1", "hr-of-the-test-1"
PLAIN = """dn: o=tinhmau,c=VN
objectClass: organization
o: tinhmau

dn: ou=services,o=tinhmau,c=VN
objectClass: organizationalUnit
ou: services

dn: cn=lookup,ou=services,o=tinhmau,c=VN
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: lookup
userPassword: %s

dn: uid=mau,o=tinhmau,c=VN
objectClass: inetOrgPerson
uid: mau
cn: Mau
sn: Tran
mail: mau@tinhmau.example
userPassword: plain-tree-1

dn: cn=all,o=tinhmau,c=VN
objectClass: groupOfNames
cn: all
description: all@tinhmau.example
member: uid=mau,o=tinhmau,c=VN
""" % LOOKUP


# a tree shaped like Active Directory; its schema is test_directory.py's
ACTIVE = PLAIN[:PLAIN.index("dn: uid=mau")] + """dn: cn=Mau Tran,o=tinhmau,c=VN
objectClass: user
cn: Mau Tran
sn: Tran
displayName: Mau
objectGUID:: AAECAwQFBgcICQoLDA0ODw==
sAMAccountName: mau
userPrincipalName: mau@cty.example
userAccountControl: 512
mail: mau@tinhmau.example
proxyAddresses: SMTP:mau@tinhmau.example
proxyAddresses: smtp:tran.mau@tinhmau.example
userPassword: plain-tree-1

dn: cn=All,o=tinhmau,c=VN
objectClass: group
cn: All
sAMAccountName: all
mail: all@tinhmau.example
member: cn=Mau Tran,o=tinhmau,c=VN
"""


class Existing:
    """A slapd with cn=config, which root may change by its socket."""

    def __init__(self, folder, port, schema=""):
        self.dir = pathlib.Path(folder)
        (self.dir / "db").mkdir(parents=True)
        (self.dir / "conf").mkdir()
        (self.dir / "more.schema").write_text(schema)  # a file of its own: what stands in slapd.conf itself would come before core's in cn=config
        (self.dir / "slapd.conf").write_text((CONF % {"dir": self.dir}).replace("modulepath", "include %s/more.schema\nmodulepath" % self.dir if schema else "modulepath"))
        subprocess.run(["/usr/sbin/slaptest", "-n", "0", "-f", self.dir / "slapd.conf", "-F", self.dir / "conf"], check=True, capture_output=True)
        self.tcp = "ldap://127.0.0.1:%d" % port
        self.ldapi = "ldapi://" + urllib.parse.quote(str(self.dir / "sock"), safe="")
        with open(self.dir / "slapd.log", "wb") as log:
            self.proc = subprocess.Popen(["/usr/sbin/slapd", "-d", "0", "-F", str(self.dir / "conf"), "-h", self.tcp + " " + self.ldapi],
                                         stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 20
        while subprocess.run(["ldapsearch", "-x", "-LLL", "-H", self.tcp, "-s", "base", "-b", "", "1.1"], capture_output=True).returncode:
            assert self.proc.poll() is None and time.monotonic() < end, (self.dir / "slapd.log").read_text()
            time.sleep(0.1)

    def add(self, ldif):
        r = subprocess.run(["ldapadd", "-x", "-H", self.tcp, "-D", "cn=root," + BASE, "-w", "root-of-the-test"], input=ldif,
                           capture_output=True, text=True)
        assert r.returncode == 0, r.stdout + r.stderr

    def config(self, ldif):
        r = subprocess.run(["ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", self.ldapi], input=ldif, capture_output=True, text=True)
        assert r.returncode == 0, r.stdout + r.stderr

    def stop(self):
        self.proc.terminate()
        self.proc.wait(20)


@contextlib.contextmanager
def existing_site(schema=""):
    if os.geteuid() != 0:
        pytest.skip("setup needs root")
    with tempfile.TemporaryDirectory(prefix="congvu-setup-") as folder:
        os.chmod(folder, 0o755)
        site = test_setup.Site(folder)
        slapd = Existing(site.dir / "slapd", site.port["ldap"], schema)
        try:
            yield site, slapd
        finally:
            site.stop()
            slapd.stop()


def answers(site, **more):
    lines = [x for x in site.answers.read_text(encoding="utf-8").splitlines() if x.split(" =")[0] not in set(more) | {"ldap_listen"}]
    site.answers.write_text("\n".join(lines + ["%s = %s" % (k, v) for k, v in more.items() if v is not None]) + "\n", encoding="utf-8")


def common(site, slapd):
    (site.dir / "lookup.pw").write_text(LOOKUP)
    (site.dir / "hr.pw").write_text(HR)
    return dict(ldap="existing", ldap_base=BASE, ldap_uris="%s, %s" % (slapd.tcp, slapd.ldapi),
                ldap_bind_dn="cn=lookup,ou=services," + BASE, ldap_bind_password_file=site.dir / "lookup.pw")


def results(got, step):
    return [s["result"] for s in got["steps"] if s["step"] == step]


def doctor(site):
    r = site.congvu("--json", "doctor", "--resolver", "127.0.0.1:9")
    return {(f["check"], f["result"], f["text"]) for f in json.loads(r.stdout)["findings"]}


def errors(findings):
    return [f for f in findings if f[1] == "error"]


def mail_and_login(site, user, rcpts):
    """A mail from outside to each is in the person's INBOX."""
    context = ssl.create_default_context(cafile=str(site.dir / "etc/tls/cert.pem"))
    context.check_hostname = False
    mids = set()
    for rcpt in rcpts:
        s = smtplib.SMTP("127.0.0.1", site.port["mx"], timeout=30)
        mid = client.new_id("outside.example")
        mids.add(mid)
        code, text = client.transaction(s, "a@outside.example", [rcpt],
                                        client.header("a@outside.example", [rcpt], "Thư", mid) + client.text_part("x\n"))
        assert code == 250, (rcpt, code, text)
        client.close(s)
    m = imaplib.IMAP4_SSL("127.0.0.1", site.port["imaps"], ssl_context=context, timeout=30)
    client.imap_login(m, user)
    end = time.monotonic() + 15
    while mids:
        assert m.select("INBOX", readonly=True)[0] == "OK"
        mids = {i for i in mids if not m.search(None, "HEADER", "Message-ID", client.quoted(i))[1][0].split()}
        assert time.monotonic() < end, mids
    client.close(m)


def test_schema_is_loaded():
    with existing_site() as (site, slapd):
        # first the schema: the base tree (ou=people counts) cannot stand without it
        first = {"agency_name": None, "agency_code": None, "agency_abbrev": None, "agency_kind": None, "start": "no",
                 "postmaster": "vanthu@tinhmau.example", "ldap_schema": "load", "admin_bind_dn": "cn=hr,ou=services," + BASE,
                 "admin_password_file": site.dir / "hr.pw"}
        site_answers = site.answers.read_text(encoding="utf-8")
        answers(site, **common(site, slapd), **first)
        dry = site.setup("--dry-run")
        assert results(dry, "schema") == ["would"]
        assert "congvu" not in subprocess.run(["ldapsearch", "-Q", "-LLL", "-Y", "EXTERNAL", "-H", slapd.ldapi, "-b", "cn=schema,cn=config",
                                               "dn"], capture_output=True, text=True, check=True).stdout
        got = site.setup(code=78)
        assert results(got, "congvu check") == ["failed"], got["steps"]
        assert results(got, "schema") == ["done"] and any("base tree" in line for line in got["left"])
        assert (site.dir / "etc/ldap.password").read_text().strip() == LOOKUP
        assert (site.dir / "etc/hr.password").read_text().strip() == HR
        for name in ("ldap.password", "hr.password"):
            assert (site.dir / "etc" / name).stat().st_mode & 0o077 == 0
        # doctor says what the operator has left to do
        assert [f for f in errors(doctor(site)) if f[0] in ("ldap_uris", "postmaster", "admin_bind_dn")]
        # what the operator does, with the two files that setup names
        base = (SCHEMA / "base.ldif.in").read_text()
        for word, value in (("BASE", BASE), ("RDNVALUE", "tinhmau"), ("ORG", "Tinh Mau"), ("LOOKUPHASH", LOOKUP), ("HRHASH", HR)):
            base = base.replace("@%s@" % word, value)
        slapd.add(base)
        slapd.config(KEYS)
        # then the site, as with a slapd of its own
        site.answers.write_text(site_answers, encoding="utf-8")
        first = {k: first[k] for k in ("ldap_schema", "admin_bind_dn", "admin_password_file")}
        answers(site, **common(site, slapd), **first)
        got = site.setup()
        assert got["ok"] and results(got, "schema") == ["unchanged"], got["steps"]
        user = test_setup.hire(site)
        mail_and_login(site, user, [user["address"]])
        findings = doctor(site)
        assert not errors(findings), findings
        assert {"schema", "access", "ldap_uris", "postmaster"} <= {f[0] for f in findings if f[1] == "ok"}, findings


def test_schema_by_a_socket_that_is_not_there():
    with existing_site() as (site, slapd):
        more = common(site, slapd)
        more["ldap_uris"] = slapd.tcp + ", ldapi://" + urllib.parse.quote(str(site.dir / "none"), safe="")
        answers(site, **more, ldap_schema="load")
        got = site.setup(code=78)
        assert not got["ok"] and results(got, "schema") == ["failed"]
        assert not site.conf.exists() or site.congvu("status").returncode != 0


def test_plain_tree():
    with existing_site() as (site, slapd):
        slapd.add(PLAIN)
        answers(site, **common(site, slapd), ldap_tree="inetorgperson", postmaster="mau@tinhmau.example", agency_name=None,
                agency_code=None, agency_abbrev=None, agency_kind=None)
        got = site.setup()
        assert got["ok"] and not results(got, "schema"), got["steps"]
        assert not (site.dir / "etc/hr.password").exists()
        user = {"address": "mau@tinhmau.example", "login": "mau", "password": "plain-tree-1"}
        mail_and_login(site, user, [user["address"], "all@tinhmau.example", "postmaster@tinhmau.example", "abuse@so.tinhmau.example"])
        findings = doctor(site)
        assert not errors(findings), findings
        assert {"schema", "access", "ldap_uris", "postmaster"} <= {f[0] for f in findings if f[1] == "ok"}, findings


def test_active_directory_tree():
    """The tree keeps its own schema; people sign in by sAMAccountName, userPrincipalName or address, and receive by proxyAddresses and groups."""
    schema = test_directory.AD_CONF[test_directory.AD_CONF.index("attributetype"):test_directory.AD_CONF.index("modulepath")] + (
        "attributetype ( 1.1.20 NAME 'whenChanged' EQUALITY generalizedTimeMatch ORDERING generalizedTimeOrderingMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.24 SINGLE-VALUE )\n"
        "attributetype ( 1.1.21 NAME 'uSNChanged' EQUALITY integerMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )\n")
    with existing_site(schema) as (site, slapd):
        slapd.add(ACTIVE)
        answers(site, **common(site, slapd), ldap_tree="active-directory", postmaster="mau@tinhmau.example", agency_name=None,
                agency_code=None, agency_abbrev=None, agency_kind=None)
        got = site.setup()
        assert got["ok"] and not results(got, "schema"), got["steps"]
        assert not (site.dir / "etc/hr.password").exists()
        for login in ("mau", "mau@cty.example", "mau@tinhmau.example"):
            user = {"address": "mau@tinhmau.example", "login": login, "password": "plain-tree-1"}
            mail_and_login(site, user, [user["address"], "tran.mau@tinhmau.example", "all@tinhmau.example", "postmaster@tinhmau.example"])
        findings = doctor(site)
        assert not errors(findings), findings
        assert {"ldap_uris", "postmaster"} <= {f[0] for f in findings if f[1] == "ok"}, findings
