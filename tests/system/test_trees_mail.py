"""Mail on trees that are not ours, by configuration alone: the four trees of test_directory_trees.py, each with a whole instance before it, as mail programs and other
mail servers meet it: signing in, mail to addresses, aliases and groups, sending under one's own addresses and no others."""

import base64
import imaplib
import re
import secrets
import smtplib
import ssl
import time

import pytest

import instance
from conftest import BUILD, free_port_base
from test_directory_trees import active_directory, active_directory_by_member_of, ours, plain
from test_logins import Client, scram_plus

AN, ALIAS, BINH = "an@tinhmau.example", "nguyen.an@tinhmau.example", "weird@tinhmau.example"


class Tree:
    """An instance whose directory is the tree."""

    def __init__(self, folder, make):
        self.kind = make.__name__
        self.slapd, how, self.password, self.names = make(folder / "ldap")
        self.base = free_port_base()
        inst = self.inst = instance.Instance(folder / "instance", BUILD / "root", self.base)
        inst.make_folders()
        if inst.root:
            inst.make_users()
        inst.make_ca()
        inst.write(inst.etc / "ldap.password", how.get("password", ""), 0o600)
        inst.make_conf()
        conf = re.sub(r"^(admin_|postmaster|ldap_).*\n", "", inst.conf.read_text(), flags=re.M)
        inst.write(inst.conf, conf + 'postmaster = "%s"\nldap_uris = {"%s"}\nldap_base = "%s"\nldap_bind_dn = "%s"\nldap_password_file = "ldap.password"\nmilters = {}\n%s' % (
            AN, self.slapd.uri, how.get("base", self.slapd.base if self.kind == "ours" else ""),
            how.get("bind_dn", "cn=lookup,ou=services," + "o=tinhmau,c=VN"), how.get("more", "")))
        self.port = inst.port
        self.host, self.ca_file = "localhost", str(inst.etc / "tls/ca.pem")
        self.imaps_port, self.submissions_port = self.port("imaps"), self.port("submissions")
        self.tls = ssl.create_default_context(cafile=self.ca_file)
        inst.congvu("run", "--daemon")
        end = time.monotonic() + 30
        while True:
            try:
                self.imap(AN).logout()
                self.submission(AN).quit()
                return
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.1)

    def stop(self):
        self.inst.congvu("stop", check=False)
        self.slapd.stop()

    def imap(self, user, password=None, mech="PLAIN"):
        m = imaplib.IMAP4_SSL(self.host, self.imaps_port, ssl_context=self.tls, timeout=60)
        if mech == "LOGIN":
            m.login(user, password or self.password)
        else:
            m.authenticate("PLAIN", lambda _: ("\0%s\0%s" % (user, password or self.password)).encode())
        return m

    def submission(self, user, password=None, mech="PLAIN"):
        s = smtplib.SMTP_SSL(self.host, self.submissions_port, context=self.tls, timeout=60)
        s.ehlo()
        words = [base64.b64encode(x.encode()).decode() for x in (user, password or self.password)]
        if mech == "LOGIN":
            s.docmd("AUTH", "LOGIN " + words[0])
            answer = s.docmd(words[1])
        else:
            answer = s.docmd("AUTH", "PLAIN " + base64.b64encode(("\0%s\0%s" % (user, password or self.password)).encode()).decode())
        if answer[0] != 235:
            s.close()
            raise smtplib.SMTPAuthenticationError(*answer)
        return s

    def inbox(self, user, password, mid, wait=10):
        """How many messages with that Message-ID are in INBOX; waits for the first."""
        m = self.imap(user, password)
        try:
            end = time.monotonic() + wait
            while True:
                m.select("INBOX", readonly=True)
                n = len(m.uid("SEARCH", None, "HEADER", "Message-ID", '"%s"' % mid)[1][0].split())
                if n or time.monotonic() > end:
                    return n
                time.sleep(0.1)
        finally:
            m.logout()


@pytest.fixture(scope="module", params=[ours, plain, active_directory, active_directory_by_member_of], ids=lambda f: f.__name__)
def tree(request, tmp_path_factory):
    t = Tree(tmp_path_factory.mktemp("site"), request.param)
    yield t
    t.stop()


def letter(sender, to):
    mid = "<%s@tinhmau.example>" % secrets.token_hex(8)
    return mid, ("From: <%s>\r\nTo: <%s>\r\nMessage-ID: %s\r\nSubject: Thu\r\n\r\nx\r\n" % (sender, to, mid)).encode()


