"""Years: trials stand for companies that can't be tried, which are older.

Identifiers came late: nearly every award of the last years names one, hardly any of the first. So companies
whose identifier can be hidden are younger than those that have to be matched by name, and their names and
places are closer to what the recipients' list holds today. Each trial is therefore given the weight that its
years have among the companies to be matched by name. Years of which no trial is left stay out, and the share
of companies that the estimate speaks for (`reweighted_coverage`) says so.

The companies that have a recognised sibling (see `siblings`) are told by it, the others aren't. So each kind
is stood for by trials of its own: companies that lost their identifier while their siblings kept theirs, and
companies as alone as if their whole firm had none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from sbir_toolkit.matching.accuracy.estimates import SAID_BY_IDENTIFIER, Estimates, add_precision_and_recall
from sbir_toolkit.matching.texts import Flags, Floats

_WIDTH = 5
_UNKNOWN = "unknown"


def year_strata(last_award_year: pd.Series) -> npt.NDArray[np.str_]:
    """Group years by five.

    Examples
    --------
    >>> year_strata(pd.Series([1999, 2000, None])).tolist()
    ['1995-1999', '2000-2004', 'unknown']
    """
    known = last_award_year.notna().to_numpy(bool)
    low = last_award_year.fillna(0).to_numpy(np.int64) // _WIDTH * _WIDTH
    years = {int(year): f"{year}-{year + _WIDTH - 1}" for year in np.unique(low)}
    return np.array(
        [years[year] if here else _UNKNOWN for year, here in zip(low.tolist(), known, strict=True)], str
    )


def sibling_strata(years: npt.NDArray[np.str_], is_told: Flags) -> npt.NDArray[np.str_]:
    """Part years into companies that have a recognised sibling, and those that haven't."""
    return np.char.add(years, np.where(is_told, " told", " alone"))


def add_reweighted(
    estimates: Estimates,
    trials: pd.DataFrame,
    strata: npt.NDArray[np.str_],
    wanted: npt.NDArray[np.str_],
) -> None:
    """Add the estimates reweighted to the companies that must be matched by name.

    Parameters
    ----------
    estimates : Estimates
    trials : pandas.DataFrame of shape (n, k)
        All trials with hidden identifiers, those added for older years too.
    strata : str array of shape (n,)
        The stratum of each.
    wanted : str array of shape (companies,)
        The stratum of each company that must be matched by name.
    """
    share = pd.Series(wanted, dtype="str").value_counts(normalize=True)
    tried = pd.Series(strata, dtype="str").value_counts(normalize=True)
    ratio = share.reindex(tried.index).fillna(0) / tried
    weights: Floats = np.asarray(pd.Series(strata, dtype="str").map(ratio), np.float64)
    add_precision_and_recall(
        estimates,
        "reweighted",
        trials,
        weights=weights,
        method=f"{SAID_BY_IDENTIFIER}; weighted to the award years of companies without an identifier's hit, "
        "with and without a sibling that tells",
    )
    covered = int(np.isin(wanted, tried.index.to_numpy(str)).sum())
    estimates.add(
        "reweighted_coverage",
        covered / len(wanted) if len(wanted) else np.nan,
        cases=(covered, len(wanted)),
        method="companies without an identifier's hit whose award years have trials, counted; "
        "nothing is known of the others",
    )


def add_by_years(estimates: Estimates, trials: pd.DataFrame, wanted: npt.NDArray[np.str_]) -> None:
    """Add precision and recall of the trials of each stratum of years, also of those wanted and not tried."""
    for years in sorted({*wanted.tolist(), *trials["years"]}):
        part = trials[trials["years"] == years]
        add_precision_and_recall(estimates, "hidden_identifier", part, part_name=f"years={years}")
