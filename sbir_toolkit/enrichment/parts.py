"""Parts: what committed chunks found out, whichever file they were made for.

A refreshed file has mostly the companies of the one before, in other chunks. So what is known already is
looked up company by company, by the key that says what its result depends on: each committed part gives the
rows that are wanted of it, and only companies that no part holds are cut into chunks. Nothing is copied from
part to part; the rows are taken from where they are when the parts are put together (`combine`).

Who couldn't be matched stays so while the plan is the same, so that going on doesn't kill anybody again. In
another file, or in chunks of another size, it is tried once more: it may have been for want of memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit.enrichment.journal import Journal
from sbir_toolkit.errors import ContractError, explain
from sbir_toolkit.matching.texts import Ints

KEY = "company_key"
"""The column of a committed part that tells what each company's result depends on; see `company_keys`."""
KEYED = ("company_id", "contracts")
"""The columns of `companies` that make it."""


@dataclass(frozen=True)
class Piece:
    """What one committed part holds of a file's companies.

    Parameters
    ----------
    part : pathlib.Path
    digest : str
        Of the whole part, as it was committed.
    rows : int64 array of shape (n,)
        Rows of the part.
    places : int64 array of shape (n,)
        Which companies these are, as positions in the file; ascending.
    rejected : dict of str
        Those of them that can't be matched, by company_id, with the reasons.
    """

    part: Path
    digest: str
    rows: Ints
    places: Ints
    rejected: dict[str, str]


def company_keys(companies: pa.Table) -> pa.ChunkedArray:
    """Give what tells a company from any other: its id, and the contracts that name a recipient.

    Parameters
    ----------
    companies : pyarrow.Table
        With the columns company_id and contracts of the contract `companies`.

    Returns
    -------
    pyarrow.ChunkedArray of str
    """
    names = [companies[name] for name in KEYED]
    return pc.binary_join_element_wise(*names, " ", null_handling="skip")


def find_known(journal: Journal, keys: pa.Array, plan: str) -> list[Piece]:
    """Find what committed parts hold of some companies.

    Parameters
    ----------
    journal
        Of the recipients, parameters and code that the companies are matched with.
    keys : pyarrow string array of shape (n,)
        The companies' keys, in their order.
    plan
        The plan's digest: who was rejected under it isn't tried again.

    Returns
    -------
    list of Piece
        In the order in which the parts were committed; each company at most once.
    """
    pieces = []
    is_open = np.ones(len(keys), bool)
    for commit in journal.whole():
        part = journal.part(commit.key)
        held = pq.read_table(part, columns=["company_id", KEY]).combine_chunks()
        place = pc.index_in(held[KEY].combine_chunks(), value_set=keys).fill_null(-1).to_numpy()
        is_rejected = pc.is_in(held["company_id"], pa.array(commit.rejected, pa.string())).to_numpy()
        rows = np.flatnonzero((place >= 0) & ~(is_rejected & (commit.plan != plan)))
        rows = rows[is_open[place[rows]]]
        if len(rows):
            rows = rows[np.argsort(place[rows], kind="stable")]
            is_open[place[rows]] = False
            without = held["company_id"].take(pa.array(rows[is_rejected[rows]])).to_pylist()
            rejected = {company_id: commit.rejected[company_id] for company_id in without}
            pieces.append(Piece(part, commit.digest, rows, place[rows].astype(np.int64), rejected))
    return pieces


def gather(pieces: Sequence[Piece], ids: pa.Array, columns: list[str], at_once: int) -> Iterator[pa.Table]:
    """Read what the parts hold of some companies, in the companies' order.

    Parameters
    ----------
    pieces
        Together they hold each company once.
    ids : pyarrow string array of shape (n,)
        The companies' ids, in their order.
    columns
        What to read; `company_id` among them.
    at_once
        Companies read at once. Beside them, parts are in memory from their first company to their last.

    Yields
    ------
    pyarrow.Table

    Raises
    ------
    ContractError
        When a company is missing, or is there twice.
    """
    held: dict[Path, pa.Table] = {}
    for low in range(0, len(ids), at_once):
        found, places = [], []
        for piece in pieces:
            first, last = np.searchsorted(piece.places, [low, low + at_once])
            if first == last:
                continue
            if piece.part not in held:
                held[piece.part] = pq.read_table(piece.part, columns=columns)
            found.append(_take(held[piece.part], piece.rows[first:last]))
            places.append(piece.places[first:last])
            if last == len(piece.places):
                del held[piece.part]
        wanted = ids.slice(low, at_once)
        whole = pa.concat_tables(found) if found else wanted.slice(0, 0)
        if len(found) > 1:
            whole = whole.take(np.argsort(np.concatenate(places), kind="stable"))
        if not found or not whole["company_id"].combine_chunks().equals(wanted):
            raise ContractError(
                explain(
                    "companies were lost or doubled while the parts were put together",
                    where=f"companies {low + 1:,} to {low + len(wanted):,}",
                    expected="each company once, in its order",
                    got=f"{len(whole):,} row(s) for {len(wanted):,} companies",
                    todo="run the stage again from the start (--fresh)",
                )
            )
        yield whole


def _take(table: pa.Table, rows: Ints) -> pa.Table:
    """Take ascending or other rows; a run of neighbours isn't copied."""
    if rows[-1] - rows[0] + 1 == len(rows) and (np.diff(rows) == 1).all():
        return table.slice(rows[0], len(rows))
    return table.take(pa.array(rows))
