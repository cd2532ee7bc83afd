"""Functions that no code of ours calls."""

import re

import lint

BANNED = "strcpy strcat sprintf vsprintf strtok strncpy atoi gets alloca".split()


def check(tree):
    word = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED))
    for path in tree.select(".c", ".h"):
        for n, line in enumerate(lint.code_only(tree.text(path)).split("\n"), 1):
            m = word.search(line)
            if m:
                yield "%s:%d: %s is banned" % (path, n, m.group(1))
