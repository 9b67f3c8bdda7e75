"""Settling: laying over the matches what companies of one name tell each other, and what people decided.

It is done after the chunks are put together, so a decision never makes a committed chunk worthless. *same*
and the id of another recipient put that recipient in place. After *different* the company is matched once
more, as if that recipient, with its other records, did not exist; what then comes first is accepted,
proposed or rejected like any other.

A decision finds its companies by their ids, which stand for all that was filed. Where one is filed otherwise
now, it takes those of the same name and state, unless an identifier (for *same*: the matcher, by whatever
means) has meanwhile settled whose they are. A decision that finds no company or no recipient is listed as
unused, with the reason. So is *different* where the company can't be matched: it would be matched once more,
here, and kill this process as it did its worker. Decisions that contradict each other are refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sbir_toolkit.enrichment.combine import MatchTables
from sbir_toolkit.enrichment.overrides import Override, read_overrides
from sbir_toolkit.errors import InputError, explain
from sbir_toolkit.matching import RecipientIndex
from sbir_toolkit.matching.exclusions import match_excluding
from sbir_toolkit.matching.identifiers import KINDS
from sbir_toolkit.matching.lookup import Named, find_recipients, name_keys
from sbir_toolkit.meter import phase
from sbir_toolkit.params import Matching
from sbir_toolkit.storage import write_parquet
from sbir_toolkit.tables import COMPANY_MATCHES, OVERRIDES

Name = tuple[int, str]


@dataclass
class _Ruling:
    """An override with what it found: its recipient's row, its spellings' names, the companies it decides."""

    override: Override
    row: int
    names: list[Name]
    companies: list[int] = field(default_factory=list)
    reason: str = ""

    @property
    def accepts(self) -> bool:
        return self.override.decision != "different"

    @property
    def keys(self) -> list[object]:
        """What tells its firm from others: companies' ids, or name and state where somebody typed them."""
        return [
            spelling.company_id or name
            for spelling, name in zip(self.override.spellings, self.names, strict=True)
        ]

    def contradicts(self, other: _Ruling) -> bool:
        """Whether both can't hold for one company."""
        if self.accepts and other.accepts:
            return self.row != other.row
        return self.accepts != other.accepts and self.row == other.row


def settle_overrides(
    path: Path | None, tables: MatchTables, index: RecipientIndex, params: Matching
) -> dict[str, int]:
    """Lay what people decided over the matches, and list what became of each decision.

    Parameters
    ----------
    path
        The overrides' file; None: nobody decided anything.
    tables
        `companies`, `company_matches` and `company_rejects` are read; `company_matches`, when anything was
        decided, and `overrides` are written.
    index
        The recipients that were matched against.
    params
        The parameters of the matching.

    Returns
    -------
    dict
        How many decisions there are: used, unused, same, different, other.

    Raises
    ------
    InputError
        When the file can't be used or contradicts itself.
    """
    with phase("overrides") as span:
        rulings = _find_recipients(read_overrides(path) if path else [], index)
        told = pd.DataFrame(columns=OVERRIDES.names)
        if rulings:
            known = pq.read_table(tables.companies).to_pandas()
            matches = pq.read_table(tables.company_matches).to_pandas()
            _find_companies(rulings, known, matches, path)
            rejected = pq.read_table(tables.company_rejects, columns=["company_id"]).to_pandas()
            _leave_rejected(rulings, known["company_id"].isin(rejected["company_id"]).to_numpy())
            settled = _settle(rulings, known, matches, index, params)
            write_parquet(tables.company_matches, COMPANY_MATCHES.arrow(settled))
            told = _tell(rulings, known["awards"].to_numpy())
        write_parquet(tables.overrides, OVERRIDES.arrow(told))
        span.rows = len(told)
    statuses, decisions = told["status"].value_counts(), told["decision"].value_counts()
    counts = {name: int(statuses.get(name, 0)) for name in ("used", "unused")}
    return counts | {name: int(decisions.get(name, 0)) for name in ("same", "different", "other")}


