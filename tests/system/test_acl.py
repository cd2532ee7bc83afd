"""RFC 4314 in a functional mailbox: what each right allows, as the directory gives it, command by command (section 4); and who wrote a mail in its name."""

import contextlib
import email
import json

import pytest

import client
from test_at_once import Directory, session, until


@pytest.fixture(scope="module")
def office(server):
    """A mailbox with a message and a folder, and rights(letters): gives them to a person of another agency, by a delegation, and waits until they hold."""
    server.wait_up()
    directory = Directory(server)
    user, holder, box = server.user("staff", agency="STC"), server.user("clerk", agency="SKHCN"), server.mailbox("SKHCN")["address"]
    root = server.other_users_folder(holder, box)
    with session(server, holder) as m:
        for folder in ("acl", "acl/deep"):
            m.create(client.quoted(root + "/" + folder))
        m.append(client.quoted(root + "/acl"), "()", None, b"Subject: one\r\n\r\nbody\r\n")
    dn = "vnDelegationId=acl,ou=delegations," + directory.base
    directory.add(dn, "objectClass: vnDelegation", "vnDelegationId: acl", "vnDelegator: " + directory.mailbox(box),
                  "vnDelegateTo: " + directory.person(user), "vnRights: l", "vnDecisionRef: 5/QD")
    o = type("Office", (), {})()
    o.server, o.directory, o.user, o.holder, o.root, o.box, o.folder = server, directory, user, holder, root, box, root + "/acl"
    o.delegation = dn

    def rights(m, letters):
        directory.modify(dn, "replace: vnRights", "vnRights: " + letters)
        want = sorted(letters.replace("send", "").strip())
        until(lambda: sorted(myrights(m, o.folder).replace("c", "").replace("d", "")) == want)
    o.rights = rights
    yield o
    directory.delete(dn)
    with session(server, holder) as m:
        for folder in ("acl/made", "acl/deep", "acl"):
            m.delete(client.quoted(root + "/" + folder))


def command(m, *args):
    """(status, text of the tagged answer, untagged lines) of a command that imaplib may not have."""
    tag = m._new_tag()
    m.send(tag + b" " + b" ".join(a if isinstance(a, bytes) else a.encode() for a in args) + b"\r\n")
    untagged = []
    while True:
        line = m.readline()
        assert line, untagged
        if line.startswith(tag + b" "):
            status, _, text = line[len(tag) + 1:].decode().partition(" ")
            return status, text.strip(), untagged
        untagged.append(line.decode().strip())


def myrights(m, name):
    status, text, untagged = command(m, "MYRIGHTS", client.quoted(name))
    return untagged[0].split()[-1].strip('"') if status == "OK" else ""


# (what, rights that suffice, the same without the one that counts, the command); commands with a selected mailbox begin with "*".
TABLE = [
    ("LIST", "l", None, ["LIST", '""', "{folder}"]),
    ("SELECT", "lr", "lswipkxte", ["SELECT", "{folder}"]),
    ("EXAMINE", "lr", "lswipkxte", ["EXAMINE", "{folder}"]),
    ("STATUS", "lr", "lswipkxte", ["STATUS", "{folder}", "(MESSAGES)"]),
    ("GETQUOTAROOT", "lr", "lswipkxte", ["GETQUOTAROOT", "{folder}"]),
    ("APPEND", "li", "lrswpkxte", ["APPEND", "{folder}", "(\\Seen)", "{{4+}}\r\nx: y"]),
    ("COPY", "lri", "lrswpkxte", ["*UID", "COPY", "1", "{folder}"]),
    ("EXPUNGE", "lrtie", "lrswipkxt", ["*EXPUNGE"]),
    ("UID EXPUNGE", "lrtie", "lrswipkxt", ["*UID", "EXPUNGE", "1:*"]),
    ("STORE seen", "lrs", "lrwipkxte", ["*UID", "STORE", "1", "+FLAGS", "(\\Seen)"]),
    ("STORE deleted", "lrt", "lrswipkxe", ["*UID", "STORE", "1", "+FLAGS", "(\\Deleted)"]),
    ("STORE others", "lrw", "lrsipkxte", ["*UID", "STORE", "1", "+FLAGS", "(\\Flagged kw)"]),
    ("MOVE", "lrtei", "lrswipkxt", ["*UID", "MOVE", "1", "{folder}/deep"]),
    ("CREATE", "lk", "lrswipxte", ["CREATE", "{folder}/made"]),
    ("RENAME", "lxk", "lrswipkte", ["RENAME", "{folder}/made", "{folder}/made2"]),
    ("RENAME back", "lxk", "lrswipxte", ["RENAME", "{folder}/made2", "{folder}/made"]),
    ("DELETE", "lx", "lrswipkte", ["DELETE", "{folder}/made"]),
    ("SUBSCRIBE", "l", None, ["SUBSCRIBE", "{folder}"]),
    ("UNSUBSCRIBE", "l", None, ["UNSUBSCRIBE", "{folder}"]),
    ("GETACL", "la", "lrswipkxte", ["GETACL", "{folder}"]),
    ("LISTRIGHTS", "la", "lrswipkxte", ["LISTRIGHTS", "{folder}", "somebody"]),
    ("MYRIGHTS", "l", None, ["MYRIGHTS", "{folder}"]),
]


