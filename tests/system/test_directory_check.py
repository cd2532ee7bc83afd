"""congvu directory init, upgrade and check; check on a tree that slapd's overlays would not have let grow: loaded past them by slapadd."""

import json
import os
import re
import shutil
import subprocess
import time

import pytest

from slapd import BASE, BUILD, SCRIPT, Slapd, b64, person_ldif
from test_directory_access import delegation_ldif, group_ldif, mailbox_ldif, person, post_ldif

# slapadd wants the values of an attribute together: those of vnAssignment may go on behind
FINE = "displayName;x-fold: Tran Van Binh (SKHCN)\ncn;x-fold: Tran Van Binh\nsn;x-fold: Tran\ngivenName;x-fold: Binh\n" \
    "vnAssignment: primary;H99.02;;20200101;;1/QĐ\n"


def agency(code, above="", extra="vnStatus: active\n"):
    return ("dn: vnAgencyCode=%s,%sou=agencies,%s\nobjectClass: organizationalUnit\nobjectClass: vnAgency\nvnAgencyCode: %s\nou: %s\n"
            "displayName: %s\nvnAgencyAbbrev: SKHCN\n%s\n" % (code, above, BASE, code, code, code, extra))


def staff(n, uid=None, extra="", folded=True):
    return person_ldif(n, "Trần Văn Bình", uid or "u%d" % n, "xxxxxxxx", extra=(FINE if folded else "") + extra, scram=False)


def group(name, *members, extra=""):
    return group_ldif(name, "H99.02").replace("member: cn=nobody\n", "displayName: %s\n%s%s" % (name, "".join("member: %s\n" % m for m in members), extra))


def days_ago(n):
    return time.strftime("%Y%m%d", time.localtime(time.time() - n * 86400))


def post(name, *occupants):
    return post_ldif("H99.02", "vnAgencyCode=H99.02,vnAgencyCode=H99,ou=agencies," + BASE, name).replace(
        "cn: van thu", "cn: %s%s" % (name, "".join("\nroleOccupant: " + o for o in occupants)))


def box(name, holder):
    return mailbox_ldif(name, "H99.02").replace("cn: %s" % name, "cn: %s\ndisplayName: %s\nvnHolder: %s" % (name, name, holder))


def dn_of(post):
    return "vnPositionCode=%s,vnAgencyCode=H99.02,vnAgencyCode=H99,ou=agencies,%s" % (post, BASE)


def delegation(name, giver, taker=None, agency="H99.02", **more):
    days = {"vnValidFrom": "20200601000000Z", "vnAgencyRef": agency, **more}
    return delegation_ldif(name, giver).replace("vnDelegateTo: " + person(1), "vnDelegateTo: " + (taker or person(1))).replace(
        "vnRights: lrs\n", "vnRights: lrs\n" + "".join("%s: %s\n" % d for d in days.items()))


