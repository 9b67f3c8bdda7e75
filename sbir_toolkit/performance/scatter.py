"""Whether two sets of costs differ by more than such costs scatter.

Three runs on a side say little about their own scatter, so what the history knows is asked as well: every
group of like runs (same workload, machine, code, parameters and inputs) shows how far the cost of a stage or
phase strays from one run to the next, whatever its level is. Over all groups that is known well, and a change
can be told from scatter with few runs. Where the runs at hand scatter far more than the history's, the
machine isn't what it was, and only they count: by Student's test where there are as many on both sides, as it
bears unequal scatter then, else by Welch's.

Sources: Student (1908); B. L. Welch (1947); J. von Neumann et al. (1941) for the scatter from successive
differences.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

LIKE = ("name", "machine", "code_digest", "params_digest", "libraries", "inputs")
_LEAST_RUNS = 3
# With this much more variance than the history's the runs at hand are of another kind (F, 4 and many: 1 %).
_FAR_MORE = 3.3
# No machine repeats itself better than this, whatever a few runs say.
_LEAST_VARIANCE = 0.005**2
_MAD_TO_SIGMA = 1.4826
# A median tells as much as so large a share of the values would by their squares.
_MEDIAN_TELLS = 0.37


@dataclass(frozen=True)
class Scatter:
    """How a cost scatters from run to run: variance of its logarithm, and how many differences tell so."""

    variance: float
    freedom: int


def known_scatter(costs: pd.DataFrame, runs: pd.DataFrame, figure: str) -> dict[tuple[str, str], Scatter]:
    """Read from all runs of a history how a figure scatters among like ones.

    Parameters
    ----------
    costs
        run_id, stage, phase and the figure.
    runs
        run_id, created and the columns of `LIKE`.

    Returns
    -------
    dict
        By stage and phase.
    """
    # Repeats of an earlier commit have no digest of their code; what isn't known is alike too.
    likeness = runs.assign(group=runs[list(LIKE)].astype(str).fillna("").agg("|".join, axis=1))
    known = costs.loc[costs[figure] > 0, ["run_id", "stage", "phase", figure]]
    known = known.merge(likeness[["run_id", "created", "group"]], on="run_id").sort_values("created")
    known["log"] = np.log(known[figure].astype(float))
    # A step from one run to the next: a lasting change is one large step among many, and the median bears it.
    known["step"] = known.groupby(["stage", "phase", "group"], sort=False)["log"].diff().abs()
    found = {}
    for key, steps in known.dropna(subset="step").groupby(["stage", "phase"], sort=False)["step"]:
        sigma = _MAD_TO_SIGMA * float(steps.median()) / math.sqrt(2)
        found[str(key[0]), str(key[1])] = Scatter(sigma**2, int(_MEDIAN_TELLS * len(steps)))
    return found


def can_scatter(before: Sequence[float], after: Sequence[float]) -> bool:
    """Tell whether there are enough runs on both sides to know how they scatter."""
    return min(len(before), len(after)) >= _LEAST_RUNS


def differs(
    before: Sequence[float], after: Sequence[float], *, level: float, known: Scatter | None = None
) -> bool:
    """Tell whether two sets of costs differ by more than they scatter (a t test on logarithms).

    Parameters
    ----------
    before, after
        Costs above zero; with fewer than three on a side nothing can be told, and False is given.
    level
        Probability of saying so by chance.
    known
        What the history says of their scatter; without it they speak for themselves.

    Examples
    --------
    >>> differs([1.0, 1.02, 0.99], [1.3, 1.29, 1.33], level=0.01)
    True
    >>> differs([1.0, 1.2, 0.9], [1.3, 1.0, 1.1], level=0.01)
    False
    >>> few = [1.0, 1.06, 0.95], [1.16, 1.2, 1.11]
    >>> differs(*few, level=0.01), differs(*few, level=0.01, known=Scatter(0.04**2, 50))
    (False, True)
    """
    sets = [[math.log(value) for value in values if value > 0] for values in (before, after)]
    if not can_scatter(*sets):
        return False
    moved = abs(statistics.fmean(sets[1]) - statistics.fmean(sets[0]))
    variances = [statistics.variance(values) for values in sets]
    free = [len(values) - 1 for values in sets]
    own = sum(one * count for one, count in zip(variances, free, strict=True)) / sum(free)
    if known is not None and known.freedom > sum(free) and own <= _FAR_MORE * known.variance:
        variance = max(_LEAST_VARIANCE, known.variance)
        error = math.sqrt(variance * sum(1 / len(values) for values in sets))
        return moved / error > _t_quantile(1 - level / 2, known.freedom)
    errors = [one / len(values) for one, values in zip(variances, sets, strict=True)]
    error = math.sqrt(sum(errors))
    if error == 0:
        return moved > 0
    if free[0] == free[1]:
        freedom = float(sum(free))
    else:
        freedom = error**4 / sum(one**2 / count for one, count in zip(errors, free, strict=True))
    return moved / error > _t_quantile(1 - level / 2, freedom)


def _t_quantile(share: float, freedom: float) -> float:
    """Quantile of Student's t from the normal one, by the series of G. W. Hill (1970), Cornish-Fisher."""
    z = statistics.NormalDist().inv_cdf(share)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))
