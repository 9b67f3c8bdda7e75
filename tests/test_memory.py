"""Little memory is kept where little is allowed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sbir_toolkit.enrichment.plan import explain_memory
from sbir_toolkit.memory import THRIFTY_BELOW_MB, allocator_settings

_ASK = (
    "from sbir_toolkit.memory import economise; economise({limit}); import os, pyarrow;"
    "print(pyarrow.default_memory_pool().backend_name, os.environ.get('MALLOC_ARENA_MAX'))"
)


_MATCH = (
    "from sbir_toolkit.cli import main;"
    "refused = main(['match', 'none', 'none', '-o', 'out.parquet', '-p', 'limits.memory_mb=500']);"
    "import pyarrow; print(refused, pyarrow.default_memory_pool().backend_name)"
)


def ask(limit: int, **environment: str) -> list[str]:
    """Say which allocator Arrow has under a limit, and how many arenas are asked for."""
    return say(_ASK.format(limit=limit), **environment)


def say(program: str, **environment: str) -> list[str]:
    """Give what a program prints in a process to whose allocators nobody has said anything else."""
    plain = {name: value for name, value in os.environ.items() if name not in allocator_settings(0)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=plain | environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_low_limit_chooses_thrifty_allocators() -> None:
    """Below the limit Arrow allocates through glibc, with two arenas; above all stays as it is."""
    assert ask(THRIFTY_BELOW_MB - 1) == ["system", "2"]
    assert ask(THRIFTY_BELOW_MB)[1] == "None"


def test_what_the_environment_says_stays() -> None:
    """Who has chosen an allocator keeps it."""
    assert ask(500, MALLOC_ARENA_MAX="7")[1] == "7"


def test_match_is_thrifty_before_arrow_is_loaded() -> None:
    """The limit is known to the allocators in time: an import too early would leave Arrow its own one."""
    assert say(_MATCH) == ["2", "system"]


@pytest.mark.parametrize(("limit", "is_thrifty"), [(500, True), (2_000, False)])
def test_the_plan_says_what_follows_from_the_limit(limit: int, is_thrifty: bool) -> None:
    """What is sorted at once grows with the limit, and thrift is named where there is some."""
    told = explain_memory(limit)
    assert f"sorted {limit // 5:,} MB at a time" in told
    assert ("memory goes back" in told) == is_thrifty
