"""mandoc finds no warning in the manual pages."""

import re
import shutil
import subprocess

import lint


def check(tree):
    if not shutil.which("mandoc"):
        raise lint.Skip("mandoc is not installed")
    pages = [tree.root / p for p in tree.files() if re.search(r"\.[1-8]$", p.name)]
    if tree.build and (tree.build / "man").is_dir():
        pages += [p for p in (tree.build / "man").glob("*.[1-8]")]
    for page in pages:
        r = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True)
        for line in r.stdout.splitlines() + r.stderr.splitlines():
            if line.strip():
                name = str(page.relative_to(tree.root)) if tree.root in page.parents else page.name
                yield line.replace(str(page), name).replace("mandoc: ", "")
