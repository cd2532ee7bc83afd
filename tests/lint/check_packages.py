"""The -dev packages of build-aux/packages.txt and the Build-Depends of debian/control are the same: what builds here builds there."""

import re


def check(tree):
    listed, control = "build-aux/packages.txt", "debian/control"
    if tree.selftest:
        listed, control = "packages.txt", "bad-control"
    here = {line for line in tree.lines(listed) if line.endswith("-dev") and line != "libc6-dev"}
    field = re.search(r"^Build-Depends:((?:.*\n)(?:[ \t].*\n)*)", tree.text(control), re.M)
    there = {n.split()[0] for n in field.group(1).split(",") if n.strip()} if field else set()
    there = {n for n in there if n.endswith("-dev")}
    for name in sorted(here - there):
        yield "%s: Build-Depends lacks %s, which %s names" % (control, name, listed)
    for name in sorted(there - here):
        yield "%s: Build-Depends names %s, which %s does not" % (control, name, listed)
