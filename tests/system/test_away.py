"""congvu staff forward and away, on the whole system: directory, ACLs, lookup, smtpd, store."""

import json
import time
from email import message_from_bytes, policy

import client


def letter(server, sender, rcpt, subject="Hỏi việc"):
    mid = client.new_id(server.domain)
    return mid, client.header(client.address(sender["name"], sender["address"]), [rcpt["address"]], subject, mid) + client.text_part("Nội dung.\n")


def find(server, user, header, value, seconds=15):
    """The messages of INBOX with that header field."""
    end = time.monotonic() + seconds
    while True:
        m = server.imap(user)
        m.select("INBOX", readonly=True)
        _, data = m.search(None, "HEADER", header, client.quoted(value) if hasattr(client, "quoted") else '"%s"' % value)
        got = [m.fetch(n, "(BODY.PEEK[])")[1][0][1] for n in data[0].split()]
        client.close(m)
        if got or time.monotonic() > end:
            return got
        time.sleep(0.2)


def test_staff_forward(server):
    server.wait_up()
    a, b, c = server.user("staff", agency="SKHCN"), server.user("staff", agency="STC"), server.user("clerk", agency="SKHCN")

    def forward(*args):
        r = server.congvu("staff", "forward", a["login"], *args, "--json")
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout)["result"]
    try:
        assert forward("--to", b["address"]) == "changed"
        assert forward("--to", b["address"]) == "unchanged"
        mid, mail = letter(server, c, a)
        server.submit(c, c["address"], [a["address"]], mail)
        got = [server.fetch(u, mid) for u in (a, b)]
        assert all(g is not None and client.same_from_first_field(mail, g) for g in got)
        # what comes back with the mark goes no further: it outlives the milter
        mark = next(line for line in got[1].splitlines(True) if line.startswith(b"X-Congvu-Forward: "))
        mid, mail = letter(server, c, a)
        server.submit(c, c["address"], [a["address"]], mark + mail)
        assert server.fetch(a, mid) is not None and server.fetch(b, mid, wait=0.5) is None
        assert forward("--to", b["address"], "--no-copy") == "changed"
        mid, mail = letter(server, c, a)
        server.submit(c, c["address"], [a["address"]], mail)
        assert server.fetch(b, mid) is not None and server.fetch(a, mid, wait=0.5) is None
        # outside: the policy of a new site is that it stays here
        assert forward("--to", "an@ngoai.example", "--no-copy") == "changed"
        r = server.congvu("staff", "forward", a["login"], "--to", "an@ngoai.example", "--no-copy", "--lang", "vi")
        assert "forward_to" in r.stderr and "không đổi" in r.stdout, r.stdout + r.stderr
        # and who looks sees it
        shown = json.loads(server.congvu("staff", "show", a["login"], "--json").stdout)
        assert shown["forward"] == ["an@ngoai.example"] and shown["forward_copy"] is False and shown["away"]["text"] == ""
        assert "an@ngoai.example (stays in the mailbox" in server.congvu("staff", "show", a["login"], "--lang", "en").stdout
        mid, mail = letter(server, c, a)
        server.submit(c, c["address"], [a["address"]], mail)
        assert server.fetch(a, mid) is not None
    finally:
        assert forward("--off") == "changed"
    assert forward("--off") == "unchanged"
    assert server.congvu("staff", "forward", a["login"], "--to", "no address").returncode != 0
    assert server.congvu("staff", "forward", "khong.co.ai", "--off").returncode != 0
    assert server.congvu("staff", "forward", a["login"]).returncode == 64


def test_staff_away(server, tmp_path):
    server.wait_up()
    a, c = server.user("staff", agency="SKHCN"), server.user("staff", agency="STC")
    text = tmp_path / "text"
    text.write_text("Tôi đi công tác.\nXin liên hệ văn thư.\n", encoding="utf-8")

    def away(*args):
        r = server.congvu("staff", "away", a["address"], *args, "--json")
        assert r.returncode == 0, r.stderr
        return json.loads(r.stdout)["result"]
    try:
        assert away("--text-file", text, "--subject", "Vắng mặt", "--from", "2020-01-01", "--until", "2020-01-02") == "changed"
        mid, mail = letter(server, c, a)
        server.submit(c, c["address"], [a["address"]], mail)  # long over
        assert away("--text-file", text, "--subject", "Vắng mặt", "--from", "2020-01-01", "--until", "2099-12-31", "--days", "2") == "changed"
        assert away("--text-file", text, "--subject", "Vắng mặt", "--from", "2020-01-01", "--until", "2099-12-31", "--days", "2") == "unchanged"
        shown = json.loads(server.congvu("staff", "show", a["login"], "--json").stdout)["away"]
        assert shown["subject"] == "Vắng mặt" and shown["days"] == "2" and shown["text"].startswith("Tôi đi")
        assert '"Tôi đi công tác."' in server.congvu("staff", "show", a["login"]).stdout
        time.sleep(0.15)  # what smtpd knows of a plain mailbox is good for 0.1 s (route_memory.h), and these commands are quicker than that
        mids = []
        for _ in range(2):
            mid, mail = letter(server, c, a)
            mids.append(mid)
            server.submit(c, c["address"], [a["address"]], mail)
            assert server.fetch(a, mid) is not None
        replies = find(server, c, "Auto-Submitted", "auto-replied")
        replies = [message_from_bytes(r, policy=policy.default) for r in replies if mids[0].encode() in r or mids[1].encode() in r]
        assert len(replies) == 1 and replies[0]["In-Reply-To"] == mids[0] and replies[0]["Subject"] == "Vắng mặt"
        assert replies[0].get_content().replace("\r\n", "\n") == text.read_text(encoding="utf-8")
        assert replies[0]["From"].addresses[0].addr_spec == a["address"] and replies[0]["Return-Path"] == "<>"
    finally:
        assert away("--off") == "changed"
    assert server.congvu("staff", "away", a["login"], "--text-file", text, "--until", "30/11/2026").returncode == 64
    assert server.congvu("staff", "away", a["login"], "--text-file", text, "--days", "31").returncode != 0
