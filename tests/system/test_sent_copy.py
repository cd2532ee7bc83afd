"""What is sent as a functional mailbox, or for a leader, is in that one's Sent: once, before the 250 or in the queue, whatever is away, full or killed, and whatever
the client puts there itself."""

import contextlib
import email
import email.policy
import imaplib
import json
import os
import re
import signal
import smtplib
import threading
import time

import pytest

import client
from conftest import BUILD  # noqa: F401
from smtpd_fakes import Ledger, Lmtp, wait_for
from test_review import as_officer, in_quarantine, locked_zip, officers, records  # noqa: F401
from test_at_once import Directory, session, until
from test_smtpd import AN, BINH, MAIL, VANTHU, Site, listing, site  # noqa: F401

AS = "From: <%s>\r\nTo: <%s>, An <%s>\r\nMessage-ID: <m1@tinhmau.example>\r\nSubject: x\r\n\r\ntext" % (VANTHU, BINH, AN)
FULL = "452 4.2.2 Hop thu da day / Mailbox full"


# --- smtpd among fakes: what it does with each answer of the store

def outcome(site):  # noqa: F811
    return [(r[0], r[1]) for r in site.ledger.outcomes[-1]["rcpts"]]


def test_filed(site):  # noqa: F811
    s = site.submission()
    assert s.mail(VANTHU, [BINH], AS)[-1].startswith("250 2.0.0 Delivered as")
    (_, _, to, mail), (ident, line, box, copy) = site.lmtp.mails[0], site.lmtp.copies[0]
    assert (to, box) == (BINH, VANTHU)
    assert copy == mail and ("\r\nSender: %s\r\n" % AN).encode() in copy
    assert re.fullmatch(r"MAIL FROM:<%s> SIZE=\d+ XCVID=%s XCVSENT" % (AN, ident), line), line
    assert outcome(site) == [(BINH, "delivered"), (VANTHU, "filed")]
    # a client that did not hear the 250 sends the same octets again: the same copy
    assert s.mail(VANTHU, [BINH], AS)[-1].startswith("250")
    assert len(site.lmtp.mails) == 2 and len(site.lmtp.copies) == 1
    # in one's own name there is none, and none of what is refused
    assert s.mail(AN, [BINH], MAIL)[-1].startswith("250")
    site.lmtp.rcpt_answer = lambda a, i: "550 5.2.1 closed" if i else "250 ok"
    assert s.mail(VANTHU, [BINH], AS.replace("m1", "m2"))[-1].startswith("550 5.2.1 <%s>" % BINH)
    assert len(site.lmtp.copies) == 1 and listing(site) == []


def test_bcc_leaves(site):  # noqa: F811
    """RFC 5322 3.6.3, RFC 6409 8: no recipient sees whom it went to unseen; the mailbox's own record has whom it really went to, whatever the client's field says; what stands in
    the body is the sender's."""
    s = site.submission()
    hidden = AS.replace(", An <%s>" % AN, "").replace("Subject: x\r\n\r\n", "Bcc: <%s>,\r\n\t<unseen@other.example>\r\nSubject: x\r\nRESENT-BCC : q@other.example\r\nbcc: r@other.example\r\n\r\nBcc: in the text\r\n" % AN)
    assert s.mail(VANTHU, [BINH, AN], hidden)[-1].startswith("250 2.0.0 Delivered as")
    mails = [m[3] for m in site.lmtp.mails]
    copy = site.lmtp.copies[0][3]
    assert copy.startswith(("Bcc: <%s>\r\n" % AN).encode()) and copy.split(b"\r\n", 1)[1] == mails[0] and b"other.example" not in copy.split(b"\r\n\r\n")[0], copy
    for mail in mails:
        header, body = mail.split(b"\r\n\r\n", 1)
        assert b"bcc" not in header.lower() and b"other.example" not in header and b"\r\nSubject: x" in header, header
        assert body == b"Bcc: in the text\r\ntext\r\n"
    assert len(mails) >= 2
    # what others send to us is theirs to word
    assert site.mx().mail("x@other.example", [BINH], "Bcc: %s\r\n%s" % (BINH, MAIL))[-1].startswith("250")
    assert ("\r\nBcc: %s\r\n" % BINH).encode() in site.lmtp.mails[-1][3]


