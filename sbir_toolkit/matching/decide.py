"""Who a company is, or that nobody can tell.

A link is accepted when it is probable enough and far enough ahead of the next *different* recipient.
Several recipients of one firm (one parent, or one name with one identifier or one place) are no rivals:
their probabilities add up. What is less sure but worth a person's look goes to review; the rest is
rejected.

An identifier decides by itself, with one exception: when the name and the place of the recipient it names
both contradict, somebody mistyped it, and a person should look.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sbir_toolkit.matching.candidates import Candidates
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.places import LEVELS, place_level
from sbir_toolkit.matching.texts import Flags, Floats, Ints
from sbir_toolkit.params import Matching

_CITY, _UNKNOWN = LEVELS.index("city"), LEVELS.index("unknown")


@dataclass(frozen=True)
class Choice:
    """The best recipient of each company, and the best different one.

    Parameters
    ----------
    best, runner_up : int64 arrays of shape (companies,)
        Positions among the pairs; -1 where there is none.
    probability, runner_up_probability : float64 arrays of shape (companies,)
        Of the firms these recipients belong to; 0 where there is none.
    """

    best: Ints
    runner_up: Ints
    probability: Floats
    runner_up_probability: Floats


def choose(index: RecipientIndex, pairs: Candidates, probability: Floats, companies: int) -> Choice:
    """Pick each company's best recipient and the best one of another firm.

    A firm with several records may be more probable than the one with the best record: of the firms of the
    two best records the more probable one comes first.

    Parameters
    ----------
    index : RecipientIndex
    pairs : Candidates of shape (n,)
        Sorted by company; a recipient at most once for each.
    probability : float64 array of shape (n,)
    companies : int
        How many companies there are.

    Returns
    -------
    Choice
    """
    best = _first_of_each(pairs, probability, np.ones(len(pairs), bool), index, companies)
    of_best = same_firm(index, pairs.row, pairs.row[best[pairs.company]])
    runner_up = _first_of_each(pairs, probability, ~of_best, index, companies)
    of_next = same_firm(index, pairs.row, np.append(pairs.row, -1)[runner_up[pairs.company]]) & ~of_best
    total, next_total = (
        np.bincount(pairs.company, probability * of_firm, minlength=companies)
        for of_firm in (of_best, of_next)
    )
    is_behind = next_total > total
    best, runner_up = np.where(is_behind, runner_up, best), np.where(is_behind, best, runner_up)
    total, next_total = np.where(is_behind, next_total, total), np.where(is_behind, total, next_total)
    return Choice(
        best=best,
        runner_up=runner_up,
        probability=np.minimum(total, 1),
        runner_up_probability=np.minimum(next_total, 1),
    )


def same_firm(index: RecipientIndex, one: Ints, other: Ints) -> Flags:
    """Tell whether two recipients are one firm, row by row.

    They are when they are one row, share a parent or an identifier, or bear a name of the same plain words
    and nothing but the completeness of their records sets them apart.

    Parameters
    ----------
    index : RecipientIndex
    one, other : int64 arrays of shape (n,)
        Rows of recipients; -1 for nobody, who is no firm.
    """
    result = np.zeros(len(one), bool)
    known = np.flatnonzero((one >= 0) & (other >= 0))
    one, other = one[known], other[known]
    uei, duns, parent = index["row_uei"], index["row_duns"], index["row_parent"]
    same_uei = (uei[one] == uei[other]) & (uei[one] != 0)
    same_duns = (duns[one] == duns[other]) & (duns[one] != 0)
    top_one = np.where(parent[one] != 0, parent[one], uei[one])
    top_other = np.where(parent[other] != 0, parent[other], uei[other])
    same_parent = (top_one == top_other) & (top_one != 0)
    level = place_level(index.places.take(one), index.places.take(other))
    both_have_id = ((uei[one] != 0) | (duns[one] != 0)) & ((uei[other] != 0) | (duns[other] != 0))
    one_record = (level >= _CITY) | ((level == _UNKNOWN) & ~both_have_id)
    is_same = (one == other) | same_uei | same_duns | same_parent
    open_ = np.flatnonzero(~is_same & one_record)
    is_same[open_] = _share_name(index, one[open_], other[open_])
    result[known] = is_same
    return result


def _share_name(index: RecipientIndex, one: Ints, other: Ints) -> Flags:
    """Tell whether a name of one recipient has the same plain words as one of the other's."""
    at, entry = index.entries_of(one)
    there, other_entry = index.entries_of(other)
    names = index["entry_name"][np.concatenate([entry, other_entry])].astype(np.int64)
    _, bag = np.unique(index.bags(names), return_inverse=True)
    pair = np.concatenate([at, there]) * len(names) + bag
    shared = np.zeros(len(one), bool)
    shared[at[np.isin(pair[: len(entry)], pair[len(entry) :])]] = True
    return shared


def decide(
    probability: Floats, runner_up: Floats, is_conflict: Flags, params: Matching
) -> npt.NDArray[np.str_]:
    """Accept, review or reject.

    Parameters
    ----------
    probability, runner_up : float64 arrays of shape (n,)
        Of the best firm and of the next one.
    is_conflict : bool array of shape (n,)
        Whether an identifier names a recipient that name and place contradict.
    params : Matching

    Returns
    -------
    array of str, shape (n,)

    Examples
    --------
    >>> best, second = np.array([0.97, 0.97, 0.001]), np.array([0.0, 0.9, 0.0])
    >>> decide(best, second, np.zeros(3, bool), Matching()).tolist()
    ['accept', 'review', 'reject']
    """
    is_clear = (probability >= params.accept_probability) & (probability - runner_up >= params.min_margin)
    is_worth = (probability >= params.review_probability) | is_conflict
    return np.where(is_clear & ~is_conflict, "accept", np.where(is_worth, "review", "reject"))


def _first_of_each(
    pairs: Candidates, probability: Floats, allowed: Flags, index: RecipientIndex, companies: int
) -> Ints:
    """Find each company's most probable pair; of equals the fuller record, then the earlier row."""
    wanted = np.flatnonzero(allowed)
    row = pairs.row[wanted]
    fullness = (index["row_uei"][row] != 0) * 2 + (index["row_duns"][row] != 0)
    order = wanted[np.lexsort((row, -fullness, -np.round(probability[wanted], 12), pairs.company[wanted]))]
    company = pairs.company[order]
    result = np.full(companies, -1)
    is_first = np.concatenate([[True], company[1:] != company[:-1]])[: len(company)]
    result[company[is_first]] = order[is_first]
    return result
