#!/usr/bin/python3
"""Sums what the test runners said, for ./runtests.

count.py --trs DIR      automake's tests below DIR; a cmocka program counts each of its tests
count.py --junit FILE   a pytest --junitxml file
count.py --lint FILE    the output of make lint (PASS/FAIL/SKIP lines)
Prints "passed failed skipped".
"""

import pathlib
import re
import sys
import xml.etree.ElementTree as ET


def count_trs(folder):
    passed = failed = skipped = 0
    for trs in sorted(pathlib.Path(folder).rglob("*.trs")):
        result = re.search(r"^:global-test-result: (\w+)", trs.read_text(), re.M)
        result = result.group(1) if result else "ERROR"
        log = trs.with_suffix(".log")
        text = log.read_bytes().decode("utf-8", "replace") if log.exists() else ""
        # cmocka repeats the totals of each group: "[  PASSED  ] 3 test(s)."
        per = {k: sum(int(n) for n in re.findall(r"^\[\s+%s\s+\] (\d+) test\(s\)" % k, text, re.M))
               for k in ("PASSED", "FAILED", "SKIPPED")}
        if sum(per.values()):
            passed += per["PASSED"]
            failed += per["FAILED"]
            skipped += per["SKIPPED"]
            # It ended badly without a failed test: a crash, a leak found at its end.
            if result not in ("PASS", "SKIP", "XFAIL") and not per["FAILED"]:
                failed += 1
        elif result in ("PASS", "XFAIL"):
            passed += 1
        elif result == "SKIP":
            skipped += 1
        else:
            failed += 1
    return passed, failed, skipped


def count_junit(path):
    if not pathlib.Path(path).exists():
        return 0, 1, 0  # pytest did not come to its end
    total = bad = skipped = 0
    for suite in ET.parse(path).getroot().iter("testsuite"):
        total += int(suite.get("tests", 0))
        bad += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    if not total:
        return 0, 1, 0  # it ended before the first test
    return max(total - bad - skipped, 0), bad, skipped


def count_lint(path):
    lines = pathlib.Path(path).read_text(errors="replace").splitlines() if pathlib.Path(path).exists() else []
    passed = sum(line.startswith("PASS ") for line in lines)
    failed = sum(line.startswith("FAIL ") for line in lines)
    skipped = sum(line.startswith("SKIP ") for line in lines)
    return (passed, failed, skipped) if lines else (0, 1, 0)


def main():
    kinds = {"--trs": count_trs, "--junit": count_junit, "--lint": count_lint}
    if len(sys.argv) != 3 or sys.argv[1] not in kinds:
        sys.exit(__doc__)
    print(*kinds[sys.argv[1]](sys.argv[2]))


main()