def test_each_right_for_each_command(office):
    with session(office.server, office.user) as m:
        for what, enough, lacking, words in TABLE:
            words = [w.format(folder=client.quoted(office.folder).strip('"')) if "{" in w else w for w in words]
            words = [client.quoted(w) if w.startswith(office.folder) else w for w in words]
            for letters, good in ((lacking, False), (enough, True)):
                if letters is None:
                    continue
                office.rights(m, letters)
                if words[0].startswith("*"):
                    assert command(m, "SELECT", client.quoted(office.folder))[0] == "OK", (what, letters)
                status, text, untagged = command(m, words[0].lstrip("*"), *words[1:])
                assert status == ("OK" if good else "NO"), (what, letters, status, text, untagged)
                assert good or text.startswith("[NOPERM]"), (what, letters, text)
                command(m, "UNSELECT")  # who may not read what is selected any more is told BYE


def test_flags_without_their_right(office):
    """APPEND and COPY drop them, FETCH and CLOSE do nothing, and none of them fails; without "l" nothing is there."""
    with session(office.server, office.user) as m:
        office.rights(m, "lrwi")
        assert command(m, "APPEND", client.quoted(office.folder), "(\\Seen \\Deleted \\Flagged)", "{4+}\r\nz: y")[0] == "OK"
        status, _, told = command(m, "SELECT", client.quoted(office.folder))
        assert status == "OK" and any("PERMANENTFLAGS (\\Answered \\Flagged \\Draft" in u for u in told), told
        _, _, told = command(m, "FETCH", "*", "(FLAGS)")
        assert "\\Flagged" in told[0] and "\\Seen" not in told[0] and "\\Deleted" not in told[0], told
        _, _, told = command(m, "FETCH", "*", "(BODY[] FLAGS)")
        assert "\\Seen" not in "".join(told)
        with session(office.server, office.holder) as h:
            h.select(client.quoted(office.folder))
            command(h, "STORE", "*", "+FLAGS", "(\\Deleted)")
            command(h, "UNSELECT")
        assert command(m, "CLOSE")[0] == "OK"
        assert command(m, "STATUS", client.quoted(office.folder), "(DELETED)")[2][0].endswith("(DELETED 1)")
        office.directory.modify(office.delegation, "replace: vnRights", "vnRights: rswipkxtea")
        until(lambda: command(m, "STATUS", client.quoted(office.folder), "(MESSAGES)")[1].startswith("[NONEXISTENT]"))
        assert command(m, "LIST", '""', client.quoted(office.folder))[2] == []


