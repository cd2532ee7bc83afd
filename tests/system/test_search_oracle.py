"""SEARCH by the index beside SEARCH that looks at every message: the same answer, for messages in all spellings and encodings, whole and broken, and for
texts cut out of them anywhere. The index is asked for four messages and more (imapd/search_run.c), so the same search over three UIDs at a time is
the oracle. Right after delivery, when blocks were made, after COPY, MOVE and EXPUNGE, after kill -9, and while mail comes in."""

import base64
import os
import quopri
import random
import re
import signal
import threading
import time
import unicodedata

import pytest

WORDS = ["Kính gửi", "ỦY BAN", "nhân dân", "Đặng Thị Thu Hường", "Ðà Nẵng", "nghị định số 99/2025/NĐ-CP", "QUYẾT ĐỊNH", "về việc", "the agency", "report",
         "minutes", "finance", "Straße", "ﬁnance", "日本語", "😀", "x=1", "a&b", "<b>in đậm</b>", "1.234.567 đồng", "khẩn", "họp"]
CHARSETS = ["utf-8", "utf-8", "utf-8", "utf-16", "utf-16-le", "windows-1258", "iso-8859-1", "us-ascii", None]


def phrase(rng, n):
    text = " ".join(rng.choice(WORDS) if rng.random() < 0.8 else "%x" % rng.getrandbits(24) for _ in range(n))
    return unicodedata.normalize(rng.choice(["NFC", "NFD"]), text)


