#!/usr/bin/python3
"""The policy language from end to end: the real filter with a policy file: own rules and built-in ones in its modes, what the sender is told, what
the record holds; a broken file at a reload or restart leaves the one before in force."""

import hashlib
import io
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run  # noqa: E402

POLICY = """policy "tinh" version %d owner "an-ninh";
organization x.example;
group "mat-ma" { "eve@x.example" }
mode P22 warn;
agency H99 { mode P01 log reason "tập huấn" until 2099-12-31; }
rule A-017 expires 2099-06-30 {
    when AttachmentExtensionMatchesWords "exe" and not FromMemberOf "mat-ma"
    except when SentTo "thu@x.example" reason "REQ-112" until 2099-12-31
    then reject 5.7.77 vi "Không gửi chương trình." en "No programs."
}
rule A-018 expires 2099-06-30 monitor { when SubjectContainsWords "thử nghiệm" then reject vi "Không thử." en "No tests." }
rule A-019 expires 2099-06-30 { when HeaderContainsWords ("X-Desk", "hold me") then quarantine vi "Chờ duyệt." en "For review." }
rule A-020 expires 2020-06-30 { when SubjectContainsWords "tất cả" then reject vi "Hết hạn." en "Expired." }
group "ke-toan" directory "ketoan@x.example";
group "khong-co" directory "nogroup@x.example";
rule A-021 expires 2099-06-30 { when HeaderContainsWords ("X-Desk", "members") and (FromMemberOf "ke-toan" or SentToMemberOf ("khong-co", "ke-toan"))
    then reject vi "Nhóm." en "Group." }
"""
PLAIN = b"From: %s\r\nSubject: %s\r\n%s\r\nx\r\n"


class Site:
    def __init__(self, root, certs, text, prepare=None, **options):
        self.root = root
        root.mkdir()
        (root / "kept").mkdir()
        self.file = root / "kept/site.policy"
        self.file.write_text(text)
        if prepare:
            prepare(self)
        self.archive = root / "policies"
        self.m = run.Milter(root, certs, policy_file="../kept/site.policy", policy_archive="../policies", **options)
        os.chdir(root / "run")
        self.first_sha = sha(self.file)

    def send(self, qid, mail, login="binh", rcpts=(b"<b@x.example>",)):
        self.client = run.Client(self.m.sock)
        cmd, data = self.client.message(qid, mail, login=login, rcpts=rcpts)
        return cmd, data.decode(errors="replace")

    def record(self, qid):
        return [r for r in run.read_log(self.m.log) if r.get("qid") == qid][-1]

    def current(self):
        return json.loads((self.archive / "current.json").read_text())

    def restart(self, reload=False):
        """The process goes, or the parent is told to reload (congvu reload): another one is started."""
        old = self.m.pids("congvu-milter-filter")
        if reload:
            self.m.proc.send_signal(signal.SIGHUP)
        else:
            os.kill(old[0], signal.SIGTERM)
        end = time.monotonic() + 40
        while True:
            now = self.m.pids("congvu-milter-filter")
            try:
                if now and now != old:
                    run.Client(self.m.sock)
                    return
            except OSError:
                pass
            assert time.monotonic() < end, (self.root / "log").read_text()[-2000:]
            time.sleep(0.05)

    def log(self):
        return (self.root / "log").read_text()

    def stop(self):
        os.chdir("/")
        self.m.stop()


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def own_rule_refuses(s):
    """The reply names rule, what to do in both languages, part and evidence, and the ticket; status as the rule says."""
    exe = run.attachment("setup.exe", run.program(), from_="manager@x.example")
    cmd, text = s.send("POL1", exe)
    assert cmd == b"y" and text.startswith("550 5.7.77 A-017 Khong gui chuong trinh. / No programs. (part 2 \"setup.exe\""), text
    assert "[ticket POL1]" in text
    r = s.record("POL1")
    assert r["decision"]["rule"] == "A-017" and r["decision"]["code"] == "550", r["decision"]
    assert r["policy"] == {"id": "tinh", "version": 1, "sha256": sha(s.file)}, r["policy"]
    # the built-in rule is asked too, in the policy's mode
    assert [(f["id"], f["mode"]) for f in r["findings"] if f["id"] == "P22"] == [("P22", "warn")], r["findings"]
    assert "P22" in r["facts"]["hits"] and r["facts"]["agencies"] == ["H99"] and r["facts"]["ours"] == [True]


