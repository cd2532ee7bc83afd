#!/usr/bin/python3
"""The fetch role against origins that answer, lie, loop, flood, hang and fall silent, all on the loopback address. Run by `make check`."""

import http.server
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

BUILD = pathlib.Path.cwd()


class Origin(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen = []
    gate = threading.Event()

    def log_message(self, *args):
        pass

    def say(self, status, body=b"", **headers):
        self.send_response(status)
        for k, v in headers.items():
            self.send_header(k.replace("_", "-"), v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Origin.seen.append("POST " + self.path)
        self.say(200, self.headers["Content-Type"].encode() + b"|" + body, Content_Type="x/answer")

    def do_GET(self):
        Origin.seen.append(self.path)
        p = self.path.split("?")[0]
        if p == "/a":
            self.say(200, b"hello", Cache_Control="public, max-age=600", Age="100", Content_Type="text/plain")
        elif p == "/expires":
            self.say(200, b"x", Expires="Thu, 01 Jan 1970 00:00:00 GMT")
        elif p == "/nostore":
            self.say(200, b"x", Cache_Control="no-store")
        elif p == "/count":
            self.say(200, b"%d" % len(Origin.seen))
        elif p == "/flaky":
            self.say(500 if Origin.gate.is_set() else 200, b"steady")
        elif p == "/404":
            self.say(404, b"no")
        elif p == "/big":
            self.say(200, b"B" * 300000)
        elif p == "/lying":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"L" * 300000)
            self.close_connection = True
        elif p == "/headers":
            try:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X-Y: %s\r\n" % (b"z" * 900) * 200 + b"\r\n")
            except OSError:
                pass
            self.close_connection = True
        elif p == "/hang":
            time.sleep(3)
            self.close_connection = True
        elif p == "/slow":
            time.sleep(0.7)
            self.say(200, b"slow")
        elif p.startswith("/to/"):
            self.say(302, Location=self.path[4:])
        elif p.startswith("/hop/"):
            n = int(p[5:])
            self.say(302 if n else 200, b"end", **({"Location": "/hop/%d" % (n - 1)} if n else {}))
        elif p.startswith("http://"):
            self.say(200, b"through the proxy: " + p.encode())
        else:
            self.say(404)


def origin(context=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    server.daemon_threads = True
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class Fetch:
    n = 0

    def __init__(self, root, before=(), **options):
        Fetch.n += 1
        self.dir = root / ("fetch%d" % Fetch.n)
        self.dir.mkdir()
        conf = self.dir / "congvu.conf"
        options.setdefault("user_milter", '"%d"' % os.geteuid())
        conf.write_text("".join("%s = %s\n" % kv for kv in options.items()))
        self.sock = self.dir / "fetch.milter.sock"
        s = socket.socket(socket.AF_UNIX)
        s.bind(os.path.relpath(self.sock))
        s.listen(50)
        args = ["--conf", str(conf), "--name", "fetch", "--index", "0", "--user", "-", "--dir", str(self.dir), "--fd", "fetch.milter=%d" % s.fileno()]
        fds = [s.fileno()]
        if "fetch_ca_file" in options:
            fds.append(os.open(options["fetch_ca_file"].strip('"'), os.O_RDONLY))
            args += ["--fd", "fetch_ca_file=%d" % fds[-1]]
        with open(self.dir / "log", "wb") as log:
            self.proc = subprocess.Popen([*before, str(BUILD / "congvu-fetch")] + args, pass_fds=fds, stderr=log)

    def ask(self, url, *args, posted=b""):
        r = subprocess.run([str(BUILD / "tests/unit/fetch_probe"), *args, os.path.relpath(self.sock), url], input=posted,
                           capture_output=True, timeout=30)
        assert r.returncode == 0, r
        head, _, body = r.stdout.partition(b"\n")
        if os.environ.get("VERBOSE"):
            print(url, args, head, body[:60], self.log()[-300:])
        return head.decode(), body

    def log(self):
        return (self.dir / "log").read_text()

    def stop(self):
        assert self.proc.poll() is None, self.log()
        self.proc.terminate()
        assert self.proc.wait(10) == 0
        assert "sandbox_violation" not in self.log(), self.log()


def test_get(f, base):
    assert f.ask(base + "/a") == ("200 net text/plain 500 5", b"hello")
    assert f.ask(base + "/a", "-l") == ("200 net text/plain 500 5", b"hello")
    assert f.ask(base + "/a", "-a", "60") == ("200 memory text/plain 500 5", b"hello")
    head, body = f.ask(base + "/expires")
    assert (head, body) == ("200 net - 0 1", b"x"), "a date that is no date is in the past"
    assert f.ask(base + "/404", "-a", "60") == ("404 net - -1 2", b"no")
    assert f.ask(base + "/404", "-a", "60") == ("404 net - -1 2", b"no")
    f.ask(base + "/nostore", "-a", "60")
    assert f.ask(base + "/nostore", "-a", "60")[0].split()[1] == "net"


def test_post(f, base):
    ocsp = b"\0\1binary" * 100
    head, body = f.ask(base + "/post", "-p", "application/ocsp-request", posted=ocsp)
    assert head.startswith("200 net x/answer") and body == b"application/ocsp-request|" + ocsp
    assert f.ask(base + "/post", "-a", "60", "-p", "application/ocsp-request", posted=ocsp)[0].split()[1] == "memory"
    assert f.ask(base + "/post", "-a", "60", "-p", "application/ocsp-request", posted=b"other")[0].split()[1] == "net"


def test_bounds(f, base):
    assert f.ask(base + "/big")[0].split()[-1] == "300000"
    assert f.ask(base + "/big?", "-m", "300000")[0].split()[-1] == "300000"
    assert f.ask(base + "/big?2", "-m", "299999") == ("err limit", b"")
    assert f.ask(base + "/lying", "-m", "1000") == ("err limit", b"")
    assert f.ask(base + "/headers") == ("err limit", b"")
    t0 = time.time()
    assert f.ask(base + "/hang", "-t", "500") == ("err timeout", b"")
    assert time.time() - t0 < 2


def test_redirects(f, base):
    assert f.ask(base + "/hop/3", "-r", "3")[1] == b"end"
    assert f.ask(base + "/hop/4", "-r", "3") == ("err limit", b"")
    assert f.ask(base + "/hop/1") == ("err limit", b"")
    for to in ("ftp://127.0.0.1/x", "file:///etc/passwd", "ldap://127.0.0.1/x?y", "http://10.1.2.3/", "http://127.0.0.1:1/x", "gopher://x/"):
        assert f.ask(base + "/to/" + to, "-r", "3") == ("err denied", b""), to


def test_what_is_not_permitted(f, base):
    port = base.rsplit(":", 1)[1]
    before = len(Origin.seen)
    for url in ("http://10.1.2.3/", "http://169.254.169.254/latest/meta-data", "http://127.0.0.2:%s/a" % port, "http://localhost:25/",
                "http://[::1]:%s/a" % port, "ldaps://127.0.0.1/x?y"):
        assert f.ask(url) == ("err denied", b""), url
    for url in ("file:///etc/passwd", "http://0x7f.1/", "http://u@127.0.0.1:%s/" % port, "dict://127.0.0.1/"):
        assert f.ask(url) == ("err syntax", b""), url
    assert len(Origin.seen) == before


def test_a_name_that_leads_inside(root, port):
    """The guard judges the address that is connected to, not the name."""
    f = Fetch(root, fetch_hosts='{"*", "localhost:%s"}' % port)
    before = len(Origin.seen)
    assert f.ask("http://localhost:%s/a" % port) == ("err denied", b"")
    assert len(Origin.seen) == before
    f.stop()


def test_an_origin_that_falls_silent(f, base):
    assert f.ask(base + "/flaky")[1] == b"steady"
    Origin.gate.set()
    assert f.ask(base + "/flaky") == ("200 stale - -1 6", b"steady")
    n = len(Origin.seen)
    assert f.ask(base + "/flaky")[0].split()[1] == "stale"
    assert len(Origin.seen) == n, "an origin that failed is left alone for a while"
    Origin.gate.clear()
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    assert f.ask(base.rsplit(":", 1)[0] + ":%d/" % s.getsockname()[1])[0] in ("err denied",)


def test_the_same_question_goes_out_once(f, base):
    n = len(Origin.seen)
    threads, out = [], []
    for _ in range(8):
        threads.append(threading.Thread(target=lambda: out.append(f.ask(base + "/slow?once"))))
        threads[-1].start()
    for t in threads:
        t.join()
    assert {o[1] for o in out} == {b"slow"} and len(out) == 8
    assert len(Origin.seen) - n <= 2, "asked %d times" % (len(Origin.seen) - n)


def test_a_host_that_hangs_does_not_stop_the_others(f, base, other):
    threads = [threading.Thread(target=f.ask, args=(base + "/hang?%d" % i, "-t", "2000")) for i in range(6)]
    for t in threads:
        t.start()
    time.sleep(0.3)
    t0 = time.time()
    assert f.ask(other + "/a?x")[1] == b"hello"
    assert time.time() - t0 < 1.5
    for t in threads:
        t.join()


def test_tls(root):
    key, cert = root / "key.pem", root / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    port = origin(context)
    common = {"fetch_hosts": '{"localhost:%d", "127.0.0.1:%d"}' % (port, port), "fetch_networks": '{"127.0.0.0/8"}'}
    f = Fetch(root, fetch_ca_file='"%s"' % cert, **common)
    assert f.ask("https://localhost:%d/a" % port)[1] == b"hello"
    assert f.ask("https://127.0.0.1:%d/a" % port) == ("err temp", b""), "the name is not in the certificate"
    assert f.ask("https://localhost:%d/to/http://localhost:%d/a" % (port, port), "-r", "1") == ("err denied", b"")
    f.stop()
    f = Fetch(root, **common)
    assert f.ask("https://localhost:%d/a" % port) == ("err temp", b""), "nobody vouches for this certificate"
    f.stop()


def test_proxy(root, port):
    f = Fetch(root, fetch_proxy='"http://127.0.0.1:%d"' % port, fetch_no_proxy='{"127.0.0.1:%d"}' % port, fetch_hosts='{"*", "127.0.0.1:%d"}' % port)
    assert f.ask("http://crl.example/x") == ("200 net - -1 39", b"through the proxy: http://crl.example/x")
    assert f.ask("http://127.0.0.1/x") == ("err denied", b"")
    assert f.ask("http://127.0.0.1:%d/a" % port) == ("err denied", b"")
    f.stop()


def main():
    os.environ["PYTHONUNBUFFERED"] = "1"
    with tempfile.TemporaryDirectory() as tmp:
        root = pathlib.Path(tmp)
        port, other_port = origin(), origin()
        base, other = "http://127.0.0.1:%d" % port, "http://localhost:%d" % other_port
        hosts = '{"*", "127.0.0.1:%d", "localhost:%d"}' % (port, other_port)
        f = Fetch(root, fetch_hosts=hosts, fetch_networks='{"127.0.0.1"}')
        test_get(f, base)
        test_post(f, base)
        test_bounds(f, base)
        test_redirects(f, base)
        test_what_is_not_permitted(f, base)
        test_an_origin_that_falls_silent(f, base)
        test_the_same_question_goes_out_once(f, base)
        test_a_host_that_hangs_does_not_stop_the_others(f, base, other)
        f.stop()
        test_a_name_that_leads_inside(root, port)
        test_tls(root)
        test_proxy(root, port)
    print("PASS")
    return 0


if __name__ == "__main__":
    sys.exit(main())
