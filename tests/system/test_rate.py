"""60 everyday mails a second through submission, milter and store, measured."""

import time

from load import Load, check_once


def test_sixty_mails_a_second(server):
    server.wait_up()
    with Load(server, threads=8, size=4000, per_connection=1000) as load:
        time.sleep(2)  # connections are up
        with load.lock:
            before, start = len(load.accepted), time.monotonic()
        time.sleep(8)
        with load.lock:
            rate = (len(load.accepted) - before) / (time.monotonic() - start)
    print("%.0f mails a second" % rate)
    assert not load.refused, load.tell()
    assert rate >= 60, "%.1f mails a second; %s" % (rate, load.tell())
    check_once(server, load)
