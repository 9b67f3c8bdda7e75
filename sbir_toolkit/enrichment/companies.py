"""Distinct companies: what is matched, so that nothing is matched twice.

A firm with 500 awards is written the same way on most of them. Awards are therefore collapsed to distinct
companies (one name, address and set of identifiers as filed), the companies are matched, and the result is
joined back to every award. The link between the two is the company's id, a digest of its fields: it can be
worked out from an award alone, in any chunk, at any time, so no link table is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit.meter import phase
from sbir_toolkit.storage import write_parquet
from sbir_toolkit.tables import COMPANIES

FIELDS = ("company", "address1", "city", "state", "zip5", "uei", "duns")


def company_ids(frame: pd.DataFrame) -> pd.Series:
    """Work out the company of each award.

    Parameters
    ----------
    frame : pandas.DataFrame
        With the columns company, address1, city, state, zip5, uei, duns, as text with nulls.

    Returns
    -------
    pandas.Series of str
        16 hexadecimal digits each; equal exactly when all seven fields are (up to a 64-bit collision).
    """
    filled = frame[list(FIELDS)].astype("string").fillna("")
    digests = pd.util.hash_pandas_object(filled, index=False).to_numpy(dtype=np.uint64)
    return pd.Series([f"{digest:016x}" for digest in digests], index=frame.index, dtype="str")


def collapse_awards(awards: Path, companies: Path, *, batch_rows: int) -> int:
    """Collapse awards to distinct companies, stored in the order of their names.

    Spellings of one name that differ in case and punctuation only stand together, so that a chunk looks for
    them once.

    Parameters
    ----------
    awards
        Parquet of the contract `awards`; read in batches, and only the seven fields and the year.
    companies
        Where to write the contract `companies`.
    batch_rows
        Awards read at once.

    Returns
    -------
    int
        How many distinct companies there are.
    """
    with phase("collapse") as span:
        found = pd.DataFrame(columns=[*FIELDS, "last_award_year", "awards"])
        rows = 0
        for batch in read_batches(awards, [*FIELDS, "award_year"], batch_rows):
            rows += len(batch)
            counted = batch.rename(columns={"award_year": "last_award_year"}).assign(awards=1)
            found = _collapsed(pd.concat([found, counted], ignore_index=True) if len(found) else counted)
        span.rows = rows
        found = found.assign(company_id=company_ids(found), spelled=_spell_plainly(found["company"]))
        found = found.sort_values(["spelled", "company_id"], ignore_index=True)
        write_parquet(companies, COMPANIES.arrow(found[COMPANIES.names]))
    return len(found)


def read_batches(path: Path, columns: list[str] | None, batch_rows: int) -> Iterator[pd.DataFrame]:
    """Read a stored table in batches of at most `batch_rows` rows, in its order."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=batch_rows, columns=columns):
            frame = pa.Table.from_batches([batch]).to_pandas()
            yield frame if columns is None else frame[columns]


def _spell_plainly(names: pd.Series[str]) -> pd.Series[str]:
    plain = pc.replace_substring_regex(pc.ascii_upper(pa.array(names, pa.string())), "[^A-Z0-9]", "")
    return pd.Series(plain.to_pandas(), index=names.index)


def _collapsed(frame: pd.DataFrame) -> pd.DataFrame:
    groups = frame.groupby(list(FIELDS), dropna=False, sort=False)
    return groups.agg({"last_award_year": "max", "awards": "sum"}).reset_index()
