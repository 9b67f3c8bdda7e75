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
from typing import Literal, get_args

import numpy as np
import pyarrow as pa

from sbir_toolkit.errors import ParameterError, explain
from sbir_toolkit.meter import phase
from sbir_toolkit.sources.synthetic.archives import award_actions, write_actions
from sbir_toolkit.sources.synthetic.awards import TRUTH_COLUMNS, AwardRows
from sbir_toolkit.sources.synthetic.dumps import write_dump
from sbir_toolkit.sources.synthetic.editions import as_json_lines, as_legacy
from sbir_toolkit.sources.synthetic.extracts import write_extract
from sbir_toolkit.sources.synthetic.lines import (
    OFFICIAL_QUOTING,
    PLAIN_QUOTING,
    csv_lines,
    header_line,
)
from sbir_toolkit.sources.synthetic.places import Gazetteer
from sbir_toolkit.sources.synthetic.population import plan_population
from sbir_toolkit.sources.synthetic.recipients import SCHEMA, RecipientRows
from sbir_toolkit.sources.synthetic.register import Register, spell_companies
from sbir_toolkit.storage import atomic_path, parquet_writer

RecipientsFormat = Literal["csv", "parquet", "dump", "sam"]
AwardsFormat = Literal["csv", "legacy", "json"]

_SUFFIXES: dict[RecipientsFormat, str] = {"csv": ".csv", "parquet": ".parquet", "dump": ".zip", "sam": ".zip"}
_BLOCK_ROWS = 25_000
# A block of awards with their abstracts must stay below 2 GB, the most that one Arrow string column holds.
_MOST_BLOCK_ROWS = 250_000
_ARCHIVED_YEAR = 2024


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
    archives
        Award archives that hold the awards' contracts, and grants, where they were asked for.
    """

    awards: Path
    recipients: Path
    truth: Path
    archives: tuple[Path, ...] = ()


def write_synthetic(
    folder: Path,
    *,
    awards: int,
    recipients: int,
    seed: int,
    recipients_format: RecipientsFormat = "csv",
    awards_format: AwardsFormat = "csv",
    archives: bool = False,
    block_rows: int = _BLOCK_ROWS,
) -> SyntheticFiles:
    """Make up an award file and a recipient file that belong together, and write down the right answers.

    Parameters
    ----------
    folder
        Where to write `awards.csv` (or `.jsonl`), `recipients.csv` (or `.parquet`, `.zip`) and `truth.csv`;
        made when missing.
    awards, recipients
        How many records of each; 0 or more.
    seed
        Same seed and counts, same bytes.
    recipients_format
        `csv`, `parquet`, `dump` (of USAspending's database), or `sam` (SAM.gov's extract; those with a UEI
        only).
    awards_format
        `csv`, `legacy` (the bulk file of before, as CSV), or `json` (the interface's answers, one a line).
    archives
        Whether to write USAspending's award archives, too: who was paid under the awards' contracts.
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
    _check(awards, recipients, block_rows, recipients_format, awards_format)
    name = f"recipients{_SUFFIXES[recipients_format]}"
    named = (f"FY{_ARCHIVED_YEAR}_All_{kind}_Full.zip" for kind in ("Contracts", "Assistance"))
    files = SyntheticFiles(
        folder / ("awards.jsonl" if awards_format == "json" else "awards.csv"),
        folder / name,
        folder / "truth.csv",
        tuple(folder / name for name in named) if archives else (),
    )
    with phase("plan_synthetic", rows=awards):
        population = plan_population(awards, recipients, seed)
        register = Register(population)
        spellings = spell_companies(population, register)
    recipient_rows = RecipientRows(population, register, spellings)
    award_rows = AwardRows(population, spellings, recipient_rows)
    paid: list[tuple[pa.Table, pa.Table]] = []
    gazetteer = population.gazetteer

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
        awards_file.write(_write_awards(award_rows.make(0, 0)[0], awards_format, gazetteer, None))
        truth_file.write(header_line(TRUTH_COLUMNS, PLAIN_QUOTING))
        for start, stop in _blocks(awards, block_rows):
            rows, truth = award_rows.make(start, stop)
            awards_file.write(_write_awards(rows, awards_format, gazetteer, start))
            truth_file.write(csv_lines(truth, PLAIN_QUOTING))
            if archives:
                numbers, entities = np.arange(start, stop), award_rows.entities(start, stop)
                strangers = population.draws.below("stranger of contract", numbers, max(recipients, 1))
                payee, other = (recipient_rows.of(each) for each in (entities, strangers))
                paid.append(award_actions(rows, payee, other, numbers, population.draws))
    for at, path in enumerate(files.archives):
        write_actions(path, (block[at] for block in paid), year=_ARCHIVED_YEAR, grants=at == 1)
    return files


def _write_awards(
    rows: pa.Table, form: AwardsFormat, gazetteer: Gazetteer, first: int | None
) -> bytes | memoryview:
    """Write awards, numbered from `first`, in an edition; where that is None, what stands above them."""
    if form == "json":
        return b"" if first is None else as_json_lines(rows, gazetteer, first)
    filed = as_legacy(rows, gazetteer) if form == "legacy" else rows
    if first is None:
        return header_line(filed.column_names, OFFICIAL_QUOTING)
    return csv_lines(filed, OFFICIAL_QUOTING)


def _check(awards: int, recipients: int, block_rows: int, recipients_format: str, awards_format: str) -> None:
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
    for name, given, known in (
        ("recipients", recipients_format, get_args(RecipientsFormat)),
        ("awards", awards_format, get_args(AwardsFormat)),
    ):
        if given not in known:
            raise ParameterError(
                explain(f"the format of the {name} is unknown", expected=", ".join(known), got=given)
            )


def _blocks(rows: int, block_rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, rows, block_rows):
        yield start, min(start + block_rows, rows)


def _write_csv(path: Path, make_blocks: Callable[[], Iterator[pa.Table]]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(header_line(SCHEMA.names, PLAIN_QUOTING))
        for block in make_blocks():
            file.write(csv_lines(block, PLAIN_QUOTING))


def _write_parquet(path: Path, make_blocks: Callable[[], Iterator[pa.Table]]) -> None:
    with parquet_writer(path, SCHEMA) as writer:
        for block in make_blocks():
            writer.write_table(block)


_WRITERS = {"csv": _write_csv, "parquet": _write_parquet, "dump": write_dump, "sam": write_extract}
