"""Several milters in a row, each with its own address, times, failure action and ports; smtpd alone between fakes."""

import struct
import time

import pytest
from smtpd_fakes import Milter
from test_smtpd import AN, BINH, MAIL, Site, listing

AR = "Authentication-Results: %s; dkim=pass header.d=hopthu.example\r\n"


class Milters(Site):
    """more: {name: Milter}, listening before smtpd starts."""

    def __init__(self, folder, rows, names, **options):
        (folder / "run").mkdir()
        self.more = {n: Milter(folder / "run" / (n + ".sock")) for n in names}
        super().__init__(folder, milters=rows, **options)

    def stop(self):
        super().stop()
        for m in self.more.values():
            m.stop()


@pytest.fixture
def milters(tmp_path):
    sites = []

    def make(rows, names=(), **options):
        sites.append(Milters(tmp_path, rows, names, **options))
        return sites[-1]
    yield make
    for s in sites:
        s.stop()


def test_each_sees_what_those_before_changed(milters):
    site = milters(["unix:milter.sock", "unix:b.sock"], ["b"])
    site.milter.on["E"] = [("h", b"X-A\0one\0"), ("i", struct.pack(">I", 0) + b"Authentication-Results\0localhost; dkim=pass\0"),
                           ("b", b"body of a\r\n"), ("c", b"")]
    site.more["b"].on["E"] = [("m", struct.pack(">I", 1) + b"X-A\0two\0"), ("c", b"")]
    assert site.mx().mail("d@hopthu.example", [AN], MAIL)[-1].startswith("250")
    b = site.more["b"]
    assert [d for c, d in b.seen if c == "L"][0] == b"Authentication-Results\0localhost; dkim=pass\0"
    assert (("L", b"X-A\0one\0")) in b.seen and b"".join(d for c, d in b.seen if c == "B") == b"body of a\r\n"
    assert site.lmtp.mails[0][3].endswith(b"Subject: x\r\nX-A: two\r\n\r\nbody of a\r\n")
    # what the first refuses the second does not see
    n = len(b.seen)
    site.milter.on["E"] = [("r", b"")]
    assert site.mx().mail("d@hopthu.example", [AN], MAIL)[-1].startswith("550")
    assert "E" not in "".join(c for c, _ in b.seen[n:])


def test_ports(milters):
    site = milters(["unix:milter.sock ports=mx", "unix:b.sock ports=submission name=signer", "unix:c.sock ports=mx+submission"], "bc")
    assert site.mx().mail("d@hopthu.example", [AN], MAIL)[-1].startswith("250")
    assert site.milter.commands().count("E") == 1 and not site.more["b"].seen and site.more["c"].commands().count("E") == 1
    assert site.submission().mail(AN, [BINH], MAIL)[-1].startswith("250")
    assert site.milter.commands().count("E") == 1 and site.more["b"].commands().count("E") == 1
    assert site.more["c"].commands().count("E") == 2


@pytest.mark.parametrize("action, answer", [("tempfail", "451 4.7.1"), ("accept", "250 2.0.0 Delivered"), ("reject", "550 5.7.1"),
                                            ("quarantine", "250 2.0.0 Held")])
def test_failure_action_of_each(milters, action, answer):
    """Whoever cannot be asked at all, breaks the connection at the end, or is too late."""
    other = {"tempfail": "accept"}.get(action, "tempfail")
    site = milters(["unix:milter.sock failure=%s" % other, "unix:b.sock name=b failure=%s message_ms=300" % action], ["b"])
    b = site.more["b"]

    def last():
        return [a for a in site.mx().mail("d@hopthu.example", [AN], MAIL) if not a.startswith(("503", "554 5.5.1"))][-1]
    b.on["E"] = ["close"]
    assert last().startswith(answer)
    b.on["E"] = []
    start = time.monotonic()
    assert last().startswith(answer)
    assert 0.25 < time.monotonic() - start < 3
    b.stop()
    assert last().startswith(answer)
    if action == "quarantine":
        assert [(e["state"], e["quarantine"]) for e in listing(site)] == [(3, "milter b failed")] * 3
    assert "milter=b" in site.smtpd.log()


def test_command_time(milters):
    site = milters(["unix:milter.sock command_ms=200"])
    site.milter.on["R"] = []
    s = site.mx()
    assert s.cmd("MAIL FROM:<d@hopthu.example>").startswith("250")
    start = time.monotonic()
    assert s.cmd("RCPT TO:<%s>" % AN).startswith("451")
    assert 0.15 < time.monotonic() - start < 3


def test_foreign_results_in_our_name_are_removed(milters):
    """RFC 8601 5: before the first milter, on every port; those of others and those our milters write stay."""
    site = milters(["unix:milter.sock", "unix:b.sock"], ["b"], authserv_id="mx.tinhmau.example")
    site.milter.on["E"] = [("i", struct.pack(">I", 0) + b"Authentication-Results\0mx.tinhmau.example; dkim=fail\0"), ("c", b"")]
    for s, sender in ((site.mx(), "d@hopthu.example"), (site.submission(), AN)):
        mail = AR % "MX.tinhmau.example" + AR % "(x) \"mx.tinhmau.example\" 1" + AR % "mx.other.example" + MAIL
        assert s.mail(sender, [BINH], mail)[-1].startswith("250")
        assert [d for c, d in site.milter.seen if c == "L"][:2] == [
            b"Authentication-Results\0mx.other.example; dkim=pass header.d=hopthu.example\0", b"From\0<%s>\0" % AN.encode()]
        got = site.lmtp.mails.pop()[3]
        assert got.count(b"mx.tinhmau.example") == 1 and b"mx.tinhmau.example; dkim=fail" in got and b"mx.other.example" in got
        assert [d for c, d in site.more["b"].seen if c == "L"][0].startswith(b"Authentication-Results\0mx.tinhmau.example; dkim=fail")
        site.milter.seen.clear()
        site.more["b"].seen.clear()
    assert site.smtpd.log().count("authentication_results_removed") == 2


def test_macros(milters):
    """What opendkim, opendmarc and rspamd look at."""
    site = milters(["unix:milter.sock"])
    assert site.submission().mail(AN, [BINH], MAIL)[-1].startswith("250")
    m = site.milter.macros
    qid = site.ledger.outcomes[0]["qid"]
    assert m["C"]["j"] == "localhost" and m["C"]["_"] == "[127.0.0.1]" and m["C"]["{daemon_name}"] == "submission"
    assert m["C"]["{client_addr}"] == "127.0.0.1" and m["C"]["{client_name}"] == "unknown" and int(m["C"]["{client_port}"]) > 1000
    assert m["H"]["{tls_version}"] == "TLSv1.3" and m["H"]["{cipher}"].startswith("TLS_") and m["H"]["{cipher_bits}"] in ("128", "256")
    assert m["M"]["{mail_addr}"] == AN and m["M"]["{mail_host}"] == "tinhmau.example" and m["M"]["{auth_authen}"] == AN
    assert m["R"]["{rcpt_addr}"] == BINH and m["R"]["{rcpt_host}"] == "tinhmau.example"
    assert qid == m["M"]["i"] == m["R"]["i"] == m["T"]["i"] == m["N"]["i"] == m["E"]["i"]
