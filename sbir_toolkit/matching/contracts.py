"""Contract numbers in the index: who was paid under which.

Award archives tell a recipient by its UEI, or its DUNS; here each number leads to the rows that have it, and
says whether the contract is coded as SBIR or STTR. A number that leads to several firms tells nothing of any
of them: two firms share it by mistake, or one took it over from the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sbir_toolkit.matching.columns import Columns, column_reader
from sbir_toolkit.matching.decide import same_firm
from sbir_toolkit.matching.index import RecipientIndex, duns_numbers
from sbir_toolkit.matching.ordering import sort_in_parts
from sbir_toolkit.matching.texts import Flags, Hashes, expand, hash_strings

_BATCH_ROWS = 262_144
# What one number takes while its part is sorted and written, rounded up.
_BYTES_PER_NUMBER = 60


def lay_out_contracts(contracts: Path | None, folder: Path, scratch: Path, room: int) -> None:
    """Write the arrays `contract_*` of an index that has its identifiers already.

    Parameters
    ----------
    contracts : pathlib.Path or None
        Parquet of the contract `recipient_contracts`; None: there are none.
    folder, scratch : pathlib.Path
        The index's folder, and where the numbers may be kept until all are there.
    room : int
        How much memory may be used, in bytes, about.
    """
    with Columns(scratch / "contracts") as unsorted:
        unsorted.add(key=np.zeros(0, np.uint64), row=np.zeros(0, np.uint32), is_sbir=np.zeros(0, bool))
        for batch in _read(contracts) if contracts else ():
            keys, rows, is_sbir = _find_rows(batch, folder)
            unsorted.add(key=keys, row=rows, is_sbir=is_sbir)
    read = column_reader(scratch / "contracts")
    with Columns(folder) as out:
        for part in sort_in_parts(read("key"), room // _BYTES_PER_NUMBER):
            at = part.positions
            out.add(contract_key=part.keys, contract_rows=read("row")[at], contract_sbir=read("is_sbir")[at])


def tell_contracts(index: RecipientIndex, keys: pa.Array) -> Flags:
    """Tell which contract numbers name one firm, and no other.

    Parameters
    ----------
    index : RecipientIndex
    keys : pyarrow.StringArray of shape (n,)
        As `sources.contracts.contract_keys` gives them; null names nobody.

    Returns
    -------
    bool array of shape (n,)
    """
    hashes = hash_strings(keys)
    low = np.searchsorted(index["contract_key"], hashes, side="left")
    count = np.searchsorted(index["contract_key"], hashes, side="right") - low
    count[hashes == 0] = 0
    number = np.repeat(np.arange(len(keys)), count)
    row = index["contract_rows"][expand(low, count)].astype(np.int64)
    first = row[np.searchsorted(number, number)]
    is_telling: Flags = count > 0
    is_telling[number[~same_firm(index, row, first)]] = False
    return is_telling


def _read(contracts: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(contracts) as file:
        yield from file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False)


def _find_rows(batch: pa.RecordBatch, folder: Path) -> tuple[Hashes, npt.NDArray[np.uint32], Flags]:
    """Find the row of each number's recipient, by its UEI if that is known; of others they are left out."""
    row = np.full(batch.num_rows, -1)
    for kind, keys in (("duns", duns_numbers(batch["duns"])), ("uei", hash_strings(batch["uei"]))):
        known, at = np.load(folder / f"{kind}_key.npy", mmap_mode="r"), np.flatnonzero(keys != 0)
        low = np.searchsorted(known, keys[at])
        is_found = low < len(known)
        is_found[is_found] = known[low[is_found]] == keys[at][is_found]
        row[at[is_found]] = np.load(folder / f"{kind}_rows.npy", mmap_mode="r")[low[is_found]]
    found = np.flatnonzero(row >= 0)
    hashes, row = hash_strings(batch["contract"])[found], row[found]
    is_sbir = batch["is_sbir"].to_numpy(zero_copy_only=False)[found]
    return hashes, row.astype(np.uint32), is_sbir
