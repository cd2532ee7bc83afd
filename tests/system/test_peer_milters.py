"""Debian's opendkim, opendmarc and rspamd as milters of the real smtpd-session, each a process of its own on UNIX sockets, with fake DNS
records; lookup, ledger and LMTP are fakes."""

import os
import pathlib
import re
import subprocess
import time

import pytest
from smtpd_fakes import Milter
from test_smtpd import AN, BINH, Site

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
ADD_HEADER = GTUBE.replace("XJS", "YJS")  # rspamd's own: no refusal, a header
FOLDERS = ["/usr/sbin", "/usr/bin"]


class Peer:
    def __init__(self, folder, name, args, sock, gently=False):
        self.gently = gently
        path = next((pathlib.Path(d) / name for d in FOLDERS if (pathlib.Path(d) / name).exists()), None)
        assert path is not None, name + " is not installed: tests/packages.txt"
        self.log = open(folder / (name + ".log"), "ab")
        self.proc = subprocess.Popen([str(path), *map(str, args)], stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while not sock.exists():
            if self.proc.poll() is not None or time.monotonic() > end:
                self.stop()
                raise AssertionError((folder / (name + ".log")).read_text())
            time.sleep(0.05)

    def stop(self):
        # libmilter takes five seconds to hear SIGTERM; rspamd ends its workers on it
        self.proc.terminate() if self.gently else self.proc.kill()
        self.proc.wait(20)
        self.log.close()


class Peers(Site):
    """starts: functions of the run folder that start a peer each."""

    def __init__(self, folder, rows, starts):
        (folder / "run").mkdir()
        self.folder, self.peers = folder, []
        for start in starts:
            self.peers.append(start(folder))
        super().__init__(folder, milters=rows)

    def stop(self):
        super().stop()
        for p in self.peers:
            p.stop()


@pytest.fixture
def peers(tmp_path):
    sites = []

    def make(rows, *starts):
        sites.append(Peers(tmp_path, rows, starts))
        return sites[-1]
    yield make
    for s in sites:
        s.stop()


def opendkim(folder):
    """Signs what is submitted for tinhmau.example, verifies what comes by MX."""
    key = folder / "dkim.key"
    subprocess.run(["openssl", "genrsa", "-traditional", "-out", str(key), "2048"], check=True, capture_output=True)
    der = subprocess.run(["openssl", "rsa", "-in", str(key), "-pubout"], check=True, capture_output=True, text=True).stdout
    public = "".join(der.splitlines()[1:-1])
    (folder / "dns").write_text("s1._domainkey.tinhmau.example v=DKIM1; k=rsa; p=%s\n" % public)
    (folder / "nobody").write_text("192.0.2.1\n")
    (folder / "opendkim.conf").write_text("""Mode sv
Domain tinhmau.example
KeyFile %(f)s/dkim.key
RequireSafeKeys no
Selector s1
Canonicalization relaxed/relaxed
Socket local:%(f)s/run/opendkim.sock
TestDNSData file:%(f)s/dns
AuthservID localhost
InternalHosts %(f)s/nobody
ExternalIgnoreList %(f)s/nobody
Background no
Syslog no
UMask 0
""" % {"f": folder})
    return Peer(folder, "opendkim", ["-x", folder / "opendkim.conf", "-f"], folder / "run/opendkim.sock")


def opendmarc(folder):
    (folder / "dmarc-dns").write_text("_dmarc.tinhmau.example v=DMARC1; p=reject\n_dmarc.hopthu.example v=DMARC1; p=none\n")
    (folder / "opendmarc.conf").write_text("""AuthservID localhost
TrustedAuthservIDs localhost
RejectFailures true
Socket local:%(f)s/run/opendmarc.sock
TestDNSData %(f)s/dmarc-dns
IgnoreAuthenticatedClients true
IgnoreHosts %(f)s/nobody
Background no
Syslog no
UMask 0
PidFile %(f)s/opendmarc.pid
""" % {"f": folder})
    (folder / "nobody").write_text("192.0.2.1\n")
    return Peer(folder, "opendmarc", ["-c", folder / "opendmarc.conf", "-f"], folder / "run/opendmarc.sock")


def rspamd(folder):
    (folder / "rspamd").mkdir()
    (folder / "rspamd/tld").write_text("com\nvn\nexample\n")  # the real list takes it a minute to compile
    (folder / "rspamd.conf").write_text("""options {
	pidfile = "%(f)s/rspamd/pid";
	filters = "";
	dns { nameserver = ["127.0.0.1:9"]; timeout = 0.2s; retransmits = 1; }
	control_socket = "%(f)s/rspamd/control mode=0600";
	rrd = "%(f)s/rspamd/rrd";
	hs_cache_dir = "%(f)s/rspamd";
	explicit_modules = [];
	gtube_patterns = "all";
	enable_test_patterns = true;
	url_tld = "%(f)s/rspamd/tld";
}
logging { type = "console"; level = "info"; }
actions { reject = 15; add_header = 6; greylist = null; }
worker "rspamd_proxy" {
	bind_socket = "%(f)s/run/rspamd.sock mode=0666";
	milter = yes;
	timeout = 20s;
	count = 1;
	upstream "local" { default = yes; self_scan = yes; }
}
""" % {"f": folder})
    user = ["-i"] if os.geteuid() == 0 else []  # root is allowed to run it as root
    return Peer(folder, "rspamd", [*user, "-f", "-c", folder / "rspamd.conf"], folder / "run/rspamd.sock", gently=True)


def own_bytes(data):
    """A stored mail without our trace field: what a peer would send on."""
    return re.sub(rb"\AReceived: .*\r\n(?:[ \t].*\r\n)*", b"", data, count=1)


def results(data):
    return [re.sub(rb"\s+", b" ", x).decode() for x in
            re.findall(rb"(?im)^Authentication-Results:((?:.*\r\n[ \t])*.*)\r\n", data.split(b"\r\n\r\n")[0] + b"\r\n")]


def signed_mail(site):
    mail = "From: =?utf-8?Q?An?= <%s>\r\nTo: <%s>\r\nSubject: to trinh\r\nDate: Sun, 22 Nov 2026 08:00:00 +0700\r\n" % (AN, BINH)
    answers = site.submission().mail(AN, [BINH], mail + "Message-ID: <1@tinhmau.example>\r\n\r\nKinh gui\r\n\r\n  Dong hai ")
    assert answers[-1].startswith("250"), answers
    return site.lmtp.mails.pop()[3]


def test_opendkim_signs_and_verifies(peers):
    site = peers(["unix:opendkim.sock name=opendkim"], opendkim)
    got = signed_mail(site)
    assert re.search(rb"DKIM-Signature:\s+v=1;", got) and b"d=tinhmau.example" in got and results(got) == []
    own = own_bytes(got)
    assert own.endswith(b"\r\n\r\nKinh gui\r\n\r\n  Dong hai \r\n")
    # its own signature comes back by MX: what we delivered is what was signed
    forged = b"Authentication-Results: localhost; dkim=pass header.d=bo.example\r\n"
    assert site.mx().mail("d@hopthu.example", [BINH], forged + own + b".\r\n")[-1].startswith("250")
    back = site.lmtp.mails.pop()[3]
    assert len(results(back)) == 1 and results(back)[0].startswith(" localhost; dkim=pass") and "bo.example" not in results(back)[0]
    assert own_bytes(back).endswith(own)  # nothing between its header and the body is touched
    # one octet of it changed
    assert site.mx().mail("d@hopthu.example", [BINH], own.replace(b"Dong hai", b"Dong ba ") + b".\r\n")[-1].startswith("250")
    assert re.match(r" localhost; dkim=fail", results(site.lmtp.mails.pop()[3])[0])


def test_opendmarc_reads_what_opendkim_and_spf_wrote(peers):
    site = peers(["unix:opendkim.sock ports=mx+submission", "unix:milter.sock ports=mx", "unix:opendmarc.sock ports=mx"], opendkim, opendmarc)
    own = own_bytes(signed_mail(site))
    # signed by the domain of From: passes
    s = site.mx()
    assert s.mail("d@hopthu.example", [BINH], own + b".\r\n")[-1].startswith("250")
    got = site.lmtp.mails.pop()[3]
    assert any("dkim=pass" in r for r in results(got)) and any("dmarc=pass" in r and "header.from=tinhmau.example" in r for r in results(got)), got
    assert all(r.startswith(" localhost;") for r in results(got))
    # no signature, though the client says that somebody of our name saw one
    forged = b"Authentication-Results: localhost; dkim=pass header.d=tinhmau.example header.i=@tinhmau.example\r\n"
    answers = s.mail("d@hopthu.example", [BINH], forged + b"From: <%s>\r\nSubject: x\r\n\r\ny\r\n.\r\n" % AN.encode())
    assert re.match(r"550 5.7.1 rejected by DMARC policy", answers[-1]), answers
    assert site.lmtp.mails == [] and site.ledger.outcomes[-1]["code"] == 550
    # a trusted milter's word for SPF is enough where it is aligned
    site.milter.on["E"] = [("i", b"\0\0\0\1Authentication-Results\0localhost; spf=pass smtp.mailfrom=hopthu.example\0"), ("c", b"")]
    assert s.mail("d@hopthu.example", [BINH], "From: <d@hopthu.example>\r\nSubject: x\r\n\r\ny")[-1].startswith("250")
    got = site.lmtp.mails.pop()[3]
    assert any("dmarc=pass" in r and "header.from=hopthu.example" in r for r in results(got)), got
    # the milter that comes last, as ours does, was shown all of it
    assert isinstance(site.milter, Milter) and len(results(got)) >= 2


def test_rspamd_adds_a_header_and_refuses_gtube(peers):
    site = peers(["unix:rspamd.sock name=rspamd message_ms=20000"], rspamd)
    head = "From: <d@hopthu.example>\r\nTo: <%s>\r\nSubject: x\r\nMessage-ID: <g@hopthu.example>\r\nDate: Sun, 22 Nov 2026 08:00:00 +0700\r\n\r\n" % AN
    s = site.mx()
    assert s.mail("d@hopthu.example", [AN], head + "plain")[-1].startswith("250")
    assert b"X-Spam" not in site.lmtp.mails.pop()[3]
    assert s.mail("d@hopthu.example", [AN], head + ADD_HEADER)[-1].startswith("250")
    assert re.search(rb"\r\nX-Spam: Yes\r\n", site.lmtp.mails.pop()[3])
    answers = s.mail("d@hopthu.example", [AN], head + GTUBE)
    assert answers[-1].startswith("554 5.7.1") and "Gtube" in answers[-1], answers
    assert site.lmtp.mails == [] and site.ledger.outcomes[-1]["rcpts"][0][1] == "refused"
