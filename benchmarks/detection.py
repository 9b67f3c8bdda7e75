"""Whether `bench` is right on this very machine: nothing has changed, or one phase takes 15 % longer.

First a baseline is measured and stored, as the first `bench` on a machine does. Both kinds of comparison are
then made in turn, each a whole `bench` with its own verdict against a copy of that history:

- *unchanged*: the code that is here, which is what the baseline was measured with;
- *slower*: the same, but one phase of the code here is kept busy for a share of its own time (`slowed`); the
  phases take turns from comparison to comparison.

Counted are verdicts of regression where nothing has changed, and slow-downs found in the phase where they
are. Each comparison is written down when it is done; asked again, the benchmark goes on where it stopped.
Commit first.

    make bench-detection
    python -m benchmarks.detection --comparisons 20 --slower 0.15
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from benchmarks.measuring import PROJECT
from sbir_toolkit.matching.accuracy.intervals import wilson_interval
from sbir_toolkit.params import Params
from sbir_toolkit.performance import Patience
from sbir_toolkit.pipeline.benches import Bench, run_bench
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.repeats import CHILD
from sbir_toolkit.pipeline.workload import Workload
from sbir_toolkit.storage import append_line, read_lines
from sbir_toolkit.versions import code_version

PHASES = (
    ("accuracy", "score"),
    ("match_recipients", "match"),
    ("accuracy", "candidates"),
    ("match_recipients", "score"),
    ("accuracy", "accuracy_match"),
)
KINDS = ("unchanged", "slower")
_BASELINE = Patience(screening=12, longest_screening=15)


def main() -> None:
    """Compare until there are enough comparisons of each kind, or time is up; print the counts."""
    options = _options()
    code = code_version(PROJECT)
    if code["is_dirty"]:
        sys.exit("commit first: what is here would differ from what it is compared with")
    options.folder.mkdir(parents=True, exist_ok=True)
    notes = options.folder / "detection.ndjson"
    settings = {"slower": options.slower, "awards": options.awards, "recipients": options.recipients}
    until = time.monotonic() + options.minutes * 60
    baseline = _baseline(options, code["digest"])
    for number in range(options.comparisons):
        for kind in KINDS:
            done = {(one["kind"], one["number"]) for one in _read(notes, settings, code["digest"])}
            if (kind, number) not in done and time.monotonic() < until:
                append_line(
                    notes, {**settings, **_compare(kind, number, options, baseline), "code": code["digest"]}
                )
    _show(_read(notes, settings, code["digest"]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--comparisons", type=int, default=20, help="of each kind; default: %(default)s")
    parser.add_argument("--slower", type=float, default=0.15, help="share; default: %(default)s")
    parser.add_argument("--awards", type=int, default=3_000, help="default: %(default)s")
    parser.add_argument("--recipients", type=int, default=30_000, help="default: %(default)s")
    parser.add_argument(
        "--minutes", type=float, default=1e6, help="no comparison is begun later; the next call goes on"
    )
    parser.add_argument(
        "--folder",
        type=lambda text: Path(text).resolve(),
        default=PROJECT / "outputs" / "bench",
        help="where files and results go; default: outputs/bench",
    )
    return parser.parse_args()


def _baseline(options: argparse.Namespace, code: str) -> Path:
    """Measure this code for the first time; give the history that knows it."""
    own = f"{options.awards}x{options.recipients}-{code.rpartition(':')[2][:12]}"
    kept = options.folder / f"detection-{own}.sqlite"
    if not kept.exists():
        print("measuring the baseline", flush=True)
        unfinished = kept.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        _bench(options, unfinished, CHILD, _BASELINE)
        whole = kept.with_suffix(".whole")
        with closing(sqlite3.connect(unfinished)) as source, closing(sqlite3.connect(whole)) as target:
            source.backup(target)
        whole.rename(kept)
    return kept


def _bench(
    options: argparse.Namespace, history: Path, child: tuple[str, ...], patience: Patience | None = None
) -> Bench:
    return run_bench(
        Project(PROJECT, options.folder / "outputs"),
        Params.model_validate({"performance": {"history_url": f"sqlite:///{history}"}}),
        Workload("detection", options.awards, options.recipients),
        say=_say_what_is_open,
        patience=patience,
        child=child,
    )


def _say_what_is_open(line: str) -> None:
    if "suspect" in line or "open" in line:
        print(f"  {line}", flush=True)


def _compare(kind: str, number: int, options: argparse.Namespace, baseline: Path) -> dict[str, Any]:
    stage, phase = PHASES[number % len(PHASES)]
    child: tuple[str, ...] = CHILD
    if kind == "slower":
        child = (sys.executable, "-m", "benchmarks.slowed", stage, phase, str(options.slower))
    load, began = psutil.getloadavg()[0], time.monotonic()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        # No comparison learns from another one.
        history = shutil.copy(baseline, Path(folder) / "history.sqlite")
        found = _bench(options, history, child)
    regressions = found.verdicts.regressions
    is_there = (regressions["stage"] == stage) & (regressions["phase"] == phase)
    told = {
        "kind": kind,
        "number": number,
        "where": f"{stage}/{phase}" if kind == "slower" else "",
        "verdict": found.verdict,
        "is_found": bool(is_there.any()),
        "regressions": regressions["id"].tolist(),
        "change_share": regressions.loc[is_there, "change_share"].tolist(),
        "turns": found.repeats,
        "elapsed_s": time.monotonic() - began,
        "load": load,
    }
    print(
        f"{kind:<10} {number + 1:>3} {told['where']:<30} {found.verdict:<12} {found.repeats:>3} turns"
        f" {told['elapsed_s']:6.0f} s  {', '.join(told['regressions'])}",
        flush=True,
    )
    return told


def _read(notes: Path, settings: dict[str, Any], code: str) -> list[dict[str, Any]]:
    return [one for one in read_lines(notes) if one["code"] == code and settings.items() <= one.items()]


def _show(done: list[dict[str, Any]]) -> None:
    rows = []
    for kind in KINDS:
        own = [one for one in done if one["kind"] == kind]
        if own:
            hits = sum(one["is_found"] if kind == "slower" else one["verdict"] == "regression" for one in own)
            low, high = wilson_interval(hits, len(own), 0.95)
            turns = [one["turns"] for one in own]
            rows.append(
                {
                    "comparisons": f"{len(own)} {kind}",
                    "counted": "found where it is" if kind == "slower" else "false regressions",
                    "how many": f"{hits} ({low:.0%}-{high:.0%})",
                    "turns": f"{min(turns)}-{max(turns)}",
                    "seconds each": f"{sum(one['elapsed_s'] for one in own) / len(own):.0f}",
                    "load": f"{max(one['load'] for one in own):.1f} at most",
                }
            )
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
