"""Signing in under attack and under failure: channel binding, the throttle, the second directory server under load."""

import base64
import hashlib
import hmac
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import unicodedata

import pytest

from slapd import BASE, Lookup, Slapd, b64, person_ldif, scram_keys, silent_dns

WORD = "Mật khẩu của 1 người"


def secret(slapd):
    return (slapd.dir / "lookup.password").read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    slapd = Slapd(tmp_path_factory.mktemp("logins") / "ldap")
    slapd.add("".join(person_ldif(n, "Người Thứ %d" % n, "user%d" % n, WORD) for n in range(1, 21)))
    slapd.add(person_ldif(50, "Khóa Cũ", "khoacu", WORD, scram=False,
                          extra="authPassword:: %s\n" % b64(scram_keys(WORD, mech="SCRAM-SHA-1").encode())))
    slapd.add(person_ldif(61, "Lan", "lanlan", "user3"))  # whose password is a colleague's login name
    slapd.add("".join(person_ldif(n, "Người Thứ %d" % n, "known%d" % n, WORD) for n in range(62, 67)))
    yield slapd
    slapd.stop()


# --- mechanisms

def test_scram_sha_1_only_with_keys(site, tmp_path):
    lk = Lookup(tmp_path / "run", [site.uri], password=secret(site))
    try:
        imapd = lk.probe("imapd")
        assert imapd.scram("khoacu", WORD, mech="SCRAM-SHA-1")["server_ok"]
        assert imapd.scram("khoacu", WORD + "x", mech="SCRAM-SHA-1")["err"] == "auth"
        # no keys of that hash: as a name that is not there
        for user, mech in (("user1", "SCRAM-SHA-1"), ("khoacu", "SCRAM-SHA-256"), ("nobody", "SCRAM-SHA-1")):
            got = imapd.scram(user, WORD, mech=mech)
            assert got["err"] == "auth" and got["asked_proof"]
    finally:
        assert lk.close() == 0


# --- what is remembered of who signed in

def remembered(p, user, word=WORD):
    """Signs in until that is answered out of lookup's memory, as the same ticket shows; what it was given."""
    deadline = time.monotonic() + 30
    last = p.plain(user, word)
    while True:
        got = p.plain(user, word)
        assert got["result"] == last["result"] == "ok", (last, got)
        if got["login"]["ticket"] == last["login"]["ticket"]:
            return got["login"]
        assert time.monotonic() < deadline
        last = got
        time.sleep(0.1)


@pytest.mark.parametrize("role", ["smtpd", "imapd"])
@pytest.mark.parametrize("name,account", [("lan\u00adlan", 61), ("lanlan", 61), ("\uff4canlan", 61)])
def test_a_password_is_no_name(site, tmp_path, role, name, account):
    """LOGIN by a name that is written in no plain letters: the message after it is a password, be it a colleague's login name or not."""
    lk = Lookup(tmp_path / "run", [site.uri], password=secret(site))
    try:
        p = lk.probe(role)
        remembered(p, "lanlan", "user3")
        for _ in range(3):
            got = p.login(name, "user3")
            assert got["result"] == "ok" and got["login"]["account"] == "p-%06d" % account
            for got in (p.plain("user3", WORD), p.scram("user3", WORD), p.login("user3", WORD)):
                assert got["result"] == "ok" and got["login"]["account"] == "p-000003", got
        # nobody signs in as user3 by that one's own name
        for got in (p.plain("user3", "user3"), p.scram("user3", "user3"), p.login("user3", "user3")):
            assert got["err"] == "auth", got
        for got in (p.login(name, "user3"), p.plain("lanlan", "user3"), p.scram("lanlan", "user3")):
            assert got["result"] == "ok" and got["login"]["account"] == "p-%06d" % account
    finally:
        assert lk.close() == 0
    # who signed in is in the log under the own name
    for line in lk.log_text().splitlines():
        if "account=p-%06d" % account in line:
            assert "name=lanlan" in line, line
        if "account=p-000003" in line:
            assert "name=user3" in line, line
    assert "name=lanlan" in lk.log_text() and "name=user3" in lk.log_text()


