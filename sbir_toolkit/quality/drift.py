"""How far the awards' columns have moved since the last accepted run.

The distance between then and now is the total variation distance: the share of awards that would have to
change their value for the two distributions to be the same (0 not any, 1 all). Two samples of one population
differ by chance, the smaller the more, so what chance alone would make is taken off: what is left is drift.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

# Each kind of drift with the metric whose slices it compares, and whether each of their columns is compared.
_KINDS = {
    "category_drift": ("category_share", True),
    "amount_drift": ("amount_share", False),
    "format_drift": ("format_share", True),
}


def measure_drift(metrics: pd.DataFrame, history: pd.DataFrame) -> list[tuple[str, str, float, float, float]]:
    """Compare the shares measured now with those of the last accepted run.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Of the contract METRICS.
    history : pandas.DataFrame
        Of the contract METRIC_HISTORY.

    Returns
    -------
    list of tuple
        Metric, slice, drift (0..1), awards that it comes to, awards; nothing without an accepted run.
    """
    if history.empty:
        return []
    newest = history.sort_values("created", kind="stable")["run_id"].iloc[-1]
    before = history[history["run_id"] == newest]
    found = []
    for drift, (metric, is_by_column) in _KINDS.items():
        then, now = (frame[frame["metric"] == metric] for frame in (before, metrics))
        columns = sorted({part.partition("=")[0] for part in [*then["slice"], *now["slice"]]})
        for column in columns:
            one, other = (_counts(frame, column) for frame in (then, now))
            if one.sum() and other.sum():
                distance = _distance(one, other)
                rows = float(other.sum())
                part = f"column={column}" if is_by_column else "all"
                found.append((drift, part, distance, distance * rows, rows))
    return found


def _counts(frame: pd.DataFrame, column: str) -> pd.Series[float]:
    chosen = frame[frame["slice"].str.startswith(f"{column}=")]
    return chosen.set_index("slice")["numerator"].astype("float64")


def _distance(then: pd.Series[float], now: pd.Series[float]) -> float:
    before, after = then.align(now, fill_value=0.0)
    n_before, n_after = float(before.sum()), float(after.sum())
    p, q = before.to_numpy() / n_before, after.to_numpy() / n_after
    pooled = (before.to_numpy() + after.to_numpy()) / (n_before + n_after)
    noise = np.sqrt(2 / math.pi * pooled * (1 - pooled) * (1 / n_before + 1 / n_after)).sum() / 2
    return max(0.0, float(np.abs(p - q).sum() / 2 - noise))
