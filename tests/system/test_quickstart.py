"""./quickstart when things are in the way: one sentence that says what and what to do, no traceback, nothing left half made."""

import fcntl
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest
from conftest import free_port_base

from conftest import free_port_base

TOP = pathlib.Path(__file__).resolve().parents[2]


def quickstart(*args):
    """The part behind the build; the servers are never reached."""
    return subprocess.run(["/usr/bin/python3", TOP / "admin/quickstart/instance.py", "--prefix", "/nonexistent", "--no-demo",
                           *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def refused(r, *words):
    assert r.returncode == 1, r.stdout + r.stderr
    assert "Traceback" not in r.stderr
    for word in words:
        assert word in r.stderr, r.stderr


@pytest.mark.parametrize("base", [0, 30, 64543, 70000])
def test_port_base_out_of_range(tmp_path, base):
    refused(quickstart("--dir", tmp_path / "i", "--port-base", base, "up"), "--port-base must be from")
    assert not (tmp_path / "i").exists()


def test_port_taken(tmp_path):
    with socket.socket() as s:
        for base in range(45000, 45900):
            try:
                s.bind(("127.0.0.1", base + 143))
                break
            except OSError:
                continue
        s.listen()
        refused(quickstart("--dir", tmp_path / "i", "--port-base", base, "up"), "port %d (imap)" % (base + 143), "--port-base")


@pytest.mark.parametrize("verb", ["stop", "restart", "demo"])
def test_no_instance(tmp_path, verb):
    refused(quickstart("--dir", tmp_path / "i", verb), "there is no instance")
    assert not (tmp_path / "i").exists()


def test_folder_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    refused(quickstart("--dir", tmp_path / "file", "up"), "cannot be made")
    refused(quickstart("--dir", "/proc/nothing/here", "up"), "cannot be made")
    (tmp_path / "work").mkdir()
    (tmp_path / "work/letter.odt").write_text("")
    refused(quickstart("--dir", tmp_path / "work", "up"), "neither empty nor an instance")
    assert [p.name for p in (tmp_path / "work").iterdir()] == ["letter.odt"]


def test_interrupted(tmp_path):
    """Ctrl-C while the keys are made: no traceback, and what is there is gone on with."""
    p = subprocess.Popen(["/usr/bin/python3", TOP / "admin/quickstart/instance.py", "--prefix", "/nonexistent", "--dir",
                          tmp_path / "i", "--port-base", str(free_port_base()), "up"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         start_new_session=True,
                         # who runs the tests in the background has it ignored
                         preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    end = time.monotonic() + 20
    while not (tmp_path / "i/ca").exists() and time.monotonic() < end:
        time.sleep(0.01)
    os.killpg(p.pid, signal.SIGINT)
    try:
        out, err = p.communicate(timeout=20)
    finally:
        # what was made before the interruption stays, slapd may run already
        subprocess.run([TOP / "ldap-schema/slapd-instance", "stop", "--dir", tmp_path / "i/ldap"], capture_output=True, timeout=30)
    assert p.returncode == 130 and "interrupted" in out and "again goes on" in err
    assert "Traceback" not in err


def test_any_locale(server):
    """state.json and all that is printed have Vietnamese names."""
    env = dict({k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHON"))}, LC_ALL="en_US.ISO-8859-1")
    r = subprocess.run([TOP / "quickstart", "status", "--dir", server.dir], env=env, stdin=subprocess.DEVNULL,
                       capture_output=True, timeout=60)
    assert r.returncode == 0 and b"slapd: running" in r.stdout, r.stderr


def test_two_at_once(tmp_path):
    (tmp_path / "i/log").mkdir(parents=True)
    with open(tmp_path / "i/log/quickstart.lock", "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        refused(quickstart("--dir", tmp_path / "i", "up"), "another quickstart is at work")
