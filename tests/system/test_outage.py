"""What happens while a part is away: mail waits, nothing is refused for good, nothing is doubled."""

import os
import signal
import smtplib
import time

import client
import imaplib
import pytest


def everyday(server, sender, rcpt):
    mid = client.new_id(server.domain)
    return mid, client.header(client.address(sender["name"], sender["address"]), [rcpt["address"]], "Thư thường", mid) + \
        client.text_part("Nội dung.\n")


def test_store_away_then_back(server):
    """The store does not answer: 250 from the queue, and the mail arrives once when the store is back."""
    server.wait_up()
    sender, rcpt = server.user("staff", agency="SKHCN"), server.user("staff", agency="STC")
    pid = server.one("congvu-stored-db")
    s = server.submission(sender)
    mid, mail = everyday(server, sender, rcpt)
    os.kill(pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        code, text = client.transaction(s, sender["address"], [rcpt["address"]], mail)
        assert code == 250, text
        assert time.monotonic() - start < 30
        listed = server.congvu("queue", "list", "--json")
        assert listed.returncode == 0 and rcpt["address"] in listed.stdout, listed.stdout + listed.stderr
    finally:
        os.kill(pid, signal.SIGCONT)
    client.close(s)
    got = server.fetch(rcpt, mid, wait=60)
    assert got is not None and client.same_from_first_field(mail, got)
    end = time.monotonic() + 40
    while rcpt["address"] in server.congvu("queue", "list", "--json").stdout and time.monotonic() < end:
        time.sleep(0.5)
    assert mid not in server.congvu("queue", "list").stdout
    server.fetch(rcpt, mid)  # fails when it is there twice


def test_ingest_away_then_back(server):
    server.wait_up()
    sender, rcpt = server.user("staff", agency="SKHCN"), server.user("staff", agency="STC")
    s = server.submission(sender)
    pids = list(server.processes("congvu-ingest"))
    mid, mail = everyday(server, sender, rcpt)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert client.transaction(s, sender["address"], [rcpt["address"]], mail)[0] == 250
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    client.close(s)
    assert server.fetch(rcpt, mid, wait=60) is not None


def test_directory_away_then_back(server):
    """LDAP down: temporary errors everywhere, and no open door."""
    server.wait_up()
    sender, rcpt = server.user("staff", agency="SKHCN"), server.user("staff", agency="STC")
    signed_in = server.submission(sender)
    server.slapd("stop")
    try:
        with server.mx() as s:
            s.ehlo()
            s.mail("nguoidan@hopthu.example")
            code, text = s.rcpt(rcpt["address"])
            assert code == 451, text
            code, text = s.rcpt("khong.co@" + server.domain)
            assert code == 451, text
        signed_in.mail(sender["address"])
        assert signed_in.rcpt(rcpt["address"])[0] == 451
        client.close(signed_in)
        with pytest.raises(smtplib.SMTPAuthenticationError) as e:
            server.submission(sender)
        assert e.value.smtp_code == 454, e.value
        with pytest.raises(imaplib.IMAP4.error) as e:
            server.imap(sender)
        assert "UNAVAILABLE" in str(e.value)
    finally:
        server.slapd("start")
    server.wait_up()
    mid, mail = everyday(server, sender, rcpt)
    assert server.submit(sender, sender["address"], [rcpt["address"]], mail)[0] == 250


def test_milter_away(server):
    """Without its policy nothing passes: a temporary error, then it works again."""
    server.wait_up()
    sender, rcpt = server.user("staff", agency="SKHCN"), server.user("staff", agency="STC")
    pid = server.one("congvu-milter-filter")
    mid, mail = everyday(server, sender, rcpt)
    os.kill(pid, signal.SIGKILL)
    code, text = server.submit(sender, sender["address"], [rcpt["address"]], mail)
    assert code in (250, 451), text
    end = time.monotonic() + 15
    while code != 250 and time.monotonic() < end:
        code, text = server.submit(sender, sender["address"], [rcpt["address"]], mail)
        time.sleep(0.2)
    assert code == 250, text
    assert server.fetch(rcpt, mid) is not None
