"""Companies of one name: what is known of one helps to place the others.

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

A sibling's word is one more way to be its recipient, beside what the company's own name and place say; so the
odds are added to the strength of the pair (see `model`). Several siblings of one recipient count once, at
their best; siblings of different recipients compete.

How many places a name has in the awards tells something, too: a firm with a single one has hardly moved, so a
recipient far away is less likely to be it than for a firm that is met in three places. How often recognised
companies of one, two or more places are near their recipient is counted as well.

Everything is counted and decided over all companies at once, after each has been matched by itself: the
result doesn't depend on how they were cut into chunks, and the chunks stay what they were.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from sbir_toolkit.matching.candidates import Candidates
from sbir_toolkit.matching.evidence import FORMS_MEET
from sbir_toolkit.matching.identifiers import DIFFERS, KINDS, Registration, differ, read_registration
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.lookup import find_recipients
from sbir_toolkit.matching.names import read_names
from sbir_toolkit.matching.places import LEVELS, Places, place_level, read_places
from sbir_toolkit.matching.texts import Bytes, Flags, Floats, Hashes, Ints, expand, find_sorted, hash_strings

_Objects = npt.NDArray[np.object_]

_NEAR = {"elsewhere": 0, "unknown": 0, "state": 1, "zip3": 1, "city": 2, "zip5": 2, "building": 2}
_STEPS = np.array([_NEAR[level] for level in LEVELS])
# Between these numbers of firms that are expected to bear a name beside the right one, it counts as rarer or
# commoner.
_NAMESAKES = np.array([0.3, 1.0, 3.0, 10.0])
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
_MOVABLE = (0.6, 0.985)
_MOST_SHARE = 0.998
# A name of so many recognised companies says nothing.
_MOST_SIBLINGS = 500
TOLD_BY = ("recipient_id", "tier", "decision", "match_probability", "runner_up_probability")
"""What is to be known of each company's match."""
NOBODY: _Objects = np.full(1, None, object)
"""The company_id of no company."""


@dataclass(frozen=True)
class Siblings:
    """What siblings say of n companies: m pairs of a company and a recipient, and what speaks against others.

    Parameters
    ----------
    company : int64 array of shape (m,)
        Position of the company; ascending.
    row : int64 array of shape (m,)
        The recipient's row; ascending for each company.
    odds : float64 array of shape (m,)
        That the company and the sibling are one firm, and the sibling is this recipient.
    told_by : object array of shape (m,)
        The sibling's company_id.
    stranger : Registration of shape (n,)
        The identifiers of each company's nearest sibling whose identifiers are no recipient's.
    doubted_by : object array of shape (n,)
        That sibling's company_id, or None.
    share : float64 array of shape (n,)
        The chance that the two are one firm; 0 where there is none.
    moves : float64 array of shape (n, levels of places)
        What weighs for a recipient as near as that, in natural-log units, by how many places the name has.
    """

    company: Ints
    row: Ints
    odds: Floats
    told_by: _Objects
    stranger: Registration
    doubted_by: _Objects
    share: Floats
    moves: Floats

    def part(self, low: int, high: int) -> Siblings:
        """Take those of the companies from `low` to before `high`, counted from there."""
        cut = slice(*np.searchsorted(self.company, [low, high]))
        return Siblings(
            self.company[cut] - low,
            self.row[cut],
            self.odds[cut],
            self.told_by[cut],
            Registration(self.stranger.uei[low:high], self.stranger.duns[low:high]),
            self.doubted_by[low:high],
            self.share[low:high],
            self.moves[low:high],
        )

    def tell(self, pairs: Candidates) -> tuple[Floats, _Objects]:
        """Give the odds that a sibling tells of each pair, 0 where none does, and who it is."""
        if len(self.row) == 0:
            return np.zeros(len(pairs)), np.repeat(NOBODY, len(pairs))
        told, asked = (
            (one.company.astype(np.uint64) << np.uint64(32)) | one.row.astype(np.uint64)
            for one in (self, pairs)
        )
        place = find_sorted(told, asked)
        said = np.array([None, *map(_write, self.told_by, self.odds)], object)
        return np.where(place >= 0, self.odds[place], 0.0), said[place + 1]

    def weigh_strangers(self, index: RecipientIndex, pairs: Candidates) -> tuple[Floats, _Objects]:
        """Weigh, in natural-log units, that a sibling has another identifier than the recipient; say who."""
        weight = np.log(1 - self.share * (1 - np.exp(DIFFERS)))[pairs.company]
        said = np.array([None, *map(_write, self.doubted_by, self.share)], object)
        differs = differ(index, self.stranger, pairs)
        return np.where(differs, weight, 0.0), said[np.where(differs, pairs.company + 1, 0)]


