"""Standard clients against the real programs: curl, swaks, openssl s_client, mutt, mbsync, smtplib, imaplib."""

import imaplib
import mailbox
import os
import pathlib
import pty
import re
import select
import shutil
import smtplib
import subprocess
import time

import client
import pytest


def program(name):
    return pytest.mark.skipif(shutil.which(name) is None, reason=name + " is not installed")


def run(args, **kw):
    return subprocess.run([str(a) for a in args], capture_output=True, timeout=60,
                          **({"stdin": subprocess.DEVNULL} if "input" not in kw else {}), **kw)


@pytest.fixture
def binh(server):
    return server.user("staff", agency="SKHCN")  # has a Vietnamese password


@pytest.fixture
def tung(server):
    return server.user("staff", agency="STC")  # has an ASCII one


def deliver(server, sender, rcpt, subject="Thư thường", body=None):
    mid = client.new_id(server.domain)
    mail = client.header(client.address(sender["name"], sender["address"]), [rcpt["address"]], subject, mid) + \
        client.text_part(body or "Nội dung thư.\n")
    code, text = server.submit(sender, sender["address"], [rcpt["address"]], mail)
    assert code == 250, text
    got = server.fetch(rcpt, mid)
    assert got is not None
    return mid, mail, got


# --- curl

@program("curl")
def test_curl_reads(server, binh, tung):
    mid, mail, _ = deliver(server, tung, binh)
    args = ["curl", "-sS", "--cacert", server.ca_file, "--user", "%s:%s" % (binh["login"], binh["password"])]
    base = "imaps://%s:%d" % (server.host, server.imaps_port)
    r = run(args + [base + "/"])
    assert r.returncode == 0 and b"INBOX" in r.stdout, r.stderr
    r = run(args + [base + "/INBOX", "-X", 'UID SEARCH HEADER Message-ID "%s"' % mid])
    uid = re.search(rb"\* SEARCH (\d+)", r.stdout).group(1).decode()
    r = run(args + [base + "/INBOX;UID=" + uid])
    assert r.returncode == 0 and r.stdout.endswith(mail), r.stderr
    r = run(args[:-1] + ["%s:falsch" % binh["login"], base + "/"])
    assert r.returncode == 67, "a wrong password must be refused: %d %s" % (r.returncode, r.stderr)


@program("curl")
def test_curl_starttls_imap_and_smtp(server, binh, tung, tmp_path):
    r = run(["curl", "-sS", "--ssl-reqd", "--cacert", server.ca_file, "--user", "%s:%s" % (tung["login"], tung["password"]),
             "imap://%s:%d/INBOX" % (server.host, server.imap_port), "-X", "EXAMINE INBOX"])
    assert r.returncode == 0 and b"EXISTS" in r.stdout, r.stderr
    mid = client.new_id(server.domain)
    (tmp_path / "m").write_bytes(client.header(tung["address"], [binh["address"]], "curl", mid) + client.text_part("x\n"))
    r = run(["curl", "-sS", "--ssl-reqd", "--cacert", server.ca_file, "--user", "%s:%s" % (tung["login"], tung["password"]),
             "--url", "smtp://%s:%d" % (server.host, server.submission_port), "--mail-from", tung["address"], "--mail-rcpt",
             binh["address"], "--upload-file", tmp_path / "m"])
    assert r.returncode == 0, r.stderr
    assert server.fetch(binh, mid)


# --- swaks

