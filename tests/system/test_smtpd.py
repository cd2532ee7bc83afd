"""smtpd by itself: the real session, queue and relay between a fake lookup, ledger, LMTP server and milter."""

import email
import email.policy
import os
import re
import signal
import struct
import subprocess
import threading
import time

import pytest
from conftest import BUILD
from smtpd_fakes import Ledger, Lmtp, Lookup, Milter, Reader, Smarthost, Smtp, Smtpd, put, read_frame, wait_for, write_frame

AN, BINH, VANTHU = "an@tinhmau.example", "binh@tinhmau.example", "vanthu.sonoivu@tinhmau.example"
BODY = b"y" * 60000 + b"\r\n" + b"z" * 10000 + b"\r\n"
MAIL = "From: <%s>\r\nSubject: x\r\n\r\ntext" % AN


class Site:
    def __init__(self, folder, **options):
        self.smtpd = Smtpd(folder, BUILD, **options)
        run = self.smtpd.run
        self.lookup = Lookup(run / "lookup.smtpd.sock", {AN: "mật khẩu An", BINH: "b"}, {VANTHU: AN})
        self.ledger = Ledger(run / "ledger.smtpd.sock")
        self.lmtp = Lmtp(run / "lmtp.sock")
        self.milter = Milter(run / "milter.sock")
        self.smtpd.start()
        self.open = []

    def mx(self, ehlo=True):
        s = Smtp(self.smtpd.port("mx"))
        self.open.append(s)
        if ehlo:
            s.cmd("EHLO mx.hopthu.example")
        return s

    def submission(self, user=AN, password="mật khẩu An"):
        s = Smtp(self.smtpd.port("submissions"), tls=True)
        self.open.append(s)
        assert s.login(user, password).startswith("235")
        return s

    def stop(self):
        for s in self.open:
            s.close()
        self.smtpd.stop()
        for f in (self.lookup, self.ledger, self.lmtp, self.milter):
            f.stop()


@pytest.fixture
def site(tmp_path):
    s = Site(tmp_path)
    yield s
    s.stop()


def test_mx_delivers(site):
    s = site.mx()
    body = "From: dan@hopthu.example\r\nX-Long:  two  spaces\r\n\tfolded\r\nSubject: =?utf-8?B?eA==?=\r\n\r\n..dot\r\nline\r\n"
    answers = s.mail("dan@hopthu.example", [AN, BINH], body[:-2])
    assert [a[:9] for a in answers[:3]] == ["250 2.1.0", "250 2.1.5", "250 2.1.5"]
    assert answers[4].startswith("250 2.0.0 Delivered as ")
    qid = answers[4].split()[-1]
    assert len(site.lmtp.mails) == 2
    ident, mail, address, data = site.lmtp.mails[0]
    assert re.fullmatch("[0-9a-f]{32}", ident) and ident.startswith(qid)
    assert mail.startswith("MAIL FROM:<dan@hopthu.example> SIZE=%d" % len(data))
    trace, own = data[:data.index(b"From: dan")], data[data.index(b"From: dan"):]
    # the client's bytes, with the dots of transparency removed, and nothing else
    assert own == body.replace("\r\n..dot", "\r\n.dot").encode()
    assert re.fullmatch(rb"Received: from mx.hopthu.example \(\[127.0.0.1\]\)\r\n\tby localhost with ESMTP\r\n\tid "
                        + qid.encode() + rb"; [^\r\n]+ [+-]\d{4}\r\n", trace)
    o = site.ledger.outcomes[0]
    assert (o["qid"], o["code"], o["enhanced"], o["from"], o["login"]) == (qid, 250, "2.0.0", "dan@hopthu.example", "")
    assert [(r[0], r[1]) for r in o["rcpts"]] == [(AN, "delivered"), (BINH, "delivered")]


def test_submission_identity(site):
    s = site.submission()
    assert s.cmd("MAIL FROM:<%s>" % BINH).startswith("550 5.7.1 P28: Khong co quyen gui thay dia chi nay. / No right")
    # a functional mailbox held, From and MAIL FROM
    answers = s.mail(VANTHU, [BINH], "From: <%s>\r\n\r\nx" % VANTHU)
    assert answers[-1].startswith("250"), answers
    # somebody else's From behind one's own MAIL FROM
    answers = s.mail(AN, [BINH], "From: <%s>\r\n\r\nx" % BINH)
    assert answers[-1].startswith("550 5.7.1 P28"), answers
    assert answers[-1].endswith("From <%s> [ticket %s]" % (BINH, site.ledger.outcomes[-1]["qid"])), answers
    answers = s.mail(AN, [BINH], "From: <%s>\r\nFrom: <%s>\r\n\r\nx" % (AN, BINH))
    assert answers[-1].startswith("550 5.7.1 P28"), answers
    answers = s.mail(AN, [BINH], "Subject: no From\r\n\r\nx")
    assert answers[-1].startswith("554 5.6.0"), answers
    assert len(site.lmtp.mails) == 1
    assert s.cmd("RCPT TO:<x@hopthu.example>").startswith("503")
    s.cmd("MAIL FROM:<%s>" % AN)
    assert s.cmd("RCPT TO:<x@hopthu.example>").startswith("550 5.7.1")
    assert b"ESMTPSA (TLSv1.3)" in site.lmtp.mails[0][3]
    assert site.lmtp.mails[0][3].count(AN.encode()) == 1 and ("\r\nSender: %s\r\n" % AN).encode() in site.lmtp.mails[0][3]  # for whom: RFC 5322 3.6.2; the trace has it not
    assert site.ledger.outcomes[0]["login"] == AN


def test_refused_sender_is_recorded(site):
    """P28 at MAIL: no message, but a record, whose ticket the answer names; not more than a bounded number of them, and none is lost from the count."""
    s = site.submission()
    said = s.cmd("MAIL FROM:<%s>" % BINH)
    ticket = re.fullmatch(r"550 5\.7\.1 P28: .*<%s> \[ticket ([0-9a-f]{16})\]" % re.escape(BINH), said)
    assert ticket, said
    o = site.ledger.outcomes[0]  # before it was answered
    assert (o["qid"], o["code"], o["enhanced"], o["from"], o["login"], o["rcpts"]) == (ticket[1], 550, "5.7.1", BINH, AN, [])
    assert "event=sender_refused" in site.smtpd.log() and "qid=" + ticket[1] in site.smtpd.log()
    said = [s.cmd("MAIL FROM:<%s>" % BINH) for _ in range(40)]
    assert all(x.startswith("550 5.7.1 P28") for x in said)
    # a ticket where there is a record, and another one each time
    named = [m[1] for m in (re.search(r"\[ticket ([0-9a-f]{16})\]", x) for x in said) if m]
    assert [o["qid"] for o in site.ledger.outcomes] == [ticket[1], *named] and len(set(named)) == 19
    assert site.smtpd.log().count("event=sender_refused") == 41
    # the transaction is over, the session is not
    assert s.cmd("MAIL FROM:<%s>" % AN).startswith("250") and s.cmd("RSET").startswith("250")


