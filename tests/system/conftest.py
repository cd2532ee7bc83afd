"""One instance for the system tests of a worker (./runtests has several, each with whole files), made by ./quickstart in a folder that only root may enter (as under /root)."""

import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "admin/quickstart"))
sys.path.insert(0, str(TOP / "tests/wire"))

import client  # noqa: E402

BUILD = pathlib.Path(os.environ.get("CONGVU_BUILD", TOP / "build"))


SLOTS = {}


def ports_are_free(base):
    try:
        for n in (25, 143, 389, 465, 587, 993):
            with socket.socket() as s:
                s.bind(("127.0.0.1", base + n))
        return True
    except OSError:
        return False


def free_port_base():
    """A base whose ports are all free, and stay so: no other run of these tests on this machine gets the same thousand while this process runs.
    (Ports of an instance are free for moments, when it is killed and started again.) Where many runs have all of them, it waits for one."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        for base in random.sample(range(11000, 31000, 1000), 20):  # below the ports that clients get
            slot = socket.socket(socket.AF_UNIX)
            try:
                slot.bind("\0congvu-test-ports-%d" % base)
            except OSError:
                slot.close()
                continue
            if ports_are_free(base):
                SLOTS[base] = slot
                return base
            slot.close()
        for base in reversed(SLOTS):  # of an instance that is no more
            if ports_are_free(base):
                return base
        time.sleep(1)
    raise RuntimeError("no free ports")


def quickstart(*args, check=True, timeout=300):
    env = dict(os.environ, CONGVU_BUILD=str(BUILD))
    r = subprocess.run([str(TOP / "quickstart"), *map(str, args)], env=env, stdin=subprocess.DEVNULL, capture_output=True,
                       text=True, timeout=timeout)
    if check and r.returncode:
        raise RuntimeError("quickstart %s failed:\n%s%s" % (" ".join(map(str, args)), r.stdout, r.stderr))
    return r


class Server(client.Site):
    """A running instance, and what can be done to it."""

    def __init__(self, folder, base):
        self.base = base
        super().__init__(folder)
        self.state = json.loads((self.dir / "state.json").read_text())
        self.prefix = pathlib.Path(self.state["prefix"])
        self.conf = self.dir / "etc/congvu.conf"

    def congvu(self, *args, **kw):
        return self.run_congvu(self.conf, *args, **kw)

    def run_congvu(self, conf, *args, **kw):
        return subprocess.run([str(self.prefix / "bin/congvu"), "-c", str(conf), *map(str, args)], capture_output=True,
                              text=True, **({} if "input" in kw else {"stdin": subprocess.DEVNULL}), **kw)

    def json_bytes(self):
        return self.file.read_bytes()

    def processes(self, binary=None):
        """{pid: name of its program} of this instance's processes, found by the configuration they were started with."""
        found = {}
        for p in pathlib.Path("/proc").iterdir():
            if not p.name.isdigit():
                continue
            try:
                argv = (p / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if str(self.conf).encode() in argv:
                name = os.path.basename(argv[0].decode())
                if name.startswith("congvu") and (binary is None or name == binary):
                    found[int(p.name)] = name
        return found

    def one(self, binary):
        pids = sorted(self.processes(binary))
        assert pids, "no process " + binary
        return pids[0]

    def slapd(self, verb):
        extra = ["--uri", "ldap://127.0.0.1:%d/" % (self.base + 389)] if verb == "start" else []
        subprocess.run([str(TOP / "ldap-schema/slapd-instance"), verb, "--dir", str(self.dir / "ldap"), *extra], check=True,
                       capture_output=True, stdin=subprocess.DEVNULL)

    def wait_up(self, seconds=20):
        """Until mail is taken and read again."""
        end = time.monotonic() + seconds
        while True:
            try:
                s = self.submission(self.users[0])
                client.close(s)
                client.close(self.imap(self.users[0]))
                return
            except Exception:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)


    def refuses(self):
        """What nobody listens on that should have somebody: the parents have these ports, whatever becomes of their roles."""
        refused = []
        for name, n in (("smtp", 25), ("submission", 587), ("imaps", 993)):
            with socket.socket() as s:
                s.settimeout(10)
                try:
                    s.connect(("127.0.0.1", self.base + n))
                except ConnectionRefusedError:
                    refused.append(name)
                except OSError:
                    pass
        return refused

    def last_words(self, octets=3000):
        logs = sorted((f for f in (self.dir / "log").glob("*") if f.is_file()), key=lambda f: f.stat().st_mtime)[-3:]
        return "".join("\n--- %s\n%s" % (f.name, f.read_bytes()[-octets:].decode(errors="replace")) for f in logs)


# ended from outside (timeout, a service manager): as by Ctrl-C, with the instance taken down
signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def server():
    root = pathlib.Path(tempfile.mkdtemp(prefix="congvu-test-"))
    os.chmod(root, 0o700)
    folder, base = root / "instance", free_port_base()
    try:
        quickstart("--dir", folder, "--port-base", base, "--no-demo")
    except RuntimeError as e:
        quickstart("stop", "--dir", folder, check=False)
        pytest.exit(str(e), 1)  # nothing else can be tested
    yield Server(folder, base)
    quickstart("stop", "--dir", folder, check=False)
    text = (folder / "log/congvu.log").read_text(errors="replace")
    shutil.rmtree(root, ignore_errors=True)
    # nothing in the log of all these tests says that a role ended by its own fault
    bad = [line for line in text.splitlines() if re.search(
        r"AddressSanitizer|LeakSanitizer|runtime error:|event=fatal|signal (4|6|7|8|11|31) |forbidden|Assertion", line)]
    assert not bad, "a role failed by itself:\n" + "\n".join(bad[:20])


@pytest.fixture(autouse=True)
def instance_stays(request):
    """A test leaves the instance running. One that does not fails, with what the logs say; those behind it find it running again."""
    yield
    if "server" not in request.fixturenames:
        return
    server = request.getfixturevalue("server")
    refused, end = server.refuses(), time.monotonic() + 10
    while refused and time.monotonic() < end:
        time.sleep(0.2)
        refused = server.refuses()
    if refused:
        left = "%s: nobody listens any more; processes: %s%s" % (", ".join(refused), server.processes(), server.last_words())
        again = quickstart("--dir", server.dir, "--no-demo", check=False)
        pytest.fail("the instance is down behind this test: %s\nStarted again: %d %s" % (left, again.returncode, again.stderr[-1000:]), pytrace=False)
