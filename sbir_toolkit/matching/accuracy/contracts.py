"""Contracts: how well they name a company's recipient, and how well names do where only they name it.

Companies that a UEI or DUNS names and that have contracts in the award archives, too, show how right the tier
`contract` is: their UEI and DUNS are hidden, and what the contracts name is held against them. Companies that
nothing but a contract names show something else: whether the names of those that filed no identifier are as
easily found as the others'.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sbir_toolkit.matching.accuracy.estimates import Estimates, add_precision_and_recall
from sbir_toolkit.matching.accuracy.sample import Sample, identify
from sbir_toolkit.matching.decide import decide, same_firm
from sbir_toolkit.matching.identifiers import KINDS
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.params import Matching

_BY_CONTRACT = "UEI and DUNS blanked, found by the contracts of its awards, compared with their recipient"


def add_contracts(
    estimates: Estimates, sample: Sample, hidden: pd.DataFrame, index: RecipientIndex, matching: Matching
) -> None:
    """Add precision and recall of the tier `contract`, and of names by what named the recipient.

    Parameters
    ----------
    estimates : Estimates
        Added to.
    sample : Sample
    hidden : pandas.DataFrame
        The trials by name of those in the sample that aren't there for their years only, in its order.
    index : RecipientIndex
    matching : Matching
    """
    known_by = sample.known_by[~sample.is_added]
    for place, kind in enumerate(KINDS):
        part = hidden[known_by == place]
        add_precision_and_recall(estimates, "hidden_identifier", part, part_name=f"known_by={kind}")
    has_both = (sample.known_by != KINDS.index("contract")) & sample.contracts.notna().to_numpy()
    at = np.flatnonzero(has_both)
    hits, _ = identify(sample.companies.iloc[at].assign(contracts=sample.contracts.iloc[at]), index)
    tried = pd.DataFrame(
        {
            "decision": decide(hits.probability, np.zeros(len(at)), hits.is_conflict, matching),
            "is_right": same_firm(index, hits.row, sample.truth[at]),
        }
    )
    add_precision_and_recall(estimates, "contract", tried, method=_BY_CONTRACT)
