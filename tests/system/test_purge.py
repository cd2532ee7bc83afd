"""congvu store purge on the whole system: two officers, a client that watches, QRESYNC, the audit log, the disk."""

import json
import os
import pwd
import signal
import time

import client
import pytest


def as_officer(server, name, *args, code=0):
    """congvu as sudo runs it for somebody."""
    env = dict(os.environ, SUDO_UID=str(pwd.getpwnam(name).pw_uid), SUDO_USER=name)
    r = server.congvu("store", "purge", *args, env=env)
    assert r.returncode == code, r.stdout + r.stderr
    return r.stdout + r.stderr


@pytest.fixture
def officers(server):
    if open("/proc/self/loginuid").read().strip() != "4294967295":
        pytest.skip("this login has a uid of its own, which outweighs sudo's")
    text = server.conf.read_text()
    server.conf.write_text(text + '\nsecurity_officers = {"daemon", "bin"}\nofficers_by_sudo = true\n')
    os.kill(server.one("congvu-stored-db"), signal.SIGKILL)
    server.wait_up()
    yield "daemon", "bin"
    server.conf.write_text(text)
    os.kill(server.one("congvu-stored-db"), signal.SIGKILL)
    server.wait_up()


def letter(server, sender, rcpts, secret):
    mid = client.new_id(server.domain)
    mail = client.header(client.address(sender["name"], sender["address"]), [r["address"] for r in rcpts], "Mật khẩu", mid)
    server.submit(sender, sender["address"], [r["address"] for r in rcpts], mail + client.text_part(secret + "\n"))
    return mid


def test_two_officers(server, officers):
    one, two = officers
    a, b, c = server.user("staff", agency="SKHCN"), server.user("staff", agency="STC"), server.user("clerk", agency="SKHCN")
    secret = "mat khau kho quy 7f3a90c1d2"
    mid = letter(server, c, [a, b], secret)
    assert server.fetch(a, mid) is not None and server.fetch(b, mid) is not None
    m = server.imap(a)
    m.select("INBOX")
    _, data = m.uid("SEARCH", "HEADER", "Message-ID", '"%s"' % mid)
    uid = data[0].split()[0]
    # a copy that was expunged is retained, and is meant as well
    m.create("Giu")
    m.uid("COPY", uid, "Giu")
    m.delete("Giu")
    said = as_officer(server, "nobody", "--message-id", mid, "--reason", "lộ", code=77)
    assert "security_officers" in said
    said = as_officer(server, one, "--message-id", mid, "--reason", "lộ mật khẩu", "--lang", "vi")
    assert "2 thư và 0" in said or "3 thư" in said, said
    assert "Một cán bộ khác xác nhận" in said and "Giu" in said and "hộp thư bị xóa" in said
    number = said.split("--confirm ")[1].split()[0]
    as_officer(server, two, "--confirm", number, "--cancel", number, code=64)  # which of the two?
    as_officer(server, two, "--confirm", number + "x", code=64)
    said = as_officer(server, one, "--confirm", number, "--lang", "vi", code=77)
    assert "cán bộ khác" in said, said
    assert m.uid("SEARCH", "HEADER", "Message-ID", '"%s"' % mid)[1][0].split() == [uid]
    # a client in IDLE sees it go
    watcher = server.imap(a)
    watcher.select("INBOX")
    watcher.send(b"i1 IDLE\r\n")
    while not watcher.readline().startswith(b"+"):
        pass
    said = as_officer(server, two, "--confirm", number)
    assert "0 left" in said and "1 bodies are off the disk, 0 bodies stay" in said, said
    assert "The queue and the quarantine have no mail with this Message-ID" in said and "Not searched: backups" in said, said
    watcher.sock.settimeout(10)
    line = watcher.readline()
    while b"EXPUNGE" not in line and b"VANISHED" not in line:
        assert line
        line = watcher.readline()
    watcher.send(b"DONE\r\n")
    m.noop()
    assert m.uid("SEARCH", "HEADER", "Message-ID", '"%s"' % mid)[1][0].split() == []
    assert server.fetch(b, mid, wait=0.3) is None
    # what the journals say
    listed = json.loads(server.congvu("store", "purge", "--list", "--json").stdout)["findings"]
    mine = [r for r in listed if r["request"] == int(number)][0]
    assert mine["erased_octets"] > 500 and mine["bodies_dropped"] == 1 and mine["removed"] == 3, mine  # stored_purge_test looks into the files
    assert mine["requested_by"] == one and mine["confirmed_by"] == two and mine["state"] == "done", mine
    shown = server.congvu("audit", "show", "--json", "--match", "store_purge").stdout
    records = json.loads(shown) if shown.lstrip().startswith("[") else [json.loads(x) for x in shown.splitlines()]
    by = [(r["event"], r["by"]) for r in records if r["event"].startswith("store_purge")]
    assert ("store_purge_request", one) in by and ("store_purge_confirm", two) in by and ("store_purge_done", two) in by, by
    assert server.congvu("audit", "verify").returncode == 0
    client.close(m)
    client.close(watcher)


def test_what_is_in_the_queue_is_named(server, officers):
    """Mail that waits to come in, and is in no mailbox yet, is found by its Message-ID, quarantine and all: it is named, and can be deleted."""
    one, _ = officers
    a, c = server.user("staff", agency="SKHCN"), server.user("clerk", agency="SKHCN")
    stopped = list(server.processes("congvu-ingest"))
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        mid = letter(server, c, [a], "bi mat trong hang doi 55aa")
        deadline = time.monotonic() + 30
        while a["address"] not in server.congvu("queue", "list").stdout and time.monotonic() < deadline:
            time.sleep(0.2)
        said = as_officer(server, one, "--message-id", mid, "--reason", "lộ", code=67)
        assert "1 messages in the queue have this Message-ID: congvu queue delete" in said, said
        assert a["address"] in said, said
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert server.fetch(a, mid, wait=60) is not None  # nothing was taken away by that
    said = as_officer(server, one, "--message-id", mid, "--reason", "lộ")
    assert "1 messages and 0 retained" in said, said
    assert "The queue and the quarantine have no mail with this Message-ID" in said, said
    number = said.split("--confirm ")[1].split()[0]
    as_officer(server, one, "--cancel", number)
