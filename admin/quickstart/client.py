"""What the demonstration and the system tests need of a mail client: messages, S/MIME by the openssl program, submission by
smtplib, reading by imaplib. Only Python's standard library."""

import base64
import contextlib
import imaplib
import json
import os
import pathlib
import re
import secrets
import smtplib
import ssl
import subprocess
import tempfile
import time
from email.header import Header
from email.utils import format_datetime, formataddr
import datetime


class Site:
    """An instance as its instance.json tells of it."""

    def __init__(self, path):
        path = pathlib.Path(path)
        self.file = path / "instance.json" if path.is_dir() else path
        self.dir = self.file.parent
        self.json = json.loads(self.file.read_text(encoding="utf-8"))
        self.users = self.json["users"]
        self.host = self.json["host"]
        self.ca_file = self.json["ca_file"]
        self.domain = self.users[0]["address"].split("@")[1]

    def __getattr__(self, name):
        try:
            return self.__dict__["json"][name]
        except KeyError:
            raise AttributeError(name)

    def user(self, role=None, agency=None, address=None, nth=0):
        found = [u for u in self.users if (role is None or u["role"] == role) and (agency is None or u["agency"] == agency)
                 and (address is None or u["address"] == address)]
        return found[nth]

    def mailbox(self, abbrev):
        """The functional mailbox of an agency: an entry of users without a login of its own."""
        return self.user(role="mailbox", address="vanthu.%s@%s" % (abbrev.lower(), self.domain))

    def tls(self):
        return ssl.create_default_context(cafile=self.ca_file)

    # --- SMTP
    def submission(self, user=None, implicit=False):
        if implicit:
            s = smtplib.SMTP_SSL(self.host, self.submissions_port, context=self.tls(), timeout=60)
        else:
            s = smtplib.SMTP(self.host, self.submission_port, timeout=60)
            s.starttls(context=self.tls())
        if user:
            with closed_on_failure(s):
                smtp_login(s, user)
        return s

    def submit(self, user, sender, rcpts, message, implicit=False):
        """(code, text) of the answer to the whole transaction."""
        s = self.submission(user, implicit)
        try:
            return transaction(s, sender, rcpts, message)
        finally:
            close(s)

    def mx(self, starttls=False):
        s = smtplib.SMTP(self.host, self.smtp_mx_port, timeout=60)
        if starttls:
            s.starttls(context=self.tls())
        return s

    # --- IMAP
    def imap(self, user, implicit=True):
        if implicit:
            m = imaplib.IMAP4_SSL(self.host, self.imaps_port, ssl_context=self.tls(), timeout=60)
        else:
            m = imaplib.IMAP4(self.host, self.imap_port, timeout=60)
            m.starttls(self.tls())
        with closed_on_failure(m):
            imap_login(m, user)
        return m

    def fetch(self, user, message_id, mailbox="INBOX", wait=10.0):
        """The bytes of the one message with this Message-ID; waits for it. None when it does not come."""
        m = self.imap(user)
        try:
            end = time.monotonic() + wait
            while True:
                status, data = m.select(quoted(mailbox), readonly=True)
                if status == "OK":
                    status, data = m.uid("SEARCH", None, "HEADER", "Message-ID", quoted(message_id))
                    uids = data[0].split() if status == "OK" and data and data[0] else []
                    if uids:
                        if len(uids) > 1:
                            raise AssertionError("%s is in %s %d times" % (message_id, mailbox, len(uids)))
                        status, data = m.uid("FETCH", uids[0], "(BODY.PEEK[])")
                        return next(d[1] for d in data if isinstance(d, tuple))
                if time.monotonic() > end:
                    return None
                time.sleep(0.1)
        finally:
            close(m)

    def other_users_folder(self, user, address):
        """The IMAP name of a functional mailbox: below the namespace of other users, found by NAMESPACE and LIST."""
        m = self.imap(user)
        try:
            _, data = m.namespace()
            text = data[0].decode()
            found = re.match(r'\s*(?:NIL|\((?:\(.*?\))+\))\s+\(\("((?:[^"\\]|\\.)*)"\s+"(.)"', text)
            if not found:
                raise AssertionError("no namespace of other users: " + text)
            prefix = found.group(1)
            _, rows = m.list('""', quoted(prefix + "*"))
            names = [name_of(row) for row in rows if row]
            local = address.split("@")[0]
            for wanted in (prefix + local, prefix + address):
                if wanted in names:
                    return wanted
            raise AssertionError("%s is not under %s: %s" % (address, prefix, names))
        finally:
            close(m)


