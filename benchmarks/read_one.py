"""Reads one file and stores its table as Parquet: by the toolkit, or by pyarrow, which checks nothing.

    python -m benchmarks.read_one toolkit|pyarrow FORM PATH FOLDER

pyarrow streams the same file, in batches and on all cores, into the columns that the toolkit uses, as text.
Printed are the number of records, and the seconds that reading took, wall and CPU, without Python's start.
"""

from __future__ import annotations

import gzip
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json
import pyarrow.parquet as pq

from sbir_toolkit.params import Limits, Source
from sbir_toolkit.sources import load_awards, load_recipients
from sbir_toolkit.sources.formats import ACTION_FORMAT, AWARD_FORMAT, RECIPIENT_FORMAT, Format, plain_name

Batches = Iterable[pa.RecordBatch]

_BLOCK_BYTES = 1 << 24
_DUMPED = {
    "dump_lookup": ("5412.dat.gz", 20),
    "dump_duns": ("5379.dat.gz", 19),
}
_SAM_FIELDS = 142
# Where SAM.gov's extract has what the toolkit uses, from 0.
_SAM_USED = (0, 2, 3, 11, 12, 15, 17, 18, 19, 21, 31, 32, 34)


def read(tool: str, form: str, path: Path, folder: Path) -> int:
    """Read a file of one of `FORMS` by one of `TOOLS` into a folder; give the number of records."""
    return {"toolkit": _by_toolkit, "pyarrow": _by_pyarrow}[tool](form, path, folder)


def _by_toolkit(form: str, path: Path, folder: Path) -> int:
    if form.startswith("awards"):
        return load_awards(path, folder, Limits()).records_read
    source = Source(table="duns") if form == "dump_duns" else Source()
    return load_recipients(path, folder, Limits(), source).records_read


def _by_pyarrow(form: str, path: Path, folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    rows, writer = 0, None
    for batch in _READERS[form](path, form):
        if writer is None:
            writer = pq.ParquetWriter(folder / "peer.parquet", batch.schema, compression="lz4")
        writer.write_batch(batch)
        rows += batch.num_rows
    if writer is not None:
        writer.close()
    return rows


def _read_csv_file(path: Path, form: str) -> Batches:
    known = AWARD_FORMAT if form.startswith("awards") else RECIPIENT_FORMAT
    with path.open("rb") as file:
        yield from _stream_csv(file, _used(file.readline(), known), rewind=True)


def _read_archive(path: Path, form: str) -> Iterator[pa.RecordBatch]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as head:
                used = _used(head.readline(), ACTION_FORMAT)
            with archive.open(name) as member:
                yield from _stream_csv(member, used)


def _read_dump(path: Path, form: str) -> Batches:
    name, width = _DUMPED[form]
    with zipfile.ZipFile(path) as archive:
        (member,) = (one for one in archive.namelist() if one.endswith(name))
        with archive.open(member) as packed, gzip.GzipFile(fileobj=packed) as file:
            yield from _stream_fields(file, "\t", [str(at) for at in range(width)])


def _read_extract(path: Path, form: str) -> Batches:
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
        names = [str(at) for at in range(_SAM_FIELDS)]
        yield from _stream_fields(file, "|", names, [str(at) for at in _SAM_USED])


def _read_json(path: Path, form: str) -> Batches:
    with pa_json.open_json(path, read_options=pa_json.ReadOptions(block_size=_BLOCK_BYTES)) as reader:
        yield from reader


def _read_parquet(path: Path, form: str) -> Batches:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=1 << 16)


def _used(header: bytes, form: Format) -> list[str]:
    names = header.decode("utf-8-sig").strip().replace('"', "").split(",")
    known = {name for names in form.aliases.values() for name in names}
    return [name for name in names if plain_name(name) in known]


def _stream_csv(file: IO[bytes], used: list[str], *, rewind: bool = False) -> Batches:
    if rewind:
        file.seek(0)
    return pa_csv.open_csv(
        file,
        read_options=pa_csv.ReadOptions(block_size=_BLOCK_BYTES),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            include_columns=used, column_types=dict.fromkeys(used, pa.string()), strings_can_be_null=True
        ),
    )


def _stream_fields(file: IO[bytes], mark: str, names: list[str], used: list[str] | None = None) -> Batches:
    """Read fields without quotes; lines of another width, such as the first and the last one, are skipped."""
    return pa_csv.open_csv(
        file,
        read_options=pa_csv.ReadOptions(block_size=_BLOCK_BYTES, column_names=names),
        parse_options=pa_csv.ParseOptions(
            delimiter=mark, quote_char=False, invalid_row_handler=lambda row: "skip"
        ),
        convert_options=pa_csv.ConvertOptions(
            include_columns=used, column_types=dict.fromkeys(names, pa.string())
        ),
    )


_READERS: dict[str, Callable[[Path, str], Batches]] = {
    "awards_csv": _read_csv_file,
    "awards_json": _read_json,
    "csv": _read_csv_file,
    "parquet": _read_parquet,
    "dump_lookup": _read_dump,
    "dump_duns": _read_dump,
    "sam": _read_extract,
    "archive": _read_archive,
}
FORMS = tuple(_READERS)
TOOLS = ("toolkit", "pyarrow")

if __name__ == "__main__":
    started, cpu = time.perf_counter(), time.process_time()
    records = read(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    print(records, time.perf_counter() - started, time.process_time() - cpu)
