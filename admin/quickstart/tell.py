"""How quickstart speaks: one line a step, with its time; a failing one says why."""

import os
import pathlib
import sys
import time


class StepFailed(Exception):
    def __init__(self, why, output="", log=None):
        super().__init__(why)
        self.output, self.log = output, log


def say(text="", end="\n"):
    """What nobody reads any more (./quickstart | head) ends nothing half way."""
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class Step:
    """with Step("slapd"): ... prints "  slapd ... ok (0.4 s)"."""

    def __init__(self, name):
        self.name, self.note = name, ""

    def __enter__(self):
        self.start = time.monotonic()
        say("  %s ..." % self.name, end=" ")
        return self

    def __exit__(self, kind, error, _tb):
        if error is None:
            say("%s (%.1f s)" % (self.note or "ok", time.monotonic() - self.start))
            return False
        if isinstance(error, KeyboardInterrupt):
            say("interrupted")
            return False
        say("FAILED")
        if isinstance(error, SystemExit):
            return False
        sys.stdout.flush()
        print("\nThis step failed: %s\nWhy: %s" % (self.name, error or kind.__name__), file=sys.stderr)
        output = getattr(error, "output", "")
        log = getattr(error, "log", None)
        if output:
            print("\n".join("    " + line for line in str(output).strip().split("\n")[-20:]), file=sys.stderr)
        if log and pathlib.Path(log).exists():
            print("The whole log: %s" % log, file=sys.stderr)
        if not isinstance(error, StepFailed):
            return False
        sys.exit(1)
