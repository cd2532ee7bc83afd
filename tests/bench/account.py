"""What a load costs: CPU by cgroup (v2; processes that have ended are in it), memory as PSS, bytes on disk, and system calls by perf's
tracepoints for one cgroup. Where no cgroup can be made, CPU is read from /proc, with the ended children counted by their parents."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")
SYNCS = ("fsync", "fdatasync", "sync_file_range", "msync")


def cgroup_root():
    """Where cgroup v2 is mounted and a group can be made; None."""
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            probe = pathlib.Path(where) / ("congvu-bench-probe-%d" % os.getpid())
            try:
                probe.mkdir()
                good = "usage_usec" in (probe / "cpu.stat").read_text()
                probe.rmdir()
                if good:
                    return pathlib.Path(where)
            except OSError:
                pass
    return None


ROOT = cgroup_root()
HOW = "cgroup v2 cpu.stat: processes that have ended are counted" if ROOT else \
    "/proc/PID/stat with the times of waited-for children: what ended without its parent's wait is missed"


class Group:
    """The processes of one side. start() puts a program into it."""

    def __init__(self, name):
        self.name = "congvu-bench-%d-%s" % (os.getpid(), name)
        self.path = ROOT / self.name if ROOT else None
        self.started = []
        if self.path:
            self.path.mkdir()

    def enter(self):
        if self.path:
            (self.path / "cgroup.procs").write_text(str(os.getpid()))

    def start(self, argv, **kw):
        p = subprocess.Popen([str(a) for a in argv], preexec_fn=self.enter, stdin=kw.pop("stdin", subprocess.DEVNULL), **kw)
        self.started.append(p)
        return p

    def run(self, argv, **kw):
        return subprocess.run([str(a) for a in argv], preexec_fn=self.enter, stdin=subprocess.DEVNULL, **kw)

    def pids(self):
        if self.path:
            return [int(p) for p in (self.path / "cgroup.procs").read_text().split()]
        kids, out, todo = {}, [], [p.pid for p in self.started if p.poll() is None]
        for p in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                kids.setdefault(int(p.read_text().rsplit(")", 1)[1].split()[1]), []).append(int(p.parent.name))
            except (OSError, IndexError):
                pass
        while todo:
            out.append(todo.pop())
            todo += kids.get(out[-1], [])
        return out

    def cpu(self):
        """Seconds so far."""
        if self.path:
            return int(re.search(r"^usage_usec (\d+)", (self.path / "cpu.stat").read_text(), re.M).group(1)) / 1e6
        total = 0
        for pid in self.pids():
            try:
                f = pathlib.Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()
                total += sum(map(int, f[11:15]))
            except OSError:
                pass
        return total / TICK

    def pss(self):
        """Bytes of all processes, shared pages divided among their users. Also how many processes."""
        total, n = 0, 0
        for pid in self.pids():
            try:
                text = pathlib.Path("/proc/%d/smaps_rollup" % pid).read_text()
            except OSError:
                continue
            m = re.search(r"^Pss:\s+(\d+) kB", text, re.M)
            if m:
                total, n = total + int(m.group(1)) * 1024, n + 1
        return total, n

    def end(self, seconds=15):
        """Ends what we started, by its id, and what is left in its group."""
        for p in self.started:
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        end = time.monotonic() + seconds
        for p in self.started:
            try:
                p.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.started = []
        while time.monotonic() < end and self.path and self.pids():
            time.sleep(0.05)
        if self.path:
            for pid in self.pids():
                os.kill(pid, signal.SIGKILL)

    def remove(self):
        self.end()
        for _ in range(100):
            if not self.path or not self.path.exists():
                return
            try:
                self.path.rmdir()
            except OSError:
                time.sleep(0.05)


def disk_bytes(*folders):
    """Allocated, not apparent: what the disk lost."""
    out = subprocess.run(["du", "-s", "-B1", "-c", *map(str, folders)], capture_output=True, text=True).stdout
    return int(out.strip().splitlines()[-1].split()[0])


def evict(*folders):
    """Their files leave the page cache; who has them open or mapped must have ended."""
    for folder in folders:
        for f in pathlib.Path(folder).rglob("*"):
            if f.is_symlink() or not f.is_file():
                continue
            fd = os.open(f, os.O_RDONLY)
            try:
                os.fsync(fd)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(fd)


class Calls:
    """System calls of a group while it is open: with Calls(group) as c: ...; c.calls, c.syncs (None where they cannot be counted)."""

    how = None

    def __init__(self, group):
        self.group = group
        self.calls = self.syncs = None

    @classmethod
    def possible(cls):
        if cls.how is None:
            cls.how = ""
            if ROOT and shutil.which("perf"):
                g = Group("probe")
                with cls(g, ) as c:
                    g.run(["true"])
                g.remove()
                if c.calls:
                    cls.how = "perf stat, tracepoints raw_syscalls and syscalls of the cgroup, on a pass of its own"
        return cls.how

    def __enter__(self):
        events = ["raw_syscalls:sys_enter"] + ["syscalls:sys_enter_" + s for s in SYNCS]
        self.out = tempfile.NamedTemporaryFile("r")
        self.proc = None
        if self.group.path and shutil.which("perf"):
            group = str(self.group.path.relative_to(ROOT))
            self.proc = subprocess.Popen(["perf", "stat", "-a", "-x", ";", "-o", self.out.name, "-e", ",".join(events), "-G",
                                          ",".join([group] * len(events))], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.DEVNULL)
            time.sleep(0.4)
        return self

    def __exit__(self, *_):
        if not self.proc:
            return
        self.proc.send_signal(signal.SIGINT)
        self.proc.wait(20)
        found = {}
        for line in self.out.read().splitlines():
            f = line.split(";")
            if len(f) > 2 and f[0].isdigit():
                found[f[2]] = int(f[0])
        if found:
            self.calls = found.get("raw_syscalls:sys_enter")
            self.syncs = sum(n for e, n in found.items() if e.startswith("syscalls:"))