def test_each_sending_has_its_copy(site):  # noqa: F811
    """The same octets, sent to others: another sending, another copy, with its own id; the order of the recipients is none."""
    s = site.submission()
    for to in ([BINH], [BINH, AN], [AN, BINH], [AN]):
        assert s.mail(VANTHU, to, AS)[-1].startswith("250")
    assert len(site.lmtp.copies) == 3 and len({c[0] for c in site.lmtp.copies}) == 3


@pytest.mark.parametrize("away", ["full", "silent", "unknown"])
def test_waits_in_the_queue(site, away):  # noqa: F811
    """Over quota, or no answer: the mail is delivered, its copy is in the queue before the 250, and in Sent once there is room, under the same id."""
    ids, open_ = [], []

    def answer(address, ident):
        if address != VANTHU:
            return "250 2.0.0 Ok"
        ids.append(ident)
        return "250 2.0.0 Ok" if open_ else FULL if away == "full" else None if away == "silent" else "451 4.3.0 later"
    site.lmtp.data_answer = answer
    assert site.submission().mail(VANTHU, [BINH], AS)[-1].startswith("250 2.0.0 Delivered as")
    assert [m[2] for m in site.lmtp.mails] == [BINH] and site.lmtp.copies == []
    assert outcome(site) == [(BINH, "delivered"), (VANTHU, "queued")]
    assert len(listing(site)) == 1
    site.smtpd.kill("smtpd-queue")
    site.smtpd.start("smtpd-queue")
    open_.append(True)
    wait_for(lambda: site.lmtp.copies, 30)
    wait_for(lambda: listing(site) == [])
    assert len(site.lmtp.copies) == 1 and len(set(ids)) == 1 and len(site.lmtp.mails) == 1
    assert b"Subject: x\r\n\r\ntext\r\n" in site.lmtp.copies[0][3]


def test_refused_is_told(site):  # noqa: F811
    """A mailbox that is no more: the mail went out, and who sent it (not the mailbox) hears that its copy is nowhere."""
    site.lmtp.rcpt_answer = lambda a, i: "550 5.1.1 no such recipient" if a == VANTHU and i else "250 ok"
    assert site.submission().mail(VANTHU, [BINH], AS)[-1].startswith("250")
    wait_for(lambda: len(site.lmtp.mails) == 2)
    report = site.lmtp.mails[1]
    assert report[1].startswith("MAIL FROM:<> ") and report[2] == AN
    text = email.message_from_bytes(report[3], policy=email.policy.default).get_body().get_content()
    assert "Thư đã được gửi đi" in text and VANTHU in text and "The message itself went out" in text
    assert site.lmtp.copies == []


def test_a_store_that_keeps_none(site):  # noqa: F811
    """Another's LMTP server, to which such a copy would be mail: it gets none."""
    site.lmtp.keeps_sent = False
    assert site.submission().mail(VANTHU, [BINH], AS)[-1].startswith("250 2.0.0 Delivered as")
    assert [m[2] for m in site.lmtp.mails] == [BINH] and site.lmtp.copies == [] and listing(site) == []
    assert outcome(site) == [(BINH, "delivered")]


def test_a_store_that_keeps_none_was_away(site):  # noqa: F811
    """The copy waits because nobody knows what the store keeps; when it is back and keeps none, that is the end of it: nobody is told that anything failed."""
    relays = Ledger(site.smtpd.run / "ledger.relay.sock")
    site.lmtp.stop()
    try:
        assert site.submission().mail(VANTHU, [BINH], AS)[-1].startswith("250 2.0.0 Queued")
        assert outcome(site) == [(BINH, "queued"), (VANTHU, "queued")] and len(listing(site)) == 2
        site.lmtp = Lmtp(site.lmtp.path, keeps_sent=False)
        wait_for(lambda: listing(site) == [], 30)
        wait_for(lambda: len(relays.outcomes) == 2)
        ends = sorted((r[0], r[1]) for o in relays.outcomes for r in o["rcpts"])
        assert ends == [(BINH, "delivered"), (VANTHU, "none")], ends
        time.sleep(1)
        assert [m[2] for m in site.lmtp.mails] == [BINH] and site.lmtp.copies == [] and listing(site) == []
    finally:
        relays.stop()


NOT_YET = ("y", b"451 4.7.5 P06: revocation unknown [0123]\0")


def judged_later(site, *last):  # noqa: F811
    """The milter cannot judge it at first, then says what last has."""
    rest = [[NOT_YET], list(last)]
    site.milter.on["E"] = lambda data: rest.pop(0) if len(rest) > 1 else rest[0]


