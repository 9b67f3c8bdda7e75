"""Rolling up USAspending's award archives to one row for each recipient.

An archive holds the actions of a fiscal year, contracts or assistance: millions of records of 300 columns. Of
a recipient they tell what no register does: the names it was filed under, what it was paid by year and by how
many agencies, and whether an action was coded as SBIR or STTR. All archives together don't fit into memory.
So the actions are first summed up by recipient and what else is wanted, a few hundred thousand at a time,
then cast into one of 64 files by the recipient's digest; all that concerns a recipient is in one file, and
file by file fits.

A recipient is known by its UEI, or else its DUNS, or else its name. Names and place are those of its newest
action; the other names it was filed under are its alternate names. Sums are taken in whole cents, so that
they don't depend on the order of the actions.

Beside the recipients go the contract numbers, each with the recipients of its actions: an award that bears
one of them names its recipient by that.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sbir_toolkit import params, tables
from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.sources import values
from sbir_toolkit.sources.ahead import run_ahead
from sbir_toolkit.sources.batches import Batch, Fault, read_csv
from sbir_toolkit.sources.contracts import contract_keys
from sbir_toolkit.sources.files import Part
from sbir_toolkit.sources.formats import ACTION_FORMAT, Layout, plain_name
from sbir_toolkit.sources.identifiers import normalise_cage, normalise_duns, normalise_uei
from sbir_toolkit.sources.spills import Spill

ROLLED_UP = "action counted with others of its recipient"

_MOST_USD = 1e14
_ALL_FILES = "(all award archives)"
_IN_ORDER = [(name, "ascending") for name in ("contract", "uei", "duns")]
_BUFFERED_ROWS = 400_000
_SBIR_CODES = ("SR1", "SR2", "SR3", "ST1", "ST2", "ST3")
_NOBODY = "action of nobody: no identifier and no name"
_TEXTS = (
    *("recipient_name", "filed_name", "trade_name", "cage", "parent_uei", "parent_name", "address1", "city"),
    *("state", "zip5", "country"),
)
_PARTIAL = pa.schema(
    [
        *((name, pa.string()) for name in ("key", "uei", "duns", *_TEXTS, "naics", "agency")),
        ("year", pa.int64()),
        ("is_sbir", pa.bool_()),
        ("newest", pa.date32()),
        ("actions", pa.int64()),
        ("cents", pa.int64()),
    ]
)
_PAIRS = tables.RECIPIENT_CONTRACTS.arrow_schema
_COLUMNS = (
    *(
        "recipient_name",
        "uei",
        "duns",
        "cage",
        "parent_uei",
        "parent_name",
        "address1",
        "city",
        "state",
        "zip5",
    ),
    *("country", "alternate_names", "naics", "actions", "sbir_actions", "agencies", "obligated_usd"),
    *("obligated_usd_by_year", "source"),
)


def roll_up(parts: list[Part], limits: params.Limits) -> Iterator[Batch]:
    """Read award archives and give their recipients.

    Parameters
    ----------
    parts
        The CSV files, or members of archives.
    limits
        How much may be in memory at once. What doesn't fit is put into temporary files.

    Yields
    ------
    Batch
        First the actions that can't be used, with no rows; then the recipients. The first action of each is
        its row, the others are counted as merged. Last, with no rows, the contract numbers.

    Raises
    ------
    InputError
        When a file can't be read, or holds no actions.
    """
    with Spill(_PARTIAL, "key") as spill, Spill(_PAIRS, "contract") as contracts:
        sums, pairs = _Sums(spill, _condense), _Sums(contracts, _condense_pairs)
        ours = Layout(_COLUMNS, {name: at for at, name in enumerate(_COLUMNS)}, ())
        for part in parts:
            batches = run_ahead(read_csv(part, ACTION_FORMAT, limits))
            for batch, (actions, found, faults, repaired) in run_ahead((one, _read(one)) for one in batches):
                sums.add(actions)
                pairs.add(found)
                _refuse_changes(batch.layout, part)
                layout = dataclasses.replace(ours, assumptions=batch.layout.assumptions)
                yield _no_rows(layout, (*batch.faults, *faults), batch.repaired + repaired, part.name)
        sums.write()
        pairs.write()
        row = 1
        for partials in spill.read():
            table = _condense(partials)
            recipients = _recipients(table)
            yield _rows(recipients, ours, row, int(pc.sum(table["actions"]).as_py()))
            row += recipients.num_rows
        for found in contracts.read():
            none = _no_rows(ours, (), Counter(), _ALL_FILES)
            yield dataclasses.replace(none, contracts=_condense_pairs(found).sort_by(_IN_ORDER))


class _Sums:
    """Rows that are summed up and written when enough of them have come together."""

    def __init__(self, spill: Spill, condense: Callable[[pa.Table], pa.Table]) -> None:
        self._spill = spill
        self._condense = condense
        self._waiting: list[pa.Table] = []

    def add(self, rows: pa.Table) -> None:
        """Take rows."""
        self._waiting.append(rows)
        if sum(table.num_rows for table in self._waiting) > _BUFFERED_ROWS:
            self.write()

    def write(self) -> None:
        """Write what is there."""
        if self._waiting:
            self._spill.add(self._condense(pa.concat_tables(self._waiting)))
            self._waiting = []


def _read(batch: Batch) -> tuple[pa.Table, pa.Table, list[Fault], Counter[str]]:
    """Read a batch of actions, and list its contracts."""
    texts, repaired = {}, Counter[str]()
    for column in ACTION_FORMAT.aliases:
        texts[column], decoded = values.clean_text(batch.text(column))
        repaired["html_entity"] += decoded
    uei, duns = normalise_uei(texts["uei"]), normalise_duns(texts["duns"])
    dates, amounts = values.read_dates(texts["action_date"]), values.read_amounts(texts["obligated_usd"])
    amounts = pc.if_else(pc.less(pc.abs(amounts), _MOST_USD), amounts, None)
    for kind, before, after in (
        ("uei_invalid", texts["uei"], uei),
        ("duns_invalid", texts["duns"], duns),
        ("date_unreadable", texts["action_date"], dates),
        ("amount_unreadable", texts["obligated_usd"], amounts),
    ):
        repaired[kind] += values.count_lost(before, after)
    names = pc.coalesce(texts["recipient_name"], texts["filed_name"])
    key = pc.coalesce(
        pc.binary_join_element_wise("UEI", uei, "-"),
        pc.binary_join_element_wise("DUNS", duns, "-"),
        pc.binary_join_element_wise("NAME", pc.utf8_upper(names), "-"),
    )
    is_usable = pc.is_valid(names)
    faults = [
        batch.fault(at, "recipient_name", None, _NOBODY)
        for at in np.flatnonzero(~is_usable.to_numpy(zero_copy_only=False)).tolist()
    ]
    columns = {
        **{name: texts[name] for name in _TEXTS},
        "key": key,
        "uei": uei,
        "duns": duns,
        "recipient_name": names,
        "cage": normalise_cage(texts["cage"]),
        "naics": texts["naics"],
        "agency": texts["agency"],
        "year": pc.add(pc.year(dates), pc.cast(pc.greater_equal(pc.month(dates), 10), pa.int64())),
        "is_sbir": pc.is_in(pc.utf8_upper(texts["research"]), value_set=pa.array(_SBIR_CODES)),
        "newest": dates,
        "actions": pa.array(np.ones(len(batch.rows), dtype=np.int64)),
        "cents": pc.fill_null(pc.round(pc.multiply(amounts, 100)), 0).cast(pa.int64(), safe=False),
    }
    table = pa.table({name: columns[name] for name in _PARTIAL.names}, schema=_PARTIAL)
    numbers = [contract_keys(texts[name], texts["agency"]) for name in ("award_id", "parent_award_id")]
    return table.filter(is_usable), _pair(table, numbers), faults, +repaired


def _condense(table: pa.Table) -> pa.Table:
    """Sum up the rows that agree in everything but date, actions and amount."""
    same = [name for name in _PARTIAL.names if name not in ("newest", "actions", "cents")]
    sums = [("newest", "max"), ("actions", "sum"), ("cents", "sum")]
    grouped = table.group_by(same, use_threads=False).aggregate(sums)
    names = {f"{name}_{function}": name for name, function in sums}
    renamed = grouped.rename_columns([names.get(name, name) for name in grouped.column_names])
    return renamed.select(_PARTIAL.names).cast(_PARTIAL)


def _pair(table: pa.Table, numbers: list[pa.Array]) -> pa.Table:
    """List the contracts' numbers, and those of the contracts they are orders of, with their recipients."""
    has_id = pc.or_(pc.is_valid(table["uei"]), pc.is_valid(table["duns"]))
    found = []
    for contracts in numbers:
        pairs = table.select(["uei", "duns"]).add_column(0, "contract", contracts)
        pairs = pairs.append_column("is_sbir", table["is_sbir"])
        found.append(pairs.filter(pc.and_(has_id, pc.is_valid(contracts))))
    return pa.concat_tables(found)


