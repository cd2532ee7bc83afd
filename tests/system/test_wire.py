"""Every transcript of tests/wire against the real programs."""

import pathlib

import pytest
import run

WIRE = pathlib.Path(run.__file__).parent


@pytest.mark.parametrize("name", sorted(str(p.relative_to(WIRE)) for p in WIRE.rglob("*.t")))
def test_wire(server, name):
    why = run.run_file(WIRE / name, server.json)
    assert why is None, why
