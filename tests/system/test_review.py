"""What a security officer does: congvu trace, quarantine, report, alerts."""

import base64
import datetime
import hashlib
import io
import json
import os
import pwd
import re
import secrets
import signal
import subprocess
import time
import zipfile

import client
import pytest


def trace(server, *args, code=0):
    r = server.congvu("--json", "trace", *args)
    assert r.returncode == code, r.stdout + r.stderr
    return json.loads(r.stdout)


def way(server, *args):
    r = server.congvu("trace", *args)
    assert r.returncode == 0, r.stdout + r.stderr
    return r.stdout


def letter(server, sender, rcpts, subject, parts=(), text="Kính gửi.\n"):
    """A mail between colleagues; its Message-ID, and what was said to it."""
    mid = client.new_id(server.domain)
    head = client.header(sender["address"], [r["address"] for r in rcpts], subject, mid)
    mail = head + (client.multipart([client.text_part(text), *parts]) if parts else client.text_part(text))
    code, said = server.submit(sender, sender["address"], [r["address"] for r in rcpts], mail)
    return mid, code, said.decode() if isinstance(said, bytes) else said


def deceiving(name, data):
    """An attachment whose name is any text (RFC 2231)."""
    quoted = "".join("%%%02X" % b for b in name.encode())
    return (b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename*=utf-8''%s\r\n\r\n"
            % quoted.encode()) + base64.encodebytes(data).replace(b"\n", b"\r\n")


@pytest.fixture(scope="module")
def sent(server):
    """One mail that got through, with two recipients and an attachment of its own."""
    a, b, c = server.user("staff", agency="SKHCN"), server.user("staff", agency="STC"), server.user("clerk", agency="SKHCN")
    word = secrets.token_hex(4)
    name, pdf = "bang-luong-%s.pdf" % word, client.pdf(["Luong " + word])
    mid, code, said = letter(server, c, [a, b], "Kế hoạch đào tạo " + word, [client.attachment(name, pdf)])
    assert code == 250, said
    return dict(mid=mid, qid=said.split()[-1], word=word, name=name, digest=hashlib.sha256(pdf).hexdigest(), sender=c, to=[a, b])


def test_a_mail_is_found_by_everything(server, sent):
    """Queue id, Message-ID, sender, recipient, subject words, attachment, digest, day: each finds it, alone or together."""
    today = datetime.date.today().isoformat()
    for args in ([sent["qid"]], [sent["mid"]], [sent["mid"].strip("<>")], [sent["digest"]], ["--digest", sent["digest"].upper()],
                 ["--subject", "DAO tao " + sent["word"]], ["--subject", "đào " + sent["word"]],
                 ["--attachment", "luong-" + sent["word"]], ["--attachment", sent["word"], "--day", today, "--to", sent["to"][1]["address"].upper()],
                 ["--from", sent["sender"]["address"], "--attachment", sent["word"]], ["--login", sent["sender"]["login"], "--digest", sent["digest"]],
                 ["--to", sent["to"][0]["address"], "--subject", sent["word"], "--since", "2020", "--until", "2099", "--action", "accept"]):
        found = trace(server, *args)
        assert [r["qid"] for m in found for r in m["records"]] == [sent["qid"]] * 2, args
        assert [r["event"] for r in found[0]["records"]] == ["verdict", "outcome"] and found[0]["altered"] == 0
    for args in (["--subject", sent["word"] + "x"], ["--subject", sent["word"], "--until", "2020"], ["--digest", "0" * 64],
                 ["--subject", sent["word"], "--to", sent["sender"]["address"]], ["--subject", sent["word"], "--day", "2001-01-01"]):
        assert trace(server, *args) == [], args
        assert server.congvu("trace", *args).returncode == 67
    r = server.congvu("trace", "0123456789abcdef")
    assert r.returncode == 67 and "no such mail" in r.stderr and "the last" not in r.stderr, r.stderr


