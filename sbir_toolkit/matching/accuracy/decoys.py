"""Decoys: companies made for a trial, from what real ones are called and where they are."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sbir_toolkit.matching.accuracy.sample import Sample, blank_identifiers
from sbir_toolkit.matching.candidates import find_exact
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.names import read_names
from sbir_toolkit.matching.texts import Ints, text_array
from sbir_toolkit.params import Accuracy
from sbir_toolkit.tables import COMPANIES

_PLACE = ["address1", "city", "state", "zip5"]
_DRAWS = 20


def invent_companies(companies: pd.DataFrame, index: RecipientIndex, accuracy: Accuracy) -> pd.DataFrame:
    """Put the first half of one name before the second half of another, at the place of a third.

    Those that happen to bear a recipient's name are left out.
    """
    pool = companies.sort_values("company_id", ignore_index=True)
    if pool.empty:
        return pool
    rng = np.random.default_rng([accuracy.seed, 1])
    one, other, place = (rng.integers(0, len(pool), accuracy.decoys) for _ in range(3))
    halves = [
        (str(head).split(), str(tail).split())
        for head, tail in zip(pool["company"].iloc[one], pool["company"].iloc[other], strict=True)
    ]
    texts = [
        " ".join(head[: max(1, len(head) // 2)] + (tail[max(1, len(tail) // 2) :] or tail))
        for head, tail in halves
    ]
    invented = blank_identifiers(pool.iloc[place].reset_index(drop=True)).assign(
        company=pd.Series(texts, dtype="str"),
        company_id=pd.Series([f"decoy-{number}" for number in range(accuracy.decoys)], dtype="str"),
    )
    names = read_names(text_array(invented["company"]))
    real = names.owner[find_exact(index, names)[0]]
    is_own = (one == other) | np.isin(np.arange(accuracy.decoys), real)
    decoys: pd.DataFrame = invented[~is_own].reset_index(drop=True)[COMPANIES.names]
    return decoys


def move_companies(
    sample: Sample, companies: pd.DataFrame, index: RecipientIndex, accuracy: Accuracy
) -> tuple[pd.DataFrame, Ints]:
    """Put known companies at the place of another one, in a state that isn't their recipient's.

    Returns
    -------
    moved : pandas.DataFrame
        As the contract `companies` says; those for whom no place was found are left out.
    truth : int64 array
        Their recipients' rows.
    """
    count = min(accuracy.decoys, int((~sample.is_added).sum()))
    moved, truth = sample.companies.iloc[:count], sample.truth[:count]
    pool = companies[companies["state"].notna()].sort_values("company_id", ignore_index=True)
    if pool.empty or count == 0:
        return moved.iloc[:0], truth[:0]
    states = pool["state"].to_numpy(object)
    home = index.shown(truth).column("state").to_numpy(zero_copy_only=False)
    own = moved["state"].to_numpy(object)
    rng = np.random.default_rng([accuracy.seed, 2])
    chosen = np.full(count, -1)
    for _ in range(_DRAWS):
        draw = rng.integers(0, len(pool), count)
        is_away = (states[draw] != home) & (states[draw] != own) & ~pd.isna(home)
        chosen = np.where((chosen < 0) & is_away, draw, chosen)
    kept = np.flatnonzero(chosen >= 0)
    moved = moved.iloc[kept].reset_index(drop=True)
    place = pool.loc[chosen[kept], _PLACE].reset_index(drop=True)
    return moved.assign(**{name: place[name] for name in _PLACE}), truth[kept]


def recipients_as_companies(index: RecipientIndex, accuracy: Accuracy) -> tuple[pd.DataFrame, Ints]:
    """Make companies of recipients, by their own name and place, without their identifiers and street."""
    count = min(accuracy.decoys, index.rows)
    rows = np.sort(np.random.default_rng([accuracy.seed, 3]).choice(index.rows, count, replace=False))
    shown = index.shown(rows).to_pandas()
    made = pd.DataFrame({name: pd.Series([None] * count, dtype="str") for name in COMPANIES.names})
    made = made.assign(
        company=shown["recipient_name"],
        company_id=shown["recipient_id"],
        awards=1,
        last_award_year=pd.Series([np.nan] * count),
        **{name: shown[name] for name in ("city", "state", "zip5")},
    )
    return made, rows.astype(np.int64)
