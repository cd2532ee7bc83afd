"""The forty cases of the milter's specification (signatures, MIME, attachments, documents): each has a test by name, "case_NN_words"."""

import re

import lint

CASES = 40


def check(tree):
    seen = {}
    for path in tree.select(".c", ".py", ".t"):
        if not tree.selftest and (path.parts[0] != "tests" or path.parts[1] == "lint"):
            continue
        for n, line in enumerate([path.name] + tree.lines(path)):
            for number in re.findall(r"(?:\b|_)case_(\d\d)[a-z]?_[a-z]", line):
                seen.setdefault(int(number), "%s:%d" % (path, n))
    for number in range(1, CASES + 1):
        if number not in seen:
            yield "%s: case %02d has no test named case_%02d_…" % ("bad.c" if tree.selftest else "tests", number, number)
    for number in sorted(set(seen) - set(range(1, CASES + 1))):
        yield "%s: there is no case %02d" % (seen[number], number)