def test_a_refusal_that_cannot_be_recorded_has_no_ticket(site):
    s = site.submission()
    site.ledger.stop()
    start = time.monotonic()
    said = s.cmd("MAIL FROM:<%s>" % BINH)
    assert said.startswith("550 5.7.1 P28") and "ticket" not in said and time.monotonic() - start < 4, said
    assert "event=refusal_not_recorded" in site.smtpd.log()
    # who goes away meanwhile takes nothing with him
    t = site.submission()
    t.send("MAIL FROM:<%s>" % BINH)
    t.close()
    assert s.cmd("NOOP").startswith("250")


def test_auth(site):
    s = Smtp(site.smtpd.port("submission"))
    site.open.append(s)
    assert "AUTH" not in s.cmd("EHLO x")
    assert s.cmd("AUTH PLAIN AHgAeA==").startswith("530")
    assert s.cmd("MAIL FROM:<%s>" % AN).startswith("530")
    s.cmd("STARTTLS")
    s.starttls()
    assert s.cmd("MAIL FROM:<%s>" % AN).startswith("503")
    ehlo = s.cmd("EHLO x")
    assert "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN" in ehlo and "STARTTLS" not in ehlo
    assert s.cmd("MAIL FROM:<%s>" % AN).startswith("530 5.7.0 Auth")
    assert s.cmd("AUTH NTLM").startswith("504")
    assert s.cmd("AUTH PLAIN !!!").startswith("501")
    assert s.cmd("AUTH LOGIN") == "334 VXNlcm5hbWU6"
    assert s.cmd("*").startswith("501")
    start = time.monotonic()
    assert s.cmd("AUTH PLAIN AHgAeA==").startswith("535 5.7.8")
    assert time.monotonic() - start > 0.8
    site.lookup.down = True
    assert s.cmd("AUTH PLAIN AHgAeA==").startswith("454 4.7.0")
    site.lookup.down = False
    import base64
    assert s.cmd("AUTH LOGIN") == "334 VXNlcm5hbWU6"
    assert s.cmd(base64.b64encode(AN.encode()).decode()) == "334 UGFzc3dvcmQ6"
    assert s.cmd(base64.b64encode("mật khẩu An".encode()).decode()).startswith("235 2.7.0")
    assert s.cmd("AUTH PLAIN").startswith("503")
    assert "mật khẩu" not in site.smtpd.log() and "bcOd" not in site.smtpd.log()


def test_directory_down_is_temporary(site):
    s = site.mx()
    s.cmd("MAIL FROM:<dan@hopthu.example>")
    site.lookup.down = True
    assert s.cmd("RCPT TO:<%s>" % AN).startswith("451 4.4.3")
    site.lookup.down = False
    assert s.cmd("RCPT TO:<nobody@tinhmau.example>").startswith("550 5.1.1")
    assert s.cmd("RCPT TO:<other@elsewhere.example>").startswith("550 5.7.1")
    assert s.cmd("DATA").startswith("554")
    assert s.cmd("RCPT TO:<%s>" % AN).startswith("250")


REFUSED = {
    "bare LF": b"a\nb\r\n", "bare CR": b"a\rb\r\n", "NUL": b"a\0b\r\n", "LF.LF": b"\n.\n", "CRLF.LF": b"a\r\n.\n\r\n",
    "CRLF.CR": b"a\r\n.\rx\r\n", "CR.CR": b"\r.\r\r\n", "long field": b"X: " + b"y" * 60001 + b"\r\n",
    "long line": b"x" * 65537 + b"\r\n", "no field": b"no colon\r\n\r\nx\r\n", "many fields": b"X: y\r\n" * 5001,
    "long header": (b"X: " + b"y" * 50000 + b"\r\n") * 11}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_content(site, what):
    """What is refused is read to its end: a command hidden in it is never executed."""
    s = site.mx()
    header = what.endswith(("field", "fields", "header"))
    got = s.mail("dan@hopthu.example", [AN], b"Subject: x\r\n\r\n" * (not header) + REFUSED[what] + b"MAIL FROM:<evil@hopthu.example>\r\n.\r\n")[-1]
    assert got.startswith("554 5.6.0"), got
    assert s.cmd("NOOP").startswith("250")
    assert s.cmd("RCPT TO:<%s>" % AN).startswith("503")
    assert site.lmtp.mails == []


def test_bare_lf_in_a_command_ends_the_session(site):
    s = site.mx()
    assert s.cmd("NOOP\n").startswith("500")
    assert s.answer() == "<end>"


def test_starttls_injection(site):
    s = site.mx()
    s.send("STARTTLS\r\nMAIL FROM:<evil@hopthu.example>\r\n")
    assert s.answer().startswith("220")
    s.starttls()
    assert s.cmd("EHLO x").startswith("250")
    assert s.cmd("RCPT TO:<%s>" % AN).startswith("503")


def test_half_closed_client_gets_its_answers(site):
    s = site.mx()
    s.send("MAIL FROM:<dan@hopthu.example>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n" % AN)
    s.sock.shutdown(1)
    got = [s.answer()[:3] for _ in range(5)]
    assert got == ["250", "250", "354", "250", "221"]
    assert s.answer() == "<end>"
    assert len(site.lmtp.mails) == 1


def test_size(site):
    s = site.mx()
    assert "SIZE 20000000" in s.cmd("EHLO x")
    assert s.cmd("MAIL FROM:<a@b.example> SIZE=20000001").startswith("552 5.3.4")
    line = b"x" * 998 + b"\r\n"
    got = s.mail("a@b.example", [AN], b"Subject: x\r\n\r\n" + line * 20001 + b".\r\n")[-1]
    assert got.startswith("552 5.3.4")
    # just below, through a file of the queue
    got = s.mail("a@b.example", [AN], b"Subject: x\r\n\r\n" + line * 19000 + b".\r\n")[-1]
    assert got.startswith("250")
    assert site.lmtp.mails[0][3].endswith(b"Subject: x\r\n\r\n" + line * 19000)