@dataclass(frozen=True)
class Word:
    """What the siblings of one company said of it, as its evidence keeps it and as people are told it.

    Parameters
    ----------
    teller : str
        The sibling that was recognised, with its place; empty where there was none.
    recipient_id : str
        The recipient it is.
    odds : float
        That it is one firm with the company.
    doubter : str
        The sibling whose identifiers are no recipient's, with its place; empty where there was none.
    uei, duns : str or None
        These identifiers.
    share : float
        The chance that it is one firm with the company.
    moves : float
        What the number of places of its name weighs, in natural-log units.
    """

    teller: str = ""
    recipient_id: str = ""
    odds: float = 0.0
    doubter: str = ""
    uei: str | None = None
    duns: str | None = None
    share: float = 0.0
    moves: float = 0.0

    def said(self, index: RecipientIndex) -> Siblings:
        """Give it as what siblings say of the only company there is."""
        rows = find_recipients(index, "recipient_id", [self.recipient_id] if self.teller else [])
        row = np.array(list(rows.values()), np.int64)
        told = len(row)
        ids = {"uei": pa.array([self.uei], pa.string()), "duns": pa.array([self.duns], pa.string())}
        return Siblings(
            np.zeros(told, np.int64),
            row,
            np.full(told, self.odds),
            np.full(told, self.teller, object),
            read_registration(pa.table(ids)),
            np.array([self.doubter or None], object),
            np.array([self.share]),
            np.full((1, len(LEVELS)), self.moves),
        )


