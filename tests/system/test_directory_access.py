"""Who may what in the directory, each line with its contrary, under both forms of slapd's configuration (slapd.conf, cn=config)."""

import re
import subprocess

import pytest

from ldap_client import CLIENTS, Ldap, client_filter
from slapd import BASE, Slapd, b64, person_ldif

PASSWORD = "ascii-Password-%d"
OFFICER = "cn=can bo skhcn,ou=officers," + BASE
STAFF = "vnStaffId=000001,ou=people," + BASE
AGENCY = "vnAgencyCode=%s,vnAgencyCode=H99,ou=agencies," + BASE
LOOKUP, HR = ("cn=%s,ou=services," % n + BASE for n in ("lookup", "hr"))


def person(n):
    return "vnStaffId=%06d,ou=people,%s" % (n, BASE)


def agency_ldif(code, above):
    dn = "vnAgencyCode=%s,%sou=agencies,%s" % (code, above, BASE)
    return ("dn: %s\nobjectClass: organizationalUnit\nobjectClass: vnAgency\nou: %s\nvnAgencyCode: %s\nvnAgencyKind: dept\n\n" % (dn, code, code) +
            post_ldif(code, dn))


def post_ldif(code, dn, name=None, ref=None):
    name = name or code + "-vanthu"
    return ("dn: vnPositionCode=%s,%s\nobjectClass: organizationalRole\nobjectClass: vnPosition\ncn: van thu\nvnPositionCode: %s\n"
            "vnAgencyRef: %s\n\n" % (name, dn, name, ref or code))


def mailbox_ldif(ident, code):
    return ("dn: vnMailboxId=%s,ou=mailboxes,%s\nobjectClass: vnFunctionalMailbox\nvnMailboxId: %s\ncn: %s\nmail: %s@tinhmau.example\n"
            "vnAgencyRef: %s\n\n" % (ident, BASE, ident, ident, ident, code))


def group_ldif(name, code):
    return ("dn: cn=%s,ou=groups,%s\nobjectClass: groupOfNames\nobjectClass: vnMailGroup\ncn: %s\nmail: %s@tinhmau.example\nmember: cn=nobody\n"
            "vnAgencyRef: %s\n\n" % (name, BASE, name, name, code))


def delegation_ldif(ident, delegator):
    return ("dn: vnDelegationId=%s,ou=delegations,%s\nobjectClass: vnDelegation\nvnDelegationId: %s\nvnDelegator: %s\nvnDelegateTo: %s\n"
            "vnRights: lrs\nvnDecisionRef: 1/QĐ\n\n" % (ident, BASE, ident, delegator, person(1)))


APP = "vnAppId=%s,ou=apppasswords," + BASE


def app_ldif(ident, owner, dn=None, extra=""):
    return ("dn: %s\nobjectClass: vnAppPassword\nvnAppId: %s\ndescription: may\nvnAppOwner: %s\nauthPassword: x\n%s\n" %
            (dn or APP % ident, ident, owner, extra))


def staff_ldif(n, code="H99.02", extra=""):
    return person_ldif(n, "Trần Văn Bình", "binh%d" % n, PASSWORD % n, extra=extra).replace("vnAgencyRef: H99.02", "vnAgencyRef: " + code)


TREE = "".join([
    agency_ldif("H99", ""), agency_ldif("H99.02", "vnAgencyCode=H99,"), agency_ldif("H99.05", "vnAgencyCode=H99,"),
    staff_ldif(1, extra="vnRole: staff\nvnAddressHistory: cu@tinhmau.example;20200101;20250701\ntelephoneNumber: 0123\nemployeeNumber: 7\n"
               "vnAssignment: primary;H99.02;;20200101;;1/QĐ-UBND\nuserCertificate;binary:: %s\n" % b64(b"")).replace("userCertificate;binary:: \n", ""),
    staff_ldif(2, "H99.05", "vnEpoch: 1\n"), staff_ldif(3, extra="vnRole: security\n"),
    mailbox_ldif("vt02", "H99.02"), mailbox_ldif("vt05", "H99.05"), group_ldif("g02", "H99.02"), group_ldif("g05", "H99.05"),
    delegation_ldif("d02", person(1)), delegation_ldif("d05", person(2)),
    app_ldif("aaaa", person(1)), app_ldif("bbbb", person(2)),
    "dn: %s\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\nobjectClass: vnHrOfficer\ncn: can bo skhcn\n"
    "userPassword: officer-Password\nvnHrOf: H99.02\nvnHrOf: H99.02.01\nroleOccupant: %s\n\n" % (OFFICER, person(1)),
])


