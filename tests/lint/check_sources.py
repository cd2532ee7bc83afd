"""Every source file is in the build (a local.mk), opens by saying what it is, and is not out of bounds in length."""

import re

import lint


def check(tree):
    mk = "\n".join(tree.text(p) for p in tree.files() if p.suffix == ".mk" or p.name == "Makefile.am")
    mk = mk.replace("$(srcdir)/", "").replace("$(top_srcdir)/", "")
    words = set(re.findall(r"[\w./-]+", mk))
    for path in tree.select(".c", ".h", ".def"):
        if path.parts[0] == "tests" and path.suffix == ".h":
            continue  # dist-hook takes them
        if str(path) not in words:
            yield "%s: in no local.mk, so not in the distribution" % path
    for path in tree.select(".c", folders=None if tree.selftest else ("lib",) + lint.PROGRAM_FOLDERS):
        text = tree.text(path)
        m = re.match(r"/\*.*?\*/", text, re.S)
        if not m or path.name not in m.group(0).split("\n")[0]:
            yield "%s: does not open with a comment \"/* %s: what it is for ...\"" % (path, path.name)
        elif m.group(0).count("\n") > 15:
            yield "%s: its opening comment is over 15 lines" % path
        if text.count("\n") > 900:
            yield "%s: %d lines; where is the seam?" % (path, text.count("\n"))
