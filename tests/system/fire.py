"""Load that keeps books, for the tests of what is killed, hung, full or away: mail by submission counted per (delivery id, recipient), and
IMAP changes (APPEND, keywords) that were answered OK."""

import collections
import imaplib
import os
import re
import signal
import ssl
import threading
import time

import client
from load import Load


class Mail(Load):
    """accepted: {Message-ID: recipients}; ids: {Message-ID: queue id of the 250 answer}."""

    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        self.ids = {}

    def took(self, mid, text):
        found = re.search(r" as ([0-9a-f]{16})", text)
        assert found, "a 250 without its id: " + text
        self.ids[mid] = found.group(1)


class Imap:
    """Threads, each with a mailbox of its own, that APPEND and set a keyword on what they appended. appended: {mailbox: {Message-ID: keyword
    was answered OK}}; unknown: those whose answer was lost."""

    def __init__(self, server, threads=2):
        self.server = server
        self.people = [u for u in server.users if u["role"] == "staff"]
        self.ending, self.lock = threading.Event(), threading.Lock()
        self.appended, self.unknown, self.errors = {}, set(), collections.Counter()
        self.threads = [threading.Thread(target=self.work, args=(n,), daemon=True) for n in range(threads)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for t in self.threads:
            t.join(90)
            assert not t.is_alive(), "an IMAP client hangs"

    def box(self, n):
        return self.people[n % len(self.people)], "Fire%d" % n

    def work(self, n):
        user, box = self.box(n)
        m, good = None, self.appended.setdefault(box, {})
        while not self.ending.is_set():
            mid = client.new_id(self.server.domain)
            try:
                if m is None:
                    m = self.server.imap(user)
                    m.create(box)
                    status, data = m.select(box)
                    assert status == "OK", data
                mail = client.header(client.address(user["name"], user["address"]), [user["address"]], "Lửa", mid)
                self.unknown.add(mid)
                status, data = m.append(box, None, None, mail + client.text_part("x" * 500))
                self.unknown.discard(mid)
                if status != "OK":
                    self.errors[str(data)[:80]] += 1
                    continue
                good[mid] = False
                uid = re.search(rb"APPENDUID \d+ (\d+)", b" ".join(data)).group(1)
                status, data = m.uid("STORE", uid, "+FLAGS", "(Fire)")
                good[mid] = status == "OK"
            except (OSError, ssl.SSLError, imaplib.IMAP4.error) as e:
                self.errors[repr(e)[:80]] += 1
                if m is not None:
                    m.shutdown()
                m = None
                self.ending.wait(0.05)
        if m is not None:
            client.close(m)

    def check(self):
        """What was answered OK is there once, with its keyword; what was not is there at most once. (there, of those unanswered)"""
        found_unknown = 0
        for n in range(len(self.threads)):
            user, box = self.box(n)
            m = self.server.imap(user)
            try:
                rows = headers(m, box)
            finally:
                client.close(m)
            count = collections.Counter(r["mid"] for r in rows)
            flags = {r["mid"]: r["flags"] for r in rows}
            good = self.appended[box]
            missing = [mid for mid in good if mid not in count]
            assert not missing, "%d of %d appended are missing" % (len(missing), len(good))
            double = [mid for mid, k in count.items() if k > 1]
            assert not double, "%d appended are there more than once" % len(double)
            lost = [mid for mid, kept in good.items() if kept and b"Fire" not in flags[mid]]
            assert not lost, "%d keywords answered OK are lost" % len(lost)
            found_unknown += sum(1 for mid in count if mid in self.unknown)
        return found_unknown


def headers(m, box):
    """What is in a mailbox: [{mid, qids, flags}]."""
    status, data = m.select(client.quoted(box), readonly=True)
    assert status == "OK", data
    if data[0] == b"0":
        return []
    status, data = m.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID RECEIVED)])")
    assert status == "OK", data
    rows = []
    for d in data:
        if not isinstance(d, tuple):
            continue
        mid = re.search(rb"(?im)^Message-ID:\s*(<[^>]*>)", d[1])
        rows.append({"mid": mid.group(1).decode() if mid else "", "qids": [q.decode() for q in re.findall(rb"\bid ([0-9a-f]{16})\b", d[1])],
                     "flags": d[0]})
    return rows


def account(server, load, wait=60):
    """Delivered against accepted, per (delivery id, recipient). Asserts that nothing is missing and nothing doubled; gives the counts."""
    by_address = {u["address"]: u for u in server.users}
    wanted = {(load.ids[mid], mid, a) for mid, rcpts in load.accepted.items() for a in rcpts}
    end = time.monotonic() + wait
    while True:
        there = collections.Counter()
        for address in sorted({a for _, _, a in wanted}):
            m = server.imap(by_address[address])
            try:
                for r in headers(m, "INBOX"):
                    if r["mid"] in load.accepted or r["mid"] in load.unknown:
                        there[(r["qids"][0] if r["qids"] else "", r["mid"], address)] += 1
            finally:
                client.close(m)
        missing = wanted - set(there)
        if not missing or time.monotonic() > end:
            break
        time.sleep(0.5)
    double = {k: n for k, n in there.items() if n > 1}
    tally = {"accepted": len(wanted), "delivered": sum(there[w] for w in wanted), "duplicates": sum(double.values()) - len(double),
             "unanswered": len(load.unknown), "unanswered_delivered": sum(1 for k in there if k[1] in load.unknown)}
    assert not double, "%s: doubled %s" % (tally, list(double)[:3])
    assert not missing, "%s: missing %s\nqueue: %s" % (tally, sorted(missing)[:3], server.congvu("queue", "list").stdout[:1500])
    mids = collections.Counter((mid, a) for _, mid, a in there)
    assert max(mids.values(), default=0) <= 1, "the same mail under two delivery ids"
    return tally


def kill_one(server, binary, nth, most=10.0):
    """SIGKILLs one process of a role and waits for its successor. Seconds until that ran."""
    before = server.processes(binary)
    assert before, binary + " does not run"
    pid = sorted(before)[nth % len(before)]
    os.kill(pid, signal.SIGKILL)
    start = time.monotonic()
    while time.monotonic() - start < most:
        now = server.processes(binary)
        if pid not in now and len(now) >= len(before):
            return time.monotonic() - start
        time.sleep(0.005)
    raise AssertionError("%s was not back in %g s" % (binary, most))
