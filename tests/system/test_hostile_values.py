"""Values nobody would write, in a real slapd: what comes of them by SMTP, IMAP and the commands. Each row says where it stands; what is asserted is what a client, a
receiver or a terminal is shown: no line of its own, no address, no escape, no other person's mail, no stuck process."""

import base64
import contextlib
import json
import re
import smtplib
import time

import pytest

import client
from test_at_once import Directory, session, until

DOMAIN = "tinhmau.example"


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def dn_escaped(text):
    """RFC 4514 2.4: every octet that is not a letter or digit."""
    return "".join(chr(o) if chr(o).isalnum() and o < 128 else "\\%02x" % o for o in text.encode())


@pytest.fixture(scope="module")
def directory(server):
    server.wait_up()
    return Directory(server)


@contextlib.contextmanager
def entries(directory, *ldifs):
    """Adds entries ((dn, lines)...) and takes them away again."""
    made = []
    try:
        for dn, lines in ldifs:
            directory.add(dn, *lines)
            made.append(dn)
        yield
    finally:
        if made:
            directory.delete(*reversed(made))


def person(directory, number, uid, name="Nguyễn Thị Thử", mail=None, more=()):
    dn = "vnStaffId=h%04d,ou=people,%s" % (number, directory.base)
    return dn, ["objectClass: inetOrgPerson", "objectClass: vnCivilServant", "vnStaffId: h%04d" % number, "uid:: " + b64(uid), "cn:: " + b64(name), "sn:: " + b64(name),
                "displayName:: " + b64(name), "mail: " + (mail or "h%04d@%s" % (number, DOMAIN)), "vnStatus: active", "vnAgencyRef: H99.02",
                "userPassword: mat-khau-thu-%d" % number, *more]


def group(directory, name, mail, members):
    return "cn=%s,ou=groups,%s" % (name, directory.base), ["objectClass: groupOfNames", "objectClass: vnMailGroup", "cn: " + name, "mail: " + mail,
                                                         *("member: " + m for m in members)]


def rcpt(server, address):
    with contextlib.closing(smtplib.SMTP("127.0.0.1", server.base + 25, timeout=60)) as s:
        s.ehlo()
        s.mail("dan@hopthu.example")
        return s.rcpt(address)


# --- what comes from a peer and goes into a filter or a DN

NAMES = ["*", "a*", "an)(uid=*", "*)(|(uid=*", "\\2a", "\\", "an\\00", "(", ")", "&", "|(uid=a)", "cn=x,ou=people", "x" * 300, "á" * 200, "‮nimda", "an\u200b", "an\x01"]


@pytest.mark.parametrize("name", NAMES, ids=lambda n: ascii(n)[:20])
def test_names_that_are_filters(server, name):
    """At sign-in and as recipients: nobody's, the same answer as any other name; and the server is there behind it."""
    wrong = {"login": name, "password": "x", "address": "x"}
    with pytest.raises(smtplib.SMTPAuthenticationError) as e:
        server.submission(wrong)
    assert e.value.smtp_code in (535, 501, 454), e.value
    address = '"%s"@%s' % (name.replace("\\", "\\\\"), DOMAIN) if name.isascii() and name.isprintable() else "%s@%s" % (name, DOMAIN)
    with contextlib.suppress(UnicodeEncodeError):
        code, text = rcpt(server, address)
        assert code in (501, 550, 553), (address, code, text)
    user = server.users[0]
    client.close(server.submission(user))


# --- what comes from the directory

def test_special_characters_in_names_and_dns(server, directory):
    """A login name, a group's and a post's name full of what filters and DNs are made of: they sign in, receive, send and hold mailboxes like anybody."""
    odd = "a(b)*c\\d,e=f+g\"h<i>;k#"
    p = person(directory, 9001, odd)
    g = ("cn=%s,ou=groups,%s" % (dn_escaped(odd), directory.base), ["objectClass: groupOfNames", "objectClass: vnMailGroup", "cn:: " + b64(odd),
                                                                   "mail: h-nhom@" + DOMAIN, "member: " + p[0]])
    nested = group(directory, "h-tren", "h-tren@" + DOMAIN, [g[0]])
    box = server.mailbox("STC")["address"]
    with entries(directory, p, g, nested):
        box_dn = directory.mailbox(box)
        directory.modify(box_dn, "add: vnReader", "vnReader: " + g[0])
        try:
            user = {"login": odd, "password": "mat-khau-thu-9001", "address": "h9001@" + DOMAIN}
            with session(server, user) as m:
                assert m.select("INBOX")[0] == "OK"
                folders = [client.name_of(r) for r in m.list('""', '"*"')[1]]
                assert any(box.split("@")[0] in f for f in folders), folders
            for address in (user["address"], "h-nhom@" + DOMAIN, "h-tren@" + DOMAIN):
                mid = client.new_id(DOMAIN)
                s = server.mx()
                assert client.transaction(s, "dan@hopthu.example", [address], client.header("dan@hopthu.example", [address], "x", mid) + client.text_part("x\n"))[0] == 250
                client.close(s)
                assert server.fetch(user, mid), address
        finally:
            directory.modify(box_dn, "delete: vnReader", "vnReader: " + g[0])