def test_the_whole_way_is_shown(server, sent):
    said = way(server, sent["qid"])
    for part in ("from 127.0.0.1 login " + sent["sender"]["login"], "<%s>" % sent["sender"]["address"], sent["to"][0]["address"] + " delivered",
                 "Kế hoạch đào tạo " + sent["word"], sent["name"] + "  [.pdf] ", "SHA-256 " + sent["digest"],
                 "accept 250", "policy ", "250 2.0.0 Delivered as " + sent["qid"]):
        assert part in said, (part, said)
    assert "nhận" in server.congvu("trace", sent["qid"], "--lang", "vi").stdout
    letter(server, sent["sender"], sent["to"], "Thư nữa")
    r = server.congvu("trace", "--from", sent["sender"]["address"])
    assert r.returncode == 0 and len([x for x in r.stdout.splitlines() if " accept " in x]) >= 2 and sent["qid"] in r.stdout
    for args in ([], ["a", "b"], ["--limit", "0", "x"], ["--digest", "12"], ["--day", "yesterday"], ["--day", "2026-01-01", "--since", "2026"], ["x\"y"]):
        assert server.congvu("trace", *args).returncode == 64, args


def test_a_name_that_deceives(server):
    """A right-to-left override, unseen characters, letters of another alphabet: shown by their numbers, and what the programs take."""
    a, c = server.user("staff", agency="SKHCN"), server.user("clerk", agency="SKHCN")
    names = ["hop-dong\u202efdp.exe", "bao\u200b-cao.pdf\u2024scr", "p\u0430y\u0301roll.\u0435\u0445\u0435"]
    mid, code, said = letter(server, c, [a], "Thư mời \u202e\u2066 họp", [deceiving(n, b"MZ" + b"\0" * 200) for n in names])
    assert code == 550 and "[ticket " in said, said
    said = way(server, mid)
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2060-\u206f]", said), said
    assert "hop-dong‹U+202E›fdp.exe  [.exe]" in said and "bao‹U+200B›-cao.pdf‹U+2024›scr  [.scr]" in said
    assert "p‹U+0430›ý" in said or "p‹U+0430›y\u0301" in said
    assert "[.‹U+0435›‹U+0445›‹U+0435›]" in said and "Thư mời ‹U+202E›‹U+2066› họp" in said
    shown = trace(server, mid)[0]["shown"]
    assert [x["extension"] for x in shown["attachments"]] == [".exe", ".scr", ".‹U+0435›‹U+0445›‹U+0435›"]
    assert shown["attachments"][0]["name"] == "hop-dong‹U+202E›fdp.exe"


def test_a_changed_record_is_told(server, sent, tmp_path):
    """An edited line is named and not shown as if it had been written so."""
    log = tmp_path / "audit.jsonl"
    lines = [line for line in open(server.audit_log, encoding="utf-8") if sent["qid"] in line]
    log.write_text(lines[0].replace("accept", "reject") + lines[1])
    r = server.congvu("trace", sent["qid"], "--file", log)
    assert r.returncode == 65 and "line 1: changed" in r.stderr and "NOT as they were written" in r.stdout and "reject" not in r.stdout


def sealed(prev, seq, ts, rec):
    """A record as the ledger writes it (milter/audit.h)."""
    rec = dict(rec, v=2, seq=seq, ts=ts, host="h", prev=prev, salt="0" * 32)

    def text(o):
        return re.sub(r"\\u[0-9a-f]{4}", lambda m: "\\u" + m.group()[2:].upper(), json.dumps(o, sort_keys=True, separators=(",", ":")))
    d = hashlib.sha256(text(rec).encode()).hexdigest()
    rec["h"] = hashlib.sha256((prev + d).encode()).hexdigest()
    return text(rec), rec["h"]


