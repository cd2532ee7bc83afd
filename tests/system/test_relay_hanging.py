"""Servers that take connections and do not answer, few and many: their mail waits, and mail to who answers goes on (relay_dest.c, relay_pool.c, relay_work.c)."""

import selectors
import socket
import threading
import time

import pytest
from smtpd_fakes import Smarthost, wait_for
from test_smtpd import AN, Site, listing

MANY = 520  # messages: more than relay once had under way


def text(n):
    return "From: <%s>\r\nMessage-ID: <m%s@tinhmau.example>\r\nSubject: x\r\n\r\ntext" % (AN, n)


class Hanging:
    """n servers that say what is due until the client says a verb, and nothing from there on. open, most: connections now, and at most at a time."""

    ANSWERS = {"EHLO": b"250 ok\r\n", "MAIL": b"250 ok\r\n", "RCPT": b"250 ok\r\n", "DATA": b"354 go\r\n", "RSET": b"250 ok\r\n", "QUIT": b"221 bye\r\n"}

    def __init__(self, n, at="CONNECT"):
        self.at, self.open, self.most, self.seen = at, 0, 0, 0
        self.socks = [socket.create_server(("127.0.0.1", 0), backlog=1000) for _ in range(n)]
        self.wake, self.woken = socket.socketpair()
        self.sel = selectors.DefaultSelector()
        for s in self.socks:
            s.setblocking(False)
            self.sel.register(s, selectors.EVENT_READ, None)
        self.sel.register(self.woken, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def routes(self):
        return ["h%d.example=smtp:127.0.0.1:%d" % (i, s.getsockname()[1]) for i, s in enumerate(self.socks)]

    def run(self):
        while True:
            for key, _ in self.sel.select():
                if key.fileobj is self.woken:
                    return
                if key.data is None:
                    self.accept(key.fileobj)
                else:
                    self.read(key.fileobj, key.data)

    def accept(self, sock):
        conn, _ = sock.accept()
        self.open += 1
        self.seen += 1
        self.most = max(self.most, self.open)
        state = {"buf": b"", "silent": self.at == "CONNECT", "data": False}
        self.sel.register(conn, selectors.EVENT_READ, state)
        if not state["silent"]:
            conn.sendall(b"220 fake\r\n")

    def read(self, conn, state):
        try:
            got = conn.recv(65536)
        except OSError:
            got = b""
        if not got:
            self.sel.unregister(conn)
            conn.close()
            self.open -= 1
            return
        state["buf"] += got
        while b"\r\n" in state["buf"] and not state["silent"]:
            line, state["buf"] = state["buf"].split(b"\r\n", 1)
            if state["data"] and line != b".":
                continue
            verb = "END" if state["data"] else line.split(b" ")[0].decode().upper()
            state["data"] = verb == "DATA"
            if verb == self.at:
                state["silent"] = True
            else:
                conn.sendall(self.ANSWERS.get(verb, b"250 ok\r\n"))

    def stop(self):
        self.wake.send(b"x")
        self.thread.join()
        for key in list(self.sel.get_map().values()):
            key.fileobj.close()
        self.wake.close()


class Case:
    def __init__(self, folder, n, at="CONNECT", **options):
        self.hanging, self.up = Hanging(n, at), Smarthost()
        routes = self.hanging.routes() + ["up.example=smtp:127.0.0.1:%d" % self.up.sock.getsockname()[1]]
        self.site = Site(folder, relay_routes=routes, relay_tls="none", **options)
        self.client = self.site.submission()

    def send(self, rcpts, n):
        got = self.client.mail(AN, rcpts, text(n))[-1]
        assert got.startswith("250"), got

    def arrived(self):
        return [r for m in list(self.up.mails) for r in m[2]]

    def stop(self):
        self.site.stop()
        self.up.stop()
        self.hanging.stop()


@pytest.fixture
def case(tmp_path):
    made = []

    def make(n, at="CONNECT", **options):
        made.append(Case(tmp_path, n, at, **options))
        return made[-1]
    yield make
    for c in made:
        c.stop()


def test_each_to_one_that_hangs_and_one_that_is_up(case):
    """Each mail is for both: the half for who answers goes, once, and the mail waits with the other half alone."""
    c = case(1)
    for n in range(MANY):
        c.send(["x%d@h0.example" % n, "y%d@up.example" % n], n)
    c.send(["last@up.example"], "last")
    wait_for(lambda: len(c.arrived()) > MANY, 60)
    assert sorted(c.arrived()) == sorted(["y%d@up.example" % n for n in range(MANY)] + ["last@up.example"])
    assert c.hanging.most <= 2 and c.site.lmtp.mails == []
    # what was settled is settled on the disk: nobody gets it again
    wait_for(lambda: (c.site.smtpd.dir / "smtpd-queue.log").read_text().count("event=relayed") > MANY, 60)
    c.site.smtpd.kill("smtpd-queue")
    c.site.smtpd.kill("relay")
    c.site.smtpd.start("smtpd-queue", "relay")
    c.send(["after@up.example"], "after")
    wait_for(lambda: "after@up.example" in c.arrived(), 60)
    wait_for(lambda: c.hanging.seen >= 3, 60)
    assert len(c.arrived()) == MANY + 2, [x for x in c.arrived() if c.arrived().count(x) > 1]


@pytest.mark.parametrize("at", ["CONNECT", "MAIL", "END"])
def test_many_that_hang_together(case, at):
    """Many servers hang, each with more mail than it gets connections: mail to others goes on."""
    c = case(60, at)
    for n in range(600):
        c.send(["x%d@h%d.example" % (n, n % 60)], n)
    wait_for(lambda: c.hanging.open >= 60, 30)
    c.send(["y@up.example"], "y")
    wait_for(lambda: c.arrived() == ["y@up.example"], 30)
    assert c.hanging.most <= 120 and c.site.lmtp.mails == []


@pytest.mark.parametrize("at", ["CONNECT", "END"])
def test_more_that_hang_than_connections(case, at):
    """Each of them has its turn, the connections are bounded, who is new and answers is not kept out, and nobody hears of a failure."""
    c = case(40, at, relay_connections=8, relay_connect_s=1, queue_retry_s=["3600"])
    for n in range(40):
        c.send(["x@h%d.example" % n], n)
    wait_for(lambda: c.hanging.open >= 4, 30)
    c.send(["y@up.example"], "y")
    wait_for(lambda: c.arrived() == ["y@up.example"], 60)
    wait_for(lambda: c.hanging.seen >= 20, 60)
    # half of them, one more that is about to be ended, and those of the other half
    assert c.hanging.most <= 9 and c.site.lmtp.mails == [], c.hanging.most


def test_what_waited_for_its_destination_goes_when_there_is_room(case):
    """More mail for one server than it has connections and places in line: no pauses, each once, in no more connections than it may have."""
    c = case(1, relay_concurrency=3)
    begun = time.monotonic()
    for n in range(300):
        c.send(["y%d@up.example" % n], n)
    sent = time.monotonic() - begun
    wait_for(lambda: len(c.arrived()) == 300, 20 + sent)
    assert sorted(c.arrived()) == sorted("y%d@up.example" % n for n in range(300))
    wait_for(lambda: listing(c.site) == [])


def test_parked_mail_is_due_with_its_relay(case):
    """What waits for a destination when relay ends is offered to the next one, and so it is when the queue ends."""
    c = case(1)
    for n in range(30):
        c.send(["x%d@h0.example" % n], n)
    wait_for(lambda: c.hanging.open == 2)
    for victim in ("relay", "smtpd-queue"):
        seen = c.hanging.seen
        c.site.smtpd.kill(victim)
        c.site.smtpd.start(victim)
        if victim == "relay":
            wait_for(lambda: c.hanging.seen >= seen + 2, 30)
        c.send(["y-%s@up.example" % victim], victim)
        wait_for(lambda: "y-%s@up.example" % victim in c.arrived(), 30)
    assert len(listing(c.site)) == 30
