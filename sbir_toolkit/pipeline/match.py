"""The matcher alone: two files in, one table of matches out, no notebooks.

The same readers, the same enrichment and the same store as in the pipeline, so a match made here is byte for
byte the one that a run makes, and the index that one of them built serves the other.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from sbir_toolkit.enrichment import Enriched, enrich_awards, prepare_index
from sbir_toolkit.enrichment.companies import FIELDS, company_ids
from sbir_toolkit.errors import ParameterError
from sbir_toolkit.errors import explain as explain_error
from sbir_toolkit.matching import Explanation, explain_match, open_index
from sbir_toolkit.params import Params
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import RunFolder, run_params
from sbir_toolkit.pipeline.setup import digest_input
from sbir_toolkit.sources import Loaded, load_awards, load_recipients
from sbir_toolkit.storage import atomic_path, digest_value, locked
from sbir_toolkit.versions import code_digest

_WAIT_S = 900.0


@dataclass(frozen=True)
class Matched:
    """What matching two files gave."""

    out: Path
    awards: Loaded
    recipients: Loaded
    enriched: Enriched

    def __repr__(self) -> str:
        rejects = self.out.with_name(f"{self.out.stem}.rejects.parquet")
        parts = f"{self.awards!r}\n{self.recipients!r}\n{self.enriched!r}"
        return f"{parts}\nmatches: {self.out}\nrejected records: {rejects}"


def match_awards(awards: Path, recipients: Path, out: Path, params: Params, store: Path) -> Matched:
    """Match a file of awards to a file of recipients.

    Parameters
    ----------
    awards, recipients
        Files as published; see `load_awards` and `load_recipients`.
    out
        Where the matches go: Parquet, one row per award in the order of the awards (contract `matches`).
        Awards that could not be read are listed with their reasons in `<out>.rejects.parquet` beside it.
    params
        Parameters; None of the pipeline's are used.
    store
        Where read tables, the recipient index and committed chunks are kept for the next time.

    Returns
    -------
    Matched
        Counts of what was read, rejected and decided.
    """
    if out.suffix != ".parquet":
        expected = "a name that ends in .parquet"
        raise ParameterError(
            explain_error("the matches are written as Parquet", where=out, expected=expected, got=out.name)
        )
    made_from = {
        "awards": digest_input(awards, "awards", todo="name SBIR.gov's CSV file"),
        "recipients": digest_input(recipients, "recipients", todo="name a CSV or Parquet file of recipients"),
        "code": code_digest("sources"),
    }
    work = store / "files" / digest_value(made_from)[7:23]
    with locked(work.with_suffix(".lock"), "these two files", wait_s=_WAIT_S):
        # The two files have nothing to do with each other, and reading releases the interpreter.
        with ThreadPoolExecutor(2) as pool:
            reading = pool.submit(load_awards, awards, work, params.limits)
            read_recipients = load_recipients(recipients, work, params.limits)
            read_awards = reading.result()
        enriched = enrich_awards(work / "awards.parquet", work / "recipients.parquet", work, store, params)
        for source, target in (
            (enriched.tables.matches, out),
            (work / "award_rejects.parquet", out.with_name(f"{out.stem}.rejects.parquet")),
        ):
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)
        shutil.rmtree(work)
    return Matched(out, read_awards, read_recipients, enriched)


def explain_award(project: Project, run: RunFolder, award_id: str) -> Explanation:
    """Explain an award's match in a run.

    Raises
    ------
    ParameterError
        When the run has no such award.
    """
    awards = run.table("awards")
    if not awards.exists() or not run.table("recipients").exists():
        raise ParameterError(
            explain_error("this run has no matched awards", where=run.path, todo="run it to its end")
        )
    found = pq.read_table(
        awards, columns=["award_id", *FIELDS], filters=[("award_id", "=", award_id)]
    ).to_pandas()
    if found.empty:
        raise ParameterError(
            explain_error(
                f"there is no award '{award_id}'", where=awards, expected="an award_id of the table matches"
            )
        )
    params = run_params(run)
    company = found.assign(company_id=company_ids(found), awards=1).iloc[0]
    index = open_index(prepare_index(run.table("recipients"), project.store, params))
    return explain_match(company, index, params.matching)
