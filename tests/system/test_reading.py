"""Who has left reads the own mail until a day, by IMAP, and does nothing else: no sending, no change, nobody else's mailbox; and at the end nothing."""

import imaplib
import json
import smtplib

import pytest

import client
from test_at_once import Directory, heard, idle, session, stamp, until

QD = ("--decision", "81/QĐ-UBND")
PASSWORD = "mật khẩu của người nghỉ"


@pytest.fixture(scope="module")
def directory(server):
    server.wait_up()
    return Directory(server)


def done(server, *args):
    r = server.congvu(*args, "--json")
    assert r.returncode == 0, (args, r.stderr)
    return json.loads(r.stdout)


@pytest.fixture
def user(server, request):
    """Hired by a decision of each test's own: who has left is not hired again by the same one."""
    p = done(server, "staff", "hire", "--name", "Tạ Thị Nghỉ", "--agency", "H99.02", "--title", "Văn phòng", "--decision", "81/QĐ-" + request.node.name)
    assert server.congvu("password", "set", p["id"], "--password-stdin", input=PASSWORD + "\n").returncode == 0
    yield {"login": p["uid"], "password": PASSWORD, "address": p["mail"], "id": p["id"], "dn": p["dn"]}
    server.congvu("staff", "leave", p["id"], "--no-reading", *QD)


def deliver(server, to):
    mid = client.new_id(server.domain)
    s = server.mx()
    answer = client.transaction(s, "dan@hopthu.example", [to], client.header("dan@hopthu.example", [to], "Thư cũ", mid) + client.text_part("x\n"))
    client.close(s)
    return answer[0], mid


def test_reading_until_a_day(server, directory, user):
    code, mid = deliver(server, user["address"])
    assert code == 250 and server.fetch(user, mid)
    # a mailbox that is held by name, and one by a rule of her agency: both end
    box = server.mailbox("SKHCN")["address"]
    box_dn = directory.mailbox(box)
    directory.modify(box_dn, "add: vnReader", "vnReader: " + user["dn"])
    with session(server, user) as m, server.submission(user) as s:
        m.select("INBOX")
        idle(m)
        left = done(server, "staff", "leave", user["id"], "--read-until", "2099-12-31", *QD)
        assert left["result"] == "changed"
        # sessions with all rights end at once
        line, _ = heard(m)
        assert line is not None and line.startswith(b"* BYE"), line
        assert s.getreply()[0] == 421
    shown = done(server, "staff", "show", user["id"])
    assert shown["status"] == "closed" and shown["read_until"].startswith("2100") and shown["mailboxes"] == [] and shown["mailboxes_through"] == []
    assert "2099-12-31" in server.congvu("staff", "show", user["id"]).stdout
    # nobody writes to her, and she does not send, by password or otherwise
    assert deliver(server, user["address"])[0] == 550
    with pytest.raises(smtplib.SMTPAuthenticationError) as e:
        server.submission(user)
    assert e.value.smtp_code == 535, e.value
    # she reads what is there, and changes nothing
    with session(server, user) as m:
        assert not any(box.split("@")[0].encode() in r for r in m.list('""', '"*"')[1])
        with pytest.raises(imaplib.IMAP4.readonly):  # SELECT, answered OK [READ-ONLY]
            m.select("INBOX")
        m.is_readonly = True  # imaplib is to send what the server is to refuse
        n = m.uid("SEARCH", None, "HEADER", "Message-ID", client.quoted(mid))[1][0].split()
        assert len(n) == 1
        assert b"Message-ID" in m.uid("FETCH", n[0], "(BODY[HEADER.FIELDS (MESSAGE-ID)])")[1][0][1]
        assert m.myrights("INBOX")[1][0].split()[-1].strip(b'"') == b"lr"
        for verb in (lambda: m.uid("STORE", n[0], "+FLAGS", r"(\Deleted)"), lambda: m.create("Moi"), lambda: m.append("INBOX", None, None, b"A: b\r\n\r\nx\r\n"),
                     lambda: m.uid("MOVE", n[0], "Trash"), lambda: m.rename("Drafts", "Khac"), lambda: m.delete("Trash"), lambda: m.getacl("INBOX"),
                     lambda: m.uid("COPY", n[0], "Drafts")):
            answer = verb()
            assert answer[0] == "NO", answer
        assert m.expunge()[0] == "NO"
        m.select("INBOX", readonly=True)
        assert m.uid("SEARCH", None, "HEADER", "Message-ID", client.quoted(mid))[1][0].split() == n
        assert rb"\Deleted" not in m.uid("FETCH", n[0], "(FLAGS)")[1][0]
        # the day is taken away: the session ends, and there is no other
        idle(m)
        assert done(server, "staff", "leave", user["id"], "--no-reading", *QD)["result"] == "changed"
        line, _ = heard(m)
        assert line is not None and line.startswith(b"* BYE"), line
    with pytest.raises(imaplib.IMAP4.error):
        server.imap(user)