def test_chunking(site):
    s = site.mx()
    s.cmd("MAIL FROM:<a@b.example> BODY=8BITMIME")
    s.send("BDAT 5\r\nhello")
    assert s.answer().startswith("503")
    s.cmd("RCPT TO:<%s>" % AN)
    s.send("BDAT 12\r\nSubject: x\r\n")
    assert s.answer().startswith("250 2.0.0 12 octets")
    assert s.cmd("DATA").startswith("503")
    # dots are data, and the body may arrive with the command behind it
    s.send("BDAT 10 LAST\r\n\r\n.\r\n..z\r\nNOOP\r\n")
    assert s.answer().startswith("250 2.0.0 Delivered")
    assert s.answer().startswith("250")
    assert site.lmtp.mails[0][3].endswith(b"Subject: x\r\n\r\n.\r\n..z\r\n")
    assert "BODY=8BITMIME" in site.lmtp.mails[0][1]
    s.cmd("MAIL FROM:<a@b.example>")
    s.cmd("RCPT TO:<%s>" % AN)
    s.send("BDAT 15 LAST\r\nSubject: x\r\n\r\nx")
    assert s.answer().startswith("554 5.6.0")
    assert s.cmd("BDAT x").startswith("501")
    assert s.answer() == "<end>"


def test_eight_bit_is_declared_downstream(site):
    s = site.submission()
    s.mail(AN, [BINH], ("From: <%s>\r\nSubject: Công văn\r\n\r\nNội dung" % AN).encode() + b"\r\n.\r\n")
    assert "BODY=8BITMIME SMTPUTF8" in site.lmtp.mails[0][1]


def test_utf8_addresses(site):
    site.lookup.people["hường@tinhmau.example"] = "x"
    s = site.mx()
    assert s.cmd("MAIL FROM:<đặng@hopthu.example>").startswith("553 5.6.7")
    assert s.cmd("MAIL FROM:<dan@hopthu.example>").startswith("250")
    assert s.cmd("RCPT TO:<hường@tinhmau.example>").startswith("553 5.6.7")
    s.cmd("RSET")
    assert s.cmd("MAIL FROM:<đặng@hopthu.example> SMTPUTF8").startswith("250")
    assert s.cmd("RCPT TO:<nobody.đ@tinhmau.example>") == "550 5.1.1 <nobody.đ@tinhmau.example>: Không có người nhận này / No such recipient"
    assert s.cmd("RCPT TO:<hường@tinhmau.example>").startswith("250")
    s.cmd("DATA")
    assert s.cmd("Subject: x\r\n\r\nx\r\n.\r\n").startswith("250")
    assert " SMTPUTF8" in site.lmtp.mails[0][1]


def test_milter_sees_it_all(site):
    s = site.submission()
    site.milter.on["E"] = [("i", struct.pack(">I", 0) + b"X-First\0one\n two\0"), ("h", b"X-Last\0last\0"),
                           ("m", struct.pack(">I", 1) + b"Subject\0new\0"), ("m", struct.pack(">I", 2) + b"X-Two\0\0"), ("c", b"")]
    data = b"From: <%s>\r\nX-Two: 1\r\nX-Two: 2\r\nX-Fold:  a\r\n\tb\r\nSubject: x\r\n\r\n" % AN.encode() + BODY + b".\r\n"
    assert s.mail(AN, [BINH, VANTHU], data)[-1].startswith("250")
    m = site.milter
    assert m.commands() == "OCHMRRTLLLLLNBBE"
    seen = dict(m.seen)
    assert seen["O"] == struct.pack(">III", 6, 0x1FF, 0x1FF7FF)
    assert seen["C"].startswith(b"[127.0.0.1]\x004")
    assert seen["H"] == b"client.example\0"
    assert seen["M"] == b"<%s>\0" % AN.encode()
    assert [d for c, d in m.seen if c == "L"] == [b"From\0<%s>\0" % AN.encode(), b"X-Two\x001\0", b"X-Two\x002\0", b"X-Fold\0 a\n\tb\0",
                                                 b"Subject\0x\0"]
    body = b"".join(d for c, d in m.seen if c == "B")
    assert body == BODY
    assert max(len(d) for c, d in m.seen if c == "B") == 65535
    assert m.macros["C"]["{daemon_name}"] == "submission" and m.macros["C"]["j"] == "localhost"
    assert m.macros["M"]["{auth_authen}"] == AN and m.macros["M"]["{auth_type}"] == "PLAIN"
    assert m.macros["M"]["{mail_addr}"] == AN and m.macros["R"]["{rcpt_addr}"] == VANTHU
    assert m.macros["H"]["{tls_version}"] == "TLSv1.3"
    assert m.macros["M"]["i"] == m.macros["E"]["i"] == site.ledger.outcomes[0]["qid"]
    got = site.lmtp.mails[0][3]
    got = got[got.index(b"X-First"):]
    assert got.startswith(b"X-First: one\r\n two\r\nFrom: <%s>\r\nX-Two: 1\r\nX-Fold:  a\r\n\tb\r\nSubject: new\r\nX-Last: last\r\n\r\nyy"
                          % AN.encode())


def test_milter_answers(site):
    s = site.mx()
    m = site.milter
    m.on["R"] = [("y", b"550 5.7.1 not %% him\0")]
    assert s.cmd("MAIL FROM:<a@b.example>").startswith("250")
    assert s.cmd("RCPT TO:<%s>" % AN) == "550 5.7.1 not % him"
    m.on["R"] = [("t", b"")]
    assert s.cmd("RCPT TO:<%s>" % AN).startswith("451 4.7.1")
    del m.on["R"]
    assert s.cmd("RCPT TO:<%s>" % AN).startswith("250")
    assert s.cmd("RSET").startswith("250")
    wait_for(lambda: m.commands().endswith("A"))
    m.on["E"] = [("p", b""), ("y", "550-5.7.1 P01 Công văn phải được ký số.\r\n550 5.7.1 P01 Official mail\0".encode())]
    got = s.mail("a@b.example", [AN], MAIL)[-1]
    assert got == "550-5.7.1 P01 Cong van phai duoc ky so.\n550 5.7.1 P01 Official mail"
    assert site.ledger.outcomes[-1]["code"] == 550 and site.ledger.outcomes[-1]["rcpts"] == [(AN, "refused", "")]
    m.on["M"] = [("y", b"451 4.7.1 later\0")]
    assert s.cmd("MAIL FROM:<a@b.example>") == "451 4.7.1 later"
    m.on["M"] = [("r", b"")]
    assert s.cmd("MAIL FROM:<a@b.example>").startswith("550 5.7.1")
    del m.on["M"]
    # recipients and sender changed, body replaced
    m.on["E"] = [("+", b"<%s>\0" % BINH.encode()), ("-", b"<%s>\0" % AN.encode()), ("e", b"<c@d.example>\0"), ("b", b"new "), ("b", b"body\r\n"),
                 ("c", b"")]
    assert s.mail("a@b.example", [AN], MAIL)[-1].startswith("250")
    assert [x[2] for x in site.lmtp.mails] == [BINH]
    assert site.lmtp.mails[0][1].startswith("MAIL FROM:<c@d.example>")
    assert site.lmtp.mails[0][3].endswith(b"Subject: x\r\n\r\nnew body\r\n")
    m.on["C"] = [("r", b"")]
    m.on.pop("E")
    t = site.mx()
    assert t.cmd("MAIL FROM:<a@b.example>").startswith("550")
    assert t.cmd("MAIL FROM:<a@b.example>").startswith("550")
    assert site.lmtp.mails[1:] == []


