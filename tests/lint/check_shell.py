"""shellcheck has nothing to say about the scripts."""

import json
import shutil
import subprocess

import lint


def check(tree):
    if not shutil.which("shellcheck"):
        raise lint.Skip("shellcheck is not installed")
    scripts = []
    for p in tree.files():
        if p.suffix in ("", ".sh", ".bash"):
            with open(tree.root / p, "rb") as f:
                first = f.readline(100)
            if first.startswith(b"#!") and (b"/sh" in first or b"bash" in first):
                scripts.append(str(p))
    if not scripts:
        return
    r = subprocess.run(["shellcheck", "-f", "json"] + scripts, cwd=tree.root, capture_output=True, text=True)
    for f in json.loads(r.stdout or "[]"):
        yield "%s:%d: SC%d %s" % (f["file"], f["line"], f["code"], f["message"])
