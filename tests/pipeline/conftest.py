"""One nursery for all runs that the tests of a process conduct: each would import for seconds first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from sbir_toolkit.params import Limits
from sbir_toolkit.pipeline import start
from sbir_toolkit.pipeline.nursery import Nursery, open_nursery


@pytest.fixture(scope="session")
def warm_nursery() -> Iterator[Nursery]:
    with open_nursery(Limits().memory_mb) as nursery:
        yield nursery


@pytest.fixture(autouse=True)
def shared_nursery(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, warm_nursery: Nursery
) -> None:
    """Let runs fork from it; the command line's, and the nursery's own tests, open theirs."""
    if request.path.stem != "test_nursery":
        monkeypatch.setattr(start, "open_nursery", lambda memory_mb: nullcontext(warm_nursery))
