"""The loads. Each runs once against one side and gives a sample: a dict with the figure that is compared (rate a second, or ms), and
what it cost. Every load checks that it did what it says: counts that do not match end the bench."""

import json
import subprocess
import time

import account
import sides

# Where the accounts of each kind of load lie, so that none works in a mailbox that another one filled.
DELIVER, SUBMIT, WIDE, APPEND, STORE, LOGIN, IDLE, NEW, BIG = 1, 51, 101, 701, 751, 801, 1101, 1650, 1700
PEOPLE = 1700
NEEDLE, NEEDLE_EVERY = "thesaurusxyz", 100
SETTLE = 0.3  # seconds that the sides have for what they do after the answer, before CPU is read


class Failed(RuntimeError):
    pass


class Generators:
    """Starts the programs that make the load; keeps what CPU they took."""

    def __init__(self):
        self.cpu = 0.0

    def argv(self, program, mode, to, *args):
        return [str(sides.BUILD / "tests/bench" / program), mode, "--to", to, *map(str, args)]

    def run(self, program, mode, to, *args):
        r = subprocess.run(self.argv(program, mode, to, *args), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
        got = json.loads(r.stdout.strip().splitlines()[-1]) if r.stdout.strip() else {}
        if r.returncode or got.get("failed"):
            raise Failed("%s %s: %s %s" % (program, " ".join([mode, to, *map(str, args)]), r.stdout[-300:], r.stderr[-600:]))
        self.cpu += got.get("cpu_s", 0)
        return got

    def standing(self, program, mode, to, *args):
        """One that says "ready" and waits for a line."""
        p = subprocess.Popen(self.argv(program, mode, to, *args), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if p.stdout.readline().strip() != "ready":
            raise Failed("%s %s: not ready" % (program, mode))
        return p


GEN = Generators()
IMAP = ("--tls", "--user", "u%u", "--password", sides.PASSWORD)


class Cost:
    """CPU of a side, of slapd and of the generators while it is open."""

    def __init__(self, side):
        self.side = side

    def __enter__(self):
        self.before = (self.side.group.cpu(), self.side.directory.group.cpu(), GEN.cpu)
        return self

    def __exit__(self, *_):
        time.sleep(SETTLE)
        after = (self.side.group.cpu(), self.side.directory.group.cpu(), GEN.cpu)
        self.cpu, self.slapd, self.generator = (b - a for a, b in zip(self.before, after))

    def per(self, n):
        return dict(cpu_ms=self.cpu / n * 1000, slapd_ms=self.slapd / n * 1000, generator_ms=self.generator / n * 1000)


def count_messages(side, base, accounts):
    return GEN.run("load_imap", "count", side.at("imaps"), *IMAP, "--base", base, "--accounts", accounts)["messages"]


def send(side, port, base, accounts, n, *args, rcpts=1, watched=None):
    """Sends n messages and waits until the mailboxes show them all; (what the generator said, seconds until visible)."""
    watched = watched or accounts
    expected = n * rcpts
    waiter = GEN.standing("load_imap", "wait", side.at("imaps"), *IMAP, "--base", base, "--accounts", watched, "--count",
                          expected * watched // accounts)
    try:
        with Cost(side) as cost:
            sent = GEN.run("load_smtp", "send", side.at(port), *side.send_options, "--rcpt", "u%u@" + sides.DOMAIN, "--base", base, "--accounts", accounts,
                           "--count", n, "--rcpts", rcpts, *args)
            out, _ = waiter.communicate("go\n", timeout=240)
            seen = json.loads(out)
        if seen["failed"] or sent["n"] != n:
            raise Failed("%s: %d sent, %s" % (side.name, sent["n"], out))
        return sent, (seen["ended_us"] - sent["began_us"]) / 1e6, cost
    finally:
        waiter.kill()
        waiter.wait()


def delivery(side, scale, size, sessions, n):
    """From another mail server, in the clear, without signing in: one connection a session, commands in a pipeline as mail servers do."""
    n = max(sessions, int(n * scale))
    sent, seconds, cost = send(side, "mx", DELIVER, 20, n, "--from", "load@client.example", "--sessions", sessions, "--size", size, "--pipeline")
    return dict(cost.per(n), rate=n / seconds, n=n, p50_ms=sent["p50_ms"], p99_ms=sent["p99_ms"])


def submission(side, scale, sessions, n):
    """As a mail client does: connect, EHLO, STARTTLS, EHLO, AUTH, MAIL, RCPT, DATA one after another, QUIT; timed from connecting."""
    n = max(sessions, int(n * scale))
    sent, seconds, cost = send(side, "submission", SUBMIT, 20, n, "--from", "u%u@" + sides.DOMAIN, "--sessions", sessions, "--per-conn", 1,
                               "--starttls", "--auth", *IMAP[1:], "--size", 4096)
    return dict(cost.per(n), rate=n / seconds, n=n, p50_ms=sent["p50_ms"], p99_ms=sent["p99_ms"])


def wide(side, scale):
    """One message of 5 MB to 500 people: seconds until all have it."""
    rcpts = max(20, int(500 * scale) // 20 * 20)
    size = 5000000 if scale == 1 else 300000
    before = count_messages(side, WIDE, rcpts)
    # twenty mailboxes tell when it is there; all are counted after
    _, seconds, cost = send(side, "mx", WIDE, rcpts, 1, "--from", "load@client.example", "--size", size, "--pipeline", rcpts=rcpts, watched=20)
    start = time.monotonic()
    while count_messages(side, WIDE, rcpts) != before + rcpts:
        if time.monotonic() > start + 120:
            raise Failed("%s: not all %d have the message" % (side.name, rcpts))
    return dict(cost.per(rcpts), ms=seconds * 1000, n=rcpts, disk=account.disk_bytes(*side.folders()))


def login(side, scale, sessions, n):
    """IMAP over TLS, nothing resumed: connect, LOGIN, LOGOUT."""
    n = max(sessions, int(n * scale))
    with Cost(side) as cost:
        got = GEN.run("load_imap", "login", side.at("imaps"), *IMAP, "--base", LOGIN, "--accounts", 200, "--sessions", sessions, "--count", n)
    if got["n"] != n:
        raise Failed("%s: %d logins of %d" % (side.name, got["n"], n))
    return dict(cost.per(n), rate=n / got["seconds"], n=n, p50_ms=got["p50_ms"], p99_ms=got["p99_ms"])


def commands(side, *lines, base=BIG):
    got = GEN.run("load_imap", "run", side.at("imaps"), *IMAP, "--base", base, "--accounts", 1, "--", *lines)
    return got["commands"]


def big(scale):
    return max(200, int(10000 * scale))


def fill(side, scale, base=BIG):
    """The mailbox that the reading loads share, or another."""
    send(side, "mx", base, 1, big(scale), "--from", "load@client.example", "--sessions", 20, "--pipeline", "--size", 4096,
         "--needle", NEEDLE, "--needle-every", NEEDLE_EVERY)


def reading(side, scale, line, want, first=False, unit="untagged", cold=False):
    if first:
        side.forget(cold)
    repeat = 1 if first else 3
    if not first:
        commands(side, line)  # warm
    with Cost(side) as cost:
        got = commands(side, *[line] * repeat)
    for g in got:
        if g[unit] != want:
            raise Failed("%s: %s gave %d, not %d" % (side.name, line, g[unit], want))
    times = sorted(g["ms"] for g in got)
    return dict(cost.per(repeat), ms=times[len(times) // 2], n=want, bytes=got[0]["bytes"])


def fetch(side, scale, first, cold=False):
    return reading(side, scale, "FETCH 1:* ALL", big(scale), first, cold=cold)


def fetch_new(side, scale):
    """The first listing of a mailbox that was just delivered into, by the servers that took the mail: nothing is restarted or taken away."""
    side.filled = getattr(side, "filled", -1) + 1
    if NEW + side.filled == BIG:
        raise Failed("no more people for new mailboxes: fewer rounds")
    n = big(scale)
    fill(side, scale, NEW + side.filled)
    time.sleep(SETTLE)
    with Cost(side) as cost:
        got = commands(side, "FETCH 1:* ALL", base=NEW + side.filled)
    if got[0]["untagged"] != n:
        raise Failed("%s: FETCH 1:* ALL gave %d, not %d" % (side.name, got[0]["untagged"], n))
    return dict(cost.per(1), ms=got[0]["ms"], n=n, bytes=got[0]["bytes"])


def bodies(side, scale):
    n = big(scale) // 5
    got = reading(side, scale, "FETCH 1:%d BODY.PEEK[]" % n, n)
    return got


def search(side, scale):
    return reading(side, scale, "SEARCH BODY %s" % NEEDLE, -(-big(scale) // NEEDLE_EVERY), unit="words")


def append(side, scale, sessions, n):
    n = max(sessions, int(n * scale))
    before = count_messages(side, APPEND, 20)
    with Cost(side) as cost:
        got = GEN.run("load_imap", "append", side.at("imaps"), *IMAP, "--base", APPEND, "--accounts", 20, "--sessions", sessions, "--count", n,
                      "--size", 4096)
    if count_messages(side, APPEND, 20) != before + n:
        raise Failed("%s: appended messages are missing" % side.name)
    return dict(cost.per(n), rate=n / got["seconds"], n=n, p50_ms=got["p50_ms"], p99_ms=got["p99_ms"])


def store(side, scale, sessions, n):
    n = max(sessions, int(n * scale))
    have = count_messages(side, STORE, 20)
    if have < 20 * 50:
        GEN.run("load_imap", "append", side.at("imaps"), *IMAP, "--base", STORE, "--accounts", 20, "--sessions", 20, "--count",
                20 * 50 - have, "--size", 1000)
    with Cost(side) as cost:
        got = GEN.run("load_imap", "store", side.at("imaps"), *IMAP, "--base", STORE, "--accounts", 20, "--sessions", sessions, "--count", n)
    if got["n"] != n:
        raise Failed("%s: %d STOREs of %d" % (side.name, got["n"], n))
    return dict(cost.per(n), rate=n / got["seconds"], n=n, p50_ms=got["p50_ms"], p99_ms=got["p99_ms"])


def idle(side, scale):
    """Bytes of memory (PSS of all processes of the side) that a connection over TLS costs which has selected INBOX and IDLEs."""
    n = max(20, int(1000 * scale))
    side.restart()  # or memory that earlier connections left would be there already
    count_messages(side, IDLE, 20)
    time.sleep(1 if scale == 1 else 0.1)
    before, _ = side.group.pss()
    p = GEN.standing("load_imap", "idle", side.at("imaps"), *IMAP, "--base", IDLE, "--accounts", 500, "--count", n)
    try:
        time.sleep(2 if scale == 1 else 0.2)
        after, processes = side.group.pss()
    finally:
        p.communicate("end\n", timeout=60)
    time.sleep(1 if scale == 1 else 0.1)
    return dict(kib=(after - before) / n / 1024, n=n, processes=processes)


class Load:
    def __init__(self, name, what, figure, call, *args, milter=False, calls=False, cold=False, cyrus=False):
        self.name, self.what, self.figure, self.call, self.args = name, what, figure, call, args
        self.milter, self.calls, self.cold, self.cyrus = milter, calls, cold, cyrus

    def run(self, side, scale):
        return self.call(side, scale, *self.args)


# figure: rate (a second; more is better), ms or kib (less is better)
ALL = [
    Load("delivery-4k-1", "delivery, 4 KB, 1 session", "rate", delivery, 4096, 1, 300, milter=True),
    Load("delivery-4k-20", "delivery, 4 KB, 20 sessions", "rate", delivery, 4096, 20, 1500, milter=True, calls=True),
    Load("delivery-4k-100", "delivery, 4 KB, 100 sessions", "rate", delivery, 4096, 100, 1500),
    Load("delivery-100k-1", "delivery, 100 KB, 1 session", "rate", delivery, 102400, 1, 200),
    Load("delivery-100k-20", "delivery, 100 KB, 20 sessions", "rate", delivery, 102400, 20, 600, calls=True),
    Load("delivery-100k-100", "delivery, 100 KB, 100 sessions", "rate", delivery, 102400, 100, 600),
    Load("submission-1", "submission, STARTTLS, AUTH, 4 KB, 1 client", "rate", submission, 1, 100, milter=True),
    Load("submission-20", "submission, STARTTLS, AUTH, 4 KB, 20 clients", "rate", submission, 20, 600, milter=True, calls=True),
    Load("wide", "5 MB to 500 recipients", "ms", wide, cold=True),
    Load("login", "IMAPS login and logout, 20 clients", "rate", login, 20, 800, calls=True),
    Load("fetch-new", "FETCH 1:* ALL, 10,000 messages, first after delivery", "ms", fetch_new, cold=True),
    Load("fetch-first", "FETCH 1:* ALL, 10,000 messages, first after a restart", "ms", fetch, True, cold=True, cyrus=True),
    Load("fetch-cold", "FETCH 1:* ALL, 10,000 messages, first after a restart, not in the page cache", "ms", fetch, True, True, cold=True, cyrus=True),
    Load("fetch-warm", "FETCH 1:* ALL, 10,000 messages, warm", "ms", fetch, False, cold=True, cyrus=True),
    Load("bodies", "FETCH BODY.PEEK[], 2,000 messages", "ms", bodies, cold=True, cyrus=True),
    Load("search-body", "SEARCH BODY, 10,000 messages", "ms", search, cold=True, cyrus=True),
    Load("append-1", "APPEND 4 KB, 1 session", "rate", append, 1, 300),
    Load("append-20", "APPEND 4 KB, 20 sessions", "rate", append, 20, 1500, calls=True),
    Load("store-1", "STORE a flag, 1 session", "rate", store, 1, 500),
    Load("store-20", "STORE a flag, 20 sessions", "rate", store, 20, 3000, calls=True),
    Load("idle", "memory of an idle TLS connection, of 1,000", "kib", idle, cold=True),
]
