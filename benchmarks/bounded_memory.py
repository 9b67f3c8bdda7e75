"""Whether `match` and a whole `run` get by with little memory, and what that costs.

Each is done twice from an empty store: *free*, as the parameters are; and *capped*, with `limits.memory_mb`
lowered and the data segment of every process limited by the system (`RLIMIT_DATA`: what a process asks for
beyond that fails, so a success is a proof). Then the tables are compared byte by byte, and the most memory
that all processes together held of their own must lie below `--tree-mb`. What fails is shown, too.

Files mapped into memory, the recipient index above all, aren't a process's own: they are in the system's
cache, which takes them back when it needs the room. What the whole tree held with them stands beside it.

    make bench-memory
    python -m benchmarks.bounded_memory --steps match --awards 1097500 --recipients 17000000
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

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
from sbir_toolkit.params import load_params
from sbir_toolkit.pipeline.stages import load_pipeline
from sbir_toolkit.storage import digest_file

STEPS = ("match", "run")


@dataclass(frozen=True)
class Compared:
    """One command, done freely and capped, and the tables whose bytes differ."""

    free: list[Measured]
    capped: list[Measured]
    tables: int
    differing: list[str]

    @property
    def faults(self) -> list[str]:
        """What went wrong in it: runs that failed, tables with other bytes."""
        runs = (("free", self.free), ("capped", self.capped))
        failed = [f"{way}: exit code {run.exit_code}" for way, each in runs for run in each if run.exit_code]
        return failed + [f"other bytes in {name}" for name in self.differing]


def main() -> None:
    """Make the files, measure both ways, compare, and store; exit with 1 when the bound doesn't hold."""
    options = _options()
    files = make_files(options.folder, options.awards, options.recipients, options.seed)
    machine = describe_machine()
    compared = {step: _compare(step, files, options) for step in options.steps}
    store(
        "bounded_memory",
        options,
        machine,
        {
            step: {way: [run.record() for run in getattr(found, way)] for way in ("free", "capped")}
            for step, found in compared.items()
        },
        {
            f"Memory, {options.awards:,} awards and {options.recipients:,} recipients": _table(
                compared, options
            )
        },
        notes=[
            f"free: parameters as they are; capped: limits.memory_mb={options.memory_mb}, "
            f"RLIMIT_DATA {options.cap_mb:,} MB for every process",
            "own MB: what the processes together share with no file; with files: PSS of the tree",
            "largest segment: VmData of any one process, which is capped; untouched room counts in it",
            *(f"{step}, capped, held at its peak: {_held(found.capped)}" for step, found in compared.items()),
        ],
    )
    faults = [f"{step}, {fault}" for step, found in compared.items() for fault in found.faults]
    held = max(run.own_mb for found in compared.values() for run in found.capped)
    if faults or held >= options.tree_mb:
        raise SystemExit(
            f"the bound doesn't hold: {held:,.0f} MB held; {'; '.join(faults) or 'no faults besides'}"
        )


def _options() -> argparse.Namespace:
    parser = make_parser(__doc__, repeats=1)
    parser.add_argument("--memory-mb", type=int, default=800, help="limits.memory_mb; default: %(default)s")
    parser.add_argument("--cap-mb", type=int, default=850, help="of each process; default: %(default)s")
    parser.add_argument("--tree-mb", type=int, default=1000, help="of all together; default: %(default)s")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS), help="default: both")
    return parser.parse_args()


def _compare(step: str, files: Path, options: argparse.Namespace) -> Compared:
    measured: dict[str, list[Measured]] = {"free": [], "capped": []}
    digests: dict[str, dict[str, str]] = {}
    for _ in range(options.repeats):
        for way, runs in measured.items():
            outputs = options.folder / f"memory-{way}"
            shutil.rmtree(outputs, ignore_errors=True)
            command = [*TOOLKIT, "--outputs", str(outputs), *_words(step, files, outputs)]
            if way == "capped":
                command += ["-p", f"limits.memory_mb={options.memory_mb}"]
            cap_mb = options.cap_mb if way == "capped" else None
            last = measure(command, data_mb=cap_mb, may_fail=True)
            runs.append(last)
            digests[way] = _digest_tables(outputs)
            ended = f"exit code {last.exit_code}: {last.printed.strip()[-300:]}" if last.exit_code else ""
            print(
                f"{step:<6} {way:<7} {last.wall_s:8.1f} s {last.own_mb:7.0f} MB of its own {ended}",
                flush=True,
            )
    names = sorted(digests["free"].keys() | digests["capped"].keys())
    differing = [name for name in names if digests["free"].get(name) != digests["capped"].get(name)]
    return Compared(measured["free"], measured["capped"], len(names), differing)


def _held(runs: list[Measured]) -> str:
    most = max(runs, key=lambda run: run.own_mb)
    return ", ".join(f"{name} {mb:,.0f} MB" for name, mb in most.held_mb)


def _words(step: str, files: Path, outputs: Path) -> list[str]:
    awards, recipients = str(files / "awards.csv"), str(files / "recipients.csv")
    if step == "match":
        return ["match", awards, recipients, "-o", str(outputs / "out.parquet")]
    return ["run", "params/full.yml", "-p", f"awards.path={awards}", "-p", f"recipients.path={recipients}"]


def _digest_tables(outputs: Path) -> dict[str, str]:
    """Digest what came out, but for the tables whose subject is the run itself."""
    stages = load_pipeline(PROJECT / "notebooks" / "pipeline.yml", load_params()).stages
    about_runs = {table for stage in stages if stage.measures_run for table in stage.writes}
    tables = [*outputs.glob("*.parquet"), *outputs.glob("runs/*/data/*.parquet")]
    return {path.stem: digest_file(path) for path in tables if path.stem not in about_runs}


def _table(compared: dict[str, Compared], options: argparse.Namespace) -> pd.DataFrame:
    rows = []
    for step, found in compared.items():
        for way in ("free", "capped"):
            runs: list[Measured] = getattr(found, way)
            ratios = [run.wall_s / free.wall_s for run, free in zip(runs, found.free, strict=True)]
            same = f"{found.tables - len(found.differing)} of {found.tables}"
            rows.append(
                {
                    "command": step,
                    "memory": way if way == "free" else f"{options.cap_mb:,} MB a process",
                    "own MB": spread([run.own_mb for run in runs], 0),
                    "largest segment": spread([run.segment_mb for run in runs], 0),
                    "with files": spread([run.peak_mb for run in runs], 0),
                    "wall s": spread([run.wall_s for run in runs]),
                    "CPU s": spread([run.cpu_s for run in runs]),
                    "wall / free": spread(ratios, 2),
                    "tables of the same bytes": same if way == "capped" else "-",
                }
            )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
