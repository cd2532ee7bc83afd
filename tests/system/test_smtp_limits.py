"""What a client may take of smtpd: connections, time, errors; and what it hears then. smtpd alone between fakes."""

import signal
import socket
import time

import pytest
from smtpd_fakes import Smtp, wait_for
from test_smtpd import AN, BINH, MAIL, Site


@pytest.fixture
def limited(tmp_path):
    sites = []

    def make(**options):
        sites.append(Site(tmp_path, **options))
        return sites[-1]
    yield make
    for s in sites:
        s.stop()


def ended(s, seconds=10):
    """What the server says before it closes."""
    s.sock.settimeout(seconds)
    data = b""
    try:
        while got := s.sock.recv(65536):
            data += got
    except ConnectionError:
        pass
    return data.decode()


def test_connections_of_one_address(limited):
    site = limited(smtpd_clients_per_address=3)
    held = [site.mx(ehlo=False) for _ in range(3)]
    more = Smtp(site.smtpd.port("mx"))
    assert more.greeting == "421 4.7.0 localhost Too many connections from your address"
    assert more.f.read() == b""
    # over TLS there is nothing to say it with before the handshake
    with socket.create_connection(("127.0.0.1", site.smtpd.port("submissions"))) as s:
        s.settimeout(5)
        assert s.recv(100) == b""
    # another address is not concerned
    with socket.create_connection(("127.0.0.1", site.smtpd.port("mx")), source_address=("127.0.0.2", 0)) as s:
        assert s.recv(100).startswith(b"220")
    held[0].cmd("QUIT")
    held[0].close()
    assert wait_for(lambda: Smtp(site.smtpd.port("mx")).greeting.startswith("220"))
    assert "too_many_connections" in site.smtpd.log()


def test_connections_of_one_network(limited):
    site = limited(smtpd_clients_per_network=2)
    got = []
    for n in range(1, 4):
        s = socket.create_connection(("127.0.0.1", site.smtpd.port("mx")), source_address=("127.0.0.%d" % n, 0))
        got.append((s, s.recv(100)))
    assert [g[:3] for _, g in got] == [b"220", b"220", b"421"]
    with socket.create_connection(("127.0.0.1", site.smtpd.port("mx")), source_address=("127.0.1.1", 0)) as s:
        assert s.recv(100).startswith(b"220")
    for s, _ in got:
        s.close()


def drip(s, data, seconds, pause=0.1):
    """Octet by octet until the server ends it; how long that took."""
    start = time.monotonic()
    s.sock.settimeout(pause)
    for i in range(int(seconds / pause)):
        try:
            s.sock.sendall(data[i % len(data):][:1])
            if got := s.sock.recv(1000):
                return time.monotonic() - start, got.decode()
            return time.monotonic() - start, ""
        except TimeoutError:
            continue
        except ConnectionError:
            return time.monotonic() - start, ""
    raise AssertionError("still there after %d s" % seconds)


@pytest.mark.parametrize("where", ["command", "data", "bdat", "auth"])
def test_dripping_client(limited, where):
    """Never idle, never done: 421 when its time is over."""
    site = limited(smtp_timeout_s=1)
    s = site.submission() if where == "data" else site.mx()
    if where in ("data", "bdat"):
        s.cmd("MAIL FROM:<%s>" % AN)
        s.cmd("RCPT TO:<%s>" % BINH)
    if where == "data":
        assert s.cmd("DATA").startswith("354")
    elif where == "bdat":
        s.send("BDAT 1000\r\n")
    elif where == "auth":
        s = Smtp(site.smtpd.port("submissions"), tls=True)
        s.cmd("EHLO x")
        assert s.cmd("AUTH PLAIN").startswith("334")
    took, got = drip(s, b"x" * 1000, 10)
    assert got.startswith("421 4.4.2 localhost Timeout") and 0.8 < took < 4, (took, got)
    assert "client_slow" in site.smtpd.log()
    assert site.lmtp.mails == []


def test_octets_that_are_never_sent(limited):
    """BDAT says more than comes; nothing comes at all."""
    site = limited(smtp_timeout_s=1)
    s = site.mx()
    s.cmd("MAIL FROM:<%s>" % AN)
    s.cmd("RCPT TO:<%s>" % BINH)
    s.send("BDAT 1000000\r\nfew")
    assert ended(s, 5).startswith("421 4.4.2")
    idle = site.mx()
    assert ended(idle, 5).startswith("421 4.4.2")


