"""Starts tests/unit/imap_fake_server: an imapd-session over fakes of its neighbours."""

import os
import pathlib
import subprocess


class Server:
    def __init__(self, folder):
        self.cert, key = folder / "cert.pem", folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                        "-keyout", str(key), "-out", str(self.cert)], check=True, capture_output=True)
        self.ca, self.log = str(self.cert), folder / "log"
        program = pathlib.Path(os.environ.get("IMAP_FAKE_SERVER", "tests/unit/imap_fake_server"))
        self.is_asan = b"__asan_init" in program.read_bytes()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([str(program), str(self.cert), str(key)], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log)
        self.imap_port, self.imaps_port = (int(w) for w in self.process.stdout.readline().split())

    def is_up(self):
        return self.process.poll() is None

    def stop(self):
        """(exit code, log)"""
        self.process.stdin.close()
        return self.process.wait(20), self.log.read_text()