def _find_recipients(overrides: list[Override], index: RecipientIndex) -> list[_Ruling]:
    kinds: tuple[Named, ...] = ("recipient_id", "uei", "duns")
    known = [
        find_recipients(index, kind, [one.recipient[at] for one in overrides if one.recipient[at]])
        for at, kind in enumerate(kinds)
    ]
    rulings = []
    for one in overrides:
        rows = [known[at].get(name, -1) for at, name in enumerate(one.recipient)]
        row = next((row for row in rows if row >= 0), -1)
        reason = "" if row >= 0 else f"no recipient has the id, UEI or DUNS {one.shown_recipient}"
        companies = pd.Series([spelling.company for spelling in one.spellings])
        names = _names(companies, pd.Series([spelling.state for spelling in one.spellings]))
        rulings.append(_Ruling(one, row, names, reason=reason))
    return rulings


def _names(companies: pd.Series[str], states: pd.Series[str]) -> list[Name]:
    keys = name_keys(pa.array(companies, pa.string())).tolist()
    return list(zip(keys, states.fillna("").str.upper(), strict=True))


def _find_companies(
    rulings: list[_Ruling], companies: pd.DataFrame, matches: pd.DataFrame, path: Path | None
) -> None:
    """Give each ruling the companies it decides, or the reason why there are none."""
    found = [ruling for ruling in rulings if ruling.row >= 0]
    _refuse_contradictions(found, [ruling.keys for ruling in found], path)
    by_id = {company_id: at for at, company_id in enumerate(companies["company_id"])}
    by_name: dict[Name, list[int]] = {}
    for at, name in enumerate(_names(companies["company"], companies["state"])):
        by_name.setdefault(name, []).append(at)
    for ruling in found:
        for spelling, name in zip(ruling.override.spellings, ruling.names, strict=True):
            named = [by_id[spelling.company_id]] if spelling.company_id in by_id else []
            ruling.companies += by_name.get(name, []) if spelling.company_id is None else named
    _refuse_contradictions(found, [ruling.companies for ruling in found], path)
    _find_refiled(found, by_id, by_name, matches)


def _find_refiled(
    rulings: list[_Ruling], by_id: dict[str, int], by_name: dict[Name, list[int]], matches: pd.DataFrame
) -> None:
    """Give the rulings companies of the same name and state for those that are filed otherwise now."""
    is_accepted = (matches["decision"] == "accept").to_numpy()
    is_identified = is_accepted & matches["tier"].isin(KINDS).to_numpy()
    taken: dict[int, list[_Ruling]] = {}
    for ruling in rulings:
        for at in ruling.companies:
            taken.setdefault(at, []).append(ruling)
    claims: list[tuple[_Ruling, int]] = []
    for ruling in rulings:
        is_settled = is_accepted if ruling.accepts else is_identified
        lost = [
            name
            for spelling, name in zip(ruling.override.spellings, ruling.names, strict=True)
            if spelling.company_id and spelling.company_id not in by_id
        ]
        refiled = sorted({at for name in lost for at in by_name.get(name, [])})
        ruling.reason = "meanwhile settled without it" if refiled else "its firm isn't among these awards"
        claims += [(ruling, at) for at in refiled if not is_settled[at] and at not in ruling.companies]
    claimed: dict[int, list[_Ruling]] = {}
    for ruling, at in claims:
        claimed.setdefault(at, []).append(ruling)
    for ruling, at in claims:
        rivals = [other for other in (*taken.get(at, []), *claimed[at]) if ruling.contradicts(other)]
        if rivals:
            ruling.reason = f"row {rivals[0].override.row} says otherwise of a firm of this name and state"
        else:
            ruling.companies.append(at)


def _leave_rejected(rulings: list[_Ruling], is_rejected: npt.NDArray[np.bool_]) -> None:
    """Take from the rulings by which companies are matched once more those that can't be matched."""
    for ruling in rulings:
        if not ruling.accepts and is_rejected[ruling.companies].any():
            ruling.companies = [at for at in ruling.companies if not is_rejected[at]]
            ruling.reason = "its firm can't be matched, see company_rejects"


def _refuse_contradictions(
    rulings: list[_Ruling], keys: Sequence[Sequence[object]], path: Path | None
) -> None:
    by_key: dict[object, list[_Ruling]] = {}
    for ruling, own in zip(rulings, keys, strict=True):
        for key in own:
            for other in by_key.setdefault(key, []):
                if ruling.contradicts(other):
                    raise InputError(_explain_contradiction(other.override, ruling.override, path))
            by_key[key].append(ruling)


