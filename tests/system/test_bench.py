"""The short form of make bench: each load runs against each side, and what was accepted is there. Its figures say nothing."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CONGVU_BUILD", TOP / "build"))


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("dovecot", path="/usr/sbin:/usr/bin"), reason="needs root and Dovecot")
def test_each_load_runs(tmp_path):
    out = tmp_path / "result.json"
    r = subprocess.run([sys.executable, TOP / "tests/bench/bench.py", "--short", "--sides", "congvu,tuned", "--out", out],
                       env=dict(os.environ, CONGVU_BUILD=str(BUILD), PYTHONDONTWRITEBYTECODE="1"), stdin=subprocess.DEVNULL,
                       capture_output=True, text=True, timeout=240)
    assert r.returncode == 0, r.stdout[-3000:] + r.stderr[-3000:]
    result = json.loads(out.read_text())
    sys.path.insert(0, str(TOP / "tests/bench"))
    import loads
    assert list(result["loads"]) == [x.name for x in loads.ALL]
    for name, entry in result["loads"].items():
        for side in ("congvu", "tuned"):
            got = entry["samples"][side][0]
            assert got[entry["figure"]] is not None and got["n"] > 0, name
    assert all(v > 0 for v in result["sink"].values())
    for name, entry in result["milter"]["kinds"].items():
        assert entry["congvu"][0]["wanted"] == entry["congvu"][0]["n"] > 0 and entry["congvu"][0]["cpu_ms"] > entry["raw"][0]["cpu_ms"] / 2 > 0, name
    for name, entry in result["auth"]["kinds"].items():
        for side in ("congvu", "dovecot"):
            assert entry[side][0]["n"] >= 4 and entry[side][0]["cpu_ms"] > 0, name
    assert "| SCRAM-SHA-256, no cache |" in r.stdout
    held = result["milter"]["memory"]
    assert held["wanted"] == held["sessions"] and held["held"]["disk"] > held["octets"]
    assert "| 20 KB text, 64 sessions |" in r.stdout
    assert "| delivery, 4 KB, 20 sessions |" in r.stdout


def test_directory_bench_runs():
    r = subprocess.run([sys.executable, TOP / "tests/bench/directory.py", "300"], env=dict(os.environ, CONGVU_BUILD=str(BUILD), PYTHONDONTWRITEBYTECODE="1"),
                       capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stdout + r.stderr
    assert r.stdout.count("\nbook client=") == 24 and "\nbook_equal n=20 p50_ms=" in r.stdout, r.stdout