def _condense_pairs(table: pa.Table) -> pa.Table:
    grouped = table.group_by(["contract", "uei", "duns"], use_threads=False).aggregate([("is_sbir", "any")])
    return grouped.rename_columns(_PAIRS.names).cast(_PAIRS)


def _recipients(table: pa.Table) -> pa.Table:
    """Make the recipients of one file of partial sums, by their keys."""
    keys = pc.unique(table["key"])
    keys = keys.take(pc.sort_indices(keys))
    table = table.append_column("at", pc.index_in(table["key"], value_set=keys))
    orders = [("at", "ascending"), ("newest", "descending"), *((name, "ascending") for name in _TEXTS)]
    table = table.take(pc.sort_indices(table, sort_keys=orders))
    at = table["at"].to_numpy()
    firsts = np.searchsorted(at, np.arange(len(keys)))
    newest = table.take(pa.array(firsts))
    columns = {name: newest[name].combine_chunks() for name in _TEXTS}
    for name in ("uei", "duns", "cage"):
        columns[name] = _first(table, name, len(keys))
    current = pc.take(columns["recipient_name"], table["at"].combine_chunks())
    columns["alternate_names"] = _join_names(table, current, len(keys))
    columns["naics"] = _join_by_weight(table, "naics", len(keys))
    columns["actions"] = _sum(table, "actions", len(keys))
    columns["sbir_actions"] = _sum(table.filter(table["is_sbir"]), "actions", len(keys))
    pairs = table.filter(pc.is_valid(table["agency"])).group_by(["at", "agency"]).aggregate([])
    columns["agencies"] = np.bincount(pairs["at"].to_numpy(), minlength=len(keys))
    columns["obligated_usd"] = pa.array(_sum(table, "cents", len(keys))).cast(pa.float64())
    columns["obligated_usd"] = pc.divide(columns["obligated_usd"], 100.0)
    columns["obligated_usd_by_year"] = _join_years(table, len(keys))
    columns["source"] = pa.array(["award archive"] * len(keys))
    return pa.table({name: columns[name] for name in _COLUMNS})


