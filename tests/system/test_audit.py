"""What a security officer does with the audit log: find a mail, and read why it was refused."""

import json

import client


def refuse(server):
    """An unsigned official mail; its Message-ID, and the ticket of the refusal."""
    clerk, box, to = server.user("clerk", agency="SKHCN"), server.mailbox("SKHCN"), server.user("staff", agency="STC")
    mid = client.new_id(server.domain)
    mail = client.header(box["address"], [to["address"]], "Công văn", mid) + client.text_part("Không ký số.\n")
    code, text = server.submit(clerk, box["address"], [to["address"]], mail)
    text = text.decode() if isinstance(text, bytes) else text
    assert code == 550 and "[ticket " in text
    return mid, text.split("[ticket ")[1].split("]")[0], clerk, box, to


def test_a_refused_mail_is_found_and_understood(server):
    mid, ticket, clerk, box, to = refuse(server)
    refuse(server)
    for text in (ticket, mid, mid.strip("<>")):
        r = server.congvu("audit", "show", "--match", text)
        assert r.returncode == 0, r.stderr
        verdict = next(line for line in r.stdout.splitlines() if " verdict " in line)
        assert ticket in verdict and len(r.stdout.splitlines()) <= 2
        for word in ("action=reject", "rule=P01", "login=" + clerk["login"], "ip=127.0.0.1", "from=" + box["address"],
                     "to=" + to["address"]):
            assert word in verdict, verdict
    outcome = server.congvu("audit", "show", "--match", ticket, "--last", "1").stdout
    assert " outcome " in outcome and "code=550" in outcome and "digitally signed" in outcome
    assert {r["qid"] for r in json.loads(server.congvu("audit", "show", "--match", ticket, "--json").stdout)} == {ticket}
    assert server.congvu("audit", "show", "--match", "no such thing").stdout == ""


def test_what_an_operator_did_is_shown(server):
    """Who, to whose mail, by what decision: without --json too."""
    user = server.users[0]
    assert server.congvu("mailbox", "hold", user["login"], "--decision", "12/QĐ-STP", "--reason", "thanh tra").returncode == 0
    line = server.congvu("audit", "show", "--match", "12/QĐ-STP").stdout.splitlines()[-1]
    assert server.congvu("mailbox", "release", user["login"], "--decision", "13/QĐ-STP").returncode == 0
    for word in (" store_hold ", " by=", " account=p-", " decision=12/QĐ-STP", ' reason="thanh tra"'):
        assert word in line, line


def test_records_cannot_drive_the_terminal(server, tmp_path):
    """A sender's address may hold what it likes."""
    log = tmp_path / "audit.jsonl"
    lines = [line for line in open(server.audit_log, encoding="utf-8") if '"verdict"' in line]
    record = json.loads(lines[-1])
    record["env"]["from"] = "a\u001b[2J\u009b31m\n\u007f@x.example"
    log.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    r = server.congvu("audit", "show", "--file", log)
    assert not any(c in r.stdout.rstrip("\n") for c in "\u001b\u009b\u007f\n")
