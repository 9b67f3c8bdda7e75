"""How much of each column is filled, counted without holding the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

_BATCH_ROWS = 100_000


def count_filled(table: Path, by: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Count the rows of a stored table, and those with a value in each column, by the values of one column.

    Parameters
    ----------
    table
        Parquet file; read in batches.
    by
        The column to count by; its nulls count as 'not said'.
    columns
        The columns to count; None: all others.

    Returns
    -------
    pandas.DataFrame
        One row per value of `by`, most rows first: `by`, `rows`, and how many rows have each other column.
    """
    parts = []
    with pq.ParquetFile(table) as file:
        columns = [name for name in columns or file.schema_arrow.names if name != by]
        for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=[by, *columns]):
            marks = {name: batch[name].is_valid().cast(pa.int64()) for name in columns}
            counted = pa.table({by: batch[by].fill_null("not said"), **marks})
            sums = [(name, "sum") for name in columns]
            parts.append(
                counted.group_by(by, use_threads=False).aggregate([*sums, (by, "count")]).to_pandas()
            )
    if not parts:
        return pd.DataFrame({by: pd.Series(dtype="str"), "rows": pd.Series(dtype="int64")}).assign(
            **{name: pd.Series(dtype="int64") for name in columns}
        )
    total = pd.concat(parts).groupby(by, as_index=False).sum()
    named = total.rename(columns={f"{name}_sum": name for name in columns} | {f"{by}_count": "rows"})
    ordered = named.sort_values(["rows", by], ascending=[False, True], ignore_index=True)
    result: pd.DataFrame = ordered[[by, "rows", *columns]]
    return result
