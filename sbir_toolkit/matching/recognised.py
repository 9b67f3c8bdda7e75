"""Recognised companies: what is known of one helps to place the others of its name.

A firm that moved, or whose older awards lack identifiers, stands in the awards as several companies. Each is
matched by itself first, and for many a place long left leaves open which of several namesakes it is. But
those who win awards are few beside those who are registered: two companies of one name among them are nearly
always one firm. So a company that has been recognised, by its identifier or by name, is a *sibling* that says
of the others who they are, with the odds that the two are one firm. And a company whose identifier is no
recipient's says that the others aren't a recipient with another identifier.

How good these odds are depends on how near the two are, on how many firms are expected to bear the name, and
on whether they are written alike or their legal forms contradict. They are counted in the awards at hand: of
companies with an identifier, how many are the firm that their nearest sibling is? Some of them aren't because
their identifier is mistyped or outdated; how often that is so is seen in rare names, which hardly two firms
share. Where few have been counted, a share read off public awards stands in (of 11,000 companies with a DUNS,
nine in ten of those with one name in two states are one firm; of those whose forms contradict, hardly any).

How many places a name has in the awards tells something, too: a firm with a single one has hardly moved, so a
recipient far away is less likely to be it than for a firm that is met in three places. How often recognised
companies of one, two or more places are near their recipient is counted as well. And where none of its
companies was recognised, though there are several, the firm is rather no recipient at all: of a recipient's
companies one or the other mostly is. What that weighs is counted from the probabilities that all companies
left to their names have so far, each standing for the part of a recipient that it says.

Everything is counted and decided over all companies at once, after each has been matched by itself: the
result doesn't depend on how they were cut into chunks, and the chunks stay what they were.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sbir_toolkit.matching.identifiers import KINDS, Registration, read_registration
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.kin import KINDS_OF_PAIRS, STEPS, Kin, rarity_of
from sbir_toolkit.matching.lookup import find_recipients
from sbir_toolkit.matching.places import LEVELS, place_level
from sbir_toolkit.matching.siblings import NOBODY, Siblings
from sbir_toolkit.matching.texts import Flags, Floats, Hashes, Ints, find_sorted

# The shares to begin with, by nearness, rarity and likeness (the same text, another one, legal forms that
# contradict), and for how many counted companies they stand.
_FIRST_SHARES = np.array(
    [
        [(0.96, 0.93, 0.20), (0.75, 0.65, 0.10), (0.50, 0.40, 0.05), (0.30, 0.20, 0.03), (0.15, 0.10, 0.02)],
        [(0.99, 0.97, 0.80), (0.97, 0.95, 0.60), (0.93, 0.90, 0.50), (0.80, 0.75, 0.30), (0.70, 0.65, 0.20)],
        [(0.99, 0.99, 0.95), (0.99, 0.99, 0.90), (0.99, 0.99, 0.90), (0.98, 0.98, 0.80), (0.97, 0.97, 0.80)],
    ]
)
_LEAN = 20.0
_MOST_PLACES = 3
# What is less probable than the first can't become acceptable by it, what is more so can't cease to be.
_MOVABLE = (0.4, 0.985)
_MOST_SHARE = 0.998
TOLD_BY = ("recipient_id", "tier", "decision", "match_probability", "runner_up_probability")
"""What is to be known of each company's match."""