def test_what_was_refused_before_it_was_judged(server, tmp_path):
    """P28 at MAIL and behind DATA: what the clerk hears is found by trace, explain and audit prove."""
    a, b = server.user("staff", agency="SKHCN"), server.user("staff", agency="STC")
    head = client.header(b["address"], [a["address"]], "Thay mặt", client.new_id(server.domain)) + client.text_part("x")
    for sender, said in ((b["address"], "MAIL"), (a["address"], "From")):
        code, text = server.submit(a, sender, [a["address"]], head)
        text = text.decode() if isinstance(text, bytes) else text
        assert code == 550 and "P28" in text, text
        ticket = re.search(r"\[ticket ([0-9a-f]{16})\]", text)[1]
        shown = way(server, ticket)
        assert shown.startswith(ticket + "\n") and "login " + a["login"] in shown and "550" in shown and "P28" in shown and "<%s>" % sender in shown, shown
        found = trace(server, ticket)
        # behind DATA the filter has judged it too
        assert [(m["id"], [r["event"] for r in m["records"]]) for m in found] == [(ticket, ["verdict", "outcome"][said == "MAIL":])], (said, found)
        r = server.congvu("--json", "explain", ticket)
        assert r.returncode == 0, r.stderr
        j = json.loads(r.stdout)
        assert (j["qid"], j["action"], j["rule"]) == (ticket, "reject", "P28") and j["rules"][0]["decided"] is True, j
        assert "Không có quyền gửi thay" in j["rules"][0]["vi"] and b["address"] in j["rules"][0]["evidence"], j
        assert said == "From" or a["login"] in j["rules"][0]["evidence"], j
        r = server.congvu("explain", ticket)
        assert r.returncode == 0 and "%s: reject 550 P28" % ticket in r.stdout and "No right to send as this address" in r.stdout, r.stdout
        r = server.congvu("audit", "show", "--match", ticket)
        assert r.returncode == 0 and ticket in r.stdout and "outcome" in r.stdout, r.stdout + r.stderr
        # a proof wants a checkpoint, which comes within a minute; the record is found
        r = server.congvu("audit", "prove", ticket, "--out", tmp_path / ticket)
        assert r.returncode == 0 or "is over record" in r.stderr, r.stderr


def test_a_mail_that_was_judged_again_has_the_name_it_had_first(server, sent, tmp_path):
    """Its second id differs in one bit, and whichever has that bit: the sender was told the first."""
    rec = next(r for r in trace(server, sent["qid"])[0]["records"] if r["event"] == "verdict")
    rec = {k: v for k, v in rec.items() if k not in ("v", "seq", "ts", "host", "prev", "salt", "h")}
    log = tmp_path / "audit.jsonl"
    for first, second in (("00062a1b2c3d4ec1", "00062a1b2c3d4e41"), ("00062a1b2c3d4e41", "00062a1b2c3d4ec1")):
        one, prev = sealed("0" * 64, 1, "2026-03-01T08:00:00.000000Z", dict(rec, qid=first))
        two, prev = sealed(prev, 2, "2026-03-01T09:00:00.000000Z", dict(rec, qid=second))
        log.write_text(one + "\n" + two + "\n" + sealed(prev, 3, "2026-03-01T10:00:00.000000Z", dict(rec, qid="other"))[0] + "\n")
        for asked in (first, second):
            found = trace(server, asked, "--file", log)
            assert [(m["id"], [r["qid"] for r in m["records"]]) for m in found] == [(first, [first, second])], found
            assert way(server, asked, "--file", log).startswith(first + "\n")
            r = server.congvu("explain", asked, "--file", log)
            assert r.returncode == 0 and asked + ": accept" in r.stdout, r.stdout + r.stderr
            assert ("congvu explain " + (second if asked == first else first)) in r.stdout, r.stdout
        r = server.congvu("trace", "--file", log, "--day", "2026-03-01")
        assert r.stdout.startswith(first + "  2026-03-01T08:00:00Z"), r.stdout