class Site(Slapd):
    def secrets(self):
        return {OFFICER: "officer-Password", STAFF: PASSWORD % 1, LOOKUP: (self.dir / "lookup.password").read_text(),
                HR: (self.dir / "hr.password").read_text(), "": None}

    def tool(self, name, who, *args, data=None):
        auth = ["-D", who, "-w", self.secrets()[who]] if who else []
        return subprocess.run([name, "-x", "-H", self.uri, *auth, *args], input=data, capture_output=True, text=True, timeout=60)

    def read(self, who, dn, *attrs):
        return self.tool("ldapsearch", who, "-LLL", "-o", "ldif-wrap=no", "-s", "base", "-b", dn, "(objectClass=*)", *attrs).stdout

    def changes(self, who, records):
        """LDAP's result of each record of LDIF: 0, 50 (access), 32 (not even seen), 19 (constraint). One process for all of them."""
        auth = ["-D", who, "-w", self.secrets()[who]] if who else []
        r = subprocess.run(["stdbuf", "-oL", "ldapmodify", "-c", "-x", "-H", self.uri, *auth], input="\n\n".join(records) + "\n", text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        results = []
        for line in r.stdout.splitlines():
            if re.match("(modifying|adding new|deleting) entry ", line):
                results.append(0)
            elif found := re.match(r"ldap_(?:modify|add|delete): .* \((\d+)\)$", line):
                results[-1] = int(found[1])
        assert len(results) == len(records), r.stdout
        return results


def modify(dn, change):
    return "dn: %s\nchangetype: modify\n%s" % (dn, change)


def add(ldif):
    dn, rest = ldif.strip().split("\n", 1)
    return "%s\nchangetype: add\n%s" % (dn, rest)


def delete(dn):
    return "dn: %s\nchangetype: delete" % dn


def expect(site, who, rows):
    """rows: (record, result)"""
    got = site.changes(who, [record for record, _ in rows])
    wrong = [(record, "wanted", want, "got", have) for (record, want), have in zip(rows, got) if have != want and not (want == 50 and have == 32)]
    assert not wrong


@pytest.fixture(scope="module", params=["slapd.conf", "cn=config"])
def site(request, tmp_path_factory):
    slapd = Site(tmp_path_factory.mktemp("access") / "ldap", args=["--config"] if request.param == "cn=config" else [])
    assert (slapd.dir / "slapd.d").is_dir() == (request.param == "cn=config")
    slapd.add(TREE)
    yield slapd
    slapd.stop()


NOBODY = ()
READS = [  # attribute of a person, and who reads it
    ("cn", (STAFF, OFFICER, LOOKUP, HR)), ("mail", (STAFF, OFFICER, LOOKUP, HR)), ("vnAgencyRef", (STAFF, OFFICER, LOOKUP, HR)),
    ("telephoneNumber", (STAFF, OFFICER, HR)), ("vnStatus", (STAFF, OFFICER, LOOKUP, HR)), ("vnAssignment", (STAFF, OFFICER, LOOKUP, HR)),
    ("vnAddressHistory", (STAFF, OFFICER, LOOKUP, HR)), ("authPassword", (LOOKUP,)), ("userPassword", NOBODY)]


READS_OF_ANOTHER = [("cn", (STAFF, OFFICER, LOOKUP, HR)), ("vnStatus", (LOOKUP, HR)), ("vnEpoch", (LOOKUP, HR)), ("vnAssignment", NOBODY),
                    ("authPassword", (LOOKUP,)), ("userPassword", NOBODY)]


@pytest.mark.parametrize("reader", ["", STAFF, OFFICER, LOOKUP, HR])
def test_who_reads_what_of_people(site, reader):
    for dn, rows in ((person(1), READS), (person(2), READS_OF_ANOTHER)):
        text = site.read(reader, dn, "*", "+")
        for attr, who in rows:
            assert ("\n%s:" % attr in text) == (reader in who), (dn, attr)


def test_who_reads_the_rest(site):
    for dn, attr, who in ((AGENCY % "H99.05", "ou", (STAFF, OFFICER, LOOKUP, HR)), ("vnDelegationId=d02,ou=delegations," + BASE, "vnDelegateTo", (OFFICER, LOOKUP, HR)),
                          ("vnDelegationId=d05,ou=delegations," + BASE, "vnDelegateTo", (LOOKUP, HR)), (OFFICER, "vnHrOf", (OFFICER, HR)),
                          (OFFICER, "userPassword", NOBODY), (HR, "userPassword", NOBODY), (LOOKUP, "cn", NOBODY), ("cn=default,ou=policies," + BASE, "pwdMaxFailure", (LOOKUP,)),
                          ("vnMailboxId=vt05,ou=mailboxes," + BASE, "mail", (STAFF, OFFICER, LOOKUP, HR))):
        for reader in ("", STAFF, OFFICER, LOOKUP, HR):
            assert (attr + ":" in site.read(reader, dn, attr)) == (reader in who), (dn, attr, reader)


def test_nobody_finds_by_a_password(site):
    """What cannot be read cannot be guessed by a filter either."""
    for who in ("", STAFF, OFFICER, HR, LOOKUP):
        assert "dn:" not in site.tool("ldapsearch", who, "-LLL", "-b", BASE, "(userPassword=*)", "1.1").stdout, who
        assert ("dn:" in site.tool("ldapsearch", who, "-LLL", "-b", BASE, "(authPassword=*)", "1.1").stdout) == (who == LOOKUP), who


def test_who_writes_nothing(site):
    rows = [modify(dn, change) for dn, change in (
        (person(1), "replace: title\ntitle: x"), (person(2), "replace: title\ntitle: x"), (person(1), "replace: userPassword\nuserPassword: abcdefgh1"),
        (person(1), "add: mail\nmail: z@tinhmau.example"), (AGENCY % "H99.02", "replace: description\ndescription: x"),
        (OFFICER, "add: vnHrOf\nvnHrOf: H99.05"))] + [add(staff_ldif(60)), delete(person(3))]
    for who in (STAFF, LOOKUP):
        expect(site, who, [(row, 50) for row in rows])
    assert set(site.changes("", rows)) <= {8, 50}  # strong(er) authentication required
    expect(site, STAFF, [(modify(STAFF, "replace: vnAutoReplyText\nvnAutoReplyText: away"), 0),
                         (modify(person(2), "replace: vnAutoReplyText\nvnAutoReplyText: away"), 50)])


# of an officer of H99.02: entry, change, result
OWN, OTHER, MBOX = person(1), person(2), "vnMailboxId=vt0%d,ou=mailboxes," + BASE
GROUP, DELEGATION, POST = "cn=g0%d,ou=groups," + BASE, "vnDelegationId=d0%d,ou=delegations," + BASE, "vnPositionCode=H99.0%d-vanthu," + AGENCY
CHANGES = [
    (OWN, "replace: title\ntitle: Phó phòng", 0), (OTHER, "replace: title\ntitle: Phó phòng", 50),
    (OWN, "replace: vnStatus\nvnStatus: active", 0), (OTHER, "replace: vnStatus\nvnStatus: suspended", 50),
    (OWN, "replace: userPassword\nuserPassword: " + PASSWORD % 1, 0), (OTHER, "replace: userPassword\nuserPassword: abcdefgh1", 50),
    (OWN, "replace: authPassword\nauthPassword: x", 0), (OTHER, "replace: authPassword\nauthPassword: x", 50),
    # nobody is taken, and nobody given away
    (OTHER, "replace: vnAgencyRef\nvnAgencyRef: H99.02", 50), (OTHER, "add: vnAgencyRef\nvnAgencyRef: H99.02", 50),
    (OWN, "add: vnAgencyRef\nvnAgencyRef: H99.05", 50), (OWN, "replace: vnAgencyRef\nvnAgencyRef: H99.05", 50),
    (OWN, "add: vnConcurrentAgency\nvnConcurrentAgency: H99.05", 50), (OWN, "add: vnConcurrentAgency\nvnConcurrentAgency: H99.02.01", 0),
    (OWN, "replace: vnAgencyRef\nvnAgencyRef: H99.02.01", 0), (OWN, "replace: vnAgencyRef\nvnAgencyRef: h99.02", 0),
    (OWN, "add: vnAssignment\nvnAssignment: concurrent;H99.02;H99.02-vanthu;20250101;;2/QĐ", 0),
    (OWN, "add: vnAssignment\nvnAssignment: concurrent;H99.05;;20250101;;2/QĐ", 50),
    (OWN, "add: vnAssignment\nvnAssignment: concurrent;H99.02;H99.05-vanthu;20250101;;2/QĐ", 50),
    (OWN, "add: vnAssignment\nvnAssignment: concurrent;H99.02;;;;2/QĐ", 19), (OWN, "add: vnAssignment\nvnAssignment: concurrent;H99.02;;20250101;;", 19),
    (OWN, "replace: vnPositionCode\nvnPositionCode: H99.02-vanthu", 0), (OWN, "replace: vnPositionCode\nvnPositionCode: H99.05-vanthu", 50),
    (OWN, "delete: vnRole\nvnRole: staff\n-\nadd: vnRole\nvnRole: head", 0), (OWN, "delete: vnRole\nvnRole: head\n-\nadd: vnRole\nvnRole: security", 50),
    (person(3), "delete: vnRole", 50), (person(3), "delete: vnRole\nvnRole: security", 50),
    (OWN, "add: vnAddressHistory\nvnAddressHistory: cu2@tinhmau.example;20200101;20250701", 0), (OWN, "delete: vnAddressHistory", 50),
    (OWN, "delete: vnAddressHistory\nvnAddressHistory: cu@tinhmau.example;20200101;20250701", 50),
    (OWN, "add: objectClass\nobjectClass: vnHrOfficer\n-\nadd: vnHrOf\nvnHrOf: H99.05", 0),  # opens nothing: who signs in as a person is no officer
    (OFFICER, "add: vnHrOf\nvnHrOf: H99.05", 50), (OFFICER, "replace: userPassword\nuserPassword: abcdefgh1", 50),
    (MBOX % 2, "replace: displayName\ndisplayName: x", 0), (MBOX % 5, "replace: displayName\ndisplayName: x", 50),
    (MBOX % 2, "replace: vnHolder\nvnHolder: " + OWN, 0), (MBOX % 5, "replace: vnHolder\nvnHolder: " + OWN, 50),
    (MBOX % 2, "add: objectClass\nobjectClass: simpleSecurityObject\n-\nadd: userPassword\nuserPassword: abcdefgh1", 50),
    (GROUP % 2, "add: member\nmember: " + OWN, 0), (GROUP % 5, "add: member\nmember: " + OWN, 50),
    (DELEGATION % 2, "replace: vnRights\nvnRights: lr", 0), (DELEGATION % 5, "replace: vnRights\nvnRights: lr", 50),
    (DELEGATION % 2, "replace: vnDelegator\nvnDelegator: " + OTHER, 50), (DELEGATION % 2, "delete: vnDelegator\nvnDelegator: %s\n-\nadd: vnDelegator\nvnDelegator: %s" % (OWN, OTHER), 50),
    (DELEGATION % 2, "delete: vnDelegator\nvnDelegator: %s\n-\nadd: vnDelegator\nvnDelegator: %s" % (OWN, MBOX % 2), 0),
    # an app password signs in as its owner, who is judged by the value
    (APP % "aaaa", "replace: description\ndescription: khac", 0), (APP % "bbbb", "replace: description\ndescription: khac", 50), (APP % "bbbb", "replace: authPassword\nauthPassword: y", 50),
    (APP % "aaaa", "replace: vnAppOwner\nvnAppOwner: " + OTHER, 50), (APP % "bbbb", "replace: vnAppOwner\nvnAppOwner: " + OWN, 50),
    (APP % "aaaa", "delete: vnAppOwner\nvnAppOwner: %s\n-\nadd: vnAppOwner\nvnAppOwner: %s" % (OWN, OTHER), 50),
    (APP % "aaaa", "delete: vnAppOwner\nvnAppOwner: %s\n-\nadd: vnAppOwner\nvnAppOwner: %s" % (OWN, person(3)), 0),
    (GROUP % 2, "add: objectClass\nobjectClass: vnAppPassword\n-\nadd: vnAppId\nvnAppId: cccc\n-\nadd: vnAppOwner\nvnAppOwner: " + OTHER, 50),
    # an address is one, and one alone
    (OWN, "add: vnMailAlias\nvnMailAlias: binh.tv@tinhmau.example", 0), (OWN, "add: vnMailAlias\nvnMailAlias: smtp:binh2@tinhmau.example", 19),
    (OWN, "add: vnMailAlias\nvnMailAlias: binh2", 19), (OWN, "replace: mail\nmail: binh1@tinhmau.example;x", 19),
    (POST % (2, "H99.02"), "add: roleOccupant\nroleOccupant: " + OWN, 0), (POST % (5, "H99.05"), "add: roleOccupant\nroleOccupant: " + OWN, 50),
    (POST % (2, "H99.02"), "add: objectClass\nobjectClass: vnAgency\n-\nadd: vnAgencyCode\nvnAgencyCode: H99.66", 50),
    (AGENCY % "H99.02", "replace: telephoneNumber\ntelephoneNumber: 0123", 0), (AGENCY % "H99.05", "replace: telephoneNumber\ntelephoneNumber: 0123", 50),
    (AGENCY % "H99.02", "replace: ou\nou: Khác", 50), (AGENCY % "H99.02", "add: vnSuccessor\nvnSuccessor: H99.05", 50),
    ("vnAgencyCode=H99,ou=agencies," + BASE, "replace: telephoneNumber\ntelephoneNumber: 0123", 50),
    ("cn=default,ou=policies," + BASE, "replace: pwdMaxFailure\npwdMaxFailure: 0", 50), (BASE, "replace: description\ndescription: x", 50),
]


def test_what_an_officer_changes(site):
    expect(site, OFFICER, [(modify(dn, change), result) for dn, change, result in CHANGES])


def test_what_an_officer_adds_and_removes(site):
    own, other = AGENCY % "H99.02", AGENCY % "H99.05"
    expect(site, OFFICER, [(add(ldif), result) for ldif, result in (
        (staff_ldif(10), 0), (staff_ldif(11, "H99.02.01"), 0), (staff_ldif(12, "H99.05"), 50),
        (staff_ldif(13, extra="vnConcurrentAgency: H99.05\n"), 50), (staff_ldif(14, extra="vnAgencyRef: H99.05\n"), 50),
        (staff_ldif(15, extra="vnAssignment: primary;H99.05;;20250101;;1/QĐ\n"), 50), (staff_ldif(16, extra="vnRole: security\n"), 50),
        (mailbox_ldif("moi", "H99.02"), 0), (mailbox_ldif("moi5", "H99.05"), 50), (group_ldif("moi-g", "H99.02"), 0),
        (group_ldif("moi5-g", "H99.05"), 50), (delegation_ldif("moi-d", person(10)), 0), (delegation_ldif("moi5-d", person(2)), 50),
        (delegation_ldif("moi6-d", MBOX % 5), 50), (post_ldif("H99.02", own, "H99.02-tp"), 0), (post_ldif("H99.05", other, "H99.05-tp"), 50),
        (post_ldif("H99.02", other, "H99.02-tp2"), 50), (post_ldif("H99.02", own, "H99.05-gd"), 50),
        (app_ldif("dddd", person(1)), 0), (app_ldif("eeee", person(2)), 50),
        # an app password that is a group of one's own as well, among the people
        (app_ldif("ffff", person(2), "vnAppId=ffff,ou=people," + BASE, "objectClass: vnMailGroup\nmail: ffff@tinhmau.example\nvnAgencyRef: H99.02\n"), 50),
        (agency_ldif("H99.02.09", "vnAgencyCode=H99.02,vnAgencyCode=H99,").split("\n\n")[0] + "\n", 50),
        (staff_ldif(17).replace("ou=people", "ou=services"), 50), (staff_ldif(18).replace("ou=people", "ou=officers"), 50))])
    expect(site, OFFICER, [(delete(dn), result) for dn, result in (
        (person(10), 50), (person(2), 50), ("vnMailboxId=moi,ou=mailboxes," + BASE, 50), ("cn=moi-g,ou=groups," + BASE, 0),
        (GROUP % 5, 50), ("vnDelegationId=moi-d,ou=delegations," + BASE, 0), (DELEGATION % 5, 50),
        ("vnPositionCode=H99.02-tp," + own, 0), (POST % (5, "H99.05"), 50), (own, 50))])


def test_nobody_dumps_the_address_book(site):
    site.add("".join(person_ldif(n, "Trần Văn Lâm", "lam%d" % n, "x" * 8, scram=False) for n in range(1000, 1250)))
    for who, most in ((STAFF, 200), (LOOKUP, 260), (HR, 260), (OFFICER, 260)):
        for paged in ((), ("-E", "pr=50/noprompt")):
            r = site.tool("ldapsearch", who, "-LLL", "-z", "max", *paged, "-b", BASE, "(objectClass=inetOrgPerson)", "1.1")
            got = r.stdout.count("dn: vnStaffId")
            assert (got <= 200 and r.returncode in (4, 11)) if who == STAFF else (250 < got <= most and r.returncode == 0), (who, paged, got, r.returncode)


def test_mail_clients_find_people_without_marks(site):
    """Each client's own filter, what is typed with marks, without them, and by part of the address; a certificate comes along."""
    cert = b"0\x03\x02\x01\x05"
    site.add(person_ldif(30, "Đặng Thị Thu Hường", "huongdtt", "x" * 8, scram=False, extra="displayName;x-fold: Dang Thi Thu Huong (SKHCN)\n"
                         "cn;x-fold: Dang Thi Thu Huong\nsn;x-fold: Dang\ngivenName;x-fold: Huong\nuserSMIMECertificate:: %s\n" % b64(cert)))
    book = Ldap(int(site.uri.rsplit(":", 1)[1]), STAFF, PASSWORD % 1)
    for client in CLIENTS:
        for typed in ("huong", "Hường", "Dang", "đặng", "huongdtt"):
            found, result = book.search(BASE, client_filter(client, typed), attrs=("displayName", "mail", "userSMIMECertificate"))
            mine = [e for e in found if b"huongdtt@tinhmau.example" in e]
            assert result == 0 and len(mine) == 1 and "Đặng Thị Thu Hường (SKHCN)".encode() in mine[0] and cert in mine[0], (client, typed)
        assert book.search(BASE, client_filter(client, "khong co ai"))[0] == []
    # the tree of agencies, level by level
    assert len(book.search("vnAgencyCode=H99,ou=agencies," + BASE, "(objectClass=vnAgency)", attrs=("ou",))[0]) == 3
    book.close()
