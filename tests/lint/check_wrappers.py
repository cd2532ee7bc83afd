"""Each third-party header is included by exactly one .c file (its wrapper), and by no header."""

import fnmatch
import re

import lint

# Headers of libc, the compiler and the kernel.
OWN = re.compile(r"^(sys|linux|arpa|netinet|net|asm)/|^(assert|ctype|dirent|dlfcn|errno|fcntl|fnmatch|ftw|getopt|glob|grp|iconv|"
                 r"inttypes|langinfo|libgen|limits|link|locale|math|mntent|netdb|poll|pthread|pwd|regex|resolv|sched|search|"
                 r"semaphore|setjmp|shadow|signal|spawn|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|"
                 r"stdnoreturn|string|strings|syslog|sysexits|termios|threads|time|uchar|ucontext|unistd|utime|wchar|wctype|"
                 r"malloc|execinfo|endian|byteswap|paths|err|crypt|libintl|nl_types)\.h$")
# A library with a wide interface may have several wrappers, each for another part of it; which, and for what.
SEVERAL = {}


def load_several(tree):
    """tests/lint/wrappers.tsv: header, files that may include it, why."""
    several = dict(SEVERAL)
    p = tree.root / "tests/lint/wrappers.tsv"
    if p.exists():
        for line in p.read_text().splitlines():
            if line and not line.startswith("#"):
                header, files, _why = line.split("\t")
                several[header] = set(files.split(","))
    return several


def check(tree):
    several = load_several(tree)
    users = {}
    for path in tree.select(".c", ".h", folders=("lib",) + lint.PROGRAM_FOLDERS):
        for n, line in enumerate(tree.lines(path), 1):
            m = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
            if not m or OWN.match(m.group(1)):
                continue
            if path.suffix == ".h":
                yield "%s:%d: a header shows <%s> to all its users" % (path, n, m.group(1))
            users.setdefault(m.group(1), []).append((str(path), n))
    for header, places in sorted(users.items()):
        allowed = several.get(header)
        if allowed is None and len({p for p, _ in places}) > 1:
            yield "<%s> has several wrappers: %s" % (header, ", ".join("%s:%d" % p for p in places))
        elif allowed is not None:
            for p, n in places:
                if not any(fnmatch.fnmatch(p, a) for a in allowed):
                    yield "%s:%d: <%s> belongs to %s" % (p, n, header, ", ".join(sorted(allowed)))
