"""The demonstration CA, by the openssl program: a root, an issuing CA, certificates for people and agencies after the
profile of the state's CA (RSA-3072, SHA-256, key usage critical, emailProtection and clientAuth, rfc822Name), and
the certificate of the host. For examples and tests only: its keys lie beside the instance."""

import os
import pathlib
import secrets
import subprocess

PROFILES = """
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[issuing]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[smime]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment
extendedKeyUsage = clientAuth, emailProtection
certificatePolicies = 2.16.704.1.1.1.1.1
subjectAltName = ${ENV::CA_SAN}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tls]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = ${ENV::CA_SAN}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class CAError(Exception):
    pass


def openssl(*args, san="DNS:unused", data=None):
    env = dict(os.environ, CA_SAN=san)
    r = subprocess.run(["openssl", *map(str, args)], input=data, env=env, capture_output=True)
    if r.returncode:
        raise CAError("openssl %s: %s" % (" ".join(map(str, args[:3])), r.stderr.decode(errors="replace").strip()[-800:]))
    return r.stdout


def subject(**fields):
    """"/C=VN/L=Tỉnh Mẫu/…" with what openssl's -subj needs escaped."""
    return "".join("/%s=%s" % (k, v.replace("\\", "\\\\").replace("/", "\\/").replace("+", "\\+"))
                   for k, v in fields.items() if v)


class CA:
    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        self.conf = self.dir / "profiles.cnf"
        self.root, self.root_key = self.dir / "root.pem", self.dir / "root.key"
        self.issuing, self.issuing_key = self.dir / "issuing.pem", self.dir / "issuing.key"

    def make(self, province):
        """Once for an instance."""
        if self.issuing.exists():
            return
        self.dir.mkdir(parents=True, exist_ok=True)
        self.conf.write_text(PROFILES)
        self.new_key(self.root_key)
        self._certificate(self.root, self.root_key, "root", subject(C="VN", O=province, CN="RootCA minh họa " + province),
                          7300)
        self.new_key(self.issuing_key)
        self._certificate(self.issuing, self.issuing_key, "issuing",
                          subject(C="VN", O=province, CN="CA minh họa phục vụ các cơ quan " + province), 3650,
                          (self.root, self.root_key))

    def new_key(self, path, bits=3072):
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        key = openssl("genrsa", bits)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "wb") as f:
            f.write(key)

    def _certificate(self, out, key, profile, subj, days, issuer=None, san="DNS:unused", md="sha256", extra=()):
        args = ["req", "-new", "-x509", "-utf8", "-config", self.conf, "-extensions", profile, "-key", key, "-subj", subj,
                "-days", days, "-" + md, "-set_serial", "0x" + secrets.token_hex(12), "-out", out, *extra]
        if issuer:
            args += ["-CA", issuer[0], "-CAkey", issuer[1]]
        openssl(*args, san=san)

    def person(self, base, address, name, province, agency="", unit="", key=None, password=None, days=1825, md="sha256"):
        """Makes base.pem, base.key, base.p12 for an address; key: an existing key instead of a new one."""
        base = pathlib.Path(base)
        base.parent.mkdir(parents=True, exist_ok=True)
        own = base.with_suffix(".key")
        if key:
            own.write_bytes(pathlib.Path(key).read_bytes())
            own.chmod(0o600)
        elif not own.exists():
            self.new_key(own)
        cert = base.with_suffix(".pem")
        # -subj knows one value for a field; of two units (DOMAIN.md B2) the agency is the one shown.
        self._certificate(cert, own, "smime", subject(C="VN", L=province, O=province, OU=unit or agency, CN=name), days,
                          (self.issuing, self.issuing_key), san="email:" + address, md=md)
        openssl("x509", "-in", cert, "-outform", "DER", "-out", base.with_suffix(".der"))
        with open(cert, "ab") as f:
            f.write(self.issuing.read_bytes())
        if password is not None:
            openssl("pkcs12", "-export", "-inkey", own, "-in", cert, "-certfile", self.issuing, "-name", address, "-out",
                    base.with_suffix(".p12"), "-passout", "stdin", data=password.encode() + b"\n")
            base.with_suffix(".p12").chmod(0o600)
        return cert, own

    def host(self, cert, key, names, province):
        """The TLS certificate of the host with its chain."""
        self.new_key(key)
        self._certificate(cert, key, "tls", subject(C="VN", O=province, CN=names[0].split(":", 1)[1]), 825,
                          (self.issuing, self.issuing_key), san=",".join(names))
        with open(cert, "ab") as f:
            f.write(self.issuing.read_bytes())
