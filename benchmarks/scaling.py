"""How time and memory of `match` grow with its inputs.

Two series, each with one input growing and the other at full size:

- *awards*: 50,000, 219,500 and 1,000,000 awards; 3.4 million recipients, with all their columns;
- *recipients*: 0.3, 3.4 and 17 million recipients; 219,500 awards.

A register of 17 million is made from the synthetic one by a rule, names and states only, and so are the two
smaller ones of its series, so that the three differ in nothing but size. Copy 0 of a recipient is its name as
it is. Copy k takes the first word from recipient i and the other words and the state from recipient
i + 7919 k (counted round), so words are as frequent among the copies as they are among the originals, and
the names are new ones. Without identifiers every award has to be found by name.

The growth exponent of a series is the slope of log time against log size (least squares); beside it stand
the smallest and the largest slope between any two runs of different size. *No faster than linear* is said
when the largest is at most 1, *faster than linear* when the smallest is above 1; otherwise it is open. A
fixed cost hides in an exponent, so what another million rows cost at each step stands beside it.

    make bench-scaling
    python -m benchmarks.scaling --repeats 3 --series awards
"""

from __future__ import annotations

import argparse
import itertools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from benchmarks.measuring import (
    TOOLKIT,
    Measured,
    describe_machine,
    make_files,
    make_parser,
    measure,
    spread,
)
from benchmarks.results import store
from sbir_toolkit.storage import parquet_writer

SERIES = ("awards", "recipients")
_STRIDE = 7919
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("recipient_hash", "legal_business_name", "state", "source")]
)


@dataclass(frozen=True)
class Growth:
    """How one quantity grows: the fitted exponent, and the smallest and largest between any two runs."""

    exponent: float
    smallest: float
    largest: float

    @property
    def verdict(self) -> str:
        """What may be said."""
        if self.largest <= 1:
            return "no faster than linear"
        return "faster than linear" if self.smallest > 1 else "open: between some sizes faster than linear"


def main() -> None:
    """Make the files, measure each size, fit, and store."""
    options = _options()
    inputs = {
        "awards": _growing_awards(options),
        "recipients": _growing_recipients(options),
    }
    machine = describe_machine()
    measured: dict[str, dict[int, list[Measured]]] = {}
    for series in options.series:
        measured[series] = {}
        for size, awards, recipients in inputs[series]:
            runs = measured[series].setdefault(size, [])
            for _ in range(options.repeats):
                shutil.rmtree(options.folder / "scaling-outputs", ignore_errors=True)
                command = [
                    *TOOLKIT,
                    "--outputs",
                    options.folder / "scaling-outputs",
                    "match",
                    awards,
                    recipients,
                ]
                runs.append(measure([*command, "-o", options.folder / "scaling.parquet"]))
                print(
                    f"{size:>12,} {series:<10} {runs[-1].wall_s:8.2f} s {runs[-1].cpu_s:8.2f} s of CPU "
                    f"{runs[-1].peak_mb:8.0f} MB",
                    flush=True,
                )
    store(
        "scaling",
        options,
        machine,
        {
            series: {str(size): [run.record() for run in runs] for size, runs in sizes.items()}
            for series, sizes in measured.items()
        },
        {
            **{f"Growing {series}": _sizes_table(sizes) for series, sizes in measured.items()},
            "Growth": _growth_table(measured),
        },
        notes=[
            "exponent: slope of log against log, in brackets the smallest and largest between any two runs",
            "series recipients: names and states only, by the rule in benchmarks/scaling.py",
        ],
    )


def fit_growth(sizes: Sequence[float], values: Sequence[float]) -> Growth:
    """Fit the exponent of growth.

    Parameters
    ----------
    sizes
        Rows, at least two different numbers.
    values
        What was measured, above 0; one for each size, sizes may repeat.

    Returns
    -------
    Growth

    Examples
    --------
    >>> growth = fit_growth([10, 100, 1000], [2, 20, 200])
    >>> print(round(growth.exponent, 6), growth.verdict)
    1.0 no faster than linear
    """
    logs = list(zip(np.log(sizes), np.log(values), strict=True))
    slopes = [
        round(float((value - other) / (size - less)), 9)
        for (less, other), (size, value) in itertools.combinations(logs, 2)
        if size != less
    ]
    exponent = float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
    return Growth(exponent, min(slopes), max(slopes))


