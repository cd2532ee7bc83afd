"""congvu reload: a new certificate is served, clients that are there stay, mail under way is not lost; a certificate that cannot be
read changes nothing."""

import imaplib
import json
import smtplib
import ssl
import subprocess
import threading
import time

import ca
import client
import pytest


def served(server):
    """The certificate that a new client of the IMAP port and of the submission port sees, PEM."""
    return {ssl.get_server_certificate((server.host, port)) for port in (server.imaps_port, server.submissions_port)}


def ssl_first(path):
    """The first certificate of a PEM file as ssl.get_server_certificate gives it."""
    text = path.read_text(encoding="ascii")
    return ssl.DER_cert_to_PEM_cert(ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN"):text.index("-----END CERTIFICATE-----") + 26]))


def programs(server):
    return {p["program"]: p for p in json.loads(server.congvu("status", "--json").stdout)["programs"]}


def roles(server, leaving=False):
    return {(p["program"], r["role"], r["index"]): r["pid"] for p in programs(server).values() for r in p["roles"]
            if r.get("leaving", False) == leaving}


def wait_until(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "not within %d s" % seconds
        time.sleep(0.05)


@pytest.fixture
def tls_files(server):
    """The folder of the host's certificate; what stood there is put back and served again."""
    folder = server.dir / "etc/tls"
    saved = {name: (folder / name).read_bytes() for name in ("cert.pem", "key.pem")}
    yield folder
    for name, data in saved.items():
        (folder / name).write_bytes(data)
    assert server.congvu("reload").returncode == 0


def message(user, mid):
    return client.header(user["address"], [user["address"]], "Nạp lại", mid) + client.text_part("Trong khi nạp lại\n")


def test_new_certificate_and_clients_that_stay(server, tls_files):
    user = server.user("clerk", agency="SKHCN")
    imap, smtp = server.imap(user), server.submission(user)
    imap.select("INBOX")
    # who did not get in is not there either: what is left of the exception holds no connection, for which a role would wait
    stranger = dict(user, password="không phải")
    with pytest.raises(imaplib.IMAP4.error) as no_imap:
        server.imap(stranger)
    with pytest.raises(smtplib.SMTPAuthenticationError) as no_smtp:
        server.submission(stranger)
    before, roles_before = served(server), roles(server)
    demo = ca.CA(server.dir / "ca")
    demo.host(tls_files / "cert.pem", tls_files / "key.pem", ["DNS:localhost", "IP:127.0.0.1"], "Tỉnh Mẫu")
    done = server.congvu("reload")
    assert done.returncode == 0, done.stdout + done.stderr
    after = served(server)
    assert len(after) == 1 and after != before
    now = roles(server)
    for key, pid in roles_before.items():
        stays = key[1] in ("stored", "smtpd-queue")
        assert (now[key] == pid) == stays, key
    # those that were there go on, with all that needs the other roles
    assert any(key[1] == "imapd-session" for key in roles(server, leaving=True))
    assert imap.noop()[0] == "OK" and imap.select("INBOX")[0] == "OK"
    mid = client.new_id("reload.example")
    assert client.transaction(smtp, user["address"], [user["address"]], message(user, mid))[0] == 250
    assert server.fetch(user, mid) is not None
    client.close(imap)
    client.close(smtp)
    wait_until(lambda: not roles(server, leaving=True))
    assert no_imap.tb is not None and no_smtp.tb is not None  # both are held until here


def test_bad_certificate_leaves_what_works(server, tls_files):
    # one that a reload before this replaced may take a client for a moment after it was told to leave
    wait_until(lambda: served(server) == {ssl_first(tls_files / "cert.pem")})
    before, roles_before = served(server), roles(server)
    (tls_files / "cert.pem").write_text("no certificate\n")
    done = server.congvu("reload")
    assert done.returncode == 78
    assert "congvu-smtpd did not take over" in done.stderr and "congvu-imapd did not" in done.stderr
    assert served(server) == before
    now = roles(server)
    assert all(now[k] == pid for k, pid in roles_before.items() if k[1] in ("imapd-session", "smtpd-session"))


def test_a_certificate_that_clients_refuse_is_told(server, tls_files):
    """It is taken over, as was asked; but not in silence: mail clients would be the first to say so."""
    demo = ca.CA(server.dir / "ca")
    demo.host(tls_files / "cert.pem", tls_files / "key.pem", ["DNS:other.example"], "Tỉnh Mẫu")
    done = server.congvu("reload", "--lang", "en")
    assert done.returncode == 78 and "does not name localhost" in done.stderr, done.stdout + done.stderr
    wait_until(lambda: served(server) == {ssl_first(tls_files / "cert.pem")})
    subprocess.run(["openssl", "x509", "-in", tls_files / "cert.pem", "-signkey", tls_files / "key.pem", "-days", "-1", "-out", tls_files / "old.pem"],
                   check=True, capture_output=True)
    (tls_files / "old.pem").rename(tls_files / "cert.pem")
    done = server.congvu("reload", "--lang", "en")
    assert done.returncode == 78 and "is not valid now" in done.stderr, done.stdout + done.stderr


def test_what_takes_a_restart_is_named(server):
    """The quota is the store's, which stays: who raises it is told, and does not wonder why mail is refused still."""
    text = server.conf.read_text(encoding="utf-8")
    # what a test before this one left: the file as it was, a store that was started with another one
    left = [line for line in server.congvu("reload", "--lang", "en").stdout.splitlines() if "takes a restart" in line]
    try:
        server.conf.write_text(text + "\nquota_messages = 999999\nqueue_lifetime_s = 86401\nimap_idle_keepalive_s = 121\nsecurity_officers = {\"bin\"}\nurgent_unread_s = 61\n"
                               "urgent_alert_mail = {\"vanphong@tinhmau.example\"}\nurgent_per_hour = 61\nalert_gap_s = 301\n"
                               "alert_mail = {\"anninh@tinhmau.example\"}\n", encoding="utf-8")
        done = server.congvu("reload", "--lang", "en")
        assert done.returncode == 0, done.stdout + done.stderr
        told = [line for line in done.stdout.splitlines() if "takes a restart" in line and line not in left]
        assert [line.split(" was ")[0] for line in told] == [
            "congvu-stored: quota_messages", "congvu-stored: security_officers", "congvu-smtpd: queue_lifetime_s", "congvu-smtpd: security_officers",
            "congvu-smtpd: alert_mail", "congvu-smtpd: alert_gap_s", "congvu-smtpd: urgent_unread_s", "congvu-smtpd: urgent_alert_mail",
            "congvu-smtpd: urgent_per_hour"], done.stdout
    finally:
        server.conf.write_text(text, encoding="utf-8")
        done = server.congvu("reload", "--lang", "en")
    assert done.returncode == 0 and [line for line in done.stdout.splitlines() if "takes a restart" in line] == left, done.stdout


def test_a_policy_that_is_not_taken_is_told(server):
    """The one before stays in force: reload says so, and does not look as if the new one were."""
    text, policy = server.conf.read_text(encoding="utf-8"), server.dir / "etc/site.policy"
    good = 'policy "site" version 7 owner "an@tinhmau.example";\n'
    try:
        policy.write_text(good, encoding="utf-8")
        server.conf.write_text(text + f'\npolicy_file = "{policy}"\n', encoding="utf-8")
        assert server.congvu("reload").returncode == 0
        policy.write_text(good + "mode;\n", encoding="utf-8")
        done = server.congvu("reload", "--lang", "en")
        assert done.returncode == 78 and "version 7 stays in force" in done.stderr and "site.policy:2" in done.stderr, done.stdout + done.stderr
        assert "congvu-milter: reloaded" in done.stdout, done.stdout
        policy.write_text(good, encoding="utf-8")
        done = server.congvu("reload", "--lang", "en")
        assert done.returncode == 0 and "stays in force" not in done.stderr, done.stdout + done.stderr
        done = server.congvu("policy", "verify", str(policy))
        assert done.returncode == 65 and "policy_officers is not set" in done.stderr, done.stderr
    finally:
        server.conf.write_text(text, encoding="utf-8")
        done = server.congvu("reload")
    assert done.returncode == 0, done.stderr


def test_mail_during_reloads(server):
    """Every mail is taken, or deferred and then taken; each is there once."""
    user = server.user("clerk", agency="SKHCN")
    sent, trouble, stop = [], [], threading.Event()

    def sender():
        while not stop.is_set():
            mid = client.new_id("reload.example")
            for _ in range(20):
                try:
                    code, text = server.submit(user, user["address"], [user["address"]], message(user, mid))
                except Exception as e:  # a connection that ends without an answer
                    trouble.append(repr(e))
                    return
                if code == 250:
                    sent.append(mid)
                    break
                if not 400 <= code < 500:
                    trouble.append("%d %s" % (code, text))
                    return
                time.sleep(0.1)

    threads = [threading.Thread(target=sender) for _ in range(3)]
    for t in threads:
        t.start()
    try:
        for _ in range(3):
            assert server.congvu("reload").returncode == 0
    finally:
        stop.set()
        for t in threads:
            t.join(60)
    assert not trouble and len(sent) > 5
    for mid in sent:
        assert server.fetch(user, mid) is not None  # fetch() counts
    wait_until(lambda: not roles(server, leaving=True))