def test_acl_answers(office):
    with session(office.server, office.user) as m:
        assert b"ACL" in m.capability()[1][0].split() and b"RIGHTS=kxte" in m.capability()[1][0].split()
        office.rights(m, "lrkt")
        assert command(m, "MYRIGHTS", client.quoted(office.folder))[2][0].split()[-1] == '"lrktcd"'
        assert command(m, "MYRIGHTS", "INBOX")[2] == ['* MYRIGHTS "INBOX" "lrswipkxteacd"']
        assert command(m, "GETACL", "INBOX")[2] == ['* ACL "INBOX" "%s" "lrswipkxteacd"' % office.user["login"]]
        assert command(m, "LISTRIGHTS", "INBOX", office.user["login"])[2] == [
            '* LISTRIGHTS "INBOX" "%s" "lrswipkxteacd"' % office.user["login"]]
        assert command(m, "MYRIGHTS", "no-such")[1].startswith("[NONEXISTENT]")
        status, text, _ = command(m, "SETACL", "INBOX", "somebody", "lr")
        assert status == "NO" and "directory" in text
        assert command(m, "DELETEACL", "INBOX", "somebody")[0] == "NO"
        for bad in (("SETACL", "INBOX", "x", "lrq"), ("SETACL", "INBOX", "x", "L"), ("SETACL", "INBOX", '""', "l"), ("SETACL", "INBOX", "x"),
                    ("GETACL",), ("MYRIGHTS", "INBOX", "x"), ("LISTRIGHTS", "INBOX")):
            assert command(m, *bad)[0] == "BAD", bad
        assert command(m, "SETACL", client.quoted(office.folder), "x", "+l")[1].startswith("[NOPERM]")
        # the mailbox's own: its post, and who was delegated to
        with session(office.server, office.holder) as h:
            line = command(h, "GETACL", client.quoted(office.folder))[2][0]
            assert '"%s" "lrktcd"' % office.user["login"] in line and '"$' in line and '"lrswipkxteacd"' in line, line


def test_sender_is_stamped(office):
    """Mail in the name of a mailbox, or of a leader, says who wrote it, and so does the audit log; the client's word on that counts where it is true;
    mail in one's own name is not touched."""
    server, user = office.server, office.user
    to, leader = server.user("staff", agency="SKHCN"), server.user("head", agency="STC")
    directory, dn = office.directory, "vnDelegationId=acl2,ou=delegations," + office.directory.base
    directory.add(dn, "objectClass: vnDelegation", "vnDelegationId: acl2", "vnDelegator: " + directory.person(leader),
                  "vnDelegateTo: " + directory.person(user), "vnRights: lr send", "vnDecisionRef: 6/QD")
    with session(server, user) as m:
        office.rights(m, "lr send")

    def sent(sender, sign=None, extra=()):
        mid = client.new_id(server.domain)
        part = client.text_part("Nội dung.\n")
        mail = client.header(client.address("Ai đó", sender), [to["address"]], "Chào", mid, extra) + (client.sign(part, sign) if sign else part)
        code, text = server.submit(user, sender, [to["address"]], mail)
        assert code == 250, text
        got = server.fetch(to, mid)
        # the message is as it was sent but for the new field
        assert got.endswith(mail.split(b"\r\n\r\n", 1)[1])
        return mid, email.message_from_bytes(got).get_all("Sender") or []
    try:
        with contextlib.closing(server.submission(user)) as s:
            until(lambda: s.docmd("MAIL", "FROM:<%s>" % leader["address"])[0] == 250)
        mid, senders = sent(leader["address"])
        assert senders == [user["address"]]
        found = json.loads(server.congvu("audit", "show", "--match", mid.strip("<>"), "--json").stdout)
        assert [(r["session"]["auth"], r["hdr_from"]) for r in found if r["event"] == "verdict"] == [(user["login"], [leader["address"]])], found
        assert sent(office.box, server.mailbox("SKHCN"))[1] == [user["address"]]
        assert len(sent(leader["address"], extra=[("Sender", "=?utf-8?q?Th=C6=B0_k=C3=BD?= <%s>" % user["address"])])[1]) == 1
        assert sent(leader["address"], extra=[("Sender", leader["address"])])[1] == [user["address"]]
        assert sent(user["address"])[1] == []
    finally:
        directory.delete(dn)
    with contextlib.closing(server.submission(user)) as s:
        until(lambda: s.docmd("MAIL", "FROM:<%s>" % leader["address"])[0] == 550)
