"""Running one command and measuring it, the files it is run on, and the machine it ran on."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from sbir_toolkit import write_synthetic
from sbir_toolkit.meter import TreeSampler, usable_cores
from sbir_toolkit.versions import DECIDING_LIBRARIES, code_version, library_versions

PROJECT = Path(__file__).parents[1]
TOOLKIT = [sys.executable, "-m", "sbir_toolkit.cli"]


# Sets the limit and becomes the command.
_CAPPED = (
    "import os, resource, sys; limit = int(sys.argv[1]);"
    "resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)); os.execv(sys.argv[2], sys.argv[2:])"
)


@dataclass(frozen=True)
class Measured:
    """What one command took: wall and CPU time, the most memory its process tree held, what it printed.

    `own_mb` is the part of the memory that the processes share with no file, `held_mb` what each of them had
    of it at that moment, `segment_mb` the largest data segment that any one of them ever had.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    own_mb: float
    held_mb: list[tuple[str, float]]
    segment_mb: float
    printed: str
    exit_code: int

    def record(self) -> dict[str, Any]:
        """Give the figures, for a result file."""
        figures = asdict(self)
        figures.pop("printed")
        return figures


def measure(command: Sequence[str | Path], *, data_mb: int | None = None, may_fail: bool = False) -> Measured:
    """Run a command to its end and measure it.

    Memory is sampled over the whole process tree every 50 ms, shared pages counted once. The machine is
    taken as it is: `make` these on one that does nothing else.

    Parameters
    ----------
    command
        Its words.
    data_mb
        No process of it may have more data of its own than this (`RLIMIT_DATA`).
    may_fail
        Whether a failure is a result, too.

    Raises
    ------
    SystemExit
        When the command fails and may not; what it said goes to standard error.
    """
    words = [str(word) for word in command]
    if data_mb is not None:
        words = [sys.executable, "-c", _CAPPED, str(data_mb * 1_000_000), *words]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    # As anybody would run it: Python may keep what it compiled.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=PROJECT, env=environment)
    sampler = TreeSampler(process.pid, 0.05).start()
    own = _OwnMemory(process.pid)
    own.start()
    printed, _ = process.communicate()
    elapsed = time.perf_counter() - started
    sampler.stop()
    own.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode and not may_fail:
        raise SystemExit(f"{printed}\n{' '.join(words)} ended with exit code {process.returncode}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(
        elapsed,
        max(cpu_s, sampler.last_.cpu_s),
        sampler.peak_bytes_ / 1e6,
        own.peak_mb_,
        own.held_mb_,
        own.segment_mb_,
        printed,
        process.returncode,
    )


class _OwnMemory(threading.Thread):
    """Watches until a process ends how much memory its tree shares with no file.

    `peak_mb_` is the most, `held_mb_` what each process had of it, `segment_mb_` the largest data segment.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._root = psutil.Process(pid)
        self.peak_mb_ = 0.0
        self.held_mb_: list[tuple[str, float]] = []
        self.segment_mb_ = 0.0

    def run(self) -> None:
        """Look every 100 ms."""
        with contextlib.suppress(psutil.NoSuchProcess):
            while self._root.status() != psutil.STATUS_ZOMBIE:
                held = []
                for process in [self._root, *self._root.children(recursive=True)]:
                    with contextlib.suppress(psutil.NoSuchProcess, OSError):  # one that ended meanwhile
                        # What forks share is counted once.
                        held.append((process.name(), _told_mb(process.pid, "smaps_rollup", "Pss_Anon")))
                        segment = _told_mb(process.pid, "status", "VmData")
                        self.segment_mb_ = max(self.segment_mb_, segment)
                own_mb = sum(mb for _, mb in held)
                if own_mb > self.peak_mb_:
                    self.peak_mb_, self.held_mb_ = own_mb, held
                time.sleep(0.1)


def _told_mb(pid: int, file: str, name: str) -> float:
    """Read what the system (Linux) tells of a process's memory."""
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0  # it has ended, and has no memory anymore


def make_files(folder: Path, awards: int, recipients: int, seed: int) -> Path:
    """Write the synthetic files of these sizes, once; give their folder."""
    files = folder / f"{awards}x{recipients}"
    if not (files / "truth.csv").exists():
        print(f"writing {awards:,} awards and {recipients:,} recipients to {files}", flush=True)
        write_synthetic(files, awards=awards, recipients=recipients, seed=seed)
    return files


def make_parser(description: str | None, repeats: int | None) -> argparse.ArgumentParser:
    """Make the parser of the options that all benchmarks have."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--awards", type=int, default=219_500, help="default: %(default)s")
    parser.add_argument("--recipients", type=int, default=3_400_000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=7, help="of the synthetic files; default: %(default)s")
    if repeats is not None:  # what measures once has no such option
        parser.add_argument("--repeats", type=int, default=repeats, help="default: %(default)s")
    parser.add_argument(
        "--folder",
        type=lambda text: Path(text).resolve(),
        default=PROJECT / "outputs" / "bench",
        help="where files and results go; default: outputs/bench",
    )
    return parser


def describe_machine() -> dict[str, Any]:
    """Say what was measured and where: machine, load, versions, commit."""
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_before": round(psutil.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "toolkit": code_version(PROJECT),
        "libraries": library_versions(DECIDING_LIBRARIES),
    }


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Give median and range as text."""
    median = f"{statistics.median(values):,.{digits}f}"
    return f"{median} ({min(values):,.{digits}f}-{max(values):,.{digits}f})" if len(values) > 1 else median


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
