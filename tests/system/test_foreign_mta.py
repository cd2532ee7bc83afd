"""Our filter under foreign MTAs, Debian's Postfix and Debian's Sendmail: the same verdicts and words as under our smtpd, what is relayed is what
was sent, what needs a person's eyes is held, and nothing passes while the audit log cannot be written. Their macros come in other
orders and at other stages than ours. What is signed for a mailbox arrives as it was signed (tests/milter/gateway.py has Postfix)."""

import email
import email.policy
import importlib.util
import os
import pathlib
import shutil
import signal
import smtplib
import subprocess
import tempfile
import time

import pytest

SRC = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CONGVU_BUILD", SRC / "build"))

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="foreign MTAs want to be root")


@pytest.fixture(scope="module")
def run():
    os.environ.setdefault("CV_BUILDDIR", str(BUILD))
    os.environ.setdefault("srcdir", str(SRC))
    spec = importlib.util.spec_from_file_location("milter_run", SRC / "tests/milter/run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not (BUILD / "tests/milter/fake_lookup").exists():
        pytest.skip("make check has not built tests/milter/fake_lookup")
    return module


@pytest.fixture(scope="module")
def mails(run):
    root = pathlib.Path(tempfile.mkdtemp(prefix="cv-foreign-"))
    root.chmod(0o755)
    for name in ("certs", "mails"):
        (root / name).mkdir()
    subprocess.run(["sh", str(SRC / "tests/unit/smime_certs.sh"), str(root / "certs")], check=True)
    run.make_mails(root / "certs", root / "mails")
    locked = bytearray(run.zipped(("a.txt", b"x")))
    for magic, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        locked[locked.index(magic) + at] |= 1
    (root / "mails/locked.eml").write_bytes(run.attachment("a.zip", bytes(locked), "application/zip"))
    yield root
    shutil.rmtree(root, ignore_errors=True)


class Sink:
    """Takes what the MTA relays."""

    def __init__(self, root):
        self.dir = root / "dump"
        self.dir.mkdir()
        shutil.chown(self.dir, "postfix")
        self.port = None

    def start(self, port):
        self.port = port
        self.proc = subprocess.Popen(["smtp-sink", "-u", "postfix", "-d", str(self.dir) + "/m.", "127.0.0.1:%d" % port, "20"])

    def mails(self):
        return [p.read_bytes().replace(b"\r\n", b"\n") for p in self.dir.iterdir() if p.stat().st_size]

    def wait(self, token):
        for _ in range(200):
            got = [m for m in self.mails() if token in m]
            if got:
                return got[0]
            time.sleep(0.1)
        raise AssertionError("the mail does not arrive")


class Postfix:
    def __init__(self, run, root, ports):
        self.dir = root / "pf"
        for d in (self.dir, self.dir / "etc", self.dir / "data", self.dir / "queue"):
            d.mkdir()
        shutil.chown(self.dir / "data", "postfix")
        (self.dir / "etc/main.cf").write_text(run.MAIN_CF.format(dir=self.dir, **ports))
        (self.dir / "etc/master.cf").write_text(run.MASTER_CF.format(**ports))
        self.do("start")

    def do(self, verb):
        subprocess.run(["postfix", "-c", str(self.dir / "etc"), verb], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)

    def held(self):
        return [p for p in (self.dir / "queue/hold").rglob("*") if p.is_file()]

    def stop(self):
        self.do("stop")


MC = """divert(0)
OSTYPE(`linux')
define(`confPID_FILE', `{dir}/pid')
define(`STATUS_FILE', `{dir}/statistics')
define(`QUEUE_DIR', `{dir}/queue')
define(`ALIAS_FILE', `')
define(`confDOMAIN_NAME', `foreign.example')
define(`confDONT_BLAME_SENDMAIL', `GroupWritableDirPathSafe,TrustStickyBit')
define(`confDONT_PROBE_INTERFACES', `True')
define(`confDELIVERY_MODE', `background')
define(`confTO_IDENT', `0')
define(`confMAX_DAEMON_CHILDREN', `20')
define(`SMART_HOST', `relay:[127.0.0.1]')
define(`RELAY_MAILER_ARGS', `TCP $h {sink}')
FEATURE(`nocanonify')
FEATURE(`promiscuous_relay')
FEATURE(`accept_unresolvable_domains')
FEATURE(`accept_unqualified_senders')
FEATURE(`no_default_msa')
DAEMON_OPTIONS(`Port={port}, Addr=127.0.0.1, Name=MTA')
INPUT_MAIL_FILTER(`congvu', `S=inet:{milter}@127.0.0.1, F=T, T=C:10s;S:10s;R:40s;E:60s')
MAILER(`smtp')
"""


class Sendmail:
    def __init__(self, run, root, ports, more=""):
        cache = BUILD / "tests/cache/sendmail"
        rc = subprocess.run(["sh", str(SRC / "tests/system/sendmail_unpack.sh"), str(cache)], timeout=300).returncode
        if rc == 77:
            pytest.skip("Debian's sendmail-bin cannot be had")
        assert rc == 0
        self.dir = root / "sm"
        self.dir.mkdir()
        (self.dir / "queue").mkdir(mode=0o700)
        (self.dir / "t.mc").write_text(MC.format(dir=self.dir, **ports) + more)
        cf = cache / "usr/share/sendmail/cf"
        text = subprocess.run(["m4", "-D_CF_DIR_=%s/" % cf, str(cf / "m4/cf.m4"), str(self.dir / "t.mc")], check=True, capture_output=True).stdout
        (self.dir / "t.cf").write_bytes(text)
        libs = ":".join(str(p) for p in (cache / "usr/lib/x86_64-linux-gnu", cache / "lib/x86_64-linux-gnu"))
        self.proc = subprocess.Popen([str(cache / "usr/libexec/sendmail/sendmail"), "-bD", "-C", str(self.dir / "t.cf")],
                                     env=dict(os.environ, LD_LIBRARY_PATH=libs), stdout=subprocess.DEVNULL, stderr=open(self.dir / "err", "wb"))

    def held(self):
        return [p for p in (self.dir / "queue").iterdir() if p.name.startswith("hf")]

    def stop(self):
        self.proc.terminate()
        self.proc.wait(20)


def connect(port):
    for _ in range(200):
        try:
            return smtplib.SMTP("127.0.0.1", port, timeout=60)
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the MTA does not listen")


def refusal(client, raw, code, words):
    with pytest.raises(smtplib.SMTPDataError) as e:
        client.sendmail("a@x.example", ["b@y.example"], raw)
    assert e.value.smtp_code == code and words in e.value.smtp_error and b"[ticket " in e.value.smtp_error, e.value


@pytest.mark.parametrize("make", [Postfix, Sendmail])
def test_the_same_verdicts_under(make, run, mails):
    root = mails / make.__name__.lower()
    root.mkdir()
    root.chmod(0o755)
    (root / "i").mkdir()
    ports = dict(port=run.free_port(), sink=run.free_port(), milter=run.free_port())
    sink = Sink(root)
    sink.start(ports["sink"])
    m = run.Milter(root / "i", mails / "certs", milter_listen="inet:%d@127.0.0.1" % ports["milter"])
    mta = None
    try:
        mta = make(run, root, ports)
        c = connect(ports["port"])
        official = (mails / "mails/official.eml").read_bytes()
        # two messages and a reset on one connection, refused ones between
        refusal(c, (mails / "mails/altered.eml").read_bytes(), 550, b"5.7.1 P02 Chu ky so khong hop le")
        c.sendmail("a@x.example", ["b@y.example"], official)
        c.mail("a@x.example")
        c.rcpt("b@y.example")
        c.rset()
        unsigned = b"From: manager@x.example\r\nSubject: x\r\nX-VN-Doc: 15/QD-UBND\r\n\r\nKinh gui\r\n"
        refusal(c, unsigned, 550, b"5.7.1 P01 Cong van phai duoc ky so. Hay ky so roi gui lai. / Official mail must be digitally signed.")
        refusal(c, (mails / "mails/exe.eml").read_bytes(), 550, b"5.7.1 P22 ")
        # what has to be looked at by a person stays in the MTA's queue
        c.sendmail("a@x.example", ["b@y.example"], (mails / "mails/locked.eml").read_bytes())
        got = sink.wait(b"boundary=\"b1\"")
        body = official.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
        assert got.partition(b"\n\n")[2].strip() == body.strip(), "not the bytes that were sent"
        top = got[:got.index(b"From: vanthu@x.example")]
        assert b"smime=pass" in top and b"X-Congvu-Verdict: accept; official=yes" in top, top
        for _ in range(50):
            if mta.held():
                break
            time.sleep(0.1)
        assert len(mta.held()) == 1, "the locked archive is not held"
        assert len(sink.mails()) == 1, "something else was relayed"
        # nobody to write the verdict down
        for pid in m.pids("congvu-milter-ledger"):
            os.kill(pid, signal.SIGSTOP)
        refusal(c, b"From: dan@citizen.example\r\n\r\nx\r\n", 451, b"4.7.1 T03 ")
        for pid in m.pids("congvu-milter-ledger"):
            os.kill(pid, signal.SIGCONT)
        c.quit()
        c = connect(ports["port"])
        c.sendmail("a@x.example", ["b@y.example"], b"From: dan@citizen.example\r\nSubject: after\r\n\r\nx\r\n")
        sink.wait(b"Subject: after")
        c.quit()
    finally:
        if mta is not None:
            mta.stop()
        sink.proc.terminate()
        sink.proc.wait()
        m.stop()
    verdicts = [r for r in run.read_log(m.log) if r["event"] == "verdict"]
    actions = [r["decision"]["action"] for r in verdicts]
    # what the ledger was told while it was stuck it may have written down later; the MTA has refused that mail for the time being
    assert actions[:5] + actions[-1:] == ["reject", "accept", "reject", "reject", "quarantine", "accept"], actions
    # the MTA's own queue ids, and the client's address
    assert all(len(r["qid"]) > 5 and r["session"]["ip"] == "127.0.0.1" for r in verdicts), [(r["qid"], r["session"]) for r in verdicts]


def test_signed_for_a_mailbox_under_sendmail(run, mails):
    """Sendmail applies the changed header and body: what it relays is what openssl verifies."""
    root = mails / "gateway"
    root.mkdir()
    root.chmod(0o755)
    (root / "i/keys").mkdir(parents=True)
    for name, to in (("k1.key", "vanthu.key"), ("vanthu.pem", "vanthu.pem")):
        shutil.copy(mails / "certs" / name, root / "i/keys" / to)
    ports = dict(port=run.free_port(), sink=run.free_port(), milter=run.free_port())
    sink = Sink(root)
    sink.start(ports["sink"])
    m = run.Milter(root / "i", mails / "certs", milter_listen="inet:%d@127.0.0.1" % ports["milter"],
                   gateway_sign=["vanthu@x.example=../keys/vanthu.key:../keys/vanthu.pem"])
    mta = None
    text = "Kính gửi: các đơn vị.\nFrom day on\n.\n"
    raw = ("From: vanthu@x.example\nTo: b@y.example\nSubject: Thong bao\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
           "Content-Transfer-Encoding: 8bit\nMessage-ID: <sm@x.example>\n\n" + text).encode().replace(b"\n", b"\r\n")
    try:
        # nobody signs in here: the macro says who did
        mta = Sendmail(run, root, ports, "LOCAL_CONFIG\nD{auth_authen}binh\n")
        c = connect(ports["port"])
        for _ in range(50):
            try:
                c.sendmail("vanthu@x.example", ["b@y.example"], raw, mail_options=["BODY=8BITMIME"])
                break
            except smtplib.SMTPDataError as e:
                assert b" T01 " in e.smtp_error, e
                time.sleep(0.1)
        c.quit()
        got = sink.wait(b"<sm@x.example>")
    finally:
        if mta is not None:
            mta.stop()
        sink.proc.terminate()
        sink.proc.wait()
        m.stop()
    # smtp-sink has lines of its own before, and an empty one behind
    message = got[got.index(b"X-Congvu-Verdict"):].replace(b"\n", b"\r\n")
    r = subprocess.run(["openssl", "cms", "-verify", "-CAfile", str(mails / "certs/root.pem"), "-purpose", "smimesign"], input=message, capture_output=True)
    assert r.returncode == 0, r.stderr
    part = email.message_from_bytes(r.stdout, policy=email.policy.default)
    assert part.get_content().replace("\r\n", "\n") == text, part
    verdict, = [r for r in run.read_log(m.log) if r["event"] == "verdict" and r["decision"]["action"] == "accept"]
    assert verdict["gateway"]["signed"] and [(s["status"], s["coverage"]) for s in verdict["sig"]] == [("valid", "whole")]