def name_of(row):
    """The mailbox name in a LIST answer of imaplib."""
    if isinstance(row, tuple):
        return row[1].decode()
    m = re.match(rb'\(.*?\) (?:"(?:[^"\\]|\\.)*"|NIL) (?:"((?:[^"\\]|\\.)*)"|(.+))$', row)
    return re.sub(rb"\\(.)", rb"\1", m.group(1)).decode() if m.group(1) is not None else m.group(2).decode()


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def smtp_login(s, user):
    """AUTH PLAIN (RFC 4616) in UTF-8: smtplib's own login() takes ASCII only."""
    s.ehlo_or_helo_if_needed()
    raw = "\0%s\0%s" % (user["login"], user["password"])
    code, text = s.docmd("AUTH", "PLAIN " + base64.b64encode(raw.encode("utf-8")).decode())
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, text)


def imap_login(m, user):
    raw = "\0%s\0%s" % (user["login"], user["password"])
    m.authenticate("PLAIN", lambda _challenge: raw.encode("utf-8"))


def transaction(s, sender, rcpts, message):
    """One mail; (code, text) of the first answer that is no success, or of the last one."""
    s.ehlo_or_helo_if_needed()
    options = ["SIZE=%d" % len(message)] if s.has_extn("size") else []
    if any(b > 127 for b in message) and s.has_extn("8bitmime"):
        options.append("BODY=8BITMIME")
    code, text = s.mail(sender, options)
    for rcpt in rcpts if code == 250 else ():
        code, text = s.rcpt(rcpt)
        if code not in (250, 251):
            break
    if code in (250, 251):
        code, text = s.data(message)
    return code, text.decode("utf-8", "replace")


def close(connection):
    try:
        connection.logout() if isinstance(connection, imaplib.IMAP4) else connection.quit()
    except (OSError, smtplib.SMTPException, imaplib.IMAP4.error):
        pass


@contextlib.contextmanager
def closed_on_failure(connection):
    """A connection that nobody gets is closed now, and not when its exception is collected: the server serves it until then."""
    try:
        yield
    except BaseException:
        close(connection)
        raise


# --- messages

def new_id(domain):
    return "<%s.%s@%s>" % (time.strftime("%Y%m%d%H%M%S"), secrets.token_hex(8), domain)


def address(name, addr):
    return formataddr((str(Header(name, "utf-8").encode()) if not name.isascii() else name, addr))


def header(sender, to, subject, message_id, extra=()):
    """The header fields of a mail, CRLF, without the MIME ones."""
    fields = [("Message-ID", message_id), ("Date", format_datetime(datetime.datetime.now(datetime.timezone.utc))),
              ("From", sender), ("To", ", ".join(to)), ("Subject", Header(subject, "utf-8", 70).encode("; ", 70, "\r\n")),
              *extra, ("MIME-Version", "1.0")]
    return "".join("%s: %s\r\n" % f for f in fields).encode("ascii")


def text_part(text):
    body = base64.encodebytes(text.replace("\n", "\r\n").encode("utf-8")).replace(b"\n", b"\r\n")
    return b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + body


def attachment(name, data, kind="application/pdf"):
    body = base64.encodebytes(data).replace(b"\n", b"\r\n")
    return (b"Content-Type: %s; name=\"%s\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; "
            b"filename=\"%s\"\r\n\r\n" % (kind.encode(), name.encode(), name.encode())) + body


