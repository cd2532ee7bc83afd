"""IMAP sessions beside the trouble of others: stored killed in the middle of a FETCH, many clients of one mailbox, large messages, idle ones."""

import argparse
import os
import pathlib
import random
import re
import signal
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "unit"))
import imap_race_test as race  # noqa: E402
from conftest import BUILD  # noqa: E402


def built_with_asan():
    config = BUILD / "config.h"
    return config.exists() and "#define CV_ASAN 1" in config.read_text()


# AddressSanitizer keeps what was freed, and its shadow beside it: the memory of a process then says nothing of our code.
measures_memory = pytest.mark.skipif(built_with_asan(), reason="memory is not measured under AddressSanitizer")


@pytest.fixture
def connect(server):
    user = server.user("clerk", agency="SKHCN")
    opened = []

    def make(name):
        c = race.Client(server.imaps_port, str(server.ca_file), user["login"], user["password"], name)
        opened.append(c)
        return c

    yield make
    for c in opened:
        c.sock.close()


def rss(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path("/proc/%d/status" % pid).read_text()).group(1)) // 1024


def large_message(size):
    return (b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 4 + b"\r\n" * 1 + b"x" * 70 + b"\r\n") * 1 + \
        (b"%064d\r\n" % 5) * (size // 66)


def append(c, box, data, flags=""):
    c.n += 1
    tag = b"%s%d" % (c.name.encode(), c.n)
    c.sock.sendall(tag + b" APPEND %s (%s) {%d+}\r\n" % (box.encode(), flags.encode(), len(data)))
    c.sock.sendall(data + b"\r\n")
    status, _ = c.finish(tag, False)
    assert status.startswith(b"OK"), status


def test_race(server, connect):
    user = server.user("clerk", agency="SKHCN")
    seed = random.randrange(10 ** 6)
    args = argparse.Namespace(port=server.imaps_port, ca=str(server.ca_file), login=user["login"], password=user["password"])
    race.race(args, "race-%d" % seed, 8, seed)
    race.arrivals(args, "arrivals-%d" % seed, 3)


def test_stored_killed_in_fetch(server, connect):
    """A literal that was begun is finished with its exact octets, or the connection ends; the session goes on."""
    c, name = connect("k"), "kill-%d" % time.time_ns()
    data = large_message(8 << 20)
    c.run("CREATE " + name)
    append(c, name, data)
    c.select(name)
    for _ in range(3):
        tag = c.send("UID FETCH 1 (BODY.PEEK[])")
        time.sleep(0.02)
        os.kill(server.one("congvu-stored-db"), signal.SIGKILL)
        status, lines = c.finish(tag, False)
        assert status.startswith(b"OK"), status
        assert data in lines[0]
        server.wait_up()
    append(c, name, b"From: a@x.example\r\n\r\n")
    c.run("NOOP")
    assert len(c.uids) == 2, "the mailbox is still selected"
    c.run("CLOSE")
    c.run("DELETE " + name)


def test_idle_hears_after_restart(server, connect):
    c, other, name = connect("i"), connect("j"), "idle-%d" % time.time_ns()
    c.run("CREATE " + name)
    c.select(name)
    tag = c.send("IDLE")
    assert c.line().startswith(b"+")
    os.kill(server.one("congvu-stored-db"), signal.SIGKILL)
    server.wait_up()
    append(other, name, b"From: a@x.example\r\n\r\n")
    assert c.line() == b"* 1 EXISTS"
    c.sock.sendall(b"DONE\r\n")
    status, _ = c.finish(tag, False)
    assert status.startswith(b"OK")
    other.run("DELETE " + name)


@measures_memory
def test_large_to_slow_readers(server, connect):
    """Clients that ask for 20 MB each and do not read: the sessions hold pieces."""
    c, name = connect("l"), "large-%d" % time.time_ns()
    data = large_message(20 << 20)
    c.run("CREATE " + name)
    append(c, name, data)
    pids = list(server.processes("congvu-imapd-session"))
    readers = [connect("m%d" % i) for i in range(6)]
    for r in readers:
        r.select(name)
    before = sum(rss(p) for p in pids)
    tags = [r.send("FETCH 1 (BODY.PEEK[] UID)") for r in readers]
    time.sleep(2)
    grown = sum(rss(p) for p in pids) - before
    c.run("NOOP")
    assert grown < 30, "%d MB" % grown
    for r, tag in zip(readers, tags):
        status, lines = r.finish(tag, True)
        assert status.startswith(b"OK") and data in lines[0] and lines[0].endswith(b" UID 1)")
    c.run("DELETE " + name)


@measures_memory
def test_idle_is_cheap(server, connect):
    """20 sessions of one person (a phone, a desktop and their folders), each with a mailbox open, idling."""
    c, name = connect("n"), "cheap-%d" % time.time_ns()
    c.run("CREATE " + name)
    for _ in range(50):
        append(c, name, b"From: a@x.example\r\n\r\n")
    pids = list(server.processes("congvu-imapd-session"))
    before = sum(rss(p) for p in pids)
    idlers = [connect("o%d" % i) for i in range(60)]
    for r in idlers:
        r.select(name)
        r.send("IDLE")
        assert r.line().startswith(b"+")
    assert (sum(rss(p) for p in pids) - before) * 1024 / len(idlers) < 60
    append(c, name, b"From: b@x.example\r\n\r\n")
    for r in idlers:
        assert r.line() == b"* 51 EXISTS"
    c.run("DELETE " + name)