# Whom today leaves with a mailbox, and whom not: posts of persons 17 to 20 with their days, a post that no assignment names, groups, a delegation.
TODAY = "".join([
    staff(17, extra="vnAssignment: primary;H99.02;het;20200101;20210101;2/QĐ\n"), staff(18, extra="vnAssignment: primary;H99.02;chua;29990101;;2/QĐ\n"),
    staff(19, extra="vnAssignment: primary;H99.02;dang;20200101;29990101;2/QĐ\n"), staff(20).replace("vnStatus: active", "vnStatus: suspended"),
    post("het", person(17)), post("chua", person(18)), post("dang"), post("khoa", person(20)), post("khongngay", person(1)), post("trong"),
    box("b-het", dn_of("het")), box("b-chua", dn_of("chua")), box("b-dang", dn_of("dang")), box("b-khoa", dn_of("khoa")), box("b-khongngay", dn_of("khongngay")),
    box("b-trong", dn_of("trong")), box("b-nhom", "cn=nhom-chua,ou=groups," + BASE), box("b-nhom2", "cn=nhom-dang,ou=groups," + BASE),
    box("b-luat", "cn=theo-luat,ou=groups," + BASE), box("b-luat2", "cn=quytac,ou=groups," + BASE),
    box("b-doc", dn_of("trong")), box("b-doc2", dn_of("trong")),
    group("nhom-chua", dn_of("chua"), dn_of("trong")), group("nhom-dang", dn_of("het"), dn_of("dang")),
    delegation("doc", "vnMailboxId=b-doc,ou=mailboxes," + BASE), delegation("doc2", "vnMailboxId=b-doc2,ou=mailboxes," + BASE, vnValidTo="20210101000000Z"),
    # the taker was at H99 when it was given and is there no more; 1 is at H99.02 as ever; who gave it has left
    delegation("di", person(1), person(12), "H99"), delegation("con", person(3), person(1)), delegation("nghi", person(15)),
    group("long-nhau", "cn=theo-luat,ou=groups," + BASE), group("theo-luat", "cn=nobody", extra="vnMemberTitle: chuyên VIÊN ĐẶC biệt\n"),
    staff(21, extra="title: Chuyên viên đặc biệt\ntitle;x-fold: Chuyen vien dac biet\n"),
    group("nhom-ngoai", "cn=nhom-phu,ou=groups," + BASE), group("nhom-phu", person(1), extra="vnMemberRole: head\nvnMemberKind: office\n"),
    delegation("nhom", "vnMailboxId=b-doc,ou=mailboxes," + BASE, "cn=nhom-ngoai,ou=groups," + BASE),
    group("dung-ten", person(1), extra="vnMemberTitle: Giám đốc\nvnMemberAgency: H99.02\n"), box("b-dung-ten", "cn=dung-ten,ou=groups," + BASE),
    group("khong-hop", person(1), extra="vnMemberTitle: Giám đốc\n"),
])
BROKEN = "".join([
    agency("H99"), agency("H99.02", "vnAgencyCode=H99,"), agency("H99.09", "vnAgencyCode=H99,", "vnStatus: closed\nvnSuccessor: H99.77\n"),
    agency("H99.09.01", "vnAgencyCode=H99.09,vnAgencyCode=H99,"), agency("H99.10", "vnAgencyCode=H99,", "vnValidTo: 20200101000000Z\n"),
    post_ldif("H99.02", "vnAgencyCode=H99.02,vnAgencyCode=H99,ou=agencies," + BASE).replace("cn: van thu", "cn: Văn thư\nroleOccupant: " + person(42)),
    staff(1), staff(2, "u1", "vnMailAlias: u1@tinhmau.example\n").replace("mail: u1@", "mail: u2@"),
    staff(3, extra="vnAddressHistory: ai@tinhmau.example;20100101;%s\n" % days_ago(3000)),
    staff(4, "ai"), staff(5, extra="vnAddressHistory: lau@tinhmau.example;20000101;%s\n" % days_ago(4000)), staff(6, "lau", "vnMailAlias: u5\nvnMailAlias: smtp:u3@tinhmau.example\nvnMailAlias: login@tinhmau.example\n"),
    staff(7, "login@tinhmau.example", folded=False).replace("mail: login@tinhmau.example@", "mail: u7@"), staff(8).replace("displayName", "description"), staff(9).replace("vnAgencyRef: H99.02", "vnAgencyRef: H99.99"),
    staff(10, extra="vnAssignment: seconded;H99.02;;hôm qua;;2/QĐ\n"), staff(11, extra="vnAssignment: concurrent;H99.88;H99.88-gd;20200101;20190101;2/QĐ\n"),
    staff(12, extra="vnAssignment: seconded;H99;;20200101;20210101;2/QĐ\nvnConcurrentAgency: H99\n"), staff(13, extra="vnValidTo: 20200101000000Z\n"),
    staff(14).replace("(SKHCN)", "(STTTT)").replace(b64("Trần Văn Bình (SKHCN)".encode()), b64("Trần Văn Bình (STTTT)".encode())), staff(15).replace("vnStatus: active", "vnStatus: closed"),
    staff(16).replace("vnAgencyRef: H99.02", "vnAgencyRef: H99.09"),
    mailbox_ldif("vt", "H99.02").replace("cn: vt", "cn: vt\ndisplayName: vt"), mailbox_ldif("vt2", "H99.02").replace("cn: vt2", "cn: vt2\ndisplayName: vt2\nvnHolder: " + person(15)),
    group("a", "cn=b,ou=groups," + BASE), group("b", "cn=a,ou=groups," + BASE, person(1)), group("rong", "cn=nobody"), group("tot", person(1), "cn=nobody"),
    group("lon", *["vnStaffId=%06d,ou=people,%s" % (n % 6 + 1, BASE) + "," * 0 for n in range(6)]),
    "".join(group("sau%d" % n, "cn=sau%d,ou=groups,%s" % (n + 1, BASE)) for n in range(10)), group("sau10", person(1)),
    group("quytac", "cn=nobody", extra="vnMemberAgency: H99.98\n"),
    staff(23, extra="vnAssignment: seconded;H99;;20200101;20261331;2/QĐ\nvnAutoReplyText: x\nvnReadUntil: 20990101000000Z\n"),
    staff(22, extra="vnSigningAuthority: QĐ;KT;20260101;20261331;9/QĐ\nvnSigningAuthority: NQ;TM;20200101;20201231;9/QĐ\n"),
    delegation_ldif("x", person(77)).replace("vnDecisionRef: 1/QĐ\n", "vnValidFrom: 20250101000000Z\nvnValidTo: 20240101000000Z\n"),
    "dn: cn=hr,ou=officers,%s\nobjectClass: organizationalRole\nobjectClass: vnHrOfficer\ncn: hr\nvnHrOf: H99\nvnHrOf: H99.10\nvnHrOf: H98\n\n" % BASE,
]) + TODAY
WANTED = {  # what is found, of whom, and a word of it
    ("dangling", "vnPositionCode=H99.02-vanthu", "000042"), ("dangling", "vnDelegationId=x", "000077"), ("closed", "vnMailboxId=vt2", "000015"),
    ("login-doubled", "vnStaffId=000001", "000002"), ("address-doubled", "vnStaffId=000001", "u1@tinhmau.example"),
    ("alias-no-address", "vnStaffId=000006", "u5"), ("alias-no-address", "vnStaffId=000006", "smtp:u3@"), ("address-doubled", "vnStaffId=000006", "login@tinhmau.example"),
    ("address-protected", "vnStaffId=000004", "ai@tinhmau.example"), ("not-folded", "vnStaffId=000007", "cn;x-fold"), ("not-folded", "vnPositionCode=H99.02-vanthu", "cn;x-fold"),
    ("no-display", "vnStaffId=000008", "Trần Văn Bình (SKHCN)"), ("no-agency", "vnStaffId=000009", "H99.99"), ("not-assigned", "vnStaffId=000009", "H99.99"),
    ("assignment", "vnStaffId=000010", "hôm qua"), ("no-agency", "vnStaffId=000011", "H99.88"), ("no-post", "vnStaffId=000011", "H99.88-gd"),
    ("assignment", "vnStaffId=000011", "20190101"), ("not-assigned", "vnStaffId=000012", "H99,"), ("expired", "vnStaffId=000013", "20200101"),
    ("display-differs", "vnStaffId=000014", "STTTT"), ("agency-closed", "vnStaffId=000016", "H99.09"), ("not-assigned", "vnStaffId=000016", "H99.09"),
    ("unheld", "vnMailboxId=vt,", "vnHolder"), ("cycle", "cn=a,", "itself"), ("cycle", "cn=b,", "itself"), ("group-empty", "cn=rong,", "no member"),
    ("group-depth", "cn=sau0,", "8"), ("group-depth", "cn=sau1,", "8"), ("no-agency", "cn=quytac,", "H99.98"), ("no-decision", "vnDelegationId=x", "vnDecisionRef"),
    ("no-date", "vnDelegationId=x", "before"), ("no-agency", "vnAgencyCode=H99.09,", "H99.77"), ("agency-closed", "vnAgencyCode=H99.09.01,", "closed"),
    ("unheld-today", "vnMailboxId=vt2,", "000015"), ("group-empty", "cn=quytac,", "rules"),
    ("unheld-today", "vnMailboxId=b-het,", "behind het:"), ("unheld-today", "vnMailboxId=b-chua,", "behind chua:"), ("unheld-today", "vnMailboxId=b-khoa,", "behind khoa:"),
    ("unheld-today", "vnMailboxId=b-trong,", "behind trong:"), ("unheld-today", "vnMailboxId=b-nhom,", "behind nhom-chua:"), ("unheld-today", "vnMailboxId=b-doc2,", "trong"), ("unheld-today", "vnMailboxId=b-luat2,", "behind quytac:"),
    ("closed", "vnPositionCode=khoa,", "000020"),
    # b-luat's by theo-luat; nhom-phu is in a group that a delegation names; of dung-ten its rules name the agency, khong-hop gives nothing
    ("group-title", "cn=theo-luat,", "vnMemberAgency"), ("group-title", "cn=nhom-phu,", "vnMemberAgency"),
    ("delegation-moved", "vnDelegationId=di", "000012 has gone from H99"), ("delegation-left", "vnDelegationId=nghi", "000015"),
    ("authority", "vnStaffId=000022", "20261331"), ("assignment", "vnStaffId=000023", "20261331"), ("read-until", "vnStaffId=000023", "vnReadUntil"),
    ("abbrev-doubled", "vnAgencyCode=H99", "SKHCN is the abbreviation of vnAgencyCode=H99"),
    ("expired", "vnAgencyCode=H99.10,", "20200101"), ("no-agency", "cn=hr,", "H98"), ("officer", "cn=hr,", "H99.02 below")}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("check")
    slapd = Slapd(folder / "ldap")
    slapd.stop()
    subprocess.run("slapadd -q -f slapd.conf && chown -R --reference=. db", shell=True, cwd=slapd.dir, input=BROKEN, text=True, check=True)
    slapd.start()
    slapd.conf, slapd.journal = conf_of(folder, slapd), folder / "journal.jsonl"
    yield slapd
    slapd.stop()


