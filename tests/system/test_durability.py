"""kill -9 of everything at once, under load: everything that was answered 250 is there once. (test_fire.py kills one role at a time.)"""

import os
import signal
import time

from load import Load, check_once


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