@pytest.mark.parametrize("bad", [[("z", b"")], ["close"], [("h", b"no nul")], [("y", b"250 ok\0")], [("i", b"\0\0")],
                                 [("h", b"Bad Name\0x\0"), ("c", b"")], [("h", b"X\0a\nMAIL\0"), ("c", b"")]])
def test_broken_milter_tempfails(site, bad):
    s = site.mx()
    site.milter.on["E"] = bad
    assert s.mail("a@b.example", [AN], MAIL)[-1].startswith("451 4.7.1")
    site.milter.on = {}
    assert s.mail("a@b.example", [AN], MAIL)[-1].startswith("250")
    assert len(site.lmtp.mails) == 1


def test_milter_connection(site):
    """One for each client, for all of its mails; left in good order."""
    for n in (1, 2):
        s = site.mx()
        for _ in range(2):
            assert s.mail("a@b.example", [AN], MAIL)[-1].startswith("250")
        assert s.cmd("QUIT").startswith("221")
        s.close()
        wait_for(lambda: site.milter.commands() == ("OCHMRTLLNBE" + "MRTLLNBE" + "Q") * n)
    assert site.milter.connections == 2
    # one that the milter closed between two mails is a failure of that milter, and the next mail has a new one
    s = site.mx()
    assert s.mail("a@b.example", [AN], MAIL)[-1].startswith("250")
    site.milter.conns[-1].shutdown(2)
    time.sleep(0.1)
    assert s.mail("a@b.example", [AN], MAIL)[-1].startswith("250")
    assert site.milter.connections == 4


def test_milter_without_answers(site):
    """NR bits, NO bits, SKIP and leading spaces are honoured."""
    site.milter.steps = 0x80 | 0x80000 | 0x1000 | 0x2 | 0x40 | 0x100000
    s = site.mx()
    assert s.mail("a@b.example", [AN], b"X:  y\r\n\r\n" + b"z" * 500000 + b"\r\n.\r\n")[-1].startswith("554")  # one long line
    assert s.mail("a@b.example", [AN], b"X:  y\r\n\r\n" + b"z\r\n" * 200000 + b".\r\n")[-1].startswith("250")
    assert re.fullmatch("OCMRTAMRTLB+E", site.milter.commands()), site.milter.commands()
    assert (("L", b"X\0  y\0")) in site.milter.seen
    assert b"".join(d for c, d in site.milter.seen if c == "B") == b"z\r\n" * 200000


def test_milter_gone(tmp_path):
    site = Site(tmp_path, milter_default_action="accept")
    try:
        site.milter.stop()
        assert site.mx().mail("a@b.example", [AN], MAIL)[-1].startswith("250")
    finally:
        site.stop()


def test_milter_gone_tempfails(site):
    site.milter.stop()
    s = site.mx()
    assert s.cmd("MAIL FROM:<a@b.example>").startswith("451 4.7.1")
    site.milter = Milter(site.smtpd.run / "milter.sock")
    assert s.mail("a@b.example", [AN], MAIL)[-1].startswith("250")


def test_quarantine(site):
    site.milter.on["E"] = [("q", b"suspicious\0"), ("c", b"")]
    assert site.mx().mail("a@b.example", [AN], MAIL)[-1].startswith("250 2.0.0 Held")
    time.sleep(0.3)
    assert site.lmtp.mails == []
    entry, = listing(site)
    assert entry["state"] == 3 and entry["rcpts"] == [AN]


def listing(site):
    """`congvu queue list` by hand."""
    import socket
    with socket.socket(socket.AF_UNIX) as c:
        c.connect(str(site.smtpd.run / "queue.admin.sock"))
        write_frame(c, 0, 0, put("queue") + struct.pack(">II", 1, 1 << 5))
        read_frame(c)
        write_frame(c, 30, 1, put(b"") + struct.pack(">I", 0))
        kind, _, payload = read_frame(c)
    assert kind == 31
    r, out = Reader(payload), []
    for _ in range(r.u(4)):
        e = {"id": r.s().hex(), "state": r.u(1), "arrived": r.u(8), "due": r.u(8), "attempts": r.u(4), "size": r.u(8), "from": r.s().decode()}
        r.s(), r.s(), r.s(), r.s()
        mtas = r.u(4) & 1024
        e["quarantine"] = r.s().decode()
        e["rcpts"] = []
        for _ in range(r.u(4)):
            e["rcpts"].append(r.s().decode())
            r.u(1), r.u(4), r.s()
            e["why"] = r.s().decode()
            e["mta"] = r.s().decode() if mtas else ""
        out.append(e)
    assert r.u(1) == 0 and r.data == b""
    return out


def test_queue_takes_over(site):
    """The store is down: 250, and it is delivered when it is back; the delivery id stays."""
    site.lmtp.stop()
    s = site.mx()
    small = s.mail("a@b.example", [AN, BINH], MAIL)[-1]
    assert small.startswith("250 2.0.0 Queued as")
    large = s.mail("a@b.example", [AN], b"Subject: l\r\n\r\n" + b"line of text\r\n" * 100000 + b".\r\n")[-1]
    assert large.startswith("250 2.0.0 Queued as")
    assert {r[1] for r in site.ledger.outcomes[0]["rcpts"]} == {"queued"}
    assert len(listing(site)) == 2
    # killed at once: what was answered 250 is there
    site.smtpd.kill("smtpd-queue")
    site.smtpd.kill("relay")
    site.lmtp = Lmtp(site.smtpd.run / "lmtp.sock")
    site.smtpd.start("smtpd-queue", "relay")
    wait_for(lambda: len(site.lmtp.mails) == 3, 15)
    by_id = {m[0][:16]: m for m in site.lmtp.mails}
    assert by_id[small.split()[-1]][3].endswith(MAIL.encode() + b"\r\n")
    assert by_id[large.split()[-1]][3].endswith(b"Subject: l\r\n\r\n" + b"line of text\r\n" * 100000)
    assert by_id[small.split()[-1]][3].startswith(b"Received: from mx.hopthu.example")
    wait_for(lambda: listing(site) == [])
    assert sorted(m[2] for m in site.lmtp.mails) == [AN, AN, BINH]
    assert not list((site.smtpd.dir / "q/spool").iterdir())


