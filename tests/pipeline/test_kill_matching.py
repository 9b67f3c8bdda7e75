"""SIGKILL in the middle of matching: the truth afterwards, and the same bytes in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import open_run, read_run
from sbir_toolkit.storage import read_json, read_lines

ROOT = Path(__file__).parents[2]
STAGES = ("load_awards", "load_recipients", "match_recipients")
SMALL = ("-p", "synthetic.awards=1500", "-p", "synthetic.recipients=6000", "-p", "pipeline.parallel_stages=2")
CUT = ("-p", "compute.chunk_companies=15", "-p", "compute.scheduler=distributed", "-p", "compute.workers=2")


def command(outputs: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "sbir_toolkit.cli", "--outputs", str(outputs), *words]


def run_command(outputs: Path, *more: str) -> list[str]:
    only = [word for stage in STAGES for word in ("--only", stage)]
    return command(outputs, "run", "params/sample.yml", *SMALL, *only, *more)


def certified(outputs: Path) -> dict[str, str]:
    record = read_json(open_run(Project(ROOT, outputs)).record)
    return {made["table"]: made["digest"] for made in record["certificate"]["outputs"]}


def journal(outputs: Path) -> list[dict[str, object]]:
    return [line for path in outputs.glob("store/matching/*/journal.ndjson") for line in read_lines(path)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of a run that nobody disturbed, cut into other chunks and computed in threads."""
    outputs = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(run_command(outputs), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return certified(outputs)


def find_victim(runner: subprocess.Popen[bytes], kind: str) -> psutil.Process:
    below = psutil.Process(runner.pid).children(recursive=True)
    if kind == "runner":
        return psutil.Process(runner.pid)
    words = {"kernel": "ipykernel_launcher", "worker": "spawn_main"}[kind]
    return next(process for process in below if any(words in word for word in process.cmdline()))


@pytest.mark.parametrize("kind", ["kernel", "runner", "worker"])
def test_killed_in_the_middle_of_matching(tmp_path: Path, undisturbed: dict[str, str], kind: str) -> None:
    """Status tells what died, committed chunks are kept, and the data ends up as if nothing had happened."""
    outputs = tmp_path / "outputs"
    runner = subprocess.Popen(run_command(outputs, *CUT), cwd=ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(journal(outputs)) < 3:
        assert time.monotonic() < deadline and runner.poll() is None
        time.sleep(0.01)
    os.kill(find_victim(runner, kind).pid, signal.SIGKILL)
    exit_code = runner.wait(timeout=120)
    folder = open_run(Project(ROOT, outputs))
    record = read_run(folder)
    matching = record["stages"]["match_recipients"]
    if kind == "worker":
        # A cluster of our own replaces a dead worker; only the chunk it was at is computed again.
        assert (matching["status"], exit_code) == ("done", 0)
    else:
        assert matching["status"] == "died"
        assert record["stages"]["load_awards"]["status"] == "done"
        assert record["status"] == {"kernel": "failed", "runner": "interrupted"}[kind]
        survived = {line["key"] for line in journal(outputs)}
        subprocess.run(
            command(outputs, "resume"), cwd=ROOT, check=True, stdout=subprocess.DEVNULL, timeout=120
        )
        metrics = read_json(folder.metrics("match_recipients"))
        assert metrics["chunks_reused"] >= len(survived)
    committed = Counter(line["key"] for line in journal(outputs))
    assert set(committed.values()) == {1}
    assert len(committed) == read_json(folder.metrics("match_recipients"))["chunks"] > 10
    assert certified(outputs) == undisturbed
