#!/usr/bin/python3
"""Runs the IMAP transcripts (tests/wire/imap, tests/unit/imap) against the session code over fakes of stored and lookup: no instance is
needed. Arguments: names of transcripts, for some of them only. Run by `make check`."""

import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[0:0] = [str(HERE), str(HERE.parent / "wire")]
import imap_fake  # noqa: E402
import run  # noqa: E402  (the wire runner)


def person(name, role):
    return {"login": name, "password": "pw-" + name, "address": name + "@tinhmau.example", "name": name, "role": role}


def main():
    files = [pathlib.Path(a) for a in sys.argv[1:]] or \
        sorted((HERE.parent / "wire" / "imap").glob("*.t")) + sorted((HERE / "imap").glob("*.t"))
    bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        server = imap_fake.Server(pathlib.Path(tmp))
        people = [person("clerk", "clerk"), person("staff", "staff"), person("head", "head"), person("four", "staff"),
                  person("vanthu", "mailbox")]
        site = {"host": "localhost", "imap_port": server.imap_port, "imaps_port": server.imaps_port, "ca_file": server.ca,
                "users": people}
        for path in files:
            why = run.run_file(path, site)
            print("%s %s" % ("FAIL" if why else "PASS", path.name))
            if why:
                bad += 1
                print("  " + why.replace("\n", "\n  "))
            if not server.is_up():
                break
        code, log = server.stop()
        if code:
            bad += 1
            print("the server ended with %d:\n%s" % (code, log[-3000:]))
    print("%d transcripts, %d failed" % (len(files), bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