def groups_and_exceptions(s):
    exe = run.attachment("setup.exe", run.program(), from_="eve@x.example")
    assert s.send("POL2", exe, login="eve")[0] == b"c"
    exe = run.attachment("setup.exe", run.program(), from_="manager@x.example")
    assert s.send("POL3", exe, rcpts=(b"<thu@x.example>",))[0] == b"c"
    r = s.record("POL3")
    assert [(f["mode"], f["detail"]) for f in r["findings"] if f["id"] == "A-017"] == [("log", "except: REQ-112")], r["findings"]


def groups_of_the_directory(s):
    """An author, or a recipient, who is in a group of the directory; the record knows what the directory said; a group that is not there has no members."""
    mail = PLAIN % (b"manager@x.example", b"x", b"X-Desk: members\r\n")
    cmd, text = s.send("GRP1", mail)
    assert cmd == b"y" and "A-021 Nhom. / Group. (" in text and "ketoan@x.example" in text, text
    mail = PLAIN % (b"eve@x.example", b"x", b"X-Desk: members\r\n")
    assert s.send("GRP2", mail, login="eve")[0] == b"c"
    assert s.send("GRP3", mail, login="eve", rcpts=(b"<b@x.example>", b"<manager@x.example>"))[0] == b"y"
    assert {"group": "ketoan@x.example", "of": "from", "is": False} in s.record("GRP2")["facts"]["members"]
    for qid, action in (("GRP1", "reject"), ("GRP2", "accept"), ("GRP3", "reject")):
        got = json.loads(congvu(s, "--json", "explain", qid)[1])
        assert got["same"] and got["replayed_action"] == action, (qid, got)


def monitor_mode_is_recorded_alone(s):
    cmd, _ = s.send("POL4", PLAIN % (b"manager@x.example", "Thư THỬ  nghiệm".encode(), b""))
    r = s.record("POL4")
    assert cmd == b"c" and [(f["id"], f["mode"]) for f in r["findings"] if f["id"].startswith("A-")] == [("A-018", "log")], r["findings"]
    assert "A-018" not in s.client.headers["X-Congvu-Verdict"]
    assert r["facts"]["subject"] == "Thư THỬ nghiệm" or r["facts"]["subject"] == "Thư THỬ  nghiệm"


def own_rule_holds(s):
    cmd, _ = s.send("POL5", PLAIN % (b"manager@x.example", b"x", b"X-Desk: please HOLD me\r\n"))
    assert cmd == b"c" and b"q" in s.client.edits and "held (A-019)" in s.client.headers["X-Congvu-Verdict"], s.client.headers
    assert s.record("POL5")["decision"]["action"] == "quarantine"


def expired_rule_is_silent(s):
    assert s.send("POL6", PLAIN % (b"manager@x.example", "tất cả".encode(), b""))[0] == b"c"


def modes_by_agency(s):
    cmd, _ = s.send("POL7", PLAIN % (b"vanthu@x.example", b"x", b""))
    r = s.record("POL7")
    assert cmd == b"c" and ("P01", "log") in [(f["id"], f.get("mode")) for f in r["findings"]], r["findings"]


def secret_subject_is_not_recorded(s):
    cmd, text = s.send("POL8", PLAIN % (b"manager@x.example", "[TỐI MẬT] kế hoạch".encode(), b""))
    r = s.record("POL8")
    assert cmd == b"y" and "P12" in text and r["facts"]["subject"] is None, r["facts"]


def archived(s):
    f = s.archive / (sha(s.file) + ".policy")
    assert f.read_bytes() == s.file.read_bytes()
    assert s.current()["sha256"] == sha(s.file) and s.current()["refused"] is None and s.current()["version"] == 1
    for p in (s.archive, f):
        st = p.stat()
        assert st.st_uid == os.geteuid() and not stat.S_IMODE(st.st_mode) & 0o077, p


