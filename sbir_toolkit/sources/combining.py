"""Recipients from several files, put together.

The same recipient stands in several official files, and each knows something else of it: USAspending's lookup
its former names, SAM.gov its trade name and CAGE code, the award archives what it was paid. Rows are one
recipient when they have the same UEI; a row without one, when its DUNS stands beside a single UEI elsewhere;
else when they have the same DUNS, or the same id. The file named first counts most: its row stays, what it
lacks is taken from the next ones, a place only as a whole, and all other names become alternate names.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sbir_toolkit import tables
from sbir_toolkit.sources.digests import Seen, derive_recipient_ids, digest_rows
from sbir_toolkit.sources.spills import Spill

_PLACE = ("address1", "city", "state", "zip5", "country")
_OWN = ("recipient_id", "recipient_name", "source")
_SCHEMA = tables.RECIPIENTS.arrow_schema.append(pa.field("key", pa.string())).append(
    pa.field("order", pa.int64())
)


def combine(rows: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Put the rows of several files together.

    Parameters
    ----------
    rows
        By the contract of the recipients, file after file.

    Yields
    ------
    pyarrow.Table
        By the same contract: an empty one for each that comes, then the recipients, each once.
    """
    with Spill(_SCHEMA, "key") as spill, Spill(_SCHEMA, "key") as unsure:
        taker = _Taker(spill, unsure)
        for table in rows:
            taker.take(table)
            yield tables.RECIPIENTS.arrow_schema.empty_table()
        known = taker.known_pairs()
        for table in unsure.read():
            spill.add(_find_ueis(table, known))
        ids = Seen()
        for table in spill.read():
            yield _tell_apart(_unite(table), ids)


class _Taker:
    """Casts rows into files by their key; those whose UEI may stand elsewhere wait."""

    def __init__(self, spill: Spill, unsure: Spill) -> None:
        self._spill = spill
        self._unsure = unsure
        self._rows = 0
        self._pairs: list[pa.Table] = []

    def take(self, table: pa.Table) -> None:
        """Take rows."""
        keys = pc.coalesce(
            pc.binary_join_element_wise("UEI", table["uei"], "-"),
            pc.binary_join_element_wise("DUNS", table["duns"], "-"),
            pc.binary_join_element_wise("ID", table["recipient_id"], "-"),
        )
        order = pa.array(self._rows + np.arange(table.num_rows))
        self._rows += table.num_rows
        table = table.append_column("key", keys).append_column("order", order).cast(_SCHEMA)
        has_both = pc.and_(pc.is_valid(table["uei"]), pc.is_valid(table["duns"]))
        self._pairs.append(table.filter(has_both).select(["uei", "duns"]))
        is_unsure = pc.and_(pc.is_null(table["uei"]), pc.is_valid(table["duns"]))
        self._spill.add(table.filter(pc.invert(is_unsure)))
        self._unsure.add(table.filter(is_unsure))

    def known_pairs(self) -> pa.Table:
        """Tell which DUNS stands beside a single UEI."""
        if not self._pairs:
            return pa.table({"duns": pa.array([], pa.string()), "uei": pa.array([], pa.string())})
        counted = pa.concat_tables(self._pairs).group_by("duns").aggregate([("uei", "min"), ("uei", "max")])
        single = counted.filter(pc.equal(counted["uei_min"], counted["uei_max"]))
        return pa.table({"duns": single["duns"], "uei": single["uei_min"]})


def _find_ueis(table: pa.Table, known: pa.Table) -> pa.Table:
    """Give rows without a UEI the key of the one that their DUNS stands beside."""
    at = pc.index_in(table["duns"].combine_chunks(), value_set=known["duns"].combine_chunks())
    ueis = known["uei"].combine_chunks().take(at)
    keys = pc.coalesce(pc.binary_join_element_wise("UEI", ueis, "-"), table["key"].combine_chunks())
    return table.set_column(table.schema.get_field_index("key"), "key", keys)