def check(site, *more, code=65):
    r = subprocess.run([BUILD / "congvu", "-c", site.conf, "--json", "directory", "check", *more], capture_output=True, text=True, timeout=60)
    assert r.returncode == code, r.stdout + r.stderr
    return json.loads(r.stdout)


def test_check_finds_each_fault_and_nothing_else(site):
    got = check(site)
    found = [f for f in got["findings"] if f["result"] != "ok"]
    missing = {w for w in WANTED if not any(f["check"] == w[0] and f["text"].startswith(w[1]) and w[2] in f["text"] for f in found)}
    more = [f for f in found if not any(f["check"] == w[0] and f["text"].startswith(w[1]) and w[2] in f["text"] for w in WANTED)]
    assert not missing and not more
    assert "23 people, 5 agencies, 7 posts, 15 mailboxes" in got["findings"][-1]["text"]


def test_repair_fills_in_what_follows_and_nothing_else(site):
    texts = [f["text"] for f in check(site)["findings"] if f["check"] == "not-folded"]
    assert texts and not [t for t in texts if "and 0 more" in t], texts
    before = site.as_hr("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", BASE, "(objectClass=*)").stdout.splitlines()
    done = check(site, "--repair")
    assert "3 entries were completed" in done["findings"][-1]["text"]
    journal = [json.loads(line) for line in open(site.journal, encoding="utf-8")]
    wrote = [r for r in journal if r.get("write") == "modify"]
    assert len(wrote) == 3 and len([r for r in journal if r.get("end") == "done"]) == 3 and {r["op"] for r in wrote} == {"directory repair"}, journal
    told = {(r["dn"], a["attr"]): a["added"] for r in wrote for a in r["attributes"]}
    assert told[[r["dn"] for r in wrote if "vnStaffId=000008" in r["dn"]][0], "displayName"] == ["Trần Văn Bình (SKHCN)"], told
    after = site.as_hr("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", BASE, "(objectClass=*)").stdout.splitlines()
    assert not set(before) - set(after)
    added = set(after) - set(before)
    assert {line.split(":")[0] for line in added} <= {"displayName", "displayName;x-fold", "cn;x-fold"} and added
    assert not {"not-folded", "no-display", "repair"} & {f["check"] for f in check(site)["findings"]}
    assert "no member" in subprocess.run([BUILD / "congvu", "-c", site.conf, "--lang", "en", "directory", "check"], capture_output=True, text=True).stdout


