"""Proposals: the pair of company and recipient that a person may be asked about, and its key.

Every company with a candidate has one proposal: the recipient it was linked to, or would be if somebody
lowered the thresholds. A proposal's key is made from the company's id, which is a digest of all it filed, and
the recipient's id. It tells a reader nothing, survives refreshed files as long as both are the same, and
carries a check, so that a mistyped key is told from one of an older file.
"""

from __future__ import annotations

import hashlib
import re

import numpy as np
import numpy.typing as npt
import pandas as pd

from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.match import match_blocks
from sbir_toolkit.params import Matching

_KEY = re.compile(r"pair-([0-9a-f]{16})-([0-9a-f]{8})-([0-9a-f]{4})")
# Upper ends of the bins of probability: finer where most companies are.
_ENDS = np.array([0.05, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.995])
_NO_TIER, _DECIDED = "none", "override"


def make_key(company_id: str, recipient_id: str) -> str:
    """Make the key of a company and a recipient.

    Examples
    --------
    >>> make_key("0123456789abcdef", "r-1")
    'pair-0123456789abcdef-a5fa777a-1da7'
    """
    other = hashlib.sha256(recipient_id.encode()).hexdigest()[:8]
    return f"pair-{company_id}-{other}-{_check(company_id, other)}"


def company_of(key: str) -> str | None:
    """Give the id of a key's company; None when it is no key."""
    parts = _KEY.fullmatch(key)
    if parts is None or _check(parts[1], parts[2]) != parts[3]:
        return None
    return parts[1]


def _check(company_id: str, other: str) -> str:
    return hashlib.sha256(f"{company_id}{other}".encode()).hexdigest()[:4]


def name_strata(company_matches: pd.DataFrame) -> npt.NDArray[np.str_]:
    """Name each company's stratum by decision, tier and probability; empty where nothing is proposed.

    That is where it has no candidate, or a person decided already.

    Parameters
    ----------
    company_matches : pandas.DataFrame
        As the contract `company_matches` says.
    """
    probability = company_matches["match_probability"].to_numpy(float)
    bins = np.searchsorted(_ENDS, probability, side="right")
    names = [
        "" if np.isnan(chance) or tier == _DECIDED else f"{decision}, {tier}, {place}"
        for decision, tier, place, chance in zip(
            company_matches["decision"].tolist(),
            company_matches["tier"].fillna(_NO_TIER).tolist(),
            bins.tolist(),
            probability.tolist(),
            strict=True,
        )
    ]
    return np.array(names, str)


def decision_of(stratum: str) -> str:
    """Give the decision that a stratum is of."""
    return stratum.split(", ", maxsplit=1)[0]


def propose(
    companies: pd.DataFrame, company_matches: pd.DataFrame, index: RecipientIndex, matching: Matching
) -> pd.DataFrame:
    """Find companies' proposals, those of rejected ones too.

    Parameters
    ----------
    companies, company_matches : pandas.DataFrame
        As the contracts say.
    index : RecipientIndex
    matching : Matching

    Returns
    -------
    pandas.DataFrame
        Columns key, company_id, recipient_id, recipient_name, recipient_uei, recipient_city, recipient_state,
        recipient_zip5; companies without a candidate, or with another recipient by a person's decision, are
        left out.
    """
    frames = []
    for block in match_blocks(companies, index, matching):
        row = np.append(block.pairs.row, -1)[block.choice.best]
        row = np.where(block.hits.row >= 0, block.hits.row, row)
        known = np.flatnonzero(row >= 0)
        shown = index.shown(row[known]).to_pandas()
        ids = block.companies.column("company_id").to_pandas().iloc[known].reset_index(drop=True)
        keys = [make_key(*both) for both in zip(ids.tolist(), shown["recipient_id"].tolist(), strict=True)]
        shown = shown.rename(
            columns={name: f"recipient_{name}" for name in ("uei", "city", "state", "zip5")}
        ).drop(columns="duns")
        frames.append(shown.assign(company_id=ids, key=pd.Series(keys, index=ids.index, dtype="str")))
    proposals: pd.DataFrame = pd.concat(frames, ignore_index=True)
    linked = company_matches.set_index("company_id")["recipient_id"].reindex(proposals["company_id"])
    is_same = linked.isna().to_numpy() | (
        linked.to_numpy(object) == proposals["recipient_id"].to_numpy(object)
    )
    return proposals.take(np.flatnonzero(is_same)).reset_index(drop=True)
