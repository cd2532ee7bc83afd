"""quickstart on an instance that is there: more people, stop, start; near the end, since it changes the instance of all tests."""

import json

import client
from conftest import quickstart


def test_more_people(server):
    before = [u for u in json.loads(server.file.read_text())["users"] if u["role"] != "mailbox"]
    quickstart("--dir", server.dir, "--no-demo", "--staff", 3)
    after = [u for u in json.loads(server.file.read_text())["users"] if u["role"] != "mailbox"]
    assert after[:len(before)] == before and len(after) == len(before) + 3
    for user in after[len(before):]:
        client.close(server.imap(user))
        ok, out, err = client.openssl("verify", "-CAfile", server.ca_file, "-purpose", "smimesign", user["cert"])
        assert ok == 0, err


def test_stop_and_start(server):
    """What was there is there after a stop and a start; a second stop says nothing wrong."""
    user = server.user("staff", agency="STC")
    mid = client.new_id("hopthu.example")
    mail = client.header("dan@hopthu.example", [user["address"]], "Trước khi dừng", mid) + client.text_part("x\n")
    with server.mx() as s:
        assert client.transaction(s, "dan@hopthu.example", [user["address"]], mail)[0] == 250
    quickstart("stop", "--dir", server.dir)
    assert not server.processes()
    assert quickstart("stop", "--dir", server.dir).returncode == 0
    assert quickstart("status", "--dir", server.dir, check=False).returncode != 0
    quickstart("restart", "--dir", server.dir)
    assert server.fetch(user, mid) is not None
    assert server.congvu("audit", "verify").returncode == 0


def test_another_port_base_is_refused(server):
    r = quickstart("--dir", server.dir, "--port-base", server.base + 1000, check=False)
    assert r.returncode != 0 and str(server.base) in r.stdout + r.stderr


def test_wrong_arguments():
    for args in (["--no-such"], ["--staff"], ["--staff", "x"], ["--port-base", "-1"], ["fly"]):
        assert quickstart(*args, check=False).returncode == 64
