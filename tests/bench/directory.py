#!/usr/bin/python3
"""The directory at the size of a merged province (60,000 people): load, look-ups through lookup, logins, and the address book's folded
substring search straight from slapd. Prints key=value lines. Usage: directory.py [PEOPLE]; CONGVU_BUILD names the build folder."""

import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
import slapd as S  # noqa: E402

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
                            extra="displayName;x-fold: %s (SKHCN)\ncn;x-fold: %s\n" % (folded(name), folded(name)))


def timed(what, count, call):
    times = []
    for n in range(count):
        start = time.perf_counter()
        call(n)
        times.append(time.perf_counter() - start)
    times.sort()
    print("%s n=%d p50_ms=%.2f p99_ms=%.2f" % (what, count, times[count // 2] * 1000, times[count * 99 // 100] * 1000), flush=True)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60000
    folder = pathlib.Path(tempfile.mkdtemp(prefix="congvu-bench"))
    server = S.Slapd(folder / "ldap", args=("--maxsize", "4294967296"))
    lookup = None
    try:
        server.stop()
        (folder / "people.ldif").write_text("".join(people(count)))
        start = time.perf_counter()
        subprocess.run("slapadd -q -f slapd.conf -l ../people.ldif && chown -R --reference=. db", shell=True, cwd=server.dir, check=True)
        print("load people=%d seconds=%.1f" % (count, time.perf_counter() - start), flush=True)
        server.start()
        lookup = S.Lookup(folder / "run", [server.uri], password=(server.dir / "lookup.password").read_text(), more="login_cache_s = 0\n")
        smtpd, imapd = lookup.probe("smtpd"), lookup.probe("imapd")
        r = random.Random(2)

        def rcpt(_):
            assert smtpd.call("rcpt", "u%d@tinhmau.example" % r.randint(1, count))["kind"] == 1

        def login(_):
            n = r.randint(1, count)
            assert imapd.plain("u%d" % n, "Mat-khau-%d" % n)["result"] == "ok"
        timed("recipient", 2000, rcpt)
        timed("login", 1000, login)
        ids = [smtpd.ask("rcpt", "u%d@tinhmau.example" % r.randint(1, count)) for _ in range(5000)]
        start = time.perf_counter()
        for i in ids:
            assert smtpd.wait(i)["kind"] == 1
        print("recipients_pipelined per_s=%.0f" % (5000 / (time.perf_counter() - start)), flush=True)
        # ldapsearch -f: one connection, one search for each line of the file
        for what, filt, line in (("book_equal", "(mail=%s)", "u%d@tinhmau.example"), ("book_folded_substring", "(displayName=*%s*)", "van binh"),
                                 ("book_rare_substring", "(mail=*%s@*)", "u%d")):
            rows = [line % r.randint(1, count) if "%" in line else line for _ in range(200)]
            (folder / "rows").write_text("\n".join(rows) + "\n")
            start = time.perf_counter()
            subprocess.run(["ldapsearch", "-x", "-LLL", "-z", "50", "-H", server.uri, "-D", "vnStaffId=000001,ou=people," + S.BASE, "-w",
                            "Mat-khau-1", "-b", S.BASE, "-c", "-f", folder / "rows", filt, "cn", "mail"], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            print("%s n=200 mean_ms=%.2f" % (what, (time.perf_counter() - start) * 5), flush=True)
    finally:
        if lookup:
            lookup.close()
        server.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