def broken_file_leaves_the_old_one(s):
    good = sha(s.file)
    s.file.write_text((POLICY % 2).replace("FromMemberOf", "FromMembersOf"))
    s.restart(reload=True)
    exe = run.attachment("setup.exe", run.program(), from_="manager@x.example")
    cmd, text = s.send("POL9", exe)
    assert cmd == b"y" and "A-017" in text
    r = s.record("POL9")
    assert (r["policy"]["version"], r["policy"]["sha256"]) == (1, good), r["policy"]
    cur = s.current()
    assert cur["sha256"] == good and "site.policy:7:56: there is no predicate \"FromMembersOf\"; did you mean \"FromMemberOf\"?" in cur["refused"]["why"], cur
    assert "event=policy_refused" in s.log()
    # told by status, by doctor and to programs
    code, out, _ = congvu(s, "policy", "status")
    assert code == 65 and "version 1" in out and "did you mean" in out, out
    found = [f for f in json.loads(congvu(s, "--json", "check", "--offline")[1])["findings"] if f["check"] == "policy_file"]
    assert len(found) == 1 and "did you mean" in found[0]["text"] and found[0]["result"] != "ok", found
    assert "policy_refused 1" in congvu(s, "status")[1]


def mended_file_takes_over(s):
    s.file.write_text((POLICY % 3).replace("A-017", "A-117"))
    s.restart(reload=True)
    exe = run.attachment("setup.exe", run.program(), from_="manager@x.example")
    cmd, text = s.send("POL10", exe)
    assert cmd == b"y" and "A-117" in text
    assert s.record("POL10")["policy"] == {"id": "tinh", "version": 3, "sha256": sha(s.file)}
    assert s.current()["version"] == 3 and s.current()["refused"] is None
    assert len(list(s.archive.glob("*.policy"))) == 2


def changed_archive_is_not_believed(s):
    """An archived policy that is not what its name says is not put in force: then there is no start."""
    f = s.archive / (s.current()["sha256"] + ".policy")
    good = f.read_text()
    f.write_text(good.replace("reject", "note  "))
    s.file.write_text("rubbish")
    pid = s.m.pids("congvu-milter-filter")[0]
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + 15
    while "no policy can be used" not in s.log():
        assert time.monotonic() < end, s.log()[-2000:]
        time.sleep(0.05)
    assert "was changed" in s.log()
    # whole at once, and in force before the archive is good again: a start in between would go on with version 3, which is in the archive
    (s.root / "kept/next").write_text(POLICY % 4)
    os.replace(s.root / "kept/next", s.file)
    end = time.monotonic() + 40
    while True:
        try:
            assert s.current()["version"] == 4
            run.Client(s.m.sock)
            break
        except (OSError, AssertionError):
            assert time.monotonic() < end, s.log()[-2000:]
            time.sleep(0.2)
    f.write_text(good)


def congvu(s, *args, lang="en"):
    r = subprocess.run([str(run.BUILD / "congvu"), "-c", str(s.root / "etc/congvu.conf"), "--lang", lang, *args], capture_output=True, text=True,
                       timeout=60, stdin=subprocess.DEVNULL)
    return r.returncode, r.stdout, r.stderr


def explain_under_the_policy_of_then(s):
    """POL1 was judged by version 1; meanwhile version 4 is in force, in which A-017 is there again."""
    code, out, err = congvu(s, "--json", "explain", "POL1")
    got = json.loads(out)
    assert code == 0 and (got["action"], got["rule"]) == ("reject", "A-017"), (out, err)
    assert (got["replayed_action"], got["replayed_rule"], got["same"]) == ("reject", "A-017", True), got
    first = got["rules"][0]
    assert first["decided"] and first["vi"] == "Không gửi chương trình." and first["en"] == "No programs." and "setup.exe" in first["evidence"]
    assert first["source"] == "%s/%s.policy:6" % (s.archive, s.first_sha), first
    assert ("P22", "warn") in [(r["rule"], r["mode"]) for r in got["rules"]]
    code, out, _ = congvu(s, "explain", "POL1", lang="vi")
    assert code == 0 and "=> A-017 (enforce)" in out and "chạy lại" in out and "bằng chứng: part 2" in out, out
    # every verdict of this log comes out again as it was
    for qid in ["POL%d" % n for n in range(1, 11)]:
        code, out, err = congvu(s, "--json", "explain", qid)
        got = json.loads(out)
        assert code == 0 and got["same"], (qid, got)
    assert congvu(s, "explain", "NOPE")[0] == 67


