"""Combining: parts to one table of companies, companies back to awards, and proof that nothing was lost.

What the parts hold is put into the companies' order, so the combined table is the same whatever they hold.
The awards are read in batches and written in their own order, each with its company's match: as many rows out
as in, each key once.
"""

from __future__ import annotations

import contextlib
import mmap
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit.enrichment.companies import FIELDS, company_ids, read_batches
from sbir_toolkit.enrichment.parts import Piece, gather
from sbir_toolkit.errors import ContractError, explain
from sbir_toolkit.matching.match import KEPT
from sbir_toolkit.meter import phase
from sbir_toolkit.storage import ROW_GROUP_ROWS, parquet_writer, write_parquet
from sbir_toolkit.tables import (
    COMPANY_MATCHES,
    COMPANY_REJECTS,
    ENRICHED_AWARDS,
    MATCHES,
    RECIPIENTS,
    Table,
)

_FROM_RECIPIENT = {
    "recipient_name": "recipient_name",
    "uei": "recipient_uei",
    "duns": "recipient_duns",
    "cage": "recipient_cage",
    "parent_uei": "recipient_parent_uei",
    "parent_name": "recipient_parent_name",
    "city": "recipient_city",
    "state": "recipient_state",
    "zip5": "recipient_zip5",
    "country": "recipient_country",
}


@dataclass(frozen=True)
class MatchTables:
    """Where the results of matching stand."""

    companies: Path
    company_matches: Path
    company_rejects: Path
    overrides: Path
    matches: Path
    enriched_awards: Path
    review_candidates: Path

    @classmethod
    def inside(cls, folder: Path) -> MatchTables:
        """Name them after their contracts, in one folder."""
        return cls(**{field.name: folder / f"{field.name}.parquet" for field in fields(cls)})


def combine_parts(pieces: Sequence[Piece], tables: MatchTables) -> pa.ChunkedArray:
    """Put what the parts hold together, in the companies' order.

    Parameters
    ----------
    pieces
        Together they hold each company once.
    tables
        `companies` is read; `company_matches` is written.

    Returns
    -------
    pyarrow.ChunkedArray
        What was kept of each company (`match_and_keep`), in a file without a name that is mapped into memory:
        it is gone with the process, and holds none of its memory.

    Raises
    ------
    ContractError
        When a company is missing, or is there twice.
    """
    with (
        phase("combine") as span,
        parquet_writer(tables.company_matches, COMPANY_MATCHES.arrow_schema) as out,
        tempfile.TemporaryFile(dir=tables.company_matches.parent) as scratch,
    ):
        ids = pq.read_table(tables.companies, columns=["company_id"])["company_id"].combine_chunks()
        with pa.ipc.new_file(scratch, pa.schema([(KEPT, pa.binary())])) as kept:
            for table in gather(pieces, ids, [*COMPANY_MATCHES.names, KEPT], ROW_GROUP_ROWS):
                out.write_table(table)
                kept.write_table(table.select([KEPT]))
        span.rows = len(ids)
        scratch.flush()
        mapped = mmap.mmap(scratch.fileno(), 0, access=mmap.ACCESS_READ)
    return pa.ipc.open_file(pa.py_buffer(mapped)).read_all()[KEPT]


def write_rejects(rejected: dict[str, str], tables: MatchTables) -> None:
    """Write the companies that can't be matched, with their reasons, in the companies' order."""
    companies = pq.read_table(tables.companies, columns=["company_id", "company", "awards"])
    wanted = companies.filter(pc.is_in(companies["company_id"], pa.array(rejected, pa.string())))
    reasons = [rejected[company_id] for company_id in wanted["company_id"].to_pylist()]
    table = wanted.append_column("reason", pa.array(reasons, pa.string()))
    write_parquet(tables.company_rejects, table.cast(COMPANY_REJECTS.arrow_schema))


