"""The demonstration that ./quickstart plays, and the second run of quickstart."""

import hashlib
import time

import pytest
from conftest import quickstart
from demo import Demonstration


@pytest.fixture(scope="module")
def demonstration(server):
    return Demonstration(server)


@pytest.mark.parametrize("step", ["step1", "step2", "step3", "step4", "step5"])
def test_demonstration(demonstration, step):
    getattr(demonstration, step)()


def fingerprint(folder):
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for sub in ("etc", "people", "ca") for p in
            sorted((folder / sub).rglob("*")) if p.is_file()}


def test_second_run_is_quick_and_changes_nothing(server):
    before, users, started = fingerprint(server.dir), server.json_bytes(), server.processes()
    start = time.monotonic()
    out = quickstart("--dir", server.dir, "--no-demo").stdout
    assert time.monotonic() - start < 10
    assert "FAILED" not in out
    assert fingerprint(server.dir) == before
    assert server.json_bytes() == users
    assert server.processes() == started


def test_status(server):
    r = quickstart("status", "--dir", server.dir)
    assert "slapd: running" in r.stdout
