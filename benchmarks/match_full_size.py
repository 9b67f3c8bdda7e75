"""How long the matcher takes at full size, how much memory it needs, and how right it is.

Synthetic awards and recipients of full size are made once. Then, in turn and several times over: the floor
(`floor.py`), the matcher with a cold store (nothing kept), the matcher with the recipient index warm (no
chunk kept). What is printed is wall time and peak memory of the whole process tree, medians with their
spread, and the ratio to the floor of the same turn.

    make bench
    .venv/bin/python benchmarks/match_full_size.py --repeats 3 --awards 219500 --recipients 3400000
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sbir_toolkit import write_synthetic
from sbir_toolkit.meter import TreeSampler
from sbir_toolkit.quality import wilson_interval

HERE = Path(__file__).parent
PEERS = HERE.parent / ".venv-peers" / "bin" / "python"


def main() -> None:
    """Make the files, measure in turn, print the table and the accuracy."""
    options = _options()
    folder = Path(options.folder)
    files = folder / f"{options.awards}x{options.recipients}"
    if not (files / "truth.csv").exists():
        print(
            f"writing {options.awards:,} awards and {options.recipients:,} recipients to {files}", flush=True
        )
        write_synthetic(files, awards=options.awards, recipients=options.recipients, seed=options.seed)
    measured: dict[str, list[tuple[float, float]]] = {"floor": [], "cold": [], "warm": []}
    for turn in range(options.repeats):
        for name, command in _commands(files, folder).items():
            if name == "cold":
                shutil.rmtree(folder / "outputs", ignore_errors=True)
            if name == "warm":
                shutil.rmtree(folder / "outputs" / "store" / "matching")
            measured[name].append(_measure(command))
            print(
                f"turn {turn + 1} {name:<6} {measured[name][-1][0]:7.2f} s {measured[name][-1][1]:8.0f} MB",
                flush=True,
            )
    _print_table(measured)
    _print_accuracy(folder / "out.parquet", files / "truth.csv")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--awards", type=int, default=219_500)
    parser.add_argument("--recipients", type=int, default=3_400_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--folder", default="outputs/bench", help="where files and results go (default: %(default)s)"
    )
    return parser.parse_args()


def _commands(files: Path, folder: Path) -> dict[str, list[str]]:
    inputs = [str(files / "awards.csv"), str(files / "recipients.csv")]
    match = [sys.executable, "-m", "sbir_toolkit.cli", "--outputs", str(folder / "outputs"), "match", *inputs]
    match += ["-o", str(folder / "out.parquet")]
    return {
        "floor": [str(PEERS), str(HERE / "floor.py"), *inputs, str(folder / "floor.parquet")],
        "cold": match,
        "warm": match,
    }


def _measure(command: Sequence[str]) -> tuple[float, float]:
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    sampler = TreeSampler(process.pid, 0.05).start()
    code = process.wait()
    elapsed = time.perf_counter() - started
    sampler.stop()
    if code:
        raise SystemExit(f"{' '.join(command)} ended with exit code {code}")
    return elapsed, sampler.peak_bytes_ / 1e6


def _print_table(measured: dict[str, list[tuple[float, float]]]) -> None:
    floor = [elapsed for elapsed, _ in measured["floor"]]
    print(f"\n{'':<6} {'wall s':>22} {'peak MB':>9} {'wall / floor':>22}")
    for name, runs in measured.items():
        walls = [elapsed for elapsed, _ in runs]
        ratios = [elapsed / least for elapsed, least in zip(walls, floor, strict=True)]
        print(f"{name:<6} {_spread(walls):>22} {max(peak for _, peak in runs):>9.0f} {_spread(ratios):>22}")


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def _print_accuracy(matches_file: Path, truth_file: Path) -> None:
    matches = pd.read_parquet(matches_file)
    truth = pd.read_csv(truth_file, dtype=str).query("is_rejected == '0'").reset_index(drop=True)
    accepted = matches["decision"] == "accept"
    right = accepted & (matches["recipient_id"] == truth["recipient_hash"])
    by_name = ~matches["tier"].isin(["uei", "duns"])
    linkable = truth["recipient_hash"].notna()
    named = linkable & (truth["noise"] != "rename") & by_name
    print()
    for label, hits, cases in (
        ("precision of accepted links", right, accepted),
        ("precision of those by name", right & by_name, accepted & by_name),
        ("recall by name, renames apart", right & named, named),
        ("linked though without counterpart", accepted & ~linkable, ~linkable),
    ):
        low, high = wilson_interval(int(hits.sum()), int(cases.sum()), 0.95)
        print(f"{label:<34} {hits.sum() / cases.sum():.4f} ({low:.4f}-{high:.4f}), n = {cases.sum():,}")


if __name__ == "__main__":
    main()
