"""Matching companies as if some recipients did not exist.

A person who says that a firm isn't a recipient says it of all the recipient's records, and of the identifier
that led to it: a DUNS that names the wrong firm is a wrong DUNS. So the recipients' whole firms are kept from
the company, an identifier that names one of them is left aside, and the rest competes as always. Contracts
are left aside together: if one is wrong, nobody knows whose the others are.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sbir_toolkit.matching.decide import same_firm
from sbir_toolkit.matching.identifiers import look_up, read_identity
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.match import match_companies
from sbir_toolkit.matching.texts import Ints
from sbir_toolkit.params import Matching


def match_excluding(
    companies: pd.DataFrame, index: RecipientIndex, params: Matching, excluded: Ints
) -> pd.DataFrame:
    """Match companies, each with some recipients kept from it.

    Parameters
    ----------
    companies : pandas.DataFrame of shape (n, 11)
        As the contract `companies` says.
    index : RecipientIndex
    params : Matching
    excluded : int64 array of shape (n, k)
        For each company the rows of the recipients that it isn't; -1: none. All recipients of their firms are
        kept from it.

    Returns
    -------
    pandas.DataFrame of shape (n, 12)
        As the contract `company_matches` says, in the order of `companies`.
    """
    return match_companies(leave_identifiers(companies, index, excluded), index, params, excluded)


def leave_identifiers(companies: pd.DataFrame, index: RecipientIndex, excluded: Ints) -> pd.DataFrame:
    """Leave aside the identifiers that name an excluded firm; parameters as for `match_excluding`."""
    left = companies.reset_index(drop=True)
    company, row, kind = look_up(index, read_identity(left))
    is_wrong = np.zeros(len(row), bool)
    for column in excluded.T:
        is_wrong |= same_firm(index, row, column[company])
    for at, name in enumerate(("uei", "duns", "contracts")):
        wrong = np.isin(np.arange(len(left)), company[is_wrong & (kind == at)])
        left[name] = left[name].mask(wrong)
    return left
