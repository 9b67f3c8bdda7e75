"""Counting in tables that may be larger than memory.

A stored table is read batch by batch, only the columns that are counted, and each batch is reduced by Arrow's
kernels before the next one is read. Sums of dollars and probabilities are taken in whole small units (a
hundredth of a cent, a billionth), because whole numbers add up to the same sum in any order: batches and row
groups leave no trace in a metric.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit.errors import ContractError, explain
from sbir_toolkit.quality.profile import COLUMNS, Profile
from sbir_toolkit.quality.rows import BLANK, REQUIRED, is_filled

SLICED_BY = ("agency", "award_year", "phase", "state")

TWENTIETHS = tuple(f"{low / 20:.2f} to {(low + 1) / 20:.2f}" for low in range(20))

_BATCH_ROWS = 65_536
_USD_UNITS = 10_000
_PROBABILITY_UNITS = 1_000_000_000


@dataclass
class AwardCounts:
    """What was counted in the enriched awards.

    Attributes
    ----------
    awards
        Rows.
    decisions
        Rows by decision.
    accepted_by_tier
        Accepted rows by the tier that found the recipient.
    by
        For each column of `SLICED_BY`, rows and accepted rows by value.
    filled
        Rows in which a required column isn't blank, by column.
    complete, duplicates
        Rows with every required column filled; rows that repeat an earlier one.
    identified
        Rows with a UEI, with a DUNS, with either.
    by_probability
        Rows that have a match probability, by its twentieth, see `TWENTIETHS`.
    profile
        What the columns hold.
    """

    awards: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    accepted_by_tier: Counter[str] = field(default_factory=Counter)
    by: dict[str, tuple[Counter[Any], Counter[Any]]] = field(
        default_factory=lambda: {column: (Counter(), Counter()) for column in SLICED_BY}
    )
    filled: Counter[str] = field(default_factory=Counter)
    complete: int = 0
    duplicates: int = 0
    identified: Counter[str] = field(default_factory=Counter)
    probabilities: int = 0
    accepted_probabilities: int = 0
    probability_units: int = 0
    accepted_probability_units: int = 0
    usd_units: int = 0
    accepted_usd_units: int = 0
    false_link_variance_units: int = 0
    by_probability: Counter[str] = field(default_factory=Counter)
    identified_by_agency: Counter[Any] = field(default_factory=Counter)
    profile: Profile = field(default_factory=Profile)

    @property
    def accepted(self) -> int:
        """Awards with an accepted recipient."""
        return self.decisions["accept"]

    @property
    def awards_usd(self) -> float:
        """Sum of all amounts, US dollars as filed."""
        return self.usd_units / _USD_UNITS

    @property
    def accepted_usd(self) -> float:
        """Sum of the amounts of accepted awards, US dollars as filed."""
        return self.accepted_usd_units / _USD_UNITS

    @property
    def probability_sum(self) -> float:
        """Sum of the match probabilities of all awards that have one."""
        return self.probability_units / _PROBABILITY_UNITS

    @property
    def expected_false_links(self) -> float:
        """Sum of one minus the match probability over the accepted awards."""
        return self.accepted_probabilities - self.accepted_probability_units / _PROBABILITY_UNITS

    @property
    def false_links_deviation(self) -> float:
        """Standard deviation of the number of false links, if the probabilities are right and independent."""
        return math.sqrt(self.false_link_variance_units / _PROBABILITY_UNITS)


def count_awards(path: Path) -> AwardCounts:
    """Count what the quality metrics need, in one pass over the enriched awards.

    Parameters
    ----------
    path
        A Parquet file of the contract ENRICHED_AWARDS; only a dozen of its columns are read.

    Raises
    ------
    ContractError
        When the file can't be read or lacks a column that is counted.
    """
    columns = [
        *dict.fromkeys((*REQUIRED, *SLICED_BY, *COLUMNS)),
        *("uei", "duns", "is_duplicate", "decision", "tier", "match_probability"),
    ]
    counts = AwardCounts()
    for batch in _read_batches(path, columns):
        _count_batch(counts, batch)
    return counts


def count_rows(path: Path) -> int:
    """Count a stored table's rows from its footer, without reading it.

    Raises
    ------
    ContractError
        When the file can't be read.
    """
    with _opened(path) as file:
        return int(file.metadata.num_rows)


def count_values(path: Path, column: str) -> dict[str, int]:
    """Count the rows of a stored table by one column, in the order of its values.

    Raises
    ------
    ContractError
        When the file can't be read or lacks the column.
    """
    found: Counter[Any] = Counter()
    for batch in _read_batches(path, [column]):
        found.update(_group_counts(batch, column))
    return {name_value(value): found[value] for value in sort_values(found)}


def count_filled(path: Path, *columns: str) -> int:
    """Count what stands in columns of a stored table, all together.

    Raises
    ------
    ContractError
        When the file can't be read or lacks a column.
    """
    batches = _read_batches(path, list(columns))
    return sum(len(values) - values.null_count for batch in batches for values in batch.columns)


def name_value(value: Any) -> str:
    """Write a slice's value; a missing one is called blank."""
    return BLANK if value is None else str(value)