def explain_under_another(s):
    other = s.root / "kept/other.policy"
    other.write_text((POLICY % 5).replace("mode P22 warn;", "").replace("H99 { mode P01 log", "H99 { mode P01 enforce"))
    got = json.loads(congvu(s, "--json", "explain", "POL2", "--policy", str(other))[1])
    assert (got["action"], got["replayed_action"], got["replayed_rule"], got["same"]) == ("accept", "reject", "P22", False), got
    # the built-in rule was off for nobody, but logged: its hit is in the record
    got = json.loads(congvu(s, "--json", "explain", "POL7", "--policy", str(other))[1])
    assert (got["action"], got["replayed_action"], got["replayed_rule"]) == ("accept", "reject", "P01"), got


def rewind_says_what_would_have_been(s):
    new = s.root / "kept/new.policy"
    new.write_text((POLICY % 6).replace("A-018 expires 2099-06-30 monitor", "A-018 expires 2099-06-30").replace("mode P22 warn;", "mode P22 log;")
                   .replace("then reject 5.7.77", "then note")
                   + 'rule A-030 expires 2099-01-01 { when HeaderContainsWords ("X-A", "b") then reject vi "a" en "b" }\n')
    code, out, err = congvu(s, "--json", "policy", "rewind", str(new), "--days", "2")
    got = json.loads(out)
    assert code == 0, err
    rows = {(r["was"], r["was_rule"], r["would_be"], r["rule"]): r for r in got["changes"]}
    assert rows["accept", "", "reject", "A-018"]["qids"] == ["POL4"] and rows["accept", "", "reject", "A-018"]["agency"] == "H99", rows
    assert sorted(rows["reject", "A-017", "accept", ""]["qids"]) == ["POL1", "POL9"], rows
    # a field that no record holds: uncertain, not guessed
    assert {r["rule"] for r in got["uncertain"]} >= {"A-030"}
    assert got["mails"] == got["same"] + got["changed"] + got["not_judged"], got
    code, out, _ = congvu(s, "policy", "rewind", str(new))
    assert code == 0 and "accept  -> reject A-018" in out, out
    # only what is of the time that is asked for
    time.sleep(1.1)
    got = json.loads(congvu(s, "--json", "policy", "rewind", str(new), "--days", "0")[1])
    assert got["mails"] == 0 and not got["changes"], got


def status_tells(s):
    code, out, _ = congvu(s, "policy", "status")
    assert code == 0 and "in force: tinh, version 4" in out, out


def sign(s, *officers):
    """By openssl alone: one detached CMS with a signature for each."""
    args = ["openssl", "cms", "-sign", "-binary", "-md", "sha256", "-outform", "PEM", "-in", str(s.file), "-out", str(s.file) + ".p7s"]
    for o in officers:
        args += ["-signer", str(s.root / "kept" / (o + ".pem")), "-inkey", str(s.root / "kept" / (o + ".key"))]
    subprocess.run(args, check=True, capture_output=True)