def join_awards(awards: Path, recipients: Path | None, tables: MatchTables, *, batch_rows: int) -> int:
    """Give every award its company's match, in the awards' order.

    Parameters
    ----------
    awards
        Parquet of the contract `awards`.
    recipients
        Parquet of the contract `recipients`, to add what is known of an accepted one; None: only the
        matches are written.
    tables
        `company_matches` is read; `matches` and `enriched_awards` are written.
    batch_rows
        Awards worked on at once.

    Returns
    -------
    int
        The number of awards.

    Raises
    ------
    ContractError
        When an award's company has no match: the companies weren't made from these awards.
    """
    wanted = [name for name in COMPANY_MATCHES.names if name == "company_id" or name in MATCHES.names]
    company_matches = pq.read_table(tables.company_matches, columns=wanted).combine_chunks()
    details, columns = None, ["award_id", *FIELDS]
    if recipients is not None:
        columns = [name for name in ENRICHED_AWARDS.names if name in pq.read_schema(awards).names]
        details = _recipient_details(recipients, _accepted(company_matches).unique(), batch_rows)
    rows = 0
    with phase("join") as span, contextlib.ExitStack() as stack:
        matches_writer = stack.enter_context(parquet_writer(tables.matches, MATCHES.arrow_schema))
        if details is not None:
            enriched_writer = stack.enter_context(
                parquet_writer(tables.enriched_awards, ENRICHED_AWARDS.arrow_schema)
            )
        for batch in read_batches(awards, columns, batch_rows):
            found = _match_of_each(batch, company_matches)
            matches_writer.write_table(_beside(batch.select(["award_id", "company"]), found))
            if details is not None:
                enriched_writer.write_table(_enriched(batch, found, details))
            rows += batch.num_rows
        span.rows = rows
    return rows


def check_conserved(awards: Path, result: Path, table: Table) -> None:
    """Prove that a result has each award once, in the awards' order.

    Raises
    ------
    ContractError
        Naming the first award that differs.
    """
    with pq.ParquetFile(awards) as before, pq.ParquetFile(result) as after:
        if before.metadata.num_rows != after.metadata.num_rows:
            raise ContractError(
                explain(
                    f"awards were lost or doubled in '{table.name}'",
                    where=result,
                    expected=f"{before.metadata.num_rows:,} awards",
                    got=f"{after.metadata.num_rows:,}",
                )
            )
        left = pa.chunked_array(
            [batch["award_id"] for batch in before.iter_batches(columns=["award_id"])], pa.string()
        )
        right = pa.chunked_array(
            [batch["award_id"] for batch in after.iter_batches(columns=["award_id"])], pa.string()
        )
        if not left.equals(right):
            at = pc.index(pc.not_equal(left, right), True).as_py()
            raise ContractError(
                explain(
                    f"'{table.name}' isn't in the awards' order",
                    where=f"{result}, row {at + 1}",
                    expected=left[at].as_py(),
                    got=right[at].as_py(),
                )
            )


def _match_of_each(batch: pa.Table, company_matches: pa.Table) -> pa.Table:
    positions = pc.index_in(company_ids(batch), value_set=company_matches["company_id"])
    if positions.null_count:
        strangers = batch.filter(positions.is_null()).select(["award_id", "company"]).to_pandas()
        raise ContractError(
            explain(
                "some awards belong to no matched company",
                expected="companies made from these very awards",
                got=f"{len(strangers)} award(s), such as {strangers.iloc[0].tolist()}",
                todo="run the stage again from the start (--fresh)",
            ),
            rows=strangers,
        )
    return company_matches.take(positions)


def _enriched(batch: pa.Table, found: pa.Table, details: pa.Table) -> pa.Table:
    recipient_id = _accepted(found)
    of_each = details.take(pc.index_in(recipient_id, value_set=details["recipient_id"]))
    decided = found.select(["decision", "tier", "match_probability"])
    return _beside(batch, decided, of_each.set_column(0, "recipient_id", recipient_id))


def _accepted(matches: pa.Table) -> pa.ChunkedArray:
    """The recipients that were accepted; null where none was."""
    is_accepted = pc.equal(matches["decision"], "accept")
    return pc.if_else(is_accepted, matches["recipient_id"], pa.scalar(None, pa.string()))


def _beside(*tables: pa.Table) -> pa.Table:
    """Put tables of as many rows beside each other."""
    return pa.table({name: table[name] for table in tables for name in table.column_names})


def _recipient_details(recipients: Path, wanted: pa.Array, batch_rows: int) -> pa.Table:
    columns = ["recipient_id", *_FROM_RECIPIENT]
    with phase("look up recipients"):
        found = [
            batch.filter(pc.is_in(batch["recipient_id"], value_set=wanted))
            for batch in read_batches(recipients, columns, batch_rows)
        ]
        details = pa.concat_tables([RECIPIENTS.arrow_schema.empty_table().select(columns), *found])
        return details.combine_chunks().rename_columns(["recipient_id", *_FROM_RECIPIENT.values()])
