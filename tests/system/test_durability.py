"""kill -9 under load: everything that was answered 250 is there once."""

import os
import signal
import time

import pytest
from load import Load, check_once


@pytest.mark.parametrize("binary", ["congvu-stored-db", "congvu-smtpd-queue", "congvu-smtpd-session", "congvu-ingest",
                                    "congvu-milter-ledger", "congvu-milter-filter"])
def test_kill_under_load(server, binary):
    server.wait_up()
    seconds, kills = (8, 4) if binary in ("congvu-stored-db", "congvu-smtpd-queue", "congvu-smtpd-session") else (4, 2)
    with Load(server, threads=4) as load:
        for n in range(kills):
            time.sleep(seconds / (kills + 1))
            pids = sorted(server.processes(binary))
            assert pids, "%s was not started again" % binary
            os.kill(pids[n % len(pids)], signal.SIGKILL)
        time.sleep(seconds / (kills + 1))
    assert len(load.accepted) > 20, load.tell()
    server.wait_up()
    check_once(server, load)


def test_everything_killed_at_once(server):
    """As a power failure is for the processes: all of them, in the middle of the load; then a start."""
    server.wait_up()
    with Load(server, threads=4) as load:
        time.sleep(3)
        for pid in server.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        load.ending.set()
    assert len(load.accepted) > 20, load.tell()
    r = server.congvu("run", "--daemon")
    assert r.returncode == 0, r.stdout + r.stderr
    server.wait_up()
    check_once(server, load)