def two_officers(root, certs):
    """With policy_signatures = 2 the filter takes no policy that two officers have not signed, at its start and at a reload."""
    def prepare(s):
        for name in ("anh", "bich"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(s.root / "kept" / (name + ".key")), "-out",
                            str(s.root / "kept" / (name + ".pem")), "-days", "30", "-subj", "/CN=" + name], check=True, capture_output=True)
        (s.root / "kept/officers.pem").write_text("".join((s.root / "kept" / (n + ".pem")).read_text() for n in ("anh", "bich")))

    options = dict(policy_signatures="2", policy_officers="../kept/officers.pem")
    try:
        Site(root / "unsigned", certs, POLICY % 1, prepare, **options).stop()
        raise AssertionError("it starts without signatures")
    except RuntimeError as e:
        assert "2 officers must sign" in str(e), e
    s = Site(root / "signed", certs, POLICY % 1, lambda s: (prepare(s), sign(s, "anh", "bich")), **options)
    try:
        assert s.current()["version"] == 1
        mail = PLAIN % (b"manager@x.example", b"x", b"")
        for change in (lambda: None, lambda: sign(s, "anh"), lambda: os.unlink(str(s.file) + ".p7s")):
            s.file.write_text(POLICY % 2)
            change()
            s.restart()
            assert s.send("S1", mail)[0] == b"c" and s.record("S1")["policy"]["version"] == 1
            assert "site.policy.p7s" in s.current()["refused"]["why"] or "not good" in s.current()["refused"]["why"], s.current()
        sign(s, "anh", "bich")
        s.restart()
        assert s.send("S2", mail)[0] == b"c" and s.record("S2")["policy"]["version"] == 2 and s.current()["refused"] is None
        # an older policy, signed by both then and now: it is not put back
        newer = s.file.read_text()
        s.file.write_text(POLICY % 1)
        sign(s, "anh", "bich")
        out = congvu(s, "policy", "check", str(s.file), "--no-tests")[1]
        assert "the milter would not take it: version 1 of \"tinh\" is not above 2" in out, out
        # nor is another text of the same version, which may be older as well
        for text in (POLICY % 1, newer + "mode P34 off;\n"):
            s.file.write_text(text)
            sign(s, "anh", "bich")
            s.restart(reload=True)
            assert s.send("S3", mail)[0] == b"c" and s.record("S3")["policy"]["version"] == 2
            assert "is not above 2" in s.current()["refused"]["why"], s.current()
        assert json.loads((s.archive / "highest.json").read_text()) == {"tinh": 2}
        end = time.monotonic() + 15
        while True:
            loads = [r for r in run.read_log(s.m.log) if r["event"] == "load" and r["program"] == "milter"]
            if len([r for r in loads if "is not above 2" in r["policy_refused"]]) == 2:
                break
            assert time.monotonic() < end, loads
            time.sleep(0.05)
        assert [r["policy_version"] for r in loads][-1] == 2 and loads[0]["policy_sha256"] == s.first_sha and loads[0]["policy_refused"] == "", loads
        # on purpose: with the next version, signed anew
        os.unlink(str(s.file))
        code, out, err = congvu(s, "policy", "back", s.first_sha, str(s.file))
        assert code == 0 and "version 1 as version 3" in out, (out, err)
        assert s.file.read_text() == POLICY % 3
        sign(s, "anh", "bich")
        s.restart(reload=True)
        assert s.send("S4", mail)[0] == b"c" and s.record("S4")["policy"]["version"] == 3 and s.current()["refused"] is None
    finally:
        s.stop()


TRUST = """policy "tin" version %d owner "an-ninh";
organization x.example;
trust chung { store "x.example"; rsa 2048; }
%s
rule A-001 expires 2099-06-30 { when SubjectContainsWords "không có" then reject vi "a" en "b" }
"""


