"""congvu agency, staff, post, group, alias, delegate and directory on a real slapd: what they leave in the directory, what they say, the journal, and
what kill -9 in the middle leaves."""

import base64
import csv
import json
import re
import os
import signal
import subprocess
import time
import unicodedata

import client
import pytest

QD = ("--decision", "77/QĐ-UBND")


def answer(r):
    assert r.returncode == 0, r.stdout + r.stderr
    return json.loads(r.stdout)


def change(server, *words, expect="changed"):
    got = answer(server.congvu(*words, *QD, "--json"))
    assert got["result"] == expect, got
    return got


def person(server, name, agency, **more):
    words = [w for k, v in more.items() for w in ("--" + k, v)]
    return change(server, "staff", "hire", "--name", name, "--agency", agency, *words, expect="added")


@pytest.fixture(scope="module")
def agencies(server):
    """Two agencies of our own, and below the first one more."""
    for code, name, abbrev, more in (("H99.61", "Sở Thứ Nhất", "SMOT", ()), ("H99.62", "Sở Thứ Hai", "SHAI", ()),
                                     ("H99.61.01", "Phòng Thứ Ba", "PBA", ("--parent", "H99.61"))):
        change(server, "agency", "add", "--code", code, "--name", name, "--abbrev", abbrev, "--kind", "dept", *more, "--mailbox",
               "vt.%s@%s" % (abbrev.lower(), server.domain), expect="added")
    return "H99.61", "H99.62", "H99.61.01"


def shown(server, who):
    return answer(server.congvu("staff", "show", who, "--json"))


def test_a_career(server, agencies):
    one, two, _ = agencies
    p = person(server, "Mạc Thị Ánh Tuyết", one, role="clerk", title="Văn thư")
    who, vt = p["id"], "vt.smot@" + server.domain
    assert shown(server, who)["mailboxes"] == [vt]
    # a dry run says what would be, and changes nothing
    told = answer(server.congvu("staff", "transfer", who, "--agency", two, "--role", "staff", *QD, "--dry-run", "--json"))
    assert told["dry_run"] and told["result"] == "changed"
    diff = {a["attr"]: (a["removed"], a["added"]) for w in told["changes"] for a in w["attributes"]}
    assert diff["vnAgencyRef"] == ([one], [two]) and diff["roleOccupant"][0] == [p["dn"]]
    assert diff["displayName;x-fold"] == (["Mac Thi Anh Tuyet (SMOT)"], ["Mac Thi Anh Tuyet (SHAI)"])
    assert shown(server, who)["agency"] == one
    # it is done as it was told, once
    done = change(server, "staff", "transfer", who, "--agency", two, "--role", "staff")
    assert [w["dn"] for w in done["changes"]] == [w["dn"] for w in told["changes"]]
    change(server, "staff", "transfer", who, "--agency", two, "--role", "staff", expect="unchanged")
    hired = change(server, "staff", "hire", "--name", "Mạc Thị Ánh Tuyết", "--agency", one, "--role", "clerk", "--title", "Văn thư", expect="unchanged")
    assert hired["id"] == who  # the same command again, though the person has gone elsewhere
    now = shown(server, who)
    assert now["dn"] == p["dn"] and now["mail"] == p["mail"] and now["agency"] == two and now["mailboxes"] == []
    assert now["display_name"] == "Mạc Thị Ánh Tuyết (SHAI)"
    # a secondment with its last day, then its end
    change(server, "staff", "second", who, "--agency", one, "--from", "2026-01-05", "--until", "2099-06-30")
    change(server, "staff", "second", who, "--agency", one, "--from", "2026-01-05", "--until", "2099-06-30", expect="unchanged")
    assert any(a.startswith("seconded;H99.61;;20260104170000Z;20990630170000Z;77/QĐ-UBND") or a.startswith("seconded;H99.61;;2026")
               for a in shown(server, who)["assignments"])
    r = server.congvu("staff", "second", who, "--agency", one, *QD)
    assert r.returncode == 65 and "--until" in r.stderr
    change(server, "staff", "return", who, "--agency", one)
    # frozen: the password that was right is refused; and the other way
    assert p["must_change"]
    r = server.congvu("password", "set", who, "--password-stdin", input="mật khẩu của Tuyết\n")
    assert r.returncode == 0, r.stderr
    user = {"login": p["uid"], "password": "mật khẩu của Tuyết"}
    client.close(server.imap(user))
    change(server, "staff", "freeze", who)
    assert shown(server, who)["status"] == "suspended" and int(shown(server, who)["epoch"]) == 3
    change(server, "staff", "freeze", who, expect="unchanged")
    change(server, "staff", "unfreeze", who)
    # gone: addresses end, the id stays, and nobody else gets the address
    left = answer(server.congvu("staff", "leave", who, "--read-until", "2099-06-30", *QD, "--dry-run", "--json"))
    assert left["read_until"].startswith(("20990630", "20990701")) and ("reading", "stays") in [(e["what"], e["fate"]) for e in left["effects"]], left
    assert re.search(r"giữ nguyên +đọc thư của mình +.*2099-06-30", server.congvu("--lang", "vi", "staff", "leave", who, "--read-until", "2099-06-30", *QD, "--dry-run").stdout)
    assert "không còn đọc được thư" in server.congvu("--lang", "vi", "staff", "leave", who, *QD, "--dry-run").stdout
    assert change(server, "staff", "leave", who)["read_until"] == ""
    change(server, "staff", "leave", p["mail"], expect="unchanged")
    gone = shown(server, who)
    assert gone["status"] == "closed" and gone["mail"] == "" and gone["former_addresses"][0].startswith(p["mail"] + ";")
    r = server.congvu("staff", "hire", "--name", "Mạc Thị Ánh Tuyết", "--agency", one, "--mail", p["mail"], *QD)
    assert r.returncode == 73 and "taken, or was" in r.stderr
    r = server.congvu("staff", "hire", "--name", "Mạc Thị Ánh Tuyết", "--agency", one, *QD)
    assert r.returncode == 73 and who in r.stderr and "has left since" in r.stderr, r.stderr
    again = answer(server.congvu("staff", "hire", "--name", "Mạc Thị Ánh Tuyết", "--agency", two, "--decision", "78/QĐ-UBND", "--json"))
    assert again["id"] != who and again["mail"] not in (p["mail"], "")