def test_files_of_other_days_are_not_read(server, tmp_path):
    """Closed files are chosen by when they begin: one that cannot be read, of another day, does not matter; of that day it does."""
    prev, seq = "0" * 64, 0
    for day in range(1, 6):
        out, first = [], seq + 1
        for n in range(20):
            seq += 1
            line, prev = sealed(prev, seq, "2026-03-%02dT%02d:00:00.000000Z" % (day, n), {
                "event": "verdict", "qid": "q%d-%d" % (day, n), "env": {"from": "a%d@x.example" % n, "rcpts": ["b@y.example"]},
                "facts": {"subject": "Ngày %d" % day}, "decision": {"action": "accept", "rule": "", "code": "250"}})
            out.append(line + "\n")
        (tmp_path / ("audit.jsonl" if day == 5 else "audit.jsonl.%012d" % first)).write_text("".join(out))
    broken = tmp_path / "audit.jsonl.000000000021"
    head = broken.read_text().splitlines(True)[0]
    broken.write_text(head + "x" * (3 << 20) + "\n")
    log = tmp_path / "audit.jsonl"
    asked = ["--file", log, "--from", "a7@", "--subject", "ngay"]
    assert server.congvu("trace", *asked).returncode != 0
    found = trace(server, *asked, "--since", "2026-03-04")
    assert [m["id"] for m in found] == ["q4-7", "q5-7"] and found[0]["records"][0]["facts"]["subject"] == "Ngày 4"
    assert [m["id"] for m in trace(server, *asked, "--since", "2026-03-05T00", "--limit", "1")] == ["q5-7"]
    # what comes of a mail comes later, whatever day was asked for; so files after that are read, those before are not
    assert server.congvu("trace", *asked, "--until", "2026-03-01").returncode != 0


# ---- congvu quarantine

def as_officer(server, name, *args, code=0):
    """congvu as sudo runs it for somebody."""
    env = dict(os.environ, SUDO_UID=str(pwd.getpwnam(name).pw_uid), SUDO_USER=name)
    r = server.congvu("quarantine", *args, env=env)
    assert r.returncode == code, (args, r.returncode, r.stdout + r.stderr)
    return r.stdout + r.stderr


def restart(server, *binaries):
    for binary in binaries:
        for pid in server.processes(binary):
            os.kill(pid, signal.SIGKILL)
    server.wait_up()


@pytest.fixture(scope="module")
def officers(server):
    if open("/proc/self/loginuid").read().strip() != "4294967295":
        pytest.skip("this login has a uid of its own, which outweighs sudo's")
    text = server.conf.read_text()
    server.conf.write_text(text + '\nsecurity_officers = {"daemon", "bin"}\nofficers_by_sudo = true\n')
    restart(server, "congvu-smtpd-queue")
    yield "daemon", "bin"
    server.conf.write_text(text)
    restart(server, "congvu-smtpd-queue")


def locked_zip():
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w") as z:
        z.writestr("bang-luong.txt", secrets.token_hex(40))
    data = bytearray(b.getvalue())
    data[6] |= 1  # encrypted: local header, central directory
    data[data.index(b"PK\1\2") + 8] |= 1
    return bytes(data)


def held(server, sender=None, rcpts=None):
    """A mail that P23 holds; its Message-ID and queue id."""
    sender = sender or server.user("clerk", agency="SKHCN")
    rcpts = rcpts or [server.user("staff", agency="SKHCN"), server.user("staff", agency="STC")]
    mid, code, said = letter(server, sender, rcpts, "Tệp có khóa", [client.attachment("bang-luong.zip", locked_zip(), "application/zip")])
    assert code == 250 and "Held for review" in said, said
    return mid, said.split()[-1], sender, rcpts


def copies(server, user, mid):
    m = server.imap(user)
    m.select("INBOX")
    _, data = m.uid("SEARCH", "HEADER", "Message-ID", '"%s"' % mid)
    client.close(m)
    return len(data[0].split())


def records(server, qid):
    return [r for m in trace(server, qid) for r in m["records"]]


def in_quarantine(server, qid):
    return [x for x in json.loads(server.congvu("--json", "quarantine", "list").stdout) if x["qid"] == qid]


