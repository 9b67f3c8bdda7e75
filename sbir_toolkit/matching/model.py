"""From evidence to weights, and from weights to the probability that a recipient is the right one.

Each pair's evidence adds up to one score, in natural-log units inside and in bits where people see it. A
company's candidates then compete: the right recipient is one of them or none of them, so the probability of
each is its share of `exp(score)` among all candidates and "none", whose score is 0. Two equally good
recipients thus get a half each, which no score of single pairs can say, and a fair match loses its
probability where a better one stands beside it.

What it proves that two names are equal is learned from the register at hand (see `namesakes`): in a register
of millions one recipient in five has a namesake, among 70,000 one in a hundred. So the weight of that term is
held at what theory asks, minus one, and the rest of the score of equal names is a constant: the odds that a
company is in the register at all, and that it writes its name as there. Names of the same plain words
(ADV TECH LABS, ADVANCED TECHNOLOGY LABORATORIES) are weighed likewise, with a constant of their own. For
other names the words shared say how many would share them by chance.

The weights (`weights.json`) were fitted as one conditional logistic regression, on public SBIR companies
and on public pairs of company and federal recipient names, most of them sharing an identifier. Each was
searched for among 80,000 public recipients, of which a part lacked the right one on purpose; half of the
firms were held out, and judge the fitted weights (`benchmarks/refit.py` does it again, and says which terms
it holds and how much near renames and look-alikes count). How far firms move and how often they
are filed with another legal form was measured on public awards, and holds the weights of places and forms
near it (the same city in 85 % of cases, another state in 3 to 6 %; another form in 3 %, none on one side in
5 %). What equal names prove is held too, and the weights for numbers, initials, names cut off and unlike
names in one city stay near a person's choice, as the public pairs have few such cases. What near names and
words guessed to be one weigh (`near_name`, `guessed_afar`) was fitted last, with all others held: fitted
together, the pairs would have names like one another in one city accepted that a person can't tell.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from sbir_toolkit.matching.places import LEVELS
from sbir_toolkit.matching.texts import Floats, Ints

Matrix = npt.NDArray[np.float64]

TERMS = (
    "base",
    "same_name",
    "same_words",
    "truncated",
    "near_name",
    "namesakes",
    "like_namesakes",
    "guessed_afar",
    "less_unexplained",
    "more_unexplained",
    "covered",
    "well_covered",
    "common_words_only",
    "letters",
    "near_letters",
    "beginning",
    "first_word",
    "number_missing",
    "number_conflict",
    "acronym",
    "form_agrees",
    "form_conflicts",
    "form_missing",
    "is_alias",
    "place_elsewhere",
    "place_state",
    "place_zip3",
    "place_city",
    "place_zip5",
    "place_building",
    "like_name_elsewhere",
    "like_name_nearby",
    "like_name_building",
    "like_name_crowded",
)
"""The pieces whose weighted sum is a pair's score."""

_LEAST_BY_CHANCE, _MOST_NAMESAKES = 0.003, 100.0
_GROUPS = {
    "base": "prior",
    "namesakes": "rarity of the name",
    "form": "legal form",
    "place": "place",
    "like_name_elsewhere": "place",
    "like_name_nearby": "place",
    "like_name_building": "place",
    "like_name_crowded": "place",
    "like_namesakes": "rarity of the name",
    "number": "numbers",
    "acronym": "initials",
    "is_alias": "alternate name",
}


def group_of(term: str) -> str:
    """Say under which word a person is shown a term."""
    return _GROUPS.get(term) or _GROUPS.get(term.split("_", maxsplit=1)[0]) or "name"


