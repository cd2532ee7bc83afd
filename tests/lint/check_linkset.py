"""Who may link what: linksets.tsv names each installed program, its process and the libraries it may need (readelf -d).
A program that is not in the table, or needs more than the table allows, is a finding; so is a table row without a program
and a permission that is not used. What a role must never link (DESIGN.md) is checked apart, so that an edit of the table
cannot allow it."""

import re
import shutil
import subprocess

import lint

NEVER = {
    "session": ("libldap", "liblber", "libsasl2", "libdb"),
    "ingest": ("libldap", "liblber", "libsasl2", "libdb"),
    "lookup": ("libdb",),
    "queue": ("libldap", "liblber", "libssl", "libsasl2"),
    "fetch": ("libldap", "liblber", "libdb", "libsasl2", "libssl"),
    "relay": ("libldap", "liblber", "libdb", "libsasl2"),
    "stored": ("libldap", "liblber", "libssl", "libsasl2"),
    "milter": ("libldap", "liblber", "libdb", "libsasl2"),
    "scan": ("libldap", "liblber", "libdb", "libsasl2", "libssl"),
    "ledger": ("libldap", "liblber", "libssl", "libsasl2"),
    "sign": ("libldap", "liblber", "libssl", "libsasl2", "libdb", "libcurl"),
    "parent": ("libldap", "liblber", "libdb", "libsasl2", "libssl", "libmilter"),
    "cli": ("libdb",),
}
ALWAYS = {"libc", "ld-linux-x86-64", "ld-linux-aarch64", "libpthread", "libdl", "librt", "libm", "libgcc_s"}


def needed(path):
    out = subprocess.run(["readelf", "-d", str(path)], capture_output=True, text=True, check=True).stdout
    libs = [re.sub(r"(-[\d.]+)?\.so.*$", "", name) for name in re.findall(r"\(NEEDED\).*\[([^\]]+)\]", out)]
    return {re.sub(r"-\d[\d.]*$", "", name) for name in libs}


def rows(tree, path):
    for n, line in enumerate(tree.lines(path), 1):
        if not line or line.startswith("#"):
            continue
        cells = line.split("\t")
        yield "%s:%d" % (path, n), cells


def judge(where, name, role, allowed, libs):
    if role not in NEVER:
        yield "%s: %s: unknown role %s" % (where, name, role)
        return
    libs = {lib for lib in libs if lib not in ALWAYS}
    for lib in sorted(libs):
        if any(lib.startswith(n) for n in NEVER[role]):
            yield "%s: %s (%s) links %s, which it never may" % (where, name, role, lib)
        elif lib not in allowed:
            yield "%s: %s links %s, which the table does not allow" % (where, name, lib)
    for lib in sorted(allowed - libs):
        yield "%s: %s is allowed %s and does not need it" % (where, name, lib)


def check(tree):
    if tree.selftest:
        # bad-*.tsv: name, role, allowed, needed
        for path in tree.select(".tsv"):
            for where, cells in rows(tree, path):
                yield from judge(where, cells[0], cells[1], set(cells[2].split()), set(cells[3].split()))
        return
    if not shutil.which("readelf"):
        raise lint.Skip("readelf is not installed")
    if not tree.build or not (tree.build / "config.status").exists():
        raise lint.Skip("needs a build")
    if re.search(r"^CV_CFLAGS\s*=.*fsanitize", (tree.build / "Makefile").read_text(), re.M):
        raise lint.Skip("a sanitizer build links more")
    made = set()
    text = (tree.build / "Makefile").read_text()
    for kind in ("bin", "sbin", "pkglibexec"):
        m = re.search(r"^%s_PROGRAMS\s*=((?:.*\\\n)*.*)$" % kind, text, re.M)
        if m:
            made |= {w.replace("$(EXEEXT)", "") for w in m.group(1).replace("\\\n", " ").split()}
    seen = set()
    for where, cells in rows(tree, "tests/lint/linksets.tsv"):
        name, role, allowed = cells[0], cells[1], set(cells[2].split()) - {"-"}
        program = [m for m in made if m.split("/")[-1] == name]
        if not program:
            yield "%s: no program %s is built" % (where, name)
            continue
        seen.add(program[0])
        yield from judge(where, name, role, allowed, needed(tree.build / program[0]))
    for name in sorted(made - seen):
        yield "tests/lint/linksets.tsv: %s is not in the table (needs: %s)" % (
            name, " ".join(sorted(needed(tree.build / name) - ALWAYS)))
