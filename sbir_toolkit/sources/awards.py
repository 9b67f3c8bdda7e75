"""SBIR/STTR awards: the bulk CSV file of SBIR.gov, in any of its editions, or its interface's JSON.

The file has no id and no natural key: tracking numbers repeat over phases and agencies, and a few records
stand there twice. So an award's id is a digest of the fields that say which award it is, numbered where they
repeat; it stays the same when the file is downloaded again, with or without abstracts. A record without a
company, an agency or an award year can't be used and goes to the rejects; a value that can't be read becomes
null and is counted.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit import params, tables
from sbir_toolkit.sources import loading, values
from sbir_toolkit.sources.batches import Batch
from sbir_toolkit.sources.digests import Seen, digest_rows, spell_ids
from sbir_toolkit.sources.formats import AWARD_FORMAT, Format
from sbir_toolkit.sources.identifiers import normalise_duns, normalise_uei
from sbir_toolkit.sources.outcomes import Loaded, Normalised
from sbir_toolkit.sources.places import normalise_state, normalise_zip5

_IDENTITY = (
    *("company", "title", "agency", "branch", "phase", "program"),
    *("tracking_number", "contract", "award_year", "topic_code"),
)
_READERS = {
    **dict.fromkeys(
        ("award_date", "contract_end_date", "solicitation_close_date", "receipt_date", "notification_date"),
        (values.read_dates, "date_unreadable"),
    ),
    "solicitation_year": (values.read_years, "year_unreadable"),
    "award_usd": (values.read_amounts, "amount_unreadable"),
    "employees": (values.read_counts, "employees_unreadable"),
    "uei": (normalise_uei, "uei_invalid"),
    "duns": (normalise_duns, "duns_invalid"),
    "zip5": (normalise_zip5, "zip_unreadable"),
}
_AGENCIES = {
    "USDA": "Department of Agriculture",
    "DOC": "Department of Commerce",
    "DOD": "Department of Defense",
    "DOW": "Department of Defense",
    "ED": "Department of Education",
    "DOE": "Department of Energy",
    "HHS": "Department of Health and Human Services",
    "DHS": "Department of Homeland Security",
    "DOI": "Department of the Interior",
    "DOT": "Department of Transportation",
    "EPA": "Environmental Protection Agency",
    "NASA": "National Aeronautics and Space Administration",
    "NSF": "National Science Foundation",
    "NRC": "Nuclear Regulatory Commission",
}
_FLAGS = ("is_hubzone", "is_disadvantaged", "is_woman_owned")

_SOURCE = params.Source()


def load_awards(
    path: loading.Paths,
    folder: Path,
    limits: params.Limits,
    source: params.Source = _SOURCE,
    *,
    columns: Collection[str] | None = None,
) -> Loaded:
    """Read SBIR/STTR awards into `awards.parquet` and `award_rejects.parquet` in a folder.

    Parameters
    ----------
    path
        The bulk CSV file of SBIR.gov (plain or gzip), of any edition; Parquet with the same columns is read
        too.
    folder
        Where the two tables go; both appear whole or not at all.
    limits
        How much may be in memory at once. The tables' bytes don't depend on it.
    source
        What is to be known of a file that doesn't say it itself; its `path` isn't used here.
    columns
        Those of the contract `awards` that are wanted; None: all. The same records are kept and rejected,
        but what nobody wants isn't read, and nothing is counted as repaired in it.

    Returns
    -------
    Loaded
        How many records were read, kept, rejected and repaired.

    Raises
    ------
    InputError
        When the file can't be read, or has no column for the company, the agency or the award year.
    """
    return loading.load(path, folder, limits, _KIND if columns is None else _only(columns), source)


def read_awards(path: loading.Paths, source: params.Source = _SOURCE) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read SBIR/STTR awards into memory.

    Parameters
    ----------
    path
        As for `load_awards`.
    source
        What the file calls its columns where that isn't known, such as
        `Source(columns={"award_year": "FY"})`; its `path` isn't used here.

    Returns
    -------
    pandas.DataFrame, pandas.DataFrame
        The awards (`tables.AWARDS`) and the rejected records (`tables.AWARD_REJECTS`).

    Raises
    ------
    InputError
        As for `load_awards`.
    """
    return loading.read(path, _KIND, source)


