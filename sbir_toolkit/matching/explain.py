"""Why a company got its recipient, and who came second.

The pieces of evidence are the ones that the decision was made from, in bits: each bit doubles the odds.
They add up to the score of a candidate; its probability is its share among all candidates and "none of
them". Where a person decided, that is said first, and what the matcher would have said by itself after it.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sbir_toolkit.matching.compared import (
    IDENTIFIER_NAMES,
    NEARNESS,
    PRIOR,
    Scored,
    Side,
    place_in_words,
    side_of_hit,
    side_with,
)
from sbir_toolkit.matching.decide import same_firm
from sbir_toolkit.matching.exclusions import leave_identifiers
from sbir_toolkit.matching.identifiers import KINDS, look_up, read_identity
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.lookup import find_recipients
from sbir_toolkit.matching.match import Matched, match_blocks, match_companies
from sbir_toolkit.matching.siblings import Word
from sbir_toolkit.matching.texts import Ints
from sbir_toolkit.matching.waterfall import LEAST_BITS, ROLES, draw_html, draw_text, write_probability
from sbir_toolkit.params import Matching
from sbir_toolkit.tables import COMPANIES


@dataclass(frozen=True)
class PersonsDecision:
    """What a person decided about a company.

    Parameters
    ----------
    who, why : str
    accepted : str or None
        The recipient_id that it is, if that was said.
    refused : tuple of str
        The recipient_ids that it isn't.
    """

    who: str
    why: str
    accepted: str | None = None
    refused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Explanation:
    """Why one company was linked, or wasn't.

    Parameters
    ----------
    company : str
        Its name as filed, and its place.
    sentence : str
        The outcome in one sentence.
    candidates : pandas.DataFrame
        The best candidate and the runner-up: role, recipient_id, recipient_name, place, probability.
    pieces : pandas.DataFrame
        What speaks for and against each, in bits, and what was compared: piece, own (the company's value),
        best_bits, best_value, runner_up_bits, runner_up_value.
    """

    company: str
    sentence: str
    candidates: pd.DataFrame
    pieces: pd.DataFrame

    def __repr__(self) -> str:
        return "\n".join([self.company, self.sentence, draw_text(self.candidates, self.pieces)]).rstrip()

    def _repr_html_(self) -> str:
        said = f"<p><b>{html.escape(self.company)}</b><br>{html.escape(self.sentence)}</p>"
        return said + (draw_html(self.candidates, self.pieces) if len(self.candidates) else "")


@dataclass(frozen=True)
class Explanations:
    """Several explanations, one under the other."""

    each: tuple[Explanation, ...]

    def __repr__(self) -> str:
        return "\n\n".join(map(repr, self.each)) or "There is nothing to explain."

    def _repr_html_(self) -> str:
        return "".join(one._repr_html_() for one in self.each) or "<p>There is nothing to explain.</p>"


def explain_match(
    company: Mapping[str, object] | pd.Series[str],
    index: RecipientIndex,
    params: Matching,
    decided: PersonsDecision | None = None,
    word: Word | None = None,
    *,
    outcome: Mapping[str, object] | None = None,
) -> Explanation:
    """Explain what a company is matched to.

    Parameters
    ----------
    company : mapping or pandas.Series
        Values of the contract `companies`; only `company`, its name, is needed.
    index : RecipientIndex
    params : Matching
    decided : PersonsDecision, optional
        What a person decided about it.
    word : Word, optional
        What other companies of its name said of it.
    outcome : mapping, optional
        What a run made of it: recipient_id, decision, match_probability and margin of the contract
        `company_matches`. They are told as they are there, where the recipient is the same; what companies
        of its name said of the runner-up isn't known to anybody else.

    Returns
    -------
    Explanation
        Prints as text, and as a picture in a notebook.
    """
    frame = _as_frame(dict(company))
    refused = _rows_of(index, decided.refused if decided else ())
    if len(refused):
        frame = leave_identifiers(frame, index, refused[None, :])
    masked = refused[None, :] if len(refused) else None
    word = word or Word()
    siblings = word.said(index)
    block = next(iter(match_blocks(frame, index, params, masked, siblings)))
    result = match_companies(frame, index, params, masked, siblings).iloc[0]
    if outcome is not None and outcome["recipient_id"] == result["recipient_id"]:
        result = _as_it_was(result, outcome)
    sides = _find_sides(Scored.of_block(frame, block, word), block, result, index)
    sentence = _sentence(result, sides, block, index, frame)
    if result["tier"] == "sibling":
        sentence = f"{sentence.removesuffix('.')}, as {word.teller} is it, a company of the same name."
    if decided is not None:
        accepted = _rows_of(index, (decided.accepted,) if decided.accepted else ())
        names = index.shown(accepted if len(accepted) else refused).column("recipient_name").to_pylist()
        sentence = _say_decided(decided, " or ".join(map(str, names)), sentence)
        if len(accepted):
            others = [side for side in sides if not same_firm(index, accepted, np.array([side.row]))[0]]
            sides = [side_with(frame, index, int(accepted[0])), *others[:1]]
    own = frame.iloc[0]
    return Explanation(
        company=f"{own['company']} ({place_in_words(own['city'], own['state'], own['zip5'])})",
        sentence=sentence,
        candidates=_candidates(sides, index),
        pieces=_pieces(sides),
    )


def _as_it_was(result: pd.Series[str], outcome: Mapping[str, Any]) -> pd.Series[str]:
    """Put in what a run made of a company."""
    told: dict[str, Any] = {name: outcome[name] for name in ("decision", "match_probability")}
    if pd.notna(result["runner_up_id"]) and pd.notna(outcome["margin"]):
        told["runner_up_probability"] = outcome["match_probability"] - outcome["margin"]
    return pd.Series({**result, **told})


def _as_frame(values: dict[str, object]) -> pd.DataFrame:
    known = {name: values.get(name) for name in COMPANIES.names}
    known = {name: None if _is_missing(value) else value for name, value in known.items()}
    known |= {"company_id": known["company_id"] or "company", "awards": known["awards"] or 1}
    frame = pd.DataFrame({name: [value] for name, value in known.items()})
    texts = [column.name for column in COMPANIES.columns if column.dtype == "string"]
    return frame.astype(dict.fromkeys(texts, "str"))


def _rows_of(index: RecipientIndex, recipient_ids: tuple[str, ...]) -> Ints:
    found = find_recipients(index, "recipient_id", recipient_ids)
    return np.array([found[one] for one in recipient_ids if one in found], np.int64)


def _find_sides(scored: Scored, block: Matched, result: pd.Series[str], index: RecipientIndex) -> list[Side]:
    """Give the winner and the one that came second."""
    best, second = int(block.choice.best[0]), int(block.choice.runner_up[0])
    chances = [result["match_probability"], result["runner_up_probability"]]
    chance, chance_of_second = (0.0 if pd.isna(one) else float(one) for one in chances)
    sides = [scored.side(index, best, chance)] if best >= 0 else []
    if block.hits.row[0] >= 0:
        sides = [side_of_hit(block.companies.to_pandas(), block.hits, index)]
        second = best if pd.notna(result["runner_up_id"]) else -1
    return sides + ([scored.side(index, second, chance_of_second)] if second >= 0 else [])


def _candidates(sides: list[Side], index: RecipientIndex) -> pd.DataFrame:
    shown = index.shown(np.array([side.row for side in sides], np.int64)).to_pandas()
    places = [
        place_in_words(*three) for three in zip(shown["city"], shown["state"], shown["zip5"], strict=True)
    ]
    return pd.DataFrame(
        {
            "role": list(ROLES[: len(sides)]),
            "recipient_id": shown["recipient_id"],
            "recipient_name": shown["recipient_name"],
            "place": places,
            "probability": [side.probability for side in sides],
        }
    )


def _pieces(sides: list[Side]) -> pd.DataFrame:
    found_pieces = dict.fromkeys(piece for side in sides for piece in side.pieces)
    # The prior is where a waterfall starts, whichever side has one.
    names = sorted(found_pieces, key=lambda piece: piece != PRIOR)
    nothing = (np.nan, "", "")
    columns: dict[str, list[object]] = {"piece": list(names), "own": []}
    found = [[side.pieces.get(name, nothing) for name in names] for side in sides]
    found += [[nothing] * len(names)] * (len(ROLES) - len(sides))
    columns["own"] = [next((one[1] for one in row if one[1]), "") for row in zip(*found, strict=True)]
    for role, values in zip(ROLES, found, strict=True):
        column = role.replace("-", "_")
        columns[f"{column}_bits"] = [one[0] for one in values]
        columns[f"{column}_value"] = [one[2] for one in values]
    frame = pd.DataFrame(columns)
    is_worth = (frame[["best_bits", "runner_up_bits"]].abs() >= LEAST_BITS).any(axis=1)
    return frame[is_worth].reset_index(drop=True)


def _say_decided(decided: PersonsDecision, recipients: str, by_itself: str) -> str:
    verb = "is" if decided.accepted else "isn't"
    then = "The matcher by itself" if decided.accepted else "Without it"
    return f"{decided.who} decided that it {verb} {recipients} ({decided.why}). {then}: {by_itself}"


def _sentence(
    result: pd.Series[str], sides: list[Side], block: Matched, index: RecipientIndex, frame: pd.DataFrame
) -> str:
    if not sides:
        return "Rejected: no recipient bears a similar name or sits in the same building."
    names = index.shown(np.array([side.row for side in sides], np.int64)).column("recipient_name").to_pylist()
    chance = f"probability {write_probability(sides[0].probability)}"
    if len(sides) > 1 and sides[1].probability >= 0.005:
        chance += f"; next comes {names[1]} with {write_probability(sides[1].probability)}"
    verb = {"accept": "Accepted", "review": "For review", "reject": "Rejected"}[str(result["decision"])]
    if block.hits.row[0] >= 0:
        kind = KINDS[block.hits.kind[0]]
        said = f"{names[0]} has the company's {IDENTIFIER_NAMES[kind]}"
        if kind == "contract":
            said = f"{names[0]} was paid under a contract of the company"
        doubt = _other_identifier(frame, block, index)
        if block.hits.is_conflict[0] and block.hits.name[0] < 0 and block.hits.place[0] < 0:
            doubt = f", but name and place both contradict{doubt}"
        return f"{verb}: {said}{doubt} ({chance})."
    at = int(block.choice.best[0])
    likeness = "has the same name" if block.measures["same_name"][at] > 0 else "has a similar name"
    if block.measures["same_name"][at] == 0 and block.measures["covered"][at] < 0.4:
        likeness = "has another name"
    return f"{verb}: {names[0]} {likeness} {NEARNESS[int(block.pairs.level[at])]} ({chance})."


def _other_identifier(frame: pd.DataFrame, block: Matched, index: RecipientIndex) -> str:
    """Say when another identifier of the company names another firm."""
    _, rows, kinds = look_up(index, read_identity(frame))
    others = np.flatnonzero(~same_firm(index, rows, np.full(len(rows), block.hits.row[0])))
    if not len(others):
        return ""
    name = index.shown(rows[others[:1]]).column("recipient_name")[0].as_py()
    kind = KINDS[kinds[others[0]]]
    if kind == "contract":
        return f", while {name} was paid under a contract of the company"
    return f", while its {IDENTIFIER_NAMES[kind]} is that of {name}"


def _is_missing(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))
