"""A hundred runs that are killed at random moments, and whether each one recovers.

Each trial runs the first stages of the real pipeline (reading both files and matching, with their notebooks)
in a folder of its own. At a uniformly random moment SIGKILL goes to one of its processes: the runner, a
notebook's kernel, or a worker where there are any at that moment. Then `resume` (or `run`, where the run was
killed before it had a record) brings it to its end; in a third of the trials that is killed as well, and
asked again. What must hold in the end:

- every table has the bytes of a run that nobody disturbed;
- no chunk was computed twice that had been committed: each has one line in the journal and at most one event,
  and no committed part was written again;
- as many awards and companies as before, each once: the run's certificate is complete.

Every other trial finds what the reading stages made, so that most of its moments fall into matching. A third
of the trials each use Dask's `distributed`, `processes` and `threads`, with chunks of another size.

    make bench-kills
    python -m benchmarks.kill_loop --runs 100 --seed 1
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil

from benchmarks.measuring import PROJECT, TOOLKIT, describe_machine, make_files, make_parser
from benchmarks.results import store
from sbir_toolkit.pipeline.nursery import KERNEL_NAME
from sbir_toolkit.storage import read_json, read_lines

STAGES = ("load_awards", "load_recipients", "match_recipients")
SCHEDULERS = ("distributed", "processes", "threads")
_LIMIT_S = 600.0


@dataclass
class Trial:
    """One run that is killed once or twice, and what is wrong in the end (nothing, it is hoped)."""

    number: int
    scheduler: str
    chunk_companies: int
    is_prepared: bool
    killed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Ground:
    """A folder of outputs, and the commands that are given in it."""

    def __init__(self, outputs: Path, files: Path) -> None:
        self.outputs = outputs
        self._files = files

    def run(self, scheduler: str, chunk_companies: int, stages: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a run."""
        words = [word for stage in stages for word in ("--only", stage)]
        for setting in (
            "name=kills",
            f"awards.path={self._files / 'awards.csv'}",
            f"recipients.path={self._files / 'recipients.csv'}",
            f"compute.scheduler={scheduler}",
            f"compute.chunk_companies={chunk_companies}",
            "compute.workers=2",
        ):
            words += ["-p", setting]
        return self._start("run", "params/base.yml", *words)

    def go_on(self, trial: Trial, runs_before: int) -> subprocess.Popen[bytes]:
        """Resume the newest run, or start it where it hadn't come so far as to have a record."""
        if self.count_runs() == runs_before:
            return self.run(trial.scheduler, trial.chunk_companies, STAGES)
        return self._start("resume")

    def count_runs(self) -> int:
        """Count the runs that have a record."""
        return len(self._records())

    def tables(self) -> dict[str, str]:
        """Give the digest of each table that the newest run's certificate vouches for."""
        newest = max((read_json(path) for path in self._records()), key=lambda record: record["created"])
        return {made["table"]: made["digest"] for made in newest["certificate"]["outputs"]}

    def parts(self) -> dict[str, int]:
        """Give each committed chunk's part and when it was written."""
        found = {}
        for path in self.outputs.glob("store/matching/*/journal.ndjson"):
            for line in read_lines(path):
                if "digest" in line:
                    part = path.with_name(f"part-{line['key']}.parquet")
                    found[str(line["key"])] = part.stat().st_mtime_ns
        return found

    def most_often(self) -> tuple[int, int]:
        """Give how many lines and how many events the chunk has that has most of each."""
        lines = Counter(
            line["key"]
            for path in self.outputs.glob("store/matching/*/journal.ndjson")
            for line in read_lines(path)
            if "digest" in line
        )
        events = Counter(
            event["chunk"]
            for path in self.outputs.glob("runs/*/events.ndjson")
            for event in read_lines(path)
            if event["kind"] == "chunk"
        )
        return max(lines.values(), default=0), max(events.values(), default=0)

    def _records(self) -> list[Path]:
        return list(self.outputs.glob("runs/*/run.json"))

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        self.outputs.mkdir(parents=True, exist_ok=True)
        with (self.outputs / "said.txt").open("ab") as said:
            command = [*TOOLKIT, "--outputs", str(self.outputs), *words]
            return subprocess.Popen(command, cwd=PROJECT, stdout=said, stderr=subprocess.STDOUT)