@dataclass(frozen=True)
class Recognised:
    """The companies whose recipient is known, those whose identifiers are nobody's, and how far they tell.

    Parameters
    ----------
    everyone : Kin
        All companies, in their own order.
    known : Kin of shape (n,)
    row : int64 array of shape (n,)
        Their recipients' rows.
    probability : float64 array of shape (n,)
        That this recipient is the right one.
    strangers : Kin of shape (m,)
    identity : Registration of shape (m,)
        The strangers' identifiers.
    shares : float64 array of shape (3, 5, 3)
        Of companies and their siblings that are one firm: by nearness, rarity of the name, and likeness.
    nobody : float
        The share of companies without an identifier that are expected to be no recipient.
    names, places : uint64 and int64 arrays of shape (k,)
        The names of all companies, ascending, and how many places each has, three at most.
    moves : float64 array of shape (3, levels of places)
        What weighs for a recipient as near as that, in natural-log units, by the number of places.
    untold : float64 array of shape (5, 3)
        What weighs for any recipient where no company of the name was recognised, by rarity of the name and
        number of places.
    """

    everyone: Kin
    known: Kin
    row: Ints
    probability: Floats
    strangers: Kin
    identity: Registration
    shares: Floats
    nobody: float
    names: Hashes
    places: Ints
    moves: Floats
    untold: Floats

    @classmethod
    def among(cls, companies: pa.Table, matches: pd.DataFrame, index: RecipientIndex) -> Recognised:
        """Find them among companies that were matched, and count how far siblings can be trusted.

        Parameters
        ----------
        companies : pyarrow.Table of shape (n, 10)
            The contract `companies`.
        matches : pandas.DataFrame of shape (n, 12)
            The contract `company_matches`, in the same order.
        index : RecipientIndex
        """
        everyone = Kin.of(companies)
        # Who was told itself adds nothing to what those who told it know.
        has_own = (matches["tier"] != "sibling").to_numpy(bool) & (everyone.key != 0)
        identity = read_registration(companies)
        is_accepted = (matches["decision"] == "accept").to_numpy(bool) & has_own
        by_identifier = is_accepted & matches["tier"].isin(KINDS).to_numpy(bool)
        has_identifier = (identity.uei != 0) | (identity.duns != 0)
        is_stranger = has_identifier & ~is_accepted & has_own
        # Who was found by name although an identifier went wrong is counted with the others of whom one did.
        is_judged = (has_identifier | by_identifier) & has_own
        probability = matches["match_probability"].fillna(1.0).to_numpy(np.float64)
        recipient_id = matches["recipient_id"].to_numpy(object)
        by_id = pc.sort_indices(companies["company_id"]).to_numpy()
        ranks = (-probability, ~by_identifier, everyone.key)
        order = by_id[np.lexsort([rank[by_id] for rank in ranks])]
        accepted = np.flatnonzero(is_accepted)
        rows = find_recipients(index, "recipient_id", sorted(set(recipient_id[accepted].tolist())))
        row = np.full(companies.num_rows, -1)
        row[accepted] = [rows[one] for one in recipient_id[accepted].tolist()]
        step = np.zeros(companies.num_rows, np.int64)
        level = place_level(everyone.places.take(accepted), index.places.take(row[accepted]))
        step[accepted] = STEPS[level]
        # Who was found by a name alone knows no more than those of the same name who ask.
        is_known = by_identifier | (is_accepted & (step == STEPS.max()))
        told, judged, known, strangers = (
            order[chosen[order]] for chosen in (by_identifier, is_judged, is_known, is_stranger)
        )
        names, places = _count_places(everyone)
        shares = _count(
            everyone.take(judged),
            np.where(by_identifier, row, -1)[judged],
            everyone.take(told),
            row[told],
            index,
        )
        left = np.flatnonzero(~matches["tier"].isin(("override", *KINDS)).to_numpy(bool))
        by_name, tellers = everyone.take(left), everyone.take(known)
        told_share = _told_share(by_name, tellers, shares, probability[known], index)
        found = matches.iloc[left][["match_probability", "runner_up_probability"]].fillna(0.0).sum(axis=1)
        return cls(
            everyone,
            tellers,
            row[known],
            probability[known],
            everyone.take(strangers),
            Registration(identity.uei[strangers], identity.duns[strangers]),
            shares,
            _expect_nobody(matches, has_identifier),
            names,
            places,
            _count_moves(everyone.take(told), row[told], names, places, index),
            _count_untold(
                found.to_numpy(np.float64),
                told_share,
                rarity_of(index, by_name.key),
                _places_of(by_name, names, places) - 1,
            ),
        )

    def open_companies(self, matches: pd.DataFrame) -> Ints:
        """Say which companies may be matched otherwise with what the others tell.

        Parameters
        ----------
        matches : pandas.DataFrame of shape (n, 12)

        Returns
        -------
        int64 array
            Positions, ascending; none of a company that an identifier gave its recipient.
        """
        at = np.flatnonzero(~matches["tier"].isin(KINDS).to_numpy(bool))
        kin = self.everyone.take(at)
        has_one = matches["recipient_id"].notna().to_numpy()[at]
        one, _ = kin.siblings_among(self.known)
        doubted, _ = kin.siblings_among(self.strangers)
        probability = matches["match_probability"].fillna(0.0).to_numpy(np.float64)[at]
        news = one[probability[one] <= _MOVABLE[1]]
        movable = np.flatnonzero((probability >= _MOVABLE[0]) & (probability <= _MOVABLE[1]))
        open_: Ints = at[np.unique(np.concatenate([news, doubted[has_one[doubted]], movable]))]
        return open_

    def tells_of(self, companies: pa.Table) -> Flags:
        """Say which companies have a sibling that was recognised."""
        one, _ = Kin.of(companies).siblings_among(self.known)
        return np.isin(np.arange(companies.num_rows), one)

    def siblings_of(self, companies: pa.Table, index: RecipientIndex) -> Siblings:
        """Say what some companies are by their siblings, themselves left aside.

        Parameters
        ----------
        companies : pyarrow.Table of shape (n, 10)
            The contract `companies`.
        index : RecipientIndex

        Returns
        -------
        Siblings
        """
        kin = Kin.of(companies)
        one, other = kin.siblings_among(self.known)
        share = self.shares.ravel()[kin.kinds_of(self.known, one, other, index)] * self.probability[other]
        row = self.row[other]
        order = np.lexsort((other, -share, row, one))
        one, row, other, share = one[order], row[order], other[order], share[order]
        is_best = np.ones(len(one), bool)
        is_best[1:] = (one[1:] != one[:-1]) | (row[1:] != row[:-1])
        share = np.minimum(share[is_best], _MOST_SHARE)
        doubted, stranger = kin.siblings_among(self.strangers)
        doubt = self.shares.ravel()[kin.kinds_of(self.strangers, doubted, stranger, index)]
        order = np.lexsort((stranger, -doubt, doubted))
        at, first = np.unique(doubted[order], return_index=True)
        nearest = np.full(companies.num_rows, -1)
        nearest[at] = stranger[order][first]
        shares = np.zeros(companies.num_rows)
        shares[at] = doubt[order][first]
        uei, duns = (np.append(ids, ids.dtype.type(0))[nearest] for ids in vars(self.identity).values())
        is_untold = ~np.isin(np.arange(companies.num_rows), one) & (kin.key != 0)
        number = _places_of(kin, self.names, self.places) - 1
        untold = np.where(is_untold, self.untold[rarity_of(index, kin.key), number], 0.0)
        return Siblings(
            one[is_best],
            row[is_best],
            # Strengths are told in units of being no recipient; these odds are against any other firm.
            share / (1 - share) / self.nobody,
            self.known.company_id[other[is_best]],
            Registration(uei, duns),
            np.concatenate([self.strangers.company_id, NOBODY])[nearest],
            shares,
            self.moves[number] + untold[:, None],
        )