def multipart(parts, kind="mixed"):
    mark = secrets.token_hex(12).encode()
    out = b'Content-Type: multipart/%s; boundary="%s"\r\n\r\n' % (kind.encode(), mark)
    for part in parts:
        out += b"--" + mark + b"\r\n" + part.rstrip(b"\r\n") + b"\r\n"
    return out + b"--" + mark + b"--\r\n"


def pdf(lines):
    """A small but whole PDF 1.4 with a page of text."""
    show = "BT /F1 14 Tf 72 770 Td 18 TL " + " ".join("(%s) Tj T*" % re.sub(r"([\\()])", r"\\\1", t) for t in lines) + " ET"
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
               "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
               "<< /Length %d >>\nstream\n%s\nendstream" % (len(show), show),
               "<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman >>"]
    out, places = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for n, text in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (n, text.encode("latin-1"))
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % p for p in places)
    return out + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)


# --- S/MIME, by openssl

def openssl(*args, data=None):
    r = subprocess.run(["openssl", *map(str, args)], input=data, capture_output=True)
    return r.returncode, r.stdout, r.stderr.decode("utf-8", "replace")


def sign(entity, user, md="sha256", options=()):
    """multipart/signed (RFC 8551) around a MIME entity, the bytes of which are not touched. The file of the certificate holds
    its chain too."""
    with tempfile.TemporaryDirectory() as tmp:
        part, chain = os.path.join(tmp, "entity"), os.path.join(tmp, "chain.pem")
        with open(part, "wb") as f:
            f.write(entity)
        blocks = re.findall(r"-----BEGIN CERT.*?-----END CERTIFICATE-----\n", pathlib.Path(user["cert"]).read_text(), re.S)
        pathlib.Path(chain).write_text("".join(blocks[1:]))
        rc, der, err = openssl("cms", "-sign", "-binary", "-in", part, "-signer", user["cert"], "-inkey", user["key"], "-md",
                               md, "-outform", "DER", *(["-certfile", chain] if blocks[1:] else []), *options)
        if rc:
            raise RuntimeError("openssl cms -sign: " + err)
    mark = secrets.token_hex(12).encode()
    micalg = {"sha256": b"sha-256", "sha1": b"sha-1", "sha512": b"sha-512"}[md]
    p7s = base64.encodebytes(der).replace(b"\n", b"\r\n")
    return (b'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=%s;\r\n\tboundary="%s"\r\n\r\n'
            b"This is a signed message in MIME format.\r\n\r\n--%s\r\n" % (micalg, mark, mark) + entity + b"\r\n--" + mark +
            b'\r\nContent-Type: application/pkcs7-signature; name="smime.p7s"\r\nContent-Transfer-Encoding: base64\r\n'
            b'Content-Disposition: attachment; filename="smime.p7s"\r\n\r\n' + p7s + b"--" + mark + b"--\r\n")


def verify(message, ca_file):
    """(ok, address of the signer or openssl's complaint) of a signed mail, as the openssl program sees it."""
    with tempfile.TemporaryDirectory() as tmp:
        mail, signer = os.path.join(tmp, "mail"), os.path.join(tmp, "signer.pem")
        with open(mail, "wb") as f:
            f.write(message)
        rc, _out, err = openssl("cms", "-verify", "-inform", "SMIME", "-in", mail, "-CAfile", ca_file, "-purpose",
                                "smimesign", "-signer", signer, "-out", os.devnull)
        if rc:
            return False, err.strip()
        _, out, _ = openssl("x509", "-in", signer, "-noout", "-email")
        return True, out.decode().strip()


def same_from_first_field(sent, fetched):
    """True when fetched is trace fields, then every byte of sent."""
    if not fetched.endswith(sent):
        return False
    trace = fetched[:len(fetched) - len(sent)]
    if not trace:
        return True
    return trace.endswith(b"\r\n") and all(re.match(rb"[!-9;-~]+:|[ \t]", line)
                                           for line in trace[:-2].split(b"\r\n"))
