"""A bounded load of everyday mail through submission, and the count of what arrived."""

import re
import smtplib
import ssl
import threading
import time

import client


class Load:
    """Threads that send mail over connections they keep until stop(). accepted: Message-IDs answered 250; unknown: those whose
    answer was lost; refused: {answer: count}."""

    def __init__(self, server, threads=4, rcpts=None, senders=None, size=2000, pause=0.0, per_connection=50):
        self.server, self.pause, self.per_connection = server, pause, per_connection
        self.senders = senders or [u for u in server.users if u["role"] == "staff"]
        self.rcpts = rcpts or [[u["address"]] for u in server.users if u["role"] in ("head", "staff")]
        self.body = client.text_part("Nội dung thư thường. " * (size // 30))
        self.accepted, self.unknown, self.refused = {}, set(), {}
        self.lock, self.ending = threading.Lock(), threading.Event()
        self.errors = []
        self.threads = [threading.Thread(target=self.work, args=(n,), daemon=True) for n in range(threads)]

    def __enter__(self):
        self.begin = time.monotonic()
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.ending.set()
        for t in self.threads:
            t.join(90)
            assert not t.is_alive(), "a sender hangs"
        self.seconds = time.monotonic() - self.begin

    def took(self, mid, text):
        """For those who want to know more of a mail that was answered 250; called with the lock held."""

    def mail(self, n, count, sender, rcpts):
        mid = client.new_id(self.server.domain)
        return mid, client.header(client.address(sender["name"], sender["address"]), rcpts, "Thư %d/%d" % (n, count), mid) + self.body

    def work(self, n):
        count, s, sender, used = 0, None, None, 0
        while not self.ending.is_set():
            mid = None
            try:
                if s is None:
                    sender, used = self.senders[(n + count) % len(self.senders)], 0
                    s = self.server.submission(sender)
                rcpts = self.rcpts[(n * 7 + count) % len(self.rcpts)]
                mid, mail = self.mail(n, count, sender, rcpts)
                count += 1
                code, text = client.transaction(s, sender["address"], rcpts, mail)
                with self.lock:
                    if code == 250:
                        self.accepted[mid] = rcpts
                        self.took(mid, text)
                    else:
                        key = "%d %s" % (code, text[:60])
                        self.refused[key] = self.refused.get(key, 0) + 1
                mid = None
                used += 1
                if code != 250:
                    s.rset()
                if used >= self.per_connection:
                    client.close(s)
                    s = None
            except (OSError, smtplib.SMTPException, ssl.SSLError) as e:
                with self.lock:
                    if mid:
                        self.unknown.add(mid)
                    self.errors.append(repr(e)[:200])
                if s is not None:
                    s.close()
                s = None
                self.ending.wait(0.05)
            if self.pause:
                self.ending.wait(self.pause)
        if s is not None:
            client.close(s)

    def tell(self):
        return "%d accepted, %d unknown, refused %s, errors %s" % (
            len(self.accepted), len(self.unknown), self.refused, sorted(set(self.errors))[:4])


def message_ids(server, user, mailbox="INBOX"):
    """The Message-ID of every message in a mailbox, in order."""
    m = server.imap(user)
    try:
        status, data = m.select(client.quoted(mailbox), readonly=True)
        assert status == "OK", data
        if data[0] == b"0":
            return []
        status, data = m.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
        assert status == "OK", data
        return [re.search(rb"<[^>]*>", d[1]).group(0).decode() for d in data
                if isinstance(d, tuple) and re.search(rb"<[^>]*>", d[1])]
    finally:
        client.close(m)


def check_once(server, load, wait=45):
    """Everything answered 250 is in each mailbox once; what was not answered is there at most once."""
    by_address = {u["address"]: u for u in server.users}
    addresses = sorted({a for rcpts in load.accepted.values() for a in rcpts})
    end = time.monotonic() + wait
    while True:
        missing, double = [], []
        for address in addresses:
            ids = message_ids(server, by_address[address])
            counts = {}
            for mid in ids:
                counts[mid] = counts.get(mid, 0) + 1
            missing += [m for m, rcpts in load.accepted.items() if address in rcpts and m not in counts]
            double += [m for m, n in counts.items() if n > 1 and (m in load.accepted or m in load.unknown)]
        if double or not missing or time.monotonic() > end:
            break
        time.sleep(0.5)
    assert not double, "%d mails are there more than once: %s" % (len(double), double[:3])
    assert not missing, "%d of %d accepted mails are missing: %s\nqueue: %s" % (
        len(missing), len(load.accepted), missing[:3], server.congvu("queue", "list").stdout[:1500])