@pytest.mark.parametrize("away", ["never", "full", "killed"])
def test_judged_later(site, away):  # noqa: F811
    """What waits to be judged is in no Sent; when it goes out it is, as it went out and once, the store full or the session killed behind the copy."""
    judged_later(site, ("h", b"X-Verdict\0good\0"), ("c", b""))
    ids, room = [], []

    def answer(address, ident):
        if address != VANTHU:
            return "250 2.0.0 Ok"
        ids.append(ident)
        if away == "killed" and len(ids) == 1:
            site.smtpd.kill("smtpd-session")
            site.smtpd.start("smtpd-session")
        return FULL if away == "full" and not room else "250 2.0.0 Ok"
    site.lmtp.data_answer = answer
    said = site.submission().mail(VANTHU, [BINH], AS)[-1]
    assert said.startswith("250 2.0.0 Da nhan"), said
    assert site.lmtp.copies == [] and site.lmtp.mails == [] and outcome(site) == [(BINH, "held")]
    wait_for(lambda: ids, 30)
    if away == "full":
        wait_for(lambda: outcome(site) == [(BINH, "delivered"), (VANTHU, "queued")], 30)
        room.append(True)
    wait_for(lambda: site.lmtp.copies and listing(site) == [], 60)
    # one copy, and one mail; what was said twice has one id
    assert {c[0] for c in site.lmtp.copies} == set(ids) and len(set(ids)) == 1 and len({m[0] for m in site.lmtp.mails}) == 1
    (_, line, box, copy), (_, _, to, mail) = site.lmtp.copies[0], site.lmtp.mails[0]
    assert (box, to) == (VANTHU, BINH) and copy == mail
    assert line.startswith("MAIL FROM:<%s> " % AN) and b"X-Verdict: good\r\n" in copy and ("\r\nSender: %s\r\n" % AN).encode() in copy
    assert outcome(site)[-1] == (VANTHU, "queued" if away == "full" else "filed")


def test_refused_later_is_in_no_sent(site):  # noqa: F811
    """What the policy refuses when it could be judged was not sent."""
    judged_later(site, ("y", b"550 5.7.1 P05: revoked [77]\0"))
    assert site.submission().mail(VANTHU, [BINH], AS)[-1].startswith("250 2.0.0 Da nhan")
    wait_for(lambda: site.lmtp.mails and listing(site) == [], 30)
    assert [m[1].split()[1] for m in site.lmtp.mails] == ["FROM:<>"] and site.lmtp.copies == []


@pytest.fixture
def hasty(tmp_path):
    """Waits little for its queue."""
    s = Site(tmp_path, queue_wait_s=2)
    yield s
    s.stop()


def without_queue(site):  # noqa: F811
    """The store is full when it comes to the copy, and the queue ends at that moment."""
    def answer(address, ident):
        if address != VANTHU:
            return "250 2.0.0 Ok"
        if "smtpd-queue" in site.smtpd.procs:
            site.smtpd.kill("smtpd-queue")
        return FULL
    site.lmtp.data_answer = answer


def test_neither_store_nor_queue_judged_later(hasty):
    """Of what relay brought nothing is acknowledged: it comes again, and then the copy is in Sent, once, and the mail nowhere twice."""
    site = hasty  # noqa: F811
    judged_later(site, ("c", b""))
    without_queue(site)
    assert site.submission().mail(VANTHU, [BINH], AS)[-1].startswith("250 2.0.0 Da nhan")
    wait_for(lambda: "sent_copy_lost" in site.smtpd.log(), 30)
    wait_for(lambda: outcome(site) == [(BINH, "delivered"), (VANTHU, "lost")])
    assert site.ledger.outcomes[-1]["code"] == 451 and site.lmtp.copies == []
    site.lmtp.data_answer = lambda a, i: "250 2.0.0 Ok"
    site.smtpd.start("smtpd-queue")
    wait_for(lambda: site.lmtp.copies and listing(site) == [], 60)
    assert [(c[2]) for c in site.lmtp.copies] == [VANTHU] and {m[2] for m in site.lmtp.mails} == {BINH}
    assert len({m[0] for m in site.lmtp.mails}) == 1 and outcome(site) == [(BINH, "delivered"), (VANTHU, "filed")]


