"""Urgent documents (P32): first in the queue, receipts, and who did not open one in time."""

import contextlib
import email
import email.policy
import json
import os
import random
import re
import secrets
import signal
import time

import client
import pytest

SECONDS = 8
KINDS = {"hoa-toc": "[Hỏa tốc]", "khan": "[Khẩn]"}


def wait_for(what, seconds=40):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("it did not come to that")


def restart(server, *binaries):
    for binary in binaries:
        for pid in server.processes(binary):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    server.wait_up()


@pytest.fixture(scope="module")
def soon(server):
    """Half an hour is some seconds; an office is told as well."""
    office = server.user("head", agency="STC")
    text = server.conf.read_text()
    server.conf.write_text(text + '\nurgent_unread_s = %d\nurgent_alert_mail = {"%s"}\n' % (SECONDS, office["address"]))
    restart(server, "congvu-smtpd-queue", "congvu-smtpd-session")
    yield office
    server.conf.write_text(text)
    restart(server, "congvu-smtpd-queue", "congvu-smtpd-session")


def document(server, box, to, mark="[Hỏa tốc] ", extra=()):
    """An issued document of a mailbox, signed; its Message-ID, subject and octets."""
    number, word = random.randrange(1000, 99999), secrets.token_hex(5)
    subject = "%s%d/QĐ-%s V/v: họp gấp %s" % (mark, number, box["abbrev"], word)
    mid = client.new_id(server.domain)
    entity = client.multipart([client.text_part("Kính gửi.\n"), client.attachment("qd.pdf", client.pdf(["So %d" % number]))])
    return mid, subject, client.header(box["address"], to, subject, mid, extra) + client.sign(entity, box)


def send(server, clerk, box, to, **how):
    mid, subject, mail = document(server, box, to, **how)
    code, said = server.submit(clerk, box["address"], to, mail)
    assert code == 250, said
    return mid, subject, said.split()[-1]


def box_of(server, abbrev):
    return dict(server.mailbox(abbrev), abbrev=abbrev)


def found(server, user, folder, *search):
    """Mails of a folder, without opening them."""
    m = server.imap(user)
    try:
        status, _ = m.select(client.quoted(folder), readonly=True)
        assert status == "OK", folder
        _, data = m.uid("SEARCH", None, *search)
        return [next(d[1] for d in m.uid("FETCH", u, "(BODY.PEEK[])")[1] if isinstance(d, tuple)) for u in data[0].split()]
    finally:
        client.close(m)


def read(server, user, folder, mid):
    """Opens it, as a mail client does."""
    m = server.imap(user)
    try:
        m.select(client.quoted(folder))
        _, data = m.uid("SEARCH", None, "HEADER", "Message-ID", client.quoted(mid))
        uid, = data[0].split()
        m.uid("FETCH", uid, "(BODY[])")
    finally:
        client.close(m)


def records(server, qid):
    return [r for m in json.loads(server.congvu("--json", "trace", qid).stdout) for r in m["records"]]


def notices(server, user, folder, mid):
    return [x for x in found(server, user, folder, "HEADER", "References", client.quoted(mid)) if b".urgent@" in x]


