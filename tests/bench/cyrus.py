#!/usr/bin/python3
"""Debian's Cyrus IMAP as a third peer for the reading loads: how it is got, and its configuration. Its package conflicts with Dovecot's, so it is
unpacked below the build folder instead of being installed: run this file once (it downloads by apt-get); where it was not run, the bench goes
without Cyrus.

cyrus.py [BUILD]"""

import os
import pathlib
import shutil
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = ("cyrus-imapd", "cyrus-common", "libclamav12", "libical3", "libmspack0", "libxapian30", "libzephyr4")
REALM = "localhost"

IMAPD = """configdirectory: %(dir)s/conf
partition-default: %(dir)s/mail
defaultpartition: default
cyrus_user: mail
cyrus_group: mail
allowplaintext: yes
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: %(dir)s/sasldb2
sasl_mech_list: PLAIN LOGIN
servername: %(realm)s
tls_server_cert: %(certs)s/cert.pem
tls_server_key: %(certs)s/key.pem
autocreate_quota: 0
autocreate_post: yes
unixhierarchysep: yes
virtdomains: no
lmtpsocket: %(dir)s/sock/lmtp
idlesocket: %(dir)s/sock/idle
notifysocket: %(dir)s/sock/notify
"""
MASTER = """START {
  recover cmd="%(bin)s/ctl_cyrusdb -C %(dir)s/imapd.conf -r"
}
SERVICES {
  imaps cmd="%(bin)s/imapd -s -C %(dir)s/imapd.conf -U 30" listen="%(imaps)s" prefork=0 maxchild=200
  lmtp cmd="%(bin)s/lmtpd -a -C %(dir)s/imapd.conf" listen="%(lmtp)s" prefork=0 maxchild=50
}
EVENTS {
  checkpoint cmd="%(bin)s/ctl_cyrusdb -C %(dir)s/imapd.conf -c" period=30
}
"""


def root(build):
    return pathlib.Path(build) / "bench/cyrus"


def is_there(build):
    return (root(build) / "usr/lib/cyrus/bin/master").exists() and shutil.which("saslpasswd2", path="/usr/sbin:/usr/bin") is not None


def environment(build):
    return dict(os.environ, LD_LIBRARY_PATH=str(root(build) / "usr/lib/x86_64-linux-gnu"))


def get(build):
    where = root(build)
    where.mkdir(parents=True, exist_ok=True)
    debs = where / "debs"
    debs.mkdir(exist_ok=True)
    subprocess.run(["apt-get", "-q", "download", *PACKAGES], cwd=debs, check=True)
    for deb in debs.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", deb, where], check=True)
    shutil.rmtree(debs)


def version(build):
    status = root(build) / "usr/share/doc/cyrus-imapd/changelog.Debian.gz"
    r = subprocess.run("zcat %s | head -1" % status, shell=True, capture_output=True, text=True)
    return r.stdout.split("(")[-1].split(")")[0] if "(" in r.stdout else ""


def make(side, build, accounts):
    """Configuration, folders and passwords ({account: password}); mailboxes are made at the first login."""
    d = side.dir
    for sub in ("conf/db", "conf/proc", "mail", "sock", "run"):
        (d / sub).mkdir(parents=True)
    words = dict(dir=d, certs=side.certs, realm=REALM, bin=root(build) / "usr/lib/cyrus/bin", imaps=side.at("imaps"), lmtp=side.at("mx"))
    (d / "imapd.conf").write_text(IMAPD % words)
    (d / "cyrus.conf").write_text(MASTER % words)
    for name, password in accounts.items():
        subprocess.run(["/usr/sbin/saslpasswd2", "-p", "-c", "-u", REALM, "-f", d / "sasldb2", name], input=password.encode(), check=True)
    subprocess.run(["chown", "-R", "mail:mail", d], check=True)


if __name__ == "__main__":
    get(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CONGVU_BUILD", TOP / "build"))
