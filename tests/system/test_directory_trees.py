"""One suite of signing in, receiving and sending, on our own tree and on trees that are not ours, by configuration alone (ldap-schema/examples)."""

import re
import subprocess

import pytest

from slapd import BASE, Lookup, Slapd, person_ldif
from test_directory import AD_CONF, AD_LDIF, EXAMPLES, PLAIN_CONF, PLAIN_LDIF, group_ldif, other_slapd, person, secret

CTY = "dc=cty,dc=example"
# of the plain tree: a person with two addresses, one without any (who cannot receive), a group of a group
PLAIN = PLAIN_LDIF.replace("mail: an@tinhmau.example\n", "mail: an@tinhmau.example\nmail: nguyen.an@tinhmau.example\n").replace(
    "dn: cn=all,", "dn: uid=off,%s\nobjectClass: inetOrgPerson\nuid: off\ncn: Off\nsn: Off\nuserPassword: ad-password-2\n\ndn: cn=all," % CTY) + (
    "\ndn: cn=tren,%s\nobjectClass: groupOfNames\ncn: tren\ndescription: tren@tinhmau.example\nmember: cn=all,%s\n" % (CTY, CTY))
SECOND = """
dn: cn=Tran Binh,%s
objectClass: user
cn: Tran Binh
sn: Tran
objectGUID:: IAECAwQFBgcICQoLDA0ODw==
sAMAccountName: binh
userPrincipalName: binh@cty.example
userAccountControl: 512
mail: weird@tinhmau.example
userPassword: plain-tree-2

""" % CTY
TEAM = AD_LDIF[AD_LDIF.index("dn: cn=Team"):].replace("cn: Team", "cn: Team").replace("mail: team@", "mail: all@").rstrip("\n") + (
    "\nmember: cn=Tran Binh,%s\n\ndn: cn=Tren,%s\nobjectClass: group\ncn: Tren\nsAMAccountName: tren\nmail: tren@tinhmau.example\nmember: cn=Team,%s\n" % (CTY, CTY, CTY))
AD_PEOPLE = AD_LDIF[:AD_LDIF.index("dn: cn=Team")] + SECOND
MEMBER_OF = AD_CONF.replace("moduleload back_mdb", "moduleload back_mdb\nmoduleload memberof") + "overlay memberof\nmemberof-group-oc group\n"


def example(name):
    return re.sub("sasl_mechs.*", "", (EXAMPLES / name).read_text())


def ours(folder):
    slapd = Slapd(folder)
    slapd.add(person_ldif(1, "Nguyễn An", "an.nguyen", "plain-tree-1", extra="vnMailAlias: nguyen.an@tinhmau.example\n").replace("mail: an.nguyen@", "mail: an@") +
              person_ldif(2, "Trần Bình", "weird", "plain-tree-2") + person_ldif(3, "Đã Nghỉ", "off", "ad-password-2").replace("vnStatus: active", "vnStatus: closed") +
              group_ldif("all", [person(1), person(2), person(3)], "all@tinhmau.example") + group_ldif("tren", ["cn=all,ou=groups," + BASE], "tren@tinhmau.example"))
    return slapd, dict(password=secret(slapd)), "plain-tree-1", ("an.nguyen", "an@tinhmau.example", "AN.Nguyen")


def plain(folder):
    return (other_slapd(folder, PLAIN_CONF, PLAIN), dict(base=CTY, bind_dn="", more=example("inetorgperson.conf")), "plain-tree-1",
            ("An.Nguyen", "an@tinhmau.example", "an.nguyen"))


def active_directory(folder):
    return (other_slapd(folder, AD_CONF, AD_PEOPLE + TEAM), dict(base=CTY, bind_dn="", more=example("active-directory.conf")), "ad-password-1",
            ("an.nguyen", "an@cty.example", "an@tinhmau.example"))


def active_directory_by_member_of(folder):
    """Only the people name the groups."""
    slapd = other_slapd(folder, MEMBER_OF, AD_PEOPLE)
    r = subprocess.run(["ldapadd", "-x", "-H", slapd.uri, "-D", "cn=root," + CTY, "-w", "root"], text=True, input=TEAM, capture_output=True)
    assert r.returncode == 0, r.stderr
    more = re.sub("dir_group_filter.*", 'dir_group_filter = ""', example("active-directory.conf")) + 'dir_attr_member_of = "memberOf"\ndir_attr_member = {"owner"}\n'
    return slapd, dict(base=CTY, bind_dn="", more=more), "ad-password-1", ("an.nguyen", "an@cty.example", "an@tinhmau.example")


@pytest.fixture(scope="module", params=[ours, plain, active_directory, active_directory_by_member_of], ids=lambda f: f.__name__)
def site(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree")
    slapd, how, password, names = request.param(folder / "ldap")
    lk = Lookup(folder / "run", [slapd.uri], **how)
    lk.password, lk.names = password, names
    yield lk
    assert lk.close() == 0
    slapd.stop()


def account(site):
    return site.probe("imapd").plain("an@tinhmau.example", site.password)["login"]["account"]


def test_signing_in(site):
    imapd = site.probe("imapd")
    accounts = set()
    for name in site.names:
        got = imapd.plain(name, site.password)
        assert got["result"] == "ok" and got["login"]["address"] == "an@tinhmau.example", name
        accounts.add(got["login"]["account"])
        assert imapd.plain(name, "wrong")["err"] == "auth" and imapd.plain(name, "")["err"] == "auth"
    assert len(accounts) == 1
    assert imapd.plain("weird@tinhmau.example", "plain-tree-2")["login"]["account"] not in accounts
    assert imapd.plain("nobody", site.password)["err"] == "auth" and imapd.plain("*", site.password)["err"] == "auth"
    assert imapd.plain("an@tinhmau.example", "plain-tree-2")["err"] == "auth"


def test_receiving(site):
    smtpd = site.probe("smtpd")
    own = account(site)

    def targets(address):
        got = smtpd.call("rcpt", address)
        assert got["err"] is None, got
        return sorted(t["account"] for t in got["targets"])
    for address in ("an@tinhmau.example", "nguyen.an@tinhmau.example", "AN@TinhMau.example"):
        assert targets(address) == [own]
    both = targets("all@tinhmau.example")
    assert len(both) == 2 and own in both and targets("tren@tinhmau.example") == both
    for address in ("off@tinhmau.example", "nobody@tinhmau.example", "a*@tinhmau.example"):
        assert smtpd.call("rcpt", address)["kind"] == 3, address


def test_sending(site):
    milter = site.probe("milter")
    login = site.probe("imapd").plain("an@tinhmau.example", site.password)["login"]
    assert [i["address"] for i in login["identities"]] == ["an@tinhmau.example", "nguyen.an@tinhmau.example"]
    for address, may in (("an@tinhmau.example", True), ("nguyen.an@tinhmau.example", True), ("weird@tinhmau.example", False),
                         ("all@tinhmau.example", False), ("nobody@tinhmau.example", False)):
        assert bool(milter.call("sender", address, login["login"])["may"]) == may, address