def _explain_contradiction(one: Override, other: Override, path: Path | None) -> str:
    said = [
        f"row {each.row}, {each.who}: {each.company} is "
        f"{'not ' if each.decision == 'different' else ''}{each.shown_recipient}"
        for each in (one, other)
    ]
    return explain(
        "two overrides contradict each other",
        where=f"{path}, rows {one.row} and {other.row}",
        expected="one decision about a firm",
        got="; ".join(said),
        todo="empty the decision of the row that no longer holds",
    )


def _settle(
    rulings: list[_Ruling],
    companies: pd.DataFrame,
    matches: pd.DataFrame,
    index: RecipientIndex,
    params: Matching,
) -> pd.DataFrame:
    accepted = {at: ruling for ruling in rulings if ruling.accepts for at in ruling.companies}
    refused: dict[int, list[_Ruling]] = {}
    for ruling in rulings:
        for at in () if ruling.accepts else ruling.companies:
            if at not in accepted and ruling not in refused.setdefault(at, []):
                refused[at].append(ruling)
    settled = matches.set_index(np.arange(len(matches)))
    for frame in (
        _match_again(refused, companies, index, params),
        _put_in_place(accepted, matches, index),
    ):
        settled.loc[frame.index, frame.columns] = frame
    return settled


def _match_again(
    refused: dict[int, list[_Ruling]], companies: pd.DataFrame, index: RecipientIndex, params: Matching
) -> pd.DataFrame:
    places = sorted(refused)
    excluded = np.full((len(places), max(map(len, refused.values()), default=0)), -1)
    for number, at in enumerate(places):
        excluded[number, : len(refused[at])] = [ruling.row for ruling in refused[at]]
    again = match_excluding(companies.loc[places], index, params, excluded).set_axis(places)
    told = [
        _note(refused[at], found, index.shown(np.array([ruling.row for ruling in refused[at]])))
        for at, found in zip(places, again["evidence"], strict=True)
    ]
    is_rejected = again["decision"] == "reject"
    return again.assign(
        evidence=pd.Series(told, index=again.index, dtype="str"),
        tier=again["tier"].mask(is_rejected, "override"),
    )


def _put_in_place(accepted: dict[int, _Ruling], matches: pd.DataFrame, index: RecipientIndex) -> pd.DataFrame:
    places = sorted(accepted)
    shown = index.shown(np.array([accepted[at].row for at in places], np.int64)).to_pandas().set_axis(places)
    before = matches.loc[places]
    # Whom the matcher would have proposed instead is the one to compare with.
    is_other = before["recipient_id"].notna() & (before["recipient_id"] != shown["recipient_id"])
    is_itself = before["runner_up_id"] == shown["recipient_id"]
    proposed = {"id": "recipient_id", "name": "recipient_name", "probability": "match_probability"}
    runner_up = {
        f"runner_up_{part}": before[f"runner_up_{part}"].mask(is_itself).mask(is_other, before[column])
        for part, column in proposed.items()
    }
    return before.assign(
        recipient_id=shown["recipient_id"],
        recipient_uei=shown["uei"],
        recipient_name=shown["recipient_name"],
        tier="override",
        match_probability=np.nan,
        margin=np.nan,
        decision="accept",
        evidence=[_note([accepted[at]]) for at in places],
        **runner_up,
    )


def _note(rulings: list[_Ruling], evidence: str | None = None, refused: pa.Table | None = None) -> str:
    overrides = [ruling.override for ruling in rulings]
    said = {
        name: "; ".join(dict.fromkeys(getattr(one, field) for one in overrides))
        for name, field in (("override", "decision"), ("who", "who"), ("why", "why"))
    }
    if refused is not None:
        said["not"] = "; ".join(refused.column("recipient_id").to_pylist())
    weights = json.loads(evidence) if isinstance(evidence, str) else {}
    return json.dumps(said | weights, ensure_ascii=False, separators=(",", ":"))


def _tell(rulings: list[_Ruling], awards: npt.NDArray[np.int64]) -> pd.DataFrame:
    rows = []
    for ruling in rulings:
        one, companies = ruling.override, sorted(set(ruling.companies))
        rows.append(
            {
                "row": one.row,
                "decision": one.decision,
                "company": one.company,
                "recipient": one.shown_recipient,
                "who": one.who,
                "why": one.why,
                "status": "used" if companies else "unused",
                "reason": None if companies else ruling.reason,
                "companies": len(companies),
                "awards": int(awards[companies].sum()),
            }
        )
    return pd.DataFrame(rows, columns=OVERRIDES.names)
