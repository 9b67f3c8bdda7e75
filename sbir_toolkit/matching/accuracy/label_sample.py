"""A sample for a person to label, blind and stratified.

Which pairs are asked about is decided by decision, tier and probability, so that rare kinds are asked about
too; what is asked shows none of these, and neither does the order. The answer to each is *yes*, *no* or
*unsure*: are these one firm?
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pandas as pd

from sbir_toolkit.matching.accuracy.proposals import name_strata, propose
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.texts import Ints
from sbir_toolkit.params import Accuracy, Matching
from sbir_toolkit.tables import LABEL_SAMPLE


def draw_label_sample(
    companies: pd.DataFrame,
    company_matches: pd.DataFrame,
    index: RecipientIndex,
    matching: Matching,
    accuracy: Accuracy,
) -> pd.DataFrame:
    """Draw pairs of a company and its candidate for a person to label.

    Parameters
    ----------
    companies, company_matches : pandas.DataFrame
        As the contracts say.
    index : RecipientIndex
    matching : Matching
    accuracy : Accuracy
        `label_sample` says how many, `seed` which.

    Returns
    -------
    pandas.DataFrame
        The contract `label_sample`: the same rows whatever the companies' order.
    """
    strata = name_strata(company_matches)
    lot = _draw_lots(company_matches["company_id"], accuracy.seed)
    chosen = company_matches["company_id"].iloc[_choose(strata, lot, accuracy.label_sample)]
    asked = companies[companies["company_id"].isin(set(chosen))].sort_values("company_id", ignore_index=True)
    proposals = propose(asked, company_matches, index, matching)
    table = asked.merge(proposals, on="company_id", validate="one_to_one")
    table = table.rename(columns={name: f"company_{name}" for name in ("address1", "city", "state", "zip5")})
    order = np.argsort(_draw_lots(table["key"], accuracy.seed), kind="stable")
    sample: pd.DataFrame = table.iloc[order].reset_index(drop=True)[LABEL_SAMPLE.names]
    return sample


def share_out(sizes: Ints, total: int) -> Ints:
    """Share a number out by the square roots of sizes, at most each size.

    Large strata weigh more in the end, small ones are of interest by themselves; the root is the usual
    compromise (M. D. Bankier, 1988, J. Am. Stat. Assoc. 83, 174-177). Rounding is Sainte-Lague's.

    Examples
    --------
    >>> share_out(np.array([2, 100, 900]), 42).tolist()
    [1, 10, 31]
    """
    most = np.minimum(sizes, total)
    stratum = np.repeat(np.arange(len(sizes)), most)
    nth = np.arange(len(stratum)) - np.repeat(np.cumsum(most) - most, most)
    claim = np.sqrt(sizes[stratum]) / (nth + 0.5)
    served = np.argsort(-claim, kind="stable")[:total]
    return np.bincount(stratum[served], minlength=len(sizes))


def _choose(strata: npt.NDArray[np.str_], lot: npt.NDArray[np.str_], total: int) -> Ints:
    """Choose the companies with the lowest lots of each stratum."""
    order = np.lexsort((lot, strata))
    order = order[strata[order] != ""]
    _, first, sizes = np.unique(strata[order], return_index=True, return_counts=True)
    shares = share_out(sizes, total)
    rank = np.arange(len(order)) - np.repeat(first, sizes)
    chosen: Ints = order[rank < np.repeat(shares, sizes)]
    return chosen


def _draw_lots(ids: pd.Series, seed: int) -> npt.NDArray[np.str_]:
    # A digest for each: who is drawn doesn't depend on who else is there, or in which order.
    return np.array([hashlib.sha256(f"{seed} {one}".encode()).hexdigest()[:16] for one in ids], str)
