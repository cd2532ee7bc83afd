"""Texts that a person sees speak Vietnamese: each that is marked for translation (or goes through admin_fail, or is a command's summary) has its row in
admin/po/vi.po with the same conversions; and what is printed with words in it is marked. A text chosen at run time is marked in its table by N_()."""

import re
import subprocess

import lint

KEYWORDS = "_ N_ gettext CTL_COMMAND:5 admin_fail:3 admin_check_text:1".split()
CATALOGUE = "admin/po/vi.po"
PRINTED = re.compile(r"admin/\w+\.c$|bad\w*\.c$")
CALLS = re.compile(r"\b(?:printf|fprintf|puts|ctl_fail|ctl_usage|finding|tree_tell|print_labelled|ctl_table_cell)\s*\(")
STRING = re.compile(r'"((?:\\.|[^"\\\n])*)"')


def rows(po):
    """{text: (translation, line)}"""
    out, kind, text, at = {}, None, {}, 0
    for n, line in enumerate(po.split("\n") + ["msgid \"\""], 1):
        m = re.match(r'(?:(msgid|msgstr) )?"(.*)"$', line)
        if not m:
            continue
        if m.group(1) == "msgid":
            if text.get("msgid"):
                out[text["msgid"]] = (text.get("msgstr", ""), at)
            text, at = {}, n
        kind = m.group(1) or kind
        text[kind] = text.get(kind, "") + m.group(2)
    return out


def conversions(text):
    return re.findall(r"%[-0-9.*]*((?:hh|h|ll|l|z|j)?[a-zA-Z])", text.replace("%%", ""))


def marked(tree, paths):
    r = subprocess.run(["xgettext", "-L", "C", "--from-code=UTF-8", "-k", *("-k" + k for k in KEYWORDS), "--no-wrap", "-o", "-", *map(str, paths)],
                       cwd=tree.root, capture_output=True, text=True)
    if r.returncode != 0:
        raise lint.Skip(r.stderr.strip())
    where = {}
    for block in r.stdout.split("\n\n"):
        m = re.search(r"^#: (\S+)", block, re.M)
        for text in rows(block):
            where[text] = m.group(1) if m else CATALOGUE
    return where


def arguments(code, start):
    """The text of a call's arguments, strings whole."""
    depth, i = 1, start
    while i < len(code) and depth > 0:
        if code[i] == '"':
            m = STRING.match(code, i)
            i = m.end() if m else i + 1
            continue
        depth += (code[i] == "(") - (code[i] == ")")
        i += 1
    return code[start:i - 1]


def unmarked(code):
    """Line numbers and texts of words that are printed as they stand."""
    code = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group(0)), code, flags=re.S)
    for call in CALLS.finditer(code):
        args = arguments(code, call.end())
        bare = re.sub(r"\bN?_\(\s*(?:%s\s*)+\)" % STRING.pattern, "", args)
        for m in STRING.finditer(bare):
            words = re.sub(r"%[-0-9.*]*(?:hh|h|ll|l|z|j)?[a-zA-Z]|\\.|congvu [a-z]+", " ", m.group(1))
            if re.search(r"[a-z]{2,} +[a-z]{2,}", words):
                yield code.count("\n", 0, call.start()) + 1, m.group(1)


def check(tree):
    paths = [p for p in tree.select(".c", ".def") if p.parts[0] == "admin" or re.match(r"directory/dir_(admin|dump)\w*\.c$", str(p))]
    have = rows(tree.text(CATALOGUE))
    for text, where in sorted(marked(tree, [p for p in paths if p.suffix == ".c" or p.name == "commands.def"]).items()):
        if not re.search(r"[A-Za-z]{2}", re.sub(r"%[-0-9.*]*(?:hh|h|ll|l|z|j)?[a-zA-Z]", "", text)):
            continue
        if not have.get(text, ("",))[0]:
            yield "%s: no Vietnamese for \"%s\"" % (where, text)
    # the numbers that congvu status shows: names in a table that admin/ does not print as it stands
    for path in tree.files():
        if path.name == "role_stats.c":
            for name in re.findall(r'"([a-z_]+)"[,}]', re.sub(r'\{"[a-z-]+", \{', "", tree.text(path))):
                if not have.get("status: " + name, ("",))[0]:
                    yield "%s: no Vietnamese for \"status: %s\"" % (path, name)
    for text, (vi, line) in have.items():
        if vi and "$" not in vi and conversions(text) != conversions(vi):
            yield "%s:%d: other conversions than \"%s\"" % (CATALOGUE, line, text)
    for path in paths:
        if PRINTED.match(str(path)):
            for line, text in unmarked(tree.text(path)):
                yield "%s:%d: printed and not marked: \"%s\"" % (path, line, text)