def test_neither_store_nor_queue(hasty):
    """The mail is delivered, and then neither takes its copy: who sent it hears that in the answer, log and outcome record say so, and nothing else is harmed."""
    site = hasty  # noqa: F811
    without_queue(site)
    s = site.submission()
    said = s.mail(VANTHU, [BINH], AS)[-1]
    assert said.startswith("250 2.0.0 ") and "Sent" in said and "Delivered as" in said, said
    qid = said.split()[-1]
    assert [m[2] for m in site.lmtp.mails] == [BINH] and site.lmtp.copies == []
    assert outcome(site) == [(BINH, "delivered"), (VANTHU, "lost")]
    assert re.search("sent_copy_lost.*" + qid, site.smtpd.log())
    site.smtpd.start("smtpd-queue")
    site.lmtp.data_answer = lambda a, i: "250 2.0.0 Ok"
    wait_for(lambda: s.mail(VANTHU, [BINH], AS.replace("m1", "m2"))[-1].startswith("250 2.0.0 Delivered as"), 30)
    assert len(site.lmtp.copies) == 1 and b"<m2@tinhmau.example>" in site.lmtp.copies[0][3]


# --- the whole

def sent(m, folder):
    """{Message-ID: [(flags, octets)]} of a mailbox."""
    found = {}
    assert m.select(client.quoted(folder), readonly=True)[0] == "OK"
    for uid in m.uid("SEARCH", None, "ALL")[1][0].split():
        row = m.uid("FETCH", uid, "(FLAGS BODY.PEEK[])")[1][0]
        mid = email.message_from_bytes(row[1])["Message-ID"]
        found.setdefault(mid.strip(), []).append((imaplib.ParseFlags(row[0]), row[1]))
    return found


def letter(server, sender, to, sign=None):
    mid = client.new_id(server.domain)
    part = client.text_part("Nội dung của %s.\n" % mid)
    return mid, client.header(client.address("Văn thư", sender), [to], "Giấy mời", mid) + (client.sign(part, sign) if sign else part)


def test_in_the_shared_sent(server):
    """All who hold the mailbox see it, as it was signed and with who wrote it; the client's own copy beside it is the same message, whichever came first."""
    server.wait_up()
    clerk, to, box = server.user("clerk", agency="SKHCN"), server.user("staff", agency="STC"), server.mailbox("SKHCN")
    root = server.other_users_folder(clerk, box["address"])
    folder = root + "/Sent"
    mid, mail = letter(server, box["address"], to["address"], box)
    code, text = server.submit(clerk, box["address"], [to["address"]], mail)
    assert code == 250, text
    with session(server, clerk) as m:
        (flags, got), = sent(m, folder)[mid]
        assert flags == (b"\\Seen",) or b"\\Seen" in flags
        copy = email.message_from_bytes(got)
        assert copy["Sender"] == clerk["address"] and copy["Return-Path"] is None and copy["Delivered-To"] is None
        assert got.endswith(mail.split(b"\r\n\r\n", 1)[1]) and client.verify(got, server.ca_file) == (True, box["address"])
        # RFC 6154 attributes are of one's own mailboxes: a client that met two would take one of them for its own Sent
        assert [client.name_of(r) for r in m.list('""', '"*"')[1] if b"\\Sent" in r] == ["Sent"]
        assert mid not in sent(m, "Sent")
        # what the client puts there is the same message: it is told where it is (UIDPLUS)
        uid = m.uid("SEARCH", None, "HEADER", "Message-ID", client.quoted(mid))[1]
        m.select(client.quoted(folder), readonly=True)
        uid, = m.uid("SEARCH", None, "HEADER", "Message-ID", client.quoted(mid))[1][0].split()
        ok, data = m.append(client.quoted(folder), "(\\Seen)", None, mail)
        assert ok == "OK" and re.search(rb"APPENDUID \d+ %s\]" % uid, data[0]), data
        # with Bcc it is the same too, for whom it went to unseen is known here
        ok, data = m.append(client.quoted(folder), "(\\Seen)", None, b"Bcc: <%s>\r\n" % to["address"].encode() + mail)
        assert ok == "OK" and re.search(rb"APPENDUID \d+ %s\]" % uid, data[0]), data
        hidden, mail3 = letter(server, box["address"], to["address"], box)
        assert m.append(client.quoted(folder), "(\\Seen)", None, b"Bcc: <%s>\r\n" % clerk["address"].encode() + mail3)[0] == "OK"
        assert server.submit(clerk, box["address"], [to["address"], clerk["address"]], mail3)[0] == 250
        (_, got), = sent(m, folder)[hidden]
        assert email.message_from_bytes(got)["Bcc"] == "<%s>" % clerk["address"] and email.message_from_bytes(got)["Sender"] == clerk["address"]
        assert b"Bcc" not in server.fetch(to, hidden).split(b"\r\n\r\n")[0]
        # and in the other order
        late, mail2 = letter(server, box["address"], to["address"], box)
        assert m.append(client.quoted(folder), "(\\Seen)", None, mail2)[0] == "OK"
        assert server.submit(clerk, box["address"], [to["address"]], mail2)[0] == 250
        found = sent(m, folder)
        assert len(found[mid]) == 1 and len(found[late]) == 1
        assert email.message_from_bytes(found[late][0][1])["Sender"] == clerk["address"]
    out = [r for r in json.loads(server.congvu("audit", "show", "--match", box["address"], "--json").stdout) if r["event"] == "outcome"]
    assert [x["result"] for r in out for x in r["rcpts"] if x["address"] == box["address"] and r["session"]["auth"] == clerk["login"]].count("filed") >= 2, out


