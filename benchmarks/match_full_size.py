"""How long the matcher and the pipeline take at full size, how much memory they need, and how right they are.

Synthetic awards and recipients of full size are made once. Then, in turn and several times over:

- *floor*: DuckDB reads both files, joins on UEI and DUNS, and writes (`peers/floor.py`);
- *cold*: `match` with an empty store;
- *warm*: `match` with the recipients known, the awards new;
- *run*: the whole pipeline, all notebooks and reports, from an empty store.

What is shown is wall and CPU time and peak memory of the process tree, medians with their range, the ratio to
the floor of the same turn, and how right the links are (`judge`).

    make bench
    python -m benchmarks.match_full_size --repeats 3 --awards 219500 --recipients 3400000
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import pandas as pd

from benchmarks.judge import judge, read_links, read_truth
from benchmarks.measuring import (
    TOOLKIT,
    Measured,
    describe_machine,
    make_files,
    make_parser,
    measure,
    spread,
)
from benchmarks.peers import peer_command, peer_versions
from benchmarks.results import accuracy_table, kinds_table, store

STEPS = ("floor", "cold", "warm", "run")


def main() -> None:
    """Make the files, measure in turn, judge, and store."""
    options = _options()
    files = make_files(options.folder, options.awards, options.recipients, options.seed)
    machine = describe_machine()
    commands = _commands(files, options.folder)
    measured: dict[str, list[Measured]] = {step: [] for step in options.steps}
    for turn in range(options.repeats):
        for step in options.steps:
            _prepare(step, options.folder)
            measured[step].append(measure(commands[step]))
            last = measured[step][-1]
            print(f"turn {turn + 1} {step:<6} {last.wall_s:8.2f} s {last.peak_mb:8.0f} MB", flush=True)
    truth = read_truth(files)
    floor, ours = (read_links(options.folder / f"{name}.parquet", truth) for name in ("floor", "out"))
    judgement = judge(ours, floor, truth)
    store(
        "match_full_size",
        options,
        {**machine, "peers": {"floor": peer_versions("floor")}},
        {step: [run.record() for run in runs] for step, runs in measured.items()},
        {
            f"Time and memory, {options.awards:,} awards and {options.recipients:,} recipients": _times(
                measured
            ),
            "How right the links are": accuracy_table({"match": judgement}),
            "By kind of noise, awards left to names": kinds_table(judgement),
        },
    )


def _options() -> argparse.Namespace:
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument(
        "--steps",
        type=lambda text: _known_steps(text.split(",")),
        default=list(STEPS),
        help="some of floor,cold,warm,run; floor and cold must be there; default: all",
    )
    return parser.parse_args()


def _known_steps(steps: list[str]) -> list[str]:
    if not {"floor", "cold"} <= set(steps) <= set(STEPS):
        raise argparse.ArgumentTypeError(f"expected floor,cold and perhaps warm,run; got {','.join(steps)}")
    return [step for step in STEPS if step in steps]


def _commands(files: Path, folder: Path) -> dict[str, list[str]]:
    awards, recipients = str(files / "awards.csv"), str(files / "recipients.csv")
    match = [*TOOLKIT, "--outputs", str(folder / "outputs"), "match", awards, recipients]
    match += ["-o", str(folder / "out.parquet")]
    run = [*TOOLKIT, "--outputs", str(folder / "run-outputs"), "run", "params/full.yml"]
    run += ["-p", f"awards.path={awards}", "-p", f"recipients.path={recipients}"]
    floor = [*peer_command("floor"), awards, recipients, str(folder / "floor.parquet")]
    return {"floor": floor, "cold": match, "warm": match, "run": run}


def _prepare(step: str, folder: Path) -> None:
    if step == "cold":
        shutil.rmtree(folder / "outputs", ignore_errors=True)
    if step == "warm":
        shutil.rmtree(folder / "outputs" / "store" / "matching")
    if step == "run":
        shutil.rmtree(folder / "run-outputs", ignore_errors=True)


def _times(measured: dict[str, list[Measured]]) -> pd.DataFrame:
    rows = []
    for step, runs in measured.items():
        ratios = [run.wall_s / least.wall_s for run, least in zip(runs, measured["floor"], strict=True)]
        rows.append(
            {
                "step": step,
                "wall s": spread([run.wall_s for run in runs]),
                "CPU s": spread([run.cpu_s for run in runs]),
                "peak MB": spread([run.peak_mb for run in runs], 0),
                "wall / floor": spread(ratios, 2),
            }
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
