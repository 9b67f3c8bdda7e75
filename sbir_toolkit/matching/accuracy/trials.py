"""Trials: companies matched as usual, beside the recipient that would be right."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from sbir_toolkit.matching.accuracy.years import year_strata
from sbir_toolkit.matching.decide import decide, same_firm
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.match import match_blocks
from sbir_toolkit.matching.names import read_names
from sbir_toolkit.matching.places import LEVELS, place_level, read_places
from sbir_toolkit.matching.siblings import Siblings
from sbir_toolkit.matching.texts import Ints
from sbir_toolkit.params import Matching

_NEAR = {"elsewhere": "elsewhere", "unknown": "unknown", "state": "state", "zip3": "state"}


def try_companies(
    kind: str,
    companies: pd.DataFrame,
    truth: Ints,
    index: RecipientIndex,
    matching: Matching,
    *,
    masked: Ints | None = None,
    siblings: Siblings | None = None,
) -> pd.DataFrame:
    """Match companies and say whether what was found is right.

    Parameters
    ----------
    kind : str
        What the trial is called.
    companies : pandas.DataFrame
        As the contract `companies` says, without identifiers.
    truth : int64 array
        The right recipient's row; -1: nobody.
    index : RecipientIndex
    matching : Matching
    masked : int64 array, optional
        Rows of recipients to keep from the companies; see `match_blocks`.
    siblings : Siblings, optional
        What others of their name say of the companies; see `match_blocks`.

    Returns
    -------
    pandas.DataFrame
        As `AccuracyReport.cases` says, a row for each company.
    """
    frames, low = [], 0
    for block in match_blocks(companies, index, matching, masked, siblings):
        count = block.companies.num_rows
        right, choice = truth[low : low + count], block.choice
        low += count
        row = np.append(block.pairs.row, -1)[choice.best]
        decision = decide(choice.probability, choice.runner_up_probability, np.zeros(count, bool), matching)
        found, true = index.shown(row), index.shown(right)
        spelling, place = _slices(block.companies, right, index)
        shown = block.companies.select(["company_id", "company", "city", "state"]).to_pandas()
        frames.append(
            shown.assign(
                kind=kind,
                truth_id=true.column("recipient_id").to_pandas(),
                truth_name=true.column("recipient_name").to_pandas(),
                recipient_id=found.column("recipient_id").to_pandas(),
                recipient_name=found.column("recipient_name").to_pandas(),
                match_probability=choice.probability,
                runner_up_probability=choice.runner_up_probability,
                decision=decision,
                is_right=same_firm(index, row, right),
                spelling=spelling,
                place=place,
                years=year_strata(block.companies.column("last_award_year").to_pandas()),
            )
        )
    tried: pd.DataFrame = pd.concat(frames, ignore_index=True)
    return tried


def _slices(companies: pa.Table, truth: Ints, index: RecipientIndex) -> tuple[list[str], list[str]]:
    """Say how each company is spelled and where it is, beside its right recipient."""
    names = read_names(companies.column("company").combine_chunks())
    at, entry = index.entries_of(np.maximum(truth, 0)) if index.rows else (truth[:0], truth[:0])
    theirs = set(zip(at.tolist(), index["name_joined"][index["entry_name"][entry]].tolist(), strict=True))
    same = {
        owner
        for owner, joined in zip(names.owner.tolist(), names.joined.tolist(), strict=True)
        if (owner, joined) in theirs
    }
    spelling = ["same" if owner in same else "differs" for owner in range(len(truth))]
    if not index.rows:
        return spelling, ["unknown"] * len(truth)
    column = [companies.column(name).combine_chunks() for name in ("address1", "city", "state", "zip5")]
    level = place_level(read_places(*column), index.places.take(np.maximum(truth, 0)))
    return spelling, [_NEAR.get(LEVELS[one], "city") for one in level.tolist()]
