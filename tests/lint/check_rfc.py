"""Every "RFC nnnn" in the code is in rfc-index.tsv (number, title, status yes|partly|no, test files); the tests listed exist,
and what is marked yes or partly has one; every number in the index is referred to somewhere in the code."""

import re

import lint


def check(tree):
    if tree.selftest:
        index_path = "bad-index.tsv"
    else:
        index_path = "tests/lint/rfc-index.tsv"
    index = {}
    if not (tree.root / index_path).exists():
        yield index_path + ": missing"
        return
    for n, line in enumerate(tree.lines(index_path), 1):
        if not line or line.startswith("#"):
            continue
        where = "%s:%d" % (index_path, n)
        cells = line.split("\t")
        if len(cells) != 4 or not cells[0].isdigit() or cells[2] not in ("yes", "partly", "no"):
            yield where + ": not number, title, status (yes, partly, no), tests"
            continue
        number, _title, status, tests = cells
        if number in index:
            yield "%s: RFC %s is there twice" % (where, number)
        index[number] = where
        tests = [t for t in tests.replace(",", " ").split() if t != "-"]
        if status != "no" and not tests:
            yield "%s: RFC %s is marked %s and names no test" % (where, number, status)
        for t in tests:
            if not (tree.root / t).exists():
                yield "%s: RFC %s names a test that is not there: %s" % (where, number, t)
    used = {}
    for path in tree.select(".c", ".h", ".def", folders=None if tree.selftest else ("lib",) + lint.PROGRAM_FOLDERS):
        for n, line in enumerate(tree.lines(path), 1):
            for number in re.findall(r"\bRFC[ -]?(\d{3,5})\b", line):
                used.setdefault(number, "%s:%d" % (path, n))
    for number in sorted(set(used) - set(index), key=int):
        yield "%s: RFC %s is not in %s" % (used[number], number, index_path)
    for number in sorted(set(index) - set(used), key=int):
        yield "%s: no code refers to RFC %s" % (index[number], number)