def test_lost_answer_of_the_store_does_not_double(site):
    """The store takes it and its answer is lost: the queue tries again with the same id."""
    lost = []

    def answer(address, ident):
        if not lost:
            lost.append(ident)
            site.lmtp.mails.append((ident, "", address, b""))
            return None
        return "250 2.0.0 Ok"
    site.lmtp.data_answer = answer
    assert site.mx().mail("a@b.example", [AN], MAIL)[-1].startswith("250 2.0.0 Queued")
    wait_for(lambda: listing(site) == [])
    assert [(m[0], m[2]) for m in site.lmtp.mails] == [(lost[0], AN)]


def test_quota_is_told_at_rcpt(site):
    answers = {AN: "452 4.2.2 mailbox full", BINH: "451 4.3.0 busy", VANTHU: "550 5.2.1 closed"}
    site.lmtp.rcpt_answer = lambda a, i: answers.get(a, "250 ok")
    s = site.mx()
    s.cmd("MAIL FROM:<a@b.example> SIZE=1234")
    assert s.cmd("RCPT TO:<%s>" % AN) == "452 4.2.2 mailbox full"
    assert s.cmd("RCPT TO:<%s>" % VANTHU) == "550 5.2.1 closed"
    assert s.cmd("RCPT TO:<%s>" % BINH).startswith("250")  # the queue will try
    assert "SIZE=1234" in site.lmtp.lines[0]
    site.lmtp.stop()
    s.cmd("RSET")
    start = time.monotonic()
    s.cmd("MAIL FROM:<a@b.example>")
    assert s.cmd("RCPT TO:<%s>" % AN).startswith("250")
    assert time.monotonic() - start < 1


def test_store_refuses_one(site):
    site.lmtp.rcpt_answer = lambda a, i: "550 5.2.1 closed" if a == AN and i else "250 ok"
    site.lmtp.data_answer = lambda a, i: "552 5.2.2 too large"
    s = site.mx()
    # nobody has it: refused, and the one is named
    assert s.mail("b@tinhmau.example", [AN, BINH], MAIL)[-1] == "550 5.2.1 <an@tinhmau.example>: closed"
    # somebody has it: the sender is told by a report
    site.lmtp.data_answer = lambda a, i: "250 ok"
    assert s.mail(BINH, [AN, BINH], MAIL)[-1].startswith("250 2.0.0 Queued")
    wait_for(lambda: len(site.lmtp.mails) == 2)
    report = site.lmtp.mails[1]
    assert report[1].startswith("MAIL FROM:<> ") and report[2] == BINH
    for text in (b"multipart/report; report-type=delivery-status", b"Final-Recipient: rfc822; " + AN.encode(), b"Status: 5.2.1",
                 b"Action: failed", b"Subject: x"):
        assert text in report[3]
    assert "không đến được" in email.message_from_bytes(report[3], policy=email.policy.default).get_body().get_content()
    wait_for(lambda: listing(site) == [])


def test_temporary_answer_is_tried_again(site):
    tries = []

    def answer(address, ident):
        tries.append((address, ident))
        return "452 4.2.2 over quota" if address == AN and len(tries) < 5 else "250 ok"
    site.lmtp.data_answer = answer
    assert site.mx().mail("a@b.example", [AN, BINH], MAIL)[-1].startswith("250")
    wait_for(lambda: len(site.lmtp.mails) == 2, 20)
    assert [m[2] for m in site.lmtp.mails] == [BINH, AN]
    assert [t[0] for t in tries].count(BINH) == 1
    assert len({t[1] for t in tries}) == 1


def test_queue_down(site):
    site.smtpd.kill("smtpd-queue")
    s = site.mx()
    got = []
    t = threading.Thread(target=lambda: got.append(s.cmd("MAIL FROM:<a@b.example>")))
    t.start()
    time.sleep(0.5)
    site.smtpd.start("smtpd-queue")
    t.join()
    assert got[0].startswith("250")  # it waits for a restart


def test_ledger_down_does_not_stop_mail(site):
    site.ledger.stop()
    start = time.monotonic()
    assert site.mx().mail("a@b.example", [AN], MAIL)[-1].startswith("250")
    assert time.monotonic() - start < 5


def test_client_gone_during_delivery(site):
    """The delivery goes on, and the outcome is recorded."""
    go = threading.Event()
    site.lmtp.before_final = go.wait
    s = site.mx()
    s.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<%s>\r\nDATA\r\n%s\r\n.\r\n" % (AN, MAIL))
    wait_for(lambda: site.milter.commands().endswith("E"))
    time.sleep(0.2)
    import socket
    s.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    time.sleep(0.2)
    go.set()
    wait_for(lambda: site.ledger.outcomes)
    assert site.ledger.outcomes[0]["code"] == 250
    assert site.mx().cmd("NOOP").startswith("250")