def test_who_did_not_open_it_is_told(server, soon):
    """The sender and the office hear once of those who did not open it; what a holder of a post opened is read; the log, trace and the daily report have it."""
    clerk, box = server.user("clerk", agency="SKHCN"), box_of(server, "SKHCN")
    a, b = server.user("staff", agency="SKHCN"), server.user("staff", agency="STC")
    other, holder = server.mailbox("STC"), server.user("clerk", agency="STC")
    folder, mine = server.other_users_folder(holder, other["address"]), server.other_users_folder(clerk, box["address"])
    today = time.strftime("%Y-%m-%d")
    before = json.loads(server.congvu("--json", "report", "daily", "--day", today, "--no-verify").stdout)["urgent"]
    mid, subject, qid = send(server, clerk, box, [a["address"], b["address"], other["address"]])
    got = server.fetch(a, mid)
    assert b"Importance: high" in got and b"; urgency=hoa-toc" in got and b"P32" in got, got[:2000].decode()
    read(server, a, "INBOX", mid)
    read(server, holder, folder, mid)
    # the receipts came at once
    receipt = wait_for(lambda: [x for x in found(server, clerk, mine, "TEXT", client.quoted(mid)) if b"multipart/report" in x and b"Action: delivered" in x])
    assert all(x["address"].encode() in receipt[0] for x in (a, b, other)), receipt
    told = email.message_from_bytes(receipt[0], policy=email.policy.default).get_body().get_content()
    assert "Trích yếu / Subject: " + subject in told, told
    # what waits for that is neither shown as mail that waits nor forgotten by a crash
    assert qid not in server.congvu("--json", "queue", "list").stdout
    os.kill(server.one("congvu-smtpd-queue"), signal.SIGKILL)
    assert notices(server, clerk, mine, mid) == []
    told, = wait_for(lambda: notices(server, clerk, mine, mid))
    text = told.decode()
    assert b["address"] in text and a["address"] not in text and other["address"] not in text.split("\r\n\r\n", 1)[1], text
    assert subject in text and "chưa được đọc" in text and "Urgent document unread" in text and qid in text, text
    assert [b["address"] in x.decode() for x in wait_for(lambda: notices(server, soon, "INBOX", mid))] == [True]
    ends = wait_for(lambda: [x for r in records(server, qid) if r["event"] == "delivery" for x in r["rcpts"]])
    assert sorted((x["address"], x["result"]) for x in ends) == sorted([(a["address"], "read"), (b["address"], "unread"), (other["address"], "read")])
    # and syslog, where it is set: one record each (ledger_syslog.c)
    alerts = [r for r in records(server, qid) if r["event"] == "alert"]
    assert [(r["rule"], r["address"], r["session"]["auth"]) for r in alerts] == [("P32", b["address"], clerk["login"])], alerts
    after = json.loads(server.congvu("--json", "report", "daily", "--day", today, "--no-verify").stdout)["urgent"]
    assert {k: after[k] - before[k] for k in after} == {"documents": 1, "read": 2, "unread": 1, "not_due": 0}, (before, after)
    assert "Văn bản khẩn (P32): %d" % after["documents"] in server.congvu("report", "daily", "--day", today, "--no-verify", "--lang", "vi").stdout
    assert "P32" in server.congvu("explain", qid).stdout
    time.sleep(3)
    assert len(notices(server, clerk, mine, mid)) == 1 and len(notices(server, soon, "INBOX", mid)) == 1


def test_nobody_is_told_of_what_was_read_or_dealt_with(server, soon):
    """Read, or moved away unread: somebody has dealt with it. A member of a group counts for the group."""
    clerk, box, a, b = server.user("clerk", agency="SKHCN"), box_of(server, "SKHCN"), server.user("staff", agency="SKHCN"), server.user("staff", agency="STC")
    mine = server.other_users_folder(clerk, box["address"])
    mid, _, qid = send(server, clerk, box, [a["address"], b["address"]], mark="[Khẩn] ")
    assert b"; urgency=khan;" in server.fetch(a, mid)
    read(server, a, "INBOX", mid)
    m = server.imap(b)
    m.select("INBOX")
    _, data = m.uid("SEARCH", None, "HEADER", "Message-ID", client.quoted(mid))
    assert m.uid("MOVE", data[0].split()[0], "Trash")[0] == "OK"
    client.close(m)
    ends = wait_for(lambda: [x for r in records(server, qid) if r["event"] == "delivery" for x in r["rcpts"]])
    assert sorted((x["address"], x["result"]) for x in ends) == sorted([(a["address"], "read"), (b["address"], "read")])
    time.sleep(1)
    assert notices(server, clerk, mine, mid) == [] and notices(server, soon, "INBOX", mid) == []


