"""What a Dask cluster costs beside threads of one process, and that the result is the same to the byte.

A scheduler and two workers are started with the commands of the README, on this machine. Then, in turn and
several times over, `match` runs with its index known and its awards new:

- *threads*, *processes*, *distributed*: two workers of this machine;
- *cluster*: the scheduler's address;
- *disturbed*: the same, but one worker is killed when half of the chunks are done, and another is added.

What is shown is the time of the whole command and of the matching in it, medians with their range, and both
beside threads in the same turn. All results must have the same digest.

    make bench-cluster
    python -m benchmarks.cluster --repeats 5 --awards 50000 --recipients 500000
"""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from distributed import Client

from benchmarks.measuring import (
    PROJECT,
    TOOLKIT,
    Measured,
    describe_machine,
    make_files,
    make_parser,
    measure,
    spread,
)
from benchmarks.results import store
from sbir_toolkit.meter import EVENTS_VARIABLE
from sbir_toolkit.storage import digest_file, read_lines

ADDRESS = "tcp://127.0.0.1:8786"
WAYS = ("threads", "processes", "distributed", "cluster", "disturbed")
_CHUNKS = 8
_START_S = 60


@dataclass(frozen=True)
class Turn:
    """What one run took, the matching in it, and the digest of its result."""

    whole: Measured
    matching_s: float
    digest: str


class Cluster:
    """A scheduler and workers, as somebody would start them who reads the README."""

    def __init__(self) -> None:
        self._processes = [_start("dask scheduler")]
        self._client = Client(ADDRESS, timeout=_START_S)
        self.workers: list[subprocess.Popen[bytes]] = []

    def add_worker(self) -> None:
        """Start one more worker."""
        self.workers.append(_start("dask worker"))

    def wait_for(self, workers: int) -> None:
        """Wait until just so many workers are there; one that was killed is missed after a while."""
        until = time.monotonic() + _START_S
        while len(self._client.nthreads()) != workers:
            if time.monotonic() > until:
                raise SystemExit(f"the cluster has {len(self._client.nthreads())} workers, not {workers}")
            time.sleep(0.05)

    def kill_worker(self) -> None:
        """Kill the oldest worker, and the nanny that would start it anew."""
        _kill(self.workers.pop(0))

    def stop(self) -> None:
        """Stop all that was started."""
        self._client.close()
        for process in (*self.workers, *self._processes):
            _kill(process)


def main() -> None:
    """Make the files, measure in turn, compare, and store."""
    options = make_parser(__doc__, repeats=3).parse_args()
    files = make_files(options.folder, options.awards, options.recipients, options.seed)
    machine = describe_machine()
    turns: dict[str, list[Turn]] = {way: [] for way in WAYS}
    with _cluster() as cluster:
        _match("threads", files, options.folder)  # makes the index, which all of them find
        for number in range(options.repeats):
            for way in WAYS:
                cluster.wait_for(2)
                disturber = _disturb(cluster, options.folder) if way == "disturbed" else None
                turns[way].append(_match(way, files, options.folder))
                if disturber is not None:
                    disturber.join()
                took = turns[way][-1]
                print(f"turn {number + 1} {way:<12} {took.whole.wall_s:7.2f} s", flush=True)
    digests = {turn.digest for all_turns in turns.values() for turn in all_turns}
    if len(digests) != 1:
        raise SystemExit(f"the results differ: {sorted(digests)}")
    store(
        "cluster",
        options,
        machine,
        {
            way: [turn.whole.record() | {"matching_s": turn.matching_s} for turn in all_turns]
            for way, all_turns in turns.items()
        },
        {f"Two workers, {options.awards:,} awards and {options.recipients:,} recipients": _times(turns)},
    )
    print(f"all {sum(map(len, turns.values()))} results have the digest {digests.pop()}")


@contextlib.contextmanager
def _cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    try:
        cluster.add_worker()
        cluster.add_worker()
        cluster.wait_for(2)
        yield cluster
    finally:
        cluster.stop()


def _match(way: str, files: Path, folder: Path) -> Turn:
    shutil.rmtree(_journals(folder), ignore_errors=True)
    events, out = folder / "cluster-events.ndjson", folder / "cluster.parquet"
    events.unlink(missing_ok=True)
    os.environ[EVENTS_VARIABLE] = str(events)
    scheduler = ADDRESS if way in ("cluster", "disturbed") else way
    companies = 1 + _companies(files) // _CHUNKS
    whole = measure(
        [
            *TOOLKIT,
            *("--outputs", folder / "cluster-outputs", "match"),
            *(files / "awards.csv", files / "recipients.csv", "-o", out),
            *("-p", f"compute.scheduler={scheduler}", "-p", "compute.workers=2"),
            *("-p", f"compute.chunk_companies={companies}"),
        ]
    )
    matching = [
        event for event in read_lines(events) if event["kind"] == "phase" and event["phase"] == "match"
    ]
    return Turn(whole, float(matching[-1]["elapsed_s"]), digest_file(out))


def _disturb(cluster: Cluster, folder: Path) -> threading.Thread:
    """Kill one worker when half of the chunks are done, and add another one."""

    def act() -> None:
        while len(_committed(folder)) < _CHUNKS // 2:
            time.sleep(0.02)
        cluster.kill_worker()
        cluster.add_worker()

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


def _committed(folder: Path) -> list[str]:
    found = list(_journals(folder).glob("*/journal.ndjson"))
    return [str(line["key"]) for line in read_lines(found[0])] if found else []


def _journals(folder: Path) -> Path:
    return folder / "cluster-outputs" / "store" / "matching"


@functools.cache
def _companies(files: Path) -> int:
    # About as many as there are names; what matters is that all ways have the same chunks.
    return int(pd.read_csv(files / "awards.csv", usecols=["Company"])["Company"].nunique())


def _start(command: str) -> subprocess.Popen[bytes]:
    """Start one of the commands that stand in the README, in a process group of its own."""
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith(command))
    words = shlex.split(line, comments=True)
    return subprocess.Popen(
        [Path(sys.executable).with_name(words[0]), *words[1:]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _times(turns: dict[str, list[Turn]]) -> pd.DataFrame:
    rows = []
    for way, runs in turns.items():
        pairs = list(zip(runs, turns["threads"], strict=True))
        rows.append(
            {
                "scheduler": way,
                "match s": spread([run.whole.wall_s for run in runs]),
                "of it matching s": spread([run.matching_s for run in runs], 2),
                "match / threads": spread([run.whole.wall_s / least.whole.wall_s for run, least in pairs], 2),
                "matching above threads, s": spread(
                    [run.matching_s - least.matching_s for run, least in pairs], 2
                ),
            }
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
