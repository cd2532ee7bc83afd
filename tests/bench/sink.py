"""The ceiling of the load generators: what they reach against load_sink, which answers and keeps nothing."""

import os
import socket
import subprocess

import account
import loads
import sides


def against(group, argv, call):
    """call(address) while a sink listens there."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(512)
        address = "127.0.0.1:%d" % s.getsockname()[1]

        def give():
            group.enter()
            os.dup2(s.fileno(), 3)
        p = subprocess.Popen([str(sides.BUILD / "tests/bench/load_sink"), *map(str, argv)], preexec_fn=give, pass_fds=(3,),
                             stdin=subprocess.DEVNULL)
        try:
            return call(address)
        finally:
            p.terminate()
            p.wait(10)


def measure(certs, scale):
    group = account.Group("sink")

    def smtp(size, n):
        n = max(20, int(n * scale))

        def call(to):
            got = loads.GEN.run("load_smtp", "send", to, "--rcpt", "u%u@sink.example", "--from", "load@client.example", "--sessions", 20,
                                "--count", n, "--size", size, "--pipeline")
            return n / got["seconds"]
        return against(group, ["smtp"], call)

    def imap(mode, n):
        n = max(20, int(n * scale))

        def call(to):
            got = loads.GEN.run("load_imap", mode, to, *loads.IMAP, "--sessions", 20, "--count", n)
            return n / got["seconds"]
        return against(group, ["imaps", certs / "cert.pem", certs / "key.pem"], call)
    try:
        return {"SMTP, 4 KB, 20 sessions": smtp(4096, 20000), "SMTP, 100 KB, 20 sessions": smtp(102400, 3000),
                "IMAPS login": imap("login", 2000), "APPEND 4 KB, 20 sessions": imap("append", 20000)}
    finally:
        group.remove()
