"""Under fire: each role killed again and again under load, parts hung or away, the disk full, descriptors gone. What was answered 250 or OK
is there once, counted per (delivery id, recipient). `make torture` runs it long (CONGVU_KILLS=100); here it is short."""

import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import time

import pytest
from conftest import Server, free_port_base, quickstart
from fire import Imap, Mail, account, kill_one

KILLS = int(os.environ.get("CONGVU_KILLS", "3"))
LONG = KILLS > 3
ROLES = ["congvu-smtpd-session", "congvu-smtpd-queue", "congvu-relay", "congvu-lookup", "congvu-stored-db", "congvu-ingest",
         "congvu-imapd-session", "congvu-milter-filter", "congvu-milter-scan", "congvu-milter-ledger"]
PARENTS = ["congvu-smtpd", "congvu-stored", "congvu-milter", "congvu-imapd"]


def tell(name, tally, load, more=""):
    line = "%s: %s; %s%s" % (name, json.dumps(tally), load.tell(), more)
    print(line)
    if os.environ.get("CONGVU_FIRE_LOG"):
        with open(os.environ["CONGVU_FIRE_LOG"], "a", encoding="utf-8") as f:
            f.write(line + "\n")


@pytest.mark.parametrize("binary", ROLES + (PARENTS if LONG else ["congvu-stored"]))
def test_killed_again_and_again(server, binary):
    server.wait_up()
    back = []
    with Mail(server, threads=3, pause=0.02 if LONG else 0) as load, Imap(server) as imap:
        time.sleep(0.5)
        for n in range(KILLS):
            back.append(kill_one(server, binary, n))
            time.sleep(0.25)
        time.sleep(0.5)
    server.wait_up()
    assert len(load.accepted) > 10 and sum(map(len, imap.appended.values())) > 5, load.tell() + str(imap.errors)
    tally = account(server, load)
    tally["appended"], tally["unanswered_appended"] = sum(map(len, imap.appended.values())), imap.check()
    tell("%d times kill -9 %s" % (KILLS, binary), tally, load,
         "; back after %.0f ms (median), %.0f ms (most)" % (statistics.median(back) * 1000, max(back) * 1000))


@pytest.mark.parametrize("what", ["slapd", "congvu-stored-db", "congvu-milter-ledger"] + (
    ["congvu-milter-filter", "congvu-milter-scan", "congvu-smtpd-queue", "congvu-ingest", "congvu-lookup"] if LONG else []))
def test_hung_under_load_and_back(server, what):
    """A part stands still for a while (SIGSTOP) as on a machine that swaps, then goes on."""
    server.wait_up()
    pids = [int((server.dir / "ldap/slapd.pid").read_text())] if what == "slapd" else list(server.processes(what))
    with Mail(server, threads=3, pause=0.02) as load, Imap(server) as imap:
        for _ in range(max(1, KILLS // 10)):
            time.sleep(1)
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            try:
                time.sleep(3 if LONG else 1.5)
            finally:
                for pid in pids:
                    os.kill(pid, signal.SIGCONT)
        time.sleep(1.5)
    server.wait_up()
    assert len(load.accepted) > 10, load.tell()
    assert not [r for r in load.refused if r.startswith("5")], "refused for good while a part was away: " + load.tell()
    tally = account(server, load)
    tally["unanswered_appended"] = imap.check()
    tell("hung " + what, tally, load)


def limit_of(pid):
    return int(re.search(r"Max open files +(\d+)", pathlib.Path("/proc/%d/limits" % pid).read_text()).group(1))


def set_limit(pid, most):
    """The soft limit of descriptors of a process, set as its own user: that needs no capability."""
    uid, gid = (int(x.split()[1]) for x in pathlib.Path("/proc/%d/status" % pid).read_text().splitlines() if x[:4] in ("Uid:", "Gid:"))
    subprocess.run(["prlimit", "--pid", str(pid), "--nofile=%d:" % most], check=True, user=uid, group=gid, extra_groups=[])


@pytest.mark.parametrize("binary", ["congvu-smtpd-session", "congvu-stored-db", "congvu-lookup"] + (
    ["congvu-imapd-session", "congvu-ingest", "congvu-smtpd-queue", "congvu-milter-filter", "congvu-relay"] if LONG else []))
def test_no_descriptors_left(server, binary):
    """A process may open nothing more for a while: it tempfails or waits, it does not end, and works again afterwards."""
    server.wait_up()
    limits = {}
    with Mail(server, threads=6, per_connection=3) as load, Imap(server) as imap:
        time.sleep(0.5)
        for pid in server.processes(binary):
            limits[pid] = limit_of(pid)
            used = len(os.listdir("/proc/%d/fd" % pid))
            set_limit(pid, used)
            assert limit_of(pid) == used < limits[pid]
        time.sleep(3 if LONG else 1.5)
        for pid, old in limits.items():
            set_limit(pid, old)
        time.sleep(1.5)
    server.wait_up()
    assert set(limits) <= set(server.processes(binary)), "%s ended for want of descriptors" % binary
    assert not [r for r in load.refused if r.startswith("5")], load.tell()
    assert len(load.accepted) > 10, load.tell()
    tally = account(server, load)
    imap.check()
    tell("no descriptors for " + binary, tally, load)


def fill(folder):
    """Takes all room of the file system."""
    with open(folder / "filler", "wb", buffering=0) as f:
        for size in (1 << 20, 4096, 512):
            try:
                while True:
                    f.write(bytes(size))
            except OSError:
                pass
    return folder / "filler"


@pytest.fixture
def small_disk(tmp_path):
    """An instance on a file system of its own of 400 MB."""
    if os.geteuid() != 0:
        pytest.skip("needs to mount")
    disk = pathlib.Path(tmp_path) / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(disk)], check=True)
    folder, base = disk / "instance", free_port_base()
    try:
        quickstart("--dir", folder, "--port-base", base, "--no-demo")
        yield Server(folder, base), disk
    finally:
        quickstart("stop", "--dir", folder, check=False)
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_full_disk(small_disk):
    """The one disk of everything fills up under load, stays full for a while, and has room again."""
    server, disk = small_disk
    server.wait_up()
    with Mail(server, threads=4, size=20000) as load, Imap(server) as imap:
        for _ in range(max(1, KILLS // 10)):
            time.sleep(1.5)
            filler = fill(disk)
            time.sleep(2.5)
            filler.unlink()
            time.sleep(1.5)
    server.wait_up(30)
    assert len(load.accepted) > 10, load.tell()
    assert not [r for r in load.refused if r.startswith("5")], load.tell()
    assert any(r.startswith("4") for r in load.refused), "it was never full: " + load.tell()
    tally = account(server, load)
    imap.check()
    tell("full disk", tally, load)
    log = (server.dir / "log/congvu.log").read_text(errors="replace")
    assert "event=fatal" not in log, [x for x in log.splitlines() if "event=fatal" in x][:5]
    assert server.congvu("audit", "verify").returncode == 0
