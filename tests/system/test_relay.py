"""Mail to other domains: the real session, queue, relay and lookup between a fake directory, DNS, and servers that do as a test says."""

import base64
import email
import email.policy
import json
import os
import pwd
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest
from conftest import BUILD
from fake_dns import REFUSED, SERVFAIL, FakeDns
from smtpd_fakes import Fake, Lmtp, wait_for
from test_smtpd import AN, BINH, Site, listing

MAIL = "From: <%s>\r\nSubject: thu\r\n\r\ntext\r\n..dot" % AN


def certificate(folder, name):
    """A certificate of its own root: (cert, key, ca)."""
    base = str(folder / name)
    run = lambda *a: subprocess.run(["openssl", *a], check=True, capture_output=True)  # noqa: E731
    run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=" + name,
        "-addext", "subjectAltName=DNS:" + name, "-keyout", base + ".key", "-out", base + ".pem")
    return base + ".pem", base + ".key", base + ".pem"


class Mx(Fake):
    """An SMTP server. exts: what EHLO offers; on: {verb: answer or function(line)}; None closes the connection."""

    def __init__(self, ip="127.0.0.1", port=0, cert=None, exts=("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "SIZE 10000000"), greeting="220 mx.hopthu.example",
                 lmtp=False, at_once=False):
        self.mails = []   # {"tls", "mail", "rcpts", "data", "sni"}
        self.lines = []
        self.open = self.most = 0
        self.exts, self.greeting, self.lmtp, self.at_once = list(exts), greeting, lmtp, at_once
        self.on = {}
        self.sni = None
        self.ctx = None
        if cert:
            self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.ctx.load_cert_chain(*cert[:2])
            self.ctx.sni_callback = self.on_sni
        super().__init__((ip, port))

    @property
    def port(self):
        return self.sock.getsockname()[1]

    def on_sni(self, _sock, name, _ctx):
        self.sni = name

    def serve(self, conn):
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            self.talk(conn)
        finally:
            self.open -= 1

    def talk(self, conn):
        tls = self.at_once
        if tls:
            conn = self.ctx.wrap_socket(conn, server_side=True)
        f = conn.makefile("rwb")

        def say(line):
            if line is None:
                raise EOFError
            f.write(line.encode() + b"\r\n")
            f.flush()

        def answer(verb, line, usual):
            a = self.on.get(verb, usual)
            return a(line) if callable(a) else a

        say(answer("CONNECT", "", self.greeting))
        mail, rcpts = None, []
        while True:
            line = f.readline()
            if not line:
                return
            line = line.decode().rstrip("\r\n")
            self.lines.append(line)
            verb = line.split(" ")[0].upper()
            if verb in ("EHLO", "LHLO"):
                offers = self.exts + (["STARTTLS"] if self.ctx and not tls else [])
                say(answer(verb, line, "\r\n".join(["250-fake"] + ["250-" + x for x in offers] + ["250 HELP"])))
            elif verb == "STARTTLS":
                got = answer(verb, line, "220 go")
                say(got)
                if got[:3] != "220":
                    continue
                conn = self.ctx.wrap_socket(conn, server_side=True)
                f, tls = conn.makefile("rwb"), True
            elif verb == "MAIL":
                if mail:
                    say("503 5.5.1 nested MAIL")
                    continue
                got = answer(verb, line, "250 ok")
                mail, rcpts = (line if got and got[0] == "2" else None), []
                say(got)
            elif verb == "RCPT":
                got = answer(verb, line, "250 ok" if mail else "503 5.5.1 no MAIL")
                if got and got[0] == "2":
                    rcpts.append(re.search("<(.*?)>", line).group(1))
                say(got)
            elif verb == "DATA":
                got = answer(verb, line, "354 go" if rcpts else "503 5.5.1 no RCPT")
                say(got)
                if got[:3] != "354":
                    continue
                data = []
                while not data or data[-1] != b".\r\n":
                    data.append(f.readline())
                    if not data[-1]:
                        return
                body = b"".join(x[1:] if x.startswith(b".") else x for x in data[:-1])
                for r in rcpts if self.lmtp else [None]:
                    got = answer("END", r or rcpts[0], "250 2.0.0 taken")
                    if got and got[0] == "2":
                        self.mails.append({"tls": tls, "mail": mail, "rcpts": rcpts if r is None else [r], "data": body, "sni": self.sni})
                    say(got)
                mail = None
            elif verb == "RSET":
                mail = None
                say(answer(verb, line, "250 ok"))
            elif verb == "AUTH":
                say(answer(verb, line, "535 5.7.8 no"))
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("500 what")


class Relay(Site):
    """With the real lookup for relay's questions."""

    def __init__(self, folder, zone=None, **options):
        self.dns = FakeDns(zone)
        (folder / "token.key").write_text("00" * 32 + "\n")
        self.lookup_socket = socket.socket(socket.AF_UNIX)
        options = {"relay_direct": "true", "dns_resolvers": [self.dns.resolver], "dns_timeout_ms": 1500, "relay_backoff_s": 0, "relay_idle_s": 1,
                   "ldap_uris": ["ldap://127.0.0.1:9"], "ldap_base": "dc=x", "queue_retry_s": ["1"], "relay_connect_s": 3,
                   "listen_mx": "127.0.0.1:1", **options}
        super().__init__(folder, **options)
        self.lookup_socket.bind(str(self.smtpd.run / "lookup.relay.sock"))
        self.lookup_socket.listen(10)
        self.start_lookup()

    def start_lookup(self):
        s = self.smtpd
        key = open(s.dir / "token.key", "rb")
        fd = self.lookup_socket.fileno()
        me = s.conf_user
        s.procs["lookup"] = subprocess.Popen(
            [str(BUILD / "congvu-lookup"), "--conf", str(s.dir / "c.conf"), "--name", "lookup", "--index", "0", "--user", "-", "--dir",
             str(s.run), "--fd", "lookup.relay=%d" % fd, "--fd", "token_key_file=%d" % key.fileno()],
            pass_fds=[fd, key.fileno()], stderr=open(s.dir / "lookup.log", "ab"))
        assert me

    def send(self, rcpts, text=MAIL, sender=AN):
        s = self.submission()
        got = s.mail(sender, rcpts if isinstance(rcpts, list) else [rcpts], text)
        assert got[-1].startswith("250 2.0.0"), got
        return got[-1]

    def report(self, n=0, seconds=10):
        """The n-th report that came home, parsed."""
        def reports():
            return [m for m in self.lmtp.mails if m[1].startswith("MAIL FROM:<>")]
        wait_for(lambda: len(reports()) > n, seconds)
        return email.message_from_bytes(reports()[n][3], policy=email.policy.default)

    def stop(self):
        super().stop()
        self.dns.stop()
        self.lookup_socket.close()


def status_of(report):
    """[{field: value}] of the recipients."""
    part = [p for p in report.walk() if p.get_content_type() in ("message/delivery-status", "message/global-delivery-status")][0]
    blocks = part.get_payload()
    if isinstance(blocks, list):
        return [dict(b.items()) for b in blocks][1:]
    text = part.get_payload(decode=True).decode()
    return [dict(x.split(": ", 1) for x in b.strip().split("\r\n")) for b in text.strip().split("\r\n\r\n")][1:]


def test_mx_order_and_addresses(tmp_path):
    """The nearest host first, the next one when it cannot be reached; what nobody can reach waits."""
    a, b = Mx("127.0.0.2"), Mx("127.0.0.3", 0)
    b.stop()
    b = Mx("127.0.0.3", a.port)
    zone = {"hopthu.example": {"MX": [(20, "b.hopthu.example"), (10, "a.hopthu.example"), (5, "gone.hopthu.example")]},
            "a.hopthu.example": {"A": ["127.0.0.2"]}, "b.hopthu.example": {"A": ["127.0.0.3"]},
            "gone.hopthu.example": {"A": ["127.0.0.4"]}}
    site = Relay(tmp_path, zone, relay_port=a.port)
    try:
        site.send("c@hopthu.example")
        wait_for(lambda: a.mails)
        assert a.mails[0]["rcpts"] == ["c@hopthu.example"] and a.mails[0]["data"].endswith(b"text\r\n.dot\r\n") and not b.mails
        a.on["CONNECT"] = "421 4.3.2 later"
        time.sleep(1.2)  # the idle connection ends
        site.send("d@hopthu.example")
        wait_for(lambda: b.mails)
        b.on["CONNECT"] = "421 4.3.2 later too"
        time.sleep(1.2)
        site.send("e@hopthu.example")
        wait_for(lambda: [r for r in listing(site) if "4.3.2 later too" in r["why"]])
        b.on.clear()
        wait_for(lambda: len(b.mails) == 2)
        wait_for(lambda: listing(site) == [])
    finally:
        site.stop()
        a.stop()
        b.stop()


@pytest.mark.parametrize("code", [521, 556])
def test_servers_that_take_no_mail(tmp_path, code):
    """RFC 7504: a greeting of 521 (or 556) from every server is final and told at once; from one of two it only means the other; 556 as
    the answer to RCPT is for that recipient; 554 and 521 later on the way stay what they are."""
    a, b = Mx("127.0.0.2"), Mx("127.0.0.3", 0)
    b.stop()
    b = Mx("127.0.0.3", a.port)
    zone = {"hopthu.example": {"MX": [(10, "a.hopthu.example"), (20, "b.hopthu.example")]}, "a.hopthu.example": {"A": ["127.0.0.2"]},
            "b.hopthu.example": {"A": ["127.0.0.3"]}}
    site = Relay(tmp_path, zone, relay_port=a.port, queue_retry_s=["600"])
    try:
        a.on["CONNECT"] = b.on["CONNECT"] = "%d a.hopthu.example takes no mail" % code
        site.send("c@hopthu.example")
        block, = status_of(site.report())
        assert block["Final-Recipient"] == "rfc822; c@hopthu.example" and block["Action"] == "failed" and block["Status"][0] == "5", block
        assert block["Remote-MTA"] == "dns; b.hopthu.example" and block["Diagnostic-Code"] == "smtp; %d a.hopthu.example takes no mail" % code, block
        assert "takes no mail" in str(site.report()) and listing(site) == []
        assert not [x for x in a.lines + b.lines if x.startswith("MAIL")]
        b.on.clear()
        site.send("d@hopthu.example")
        wait_for(lambda: b.mails)
        assert b.mails[0]["rcpts"] == ["d@hopthu.example"]
        # away for now, and not for good: it waits
        time.sleep(1.2)
        b.on["CONNECT"] = "421 4.3.2 later"
        site.send("e@hopthu.example")
        row, = wait_for(lambda: [r for r in listing(site) if r["why"]])
        assert (row["why"], row["mta"]) == ("421 4.3.2 later", "b.hopthu.example"), row
        a.on.clear()
        b.on.clear()
        a.on["RCPT"] = lambda line: "%d 5.1.10 f takes none" % code if "<f@" in line else "250 ok"
        site.send(["f@hopthu.example", "g@hopthu.example"])
        block, = status_of(site.report(1))
        assert block["Final-Recipient"] == "rfc822; f@hopthu.example" and block["Status"] == "5.1.10"
        wait_for(lambda: [m for m in a.mails if m["rcpts"] == ["g@hopthu.example"]])
    finally:
        site.stop()
        a.stop()
        b.stop()


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
            return True
    except OSError:
        return False


class Mx6(Mx):
    """The same on ::1."""

    def __init__(self):
        super().__init__()
        self.six = socket.socket(socket.AF_INET6)
        self.six.bind(("::1", self.port))
        self.six.listen(20)
        self.came = 0
        threading.Thread(target=self.accept_six, daemon=True).start()

    def accept_six(self):
        while True:
            try:
                conn = self.six.accept()[0]
            except OSError:
                return
            self.came += 1
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def stop(self):
        self.six.close()
        super().stop()


@pytest.mark.skipif(not has_ipv6(), reason="no ::1 here")
def test_by_ipv6(tmp_path):
    """A host with AAAA alone, a route to [::1], and one whose A does not answer."""
    mx = Mx6()
    zone = {"six.example": {"MX": [(10, "mx.six.example")]}, "mx.six.example": {"AAAA": ["::1"]},
            "both.example": {"A": ["127.0.0.9"], "AAAA": ["::1"]}}
    site = Relay(tmp_path, zone, relay_port=mx.port, relay_routes=["route.example=smtp:[::1]:%d" % mx.port])
    try:
        for n, domain in enumerate(("six.example", "both.example", "route.example")):
            site.send("a@" + domain)
            wait_for(lambda: len(mx.mails) == n + 1, 15)
            assert mx.mails[n]["rcpts"] == ["a@" + domain] and mx.came >= 1
        wait_for(lambda: listing(site) == [])
    finally:
        site.stop()
        mx.stop()


def test_what_the_dns_says(tmp_path):
    """"There is none" comes from the DNS alone; silence and SERVFAIL are no answer."""
    mx = Mx()
    zone = {"nullmx.example": {"MX": [(0, "")]}, "empty.example": {}, "servfail.example": SERVFAIL, "refused.example": REFUSED,
            "silent.example": None, "implicit.example": {"A": ["127.0.0.1"]}, "nohost.example": {"MX": [(1, "not.there.example")]},
            "self.example": {"MX": [(10, "localhost"), (20, "mx.self.example")]}, "mx.self.example": {"A": ["127.0.0.1"]},
            "behind.example": {"MX": [(10, "ok.example"), (20, "localhost"), (30, "mx.self.example")]},
            "ok.example": {"A": ["127.0.0.1"]}}
    site = Relay(tmp_path, zone, relay_port=mx.port)
    try:
        names = ["gone", "nullmx", "empty", "nohost", "self", "servfail", "refused", "silent", "implicit", "behind"]
        site.send(["x@%s.example" % n for n in names] + ["y@[127.0.0.1]"])
        got = {}
        for n in range(2):
            try:
                for block in status_of(site.report(n, 4)):
                    got[block["Final-Recipient"].split("; ")[1]] = block["Status"]
            except AssertionError:
                break
        assert got == {"x@gone.example": "5.1.2", "x@nullmx.example": "5.1.10", "x@empty.example": "5.1.2", "x@nohost.example": "5.4.4",
                       "x@self.example": "5.4.6"}, got
        assert sorted(r for m in mx.mails for r in m["rcpts"]) == ["x@behind.example", "x@implicit.example", "y@[127.0.0.1]"]
        row = wait_for(lambda: [r for r in listing(site) if len(r["rcpts"]) == 3])[0]
        assert sorted(row["rcpts"]) == ["x@refused.example", "x@servfail.example", "x@silent.example"] and "4.4.3" in row["why"]
        # and when it answers again, they go
        for n in ("servfail", "refused", "silent"):
            zone[n + ".example"] = {"A": ["127.0.0.1"]}
        wait_for(lambda: listing(site) == [], 20)
        assert len([m for m in site.lmtp.mails if m[1].startswith("MAIL FROM:<>")]) <= 2
    finally:
        site.stop()
        mx.stop()


def test_dns_down_and_back(tmp_path):
    """Without lookup, and with a name server that is gone, mail waits; nothing is refused."""
    mx = Mx()
    site = Relay(tmp_path, {"hopthu.example": {"A": ["127.0.0.1"]}}, relay_port=mx.port)
    try:
        site.smtpd.kill("lookup")
        site.send("a@hopthu.example")
        time.sleep(1)
        site.start_lookup()
        wait_for(lambda: mx.mails)
        port = site.dns.port
        site.dns.stop()
        time.sleep(1.2)
        site.smtpd.kill("lookup")  # its cache with it
        site.start_lookup()
        site.send("b@hopthu.example")
        wait_for(lambda: [r for r in listing(site) if "4.4.3" in r["why"]])
        zone = site.dns.zone
        site.dns = FakeDns(zone, port)
        wait_for(lambda: len(mx.mails) == 2, 20)
    finally:
        site.stop()
        mx.stop()


@pytest.mark.parametrize("pipelining", [True, False])
def test_answers_belong_to_their_recipients(tmp_path, pipelining):
    """4xx waits, 5xx is reported, 2xx is done, each for itself; a connection takes several messages; DSN parameters go along."""
    mx = Mx(exts=(["PIPELINING"] if pipelining else []) + ["8BITMIME", "DSN", "SIZE 300000"])
    site = Relay(tmp_path, {"hopthu.example": {"A": ["127.0.0.1"]}}, relay_port=mx.port, queue_retry_s=["2"])
    try:
        tries = []

        def rcpt(line):
            if "later" in line:
                tries.append(line)
                return "450 4.2.0 later" if len(tries) == 1 else "250 ok"
            return "550-5.7.1 P01 Cong van phai duoc ky so.\r\n550 5.7.1 / Official mail must be digitally signed. [ticket 00ab]" if "bad" in line else "250 ok"
        mx.on["RCPT"] = rcpt
        s = site.submission()
        assert s.cmd("MAIL FROM:<%s> RET=FULL ENVID=ab+2Bc" % AN).startswith("250")
        for r, more in (("good", " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x+2By@z.example"), ("bad", ""), ("later", " NOTIFY=NEVER")):
            assert s.cmd("RCPT TO:<%s@hopthu.example>%s" % (r, more)).startswith("250")
        assert s.cmd("DATA").startswith("354")
        assert s.cmd(MAIL.replace("Subject: thu", "Subject: thu\r\nX-Bound: --=_congvu_") + "\r\n.\r\n").startswith("250")
        wait_for(lambda: len(mx.mails) == 2)
        assert mx.mails[0]["rcpts"] == ["good@hopthu.example"] and mx.mails[1]["rcpts"] == ["later@hopthu.example"]
        assert " RET=FULL ENVID=ab+2Bc" in mx.mails[0]["mail"] and "SIZE=" in mx.mails[0]["mail"]
        assert "RCPT TO:<good@hopthu.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x+2By@z.example" in mx.lines
        assert "RCPT TO:<later@hopthu.example> NOTIFY=NEVER" in mx.lines and "RCPT TO:<bad@hopthu.example>" in mx.lines
        report = site.report()
        block, = status_of(report)
        assert block["Final-Recipient"] == "rfc822; bad@hopthu.example" and block["Action"] == "failed" and block["Status"] == "5.7.1"
        assert block["Diagnostic-Code"].startswith("smtp; 550 5.7.1 P01 Cong van phai duoc ky so. / Official"), block
        text = report.get_body().get_content()
        assert "Quy định P01: Công văn phải được ký số." in text and "Hãy ký số thư" in text and "What to do: Sign the message" in text
        assert "Original-Envelope-Id: ab+c" in site.lmtp.mails[0][3].decode()
        whole = [p for p in report.walk() if p.get_content_type() == "message/rfc822"][0].get_payload(0)
        assert whole["Subject"] == "thu" and whole.get_payload().replace("\r", "") == "text\n.dot\n"
        assert report["Auto-Submitted"] == "auto-replied" and report.get_content_type() == "multipart/report"
        # several messages over one connection, also after refusals
        before = mx.connections
        for n in range(4):
            site.send(["bad@hopthu.example"] if n % 2 else ["n%d@hopthu.example" % n])
        wait_for(lambda: len(mx.mails) == 4 and listing(site) == [])
        assert mx.connections - before <= 1
        # larger than the server takes: told without sending it
        lines = len(mx.lines)
        site.send("big@hopthu.example", MAIL + "\r\n" + ("x" * 70 + "\r\n") * 5000)
        wait_for(lambda: len(site.lmtp.mails) == 4)
        assert [b["Status"] for b in status_of(site.report(3))] == ["5.3.4"]
        assert not [x for x in mx.lines[lines:] if x.startswith(("DATA", "RCPT TO:<big"))]
    finally:
        site.stop()
        mx.stop()


def test_success_and_delay_are_told_when_asked(tmp_path):
    """NOTIFY=SUCCESS: 'delivered' by the store, 'relayed' by a server without DSN, nothing where the next server does it itself.
    NOTIFY=DELAY: once."""
    dsn, plain, slow = Mx(), Mx(exts=("PIPELINING",)), Mx()
    slow.on["RCPT"] = "450 4.2.0 greylisted"
    routes = ["%s.example=smtp:127.0.0.1:%d" % (n, m.port) for n, m in (("dsn", dsn), ("plain", plain), ("slow", slow))]
    site = Relay(tmp_path, relay_routes=routes, queue_warn_s=1, queue_lifetime_s=60)
    try:
        s = site.submission()
        s.cmd("MAIL FROM:<%s>" % AN)
        for r in ("a@dsn.example NOTIFY=SUCCESS", "b@plain.example NOTIFY=SUCCESS", "c@plain.example NOTIFY=NEVER", "d@slow.example NOTIFY=DELAY",
                  "e@slow.example NOTIFY=FAILURE", BINH + " NOTIFY=SUCCESS"):
            address, notify = r.split()
            assert s.cmd("RCPT TO:<%s> %s" % (address, notify)).startswith("250")
        s.cmd("DATA")
        assert s.cmd(MAIL + "\r\n.\r\n").startswith("250")
        got, whose = {}, {}
        for n in range(3):
            for b in status_of(site.report(n)):
                whose[b["Final-Recipient"].split("; ")[1]] = (b.get("Remote-MTA"), b.get("Diagnostic-Code"))
                got[b["Final-Recipient"].split("; ")[1]] = (b["Action"], b["Status"][0], "Will-Retry-Until" in b)
        assert got == {BINH: ("delivered", "2", False), "b@plain.example": ("relayed", "2", False), "d@slow.example": ("delayed", "4", True)}, got
        # routes to an address: an address literal; of our own store nothing is told
        assert whose == {BINH: (None, None), "b@plain.example": ("dns; [127.0.0.1]", "smtp; 250 2.0.0 taken"),
                         "d@slow.example": ("dns; [127.0.0.1]", "smtp; 450 4.2.0 greylisted")}, whose
        time.sleep(1.5)
        assert len([m for m in site.lmtp.mails if m[1].startswith("MAIL FROM:<>")]) == 3
        # the report itself has no reports
        assert all("NOTIFY=SUCCESS" not in x for x in site.lmtp.lines)
    finally:
        site.stop()
        for m in (dsn, plain, slow):
            m.stop()


def congvu(site, *args, code=0):
    """`congvu --json queue ...`, parsed."""
    r = subprocess.run([str(BUILD / "congvu"), "-c", str(site.smtpd.dir / "c.conf"), "--json", "queue", *args], capture_output=True, text=True,
                       timeout=60)
    assert r.returncode == code, (args, r.returncode, r.stdout, r.stderr)
    return json.loads(r.stdout) if r.stdout else None


def officer(site, name, *args, code=0):
    env = dict(os.environ, SUDO_UID=str(pwd.getpwnam(name).pw_uid))
    r = subprocess.run([str(BUILD / "congvu"), "-c", str(site.smtpd.dir / "c.conf"), "quarantine", *args], capture_output=True, text=True,
                       timeout=60, env=env)
    assert r.returncode == code, (args, r.returncode, r.stdout, r.stderr)


def test_queue_commands(tmp_path):
    """hold, release (what a milter quarantined only by two officers), retry, delete whole or by recipient, show; each in the log with who."""
    mx = Mx()
    down = Mx()
    down.on["CONNECT"] = "421 4.3.2 not now"
    routes = ["up.example=smtp:127.0.0.1:%d" % mx.port, "down.example=smtp:127.0.0.1:%d" % down.port]
    site = Relay(tmp_path, relay_routes=routes, queue_retry_s=["3600"], relay_backoff_s=600, security_officers=["daemon", "bin"], officers_by_sudo="true")
    try:
        site.send(["a@down.example", "b@down.example", "c@up.example"])
        wait_for(lambda: mx.mails and [r for r in congvu(site, "list") if r["attempts"]])
        row, = congvu(site, "list")
        assert [x["address"] for x in row["recipients"]] == ["a@down.example", "b@down.example"] and row["state"] == "queued"
        assert "not now" in row["recipients"][0]["why"] and row["next_try"]
        shown, = congvu(site, "show", row["qid"])
        assert "Subject: thu" in shown["header"] and shown["from"] == AN
        # back-off: the next message for it does not even connect
        before = down.connections
        site.send("d@down.example")
        wait_for(lambda: len([r for r in congvu(site, "list") if r["attempts"]]) == 2)
        assert down.connections == before
        # a person's word goes before it
        down.on.clear()
        qid = congvu(site, "list", "--to", "D@*")[0]["qid"]
        assert congvu(site, "retry", qid) == [{"qid": qid, "result": "done"}]
        wait_for(lambda: down.mails)
        # one recipient goes, the other stays
        assert congvu(site, "hold", "--domain", "down.example")[0]["result"] == "done"
        assert congvu(site, "retry", "--all", code=73)[0]["result"] == "conflict"
        assert congvu(site, "delete", "--to", "b@*")[0]["result"] == "done"
        row, = congvu(site, "list", "--state", "hold")
        assert [x["address"] for x in row["recipients"]] == ["a@down.example"] and row["next_try"] is None
        site.smtpd.kill("smtpd-queue")
        site.smtpd.start("smtpd-queue")
        time.sleep(0.5)
        assert len(down.mails) == 1 and len(congvu(site, "list", "--state", "hold")) == 1
        congvu(site, "release", row["qid"])
        wait_for(lambda: len(down.mails) == 2 and congvu(site, "list") == [])
        assert down.mails[1]["rcpts"] == ["a@down.example"]
        # what a milter put aside waits for a person; deleted with a report
        site.milter.on["E"] = [("q", b"khoa\0"), ("a", b"")]
        site.send("e@up.example")
        site.send("f@up.example")
        site.send("h@up.example")
        rows = congvu(site, "list", "--state", "quarantine")
        assert len(rows) == 3 and rows[0]["quarantine"] == "khoa" and len(mx.mails) == 1
        for verb in ("release", "delete"):  # two officers' business
            assert congvu(site, verb, "--to", "e@*", code=77)[0]["result"] == "quarantine"
        e, f, h = (next(r["qid"] for r in rows if r["recipients"][0]["address"] == a + "@up.example") for a in "efh")
        officer(site, "daemon", "release", e, "--reason", "x")
        officer(site, "daemon", "release", e, "--confirm", code=77)
        officer(site, "bin", "release", e, "--confirm")
        wait_for(lambda: len(mx.mails) == 2)  # the filter that held it holds it again, for the same reason: that is what it was released from
        # released and not yet judged, it is the operator's: what is deleted does not come back to the quarantine
        site.milter.on["E"] = [("t", b"")]
        officer(site, "bin", "release", h, "--reason", "x")
        officer(site, "daemon", "release", h, "--confirm")
        wait_for(lambda: [r for r in congvu(site, "list", "--state", "queued") if r["qid"] == h and r["attempts"]])
        assert congvu(site, "delete", h, "--bounce")[0]["result"] == "done"
        assert h not in [r["qid"] for r in congvu(site, "list")]
        assert status_of(site.report())[0]["Final-Recipient"] == "rfc822; h@up.example"
        site.milter.on.clear()
        officer(site, "bin", "delete", f, "--reason", "x", "--bounce")
        assert status_of(site.report(1))[0]["Final-Recipient"] == "rfc822; f@up.example"
        assert congvu(site, "hold", "--all", code=67) is None and congvu(site, "hold", code=64) is None
        log = site.smtpd.log("smtpd-queue")
        for action in ("hold", "release", "retry", "delete"):
            assert "event=queue_changed_by_hand action=%s" % action in log
        assert " uid=%d" % os.getuid() in log
        # Vietnamese for people
        site.smtpd.kill("relay")
        site.send("g@up.example")
        r = subprocess.run([str(BUILD / "congvu"), "-c", str(site.smtpd.dir / "c.conf"), "queue", "list"], capture_output=True, text=True)
        assert "g@up.example" in r.stdout
        site.smtpd.start("relay")
    finally:
        site.stop()
        mx.stop()
        down.stop()


def test_tls_levels(tmp_path):
    """may: where offered, in plain when the handshake fails; encrypt: not without; verify: not without the right name; SNI; TLS at once."""
    (tmp_path / "ca").mkdir()
    good, other = certificate(tmp_path / "ca", "mx.good.example"), certificate(tmp_path / "ca", "mx.other.example")
    bundle = tmp_path / "ca/all.pem"
    bundle.write_text(open(good[2]).read() + open(other[2]).read())
    tls, plain, broken, wrong = Mx(cert=good), Mx(), Mx(cert=good), Mx(cert=other)
    at_once = Mx(cert=good, at_once=True)
    broken.on["STARTTLS"] = "220 but no"
    broken.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)  # without a certificate no handshake comes about
    refuses = Mx(cert=good)
    refuses.on["STARTTLS"] = "454 4.7.0 not now"
    names = {"tls": tls, "plain": plain, "broken": broken, "wrong": wrong, "refuses": refuses}
    zone = {"mx.good.example": {"A": ["127.0.0.1"]}, "enc.good.example": {"A": ["127.0.0.1"]}}
    routes = ["%s.example=smtp:mx.good.example:%d" % (n, m.port) for n, m in names.items()]
    # policies go by the route's host
    routes += ["enc%s.example=smtp:enc.good.example:%d" % (n, names[n].port) for n in ("plain", "refuses")]
    routes.append("once.example=smtps:mx.good.example:%d" % at_once.port)
    site = Relay(tmp_path, zone, relay_routes=routes, relay_tls_ca_file=str(bundle), queue_retry_s=["3600"],
                 relay_tls_policy=["enc.good.example=encrypt"])
    try:
        site.send(["x@%s.example" % n for n in ("tls", "plain", "broken", "wrong", "refuses", "encplain", "encrefuses", "once")])
        wait_for(lambda: len(tls.mails) == 1 and len(plain.mails) == 1 and len(broken.mails) == 1 and len(wrong.mails) == 1 and
                 len(refuses.mails) == 1 and len(at_once.mails) == 1)
        assert tls.mails[0]["tls"] and tls.mails[0]["sni"] == "mx.good.example" and not broken.mails[0]["tls"] and wrong.mails[0]["tls"]
        assert at_once.mails[0]["tls"]
        row, = wait_for(lambda: [r for r in congvu(site, "list") if r["attempts"]])
        assert {x["address"]: x["why"][:5] for x in row["recipients"]} == {"x@encplain.example": "4.7.4", "x@encrefuses.example": "4.7.4"}
    finally:
        site.stop()
        for m in (tls, plain, broken, wrong, at_once, refuses):
            m.stop()