@dataclass(frozen=True)
class Kin:
    """Companies in the order of their names, as far as siblings are told by them.

    Parameters
    ----------
    key : uint64 array of shape (n,)
        Of the name, as `lookup.name_keys` gives it; 0 where there is none.
    text, form : arrays of shape (n,)
        Hash of the name as filed, and legal form.
    places : Places of shape (n,)
    company_id : object array of shape (n,)
    """

    key: Hashes
    text: Hashes
    form: Bytes
    places: Places
    company_id: _Objects

    @classmethod
    def of(cls, companies: pa.Table) -> Kin:
        """Read companies, as the contract says; in their own order."""
        column = {name: companies.column(name).combine_chunks() for name in companies.column_names}
        names = read_names(column["company"])
        owner, first = np.unique(names.owner, return_index=True)
        key, form = np.zeros(companies.num_rows, np.uint64), np.zeros(companies.num_rows, np.uint8)
        key[owner], form[owner] = names.joined[first], names.form[first]
        return cls(
            key,
            hash_strings(column["company"]),
            form,
            read_places(column["address1"], column["city"], column["state"], column["zip5"]),
            column["company_id"].to_numpy(zero_copy_only=False),
        )

    def take(self, positions: Ints) -> Kin:
        """Pick companies, in the order given."""
        parts = {one.name: getattr(self, one.name) for one in fields(self)}
        places = parts.pop("places").take(positions)
        return Kin(**{name: part[positions] for name, part in parts.items()}, places=places)

    def siblings_among(self, known: Kin) -> tuple[Ints, Ints]:
        """Pair each company with the others of its name among those known, which are sorted by name."""
        low = np.searchsorted(known.key, self.key, side="left")
        count = np.searchsorted(known.key, self.key, side="right") - low
        count[(self.key == 0) | (count > _MOST_SIBLINGS)] = 0
        one, other = np.repeat(np.arange(len(low)), count), expand(low, count)
        is_other = self.company_id[one] != known.company_id[other]
        return one[is_other], other[is_other]

    def kinds_of(self, known: Kin, one: Ints, other: Ints, index: RecipientIndex) -> Ints:
        """Say of what kind pairs are: by nearness, rarity of the name and likeness, as one number."""
        level = place_level(self.places.take(one), known.places.take(other))
        ours, theirs = self.form[one], known.form[other]
        contradicts = (ours > 0) & (theirs > 0) & ~FORMS_MEET[ours, theirs]
        likeness = np.where(self.text[one] == known.text[other], 0, np.where(contradicts, 2, 1))
        kinds: Ints = np.ravel_multi_index(
            (_STEPS[level], _rarity(index, self.key)[one], likeness), _FIRST_SHARES.shape
        )
        return kinds


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
        probability = matches["match_probability"].fillna(1.0).to_numpy(np.float64)
        recipient_id = matches["recipient_id"].to_numpy(object)
        ranks = (everyone.company_id, -probability, ~by_identifier, everyone.key)

        def sort(chosen: Flags) -> Ints:
            at = np.flatnonzero(chosen)
            return at[np.lexsort([rank[at] for rank in ranks])]

        accepted = np.flatnonzero(is_accepted)
        rows = find_recipients(index, "recipient_id", sorted(set(recipient_id[accepted].tolist())))
        row = np.full(companies.num_rows, -1)
        row[accepted] = [rows[one] for one in recipient_id[accepted].tolist()]
        step = np.zeros(companies.num_rows, np.int64)
        level = place_level(everyone.places.take(accepted), index.places.take(row[accepted]))
        step[accepted] = _STEPS[level]
        # Who was found by a name alone knows no more than those of the same name who ask.
        is_known = by_identifier | (is_accepted & (step == _STEPS.max()))
        told, judged, known, strangers = (
            sort(chosen) for chosen in (by_identifier, by_identifier | is_stranger, is_known, is_stranger)
        )
        names, places = _count_places(everyone)
        return cls(
            everyone,
            everyone.take(known),
            row[known],
            probability[known],
            everyone.take(strangers),
            Registration(identity.uei[strangers], identity.duns[strangers]),
            _count(
                everyone.take(judged),
                np.where(by_identifier, row, -1)[judged],
                everyone.take(told),
                row[told],
                index,
            ),
            _expect_nobody(matches, has_identifier),
            names,
            places,
            _count_moves(everyone.take(told), row[told], names, places, index),
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
        return Siblings(
            one[is_best],
            row[is_best],
            # Strengths are told in units of being no recipient; these odds are against any other firm.
            share / (1 - share) / self.nobody,
            self.known.company_id[other[is_best]],
            Registration(uei, duns),
            np.concatenate([self.strangers.company_id, NOBODY])[nearest],
            shares,
            self.moves[_places_of(kin, self.names, self.places) - 1],
        )


def _write(company_id: str | None, number: float) -> str:
    return f"{company_id} {number:.6g}"


def read_said(said: str) -> tuple[str, float]:
    """Read from evidence who told or doubted, and with which odds or chance."""
    company_id, number = said.rsplit(" ", 1)
    return company_id, float(number)


def _count(judged: Kin, truth: Ints, told: Kin, row: Ints, index: RecipientIndex) -> Floats:
    """Count how often companies with an identifier are the recipient that their nearest sibling is."""
    one, other = judged.siblings_among(told)
    kind = judged.kinds_of(told, one, other, index)
    nearest = np.lexsort((other, -_FIRST_SHARES.ravel()[kind], one))
    nearest = nearest[np.unique(one[nearest], return_index=True)[1]]
    is_same = truth[one[nearest]] == row[other[nearest]]
    seen, same = (
        np.bincount(kind[nearest], weights, minlength=_FIRST_SHARES.size).reshape(_FIRST_SHARES.shape)
        for weights in (np.ones(len(nearest)), is_same)
    )
    # Of rare names nearly all are one firm; what is missing there are identifiers that went wrong.
    rare_same, rare_seen = (counts[:, 0, :2].sum(axis=1)[:, None, None] for counts in (same, seen))
    right = (rare_same + _LEAN) / (rare_seen + _LEAN)
    seen = np.maximum(same, seen * right)
    shares: Floats = (same + _LEAN * _FIRST_SHARES) / (seen + _LEAN)
    return shares


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


def _rarity(index: RecipientIndex, key: Hashes) -> Ints:
    """Tell by steps how common names are; one that no recipient bears is rare."""
    place = find_sorted(index["name_joined"], key)
    namesakes = np.append(index["name_namesakes"], 0.0)[place]
    rarity: Ints = np.searchsorted(_NAMESAKES, namesakes)
    return rarity
