"""Each border between roles, from the side of a role that was taken over: whatever it sends, it is the only casualty."""

import os
import pathlib
import pwd
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
SECONDS = float(os.environ.get("CONGVU_ABUSE_SECONDS", "2"))
# socket: protocol, its table, the role that sits there, its user
DOORS = {
    "lookup.smtpd.sock": ("lookup", "directory/lookup_proto.def", "SMTPD", "cv-smtp"),
    "lookup.imapd.sock": ("lookup", "directory/lookup_proto.def", "IMAPD", "cv-imap"),
    "lookup.ingest.sock": ("lookup", "directory/lookup_proto.def", "INGEST", "cv-ingest"),
    "lookup.milter.sock": ("lookup", "directory/lookup_proto.def", "MILTER", "cv-milter"),
    "store.imapd.sock": ("store", "store/store_proto.def", "IMAPD", "cv-imap"),
    "store.ingest.sock": ("store", "store/store_proto.def", "INGEST", "cv-ingest"),
    "store.lookup.sock": ("store", "store/store_proto.def", "LOOKUP", "cv-lookup"),
    "ingest.imapd.sock": ("ingest", "store/ingest_proto.def", "IMAPD", "cv-imap"),
    "ingest.admin.sock": ("ingest", "store/ingest_proto.def", "ADMIN", "root"),
    "queue.smtpd.sock": ("queue", "smtpd/queue_proto.def", "SMTPD", "cv-smtp"),
    "queue.relay.sock": ("queue", "smtpd/queue_proto.def", "RELAY", "cv-relay"),
    "scan.milter.sock": ("scan", "milter/scan_proto.def", "MILTER", "cv-milter"),
    "ledger.milter.sock": ("ledger", "milter/ledger_proto.def", "MILTER", "cv-milter"),
    "fetch.milter.sock": ("fetch", "directory/fetch_proto.def", "MILTER", "cv-milter"),
    "fetch.admin.sock": ("fetch", "directory/fetch_proto.def", "ADMIN", "root"),
    "ledger.admin.sock": ("ledger", "milter/ledger_proto.def", "ADMIN", "root"),
    "ledger.smtpd.sock": ("ledger", "milter/ledger_proto.def", "SMTPD", "cv-smtp"),
}


@pytest.mark.parametrize("door", sorted(DOORS))
def test_the_sender_is_the_only_casualty(server, door):
    server.wait_up()
    proto, table, role, user = DOORS[door]
    ids = pwd.getpwnam(user) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    before = server.processes()
    log = server.dir / "log/congvu.log"
    size = log.stat().st_size
    r = subprocess.run([sys.executable, str(HERE / "ipc_abuse.py"), str(server.dir / "run"), door, str(TOP / table), proto, role,
                        str(ids.pw_uid), str(ids.pw_gid), str(SECONDS), "1"], capture_output=True, text=True,
                       stdin=subprocess.DEVNULL, timeout=SECONDS + 60)
    assert r.returncode == 0, r.stderr
    count = {k: int(v) for k, v in (p.split("=") for p in r.stdout.split())}
    assert count["sent"] > 50, r.stdout
    text = log.read_text(errors="replace")[size:]
    assert "SANDBOX_VIOLATION" not in text, re.findall(r".*SANDBOX_VIOLATION.*", text)
    assert server.processes() == before, "a role ended: " + "\n".join(re.findall(r".*role_exit.*|.*fatal.*", text))
    server.wait_up()