def reader(server, base, lines):
    r = subprocess.run(["ldapmodify", "-x", "-H", "ldap://127.0.0.1:%d/" % (server.base + 389), "-D", "cn=hr,ou=services," + base, "-y", server.dir / "ldap/hr.password"],
                       input="dn: vnMailboxId=h99.61-giamdoc,ou=mailboxes,%s\nchangetype: modify\n%s\n" % (base, lines), capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr


def test_posts_groups_aliases_and_delegations(server, agencies):
    one = agencies[0]
    p, q = person(server, "Khúc Văn Sơn", one), person(server, "Khúc Thị Thủy", one)
    change(server, "post", "create", "H99.61-giamdoc", "--agency", one, "--title", "Giám đốc", "--mailbox",
           "gd.smot@" + server.domain, expect="added")
    change(server, "post", "assign", "H99.61-giamdoc", p["id"], "--until", "2099-01-01")
    change(server, "post", "assign", "H99.61-giamdoc", p["id"], "--until", "2099-01-01", expect="unchanged")
    assert shown(server, p["id"])["mailboxes"] == ["gd.smot@" + server.domain]
    holders = {r["code"]: r["holders"] for r in answer(server.congvu("post", "list", "--agency", one, "--json"))}
    assert holders["H99.61-giamdoc"] == ["%s Khúc Văn Sơn (SMOT)" % p["id"]]
    r = server.congvu("post", "close", "H99.61-giamdoc", *QD)
    assert r.returncode == 73 and "holds" in r.stderr
    # groups
    change(server, "group", "create", "hop-smot", "--name", "Họp Sở Một", "--of-role", "head,clerk", expect="added")
    change(server, "group", "create", "hop-con", "--name", "Họp con", expect="added")
    change(server, "group", "add", "hop-smot", p["mail"], q["uid"], "hop-con", "post:H99.61-giamdoc")
    change(server, "group", "add", "hop-smot", p["id"], expect="unchanged")
    r = server.congvu("group", "add", "hop-con", "hop-smot", *QD)
    assert r.returncode == 73 and "member of itself" in r.stderr
    group = answer(server.congvu("group", "show", "hop-smot", "--json"))
    assert sorted(group["of_role"]) == ["clerk", "head"] and len(group["members"]) == 4
    # who is behind a rule is told, and what they open by it
    change(server, "group", "create", "luat-smot", "--name", "Theo luật", "--of-agency", one, "--of-title", "Thủ kho", expect="added")
    assert answer(server.congvu("group", "show", "luat-smot", "--json"))["today"] == []
    change(server, "staff", "transfer", q["id"], "--title", "Thủ kho")
    group = answer(server.congvu("group", "show", "luat-smot", "--json"))
    assert [m["address"] for m in group["today"]] == [q["mail"]] and group["members_named"] == 0, group
    assert q["mail"] in server.congvu("group", "show", "luat-smot").stdout
    change(server, "group", "create", "ten-smot", "--name", "Theo tên", expect="added")
    change(server, "group", "add", "ten-smot", q["id"])
    base = p["dn"].split(",ou=people,")[1]
    for named in ("luat-smot", "ten-smot"):
        reader(server, base, "add: vnReader\nvnReader: cn=%s,ou=groups,%s" % (named, base))
        assert shown(server, q["id"])["mailboxes_through"] == ["gd.smot@" + server.domain], named
        assert "gd.smot@" in server.congvu("staff", "show", q["id"]).stdout
        reader(server, base, "delete: vnReader")
        assert shown(server, q["id"])["mailboxes_through"] == []
    for named in ("luat-smot", "ten-smot"):
        change(server, "group", "delete", named)
    assert "today" not in answer(server.congvu("group", "show", "luat-smot", "--json"))
    change(server, "group", "remove", "hop-smot", p["id"], q["id"], "hop-con", "post:H99.61-giamdoc")
    change(server, "group", "delete", "hop-con")
    change(server, "group", "delete", "hop-con", expect="unchanged")
    # aliases: nobody else's, also when it is given up
    alias = "son.khuc@" + server.domain
    change(server, "alias", "add", p["id"], alias)
    change(server, "alias", "remove", p["id"], alias)
    change(server, "alias", "remove", p["id"], alias, expect="unchanged")
    r = server.congvu("alias", "add", q["id"], alias, *QD)
    assert r.returncode == 73 and "10 years" in r.stderr
    former = answer(server.congvu("alias", "list", p["id"], "--json"))[0]["former"]
    assert [f["address"] for f in former] == [alias]
    # delegations
    change(server, "delegate", "grant", p["id"], q["id"], "--rights", "lrs", "--send", "--until", "2099-01-01", expect="added")
    change(server, "delegate", "grant", p["id"], q["id"], "--rights", "lrsw", "--send", "--until", "2099-01-01")
    assert [d["rights"] for d in answer(server.congvu("delegate", "list", q["id"], "--json"))] == ["lrsw send"]
    change(server, "delegate", "revoke", p["id"], q["id"])
    change(server, "delegate", "revoke", p["id"], q["id"], expect="unchanged")
    assert answer(server.congvu("delegate", "list", q["id"], "--json")) == []
    assert [d["status"] for d in answer(server.congvu("delegate", "list", q["id"], "--all", "--json"))] == ["closed"]


def test_given_again_and_given_otherwise(server, agencies):
    """Groups, second places, decisions shown, closed agencies."""
    one, two, _ = agencies
    p = person(server, "Lữ Thị Lần Hai", one)
    words = ("group", "create", "lu-nhom", "--name", "Nhóm Lữ", "--of-agency", one, "--of-role", "staff", "--may-send", "inside")
    change(server, *words, expect="added")
    change(server, *words, expect="unchanged")
    r = server.congvu(*words[:-4], *QD)
    assert r.returncode == 73 and "other rules" in r.stderr, r
    for more, code, said in ((("--of-role", "boss"), 65, "the role must be"), (("--of-kind", "ministry"), 65, "the kind must be"), (("--of-agency", "H99.6199"), 67, "H99.6199"),
                             (("--may-send", "someone"), 65, "someone is none of these")):
        r = server.congvu("group", "create", "lu-khac", "--name", "Nhóm", *more, *QD)
        assert r.returncode == code and said in r.stderr, r
    assert server.congvu("group", "show", "lu-khac").returncode == 67
    change(server, "group", "delete", "lu-nhom")
    change(server, "group", "create", "lu-nhom", "--name", "Nhóm Lữ mới", "--of-agency", two)
    now = answer(server.congvu("group", "show", "lu-nhom", "--json"))
    assert (now["of_agency"], now["of_role"], now["may_send"], now["name"], now["status"]) == ([two], [], [], "Nhóm Lữ mới", "active"), now
    # the last decision, and one second place
    server.congvu("staff", "second", p["id"], "--agency", two, "--concurrent", "--decision", "79/QĐ-UBND")
    server.congvu("staff", "second", p["id"], "--agency", two, "--until", "2099-06-30", "--decision", "80/QĐ-UBND")
    now = shown(server, p["id"])
    assert now["decision"] == "80/QĐ-UBND" and now["decisions"] == ["77/QĐ-UBND", "79/QĐ-UBND", "80/QĐ-UBND"], now
    assert "80/QĐ-UBND" in re.search(r"(?m)^  decision.*$", server.congvu("staff", "show", p["id"]).stdout)[0]
    assert [a["kind"] for a in now["assigned"]] == ["primary", "seconded"], now["assigned"]
    # an abbreviation is one agency's; an empty agency is closed with its mailbox and posts
    add = ("agency", "add", "--code", "H99.69", "--name", "Sở Sáu Chín", "--kind", "dept")
    assert server.congvu(*add, "--abbrev", "SHAI", *QD).returncode == 73 and server.congvu(*add, "--abbrev", "S 69", *QD).returncode == 65
    change(server, *add, "--abbrev", "S69", "--mailbox", "vt.s69@" + server.domain, expect="added")
    change(server, "post", "create", "H99.69-gd", "--agency", "H99.69", "--title", "Giám đốc", "--mailbox", "gd.s69@" + server.domain, expect="added")
    change(server, "post", "close", "H99.69-gd")
    assert answer(server.congvu("agency", "show", "H99.69", "--json"))["mailboxes"] == ["vt.s69@" + server.domain]
    change(server, "agency", "close", "H99.69")
    now = answer(server.congvu("agency", "show", "H99.69", "--json"))
    assert (now["status"], now["agencies_below"], now["mailboxes"]) == ("closed", 0, []), now
    told = json.loads(server.congvu("directory", "check", "--json").stdout)["findings"]
    assert not [f for f in told if "H99.69" in f["text"] or "h99.69" in f["text"]], told


def test_delegations_revoked_before_their_day_are_no_fault(server, agencies):
    one = agencies[0]
    p, q = person(server, "Lữ Văn Trao", one), person(server, "Lữ Thị Nhận", one)
    change(server, "delegate", "grant", p["id"], q["id"], "--from", "2098-01-01", "--until", "2099-01-01", expect="added")
    change(server, "delegate", "revoke", p["id"], q["id"])
    change(server, "staff", "second", q["id"], "--agency", agencies[1], "--from", "2098-01-01", "--until", "2099-01-01")
    change(server, "staff", "return", q["id"], "--agency", agencies[1])
    told = json.loads(server.congvu("directory", "check", "--json").stdout)["findings"]
    assert not [f for f in told if "before it begins" in f["text"] and (f["check"] == "no-date" or p["id"] in f["text"] or q["id"] in f["text"])], told


def test_an_officer_exports_nothing_and_is_told_what_check_does_not_see(server, agencies, tmp_path):
    p = person(server, "Lữ Thị Nhân Sự", agencies[0])
    secret, file = tmp_path / "secret", tmp_path / "part.ldif"
    told = server.congvu("officer", "add", "lu.hr", "--who", p["id"], "--agency", agencies[0], "--out", secret, *QD).stdout
    dn = next(line.split(": ", 1)[1] for line in told.splitlines() if "cn=lu.hr,ou=officers," in line)
    as_officer = ("--bind-dn", dn, "--bind-password-file", secret)
    r = server.congvu("directory", "export", "--out", file, *as_officer)
    assert r.returncode == 77 and "does not see all" in r.stderr and not file.exists(), r
    r = server.congvu("--lang", "vi", "directory", "export", *as_officer)
    assert r.returncode == 77 and r.stdout == "" and "không thấy toàn bộ" in r.stderr, r
    first = json.loads(server.congvu("directory", "check", "--json", *as_officer).stdout)["findings"][0]
    assert (first["check"], first["result"]) == ("account", "warning") and "does not see all" in first["text"], first
    assert "account" not in [f["check"] for f in json.loads(server.congvu("directory", "check", "--json").stdout)["findings"]]
    change(server, "officer", "remove", "lu.hr")


def test_a_transfer_says_what_ends_and_what_stays(server, agencies):
    one, two, _ = agencies
    p, q, r = (person(server, name, a) for name, a in (("Tạ Văn Điều", one), ("Tạ Thị Thư", one), ("Tạ Thị Sang", two)))
    change(server, "post", "create", "H99.61-pgd", "--agency", one, "--title", "Phó Giám đốc", "--mailbox", "pgd.smot@" + server.domain, expect="added")
    change(server, "post", "assign", "H99.61-pgd", p["id"], "--from", "2026-01-05", "--until", "2099-06-30")
    change(server, "delegate", "grant", p["id"], q["id"], "--rights", "lrs", "--send", expect="added")
    change(server, "delegate", "grant", p["id"], r["id"], "--until", "2099-01-01", expect="added")
    said = answer(server.congvu("staff", "transfer", p["id"], "--agency", two, *QD, "--dry-run", "--json"))["effects"]
    fates = {(e["what"], e["name"].split()[0]): e["fate"] for e in said}
    assert fates == {("post", "H99.61-pgd"): "ends", ("mailbox", "h99.61-pgd"): "ends", ("delegation-given", q["id"]): "ends", ("delegation-given", r["id"]): "stays"}
    text = server.congvu("--lang", "vi", "staff", "transfer", p["id"], "--agency", two, *QD).stdout
    assert "  kết thúc    vị trí" in text and "không còn ai khác giữ" in text and "  giữ nguyên" in text and "đến 2099-01-0" in text, text
    assert [d["to"].split()[0] for d in answer(server.congvu("delegate", "list", p["id"], "--json"))] == [r["id"]]
    # the days that are over are shown to who asks for them; the mailbox is held no more
    assert shown(server, p["id"])["mailboxes"] == [] and [a["agency"] for a in shown(server, p["id"])["assigned"]] == [two]
    every = answer(server.congvu("staff", "show", p["id"], "--all", "--json"))["assigned"]
    assert [a["state"] for a in every if a["post"] == "H99.61-pgd"] == ["over"]
    # a freeze says what goes on meanwhile
    said = change(server, "staff", "freeze", p["id"])["effects"]
    assert [(e["what"], e["fate"]) for e in said] == [("delegation-given", "stays")]
    said = change(server, "staff", "leave", p["id"])["effects"]
    assert [(e["what"], e["fate"], e["rights"]) for e in said] == [("delegation-given", "ends", "lrs")]


def test_a_post_is_shown_with_its_days(server, agencies):
    one = agencies[0]
    p, q = person(server, "Ninh Văn Nay", one), person(server, "Ninh Thị Mai", one)
    change(server, "post", "create", "H99.61-ct", "--agency", one, "--title", "Chánh Thanh tra", expect="added")
    change(server, "post", "assign", "H99.61-ct", p["id"], "--from", "2026-01-05", "--until", "2098-12-31")
    change(server, "post", "assign", "H99.61-ct", q["id"], "--from", "2099-01-01")

    def row(*more):
        return [r for r in answer(server.congvu("post", "list", "--agency", one, "--json", *more)) if r["code"] == "H99.61-ct"][0]

    now = row()
    assert [h.split()[0] for h in now["holders"]] == [p["id"]] and [(h["id"], h["state"]) for h in now["held"]] == [(p["id"], "now")]
    assert [(h["id"], h["state"], h["until"] != "") for h in row("--all")["held"]] == [(p["id"], "now", True), (q["id"], "later", False)]
    text = server.congvu("--lang", "vi", "post", "list", "--agency", one, "--all").stdout
    line = [x for x in text.splitlines() if q["id"] in x][0]
    assert "H99.61-ct" in line and "2099-01-01" in line and "chưa đến ngày" in line, text
    change(server, "staff", "freeze", p["id"])
    assert row()["holders"] == [] and row("--all")["held"][0]["state"] == "suspended"


def test_an_agency_moves_is_renamed_and_refuses_to_close(server, agencies):
    one, two, below = agencies
    change(server, "agency", "move", below, "--parent", two)
    change(server, "agency", "move", below, "--parent", two, expect="unchanged")
    assert answer(server.congvu("agency", "show", below, "--json"))["parent"] == two
    assert re.search(r"^  below +%s$" % re.escape(two), server.congvu("agency", "show", below).stdout, re.M)
    r = server.congvu("agency", "move", two, "--parent", below, *QD)
    assert r.returncode == 73 and "below it" in r.stderr
    p = person(server, "Ninh Thị Bưởi", below, role="clerk")
    assert shown(server, p["id"])["mailboxes"] == ["vt.pba@" + server.domain]  # the post's mailbox found it where it is now
    change(server, "agency", "rename", below, "--name", "Phòng Đổi Tên", "--abbrev", "PDT")
    change(server, "agency", "rename", below, "--name", "Phòng Đổi Tên", "--abbrev", "PDT", expect="unchanged")
    assert shown(server, p["id"])["display_name"] == "Ninh Thị Bưởi (PDT)"
    r = server.congvu("agency", "close", below, *QD)
    assert r.returncode == 73 and "1 people, 1 held posts, 1 mailboxes" in r.stderr


def records(server):
    return answer(server.congvu("directory", "journal", "--last", "100000", "--json"))


def test_killed_in_the_middle_and_given_again(server, agencies):
    """kill -9 when so many writes are in the journal: the same command again does the rest, and the journal is whole."""
    two = agencies[1]
    code, words = "H99.63", ("agency", "close", "H99.63", "--successor", two, "--move", *QD)
    change(server, "agency", "add", "--code", code, "--name", "Sở Bị Đóng", "--abbrev", "SDONG", "--kind", "dept", "--mailbox",
           "vt.sdong@" + server.domain, expect="added")
    people = [person(server, "Đoàn Văn " + n, code, role="clerk") for n in ("Nhất", "Nhị", "Tam", "Tứ")]
    journal = server.dir / "var/directory/journal.jsonl"
    killed = 0
    for writes in (2, 3):
        size = journal.stat().st_size
        p = subprocess.Popen([server.prefix / "bin/congvu", "-c", server.conf, *words], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 20
        with open(journal, "rb") as f:
            f.seek(size)
            seen = 0
            while seen < writes and p.poll() is None and time.monotonic() < end:
                seen += f.read().count(b"\n")
        p.send_signal(signal.SIGKILL)
        killed += p.wait() == -signal.SIGKILL
    assert killed > 0
    done = answer(server.congvu(*words, "--json"))
    assert done["result"] == "changed"
    assert answer(server.congvu(*words, "--json"))["result"] == "unchanged"
    for one in people:
        now = shown(server, one["id"])
        assert now["agency"] == two and now["display_name"].endswith("(SHAI)") and "vt.sdong@" + server.domain in now["mailboxes"]
    assert re.search(r"^  successor +%s$" % re.escape(two), server.congvu("agency", "show", code).stdout, re.M)
    assert re.search(r"^  predecessor +%s$" % re.escape(code), server.congvu("agency", "show", two).stdout, re.M)
    closed = answer(server.congvu("agency", "show", code, "--json"))
    assert closed["status"] == "closed" and closed["successors"] == [two] and closed["people"] == 0
    check = answer(server.congvu("directory", "journal", "verify", "--json"))
    assert check["valid"] and check["unfinished"] == killed and check["torn"] == 0


def people_like(server, p, n, tmp_path, first=500000):
    """The LDIF of n people that are not there, made of one that is: [(dn, block)]."""
    out = tmp_path / "all.ldif"
    server.congvu("directory", "export", "--out", out)
    block = next(b for b in out.read_text().replace("\n ", "").split("\n\n") if b.strip().startswith("dn: " + p["dn"] + "\n"))
    uid, got = p["mail"].split("@")[0], []
    for i in range(1, n + 1):
        number = str(int(p["id"]) + first + i)
        text = block.strip().replace(p["id"], number).replace("uid: " + uid, "uid: %s.%d" % (uid, i)).replace(
            "mail: " + uid, "mail: %s.%d" % (uid, i))
        assert number in text.splitlines()[0] and "mail: %s.%d@" % (uid, i) in text
        got.append((text.splitlines()[0][4:], text + "\n\n"))
    return got


def test_an_import_is_written_together_and_told_apart(server, agencies, tmp_path):
    """Some hundred entries are one write of the directory; when it does not take them, it is told which is wrong, and what stands before that is there."""
    p = person(server, "Lã Thị Gộp", agencies[0])
    rows = people_like(server, p, 40, tmp_path)
    file = tmp_path / "in.ldif"
    file.write_text("".join(b for _, b in rows[:30]))
    got = answer(server.congvu("directory", "import", file, *QD, "--json"))
    assert (got["added"], got["changed"]) == (30, 0) and len(got["changes"]) == 30
    mine = [r for r in records(server) if r["op"] == "directory import"][-31:]
    assert [r.get("write") for r in mine] == ["add"] * 30 + [None] and mine[-1]["end"] == "done"
    assert [r["dn"] for r in mine[:-1]] == [dn for dn, _ in rows[:30]]
    got = answer(server.congvu("directory", "import", file, *QD, "--json"))
    assert (got["added"], got["changed"]) == (0, 0)
    # two of the file have one login name: the directory alone looks at it, and neither is there before
    uid = p["mail"].split("@")[0]
    twice = rows[35][1].replace("uid: %s.36\n" % uid, "uid: %s.33\n" % uid)
    assert twice != rows[35][1]
    file.write_text("".join(b for _, b in rows[30:35]) + twice + "".join(b for _, b in rows[36:]))
    r = server.congvu("directory", "import", file, *QD, "--json")
    assert r.returncode != 0 and rows[35][0] in r.stderr, r.stderr
    assert "5 added, 0 changed" in r.stderr
    out = tmp_path / "after.ldif"
    server.congvu("directory", "export", "--out", out)
    there = [("dn: %s\n" % dn) in out.read_text() for dn, _ in rows]
    assert there == [True] * 35 + [False] * 5
    mine = [r for r in records(server) if r["op"] == "directory import"]
    undone = max(i for i, r in enumerate(mine) if r.get("write") == "undone")
    assert mine[undone]["count"] == 10 and [r.get("write") for r in mine[undone - 10:undone]] == ["add"] * 10
    assert [r["dn"] for r in mine[undone + 1:-1]] == [dn for dn, _ in rows[30:36]] and mine[-1]["end"] == "failed"
    check = answer(server.congvu("directory", "journal", "verify", "--json"))
    assert check["valid"] and check["torn"] == 0


def test_one_address_for_two_of_an_imported_file(server, agencies, tmp_path):
    """Neither is there before; one has it as its address and one as a further one, which the server takes."""
    p = person(server, "Lã Thị Trùng", agencies[0])
    rows = people_like(server, p, 3, tmp_path, 700000)
    uid, domain = p["mail"].split("@")
    alias = "vnMailAlias: %s.1@%s\n" % (uid.upper(), domain)
    file, out = tmp_path / "in.ldif", tmp_path / "after.ldif"
    file.write_text(rows[0][1] + rows[1][1].rstrip("\n") + "\n" + alias + "\n" + rows[2][1])
    r = server.congvu("directory", "import", file, *QD)
    assert r.returncode == 73 and rows[1][0] in r.stderr and "somebody else's" in r.stderr, (r.returncode, r.stderr)
    server.congvu("directory", "export", "--out", out)
    assert [("dn: %s\n" % dn) in out.read_text() for dn, _ in rows] == [True, False, False]


def test_an_imported_entry_that_the_journal_does_not_take(server, agencies, tmp_path):
    """A record of the journal has at most 1 MiB: what stands before that entry is made and in the journal, and nothing else is in either."""
    p = person(server, "Lã Văn Ảnh", agencies[0])
    rows = people_like(server, p, 5, tmp_path, 800000)
    photo = "jpegPhoto:: %s\n" % base64.b64encode(b"\xff\xd8" + bytes(range(256)) * 3200).decode()
    file, out = tmp_path / "in.ldif", tmp_path / "after.ldif"
    file.write_text("".join(b for _, b in rows[:3]) + rows[3][1].rstrip("\n") + "\n" + photo + "\n" + rows[4][1])
    before = len(records(server))
    r = server.congvu("directory", "import", file, *QD)
    assert r.returncode != 0 and rows[3][0] in r.stderr and "too large" in r.stderr, (r.returncode, r.stderr)
    assert "3 added, 0 changed" in r.stderr
    server.congvu("directory", "export", "--out", out)
    assert [("dn: %s\n" % dn) in out.read_text() for dn, _ in rows] == [True] * 3 + [False] * 2
    new = records(server)[before:]
    assert [r.get("dn") for r in new[:-1]] == [dn for dn, _ in rows[:3]] and new[-1]["end"] == "failed", new
    check = answer(server.congvu("directory", "journal", "verify", "--json"))
    assert check["valid"] and check["torn"] == 0


def test_an_import_that_is_killed(server, agencies, tmp_path):
    """Between the journal and the directory, or within: of what is written together all is there or nothing, and given again the rest comes."""
    p = person(server, "Lã Văn Ngắt", agencies[0])
    rows = people_like(server, p, 60, tmp_path, 600000)
    file, out = tmp_path / "in.ldif", tmp_path / "after.ldif"
    file.write_text("".join(b for _, b in rows))
    journal = server.dir / "var/directory/journal.jsonl"
    size, killed = journal.stat().st_size, False
    run = subprocess.Popen([server.prefix / "bin/congvu", "-c", server.conf, "directory", "import", file, *QD], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    while run.poll() is None:
        if journal.stat().st_size > size:
            run.send_signal(signal.SIGKILL)
            killed = run.wait() == -signal.SIGKILL
    assert killed
    server.congvu("directory", "export", "--out", out)
    there = sum(("dn: %s\n" % dn) in out.read_text() for dn, _ in rows)
    assert there in (0, 60)
    got = answer(server.congvu("directory", "import", file, *QD, "--json"))
    assert (got["added"], got["changed"]) == (60 - there, 0)
    check = answer(server.congvu("directory", "journal", "verify", "--json"))
    assert check["valid"]


def test_the_journal_says_who_what_and_by_which_decision(server, agencies, tmp_path):
    p = person(server, "Tạ Thị Mai", agencies[0])
    mine = [r for r in records(server) if r["op"] == "staff hire" and r["target"] == "Tạ Thị Mai"]
    assert [r.get("end", r.get("write")) for r in mine] == ["add", "done"]
    assert {r["decision"] for r in mine} == {"77/QĐ-UBND"} and len({r["batch"] for r in mine}) == 1 and mine[0]["by"]
    added = {a["attr"]: a["added"] for a in mine[0]["attributes"]}
    assert added["mail"] == [p["mail"]] and added["userPassword"] == ["(secret)"] and added["authPassword"] == ["(secret)"]
    dry = server.congvu("--lang", "vi", "staff", "hire", "--name", "Tạ Thị Hoa", "--agency", agencies[0], "--decision", "77/QĐ-UBND", "--dry-run").stdout
    assert "userPassword: (bí mật)" in dry and "(secret)" not in dry, dry
    journal = server.dir / "var/directory/journal.jsonl"
    assert p["password"] not in journal.read_text()
    # a changed octet, a line that is gone, an end that is cut off: each is told
    lines = journal.read_bytes().splitlines(True)
    middle = len(lines) // 2
    for name, text in (("changed", b"".join(lines[:middle] + [lines[middle].replace(b'"by":"', b'"by":"x', 1)] + lines[middle + 1:])),
                       ("gone", b"".join(lines[:middle] + lines[middle + 1:]))):
        (tmp_path / name).write_bytes(text)
        r = server.congvu("directory", "journal", "verify", "--file", tmp_path / name)
        assert r.returncode == 65 and "breaks the chain" in r.stderr, name
    (tmp_path / "cut").write_bytes(b"".join(lines[:-1]))
    (tmp_path / "cut.state").write_bytes((journal.parent / (journal.name + ".state")).read_bytes())
    r = server.congvu("directory", "journal", "verify", "--file", tmp_path / "cut")
    assert r.returncode == 65 and "the end is missing" in r.stderr


def refused(r):
    return r.returncode == 77 and "sign-in to the directory refused" in r.stderr and "ldap_connect_failed" not in r.stderr


def test_an_officer_writes_for_their_agencies_and_the_journal_names_them(server, agencies, tmp_path):
    one, two, _ = agencies
    p = person(server, "Nhữ Thị Nhân Sự", one)
    secret = tmp_path / "officer"
    add = ("officer", "add", "smot.hr", "--who", p["id"], "--agency", one, "--until", "2099-12-31")
    said = answer(server.congvu(*add, "--out", secret, *QD, "--dry-run", "--json"))
    assert said["result"] == "added" and not secret.exists() and answer(server.congvu("officer", "list", "--json")) == []
    said = change(server, *add, "--out", secret, expect="added")
    assert secret.stat().st_mode & 0o777 == 0o600 and secret.read_text() not in json.dumps(said)
    assert change(server, *add, expect="unchanged")["changes"] == []
    row = answer(server.congvu("officer", "list", "--json"))[0]
    assert row["who"].startswith(p["id"]) and row["agencies"] == [one] and row["state"] == "now" and row["until"] > "20991231"
    as_officer = ("--bind-dn", row["dn"], "--bind-password-file", secret)
    # below the own agency, and nowhere else; the journal has the account, and who ran the command
    r = server.congvu("staff", "hire", "--name", "Phí Văn Mới", "--agency", one, *QD, *as_officer, "--json")
    assert answer(r)["must_change"]
    r = server.congvu("staff", "hire", "--name", "Phí Văn Khác", "--agency", two, *QD, *as_officer)
    assert r.returncode == 77, r.stderr
    wrote = {r["target"]: r for r in records(server) if r["op"] == "staff hire" and r.get("write")}
    assert wrote["Phí Văn Mới"]["as"] == row["dn"] and wrote["Phí Văn Mới"]["by"]
    assert wrote["Nhữ Thị Nhân Sự"]["as"].startswith("cn=hr,ou=services,")
    text = server.congvu("directory", "journal", "--by", "smot.hr").stdout
    assert "Phí Văn Mới" in text and "Nhữ Thị" not in text and "  cn=smot.hr  " in text
    assert answer(server.congvu("directory", "journal", "verify", "--json"))["valid"]
    # another agency too; a secret of somebody else's is not handed on
    change(server, "officer", "add", "smot.hr", "--who", p["id"], "--agency", one + "," + two)
    assert answer(server.congvu("staff", "hire", "--name", "Phí Văn Khác", "--agency", two, *QD, *as_officer, "--json"))["result"] == "added"
    q = person(server, "Nhữ Văn Khác", one)
    r = server.congvu("officer", "add", "smot.hr", "--who", q["id"], "--agency", one, *QD)
    assert r.returncode == 73 and "somebody else" in r.stderr
    # days: slapd itself takes nobody before and after them
    later = change(server, "officer", "add", "mai.sau", "--who", q["id"], "--agency", one, "--from", "2099-01-01", expect="added")
    (tmp_path / "later").write_text(later["password"])
    r = server.congvu("post", "list", "--bind-dn", "cn=mai.sau,ou=officers," + row["dn"].split(",", 2)[2], "--bind-password-file", tmp_path / "later")
    assert refused(r), (r.returncode, r.stderr)
    assert [(o["name"], o["state"]) for o in answer(server.congvu("officer", "list", "--all", "--json"))] == [("smot.hr", "now"), ("mai.sau", "later")]
    # who is frozen is so as an officer too, and who leaves is none
    assert server.congvu("post", "list", *as_officer).returncode == 0
    assert ("officer", "stays") in [(e["what"], e["fate"]) for e in change(server, "staff", "freeze", p["id"])["effects"]]
    assert refused(server.congvu("post", "list", *as_officer))
    change(server, "staff", "unfreeze", p["id"])
    assert server.congvu("post", "list", *as_officer).returncode == 0
    assert ("officer", "ends") in [(e["what"], e["fate"]) for e in change(server, "staff", "leave", p["id"])["effects"]]
    assert refused(server.congvu("post", "list", *as_officer))
    change(server, "officer", "remove", "mai.sau")
    r = server.congvu("officer", "remove", "mai.sau", *QD)
    assert r.returncode == 67 and "no account of this name" in r.stderr, r.stderr
    assert answer(server.congvu("officer", "list", "--all", "--json")) == []


def test_what_an_officer_may_not_is_told_before_anything_is_done(server, agencies, tmp_path):
    one, two, _ = agencies
    p, q, r = (person(server, name, at) for name, at in (("Tống Thị Cán Bộ", one), ("Tống Văn Đồng Sự", one), ("Tống Văn Nơi Khác", two)))
    # who is frozen gets no account
    change(server, "staff", "freeze", q["id"])
    got = server.congvu("officer", "add", "dong.su", "--who", q["id"], "--agency", one, *QD)
    assert got.returncode == 73 and "frozen" in got.stderr and answer(server.congvu("officer", "list", "--all", "--json")) == []
    change(server, "staff", "unfreeze", q["id"])
    # the words name the account to sign in with, also where the password is in a file
    secret = tmp_path / "secret"
    told = server.congvu("officer", "add", "can.bo", "--who", p["id"], "--agency", one, "--until", "2098-12-31", "--out", secret, *QD).stdout
    dn = next(line.split(": ", 1)[1] for line in told.splitlines() if "cn=can.bo,ou=officers," in line)
    as_officer = ("--bind-dn", dn, "--bind-password-file", secret)
    assert server.congvu("staff", "show", q["id"], *as_officer).returncode == 0
    # the last day is the one that was given
    assert " 2098-12-31 " in server.congvu("officer", "list").stdout
    change(server, "post", "assign", one + "-vanthu", q["id"], "--until", "2097-12-31")
    for words in (("post", "list", "--agency", one), ("staff", "show", q["id"])):
        text = server.congvu(*words).stdout
        assert "2097-12-31" in text and "2098-01-01" not in text, text
    change(server, "post", "release", one + "-vanthu", q["id"])
    wrong = tmp_path / "wrong"
    wrong.write_text("không phải mật khẩu này")
    assert refused(server.congvu("post", "list", "--bind-dn", dn, "--bind-password-file", wrong))
    got = server.congvu("--lang", "vi", "post", "list", "--bind-dn", dn, "--bind-password-file", wrong)
    assert got.returncode == 77 and "từ chối đăng nhập" in got.stderr and "\n" == got.stderr[got.stderr.index("\n"):], got.stderr
    # herself: nothing is begun; nor does a dry run promise what the directory would refuse
    was = shown(server, p["id"])
    for words in (("staff", "freeze", p["id"]), ("staff", "leave", p["id"]), ("staff", "transfer", p["id"], "--agency", two)):
        for dry in ((), ("--dry-run",)):
            got = server.congvu(*words, *QD, *as_officer, *dry)
            assert got.returncode == 77 and "your own account" in got.stderr, got.stderr
    assert shown(server, p["id"]) == was and server.congvu("post", "list", *as_officer).returncode == 0
    for words in (("staff", "freeze", r["id"]), ("staff", "transfer", q["id"], "--agency", two), ("post", "assign", two + "-vanthu", q["id"])):
        got = server.congvu(*words, *QD, *as_officer, "--dry-run")
        assert got.returncode == 77 and two in got.stderr, got.stderr
    assert answer(server.congvu("staff", "freeze", q["id"], *QD, *as_officer, "--dry-run", "--json"))["result"] == "changed"
    for words in (("remove", "can.bo"), ("remove", "khong.co"), ("add", "khac", "--who", q["id"], "--agency", one)):
        got = server.congvu("officer", *words, *QD, *as_officer)
        assert got.returncode == 77 and "central HR" in got.stderr, got.stderr
    slip = tmp_path / "slip"
    got = server.congvu("password", "slip", r["id"], "--out", slip, *as_officer)
    assert got.returncode == 77 and not slip.exists(), (got.returncode, got.stdout, got.stderr)
    # days are as given now, both of them
    change(server, "officer", "add", "can.bo", "--who", p["id"], "--agency", one, "--from", "2098-01-01", "--until", "2098-12-31")
    assert refused(server.congvu("post", "list", *as_officer))
    change(server, "officer", "add", "can.bo", "--who", p["id"], "--agency", one)
    assert server.congvu("post", "list", *as_officer).returncode == 0
    change(server, "officer", "remove", "can.bo")


def test_what_a_post_may_sign_and_whom_groups_reach(server, agencies):
    one = agencies[0]
    p = person(server, "Lục Văn Ký", one)
    change(server, "post", "create", one + "-phogd", "--agency", one, "--title", "Phó giám đốc", expect="added")
    change(server, "post", "authorize", one + "-phogd", "QĐ", "KT", "--until", "2099-12-31")
    change(server, "post", "authorize", one + "-phogd", "QĐ", "KT", "--until", "2099-12-31", expect="unchanged")
    row = {r["code"]: r for r in answer(server.congvu("post", "list", "--agency", one, "--json"))}[one + "-phogd"]
    assert len(row["may_sign"]) == 1 and row["may_sign"][0].startswith("QĐ;KT;") and row["may_sign"][0].endswith(";77/QĐ-UBND"), row
    assert [(s["type"], s["capacity"], s["state"]) for s in row["signing"]] == [("QĐ", "KT", "now")], row
    assert "may sign QĐ KT until 2099-12-31" in server.congvu("post", "list", "--agency", one).stdout
    change(server, "post", "authorize", one + "-phogd", "CV", "TL", "--from", "2098-01-01", expect="changed")
    r = server.congvu("post", "authorize", one + "-phogd", "*", *QD)
    assert r.returncode == 64 and "in which capacity" in r.stderr, r.stderr
    told = answer(server.congvu("post", "unauthorize", one + "-phogd", "QĐ", "KT", *QD, "--dry-run", "--json"))
    assert told["result"] == "changed" and told["changes"]
    r = server.congvu("--lang", "vi", "post", "authorize", one + "-phogd", "QĐ", "XX", *QD)
    assert r.returncode == 65 and "thẩm quyền ký là TM" in r.stderr, r
    assert server.congvu("post", "authorize", one + "-phogd", "QĐ", "KT").returncode != 0  # without a decision
    change(server, "post", "unauthorize", one + "-phogd", "QĐ", "KT")
    # what is over, or has not begun, may not be signed
    row = {r["code"]: r for r in answer(server.congvu("post", "list", "--agency", one, "--json"))}[one + "-phogd"]
    assert row["may_sign"] == [] and row["signing"] == [], row
    row = {r["code"]: r for r in answer(server.congvu("post", "list", "--agency", one, "--all", "--json"))}[one + "-phogd"]
    assert row["may_sign"] == [] and sorted((s["type"], s["state"]) for s in row["signing"]) == [("CV", "later"), ("QĐ", "over")], row
    text = server.congvu("--lang", "vi", "post", "list", "--agency", one).stdout
    assert "được ký" not in text, text
    text = server.congvu("--lang", "vi", "post", "list", "--agency", one, "--all").stdout
    assert "được ký" in text and "CV TL (chưa đến ngày)" in text, text
    r = server.congvu("post", "unauthorize", one + "-phogd", "QĐ", "KT", *QD)
    assert r.returncode == 67 and "may not sign" in r.stderr, r
    # groups: by name and by rule, in the list too
    change(server, "group", "create", "luc-nhom", "--name", "Nhóm Lục", "--of-agency", one, "--of-title", "Thủ thư đặc biệt", expect="added")
    find = lambda: {g["id"]: g for g in answer(server.congvu("group", "list", "--json"))}["luc-nhom"]
    assert (find()["members_named"], find()["reaches"]) == (0, 0)
    change(server, "staff", "transfer", p["id"], "--title", "Thủ thư đặc biệt")
    assert (find()["members_named"], find()["reaches"]) == (0, 1)
    assert re.search(r"^luc-nhom +\S+ +\S+ +0 +1 +Nhóm Lục$", server.congvu("group", "list").stdout, re.M), server.congvu("group", "list").stdout


def test_what_the_server_refuses_within_a_command_undoes_all_of_it(server, agencies, tmp_path):
    """slapd lets no officer make somebody the security officer (vnRole): found in the last of three writes, of which none is made."""
    one, two, _ = agencies
    p, q = person(server, "Doãn Thị Nhân Sự", one), person(server, "Doãn Văn Thư", one)
    change(server, "post", "assign", one + "-vanthu", q["id"])
    change(server, "group", "create", "doan-nhom", "--name", "Nhóm", "--agency", one, expect="added")
    change(server, "group", "add", "doan-nhom", q["id"])
    secret = tmp_path / "secret"
    told = server.congvu("officer", "add", "doan.hr", "--who", p["id"], "--agency", one + "," + two, "--out", secret, *QD).stdout
    dn = next(line.split(": ", 1)[1] for line in told.splitlines() if "cn=doan.hr,ou=officers," in line)
    was, group = shown(server, q["id"]), answer(server.congvu("group", "show", "doan-nhom", "--json"))
    got = server.congvu("staff", "transfer", q["id"], "--agency", two, "--role", "security", *QD, "--bind-dn", dn, "--bind-password-file", secret)
    assert got.returncode == 77 and "your account may not write that" in got.stderr and ": Insufficient access)" in got.stderr, (got.returncode, got.stderr)
    assert shown(server, q["id"]) == was and was["mailboxes"] != []
    assert answer(server.congvu("group", "show", "doan-nhom", "--json")) == group
    records = answer(server.congvu("directory", "journal", "--json"))
    assert answer(server.congvu("directory", "journal", "verify", "--json"))["valid"]
    last = (records["records"] if isinstance(records, dict) else records)[-1]
    assert last["end"] == "failed" and last["all_or_none"] is True and last["error"] == "denied", last
    # the same with what she may write
    done = server.congvu("staff", "transfer", q["id"], "--agency", two, "--role", "staff", *QD, "--bind-dn", dn, "--bind-password-file", secret)
    assert done.returncode == 0, done.stderr
    assert shown(server, q["id"])["agency"] == two and shown(server, q["id"])["mailboxes"] == []
    change(server, "officer", "remove", "doan.hr")


def conf_with(server, tmp_path, line):
    conf = tmp_path / "congvu.conf"
    text = server.conf.read_text().replace('"../', '"%s/' % server.dir).replace('"tls/', '"%s/tls/' % server.conf.parent)
    for old in text.splitlines():
        if "_file" in old and '= "' in old and '= "/' not in old:
            text = text.replace(old, old.replace('= "', '= "%s/' % server.conf.parent))
    conf.write_text(text + "\n" + line + "\n")
    return conf


def test_transactions_are_switched_off(server, agencies, tmp_path):
    """For a server that had better not be asked for any: a command's writes go one by one, and the journal says so when one is refused."""
    one, two, _ = agencies
    p, q = person(server, "Doãn Thị Riêng Lẻ", one), person(server, "Doãn Văn Từng Bước", one)
    change(server, "post", "assign", one + "-vanthu", q["id"])
    secret = tmp_path / "secret"
    told = server.congvu("officer", "add", "doan.rl", "--who", p["id"], "--agency", one + "," + two, "--out", secret, *QD).stdout
    dn = next(line.split(": ", 1)[1] for line in told.splitlines() if "cn=doan.rl,ou=officers," in line)
    for setting, together in (("true", True), ("false", None)):
        conf = conf_with(server, tmp_path, "ldap_transactions = " + setting)
        got = server.run_congvu(conf, "staff", "transfer", q["id"], "--agency", two,
                                "--role", "security", *QD, "--bind-dn", dn, "--bind-password-file", secret)
        assert got.returncode == 77, (got.returncode, got.stderr)
        records = answer(server.run_congvu(conf, "directory", "journal", "--json"))
        last = (records["records"] if isinstance(records, dict) else records)[-1]
        assert (last["end"], last.get("all_or_none")) == ("failed", together), last
    change(server, "officer", "remove", "doan.rl")


def test_no_change_without_its_journal(server, tmp_path):
    conf = conf_with(server, tmp_path, 'directory_journal = "/proc/no/journal"')
    r = server.run_congvu(conf, "alias", "add", server.users[0]["login"], "nhat.ky@" + server.domain, *QD)
    assert r.returncode == 74 and "nothing is changed without it" in r.stderr, r.stderr
    assert "nhat.ky" not in server.congvu("alias", "list").stdout


@pytest.mark.parametrize("form", ["ldif", "json", "csv"])
def test_out_and_in_again(server, agencies, tmp_path, form):
    first, second = tmp_path / ("1." + form), tmp_path / ("2." + form)
    r = server.congvu("directory", "export", "--out", first)
    assert r.returncode == 0, r.stderr
    text = first.read_text()
    assert "userPassword" not in text and "ou=services" not in text
    if form == "csv":
        rows = list(csv.DictReader(text.splitlines()))
        assert any(x["attribute"] == "ou" and x["value"] == "Sở Thứ Nhất" for x in rows)
    # what was changed since is put back, and nothing else is touched
    who = person(server, "Phó Thị Xuất " + form, agencies[0])
    server.congvu("directory", "export", "--out", first)
    change(server, "staff", "transfer", who["id"], "--title", "Phó phòng")
    told = answer(server.congvu("directory", "import", first, *QD, "--dry-run", "--json"))
    assert (told["added"], told["changed"]) == (0, 1) and shown(server, who["id"])["title"] == "Phó phòng"
    got = answer(server.congvu("directory", "import", first, *QD, "--json"))
    assert (got["added"], got["changed"]) == (0, 1)
    server.congvu("directory", "export", "--out", second)
    assert first.read_bytes() == second.read_bytes()


def test_a_terminal_does_not_obey_the_directory(server, agencies, tmp_path):
    """What came there past congvu, here by a file."""
    who = person(server, "Phó Thị Điều Khiển", agencies[0], title="Steered")
    good, bad = tmp_path / "good.ldif", tmp_path / "bad.ldif"
    server.congvu("directory", "export", "--out", good)
    steer, place = (base64.b64encode(b + b"Stee\x1b[31mred").decode() for b in (b"", b"concurrent;H99.7777;;20200101;;"))
    text = good.read_text()
    assert text.count("title: Steered\n") == 1
    bad.write_text(text.replace("title: Steered\n", "title:: %s\nvnAssignment:: %s\n" % (steer, place)))
    answer(server.congvu("directory", "import", bad, *QD, "--json"))
    try:
        out = server.congvu("staff", "show", who["id"]).stdout
        assert "Stee?[31mred" in out and "\x1b" not in out, out
        out = server.congvu("directory", "check").stdout
        assert "Stee?[31mred" in out and "\x1b" not in out, out
    finally:
        answer(server.congvu("directory", "import", good, *QD, "--json"))
    assert shown(server, who["id"])["title"] == "Steered"


def test_columns_stand_below_one_another(server, agencies):
    """On the screen, that is: letters with marks of their own take no room."""
    name = unicodedata.normalize("NFC", "Ấm Ước Ệ")
    person(server, name, agencies[0])
    lines = server.congvu("staff", "list", "--agency", agencies[0]).stdout.splitlines()
    at = {line.index("active" if " active " in line else "closed") for line in lines if " active " in line or " closed " in line}
    assert len(lines) > 2 and len(at) == 1
    assert not any("\u202e" in line for line in lines)


def test_both_languages_and_completion(server):
    vi = server.congvu("staff", "freeze", "khong.co.ai", *QD, "--lang", "vi")
    assert vi.returncode == 67 and "không có" in vi.stderr.lower()
    en = server.congvu("staff", "freeze", "khong.co.ai", *QD, "--lang", "en")
    assert "nothing in the directory has" in en.stderr
    assert "Nhóm thư" in server.congvu("--help", "--lang", "vi").stdout
    script = server.prefix / "share/bash-completion/completions/congvu"
    env = dict(os.environ, PATH="%s:%s" % (server.prefix / "bin", os.environ["PATH"]))

    def complete(*words):
        code = '. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _congvu; printf "%s\\n" "${COMPREPLY[@]}"'
        return subprocess.run(["bash", "-c", code, script, "congvu", *words], env=env, capture_output=True, text=True).stdout.split()
    assert complete("deleg") == ["delegate"]
    assert complete("staff", "tr") == ["transfer"]
    assert complete("agency", "add", "--kind", "") == ["board", "commune", "dept", "office", "sector"]
    assert "--successor" in complete("agency", "close", "H99", "--")


def test_a_dry_run_of_a_hire_says_so(server, agencies, tmp_path):
    one = agencies[0]
    words = ("staff", "hire", "--name", "Khô Thị Chạy", "--agency", one, "--title", "Chuyên viên", *QD, "--dry-run")
    for lang, text in (("en", "added (dry run: nothing was written)"), ("vi", "chưa ghi gì")):
        assert text in server.congvu("--lang", lang, *words).stdout, server.congvu("--lang", lang, *words).stdout
    rows = tmp_path / "rows.csv"
    rows.write_text("name,agency,title,decision\nKhô Văn Chạy,%s,Chuyên viên,1/QĐ\n" % one)
    r = server.congvu("staff", "hire", "--file", rows, "--dry-run")
    assert r.returncode == 0 and "added (dry run: nothing was written)" in r.stdout and "(dry run: nothing was written)" in r.stderr, (r.stdout, r.stderr)
    assert [x["dry_run"] for x in answer(server.congvu("staff", "hire", "--file", rows, "--dry-run", "--json"))] == [True]
    assert "Khô" not in server.congvu("staff", "list", "--agency", one).stdout


def test_words_that_are_no_verbs_and_rights_that_have_not_begun(server, agencies):
    one = agencies[0]
    for lang, text in (("en", 'there is no "bogus"'), ("vi", 'không có lệnh "bogus"')):
        r = server.congvu("--lang", lang, "staff", "bogus")
        assert r.returncode == 64 and text in r.stderr, r.stderr
    p, q = person(server, "Mai Thị Sau", one), person(server, "Mai Văn Trước", one)
    change(server, "delegate", "grant", p["id"], q["id"], "--rights", "lr", "--from", "2098-01-01", "--until", "2098-12-31", expect="added")
    assert [d["state"] for d in answer(server.congvu("delegate", "list", p["id"], "--json"))] == ["later"]
    text = server.congvu("delegate", "list", p["id"]).stdout
    assert "not yet" in text and "active" not in text, text


def test_nothing_to_list_is_told(server, agencies):
    one = agencies[0]
    p = person(server, "Trống Thị Không", one)
    for lang, none in (("en", "none\n"), ("vi", "không có\n")):
        for words in (("alias", "list", p["id"]), ("delegate", "list", p["id"]), ("password", "app", "list", p["id"]), ("register", "list", "--year", "1999")):
            r = server.congvu("--lang", lang, *words)
            assert (r.returncode, r.stdout) == (0, none), (words, r.stdout, r.stderr)
    assert answer(server.congvu("delegate", "list", p["id"], "--json")) == []
    r = server.congvu("group", "list", "--agency", "H00.none")
    assert r.returncode == 67, (r.returncode, r.stdout, r.stderr)


def test_mistakes_are_told_in_a_line(server, agencies):
    one = agencies[0]
    r = server.congvu("staff", "list", "--agenci", one)
    assert r.returncode == 64 and r.stderr == "congvu staff: there is no option --agenci; see congvu staff --help\n", r.stderr
    p = person(server, "Lê Thị Quá Hạn", one)
    for lang, text in (("en", "--read-until 2001-02-03 is past"), ("vi", "--read-until 2001-02-03")):
        r = server.congvu("--lang", lang, "staff", "leave", p["id"], "--read-until", "2001-02-03", *QD)
        assert r.returncode == 65 and text in r.stderr and "--until" not in r.stderr, r.stderr
    assert "trạng thái" in server.congvu("--lang", "vi", "agency", "show", one).stdout and "đang hoạt động" in server.congvu(
        "--lang", "vi", "agency", "show", one).stdout, server.congvu("--lang", "vi", "agency", "show", one).stdout