# --- init and upgrade

def conf_of(folder, slapd):
    (folder / "congvu.conf").write_text('hostname = "localhost"\ndomains = {"tinhmau.example"}\nrun_dir = "%s"\nldap_base = "%s"\nldap_uris = {"%s"}\n'
                                        'admin_bind_dn = "cn=hr,ou=services,%s"\nadmin_password_file = "%s"\ndirectory_journal = "%s"\n' % (
                                            folder, BASE, slapd.uri, BASE, slapd.dir / "hr.password", folder / "journal.jsonl"))
    return folder / "congvu.conf"


def congvu(conf, *args, code=0):
    r = subprocess.run([BUILD / "congvu", "-c", conf, "--json", "directory", *args], capture_output=True, text=True, timeout=60,
                       env=dict(os.environ, CONGVU_SCHEMA_DIR=str(SCRIPT.parent)))
    assert r.returncode == code, r.stdout + r.stderr
    return json.loads(r.stdout) if code == 0 else r.stderr


def config_of(slapd):
    """Definitions and indexes, as slapd tells them, without their order."""
    r = subprocess.run(["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", slapd.uri, "-D", "cn=config", "-y", slapd.dir / "config.password", "-b", "cn=config",
                        "(|(cn=*congvu)(olcSuffix=%s))" % BASE, "olcAttributeTypes", "olcObjectClasses", "olcDbIndex"], capture_output=True, text=True, check=True)
    return {re.sub(r"\{\d+\}|[()$ ]", "", line) for line in r.stdout.splitlines() if line.startswith("olc")}