def test_many_at_once(site):
    """60 mails a second and more, none lost, none doubled."""
    def one(k):
        s = Smtp(site.smtpd.port("mx"))
        s.cmd("EHLO x")
        for i in range(20):
            assert s.mail("a@b.example", [AN], "Subject: %d-%d\r\n\r\nx" % (k, i))[-1].startswith("250")
        s.close()
    start = time.monotonic()
    threads = [threading.Thread(target=one, args=(k,)) for k in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    took = time.monotonic() - start
    assert len({m[3].split(b"Subject: ")[1] for m in site.lmtp.mails}) == len(site.lmtp.mails) == 200
    assert took < 20, took


def test_dsn_parameters_are_kept(site):
    site.lmtp.data_answer = lambda a, i: "550 5.1.6 moved"
    s = site.mx()
    site.lmtp.stop()
    assert s.cmd("MAIL FROM:<%s> RET=HDRS ENVID=QQ+2B314159" % BINH).startswith("250")
    assert s.cmd("RCPT TO:<%s> NOTIFY=FAILURE ORCPT=rfc822;An@tinhmau.example" % AN).startswith("250")
    assert s.cmd("RCPT TO:<%s> NOTIFY=NEVER" % VANTHU).startswith("250")
    assert s.cmd("RCPT TO:<%s> NOTIFY=NEVER,SUCCESS" % BINH).startswith("501")
    assert s.cmd("DATA").startswith("354")
    assert s.cmd(MAIL + "\r\n.\r\n").startswith("250 2.0.0 Queued")
    lmtp = Lmtp(site.smtpd.run / "lmtp.sock")
    lmtp.data_answer = lambda a, i: "250 ok" if a == BINH else "550 5.1.6 moved"
    site.lmtp = lmtp
    wait_for(lambda: lmtp.mails, 15)
    report = lmtp.mails[0][3]
    assert b"Original-Envelope-Id: QQ+314159" in report and b"Original-Recipient: rfc822;An@tinhmau.example" in report
    assert VANTHU.encode() not in report


@pytest.mark.parametrize("tls", [False, True])
def test_smarthost(tmp_path, tls):
    """Mail to other domains: durable before local delivery, relayed once, inside TLS where it is offered."""
    (tmp_path / "ca").mkdir()
    cert = key = None
    if tls:
        import subprocess
        cert, key = str(tmp_path / "ca/c.pem"), str(tmp_path / "ca/k.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=x", "-keyout", key, "-out", cert], check=True, capture_output=True)
    out = Smarthost(cert, key)
    site = Site(tmp_path, smarthost="inet:127.0.0.1:%d" % out.sock.getsockname()[1])
    try:
        held = []
        site.lmtp.before_final = lambda: held.append(len(list((site.smtpd.dir / "q/spool").iterdir())))
        s = site.submission()
        big = b"From: <%s>\r\nSubject: x\r\n\r\n" % AN.encode() + b"line\r\n" * 40000
        got = s.mail(AN, [BINH, "c@hopthu.example", "C@hopthu.example", "bad@hopthu.example", BINH.upper()], big + b".\r\n")
        assert got[-1].startswith("250 2.0.0 Queued"), got
        assert held == [1]  # on disk before the store had it
        wait_for(lambda: out.mails)
        assert out.mails[0][0] == tls and out.mails[0][1].startswith("MAIL FROM:<%s>" % AN)
        assert out.mails[0][2] == ["c@hopthu.example", "C@hopthu.example"] and out.mails[0][3].endswith(big)
        # the report about the other one comes home
        wait_for(lambda: len(site.lmtp.mails) == 2)
        assert site.lmtp.mails[0][2] == BINH and site.lmtp.mails[1][2] == AN
        assert b"Final-Recipient: rfc822; bad@hopthu.example" in site.lmtp.mails[1][3]
        assert sorted(r[:2] for r in site.ledger.outcomes[0]["rcpts"]) == [
            ("C@hopthu.example", "queued"), ("bad@hopthu.example", "queued"), (BINH, "delivered"), ("c@hopthu.example", "queued")]
        wait_for(lambda: listing(site) == [])
        # a refusal by the store drops what was held
        site.lmtp.rcpt_answer = lambda a, i: "550 5.2.1 closed" if i else "250 ok"
        assert s.mail(AN, [BINH, "c@hopthu.example"], big + b".\r\n")[-1].startswith("550 5.2.1 <%s>" % BINH)
        wait_for(lambda: not list((site.smtpd.dir / "q/spool").iterdir()))
        time.sleep(0.3)
        assert len(out.mails) == 1 and listing(site) == []
        # what comes from outside goes nowhere but here
        m = site.mx()
        m.cmd("MAIL FROM:<a@b.example>")
        assert m.cmd("RCPT TO:<c@hopthu.example>").startswith("550 5.7.1")
        # the sender is told when the next server cannot take it as it is
        site.lmtp.rcpt_answer = lambda a, i: "250 ok"
        got = s.mail(AN, ["d@hopthu.example"], ("From: <%s>\r\nSubject: đ\r\n\r\nx\r\n.\r\n" % AN).encode())[-1]
        assert got.startswith("250")
        wait_for(lambda: len(site.lmtp.mails) == 3)
        assert b"Status: 5.6.7" in site.lmtp.mails[2][3]
    finally:
        site.stop()
        out.stop()


def test_queue_survives_garbage(site):
    """A session that is taken over sends anything: only its own connection ends, and the queue goes on."""
    import random
    import socket
    rnd = random.Random(5)
    ident = bytes(16)
    envelope = b"".join(put(x) for x in (AN, "", "", "", "")) + struct.pack(">I", 0) + put("") + struct.pack(">I", 1) + put(BINH) + \
        struct.pack(">BI", 1, 0) + put("") + put("")
    body = put(b"A: b\r\n\r\n") + struct.pack(">QQB", 0, 3, 1) + put(b"x\r\n")
    good = {10: struct.pack(">Q", 9), 12: b"", 14: put(ident) + envelope + body, 15: put(ident) + envelope + body, 16: put(ident),
            20: b"", 22: put(ident), 24: put(ident) + struct.pack(">I", 1) + struct.pack(">IB", 0, 1) + put("x"), 30: put(b"") + struct.pack(">I", 1)}
    pid = site.smtpd.procs["smtpd-queue"].pid
    for n in range(400):
        with socket.socket(socket.AF_UNIX) as c:
            c.settimeout(.5)  # an abort has no answer
            who = rnd.choice(["smtpd", "relay", "admin"])
            c.connect(str(site.smtpd.run / ("queue.%s.sock" % who)))
            write_frame(c, 0, 0, put("queue") + struct.pack(">II", 1, {"smtpd": 1, "relay": 8, "admin": 32}[who]))
            read_frame(c)
            kind = rnd.choice(list(good))
            data = bytearray(good[kind])
            for _ in range(rnd.randrange(4)):
                if data:
                    data[rnd.randrange(len(data))] = rnd.choice([0, 1, 255, rnd.randrange(256)])
            data = data[:rnd.randrange(len(data) + 1)] if rnd.random() < .3 else data + bytes(rnd.randrange(3))
            write_frame(c, kind, 1, bytes(data))
            try:
                read_frame(c)
            except (EOFError, OSError):
                pass
    assert site.smtpd.procs["smtpd-queue"].poll() is None and site.smtpd.procs["smtpd-queue"].pid == pid
    assert site.mx().mail("a@b.example", [AN], MAIL)[-1].startswith("250")


