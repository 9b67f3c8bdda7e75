"""Thresholds: what accepting from another probability on would mean."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sbir_toolkit.matching.accuracy.intervals import wilson_interval
from sbir_toolkit.matching.decide import decide
from sbir_toolkit.matching.texts import Flags
from sbir_toolkit.params import Matching
from sbir_toolkit.tables import ACCURACY_THRESHOLDS

_THRESHOLDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.995)


def threshold_table(
    trials: dict[str, pd.DataFrame], by_name: pd.DataFrame, matching: Matching, confidence: float
) -> pd.DataFrame:
    """Work out precision, recall and false links at each threshold, the margin staying what it is.

    Parameters
    ----------
    trials : dict of pandas.DataFrame
        By kind: hidden, removed, decoy.
    by_name : pandas.DataFrame
        Those of the contract `company_matches` that no identifier decided.
    matching : Matching
        Its `accept_probability` is one of the thresholds, its `min_margin` holds for all.
    confidence : float

    Returns
    -------
    pandas.DataFrame
        The contract `accuracy_thresholds`.
    """
    chance = by_name["match_probability"].fillna(0).to_numpy(float)
    rival = by_name["runner_up_probability"].fillna(0).to_numpy(float)
    right = trials["hidden"]["is_right"].to_numpy(bool)
    rows = []
    for threshold in sorted({*_THRESHOLDS, matching.accept_probability}):
        setting = matching.model_copy(
            update={"accept_probability": threshold, "review_probability": min(threshold, 0.5)}
        )
        accepted = {kind: _accepted(part, setting) for kind, part in trials.items()}
        nobody = np.zeros(len(chance), bool)
        companies = int((decide(chance, rival, nobody, setting) == "accept").sum())
        found = accepted["hidden"] & right
        shares = {
            "precision": (found.sum(), accepted["hidden"].sum()),
            "recall": (found.sum(), len(right)),
            "removed_link_share": (accepted["removed"].sum(), len(accepted["removed"])),
            "decoy_link_share": (accepted["decoy"].sum(), len(accepted["decoy"])),
        }
        row: dict[str, object] = {
            "threshold": threshold,
            "is_current": threshold == matching.accept_probability,
            "trials": len(right),
            "accepted": int(accepted["hidden"].sum()),
            "accept_share": accepted["hidden"].mean() if len(right) else np.nan,
            "removed_trials": len(accepted["removed"]),
            "decoys": len(accepted["decoy"]),
            "companies": companies,
            "companies_share": companies / len(chance) if len(chance) else np.nan,
        }
        for name, (hits, cases) in shares.items():
            low, high = wilson_interval(int(hits), int(cases), confidence) if cases else (np.nan, np.nan)
            row |= {name: hits / cases if cases else np.nan, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    table: pd.DataFrame = pd.DataFrame(rows)[ACCURACY_THRESHOLDS.names]
    return table


def _accepted(trials: pd.DataFrame, matching: Matching) -> Flags:
    decision = decide(
        trials["match_probability"].to_numpy(float),
        trials["runner_up_probability"].to_numpy(float),
        np.zeros(len(trials), bool),
        matching,
    )
    accepted: Flags = decision == "accept"
    return accepted
