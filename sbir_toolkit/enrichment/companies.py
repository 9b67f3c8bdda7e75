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
from sbir_toolkit.sources.digests import spell_ids
from sbir_toolkit.storage import parquet_writer
from sbir_toolkit.tables import COMPANIES

FIELDS = ("company", "address1", "city", "state", "zip5", "uei", "duns")


def company_ids(awards: pa.Table) -> pa.Array:
    """Work out the company of each award.

    Parameters
    ----------
    awards : pyarrow.Table
        With the columns company, address1, city, state, zip5, uei, duns, as text with nulls.

    Returns
    -------
    pyarrow string array
        16 hexadecimal digits each; equal exactly when all seven fields are (up to a 64-bit collision).
    """
    # Each distinct text is hashed once; the result is that of hashing them all.
    fields = {name: _whole(awards[name]).fill_null("").dictionary_encode() for name in FIELDS}
    frame = pa.table(fields).to_pandas()
    digests = pd.util.hash_pandas_object(frame, index=False).to_numpy().astype(np.uint64)
    return spell_ids(digests, np.zeros(len(digests), np.int64))


def collapse_awards(awards: Path, companies: Path, *, batch_rows: int) -> int:
    """Collapse awards to distinct companies, stored in the order of their names.

    Spellings of one name that differ in case and punctuation only stand together, so that a chunk looks for
    them once.

    Parameters
    ----------
    awards
        Parquet of the contract `awards`; read in batches, and only the seven fields and the year.
    companies
        Where to write the contract `companies`; `name_contracts` fills in their contracts.
    batch_rows
        Awards read at once.

    Returns
    -------
    int
        How many distinct companies there are.
    """
    with phase("collapse") as span:
        columns = [*FIELDS, "last_award_year", "awards"]
        found = COMPANIES.arrow_schema.empty_table().select(columns)
        waiting: list[pa.Table] = []
        rows = 0
        for batch in read_batches(awards, [*FIELDS, "award_year"], batch_rows):
            rows += batch.num_rows
            counted = batch.append_column("awards", pa.repeat(1, batch.num_rows)).rename_columns(columns)
            waiting.append(_group([counted]))
            # Those found are gone through again only when as many wait, or time would grow with their square.
            if sum(table.num_rows for table in waiting) >= found.num_rows:
                found, waiting = _group([found, *waiting]), []
        found = _group([found, *waiting])
        span.rows = rows
        found = found.append_column("contracts", pa.nulls(found.num_rows, pa.string())).combine_chunks()
        # From here on piece by piece: ordered as a whole they would be in memory twice.
        pieces = [found.slice(low, batch_rows) for low in range(0, max(found.num_rows, 1), batch_rows)]
        ids = pa.chunked_array([company_ids(piece) for piece in pieces])
        found = found.append_column("company_id", ids.combine_chunks()).select(COMPANIES.names)
        order = _order_by_name(found)
        with parquet_writer(companies, found.schema) as writer:
            for low in range(0, len(order), batch_rows):
                writer.write_table(found.take(order.slice(low, batch_rows)))
    return int(found.num_rows)


def read_batches(path: Path, columns: list[str], batch_rows: int) -> Iterator[pa.Table]:
    """Read columns of a stored table in its order, as many whole row groups at once as make `batch_rows`.

    Rows read bit by bit would take twice as long.
    """
    with pq.ParquetFile(path) as file:
        groups: list[int] = []
        rows = 0
        for group in range(file.num_row_groups):
            groups.append(group)
            rows += file.metadata.row_group(group).num_rows
            if rows >= batch_rows or group + 1 == file.num_row_groups:
                yield file.read_row_groups(groups, columns=columns).select(columns)
                groups, rows = [], 0


def _group(counted: list[pa.Table]) -> pa.Table:
    """Put companies together, each once, with its last year and the number of its awards."""
    groups = pa.concat_tables(counted).group_by(list(FIELDS), use_threads=False)
    found = groups.aggregate([("last_award_year", "max"), ("awards", "sum")])
    return found.rename_columns(counted[0].column_names)


def _order_by_name(companies: pa.Table) -> pa.Array:
    spelled = pc.replace_substring_regex(pc.ascii_upper(companies["company"]), "[^A-Z0-9]", "")
    keys = pa.table({"spelled": spelled, "company_id": companies["company_id"]})
    return pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks().cast(pa.string())
