"""The Python files compile and use only Debian's standard library (pytest in tests)."""

import ast
import sys

import lint

EXTRA = {"pytest", "lint", "conftest", "run"}


def check(tree):
    own = {p.stem for p in tree.select(".py")}
    for path in tree.select(".py"):
        try:
            parsed = ast.parse(tree.text(path))
        except SyntaxError as e:
            yield "%s:%s: %s" % (path, e.lineno, e.msg)
            continue
        for node in ast.walk(parsed):
            names = []
            if isinstance(node, ast.Import):
                names = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for name in names:
                top = name.split(".")[0]
                if top not in sys.stdlib_module_names and top not in EXTRA and top not in own:
                    yield "%s:%d: %s is not in Debian's python3" % (path, node.lineno, name)