def test_tls_verify(tmp_path):
    (tmp_path / "ca").mkdir()
    good, other = certificate(tmp_path / "ca", "mx.good.example"), certificate(tmp_path / "ca", "mx.other.example")
    right, wrong, stranger = Mx(cert=good), Mx(cert=other), Mx(cert=certificate(tmp_path / "ca", "mx.good.example"))
    zone = {n + ".example": {"A": ["127.0.0.1"]} for n in ("mx.good", "hop")}
    bundle = tmp_path / "ca/all.pem"
    bundle.write_text(open(good[2]).read())
    routes = ["right.example=smtp:mx.good.example:%d" % right.port, "wrong.example=smtp:mx.good.example:%d" % wrong.port]
    site = Relay(tmp_path, zone, relay_routes=routes, relay_tls="verify", relay_tls_ca_file=str(bundle), queue_retry_s=["3600"])
    try:
        right.ctx.load_cert_chain(*good[:2])
        site.send(["x@right.example", "x@wrong.example"])
        row, = wait_for(lambda: [r for r in congvu(site, "list") if r["attempts"]])
        assert [(x["address"], x["why"][:17]) for x in row["recipients"]] == [("x@wrong.example", "4.7.5 TLS failed:")], row
        assert not wrong.mails and not any(x.startswith("MAIL") for x in wrong.lines)
    finally:
        site.stop()
        for m in (right, wrong, stranger):
            m.stop()


