"""Every option of lib/options.def is in the manual page congvu.conf(5) with its default, every option there is in the table,
and code asks for no option that the table lacks."""

import re

import lint

CONF_CALL = re.compile(r'\bconf_(?:str|int|bool|path|list_len|list_item)\(\s*[^,()]+(?:\([^()]*\))?\s*,\s*"(\w+)"')


def options(text):
    return dict(re.findall(r'^CV_OPT\((\w+),\s*CONF_\w+,\s*"([^"]*)"', text, re.M))


def check(tree):
    table_path = "options.def" if tree.selftest else "lib/options.def"
    table = options(tree.text(table_path))
    for path in tree.select(".c", ".h"):
        if path.parts[0] == "tests" and not tree.selftest:
            continue
        for n, line in enumerate(tree.lines(path), 1):
            for name in CONF_CALL.findall(line):
                if name not in table:
                    yield "%s:%d: option %s is not in %s" % (path, n, name, table_path)
    pages = [p for p in tree.files() if p.name.endswith("congvu.conf.5")]
    # The page is made from the table by the build, or written by hand.
    page = None
    if pages:
        page_path, page = str(pages[0]), tree.text(pages[0])
    elif tree.build and (tree.build / "man/congvu.conf.5").exists():
        page_path, page = "man/congvu.conf.5", (tree.build / "man/congvu.conf.5").read_text()
    if page is None:
        yield "man/congvu.conf.5: missing"
        return
    shown = set(re.findall(r"^\.It (?:Cm|Ic|Va|Sy|Li) (\w+)", page, re.M)) | \
        set(re.findall(r"^\.TP\n\.BR? (\w+)", page, re.M))
    for name in sorted(set(table) - shown):
        yield "%s: option %s is not described" % (page_path, name)
    for name in sorted(shown - set(table)):
        yield "%s: option %s is not in %s" % (page_path, name, table_path)