def _sum(table: pa.Table, name: str, count: int) -> NDArray[np.int64]:
    sums = np.zeros(count, dtype=np.int64)
    np.add.at(sums, table["at"].to_numpy(), table[name].to_numpy())
    return sums


def _first(table: pa.Table, name: str, count: int) -> pa.Array:
    """Give each recipient's newest text that isn't null."""
    filled = table.filter(pc.is_valid(table[name])).select(["at", name])
    at = filled["at"].to_numpy()
    places = np.searchsorted(at, np.arange(count))
    is_there = np.searchsorted(at, np.arange(count), side="right") > places
    return filled[name].take(pa.array(places, mask=~is_there)).combine_chunks()


def _join_names(table: pa.Table, current: pa.Array, count: int) -> pa.Array:
    """Join the names each recipient was filed under, but for its own."""
    found = []
    for name in ("recipient_name", "filed_name", "trade_name"):
        column = table[name].combine_chunks()
        is_other = pc.fill_null(pc.not_equal(pc.utf8_upper(column), pc.utf8_upper(current)), False)
        pair = pa.table({"at": table["at"].combine_chunks(), "text": column})
        found.append(pair.filter(is_other))
    pairs = pa.concat_tables(found).group_by(["at", "text"]).aggregate([])
    return _join(pairs.sort_by([("at", "ascending"), ("text", "ascending")]), count)