def make_terms(measures: dict[str, Floats]) -> Matrix:
    """Turn measures into the terms of the score.

    Parameters
    ----------
    measures : dict of float64 arrays of shape (n,)
        As `evidence.measure_pairs` gives them.

    Returns
    -------
    float64 array of shape (n, len(TERMS))
    """
    level = measures["level"].astype(np.int64)
    spelled = measures["same_name"] + measures["same_words"]
    other = 1 - spelled
    # Firms that share as much by chance: as the words' frequencies say, at most those with the rarest word.
    most = np.maximum(measures["rarest_count"], 1)
    by_chance = np.clip(2.0 ** -measures["surplus_bits"], _LEAST_BY_CHANCE, most)
    is_afar = other * (level < LEVELS.index("city"))
    columns = {
        "base": np.ones(len(spelled)),
        "namesakes": spelled * np.log(np.clip(measures["namesakes"], _LEAST_BY_CHANCE, _MOST_NAMESAKES)),
        "like_namesakes": other * np.log(by_chance),
        # Words that are one only by guess tell less where the place doesn't say so, too.
        "guessed_afar": is_afar * np.minimum(measures["guessed_bits"], 40) / 10,
        "less_unexplained": other * np.minimum(measures["less_unexplained_bits"], 40) / 10,
        "more_unexplained": other * np.minimum(measures["more_unexplained_bits"], 40) / 10,
        "covered": other * np.maximum(0, measures["covered"] - 0.4),
        "well_covered": other * np.maximum(0, measures["covered"] - 0.8),
        "common_words_only": other * np.log2(1 + measures["rarest_count"]) / 10,
        "letters": other * np.maximum(0, measures["letters"] - 0.6),
        "near_letters": other * np.maximum(0, measures["letters"] - 0.85),
        "beginning": other * np.maximum(0, measures["beginning"] - 0.8),
        "first_word": other * measures["first_word"],
        "form_missing": spelled * measures["form_missing"],
        "like_name_elsewhere": other * (level == LEVELS.index("elsewhere")),
        "like_name_nearby": other * (level >= LEVELS.index("city")),
        "like_name_building": other * (level == LEVELS.index("building")),
        "like_name_crowded": other * np.log2(1 + measures["neighbours"]) / 10,
        **{f"place_{name}": (level == at).astype(float) for at, name in enumerate(LEVELS)},
    }
    return np.stack([columns[term] if term in columns else measures[term] for term in TERMS], axis=1)


@cache
def load_weights() -> Floats:
    """Give the fitted weight of each of `TERMS`, in natural-log units."""
    held = json.loads(files("sbir_toolkit.matching").joinpath("weights.json").read_text(encoding="utf-8"))
    return np.array([held["weights"][term] for term in TERMS])


def weigh(terms: Floats) -> Floats:
    """Add up each pair's terms with their weights.

    Parameters
    ----------
    terms : float64 array of shape (n, terms)

    Returns
    -------
    float64 array of shape (n,)
        The same for a pair whatever other pairs stand around it. A matrix product isn't: how it is summed
        depends on its size, and with it the last bit of the result.
    """
    score = np.zeros(len(terms))
    for column, weight in zip(terms.T, load_weights(), strict=True):
        score += column * weight
    return score


def compete(company: Ints, score: Floats) -> Floats:
    """Share the probability among each company's candidates and "none of them".

    Parameters
    ----------
    company : int64 array of shape (n,)
        Ascending.
    score : float64 array of shape (n,)

    Returns
    -------
    float64 array of shape (n,)

    Examples
    --------
    >>> compete(np.array([0, 0, 1]), np.array([9.0, 9.0, 0.0])).round(3).tolist()
    [0.5, 0.5, 0.5]
    """
    first = np.flatnonzero(np.concatenate([[True], company[1:] != company[:-1]])[: len(company)])
    if len(first) == 0:
        return np.zeros(0)
    group = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(company))))
    strength = np.exp(np.minimum(score, 500))
    result: Floats = strength / (1 + np.add.reduceat(strength, first))[group]
    return result


def best_of_each(company: Ints, row: Ints, score: Floats) -> Ints:
    """Keep the best pair of each company and recipient: a recipient found under several names counts once.

    Returns
    -------
    int64 array
        Positions, sorted by company, then row.
    """
    order = np.lexsort((-score, row, company))
    is_first = np.ones(len(order), bool)
    is_first[1:] = (company[order][1:] != company[order][:-1]) | (row[order][1:] != row[order][:-1])
    kept: Ints = order[is_first]
    return kept


def sum_groups(terms: Matrix, differing: Floats, moves: Floats, sibling: Floats) -> tuple[list[str], Matrix]:
    """Sum each pair's evidence under the words that people are shown.

    Parameters
    ----------
    terms : float64 array of shape (n, len(TERMS))
    differing : float64 array of shape (n,)
        What weighs against pairs whose identifiers differ, in natural-log units.
    moves : float64 array of shape (n,)
        What weighs for pairs as near as that, by how many places the company's name has, in such units.
    sibling : float64 array of shape (n,)
        What weighs for pairs that a company of the same name is known to be, in such units.

    Returns
    -------
    pieces : list of str
    bits : float64 array of shape (n, len(pieces))
        Their sum is the pair's score in bits.
    """
    groups = [group_of(term) for term in TERMS]
    pieces = list(dict.fromkeys(groups))
    weighted = terms * load_weights() / np.log(2)
    bits = [weighted[:, [one == piece for one in groups]].sum(axis=1) for piece in pieces]
    pieces += ["other identifier", "places of the name", "same name elsewhere"]
    return pieces, np.stack([*bits, *(one / np.log(2) for one in (differing, moves, sibling))], axis=1)