def leaf(rng, texts):
    text = "\r\n".join(phrase(rng, rng.randint(1, 8)) for _ in range(rng.randint(1, 12)))
    charset = rng.choice(CHARSETS)
    texts.append(text)
    raw = text.encode(charset or "utf-8", "replace") if charset != "windows-1258" else text.encode("cp1258", "replace")
    kind = rng.choice(["text/plain", "text/plain", "text/html", "application/octet-stream"])
    head = "Content-Type: %s" % kind + ("; charset=%s" % charset if charset else "") + "\r\n"
    cte = rng.choice(["base64", "quoted-printable", "8bit"])
    if cte == "base64" or (charset or "").startswith("utf-16"):
        cte, raw = "base64", base64.encodebytes(raw).replace(b"\n", b"\r\n")
    elif cte == "quoted-printable":
        raw = quopri.encodestring(raw.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
    if rng.random() < 0.1 and len(raw) > 10:  # broken on the way
        at = rng.randrange(len(raw))
        raw = raw[:at] + rng.choice([b"=", b"!", b"\xff", b""]) + raw[at + 1:]
    raw = re.sub(rb"\r(?!\n)|(?<!\r)\n", b"\r\n", raw).replace(b"\0", b"?")
    return (head + "Content-Transfer-Encoding: %s\r\n\r\n" % cte).encode() + raw + b"\r\n"


def header(rng, texts, n):
    lines = []
    for name in ["Subject", "From", "To", "X-So-Hieu", "Comments"]:
        text = phrase(rng, rng.randint(1, 5))
        texts.append(text)
        if rng.random() < 0.3:
            value = text.encode()
        else:
            words = ["=?utf-8?B?%s?=" % base64.b64encode(t.encode()).decode() if rng.random() < 0.7 else
                     "=?utf-8?Q?%s?=" % "".join("=%02X" % b for b in t.encode()) for t in re.findall(r".{1,12}", text)]
            value = "\r\n ".join(words).encode()
        if name in ("From", "To"):
            value += b" <p%d@x.example>" % rng.randint(1, 9)
        lines.append(name.encode() + b": " + value)
    lines.append(b"Message-ID: <%d.%x@x.example>" % (n, rng.getrandbits(32)))
    return b"\r\n".join(lines) + b"\r\n"


def body(rng, texts, depth=0):
    kind = rng.random() if depth < 3 else 0
    if kind < 0.55:
        return leaf(rng, texts)
    if kind < 0.7:
        return b"Content-Type: message/rfc822\r\n\r\n" + header(rng, texts, 0) + body(rng, texts, depth + 1)
    mark = b"b%d.%x" % (depth, rng.getrandbits(20))
    out = b"Content-Type: multipart/mixed; boundary=\"" + mark + b"\"\r\n\r\n"
    for _ in range(rng.randint(1, 3)):
        out += b"--" + mark + b"\r\n" + body(rng, texts, depth + 1)
    return out + (b"--" + mark + b"--\r\n" if rng.random() < 0.9 else b"")


def mail(rng, n, texts):
    return header(rng, texts, n) + b"MIME-Version: 1.0\r\n" + body(rng, texts)


def append(m, folder, mails):
    for at in range(0, len(mails), 50):
        some = mails[at:at + 50]
        m.send(b"".join(b"z%d APPEND %s {%d+}\r\n" % (i, folder.encode(), len(s)) + s + b"\r\n" for i, s in enumerate(some)))
        for i in range(len(some)):
            line = b"*"
            while line.startswith(b"*"):
                line = m.readline()
            assert line.startswith(b"z%d OK" % i), line


class Line:
    """Commands in a pipeline; answers in order."""

    def __init__(self, m):
        self.m = m

    def run(self, commands):
        found = []
        for at in range(0, len(commands), 100):
            some = commands[at:at + 100]
            self.m.send(b"".join(b"y%d " % i + c + b"\r\n" for i, c in enumerate(some)))
            for i in range(len(some)):
                uids = None
                while True:
                    line = self.m.readline()
                    if line.startswith(b"* SEARCH"):
                        uids = [int(w) for w in line.split()[2:]]
                    elif line.startswith(b"y"):
                        assert line.startswith(b"y%d OK" % i), (line, some[i])
                        found.append(uids)
                        break
        return found


def literal(text):
    raw = text.encode()
    return b"{%d+}\r\n" % len(raw) + raw


def keys(rng, texts, n):
    out = []
    for _ in range(n):
        text = rng.choice(texts)
        at = rng.randrange(len(text))
        cut = text[at:at + rng.choice([1, 2, 3, 4, 6, 10, 20, 60])].replace("\0", "")
        cut = unicodedata.normalize(rng.choice(["NFC", "NFD"]), rng.choice([str, str.upper, str.lower])(cut))
        if rng.random() < 0.15 or not cut:
            cut = rng.choice(["nowhere to be found", "ab", "=?utf-8?", "zzz", "p3@x", "received"])
        x = literal(cut)
        other = literal(rng.choice(texts)[:8] or "x")
        out.append(rng.choice([b"BODY %s" % x, b"BODY %s" % x, b"TEXT %s" % x, b"NOT BODY %s" % x, b"HEADER X-So-Hieu %s" % x,
                               b"HEADER Comments %s" % x, b"SUBJECT %s" % x, b"FROM %s" % x, b"OR BODY %s TEXT %s" % (x, other),
                               b"BODY %s NOT TEXT %s" % (x, other), b"OR (UNSEEN BODY %s) HEADER Sender %s" % (x, other)]))
    return out


def compare(m, uids, asked):
    """Each key over all of uids at once, and over three at a time."""
    line = Line(m)
    bad = []
    parts = [b"%d:%d" % (uids[i], uids[min(i + 2, len(uids) - 1)]) for i in range(0, len(uids), 3)]
    want_any = 0
    for key in asked:
        got = line.run([b"UID SEARCH CHARSET UTF-8 UID %d:%d %s" % (uids[0], uids[-1], key)])[0]
        want = [u for some in line.run([b"UID SEARCH CHARSET UTF-8 UID %s %s" % (p, key) for p in parts]) for u in some]
        want_any += bool(want)
        if got != want:
            bad.append("%r: %d instead of %d; missing %s, too many %s" % (key, len(got), len(want), sorted(set(want) - set(got))[:5],
                                                                        sorted(set(got) - set(want))[:5]))
    assert not bad, "\n".join(bad[:5])
    return want_any


def all_uids(m):
    return [int(u) for u in m.uid("SEARCH", None, "ALL")[1][0].split()]


def blocks(server):
    return (server.dir / "log/congvu.log").read_text(errors="replace").count("event=index_block")


def wait_for_blocks(server, before):
    end = time.monotonic() + 30
    while blocks(server) == before:
        assert time.monotonic() < end, "no block of the index was made"
        time.sleep(0.1)


@pytest.mark.parametrize("seed", [1])
def test_index_beside_brute_force(server, seed):
    rng = random.Random(seed)
    user = server.user("staff", agency="SKHCN")
    m = server.imap(user)
    folder, other = ("search-%d-%d" % (n, time.time_ns()) for n in range(2))
    texts = []
    before = blocks(server)
    for f in (folder, other):
        assert m.create(f)[0] == "OK"
    # right after it came
    append(m, folder, [mail(rng, n, texts) for n in range(200)])
    assert m.select(folder)[0] == "OK"
    assert compare(m, all_uids(m), keys(rng, texts, 60)) > 20
    # in a block, and some in none
    append(m, folder, [mail(rng, n, texts) for n in range(200, 1400)])
    m.noop()
    assert len(all_uids(m)) == 1400
    wait_for_blocks(server, before)
    assert compare(m, all_uids(m), keys(rng, texts, 25)) > 5
    # copies and what was moved have other UIDs elsewhere; here they leave holes
    uids = all_uids(m)
    assert m.uid("COPY", "%d:%d" % (uids[10], uids[60]), other)[0] == "OK"
    assert m.uid("MOVE", "%d:%d" % (uids[100], uids[400]), other)[0] == "OK"
    for u in rng.sample(uids[500:], 300):
        m.send(b"q UID STORE %d +FLAGS.SILENT (\\Deleted)\r\n" % u)
        while not m.readline().startswith(b"q OK"):
            pass
    m.expunge()
    assert compare(m, all_uids(m), keys(rng, texts, 20)) > 5
    assert m.select(other)[0] == "OK"
    assert compare(m, all_uids(m), keys(rng, texts, 20)) > 5
    # another process, the same store
    os.kill(server.one("congvu-stored-db"), signal.SIGKILL)
    server.wait_up()
    m = server.imap(user)
    assert m.select(folder)[0] == "OK"
    assert compare(m, all_uids(m), keys(rng, texts, 20)) > 5
    # while more comes in, what is there is found
    stop = threading.Event()
    more = [mail(rng, n, texts) for n in range(1400, 1700)]

    def pour():
        w = server.imap(user)
        while not stop.is_set():
            append(w, folder, more[:50])
        w.logout()

    t = threading.Thread(target=pour)
    t.start()
    try:
        for _ in range(3):
            m.noop()
            assert compare(m, all_uids(m)[:1200], keys(rng, texts, 5)) > 0
    finally:
        stop.set()
        t.join()
    m.noop()
    wait_for_blocks(server, blocks(server) - 1)
    assert compare(m, all_uids(m), keys(rng, texts, 8)) > 0
    m.select("INBOX")
    for f in (folder, other):
        assert m.delete(f)[0] == "OK"
    m.logout()