def test_smarthost_with_sign_in(tmp_path):
    """By name, signed in under TLS only; a wrong password makes mail wait, never bounce."""
    (tmp_path / "ca").mkdir()
    out = Mx(cert=certificate(tmp_path / "ca", "out.example"), exts=("AUTH PLAIN", "SIZE"))
    secret = base64.b64encode(b"\0agency\0mat khau: \xc4\x91").decode()
    out.on["AUTH"] = lambda line: "235 2.7.0 ok" if line == "AUTH PLAIN " + secret else "535 5.7.8 no"
    auth = tmp_path / "smarthost.auth"
    auth.write_text("agency:mat khau: đ\n")
    site = Relay(tmp_path, {"out.example": {"A": ["127.0.0.1"]}}, smarthost="smtp:out.example:%d" % out.port, smarthost_auth_file=str(auth))
    try:
        site.send("a@hopthu.example")
        wait_for(lambda: out.mails)
        assert out.mails[0]["tls"] and [x for x in out.lines if x.startswith("AUTH")] == ["AUTH PLAIN " + secret]
        time.sleep(1.2)
        out.on["AUTH"] = "535 5.7.8 no"
        site.send("b@hopthu.example")
        wait_for(lambda: [r for r in congvu(site, "list") if "5.7.8" in (r["recipients"][0]["why"] or "")])
        ctx, out.ctx = out.ctx, None  # without TLS no password
        n = len(out.lines)
        wait_for(lambda: [r for r in congvu(site, "list") if "without TLS" in (r["recipients"][0]["why"] or "")])
        assert not [x for x in out.lines[n:] if x.startswith("AUTH")] and len(site.lmtp.mails) == 0
        out.ctx = ctx
        out.on["AUTH"] = "235 ok"
        wait_for(lambda: len(out.mails) == 2)
    finally:
        site.stop()
        out.stop()