def test_nothing_of_the_shared_sent_is_lost(server):
    """Other content under the same Message-ID is another message, whoever brings it and whichever way; and who sends another's octets shows in Sent."""
    server.wait_up()
    clerk, to, box = server.user("clerk", agency="SKHCN"), server.user("staff", agency="STC"), server.mailbox("SKHCN")
    other = next(u for u in server.users if u["agency"] == "SKHCN" and u["login"] != clerk["login"] and u["role"] == "staff")
    done = server.congvu("delegate", "grant", box["address"], other["login"], "--send", "--decision", "8/QD")
    assert done.returncode == 0, done.stderr
    folder = server.other_users_folder(clerk, box["address"]) + "/Sent"

    def append(m, mail):
        ok, data = m.append(client.quoted(folder), "(\\Seen)", None, mail)
        assert ok == "OK", data
        return int(re.search(rb"APPENDUID \d+ (\d+)\]", data[0]).group(1))
    try:
        with contextlib.closing(server.submission(other)) as s:
            until(lambda: s.docmd("MAIL", "FROM:<%s>" % box["address"])[0] == 250)
        with session(server, clerk) as m:
            # an attachment is taken out: the changed message is stored before the client removes the whole one
            mid, mail = letter(server, box["address"], to["address"], box)
            assert server.submit(clerk, box["address"], [to["address"]], mail)[0] == 250
            less = mail.split(b"\r\n\r\n", 1)[0] + b"\r\n\r\ntaken out\r\n"
            first = append(m, mail)
            assert append(m, less) != first and append(m, mail.replace(b"Subject: ", b"Subject: y", 1)) != first
            assert len(sent(m, folder)[mid]) == 3 and less in [x[1] for x in sent(m, folder)[mid]]
            # who may only send brings other content under the number of a record that stands there
            kept, record = letter(server, box["address"], to["address"])
            uid = append(m, record)
            forged = client.header(client.address("Văn thư", box["address"]), [to["address"]], "Khác", kept) + client.sign(client.text_part("Khác.\n"), box)
            assert server.submit(other, box["address"], [to["address"]], forged)[0] == 250
            assert [x[1] for x in sent(m, folder)[kept]].count(record) == 1 and len(sent(m, folder)[kept]) == 2
            assert m.uid("FETCH", str(uid), "(FLAGS)")[1] != [None]
            # another's octets to others
            again, mail = letter(server, box["address"], to["address"], box)
            assert server.submit(clerk, box["address"], [to["address"]], mail)[0] == 250
            assert server.submit(other, box["address"], [clerk["address"]], mail)[0] == 250
            assert sorted(email.message_from_bytes(x[1])["Sender"] for x in sent(m, folder)[again]) == sorted([clerk["address"], other["address"]])
    finally:
        assert server.congvu("delegate", "revoke", box["address"], other["login"], "--decision", "9/QD").returncode == 0


