"""Care for the mail store: `congvu store check` and its like, beside the running suite and on damaged stores."""

import json


def test_check_of_a_sound_store(server):
    """Nothing is wrong, in the words for people and as JSON; the messages counted are those that IMAP shows."""
    server.wait_up()
    user = server.users[0]
    m = server.imap(user)
    m.select("INBOX")
    m.append("INBOX", None, None, b"Subject: care\r\nMessage-ID: <care-1@test.example>\r\n\r\nbody\r\n")
    r = server.congvu("--json", "store", "check")
    assert r.returncode == 0, r.stdout + r.stderr
    told = json.loads(r.stdout)
    assert told["findings"] == []
    assert told["task"]["state"] == "done"
    result = told["task"]["result"]
    assert result["faults"] == 0 and result["unsettled"] == 0
    assert result["accounts"] >= 1 and result["messages"] >= 1
    r = server.congvu("store", "check", "--deep")
    assert r.returncode == 0 and "0 faults" in r.stdout, r.stdout + r.stderr
    r = server.congvu("--lang", "vi", "store", "check")
    assert r.returncode == 0 and "0 lỗi" in r.stdout, r.stdout + r.stderr
    r = server.congvu("store", "check", "nobody-of-that-id")
    assert r.returncode == 75 and "no such account" in r.stderr, r.stdout + r.stderr


def test_tasks(server):
    """A detached task can be followed by its number; unknown ones are refused."""
    server.wait_up()
    r = server.congvu("store", "check", "--detach")
    assert r.returncode == 0 and r.stdout.strip().isdigit(), r.stdout + r.stderr
    task = r.stdout.strip()
    r = server.congvu("--json", "store", "follow", task)
    assert r.returncode == 0, r.stdout + r.stderr
    assert json.loads(r.stdout)["task"]["id"] == int(task)
    listed = json.loads(server.congvu("--json", "store", "tasks").stdout)
    assert int(task) in [t["id"] for t in listed["tasks"]] and "check" in listed["kinds"]
    assert server.congvu("store", "follow", "999999").returncode == 75
    assert server.congvu("store", "stop", "999999").returncode == 67
    assert server.congvu("store", "stop", "x").returncode == 64
