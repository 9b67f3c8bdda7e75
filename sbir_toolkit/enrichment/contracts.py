"""The contracts of a company: those of its awards' numbers that name a recipient.

Companies are the unit of matching, and contract numbers belong to awards. So a company carries the numbers
of all its awards that award archives know, and that name one firm only; what else was filed as a number is
left out, so that it never makes a company another one. A number that stands on awards of many firms is no
contract of any of them, whatever the archives say: `NAS 96-1` is on 348 awards.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit.enrichment.companies import FIELDS, company_ids, read_batches
from sbir_toolkit.matching import RecipientIndex
from sbir_toolkit.matching.contracts import tell_contracts
from sbir_toolkit.matching.lookup import name_keys
from sbir_toolkit.meter import phase
from sbir_toolkit.sources.contracts import contract_keys
from sbir_toolkit.storage import write_parquet
from sbir_toolkit.tables import COMPANIES

# A firm spells its name in several ways on the awards of one contract, and may change it; but not so often.
_MOST_NAMES = 3
NUMBERED = ("contract", "agency")
"""The columns of an award that say which contract it is."""


def name_contracts(awards: Path, companies: Path, index: RecipientIndex, *, batch_rows: int) -> None:
    """Fill in which contracts each company has; without contracts in the index nothing is read or written.

    Parameters
    ----------
    awards
        Parquet of the contract `awards`.
    companies
        Parquet of the contract `companies`, made from these awards; written anew.
    index
        The recipients, with their contracts.
    batch_rows
        Awards read at once.
    """
    if not len(index["contract_key"]):
        return
    with phase("contracts") as span:
        found = []
        for batch in read_batches(awards, [*FIELDS, *NUMBERED], batch_rows):
            keys = contract_keys(*(batch[name].combine_chunks() for name in NUMBERED))
            is_telling = pa.array(tell_contracts(index, keys))
            told = batch.append_column("key", keys).filter(is_telling)
            found.append(
                pa.table({"company_id": company_ids(told), "company": told["company"], "key": told["key"]})
            )
            span.rows = (span.rows or 0) + batch.num_rows
        pairs = pa.concat_tables(found).group_by(["company_id", "company", "key"]).aggregate([])
        lists = _join(_leave_junk(pairs))
        table = pq.read_table(companies)
        at = pc.index_in(table["company_id"], value_set=lists["company_id"])
        contracts = lists["contracts"].take(at)
        where = table.schema.get_field_index("contracts")
        write_parquet(companies, table.set_column(where, "contracts", contracts).cast(COMPANIES.arrow_schema))


def _leave_junk(pairs: pa.Table) -> pa.Table:
    """Leave out the numbers that stand beside too many names."""
    names = pa.table({"key": pairs["key"], "name": name_keys(pairs["company"].combine_chunks())})
    counts = names.group_by("key").aggregate([("name", "count_distinct")])
    junk = counts["key"].filter(pc.greater(counts["name_count_distinct"], _MOST_NAMES))
    return pairs.filter(pc.invert(pc.is_in(pairs["key"], value_set=junk)))


def _join(pairs: pa.Table) -> pa.Table:
    """Join the numbers of each company, in their order."""
    pairs = pairs.sort_by([("company_id", "ascending"), ("key", "ascending")])
    owners = pairs["company_id"].combine_chunks()
    firsts = np.flatnonzero(np.append(True, owners[1:].to_numpy(False) != owners[:-1].to_numpy(False)))
    firsts = firsts[: len(owners)]
    borders = pa.array(np.append(firsts, len(owners)).astype(np.int32))
    lists = pa.ListArray.from_arrays(borders, pairs["key"].combine_chunks())
    return pa.table({"company_id": owners.take(pa.array(firsts)), "contracts": pc.binary_join(lists, "|")})
