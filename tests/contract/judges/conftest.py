"""Each test runs against the lab, and with CONTRACT_CHECK=full against every emulator that has the services it asks for.

A difference that docs/lab-fidelity.md lists is expected there; one that is not listed fails, and so does a listed one that is gone.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from tests.contract.judges.differences import listed
from tests.contract.judges.emulators import Emulator, Running, asked


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One run for each emulator that has the services of the test's mark ``services``."""
    if "aws" not in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker("services")
    assert mark is not None, f"{metafunc.definition.name} does not say which services it asks for"
    known = listed()
    chosen = []
    for emulator in asked():
        if set(mark.args) <= emulator.services:
            reason = known.get((metafunc.definition.name, emulator.name))
            expected = [pytest.mark.xfail(reason=f"docs/lab-fidelity.md: {reason}", strict=True)] if reason else []
            chosen.append(pytest.param(emulator, id=emulator.name, marks=expected))
    metafunc.parametrize("aws", chosen, indirect=True, scope="session")


@pytest.fixture(scope="session")
def aws(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running emulator, for all tests that ask it."""
    emulator: Emulator = request.param
    running = Running(emulator, tmp_path_factory.mktemp(emulator.name))
    yield running
    running.stop()


@pytest.fixture
def name() -> str:
    """A name that nothing has yet."""
    return f"contract-{uuid.uuid4().hex[:16]}"
