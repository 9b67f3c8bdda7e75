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
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.matching.candidates import Candidates, find_candidates, pairs_with_rows
from sbir_toolkit.matching.decide import Choice, choose, decide, same_firm
from sbir_toolkit.matching.evidence import measure_pairs
from sbir_toolkit.matching.identifiers import KINDS, Hits, Identity, match_identifiers, read_identity
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.model import Matrix, make_terms, sum_groups
from sbir_toolkit.matching.names import Names, read_names
from sbir_toolkit.matching.places import Places, read_places
from sbir_toolkit.matching.recognised import Recognised
from sbir_toolkit.matching.siblings import NOBODY, Siblings
from sbir_toolkit.matching.texts import Flags, Floats, Ints, take_from_each
from sbir_toolkit.matching.weighed import Judged, Weighed, judge
from sbir_toolkit.meter import phase
from sbir_toolkit.params import Matching
from sbir_toolkit.tables import COMPANIES, COMPANY_MATCHES

_BLOCK = 8_192
KEPT = "kept_pairs"
"""The column of what `match_and_keep` gives beside the contract: each company's weighed pairs."""


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


def match_and_keep(companies: pd.DataFrame, index: RecipientIndex, params: Matching) -> pa.Table:
    """Find each company's recipient, and keep what `match_siblings` needs to relate it to others.

    Parameters
    ----------
    companies, index, params
        As for `match_companies`.

    Returns
    -------
    pyarrow.Table of shape (n, 13)
        As the contract `company_matches` says, and the column `KEPT`.
    """
    frames, kept = [], []
    for block in match_blocks(companies, index, params):
        frames.append(_result(block, index, params))
        kept.append(block.weighed.keep(block.names, block.companies.num_rows))
    matches = COMPANY_MATCHES.arrow(pd.concat(frames, ignore_index=True))
    return matches.append_column(KEPT, pa.chunked_array(kept).combine_chunks())


def match_siblings(
    companies: pa.Table,
    matches: pd.DataFrame,
    kept: pa.ChunkedArray,
    index: RecipientIndex,
    params: Matching,
    *,
    threads: int = 1,
    at_once: int = _BLOCK,
) -> pd.DataFrame:
    """Match anew the companies of whom others of their name say something else than was found.

    Parameters
    ----------
    companies : pyarrow.Table of shape (n, 11)
        The contract `companies`: all of them, in any order.
    matches : pandas.DataFrame of shape (n, k)
        What `match_and_keep` gave them; of its columns those in `recognised.TOLD_BY` are enough.
    kept : pyarrow.ChunkedArray of shape (n,)
        The column `KEPT` of that.
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
        # Of the column as a whole all would be copied first.
        pairs = pa.chunked_array(list(take_from_each(kept.chunks, some)), kept.type).combine_chunks()
        return _result(_match_told(chosen, pairs, index, params, siblings), index, params)

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
    names : Names
        The companies' names.
    weighed : Weighed of shape (n,)
        The candidates found by name and place, each recipient once for a company.
    measures : dict of float64 arrays of shape (n,)
    terms : float64 array of shape (n, terms)
    judged : Judged of shape (n,)
    choice : Choice
        The best pair of each company and the next one.
    """

    companies: pa.Table
    hits: Hits
    names: Names
    weighed: Weighed
    measures: dict[str, Floats]
    terms: Matrix
    judged: Judged
    choice: Choice

    @property
    def pairs(self) -> Candidates:
        """The candidates."""
        return self.weighed.pairs


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
    names, places, identity, hits = _read(companies, index)
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
        weighed = Weighed.of(pairs, measures, terms)
        best = weighed.best()
        weighed, terms = weighed.take(best), terms[best]
        measures = {name: values[best] for name, values in measures.items()}
        judged = judge(weighed, index, identity, siblings, params)
    with phase("decide", rows=companies.num_rows):
        choice = choose(index, weighed.pairs, judged.probability, companies.num_rows)
    return Matched(companies, hits, names, weighed, measures, terms, judged, choice)


def _match_told(
    companies: pa.Table, kept: pa.Array, index: RecipientIndex, params: Matching, siblings: Siblings
) -> Matched:
    """Match companies by what was kept of them and what their siblings say; gives the chosen pairs only."""
    names, places, identity, hits = _read(companies, index)
    with phase("score") as span:
        named, _ = pairs_with_rows(index, names, places, siblings.company, siblings.row)
        measures = measure_pairs(index, names, named)
        told = Weighed.of(named, measures, make_terms(measures))
        weighed = Weighed.kept(kept, names, index).beside(told)
        judged = judge(weighed, index, identity, siblings, params)
        span.rows = len(weighed.score)
    with phase("decide", rows=companies.num_rows):
        choice = choose(index, weighed.pairs, judged.probability, companies.num_rows)
        chosen = np.unique(np.concatenate([choice.best, choice.runner_up]))
        chosen = chosen[chosen >= 0]
        weighed, judged, choice = weighed.take(chosen), judged.take(chosen), _renumber(choice, chosen)
        measures = measure_pairs(index, names, weighed.pairs)
    return Matched(companies, hits, names, weighed, measures, make_terms(measures), judged, choice)


def _renumber(choice: Choice, chosen: Ints) -> Choice:
    """Say of a choice where its pairs are when only the chosen ones, ascending, are left."""
    best, runner_up = (
        np.where(one >= 0, np.searchsorted(chosen, one), -1) for one in (choice.best, choice.runner_up)
    )
    return replace(choice, best=best, runner_up=runner_up)


def _read(companies: pa.Table, index: RecipientIndex) -> tuple[Names, Places, Identity, Hits]:
    """Read names, places and identifiers, and look up the latter."""
    with phase("normalise", rows=companies.num_rows):
        column = {name: companies.column(name).combine_chunks() for name in COMPANIES.names[:-1]}
        names = read_names(column["company"])
        places = read_places(column["address1"], column["city"], column["state"], column["zip5"])
        identity = read_identity(companies)
    with phase("identifiers", rows=companies.num_rows):
        hits = match_identifiers(index, names, places, identity)
    return names, places, identity, hits


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
    is_told = np.append(block.judged.sibling, 0.0)[choice.best] > np.log(2)
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
    judged = block.judged
    beside = [np.append(one, 0.0)[best] for one in (judged.differing, judged.moves, judged.sibling)]
    pieces, bits = sum_groups(terms, *beside)
    weights = dict(zip(pieces, np.where(by_id[:, None], 0.0, bits).T, strict=True))
    for piece, weight in (("name", hits.name), ("place", hits.place)):
        weights[piece] = np.where(by_id, weight / np.log(2), weights[piece])
    identifier = hits.identifier / np.log(2)
    named = {kind: by_id & (hits.kind == at) for at, kind in enumerate(KINDS)}
    weights = {piece: np.where(is_named, identifier, 0.0) for piece, is_named in named.items()} | weights
    shown = [_as_member(piece, weight) for piece, weight in weights.items()]
    for said, siblings in (("told by", judged.told_by), ("doubted by", judged.doubted_by)):
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
