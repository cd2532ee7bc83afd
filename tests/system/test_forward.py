"""Forwards, automatic replies and groups: the real session, queue and relay; lookup, LMTP, ledger and the way outside are fakes."""

import base64
import re
import signal
import time
from email import message_from_bytes, policy

import pytest
from smtpd_fakes import Smarthost, wait_for
from test_smtpd import AN, BINH, MAIL, VANTHU, Site, listing

OUT = "an@ngoai.example"
TO_AN = "From: <dan@hopthu.example>\r\nTo: <%s>\r\nSubject: =?utf-8?Q?L=E1=BB=8Bch?=\r\nMessage-ID: <1@hopthu.example>\r\n\r\nx" % AN


@pytest.fixture
def out(tmp_path):
    host = Smarthost()
    site = Site(tmp_path, smarthost="inet:127.0.0.1:%d" % host.sock.getsockname()[1])
    yield site, host
    site.stop()
    host.stop()


def marks(data):
    return re.findall(rb"(?m)^X-Congvu-Forward: ([0-9a-f]{40})\r$", data)


def test_forward_inside_and_outside(out):
    site, host = out
    site.lookup.forwards[AN] = ([(OUT, AN, True), (BINH, AN, False)], True)
    official = MAIL.encode() + b"\r\n" + b"x" * 70 + b"\r\n..dot\r\n  \r\n"
    answers = site.mx().mail("d@hopthu.example", [AN], official + b".\r\n")
    assert answers[-1].startswith("250"), answers
    wait_for(lambda: host.mails)
    assert sorted(m[2] for m in site.lmtp.mails) == [AN, BINH]
    (tls, mail, rcpts, data), = host.mails
    assert rcpts == [OUT] and "<d@hopthu.example>" in mail
    # the bytes of the mail, signature included, are the same for all; what we say stands before them
    sent = official.replace(b"\r\n..dot", b"\r\n.dot")
    assert data.replace(b"\r\n..", b"\r\n.").endswith(sent) and all(m[3].endswith(sent) for m in site.lmtp.mails)
    assert len(marks(data)) == 1 and AN.encode() not in data[:data.index(b"From:")]
    assert re.search("event=forwarded_outside qid=[0-9a-f]+ by=%s to=%s" % (re.escape(AN), re.escape(OUT)), site.smtpd.log())
    assert site.ledger.outcomes[-1]["rcpts"] == [(AN, "delivered", "2.0.0 Ok"), (OUT, "queued", "forwarded by " + AN),
                                                 (BINH, "delivered", "forwarded by %s: 2.0.0 Ok" % AN)]
    # the mark is another one in each mail: who has names cannot find out by trying whose it is
    site.mx().mail("d@hopthu.example", [AN], MAIL)
    wait_for(lambda: len(host.mails) == 2)
    assert marks(host.mails[1][3])[0][:16] != marks(data)[0][:16] and marks(host.mails[1][3])[0][16:] != marks(data)[0][16:]
    # it comes back: once more into the mailbox, and no further
    host.mails.clear()
    site.lmtp.mails.clear()
    assert site.mx().mail("d@hopthu.example", [AN], data.replace(b"\r\n..", b"\r\n.").replace(b"\r\n.", b"\r\n..") + b".\r\n")[-1].startswith("250")
    assert [m[2] for m in site.lmtp.mails] == [AN]
    time.sleep(0.5)
    assert host.mails == [] and "forward_loop" in site.smtpd.log()


def test_more_forwards_than_fit_a_record(out):
    """1,500 recipients behind 8 named ones: each gets it once, and the ledger hears of all, in records of at most 1,000. What would not fit an
    envelope is not expanded: the mail stays where it was sent to."""
    site, host = out
    long = "n%04d@" + "x" * 20 + ".example"
    named = ["p%d@tinhmau.example" % i for i in range(8)]
    for i, a in enumerate(named):
        site.lookup.people = dict(site.lookup.people, **{a: "x"})
        site.lookup.forwards[a] = ([(long % (200 * i + k), a, True) for k in range(188)], True)
    answers = site.mx().mail("d@hopthu.example", named, MAIL)
    assert answers[-1].startswith("250"), answers
    to = [r for m in wait_for(lambda: sum(len(m[2]) for m in host.mails) >= 1504 and host.mails, 30) for r in m[2]]
    assert len(to) == len(set(to)) == 1504
    qid = site.ledger.outcomes[-1]["qid"]
    parts = [o for o in site.ledger.outcomes if o["qid"] == qid]
    told = [r[0] for o in parts for r in o["rcpts"]]
    assert len(told) == len(set(told)) == 1512 and all(len(o["rcpts"]) <= 1000 and o["code"] == 250 for o in parts) and len(parts) >= 2
    assert "outcome_not_recorded" not in site.smtpd.log()
    # longer addresses: over the octets of an envelope
    host.mails.clear()
    site.lmtp.mails.clear()
    long = "n" * 60 + "%04d@" + ".".join(["y" * 60] * 3) + ".example"
    for i, a in enumerate(named):
        site.lookup.forwards[a] = ([(long % (200 * i + k), a, True) for k in range(188)], True)
    answers = site.mx().mail("d@hopthu.example", named, MAIL)
    assert answers[-1].startswith("250"), answers
    assert sorted(m[2] for m in site.lmtp.mails) == sorted(named)
    time.sleep(0.5)
    assert host.mails == [] and "forward_left_out" in site.smtpd.log()


