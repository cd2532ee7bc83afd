"""SORT and THREAD beside Debian's Dovecot, over the same messages, made up anew for each seed: subjects with all that RFC 5256 takes off, dates in odd
forms, References that are cut short, doubled and in rings. Where Dovecot stands apart from the RFC the messages keep away from it, and say so."""

import email.header
import imaplib
import os
import pathlib
import random
import shutil
import tempfile
import time

import pytest

IMAP = "/usr/lib/dovecot/imap"
MESSAGES = 300

imaplib.Commands.setdefault("SORT", ("SELECTED",))

# Dovecot takes a letter apart once ("ấ" into "â" and an acute), RFC 5051 until nothing is left to take apart: no such letters here.
WORDS = ["công văn", "báo cáo", "Giây mơi", "họp", "alpha", "Beta", "ĐĂNG", "đăng", "ân", "an", "Zed", "éa", "15/CV"]
PEOPLE = [("Đăng Thị Hương", "huong"), ("Trân Văn Bình", "binh"), ("", "Zoe"), ("", "anna"), ("Em, Út", "ut"), ("ÂN", "an"), ("an", "An")]


def header(text, rng):
    if text.isascii() and rng.random() < 0.7:
        return text
    return email.header.Header(text, rng.choice(["utf-8", "utf-8"])).encode(maxlinelen=0)


def subject(rng):
    text = " ".join(rng.sample(WORDS, rng.choice([0, 1, 1, 1, 2])))
    for _ in range(rng.choice([0, 0, 1, 2, 3])):
        text = rng.choice(["Re: %s", "RE:%s", "Fwd: %s", "fw: %s", "[list] %s", "[a] [b] %s", "Re[2]: %s", "%s (fwd)", "%s (Fwd) ",
                           "[Fwd: %s]", "Re: [list] %s", "  %s"]) % text
    return text


def address(rng):
    name, box = rng.choice(PEOPLE)
    if not name:
        return "%s@x.example" % box
    quoted = '"%s"' % name if name.isascii() else email.header.Header(name, "utf-8").encode()
    return "%s <%s@x.example>" % (quoted, box)


def message(rng, n, ids):
    lines = []
    if rng.random() < 0.95:
        zone = rng.choice(["+0700", "+0000", "-0500", "GMT"])
        lines.append("Date: %d %s 2024 %02d:%02d:00 %s" % (rng.randint(1, 28), rng.choice(["Jan", "Feb"]), rng.randint(0, 23),
                                                          rng.choice([0, 30]), zone))
    lines.append("From: " + ", ".join(address(rng) for _ in range(rng.choice([1, 1, 2]))))
    if rng.random() < 0.8:
        lines.append("To: " + ", ".join(address(rng) for _ in range(rng.choice([1, 2]))))
    if rng.random() < 0.3:
        lines.append("Cc: " + address(rng))
    if rng.random() < 0.95:
        lines.append("Subject: " + header(subject(rng), rng))
    if rng.random() < 0.95:
        own = rng.choice(ids) if ids and rng.random() < 0.05 else "<%d.%d@x.example>" % (n, rng.randint(1, 9))
        ids.append(own)
        lines.append("Message-ID: " + own)
    kind = rng.random()
    near = ids[-12:]
    if kind < 0.45 and near:
        refs = [rng.choice(near) for _ in range(rng.choice([1, 2, 3, 5]))]
        if rng.random() < 0.2:
            refs.append("<gone.%d@x.example>" % rng.randint(1, 20))
        lines.append("References: " + "\r\n ".join(refs))
    elif kind < 0.6 and near:
        lines.append("In-Reply-To: %s" % rng.choice(near))
    elif kind < 0.7:
        # answered before what it answers came
        lines.append("References: <%d.%d@x.example>" % (n + rng.randint(0, 5), rng.randint(1, 9)))
    return ("\r\n".join(lines) + "\r\n\r\n" + "x" * rng.randint(1, 50) + "\r\n").encode()


def fill(m, folder, mails):
    """Appends them all, twenty at a time without waiting."""
    assert m.create(folder)[0] == "OK"
    for at in range(0, len(mails), 20):
        batch = b""
        for i in range(at, min(at + 20, len(mails))):
            date = imaplib.Time2Internaldate(1700000000 + i * 7919 % 1000 * 60)
            batch += ('z%d APPEND %s %s {%d+}\r\n' % (i, folder, date, len(mails[i]))).encode() + mails[i] + b"\r\n"
        m.send(batch)
        for i in range(at, min(at + 20, len(mails))):
            assert m.readline().startswith(b"z%d OK" % i)
    assert m.select(folder)[0] == "OK"


def ask(m, command, *args):
    status, data = m._simple_command(command, *args)
    assert status == "OK", data
    _, data = m._untagged_response(status, data, command)
    return (data[0] or b"").decode().strip() if data else ""


def dovecot():
    """Dovecot's imap program alone, signed in, as nobody (it does not run as root); and its folder."""
    home = pathlib.Path(tempfile.mkdtemp(prefix="congvu-oracle-"))
    conf = home / "dovecot.conf"
    conf.write_text("mail_location = mdbox:%s/mail\nmail_uid = nobody\nmail_gid = nogroup\nfirst_valid_uid = 1\nlog_path = %s/log\nssl = no\n"
                    "base_dir = %s\nstats_writer_socket_path =\nprotocols = imap\n" % (home, home, home))
    (home / "mail").mkdir()
    for path in (home, home / "mail"):
        shutil.chown(path, "nobody", "nogroup")
    return imaplib.IMAP4_stream("exec setpriv --reuid nobody --regid nogroup --clear-groups env USER=nobody HOME=%s %s -c %s" %
                                (home, IMAP, conf)), home


@pytest.mark.skipif(not os.path.exists(IMAP), reason="dovecot-imapd is not installed")
@pytest.mark.parametrize("seed", [1, 2])
def test_beside_dovecot(server, seed):
    rng = random.Random(seed)
    ids = []
    mails = [message(rng, n, ids) for n in range(MESSAGES)]
    user = server.user("staff", agency="SKHCN")
    ours = server.imap(user)
    theirs, home = dovecot()
    folder = "oracle-%d-%d" % (seed, time.time_ns())
    try:
        fill(ours, folder, mails)
        fill(theirs, folder, mails)
        bad = []
        for criteria in ["ARRIVAL", "DATE", "REVERSE DATE", "FROM", "TO", "CC", "SIZE", "SUBJECT", "DISPLAYFROM", "DISPLAYTO",
                         "REVERSE SUBJECT DATE", "SUBJECT REVERSE ARRIVAL", "CC TO REVERSE FROM", "DISPLAYTO REVERSE DISPLAYFROM SIZE"]:
            got, want = (ask(m, "SORT", "(%s)" % criteria, "UTF-8", "ALL") for m in (ours, theirs))
            if got != want:
                bad.append("SORT (%s)\n ours   %s\n theirs %s" % (criteria, got, want))
        for algorithm in ["REFERENCES", "ORDEREDSUBJECT"]:
            for what in ["ALL", "1:150", "FROM binh"]:
                got, want = (ask(m, "THREAD", algorithm, "UTF-8", what) for m in (ours, theirs))
                if got != want:
                    bad.append("THREAD %s %s\n ours   %s\n theirs %s" % (algorithm, what, got, want))
        assert not bad, "\n".join(bad)
    finally:
        ours.select("INBOX")
        ours.delete(folder)
        for m in (ours, theirs):
            m.logout()
        shutil.rmtree(home)