def trust_and_limits(root, certs):
    """Whose anchors a signature is held against, what it must be at least, and how much a mail may be: by scope, in force, explained, tested, replayed."""
    for name in ("khac", "trong"):  # the scanner reads stores at its start
        (certs / "trust" / name).mkdir()
    shutil.copy(certs / "other.pem", certs / "trust/khac/ca.pem")

    def put(version, more):
        s.file.write_text(TRUST % (version, more))
        s.restart()

    os.makedirs(root / "mails")
    run.make_mails(certs, root / "mails")
    mail = lambda name: (root / "mails" / name).read_bytes()
    (root / "mails/valid.eml").write_bytes(run.signed(certs, (certs / "manager.der").read_bytes(), b"manager@x.example"))
    s = Site(root / "trust", certs, TRUST % (1, ""))
    try:
        ours, other = mail("valid.eml"), mail("stranger.eml")
        assert s.send("T1", ours)[0] == b"c"
        cmd, text = s.send("T2", other)
        assert cmd == b"y" and " P03 " in text, text
        # another store for one person: that one and no other
        put(2, 'trust khac { }\nperson "manager@x.example" { trust khac; }')
        cmd, text = s.send("T3", ours)
        assert cmd == b"y" and " P03 " in text, text
        assert s.send("T4", other)[0] == b"c" and s.record("T4")["facts"]["store"] == "khac"
        code, out, _ = congvu(s, "--json", "policy", "explain", "manager@x.example")
        value = {r["name"]: r["value"] for r in json.loads(out)}
        assert code == 0 and value["trust"] == "khac" and value["recipients"] == "congvu.conf" and value["files"] == "no limit", value
        # what nobody can say of mail that was held against other anchors
        new = s.root / "kept/new.policy"
        new.write_text(TRUST % (9, "trust chung;"))
        got = json.loads(congvu(s, "--json", "policy", "rewind", str(new), "--days", "2")[1])
        assert ("trust", "chung") in {(r["rule"], r["mode"]) for r in got["uncertain"]}, got["uncertain"]
        # floors, of a wider scope too; limits
        put(3, 'trust manh { store "x.example"; rsa 3072; digest 384; }\ndomain x.example { trust manh; limit recipients 1; limit message 100KB; }\n'
               'person "eve@x.example" { trust chung instead reason "REQ-7" until 2099-01-01; limit recipients 2; }')
        cmd, text = s.send("T5", ours)
        assert cmd == b"y" and " P10 " in text and "SHA256 < digest 384 (trust manh)" in text, text
        plain = lambda who, more=b"": PLAIN % (who, b"x", b"") + more
        two = (b"<b@x.example>", b"<c@x.example>")
        assert s.send("T6", plain(b"manager@x.example"))[0] == b"c"
        cmd, text = s.send("T7", plain(b"manager@x.example"), rcpts=two)
        assert cmd == b"y" and " P29 " in text and "2 > 1" in text, text
        assert s.send("T8", plain(b"eve@x.example"), login="eve", rcpts=two)[0] == b"c"
        cmd, text = s.send("T9", plain(b"manager@x.example", b"y" * 70 + b"\r\n" + b"z\r\n" * 40000))
        assert cmd == b"y" and " P25 " in text and "message 0.1 MB" in text, text
        for qid, action in (("T5", "reject"), ("T7", "reject"), ("T8", "accept"), ("T9", "reject")):
            got = json.loads(congvu(s, "--json", "explain", qid)[1])
            assert got["same"] and got["replayed_action"] == action, (qid, got)
        # replayed under a policy without them
        new.write_text(TRUST % (9, ""))
        got = json.loads(congvu(s, "--json", "explain", "T5", "--policy", str(new))[1])
        assert got["replayed_action"] == "accept", got
        code, out, _ = congvu(s, "policy", "diff", str(new), str(s.file))
        assert code == 1 and "trust manh" in out and "rsa 3072" in out and 'trust "chung" instead' in out and "limit recipients" in out, out
        # how far the scanner goes, and what it prefers: by scope, through to the scanner
        zipped = lambda name, data: (lambda b: (zipfile.ZipFile(b, "w").writestr(name, data), b.getvalue())[1])(io.BytesIO())
        nested = lambda who: run.attachment("a.zip", zipped("b.zip", zipped("c.txt", b"c")), from_=who)
        put(4, 'trust nghe { store "x.example"; ocsp prefer; }\ntrust nghe;\nlimits { depth 3; entries 100; }\n'
               'person "eve@x.example" { limits { depth 2; } reason "REQ-8" until 2099-01-01; }')
        assert s.send("T11", nested("manager@x.example"))[0] == b"c"
        assert s.send("T12", nested("eve@x.example"), login="eve")[0] == b"c" and s.record("T12")["decision"]["rule"] == "M06", s.record("T12")["decision"]
        assert s.record("T12")["decision"]["action"] == "quarantine" and s.record("T11")["decision"]["rule"] == ""
        assert s.send("T13", ours)[0] == b"c" and s.record("T13")["sig"][0]["status"] == "valid"
        code, out, _ = congvu(s, "--json", "policy", "explain", "eve@x.example")
        value = {r["name"]: r["value"] for r in json.loads(out)}
        assert value["depth"] == "2" and value["entries"] == "100" and value["ratio"] == "built in", value
        code, out, _ = congvu(s, "policy", "diff", str(new), str(s.file))
        assert code == 1 and "limits { depth 2; }" in out and "ocsp prefer" in out, out
        # M06 by a limit: what another one would have let through no record tells
        new.write_text(TRUST % (9, "limits { depth 3; }"))
        got = json.loads(congvu(s, "--json", "policy", "rewind", str(new), "--days", "2")[1])
        rows = {(r["rule"], r["mode"]): r["qids"] for r in got["uncertain"]}
        assert rows["limits", "depth:2->3,entries:100->2000"] == ["T12"] and got["mails_uncertain"] > 0, got
        out = congvu(s, "policy", "rewind", str(new), "--days", "2")[1]
        assert "%d of them are uncertain" % got["mails_uncertain"] in out and "limits depth:2->3,entries:100->2000" in out, out
        got = json.loads(congvu(s, "--json", "explain", "T12", "--policy", str(new))[1])
        assert got["uncertain"] == ["limits"], got
        out = congvu(s, "explain", "T12", "--policy", str(new))[1]
        assert "uncertain: it was opened under other limits (depth:2->3,entries:100->2000)" in out, out
        assert json.loads(congvu(s, "--json", "explain", "T12")[1])["uncertain"] == []
        (root / "mails/nested.eml").write_bytes(nested("manager@x.example"))
        put(5, 'trust manh { store "x.example"; rsa 3072; digest 384; }')
        # a store that is not there, or has no certificate: the policy before stays, and says why
        for store in ("trong", "khong-co"):
            put(6, 'trust %s { }\ntrust %s;' % (store, store))
            assert s.current()["version"] == 5 and "there is no certificate in" in s.current()["refused"]["why"], s.current()
            assert s.send("T10", other)[0] == b"y" and s.record("T10")["policy"]["version"] == 5
            code, out, _ = congvu(s, "policy", "check", str(s.file))
            assert code == 65 and "there is no certificate in" in out, (code, out)
        # tests in the policy's own file
        new.write_text((TRUST % (9, "") + 'trust manh { store "x.example"; rsa 3072; }\nperson "manager@x.example" { trust manh; limit recipients 1; }\n'
                                   'test "%(d)s/valid.eml" expect reject P10;\ntest "%(d)s/stranger.eml" expect reject P03;\n'
                                   'test "%(d)s/valid.eml" to ("b@x.example", "c@x.example") expect note P29;\n'
                                   'limits { depth 2; }\ntest "%(d)s/nested.eml" expect quarantine M06;\n') % {"d": root / "mails"})
        os.chmod(root, 0o755)
        code, out, err = congvu(s, "policy", "test", str(new))
        assert code == 0 and out.count("ok ") == 4, (code, out, err)
    finally:
        s.stop()