def test_forward_without_a_copy(out):
    site, host = out
    site.lookup.forwards[AN] = ([(OUT, AN, True)], False)
    site.lmtp.rcpt_answer = lambda address, i: "452 4.2.2 full" if address == AN else "250 ok"  # it needs no room there
    assert site.mx().mail("d@hopthu.example", [AN], MAIL)[-1].startswith("250 2.0.0 Queued")
    wait_for(lambda: host.mails)
    assert site.lmtp.mails == [] and [r[:2] for r in site.ledger.outcomes[-1]["rcpts"]] == [(AN, "forwarded"), (OUT, "queued")]
    wait_for(lambda: listing(site) == [])
    # with others beside: who is named and forwarded to gets one
    site.lookup.forwards[AN] = ([(BINH, AN, False)], False)
    site.lmtp.rcpt_answer = lambda address, i: "250 ok"
    assert site.mx().mail("d@hopthu.example", [AN, BINH, VANTHU], MAIL)[-1].startswith("250")
    assert sorted(m[2] for m in site.lmtp.mails) == [BINH, VANTHU]
    # came back: kept, since nobody else would have it
    mark = marks(host.mails[0][3])[0].decode()
    site.lookup.forwards[AN] = ([(OUT, AN, True)], False)
    site.lmtp.mails.clear()
    assert site.mx().mail("d@hopthu.example", [AN], "X-Congvu-Forward: %s\r\n%s" % (mark, MAIL))[-1].startswith("250")
    assert [m[2] for m in site.lmtp.mails] == [AN]


def test_forward_that_fails(out):
    """With a copy kept the sender hears nothing of it; without one, as of any mail."""
    site, host = out
    site.lookup.forwards[AN] = ([("bad@ngoai.example", AN, True)], True)
    site.lookup.forwards[BINH] = ([("bad2@ngoai.example", BINH, True)], False)
    assert site.mx().mail(VANTHU, [AN], MAIL)[-1].startswith("250")
    wait_for(lambda: listing(site) == [])
    assert [m[2] for m in site.lmtp.mails] == [AN]
    assert site.mx().mail(VANTHU, [BINH], MAIL)[-1].startswith("250")
    wait_for(lambda: len(site.lmtp.mails) == 2)
    assert site.lmtp.mails[1][2] == VANTHU and b"bad2@ngoai.example" in site.lmtp.mails[1][3]


def test_no_way_outside_keeps_the_mail(tmp_path):
    site = Site(tmp_path)
    try:
        site.lookup.forwards[AN] = ([(OUT, AN, True)], False)
        answers = site.mx().mail("d@hopthu.example", [AN], MAIL)
        assert answers[-1].startswith("250"), answers
        wait_for(lambda: site.lmtp.mails or listing(site))
    finally:
        site.stop()


def test_closed_group(out):
    site, _ = out
    site.lookup.closed.add(BINH)
    s = site.mx()
    s.cmd("MAIL FROM:<d@hopthu.example>")
    assert s.cmd("RCPT TO:<%s>" % BINH).startswith("550 5.7.1 <%s>: Ban khong duoc gui toi nhom nay" % BINH)
    assert s.cmd("RCPT TO:<%s>" % AN).startswith("250")


# ---- automatic replies ----

TEXT = "Tôi đi công tác đến 30/11.\nXin liên hệ văn thư."