def with_journal(tmp_path):
    """The site's journal, there already as after a first change."""
    journal = tmp_path / "journal.jsonl"
    journal.touch()
    return journal


def journal_of(conf, journal, op, last):
    """Its records, of one chain and one command: their writes, and whom it names."""
    records = [json.loads(line) for line in journal.read_text().splitlines()][-last:]
    verified = congvu(conf, "journal", "verify")
    assert verified["valid"] and verified["unfinished"] == 0, verified
    assert {r["op"] for r in records} == {op} and len({r["batch"] for r in records}) == 1 and all(r["by"] and r["target"] == BASE for r in records), records
    assert [r.get("end") for r in records] == [None] * (len(records) - 1) + ["done"], records
    assert records == congvu(conf, "journal", "--op", op)[-last:]
    return records


def test_upgrade_brings_an_older_server_to_this_version(tmp_path, monkeypatch):
    old = tmp_path / "old"
    shutil.copytree(SCRIPT.parent, old)
    schema = (old / "congvu.schema").read_text()
    for number in ("50", "61"):
        schema = re.sub(r"attributetype \( congvuAttr:%s .*?\n\n" % number, "", schema, flags=re.S)
    schema = schema.replace(" $ vnMailDomain", "").replace("vnAssignment $ ", "").replace("DESC 'Code of a post'", "DESC 'What was said before'")
    (old / "congvu.schema").write_text(schema[:schema.index("objectclass ( congvuClass:9")] + schema[schema.index("objectclass ( congvuClass:11"):])
    conf = re.sub("overlay\t\tconstraint.*", "", (old / "slapd.conf.in").read_text(), flags=re.S)
    conf = re.sub("access to attrs=(vnAssignment|vnAgencyRef,vnConcurrentAgency,vnAssignment).*?\n(?=access|#)", "", conf, flags=re.S)
    (old / "slapd.conf.in").write_text(conf.replace("index\tvnStatus,vnRole,title\t\teq\n", "").replace("uid,mail\t\t\teq,sub", "uid,mail\t\t\tpres,eq")
                                       .replace("index\tvnAssignment\t\t\tsubinitial\n", "")
                                       .replace("vnAddressHistory\t\tsubinitial", "vnAddressHistory\t\tsub"))
    base = (old / "base.ldif.in").read_text()
    (old / "base.ldif.in").write_text(base.replace("vnSchemaVersion: 2", "vnSchemaVersion: 1").replace("dn: ou=officers,@BASE@\nobjectClass: organizationalUnit\nou: officers\n\n", ""))
    monkeypatch.setattr("slapd.SCRIPT", old / "slapd-instance")
    server = Slapd(tmp_path / "ldap", args=["--config"])
    try:
        conf, password = conf_of(tmp_path, server), server.dir / "config.password"
        server.add(agency("H99") + staff(1).replace("vnAssignment: primary;H99.02;;20200101;;1/QĐ\n", ""))
        before = config_of(server)
        journal = with_journal(tmp_path)
        would = congvu(conf, "upgrade", "--config-password-file", password, "--dry-run")
        assert would["dry_run"] and config_of(server) == before and journal.read_text() == ""
        did = congvu(conf, "upgrade", "--config-password-file", password)
        written = journal_of(conf, journal, "directory upgrade", 16)
        assert [r["what"] for r in written[:13]] == [c["name"] for c in did["changes"]][:13] and {r["as"] for r in written[:13]} == {"cn=config"}, written
        assert [(r["write"], r["dn"], r["as"]) for r in written[13:15]] == [
            ("modify", BASE, "cn=hr,ou=services," + BASE), ("add", "ou=officers," + BASE, "cn=hr,ou=services," + BASE)], written
        assert did["changes"] == would["changes"]
        rows = {(c["what"], c["name"], c["change"]) for c in did["changes"]}
        assert rows >= {("schema", "vnAssignment", "added"), ("schema", "vnMailDomain", "added"), ("schema", "vnPositionCode", "changed"), ("schema", "vnHrOfficer", "added"),
                        ("schema", "vnCivilServant", "changed"), ("index", "title eq", "added"), ("index", "vnAssignment subinitial", "added"), ("index", "mail pres,eq,sub", "changed"),
                        ("tree", "vnSchemaVersion", "changed"), ("tree", "ou=officers," + BASE, "added")}
        assert len(rows) == len(did["changes"]) == 15, rows
        whole = journal.read_bytes()
        assert congvu(conf, "upgrade", "--config-password-file", password)["changes"] == []
        assert journal.read_bytes() == whole
        # what was there is found by the new index, and the new attribute is taken
        server.modify("dn: %s\nchangetype: modify\nadd: vnAssignment\nvnAssignment: primary;H99;;20200101;;1/QĐ\n-\nadd: title\ntitle: Phó phòng\n" % person(1))
        assert "u1@" in server.as_hr("ldapsearch", "-LLL", "-b", BASE, "(title=Phó phòng)", "mail").stdout
        monkeypatch.setattr("slapd.SCRIPT", SCRIPT)
        new = Slapd(tmp_path / "new", args=["--config"])
        try:
            # kinds of index that the server had beside ours stay, and one that has ours in it is not doubled
            mine = {line.replace("pres,eq,sub", "eq,sub").replace("vnAddressHistorysub", "vnAddressHistorysubinitial") if "Index" in line else line
                    for line in config_of(server)}
            assert mine == config_of(new) != before
        finally:
            new.stop()
        assert "password" in congvu(conf, "upgrade", code=64)
    finally:
        server.stop()


