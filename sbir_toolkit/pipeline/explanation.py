"""Why awards have their recipients: the run's tables, the index they were matched against, the people.

The explanation is worked out anew from the run's own tables, under the parameters it was told; what a person
decided, and what other companies of the same name said, stands in the award's evidence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sbir_toolkit.enrichment import prepare_index
from sbir_toolkit.enrichment.companies import FIELDS, company_ids
from sbir_toolkit.errors import ParameterError, explain
from sbir_toolkit.matching import Explanation, Explanations, PersonsDecision, explain_match, open_index
from sbir_toolkit.matching.compared import place_in_words
from sbir_toolkit.matching.siblings import Word, read_said
from sbir_toolkit.params import Params
from sbir_toolkit.pipeline.project import Project
from sbir_toolkit.pipeline.run import RunFolder, run_params

_SHOWN_AWARDS = 10
_OUTCOME = ("recipient_id", "decision", "match_probability", "margin")


@dataclass(frozen=True)
class MatchedTables:
    """The tables that an explanation is made from; `companies` and `matches` may not be there yet."""

    awards: Path
    recipients: Path
    recipient_contracts: Path
    companies: Path
    matches: Path

    @classmethod
    def found(cls, find: Callable[[str], Path]) -> MatchedTables:
        """Find each by its name."""
        return cls(*(find(field.name) for field in fields(cls)))


class _Row(NamedTuple):
    award_id: str
    recipient_id: str | None
    evidence: dict[str, Any]
    outcome: dict[str, Any]


def explain_award(project: Project, run: RunFolder, award_id: str) -> Explanation:
    """Explain an award's match in a run.

    Parameters
    ----------
    project, run
        Which run.
    award_id
        The award's id, or its contract or agency tracking number, where no other award has it.

    Raises
    ------
    ParameterError
        When the run has no such award, or several.
    """
    tables = MatchedTables.found(run.table)
    if not tables.awards.exists() or not tables.recipients.exists():
        raise ParameterError(
            explain("this run has no matched awards", where=run.path, todo="run it to its end")
        )
    found = _find_award(tables.awards, award_id)
    return explain_awards(tables, [found], project.store, run_params(run)).each[0]


def _find_award(awards: Path, asked: str) -> str:
    """Find the id of the award that is asked for by its id or by a number that people know it by."""
    shown = ["award_id", "company", "agency", "award_year", "contract", "tracking_number"]
    is_it = pc.field("award_id") == asked
    for name in ("contract", "tracking_number"):
        is_it |= pc.utf8_upper(pc.utf8_trim_whitespace(pc.field(name))) == asked.strip().upper()
    rows = pq.read_table(awards, columns=shown, filters=is_it).to_pylist()
    if len(rows) <= 1 or any(row["award_id"] == asked for row in rows):
        return str(rows[0]["award_id"]) if len(rows) == 1 else asked
    told = [
        f"{row['award_id']}: {row['company']}, {row['agency']} {row['award_year']}, "
        f"contract {row['contract'] or 'none'}, tracking number {row['tracking_number'] or 'none'}"
        for row in rows
    ]
    more = [f"and {len(told) - _SHOWN_AWARDS:,} more"] if len(told) > _SHOWN_AWARDS else []
    raise ParameterError(
        explain(
            f"{len(rows):,} awards have the number '{asked}'",
            where=awards,
            got="\n            ".join([*told[:_SHOWN_AWARDS], *more]),
            todo="name one by its award_id",
        )
    )


def explain_awards(
    tables: MatchedTables, award_ids: Iterable[str], store: Path, params: Params
) -> Explanations:
    """Explain several awards' matches, in the order asked for.

    Raises
    ------
    ParameterError
        When there is no such award.
    """
    wanted = list(award_ids)
    if not wanted:
        return Explanations(())
    chosen = [("award_id", "in", wanted)]
    awards = pq.read_table(tables.awards, columns=["award_id", *FIELDS], filters=chosen)
    companies = awards.append_column("company_id", company_ids(awards)).to_pandas()
    contracts = companies["company_id"].map(_read_contracts(tables.companies, companies["company_id"]))
    found = companies.assign(awards=1, contracts=contracts.astype("str")).set_index("award_id")
    missing = [award_id for award_id in wanted if award_id not in found.index]
    if missing:
        raise ParameterError(
            explain(
                f"there is no award '{missing[0]}'",
                where=tables.awards,
                expected="an award_id, a contract or an agency tracking number of that table",
            )
        )
    # A run of an earlier version has no table of contracts.
    contracts = tables.recipient_contracts if tables.recipient_contracts.exists() else None
    index = open_index(prepare_index(tables.recipients, store, params, contracts=contracts))
    rows = _read_evidence(tables.matches, wanted)
    decided, words = _read_decided(rows), _read_words(rows, tables.companies)
    outcomes = {row.award_id: row.outcome for row in rows if row.award_id not in decided}
    return Explanations(
        tuple(
            explain_match(
                found.loc[one],
                index,
                params.matching,
                decided.get(one),
                words.get(one),
                outcome=outcomes.get(one),
            )
            for one in wanted
        )
    )


def _read_contracts(companies: Path, company_ids: pd.Series[str]) -> dict[str, str]:
    """Find the contracts of some companies, those that name a recipient."""
    if company_ids.empty or not companies.exists():
        return {}
    chosen = [("company_id", "in", company_ids.tolist())]
    rows = pq.read_table(companies, columns=["company_id", "contracts"], filters=chosen).to_pylist()
    return {row["company_id"]: row["contracts"] for row in rows if row["contracts"]}


def _read_evidence(matches: Path, award_ids: list[str]) -> list[_Row]:
    """Read the awards' evidence, with the recipient it speaks for; none where nothing is matched yet."""
    if not matches.exists():
        return []
    columns = ["award_id", "evidence", *_OUTCOME]
    rows = pq.read_table(matches, columns=columns, filters=[("award_id", "in", award_ids)]).to_pylist()
    return [
        _Row(
            row["award_id"],
            row["recipient_id"],
            json.loads(row["evidence"] or "{}"),
            {name: row[name] for name in _OUTCOME},
        )
        for row in rows
    ]