def _join_by_weight(table: pa.Table, name: str, count: int) -> pa.Array:
    """Join a column's values, the one with the most actions first."""
    filled = table.filter(pc.is_valid(table[name]))
    pairs = filled.group_by(["at", name]).aggregate([("actions", "sum")])
    ordered = pairs.sort_by([("at", "ascending"), ("actions_sum", "descending"), (name, "ascending")])
    return _join(ordered.select(["at", name]).rename_columns(["at", "text"]), count)


def _join_years(table: pa.Table, count: int) -> pa.Array:
    """Write the obligations of each year as `year=dollars`; without a date the year is `unknown`."""
    sums = table.group_by(["at", "year"]).aggregate([("cents", "sum")])
    ordered = sums.sort_by([("at", "ascending"), ("year", "ascending")])
    years = pc.fill_null(ordered["year"].cast(pa.string()), "unknown")
    dollars = [f"{cents / 100:.2f}" for cents in ordered["cents_sum"].to_pylist()]
    texts = pc.binary_join_element_wise(years, pa.chunked_array([dollars], pa.string()), "=")
    return _join(pa.table({"at": ordered["at"], "text": texts}), count)


def _join(pairs: pa.Table, count: int) -> pa.Array:
    """Join the texts of each recipient with bars; null where it has none."""
    borders = np.searchsorted(pairs["at"].to_numpy(), np.arange(count + 1)).astype(np.int32)
    texts = pairs["text"].combine_chunks()
    lists = pa.ListArray.from_arrays(pa.array(borders), texts)
    return pc.if_else(pc.equal(pc.list_value_length(lists), 0), None, pc.binary_join(lists, "|"))


def _no_rows(layout: Layout, faults: tuple[Fault, ...], repaired: Counter[str], file: str) -> Batch:
    none = np.array([], dtype=np.int64)
    table = pa.table({str(at): pa.array([], pa.string()) for at in range(len(_COLUMNS))})
    return Batch(table, layout, none, none, lambda index: "", faults, repaired, file)


def _rows(recipients: pa.Table, layout: Layout, first: int, actions: int) -> Batch:
    count = recipients.num_rows
    texts = {str(at): recipients[name].cast(pa.string()) for at, name in enumerate(_COLUMNS)}
    numbers = first + np.arange(count)
    names = recipients["recipient_name"]
    merged = Counter({ROLLED_UP: actions - count})
    return Batch(
        pa.table(texts),
        layout,
        numbers,
        numbers,
        lambda index: str(names[index]),
        (),
        Counter(),
        _ALL_FILES,
        merged=+merged,
    )


def _refuse_changes(layout: Layout, part: Part) -> None:
    """Refuse a delta archive: what it holds are changes of another one."""
    if any(plain_name(name) == "correction delete ind" for name in layout.header):
        raise InputError(
            explain(
                "the archive holds only what changed since another one",
                where=part,
                expected="an archive of a whole fiscal year, such as FY2024_All_Contracts_Full_*.zip",
                got="a delta archive: its first column is correction_delete_ind",
                todo="download the archives of whole years",
            )
        )