def test_init_fills_an_empty_server(tmp_path):
    server = Slapd(tmp_path / "ldap")
    server.stop()
    subprocess.run("rm -f db/*", shell=True, cwd=server.dir, check=True)
    text = (server.dir / "slapd.conf").read_text()
    (server.dir / "slapd.conf").write_text(text.replace("directory\tdb\n", "directory\tdb\nrootpw\tall-of-it\n"))
    (tmp_path / "root.password").write_text("all-of-it")
    server.start()
    try:
        conf = conf_of(tmp_path, server)
        how = ("init", "--bind-dn", "cn=overlays," + BASE, "--bind-password-file", tmp_path / "root.password", "--org", "Tỉnh Mẫu",
               "--lookup-password-file", server.dir / "lookup.password", "--hr-password-file", server.dir / "hr.password")
        would = congvu(conf, *how, "--dry-run")["changes"]
        assert server.as_hr("ldapsearch", "-LLL", "-b", BASE, check=False).returncode != 0
        # what cannot be written down is not done
        journal = with_journal(tmp_path)
        journal.write_text("no record\n")
        congvu(conf, *how, code=65)
        assert server.as_hr("ldapsearch", "-LLL", "-b", BASE, check=False).returncode != 0
        journal.write_text("")
        assert congvu(conf, *how)["changes"] == would and would[0] == {"what": "tree", "name": BASE, "change": "added"}
        written = journal_of(conf, journal, "directory init", len(would) + 1)
        assert [r["dn"] for r in written[:-1]] == [c["name"] for c in would] and {r["as"] for r in written} == {"cn=overlays," + BASE}
        assert "SSHA" not in journal.read_text()
        assert congvu(conf, *how)["changes"] == []
        # it works as one that slapd-instance made: HR adds, the check is content
        server.add(agency("H99").replace("ou: H99", "ou: So"))
        assert congvu(conf, "check")["ok"]
        assert "dn: " + BASE in server.as_hr("ldapsearch", "-LLL", "-s", "base", "-b", BASE, "(o=Tỉnh Mẫu)", "1.1").stdout
    finally:
        server.stop()


