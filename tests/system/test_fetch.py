"""fetch and a real LDAP server: a CRL by LDAP URL (RFC 4516, RFC 5280 4.2.1.13)."""

import pathlib
import subprocess
import sys
import tempfile

import pytest

from slapd import BASE, BUILD, Slapd, b64, silent_dns

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "unit"))
import fetch_wire_test  # noqa: E402

CRL = bytes(range(256)) * 20  # fetch does not read what it brings


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    # the CA's directory answers anybody
    server = Slapd(tmp_path_factory.mktemp("ca") / "ldap", args=("--public",))
    server.add("dn: cn=CA,ou=groups,%s\nobjectClass: applicationProcess\nobjectClass: certificationAuthority\ncn: CA\n"
               "cACertificate;binary:: %s\nauthorityRevocationList;binary:: %s\ncertificateRevocationList;binary:: %s\n\n"
               % (BASE, b64(der_cert()), b64(der_crl()), b64(der_crl())))
    yield server
    server.stop()


def der_cert():
    return openssl("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=CA -keyout ca.key -out ca.pem "
                   "&& openssl x509 -in ca.pem -outform DER")


def der_crl():
    return openssl("touch index && printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\ndefault_md=sha256\\ndefault_crl_days=2\\n' > ca.conf && "
                   "openssl ca -config ca.conf -gencrl -keyfile ca.key -cert ca.pem -out crl.pem && openssl crl -in crl.pem -outform DER")


def openssl(script, made={}):
    if script not in made:
        made.setdefault("dir", tempfile.mkdtemp())
        made[script] = subprocess.run(script, shell=True, cwd=made["dir"], capture_output=True, check=True).stdout
    return made[script]


@pytest.fixture
def fetch(ca, tmp_path):
    fetch_wire_test.BUILD = BUILD
    port = ca.uri.rsplit(":", 1)[1]
    f = fetch_wire_test.Fetch(tmp_path, fetch_hosts='{"127.0.0.1:%s"}' % port, fetch_networks='{"127.0.0.1"}')
    yield f
    f.stop()


def test_crl_by_ldap(ca, fetch):
    base = "%s/cn=CA,ou=groups,%s" % (ca.uri, BASE.replace(" ", "%20"))
    head, body = fetch.ask(base + "?certificateRevocationList;binary")
    assert (head, body) == ("200 net - -1 %d" % len(der_crl()), der_crl())
    head, body = fetch.ask(base + "?certificateRevocationList;binary?base?(objectClass=*)", "-a", "60")
    assert body == der_crl()
    assert fetch.ask(base + "?certificateRevocationList;binary?base?(objectClass=*)", "-a", "60")[0].startswith("200 memory")
    assert fetch.ask(base + "?cACertificate;binary")[1] == der_cert()
    # not there: neither the value nor the entry
    assert fetch.ask(base + "?deltaRevocationList;binary") == ("err not_found", b"")
    assert fetch.ask(base.replace("cn=CA", "cn=Nobody") + "?certificateRevocationList;binary")[0] in ("err not_found", "err temp")
    assert fetch.ask(base + "?certificateRevocationList;binary", "-m", "10") == ("err limit", b"")


def test_ldap_server_that_hangs_or_is_gone(ca, fetch):
    url = "%s/cn=CA,ou=groups,%s?certificateRevocationList;binary" % (ca.uri, BASE)
    assert fetch.ask(url)[1] == der_crl()
    ca.pause(True)
    try:
        # what it said before serves
        assert fetch.ask(url, "-t", "1000") == ("200 stale - -1 %d" % len(der_crl()), der_crl())
        assert fetch.ask(url.replace("certificateRev", "authorityRev"), "-t", "1000") == ("err timeout", b"")
    finally:
        ca.pause(False)


def test_a_name_server_that_is_silent(ca, tmp_path):
    """libldap looks for this host's own name when it is used first: that must not cost the seconds that somebody waits for a CRL."""
    fetch_wire_test.BUILD = BUILD
    port = ca.uri.rsplit(":", 1)[1]
    with silent_dns(tmp_path) as (before, asked):
        f = fetch_wire_test.Fetch(tmp_path, before, fetch_hosts='{"127.0.0.1:%s"}' % port, fetch_networks='{"127.0.0.1"}')
        url = "%s/cn=CA,ou=groups,%s?certificateRevocationList;binary" % (ca.uri, BASE)
        assert f.ask(url)[1] == der_crl()
        with pytest.raises(BlockingIOError):
            asked.recv(512)
        f.stop()


def test_the_guard_holds_for_ldap(ca, tmp_path):
    """A name that leads to an address of this host: libcurl's LDAP goes through the same gate."""
    fetch_wire_test.BUILD = BUILD
    port = ca.uri.rsplit(":", 1)[1]
    f = fetch_wire_test.Fetch(tmp_path, fetch_hosts='{"localhost:%s"}' % port)
    assert f.ask("ldap://localhost:%s/cn=CA,ou=groups,%s?certificateRevocationList;binary" % (port, BASE)) == ("err denied", b"")
    f.stop()