def refused(call, *args):
    with pytest.raises((imaplib.IMAP4.error, smtplib.SMTPAuthenticationError)) as e:
        call(*args)
    return str(e.value)


def test_signing_in(tree):
    """By each of one's names, by PLAIN and LOGIN, to one mailbox; wrong words, other people's and patterns are refused as nobody's are."""
    uidvalidity = set()
    for name in tree.names:
        for mech in ("PLAIN", "LOGIN"):
            m = tree.imap(name, mech=mech)
            uidvalidity.add(re.search(rb"UIDVALIDITY (\d+)", m.status("INBOX", "(UIDVALIDITY)")[1][0]).group(1))
            m.logout()
            tree.submission(name, mech=mech).quit()
    assert len(uidvalidity) == 1
    for user, password in ((AN, "wrong"), (AN, "plain-tree-2"), ("nobody", tree.password), ("*", tree.password), ("an*", tree.password),
                           ("a)(uid=*", tree.password), ("off@tinhmau.example", "ad-password-2"),
                           *([] if tree.kind == "plain" else [("off", "ad-password-2")])):  # there "off" has no address, and is not off
        assert "AUTHENTICATIONFAILED" in refused(tree.imap, user, password), user
    assert "535" in refused(tree.submission, AN, "wrong") and "535" in refused(tree.submission, "a)(uid=*", tree.password)
    with pytest.raises(imaplib.IMAP4.error):
        tree.imap(AN, "\0")


def test_scram(tree):
    """Where the directory has keys; elsewhere a right password is answered as a wrong one."""
    user = "an.nguyen" if tree.kind == "ours" else AN
    for imap in (True, False):
        c = Client(tree, "imaps_port" if imap else "submissions_port")
        good, last = scram_plus(c, imap, "SCRAM-SHA-256-PLUS", "p=tls-exporter,,", c.exporter, user, tree.password)
        c.close()
        assert good == (tree.kind == "ours"), last


def test_mail_from_outside(tree):
    """To the address, an alias (a second mail, proxyAddresses) and another case of it; to a group and one of groups, nested; nobody and who is off are refused."""
    for address, boxes in ((AN, 1), (ALIAS, 1), ("AN@TinhMau.example", 1), ("all@tinhmau.example", 2), ("tren@tinhmau.example", 2)):
        mid, mail = letter("dan@hopthu.example", address)
        s = smtplib.SMTP("127.0.0.1", tree.port("mx"), timeout=60)
        assert s.sendmail("dan@hopthu.example", [address], mail) == {}
        s.quit()
        assert tree.inbox(AN, tree.password, mid) == 1, address
        assert tree.inbox(BINH, "plain-tree-2", mid, 10 if boxes == 2 else 0) == boxes - 1, address
    s = smtplib.SMTP("127.0.0.1", tree.port("mx"), timeout=60)
    s.ehlo()
    s.mail("dan@hopthu.example")
    for address in ("off@tinhmau.example", "nobody@tinhmau.example", "a*@tinhmau.example", "an)(mail=*@tinhmau.example"):
        code, text = s.rcpt('"%s"@%s' % tuple(address.rsplit("@", 1)) if "(" in address else address)
        assert code == 550 and text.startswith(b"5.1.1"), (address, code, text)
    s.quit()


def test_sending(tree):
    """From one's own addresses, in the envelope and the header; a colleague's, a group's and nobody's are P28."""
    for sender in (AN, ALIAS):
        mid, mail = letter(sender, BINH)
        s = tree.submission(AN)
        assert s.sendmail(sender, [BINH], mail) == {}
        s.quit()
        assert tree.inbox(BINH, "plain-tree-2", mid) == 1
    for sender in (BINH, "all@tinhmau.example", "nobody@tinhmau.example", "dan@hopthu.example"):
        s = tree.submission(AN)
        code, text = s.mail(sender)
        assert code == 550 and b"P28" in text, (sender, text)
        mid, mail = letter(sender, BINH)
        with pytest.raises(smtplib.SMTPDataError) as e:
            s.sendmail(AN, [BINH], mail)
        assert e.value.smtp_code == 550 and b"P28" in e.value.smtp_error, e.value
        s.quit()
        assert tree.inbox(BINH, "plain-tree-2", mid, 0) == 0
