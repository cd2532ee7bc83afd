"""Signing in by client certificate (SASL EXTERNAL) through both sessions: who is offered it, who gets in, who does not; and that whoever has
a certificate that is of no use here still has a password."""

import base64
import datetime
import imaplib
import pathlib
import smtplib
import socket
import ssl
import subprocess
import time

import client
import pytest

CNF = """
[ca]
default_ca = issuer
[issuer]
database = %(dir)s/index.txt
new_certs_dir = %(dir)s
crlnumber = %(dir)s/crlnumber
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = none
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = any_dn
[any_dn]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[person]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = %(use)s
subjectAltName = %(san)s
authorityKeyIdentifier = keyid
"""


def openssl(*args):
    r = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert r.returncode == 0, r.stderr
    return r.stdout


class Issuer:
    """A CA that writes what a test wants."""

    def __init__(self, folder, cert=None, key=None):
        self.dir = pathlib.Path(folder)
        self.dir.mkdir()
        (self.dir / "index.txt").write_text("")
        (self.dir / "crlnumber").write_text("01\n")
        self.cert, self.key, self.n = cert, key, 0
        if cert is None:
            self.cert, self.key = self.dir / "ca.pem", self.dir / "ca.key"
            openssl("req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-config", self.cnf(), "-extensions", "root", "-subj",
                    "/CN=CA xa la", "-days", "9", "-keyout", self.key, "-out", self.cert)

    def cnf(self, san="email:none@nowhere.example", use="clientAuth"):
        path = self.dir / "ca.cnf"
        path.write_text(CNF % dict(dir=self.dir, san=san, use=use))
        return path

    def issue(self, *addresses, start=-86400, end=86400, use="clientAuth"):
        self.n += 1
        base = self.dir / ("c%d" % self.n)
        cnf = self.cnf(",".join("email:" + a for a in addresses), use)
        now = datetime.datetime.now(datetime.timezone.utc)
        times = [(now + datetime.timedelta(seconds=s)).strftime("%Y%m%d%H%M%SZ") for s in (start, end)]
        openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-config", cnf, "-subj", "/CN=c%d" % self.n, "-keyout", base.with_suffix(".key"),
                "-out", base.with_suffix(".csr"))
        openssl("ca", "-batch", "-config", cnf, "-cert", self.cert, "-keyfile", self.key, "-extensions", "person", "-notext",
                "-startdate", times[0], "-enddate", times[1], "-in", base.with_suffix(".csr"), "-out", base.with_suffix(".pem"))
        return base.with_suffix(".pem"), base.with_suffix(".key")

    def crl(self, *revoked):
        for cert, _key in revoked:
            openssl("ca", "-config", self.cnf(), "-cert", self.cert, "-keyfile", self.key, "-revoke", cert)
        out = self.dir / "crl.pem"
        openssl("ca", "-config", self.cnf(), "-cert", self.cert, "-keyfile", self.key, "-gencrl", "-crldays", "1", "-out", out)
        return out.read_text()


class External:
    def __init__(self, server, folder):
        self.server, self.conf = server, server.conf.read_text()
        self.anchors = server.dir / "etc/tls/client-ca.pem"
        self.issuer = Issuer(folder / "own", server.dir / "ca/issuing.pem", server.dir / "ca/issuing.key")
        self.stranger = Issuer(folder / "strange")

    def configure(self, map, *crls):
        # the issuing CA alone: its root need not be there
        self.anchors.write_text(self.issuer.cert.read_text() + "".join(crls))
        self.anchors.chmod(0o644)
        self.server.conf.write_text(self.conf + 'tls_client_certs = optional\ntls_client_ca_file = "%s"\nexternal_map = %s\n' % (self.anchors, map))
        done = self.server.congvu("reload")
        assert done.returncode == 0, done.stdout + done.stderr

    def restore(self):
        self.server.conf.write_text(self.conf)
        assert self.server.congvu("reload").returncode == 0
        self.anchors.unlink(missing_ok=True)
        self.server.wait_up()

    def context(self, pair):
        c = self.server.tls()
        if pair is not None:
            c.load_cert_chain(*pair)
        return c

    def smtp(self, pair, implicit=True, port=None):
        c = self.context(pair)
        if implicit:
            s = smtplib.SMTP_SSL(self.server.host, port or self.server.submissions_port, context=c, timeout=30)
        else:
            s = smtplib.SMTP(self.server.host, port or self.server.submission_port, timeout=30)
            s.starttls(context=c)
        s.ehlo()
        return s

    def imap(self, pair, implicit=True):
        c = self.context(pair)
        if implicit:
            return imaplib.IMAP4_SSL(self.server.host, self.server.imaps_port, ssl_context=c, timeout=30)
        m = imaplib.IMAP4(self.server.host, self.server.imap_port, timeout=30)
        m.starttls(c)
        return m

    def smtp_result(self, pair, authzid="", **kw):
        """(offered, code)"""
        s = self.smtp(pair, **kw)
        try:
            offered = "EXTERNAL" in s.esmtp_features.get("auth", "").split()
            return offered, s.docmd("AUTH", "EXTERNAL " + (base64.b64encode(authzid.encode()).decode() if authzid else "="))[0]
        finally:
            client.close(s)

    def imap_result(self, pair, authzid="", **kw):
        """(offered, answer)"""
        m = self.imap(pair, **kw)
        try:
            offered = "AUTH=EXTERNAL" in m.capabilities
            try:
                return offered, m.authenticate("EXTERNAL", lambda _challenge: authzid.encode())[0]
            except imaplib.IMAP4.error as e:
                return offered, str(e)
        finally:
            client.close(m)


