"""What measuring costs: the same work with the meter and without it, in turns.

Each turn does a small workload twice, each time in a process of its own: once as it is, with its spans,
events and samples of the process tree (as often as in a run), once with all of that taken out (`unmetered`).
Compared are wall and CPU time of the whole process, start and imports included, as the system tells them. Who
comes first changes from turn to turn, and both hash alike. Shown is the typical ratio with its interval at
95 %, from the ranks of the turns' differences. CPU time says what the meter itself does; wall time also how
long others wait for it, and scatters more. Turns are written down; asked again, the benchmark goes on.

    make bench-overhead
    python -m benchmarks.overhead --turns 60
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measuring import PROJECT, make_files
from sbir_toolkit.performance.sides import measure_change
from sbir_toolkit.pipeline.repeats import CHILD
from sbir_toolkit.storage import append_line, read_lines, write_json
from sbir_toolkit.versions import code_version

ALLOWED = 0.02
SIDES = {"with": CHILD, "without": (sys.executable, "-m", "benchmarks.unmetered")}


def main() -> None:
    """Take turns until there are enough or time is up; print the ratios."""
    options = _options()
    files = make_files(options.folder, options.awards, options.recipients, seed=7)
    notes = options.folder / "overhead.ndjson"
    own = {"files": files.name, "code": code_version(PROJECT)["digest"]}
    until = time.monotonic() + options.minutes * 60
    done = _read(notes, own)
    if len(done) < options.turns:
        for words in SIDES.values():
            _measure(words, files)
    while len(done) < options.turns and time.monotonic() < until:
        order = list(SIDES) if len(done) % 2 else list(reversed(SIDES))
        took = {side: _measure(SIDES[side], files) for side in order}
        append_line(notes, {**own, **took})
        done = _read(notes, own)
        print(f"turn {len(done):>3}: {took}", flush=True)
    for name in ("wall_s", "cpu_s"):
        without, metered = (np.log([turn[side][name] for turn in done]) for side in ("without", "with"))
        change = measure_change(without, metered, in_turns=True)
        assert change is not None, "too few turns"
        low, typical, high = np.expm1([change.low, change.shift, change.high])
        print(
            f"{name}: {typical:+.2%} ({low:+.2%} to {high:+.2%}) with the meter, allowed {ALLOWED:+.0%}:"
            f" {_judge(low, high)}; {len(done)} turns"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=60, help="default: %(default)s")
    parser.add_argument("--awards", type=int, default=8_000, help="default: %(default)s")
    parser.add_argument("--recipients", type=int, default=80_000, help="default: %(default)s")
    parser.add_argument(
        "--minutes", type=float, default=8.0, help="no turn is begun later; default: %(default)s"
    )
    parser.add_argument(
        "--folder",
        type=lambda text: Path(text).resolve(),
        default=PROJECT / "outputs" / "bench",
        help="where files and results go; default: outputs/bench",
    )
    return parser.parse_args()


def _judge(low: float, high: float) -> str:
    if high <= ALLOWED:
        return "holds"
    return "doesn't hold" if low > ALLOWED else "not known yet, take more turns"


def _measure(words: tuple[str, ...], files: Path) -> dict[str, float]:
    folder = Path(tempfile.mkdtemp(dir=files.parent))
    job = {"awards": str(files / "awards.csv"), "recipients": str(files / "recipients.csv")}
    job |= {name: str(folder / f"{name}.json") for name in ("events", "outcome")}
    write_json(folder / "job.json", {**job, "folder": str(folder)})
    began = time.perf_counter()
    command = [*words, str(folder / "job.json")]
    process = subprocess.Popen(command, cwd=PROJECT, env={**os.environ, "PYTHONHASHSEED": "0"})
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with exit code {process.returncode}")
    shutil.rmtree(folder)
    return {"wall_s": round(wall_s, 4), "cpu_s": round(used.ru_utime + used.ru_stime, 4)}


def _read(notes: Path, own: dict[str, str]) -> list[dict[str, dict[str, float]]]:
    return [one for one in read_lines(notes) if own.items() <= one.items()]


if __name__ == "__main__":
    main()
