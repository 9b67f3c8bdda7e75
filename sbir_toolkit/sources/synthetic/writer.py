"""Writing the made-up files: block by block, whole or not at all, the same bytes for the same seed.

A block of rows is made, turned into lines of CSV by joining its columns as strings, and written; nothing
but one block is held. The award file is written in the dialect of the official one (a value is quoted when
it holds a blank, a comma, a quote or a line break), the others quote only what must be. The block's size
bounds the memory and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.errors import ParameterError, explain
from sbir_toolkit.meter import phase
from sbir_toolkit.sources.synthetic.awards import COLUMNS, TRUTH_COLUMNS, AwardRows
from sbir_toolkit.sources.synthetic.dumps import write_dump
from sbir_toolkit.sources.synthetic.extracts import write_extract
from sbir_toolkit.sources.synthetic.population import plan_population
from sbir_toolkit.sources.synthetic.recipients import SCHEMA, RecipientRows
from sbir_toolkit.sources.synthetic.register import Register, spell_companies
from sbir_toolkit.storage import atomic_path, parquet_writer

RecipientsFormat = Literal["csv", "parquet", "dump", "sam"]

_SUFFIXES: dict[RecipientsFormat, str] = {"csv": ".csv", "parquet": ".parquet", "dump": ".zip", "sam": ".zip"}
_BLOCK_ROWS = 25_000
# A block of awards with their abstracts must stay below 2 GB, the most that one Arrow string column holds.
_MOST_BLOCK_ROWS = 250_000
_OFFICIAL_QUOTING = r'[\s",]'
_PLAIN_QUOTING = r'[\r\n",]'


@dataclass(frozen=True)
class SyntheticFiles:
    """Where the made-up files are.

    Parameters
    ----------
    awards
        The award file, in the layout of the SBIR.gov bulk download.
    recipients
        The recipient file.
    truth
        The right answers, one row per record of the award file, in its order.
    """

    awards: Path
    recipients: Path
    truth: Path


def write_synthetic(
    folder: Path,
    *,
    awards: int,
    recipients: int,
    seed: int,
    recipients_format: RecipientsFormat = "csv",
    block_rows: int = _BLOCK_ROWS,
) -> SyntheticFiles:
    """Make up an award file and a recipient file that belong together, and write down the right answers.

    Parameters
    ----------
    folder
        Where to write `awards.csv`, `recipients.csv` (or `.parquet`, `.zip`) and `truth.csv`; made when
        missing.
    awards, recipients
        How many records of each; 0 or more.
    seed
        Same seed and counts, same bytes.
    recipients_format
        `csv`, `parquet`, `dump` (of USAspending's database), or `sam` (SAM.gov's extract; those with a UEI
        only).
    block_rows
        How many rows are made at once, 1 to 250,000: bounds the memory, doesn't change a byte.

    Returns
    -------
    SyntheticFiles
        The three files.

    Raises
    ------
    ParameterError
        When a count, the format or the block size is none.
    """
    _check(awards, recipients, recipients_format, block_rows)
    name = f"recipients{_SUFFIXES[recipients_format]}"
    files = SyntheticFiles(folder / "awards.csv", folder / name, folder / "truth.csv")
    with phase("plan_synthetic", rows=awards):
        population = plan_population(awards, recipients, seed)
        register = Register(population)
        spellings = spell_companies(population, register)
    recipient_rows = RecipientRows(population, register, spellings)
    award_rows = AwardRows(population, spellings, recipient_rows)

    with phase("write_synthetic_recipients", rows=recipients):

        def make_blocks() -> Iterator[pa.Table]:
            return (recipient_rows.make(start, stop) for start, stop in _blocks(recipients, block_rows))

        _WRITERS[recipients_format](files.recipients, make_blocks)
    with (
        phase("write_synthetic_awards", rows=awards),
        atomic_path(files.awards) as awards_path,
        atomic_path(files.truth) as truth_path,
        awards_path.open("wb") as awards_file,
        truth_path.open("wb") as truth_file,
    ):
        awards_file.write(_header(COLUMNS, _OFFICIAL_QUOTING))
        truth_file.write(_header(TRUTH_COLUMNS, _PLAIN_QUOTING))
        for start, stop in _blocks(awards, block_rows):
            rows, truth = award_rows.make(start, stop)
            awards_file.write(_lines(rows, _OFFICIAL_QUOTING))
            truth_file.write(_lines(truth, _PLAIN_QUOTING))
    return files


def _check(awards: int, recipients: int, recipients_format: str, block_rows: int) -> None:
    bounds = (
        ("awards", awards, 0, None),
        ("recipients", recipients, 0, None),
        ("block_rows", block_rows, 1, _MOST_BLOCK_ROWS),
    )
    for name, value, low, high in bounds:
        if value < low or (high is not None and value > high):
            expected = f"{low:,} or more" if high is None else f"{low:,} to {high:,}"
            raise ParameterError(
                explain(
                    f"'{name}' of the synthetic files is out of bounds", expected=expected, got=f"{value:,}"
                )
            )
    if recipients_format not in _SUFFIXES:
        known = ", ".join(_SUFFIXES)
        raise ParameterError(
            explain("the format of the recipients is unknown", expected=known, got=recipients_format)
        )


def _blocks(rows: int, block_rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, rows, block_rows):
        yield start, min(start + block_rows, rows)


def _write_csv(path: Path, make_blocks: Callable[[], Iterator[pa.Table]]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(_header(SCHEMA.names, _PLAIN_QUOTING))
        for block in make_blocks():
            file.write(_lines(block, _PLAIN_QUOTING))


def _write_parquet(path: Path, make_blocks: Callable[[], Iterator[pa.Table]]) -> None:
    with parquet_writer(path, SCHEMA) as writer:
        for block in make_blocks():
            writer.write_table(block)


def _header(names: tuple[str, ...] | list[str], quoting: str) -> bytes:
    return bytes(_lines(pa.table([pa.array([name]) for name in names], names=list(names)), quoting))


def _lines(table: pa.Table, quoting: str) -> memoryview:
    """Turn a table of strings into lines of CSV; null is an empty field."""
    fields = [_quote(column.combine_chunks(), quoting) for column in table.columns]
    fields[-1] = pc.binary_join_element_wise(fields[-1], "\n", "")
    lines = pc.binary_join_element_wise(*fields, ",")
    if isinstance(lines, pa.ChunkedArray):
        lines = lines.combine_chunks()
    _, offsets, data = lines.buffers()
    ends = memoryview(offsets).cast("i")
    return memoryview(data)[ends[lines.offset] : ends[lines.offset + len(lines)]]


def _quote(column: pa.StringArray, quoting: str) -> pa.StringArray:
    values = pc.fill_null(column, "")
    needs_quotes = pc.match_substring_regex(values, quoting)
    if not pc.any(needs_quotes).as_py():
        return values
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(values, '"', '""'), '"', "")
    return pc.if_else(needs_quotes, quoted, values)


_WRITERS = {"csv": _write_csv, "parquet": _write_parquet, "dump": write_dump, "sam": write_extract}