@pytest.fixture(scope="module")
def external(server, tmp_path_factory):
    e = External(server, tmp_path_factory.mktemp("external"))
    e.configure("certificate")
    yield e
    e.restore()


def pair_of(user):
    return user["cert"], user["key"]


REFUSED = "[AUTHENTICATIONFAILED]"


def test_own_certificate(external, server):
    user = server.user("staff")
    for implicit in (True, False):
        assert external.smtp_result(pair_of(user), implicit=implicit) == (True, 235)
        assert external.imap_result(pair_of(user), implicit=implicit) == (True, "OK")
    # and is the person of it: what it sends and reads is its own
    s, mid = external.smtp(pair_of(user)), client.new_id("external.example")
    s.auth("EXTERNAL", lambda _challenge=None: "")
    text = client.header(user["address"], [user["address"]], "Bằng chứng thư", mid) + client.text_part("Không mật khẩu\n")
    assert client.transaction(s, user["address"], [user["address"]], text)[0] == 250
    assert client.transaction(s, server.user("clerk")["address"], [user["address"]], text)[0] in (550, 553)
    client.close(s)
    m = external.imap(pair_of(user))
    assert m._simple_command("AUTHENTICATE", "EXTERNAL", "=")[0] == "OK"  # RFC 4959
    m.state = "AUTH"
    end = time.monotonic() + 10
    while True:
        assert m.select("INBOX")[0] == "OK"
        if m.uid("SEARCH", None, "HEADER", "Message-ID", client.quoted(mid))[1][0]:
            break
        assert time.monotonic() < end
        time.sleep(0.1)
    client.close(m)


def test_authzid(external, server):
    user, other = server.user("staff"), server.user("clerk")
    for own in (user["login"], user["address"], user["address"].upper()):
        assert external.smtp_result(pair_of(user), own) == (True, 235)
        assert external.imap_result(pair_of(user), own) == (True, "OK")
    for foreign in (other["login"], other["address"], "root", "x" * 300, user["login"] + "\0"):
        assert external.smtp_result(pair_of(user), foreign) == (True, 535)
        offered, answer = external.imap_result(pair_of(user), foreign)
        assert offered and "[AUTHORIZATIONFAILED]" in answer


def test_without_a_certificate(external, server):
    assert external.smtp_result(None) == (False, 535)
    offered, answer = external.imap_result(None)
    assert not offered and REFUSED in answer
    # before TLS it is not even a word
    s = smtplib.SMTP(server.host, server.submission_port, timeout=30)
    s.ehlo()
    assert s.docmd("AUTH", "EXTERNAL =")[0] in (530, 538, 503) and not s.has_extn("auth")
    client.close(s)


def test_useless_certificates_leave_the_password(external, server):
    user = server.user("staff")
    useless = {"stranger's": external.stranger.issue(user["address"]),
               "expired": external.issuer.issue(user["address"], start=-7200, end=-3600),
               "not yet": external.issuer.issue(user["address"], start=3600, end=7200),
               "for servers": external.issuer.issue(user["address"], use="serverAuth"),
               "for mail alone": external.issuer.issue(user["address"], use="emailProtection")}
    for name, pair in useless.items():
        assert external.smtp_result(pair) == (False, 535), name
        offered, answer = external.imap_result(pair)
        assert not offered and REFUSED in answer, name
        s, m = external.smtp(pair), external.imap(pair)
        client.smtp_login(s, user)
        client.imap_login(m, user)
        client.close(s)
        client.close(m)


