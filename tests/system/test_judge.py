"""Submitted mail that a milter cannot judge yet (451 4.7.5): taken, kept, and judged anew until there is a verdict. smtpd between fakes."""

import signal

import pytest
from smtpd_fakes import Smarthost, wait_for
from test_smtpd import AN, BINH, MAIL, Site, listing

NOT_YET = ("y", b"451 4.7.5 P06: revocation unknown [0123]\0")
OUT = "dan@hopthu.example"


@pytest.fixture
def host():
    h = Smarthost()
    yield h
    h.stop()


@pytest.fixture
def site(tmp_path, host):
    s = Site(tmp_path, smarthost="inet:127.0.0.1:%d" % host.sock.getsockname()[1])
    yield s
    s.stop()


def answers(site, *list_of):
    """What the milter says at the end of each message; the last one for ever."""
    rest = list(list_of)
    site.milter.on["E"] = lambda data: rest.pop(0) if len(rest) > 1 else rest[0]


def test_taken_and_judged_later(site, host):
    answers(site, [("h", b"X-First\0seen\0"), NOT_YET], [NOT_YET], [("h", b"X-Verdict\0good\0"), ("c", b"")])
    said = site.submission().mail(AN, [BINH, OUT], MAIL)[-1]
    assert said.startswith("250 2.0.0 Da nhan, gui di khi kiem tra duoc chu ky so / Taken, goes out when its signature"), said
    qid = said.split()[-1]
    assert not site.lmtp.mails and not host.mails
    assert [(e["from"], e["attempts"]) for e in listing(site)] == [(AN, 0)]
    o = site.ledger.outcomes[0]
    assert (o["qid"], o["code"], o["login"]) == (qid, 250, AN)
    assert [(r[0], r[1], r[2]) for r in o["rcpts"]] == [(a, "held", "4.7.5 P06: revocation unknown [0123]") for a in (BINH, OUT)]
    wait_for(lambda: site.lmtp.mails and host.mails, 30)
    wait_for(lambda: not listing(site))
    (_, mail, address, data), = site.lmtp.mails
    assert (mail.split()[1], address) == ("FROM:<%s>" % AN, BINH)
    # as it came, with the trace of when it came and what the last judgement added
    assert data.count(b"Received:") == 1 and b"id " + qid.encode() in data and b"X-First" not in data
    assert data.endswith(("From: <%s>\r\nSubject: x\r\nX-Verdict: good\r\n\r\ntext\r\n" % AN).encode()), data
    assert host.mails[0][2] == [OUT] and host.mails[0][3] == data
    assert site.milter.commands().count("E") == 3
    # the milter is told who submitted it, and from where
    assert site.milter.macros["M"]["{auth_authen}"] == AN and site.milter.macros["M"]["i"] != qid
    assert site.milter.macros["C"]["{daemon_name}"] == "submission"
    assert [c for c in site.milter.seen if c[0] == "C"][-1][1].endswith(b"127.0.0.1\0")
    o = site.ledger.outcomes[-1]
    assert (o["qid"], o["code"], o["login"]) == (site.milter.macros["M"]["i"], 250, AN)
    assert [(r[0], r[1]) for r in o["rcpts"]] == [(BINH, "delivered"), (OUT, "queued")]


def test_refused_later_is_told_by_mail(site):
    answers(site, [NOT_YET], [("y", "550 5.7.1 P05: Chứng thư đã bị thu hồi. / Certificate revoked. [77]\0".encode())])
    assert site.submission().mail(AN, [BINH], MAIL)[-1].startswith("250 2.0.0 Da nhan")
    (_, mail, address, data), = wait_for(lambda: site.lmtp.mails, 20)
    assert mail.startswith("MAIL FROM:<>") and address == AN
    assert b"Action: failed" in data and b"P05" in data and BINH.encode() in data
    wait_for(lambda: not listing(site))


@pytest.mark.parametrize("reply", [b"451 4.7.1 T02: try later\0", b"452 4.7.5 x\0"])
def test_what_waits_and_what_does_not(site, reply):
    """Trouble of the milter's own is told to the client, as before; only "not yet" is waited for, whatever the code of the reply."""
    answers(site, [("y", reply)], [("c", b"")])
    said = site.submission().mail(AN, [BINH], MAIL)[-1]
    assert said.startswith("451 4.7.1" if b"4.7.1" in reply else "250 2.0.0 Da nhan")


def test_mx_port_says_so(site):
    """Mail servers try again by themselves."""
    answers(site, [NOT_YET])
    assert site.mx().mail(OUT, [AN], MAIL)[-1].startswith("451 4.7.5 P06")
    assert not listing(site)


def test_a_foreign_from_is_refused_at_once(site):
    answers(site, [NOT_YET])
    assert site.submission().mail(AN, [BINH], "From: <%s>\r\n\r\nx" % BINH)[-1].startswith("550 5.7.1 P28")
    assert site.submission().mail(AN, [BINH], "Subject: x\r\n\r\nx")[-1].startswith("554 5.6.0")
    assert not listing(site)


def test_nobody_else_says_who_submitted_it(site):
    for s in (site.mx(), site.submission()):
        assert "XCV" not in s.cmd("EHLO x.example")
        for p in ("XCVID=%032x" % 1, "XCVLOGIN=" + AN.encode().hex(), "XCVADDR=" + b"192.0.2.1".hex()):
            assert s.cmd("MAIL FROM:<%s> %s" % (AN, p)).startswith("555 5.5.4"), p


def test_lost_answer_does_not_double(site, host):
    """The session is killed when everybody has the message and relay does not know; then when nobody has it."""
    answers(site, [NOT_YET], [("c", b"")])
    kills = []

    def kill_once():
        if not kills:
            kills.append(1)
            site.smtpd.kill("smtpd-session", signal.SIGKILL)
            site.smtpd.start("smtpd-session")
    site.lmtp.before_final = kill_once
    assert site.submission().mail(AN, [BINH, OUT], MAIL)[-1].startswith("250 2.0.0 Da nhan")
    wait_for(lambda: kills and host.mails and not listing(site), 40)
    # the store got it twice with one id, and knows; the outside once
    assert len({m[0] for m in site.lmtp.mails}) == 1 and {m[2] for m in site.lmtp.mails} == {BINH}
    assert len(host.mails) == 1


def test_a_recipient_that_is_gone_meanwhile(site):
    """One is refused, the other gets it, once; the sender is told of the first."""
    answers(site, [NOT_YET], [("c", b"")])
    assert site.submission().mail(AN, [BINH, AN], MAIL)[-1].startswith("250 2.0.0 Da nhan")
    del site.lookup.people[BINH]
    wait_for(lambda: len(site.lmtp.mails) == 2 and not listing(site), 30)
    by = {m[1].split()[1]: m for m in site.lmtp.mails}
    assert by["FROM:<%s>" % AN][2] == AN
    assert BINH.encode() in by["FROM:<>"][3] and b"5.1.1" in by["FROM:<>"][3]
