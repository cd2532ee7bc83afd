"""RFC 4314 in a functional mailbox: what each right allows, as the directory gives it, command by command (section 4); and who wrote a mail in its name."""

import base64
import contextlib
import email
import json
import re

import pytest

import client
from test_at_once import Directory, session, stamp, until


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


def told_of(m, *args):
    """The untagged answer, literals and all, and what the command was answered."""
    status, text, untagged = command(m, *args)
    return "\n".join(untagged), status + " " + text


RULED = 'Trực ban "sớm" (tối)'


def test_acl_by_rule_by_secondment_and_by_delegation(office):
    """What GETACL, MYRIGHTS and LISTRIGHTS tell is what holds today, whatever it holds by: a group by rule, days of a secondment or of a group, a delegation to
    either; and who has left has nothing."""
    server, directory, base = office.server, office.directory, office.directory.base
    box, mine = directory.mailbox(office.box), server.user("head", agency="STC")
    who = directory.person(mine)
    group = "cn=%s,ou=groups,%s" % (RULED.replace('"', '\\22'), base)
    directory.add(group, "objectClass: groupOfNames", "objectClass: vnMailGroup", "cn:: " + base64.b64encode(RULED.encode()).decode(), "mail: acl-luat@" + server.domain,
                  "member: cn=nobody", "vnMemberAgency: H99.02")
    literal = '{%d}\n$%s' % (len(("$" + RULED).encode()), RULED)
    folder = client.quoted(office.folder)
    seconded = "seconded;H99.02;;%s;%s;8/QD"
    # the letters of an answer's last word
    letters = lambda m: sorted(myrights(m, office.folder))
    try:
        with session(server, mine) as m, session(server, office.holder) as h:
            acl = lambda: told_of(h, "GETACL", folder)[0]
            directory.modify(box, "add: vnReader", "vnReader: " + group)
            until(lambda: literal + ' "lr' in acl())
            given = re.search(re.escape(literal) + ' "([a-z]+)"', acl()).group(1)
            assert letters(m) == []
            # by days of a secondment to the agency that the rule names: not before, from then on, and not after
            directory.modify(who, "add: vnAssignment", "vnAssignment: " + seconded % (stamp(86400), stamp(2 * 86400)))
            told = told_of(m, "MYRIGHTS", folder)
            assert "[NONEXISTENT]" in told[1], told
            directory.modify(who, "delete: vnAssignment", "vnAssignment: " + re.search("vnAssignment: (seconded;.*;8/QD)", directory.search("(uid=%s)" % mine["login"],
                             "vnAssignment")).group(1), "-", "add: vnAssignment", "vnAssignment: " + seconded % (stamp(-86400), stamp(86400)))
            until(lambda: letters(m) == sorted(given))
            # GETACL and LISTRIGHTS ask for the right "a", which it does not give
            assert told_of(m, "GETACL", folder)[1].startswith("NO [NOPERM]") and told_of(m, "LISTRIGHTS", folder, "x")[1].startswith("NO [NOPERM]")
            name = ("$" + RULED).encode()
            told = told_of(h, "LISTRIGHTS", folder, b"{%d+}\r\n%s" % (len(name), name))
            assert told[0].endswith(literal + ' "" l r s w i p k x t e a c d') and told[1].startswith("OK"), told
            # the group ends by its own day: it is told no more, and gives nothing
            directory.modify(group, "add: vnValidTo", "vnValidTo: " + stamp(-60))
            until(lambda: letters(m) == [])
            assert RULED not in acl(), acl()
            directory.modify(group, "delete: vnValidTo")
            until(lambda: letters(m) == sorted(given))
            assert literal + ' "%s"' % given in acl()
            # the same rights by a delegation to the group, for its days
            directory.modify(box, "delete: vnReader", "vnReader: " + group)
            until(lambda: letters(m) == [])
            assert RULED not in acl()
            directory.add("vnDelegationId=acl3,ou=delegations," + base, "objectClass: vnDelegation", "vnDelegationId: acl3", "vnDelegator: " + box,
                          "vnDelegateTo: " + group, "vnRights: lrsa", "vnValidTo: " + stamp(86400), "vnDecisionRef: 9/QD")
            until(lambda: letters(m) == sorted("lrsa"))
            # who may ask hears the same as the holder, in a client's own UTF-8 too
            assert command(m, "ENABLE", "UTF8=ACCEPT")[0] == "OK"
            quoted = '"$%s" "lrsa"' % RULED.replace('"', '\\"')
            assert quoted in told_of(m, "GETACL", folder)[0] and literal + ' "lrsa"' in acl()
            directory.modify("vnDelegationId=acl3,ou=delegations," + base, "replace: vnValidTo", "vnValidTo: " + stamp(-60))
            until(lambda: letters(m) == [])
            assert RULED not in acl()
            # somebody who is named, and has left and only reads what is their own
            directory.modify(box, "add: vnReader", "vnReader: " + who)
            until(lambda: letters(m) == sorted(given))
            assert '"%s" "%s"' % (mine["login"], given) in acl()
            directory.modify(who, "add: vnReadUntil", "vnReadUntil: " + stamp(86400))
            until(lambda: '"%s"' % mine["login"] not in acl())
    finally:
        there = directory.search("(uid=%s)" % mine["login"], "vnReadUntil", "vnAssignment")
        if "vnReadUntil:" in there:
            directory.modify(who, "delete: vnReadUntil")
        for value in re.findall("vnAssignment: (seconded;.*;8/QD)", there):
            directory.modify(who, "delete: vnAssignment", "vnAssignment: " + value)
        for named in (group, who):
            with contextlib.suppress(AssertionError):  # it names them no more
                directory.modify(box, "delete: vnReader", "vnReader: " + named)
        if "acl3" in directory.search("(vnDelegationId=acl3)", "vnDelegationId"):
            directory.delete("vnDelegationId=acl3,ou=delegations," + base)
        directory.delete(group)


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
