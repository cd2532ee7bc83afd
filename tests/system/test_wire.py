"""Every transcript of tests/wire against the real programs."""

import pathlib

import pytest
import run

WIRE = pathlib.Path(run.__file__).parent


@pytest.mark.parametrize("path", sorted(WIRE.rglob("*.t")), ids=lambda p: str(p.relative_to(WIRE)))
def test_wire(server, path):
    why = run.run_file(path, server.json)
    assert why is None, why