@pytest.mark.parametrize("role", ["smtpd", "imapd"])
def test_no_challenge_goes_out_early(site, tmp_path, role):
    """Who is remembered is answered without the directory: that is not seen by when the challenge comes."""
    lk = Lookup(tmp_path / "run", [site.uri], password=secret(site))
    try:
        p = lk.probe(role)
        remembered(p, "user9")
        for mech in ("SCRAM-SHA-256", "SCRAM-SHA-1"):
            for user in ("user9", "user10", "nobody"):
                first, began = b"n,,n=%s,r=abcdefgh" % user.encode(), []
                for steps in ((first,), (None, lambda _: began.append(time.monotonic()) or first)):
                    began.append(time.monotonic())
                    got = p.auth(mech, *steps)
                    took = time.monotonic() - began[-1]
                    assert got["result"] == "more" and b",s=" in bytes.fromhex(got["data"])
                    assert took >= 0.005, (user, mech, took)
    finally:
        assert lk.close() == 0


def test_known_is_asked_again_when_it_is_given(site, tmp_path):
    """Between the name and the password or proof what is known may be over, or not be heard of any more."""
    lk = Lookup(tmp_path / "run", [site.uri], password=secret(site), more="ticket_seconds = 60\n")
    try:
        p = lk.probe("imapd")
        # what is given in the last step is not older than that
        first = [remembered(p, "known%d" % n) for n in (62, 63)]
        until = max(f["expires"] for f in first) - 60 + 60 // 8 + 1

        def wait(answer=None):
            while time.time() < until:
                time.sleep(0.2)
            return answer

        logins = []
        scram = p.scram("known62", WORD, before_proof=lambda: logins.append(
            p.auth("LOGIN", None, b"known63", lambda _: wait(WORD.encode()))) or wait())
        assert scram["server_ok"] and scram["login"]["expires"] > first[0]["expires"]
        assert logins[0]["result"] == "ok" and logins[0]["login"]["expires"] > first[1]["expires"]
        # somebody is locked, and somebody else has another password
        for n, change, err in ((64, "vnStatus: suspended", "locked"), (65, "authPassword:: " + b64(scram_keys("Khác 1 chút").encode()), "auth")):
            remembered(p, "known%d" % n)
            got = p.scram("known%d" % n, WORD, before_proof=lambda: site.modify(
                "dn: vnStaffId=%06d,ou=people,%s\nchangetype: modify\nreplace: %s\n%s\n\n" % (n, BASE, change.split(":")[0], change)) or
                time.sleep(2))
            assert got["err"] == err, got
        # nobody hears of changes
        remembered(p, "known66")
        try:
            got = p.scram("known66", WORD, before_proof=lambda: site.pause(True) or time.sleep(4))
        finally:
            site.pause(False)
        assert got["err"] == "temp", got
    finally:
        assert lk.close() == 0


# --- the throttle

LIMITS = "login_fails_account = 4\nlogin_fails_network = 10\nlogin_fails_s = 3600"


def hammer(probe, user, ip, n):
    probe.ip = ip
    ids = [probe.ask("start", "PLAIN", "1", b"\0".join([b"", user.encode(), b"wrong"]).hex(), ip) for _ in range(n)]
    return [probe.wait(i)["err"] for i in ids]


def plain(probe, user, ip, word=WORD):
    probe.ip = ip
    return probe.plain(user, word)