def sort_values(values: Mapping[Any, Any]) -> list[Any]:
    """Sort slice values, the missing one last."""
    return sorted(values, key=lambda value: (value is None, "" if value is None else value))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as wrong:
        raise ContractError(
            explain(
                "a table to be measured can't be read",
                where=path,
                expected="a Parquet file",
                got=wrong,
                todo="run the stage that writes it again",
            )
        ) from wrong
    with file:
        yield file


def _read_batches(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with _opened(path) as file:
        missing = [column for column in columns if column not in file.schema_arrow.names]
        if missing:
            raise ContractError(
                explain(
                    "a table to be measured lacks columns",
                    where=path,
                    expected=", ".join(columns),
                    got=f"no {', '.join(missing)}",
                    todo="run the stage that writes it again",
                )
            )
        yield from file.iter_batches(batch_size=_BATCH_ROWS, columns=list(columns))


def _count_batch(counts: AwardCounts, batch: pa.RecordBatch) -> None:
    is_accepted = pc.fill_null(pc.equal(batch["decision"], "accept"), False)
    accepted = batch.filter(is_accepted)
    counts.awards += batch.num_rows
    counts.decisions.update(_group_counts(batch, "decision"))
    counts.accepted_by_tier.update(_group_counts(accepted, "tier"))
    for column, (rows, accepted_rows) in counts.by.items():
        rows.update(_group_counts(batch, column))
        accepted_rows.update(_group_counts(accepted, column))

    filled = {column: is_filled(batch[column]) for column in REQUIRED}
    complete = pa.array(np.ones(batch.num_rows, dtype=bool))
    for column, mask in filled.items():
        counts.filled[column] += _count_true(mask)
        complete = pc.and_(complete, mask)
    counts.complete += _count_true(complete)
    counts.duplicates += _count_true(batch["is_duplicate"])

    has_uei, has_duns = pc.is_valid(batch["uei"]), pc.is_valid(batch["duns"])
    counts.identified["uei"] += _count_true(has_uei)
    counts.identified["duns"] += _count_true(has_duns)
    has_any = pc.or_(has_uei, has_duns)
    counts.identified["any"] += _count_true(has_any)
    counts.identified_by_agency.update(_group_counts(batch.filter(has_any), "agency"))
    counts.profile.add(batch)

    counts.probabilities += batch.num_rows - batch["match_probability"].null_count
    counts.accepted_probabilities += accepted.num_rows - accepted["match_probability"].null_count
    known = pc.drop_null(batch["match_probability"]).to_numpy(zero_copy_only=False)
    places, found = np.unique(np.minimum((known * len(TWENTIETHS)).astype(int), 19), return_counts=True)
    for place, count in zip(places, found, strict=True):
        counts.by_probability[TWENTIETHS[place]] += int(count)
    sure = pc.drop_null(accepted["match_probability"])
    counts.false_link_variance_units += _sum_units(
        pc.multiply(sure, pc.subtract(1.0, sure)), _PROBABILITY_UNITS
    )
    counts.probability_units += _sum_units(batch["match_probability"], _PROBABILITY_UNITS)
    counts.accepted_probability_units += _sum_units(accepted["match_probability"], _PROBABILITY_UNITS)
    counts.usd_units += _sum_units(batch["award_usd"], _USD_UNITS)
    counts.accepted_usd_units += _sum_units(accepted["award_usd"], _USD_UNITS)


def _group_counts(batch: pa.RecordBatch, column: str) -> dict[Any, int]:
    counted = pc.value_counts(batch[column])
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))


def _count_true(mask: pa.Array) -> int:
    return int(pc.sum(mask).as_py() or 0)


def _sum_units(values: pa.Array, units: int) -> int:
    numbers = pc.drop_null(values).to_numpy(zero_copy_only=False)
    return sum(map(int, np.rint(numbers * units).tolist()))
