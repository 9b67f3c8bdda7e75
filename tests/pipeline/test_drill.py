"""Runs that are broken on purpose recover, with nothing lost and nothing done twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sbir_toolkit.errors import ParameterError
from sbir_toolkit.pipeline.drill import FAULTS, Outcome, run_drills
from sbir_toolkit.pipeline.project import find_project

ROOT = Path(__file__).parents[2]
# The rest is run by hand: `sbir-toolkit drill`.
HARDEST = ("killed_runner", "killed_worker")


def test_the_hardest_faults_are_recovered_from(tmp_path: Path) -> None:
    """After SIGKILL in the middle of matching the tables end up as ever, and no chunk is computed twice."""
    command = [sys.executable, "-m", "sbir_toolkit.cli", "--outputs", str(tmp_path), "drill", *HARDEST]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(HARDEST)} of {len(HARDEST)} recovered" in done.stdout


def test_a_claim_that_does_not_hold_is_said() -> None:
    """A drill that shows a loss isn't called recovered."""
    claims = (("nothing was lost", True), ("each chunk was committed once", False))
    outcome = Outcome("killed_kernel", "a kernel is killed", claims, 1.0)
    assert not outcome.is_recovered
    assert "NOT each chunk was committed once" in str(outcome)


def test_unknown_faults_are_refused_by_name(tmp_path: Path) -> None:
    """Before anything runs, with the list of what can be broken."""
    with pytest.raises(ParameterError, match="full_disk"):
        next(iter(run_drills(find_project(tmp_path, ROOT), ["earthquake"], say=print)))
    assert set(HARDEST) < set(FAULTS)