def test_auto_reply(out):
    site, host = out
    site.lookup.replies[AN] = (TEXT, 7, "")
    assert site.mx().mail("dan@hopthu.example", [AN], TO_AN)[-1].startswith("250")
    wait_for(lambda: host.mails)
    (_, mail, rcpts, data), = host.mails
    assert mail.startswith("MAIL FROM:<>") and rcpts == ["dan@hopthu.example"]
    m = message_from_bytes(data, policy=policy.default)
    assert m["From"] == "Nguyễn Văn An <%s>" % AN and m["To"] == "dan@hopthu.example" and m["Subject"] == "Auto: Lịch"
    assert m["Auto-Submitted"] == "auto-replied" and m["In-Reply-To"] == m["References"] == "<1@hopthu.example>"
    assert m.get_content().replace("\r\n", "\n").strip() == TEXT and m.get_content_charset() == "utf-8"
    assert base64.b64encode(TEXT.encode()[:30]) in data  # pure ASCII on the wire
    # once in so many days, whoever asks; the queue remembers it when it is killed
    for _ in range(2):
        assert site.mx().mail("DAN@hopthu.example", [AN], TO_AN)[-1].startswith("250")
        site.smtpd.kill("smtpd-queue", signal.SIGKILL)
        site.smtpd.start("smtpd-queue")
    assert site.mx().mail("other@hopthu.example", [AN], TO_AN)[-1].startswith("250")
    wait_for(lambda: len(host.mails) >= 2)
    time.sleep(1.2)
    assert [x[2] for x in host.mails] == [["dan@hopthu.example"], ["other@hopthu.example"]]
    assert len(site.lmtp.mails) == 4
    assert site.smtpd.log("smtpd-queue").count("event=auto_reply") == 2


def test_auto_replies_are_bounded(out):
    """Senders can be invented: nobody's mailbox becomes a mirror for a flood, nor uses up what the queue remembers for all."""
    site, host = out
    site.lookup.replies[AN] = (TEXT, 7, "")
    s = site.mx()
    for i in range(103):
        assert s.mail("dan%d@hopthu.example" % i, [AN], TO_AN)[-1].startswith("250")
    # an hour may end in between
    assert site.smtpd.log("smtpd-queue").count("event=auto_reply") == 100 or time.time() % 3600 < 60
    assert "auto_reply_lost" in site.smtpd.log() or time.time() % 3600 < 60
    site.lookup.replies[BINH] = (TEXT, 7, "")
    assert s.mail("dan@hopthu.example", [BINH], TO_AN.replace(AN, BINH))[-1].startswith("250")
    wait_for(lambda: site.smtpd.log("smtpd-queue").count("event=auto_reply") >= 101)


def test_no_auto_reply(out):
    """The unit test has all the cases: here that they are asked on the way."""
    site, host = out
    site.lookup.replies[AN] = (TEXT, 7, "Vắng mặt")
    s = site.mx()
    assert s.mail("", [AN], TO_AN)[-1].startswith("250")
    assert s.mail("owner-l@hopthu.example", [AN], TO_AN)[-1].startswith("250")
    assert s.mail("a@hopthu.example", [AN], "List-Id: <l>\r\n" + TO_AN)[-1].startswith("250")
    assert s.mail("b@hopthu.example", [AN], MAIL)[-1].startswith("250")  # Bcc
    site.milter.on["E"] = [("q", b"held\0"), ("c", b"")]
    assert s.mail("c@hopthu.example", [AN], TO_AN)[-1].startswith("250 2.0.0 Held")
    site.milter.on["E"] = [("r", b"")]
    assert s.mail("d@hopthu.example", [AN], TO_AN)[-1].startswith("550")
    site.milter.on = {}
    site.lmtp.data_answer = lambda address, i: "550 5.2.0 no"
    assert s.mail("e@hopthu.example", [AN], TO_AN)[-1].startswith("550")
    site.lmtp.data_answer = lambda address, i: "250 ok"
    time.sleep(0.7)
    assert host.mails == []
    assert s.mail("f@hopthu.example", [AN], TO_AN)[-1].startswith("250")
    wait_for(lambda: host.mails)
    assert message_from_bytes(host.mails[0][3], policy=policy.default)["Subject"] == "Vắng mặt"


def test_auto_reply_and_kill(out):
    """The queue is away: the mail goes on without a reply; killed between the two, the reply is not doubled."""
    site, host = out
    site.lookup.replies[AN] = (TEXT, 1, "")
    s = site.mx()
    s.cmd("MAIL FROM:<dan@hopthu.example>")
    s.cmd("RCPT TO:<%s>" % AN)
    s.cmd("DATA")
    site.smtpd.kill("smtpd-queue", signal.SIGKILL)
    assert s.cmd(TO_AN + "\r\n.\r\n").startswith("250 2.0.0 Delivered")
    assert "auto_reply_lost" in site.smtpd.log()
    site.smtpd.start("smtpd-queue")
    for _ in range(5):
        wait_for(lambda: site.mx().mail("dan@hopthu.example", [AN], TO_AN)[-1].startswith("250"))
        site.smtpd.kill("smtpd-session", signal.SIGKILL)
        site.smtpd.start("smtpd-session")
    wait_for(lambda: host.mails)
    time.sleep(1)
    assert len(host.mails) == 1