def test_slapd_instance_upgrades_its_own(tmp_path, monkeypatch):
    old = tmp_path / "old"
    shutil.copytree(SCRIPT.parent, old)
    conf = (old / "slapd.conf.in").read_text()
    (old / "slapd.conf.in").write_text(conf.replace("index\tvnStatus,vnRole,title\t\teq\n", "").replace("sizelimit\t500", "sizelimit\t499"))
    schema = (old / "congvu.schema").read_text()
    (old / "congvu.schema").write_text(schema.replace("DESC 'Code of a post'", "DESC 'What was said before'"))
    monkeypatch.setattr("slapd.SCRIPT", old / "slapd-instance")
    server = Slapd(tmp_path / "ldap", args=["--public", "--maxsize", "2147483648"])
    try:
        server.add(agency("H99") + staff(1).replace("vnStatus", "title: Phó phòng\nvnStatus"))
        monkeypatch.setattr("slapd.SCRIPT", SCRIPT)
        pid = (server.dir / "slapd.pid").read_text()
        would = server.run("upgrade", "--dry-run")
        assert "+sizelimit\t500" in would and "-\tDESC 'What was said before'" in would and (server.dir / "slapd.pid").read_text() == pid
        assert "is upgraded" in server.run("upgrade")
        assert (server.dir / "slapd.pid").read_text() != pid
        assert "u1@" in server.as_hr("ldapsearch", "-LLL", "-b", BASE, "(title=Phó phòng)", "mail").stdout
        now = (server.dir / "slapd.conf").read_text()
        assert "maxsize\t\t2147483648" in now and "\tby * read" in now and "sizelimit\t500" in now and "@" not in re.sub(r"[#].*|.*constraint.*", "", now)
        assert "is of this version" in server.run("upgrade")
        # what slapd does not take leaves the server as it was
        (old / "slapd.conf.in").write_text(conf + "no-such-directive\n")
        monkeypatch.setattr("slapd.SCRIPT", old / "slapd-instance")
        with pytest.raises(AssertionError, match="as it was before"):
            server.run("upgrade")
        assert (server.dir / "slapd.conf").read_text() == now and "u1@" in server.as_hr("ldapsearch", "-LLL", "-b", BASE, "(uid=u1)", "mail").stdout
    finally:
        server.stop()


# --- out, and into an empty directory

def ldap_lines(slapd):
    """All that HR reads below the branches of people, agencies, groups and the like: as slapd tells it, without passwords."""
    text = slapd.as_hr("ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", BASE, "(!(objectClass=simpleSecurityObject))").stdout
    entries = [sorted(line for line in e.splitlines() if not line.startswith(("userPassword", "authPassword"))) for e in text.strip().split("\n\n")]
    return sorted(e for e in entries if not any("ou=services" in line or "ou=policies" in line for line in e if line.startswith("dn:")))