def test_throttle_is_one_for_all_lookups(site, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    more = 'run_dir = "%s"\n' % run
    lks = [Lookup(tmp_path / name, [site.uri], password=secret(site), throttle=LIMITS, more=more) for name in "ab"]
    try:
        a, b = lks[0].probe("imapd"), lks[1].probe("smtpd")
        assert plain(a, "user1", "198.51.100.1")["result"] == "ok"
        errs = hammer(a, "user1", "203.0.113.1", 4) + hammer(b, "USER1@tinhmau.example", "203.0.113.2", 6)
        assert errs.count("auth") <= 5 and set(errs) == {"auth", "limit"}, errs
        # from everywhere, in the other process, with the right word too, by SCRAM too, whether a name is there or not
        assert plain(b, "user1", "203.0.113.3")["err"] == "limit"
        assert b.scram("user1", WORD)["err"] == "limit"
        assert "limit" in hammer(a, "nobody", "203.0.113.4", 8)
        # but not where that account is known, however often it comes (INTEROP.md, IMAP 16)
        assert all(plain(p, "user1", "198.51.100.1")["result"] == "ok" for p in (a, b) * 20)
        # nor another account
        assert plain(b, "user2", "203.0.113.1")["result"] == "ok"
        # a killed process takes nothing with it
        lks[0].proc.kill()
        lks[0].proc.wait()
        lks[0].start()
        assert plain(b, "user1", "203.0.113.3")["err"] == "limit"
        deadline = time.monotonic() + 10
        while (got := plain(a, "user1", "203.0.113.3"))["err"] == "temp" and time.monotonic() < deadline:
            time.sleep(0.1)
        assert got["err"] == "limit"
        assert "login_throttled" in lks[1].log_text()
    finally:
        for lk in lks:
            assert lk.close() == 0


def test_throttle_by_network(site, tmp_path):
    lk = Lookup(tmp_path / "run", [site.uri], password=secret(site), throttle=LIMITS)
    try:
        p = lk.probe("imapd")
        errs = [hammer(p, "user%d" % n, "2001:db8:0:1::%x" % n, 1)[0] for n in range(1, 16)]
        assert errs == ["auth"] * 10 + ["limit"] * 5
        assert plain(p, "user20", "2001:db8:0:1:ffff::1")["err"] == "limit"
        assert plain(p, "user20", "2001:db8:0:2::1")["result"] == "ok"
        # loopback stands for many (webmail)
        assert {hammer(p, "ghost%d" % n, "127.0.0.1", 1)[0] for n in range(15)} == {"auth"}
    finally:
        assert lk.close() == 0


def test_a_new_password_ends_the_throttle(site, tmp_path):
    """Of its account, at once, in PLAIN and SCRAM; not of the network that guessed, and not for who goes on guessing."""
    lk = Lookup(tmp_path / "run", [site.uri], password=secret(site), throttle=LIMITS)
    new = "Một mật khẩu khác 1"
    try:
        p = lk.probe("imapd")
        assert [hammer(p, "user5", "203.0.113.1", 1)[0] for _ in range(6)] == ["auth"] * 4 + ["limit"] * 2
        assert plain(p, "user5", "198.51.100.9")["err"] == "limit"
        site.modify("dn: vnStaffId=000005,ou=people,%s\nchangetype: modify\nreplace: userPassword\nuserPassword:: %s\n-\nreplace: authPassword\n"
                    "authPassword:: %s\n\n" % (BASE, b64(unicodedata.normalize("NFKC", new).encode()), b64(scram_keys(new).encode())))
        set_at = time.monotonic()
        p.ip = "198.51.100.9"
        assert p.scram("user5", new)["server_ok"] and plain(p, "user5", "198.51.100.10", new)["result"] == "ok"
        assert time.monotonic() - set_at < 5
        # the old one is wrong, and counts anew
        assert [hammer(p, "user5", "203.0.113.2", 1)[0] for _ in range(6)] == ["auth"] * 4 + ["limit"] * 2
        # the network has used up what it had, whoever's password is new
        errs = [hammer(p, "user%d" % n, "203.0.113.1", 1)[0] for n in range(6, 16)]
        assert errs[-1] == "limit", errs
        assert plain(p, "user5", "203.0.113.1", new)["err"] == "limit"
    finally:
        assert lk.close() == 0


def test_frozen_is_told_with_the_right_password_alone(site, tmp_path):
    """Who was frozen hears so; who guesses hears what everybody hears, of a frozen account and of none."""
    lk = Lookup(tmp_path / "run", [site.uri], password=secret(site))
    dn = "vnStaffId=000017,ou=people," + BASE
    try:
        p = lk.probe("imapd")
        assert p.plain("user17", WORD)["result"] == "ok"  # and is remembered
        site.modify("dn: %s\nchangetype: modify\nreplace: vnStatus\nvnStatus: suspended\n\n" % dn)
        for _ in range(2):
            assert p.plain("user17", WORD)["err"] == "locked"
            assert p.plain("user17@tinhmau.example", WORD)["err"] == "locked"
            assert p.login("user17", WORD)["err"] == "locked"
            assert p.scram("user17", WORD)["err"] == "locked"
        for name in ("user17", "nobody17"):
            for got in (p.plain(name, WORD + "x"), p.login(name, "x"), p.scram(name, WORD + "x")):
                assert got["err"] == "auth", (name, got)
            assert p.scram(name, WORD + "x")["asked_proof"]
        # gone for good: nobody
        site.modify("dn: %s\nchangetype: modify\nreplace: vnStatus\nvnStatus: closed\n\n" % dn)
        assert p.plain("user17", WORD)["err"] == "auth" and p.scram("user17", WORD)["err"] == "auth"
        site.modify("dn: %s\nchangetype: modify\nreplace: vnStatus\nvnStatus: active\n\n" % dn)
        assert p.plain("user17", WORD)["result"] == "ok"
    finally:
        assert lk.close() == 0


def test_throttle_is_told_to_clients(server):
    """Not looked at is not wrong: SMTP 454, IMAP [UNAVAILABLE], so that mail clients keep their passwords."""
    ghost = "ghost-%d" % os.getpid()
    wrong = base64.b64encode(("\0%s\0wrong" % ghost).encode()).decode()
    out = []

    def smtp():
        s = tls_to(server, "submissions_port")
        f = s.makefile("rwb")
        f.readline()
        f.write(b"EHLO x\r\n")
        f.flush()
        while f.readline()[3:4] == b"-":
            pass
        f.write(("AUTH PLAIN %s\r\n" % wrong).encode())
        f.flush()
        out.append(f.readline().decode())
        s.close()
    threads = [threading.Thread(target=smtp) for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sum(o.startswith("535 5.7.8") for o in out) >= 8 and any(o.startswith("454 4.7.0") for o in out), out
    s = tls_to(server, "imaps_port")
    f = s.makefile("rwb")
    f.readline()
    f.write(("a AUTHENTICATE PLAIN %s\r\nb LOGOUT\r\n" % wrong).encode())
    f.flush()
    assert f.readline().startswith(b"a NO [UNAVAILABLE] Too many failed logins")
    s.close()


# --- channel binding, through the sessions

def tls_to(server, port):
    context = ssl.create_default_context(cafile=server.ca_file)
    return context.wrap_socket(socket.create_connection((server.host, getattr(server, port)), 20), server_hostname=server.host)


class Client:
    """A TLS connection whose exporter is known: openssl s_client prints it. One line in, one line out."""

    def __init__(self, server, port, tls="-tls1_3"):
        self.p = subprocess.Popen(["openssl", "s_client", "-connect", "%s:%d" % (server.host, getattr(server, port)), "-CAfile", server.ca_file,
                                   "-verify_return_error", "-keymatexport", "EXPORTER-Channel-Binding", "-keymatexportlen", "32", "-crlf",
                                   "-nocommands", "-showcerts", tls], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.head, self.seen = "", []
        while not re.match(r"(220 |\* OK )", line := self.line()):
            self.head += line + "\n"
        hexa = re.search(r"Keying material: ([0-9A-F]{64})", self.head)
        self.exporter = bytes.fromhex(hexa.group(1)) if hexa else b""
        pem = re.search(r"-----BEGIN.*?END CERTIFICATE-----", self.head, re.S).group(0)
        self.der = ssl.PEM_cert_to_DER_cert(pem)
        self.endpoint = hashlib.sha256(self.der).digest()

    def line(self):
        text = self.p.stdout.readline()
        assert text, "closed: " + self.head[-300:]
        return text.decode(errors="replace").rstrip("\r\n")

    def say(self, text):
        self.p.stdin.write(text.encode() + b"\n")
        self.p.stdin.flush()

    def close(self):
        self.p.stdin.close()
        self.p.terminate()
        self.p.wait(10)
        self.p.stdout.close()


def scram_plus(client, imap, mech, header, binding, user, password):
    """(whether it worked, the last line)"""
    bare = "n=%s,r=%s" % (user, os.urandom(9).hex())
    if imap:
        client.say("a AUTHENTICATE %s %s" % (mech, b64((header + bare).encode())))
    else:
        client.say("EHLO x")
        while (line := client.line())[3:4] == "-":
            client.seen.append(line)
        client.say("AUTH %s %s" % (mech, b64((header + bare).encode())))
    line = client.line()
    if not line.startswith("+ " if imap else "334 "):
        return False, line
    challenge = base64.b64decode(line.split(" ", 1)[1]).decode()
    parts = dict(p.split("=", 1) for p in challenge.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", unicodedata.normalize("NFKC", password).encode(), base64.b64decode(parts["s"]), int(parts["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    without = "c=%s,r=%s" % (b64(header.encode() + binding), parts["r"])
    message = ("%s,%s,%s" % (bare, challenge, without)).encode()
    proof = bytes(x ^ y for x, y in zip(key, hmac.digest(hashlib.sha256(key).digest(), message, "sha256")))
    client.say(b64(("%s,p=%s" % (without, b64(proof))).encode()))
    line = client.line()
    if not line.startswith("+ " if imap else "334 "):
        return False, line
    want = b"v=" + base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256"))
    assert base64.b64decode(line.split(" ", 1)[1]) == want, "the server does not know the keys"
    client.say("")
    line = client.line()
    while imap and line.startswith("* "):
        line = client.line()
    return line.startswith("a OK" if imap else "235"), line


@pytest.mark.parametrize("port", ["imaps_port", "submissions_port"])
def test_channel_binding(server, port):
    imap = port == "imaps_port"
    who = server.user("staff")
    plus = "SCRAM-SHA-256-PLUS"

    def run(mech, header, binding, tls="-tls1_3"):
        c = Client(server, port, tls)
        try:
            data = {"exporter": c.exporter, "endpoint": c.endpoint, "": b"", "other": b"x" * 32}[binding]
            return scram_plus(c, imap, mech, header, data, who["login"], who["password"])
        finally:
            c.close()
    assert run(plus, "p=tls-exporter,,", "exporter")[0]
    assert run(plus, "p=tls-server-end-point,,", "endpoint")[0]
    assert run(plus, "p=tls-server-end-point,,", "endpoint", "-tls1_2")[0]
    assert run("SCRAM-SHA-256", "n,,", "")[0]
    # somebody in the middle has another channel; or struck -PLUS from the list
    for mech, header, binding in ((plus, "p=tls-exporter,,", "other"), (plus, "p=tls-server-end-point,,", "exporter"),
                                  ("SCRAM-SHA-256", "y,,", ""), (plus, "p=tls-unique,,", "other"), (plus, "n,,", "")):
        good, line = run(mech, header, binding)
        assert not good, (mech, header, line)
    assert run(plus, "p=tls-exporter,,", "exporter")[0]


def test_a_name_server_that_is_silent(site, tmp_path):
    """Whoever starts lookup waits for no DNS, whatever libldap looks for when it is used first."""
    with silent_dns(tmp_path) as (before, asked):
        lk = Lookup(tmp_path / "run", [site.uri], password=secret(site), before=before)
        t0 = time.monotonic()
        got = lk.probe("smtpd").call("rcpt", "user1@tinhmau.example")
        assert got["err"] is None and got["kind"] == 1, got
        assert time.monotonic() - t0 < 4
        with pytest.raises(BlockingIOError):
            asked.recv(512)
        assert lk.close() == 0


# --- the second directory server

def test_failover_under_load(site, tmp_path):
    """The first server is killed, comes back, falls silent, comes back; logins and recipients are asked for all the time. No wrong answer,
    ever; no failure for longer than the time-outs."""
    second = Slapd(tmp_path / "ldap2")
    second.add("".join(person_ldif(n, "Người Thứ %d" % n, "user%d" % n, WORD) for n in range(1, 21)))
    second.stop()
    subprocess.run("slapmodify -q -f slapd.conf", shell=True, cwd=second.dir, check=True, text=True,
                   input="dn: cn=lookup,ou=services,%s\nchangetype: modify\nreplace: userPassword\nuserPassword: %s\n" % (BASE, secret(site)))
    if os.getuid() == 0:
        for name in ("data.mdb", "lock.mdb"):
            shutil.chown(second.dir / "db" / name, "openldap", "openldap")
    second.start()
    lk = Lookup(tmp_path / "run", [site.uri, second.uri], password=secret(site), more="login_cache_s = 0\nldap_timeout_ms = 1000\n")
    results, stop = [], threading.Event()

    def load(n):
        probe = lk.probe(("imapd", "smtpd")[n])
        k = 0  # user1 to user5 have other passwords by now, on the first server alone
        while not stop.is_set():
            k = k % 14 + 1
            time.sleep(0.005)
            t0 = time.monotonic()
            if n == 0:
                asks = [(probe.ask("start", "PLAIN", "1", ("\0user%d\0%s" % (k + 5, WORD)).encode().hex()), lambda g: g["err"] is None and g["result"] == "ok"),
                        (probe.ask("start", "PLAIN", "1", b"\0user20\0bad".hex()), lambda g: g["err"] in ("auth", "limit"))]
            else:
                asks = [(probe.ask("rcpt", "user%d@tinhmau.example" % (k + 5)), lambda g: g["err"] is None and g["kind"] == 1),
                        (probe.ask("rcpt", "ghost%d@tinhmau.example" % k), lambda g: g["err"] is None and g["kind"] == 3)]
            for i, right in asks:
                got = probe.wait(i, 15)
                results.append((t0, time.monotonic(), "ok" if right(got) else "temp" if got["err"] == "temp" else "WRONG %s" % got))
    threads = [threading.Thread(target=load, args=(n,)) for n in (0, 1)]
    try:
        lk.probe("imapd"), lk.probe("smtpd")
        for t in threads:
            t.start()
        time.sleep(1)
        for step in (site.stop, site.start, lambda: second.pause(True), lambda: second.pause(False), lambda: site.pause(True),
                     lambda: site.pause(False), second.stop, second.start):
            step()
            time.sleep(2.5)
    finally:
        stop.set()
        for t in threads:
            t.join()
        site.pause(False)
        assert lk.close() == 0
        second.stop()
    wrong = [r for r in results if r[2].startswith("WRONG")]
    assert not wrong, wrong[:3]
    assert len(results) > 100
    bad = sorted(r for r in results if r[2] == "temp")
    longest = max((r[1] - r[0] for r in results), default=0)
    # failures come in stretches: from the first asked to the last told
    stretch, worst = None, 0.0
    for r in bad:
        stretch = [r[0], r[1]] if stretch is None or r[0] > stretch[1] + 1 else [stretch[0], r[1]]
        worst = max(worst, stretch[1] - stretch[0])
    print("%d answers, %d temporary failures, longest stretch %.1f s, slowest answer %.1f s" % (len(results), len(bad), worst, longest))
    assert worst < 4 and longest < 4
    assert results[-1][2] == "ok"


def provider(slapd, number, others):
    """Makes a slapd one of several providers (RFC 4533), each of which takes changes and tells the others."""
    conf = slapd.dir / "slapd.conf"
    text = conf.read_text()
    sync = "".join('syncrepl rid=%03d provider=%s type=refreshAndPersist retry="1 +" searchbase="%s" bindmethod=simple binddn="cn=replica,%s" '
                   'credentials=replica scope=sub filter="(objectClass=*)" attrs="*,+" schemachecking=off\n' % (n + 1, uri, BASE, BASE)
                   for n, uri in enumerate(others))
    # what replicates reads everything, passwords too, and without bounds
    text = re.sub(r"(?m)^rootdn.*$", lambda m: 'rootdn "cn=replica,%s"\nrootpw replica\n%slimits dn.exact="cn=replica,%s" size=unlimited time=unlimited' % (
        BASE, sync, BASE), text, count=1)
    text = re.sub(r"(?m)^database\s+mdb$", "serverID %d\n\n\\g<0>" % number, text, count=1)
    text = text.replace("overlay\t\tunique", "multiprovider on\n\noverlay\t\tunique", 1)
    slapd.stop()
    conf.write_text(text)


def test_two_providers_one_killed(tmp_path):
    """Two providers that replicate; a password changed at the first is good at the second. The first is killed (kill -9) under load, by SCRAM and by
    bind, comes back, and the second is killed: no wrong answer, ever, and no failure for longer than seconds."""
    one, two = Slapd(tmp_path / "one"), Slapd(tmp_path / "two")
    provider(one, 1, [two.uri])
    provider(two, 2, [one.uri])
    # the second begins with nothing of its own, and has all from the first
    for name in ("data.mdb", "lock.mdb"):
        (two.dir / "db" / name).unlink()
    (two.dir / "hr.password").write_text((one.dir / "hr.password").read_text())
    one.start(), two.start()
    one.add("".join(person_ldif(n, "Người Thứ %d" % n, "user%d" % n, WORD) for n in range(1, 21)))
    lk = Lookup(tmp_path / "run", [one.uri, two.uri], password=secret(one), more="login_cache_s = 0\nldap_timeout_ms = 1000\n")

    def there(slapd, uid, password):
        return subprocess.run(["ldapwhoami", "-x", "-H", slapd.uri, "-D", "vnStaffId=%06d,ou=people,%s" % (uid, BASE), "-w", password],
                              capture_output=True, timeout=60).returncode == 0

    def until(check, seconds=20):
        end = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < end
            time.sleep(0.1)
    results, stop = [], threading.Event()

    def load(n):
        probe = lk.probe(("imapd", "smtpd")[n])
        k = 0
        while not stop.is_set():
            k = k % 19 + 1
            time.sleep(0.01)
            for ask, right in ((lambda: (probe.scram if n else probe.plain)("user%d" % k, WORD), lambda g: g["err"] is None and g["result"] == "ok"),
                               (lambda: (probe.scram if n else probe.plain)("user20", WORD + "x"), lambda g: g["err"] == "auth"),
                               (lambda: probe.plain("ghost%d" % k, WORD), lambda g: g["err"] == "auth")):
                t0 = time.monotonic()
                got = ask()
                results.append((t0, time.monotonic(), "ok" if right(got) else "temp" if got["err"] == "temp" else "WRONG %s" % got))

    def kill(slapd):
        pid = int((slapd.dir / "slapd.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        until(lambda: not os.path.exists("/proc/%d" % pid))
    threads = [threading.Thread(target=load, args=(n,)) for n in (0, 1)]
    try:
        until(lambda: there(two, 20, unicodedata.normalize("NFKC", WORD)))
        lk.probe("imapd"), lk.probe("smtpd")
        for t in threads:
            t.start()
        time.sleep(0.5)
        kill(one)
        time.sleep(2)
        # written while the first is away, at the second; the first has it when it is back
        keys = scram_keys("Mật khẩu khác")
        two.modify("dn: vnStaffId=000020,ou=people,%s\nchangetype: modify\nreplace: userPassword\nuserPassword: another-1\n-\nreplace: authPassword\n"
                   "authPassword:: %s\n" % (BASE, b64(keys.encode())))
        one.start()
        until(lambda: there(one, 20, "another-1"))
        kill(two)
        time.sleep(2)
        two.start()
        time.sleep(0.5)
    finally:
        stop.set()
        for t in threads:
            t.join()
        assert lk.close() == 0
        one.stop(), two.stop()
    wrong = [r for r in results if r[2].startswith("WRONG")]
    assert not wrong, wrong[:3]
    bad = sorted(r for r in results if r[2] == "temp")
    stretch, worst = None, 0.0
    for r in bad:
        stretch = [r[0], r[1]] if stretch is None or r[0] > stretch[1] + 1 else [stretch[0], r[1]]
        worst = max(worst, stretch[1] - stretch[0])
    print("%d answers, %d temporary failures, longest stretch %.1f s" % (len(results), len(bad), worst))
    assert len(results) > 50 and worst < 4 and results[-1][2] == "ok"