def kill_one(process: subprocess.Popen[bytes], after_s: float, chance: random.Random) -> str:
    """Wait for the moment, kill a random one of the processes; says which, or that all was over by then."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after_s)
        return "nobody: it was over"
    runner = psutil.Process(process.pid)
    alive = {"runner": [runner]}
    for child in runner.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if child.name() == KERNEL_NAME:
                alive.setdefault("kernel", []).append(child)
            elif "spawn_main" in " ".join(child.cmdline()):
                alive.setdefault("worker", []).append(child)
    kind = chance.choice(sorted(alive))
    with contextlib.suppress(psutil.NoSuchProcess):
        chance.choice(alive[kind]).send_signal(signal.SIGKILL)
    return kind


def try_once(trial: Trial, ground: Ground, undisturbed: dict[str, str], lasts_s: float, seed: int) -> Trial:
    """Run, kill, resume, perhaps kill and resume again; note what isn't as it must be."""
    chance = random.Random(f"{seed}-{trial.number}")
    runs_before = ground.count_runs()
    process = ground.run(trial.scheduler, trial.chunk_companies, STAGES)
    kills = 1 + (chance.random() < 1 / 3)
    committed: dict[str, int] = {}
    for _ in range(kills):
        trial.killed.append(kill_one(process, chance.uniform(0, lasts_s), chance))
        process.wait(_LIMIT_S)
        committed |= ground.parts()
        process = ground.go_on(trial, runs_before)
    if process.wait(_LIMIT_S) != 0:
        trial.wrong.append(f"'resume' ended with exit code {process.returncode}")
        return trial
    if ground.tables() != undisturbed:
        trial.wrong.append("a table differs from the undisturbed run")
    now = ground.parts()
    trial.wrong += [f"chunk {key} was written again" for key, at in committed.items() if now[key] != at]
    lines, events = ground.most_often()
    if lines != 1 or events > 1:
        trial.wrong.append(f"a chunk has {lines} lines in the journal and {events} events")
    return trial


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the trials and say how many recovered."""
    parser = make_parser(__doc__, repeats=None)
    parser.set_defaults(awards=1_000, recipients=3_000)
    parser.add_argument("--runs", type=int, default=100, help="trials; default: %(default)s")
    parser.add_argument("--lanes", type=int, default=2, help="trials at once; default: %(default)s")
    options = parser.parse_args(arguments)
    files = make_files(options.folder, options.awards, options.recipients, options.seed)
    home = options.folder / "kill_loop"
    shutil.rmtree(home, ignore_errors=True)
    machine = describe_machine()
    undisturbed, lasts_s = _undisturbed(home, files)
    print(
        f"undisturbed: {len(undisturbed)} tables in {lasts_s[False]:.1f} s; "
        f"{lasts_s[True]:.1f} s where the files had been read",
        flush=True,
    )

    def one(number: int) -> Trial:
        trial = Trial(
            number, SCHEDULERS[number % len(SCHEDULERS)], (20, 30, 50)[number // 3 % 3], number % 2 == 1
        )
        ground = Ground(home / f"trial-{number}", files)
        if trial.is_prepared:
            shutil.copytree(home / "prepared", ground.outputs, symlinks=True)
        return try_once(trial, ground, undisturbed, lasts_s[trial.is_prepared], options.seed)

    trials = []
    with ThreadPoolExecutor(options.lanes) as pool:
        for trial in pool.map(one, range(options.runs)):
            trials.append(trial)
            print(
                f"{trial.number:>4} {trial.scheduler:<11} killed: {', '.join(trial.killed):<30} "
                f"{'; '.join(trial.wrong) or 'recovered'}",
                flush=True,
            )
            if not trial.wrong:
                shutil.rmtree(home / f"trial-{trial.number}")
    _report(trials, options, machine)


def _undisturbed(home: Path, files: Path) -> tuple[dict[str, str], dict[bool, float]]:
    """Make the tables that all must come to, what the prepared trials start from, and how long both take."""
    prepared = Ground(home / "prepared", files)
    _finish(prepared.run("threads", 0, STAGES[:2]))
    both = {False: Ground(home / "undisturbed", files), True: Ground(home / "undisturbed-prepared", files)}
    shutil.copytree(prepared.outputs, both[True].outputs, symlinks=True)
    with ThreadPoolExecutor(2) as pool:
        started = {is_prepared: pool.submit(_time, ground) for is_prepared, ground in both.items()}
        lasts_s = {is_prepared: took.result() for is_prepared, took in started.items()}
    tables = both[False].tables()
    if both[True].tables() != tables:
        raise SystemExit("two undisturbed runs differ")
    return tables, lasts_s


def _time(ground: Ground) -> float:
    started = time.monotonic()
    _finish(ground.run("distributed", 30, STAGES))
    return time.monotonic() - started


def _finish(process: subprocess.Popen[bytes]) -> None:
    if process.wait(_LIMIT_S):
        raise SystemExit(f"an undisturbed run ended with exit code {process.returncode}")


def _report(trials: Sequence[Trial], options: argparse.Namespace, machine: dict[str, object]) -> None:
    victims = Counter(victim for trial in trials for victim in trial.killed)
    table = pd.DataFrame(
        [
            {
                "scheduler": scheduler,
                "runs": len(own),
                "killed twice": sum(len(trial.killed) > 1 for trial in own),
                "recovered": sum(not trial.wrong for trial in own),
            }
            for scheduler in SCHEDULERS
            if (own := [trial for trial in trials if trial.scheduler == scheduler])
        ]
    )
    killed = sum(count for victim, count in victims.items() if not victim.startswith("nobody"))
    recovered = sum(not trial.wrong for trial in trials)
    notes = [
        f"{recovered} of {len(trials)} runs recovered from {killed} kills: "
        + ", ".join(f"{victim} {count}" for victim, count in victims.most_common()),
        *(f"trial {trial.number}: {wrong}" for trial in trials for wrong in trial.wrong),
    ]
    measured = {"trials": [vars(trial) for trial in trials]}
    store("kill_loop", options, machine, measured, {"Runs that were killed": table}, notes=notes)
    raise SystemExit(recovered != len(trials))


if __name__ == "__main__":
    main()
