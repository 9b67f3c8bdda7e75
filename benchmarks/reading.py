"""How fast each kind of file is read, in how much memory, beside pyarrow reading the same file.

The files are made up in the forms in which the government publishes them, of full size (`--share` makes them
smaller): 219,500 awards as CSV and as JSON; 3.4 million recipients as CSV and Parquet; a dump with 17.7
million rows in `recipient_lookup`, and one with 3.4 million in the older `duns`; SAM.gov's extract of 0.9
million; an award archive of 5.5 million actions. The toolkit reads, checks, normalises and stores, and counts
what it rejects; pyarrow unpacks the same file, reads the columns that the toolkit uses as text, checks
nothing, and stores them (`read_one`). Of an award archive the toolkit stores the recipients, each with what
all its actions add up to; pyarrow the actions.

Making the files and one turn take about a quarter of an hour on two cores, and 5 GB of disk; the files are
kept for the next time.

    make bench-reading
    python -m benchmarks.reading --share 0.1 --forms awards_json,sam --repeats 3
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from benchmarks.measuring import Measured, describe_machine, make_files, make_parser, measure, spread
from benchmarks.read_one import FORMS, TOOLS
from benchmarks.results import store
from sbir_toolkit import write_synthetic
from sbir_toolkit.params import Limits
from sbir_toolkit.sources.synthetic import write_archive, write_dump, write_extract
from sbir_toolkit.sources.synthetic.recipients import SCHEMA
from sbir_toolkit.storage import parquet_writer

_COMMAND = [sys.executable, "-m", "benchmarks.read_one"]
_LOOKUP_ROWS, _EXTRACT_ROWS, _ACTIONS = 17_700_000, 930_000, 5_500_000
# Six in ten of the made-up recipients have a DUNS.
_DUNS_ROWS = 5_700_000
_FIRST_DUNS = 980_000_000  # hardly any made-up recipient has one as high

_AS_TEXT = pa_csv.ConvertOptions(column_types=SCHEMA, strings_can_be_null=True, null_values=[""])

MakeBlocks = Callable[[], Iterator[pa.Table]]


def main() -> None:
    """Make the files, read each in turn by both tools, and store the figures."""
    options = _options()
    folder = options.folder / f"reading-{options.share:g}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = {form: make_file(form, folder, options) for form in options.forms}
    machine = describe_machine()
    measured: dict[str, dict[str, list[Measured]]] = {form: {tool: [] for tool in TOOLS} for form in paths}
    for turn in range(options.repeats):
        for form, path in paths.items():
            for tool in TOOLS:
                out = options.folder / "read"
                command = [*_COMMAND, tool, form, path, out]
                measured[form][tool].append(measure(command))
                shutil.rmtree(out)
                last = measured[form][tool][-1]
                print(f"turn {turn + 1} {form:<12} {tool:<8} {last.wall_s:8.2f} s {last.peak_mb:6.0f} MB")
    store(
        "reading",
        options,
        machine,
        {
            form: {tool: [run.record() for run in runs[tool]] for tool in TOOLS}
            for form, runs in measured.items()
        },
        {"Reading and storing": _table(measured, paths)},
        notes=[
            "seconds are those of reading and storing, without Python's start; memory is the whole process's"
        ],
    )


def _options() -> argparse.Namespace:
    parser = make_parser(__doc__, repeats=1)
    parser.add_argument("--share", type=float, default=1.0, help="of the full sizes; default: %(default)s")
    parser.add_argument(
        "--forms",
        type=lambda text: _known_forms(text.split(",")),
        default=list(FORMS),
        help=f"some of {','.join(FORMS)}; default: all",
    )
    return parser.parse_args()


def _known_forms(forms: list[str]) -> list[str]:
    if not set(forms) <= set(FORMS):
        raise argparse.ArgumentTypeError(f"expected some of {','.join(FORMS)}; got {','.join(forms)}")
    return [form for form in FORMS if form in forms]


def make_file(form: str, folder: Path, options: argparse.Namespace) -> Path:
    """Make the file of one of `FORMS` in a folder, once; the options are those of the command line."""
    awards, recipients = (int(options.share * count) for count in (options.awards, options.recipients))
    plain = make_files(options.folder, awards, recipients, options.seed)
    if form in {"awards_csv", "csv"}:
        return plain / ("awards.csv" if form == "awards_csv" else "recipients.csv")
    if form == "awards_json":
        path = folder / "awards.jsonl"
        if not path.exists():
            write_synthetic(folder, awards=awards, recipients=1000, seed=options.seed, awards_format="json")
        return path
    path = folder / f"{form}.{'parquet' if form == 'parquet' else 'zip'}"
    if not path.exists():
        print(f"writing {path}", flush=True)
        _WRITERS[form](path, plain / "recipients.csv", recipients, options.share)
    return path


def _write_parquet(path: Path, plain: Path, recipients: int, share: float) -> None:
    with parquet_writer(path, SCHEMA) as writer:
        for block in _blocks(plain, recipients)():
            writer.write_table(block)


def _write_lookup(path: Path, plain: Path, recipients: int, share: float) -> None:
    write_dump(path, _blocks(plain, int(share * _LOOKUP_ROWS)), ["recipient_lookup"])


def _write_duns(path: Path, plain: Path, recipients: int, share: float) -> None:
    write_dump(path, _blocks(plain, int(share * _DUNS_ROWS)), ["duns"])


def _write_extract(path: Path, plain: Path, recipients: int, share: float) -> None:
    write_extract(path, _blocks(plain, int(share * _EXTRACT_ROWS)))


def _write_archive(path: Path, plain: Path, recipients: int, share: float) -> None:
    paid = pa.concat_tables(_blocks(plain, max(1, int(share * 200_000)))())
    write_archive(path, paid.combine_chunks(), year=2024, actions=int(share * _ACTIONS))


_WRITERS = {
    "parquet": _write_parquet,
    "dump_lookup": _write_lookup,
    "dump_duns": _write_duns,
    "sam": _write_extract,
    "archive": _write_archive,
}


def _blocks(plain: Path, rows: int) -> MakeBlocks:
    """Give blocks of so many recipients; where the file has fewer they come again under other ids."""

    def make() -> Iterator[pa.Table]:
        left, turn = rows, 0
        while left:
            with pa_csv.open_csv(plain, convert_options=_AS_TEXT) as reader:
                for batch in reader:
                    block = pa.Table.from_batches([batch]).slice(0, left)
                    yield _as_others(block, turn, rows - left)
                    left -= block.num_rows
                    if not left:
                        break
            turn += 1

    return make


def _as_others(block: pa.Table, turn: int, first: int) -> pa.Table:
    """Give recipients identifiers that no other has: a DUNS made of their row where they had one, no UEI."""
    if not turn:
        return block
    rows = pa.array(np.arange(first, first + block.num_rows))
    duns = pc.add(rows, _FIRST_DUNS).cast(pa.string())
    others = {
        "recipient_hash": pc.binary_join_element_wise(block["recipient_hash"], str(turn), "-"),
        "uei": pa.nulls(block.num_rows, pa.string()),
        "duns": pc.if_else(pc.is_valid(block["duns"]), duns, None),
    }
    for name, column in others.items():
        block = block.set_column(block.schema.get_field_index(name), name, column)
    return block


def _table(measured: dict[str, dict[str, list[Measured]]], paths: dict[str, Path]) -> pd.DataFrame:
    rows = []
    for form, runs in measured.items():
        ours, theirs = (runs[tool] for tool in TOOLS)
        (records, wall, cpu), (_, peer_wall, peer_cpu) = (_figures(each) for each in (ours, theirs))
        rows.append(
            {
                "file": form,
                "MB": f"{paths[form].stat().st_size / 1e6:,.0f}",
                "records": f"{records[0]:,.0f}",
                "rows/s": spread((records / wall).tolist(), 0),
                "wall s": spread(wall.tolist()),
                "pyarrow s": spread(peer_wall.tolist()),
                "wall / pyarrow": spread((wall / peer_wall).tolist(), 2),
                "CPU s": spread(cpu.tolist()),
                "CPU / pyarrow": spread((cpu / peer_cpu).tolist(), 2),
                "peak MB": spread([run.peak_mb for run in ours], 0),
                "limit MB": f"{Limits().memory_mb:,}",
                "pyarrow MB": spread([run.peak_mb for run in theirs], 0),
            }
        )
    return pd.DataFrame(rows)


def _figures(runs: list[Measured]) -> np.ndarray:
    """Give what each run printed: records, wall and CPU seconds, a row for each."""
    return np.array([run.printed.split()[-3:] for run in runs], float).T


if __name__ == "__main__":
    main()
