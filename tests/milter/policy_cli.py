#!/usr/bin/python3
"""`congvu policy` without a running site: check with places and words in two languages, the tests inside a policy through the real scanner, diff by
meaning, explain with sources, help from the table."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import run  # noqa: E402

POLICY = """policy "tinh" version 3 owner "an-ninh";
organization x.example;
group "mat-ma" { "ma@x.example", "ma2@x.example" }
mode P22 warn;
mode P17 log reason "tập huấn" until 2099-12-31;
agency H37.02 { mode P25 log; limit attachments 30MB; }
person "an@x.example" { mode P28 warn; }
rule A-017 expires 2099-06-30 {
    when AttachmentHasMacro and not FromMemberOf "mat-ma"
    then reject 5.7.1 vi "Không gửi macro." en "No macros."
}
rule A-018 expires 2099-06-30 monitor { when finding "secrecy_*" then reject vi "Mật." en "Secret." }
rule A-019 expires 2099-06-30 { when SentToScope NotInOrganization and AttachmentIsPasswordProtected then quarantine vi "Chờ." en "Wait." }
"""
TESTS = """test "mails/macro.eml" expect reject A-017;
test "mails/macro.eml" as "ma@x.example" expect note P22;
test "mails/secret.eml" expect note A-018;
test "mails/secret.eml" expect reject P12;
test "mails/locked.eml" as "an@x.example" to "dan@y.example" expect note A-019;
test "mails/locked.eml" as "an@x.example" to ("binh@x.example") expect quarantine P23;
test "mails/official.eml" as "vanthu@x.example" office expect reject P03;
test "mails/plain.eml" as "vanthu@x.example" office expect reject P01;
test "mails/plain.eml" as "vanthu@x.example" expect accept;
test "mails/bare.eml" as "vanthu@x.example" office expect note P34;
test "mails/plain.eml" outside as "dan@y.example" expect accept;
"""


class Site:
    def __init__(self, root, certs):
        self.root = root
        (root / "etc").mkdir()
        (root / "mails").mkdir()
        run.make_mails(certs, root / "mails")
        (root / "mails/plain.eml").write_bytes(b"From: a@x.example\r\nSubject: hop\r\n\r\nx\r\n")
        (root / "mails/bare.eml").write_bytes(b"From: a@x.example\r\nX-VN-Doc: 1\r\n\r\nx\r\n")
        user = "" if os.geteuid() else 'user_scan = "61003"\n'
        (root / "etc/congvu.conf").write_text('hostname = "mail.x.example"\ndomains = {"x.example"}\npolicy_archive = "../arch"\n' + user)

    def put(self, name, text):
        (self.root / name).write_text(text)
        return str(self.root / name)

    def congvu(self, *args, lang="en"):
        r = subprocess.run([str(run.BUILD / "congvu"), "-c", str(self.root / "etc/congvu.conf"), "--lang", lang, *args], capture_output=True,
                           text=True, timeout=120, stdin=subprocess.DEVNULL)
        return r.returncode, r.stdout, r.stderr


def tests_run_through_the_scanner(s):
    f = s.put("a.policy", POLICY + TESTS)
    code, out, err = s.congvu("policy", "check", f)
    assert code == 0 and "3 rules, 5 settings, 11 tests, 0 failed" in out, (code, out, err)
    code, out, _ = s.congvu("--json", "policy", "test", f)
    got = json.loads(out)
    assert code == 0 and len(got) == 11 and all(t["ok"] for t in got)
    assert "a.docx" in got[0]["detail"] and got[0]["rule"] == "A-017", got[0]


def a_test_that_fails_is_told(s):
    f = s.put("b.policy", POLICY + 'test "mails/plain.eml" expect reject A-017;\ntest "mails/gone.eml" expect accept;\n')
    code, out, _ = s.congvu("policy", "check", f)
    assert code == 65 and "FAILED %s:14 mails/plain.eml: expected reject A-017, found accept" % f in out, out
    assert "mails/gone.eml: the message cannot be read" in out and "2 failed" in out, out
    code, out, _ = s.congvu("policy", "check", "--no-tests", f)
    assert code == 0


def errors_in_both_languages(s):
    f = s.put("c.policy", POLICY.replace("AttachmentHasMacro", "AttachmentHasMakro"))
    code, _, err = s.congvu("policy", "check", f)
    assert code == 65 and err == '%s:9:10: there is no predicate "AttachmentHasMakro"; did you mean "AttachmentHasMacro"?\n' % f, err
    code, _, err = s.congvu("policy", "check", f, lang="vi")
    assert code == 65 and err == '%s:9:10: không có điều kiện "AttachmentHasMakro"; ý là "AttachmentHasMacro"?\n' % f, err


def what_runs_out_is_told(s):
    f = s.put("d.policy", POLICY.replace("rule A-017 expires 2099-06-30", "rule A-017 expires 2020-06-30") + TESTS.splitlines()[3])
    code, out, _ = s.congvu("policy", "check", f)
    assert code == 0 and ":8:6: warning: rule A-017 expired on 2020-06-30: it is not asked" in out, out


def diff_tells_the_meaning(s):
    a = s.put("old.policy", POLICY)
    # comments, order of lines and blanks mean nothing
    same = s.put("same.policy", "# x\n" + POLICY.replace("    when", "  when").replace("\n", "\n\n"))
    assert s.congvu("policy", "diff", a, same)[:2] == (0, "no difference in what they say\n")
    b = s.put("new.policy", POLICY.replace("version 3", "version 4").replace(', "ma2@x.example"', "").replace("mode P25 log", "mode P25 off")
              .replace("A-018 expires 2099-06-30 monitor", "A-018 expires 2099-06-30").replace("rule A-019", "rule A-020"))
    code, out, _ = s.congvu("--json", "policy", "diff", a, b)
    got = {(d["change"], d["what"]): d for d in json.loads(out)}
    assert code == 1 and set(got) == {("removed", 'group "mat-ma"'), ("changed", "mode P25"), ("changed", "rule A-018"), ("removed", "rule A-019"),
                                      ("added", "rule A-020"), ("changed", "version")}, got
    assert got["changed", "mode P25"]["scope"] == "agency H37.02" and got["changed", "mode P25"]["new"] == "mode P25 off"
    swapped = POLICY.replace("rule A-017", "rule A-0").replace("rule A-018", "rule A-017").replace("rule A-0 ", "rule A-018 ")
    assert "the order of the rules" in s.congvu("policy", "diff", a, s.put("swapped.policy", swapped))[1]
    assert "monitor" in got["changed", "rule A-018"]["old"] and "monitor" not in got["changed", "rule A-018"]["new"]


def explain_names_sources(s):
    f = s.put("e.policy", POLICY)
    code, out, _ = s.congvu("--json", "policy", "explain", "An@X.example", "--agency", "H37.02.11", "--policy", f)
    got = {v["name"]: (v["value"], v["source"], v["scope"]) for v in json.loads(out)}
    assert code == 0 and got["P25"] == ("log", f + ":6", "agency H37.02") and got["P22"] == ("warn", f + ":4", "global"), got
    assert got["P28"] == ("warn", f + ":7", "person an@x.example") and got["attachments"] == (str(30 << 20), f + ":6", "agency H37.02")
    assert got["P01"] == ("enforce", None, None) and got["A-018"] == ("log", f + ":12", None), got


def explain_tells_units_and_sources_of_revocation(s):
    f = s.put("e2.policy", POLICY + 'trust bo { store "x.example"; ocsp prefer; revocation-hours 48; rsa 3072; }\ntrust bo;\n'
              "limits { depth 4; bytes 50MB; time 9; }\n")
    code, out, _ = s.congvu("--json", "policy", "explain", "an@x.example", "--agency", "H37.02", "--policy", f)
    got = {v["name"]: (v["value"], v["unit"]) for v in json.loads(out)}
    assert code == 0 and got["prefer"] == ("ocsp", None) and got["revocation-hours"] == ("48", "hours") and got["rsa"] == ("3072", "bits"), got
    assert got["bytes"] == (str(50 << 20), "octets") and got["time"] == ("9", "seconds") and got["depth"] == ("4", None), got
    for lang, octets, none, own in (("en", "octets", "no limit", "built in"), ("vi", "octet", "không giới hạn", "có sẵn")):
        out = s.congvu("policy", "explain", "an@x.example", "--agency", "H37.02", "--policy", f, lang=lang)[1]
        rows = {line.split()[0]: line for line in out.splitlines()}
        assert "%d %s  %s:" % (50 << 20, octets, f) in rows["bytes"] and "ocsp  " in rows["prefer"], out
        assert none + "  " in rows["files"] and rows["files"].endswith("  " + own), out
    assert s.congvu("policy", "explain", "an@x.example", "--policy", f, lang="vi")[1].count("9 giây") == 1


def a_file_that_is_not_there(s):
    gone, f = str(s.root / "gone.policy"), s.put("here.policy", POLICY)
    for words in (("check", gone), ("test", gone), ("diff", f, gone), ("diff", gone, f), ("explain", "an@x.example", "--policy", gone),
                  ("rewind", gone), ("sign", gone, "--key", f, "--cert", f)):
        code, _, err = s.congvu("policy", *words)
        assert code == 66 and "gone.policy: No such file" in err, (words, code, err)


def what_the_filter_would_not_take_is_wrong(s):
    (s.root / "trust").mkdir(exist_ok=True)
    f = s.put("store.policy", POLICY + "trust khong-co { }\ntrust khong-co;\n")
    code, out, _ = s.congvu("policy", "check", f)
    assert code == 65 and "the milter would not take it" in out, (code, out)
    code, out, _ = s.congvu("--json", "policy", "check", f)
    assert code == 65 and json.loads(out)["ok"] is False, out
    out = s.congvu("policy", "check", f, lang="vi")[1]
    assert "trust khong-co: không có chứng thư nào trong" in out and "there is no" not in out, out
    err = s.congvu("policy", "verify", f, lang="vi")[2]
    assert "chưa đặt policy_officers" in err, err


def the_manual_s_example_is_as_it_says(s):
    text = (run.SRC / "man/congvu-policy.5.in").read_text()
    text = text[text.index('policy "tinh-2026-11"'):text.index('\n.Ed', text.index('policy "tinh-2026-11"'))]
    code, out, err = s.congvu("--json", "policy", "check", "--no-tests", s.put("manual.policy", text.replace("2026-12-31", "2099-12-31").replace("2027-", "2099-")))
    told = [w["text"] for w in json.loads(out)["warnings"] if "would not take it" not in w["text"]]
    assert told == [], (code, told, err)


def help_is_the_table(s):
    code, out, _ = s.congvu("--json", "policy", "help")
    names = {p["name"] for p in json.loads(out)}
    table = (run.SRC / "milter/policy_predicates.def").read_text()
    assert code == 0 and len(names) > 25 and all("PREDICATE(%s," % n in table for n in names)
    assert s.congvu("policy", "help", "Nope")[0] == 65
    out = s.congvu("--lang", "vi", "policy", "help")[1]
    assert 'nhận: "từ" hoặc ("từ", "hai từ", ...)' in out and " or " not in out and "number" not in out, out


def a_hostile_message_harms_no_officer(s):
    """The judge is another process under another user: what it cannot take ends it, and the test fails."""
    f = s.put("f.policy", POLICY + 'test "mails/big.eml" expect accept;\n')
    with open(s.root / "mails/big.eml", "wb") as big:
        big.write(b"From: a@x.example\r\n\r\n")
        big.truncate(60 << 20)
    code, out, _ = s.congvu("policy", "check", f)
    assert code == 65 and "ended before it came to a verdict" in out, out


def officer(root, name, days="365", bits="2048"):
    key, cert = root / (name + ".key"), root / (name + ".pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:" + bits, "-nodes", "-keyout", str(key), "-out", str(cert), "-days", days, "-subj",
                    "/CN=" + name], check=True, capture_output=True)
    return "--key", str(key), "--cert", str(cert)


def signed_by_two_officers(s):
    a, b, eve = officer(s.root, "truong-phong"), officer(s.root, "an-ninh"), officer(s.root, "eve")
    (s.root / "officers.pem").write_text((s.root / "truong-phong.pem").read_text() + (s.root / "an-ninh.pem").read_text())
    conf = s.root / "etc/congvu.conf"
    plain = conf.read_text()
    conf.write_text(plain + 'policy_signatures = 2\npolicy_officers = "../officers.pem"\n')
    f = s.put("signed.policy", POLICY)
    p7s = pathlib.Path(f + ".p7s")

    def verify():
        code, out, err = s.congvu("policy", "verify", f)
        return code, out + err

    assert verify()[0] == 65
    assert s.congvu("policy", "sign", f, *a)[0] == 0
    code, text = verify()
    assert code == 65 and "signed by 1 officers, 2 must" in text, text
    # the same officer twice is one officer
    code, _, err = s.congvu("policy", "sign", f, *a)
    assert code != 0 and "another one must" in err, err
    assert s.congvu("policy", "sign", f, *b)[0] == 0
    code, text = verify()
    assert code == 0 and "good signatures of 2 officers:" in text and "CN=an-ninh" in text and "CN=truong-phong" in text, text
    # a third party believes it too
    r = subprocess.run(["openssl", "cms", "-verify", "-binary", "-inform", "PEM", "-in", str(p7s), "-content", f, "-noverify", "-certfile",
                        str(s.root / "officers.pem"), "-out", "/dev/null"], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    good = p7s.read_text()
    # one octet of the text
    s.put("signed.policy", POLICY.replace("mode P22 warn", "mode P22 off"))
    code, text = verify()
    assert code == 65 and "not good" in text, text
    code, _, err = s.congvu("policy", "sign", f, *eve)
    assert code != 0 and "another text" in err, err
    s.put("signed.policy", POLICY)
    # who is not of the list spoils it, even as a third
    assert s.congvu("policy", "sign", f, *eve)[0] == 0
    code, text = verify()
    assert code == 65 and "not by an officer" in text, text
    # the same with openssl alone, as for keys on a token
    p7s.unlink()
    subprocess.run(["openssl", "cms", "-sign", "-binary", "-md", "sha256", "-outform", "PEM", "-in", f, "-out", str(p7s), "-signer", a[3], "-inkey", a[1]],
                   check=True, capture_output=True)
    subprocess.run(["openssl", "cms", "-resign", "-binary", "-md", "sha256", "-inform", "PEM", "-outform", "PEM", "-in", str(p7s), "-out", str(p7s) + "2",
                    "-signer", b[3], "-inkey", b[1]], check=True, capture_output=True)
    os.rename(str(p7s) + "2", p7s)
    assert verify()[0] == 0, verify()
    # two certificates of one key are one officer; a weak digest is none
    twin = s.root / "twin.pem"
    subprocess.run(["openssl", "req", "-x509", "-key", a[1], "-out", str(twin), "-days", "30", "-subj", "/CN=twin"], check=True, capture_output=True)
    with open(s.root / "officers.pem", "a") as officers:
        officers.write(twin.read_text())
    subprocess.run(["openssl", "cms", "-sign", "-binary", "-md", "sha256", "-outform", "PEM", "-in", f, "-out", str(p7s), "-signer", a[3], "-inkey", a[1],
                    "-signer", str(twin), "-inkey", a[1]], check=True, capture_output=True)
    code, text = verify()
    assert code == 65 and "signed by 1 officers" in text, text
    # nor are an old and a renewed certificate, with a new key, two officers
    renewed, new_key = s.root / "renewed.pem", s.root / "renewed.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(new_key), "-out", str(renewed), "-days", "30", "-subj",
                    "/CN=truong-phong"], check=True, capture_output=True)
    with open(s.root / "officers.pem", "a") as officers:
        officers.write(renewed.read_text())
    subprocess.run(["openssl", "cms", "-sign", "-binary", "-md", "sha256", "-outform", "PEM", "-in", f, "-out", str(p7s), "-signer", a[3], "-inkey", a[1],
                    "-signer", str(renewed), "-inkey", str(new_key)], check=True, capture_output=True)
    code, text = verify()
    assert code == 65 and "signed by 1 officers" in text, text
    subprocess.run(["openssl", "cms", "-sign", "-binary", "-md", "sha1", "-outform", "PEM", "-in", f, "-out", str(p7s), "-signer", a[3], "-inkey", a[1],
                    "-signer", b[3], "-inkey", b[1]], check=True, capture_output=True)
    code, text = verify()
    assert code == 65 and "other than SHA-2" in text, text
    # content inside: not detached
    subprocess.run(["openssl", "cms", "-sign", "-binary", "-nodetach", "-outform", "PEM", "-in", f, "-out", str(p7s), "-signer", a[3], "-inkey", a[1],
                    "-signer", b[3], "-inkey", b[1]], check=True, capture_output=True)
    code, text = verify()
    assert code == 65 and "not detached" in text, text
    # a policy that does not compile is not signed
    bad = s.put("bad.policy", "policy")
    assert s.congvu("policy", "sign", bad, *a)[0] == 65 and not os.path.exists(bad + ".p7s")
    # after the certificates' time
    p7s.write_text(good)
    assert verify()[0] == 0
    if shutil.which("faketime") and not run.SANITIZED:  # its own time() hides faketime's
        r = subprocess.run(["faketime", "2030-01-01", str(run.BUILD / "congvu"), "-c", str(conf), "policy", "verify", f], capture_output=True, text=True)
        assert r.returncode == 65 and "outside its validity" in r.stderr, (r.stdout, r.stderr)
    conf.write_text(plain)


def main():
    with run.folder("cv-policy-cli-") as root:
        certs = root / "certs"
        (root / "site").mkdir()
        s = Site(root / "site", certs)
        for fn in (tests_run_through_the_scanner, a_test_that_fails_is_told, errors_in_both_languages, what_runs_out_is_told, diff_tells_the_meaning,
                   explain_names_sources, explain_tells_units_and_sources_of_revocation, a_file_that_is_not_there,
               what_the_filter_would_not_take_is_wrong, the_manual_s_example_is_as_it_says, help_is_the_table, signed_by_two_officers, a_hostile_message_harms_no_officer):
            run.check(fn.__name__, lambda fn=fn: fn(s))
    return run.sums()


if __name__ == "__main__":
    sys.exit(main())
