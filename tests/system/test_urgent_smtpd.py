"""Urgent documents (P32) in smtpd by itself, among fakes: what hangs, what cannot be found out now, and what is no document."""

import email
import email.policy
import socket
import time

import pytest
from smtpd_fakes import Ledger, Smarthost, wait_for
from test_smtpd import AN, BINH, VANTHU, Site

URGENT = [("h", b"X-Congvu-Verdict\0accept; official=yes; urgency=khan; signature=good\0"), ("c", b"")]
ACTIVE_MAX = 500  # messages relay has under way


def text(sender, n=1):
    return "From: <%s>\r\nMessage-ID: <m%s@tinhmau.example>\r\nSubject: x\r\n\r\ntext" % (sender, n)


@pytest.fixture
def site(tmp_path):
    s = Site(tmp_path, urgent_unread_s=2, urgent_receipt="false")
    s.milter.on["E"] = URGENT
    s.relays = Ledger(s.smtpd.run / "ledger.relay.sock")
    yield s
    s.stop()
    s.relays.stop()


@pytest.mark.parametrize("urgent", [False, True], ids=["other", "urgent"])
def test_a_server_that_hangs_holds_no_other_mail(tmp_path, urgent):
    """More mail than relay has under way at a time, urgent too, for a server that takes connections and says nothing: mail to others goes on."""
    hangs, up = socket.create_server(("127.0.0.1", 0), backlog=1000), Smarthost()
    routes = ["slow.example=smtp:127.0.0.1:%d" % hangs.getsockname()[1], "up.example=smtp:127.0.0.1:%d" % up.sock.getsockname()[1]]
    site = Site(tmp_path, relay_routes=routes, relay_tls="none", urgent_receipt="false", urgent_per_hour=0)
    try:
        if urgent:
            site.milter.on["E"] = URGENT
        client = site.submission()
        for n in range(ACTIVE_MAX + 20):
            assert client.mail(AN, ["x%d@slow.example" % n], text(AN, n))[-1].startswith("250")
        time.sleep(2)
        assert client.mail(AN, ["y@up.example"], text(AN, "y"))[-1].startswith("250")
        wait_for(lambda: up.mails, 20)
        assert up.mails[0][2] == ["y@up.example"]
        assert site.lmtp.mails == []  # and nobody was told that anything failed
    finally:
        site.stop()
        up.stop()
        hangs.close()


def test_who_is_unread_is_told_once(site):
    """Of one recipient it cannot be found out now: the others are not asked about, recorded or alerted again each minute; the notice has them in the end."""
    out = [True]
    asked = []

    def rcpt(address, ident):
        if "XCVSEEN" not in [x for x in site.lmtp.lines if x.startswith("MAIL")][-1]:
            return "250 2.1.5 Ok"
        asked.append(address)
        return "550 5.0.0 unread" if address == BINH else "451 4.3.0 cannot be found out now" if out else "250 2.0.0 read"
    site.lmtp.tells_seen, site.lmtp.rcpt_answer = True, rcpt
    said = site.submission().mail(AN, [BINH, VANTHU, AN], text(AN))[-1]
    assert said.startswith("250 2.0.0 Delivered as")
    wait_for(lambda: len(asked) == 3)
    wait_for(lambda: site.relays.alerts)
    # the queue has it from its disk what is known
    time.sleep(1)
    site.smtpd.kill("smtpd-queue")
    site.smtpd.start("smtpd-queue")
    out.clear()
    wait_for(lambda: len(asked) >= 5, 90)
    notice = wait_for(lambda: [m for m in site.lmtp.mails if m[1].startswith("MAIL FROM:<>") and b"P32" in m[3]])[0]
    assert sorted(asked[:3]) == sorted([AN, BINH, VANTHU]) and sorted(asked[3:]) == sorted([AN, VANTHU]), asked
    assert site.relays.alerts == [["P32", said.split()[-1], AN, "127.0.0.1", BINH]], site.relays.alerts
    ends = sorted((r[0], r[1]) for o in site.relays.outcomes for r in o["rcpts"])
    assert ends == sorted([(BINH, "unread"), (AN, "read"), (VANTHU, "read"), (AN, "delivered")]), ends
    body = email.message_from_bytes(notice[3], policy=email.policy.default).get_content()
    assert notice[2] == AN and body.count(BINH) == 1 and AN not in body and VANTHU not in body, body


def test_the_copy_in_sent_is_no_document(site):
    """A mailbox's copy of its own urgent document that waits in the queue is neither urgent nor watched: nobody is to read it."""
    room = []
    site.lmtp.tells_seen = True
    site.lmtp.data_answer = lambda a, i: "250 2.0.0 Ok" if a != VANTHU or room else "452 4.2.2 full"
    assert site.submission().mail(VANTHU, [BINH], text(VANTHU))[-1].startswith("250 2.0.0 Delivered as")
    room.append(True)
    wait_for(lambda: site.lmtp.copies, 30)
    asks = lambda: [site.lmtp.lines[i + 1] for i, x in enumerate(site.lmtp.lines) if "XCVSEEN" in x]
    wait_for(asks)
    time.sleep(4)
    assert asks() == ["RCPT TO:<%s>" % BINH], site.lmtp.lines
    ends = sorted((r[0], r[1]) for o in site.relays.outcomes for r in o["rcpts"])
    assert ends == sorted([(BINH, "read"), (VANTHU, "filed")]), ends


def test_what_is_not_taken_does_not_count(tmp_path):
    """What the store refuses and the sender sends again counts once for urgent_per_hour, when it is taken; and then it does."""
    site = Site(tmp_path, urgent_receipt="false", urgent_per_hour=2)
    try:
        site.milter.on["E"] = URGENT
        client = site.submission()
        site.lmtp.data_answer = lambda address, ident: "550 5.2.1 closed"
        for n in range(5):
            assert client.mail(AN, [BINH], text(AN, n))[-1].startswith("550 5.2.1 "), n
        site.lmtp.data_answer = lambda address, ident: "250 2.0.0 Ok"
        said = [client.mail(AN, [BINH], text(AN, n))[-1] for n in range(3)]
        assert all(x.startswith("250 2.0.0 ") for x in said), said
        assert ["urgent_per_hour" in x for x in said] == [False, False, True], said
    finally:
        site.stop()