def test_only_the_filter_says_so(server, soon):
    """Ordinary mail that calls itself urgent, in its subject or in our filter's own field, gets neither receipt nor notice."""
    clerk, a = server.user("clerk", agency="SKHCN"), server.user("staff", agency="STC")
    mid = client.new_id(server.domain)
    mail = client.header(clerk["address"], [a["address"]], "Hỏa tốc", mid, [("X-Congvu-Verdict", "accept; urgency=hoa-toc; notes=P32")]) + client.text_part("Chào.\n")
    code, said = server.submit(clerk, clerk["address"], [a["address"]], mail)
    assert code == 250, said
    got = server.fetch(a, mid)
    assert b"urgency" not in got and b"Importance" not in got, got
    time.sleep(SECONDS + 3)
    assert notices(server, clerk, "INBOX", mid) == [] and not [r for r in records(server, said.split()[-1]) if r["event"] == "delivery"]
    assert not [x for x in found(server, clerk, "INBOX", "TEXT", client.quoted(mid)) if b"multipart/report" in x]


def test_nothing_for_who_is_outside(server, soon):
    """A clerk's signed body, replayed at the MX under the clerk's name: no place in front, and no word of who got or opened it to the address outside."""
    clerk, a, spy = server.user("clerk", agency="SKHCN"), server.user("staff", agency="STC"), "spy%s@doitac.example" % secrets.token_hex(4)
    mid = client.new_id(server.domain)
    entity = client.multipart([client.text_part("Kính gửi.\n"), client.attachment("qd.pdf", client.pdf(["So 1"]))])
    subject = "[Hỏa tốc] %d/QĐ-SKHCN V/v: họp gấp" % random.randrange(1000, 99999)
    s = server.mx()
    code, said = client.transaction(s, spy, [a["address"]], client.header(clerk["address"], [a["address"]], subject, mid) + client.sign(entity, clerk))
    client.close(s)
    assert code == 250, said
    got = server.fetch(a, mid)
    assert b"X-Congvu-Verdict: accept" in got and b"urgency" not in got and b"Importance" not in got and b"P32" not in got, got[:3000]
    time.sleep(SECONDS + 3)
    qid = said.split()[-1]
    assert [x for r in records(server, qid) for x in r.get("rcpts", []) if spy in x["address"]] == []
    assert not [r for r in records(server, qid) if r["event"] in ("delivery", "alert")], records(server, qid)
    assert spy not in server.congvu("--json", "queue", "list").stdout
    log = "".join(f.read_text(errors="replace") for f in (server.dir / "log").glob("*") if f.is_file())
    lines = [x for x in log.splitlines() if spy in x]
    assert lines and not [x for x in lines if "rcpt=" in x and "rcpt=" + spy in x.replace("<", "")], lines
    assert notices(server, soon, "INBOX", mid) == []


def test_many_at_once(server, soon):
    """A flood: one notice at once and one with all that came within the gap, to the sender and to the office; beyond urgent_per_hour mail goes as other mail does."""
    most, over, gap = 10, 2, 12
    clerk, box, a = server.user("clerk", agency="SKHCN"), box_of(server, "SKHCN"), server.user("staff", agency="STC")
    mine = server.other_users_folder(clerk, box["address"])
    text = server.conf.read_text()
    server.conf.write_text(text + "\nalert_gap_s = %d\nurgent_per_hour = %d\n" % (gap, most))
    restart(server, "congvu-smtpd-queue")
    try:
        sent, begun = [], time.monotonic()
        for _ in range(most + over):
            mid, subject, mail = document(server, box, [a["address"]])
            code, said = server.submit(clerk, box["address"], [a["address"]], mail)
            assert code == 250, said
            sent.append((mid, subject, said.split()[-1], said))
        assert ["urgent_per_hour" in said for _, _, _, said in sent] == [False] * most + [True] * over, sent
        for who, folder in ((clerk, mine), (soon, "INBOX")):
            mails = set()
            for mid, subject, qid, _ in sent[:most]:
                told, = wait_for(lambda mid=mid, who=who, folder=folder: notices(server, who, folder, mid), 60)
                assert subject in told.decode() and qid in told.decode() and a["address"] in told.decode(), told
                mails.add(told)
            # one at the first, one for each gap behind it
            assert 1 < len(mails) <= 2 + (time.monotonic() - begun) / gap, len(mails)
            assert sum(int(re.search(rb"Urgent document unread: ([0-9]+)", x).group(1)) for x in mails) == most
        for mid, subject, qid, said in sent[most:]:
            assert mid.encode() in server.fetch(a, mid), subject
            assert notices(server, clerk, mine, mid) == [] and notices(server, soon, "INBOX", mid) == []
            outcome, = [r for r in records(server, qid) if r["event"] == "outcome"]
            assert "urgent_per_hour" in outcome["text"] and [x["result"] for x in outcome["rcpts"] if x["address"] == a["address"]] == ["delivered"], outcome
            assert not [r for r in records(server, qid) if r["event"] in ("delivery", "alert")]
            assert not [x for x in found(server, clerk, mine, "TEXT", client.quoted(mid)) if b"multipart/report" in x]
        log = "".join(f.read_text(errors="replace") for f in (server.dir / "log").glob("*") if f.is_file())
        assert all(re.search("urgent_too_many.*" + qid, log) for _, _, qid, _ in sent[most:])
    finally:
        server.conf.write_text(text)
        restart(server, "congvu-smtpd-queue")


