"""Implied: what the probabilities themselves say of precision and recall.

If they are right, the links accepted hold as many false ones as their doubts add up to, and what wasn't
accepted holds as many missed ones as its probabilities add up to. It costs no trial and speaks of the very
companies to be matched. It is as good as the probabilities: the same sums over trials stand beside it, where
they can be held against what was measured. A company without a candidate counts as none that could be found.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sbir_toolkit.matching.accuracy.estimates import Estimates
from sbir_toolkit.matching.accuracy.intervals import z_value

_METHOD = "sums of match probabilities, taken at their word; normal interval of what they leave open"


def add_implied(estimates: Estimates, found: pd.DataFrame, part: str = "all") -> None:
    """Add the precision and recall that probabilities imply.

    Parameters
    ----------
    estimates : Estimates
    found : pandas.DataFrame
        With match_probability and decision.
    part : str
        The slice.
    """
    chance = found["match_probability"].fillna(0).to_numpy(float)
    accepted = (found["decision"] == "accept").to_numpy(bool)
    doubt = chance * (1 - chance)
    right, missed = float(chance[accepted].sum()), float(chance[~accepted].sum())
    right_var, missed_var = float(doubt[accepted].sum()), float(doubt[~accepted].sum())
    links, all_right = int(accepted.sum()), right + missed
    precision = recall = precision_sd = recall_sd = np.nan
    if links:
        precision, precision_sd = right / links, np.sqrt(right_var) / links
    if all_right:
        recall = right / all_right
        recall_sd = np.sqrt(missed**2 * right_var + right**2 * missed_var) / all_right**2
    z = z_value(estimates.confidence)
    for name, value, deviation, cases in (
        ("implied_precision", precision, precision_sd, (round(right), links)),
        ("implied_recall", recall, recall_sd, (round(right), round(all_right))),
    ):
        # The comparisons keep NaN, as max and min wouldn't.
        low, high = np.clip([value - z * deviation, value + z * deviation], 0, 1)
        estimates.add(name, value, float(low), float(high), cases=cases, method=_METHOD, part=part)