def test_stores_of_others(tmp_path):
    """A domain of ours whose mailboxes are with another store: known to the directory, delivered there by LMTP, each with its own answer."""
    store = Mx(lmtp=True, exts=("PIPELINING", "8BITMIME"))
    store.on["END"] = lambda r: "552 5.2.2 full" if r.startswith("binh") else "250 2.0.0 saved"
    site = Relay(tmp_path, relay_routes=["tinhmau.example=lmtp:127.0.0.1:%d" % store.port])
    try:
        m = site.mx()
        assert m.mail("x@outside.example", [AN, BINH, "nobody@tinhmau.example"][:2], MAIL)[-1].startswith("250 2.0.0 Queued")
        assert m.cmd("MAIL FROM:<x@outside.example>").startswith("250")
        assert m.cmd("RCPT TO:<nobody@tinhmau.example>").startswith("550 5.1.1")
        wait_for(lambda: store.mails)
        assert [x["rcpts"] for x in store.mails] == [[AN]] and site.lmtp.mails == []
        assert any(x.startswith("LHLO ") for x in store.lines)
        # the report would go outside, and there is no way but MX: refused there by the DNS, and nobody is told of that
        wait_for(lambda: listing(site) == [])
    finally:
        site.stop()
        store.stop()


def test_concurrency_and_patience(tmp_path):
    """A destination gets so many connections and no more; one that hangs holds nobody else's mail."""
    busy, hung, quick = Mx(), Mx(), Mx()
    busy.on["END"] = lambda r: time.sleep(0.05) or "250 2.0.0 ok"
    hung.on["CONNECT"] = lambda line: time.sleep(30) or "220 late"
    routes = ["%s.example=smtp:127.0.0.1:%d" % (n, m.port) for n, m in (("busy", busy), ("hung", hung), ("quick", quick))]
    site = Relay(tmp_path, relay_routes=routes, relay_concurrency=3, relay_greeting_s=20)
    try:
        s = site.submission()
        for n in range(30):
            assert s.mail(AN, ["h%d@hung.example" % n], MAIL)[-1].startswith("250")
        for n in range(30):
            assert s.mail(AN, ["b%d@busy.example" % n], MAIL)[-1].startswith("250")
        start = time.monotonic()
        assert s.mail(AN, ["q@quick.example", BINH], MAIL)[-1].startswith("250")
        wait_for(lambda: quick.mails, 5)
        assert time.monotonic() - start < 3
        wait_for(lambda: len(busy.mails) == 30, 20)
        assert 2 <= busy.most <= 3 and hung.most <= 2, (busy.most, hung.most)
        assert sorted(m["rcpts"][0] for m in busy.mails) == sorted("b%d@busy.example" % n for n in range(30))
    finally:
        site.stop()
        for m in (busy, hung, quick):
            m.stop()


