"""cppcheck finds no error and no warning."""

import shutil
import subprocess

import lint


def check(tree):
    if not shutil.which("cppcheck"):
        raise lint.Skip("cppcheck is not installed")
    files = [str(p) for p in tree.select(".c", folders=None if tree.selftest else ("lib",) + lint.PROGRAM_FOLDERS)]
    if not files:
        return
    # It reads no system header, so macros like LIST_HEAD are unknown to it: not an error of ours.
    args = ["cppcheck", "--enable=warning,portability", "--inline-suppr", "-q", "-j2", "-I.", "--std=c11",
            "--suppress=syntaxError", "--suppress=arrayIndexThenCheck", "--suppress=unknownMacro", "--suppress=missingIncludeSystem",
            "--template={file}:{line}: {id}: {message}"]
    if tree.build:
        args += ["-I" + str(tree.build)]
    r = subprocess.run(args + files, cwd=tree.root, capture_output=True, text=True)
    for line in r.stderr.splitlines():
        if ": " in line and not line.startswith(" "):
            yield line