def write_names(source: Path, target: Path, count: int) -> None:
    """Write a register of `count` names and states out of a synthetic one, by the rule above; Parquet."""
    columns = ["legal_business_name", "state"]
    table = pyarrow.csv.read_csv(
        source,
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=columns, column_types=dict.fromkeys(columns, "string")
        ),
    ).combine_chunks()
    names, states = (table[column].combine_chunks() for column in columns)
    first = pc.replace_substring_regex(names, r"\s.*$", "")
    others = pc.replace_substring_regex(names, r"^\S+", "")
    positions = np.arange(len(names))
    with parquet_writer(target, _SCHEMA) as writer:
        for copy, start in enumerate(range(0, count, len(names))):
            rows = positions[: count - start]
            partners = pa.array((rows + _STRIDE * copy) % len(names))
            hashes = pc.binary_join_element_wise("names", pc.cast(pa.array(rows + start), pa.string()), "-")
            joined = pc.binary_join_element_wise(first.take(pa.array(rows)), others.take(partners), "")
            sources = pa.array(["names"]).take(pa.array(np.zeros(len(rows), dtype=np.int64)))
            writer.write_table(pa.table([hashes, joined, states.take(partners), sources], schema=_SCHEMA))


def _options() -> argparse.Namespace:
    parser = make_parser(__doc__, repeats=1)
    parser.add_argument("--series", nargs="+", choices=SERIES, default=list(SERIES), help="default: both")
    parser.add_argument(
        "--factors",
        type=float,
        nargs="+",
        default=None,
        help="sizes as multiples of --awards and --recipients, for trying out (default: the sizes above)",
    )
    return parser.parse_args()


def _growing_awards(options: argparse.Namespace) -> Iterator[tuple[int, Path, Path]]:
    for size in _sizes(options, options.awards, (50_000, 219_500, 1_000_000)):
        files = make_files(options.folder, size, options.recipients, options.seed)
        yield size, files / "awards.csv", files / "recipients.csv"


def _growing_recipients(options: argparse.Namespace) -> Iterator[tuple[int, Path, Path]]:
    files = make_files(options.folder, options.awards, options.recipients, options.seed)
    for size in _sizes(options, options.recipients, (300_000, 3_400_000, 17_000_000)):
        target = files / f"names-{size}.parquet"
        if not target.exists():
            print(f"writing {size:,} names to {target}", flush=True)
            write_names(files / "recipients.csv", target, size)
        yield size, files / "awards.csv", target


def _sizes(options: argparse.Namespace, full: int, sizes: tuple[int, ...]) -> list[int]:
    return list(sizes) if options.factors is None else [int(full * factor) for factor in options.factors]


def _sizes_table(sizes: dict[int, list[Measured]]) -> pd.DataFrame:
    rows = []
    before: tuple[int, float] | None = None
    for size, runs in sizes.items():
        wall = float(np.median([run.wall_s for run in runs]))
        marginal = (wall - before[1]) / (size - before[0]) * 1e6 if before else float("nan")
        rows.append(
            {
                "rows": f"{size:,}",
                "wall s": spread([run.wall_s for run in runs]),
                "CPU s": spread([run.cpu_s for run in runs]),
                "peak MB": spread([run.peak_mb for run in runs], 0),
                "wall s per further million": f"{marginal:.1f}" if before else "-",
            }
        )
        before = size, wall
    return pd.DataFrame(rows)


def _growth_table(measured: dict[str, dict[int, list[Measured]]]) -> pd.DataFrame:
    rows = []
    for series, sizes in measured.items():
        for quantity, what in (("wall_s", "wall time"), ("cpu_s", "CPU time"), ("peak_mb", "peak memory")):
            points = [(size, run.record()[quantity]) for size, runs in sizes.items() for run in runs]
            growth = fit_growth([size for size, _ in points], [value for _, value in points])
            rows.append(
                {
                    "series": series,
                    "of": what,
                    "exponent": f"{growth.exponent:.2f} ({growth.smallest:.2f}-{growth.largest:.2f})",
                    "verdict": growth.verdict,
                }
            )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