def test_an_agency_that_only_warns(server, soon):
    """Mode warn marks the mail and does no more; the nearer setting holds."""
    clerk, box, a = server.user("clerk", agency="SKHCN"), box_of(server, "SKHCN"), server.user("staff", agency="STC")
    mine = server.other_users_folder(clerk, box["address"])
    text = server.conf.read_text()
    server.conf.write_text(text + '\npolicy_modes = {"@%s:P32=warn"}\n' % box["address"].split("@")[1])
    restart(server, "congvu-milter-filter")
    try:
        mid, _, qid = send(server, clerk, box, [a["address"]])
        got = server.fetch(a, mid)
        assert b"Importance: high" in got and b"urgency=" not in got and b"P32" in got, got[:2000]
        time.sleep(SECONDS + 3)
        assert notices(server, clerk, mine, mid) == [] and not [r for r in records(server, qid) if r["event"] == "delivery"]
    finally:
        server.conf.write_text(text)
        restart(server, "congvu-milter-filter")


@pytest.fixture
def one_connection(server):
    """Relay delivers one mail after another: with ten connections, which of thirteen mails is answered first is chance."""
    text = server.conf.read_text()
    server.conf.write_text(text + "\nrelay_concurrency = 1\n")
    restart(server, "congvu-relay")
    yield
    server.conf.write_text(text)
    restart(server, "congvu-relay")


def test_it_goes_first(server, soon, one_connection):
    """What waited while the store was away: urgent documents go out before ordinary mail that came earlier, and that is not starved by them."""
    clerk, box, a = server.user("clerk", agency="SKHCN"), box_of(server, "SKHCN"), server.user("staff", agency="STC")
    stopped = [*server.processes("congvu-relay"), *server.processes("congvu-ingest")]
    qids, urgent = [], []
    mails = []
    for n in range(6):
        mid = client.new_id(server.domain)
        mails.append((False, clerk["address"], client.header(clerk["address"], [a["address"]], "Thư %d" % n, mid) + client.text_part("Chào.\n")))
    for n in range(7):
        mails.append((True, box["address"], document(server, box, [a["address"]])[2]))
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        for is_urgent, sender, mail in mails:
            code, said = server.submit(clerk, sender, [a["address"]], mail)
            assert code == 250 and "Queued" in said, said
            qids.append(said.split()[-1])
            if is_urgent:
                urgent.append(qids[-1])
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    log = lambda: "".join(f.read_text(errors="replace") for f in (server.dir / "log").glob("*") if f.is_file())
    order = lambda: re.findall(r"\brelay qid=(\w+) .*code=250", log())
    wait_for(lambda: set(qids) <= set(order()), 90)
    went = [q for q in dict.fromkeys(order()) if q in qids]
    print("".join("U" if q in urgent else "o" for q in went))
    place = lambda q: went.index(q)
    assert sum(place(q) for q in urgent) / len(urgent) < sum(place(q) for q in qids if q not in urgent) / 6, went