def test_slow_but_fast_enough(limited):
    """As many octets in each span as smtp_min_rate asks for."""
    site = limited(smtp_timeout_s=1, smtp_min_rate=1000)
    s = site.mx()
    s.cmd("MAIL FROM:<%s>" % AN)
    s.cmd("RCPT TO:<%s>" % BINH)
    assert s.cmd("DATA").startswith("354")
    s.send(MAIL.rstrip("text"))
    for _ in range(12):
        s.send(b"z" * 598 + b"\r\n")
        time.sleep(0.25)
    assert s.cmd(".").startswith("250")
    assert len(site.lmtp.mails) == 1


@pytest.mark.parametrize("port", ["submission", "submissions"])
def test_slow_handshake(limited, port):
    site = limited(smtp_tls_timeout_s=1, smtp_timeout_s=60)
    s = socket.create_connection(("127.0.0.1", site.smtpd.port(port)))
    s.settimeout(5)
    if port == "submission":
        s.recv(100)
        s.sendall(b"EHLO x\r\n")
        s.recv(1000)
        s.sendall(b"STARTTLS\r\n")
        assert s.recv(100).startswith(b"220")
    start = time.monotonic()
    s.sendall(b"\x16\x03\x01\x02\x00\x01")  # a record that says 512 octets
    try:
        for _ in range(50):
            s.settimeout(0.1)
            try:
                s.sendall(b"\x00")
                assert s.recv(1000) == b""
                break
            except TimeoutError:
                continue
        else:
            raise AssertionError("still there")
    except ConnectionError:
        pass
    assert 0.8 < time.monotonic() - start < 4
    s.close()
    assert wait_for(lambda: site.submission())


def test_errors_and_idle_commands(limited):
    site = limited(smtp_errors_max=5)
    s = site.mx()
    for _ in range(4):
        assert s.cmd("WHAT").startswith("500")
    s.send("WHAT\r\nWHAT\r\n")
    assert [x[:9] for x in ended(s).splitlines()] == ["500 5.5.2", "421 4.7.0"]
    s = site.mx()
    s.send("NOOP\r\n" * 200)
    got = ended(s).splitlines()
    assert got[-1].startswith("421 4.7.0") and 95 < len(got) < 110, len(got)
    # mail makes good for it
    s = site.mx()
    for _ in range(3):
        s.send("NOOP\r\n" * 60)
        assert [s.answer()[:3] for _ in range(60)] == ["250"] * 60
        assert s.mail("d@hopthu.example", [AN], MAIL)[-1].startswith("250")


def test_recipients_and_limits(limited):
    """RFC 9422 says what 452 would say."""
    site = limited(recipients_max=2)
    s = site.mx(ehlo=False)
    assert "\n250-LIMITS RCPTMAX=2\n" in s.cmd("EHLO x")
    answers = s.mail("d@hopthu.example", [AN, BINH, "vanthu.sonoivu@tinhmau.example"], MAIL)
    assert [a[:9] for a in answers[1:4]] == ["250 2.1.5", "250 2.1.5", "452 4.5.3"] and answers[-1].startswith("250")


def test_shutdown_says_421(limited):
    """Who is idle or in the middle hears it; who is over TLS too; one in a handshake is closed."""
    site = limited()
    idle, sub = site.mx(), site.submission()
    middle = site.mx()
    middle.cmd("MAIL FROM:<d@hopthu.example>")
    data = site.mx()
    data.cmd("MAIL FROM:<d@hopthu.example>")
    data.cmd("RCPT TO:<%s>" % AN)
    data.cmd("DATA")
    shaking = socket.create_connection(("127.0.0.1", site.smtpd.port("submissions")))
    time.sleep(0.1)
    site.smtpd.kill("smtpd-session", signal.SIGTERM)
    for s in (idle, sub, middle, data):
        assert ended(s).startswith("421 4.3.2 localhost"), s
    shaking.settimeout(5)
    assert shaking.recv(10) == b""
    shaking.close()
    assert site.lmtp.mails == []
    site.smtpd.start("smtpd-session")
    assert site.mx().mail("d@hopthu.example", [AN], MAIL)[-1].startswith("250")