def _read_words(rows: list[_Row], companies: Path) -> dict[str, Word]:
    """Find in the awards' evidence what companies of the same name said of theirs."""
    said = {
        row.award_id: {
            kind: read_said(row.evidence[f"{kind} by"])
            for kind in ("told", "doubted")
            if f"{kind} by" in row.evidence
        }
        for row in rows
    }
    wanted = sorted({company_id for one in said.values() for company_id, _ in one.values()})
    known = {}
    if wanted:
        chosen = pq.read_table(companies, filters=[("company_id", "in", wanted)]).to_pylist()
        known = {one["company_id"]: one for one in chosen}
    words = {}
    for row in rows:
        # In the evidence all weights are bits.
        word = Word(moves=row.evidence.get("places of the name", 0.0) * math.log(2))
        for kind, (company_id, number) in said[row.award_id].items():
            one = known[company_id]
            shown = f"{one['company']} ({place_in_words(one['city'], one['state'], one['zip5'])})"
            if kind == "told" and row.recipient_id:
                word = replace(word, teller=shown, recipient_id=row.recipient_id, odds=number)
            elif kind == "doubted":
                word = replace(word, doubter=shown, uei=one["uei"], duns=one["duns"], share=number)
        words[row.award_id] = word
    return words


def _read_decided(rows: list[_Row]) -> dict[str, PersonsDecision]:
    """Find in the awards' evidence what people decided."""
    decided = {}
    for row in rows:
        evidence = row.evidence
        if "override" in evidence:
            refused = tuple(evidence["not"].split("; ")) if "not" in evidence else ()
            accepted = None if refused else row.recipient_id
            decided[row.award_id] = PersonsDecision(evidence["who"], evidence["why"], accepted, refused)
    return decided