def no_start_without_any(root, certs):
    try:
        s = Site(root / "none", certs, "policy \"x\" version 1 owner \"o\"; mode P99 off;")
    except RuntimeError as e:
        assert "site.policy:1:38: there is no rule" in str(e), e
        return
    s.stop()
    raise AssertionError("it starts")


def main():
    root = pathlib.Path(tempfile.mkdtemp(prefix="cv-policy-"))
    certs = root / "certs"
    certs.mkdir()
    try:
        subprocess.run(["sh", str(run.SRC / "tests/unit/smime_certs.sh"), str(certs)], check=True, capture_output=True)
        s = Site(root / "a", certs, POLICY % 1)
        try:
            for fn in (own_rule_refuses, groups_and_exceptions, groups_of_the_directory, monitor_mode_is_recorded_alone, own_rule_holds, expired_rule_is_silent,
                       modes_by_agency, secret_subject_is_not_recorded, archived, broken_file_leaves_the_old_one, mended_file_takes_over,
                       changed_archive_is_not_believed, explain_under_the_policy_of_then, explain_under_another,
                       rewind_says_what_would_have_been, status_tells):
                run.check(fn.__name__, lambda fn=fn: fn(s))
        finally:
            s.stop()
        run.check("two_officers", lambda: two_officers(root, certs))
        run.check("trust_and_limits", lambda: trust_and_limits(root, certs))
        run.check("no_start_without_any", lambda: no_start_without_any(root, certs))
    finally:
        os.chdir("/")
        shutil.rmtree(root, ignore_errors=True)
    return run.sums()


if __name__ == "__main__":
    sys.exit(main())
