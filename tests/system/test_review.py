"""What a security officer does: congvu trace, quarantine, report, alerts."""

import base64
import datetime
import hashlib
import json
import re
import secrets

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


def test_the_whole_way_is_shown(server, sent):
    said = way(server, sent["qid"])
    for part in ("from 127.0.0.1 login " + sent["sender"]["login"], "<%s>" % sent["sender"]["address"], sent["to"][0]["address"] + " delivered",
                 "Kế hoạch đào tạo " + sent["word"], sent["name"] + "  [.pdf] ", "SHA-256 " + sent["digest"],
                 "accept 250", "policy ", "250 2.0.0 Delivered as " + sent["qid"]):
        assert part in said, (part, said)
    assert "nhận" in server.congvu("trace", sent["qid"], "--lang", "vi").stdout
    short = way(server, "--from", sent["sender"]["address"], "--limit", "2")
    assert all(len(line) > 30 for line in short.splitlines()) and "congvu trace QID" in short
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
