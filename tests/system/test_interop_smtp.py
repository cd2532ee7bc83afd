"""What mail clients and servers do (shared/INTEROP.md, "SMTP, submission, queue"), one test for each number. Number 8 is the relay's: MTA-STS and
HOLDUNTIL have their tests where they are built."""

import base64
import smtplib

import pytest
from smtpd_fakes import Smtp, wait_for
from test_smtpd import AN, BINH, MAIL, VANTHU, Site, listing


@pytest.fixture
def site(tmp_path):
    s = Site(tmp_path)
    yield s
    s.stop()


# every way in which somebody, somewhere, has taken something else for the end of a message
FALSE_ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r\n.\0\r\n", b"\r\n\0.\r\n", b"\r\r\n.\r\r\n"]


@pytest.mark.parametrize("end", FALSE_ENDS)
def test_smtp_1_end_of_data_is_crlf_dot_crlf(site, end):
    """A message smuggled behind a false end is part of the first, which is refused; its commands are never run."""
    s = site.mx()
    smuggled = b"MAIL FROM:<evil@hopthu.example>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: smuggled\r\n\r\nx" % BINH.encode()
    answers = s.mail("d@hopthu.example", [AN], MAIL.encode() + end + smuggled + b"\r\n.\r\n")
    assert answers[-1].startswith("554 5.6.0"), answers
    assert s.cmd("NOOP").startswith("250")  # nothing else was answered
    assert site.lmtp.mails == []
    assert not any("evil" in line for line in site.lmtp.lines)


@pytest.mark.parametrize("body", [b"\r\n..\r\n", b"\r\n.x\r\n", b"\r\n. \r\n", b"\r\n.\t\r\n"])
def test_smtp_1_what_only_looks_like_the_end(site, body):
    answers = site.mx().mail("d@hopthu.example", [AN], MAIL.encode() + body + b"more\r\n.\r\n")
    assert answers[-1].startswith("250")
    got = site.lmtp.mails[0][3]
    assert got.endswith(MAIL.encode() + body.replace(b"\r\n.", b"\r\n", 1) + b"more\r\n")


@pytest.mark.parametrize("port", ["mx", "submission"])
@pytest.mark.parametrize("more", [b"EHLO evil\r\n", b"MAIL FROM:<evil@x.example>\r\nRCPT TO:<" + AN.encode() + b">\r\nDATA\r\n", b"RSET", b"\r\n" * 50])
def test_smtp_1_nothing_survives_starttls(site, port, more):
    s = Smtp(site.smtpd.port(port))
    site.open.append(s)
    s.cmd("EHLO client.example")
    assert s.cmd(b"STARTTLS\r\n" + more).startswith("220")
    s.starttls()
    assert s.cmd("NOOP").startswith("250 2.0.0")  # and not the answer to something older
    assert s.cmd("MAIL FROM:<%s>" % AN).startswith(("503", "530"))
    assert "evil" not in site.milter.commands()