def wait_for(what, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come to that")


def test_two_officers_release(server, officers):
    """One asks, another one confirms; nobody else, not the same one, not congvu queue. Judged anew, exempt from P23 alone, delivered once."""
    one, two = officers
    mid, qid, sender, rcpts = held(server)
    x, = in_quarantine(server, qid)
    assert (x["rule"], x["ticket"], x["release"]) == ("P23", qid, None) and x["agency"] and 0 <= x["age_s"] < 60
    said = as_officer(server, one, "show", qid)
    for part in ("P23", "Tệp nén có mật khẩu cần duyệt", "Locked archive held", "bang-luong.zip  [.zip]", "quarantine", sender["address"], "Tệp có khóa"):
        assert part in said, (part, said)
    # without the log there is the queue's word
    blind = server.conf.with_name("no-log.conf")
    blind.write_text(re.sub(r"(?m)^audit_log *=.*$", "", server.conf.read_text()) + '\naudit_log = "/nonexistent/audit.jsonl"\n')
    r = server.run_congvu(blind, "quarantine", "show", qid)
    assert r.returncode == 66 and qid + "  P23" in r.stdout and "Tệp nén có mật khẩu cần duyệt" in r.stdout, r.stdout + r.stderr
    assert "the queue's word alone" in r.stderr, r.stderr
    r = server.run_congvu(blind, "--json", "quarantine", "show", qid)
    assert r.returncode == 66 and json.loads(r.stdout)["qid"] == qid, r.stdout + r.stderr
    # no way round
    for verb in ("release", "delete", "retry"):
        r = server.congvu("queue", verb, qid)
        assert r.returncode in (73, 77), (verb, r.stdout)
    assert "congvu quarantine release" in server.congvu("queue", "release", qid).stdout
    assert server.congvu("queue", "hold", qid).returncode == 0 and server.congvu("queue", "release", qid).returncode == 77
    as_officer(server, "nobody", "release", qid, "--reason", "x", code=77)
    as_officer(server, one, "release", qid, "--confirm", code=73)
    assert "--confirm" in as_officer(server, one, "release", qid, "--reason", "đã gọi người gửi", "--decision", "12/QĐ-STP")
    said = as_officer(server, one, "release", qid, "--confirm", code=77)
    assert "another officer" in said, said
    assert in_quarantine(server, qid)[0]["release"]["by"] == one and copies(server, rcpts[0], mid) == 0
    as_officer(server, one, "release", qid, "--withdraw")
    as_officer(server, two, "release", qid, "--confirm", code=73)
    as_officer(server, one, "release", qid, "--reason", "đã gọi người gửi")
    as_officer(server, two, "release", qid, "--confirm")
    mail = server.fetch(rcpts[0], mid, wait=30)
    assert b"released=P23" in mail and b"X-Congvu-Verdict: accept" in mail
    assert server.fetch(rcpts[1], mid, wait=30) and [copies(server, r, mid) for r in rcpts] == [1, 1]
    assert in_quarantine(server, qid) == []
    # the whole way, in one piece, by the first queue id; what was tried and refused is there too
    way_ = wait_for(lambda: (lambda r: r if any(x["event"] == "delivery" for x in r) else None)(records(server, qid)))
    judged = way_.pop([r["event"] for r in way_].index("delivery"))
    assert judged["qid"] == qid and {x["result"] for x in judged["rcpts"]} == {"judged"}
    events = [r["event"] for r in way_]
    assert events[:2] == ["verdict", "outcome"] and events[-2:] == ["verdict", "outcome"], events
    assert events.count("quarantine_denied") == 2 and events.count("quarantine_release_confirm") == 1
    confirm = way_[events.index("quarantine_release_confirm")]
    assert (confirm["by"], confirm["requested_by"], confirm["rules"], confirm["reason"]) == (two, one, "P23", "đã gọi người gửi")
    last = way_[-2]
    assert last["released"] == {"qid": qid, "rules": "P23"} and last["decision"]["action"] == "accept"
    assert ("P23", "enforce") in [(f["id"], f.get("mode")) for f in last["findings"]]
    assert "exempt from P23" in way(server, qid) and "requested_by " + one in way(server, qid)
    assert server.congvu("audit", "verify").returncode == 0


def test_nobody_is_two_officers_by_sudo_uid(server, officers):
    """Where the kernel says of nobody who he is, whoever is root could say so twice: release, delete and purge are refused unless the site says otherwise,
    and that somebody tried is in the log."""
    one, two = officers
    mid, qid, sender, rcpts = held(server)
    as_officer(server, one, "release", qid, "--reason", "x")
    text = server.conf.read_text()
    try:
        server.conf.write_text(text.replace("officers_by_sudo = true\n", ""))
        for args in (("release", qid, "--confirm"), ("release", qid, "--withdraw"), ("delete", qid, "--reason", "x")):
            said = as_officer(server, two, *args, code=77)
            assert "login uid" in said and "officers_by_sudo" in said, said
        env = dict(os.environ, SUDO_UID=str(pwd.getpwnam(two).pw_uid))
        r = server.congvu("store", "purge", "--message-id", mid, "--reason", "x", "--lang", "vi", env=env)
        assert r.returncode == 77 and "đóng vai" not in r.stderr and "login uid của phiên này" in r.stderr, r.stderr
        r = server.congvu("doctor", "--offline")
        assert "neither release nor purge" in r.stdout, r.stdout
    finally:
        server.conf.write_text(text)
    assert "can play two officers" in server.congvu("doctor", "--offline").stdout
    assert in_quarantine(server, qid)[0]["release"]["by"] == one and copies(server, rcpts[0], mid) == 0
    log = [json.loads(line) for line in open(server.audit_log, encoding="utf-8")]
    denied = [(r["event"], r["by"], r["by_known"], r["what"]) for r in log if r.get("refused") == "no login uid"]
    assert denied[-4:] == [("quarantine_denied", two, "sudo", "quarantine_release_confirm"), ("quarantine_denied", two, "sudo", "quarantine_release_withdraw"),
                           ("quarantine_denied", two, "sudo", "quarantine_delete"), ("store_purge_denied", two, "sudo", "request")], denied
    as_officer(server, one, "delete", qid, "--reason", "rác")


def test_a_release_is_judged_by_the_policy_now_in_force(server, officers):
    """What the policy refuses meanwhile does not go out: it is in the quarantine again, and says why; then it is deleted."""
    one, two = officers
    mid, qid, sender, rcpts = held(server)
    text = server.conf.read_text()
    try:
        server.conf.write_text(text + '\npolicy_banned_extensions = {"zip"}\n')
        restart(server, "congvu-milter-filter", "congvu-milter-scan")
        as_officer(server, one, "release", qid, "--reason", "x")
        as_officer(server, two, "release", qid, "--confirm")
        x = wait_for(lambda: in_quarantine(server, qid))[0]
        assert "P22" in x["release"]["refused"] and x["rule"] == "P23", x
        assert "the policy refused an earlier release" in as_officer(server, one, "list")
    finally:
        server.conf.write_text(text)
        restart(server, "congvu-milter-filter", "congvu-milter-scan")
    assert copies(server, rcpts[0], mid) == 0
    as_officer(server, two, "release", qid, "--confirm", code=73)  # that one was used up
    as_officer(server, one, "delete", qid, code=64)
    as_officer(server, "nobody", "delete", qid, "--reason", "x", code=77)
    as_officer(server, one, "delete", qid, "--reason", "rác")
    assert in_quarantine(server, qid) == [] and records(server, qid)[-1]["event"] == "quarantine_delete"
    as_officer(server, one, "show", qid, code=67)


def test_killed_between_the_steps(server, officers):
    """congvu between the audit log and the queue, then queue, relay and session: delivered once, and audited before."""
    one, two = officers
    mid, qid, sender, rcpts = held(server)
    as_officer(server, one, "release", qid, "--reason", "x")
    ledger, queue = server.one("congvu-milter-ledger"), server.one("congvu-smtpd-queue")
    relay = server.one("congvu-relay")
    stopped = [ledger, relay]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    env = dict(os.environ, SUDO_UID=str(pwd.getpwnam(two).pw_uid), SUDO_USER=two)
    p = subprocess.Popen([str(server.prefix / "bin/congvu"), "-c", str(server.conf), "quarantine", "release", qid, "--confirm"], env=env,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        # it has asked the queue, and waits for the ledger to take its connection
        wait_for(lambda: re.search(r"LISTEN +[1-9][0-9]* .*ledger\.admin\.sock", subprocess.run(["ss", "-xl"], capture_output=True, text=True).stdout))
        assert p.poll() is None and in_quarantine(server, qid)
        os.kill(queue, signal.SIGSTOP)
        stopped.append(queue)
        os.kill(ledger, signal.SIGCONT)
        wait_for(lambda: any(r["event"] == "quarantine_release_confirm" for r in records(server, qid)))
        assert p.poll() is None
    finally:
        p.kill()
        p.wait()
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    # the audit log has it; again, until it is done: the queue does it once
    wait_for(lambda: server.congvu("queue", "list").returncode == 0)
    if in_quarantine(server, qid):
        as_officer(server, two, "release", qid, "--confirm")
    assert in_quarantine(server, qid) == []
    for binary in ("congvu-relay", "congvu-smtpd-queue", "congvu-smtpd-session", "congvu-milter-filter", "congvu-ingest", "congvu-relay"):
        restart(server, binary)
    assert server.fetch(rcpts[0], mid, wait=60) and server.fetch(rcpts[1], mid, wait=60)
    wait_for(lambda: qid not in server.congvu("queue", "list").stdout, 60)
    assert [copies(server, r, mid) for r in rcpts] == [1, 1]


def test_what_nobody_signed_in_for(server, officers):
    """Mail from outside, by the MX port: held, released, judged as mail of that port."""
    one, two = officers
    to = server.user("staff", agency="STC")
    mid = client.new_id("ngoai.example")
    mail = client.header("lan@ngoai.example", [to["address"]], "Hồ sơ", mid) + client.multipart(
        [client.text_part("x\n"), client.attachment("ho-so.zip", locked_zip(), "application/zip")])
    s = server.mx()
    code, said = client.transaction(s, "lan@ngoai.example", [to["address"]], mail)
    client.close(s)
    said = said.decode() if isinstance(said, bytes) else said
    assert code == 250 and "Held" in said, said
    qid = said.split()[-1]
    as_officer(server, two, "release", qid, "--reason", "hồ sơ của dân")
    as_officer(server, one, "release", qid, "--confirm")
    assert b"released=P23" in server.fetch(to, mid, wait=30)
    assert [r for r in records(server, qid) if r["event"] == "verdict"][-1]["session"]["auth"] == "" and copies(server, to, mid) == 1


def test_what_the_queue_does_later_is_in_the_way(server):
    """The store is away: the outcome says queued, and the delivery that comes later stands behind it."""
    a, c = server.user("staff", agency="SKHCN"), server.user("clerk", agency="SKHCN")
    stopped = list(server.processes("congvu-ingest"))
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        mid, code, said = letter(server, c, [a], "Thư đến muộn")
        assert code == 250 and "Queued" in said, said
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert server.fetch(a, mid, wait=60) is not None
    r = wait_for(lambda: [x for x in records(server, said.split()[-1]) if x["event"] == "delivery"])
    assert [(x["address"], x["result"]) for x in r[0]["rcpts"]] == [(a["address"], "delivered")]
    assert "delivery" in way(server, mid)


# ---- congvu report, alerts

def test_daily_report(server, sent, tmp_path):
    """By rule, agency, signer; what is only noted; certificates of the directory; revocation; the log. In JSON, English and Vietnamese."""
    clerk, box, to = server.user("clerk", agency="SKHCN"), server.mailbox("SKHCN"), server.user("staff", agency="STC")
    today = datetime.date.today().isoformat()
    before = json.loads(server.congvu("--json", "report", "daily", "--day", today, "--no-verify").stdout)
    rule = lambda r, k: sum(x[k] for x in r["rules"] if x["rule"] == "P01")
    mid = client.new_id(server.domain)
    ends_soon = "het.han.%s@%s" % (secrets.token_hex(3), server.domain)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", tmp_path / "k", "-out",
                    tmp_path / "c.pem", "-days", "10", "-subj", "/CN=Het Han", "-addext", "subjectAltName=email:" + ends_soon], check=True, capture_output=True)
    r = server.congvu("staff", "hire", "--name", "Trần Hết Hạn", "--agency", json.loads(server.congvu("--json", "agency", "list").stdout)[0]["code"],
                      "--mail", ends_soon, "--cert", tmp_path / "c.pem", "--decision", "1/QĐ-TEST")
    assert r.returncode == 0, r.stderr
    unsigned = client.header(box["address"], [to["address"]], "Công văn", mid) + client.text_part("Không ký số.\n")
    assert server.submit(clerk, box["address"], [to["address"]], unsigned)[0] == 550
    # refused at MAIL, where nothing is judged
    assert server.submit(clerk, to["address"], [to["address"]], unsigned)[0] == 550
    report = json.loads(server.congvu("--json", "report", "daily", "--day", today).stdout)
    assert rule(report, "rejected") == rule(before, "rejected") + 1
    assert sum(x["rejected"] for x in report["rules"] if x["rule"] == "P28") == sum(x["rejected"] for x in before["rules"] if x["rule"] == "P28") + 1
    assert report["mails"]["refused_unjudged"] == before["mails"]["refused_unjudged"] + 1
    assert report["mails"]["rejected"] == before["mails"]["rejected"] + 2 and report["mails"]["verdicts"] == before["mails"]["verdicts"] + 1
    assert sum(a["rejected"] for a in report["agencies"]) == report["mails"]["rejected"] and report["mails"]["altered_records"] == 0
    log = report["audit_log"]
    assert log["ok"] and log["why"] is None and log["records"] == log["last_seq"] > 0 and log["checkpoints"] > 0
    certs = report["certificates"]
    assert certs["why"] is None and certs["looked_at"] > 0
    assert [e["days"] in (9, 10) for e in certs["ends"] if e["who"] == ends_soon] == [True], certs
    # the records of that day, counted otherwise
    day = [json.loads(line) for line in open(server.audit_log, encoding="utf-8")]
    ours = [r for r in day if r["event"] == "verdict" and report["since"] <= r["ts"] <= report["until"]]
    assert len(ours) >= report["mails"]["verdicts"] and before["mails"]["verdicts"] < len(ours)
    said = server.congvu("report", "daily", "--day", today).stdout
    assert "whose signatures were not checked (--key)" in said and "signed up to" not in said, said
    said = server.congvu("report", "daily", "--day", today, "--no-verify").stdout
    assert "refused" in said and "P01" in said and "not verified" in said
    said = server.congvu("report", "daily", "--day", today, "--no-verify", "--lang", "vi").stdout
    assert "không nhận" in said and "bị giữ lại" in said and "đang nhận" not in said, said
    empty = json.loads(server.congvu("--json", "report", "daily", "--day", "2001-01-01", "--no-verify").stdout)
    assert empty["mails"]["verdicts"] == 0 and empty["rules"] == []
    for args in (["report"], ["report", "weekly"], ["report", "daily", "--day", "x"]):
        assert server.congvu(*args).returncode == 64