def test_not_in_the_directory(external, server):
    """Good for the TLS layer, and with the person's address: but not the certificate that the directory has."""
    pair = external.issuer.issue(server.user("staff")["address"])
    assert external.smtp_result(pair) == (True, 535)
    offered, answer = external.imap_result(pair)
    assert offered and REFUSED in answer


def test_resumed_session(external, server):
    """The ticket of a TLS session keeps whose it is; that of a session without a certificate makes nobody."""
    user = server.user("staff")
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for pair, good in ((pair_of(user), True), (None, False)):
            context, resumed, session = external.context(pair), 0, None
            context.minimum_version = context.maximum_version = version
            for _ in range(40):  # each process has a key of its own for its tickets
                with socket.create_connection((server.host, server.imaps_port), 20) as raw, context.wrap_socket(
                        raw, server_hostname=server.host, session=session) as s:
                    f = s.makefile("rwb")
                    greeting = f.readline()
                    assert (b"AUTH=EXTERNAL" in greeting) == good
                    if s.session_reused:
                        resumed += 1
                        f.write(b"a AUTHENTICATE EXTERNAL =\r\n")
                        f.flush()
                        while not (line := f.readline()).startswith(b"a "):
                            assert line
                        assert line.startswith(b"a OK") == good, line
                    session = s.session
                if resumed:
                    break
            assert resumed, version


def test_mx_does_not_ask(external, server):
    """A server that sends mail here is asked for nothing."""
    for port, asks in ((server.smtp_mx_port, False), (server.submission_port, True)):
        out = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % (server.host, port), "-starttls", "smtp", "-tls1_2"], input="QUIT\n",
                             capture_output=True, text=True, timeout=30).stdout
        assert ("Acceptable client certificate CA names" in out) == asks, out


def set_status(server, user, status):
    hr = ["-x", "-H", server.ldap_uri, "-D", "cn=hr,ou=services," + server.ldap_base, "-y", server.dir / "ldap/hr.password"]
    found = subprocess.run(["ldapsearch", *hr, "-LLL", "-o", "ldif-wrap=no", "-b", server.ldap_base, "(uid=%s)" % user["login"], "1.1"],
                           capture_output=True, text=True, timeout=30, check=True).stdout
    subprocess.run(["ldapmodify", *hr], input=found.strip() + "\nchangetype: modify\nreplace: vnStatus\nvnStatus: %s\n" % status,
                   capture_output=True, text=True, timeout=30, check=True)


def test_suspended_person(external, server):
    user = server.user("staff", nth=1)
    assert external.imap_result(pair_of(user)) == (True, "OK")
    try:
        set_status(server, user, "suspended")
        assert external.smtp_result(pair_of(user)) == (True, 535)
        assert REFUSED in external.imap_result(pair_of(user))[1]
    finally:
        set_status(server, user, "active")
    assert external.imap_result(pair_of(user)) == (True, "OK")


def test_by_address_and_revoked(external, server):
    """external_map = address, and a CRL in the file of CAs: the last test, since it is configured anew."""
    user, other, box = server.user("staff"), server.user("clerk"), server.user("mailbox")
    good, revoked, two, office, abroad = (external.issuer.issue(*a) for a in (
        [user["address"]], [user["address"]], [user["address"], other["address"]], [box["address"]], ["someone@else.example", user["address"]]))
    external.configure("address", external.issuer.crl(revoked))
    assert external.smtp_result(good) == (True, 235)
    assert external.imap_result(good) == (True, "OK")
    assert external.imap_result(abroad) == (True, "OK")
    assert external.smtp_result(revoked) == (False, 535)
    offered, answer = external.imap_result(revoked)
    assert not offered and REFUSED in answer
    # nobody's: of two people, and of an office, as which nobody signs in
    for pair in (two, office):
        assert external.smtp_result(pair) == (True, 535)
        assert REFUSED in external.imap_result(pair)[1]
    # good at the handshake, over at the login
    short = external.issuer.issue(user["address"], end=6)
    s = external.smtp(short)
    assert "EXTERNAL" in s.esmtp_features["auth"]
    time.sleep(6.5)
    assert s.docmd("AUTH", "EXTERNAL =")[0] == 535
    client.close(s)
    # what is no CA changes nothing
    external.anchors.write_text("nothing\n")
    assert server.congvu("reload").returncode == 78
    assert external.imap_result(good) == (True, "OK")
