"""What became of the records of a file: kept, merged, rejected or repaired, all of them counted.

Each batch is counted as it goes by, and what is counted must add up: every record read is a row, a reject, or
part of another one's row. At the end that makes a `Loaded`, which notebooks show as it is.
"""

from __future__ import annotations

import html
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.sources.batches import Batch, Fault

_EXAMPLE_CHARACTERS = 120
COMBINED = "the same as another one in these files"


@dataclass(frozen=True)
class Loaded:
    """What became of the records of one file.

    Parameters
    ----------
    sources
        The files read.
    table
        The table its records went to.
    records_read
        Records in the file; always `rows`, all `rejected` and all `merged` together.
    rows
        Records in the table.
    rejected
        Records in the table of rejects, counted by reason.
    repaired
        Values and records that were mended or made null because they couldn't be read, counted by kind.
    assumptions
        What was taken for granted about the file, in sentences.
    paths
        The file of each table, by the table's name; empty when nothing was written.
    merged
        Records that went into another record's row, counted by kind.
    examples
        Of kinds of repaired values the first one, with its file and line.
    """

    sources: tuple[Path, ...]
    table: str
    records_read: int
    rows: int
    rejected: dict[str, int]
    repaired: dict[str, int]
    assumptions: list[str]
    paths: dict[str, Path] = field(default_factory=dict)
    merged: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    @property
    def own_records(self) -> int:
        """Records that stand for themselves: always `rows` and all `rejected` together."""
        return self.records_read - sum(self.merged.values())

    def outcomes(self) -> pd.DataFrame:
        """Say what became of the records, kind by kind, with an example where one is kept.

        Returns
        -------
        pandas.DataFrame
            `outcome` (kept, merged, rejected, repaired), `kind`, `count`, `example`: of rejects the first
            one, with its file and line, and of values that couldn't be read. Records that were repaired are
            among those kept.
        """
        rejects = self._first_rejects()
        rows = [
            ("kept", "", self.rows, ""),
            *(("merged", kind, count, "") for kind, count in self.merged.items()),
            *(("rejected", kind, count, rejects.get(kind, "")) for kind, count in self.rejected.items()),
            *(
                ("repaired", kind, count, self.examples.get(kind, "")[:_EXAMPLE_CHARACTERS])
                for kind, count in self.repaired.items()
            ),
        ]
        return pd.DataFrame(rows, columns=["outcome", "kind", "count", "example"])

    def _first_rejects(self) -> dict[str, str]:
        path = self.paths.get(f"{self.table.removesuffix('s')}_rejects")
        if path is None or not self.rejected:
            return {}
        stored = pq.read_table(path, columns=["reason", "source_file", "source_line", "value", "raw"])
        rejects = stored.to_pandas().drop_duplicates("reason")
        return {
            bad.reason: f"{bad.source_file}, line {bad.source_line}: {bad.raw[:_EXAMPLE_CHARACTERS]}"
            for bad in rejects.itertuples()
        }

    def __repr__(self) -> str:
        width = max(len(name) for name, _ in self._lines())
        return "\n".join(
            [f"{self._names} -> {self.table}", *(f"  {n:<{width}}  {v}" for n, v in self._lines())]
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th style="text-align:left">{html.escape(name)}</th>'
            f'<td style="text-align:left">{html.escape(value)}</td></tr>'
            for name, value in self._lines()
        )
        title = html.escape(f"{self._names} → {self.table}")
        return f"<table><caption>{title}</caption><tbody>{rows}</tbody></table>"

    @property
    def _names(self) -> str:
        return ", ".join(path.name for path in self.sources)

    def _lines(self) -> list[tuple[str, str]]:
        return [
            ("records read", f"{self.records_read:,}"),
            ("rows kept", f"{self.rows:,}"),
            *((f"merged: {kind}", f"{count:,}") for kind, count in self.merged.items()),
            *((f"rejected: {reason}", f"{count:,}") for reason, count in self.rejected.items()),
            *((f"repaired: {kind}", f"{count:,}") for kind, count in self.repaired.items()),
            *(("assumed", sentence) for sentence in self.assumptions),
        ]


@dataclass(frozen=True)
class Normalised:
    """One batch's rows in the table's columns, the records that couldn't be used, and what was repaired.

    `merged` counts records that went into another one's row; `contracts` are the contract numbers that came
    with the records, by the contract of the table; `examples` has a value of each kind that couldn't be read.
    """

    table: pa.Table
    faults: list[Fault]
    repaired: Counter[str]
    file: str = ""
    merged: Counter[str] = field(default_factory=Counter)
    contracts: pa.Table | None = None
    examples: dict[str, str] = field(default_factory=dict)


class Tally:
    """Counts what became of the records of some files.

    Parameters
    ----------
    paths
        The files.
    table
        The table their records go to.
    """

    def __init__(self, paths: tuple[Path, ...], table: str) -> None:
        self._paths = paths
        self._table = table
        self._records = 0
        self._rows = 0
        self._rejected: Counter[str] = Counter()
        self._repaired: Counter[str] = Counter()
        self._merged: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._assumptions: dict[str, tuple[str, ...]] = {}

    def add(self, batch: Batch, part: Normalised) -> None:
        """Count one batch and what it became."""
        self._records += len(batch.rows) + len(batch.faults) + batch.merged.total()
        self._rows += part.table.num_rows
        self._rejected.update(fault.reason for fault in part.faults)
        self._repaired.update(part.repaired)
        self._examples = part.examples | self._examples
        self._merged.update(batch.merged + part.merged)
        self._assumptions[batch.file] = batch.layout.assumptions
        if self._records != self._rows + self._rejected.total() + self._merged.total():
            raise InputError(
                explain(
                    "records were lost while they were read",
                    where=", ".join(map(str, self._paths)),
                    expected=f"{self._records} records",
                    got=f"{self._rows} kept, {self._rejected.total()} rejected, "
                    f"{self._merged.total()} merged",
                    todo="report this; the file is not to blame",
                )
            )

    def combine(self, rows: int) -> None:
        """Count rows that turned out to be the same as others, in the files together."""
        self._rows -= rows
        self._merged.update({COMBINED: rows} if rows else {})

    def refuse_nothing(self) -> None:
        """Refuse a file that turned out to have no record."""
        if not self._records:
            raise InputError(
                explain(
                    "there is not a single record in it",
                    where=", ".join(map(str, self._paths)),
                    expected="at least one record",
                    got="none",
                    todo="check that it is the right file, or fetch it again",
                )
            )

    def _assumed(self) -> list[str]:
        """Give what was assumed, each once, with the file where it isn't so for all."""
        files: dict[str, list[str]] = {}
        for file, sentences in self._assumptions.items():
            for sentence in sentences:
                files.setdefault(sentence, []).append(file)
        return [
            sentence
            if len(told) == sum(map(bool, self._assumptions.values()))
            else f"{_name_some(told)}: {sentence}"
            for sentence, told in files.items()
        ]

    def loaded(self, paths: dict[str, Path]) -> Loaded:
        """Give the counts, in an order that depends on nothing."""
        return Loaded(
            self._paths,
            self._table,
            self._records,
            self._rows,
            dict(sorted(self._rejected.items())),
            dict(sorted(self._repaired.items())),
            self._assumed(),
            paths,
            dict(sorted(self._merged.items())),
            self._examples,
        )


def _name_some(files: list[str]) -> str:
    return files[0] + (f" and {len(files) - 1:,} more" if len(files) > 1 else "")