def test_no_room(tmp_path):
    """A disk that is nearly full: a temporary refusal at MAIL, before anything is promised."""
    import os
    import subprocess
    if os.geteuid() != 0:
        pytest.skip("needs to mount")
    site = Site(tmp_path)
    try:
        site.smtpd.kill("smtpd-queue")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(site.smtpd.dir / "q")], capture_output=True).returncode:
            pytest.skip("cannot mount")
        site.smtpd.start("smtpd-queue")
        s = site.mx()
        assert s.cmd("MAIL FROM:<a@b.example>").startswith("452 4.3.1")
        site.smtpd.kill("smtpd-queue")
        subprocess.run(["mount", "-o", "remount,size=160m", str(site.smtpd.dir / "q")], check=True)
        site.smtpd.start("smtpd-queue")
        assert s.cmd("MAIL FROM:<a@b.example> SIZE=19000000").startswith("250")
        s.cmd("RCPT TO:<%s>" % AN)
        s.cmd("DATA")
        # it nears its end meanwhile: nothing new is begun, but what was begun is queued
        pad = site.smtpd.dir / "q/pad"
        pad.write_bytes(bytes(100 << 20))
        assert site.mx().cmd("MAIL FROM:<c@d.example>").startswith("452 4.3.1")
        site.lmtp.data_answer = lambda a, i: "451 4.3.0 later"
        assert s.cmd("Subject: x\r\n\r\nbegun\r\n.\r\n").startswith("250 2.0.0 Queued")
        site.lmtp.data_answer = lambda a, i: "250 2.0.0 Ok"
        wait_for(lambda: listing(site) == [])
        pad.unlink()
        # (the queue looks at its disk now and then, not at each message)
        wait_for(lambda: s.cmd("MAIL FROM:<a@b.example> SIZE=19000000").startswith("250"))
        s.cmd("RCPT TO:<%s>" % AN)
        s.cmd("DATA")
        # it fills up meanwhile, and the store is down: the message is refused for now, and not half kept
        site.lmtp.stop()
        filler = site.smtpd.dir / "q/filler"
        with filler.open("wb") as f:
            try:
                while True:
                    f.write(bytes(1 << 20))
                    f.flush()
            except OSError:
                pass
        got = s.cmd(b"Subject: x\r\n\r\n" + b"line of text\r\n" * 200000 + b".\r\n")
        assert got[:3] in ("452", "451"), got
        filler.unlink()
        assert listing(site) == []
        assert s.mail("a@b.example", [AN], MAIL)[-1].startswith("250 2.0.0 Queued")
        assert [e["rcpts"] for e in listing(site)] == [[AN]]
    finally:
        site.stop()
        subprocess.run(["umount", str(site.smtpd.dir / "q")], capture_output=True)


def test_store_back_after_a_long_time(tmp_path):
    """All that waited is delivered soon after the store is back, however long the next try was away; also after a restart."""
    site = Site(tmp_path, queue_retry_s=["600"])
    try:
        site.lmtp.stop()
        s = site.mx()
        for n in range(30):
            assert s.mail("a@b.example", [AN], MAIL)[-1].startswith("250 2.0.0 Queued")
        wait_for(lambda: [e["attempts"] >= 1 for e in listing(site)] == [True] * 30)
        site.smtpd.kill("smtpd-queue")
        site.smtpd.start("smtpd-queue")
        time.sleep(1)
        site.lmtp = Lmtp(site.smtpd.run / "lmtp.sock")
        wait_for(lambda: len(site.lmtp.mails) == 30, 8)
        wait_for(lambda: listing(site) == [])
    finally:
        site.stop()


def test_hung_store_costs_one_wait(tmp_path):
    """A store that does not answer delays one message, not each of them; the queue takes over."""
    site = Site(tmp_path, lmtp_timeout_ms=1500)
    try:
        go = threading.Event()
        site.lmtp.before_final = go.wait
        s = site.mx()
        start = time.monotonic()
        for _ in range(4):
            assert s.mail("a@b.example", [AN], MAIL)[-1].startswith("250 2.0.0 Queued")
        assert time.monotonic() - start < 4
        site.lmtp.before_final = lambda: None
        go.set()
        wait_for(lambda: len(site.lmtp.mails) == 4, 15)
    finally:
        site.stop()


def test_killed_under_load(tmp_path):
    """Queue and relay are killed again and again while the store refuses, loses answers and takes mail: what was answered 250 arrives, once."""
    import random
    rnd = random.Random(7)
    site = Site(tmp_path, queue_retry_s=["1"], lmtp_timeout_ms=1000)
    accepted, stop = [], threading.Event()

    def answer(address, ident):
        x = rnd.random()
        return "451 4.3.0 later" if x < .3 else None if x < .4 else "250 2.0.0 Ok"

    def sender(k):
        s, n = site.mx(), 0
        while not stop.is_set():
            n += 1
            got = s.mail("a@b.example", [AN, BINH], "Subject: %d-%d\r\n\r\n%s" % (k, n, "x\r\n" * rnd.choice([1, 100, 100000])))[-1]
            assert got[:3] in ("250", "451", "452", "503"), got
            if got.startswith("250"):
                accepted.append("%d-%d" % (k, n))
            else:
                s.cmd("RSET")
    try:
        site.lmtp.data_answer = answer
        threads = [threading.Thread(target=sender, args=(k,)) for k in range(4)]
        for t in threads:
            t.start()
        kills, end = 0, time.monotonic() + 60
        while kills < 8 or (len(accepted) <= 20 and time.monotonic() < end):
            time.sleep(.4)
            site.smtpd.kill("smtpd-queue")
            site.smtpd.kill("relay")
            site.smtpd.start("smtpd-queue", "relay")
            kills += 1
        stop.set()
        for t in threads:
            t.join(30)
        site.lmtp.data_answer = lambda a, i: "250 2.0.0 Ok"
        wait_for(lambda: listing(site) == [], 60)
        got = {}
        for ident, _, address, data in site.lmtp.mails:
            key = (data[data.index(b"Subject: ") + 9:].split(b"\r")[0].decode(), address)
            got[key] = got.get(key, 0) + 1
        assert len(accepted) > 20
        for subject in accepted:
            assert got.get((subject, AN)) == got.get((subject, BINH)) == 1, (subject, got.get((subject, AN)), got.get((subject, BINH)))
    finally:
        stop.set()
        site.stop()


def queue_frame(address, rcpt_state, body=b"x\r\n", ident=bytes(range(16))):
    """HOLD's or COMMIT's payload: from AN to one recipient."""
    envelope = b"".join(put(x) for x in (AN, "", "", "", "")) + struct.pack(">I", 0) + put("") + struct.pack(">I", 1) + \
        put(address) + struct.pack(">BI", rcpt_state, 0) + put("") + put("5.1.1 nobody")
    return put(ident) + envelope + put(b"A: b\r\n\r\n") + struct.pack(">QQB", 0, len(body), 1) + put(body)


def test_repeated_commit_reports_once(site):
    """Every recipient is refused and the answer to COMMIT is lost: the second COMMIT makes no second report."""
    import socket
    with socket.socket(socket.AF_UNIX) as c:
        c.connect(str(site.smtpd.run / "queue.smtpd.sock"))
        write_frame(c, 0, 0, put("queue") + struct.pack(">II", 1, 1))
        read_frame(c)
        for number in (1, 2):
            write_frame(c, 15, number, queue_frame(BINH, 3))
            assert read_frame(c)[:2] == (1, number)
    wait_for(lambda: site.lmtp.mails and listing(site) == [])
    assert [m[2] for m in site.lmtp.mails] == [AN]


