"""clang-format agrees with every C file (.clang-format)."""

import re
import shutil
import subprocess

import lint


def check(tree):
    tool = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not tool:
        raise lint.Skip("clang-format is not installed")
    files = [str(p) for p in tree.select(".c", ".h")]
    style = "file"
    if tree.selftest:
        style = "file:" + str(lint.HERE.parent.parent / ".clang-format")
    for i in range(0, len(files), 100):
        r = subprocess.run([tool, "--dry-run", "-Werror", "--ferror-limit=1", "--style=" + style] + files[i:i + 100],
                           cwd=tree.root, capture_output=True, text=True)
        for line in r.stderr.splitlines():
            m = re.match(r"(.+?:\d+):\d+: error: code should be clang-formatted", line)
            if m:
                yield m.group(1) + ": clang-format would change this"
        if r.returncode and "clang-formatted" not in r.stderr:
            yield "clang-format: " + r.stderr.strip()
