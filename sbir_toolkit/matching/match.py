"""Each company with its recipient.

The identifiers come first: who files a recipient's UEI or DUNS, or was awarded one of its contracts, is that
recipient, unless name and place both contradict. Whoever is left is looked for by name and place
(`candidates`), the pairs found are compared (`evidence`) and weighed (`model`), and one recipient is
accepted, one proposed for review, or none (`decide`). Each company's result depends on that company and the
index alone, so any split into chunks gives the same rows. What companies of one name tell of each other is
added afterwards (`match_siblings`).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.matching.candidates import Candidates, find_candidates, pairs_with_rows
from sbir_toolkit.matching.decide import Choice, choose, decide, same_firm
from sbir_toolkit.matching.evidence import measure_pairs
from sbir_toolkit.matching.identifiers import (
    KINDS,
    Hits,
    match_identifiers,
    read_identity,
    weigh_differing,
)
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.model import Matrix, best_of_each, compete, make_terms, sum_groups, weigh
from sbir_toolkit.matching.names import read_names
from sbir_toolkit.matching.places import LEVELS, read_places
from sbir_toolkit.matching.recognised import Recognised
from sbir_toolkit.matching.siblings import NOBODY, Siblings
from sbir_toolkit.matching.texts import Flags, Floats, Ints
from sbir_toolkit.meter import phase
from sbir_toolkit.params import Matching
from sbir_toolkit.tables import COMPANIES, COMPANY_MATCHES

_BLOCK = 8_192
_UNPLACED = LEVELS.index("unknown")
_OTHER_NAME = 0.2
_LEAST_ODDS = 1e-6


def match_companies(
    companies: pd.DataFrame,
    index: RecipientIndex,
    params: Matching,
    masked: Ints | None = None,
    siblings: Siblings | None = None,
) -> pd.DataFrame:
    """Find each company's recipient.

    Parameters
    ----------
    companies : pandas.DataFrame of shape (n, 11)
        As the contract `companies` says.
    index : RecipientIndex
    params : Matching
    masked, siblings : optional
        As for `match_blocks`.

    Returns
    -------
    pandas.DataFrame of shape (n, 12)
        As the contract `company_matches` says, in the order of `companies`. What a company gets doesn't
        depend on the other ones.
    """
    blocks = match_blocks(companies, index, params, masked, siblings)
    frames = [_result(block, index, params) for block in blocks]
    return pd.concat(frames, ignore_index=True)[COMPANY_MATCHES.names]


def match_siblings(
    companies: pa.Table,
    matches: pd.DataFrame,
    index: RecipientIndex,
    params: Matching,
    *,
    threads: int = 1,
    at_once: int = _BLOCK,
) -> pd.DataFrame:
    """Match anew the companies of whom others of their name say something else than was found.

    Parameters
    ----------
    companies : pyarrow.Table of shape (n, 10)
        The contract `companies`: all of them, in any order.
    matches : pandas.DataFrame of shape (n, k)
        What `match_companies` gave them; of its columns those in `recognised.TOLD_BY` are enough.
    index : RecipientIndex
    params : Matching
    threads, at_once : int
        How many to match with, and how many companies each at most matches at once; the result doesn't depend
        on them.

    Returns
    -------
    pandas.DataFrame of shape (m, 12)
        As the contract `company_matches` says, of those companies only; its index says which.
    """
    recognised = Recognised.among(companies, matches, index)
    open_ = recognised.open_companies(matches)

    def match_told(some: Ints) -> pd.DataFrame:
        chosen = companies.take(pa.array(some))
        siblings = recognised.siblings_of(chosen, index)
        return match_companies(chosen.to_pandas(), index, params, siblings=siblings)

    rounds = -(-len(open_) // (threads * at_once))
    parts = np.array_split(open_, threads * max(rounds, 1))
    with ThreadPoolExecutor(threads) as pool:
        return pd.concat(pool.map(match_told, parts)).set_axis(open_)


@dataclass(frozen=True)
class Matched:
    """All that was found out about a block of companies.

    Parameters
    ----------
    companies : pyarrow.Table
        The contract `companies`.
    hits : Hits
        What the identifiers say.
    pairs : Candidates of shape (n,)
        The candidates found by name and place, each recipient once for a company.
    measures : dict of float64 arrays of shape (n,)
    terms : float64 array of shape (n, terms)
    differing : float64 array of shape (n,)
        What weighs against a pair whose identifiers differ.
    moves : float64 array of shape (n,)
        What weighs for a pair as near as that, by how many places the name has in the awards.
    sibling : float64 array of shape (n,)
        What weighs for a pair that a company of the same name is known to be.
    told_by, doubted_by : object arrays of shape (n,)
        The id of that company, and of one whose other identifier speaks against the pair, with the odds or
        the chance that it is one firm with the company; or None.
    probability : float64 array of shape (n,)
    choice : Choice
        The best pair of each company and the next one.
    """

    companies: pa.Table
    hits: Hits
    pairs: Candidates
    measures: dict[str, Floats]
    terms: Matrix
    differing: Floats
    moves: Floats
    sibling: Floats
    told_by: npt.NDArray[np.object_]
    doubted_by: npt.NDArray[np.object_]
    probability: Floats
    choice: Choice


def match_blocks(
    companies: pd.DataFrame,
    index: RecipientIndex,
    params: Matching,
    masked: Ints | None = None,
    siblings: Siblings | None = None,
) -> Iterator[Matched]:
    """Match companies block by block and give everything that was found out.

    Parameters
    ----------
    companies : pandas.DataFrame of shape (n, 11)
        As the contract `companies` says.
    index : RecipientIndex
    params : Matching
    masked : int64 array of shape (n, k), optional
        For each company the rows of recipients to keep from it, with all other recipients of their firms; -1:
        none.
    siblings : Siblings, optional
        What others of their name say of the companies.

    Yields
    ------
    Matched
        For the next 8,192 companies, or for none when there are none.
    """
    table = COMPANIES.arrow(companies)
    for low in range(0, max(table.num_rows, 1), _BLOCK):
        hidden = None if masked is None else masked[low : low + _BLOCK]
        told = None if siblings is None else siblings.part(low, low + _BLOCK)
        yield _match_block(table.slice(low, _BLOCK), index, params, hidden, told)


def _match_block(
    companies: pa.Table,
    index: RecipientIndex,
    params: Matching,
    masked: Ints | None,
    siblings: Siblings | None,
) -> Matched:
    with phase("normalise", rows=companies.num_rows):
        column = {name: companies.column(name).combine_chunks() for name in COMPANIES.names[:-1]}
        names = read_names(column["company"])
        places = read_places(column["address1"], column["city"], column["state"], column["zip5"])
        identity = read_identity(companies)
    with phase("identifiers", rows=companies.num_rows):
        hits = match_identifiers(index, names, places, identity)
    with phase("candidates") as span:
        wanted = (hits.row < 0) | hits.is_conflict
        masked = np.full((companies.num_rows, 0), -1) if masked is None else masked
        everywhere: Flags = np.any(masked >= 0, axis=1)
        pairs = find_candidates(index, names, places, wanted, params, everywhere=everywhere)
        if siblings is not None:
            named, _ = pairs_with_rows(index, names, places, siblings.company, siblings.row)
            pairs = pairs.beside(named)
        if masked.size:
            is_hidden = np.zeros(len(pairs), bool)
            for rows in masked.T:
                is_hidden |= same_firm(index, pairs.row, rows[pairs.company])
            pairs = pairs.take(np.flatnonzero(~is_hidden))
        span.rows = len(pairs)
    with phase("score", rows=len(pairs)):
        measures = measure_pairs(index, names, pairs)
        terms = make_terms(measures)
        differing = weigh_differing(index, identity, pairs)
        odds, told_by = np.zeros(len(pairs)), np.repeat(NOBODY, len(pairs))
        doubted_by, moves = told_by, np.zeros(len(pairs))
        if siblings is not None:
            odds, told_by = siblings.tell(pairs)
            doubt, doubted_by = siblings.weigh_strangers(index, pairs)
            # An identifier that differs makes the sibling another firm, too.
            odds = odds * np.exp(differing)
            differing = np.minimum(differing, doubt)
            moves = siblings.moves[pairs.company, pairs.level]
        own = weigh(terms) + differing + moves
        best = best_of_each(pairs.company, pairs.row, own)
        pairs, terms, differing, own = pairs.take(best), terms[best], differing[best], own[best]
        odds, told_by, doubted_by, moves = odds[best], told_by[best], doubted_by[best], moves[best]
        measures = {name: values[best] for name, values in measures.items()}
        # A sibling's word is one more way to be its recipient: odds add up where evidence multiplies.
        sibling = np.logaddexp(own, np.log(np.maximum(odds, _LEAST_ODDS))) - own
        sibling = np.where(odds > 0, sibling, 0.0)
        probability = compete(pairs.company, own + sibling)
        ceilings = np.maximum(_ceilings(pairs, measures, params), odds / (1 + odds))
        probability = np.minimum(probability, ceilings)
    with phase("decide", rows=companies.num_rows):
        choice = choose(index, pairs, probability, companies.num_rows)
    said = moves, sibling, told_by, doubted_by
    return Matched(companies, hits, pairs, measures, terms, differing, *said, probability, choice)


def _ceilings(pairs: Candidates, measures: dict[str, Floats], params: Matching) -> Floats:
    """Say how sure a pair can be at most, where what is known leaves a doubt that no score takes away."""
    # Without a place nothing tells a firm from a namesake, however rare the name.
    is_unplaced = pairs.level == _UNPLACED
    unplaced = np.where(is_unplaced, params.max_unplaced_probability, 1.0)
    # A firm in the same building under quite another name, or initials, may be renamed, or a neighbour. And
    # one of nearly that name, who knows where, may be its subsidiary, its fund or its campus.
    is_spelled = (measures["same_name"] + measures["same_words"] + measures["truncated"]) > 0
    has_other_name = (measures["covered"] < _OTHER_NAME) | (is_unplaced & ~is_spelled)
    return np.minimum(unplaced, np.where(has_other_name, params.max_renamed_probability, 1.0))


def _result(block: Matched, index: RecipientIndex, params: Matching) -> pd.DataFrame:
    hits, choice = block.hits, block.choice
    by_id = hits.row >= 0
    row = np.where(by_id, hits.row, _row_of(block.pairs, choice.best))
    probability = np.where(by_id, hits.probability, choice.probability)
    next_row, next_probability = _runner_up(block, index)
    decision = decide(probability, next_probability, hits.is_conflict, params)
    decision = np.where(row >= 0, decision, "reject")
    is_linked = decision != "reject"
    is_same_name = np.append(block.measures["same_name"], 0.0)[choice.best] > 0
    tier = np.where(is_same_name, "name_exact", "name_fuzzy")
    # Who weighs more than name and place together is what found the recipient.
    is_told = np.append(block.sibling, 0.0)[choice.best] > np.log(2)
    tier = np.where(is_told, "sibling", tier)
    tier = np.where(by_id, np.array(KINDS)[hits.kind], tier)
    linked = index.shown(np.where(is_linked, row, -1)).to_pandas()
    next_one = index.shown(next_row).to_pandas()
    return pd.DataFrame(
        {
            "company_id": block.companies.column("company_id").to_pandas(),
            "recipient_id": linked["recipient_id"],
            "recipient_uei": linked["uei"],
            "recipient_name": linked["recipient_name"],
            "tier": _texts(tier, is_linked),
            "match_probability": np.where(row >= 0, probability, np.nan),
            "margin": np.where(row >= 0, np.clip(probability - next_probability, 0, 1), np.nan),
            "decision": _texts(decision, np.ones(len(row), bool)),
            "evidence": _evidence(block).to_pandas().astype("str"),
            "runner_up_id": next_one["recipient_id"],
            "runner_up_name": next_one["recipient_name"],
            "runner_up_probability": np.where(next_row >= 0, next_probability, np.nan),
        }
    )


def _runner_up(block: Matched, index: RecipientIndex) -> tuple[Ints, Floats]:
    """Give the next recipient of another firm; beside one that an identifier names, the best one by name."""
    hits, choice = block.hits, block.choice
    by_id = hits.row >= 0
    row = np.where(by_id, _row_of(block.pairs, choice.best), _row_of(block.pairs, choice.runner_up))
    is_same = by_id & same_firm(index, hits.row, row)
    row = np.where(is_same, -1, row)
    rival = np.where(
        by_id, np.minimum(choice.probability, 1 - hits.probability), choice.runner_up_probability
    )
    return row, np.where(row >= 0, rival, 0.0)


def _evidence(block: Matched) -> pa.Array:
    """Write each company's evidence as JSON: the weights, in bits, of what named its recipient."""
    hits, best = block.hits, block.choice.best
    by_id = hits.row >= 0
    is_known = by_id | (best >= 0)
    terms = np.concatenate([block.terms, np.zeros((1, block.terms.shape[1]))])[best]
    beside = [np.append(one, 0.0)[best] for one in (block.differing, block.moves, block.sibling)]
    pieces, bits = sum_groups(terms, *beside)
    weights = dict(zip(pieces, np.where(by_id[:, None], 0.0, bits).T, strict=True))
    for piece, weight in (("name", hits.name), ("place", hits.place)):
        weights[piece] = np.where(by_id, weight / np.log(2), weights[piece])
    identifier = hits.identifier / np.log(2)
    named = {kind: by_id & (hits.kind == at) for at, kind in enumerate(KINDS)}
    weights = {piece: np.where(is_named, identifier, 0.0) for piece, is_named in named.items()} | weights
    shown = [_as_member(piece, weight) for piece, weight in weights.items()]
    for said, siblings in (("told by", block.told_by), ("doubted by", block.doubted_by)):
        who = pa.array(np.concatenate([siblings, NOBODY])[np.where(by_id, -1, best)], pa.string())
        shown.append(pc.binary_join_element_wise(f'"{said}":"', who, '"', ""))
    # Joining skips nulls, and whole rows of nothing but nulls: the bracket that opens is in every row.
    opened = pa.array(["{"] * len(best), pa.string())
    joined = pc.binary_join_element_wise(opened, *shown, ",", null_handling="skip")
    closed = pc.binary_join_element_wise(pc.replace_substring(joined, "{,", "{"), "}", "")
    return pc.if_else(pa.array(is_known), closed, None)


def _as_member(piece: str, weights: Floats) -> pa.Array:
    """Write a weight as a member of a JSON object; null where it rounds to nothing."""
    # Each weight is written once. The pieces' names are plain words: no letter needs an escape.
    tenths, back = np.unique(np.round(weights * 10).astype(np.int64), return_inverse=True)
    texts = [f'"{piece}":{tenth / 10:.1f}' if tenth else None for tenth in tenths.tolist()]
    return pa.array(texts, pa.string()).take(pa.array(back))


def _texts(values: npt.NDArray[np.str_], is_kept: Flags) -> pd.Series[str]:
    return pd.Series(values, dtype="str").where(is_kept)


def _row_of(pairs: Candidates, positions: Ints) -> Ints:
    return np.append(pairs.row, -1)[positions]