CONTROLS = "Trần\r\nBcc: x@evil.example\r\n\x1b[2J\u202eexe.fdp\u2066\u200b\u0000Văn"


def test_controls_in_names_reach_no_terminal_and_no_header(server, directory):
    """Line ends, escapes, bidi controls and invisible letters in a name and an agency's title."""
    text = CONTROLS.replace("\u0000", "")
    p = person(directory, 9002, "h9002", name=text, more=["title:: " + b64(text), "vnAutoReplyText:: " + b64(text), "vnAutoReplySubject:: " + b64(text)])
    with entries(directory, p):
        for args in (("staff", "show", "h9002"), ("staff", "list"), ("directory", "check")):
            r = server.congvu(*args)
            out = r.stdout + r.stderr
            assert "\x1b" not in out and "\u202e" not in out and "\u2066" not in out and "\u200b" not in out, (args, out[-500:])
            assert not re.search(r"^Bcc:", out, re.M), (args, out[-500:])
        # the automatic reply that bears it: its fields are fields, and there is none that the name made
        user = {"login": "h9002", "password": "mat-khau-thu-9002", "address": "h9002@" + DOMAIN}
        other = server.user("staff", agency="STC")
        mid = client.new_id(DOMAIN)
        assert server.submit(other, other["address"], [user["address"]], client.header(other["address"], [user["address"]], "Hỏi", mid) + client.text_part("x\n"))[0] == 250
        assert server.fetch(user, mid)
        with session(server, other) as m:
            end = time.monotonic() + 20
            found = b""
            while not found and time.monotonic() < end:
                m.select("INBOX", readonly=True)
                found = m.uid("SEARCH", None, "HEADER", "In-Reply-To", client.quoted(mid))[1][0]
                time.sleep(0.1)
            assert found
            head = m.uid("FETCH", found.split()[0], "(BODY.PEEK[HEADER])")[1][0][1]
            assert not re.search(rb"^Bcc:", head, re.M) and b"\x1b" not in head, head


def test_a_nul_makes_no_other_value(server, directory):
    """"abc NUL x" is not "abc" anywhere: not as a login name, in a title that a group's rule names, or as the agency."""
    owner = server.user("head", agency="STC")
    p = person(directory, 9006, owner["login"] + "\0x", name="Tên\0x", more=["title:: " + b64("Trực NUL\0x")])
    p[1][p[1].index("vnAgencyRef: H99.02")] = "vnAgencyRef:: " + b64("H99.02\0x")
    box, ruled = server.mailbox("STC")["address"], "cn=h-nul,ou=groups," + directory.base
    g = (ruled, ["objectClass: groupOfNames", "objectClass: vnMailGroup", "cn: h-nul", "mail: h-nul@" + DOMAIN, "member: cn=nobody", "vnMemberTitle:: " + b64("Trực NUL")])
    user = {"login": "h9006@" + DOMAIN, "password": "mat-khau-thu-9006", "address": "h9006@" + DOMAIN}
    with entries(directory, p, g):
        box_dn = directory.mailbox(box)
        directory.modify(box_dn, "add: vnReader", "vnReader: " + ruled)
        try:
            with session(server, user) as m:
                # whom the server takes it for
                told = m.getacl("INBOX")[1][0].decode()
                assert "h9006" in told and owner["login"] not in told, told
                assert not any(box.split("@")[0] in client.name_of(r) for r in m.list('""', '"*"')[1])
            shown = server.congvu("staff", "show", "h9006", "--json")
            assert shown.returncode == 0, shown.stderr
            told = json.loads(shown.stdout)
            assert owner["login"] not in told.values() and "Tên" not in told.values() and "Trực NUL" not in told.values() and "H99.02" not in told.values(), told
        finally:
            directory.modify(box_dn, "delete: vnReader", "vnReader: " + ruled)