def _unite(table: pa.Table) -> pa.Table:
    """Make one row of all that have the same key; in the order of the first of each."""
    table = table.sort_by("order")
    encoded = table["key"].combine_chunks().dictionary_encode()
    at = encoded.indices.to_numpy()
    is_alone = np.bincount(at)[at] == 1
    alone, several = table.filter(pa.array(is_alone)), table.filter(pa.array(~is_alone))
    if several.num_rows:
        alone = pa.concat_tables([alone, _unite_several(several, at[~is_alone])])
    return alone.sort_by("order").select(tables.RECIPIENTS.names)


def _unite_several(table: pa.Table, owners: NDArray[np.int32]) -> pa.Table:
    _, at = np.unique(owners, return_inverse=True)
    by_owner = np.argsort(at, kind="stable")
    table, at = table.take(pa.array(by_owner)), at[by_owner]
    count = int(at[-1]) + 1
    firsts = np.searchsorted(at, np.arange(count))
    first = table.take(pa.array(firsts))
    has_place = np.any([pc.is_valid(table[name]).to_numpy() for name in _PLACE], axis=0)
    columns = {}
    for name in _SCHEMA.names:
        if name in (*_OWN, "key", "order"):
            columns[name] = first[name].combine_chunks()
        elif name in _PLACE:
            columns[name] = _first_where(table[name], at, has_place, count)
        else:
            columns[name] = _first_where(table[name], at, pc.is_valid(table[name]).to_numpy(), count)
    columns["alternate_names"] = _join_names(table, at, columns["recipient_name"])
    return pa.table(columns, schema=_SCHEMA)


def _tell_apart(table: pa.Table, ids: Seen) -> pa.Table:
    """Give a recipient another id when another recipient of another file has the same one."""
    is_taken = pa.array(ids.count(digest_rows([table["recipient_id"].combine_chunks()])) > 0)
    if not pc.any(is_taken).as_py():
        return table
    others = table.filter(is_taken)
    made = derive_recipient_ids(
        *(others[name].combine_chunks() for name in ("uei", "duns", "recipient_name"))
    )
    given = pc.replace_with_mask(table["recipient_id"].combine_chunks(), is_taken, made)
    return table.set_column(0, table.schema.field(0), given)


def _first_where(
    values: pa.ChunkedArray,
    at: NDArray[np.int64],
    is_wanted: NDArray[np.bool_],
    count: int,
) -> pa.Array:
    """Give each owner's first value that is wanted; null where there is none."""
    places = np.flatnonzero(is_wanted)
    owners = at[places]
    found = np.searchsorted(owners, np.arange(count))
    is_there = np.searchsorted(owners, np.arange(count), side="right") > found
    chosen = np.append(places, 0)[np.where(is_there, found, 0)] if len(places) else np.zeros(count, int)
    return values.take(pa.array(chosen, mask=~is_there)).combine_chunks()


def _join_names(table: pa.Table, at: NDArray[np.int64], current: pa.Array) -> pa.Array:
    """Join all other names of each owner, each once, in the order of the files."""
    lists = pc.split_pattern(pc.fill_null(table["alternate_names"].combine_chunks(), ""), "|")
    owners = [at, at[pc.list_parent_indices(lists).to_numpy()]]
    texts = pa.chunked_array([table["recipient_name"].combine_chunks(), pc.list_flatten(lists)])
    names = pa.table({"at": np.concatenate(owners), "text": texts})
    own = current.take(names["at"].combine_chunks())
    is_other = pc.and_(
        pc.not_equal(pc.utf8_upper(names["text"].combine_chunks()), pc.utf8_upper(own)),
        pc.not_equal(names["text"].combine_chunks(), ""),
    )
    pairs = names.filter(is_other).group_by(["at", "text"], use_threads=False).aggregate([])
    order = np.argsort(pairs["at"].to_numpy(), kind="stable")
    pairs = pairs.take(pa.array(order))
    borders = np.searchsorted(pairs["at"].to_numpy(), np.arange(len(current) + 1)).astype(np.int32)
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(borders), pairs["text"].combine_chunks()), "|")
    return pc.if_else(pc.equal(joined, ""), None, joined)
