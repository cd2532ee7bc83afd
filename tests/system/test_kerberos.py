"""GSSAPI with a KDC of its own: curl signs in to IMAP and SMTP with a ticket, as the person whose login name the principal is."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

import pytest

REALM = "TINHMAU.EXAMPLE"


class Kdc:
    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        (self.dir / "krb5.conf").write_text(
            "[libdefaults]\ndefault_realm = %s\ndns_lookup_kdc = false\ndns_canonicalize_hostname = false\nqualify_shortname = \"\"\nrdns = false\n"
            "default_ccache_name = FILE:%s/ccache\n[realms]\n%s = {\n kdc = 127.0.0.1:%d\n}\nOTHER.EXAMPLE = {\n kdc = 127.0.0.1:%d\n}\n" % (
                REALM, self.dir, REALM, port, port))
        (self.dir / "kdc.conf").write_text(
            "[kdcdefaults]\nkdc_listen = 127.0.0.1:%d\nkdc_tcp_listen = \"\"\n[realms]\n%s = {\n database_name = %s/principal\n"
            " key_stash_file = %s/stash\n acl_file = %s/acl\n}\n" % (port, REALM, self.dir, self.dir, self.dir))
        self.env = dict(os.environ, KRB5_CONFIG=str(self.dir / "krb5.conf"), KRB5_KDC_PROFILE=str(self.dir / "kdc.conf"), LC_ALL="C",
                        KRB5RCACHENAME="none:")
        self.run("kdb5_util", "create", "-s", "-r", REALM, "-P", "master-of-the-test", "-W")
        self.proc = subprocess.Popen(["/usr/sbin/krb5kdc", "-n", "-r", REALM], env=self.env, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)

    def run(self, tool, *args, data=None, check=True):
        path = "/usr/sbin/" + tool if os.path.exists("/usr/sbin/" + tool) else tool
        r = subprocess.run([path, *map(str, args)], env=self.env, input=data, capture_output=True, text=True, timeout=60)
        assert not check or r.returncode == 0, r.stdout + r.stderr
        return r

    def admin(self, query):
        return self.run("kadmin.local", "-r", REALM, "-q", query)

    def person(self, name, password="vé của tôi"):
        self.admin('addprinc -pw "%s" %s' % (password, name))
        end = time.monotonic() + 10
        while True:
            r = self.run("kinit", "-c", self.dir / name.replace("/", "-"), name, data=password + "\n", check=False)
            if r.returncode == 0:
                return
            assert time.monotonic() < end, r.stderr
            time.sleep(0.1)

    def curl(self, server, name, url, *args):
        env = dict(self.env, KRB5CCNAME="FILE:%s" % (self.dir / name.replace("/", "-")))
        r = subprocess.run(["curl", "-sv", "--max-time", "30", "--cacert", server.ca_file, "--login-options", "AUTH=GSSAPI", "-u", "%s@%s:" % (name, REALM),
                            url, *args], env=env, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        return r.returncode, r.stderr.decode(errors="replace")

    def imap(self, server, name):
        return self.curl(server, name, "imaps://%s:%d/INBOX" % (server.host, server.imaps_port), "-X", "NOOP")

    def smtp(self, server, name):
        return self.curl(server, name, "smtps://%s:%d/" % (server.host, server.submissions_port), "-X", "NOOP")


@pytest.fixture(scope="module")
def kdc(server, tmp_path_factory):
    k = Kdc(tmp_path_factory.mktemp("kdc"))
    before = server.conf.read_text()
    host = re.search(r'(?m)^hostname\s*=\s*"?([^"\n]+)"?', before).group(1)
    keytab = server.dir / "etc/mail.keytab"
    for service in ("imap", "smtp"):
        for h in {host, server.host}:
            k.admin("addprinc -randkey %s/%s" % (service, h))
            k.admin("ktadd -k %s %s/%s" % (keytab, service, h))
    keytab.chmod(0o600)
    k.configured = re.sub(r"(?m)^sasl_mechs.*$", "", before) + (
        'sasl_mechs = {"GSSAPI", "SCRAM-SHA-256", "PLAIN", "LOGIN"}\ngssapi_keytab = "%s"\ngssapi_realm = "%s"\n' % (keytab, REALM))
    server.conf.write_text(k.configured)
    done = server.congvu("reload")
    assert done.returncode == 0, done.stdout + done.stderr
    k.host = host
    yield k
    server.conf.write_text(before)
    assert server.congvu("reload").returncode == 0
    keytab.unlink()
    k.proc.terminate()
    k.proc.wait(10)


def test_tickets_sign_in(kdc, server):
    user = server.user("staff")
    kdc.person(user["login"])
    for ask in (kdc.imap, kdc.smtp):
        code, talk = ask(server, user["login"])
        assert code == 0 and ("A002 OK" in talk or "235 2.7.0" in talk), talk[-3000:]
    # a principal that is nobody here; one with an instance; and the service's own
    kdc.person("khongcoai")
    kdc.person(user["login"] + "/admin")
    for name in ("khongcoai", user["login"] + "/admin"):
        code, talk = kdc.imap(server, name)
        assert code == 67 and "[AUTHENTICATIONFAILED]" in talk, talk[-3000:]
        code, talk = kdc.smtp(server, name)
        assert code == 67 and "535 5.7.8" in talk, talk[-3000:]
    # no ticket: nothing to send; the password is as good as before
    shutil.rmtree(kdc.dir / "none", ignore_errors=True)
    assert kdc.imap(server, "none")[0] != 0
    server.wait_up()
