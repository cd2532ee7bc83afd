#!/usr/bin/python3
"""make lint: every rule of the house that a program can check.

Each check is a file check_NAME.py beside this one with a function check(tree) that yields findings ("file:line: what is
wrong"). Before it runs on the sources, it runs on selftest/NAME/, a small tree with one fault a file: each file there
whose name begins with "bad" must be found, or the check itself has failed (a check that cannot fail is worthless).

lint.py --srcdir DIR --builddir DIR [NAME...]
"""

import argparse
import importlib
import pathlib
import re
import subprocess
import sys
import traceback

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM_FOLDERS = ("directory", "store", "smtpd", "imapd", "milter", "admin")
SKIP = {"build", "build-tests", "instance", ".git", "autom4te.cache", "__pycache__"}


class Skip(Exception):
    """A check that cannot run here, e.g. a tool is missing."""


class Tree:
    """The files of one source tree."""

    def __init__(self, root, build=None, selftest=False):
        self.root = pathlib.Path(root).resolve()
        self.build = pathlib.Path(build).resolve() if build else None
        self.selftest = selftest
        self._files = None

    def files(self):
        """Paths relative to the root, of the files that belong to the project."""
        if self._files is None:
            names = None
            if (self.root / ".git").exists():
                r = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=self.root,
                                   capture_output=True)
                if r.returncode == 0:
                    names = [n for n in r.stdout.decode().split("\0") if n]
            if names is None:
                names = [str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file()]
            out = [pathlib.PurePosixPath(n) for n in names]
            out = [p for p in out if not any(part in SKIP or part.startswith("build-") and part != "build-aux"
                                             for part in p.parts)]
            if not self.selftest:
                out = [p for p in out if "selftest" not in p.parts]
            self._files = sorted(p for p in out if (self.root / p).is_file())
        return self._files

    def select(self, *suffixes, folders=None):
        return [p for p in self.files() if p.suffix in suffixes and (folders is None or p.parts[0] in folders)]

    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8", errors="replace")

    def lines(self, path):
        return self.text(path).split("\n")


def code_only(text):
    """C source with comments, strings and character constants blanked out; line numbers stay."""
    def blank(m):
        return re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def run_check(name, tree):
    module = importlib.import_module("check_" + name)
    return list(module.check(tree))


def selftest(name):
    """None when each bad sample was found (and nothing else), else what is wrong."""
    folder = HERE / "selftest" / name
    samples = [p for p in folder.rglob("*") if p.is_file()] if folder.is_dir() else []
    bad = [p for p in samples if p.name.startswith("bad")]
    if not bad:
        return "no bad sample in tests/lint/selftest/%s" % name
    found = run_check(name, Tree(folder, selftest=True))
    for p in bad:
        if not any(str(p.relative_to(folder)) in f for f in found):
            return "does not find the fault in %s (found: %s)" % (p.relative_to(HERE), found or "nothing")
    for p in samples:
        if p.name.startswith("good") and any(str(p.relative_to(folder)) in f for f in found):
            return "finds a fault in %s, which has none: %s" % (p.relative_to(HERE), found)
    return None


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--srcdir", default=str(HERE.parent.parent))
    ap.add_argument("--builddir")
    ap.add_argument("names", nargs="*")
    args = ap.parse_args()
    sys.path.insert(0, str(HERE))
    names = args.names or sorted(p.stem[len("check_"):] for p in HERE.glob("check_*.py"))
    tree = Tree(args.srcdir, args.builddir)
    failed = 0
    for name in names:
        for label, what in ((name + " (self-test)", lambda: [w for w in [selftest(name)] if w]),
                            (name, lambda: run_check(name, tree))):
            try:
                found = what()
            except Skip as e:
                print("SKIP", label + ":", e)
                continue
            except Exception:
                found = [traceback.format_exc()]
            print("FAIL" if found else "PASS", label)
            for f in found[:60]:
                print("    " + f)
            if len(found) > 60:
                print("    ... and %d more" % (len(found) - 60))
            failed += bool(found)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    # The checks import this module as "lint": let it be this one.
    sys.modules["lint"] = sys.modules["__main__"]
    main()
