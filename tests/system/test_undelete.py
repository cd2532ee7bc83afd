"""congvu mailbox deleted, undelete, hold, release, holds, on the whole system: clients, store, directory, audit log."""

import json
import os
import re
import signal
import time

import client


def letter(server, sender, rcpt, subject="Báo cáo tuần"):
    mid = client.new_id(server.domain)
    mail = client.header(client.address(sender["name"], sender["address"]), [rcpt["address"]], subject, mid)
    server.submit(sender, sender["address"], [rcpt["address"]], mail + client.text_part("Nội dung.\n"))
    return mid, mail + client.text_part("Nội dung.\n")


def run(server, *args, code=0, env=None):
    r = server.congvu("mailbox", *args, "--json", env=env)
    assert r.returncode == code, r.stdout + r.stderr
    return json.loads(r.stdout) if code == 0 else r.stderr


def uid_of(m, mid):
    _, data = m.uid("SEARCH", "HEADER", "Message-ID", '"%s"' % mid)
    return data[0].split()


def expunge(m, uid):
    assert m.uid("STORE", uid, "+FLAGS", r"(\Deleted \Flagged)")[0] == "OK"
    assert m.uid("EXPUNGE", uid)[0] == "OK"


def records(server, event):
    r = server.congvu("audit", "show", "--json", "--match", event)
    assert r.returncode == 0, r.stderr
    rows = [json.loads(x) for x in r.stdout.splitlines()] if r.stdout.lstrip().startswith("{") else json.loads(r.stdout)
    return [x for x in rows if x.get("event") == event]


def test_expunge_and_undelete_while_idle(server):
    server.wait_up()
    a, b = server.user("staff", agency="SKHCN"), server.user("staff", agency="STC")
    mid, sent = letter(server, b, a)
    assert server.fetch(a, mid) is not None
    m, watcher = server.imap(a), server.imap(a)
    m.select("INBOX")
    expunge(m, uid_of(m, mid)[0])
    assert uid_of(m, mid) == []
    got = run(server, "deleted", a["login"], "--message-id", mid)
    assert len(got["messages"]) == 1 and got["undelete_days"] == 14 and got["held"] is False
    row = got["messages"][0]
    assert row["mailbox"] == "INBOX" and row["by"] == a["login"] and row["how"] == "expunged", row
    assert row["subject"] == "Báo cáo tuần" and row["from"] == b["address"] and row["message_id"] == mid, row
    assert abs(row["when"] - time.time()) < 60
    # by address, by id; filters that take nothing
    assert run(server, "deleted", a["address"], "--message-id", mid.strip("<>"))["messages"] == [row]
    assert run(server, "deleted", got["account"], "--uid", str(row["uid"]), "--mailbox", "INBOX")["messages"][0] == row
    assert run(server, "deleted", a["login"], "--since", "2099-01-01")["messages"] == []
    assert run(server, "deleted", a["login"], "--mailbox", "Sent", "--message-id", mid)["messages"] == []
    # a session in IDLE hears of it
    watcher.select("INBOX")
    watcher.send(b"i1 IDLE\r\n")
    while not watcher.readline().startswith(b"+"):
        pass
    assert run(server, "undelete", a["login"], "--message-id", mid, "--dry-run")["messages"] == [row]
    assert run(server, "undelete", a["login"], "--message-id", mid)["restored"] == 1
    watcher.sock.settimeout(10)
    line = watcher.readline()
    while b"EXISTS" not in line:
        assert line, "the watcher heard nothing"
        line = watcher.readline()
    watcher.send(b"DONE\r\n")
    # once: nothing is left to restore
    assert run(server, "undelete", a["login"], "--message-id", mid)["restored"] == 0
    m.noop()
    uids = uid_of(m, mid)
    assert len(uids) == 1 and int(uids[0]) > row["uid"]
    _, data = m.uid("FETCH", uids[0], "(FLAGS BODY.PEEK[])")
    flags = re.search(rb"FLAGS \(([^)]*)\)", b" ".join(x if isinstance(x, bytes) else x[0] for x in data)).group(1)
    assert b"Flagged" in flags and b"Deleted" not in flags, flags
    assert client.same_from_first_field(sent, data[0][1])
    note = records(server, "store_undelete")[-1]
    assert note["message_id"] == mid and note["account"] == got["account"] and note["by"] and note["uid"] == 0
    client.close(m)
    client.close(watcher)


