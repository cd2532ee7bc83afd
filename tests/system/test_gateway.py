"""A functional mailbox whose mail is signed by the server: what its clerk sends with an ordinary mail client, unsigned, comes to the reader signed; under our smtpd,
with real clients. And what the audit log can prove of it."""

import email
import email.policy
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time

import client
import pytest


@pytest.fixture(scope="module")
def gateway(server):
    """The Department's mailbox has its key with milter-sign."""
    box, before = server.mailbox("SKHCN"), server.conf.read_text()
    keys = server.dir / "etc/keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(box["key"], keys / "box.key")
    os.chmod(keys / "box.key", 0o600)
    shutil.copy(box["cert"], keys / "box.pem")
    server.conf.write_text(before + 'gateway_sign = {"%s=keys/box.key:keys/box.pem"}\naudit_checkpoint_s = 1\n' % box["address"])
    assert server.congvu("reload").returncode == 0
    server.wait_up()
    wait(lambda: "signs for " + box["address"] in server.congvu("check", "--offline").stdout)
    yield server
    server.conf.write_text(before)
    assert server.congvu("reload").returncode == 0
    server.wait_up()
    shutil.rmtree(keys)


def wait(what, seconds=20):
    end = time.monotonic() + seconds
    while not (got := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return got


def official(server, subject, text):
    """An official mail of the mailbox, unsigned, 8 bit; its Message-ID."""
    box, to = server.mailbox("SKHCN"), server.user("staff", agency="STC")
    mid = client.new_id(server.domain)
    head = client.header(box["address"], [to["address"]], subject, mid)
    return mid, box, to, head + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + text.encode()


def is_signed_by(server, mail, box):
    good, who = client.verify(mail, server.ca_file)
    assert good and box["address"] in who, who
    m = email.message_from_bytes(mail, policy=email.policy.default)
    assert m.get_content_type() == "multipart/signed"
    return m.get_payload(0)


def test_unsigned_mail_of_the_mailbox_arrives_signed(gateway):
    server, clerk = gateway, gateway.user("clerk", agency="SKHCN")
    text = "Kính gửi Sở Tài chính.\r\nFrom nay về sau, \r\n.\r\n"
    mid, box, to, mail = official(server, "Công văn", text)
    code, said = server.submit(clerk, box["address"], [to["address"]], mail)
    assert code == 250, said
    got = server.fetch(to, mid)
    part = is_signed_by(server, got, box)
    assert part.get_content().replace("\r\n", "\n") == text.replace("\r\n", "\n")
    assert b"smime=pass" in got and b"official=yes" in got
    # the reader's own check: openssl of the bytes that IMAP gave; and the audit log has the digest of what was signed
    rec = next(r for r in reversed(records(server)) if r["event"] == "verdict" and r.get("gateway", {}).get("signed"))
    assert rec["decision"]["action"] == "accept" and rec["session"]["auth"] == clerk["login"] and len(rec["gateway"]["entity_sha256"]) == 64
    # who may not send as the mailbox gets no signature of it
    other = server.user("staff", agency="STC")
    code, said = server.submit(other, box["address"], [to["address"]], official(server, "x", "y\r\n")[3])
    assert code == 550, said


def records(server):
    return [json.loads(line) for line in open(server.audit_log, encoding="utf-8")]


def test_mail_that_is_signed_already_is_not_touched(gateway):
    server, clerk = gateway, gateway.user("clerk", agency="SKHCN")
    mid, box, to, mail = official(server, "Đã ký", "")
    entity = client.text_part("Người gửi tự ký.\n")
    sent = mail.partition(b"Content-Type")[0] + client.sign(entity, box)
    assert server.submit(clerk, box["address"], [to["address"]], sent)[0] == 250
    got = server.fetch(to, mid)
    client.same_from_first_field(sent, got)
    is_signed_by(server, got, box)


@pytest.mark.skipif(shutil.which("mutt") is None, reason="mutt is not installed")
def test_mutt_as_the_mailbox(gateway, tmp_path):
    """An ordinary client that knows of no key, with an attachment; what comes is read by mutt's own eyes too."""
    server, clerk, box, to = gateway, gateway.user("clerk", agency="SKHCN"), gateway.mailbox("SKHCN"), gateway.user("staff", agency="STC")
    subject = "mutt %d" % time.time_ns()
    (tmp_path / "bao-cao.pdf").write_bytes(client.pdf(["Bao cao"]))
    rc = tmp_path / "muttrc"
    rc.write_text('set ssl_ca_certificates_file="%s"\nset certificate_file="%s"\nset ssl_verify_host=no\nset smtp_url="smtps://%s@localhost:%d/"\nset smtp_pass="%s"\n'
                  'set smtp_authenticators="plain"\nset from="%s"\nset use_from=yes\nset envelope_from_address="%s"\nset use_envelope_from=yes\nset copy=no\n'
                  'set charset="utf-8"\nset send_charset="us-ascii:utf-8"\nset allow_8bit=yes\nset hostname="%s"\n'
                  % (server.ca_file, server.ca_file, clerk["login"], server.submissions_port, clerk["password"], box["address"], box["address"],
                     server.domain))
    env = dict(os.environ, LC_ALL="C.UTF-8", HOME=str(tmp_path))
    r = subprocess.run(["mutt", "-n", "-F", str(rc), "-s", subject, "-a", str(tmp_path / "bao-cao.pdf"), "--", to["address"]],
                       input="Xin chào từ văn thư.\n".encode(), env=env, capture_output=True, timeout=60)
    assert r.returncode == 0, r.stdout + r.stderr
    with server.imap(to) as m:
        m.select("INBOX")
        uid = wait(lambda: m.noop() and m.uid("SEARCH", "SUBJECT", '"%s"' % subject)[1][0])
        got = m.uid("FETCH", uid.split()[-1], "(BODY.PEEK[])")[1][0][1]
    part = is_signed_by(server, got, box)
    kinds = [p.get_content_type() for p in part.walk()]
    assert kinds == ["multipart/mixed", "text/plain", "application/pdf"], kinds
    assert "Xin chào từ văn thư." in part.get_payload(0).get_content()
    assert part.get_payload(1).get_payload(decode=True) == (tmp_path / "bao-cao.pdf").read_bytes()


def test_mail_waits_for_milter_sign(gateway):
    """Taken from the client, kept by the queue, signed and delivered when milter-sign is back."""
    server, clerk = gateway, gateway.user("clerk", agency="SKHCN")
    mid, box, to, mail = official(server, "Chờ ký", "Nội dung.\r\n")
    pid = server.one("congvu-milter-sign")
    os.kill(pid, signal.SIGSTOP)
    try:
        code, said = server.submit(clerk, box["address"], [to["address"]], mail)
        assert code == 250, said
    finally:
        os.kill(pid, signal.SIGKILL)
    got = server.fetch(to, mid, wait=60)
    is_signed_by(server, got, box)
    server.wait_up()


def forge(proof):
    """Before the true chain another one, which ends in nothing that was signed, with an invented record."""
    chain = (proof / "chain.txt").read_text()
    first = int(chain.splitlines()[1].split()[0])
    record = json.dumps({"seq": first - 1, "event": "verdict", "action": "accept"}).encode()
    (proof / f"record-{first - 1}.json").write_bytes(record)
    digest = hashlib.sha256(record).hexdigest()
    link = hashlib.sha256(("0" * 64 + digest).encode()).hexdigest()
    (proof / "chain.txt").write_text(f"start {'0' * 64}\n{first - 1} {digest} {link}\n" + chain)


def test_a_court_can_check_what_the_log_has(gateway, tmp_path):
    """Of a mail through the whole suite: verdict and outcome, by sha256sum and openssl."""
    server, clerk = gateway, gateway.user("clerk", agency="SKHCN")
    mid, box, to, mail = official(server, "Chứng cứ", "Nội dung.\r\n")
    assert server.submit(clerk, box["address"], [to["address"]], mail)[0] == 250
    qid = json.loads(server.congvu("audit", "show", "--match", mid, "--json").stdout)[-1]["qid"]
    proof = tmp_path / "proof"
    wait(lambda: server.congvu("audit", "prove", qid, "--out", proof).returncode == 0 or (shutil.rmtree(proof, ignore_errors=True) or False))
    names = sorted(p.name for p in proof.glob("record-*.json"))
    events = {json.loads((proof / n).read_text())["event"] for n in names}
    assert len(names) == 2 and events == {"verdict", "outcome"}
    sh = subprocess.run(["sh", str(proof / "check.sh")], capture_output=True, text=True)
    assert sh.returncode == 0 and "PROVED" in sh.stdout, sh
    public = server.dir / "etc/audit-public.pem"
    r = server.congvu("audit", "prove", "--check", proof, "--key", public)
    assert r.returncode == 0 and "proved: 2 records" in r.stdout, r
    forge(proof)
    sh = subprocess.run(["sh", str(proof / "check.sh")], capture_output=True, text=True)
    assert sh.returncode == 1 and "NOT PROVED" in sh.stdout, sh
    assert server.congvu("audit", "prove", "--check", proof, "--key", public).returncode == 65
    for number in ("x[$(touch${IFS}ran)]", "08", ""):  # no shell that reads the script runs what a number says
        (proof / "chain.txt").write_text(f"start {'0' * 64}\n{number} {'0' * 64} {hashlib.sha256(b'0' * 128).hexdigest()}\n" * 2)
        for shell in ("sh", "bash"):
            sh = subprocess.run([shell, str(proof / "check.sh")], capture_output=True, text=True)
            assert sh.returncode == 1 and "NOT PROVED" in sh.stdout and not (proof / "ran").exists(), sh
    r = server.congvu("audit", "verify", "--key", public)
    assert r.returncode == 0 and "have a good signature of the key" in r.stdout, r.stdout + r.stderr


def test_doctor_tells_how_far_the_log_is_signed(gateway):
    said = wait(lambda: (r := gateway.congvu("doctor", "--offline").stdout) and "signed up to record" in r and r)
    assert "ok       audit_checkpoints" in said and "ok       gateway_sign" in said and "ok       audit_key_file" in said
    assert "last checkpoint" in gateway.congvu("status").stdout
