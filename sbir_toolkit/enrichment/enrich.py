"""From two stored tables to matched awards: the steps of enrichment in their order.

Nothing here holds a whole input. The recipient index is built once for a recipients' file and kept in the
store under a key that says what it was built from; the committed chunks are kept there too, so an interrupted
or repeated run starts from them.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit.enrichment.combine import (
    MatchTables,
    check_conserved,
    combine_parts,
    join_awards,
    write_rejects,
)
from sbir_toolkit.enrichment.companies import FIELDS, collapse_awards
from sbir_toolkit.enrichment.contracts import NUMBERED, name_contracts
from sbir_toolkit.enrichment.execute import execute_chunks
from sbir_toolkit.enrichment.journal import Journal
from sbir_toolkit.enrichment.plan import plan_chunks
from sbir_toolkit.enrichment.relate import relate_siblings
from sbir_toolkit.enrichment.review import FACTS, write_questions
from sbir_toolkit.enrichment.schedulers import thread_count, worker_count
from sbir_toolkit.enrichment.settle import settle_overrides
from sbir_toolkit.locks import LONGEST_WAIT_S, locked
from sbir_toolkit.matching import build_index, open_index
from sbir_toolkit.memory import release
from sbir_toolkit.meter import phase
from sbir_toolkit.params import Params
from sbir_toolkit.storage import digest_file, digest_value, mark_used
from sbir_toolkit.tables import ENRICHED_AWARDS, MATCHES
from sbir_toolkit.versions import DECIDING_LIBRARIES, code_digest, library_versions

LINKED = ("award_id", *FIELDS, *NUMBERED, *FACTS)
"""The columns of the awards that `link_awards` and the questions to people need."""


@dataclass(frozen=True)
class Enriched:
    """What matching did, and where the tables are.

    `parts` are the committed chunks that `company_matches` was put together from: each one's name, how many
    companies were taken from it, and the digest of the whole of it.
    """

    tables: MatchTables
    awards: int
    companies: int
    companies_rejected: int
    parts: tuple[dict[str, Any], ...]
    chunks_reused: int
    companies_reused: int
    decisions: dict[str, int]
    plan: str
    overrides: dict[str, int]

    def __repr__(self) -> str:
        decisions = ", ".join(f"{count:,} {name}" for name, count in self.decisions.items())
        return (
            f"{self.awards:,} awards of {self.companies:,} distinct companies: {decisions}\n"
            f"{self.chunks} chunk(s), {self.chunks_reused} of them known from before; "
            f"{self.companies_reused:,} companies known from before; {self.plan}"
            f"{self._rejects()}{self._people()}"
        )

    @property
    def chunks(self) -> int:
        """How many committed chunks the result comes from."""
        return len(self.parts)

    @property
    def counts(self) -> dict[str, int]:
        """What a run's record keeps of it."""
        counted = {
            "companies": self.companies,
            "companies_matched": self.companies - self.companies_rejected,
            "companies_reused": self.companies_reused,
            "chunks": self.chunks,
            "chunks_reused": self.chunks_reused,
        }
        return counted | {f"overrides_{name}": count for name, count in self.overrides.items()}

    def _rejects(self) -> str:
        if not self.companies_rejected:
            return ""
        return (
            f"\n{self.companies_rejected:,} companies can't be matched and are listed in company_rejects; "
            "their awards go on unmatched"
        )

    def _people(self) -> str:
        counts = self.overrides
        if not counts["used"] + counts["unused"]:
            return ""
        kinds = ", ".join(f"{counts[kind]:,} {kind}" for kind in ("same", "different", "other"))
        return f"\ndecided by people: {kinds}; {counts['used']:,} used, {counts['unused']:,} not"

    def _repr_html_(self) -> str:
        return "<p>" + "<br>".join(escape(line) for line in repr(self).splitlines()) + "</p>"


def enrich_awards(
    awards: Path,
    recipients: Path,
    folder: Path,
    store: Path,
    params: Params,
    *,
    contracts: Path | None = None,
) -> Enriched:
    """Match every award's company to a recipient and join what is known of it back to the awards.

    Parameters
    ----------
    awards, recipients
        Parquet of the contracts `awards` and `recipients`.
    folder
        Where the result tables go.
    store
        Where the index and the committed chunks are kept from run to run.
    params
        The run's parameters.
    contracts
        Parquet of the contract `recipient_contracts`, where there is one.

    Returns
    -------
    Enriched
        Counts, and the paths of the tables companies, company_matches, company_rejects, overrides, matches,
        enriched_awards and review_candidates.

    Raises
    ------
    ContractError
        When awards would be lost, doubled or out of order.
    InputError
        When the overrides can't be used or contradict each other.
    """
    with ThreadPoolExecutor(1) as beside:
        companies = MatchTables.inside(folder).companies
        collapsed = beside.submit(collapse_awards, awards, companies, batch_rows=params.limits.read_rows)
        index = prepare_index(recipients, store, params, contracts=contracts)
        enriched = link_awards(
            awards, index, folder, store, params, recipients=recipients, companies=collapsed.result()
        )
    check_conserved(awards, enriched.tables.enriched_awards, ENRICHED_AWARDS)
    return enriched