@program("swaks")
def test_swaks(server, binh, tung):
    subject = "swaks-%d" % time.time_ns()
    common = ["--to", binh["address"], "--header", "Subject: " + subject, "--body", "Xin chao", "--suppress-data"]
    # Debian's swaks 20201014 finds no certificate check that it could be told of: s_client below does that
    r = run(["swaks", "--server", server.host, "--port", server.submission_port, "--tls", "--auth", "PLAIN", "--auth-user",
             tung["login"], "--auth-password", tung["password"], "--from", tung["address"], *common])
    assert r.returncode == 0, r.stdout.decode()[-1500:]
    r = run(["swaks", "--server", server.host, "--port", server.submissions_port, "--tls-on-connect", "--auth", "LOGIN",
             "--auth-user", tung["login"], "--auth-password", tung["password"], "--from", tung["address"], *common])
    assert r.returncode == 0, r.stdout.decode()[-1500:]
    r = run(["swaks", "--server", server.host, "--port", server.smtp_mx_port, "--from", "dan@hopthu.example", *common])
    assert r.returncode == 0, r.stdout.decode()[-1500:]
    r = run(["swaks", "--socket", server.lmtp_socket, "--protocol", "LMTP", "--from", "dan@hopthu.example", *common])
    assert r.returncode == 0, r.stdout.decode()[-1500:]
    m = server.imap(binh)
    m.select("INBOX", readonly=True)
    assert len(m.uid("SEARCH", None, "SUBJECT", subject)[1][0].split()) == 4
    client.close(m)
    # nobody relays, nobody sends as somebody else
    r = run(["swaks", "--server", server.host, "--port", server.smtp_mx_port, "--from", "a@hopthu.example", "--to",
             "b@hopthu.example", "--suppress-data"])
    assert r.returncode == 24, "a relay: " + r.stdout.decode()[-800:]
    r = run(["swaks", "--server", server.host, "--port", server.submission_port, "--tls", "--auth", "PLAIN", "--auth-user",
             tung["login"], "--auth-password", tung["password"], "--from", binh["address"], "--to", binh["address"]])
    assert r.returncode in (23, 24, 25, 26), "sent as somebody else: " + r.stdout.decode()[-800:]


# --- openssl s_client

@pytest.mark.parametrize("port,args,banner", [
    ("imaps_port", [], b"* OK"), ("submissions_port", [], b"220 "),
    ("imap_port", ["-starttls", "imap"], b""), ("submission_port", ["-starttls", "smtp"], b""),
    ("smtp_mx_port", ["-starttls", "smtp"], b"")])