def _count(judged: Kin, truth: Ints, told: Kin, row: Ints, index: RecipientIndex) -> Floats:
    """Count how often companies with an identifier are the recipient that their nearest sibling is."""
    one, other = judged.siblings_among(told)
    kind = judged.kinds_of(told, one, other, index)
    nearest = np.lexsort((other, -_FIRST_SHARES.ravel()[kind], one))
    nearest = nearest[np.unique(one[nearest], return_index=True)[1]]
    is_same = truth[one[nearest]] == row[other[nearest]]
    seen, same = (
        np.bincount(kind[nearest], weights, minlength=_FIRST_SHARES.size).reshape(KINDS_OF_PAIRS)
        for weights in (np.ones(len(nearest)), is_same)
    )
    # Of rare names nearly all are one firm; what is missing there are identifiers that went wrong.
    rare_same, rare_seen = (counts[:, 0, :2].sum(axis=1)[:, None, None] for counts in (same, seen))
    right = (rare_same + _LEAN) / (rare_seen + _LEAN)
    seen = np.maximum(same, seen * right)
    shares: Floats = (same + _LEAN * _FIRST_SHARES) / (seen + _LEAN)
    return shares


def _told_share(
    by_name: Kin, known: Kin, shares: Floats, probability: Floats, index: RecipientIndex
) -> Floats:
    """Give each company's best chance to be a recognised sibling's recipient; 0 where it has no sibling."""
    one, other = by_name.siblings_among(known)
    share = shares.ravel()[by_name.kinds_of(known, one, other, index)] * probability[other]
    best = np.zeros(len(by_name.key))
    np.maximum.at(best, one, share)
    return best