def test_groups_in_circles_and_of_nobody(server, directory):
    """A group that has itself, two that have each other, members that are nobody and no DNs of ours: mail reaches who is there, once; a group of nobody is nobody."""
    user = server.user("staff", agency="STC")
    me, base = directory.person(user), directory.base
    one, two, own = ("cn=%s,ou=groups,%s" % (n, base) for n in ("h-vong1", "h-vong2", "h-minh"))
    with entries(directory, group(directory, "h-vong1", "h-vong1@" + DOMAIN, [two, me]), group(directory, "h-vong2", "h-vong2@" + DOMAIN, [one, me]),
                 group(directory, "h-minh", "h-minh@" + DOMAIN, [own, me, "cn=khong co,ou=groups," + base, "cn=x,dc=elsewhere"]),
                 group(directory, "h-rong", "h-rong@" + DOMAIN, ["cn=khong co,ou=groups," + base])):
        for name in ("h-vong1", "h-vong2", "h-minh"):
            mid = client.new_id(DOMAIN)
            s = server.mx()
            address = "%s@%s" % (name, DOMAIN)
            assert client.transaction(s, "dan@hopthu.example", [address], client.header("dan@hopthu.example", [address], "x", mid) + client.text_part("x\n"))[0] == 250
            client.close(s)
            assert server.fetch(user, mid), name  # once: fetch fails on two
        code, text = rcpt(server, "h-rong@" + DOMAIN)
        assert code == 550, (code, text)
        # who is in a circle signs in
        with session(server, user) as m:
            assert m.select("INBOX")[0] == "OK"


def test_huge_group_is_refused_in_time(server, directory):
    """More members than a group may have: refused as too large, for good or for now, within seconds, and others are served meanwhile."""
    members = ["vnStaffId=z%06d,ou=people,%s" % (n, directory.base) for n in range(10100)]
    with entries(directory, group(directory, "h-lon", "h-lon@" + DOMAIN, members)):
        began = time.monotonic()
        code, text = rcpt(server, "h-lon@" + DOMAIN)
        assert code in (452, 550, 554, 451), (code, text)
        assert time.monotonic() - began < 20
        user = server.users[0]
        client.close(server.submission(user))


WRONG = [  # attribute, values of a kind that is not meant
    ("missing mail", [], ["mail"]),
    ("mail is no address", ["mail: khong phai dia chi"], []),
    ("mail of another domain", ["mail: x@ngoai.example"], []),
    ("mail with a space and brackets", ["mail:: " + b64("a b <c@%s>" % DOMAIN)], []),
    ("SCRAM keys that are none", ["authPassword:: " + b64("SCRAM-SHA-256$x:y$z")], []),
    ("SCRAM keys of a million rounds", ["authPassword:: " + b64("SCRAM-SHA-256$999999999:AAAA$AAAA:AAAA")], []),
    ("assignments that are none", ["vnAssignment: ;;;;;;;;", "vnAssignment: primary", "vnAssignment:: " + b64(";" * 500)], []),
    ("assignment with a thirteenth month for its end", ["vnAssignment: concurrent;H99;;20200101;20261331;1/QĐ"], []),
    ("reading until no day", ["vnReadUntil: 20991331000000Z"], []),
    ("validity until no day", ["vnValidTo: mai"], []),
    ("a name of one letter a thousand times", ["displayName:: " + b64("\u0323" * 1000)], []),
    ("an epoch that is no number", ["vnEpoch: -1"], []),
    ("a status nobody knows", ["vnStatus:: " + b64("active\u200b")], []),
    ("an agency of metacharacters", ["vnAgencyRef:: " + b64("*)(uid=*")], []),
    ("history without fields", ["vnAddressHistory: a@b.example;20100101;"], []),
    ("a forward to nowhere", ["vnForward:: " + b64("\r\nRCPT TO:<x@y>")], []),
    ("a reply of NUL", ["vnAutoReplyText:: " + b64("a\x00b"), "vnAutoReplyUntil: 20991231000000Z"], []),
    ("certificate that is none", ["userCertificate;binary:: " + b64(b"\x30\x03\x02\x01\x00")], []),
]


@pytest.mark.parametrize("what,add,drop", WRONG, ids=[w[0].replace(" ", "-") for w in WRONG])
def test_wrong_types_and_missing_attributes(server, directory, what, add, drop):
    """Of one person: the commands say what they have, sign-in answers within its time, and everybody else is served. What slapd itself refuses stands nowhere."""
    dn, lines = person(directory, 9003, "h9003")
    kinds = {x.split(":")[0] for x in add}
    lines = [x for x in lines if x.split(":")[0] not in kinds | set(drop)] + add
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(entries(directory, (dn, lines)))
        except AssertionError as e:
            assert re.search(r"Invalid syntax|Object class violation|invalid per syntax|Constraint violation", str(e)), e
            return
        user = {"login": "h9003", "password": "mat-khau-thu-9003", "address": "h9003@" + DOMAIN}
        began = time.monotonic()
        try:
            client.close(server.submission(user))
        except smtplib.SMTPAuthenticationError as e:
            assert e.smtp_code in (535, 454), e
        assert time.monotonic() - began < 10
        for args in (("staff", "show", "h9003"), ("directory", "check")):
            r = server.congvu(*args, timeout=60)
            assert r.returncode >= 0 and r.stdout + r.stderr, (args, r)
        client.close(server.submission(server.users[0]))
        assert until(lambda: rcpt(server, server.users[0]["address"])[0] == 250) is not None