def link_awards(
    awards: Path,
    index: Path,
    folder: Path,
    store: Path,
    params: Params,
    *,
    recipients: Path | None = None,
    companies: int | None = None,
) -> Enriched:
    """Match every award's company to a recipient of an index; enrich the awards only on request.

    Parameters
    ----------
    awards
        Parquet of the contract `awards`; the columns `LINKED` are enough where no enriched awards are wanted.
    index
        The recipient index's folder, from `prepare_index`.
    folder, store, params
        As for `enrich_awards`.
    recipients
        Parquet of the contract `recipients`, when the tables enriched_awards and review_candidates are
        wanted too.
    companies
        How many there are, where `collapse_awards` has written them into the folder already.

    Returns
    -------
    Enriched
        Counts, and the paths of the tables companies, company_matches, company_rejects, overrides and
        matches.
    """
    tables = MatchTables.inside(folder)
    batch_rows = params.limits.read_rows
    if companies is None:
        companies = collapse_awards(awards, tables.companies, batch_rows=batch_rows)
    opened = open_index(index)
    name_contracts(awards, tables.companies, opened, batch_rows=batch_rows)
    depends_on = _depends_on(index, params)
    home = store / "matching" / digest_value(depends_on)[7:23]
    workers = worker_count(params.compute)
    with locked(home / "writer.lock", "the matching of these recipients", wait_s=LONGEST_WAIT_S):
        journal = Journal(home)
        mark_used(home)
        with phase("match", rows=companies):
            plan = plan_chunks(tables.companies, journal, params, workers, depends_on)
            pieces = execute_chunks(
                plan,
                tables.companies,
                index,
                journal,
                compute=params.compute,
                limits=params.limits,
                matching=params.matching,
            )
        kept = combine_parts(pieces, tables)
    rejected = {name: why for piece in pieces for name, why in piece.rejected.items()}
    write_rejects(rejected, tables)
    release()  # what the chunks used
    decided = Path(params.matching.overrides) if params.matching.overrides else None
    relate_siblings(
        tables,
        kept,
        opened,
        params.matching,
        threads=thread_count(params.compute),
        at_once=plan.size,
    )
    release()
    overrides = settle_overrides(decided, tables, opened, params.matching)
    with ThreadPoolExecutor(1) as beside:
        asked = (
            [beside.submit(write_questions, awards, tables, opened, batch_rows=batch_rows)]
            if recipients
            else []
        )
        rows = join_awards(awards, recipients, tables, batch_rows=batch_rows)
        for questions in asked:
            questions.result()
    check_conserved(awards, tables.matches, MATCHES)
    decisions = _decisions(tables.matches)
    return Enriched(
        tables=tables,
        awards=rows,
        companies=companies,
        companies_rejected=len(rejected),
        parts=tuple(
            {"part": piece.part.stem, "companies": len(piece.places), "digest": piece.digest}
            for piece in pieces
        ),
        chunks_reused=len(plan.known),
        companies_reused=plan.companies_known,
        decisions=decisions,
        plan=plan.reason,
        overrides=overrides,
    )


def prepare_index(
    recipients: Path | Iterable[pa.Table],
    store: Path,
    params: Params,
    *,
    contracts: Path | None = None,
    content: str | None = None,
) -> Path:
    """Find the recipient index in the store, or build it there.

    Its name is a digest of the recipients' content, of the one parameter that shapes it and of the code that
    builds it; thresholds may change without a new one.

    Parameters
    ----------
    recipients
        Parquet of the contract `recipients`, or its rows in pieces; these aren't asked for when there is an
        index of them.
    store
        Where indices are kept.
    params
        The run's parameters.
    contracts
        Parquet of the contract `recipient_contracts`, where there is one; it is read after the recipients.
    content
        What tells the recipients' content, and the contracts', from any other; needed where they come in
        pieces.

    Returns
    -------
    pathlib.Path
        The index's folder.
    """
    if isinstance(recipients, Path):
        paths = (
            [recipients, contracts] if contracts and pq.read_metadata(contracts).num_rows else [recipients]
        )
        content = digest_value([_digest(path) for path in paths])
    key = digest_value(
        {
            "recipients": content,
            "max_word_postings": params.matching.max_word_postings,
            "code": code_digest("matching"),
            "libraries": library_versions(DECIDING_LIBRARIES),
        }
    )[7:23]
    folder = store / "index" / key
    with locked(store / "index" / f"{key}.lock", "this recipient index", wait_s=LONGEST_WAIT_S):
        if not folder.exists():
            build_index(recipients, folder, params.matching, contracts, memory_mb=params.limits.memory_mb)
        mark_used(folder)
    open_index(folder)
    return folder


def _digest(path: Path) -> str:
    found = path.stat()
    return _digest_once(path, (found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=4)
def _digest_once(path: Path, stamp: tuple[int, int, int]) -> str:
    # A notebook asks for the same index several times; the stamp is here to tell another file of that name.
    return digest_file(path)


def _depends_on(index: Path, params: Params) -> dict[str, str]:
    return {
        "index": index.name,
        "matching": digest_value(params.matching.model_dump(mode="json", exclude={"overrides"})),
        "code": code_digest("enrichment", "matching"),
        "libraries": digest_value(library_versions(DECIDING_LIBRARIES)),
    }


def _decisions(matches: Path) -> dict[str, int]:
    counts = pc.value_counts(pq.read_table(matches, columns=["decision"])["decision"]).to_pylist()
    found = {str(item["values"]): int(item["counts"]) for item in counts}
    return {name: found.get(name, 0) for name in ("accept", "review", "reject")}
