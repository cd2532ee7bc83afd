#!/usr/bin/python3
"""Runs the IMAP transcripts (tests/wire/imap, tests/unit/imap) against the session code over fakes of stored and lookup: no instance is
needed. Arguments: names of transcripts, for some of them only. Run by `make check`."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "wire"))
import run  # noqa: E402  (the wire runner)


def certificate(folder):
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


def person(name, role):
    return {"login": name, "password": "pw-" + name, "address": name + "@tinhmau.example", "name": name, "role": role}


def main():
    program = pathlib.Path(os.environ.get("IMAP_FAKE_SERVER", "tests/unit/imap_fake_server"))
    files = [pathlib.Path(a) for a in sys.argv[1:]] or \
        sorted((HERE.parent / "wire" / "imap").glob("*.t")) + sorted((HERE / "imap").glob("*.t"))
    bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp)
        cert, key = certificate(folder)
        with open(folder / "log", "wb") as log:
            server = subprocess.Popen([str(program), str(cert), str(key)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=log)
        imap_port, imaps_port = (int(w) for w in server.stdout.readline().split())
        people = [person("clerk", "clerk"), person("staff", "staff"), person("head", "head"), person("four", "staff"),
                  person("vanthu", "mailbox")]
        site = {"host": "localhost", "imap_port": imap_port, "imaps_port": imaps_port, "ca_file": str(cert), "users": people}
        (folder / "instance.json").write_text(json.dumps(site))
        for path in files:
            why = run.run_file(path, site)
            print("%s %s" % ("FAIL" if why else "PASS", path.name))
            if why:
                bad += 1
                print("  " + why.replace("\n", "\n  "))
            if server.poll() is not None:
                break
        server.stdin.close()
        code = server.wait(20)
        if code:
            bad += 1
            print("the server ended with %d:\n%s" % (code, (folder / "log").read_text()[-3000:]))
    print("%d transcripts, %d failed" % (len(files), bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