def test_officers_hear_of_a_secrecy_mark(server):
    """The mail is there before the refusal; several are one mail; nothing of the content; kill -9 of the queue loses none."""
    officer, c, a = server.user("head", agency="STC"), server.user("clerk", agency="SKHCN"), server.user("staff", agency="STC")
    text = server.conf.read_text()
    server.conf.write_text(text + '\nalert_mail = {"%s"}\nalert_gap_s = 4\n' % officer["address"])
    restart(server, "congvu-smtpd-queue", "congvu-smtpd-session")
    word = secrets.token_hex(6)
    try:
        tickets = []
        for n in range(4):
            mid, code, said = letter(server, c, [a], "TỐI MẬT " + word, text="Độ mật: TỐI MẬT\n" + word + "\n")
            assert code == 550 and "P12 " in said, said
            tickets.append(said.split("[ticket ")[1].split("]")[0])
        os.kill(server.one("congvu-smtpd-queue"), signal.SIGKILL)
        m = server.imap(officer)

        def alerts():
            m.select("INBOX")
            _, data = m.uid("SEARCH", "HEADER", "Message-ID", ".alert@")
            return [m.uid("FETCH", u, "(BODY[])")[1][0][1].decode() for u in data[0].split()]
        got = wait_for(lambda: (lambda x: x if all(any(t in y for y in x) for t in tickets) else None)(alerts()), 40)
        assert len([y for y in got if any(t in y for t in tickets)]) == 2, got  # the first at once, the others together
        assert not any(word in y or a["address"] in y for y in got) and c["login"] in got[-1] and "congvu trace" in got[-1]
        client.close(m)
    finally:
        server.conf.write_text(text)
        restart(server, "congvu-smtpd-queue", "congvu-smtpd-session")