def test_released_from_the_quarantine(server, officers):
    """What a milter holds is in no Sent; when two officers release it, it is, once, with who wrote it; what they delete never is."""
    server.wait_up()
    clerk, to, box = server.user("clerk", agency="SKHCN"), server.user("staff", agency="STC"), server.mailbox("SKHCN")
    folder = server.other_users_folder(clerk, box["address"]) + "/Sent"

    def held():
        mid = client.new_id(server.domain)
        parts = client.multipart([client.text_part("Kính gửi.\n"), client.attachment("bang-luong.zip", locked_zip(), "application/zip")])
        mail = client.header(client.address("Văn thư", box["address"]), [to["address"]], "Tệp có khóa", mid) + client.sign(parts, box)
        code, said = server.submit(clerk, box["address"], [to["address"]], mail)
        assert code == 250 and "Held for review" in said, said
        return mid, said.split()[-1], mail
    (mid, qid, mail), (other, dropped, _) = held(), held()
    with session(server, clerk) as m:
        assert not {mid, other} & set(sent(m, folder))
        as_officer(server, officers[0], "release", qid, "--reason", "đã gọi người gửi")
        assert mid not in sent(m, folder)
        as_officer(server, officers[1], "release", qid, "--confirm")
        as_officer(server, officers[0], "delete", dropped, "--reason", "x")
        got = server.fetch(to, mid, wait=30)
        until(lambda: mid in sent(m, folder), 30)
        (flags, copy), = sent(m, folder)[mid]
        assert b"\\Seen" in flags and email.message_from_bytes(copy)["Sender"] == clerk["address"]
        assert copy.endswith(mail.split(b"\r\n\r\n", 1)[1]) and copy.split(b"\r\n\r\n", 1)[1] == got.split(b"\r\n\r\n", 1)[1]
        until(lambda: not in_quarantine(server, qid) and not in_quarantine(server, dropped), 30)
        # the client's own copy is the same message after a release too
        assert m.append(client.quoted(folder), "(\\Seen)", None, mail)[0] == "OK"
        found = sent(m, folder)
        assert len(found[mid]) == 1 and other not in found
    out = [x["result"] for r in records(server, qid) if r["event"] == "outcome" for x in r["rcpts"] if x["address"] == box["address"]]
    assert out == ["filed"], out


def test_delegation(server):
    """A secretary writes for a leader: the leader finds it in his Sent."""
    server.wait_up()
    directory = Directory(server)
    secretary, leader, to = server.user("staff", agency="STC"), server.user("head", agency="STC"), server.user("staff", agency="SKHCN")
    dn = "vnDelegationId=sent,ou=delegations," + directory.base
    directory.add(dn, "objectClass: vnDelegation", "vnDelegationId: sent", "vnDelegator: " + directory.person(leader),
                  "vnDelegateTo: " + directory.person(secretary), "vnRights: lr send", "vnDecisionRef: 7/QD")
    try:
        with contextlib.closing(server.submission(secretary)) as s:
            until(lambda: s.docmd("MAIL", "FROM:<%s>" % leader["address"])[0] == 250)
        mid, mail = letter(server, leader["address"], to["address"])
        assert server.submit(secretary, leader["address"], [to["address"]], mail)[0] == 250
        with session(server, leader) as m:
            (flags, got), = sent(m, "Sent")[mid]
            assert b"\\Seen" in flags and email.message_from_bytes(got)["Sender"] == secretary["address"]
        with session(server, secretary) as m:
            assert mid not in sent(m, "Sent")
    finally:
        directory.delete(dn)


def test_killed_under_load(server):
    """kill -9 of every role that has a part in it, while a clerk writes as the office: each mail that was taken is in the shared Sent exactly once, each that was
    not at most once (its client sends it again)."""
    server.wait_up()
    clerk, to, box = server.user("clerk", agency="SKHCN"), server.user("staff", agency="STC"), server.mailbox("SKHCN")
    folder = server.other_users_folder(clerk, box["address"]) + "/Sent"
    taken, tried, over = set(), set(), threading.Event()

    def kill():
        roles = ["congvu-stored-db", "congvu-smtpd-session", "congvu-ingest", "congvu-relay", "congvu-smtpd-queue", "congvu-lookup"]
        while not over.is_set():
            for role in roles:
                for pid in sorted(server.processes(role))[:2]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                if over.wait(0.5):
                    return
    killer = threading.Thread(target=kill)
    killer.start()
    end = time.monotonic() + 12
    try:
        while time.monotonic() < end:
            mid, mail = letter(server, box["address"], to["address"], box)
            tried.add(mid)
            for _ in range(3):  # a client tries the same octets again
                try:
                    code, _ = server.submit(clerk, box["address"], [to["address"]], mail)
                except (OSError, smtplib.SMTPException):
                    time.sleep(0.2)
                    continue
                if code == 250:
                    taken.add(mid)
                    break
                time.sleep(0.2)
    finally:
        over.set()
        killer.join()
    server.wait_up(60)
    assert len(taken) > 3
    with session(server, clerk) as m:
        until(lambda: taken <= set(sent(m, folder)), 60)
        found = sent(m, folder)
    assert {k: len(v) for k, v in found.items() if k in tried and len(v) != 1} == {}
