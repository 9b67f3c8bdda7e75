"""Why a company got its recipient, and who came second.

The pieces of evidence are the ones that the decision was made from, in bits: each bit doubles the odds.
They add up to the score of a candidate; its probability is its share among all candidates and "none of
them".
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.match import Matched, match_blocks, match_companies
from sbir_toolkit.matching.model import sum_groups
from sbir_toolkit.matching.places import LEVELS
from sbir_toolkit.params import Matching
from sbir_toolkit.tables import COMPANIES

_PLACES = {
    "elsewhere": "in another state",
    "unknown": "at an unknown place",
    "state": "in the same state",
    "zip3": "in the same ZIP area",
    "city": "in the same city",
    "zip5": "in the same ZIP code",
    "building": "in the same building",
}


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
        Columns piece, best_bits, runner_up_bits: what speaks for and against each, in bits.
    """

    company: str
    sentence: str
    candidates: pd.DataFrame
    pieces: pd.DataFrame

    def __repr__(self) -> str:
        lines = [self.company, self.sentence, ""]
        lines += [
            f"  {row.role:<10} {row.recipient_name} ({row.place})  probability {row.probability:.3f}"
            for row in self.candidates.itertuples()
        ]
        if len(self.pieces):
            lines += ["", f"  {'bits':<18}{'best':>8}{'runner-up':>12}"]
        lines += [
            f"  {piece:<18}{float(best):>+8.1f}{'' if np.isnan(float(next_)) else f'{float(next_):+.1f}':>12}"
            for piece, best, next_ in self.pieces.itertuples(index=False)
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        formats = {
            "probability": "{:.3f}".format,
            "best_bits": "{:+.1f}".format,
            "runner_up_bits": "{:+.1f}".format,
        }
        tables = [
            frame.to_html(
                index=False,
                na_rep="",
                formatters={key: formats[key] for key in frame.columns if key in formats},
            )
            for frame in (self.candidates, self.pieces)
        ]
        return f"<p><b>{html.escape(self.company)}</b><br>{html.escape(self.sentence)}</p>{''.join(tables)}"


def explain_match(
    company: Mapping[str, object] | pd.Series[str], index: RecipientIndex, params: Matching
) -> Explanation:
    """Explain what a company is matched to.

    Parameters
    ----------
    company : mapping or pandas.Series
        Values of the contract `companies`; only `company`, its name, is needed.
    index : RecipientIndex
    params : Matching

    Returns
    -------
    Explanation
        Prints as text, and as a table in a notebook.
    """
    frame = _as_frame(dict(company))
    block = next(iter(match_blocks(frame, index, params)))
    result = match_companies(frame, index, params).iloc[0]
    rows = _rows(block)
    shown = index.shown(np.array(list(rows.values()), dtype=np.int64)).to_pandas()
    chance = {"best": result["match_probability"], "runner-up": result["runner_up_probability"]}
    candidates = pd.DataFrame(
        {
            "role": list(rows),
            "recipient_id": shown["recipient_id"],
            "recipient_name": shown["recipient_name"],
            "place": [
                _place(*three) for three in zip(shown["city"], shown["state"], shown["zip5"], strict=True)
            ],
            "probability": [float(chance[role]) if pd.notna(chance[role]) else 0.0 for role in rows],
        }
    )
    own = frame.iloc[0]
    return Explanation(
        company=f"{own['company']} ({_place(own['city'], own['state'], own['zip5'])})",
        sentence=_sentence(result, candidates, block),
        candidates=candidates,
        pieces=_pieces(block),
    )


def _as_frame(values: dict[str, object]) -> pd.DataFrame:
    known = {name: values.get(name) for name in COMPANIES.names}
    known = {name: None if _is_missing(value) else value for name, value in known.items()}
    known |= {"company_id": known["company_id"] or "company", "awards": known["awards"] or 1}
    frame = pd.DataFrame({name: [value] for name, value in known.items()})
    return frame.astype({column.name: "str" for column in COMPANIES.columns if column.dtype == "string"})


def _rows(block: Matched) -> dict[str, int]:
    best, second = int(block.choice.best[0]), int(block.choice.runner_up[0])
    if block.hits.row[0] >= 0:
        return {"best": int(block.hits.row[0])}
    rows = {"best": best, "runner-up": second}
    return {role: int(block.pairs.row[at]) for role, at in rows.items() if at >= 0}


def _pieces(block: Matched) -> pd.DataFrame:
    hits = block.hits
    if hits.row[0] >= 0:
        bits = np.array([hits.identifier[0], hits.name[0], hits.place[0]]) / np.log(2)
        names = ["UEI" if hits.is_uei[0] else "DUNS", "name", "place"]
        return pd.DataFrame({"piece": names, "best_bits": bits, "runner_up_bits": np.nan})
    pieces, bits_of = sum_groups(block.terms, block.differing)
    nothing = np.full((1, len(pieces)), np.nan)
    bits_of = np.concatenate([bits_of, nothing])
    best, second = bits_of[block.choice.best[0]], bits_of[block.choice.runner_up[0]]
    frame = pd.DataFrame({"piece": pieces, "best_bits": best, "runner_up_bits": second})
    worth = (frame["best_bits"].abs() >= 0.05) | (frame["runner_up_bits"].abs() >= 0.05)
    return frame[worth].reset_index(drop=True)


def _sentence(result: pd.Series[str], candidates: pd.DataFrame, block: Matched) -> str:
    if candidates.empty:
        return "Rejected: no recipient bears a similar name or sits in the same building."
    name, chance = candidates["recipient_name"].iloc[0], float(candidates["probability"].iloc[0])
    verb = {"accept": "Accepted", "review": "For review", "reject": "Rejected"}[str(result["decision"])]
    if block.hits.row[0] >= 0:
        kind = "UEI" if block.hits.is_uei[0] else "DUNS"
        doubt = ", but name and place both contradict" if block.hits.is_conflict[0] else ""
        return f"{verb}: {name} has the company's {kind}{doubt} (probability {chance:.3f})."
    at = int(block.choice.best[0])
    likeness = "has the same name" if block.measures["same_name"][at] > 0 else "has a similar name"
    if block.measures["same_name"][at] == 0 and block.measures["covered"][at] < 0.4:
        likeness = "has another name"
    where = _PLACES[LEVELS[int(block.pairs.level[at])]]
    rival = ""
    if len(candidates) > 1 and float(candidates["probability"].iloc[1]) >= 0.005:
        _, _, second, _, chance_of_second = candidates.iloc[1]
        rival = f"; next comes {second} with {float(chance_of_second):.3f}"
    return f"{verb}: {name} {likeness} {where} (probability {chance:.3f}{rival})."


def _place(city: object, state: object, zip5: object) -> str:
    return " ".join(str(part) for part in (city, state, zip5) if not _is_missing(part)) or "place unknown"


def _is_missing(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))
