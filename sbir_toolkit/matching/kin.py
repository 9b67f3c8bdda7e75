"""Kin: companies of one name, and how near two of them are.

Two companies of one name are paired, and of each pair is said of what kind it is: how near their places are,
on how many firms are expected to bear the name, and whether they are written alike or their legal forms
contradict. What such a pair is worth is counted elsewhere (`recognised`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sbir_toolkit.matching.blocks import BLOCK
from sbir_toolkit.matching.evidence import FORMS_MEET
from sbir_toolkit.matching.index import RecipientIndex
from sbir_toolkit.matching.names import read_names
from sbir_toolkit.matching.places import LEVELS, Places, place_level, read_places
from sbir_toolkit.matching.texts import Bytes, Hashes, Ints, expand, find_sorted, hash_strings

_NEAR = {"elsewhere": 0, "unknown": 0, "state": 1, "zip3": 1, "city": 2, "zip5": 2, "building": 2}
STEPS = np.array([_NEAR[level] for level in LEVELS])
"""How near each level of places is, in three steps."""
# Between these numbers of firms that are expected to bear a name beside the right one, it counts as rarer or
# commoner.
_NAMESAKES = np.array([0.3, 1.0, 3.0, 10.0])
KINDS_OF_PAIRS = (3, len(_NAMESAKES) + 1, 3)
"""How many kinds of pairs there are: by nearness, rarity, and likeness."""
# A name of so many recognised companies says nothing.
_MOST_SIBLINGS = 500


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
    company_id: npt.NDArray[np.object_]

    @classmethod
    def of(cls, companies: pa.Table) -> Kin:
        """Read companies, as the contract says; in their own order."""
        # Piece by piece: while a name is taken apart it takes many times the room of what is kept of it.
        starts = range(0, max(companies.num_rows, 1), BLOCK)
        parts = [cls._of_piece(companies.slice(low, BLOCK)) for low in starts]
        joined = {
            one.name: np.concatenate([getattr(part, one.name) for part in parts])
            for one in fields(cls)
            if one.name != "places"
        }
        return cls(**joined, places=Places.joined([part.places for part in parts]))

    @classmethod
    def _of_piece(cls, companies: pa.Table) -> Kin:
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
            (STEPS[level], rarity_of(index, self.key)[one], likeness), KINDS_OF_PAIRS
        )
        return kinds


def rarity_of(index: RecipientIndex, key: Hashes) -> Ints:
    """Tell by steps how common names are; one that no recipient bears is rare."""
    place = find_sorted(index["name_joined"], key)
    is_known = place >= 0
    namesakes = np.zeros(len(key))
    namesakes[is_known] = index["name_namesakes"][place[is_known]]
    rarity: Ints = np.searchsorted(_NAMESAKES, namesakes)
    return rarity