def test_passwords_of_devices_after_leaving(server, directory, user):
    """They read as long as the person may read, and not a moment longer, though they stay; and they never send."""
    phone = dict(user, password=done(server, "password", "app", "add", user["id"], "--name", "Điện thoại")["password"])
    code, mid = deliver(server, user["address"])
    assert code == 250 and server.fetch(phone, mid)
    done(server, "staff", "leave", user["id"], "--read-until", "2099-12-31", *QD)
    with session(server, phone) as m:
        m.select("INBOX", readonly=True)
        n = m.uid("SEARCH", None, "HEADER", "Message-ID", client.quoted(mid))[1][0].split()
        assert len(n) == 1 and m.uid("STORE", n[0], "+FLAGS", r"(\Deleted)")[0] == "NO"
        with pytest.raises(smtplib.SMTPAuthenticationError):
            server.submission(phone)
        idle(m)
        done(server, "staff", "leave", user["id"], "--no-reading", *QD)
        line, _ = heard(m)
        assert line is not None and line.startswith(b"* BYE"), line
    # the session has ended, so lookup knows: not one sign-in more, with the one or the other password
    for who in (phone, user):
        with pytest.raises(imaplib.IMAP4.error) as e:
            server.imap(who)
        assert "[UNAVAILABLE]" not in str(e.value), e.value
        with pytest.raises(smtplib.SMTPAuthenticationError):
            server.submission(who)


def test_passwords_of_devices_end_with_leaving(server, directory, user):
    """Without days of reading: at once, the open session too."""
    phone = dict(user, password=done(server, "password", "app", "add", user["id"], "--name", "Máy tính")["password"])
    with session(server, phone) as m:
        m.select("INBOX")
        idle(m)
        done(server, "staff", "leave", user["id"], "--no-reading", *QD)
        line, _ = heard(m)
        assert line is not None and line.startswith(b"* BYE"), line

    def refused():
        try:
            client.close(server.imap(phone))
            return False
        except imaplib.IMAP4.error as e:
            assert "[UNAVAILABLE]" not in str(e), e
            return True
    until(refused)


def test_the_day_comes(server, directory, user):
    """Nobody does anything: at its time the session ends and sign-in is refused."""
    done(server, "staff", "leave", user["id"], "--read-until", "2099-12-31", *QD)
    with session(server, user) as m:
        m.select("INBOX", readonly=True)
        directory.modify(user["dn"], "replace: vnReadUntil", "vnReadUntil: " + stamp(3))
        idle(m)
        line, _ = heard(m, 30)
        while line is not None and not line.startswith(b"* BYE"):
            line, _ = heard(m, 30)
        assert line is not None and line.startswith(b"* BYE"), line

    def refused():
        try:
            client.close(server.imap(user))
            return False
        except imaplib.IMAP4.error:
            return True
    until(refused)


def test_words(server, user):
    r = server.congvu("staff", "leave", user["id"], "--read-until", "2099-12-31", "--no-reading", *QD)
    assert r.returncode == 64 and "not both" in r.stderr, r
    r = server.congvu("staff", "freeze", user["id"], "--no-reading", *QD)
    assert r.returncode == 64 and "leave" in r.stderr, r
    r = server.congvu("staff", "leave", user["id"], "--read-until", "2020-01-01", *QD)
    assert r.returncode == 65 and "past" in r.stderr, r
    told = done(server, "staff", "leave", user["id"], "--read-until", "2099-12-31", "--dry-run", *QD)
    assert any(a["attr"] == "vnReadUntil" for w in told["changes"] for a in w["attributes"])
    assert done(server, "staff", "show", user["id"])["status"] == "active"