class _AwardNormaliser:
    """Turns batches of one file into rows of the table of awards, or of some of its columns."""

    def __init__(self, form: Format, table: tables.Table) -> None:
        self._form = form
        self._table = table
        self._ids = Seen()
        self._records = Seen()

    def __call__(self, batch: Batch) -> Normalised:
        batch, faults = loading.set_aside(batch, _check(batch))
        repaired: Counter[str] = Counter()
        examples: dict[str, str] = {}
        columns = loading.read_columns(batch, self._form, _read, repaired, examples)
        columns["award_year"] = values.read_years(columns["award_year"])
        digests = digest_rows([batch.text(column) for column in _IDENTITY])
        columns["award_id"] = spell_ids(digests, self._ids.count(digests))
        if self._form.needs_all:
            columns["is_duplicate"] = pa.array(self._records.count(digest_rows(batch.columns())) > 0)
        columns["source_row"] = pa.array(batch.rows)
        columns["source_line"] = pa.array(batch.lines)
        schema = self._table.arrow_schema
        table = pa.table({name: columns[name] for name in schema.names}, schema=schema)
        return Normalised(table, faults, +repaired, examples=examples)


def _check(batch: Batch) -> list[loading.Check]:
    """Say which records can't be used."""
    company, agency, year = (
        values.clean_text(batch.text(column))[0] for column in ("company", "agency", "award_year")
    )
    return [
        ("company", pc.is_null(company), "blank company"),
        ("award_year", pc.is_null(year), "blank award year"),
        ("award_year", pc.is_null(values.read_years(year)), "unreadable award year"),
        ("agency", pc.is_null(agency), "blank agency"),
    ]


def _read(column: str, text: pa.Array) -> tuple[pa.Array, Counter[str]]:
    """Read one column's clean text into its type, counting what can't be read."""
    if column in _FLAGS:
        unknown: int = pc.sum(values.is_unknown_flag(text)).as_py() or 0
        return values.read_flags(text), Counter(flag_unreadable=unknown)
    if column == "agency":
        return values.map_distinct(
            text, lambda name: _AGENCIES.get(name.upper(), name), pa.string()
        ), Counter()
    if column == "state":
        return normalise_state(text), Counter()
    if column not in _READERS:
        return text, Counter()
    read, kind = _READERS[column]
    result = read(text)
    return result, Counter({kind: values.count_lost(text, result)})


_KIND = loading.Kind(
    AWARD_FORMAT,
    tables.AWARDS,
    tables.AWARD_REJECTS,
    functools.partial(_AwardNormaliser, AWARD_FORMAT, tables.AWARDS),
    repeating=[
        *(
            "agency",
            "branch",
            "phase",
            "program",
            "solicitation_number",
            "topic_code",
            "city",
            "state",
            "zip5",
        ),
        *("solicitation_year", "award_year", "employees"),
        *(column.name for column in tables.AWARDS.columns if column.dtype == "date"),
    ],
    random=["award_id"],
    group_rows=16_384,
)


def _only(wanted: Collection[str]) -> loading.Kind:
    """Say what the file is to one who wants some of the table's columns."""
    used = {*wanted, *_IDENTITY, *AWARD_FORMAT.required}
    form = dataclasses.replace(
        AWARD_FORMAT,
        needs_all="is_duplicate" in wanted,
        unread=tuple(column for column in AWARD_FORMAT.aliases if column not in used),
    )
    columns = tuple(column for column in tables.AWARDS.columns if column.name in wanted)
    table = dataclasses.replace(tables.AWARDS, columns=columns)
    start = functools.partial(_AwardNormaliser, form, table)
    return dataclasses.replace(_KIND, form=form, table=table, start=start)
