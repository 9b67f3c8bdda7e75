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
from sbir_toolkit.matching.identifiers import DIFFERS, Identity, differ, read_identity
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
_MOST_SHARE = 0.998
# A name of so many recognised companies says nothing.
_MOST_SIBLINGS = 500
_BY_IDENTIFIER = ("uei", "duns")
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
    stranger : Identity of shape (n,)
        The identifiers of each company's nearest sibling whose identifiers are no recipient's.
    doubted_by : object array of shape (n,)
        That sibling's company_id, or None.
    share : float64 array of shape (n,)
        The chance that the two are one firm; 0 where there is none.
    """

    company: Ints
    row: Ints
    odds: Floats
    told_by: _Objects
    stranger: Identity
    doubted_by: _Objects
    share: Floats

    def part(self, low: int, high: int) -> Siblings:
        """Take those of the companies from `low` to before `high`, counted from there."""
        cut = slice(*np.searchsorted(self.company, [low, high]))
        return Siblings(
            self.company[cut] - low,
            self.row[cut],
            self.odds[cut],
            self.told_by[cut],
            Identity(self.stranger.uei[low:high], self.stranger.duns[low:high]),
            self.doubted_by[low:high],
            self.share[low:high],
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
    """

    teller: str = ""
    recipient_id: str = ""
    odds: float = 0.0
    doubter: str = ""
    uei: str | None = None
    duns: str | None = None
    share: float = 0.0

    def said(self, index: RecipientIndex) -> Siblings:
        """Give it as what siblings say of the only company there is."""
        rows = find_recipients(index, "recipient_id", [self.recipient_id] if self.teller else [])
        row = np.array(list(rows.values()), np.int64)
        told = len(row)
        return Siblings(
            np.zeros(told, np.int64),
            row,
            np.full(told, self.odds),
            np.full(told, self.teller, object),
            read_identity(pa.array([self.uei], pa.string()), pa.array([self.duns], pa.string())),
            np.array([self.doubter or None], object),
            np.array([self.share]),
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
    known : Kin of shape (n,)
    recipient_id : object array of shape (n,)
    probability : float64 array of shape (n,)
        That this recipient is the right one.
    strangers : Kin of shape (m,)
    identity : Identity of shape (m,)
        The strangers' identifiers.
    shares : float64 array of shape (3, 5, 3)
        Of companies and their siblings that are one firm: by nearness, rarity of the name, and likeness.
    """

    known: Kin
    recipient_id: _Objects
    probability: Floats
    strangers: Kin
    identity: Identity
    shares: Floats

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
        identity = read_identity(*(companies.column(name).combine_chunks() for name in _BY_IDENTIFIER))
        is_accepted = (matches["decision"] == "accept").to_numpy(bool) & has_own
        by_identifier = is_accepted & matches["tier"].isin(_BY_IDENTIFIER).to_numpy(bool)
        is_stranger = ((identity.uei != 0) | (identity.duns != 0)) & ~is_accepted & has_own
        probability = matches["match_probability"].fillna(1.0).to_numpy(np.float64)
        recipient_id = matches["recipient_id"].to_numpy(object)
        ranks = (everyone.company_id, -probability, ~by_identifier, everyone.key)

        def sort(chosen: Flags) -> Ints:
            at = np.flatnonzero(chosen)
            return at[np.lexsort([rank[at] for rank in ranks])]

        told, judged, known, strangers = (
            sort(chosen) for chosen in (by_identifier, by_identifier | is_stranger, is_accepted, is_stranger)
        )
        truth = recipient_id.copy()
        truth[~by_identifier] = None
        return cls(
            everyone.take(known),
            recipient_id[known],
            probability[known],
            everyone.take(strangers),
            Identity(identity.uei[strangers], identity.duns[strangers]),
            _count(everyone.take(judged), truth[judged], everyone.take(told), recipient_id[told], index),
        )

    def open_companies(self, companies: pa.Table, matches: pd.DataFrame) -> Ints:
        """Say which companies have siblings who say something else than they were matched to.

        Parameters
        ----------
        companies : pyarrow.Table of shape (n, 10)
        matches : pandas.DataFrame of shape (n, 12)

        Returns
        -------
        int64 array
            Positions, ascending; none of a company that an identifier gave its recipient.
        """
        at = np.flatnonzero(~matches["tier"].isin(_BY_IDENTIFIER).to_numpy(bool))
        kin = Kin.of(companies.take(pa.array(at)))
        mine = matches["recipient_id"].to_numpy(object)[at]
        is_accepted = (matches["decision"] == "accept").to_numpy(bool)[at]
        one, other = kin.siblings_among(self.known)
        is_news = ~is_accepted[one] | (mine[one] != self.recipient_id[other])
        doubted, _ = kin.siblings_among(self.strangers)
        open_: Ints = at[np.unique(np.concatenate([one[is_news], doubted[~pd.isna(mine)[doubted]]]))]
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
        rows = find_recipients(index, "recipient_id", sorted(set(self.recipient_id[other].tolist())))
        row = np.array([rows[name] for name in self.recipient_id[other].tolist()], np.int64)
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
            share / (1 - share),
            self.known.company_id[other[is_best]],
            Identity(uei, duns),
            np.concatenate([self.strangers.company_id, NOBODY])[nearest],
            shares,
        )


def _write(company_id: str | None, number: float) -> str:
    return f"{company_id} {number:.6g}"


def read_said(said: str) -> tuple[str, float]:
    """Read from evidence who told or doubted, and with which odds or chance."""
    company_id, number = said.rsplit(" ", 1)
    return company_id, float(number)


def _count(judged: Kin, truth: _Objects, told: Kin, recipient_id: _Objects, index: RecipientIndex) -> Floats:
    """Count how often companies with an identifier are the recipient that their nearest sibling is."""
    one, other = judged.siblings_among(told)
    kind = judged.kinds_of(told, one, other, index)
    nearest = np.lexsort((other, -_FIRST_SHARES.ravel()[kind], one))
    nearest = nearest[np.unique(one[nearest], return_index=True)[1]]
    is_same = truth[one[nearest]] == recipient_id[other[nearest]]
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


def _rarity(index: RecipientIndex, key: Hashes) -> Ints:
    """Tell by steps how common names are; one that no recipient bears is rare."""
    place = find_sorted(index["name_joined"], key)
    namesakes = np.append(index["name_namesakes"], 0.0)[place]
    rarity: Ints = np.searchsorted(_NAMESAKES, namesakes)
    return rarity