def test_out_and_into_an_empty_directory(tmp_path):
    """Whatever commands make is in each form of file, and from it comes again in a directory that has nothing: entry by entry, byte by byte."""
    day = ("--decision", "5/QĐ-UBND")
    full = Slapd(tmp_path / "full")
    conf = conf_of(tmp_path, full)

    def do(*words, **kw):
        r = subprocess.run([BUILD / "congvu", "-c", conf, "--json", *words], capture_output=True, text=True, timeout=60, **kw)
        assert r.returncode == 0, (words, r.stdout + r.stderr)
        return json.loads(r.stdout)
    try:
        for code, name, abbrev in (("H99.01", "Sở Một", "SM"), ("H99.02", "Sở Hai; \"hai\"", "SH")):
            do("agency", "add", "--code", code, "--name", name, "--abbrev", abbrev, "--kind", "dept", "--mailbox", "vt.%s@tinhmau.example" % abbrev.lower(), *day)
        cert = tmp_path / "cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Thử", "-utf8", "-keyout", tmp_path / "key.pem", "-out", cert],
                       check=True, capture_output=True)
        stays = do("staff", "hire", "--name", "Đỗ Thị Ở", "--agency", "H99.01", "--role", "clerk", "--title", "Văn thư, trực", "--cert", cert, *day)
        goes = do("staff", "hire", "--name", "Võ Văn Đi", "--agency", "H99.01", *day)
        lent = do("staff", "hire", "--name", "Hà Thị Mượn", "--agency", "H99.02", *day)
        do("staff", "second", lent["id"], "--agency", "H99.01", "--from", "2026-01-01", "--until", "2099-01-01", *day)
        do("post", "create", "H99.01-pgd", "--agency", "H99.01", "--title", "Phó giám đốc", "--mailbox", "pgd@tinhmau.example", *day)
        do("post", "assign", "H99.01-pgd", stays["id"], "--from", "2026-01-05", "--until", "2098-12-31", *day)
        do("post", "authorize", "H99.01-pgd", "QĐ", "KT", "--until", "2099-12-31", *day)
        do("group", "create", "hop", "--name", "Họp, bàn", "--of-agency", "H99.01", "--of-title", "Văn thư, trực", *day)
        do("group", "create", "ten", "--name", "Theo tên", "--agency", "H99.02", *day)
        do("group", "add", "ten", stays["id"], lent["id"], *day)
        do("alias", "add", stays["id"], "o@tinhmau.example", *day)
        do("alias", "remove", stays["id"], "o@tinhmau.example", *day)
        do("delegate", "grant", stays["id"], lent["id"], "--rights", "lrs", "--send", "--until", "2099-01-01", *day)
        (tmp_path / "away.txt").write_text("Tôi đi vắng;\n \"hẹn\" ngày mai, \n\ncảm ơn ")
        do("staff", "away", stays["id"], "--text-file", str(tmp_path / "away.txt"), "--subject", " Vắng ", "--until", "2099-01-01")
        do("staff", "leave", goes["id"], "--read-until", "2099-12-31", *day)
        wanted = ldap_lines(full)
        told = "\n".join(line for e in wanted for line in e)
        for attr in ("vnReadUntil", "vnSigningAuthority", "vnAssignment", "vnAddressHistory", "vnMemberTitle", "vnAutoReplyText", "vnValidTo", "vnDelegateTo", "vnNextId",
                     "userCertificate;binary"):
            assert "\n%s:" % attr in told, attr
        for form in ("ldif", "csv", "json"):
            first, second = tmp_path / ("1." + form), tmp_path / ("2." + form)
            out = subprocess.run([BUILD / "congvu", "-c", conf, "directory", "export", "--out", first], capture_output=True, text=True, timeout=60)
            assert out.returncode == 0, out.stderr
            folder = tmp_path / form
            folder.mkdir()
            empty = Slapd(folder / "ldap")
            try:
                to = conf_of(folder, empty)
                got = congvu(to, "import", first, *day)
                assert (got["added"], got["changed"]) == (14, 1), got  # the counter of ids is what was there
                out = subprocess.run([BUILD / "congvu", "-c", to, "directory", "export", "--out", second], capture_output=True, text=True, timeout=60)
                assert out.returncode == 0, out.stderr
                assert second.read_bytes() == first.read_bytes(), form
                # and not what the file says alone: what slapd has is the same
                assert ldap_lines(empty) == wanted, form
                again = congvu(to, "import", second, *day)
                assert (again["added"], again["changed"]) == (0, 0), again
            finally:
                empty.stop()
    finally:
        full.stop()
