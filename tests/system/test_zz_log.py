"""Runs last: nothing in the log of all these tests says that a role ended by its own fault."""

import re


def test_no_role_failed_by_itself(server):
    text = (server.dir / "log/congvu.log").read_text(errors="replace")
    bad = [line for line in text.splitlines() if re.search(
        r"AddressSanitizer|LeakSanitizer|runtime error:|event=fatal|signal (4|6|7|8|11|31) |forbidden|Assertion", line)]
    assert not bad, "\n".join(bad[:20])