def test_smtp_1_command_behind_data_is_text(site):
    """Pipelined behind DATA, all is message until the end; pipelined behind the end, it is a command."""
    s = site.mx()
    s.send("MAIL FROM:<d@hopthu.example>\r\nRCPT TO:<%s>\r\nDATA\r\n%s\r\nQUIT\r\nRSET\r\n.\r\nNOOP\r\nMAIL FROM:<e@hopthu.example>\r\n" % (AN, MAIL))
    assert [s.answer()[:3] for _ in range(6)] == ["250", "250", "354", "250", "250", "250"]
    assert site.lmtp.mails[0][3].endswith(b"\r\nQUIT\r\nRSET\r\n")
    # refused at DATA: what comes behind is commands again, and none of it is believed to be mail
    s.send("RCPT TO:<khong@tinhmau.example>\r\nDATA\r\nNOOP\r\n")
    assert [s.answer()[:3] for _ in range(3)] == ["550", "554", "250"]
    # octets of a refused BDAT are not commands
    s.send("BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
    assert [s.answer()[:3] for _ in range(2)] == ["554", "250"]


def test_smtp_2_login_prompts_and_outlook_space(site):
    s = Smtp(site.smtpd.port("submissions"), tls=True)
    site.open.append(s)
    s.cmd("EHLO x")
    assert base64.b64decode(s.cmd("AUTH LOGIN")[4:]) == b"Username:"
    assert base64.b64decode(s.cmd(base64.b64encode(AN.encode()).decode())[4:]) == b"Password:"
    assert s.cmd(base64.b64encode("mật khẩu An".encode()).decode()).startswith("235")
    assert s.cmd("MAIL FROM: <%s>" % AN).startswith("250")
    assert s.cmd("RCPT TO: <%s>" % BINH).startswith("250")
    mx = site.mx()
    assert mx.cmd("MAIL FROM: <d@hopthu.example>").startswith("501")


def test_smtp_3_undeclared_eight_bit(site):
    """iOS says neither BODY=8BITMIME nor SMTPUTF8: taken on submission, and said to those behind us."""
    s = site.submission()
    mail = "From: <%s>\r\nSubject: Lịch họp\r\n\r\nNội dung" % AN
    assert s.mail(AN, [BINH], mail)[-1].startswith("250")
    line, data = site.lmtp.mails[0][1], site.lmtp.mails[0][3]
    assert "BODY=8BITMIME" in line and "SMTPUTF8" in line and data.endswith(mail.encode() + b"\r\n")
    assert s.mail(AN, [BINH], "From: <%s>\r\n\r\nNội dung" % AN)[-1].startswith("250")
    assert "BODY=8BITMIME" in site.lmtp.mails[1][1] and "SMTPUTF8" not in site.lmtp.mails[1][1]


@pytest.mark.parametrize("mech", ["PLAIN", "LOGIN"])
def test_smtp_4_vietnamese_passwords(server, mech):
    """SCRAM: tests/system/test_clients.py (test_mbsync). NFD is what macOS types."""
    import ssl
    import unicodedata
    server.wait_up()
    user = next(u for u in server.users if any(ord(c) > 127 for c in u["password"]))
    for password in (user["password"], unicodedata.normalize("NFD", user["password"])):
        s = smtplib.SMTP(server.host, server.submission_port, timeout=20)
        s.starttls(context=ssl.create_default_context(cafile=server.ca_file))
        s.ehlo()
        if mech == "PLAIN":
            got = s.docmd("AUTH", "PLAIN " + base64.b64encode(("\0%s\0%s" % (user["login"], password)).encode()).decode())
        else:
            s.docmd("AUTH", "LOGIN")
            s.docmd(base64.b64encode(user["login"].encode()).decode())
            got = s.docmd(base64.b64encode(password.encode()).decode())
        assert got[0] == 235, got
        s.close()


def test_smtp_5_directory_down_and_filters(server, site):
    """A directory that is down is temporary at RCPT and at AUTH; what means something in a filter is only a name."""
    s = site.mx()
    s.cmd("MAIL FROM:<d@hopthu.example>")
    site.lookup.down = True
    assert s.cmd("RCPT TO:<%s>" % AN).startswith("451 4.4.3")
    assert s.cmd("RCPT TO:<%s>" % AN).startswith("451 4.4.3")
    server.wait_up()
    with smtplib.SMTP(server.host, server.smtp_mx_port, timeout=20) as m:
        m.ehlo("x")
        m.mail("d@hopthu.example")
        for local in ("*", "a*", '"*)(mail=*"', '"a)(|(mail=*))"', "binh\\2a", "b\\00"):
            code, text = m.rcpt("%s@%s" % (local, server.domain))
            assert code in (501, 550), (local, code, text)


def test_smtp_6_over_quota(site):
    """452 4.2.2 at RCPT for that one; full only at the end, it waits in the queue and holds nobody else."""
    site.lmtp.rcpt_answer = lambda address, i: "452 4.2.2 mailbox full" if address == BINH and i is None else "250 ok"
    s = site.mx()
    s.cmd("MAIL FROM:<d@hopthu.example>")
    assert s.cmd("RCPT TO:<%s>" % BINH).startswith("452 4.2.2")
    assert s.cmd("RCPT TO:<%s>" % AN).startswith("250")
    s.cmd("RSET")
    site.lmtp.rcpt_answer = lambda address, i: "250 ok"
    site.lmtp.data_answer = lambda address, i: "452 4.2.2 mailbox full" if address == VANTHU else "250 ok"
    assert s.mail("d@hopthu.example", [AN, VANTHU], MAIL)[-1].startswith("250 2.0.0 Queued")
    assert [m[2] for m in site.lmtp.mails] == [AN]
    assert [e["rcpts"] for e in listing(site)] == [[VANTHU]]
    # the others' mail goes by
    assert s.mail("d@hopthu.example", [BINH], MAIL)[-1].startswith("250 2.0.0 Delivered")
    site.lmtp.data_answer = lambda address, i: "250 ok"
    wait_for(lambda: not listing(site), 30)
    assert sorted(m[2] for m in site.lmtp.mails) == sorted([AN, BINH, VANTHU])


def test_smtp_7_replies_are_ascii_unless_smtputf8(site):
    site.milter.on["E"] = [("y", "550 5.7.1 P01 Công văn phải được ký số.\0".encode())]
    s = site.mx()
    assert s.mail("d@hopthu.example", [AN], MAIL)[-1] == "550 5.7.1 P01 Cong van phai duoc ky so."
    assert s.cmd("MAIL FROM:<d@hopthu.example> SMTPUTF8").startswith("250")
    s.cmd("RCPT TO:<%s>" % AN)
    s.cmd("DATA")
    assert s.cmd(MAIL + "\r\n.\r\n") == "550 5.7.1 P01 Công văn phải được ký số."


def test_smtp_9_nothing_is_changed(site):
    """Long lines, odd folding, trailing spaces, 8-bit, empty lines, a body without a line end of its own: as they came."""
    odd = (b"From:<%s>\r\nX-Odd:\ta\r\n \tb  \r\nx-lower:1\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n" % AN.encode()
           + b"z" * 50000 + b"\r\n trailing  \r\n\t\r\n\r\n\xe1\xbb\x99 \xff\xfe\r\n--b\r\nContent-Type: application/pkcs7-signature\r\n\r\nMII=\r\n"
           + b"--b--\r\nepilogue\r\n\r\n\r\n")
    for s, sender in ((site.mx(), "d@hopthu.example"), (site.submission(), AN)):
        assert s.mail(sender, [BINH], odd + b".\r\n")[-1].startswith("250")
        assert site.lmtp.mails.pop()[3].endswith(b"\r\n" + odd)
