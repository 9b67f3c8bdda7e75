"""Reliability: whether a probability of 0.9 is right nine times in ten.

Cases are put into bins of like probability, and each bin's mean probability is held against the share that
is right. The mean distance over all cases is the expected calibration error. Its interval comes from drawing
the companies anew (a bootstrap). Chance alone keeps bins off the line, so the error of few cases is too large
rather than too small; the interval is turned around the estimate to allow for that.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sbir_toolkit.matching.accuracy.estimates import Estimates
from sbir_toolkit.matching.accuracy.intervals import wilson_interval
from sbir_toolkit.matching.texts import Floats, Ints
from sbir_toolkit.params import Accuracy

_BINS = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0])
_RESAMPLES = 1_000
_METHOD = (
    "mean distance of probability and share of right ones over bins; one trial in five lacks its recipient; "
    "bootstrap interval over companies"
)


def reliability_curve(cases: pd.DataFrame, confidence: float) -> pd.DataFrame:
    """Compare probabilities with the share that is right, bin by bin; see `AccuracyReport.reliability`."""
    probability = cases["match_probability"].to_numpy(float)
    right = cases["is_right"].to_numpy(bool)
    place = _place(probability)
    rows = []
    for one in np.unique(place):
        inside = place == one
        low, high = wilson_interval(int(right[inside].sum()), int(inside.sum()), confidence)
        rows.append(
            (float(probability[inside].mean()), float(right[inside].mean()), int(inside.sum()), low, high)
        )
    return pd.DataFrame(rows, columns=["predicted", "observed", "n", "low", "high"])


def add_calibration_error(estimates: Estimates, cases: pd.DataFrame, accuracy: Accuracy) -> None:
    """Add the expected calibration error, with a bootstrap interval from a fixed seed."""
    value = low = high = np.nan
    right = cases["is_right"].to_numpy(bool)
    if len(cases):
        probability = cases["match_probability"].to_numpy(float)
        place, gap = _place(probability), probability - right
        _, company = np.unique(cases["company_id"].to_numpy(str), return_inverse=True)
        value = _error(place, gap, np.ones(len(gap)))
        rng = np.random.default_rng([accuracy.seed, 4])
        drawn = np.sort([_drawn_error(place, gap, company, rng) for _ in range(_RESAMPLES)])
        tail = (1 - estimates.confidence) / 2
        low, high = 2 * value - np.quantile(drawn, [1 - tail, tail])
        low, high = max(0.0, float(low)), min(1.0, max(value, float(high)))
    estimates.add(
        "expected_calibration_error",
        value,
        low,
        high,
        cases=(int(right.sum()), len(cases)),
        method=_METHOD,
    )


def _drawn_error(place: Ints, gap: Floats, company: Ints, rng: np.random.Generator) -> float:
    companies = int(company.max()) + 1
    times = np.bincount(rng.integers(0, companies, companies), minlength=companies)
    return _error(place, gap, times[company].astype(float))


def _error(place: Ints, gap: Floats, weight: Floats) -> float:
    return float(np.abs(np.bincount(place, weight * gap)).sum() / weight.sum())


def _place(probability: Floats) -> Ints:
    return np.searchsorted(_BINS, probability, side="right").clip(max=len(_BINS) - 1) - 1
