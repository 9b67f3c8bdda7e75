"""Relating: companies of one name help each other, once each has been matched by itself.

It is done over all companies, after the chunks are put together: what a committed chunk holds depends on its
own companies alone, so a refreshed file makes no chunk worthless, and the result is the same however the
companies were cut. People decide after it (see `settle`), and have the last word.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit.enrichment.combine import MatchTables
from sbir_toolkit.matching import RecipientIndex
from sbir_toolkit.matching.match import match_siblings
from sbir_toolkit.matching.recognised import TOLD_BY
from sbir_toolkit.matching.texts import Ints
from sbir_toolkit.meter import phase
from sbir_toolkit.params import Matching
from sbir_toolkit.storage import parquet_writer
from sbir_toolkit.tables import COMPANY_MATCHES


def relate_siblings(
    tables: MatchTables,
    kept: pa.ChunkedArray,
    index: RecipientIndex,
    params: Matching,
    *,
    threads: int,
    at_once: int,
) -> int:
    """Match anew the companies of whom others of their name say something else than was found.

    Parameters
    ----------
    tables
        `companies` and `company_matches` are read; `company_matches` is written where anything changed.
    kept
        The pairs that were kept of each company, in the order of `company_matches`.
    index
        The recipients that were matched against.
    params
        The parameters of the matching.
    threads, at_once
        How many to match with, and how many companies each at most matches at once.

    Returns
    -------
    int
        How many companies were matched anew.
    """
    with phase("siblings") as span:
        matches = pq.read_table(tables.company_matches, columns=["company_id", *TOLD_BY])
        # Who can't be matched isn't tried again: it would kill this process as it did the worker.
        rejected = pq.read_table(tables.company_rejects, columns=["company_id"])["company_id"]
        can_be = pc.invert(pc.is_in(matches["company_id"], rejected.combine_chunks()))
        told = matches.select(list(TOLD_BY)).filter(can_be).to_pandas()
        del matches  # read only to be told of
        companies = pq.read_table(tables.companies).filter(can_be)
        if len(rejected):
            kept = kept.filter(can_be)
        again = match_siblings(companies, told, kept, index, params, threads=threads, at_once=at_once)
        if len(again):
            rows = np.flatnonzero(can_be.to_numpy())[again.index]
            _replace(tables.company_matches, rows, COMPANY_MATCHES.arrow(again))
        span.rows = len(again)
    return len(again)


def _replace(path: Path, rows: Ints, new: pa.Table) -> None:
    """Put other rows in the place of some of a stored table, which are ascending, a row group at a time."""
    first = 0
    with pq.ParquetFile(path) as file, parquet_writer(path, file.schema_arrow) as writer:
        for group in range(file.num_row_groups):
            old = file.read_row_group(group)
            low, high = np.searchsorted(rows, [first, first + old.num_rows])
            taken = np.arange(old.num_rows)
            taken[rows[low:high] - first] = old.num_rows + np.arange(high - low)
            both = pa.concat_tables([old, new.slice(low, high - low)])
            writer.write_table(both.take(pa.array(taken)))
            first += old.num_rows