def _count_untold(found: Floats, told: Floats, rarity: Ints, number: Ints) -> Floats:
    """Weigh that nobody tells: how often that is so for recipients, against for those who are none."""
    shape = (KINDS_OF_PAIRS[1], _MOST_PLACES)
    kind = np.ravel_multi_index((rarity, number), shape)
    is_one = np.clip(told + (1 - told) * found, 0, 1)
    share = []
    for weight in (is_one, 1 - is_one):
        whole, untold = (
            np.bincount(kind, part, minlength=shape[0] * shape[1]) for part in (weight, weight * (told == 0))
        )
        share.append((untold + _LEAN) / (whole + _LEAN))
    weighed: Floats = np.log(share[0] / share[1]).reshape(shape)
    return weighed


def _expect_nobody(matches: pd.DataFrame, has_identifier: Flags) -> float:
    """Expect from the probabilities how many companies without an identifier are no recipient."""
    is_open = ~has_identifier & ~matches["tier"].isin(("override", "sibling")).to_numpy(bool)
    found = matches.loc[is_open, ["match_probability", "runner_up_probability"]].fillna(0.0).sum(axis=1)
    return float(1 - (found.sum() + _LEAN / 2) / (len(found) + _LEAN))


def _count_places(kin: Kin) -> tuple[Hashes, Ints]:
    """Count the places at which each name is met: all names, ascending, and up to three."""
    place = kin.places.zip5.astype(np.uint64) << np.uint64(32) | kin.places.city
    order = np.lexsort((place, kin.key))
    key, place = kin.key[order], place[order]
    is_new = np.ones(len(key), bool)
    is_new[1:] = (key[1:] != key[:-1]) | (place[1:] != place[:-1])
    names, count = np.unique(key[is_new], return_counts=True)
    return names, np.minimum(count, _MOST_PLACES)


def _places_of(kin: Kin, names: Hashes, places: Ints) -> Ints:
    place = find_sorted(names, kin.key)
    found: Ints = np.where(place >= 0, places[place], 1)
    return found


def _count_moves(told: Kin, row: Ints, names: Hashes, places: Ints, index: RecipientIndex) -> Floats:
    """Weigh how near recipients are to companies that an identifier recognises, by their number of places."""
    level = place_level(told.places, index.places.take(row))
    counts = np.zeros((_MOST_PLACES, len(LEVELS)))
    np.add.at(counts, (_places_of(told, names, places) - 1, level), 1)
    whole = counts.sum(axis=0) + 1
    usual = whole / whole.sum()
    share = (counts + _LEAN * usual) / (counts.sum(axis=1, keepdims=True) + _LEAN)
    moves: Floats = np.log(share / usual)
    moves[:, LEVELS.index("unknown")] = 0
    return moves