def test_s_client(server, port, args, banner):
    p = subprocess.Popen(["openssl", "s_client", "-connect", "%s:%d" % (server.host, server.json[port]), "-CAfile",
                          server.ca_file, "-verify_return_error", "-verify_hostname", server.host, "-crlf", *args],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    os.set_blocking(p.stdout.fileno(), False)
    out, end = b"", time.monotonic() + 10
    while time.monotonic() < end and not (b"Verify return code: 0" in out and banner in out):
        select.select([p.stdout], [], [], 0.2)
        out += p.stdout.read() or b""
    p.stdin.write(b"a LOGOUT\n" if "imap" in port else b"QUIT\n")
    p.stdin.close()
    p.wait(10)
    os.set_blocking(p.stdout.fileno(), True)
    out += p.stdout.read()
    assert b"Verify return code: 0 (ok)" in out, out[-1500:]
    assert banner in out
    assert re.search(rb"New, TLSv1\.[23], Cipher is (?!\(NONE\))", out)


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_tls_is_refused(server, version):
    r = run(["openssl", "s_client", "-connect", "%s:%d" % (server.host, server.imaps_port), version, "-cipher",
             "ALL:@SECLEVEL=0"])
    assert r.returncode != 0


# --- mutt

def mutt_rc(server, user, tmp_path):
    rc = tmp_path / "muttrc"
    rc.write_text("""
set from="%(address)s" realname="%(name)s" use_from=yes ssl_ca_certificates_file="%(ca)s" certificate_file=""
set ssl_starttls=yes ssl_force_tls=yes
set imap_user="%(login)s" imap_pass="%(password)s" smtp_pass="%(password)s"
set smtp_url="smtps://%(login)s@%(host)s:%(smtps)d/" folder="imaps://%(host)s:%(imaps)d/" spoolfile="+INBOX" record="+Sent"
set imap_authenticators="scram-sha-256:plain:login" smtp_authenticators="scram-sha-256:plain:login" charset=utf-8 send_charset="us-ascii:utf-8" assumed_charset=utf-8
set confirmappend=no confirmcreate=no quit=yes abort_noattach=no wait_key=no sleep_time=0 header_cache="" tmpdir="%(tmp)s"
set mail_check=1 beep=no copy=yes timeout=2
""" % dict(user, ca=server.ca_file, host=server.host, smtps=server.submissions_port, imaps=server.imaps_port, tmp=tmp_path))
    return rc


def in_terminal(args, seconds=30, done=None):
    """Runs a full-screen program in a terminal; its exit status and what it showed."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm", LC_ALL="C.UTF-8", COLUMNS="100", LINES="40")
        os.execvp(args[0], [str(a) for a in args])
    out, end = b"", time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            ready, _, _ = select.select([fd], [], [], 0.2)
            if ready:
                try:
                    piece = os.read(fd, 65536)
                except OSError:
                    break
                if not piece:
                    break
                out += piece
        else:
            os.kill(pid, 9)
    finally:
        os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out.decode("utf-8", "replace")


@program("mutt")
def test_mutt_sends_and_keeps_a_copy(server, binh, tung, tmp_path):
    subject = "Thư từ mutt %d" % time.time_ns()
    env = dict(os.environ, HOME=str(tmp_path), LC_ALL="C.UTF-8")
    r = run(["mutt", "-n", "-F", mutt_rc(server, tung, tmp_path), "-s", subject, binh["address"]],
            input="Xin chào từ mutt.\n".encode(), env=env)
    assert r.returncode == 0, (r.stdout + r.stderr).decode()[-1500:]
    for who, box in ((binh, "INBOX"), (tung, "Sent")):
        m = server.imap(who)
        m.select(box, readonly=True)
        m.literal = subject.encode()
        status, data = m.uid("SEARCH", "CHARSET", "UTF-8", "SUBJECT")
        assert status == "OK" and len(data[0].split()) == 1, (box, data)
        client.close(m)


@program("mutt")
def test_mutt_reads(server, binh, tung, tmp_path):
    mid, mail, _ = deliver(server, binh, tung, "Đọc bằng mutt", "Một dòng để tìm.\n")
    out = tmp_path / "read"
    rc = mutt_rc(server, tung, tmp_path)
    with rc.open("a") as f:
        f.write('set pipe_decode=no\npush "<limit>~i%s<enter><pipe-message>cat >%s<enter><quit>"\n' % (
            mid.strip("<>").split("@")[0], out))
    os.environ["HOME"] = str(tmp_path)
    code, screen = in_terminal(["mutt", "-n", "-F", rc, "-f", "imaps://%s@%s:%d/INBOX" % (
        tung["login"], server.host, server.imaps_port)])
    assert out.exists(), screen[-1500:]
    assert out.read_bytes().replace(b"\r\n", b"\n").endswith(mail.replace(b"\r\n", b"\n")), screen[-500:]
    assert code == 0


# --- mbsync

@program("mbsync")
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "LOGIN"])
def test_mbsync(server, binh, tung, tmp_path, mechanism):
    mid, mail, _ = deliver(server, tung, binh)
    maildir = tmp_path / "mail"
    maildir.mkdir()
    rc = tmp_path / "mbsyncrc"
    (tmp_path / "password").write_text(binh["password"])
    rc.write_text("""
IMAPAccount a
Host %s
Port %d
User %s
PassCmd "cat %s"
SSLType IMAPS
CertificateFile %s
SystemCertificates no
AuthMechs %s

IMAPStore far
Account a

MaildirStore near
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns INBOX Sent
Create Both
Expunge Both
SyncState *
""" % (server.host, server.imaps_port, binh["login"], tmp_path / "password", server.ca_file, mechanism, maildir, maildir))
    r = run(["mbsync", "-V", "-c", rc, "c"])
    assert r.returncode == 0, (r.stdout + r.stderr).decode()[-2000:]
    box = mailbox.Maildir(maildir / "INBOX", create=False)
    key = next((k for k, m in box.iteritems() if m["Message-ID"] == mid), None)
    assert key is not None
    text = box.get_bytes(key)
    assert text.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1] == mail.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1]
    # and the other way: a new message, a flag
    new_id = client.new_id(server.domain)
    sent = mailbox.Maildir(maildir / "Sent", create=False)
    sent.add(client.header(binh["address"], [tung["address"]], "mbsync", new_id).replace(b"\r\n", b"\n") +
             client.text_part("Từ Maildir.\n").replace(b"\r\n", b"\n"))
    flagged = box[key]
    flagged.set_flags("FS")
    flagged.set_subdir("cur")
    box[key] = flagged
    r = run(["mbsync", "-V", "-c", rc, "c"])
    assert r.returncode == 0, (r.stdout + r.stderr).decode()[-2000:]
    assert server.fetch(binh, new_id, "Sent") is not None
    m = server.imap(binh)
    m.select("INBOX", readonly=True)
    _, data = m.uid("SEARCH", None, "HEADER", "Message-ID", client.quoted(mid), "FLAGGED", "SEEN")
    assert len(data[0].split()) == 1
    client.close(m)


# --- Python's own

def test_smtplib_login(server, tung):
    """smtplib's own login(), by PLAIN and by LOGIN, over both kinds of TLS."""
    for implicit in (False, True):
        for mechanism in ("PLAIN", "LOGIN"):
            s = server.submission(implicit=implicit)
            s.ehlo()
            s.user, s.password = tung["login"], tung["password"]
            code, _ = s.auth(mechanism, getattr(s, "auth_" + mechanism.lower()), initial_response_ok=mechanism == "PLAIN")
            assert code == 235
            s.quit()
    s = server.submission()
    with pytest.raises(smtplib.SMTPAuthenticationError) as e:
        s.login(tung["login"], "sai mat khau")
    assert e.value.smtp_code == 535
    s.quit()


def test_no_password_without_tls(server, tung):
    s = smtplib.SMTP(server.host, server.submission_port, timeout=20)
    s.ehlo()
    assert not s.has_extn("auth")
    code, _ = s.docmd("AUTH PLAIN AHgAeA==")
    assert 500 <= code < 600
    s.quit()
    m = imaplib.IMAP4(server.host, server.imap_port, timeout=20)
    assert "LOGINDISABLED" in m.capabilities
    with pytest.raises(imaplib.IMAP4.error):
        m.login(tung["login"], tung["password"])
    m.logout()


def test_functional_mailbox(server):
    """The clerk sees her agency's mailbox, another person does not."""
    clerk, other, box = server.user("clerk", agency="STC"), server.user("staff", agency="SKHCN"), server.mailbox("STC")
    folder = server.other_users_folder(clerk, box["address"])
    mid = client.new_id("hopthu.example")
    mail = client.header("dan@hopthu.example", [box["address"]], "Hỏi thủ tục", mid) + client.text_part("x\n")
    with server.mx(starttls=True) as s:
        assert client.transaction(s, "dan@hopthu.example", [box["address"]], mail)[0] == 250
    assert server.fetch(clerk, mid, folder)
    with pytest.raises(AssertionError):
        server.other_users_folder(other, box["address"])
    m = server.imap(other)
    assert m.select(client.quoted(folder))[0] == "NO"
    client.close(m)


def test_imaplib_everyday_work(server, tung):
    """What a client does all day: append, flags, copy, expunge, folders, status, idle, with two sessions."""
    m, other = server.imap(tung), server.imap(tung, implicit=False)
    name = "Công việc %d" % time.time_ns()
    wire = '"%s"' % name.encode("utf-7").decode().replace("+", "&") if name.isascii() else None
    wire = wire or '"C&APQ-ng vi&Hsc-c %s"' % name.split()[-1]
    assert m.create(wire)[0] == "OK"
    mid = client.new_id(server.domain)
    mail = client.header(tung["address"], [tung["address"]], "Bản nháp", mid) + client.text_part("Nháp.\n")
    status, data = m.append(wire, r"(\Seen $NhanViec)", '"01-Feb-2026 08:00:00 +0700"', mail)
    assert status == "OK" and re.search(rb"APPENDUID \d+ \d+", data[0]), data
    assert m.select(wire)[0] == "OK"
    status, data = m.fetch("1", "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])")
    assert status == "OK"
    assert data[0][1] == mail or data[0][1].endswith(mail)
    row = b" ".join(d if isinstance(d, bytes) else d[0] for d in data)
    assert b"$NhanViec" in row and b"\\Seen" in row and b"01-Feb-2026 0" in row and mid.encode() in row
    # another session sees the flags change, the copy, the expunge
    assert other.select(wire)[0] == "OK"
    assert m.store("1", "+FLAGS", r"(\Flagged)")[0] == "OK"
    assert m.copy("1", "Archive")[0] == "OK"
    other.noop()
    assert any(b"\\Flagged" in d for d in other.response("FETCH")[1] if d)
    m.store("1", "+FLAGS", r"(\Deleted)")
    assert m.expunge()[0] == "OK"
    other.noop()
    assert other.response("EXPUNGE")[1] == [b"1"]
    assert m.status("Archive", "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN)")[0] == "OK"
    assert server.fetch(tung, mid, "Archive") is not None
    m.close()
    other.close()
    renamed = wire[:-1] + ' b"'
    assert m.rename(wire, renamed)[0] == "OK"
    assert renamed.encode() in b" ".join(m.list()[1])
    assert m.delete(renamed)[0] == "OK"
    client.close(m)
    client.close(other)


def test_idle_hears_of_new_mail(server, tung, binh):
    m = server.imap(tung)
    m.select("INBOX")
    m.send(b"i1 IDLE\r\n")
    assert m.readline().startswith(b"+")
    mid = client.new_id(server.domain)
    mail = client.header(binh["address"], [tung["address"]], "Nghe thấy", mid) + client.text_part("x\n")
    assert server.submit(binh, binh["address"], [tung["address"]], mail)[0] == 250
    start = time.monotonic()
    m.sock.settimeout(10)
    while True:
        line = m.readline()
        assert line, "the server closed"
        if re.match(rb"\* \d+ EXISTS", line):
            break
    assert time.monotonic() - start < 5
    m.send(b"DONE\r\n")
    while not line.startswith(b"i1 "):
        line = m.readline()
    assert line.startswith(b"i1 OK")
    client.close(m)


def test_large_mail(server, binh, tung):
    """20 MB, through submission, store and back."""
    body = os.urandom(15 * 1024 * 1024)
    mid = client.new_id(server.domain)
    mail = client.header(binh["address"], [tung["address"]], "Tệp lớn", mid) + client.multipart(
        [client.text_part("Kèm tệp.\n"), client.attachment("so-lieu.dat", body, "application/octet-stream")])
    code, text = server.submit(binh, binh["address"], [tung["address"]], mail)
    assert code == 250, text
    got = server.fetch(tung, mid)
    assert got is not None and client.same_from_first_field(mail, got)


# --- the address book

@program("ldapsearch")
def test_address_book(server, binh):
    """Mail clients read slapd themselves; without marks finds with marks."""
    def search(filter_, *attributes):
        r = run(["ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", server.ldap_uri, "-b", server.ldap_base, filter_,
                 *attributes])
        assert r.returncode == 0, r.stderr
        return r.stdout.decode()
    found = search("(mail=%s)" % binh["address"])
    assert "userCertificate;binary::" in found
    assert "userPassword" not in found and "authPassword" not in found
    assert "mail: " + binh["address"] in search("(displayName=*tran van binh*)", "mail")
    assert "mail: " + binh["address"] in search("(displayName=*Trần Văn Bình*)", "mail")