def test_deleted_mailbox(server):
    server.wait_up()
    a, b = server.user("staff", agency="SKHCN"), server.user("staff", agency="STC")
    mid, _ = letter(server, b, a, "Hồ sơ dự án")
    assert server.fetch(a, mid) is not None
    m = server.imap(a)
    m.create('"Du an"')
    m.select("INBOX")
    assert m.uid("MOVE", uid_of(m, mid)[0], '"Du an"')[0] == "OK"
    m.delete('"Du an"')
    rows = run(server, "deleted", a["login"], "--mailbox", "Du an")["messages"]
    assert [r["message_id"] for r in rows] == [mid] and rows[0]["mailbox_deleted"] and rows[0]["how"] == "mailbox deleted"
    shown = server.congvu("mailbox", "deleted", a["login"], "--mailbox", "Du an", "--lang", "vi").stdout
    assert "hộp thư bị xóa" in shown and "Hồ sơ dự án" in shown, shown
    # columns are as wide in both languages as their contents
    head, line = shown.splitlines()[2:4]
    for what in ("Hồ sơ dự án", a["login"]):
        assert line.index(what) in (head.index("tiêu đề"), head.index("người xóa")), shown
    # stored is killed meanwhile: it comes back once
    p = server.one("congvu-stored-db")
    os.kill(p, signal.SIGKILL)
    server.wait_up()
    assert run(server, "undelete", a["login"], "--mailbox", "Du an", "--to", "Khoi phuc")["restored"] == 1
    assert run(server, "undelete", a["login"], "--mailbox", "Du an")["restored"] == 0
    m = server.imap(a)
    assert m.select('"Khoi phuc"')[0] == "OK" and len(uid_of(m, mid)) == 1
    client.close(m)
    assert "no such" in server.congvu("mailbox", "deleted", "p-khong-co", "--lang", "en").stderr
    assert server.congvu("mailbox", "undelete", a["login"]).returncode == 64
    assert server.congvu("mailbox", "deleted", a["login"], "--since", "hôm qua").returncode == 64


def test_hold(server):
    server.wait_up()
    a, b = server.user("staff", agency="SKHCN"), server.user("staff", agency="STC")
    assert server.congvu("mailbox", "hold", a["login"]).returncode == 64  # no decision, no hold
    got = run(server, "hold", a["login"], "--decision", "12/QĐ-STP", "--reason", "Thanh tra")
    try:
        assert got[-1]["in_force"] and got[-1]["decision"] == "12/QĐ-STP" and got[-1]["until"] is None
        account = got[-1]["account"]
        mid, _ = letter(server, b, a, "Bị giữ")
        assert server.fetch(a, mid) is not None
        m = server.imap(a)
        m.select("INBOX")
        expunge(m, uid_of(m, mid)[0])
        assert uid_of(m, mid) == []
        client.close(m)
        assert run(server, "deleted", account, "--message-id", mid)["held"] is True
        assert any(h["account"] == account and h["in_force"] for h in run(server, "holds"))
        shown = server.congvu("mailbox", "holds", a["address"], "--lang", "vi").stdout
        assert "đang hiệu lực" in shown and "12/QĐ-STP" in shown and "Thanh tra" in shown, shown
    finally:
        got = run(server, "release", a["login"], "--decision", "15/QĐ-STP")
    assert not any(h["in_force"] for h in got) and got[-1]["release_decision"] == "15/QĐ-STP"
    run(server, "release", a["login"], "--decision", "16/QĐ-STP", code=67)
    assert [records(server, e)[-1]["decision"] for e in ("store_hold", "store_release")] == ["12/QĐ-STP", "16/QĐ-STP"]


def test_a_hold_that_would_hold_nothing(server):
    """A login or an account that nobody has, a day that is over: refused, not "in force"."""
    server.wait_up()
    a = server.user("staff", agency="SKHCN")
    before = run(server, "holds")
    for who in ("khong-co-ai", "p-khong-co-ai"):
        assert server.congvu("mailbox", "hold", who, "--decision", "12/QĐ-STP").returncode == 67
    r = server.congvu("mailbox", "hold", a["login"], "--decision", "12/QĐ-STP", "--until", "2020-01-01", "--lang", "vi")
    assert r.returncode == 64 and "đã qua" in r.stderr, r.stderr
    assert run(server, "holds") == before


def test_a_hold_of_somebody_without_mail(server):
    """Somebody was hired and has no mail yet: held by the account too, before there is anything."""
    server.wait_up()
    r = server.congvu("staff", "hire", "--name", "Phạm Thị Chưa Thư", "--agency", "H99.31", "--title", "Công chức", "--role", "staff",
                      "--decision", "02/QĐ-UBND", "--json")
    assert r.returncode == 0, r.stdout + r.stderr
    got = json.loads(r.stdout)
    account = "p-" + (got[0] if isinstance(got, list) else got)["id"].lower()
    try:
        held = run(server, "hold", account, "--decision", "21/QĐ-STP")
        assert any(h["account"] == account and h["in_force"] for h in held), held
    finally:
        run(server, "release", account, "--decision", "22/QĐ-STP")
