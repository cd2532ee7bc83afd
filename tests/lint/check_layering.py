"""lib/ includes only lib/; a program folder includes lib/, itself, and of its neighbours only their client header,
protocol table, or a contract named here."""

import re

import lint

# Contracts between folders that are no client header.
SHARED = {
    "store/kv.h": {"smtpd"},  # the queue keeps its rows in the same kind of store
    "directory/token.h": {"store", "smtpd", "imapd", "admin"},
    "store/seg_head.h": {"admin"},  # headers of segments that congvu check reads
    "milter/ledger_register.h": {"admin"},  # the name of the register's file, which congvu register reads
    "milter/cert_table.h": {"admin"},  # the file of certificates that wait, which congvu cert reads
    "store/row.h": {"imapd"},  # what a message row says, in the answers of stored
    "smtpd/milter_options.h": {"admin"},  # rows of the option that congvu check reads
    "milter/modes.h": {"admin"},  # the policy's settings that congvu check reads
    "milter/policy_load.h": {"admin"}, "milter/judgement.h": {"admin"},  # the policy language, for its officers
    "milter/audit.h": {"admin"},  # the format of the log that congvu verifies
    "milter/audit_files.h": {"admin"}, "milter/audit_verify.h": {"admin"}, "milter/sign_key.h": {"admin"}, "milter/sign_text.h": {"admin"},
    "milter/sign_row.h": {"admin"}, "milter/sign_mail.h": {"admin"}, "milter/sign_token.h": {"admin"},  # rows and keys that congvu check reads
    "directory/dir.h": {"admin"}, "directory/dir_admin.h": {"admin"}, "directory/assignment.h": {"admin"}, "directory/dir_dump.h": {"admin"}, "directory/people.h": {"admin"},
    "directory/saslprep.h": {"admin"}, "directory/scram.h": {"admin"}, "directory/escape.h": {"admin"},
}


def check(tree):
    folders = ("lib",) + lint.PROGRAM_FOLDERS
    for path in tree.select(".c", ".h", folders=folders):
        here = path.parts[0]
        for n, line in enumerate(tree.lines(path), 1):
            m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not m:
                continue
            name = m.group(1)
            if name == "config.h" or name.startswith("lib/"):
                continue
            there = name.split("/")[0] if "/" in name else None
            if there is None:
                yield "%s:%d: include by the path from the top: \"%s\"" % (path, n, name)
            elif here == "lib":
                yield "%s:%d: lib/ includes only lib/, not %s" % (path, n, name)
            elif there != here and not re.search(r"(_client\.h|_proto\.def|_proto\.h)$", name) \
                    and here not in SHARED.get(name, ()):
                yield "%s:%d: %s/ may include only the client header of %s/, not %s" % (path, n, here, there, name)