def test_killed_between_every_step(tmp_path):
    """relay and queue are killed at each step towards the server: nothing acknowledged is lost; who answered before the kill and was
    settled gets it once; only in the gap between the server's 250 and our sync can a second copy be, and it is counted."""
    mx, other = Mx(), Mx()
    site = Relay(tmp_path, relay_routes=["x.example=smtp:127.0.0.1:%d" % mx.port, "y.example=smtp:127.0.0.1:%d" % other.port],
                 queue_retry_s=["1"], relay_greeting_s=3, relay_command_s=3)
    sent, gaps = [], 0
    kill_at, done = {}, threading.Event()

    def kill(step):
        def at(line):
            who = kill_at.pop(step, None)
            if who:
                site.smtpd.kill(who)
                done.set()
                time.sleep(0.05)
            return {"DATA": "354 go", "END": "250 2.0.0 ok", "CONNECT": mx.greeting, "EHLO": "250-fake\r\n250 PIPELINING"}.get(step, "250 ok")
        return at
    for step in ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "END"):
        mx.on[step] = kill(step)
    try:
        for step in ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "END"):
            for who in ("relay", "smtpd-queue"):
                done.clear()
                if step in ("CONNECT", "EHLO"):
                    time.sleep(1.1)  # a new connection
                kill_at[step] = who
                n = len(sent)
                gaps += (step, who) == ("END", "relay")
                big = ("z" * 70 + "\r\n") * (4000 if n % 3 == 0 else 1)
                s = site.submission()
                assert s.mail(AN, ["r%d@x.example" % n, "o%d@y.example" % n, BINH], MAIL + "\r\nN: %d\r\n" % n + big)[-1].startswith("250")
                s.close()
                site.open.remove(s)
                sent.append(n)
                assert done.wait(10), (step, who)
                site.smtpd.start(who)
                wait_for(lambda: listing(site) == [], 20)
        got = [m["rcpts"][0] for m in mx.mails]
        assert set(got) == {"r%d@x.example" % n for n in sent}
        assert len(got) - len(sent) <= gaps, (len(got), len(sent), gaps)
        # the store has each (delivery id, recipient) once
        local = [m for m in site.lmtp.mails if m[2] == BINH]
        assert len(local) == len(sent) and len({m[0] for m in local}) == len(sent)
        # the other destination: settled or not known to be
        assert {m["rcpts"][0] for m in other.mails} == {"o%d@y.example" % n for n in sent}
    finally:
        site.stop()
        mx.stop()
        other.stop()


def test_torn_text_and_lost_answer(tmp_path):
    """The connection breaks within the text: the next host gets it. It breaks after the end: only that server is asked again, later."""
    a, b = Mx("127.0.0.2"), None
    b = Mx("127.0.0.3", a.port)
    zone = {"hopthu.example": {"MX": [(10, "a.example"), (20, "b.example")]}, "a.example": {"A": ["127.0.0.2"]}, "b.example": {"A": ["127.0.0.3"]}}
    site = Relay(tmp_path, zone, relay_port=a.port)
    try:
        def tear(line):
            raise EOFError
        a.on["DATA"] = tear
        site.send("c@hopthu.example")
        wait_for(lambda: b.mails)
        assert a.mails == []
        time.sleep(1.2)
        lost = []

        def lose(line):
            lost.append(line)
            if len(lost) == 1:
                raise EOFError
            return "250 2.0.0 ok"
        a.on = {"END": lose}
        site.send("d@hopthu.example")
        wait_for(lambda: a.mails)
        assert len(b.mails) == 1 and len(lost) == 2
    finally:
        site.stop()
        a.stop()
        b.stop()
