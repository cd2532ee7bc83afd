#!/usr/bin/python3
"""The directory at the size of a merged province (60,000 people): congvu directory import, load, look-ups through lookup, logins, and the address book's folded
substring search straight from slapd. Prints key=value lines. Usage: directory.py [PEOPLE]; CONGVU_BUILD names the build folder."""

import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import slapd as S  # noqa: E402
from ldap_client import CLIENTS, Ldap, client_filter  # noqa: E402

FAMILY = "Nguyễn Trần Lê Phạm Hoàng Phan Vũ Đặng Bùi Đỗ Hồ Ngô Dương Lý".split()
MIDDLE = "Văn Thị Hữu Đức Minh Thu Ngọc Quang Thanh Xuân".split()
GIVEN = "Bình Hường Tùng Anh Dũng Hạnh Lan Nguyệt Phúc Quỳnh Sơn Thảo Trang Vinh Yến Ánh Đạt Hòa".split()
PLAIN = str.maketrans("ăâđêôơưĂÂĐÊÔƠƯ", "aadeoouAADEOOU")


def folded(text):
    import unicodedata
    return "".join(c for c in unicodedata.normalize("NFD", text.translate(PLAIN)) if not unicodedata.combining(c)).translate(PLAIN)


def people(count):
    r = random.Random(1)
    for n in range(1, count + 1):
        name = " ".join((r.choice(FAMILY), r.choice(MIDDLE), r.choice(GIVEN)))
        yield S.person_ldif(n, name, "u%d" % n, "Mat-khau-%d" % n, scram=False,
                            extra="displayName;x-fold: %s (SKHCN)\ncn;x-fold: %s\nsn;x-fold: %s\ngivenName;x-fold: %s\n" % (
                                folded(name), folded(name), folded(name.split()[0]), folded(name.split()[-1])))


class Cpu:
    """Seconds of CPU that a process took: what a busy machine does not change."""
    def __init__(self, pid=None):
        self.pid = pid

    def __call__(self):
        if self.pid is None:
            return 0.0
        fields = pathlib.Path("/proc/%d/stat" % self.pid).read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


slapd_cpu = Cpu()


def timed(what, count, call):
    times = []
    cpu = slapd_cpu()
    for n in range(count):
        start = time.perf_counter()
        call(n)
        times.append(time.perf_counter() - start)
    times.sort()
    print("%s n=%d p50_ms=%.2f p99_ms=%.2f slapd_cpu_ms=%.2f" % (what, count, times[count // 2] * 1000, times[count * 99 // 100] * 1000,
                                                                 (slapd_cpu() - cpu) * 1000 / count), flush=True)


def found(book, text):
    entries, result = book.search(S.BASE, text)
    assert entries and result in (0, 4), (text, result)  # 4: more than are shown


def imported(folder, text, count):
    """congvu directory import of the same people, without passwords, into a directory that has nobody: journal and all."""
    server = S.Slapd(folder / "empty", args=("--maxsize", "4294967296"))
    try:
        file, conf = folder / "import.ldif", folder / "import.conf"
        file.write_text(re.sub(r"(?m)^(userPassword|authPassword)::? .*\n", "", text))
        conf.write_text('domains = {"tinhmau.example"}\nldap_uris = {"%s"}\nldap_base = "%s"\nadmin_bind_dn = "cn=hr,ou=services,%s"\n'
                        'admin_password_file = "%s"\ndirectory_journal = "%s"\n' % (
                            server.uri, server.base, server.base, server.dir / "hr.password", folder / "journal/journal.jsonl"))
        cpu = Cpu(int((server.dir / "slapd.pid").read_text()))
        start, before = time.perf_counter(), cpu()
        r = subprocess.run([S.BUILD / "congvu", "-c", conf, "directory", "import", file, "--decision", "1/QD"], stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - start
        assert r.returncode == 0 and " %d added" % count in r.stderr, r.stderr[-2000:]
        print("import people=%d seconds=%.1f slapd_cpu_s=%.1f" % (count, seconds, cpu() - before), flush=True)
    finally:
        server.stop()


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60000
    searches, asked = (100, 2000) if count >= 10000 else (5, 20)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="congvu-bench"))
    server = S.Slapd(folder / "ldap", args=("--maxsize", "4294967296"))
    lookup = None
    try:
        server.stop()
        text = "".join(people(count))
        imported(folder, text, count)
        (folder / "people.ldif").write_text(text)
        start = time.perf_counter()
        subprocess.run("slapadd -q -f slapd.conf -l ../people.ldif && chown -R --reference=. db", shell=True, cwd=server.dir, check=True)
        print("load people=%d seconds=%.1f" % (count, time.perf_counter() - start), flush=True)
        server.start()
        slapd_cpu.pid = int((server.dir / "slapd.pid").read_text())
        lookup = S.Lookup(folder / "run", [server.uri], password=(server.dir / "lookup.password").read_text(), more="login_cache_s = 0\n")
        smtpd, imapd = lookup.probe("smtpd"), lookup.probe("imapd")
        r = random.Random(2)

        def rcpt(_):
            assert smtpd.call("rcpt", "u%d@tinhmau.example" % r.randint(1, count))["kind"] == 1

        def login(_):
            n = r.randint(1, count)
            assert imapd.plain("u%d" % n, "Mat-khau-%d" % n)["result"] == "ok"
        timed("recipient", asked, rcpt)
        timed("login", asked // 2, login)
        ids = [smtpd.ask("rcpt", "u%d@tinhmau.example" % r.randint(1, count)) for _ in range(asked * 2)]
        start = time.perf_counter()
        for i in ids:
            assert smtpd.wait(i)["kind"] == 1
        print("recipients_pipelined per_s=%.0f" % (asked * 2 / (time.perf_counter() - start)), flush=True)
        book = Ldap(int(server.uri.rsplit(":", 1)[1]), "vnStaffId=000001,ou=people," + S.BASE, "Mat-khau-1")
        timed("book_equal", asked, lambda _: found(book, "(mail=u%d@tinhmau.example)" % r.randint(1, count)))
        # what people type: a given name that some thousands bear, how a full name begins, two and three letters, one person's login
        for typed in ("binh", "tran van", "anh", "do", "nguyet", "u%d"):
            for client in CLIENTS:
                timed("book client=%s typed=%s" % (client.replace(" ", "_"), typed.replace(" ", "_")), searches,
                      lambda _: found(book, client_filter(client, typed % r.randint(1, count) if "%" in typed else typed)))
        book.close()
    finally:
        if lookup:
            lookup.close()
        server.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