def test_slow_queue_does_not_double(site):
    """The queue's disk hangs for longer than one call waits: the same COMMIT again, and 250 in the end."""
    site.lmtp.stop()
    s = site.mx()
    s.cmd("MAIL FROM:<a@b.example>")
    s.cmd("RCPT TO:<%s>" % AN)
    s.cmd("DATA")
    pid = site.smtpd.procs["smtpd-queue"].pid
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(11, os.kill, (pid, signal.SIGCONT)).start()
    assert s.cmd(MAIL + "\r\n.\r\n").startswith("250 2.0.0 Queued")
    assert len(listing(site)) == 1


@pytest.mark.parametrize("how", ["slow", "gone"])
def test_unknown_outcome_is_taken_back(tmp_path, how):
    """451 because the queue said nothing in time: what it got all the same goes again, and the client's second try is the only one."""
    site = Site(tmp_path, queue_wait_s=1)
    try:
        site.lmtp.stop()
        s = site.mx()
        s.cmd("MAIL FROM:<a@b.example>")
        s.cmd("RCPT TO:<%s>" % AN)
        s.cmd("DATA")
        pid = site.smtpd.procs["smtpd-queue"].pid
        if how == "slow":
            os.kill(pid, signal.SIGSTOP)
        else:
            site.smtpd.kill("smtpd-queue")
        assert s.cmd(MAIL + "\r\n.\r\n").startswith("451 4.3.0")
        if how == "slow":
            os.kill(pid, signal.SIGCONT)
        else:
            site.smtpd.start("smtpd-queue")
        assert wait_for(lambda: s.mail("a@b.example", [AN], MAIL)[-1].startswith("250 2.0.0 Queued"))
        time.sleep(2)
        site.lmtp = Lmtp(site.smtpd.run / "lmtp.sock")
        wait_for(lambda: site.lmtp.mails and not listing(site), 20)
        assert len(site.lmtp.mails) == 1
    finally:
        site.stop()


def test_body_goes_after_its_row(site):
    """Killed as the file of a delivered message is removed: its row must not come back."""
    site.smtpd.kill("smtpd-queue")
    lib = site.smtpd.dir / "die.so"
    (site.smtpd.dir / "die.c").write_text("""
        #include <sys/syscall.h>
        #include <unistd.h>
        int unlinkat(int dir, const char *name, int flags)
        {
                int r = (int)syscall(SYS_unlinkat, dir, name, flags);
                if (access("die", F_OK) == 0)
                        syscall(SYS_exit_group, 9);
                return r;
        }
        """)
    subprocess.run(["gcc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", str(lib), str(site.smtpd.dir / "die.c")], check=True)
    die = site.smtpd.dir / "q/die"
    # (a build with ASan would have its runtime first)
    preload = {"LD_PRELOAD": str(lib), "ASAN_OPTIONS": "verify_asan_link_order=0"}
    os.environ.update(preload)
    try:
        site.smtpd.start("smtpd-queue")
    finally:
        for name in preload:
            del os.environ[name]

    def answer(address, ident):
        die.touch()
        return "250 2.0.0 Ok"
    site.lmtp.data_answer = lambda address, ident: "451 4.3.0 later"
    s = site.mx()
    assert s.mail("a@b.example", [AN], b"Subject: l\r\n\r\n" + b"line of text\r\n" * 100000 + b".\r\n")[-1].startswith("250 2.0.0 Queued")
    site.lmtp.data_answer = answer
    queue = site.smtpd.procs.pop("smtpd-queue")
    assert queue.wait(15) == 9
    die.unlink()
    site.lmtp.data_answer = lambda address, ident: "250 2.0.0 Ok"
    site.smtpd.start("smtpd-queue")
    wait_for(lambda: listing(site) == [])
    assert len(site.lmtp.mails) == 1
    wait_for(lambda: not list((site.smtpd.dir / "q/spool").iterdir()))


def test_refusal_means_nobody_has_it(site):
    """One recipient is refused, and the answer for another is lost: who may have it makes it no refusal."""
    def answer(address, ident):
        site.lmtp.mails.append((ident, "", address, b""))
        return None
    site.lmtp.rcpt_answer = lambda a, i: "550 5.2.1 closed" if a == AN and i else "250 ok"
    site.lmtp.data_answer = answer
    got = site.mx().mail("b@tinhmau.example", [AN, BINH], MAIL)[-1]
    assert got.startswith("250 2.0.0 Queued"), got
    site.lmtp.rcpt_answer = lambda a, i: "250 ok"
    site.lmtp.data_answer = lambda a, i: "552 5.2.2 too large" if a == AN else answer(a, i)
    got = site.mx().mail("b@tinhmau.example", [AN, BINH], MAIL)[-1]
    assert got.startswith("250 2.0.0 Queued"), got


def test_refused_transaction_does_not_spoil_the_next(tmp_path):
    """All recipients were refused, and the connection serves the next message: that one is not answered "nested MAIL"."""
    out = Smarthost()
    site = Site(tmp_path, smarthost="inet:127.0.0.1:%d" % out.sock.getsockname()[1])
    try:
        s = site.submission()
        for to in ("bad@hopthu.example", "good@hopthu.example"):
            assert s.mail(AN, [to], "From: <%s>\r\n\r\nx" % AN)[-1].startswith("250 2.0.0 Queued")
            wait_for(lambda: listing(site) == [])
        assert [m[2] for m in out.mails] == [["good@hopthu.example"]]
    finally:
        site.stop()
        out.stop()


def test_stop_answers_what_is_being_delivered(site):
    """SIGTERM while the store has the message: the client still gets its 250, or it would send it again."""
    go = threading.Event()
    site.lmtp.before_final = go.wait
    s = site.mx()
    s.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<%s>\r\nDATA\r\n%s\r\n.\r\n" % (AN, MAIL))
    wait_for(lambda: "DATA" in site.lmtp.lines)
    time.sleep(0.2)
    session = site.smtpd.procs.pop("smtpd-session")
    session.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    go.set()
    assert [s.answer()[:3] for _ in range(4)] == ["250", "250", "354", "250"]
    start = time.monotonic()
    assert session.wait(5) == 0
    assert time.monotonic() - start < 1
    site.smtpd.start("smtpd-session")
    # who only waits is not waited for; a store that hangs is waited for a moment
    idle = site.mx()
    session = site.smtpd.procs.pop("smtpd-session")
    session.send_signal(signal.SIGTERM)
    assert session.wait(0.5) == 0
    assert idle.f.readline().startswith(b"421 4.3.2 ") and idle.f.readline() == b""
    go.clear()
    site.smtpd.start("smtpd-session")
    s = site.mx()
    s.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<%s>\r\nDATA\r\n%s\r\n.\r\n" % (AN, MAIL))
    wait_for(lambda: site.lmtp.lines.count("DATA") == 2)
    session = site.smtpd.procs.pop("smtpd-session")
    session.send_signal(signal.SIGTERM)
    assert session.wait(2) == 0
    go.set()
    site.smtpd.start("smtpd-session")
